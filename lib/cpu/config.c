/* config.c: what this build of the library is made of and what processor it runs on, as text. */
#include <stddef.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */

#include <jpeglib.h>
#include <oneapi/dnnl/dnnl.h>
#include <png.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "core/simd.h"
#include "cpu/bf16.h"
#include "cpu/dnnl.h"
#include "mascon.h"

#define TEXT_OF(x) #x
#define EXPANDED_TEXT_OF(x) TEXT_OF(x)

/* Text that is cut where its room ends. */
typedef struct writer {
    char *text;
    size_t size, used;
} writer;

static void __attribute__((format(printf, 2, 3))) add(writer *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + w->used, w->size - w->used, format, args);
    va_end(args);
    if (n <= 0) return;
    w->used += (size_t)n < w->size - w->used ? (size_t)n : w->size - w->used - 1;
}

static void add_processor(writer *w) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        add(w, "processor\t%.*s\n", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
    add(w, "processors\t%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
#if defined(__x86_64__) && defined(__GNUC__)
#define ADD_FEATURE(name) \
    if (__builtin_cpu_supports(name)) add(w, " " name)
    add(w, "features\tx86-64");
    ADD_FEATURE("sse4.2");
    ADD_FEATURE("avx");
    ADD_FEATURE("avx2");
    ADD_FEATURE("fma");
    ADD_FEATURE("avx512f");
    ADD_FEATURE("avx512bw");
    ADD_FEATURE("avx512vl");
    ADD_FEATURE("avx512dq");
    ADD_FEATURE("avx512vnni");
    ADD_FEATURE("avx512bf16");
    add(w, "\nkernels\t%s\n",
        masconI_has_avx512() ? "avx512"
        : masconI_has_avx2() ? "avx2"
                             : "plain");
    add(w, "faster_products\t%s\n", masconI_bf16_is_fast() ? "bfloat16" : "float32");
#undef ADD_FEATURE
#elif defined(__aarch64__)
    add(w, "features\taarch64\nkernels\tplain\nfaster_products\tfloat32\n");
#else
    add(w, "kernels\tplain\nfaster_products\tfloat32\n");
#endif
}

static void add_libraries(writer *w) {
    const char *why = NULL;
    const dnnl_version_t *dnnl = dnnl_version();
    add(w, "oneDNN\t%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
    if (!masconI_dnnl_usable(&why)) add(w, " (not used: %s)", why ? why : "unknown");
    add(w, "\nzlib\t%s\nlibpng\t%s\n", zlibVersion(), png_get_libpng_ver(NULL));
#ifdef LIBJPEG_TURBO_VERSION
    add(w, "libjpeg-turbo\t%s\n", EXPANDED_TEXT_OF(LIBJPEG_TURBO_VERSION));
#else
    add(w, "libjpeg\t%d\n", JPEG_LIB_VERSION);
#endif
    add(w, "compiler\t%s\n", __VERSION__);
}

void mascon_config_text(char *text, size_t size) {
    writer w = {text, size, 0};
    if (!text || size == 0) return;
    text[0] = 0;
    add_processor(&w);
    add_libraries(&w);
}

/* libraries.c: finds a CUDA library when it is needed. Nothing is linked with it, so libmascon_cuda.so
 * opens on a machine without a GPU, and where NVIDIA's libraries came with Python's packages.
 *
 * Looked for in this order; the first that opens and that its judge takes:
 *   1. what the process has opened already: two copies would mix their parts
 *   2. the folders that MASCON_CUDA_LIBRARIES names, joined by ":"
 *   3. where the linker looks: LD_LIBRARY_PATH, beside libmascon_cuda.so, the toolkit of the build, the system
 *   4. /usr/local/cuda
 *   5. nvidia/.../lib in the package folders of the python3 on the PATH. It is asked once, and only when
 *      the places above have failed, since it takes a moment to start
 */
#include "cuda/libraries.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct search {
    const char *name;
    masconG_judge *judge;
    char *why; /* of the first file that was there and could not be used; else "" */
    size_t size;
} search;

static void *try_file(const search *s, const char *file, int flags) {
    char text[256];
    void *library = dlopen(file, RTLD_LAZY | RTLD_LOCAL | flags);
    if (!library) {
        const char *reason = dlerror();
        if (strchr(file, '/') && !s->why[0] && access(file, F_OK) == 0) {
            snprintf(s->why, s->size, "%s", reason ? reason : file);
        }
        return NULL;
    }
    if (!s->judge || s->judge(library, text, sizeof text)) return library;
    if (!s->why[0]) snprintf(s->why, s->size, "%s%s%s", file, *text ? " " : "", text);
    dlclose(library);
    return NULL;
}

/* In every folder that the pattern matches. */
static void *try_pattern(const search *s, const char *folders) {
    char pattern[PATH_MAX];
    glob_t found;
    void *library = NULL;
    if ((size_t)snprintf(pattern, sizeof pattern, "%s/%s", folders, s->name) >= sizeof pattern) {
        return NULL;
    }
    if (glob(pattern, 0, NULL, &found)) return NULL;
    for (size_t i = 0; i < found.gl_pathc && !library; i++) {
        library = try_file(s, found.gl_pathv[i], 0);
    }
    globfree(&found);
    return library;
}

/* In every folder of a list with this separator, suffix added. */
static void *try_list(const search *s, const char *list, char separator, const char *suffix) {
    void *library = NULL;
    while (list && *list && !library) {
        char folder[PATH_MAX];
        const size_t n = strcspn(list, (char[]){separator, 0});
        if (n && n + strlen(suffix) < sizeof folder) {
            snprintf(folder, sizeof folder, "%.*s%s", (int)n, list, suffix);
            library = try_pattern(s, folder);
        }
        list += n + (list[n] != 0);
    }
    return library;
}

/* The folders in which python3 looks for packages, one a line; "" where there is no python3. The caller
 * holds the lock of the one look at the devices, so this needs none. */
static const char *python_folders(void) {
    static char text[16384];
    static int asked;
    if (asked) return text;
    asked = 1;
    FILE *pipe =
        popen("exec python3 -c 'import sys; print(*sys.path, sep=\"\\n\")' 2>/dev/null", "re");
    if (!pipe) return text;
    text[fread(text, 1, sizeof text - 1, pipe)] = 0;
    pclose(pipe);
    return text;
}

void *masconG_library_open(const char *name, masconG_judge *judge, char *why, size_t size) {
    const search s = {.name = name, .judge = judge, .why = why, .size = size};
    why[0] = 0;
    const char *named = getenv("MASCON_CUDA_LIBRARIES");
    void *library = try_file(&s, name, RTLD_NOLOAD);
    if (!library) library = try_list(&s, named, ':', "");
    if (!library) library = try_file(&s, name, 0);
    if (!library) library = try_pattern(&s, "/usr/local/cuda/lib64");
    if (!library) library = try_pattern(&s, "/usr/local/cuda/targets/*/lib");
    if (!library) library = try_list(&s, python_folders(), '\n', "/nvidia/*/lib");
    if (library || why[0]) return library;
    snprintf(why, size,
             "%s not found; searched %sthe linker's folders, /usr/local/cuda and the packages of "
             "python3; "
             "MASCON_CUDA_LIBRARIES may name its folder",
             name, named && *named ? "MASCON_CUDA_LIBRARIES, " : "");
    return NULL;
}

void *masconG_library_beside(void *library, const char *function, const char *name) {
    Dl_info info;
    char folder[PATH_MAX], why[8] = "";
    void *address = dlsym(library, function);
    if (!address || !dladdr(address, &info)) return NULL;
    const char *slash = strrchr(info.dli_fname, '/');
    if (!slash) return NULL;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - info.dli_fname), info.dli_fname);
    return try_pattern(&(search){.name = name, .why = why, .size = sizeof why}, folder);
}

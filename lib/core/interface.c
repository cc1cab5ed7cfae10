/* interface.c: the text of the public headers' [ffi] parts, carried inside the library.
 *
 * lua/mascon/ffi.lua declares its C types from here, so a header and a library cannot disagree and a
 * host needs no header file at run time. The assembler copies the files in; the parts are cut out at
 * the first call.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

#define EMBED(symbol, file)                                                                      \
    __asm__(".pushsection .rodata\n" #symbol ":\n.incbin \"" file "\"\n.byte 0\n.popsection\n"); \
    extern const char symbol[] __attribute__((visibility("hidden")))

EMBED(masconI_header_core, "mascon.h");
EMBED(masconI_header_io, "mascon_io.h");
EMBED(masconI_header_data, "mascon_data.h");
EMBED(masconI_header_model, "mascon_model.h");
EMBED(masconI_header_program, "mascon_program.h");
EMBED(masconI_header_host, "mascon_host.h");

static char *text;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Appends what stands between the marks of one header. */
static char *append_part(char *at, const char *header) {
    const char *begin = strstr(header, "/* [ffi] */"), *end = strstr(header, "/* [/ffi] */");
    if (!begin || !end) return at;
    begin += strlen("/* [ffi] */");
    memcpy(at, begin, (size_t)(end - begin));
    return at + (end - begin);
}

static void cut(void) {
    const char *headers[] = {masconI_header_core,  masconI_header_io,      masconI_header_data,
                             masconI_header_model, masconI_header_program, masconI_header_host};
    enum { HEADERS = sizeof headers / sizeof headers[0] };
    size_t size = 1;
    for (int i = 0; i < HEADERS; i++) size += strlen(headers[i]);
    text = malloc(size);
    if (!text) return;
    char *at = text;
    for (int i = 0; i < HEADERS; i++) at = append_part(at, headers[i]);
    *at = 0;
}

const char *mascon_interface_text(void) {
    pthread_once(&once, cut);
    return text ? text : "";
}

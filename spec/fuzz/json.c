/* json.c: fuzz target: the subset of JSON that safetensors needs, and writing its strings again. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* A value of strings, numbers, objects and arrays; depth bounds the recursion of this test. */
static mascon_status value(masconI_json *j, int depth) {
    const char *text = NULL;
    uint64_t n = 0;
    int c = masconI_json_peek(j), more = 1;
    if (c == '"') {
        MASCON_TRY(masconI_json_string(j, &text, &n));
        masconI_text again = {0};
        masconI_text_json(&again, text, n);
        if (!masconI_utf8_valid(text, n) || again.failed || again.size < n + 2) abort();
        masconI_text_free(&again);
        return MASCON_OK;
    }
    if ((c != '{' && c != '[') || depth == 0) return masconI_json_number(j, &n);
    MASCON_TRY(masconI_json_take(j, (char)c));
    while (more) {
        if (c == '{') {
            MASCON_TRY(masconI_json_string(j, &text, &n));
            MASCON_TRY(masconI_json_take(j, ':'));
        }
        MASCON_TRY(value(j, depth - 1));
        MASCON_TRY(masconI_json_more(j, c == '{' ? '}' : ']', &more));
    }
    return MASCON_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!masconI_utf8_valid(data, size) || (size && memchr(data, 0, size))) return 0;
    unsigned char *copy = malloc(size + 1); /* the reader ends its header with a zero byte too */
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    copy[size] = 0;
    masconI_json j = {.text = copy, .size = size, .path = "json"};
    fuzz_check(value(&j, 3));
    free(copy);
    return 0;
}

/* core.c: as much of the core as the readers need, so that a fuzz target is built in seconds: errors,
 * and tensors in blocks of their exact size, where the address sanitizer sees every byte too far.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* ---- Errors ---- */

static mascon_error error;

mascon_status masconI_fail_at(const char *file, int line, mascon_status code, const char *format,
                              ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    snprintf(error.site, sizeof error.site, "%.40s:%d", file, line);
    error.code = code;
    error.hint[0] = 0;
    return code;
}

mascon_status masconI_hint(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(error.hint, sizeof error.hint, format, args);
    va_end(args);
    return error.code;
}

const mascon_error *mascon_last_error(void) { return &error; }

/* ---- Tensors ---- */

struct mascon_tensor {
    mascon_view view;
    int refs;
};

mascon_status mascon_tensor_new(mascon_tensor **out, int32_t dtype, int32_t ndim,
                                const int64_t *shape, int32_t device) {
    mascon_tensor *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->refs = 1;
    t->view = (mascon_view){
        .numel = 1, .ndim = ndim, .device = device, .dtype = (uint8_t)dtype, .contiguous = 1};
    for (int d = ndim - 1; d >= 0; d--) {
        t->view.shape[d] = shape[d];
        t->view.stride[d] = t->view.numel;
        t->view.numel *= shape[d];
    }
    size_t bytes = (size_t)t->view.numel * (size_t)mascon_dtype_size(dtype);
    t->view.data = malloc(bytes ? bytes : 1);
    if (!t->view.data) abort();
    *out = t;
    return MASCON_OK;
}

mascon_status mascon_tensor_data(mascon_tensor *t, void **data) {
    *data = t->view.data;
    return MASCON_OK;
}

void mascon_tensor_retain(mascon_tensor *t) { t->refs++; }

void mascon_tensor_release(mascon_tensor *t) {
    if (!t || --t->refs) return;
    free(t->view.data);
    free(t);
}

int32_t mascon_tensor_is_released(const mascon_tensor *t) { return t->refs == 0; }

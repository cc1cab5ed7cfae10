/* error.c: failed calls and bad values become the core's sentences.
 *
 * The plug-in has no error record of its own: masconI_fail and masconI_hint, which kernels and shared
 * files call as they do in the core, format here and go through mascon_host.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cuda/backend.h"

const mascon_host *masconG_host;

mascon_status masconI_fail_at(const char *file, int line, mascon_status code, const char *format,
                              ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return masconG_host->fail(file, line, code, -1, 0, text);
}

mascon_status masconI_hint(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return masconG_host->hint(text);
}

/* Errors of running kernels, after which the driver answers every call with them. */
static int is_sticky(cudaError_t error) {
    switch (error) {
        case cudaErrorIllegalAddress:
        case cudaErrorLaunchTimeout:
        case cudaErrorLaunchFailure:
        case cudaErrorHardwareStackError:
        case cudaErrorIllegalInstruction:
        case cudaErrorMisalignedAddress:
        case cudaErrorInvalidAddressSpace:
        case cudaErrorInvalidPc:
        case cudaErrorAssert:
        case cudaErrorECCUncorrectable:
            return 1;
        default:
            return 0;
    }
}

mascon_status masconG_check(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return MASCON_OK;
    char call[48], text[256];
    snprintf(call, sizeof call, "%.*s", (int)strcspn(what, "("), what);
    cuda->get_last_error(); /* one that is not sticky must not be met again by the next call */
    mascon_status code = error == cudaErrorMemoryAllocation ? MASCON_E_OOM : MASCON_E_BACKEND;
    snprintf(text, sizeof text, "CUDA: %s (%s)", cuda->get_error_string(error), call);
    masconG_host->fail(__FILE__, __LINE__, code, -1, (int32_t)error, text);
    if (is_sticky(error)) {
        masconG_host->hint(
            "the device is lost to this process: start it again. MASCON_DEBUG=sync "
            "names the operation");
    }
    return code;
}

/* The sentences are those of the CPU (D25, D26, D33). */
static mascon_status tell(const masconG_report *r) {
    char text[256];
    long long position = r->position + 1, total = r->total, value = r->value, first = r->base;
    long long last = r->base + r->size - 1;
    const char *hint = NULL;
    if (!r->words) {
        snprintf(text, sizeof text, "target %lld of %lld is %lld; classes run %lld..%lld", position,
                 total, value, first, last);
        if (first == 1 && value == 0) hint = "labels counted from 0? add 1";
    } else if (r->size == 0) {
        snprintf(text, sizeof text, "index %lld of %lld is %lld; there are no %s", position, total,
                 value, r->words);
    } else {
        snprintf(text, sizeof text, "index %lld of %lld is %lld; %s run %lld..%lld", position,
                 total, value, r->words, first, last);
        if (value == 0 && first == 1) {
            hint = "positions counted from 0? add 1";
        } else if (value < 0) {
            hint = "inside a tensor of positions none counts from the end";
        }
    }
    masconG_host->fail(__FILE__, __LINE__, MASCON_E_INDEX, r->op, MASCON_NATIVE_LATE, text);
    if (hint) masconG_host->hint(hint);
    return MASCON_E_INDEX;
}

mascon_status masconG_take_report(int32_t device) {
    masconG_report *shared = masconG_of(device)->report;
    if (!*(volatile int32_t *)&shared->written) return MASCON_OK;
    __sync_synchronize(); /* what was written before it is read after it */
    masconG_report r = *shared;
    /* `taken` goes last: from then on a kernel may write the next one */
    *(volatile int32_t *)&shared->written = 0;
    __sync_synchronize();
    *(volatile int32_t *)&shared->taken = 0;
    return tell(&r);
}

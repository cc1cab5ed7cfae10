/* create.c: reference kernels of the ops that make tensors from options. */
#include "reference/reference.h"

static mascon_status full(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    for (int64_t i = 0; i < y->numel; i++) masconR_set(y, i, call->attr[9]);
    return MASCON_OK;
}

static mascon_status fill(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    for (int64_t i = 0; i < y->numel; i++) masconR_set(y, i, call->attr[0]);
    return MASCON_OK;
}

/* y[i] = start + i * step */
static mascon_status arange(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    double start = call->attr[0], step = call->attr[2];
    for (int64_t i = 0; i < y->numel; i++) masconR_set(y, i, start + (double)i * step);
    return MASCON_OK;
}

/* From both ends to the middle, so that the last value is end itself. */
static mascon_status linspace(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    double start = call->attr[0], end = call->attr[1];
    int64_t n = y->numel;
    double step = n > 1 ? (end - start) / (double)(n - 1) : 0;
    for (int64_t i = 0; i < n; i++) {
        int upper = n > 1 && i >= n / 2;
        masconR_set(y, i, upper ? end - (double)(n - 1 - i) * step : start + (double)i * step);
    }
    return MASCON_OK;
}

/* y {n, m} */
static mascon_status eye(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_set(y, i, i / y->shape[1] == i % y->shape[1]);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_full = {.run = full};
const mascon_kernel masconR_fill = {.run = fill};
const mascon_kernel masconR_arange = {.run = arange};
const mascon_kernel masconR_linspace = {.run = linspace};
const mascon_kernel masconR_eye = {.run = eye};

/* linear.c: reference kernels of linear and its backward ops.
 *
 * x {rows, in}, weight {out, in}, bias {out}, y {rows, out}; rows are all dimensions but the last. */
#include "core/cut.h"
#include "ops/nn.h"
#include "reference/reference.h"

static mascon_status linear(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1), *y = DST(call, 0);
    const mascon_view *bias = call->n_src > 2 && call->src[2] ? SRC(call, 2) : NULL;
    const int64_t out = weight->shape[0], in = weight->shape[1];
    for (int64_t i = 0; i < y->numel && !masconI_cut_asked(); i++) {
        const int64_t row = i / out, o = i % out;
        double sum = bias ? masconR_get(bias, o) : 0;
        for (int64_t k = 0; k < in; k++) {
            sum += masconR_get(x, row * in + k) * masconR_get(weight, o * in + k);
        }
        masconR_set(y, i, sum);
    }
    return MASCON_OK;
}

/* dx {rows, in} = dy {rows, out} * weight {out, in} */
static mascon_status linear_bwd_data(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *weight = SRC(call, 1), *dx = DST(call, 0);
    const int64_t out = weight->shape[0], in = weight->shape[1];
    for (int64_t i = 0; i < dx->numel && !masconI_cut_asked(); i++) {
        const int64_t row = i / in, k = i % in;
        double sum = 0;
        for (int64_t o = 0; o < out; o++) {
            sum += masconR_get(dy, row * out + o) * masconR_get(weight, o * in + k);
        }
        masconR_set(dx, i, sum);
    }
    return MASCON_OK;
}

/* dw {out, in} = transposed dy {rows, out} * x {rows, in}; db {out} = the column sums of dy */
static mascon_status linear_bwd_weight(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *dy = SRC(call, 1), *dw = DST(call, 0);
    const int64_t out = dw->shape[0], in = dw->shape[1];
    int64_t rows = 1;
    for (int32_t d = 0; d < x->ndim - 1; d++) rows *= x->shape[d];
    for (int64_t i = 0; i < dw->numel && !masconI_cut_asked(); i++) {
        const int64_t o = i / in, k = i % in;
        double sum = 0;
        for (int64_t row = 0; row < rows; row++) {
            sum += masconR_get(dy, row * out + o) * masconR_get(x, row * in + k);
        }
        masconR_set(dw, i, sum);
    }
    if (call->n_dst < 2) return MASCON_OK;
    for (int64_t o = 0; o < out; o++) {
        double sum = 0;
        for (int64_t row = 0; row < rows; row++) sum += masconR_get(dy, row * out + o);
        masconR_set(DST(call, 1), o, sum);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_linear = {.run = linear};
const mascon_kernel masconR_linear_bwd_data = {.run = linear_bwd_data};
const mascon_kernel masconR_linear_bwd_weight = {.run = linear_bwd_weight};

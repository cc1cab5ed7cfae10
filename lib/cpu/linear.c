/* linear.c: linear and its backward ops in float32; in bfloat16 by linear_bf16.c.
 *
 * x {m, in} (m: all leading dimensions together), weight {out, in}, bias {out}, y {m, out}. */
#include <string.h>

#include "cpu/gemm.h"
#include "cpu/linear_bf16.h"
#include "ops/nn.h"

static int is_float(const mascon_call *call) {
    for (int i = 0; i < call->n_src; i++) {
        if (call->src[i] && SRC(call, i)->dtype != MASCON_DTYPE_F32) return 0;
        if (call->src[i] && SRC(call, i)->numel == 0) return 0;
    }
    return DST(call, 0)->numel != 0 && masconI_dnnl_usable(NULL);
}

static int is_half(const mascon_call *call) { return SRC(call, 0)->dtype == MASCON_DTYPE_BF16; }

static int wish(const mascon_call *call, mascon_wish *w) {
    if (is_half(call)) return masconI_linear_bf16_wish(call, w);
    if (!is_float(call)) return 0;
    w->src[0] = w->src[1] = w->src[2] = w->dst[0] = w->dst[1] = MASCON_WISH_ROW;
    w->kernel = "gemm";
    return 1;
}

static size_t workspace(const mascon_call *call) {
    return is_half(call) ? masconI_linear_bf16_workspace(call) : 0;
}

static mascon_status run_half(mascon_call *call, mascon_exec *exec) {
    masconI_linear_bf16_run(call, exec->workspace);
    return MASCON_OK;
}

static mascon_status linear(mascon_call *call, mascon_exec *exec) {
    if (is_half(call)) return run_half(call, exec);
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1);
    const int64_t out = weight->shape[0], in = weight->shape[1], m = x->numel / in;
    float *y = DST(call, 0)->data;
    const int bias = call->n_src > 2 && call->src[2];
    for (int64_t i = 0; bias && i < m; i++) {
        memcpy(y + i * out, SRC(call, 2)->data, sizeof(float) * (size_t)out);
    }
    const masconI_product p = {
        .tb = 1, .m = m, .n = out, .k = in, .lda = in, .ldb = in, .ldc = out, .beta = bias ? 1 : 0};
    return masconI_gemm(&p, x->data, weight->data, y);
}

/* dx {m, in} = dy {m, out} weight {out, in} */
static mascon_status bwd_data(mascon_call *call, mascon_exec *exec) {
    if (is_half(call)) return run_half(call, exec);
    const mascon_view *dy = SRC(call, 0), *weight = SRC(call, 1);
    const int64_t out = weight->shape[0], in = weight->shape[1], m = dy->numel / out;
    const masconI_product p = {.m = m, .n = in, .k = out, .lda = out, .ldb = in, .ldc = in};
    return masconI_gemm(&p, dy->data, weight->data, DST(call, 0)->data);
}

/* dw {out, in} = dy^T x; db {out} = the sum of dy's rows */
static mascon_status bwd_weight(mascon_call *call, mascon_exec *exec) {
    if (is_half(call)) return run_half(call, exec);
    const mascon_view *x = SRC(call, 0), *dy = SRC(call, 1), *dw = DST(call, 0);
    const int64_t out = dw->shape[0], in = dw->shape[1], m = x->numel / in;
    if (call->n_dst > 1) {
        float *restrict db = DST(call, 1)->data;
        const float *restrict row = dy->data;
        memset(db, 0, sizeof(float) * (size_t)out);
        for (int64_t i = 0; i < m; i++, row += out) {
            for (int64_t o = 0; o < out; o++) db[o] += row[o];
        }
    }
    const masconI_product p = {
        .ta = 1, .m = out, .n = in, .k = m, .lda = out, .ldb = in, .ldc = in};
    return masconI_gemm(&p, dy->data, x->data, dw->data);
}

const mascon_kernel masconC_linear = {.wish = wish, .workspace = workspace, .run = linear};
const mascon_kernel masconC_linear_bwd_data = {
    .wish = wish, .workspace = workspace, .run = bwd_data};
const mascon_kernel masconC_linear_bwd_weight = {
    .wish = wish, .workspace = workspace, .run = bwd_weight};

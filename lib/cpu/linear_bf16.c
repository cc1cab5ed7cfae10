/* linear_bf16.c: see linear_bf16.h.
 *
 * x {m, in} (m: all leading dimensions together), weight {out, in}, bias {out}, y {m, out}. Forward, the
 * smaller of x and the weight is the factor that is packed; with few rows that makes y turned. */
#include "cpu/linear_bf16.h"

#include <string.h>

#include "cpu/gemm_bf16.h"
#include "cpu/lanes.h"
#include "ops/nn.h"

int masconI_linear_bf16_wish(const mascon_call *call, mascon_wish *w) {
    if (!masconI_gemm_bf16_fits() || DST(call, 0)->numel == 0) return 0;
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        if (SRC(call, i)->dtype != MASCON_DTYPE_BF16 || SRC(call, i)->numel == 0) return 0;
        w->src[i] = MASCON_WISH_ROW;
    }
    w->dst[0] = w->dst[1] = MASCON_WISH_ROW;
    w->kernel = "bfloat16 gemm";
    return 1;
}

static masconI_half_matrix plain(const mascon_view *v, int64_t row) {
    return (masconI_half_matrix){v->data, row, 1};
}
static masconI_half_matrix turned(masconI_half_matrix a) {
    return (masconI_half_matrix){a.data, a.column_step, a.row_step};
}

static masconI_half_product forward(const mascon_call *call) {
    const mascon_view *weight = SRC(call, 1);
    const int64_t out = weight->shape[0], in = weight->shape[1], m = SRC(call, 0)->numel / in;
    const masconI_half_matrix x = plain(SRC(call, 0), in), w = plain(weight, in);
    const masconI_half_matrix y = plain(DST(call, 0), out);
    const uint16_t *bias = masconI_src_given(call, 2) ? SRC(call, 2)->data : NULL;
    if (m < out) {
        return (masconI_half_product){
            .m = out, .n = m, .k = in, .a = w, .b = turned(x), .c = turned(y), .row_bias = bias};
    }
    return (masconI_half_product){
        .m = m, .n = out, .k = in, .a = x, .b = turned(w), .c = y, .column_bias = bias};
}

static masconI_half_product product(const mascon_call *call) {
    const mascon_view *first = SRC(call, 0), *second = SRC(call, 1), *y = DST(call, 0);
    if (call->op == MASCON_OP_linear) return forward(call);
    if (call->op == MASCON_OP_linear_bwd_data) { /* dx {m, in} = dy {m, out} weight {out, in} */
        const int64_t out = second->shape[0], in = second->shape[1];
        return (masconI_half_product){.m = first->numel / out,
                                      .n = in,
                                      .k = out,
                                      .a = plain(first, out),
                                      .b = plain(second, in),
                                      .c = plain(y, in)};
    }
    /* dw {out, in} = dy^T x */
    const int64_t out = y->shape[0], in = y->shape[1];
    return (masconI_half_product){.m = out,
                                  .n = in,
                                  .k = first->numel / in,
                                  .a = turned(plain(second, out)),
                                  .b = plain(first, in),
                                  .c = plain(y, in)};
}

size_t masconI_linear_bf16_workspace(const mascon_call *call) {
    const masconI_half_product p = product(call);
    return masconI_gemm_bf16_workspace(&p);
}

enum { SOME = 256 };

/* db {out} = the sum of dy's rows */
static void sum_rows(const mascon_view *dy, const mascon_view *db) {
    const int64_t out = db->numel, m = dy->numel / out;
    for (int64_t first = 0; first < out; first += SOME) {
        const int64_t n = out - first < SOME ? out - first : SOME;
        float sum[SOME] = {0};
        const uint16_t *row = (const uint16_t *)dy->data + first;
        for (int64_t i = 0; i < m; i++, row += out) {
            for (int64_t o = 0; o < n; o++) sum[o] += masconC_get_bf16(row + o);
        }
        for (int64_t o = 0; o < n; o++) masconC_put_bf16((uint16_t *)db->data + first + o, sum[o]);
    }
}

void masconI_linear_bf16_run(mascon_call *call, void *workspace) {
    const masconI_half_product p = product(call);
    if (call->op == MASCON_OP_linear_bwd_weight && call->n_dst > 1) {
        sum_rows(SRC(call, 1), DST(call, 1));
    }
    masconI_gemm_bf16(&p, workspace);
}

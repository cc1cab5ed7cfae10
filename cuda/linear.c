/* linear.c: linear and its backward ops, each as one product of cuBLASLt.
 *
 * x {m, in} (m: all leading dimensions together), weight {out, in}, bias {out}, y {m, out}. The bias is
 * added, and its gradient summed, inside the product where cuBLASLt can do that for the dtype.
 */
#include "cuda/blas.h"
#include "cuda/conv_kernels.h"
#include "ops/nn.h"

static int has_bias(const mascon_call *call) { return call->n_src > 2 && call->src[2]; }

static int wish(const mascon_call *call, mascon_wish *w) {
    if (!masconG_takes(SRC(call, 0)->dtype)) return 0;
    w->src[0] = w->src[1] = w->src[2] = w->dst[0] = w->dst[1] = MASCON_WISH_ROW;
    w->kernel = "cublaslt";
    return 1;
}

static masconG_product product(const mascon_call *call, int64_t m, int64_t n, int64_t k) {
    return (masconG_product){.m = m,
                             .n = n,
                             .k = k,
                             .ldd = n,
                             .batch = 1,
                             .dtype = SRC(call, 0)->dtype,
                             .device = SRC(call, 0)->device,
                             .align_d = masconG_alignment(DST(call, 0)->data)};
}

static void operands(masconG_product *p, const mascon_view *a, int ta, const mascon_view *b,
                     int tb) {
    p->ta = ta;
    p->tb = tb;
    p->lda = ta ? p->m : p->k;
    p->ldb = tb ? p->k : p->n;
    p->align_a = masconG_alignment(a->data);
    p->align_b = masconG_alignment(b->data);
}

/* The product of a call; a and b are its factors in that order. */
static masconG_product describe(const mascon_call *call, const mascon_view **a,
                                const mascon_view **b) {
    const mascon_view *first = SRC(call, 0), *second = SRC(call, 1);
    masconG_product p;
    if (call->op == MASCON_OP_linear_bwd_weight) { /* dw {out, in} = dy^T x */
        const mascon_view *dw = DST(call, 0);
        const int64_t out = dw->shape[0], in = dw->shape[1];
        p = product(call, out, in, out ? second->numel / out : 0);
        operands(&p, second, 1, first, 0);
        if (call->n_dst > 1) {
            p.kind = MASCONG_PRODUCT_COLUMN_SUM;
            p.align_vector = masconG_alignment(DST(call, 1)->data);
        }
        *a = second;
        *b = first;
        return p;
    }
    const int forward = call->op == MASCON_OP_linear;
    const int64_t out = second->shape[0], in = second->shape[1];
    const int64_t k = forward ? in : out, n = forward ? out : in;
    /* where k is 0, so is the number of elements, and the rows are those of the result */
    p = product(call, n ? DST(call, 0)->numel / n : 0, n, k);
    operands(&p, first, 0, second, forward);
    if (forward && has_bias(call)) {
        p.kind = MASCONG_PRODUCT_BIAS;
        p.align_vector = masconG_alignment(SRC(call, 2)->data);
    }
    *a = first;
    *b = second;
    return p;
}

/* Bytes of workspace; where only the plain product is there, *p becomes it. */
static mascon_status settle(masconG_product *p, size_t *bytes) {
    mascon_status status = masconG_product_workspace(p, bytes);
    if (status != MASCON_E_UNSUPPORTED || p->kind == MASCONG_PRODUCT_PLAIN) return status;
    *p = masconG_product_plain(p);
    return masconG_product_workspace(p, bytes);
}

/* As settle, then computes. A product that was planned may still be refused when it runs. */
static mascon_status multiply(const mascon_call *call, masconG_product *p, const mascon_view *a,
                              const mascon_view *b, const mascon_exec *exec) {
    for (;;) {
        size_t bytes;
        MASCON_TRY(settle(p, &bytes));
        void *vector = p->kind == MASCONG_PRODUCT_BIAS         ? SRC(call, 2)->data
                       : p->kind == MASCONG_PRODUCT_COLUMN_SUM ? DST(call, 1)->data
                                                               : NULL;
        const mascon_status status = masconG_product_run(p, a->data, b->data, DST(call, 0)->data,
                                                         vector, exec->workspace, exec->stream);
        if (status != MASCON_E_UNSUPPORTED || p->kind == MASCONG_PRODUCT_PLAIN) return status;
        *p = masconG_product_plain(p);
    }
}

static int is_empty(const masconG_product *p) { return p->m == 0 || p->n == 0 || p->k == 0; }

static size_t workspace(const mascon_call *call) {
    const mascon_view *a, *b;
    masconG_product p = describe(call, &a, &b);
    const int sum = p.kind == MASCONG_PRODUCT_COLUMN_SUM;
    const size_t parts = sum ? masconG_column_sum_bytes(p.k, p.m, p.dtype) : 0;
    size_t bytes = 0;
    if (is_empty(&p)) return parts;
    if (settle(&p, &bytes) != MASCON_OK) return 0; /* run meets and reports the same failure */
    return bytes > parts ? bytes : parts;          /* the same, whichever product comes to run */
}

/* Nothing to multiply: the result is zeros, and the bias on top. */
static mascon_status run_empty(mascon_call *call, const masconG_product *p, cudaStream_t stream) {
    const mascon_view *d = DST(call, 0);
    const size_t element = (size_t)mascon_dtype_size(d->dtype);
    if (d->numel) CUDA_TRY(memset_async(d->data, 0, element * (size_t)d->numel, stream));
    if (call->n_dst > 1 && p->k == 0) {
        const mascon_view *db = DST(call, 1);
        if (db->numel) CUDA_TRY(memset_async(db->data, 0, element * (size_t)db->numel, stream));
    }
    return MASCON_OK;
}

static mascon_status add_bias(const mascon_call *call, const masconG_product *p,
                              cudaStream_t stream) {
    return masconG_epilogue_run(&(masconG_epilogue){.y = DST(call, 0)->data,
                                                    .bias = SRC(call, 2)->data,
                                                    .rows = p->m,
                                                    .channels = p->n,
                                                    .dtype = p->dtype},
                                stream);
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *a, *b;
    masconG_product p = describe(call, &a, &b);
    const masconG_product_kind kind = (masconG_product_kind)p.kind;
    if (is_empty(&p)) {
        MASCON_TRY(run_empty(call, &p, exec->stream));
        p.kind = MASCONG_PRODUCT_PLAIN;
    } else {
        MASCON_TRY(multiply(call, &p, a, b, exec));
    }
    if ((int32_t)kind == p.kind) return MASCON_OK;
    if (kind == MASCONG_PRODUCT_BIAS) return add_bias(call, &p, exec->stream);
    if (p.k == 0) return MASCON_OK; /* no rows, and the sums are zeros already */
    return masconG_column_sum(a->data, DST(call, 1)->data, exec->workspace, p.k, p.m, p.dtype,
                              exec->stream);
}

const mascon_kernel masconG_linear = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_linear_bwd_data = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_linear_bwd_weight = {.wish = wish, .workspace = workspace, .run = run};

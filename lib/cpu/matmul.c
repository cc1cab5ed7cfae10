/* matmul.c: matrix product of float32 tensors, batched with broadcasting.
 *
 * A matrix whose rows or whose columns lie dense is used where it is, through gemm's transpose
 * flags; other strides are converted to row-major first. */
#include <stdatomic.h>

#include "cpu/gemm.h"
#include "ops/matrix.h"
#include "ops/nn.h"

static int wish(const mascon_call *call, mascon_wish *w) {
    if (!masconI_dnnl_usable(NULL) || DST(call, 0)->numel == 0) return 0;
    for (int i = 0; i < 2; i++) {
        const mascon_view *v = SRC(call, i);
        if (v->dtype != MASCON_DTYPE_F32 || v->numel == 0 || v->ndim == 0) return 0;
        masconI_operand o = masconI_operand_see(v, i);
        w->src[i] = masconI_operand_fits(&o) ? MASCON_WISH_ANY : MASCON_WISH_ROW;
    }
    w->dst[0] = MASCON_WISH_ROW;
    w->kernel = "gemm";
    return 1;
}

typedef struct job {
    masconI_product p;
    const mascon_view *a, *b;
    const int64_t *shape; /* of the batch */
    int dims;
    float *y;
    atomic_int status;
} job;

/* Where matrix i of the batch begins in an operand; sizes of 1 and missing dimensions broadcast. */
static const float *matrix(const job *j, const mascon_view *v, int64_t i) {
    const int own = v->ndim > 2 ? v->ndim - 2 : 0;
    int64_t offset = 0;
    for (int d = j->dims - 1, e = own - 1; d >= 0; d--, e--) {
        const int64_t at = i % j->shape[d];
        i /= j->shape[d];
        if (e >= 0 && v->shape[e] > 1) offset += at * v->stride[e];
    }
    return (const float *)v->data + offset;
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    job *j = context;
    const masconI_product *p = &j->p;
    const mascon_status status =
        masconI_dnnl_gemm(p->ta, p->tb, p->m, p->n, p->k, matrix(j, j->a, i), p->lda,
                          matrix(j, j->b, i), p->ldb, 0, j->y + i * p->m * p->n, p->n);
    if (status != MASCON_OK) atomic_store(&j->status, status);
}

enum { MANY = 8 };

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *a = SRC(call, 0), *b = SRC(call, 1), *y = DST(call, 0);
    masconI_operand oa = masconI_operand_see(a, 0), ob = masconI_operand_see(b, 1);
    if (!masconI_operand_fits(&oa) || !masconI_operand_fits(&ob)) {
        return masconI_fail(MASCON_E_LAYOUT, "an operand has strides that were not converted");
    }
    job j = {.a = a, .b = b, .shape = y->shape, .y = y->data};
    j.dims = oa.batch_dims > ob.batch_dims ? oa.batch_dims : ob.batch_dims;
    j.p = (masconI_product){.ta = oa.transposed,
                            .tb = ob.transposed,
                            .m = oa.rows,
                            .n = ob.columns,
                            .k = oa.columns,
                            .lda = oa.ld,
                            .ldb = ob.ld,
                            .ldc = ob.columns};
    int64_t batch = 1;
    for (int d = 0; d < j.dims; d++) batch *= j.shape[d];
    if (ob.batch_dims == 0 && a->contiguous) { /* one matrix b: the batch is more rows */
        j.p.m *= batch;
        j.p.lda = a->shape[a->ndim - 1];
        j.p.ta = 0;
        return masconI_gemm(&j.p, a->data, b->data, j.y);
    }
    if (batch >= MANY) {
        masconI_parallel(batch, slice, &j);
        const int code = atomic_load(&j.status);
        return code == MASCON_OK ? MASCON_OK
                                 : masconI_fail(code, "a matrix product of the batch failed");
    }
    for (int64_t i = 0; i < batch; i++) {
        MASCON_TRY(masconI_gemm(&j.p, matrix(&j, a, i), matrix(&j, b, i), j.y + i * j.p.m * j.p.n));
    }
    return MASCON_OK;
}

const mascon_kernel masconC_matmul = {.wish = wish, .run = run};

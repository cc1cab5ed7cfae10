/* matmul.c: matrix products of vectors, matrices and batches, with broadcasting.
 *
 * A matrix whose rows or whose columns lie dense is multiplied where it is; other strides are made
 * row-major first. The batch goes as far as one step between matrices describes it in one call of
 * cuBLASLt; what is left of a broadcast batch are calls one after the other. Whole numbers, which no
 * library multiplies, have a kernel of our own.
 */
#include "cuda/blas.h"
#include "cuda/conv_kernels.h"
#include "ops/matrix.h"
#include "ops/nn.h"

static int is_whole(int32_t dtype) {
    return dtype == MASCON_DTYPE_I64 || dtype == MASCON_DTYPE_I32 || dtype == MASCON_DTYPE_U8;
}

static int wish(const mascon_call *call, mascon_wish *w) {
    const int32_t dtype = SRC(call, 0)->dtype;
    w->dst[0] = MASCON_WISH_ROW;
    w->kernel = "matmul";
    if (is_whole(dtype)) return 1;
    if (!masconG_takes(dtype)) return 0;
    w->kernel = "cublaslt";
    for (int i = 0; i < 2; i++) {
        masconI_operand o = masconI_operand_see(SRC(call, i), i);
        w->src[i] = SRC(call, i)->numel == 0 || masconI_operand_fits(&o) ? MASCON_WISH_ANY
                                                                         : MASCON_WISH_ROW;
    }
    return 1;
}

/* ---- The batch ---- */

/* Dimensions of the batch, outermost first, with the steps of both operands (0: broadcast). The result
 * is dense. Sizes of 1 are left out, and neighbours that one step describes are one. */
typedef struct batch {
    int dims;
    int64_t size[MASCON_MAX_DIMS], step_a[MASCON_MAX_DIMS], step_b[MASCON_MAX_DIMS];
} batch;

static int64_t step_of(const mascon_view *v, int own, int from_end) {
    const int d = own - from_end;
    return d >= 0 && v->shape[d] > 1 ? v->stride[d] : 0;
}

static batch describe_batch(const mascon_view *a, int dims_a, const mascon_view *b, int dims_b,
                            const int64_t *shape) {
    batch out = {0};
    const int dims = dims_a > dims_b ? dims_a : dims_b;
    for (int d = 0; d < dims; d++) {
        const int64_t size = shape[d], sa = step_of(a, dims_a, dims - d),
                      sb = step_of(b, dims_b, dims - d);
        const int last = out.dims - 1;
        if (size == 1) continue;
        if (last >= 0 && out.step_a[last] == sa * size && out.step_b[last] == sb * size) {
            out.size[last] *= size;
            out.step_a[last] = sa;
            out.step_b[last] = sb;
            continue;
        }
        out.size[out.dims] = size;
        out.step_a[out.dims] = sa;
        out.step_b[out.dims++] = sb;
    }
    return out;
}

/* ---- The call ---- */

/* A call as `times` products of one form; outer: the dimensions of the batch that are calls of their
 * own. */
typedef struct work {
    masconG_product p;
    const mascon_view *a, *b, *y;
    batch outer;
    int64_t times;
    masconI_operand oa, ob;
} work;

static int32_t least(int32_t alignment, int64_t step, int32_t size) {
    const int32_t of_step = masconG_alignment((const void *)(uintptr_t)(step * size));
    return of_step < alignment ? of_step : alignment; /* a step of 0 has the largest */
}

/* Where matrices begin: at the tensors' addresses and whole steps from there. */
static void align(work *w) {
    const int32_t size = mascon_dtype_size(w->y->dtype);
    masconG_product *p = &w->p;
    p->align_a = least(masconG_alignment(w->a->data), p->step_a, size);
    p->align_b = least(masconG_alignment(w->b->data), p->step_b, size);
    p->align_d = least(masconG_alignment(w->y->data), p->m * p->n, size);
    for (int d = 0; d < w->outer.dims; d++) {
        p->align_a = least(p->align_a, w->outer.step_a[d], size);
        p->align_b = least(p->align_b, w->outer.step_b[d], size);
    }
}

static mascon_status describe(const mascon_call *call, work *w) {
    *w = (work){.a = SRC(call, 0), .b = SRC(call, 1), .y = DST(call, 0), .times = 1};
    w->oa = masconI_operand_see(w->a, 0);
    w->ob = masconI_operand_see(w->b, 1);
    if (!is_whole(w->y->dtype) && w->y->numel && w->oa.columns &&
        (!masconI_operand_fits(&w->oa) || !masconI_operand_fits(&w->ob))) {
        return masconI_fail(MASCON_E_LAYOUT, "an operand has strides that were not converted");
    }
    masconG_product *p = &w->p;
    *p = (masconG_product){.m = w->oa.rows,
                           .n = w->ob.columns,
                           .k = w->oa.columns,
                           .lda = w->oa.ld,
                           .ldb = w->ob.ld,
                           .ldd = w->ob.columns,
                           .batch = 1,
                           .ta = w->oa.transposed,
                           .tb = w->ob.transposed,
                           .dtype = w->y->dtype,
                           .device = w->y->device};
    w->outer = describe_batch(w->a, w->oa.batch_dims, w->b, w->ob.batch_dims, w->y->shape);
    batch *outer = &w->outer;
    if (outer->dims == 1 && outer->step_b[0] == 0 && !p->ta && outer->step_a[0] == p->m * p->lda &&
        !is_whole(p->dtype)) {
        p->m *= outer->size[0]; /* one matrix b: the batch is more rows */
        outer->dims = 0;
    }
    if (outer->dims > 0 && !is_whole(p->dtype)) {
        const int last = --outer->dims;
        p->batch = outer->size[last];
        p->step_a = outer->step_a[last];
        p->step_b = outer->step_b[last];
        p->step_d = p->m * p->n;
    }
    for (int d = 0; d < outer->dims; d++) w->times *= outer->size[d];
    align(w);
    return MASCON_OK;
}

static size_t workspace(const mascon_call *call) {
    work w;
    size_t bytes = 0;
    const mascon_view *y = DST(call, 0);
    if (y->numel == 0 || is_whole(y->dtype)) return 0;
    if (describe(call, &w) != MASCON_OK || w.p.k == 0) return 0;
    return masconG_product_workspace(&w.p, &bytes) == MASCON_OK ? bytes : 0;
}

static mascon_status run_whole(const work *w, const char *a, const char *b, char *y,
                               cudaStream_t stream) {
    return masconG_whole_product_run(&(masconG_whole_product){.a = a,
                                                              .b = b,
                                                              .y = y,
                                                              .m = w->p.m,
                                                              .n = w->p.n,
                                                              .k = w->p.k,
                                                              .a_row = w->oa.row_stride,
                                                              .a_column = w->oa.column_stride,
                                                              .b_row = w->ob.row_stride,
                                                              .b_column = w->ob.column_stride,
                                                              .dtype = w->p.dtype},
                                     stream);
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    work w;
    const mascon_view *out = DST(call, 0);
    if (out->numel == 0) return MASCON_OK;
    const size_t size = (size_t)mascon_dtype_size(out->dtype);
    MASCON_TRY(describe(call, &w));
    if (w.p.k == 0) {
        CUDA_TRY(memset_async(out->data, 0, size * (size_t)out->numel, exec->stream));
        return MASCON_OK;
    }
    for (int64_t i = 0; i < w.times; i++) {
        int64_t rest = i, at_a = 0, at_b = 0;
        for (int d = w.outer.dims - 1; d >= 0; d--) {
            at_a += rest % w.outer.size[d] * w.outer.step_a[d];
            at_b += rest % w.outer.size[d] * w.outer.step_b[d];
            rest /= w.outer.size[d];
        }
        const char *a = (const char *)w.a->data + at_a * (int64_t)size;
        const char *b = (const char *)w.b->data + at_b * (int64_t)size;
        char *y = (char *)out->data + i * w.p.batch * w.p.m * w.p.n * (int64_t)size;
        if (is_whole(out->dtype)) {
            MASCON_TRY(run_whole(&w, a, b, y, exec->stream));
        } else {
            MASCON_TRY(masconG_product_run(&w.p, a, b, y, NULL, exec->workspace, exec->stream));
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconG_matmul = {.wish = wish, .workspace = workspace, .run = run};

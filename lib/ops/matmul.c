/* matmul.c: matrix products of vectors, matrices and batches of matrices.
 *
 * a {..., m, k} times b {..., k, n} is y {..., m, n}; the dimensions before the last two broadcast.
 * A vector a counts as {1, k} and a vector b as {k, 1}, and y lacks that dimension. */
#include <string.h>

#include "ops/nn.h"

static mascon_status check_inner(const mascon_view *a, const mascon_view *b) {
    const int64_t ka = a->shape[a->ndim - 1], kb = b->shape[b->ndim > 1 ? b->ndim - 2 : 0];
    if (ka == kb) return MASCON_OK;
    char ta[160], tb[160];
    return masconI_fail(MASCON_E_SHAPE, "inner sizes differ, %lld against %lld (%s x %s)",
                        (long long)ka, (long long)kb, masconI_shape_text(a->ndim, a->shape, ta),
                        masconI_shape_text(b->ndim, b->shape, tb));
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *a = SRC(call, 0), *b = SRC(call, 1);
    MASCON_TRY(masconI_check_dtype(call, 1, "b", masconI_is_float(a->dtype) ? NULL : "a"));
    char ta[160], tb[160];
    masconI_shape_text(a->ndim, a->shape, ta);
    masconI_shape_text(b->ndim, b->shape, tb);
    if (a->ndim == 0 || b->ndim == 0) {
        return masconI_fail(MASCON_E_SHAPE, "both inputs need 1 dimension or more (%s x %s)", ta,
                            tb);
    }
    MASCON_TRY(check_inner(a, b));
    /* the batch: the broadcast of what stands before the matrices */
    mascon_view batch_a = *a, batch_b = *b;
    batch_a.ndim = a->ndim > 2 ? a->ndim - 2 : 0;
    batch_b.ndim = b->ndim > 2 ? b->ndim - 2 : 0;
    if (masconI_broadcast(&batch_a, &batch_b, out) != MASCON_OK) {
        return masconI_fail(MASCON_E_SHAPE, "batches %s and %s do not broadcast (%s x %s)",
                            masconI_shape_text(batch_a.ndim, batch_a.shape, (char[160]){0}),
                            masconI_shape_text(batch_b.ndim, batch_b.shape, (char[160]){0}), ta,
                            tb);
    }
    out->dtype = a->dtype;
    if (a->ndim > 1) out->shape[out->ndim++] = a->shape[a->ndim - 2];
    if (b->ndim > 1) out->shape[out->ndim++] = b->shape[b->ndim - 1];
    return MASCON_OK;
}

/* ---- Gradient ---- */

/* One input as a matrix or a batch of them, and dy with both matrix dimensions. Owned. */
typedef struct operands {
    mascon_tensor *a, *b, *dy;
} operands;

/* t itself, or a vector in the given shape */
static mascon_status as_matrix(mascon_tensor *t, const int64_t *shape, mascon_tensor **out) {
    if (mascon_see(t)->ndim == 1) return masconI_reshape_to(t, 2, shape, out);
    mascon_tensor_retain(t);
    *out = t;
    return MASCON_OK;
}

static mascon_status matrices(const mascon_grad *g, operands *o) {
    mascon_tensor *a = g->call->src[0], *b = g->call->src[1];
    const mascon_view *va = mascon_see(a), *vb = mascon_see(b), *vy = mascon_see(g->dy[0]);
    int64_t shape[MASCON_MAX_DIMS];
    MASCON_TRY(as_matrix(a, (int64_t[]){1, va->shape[0]}, &o->a));
    MASCON_TRY(as_matrix(b, (int64_t[]){vb->shape[0], 1}, &o->b));
    /* at most 6: an input has two more dimensions than its batch */
    const int32_t batch = vy->ndim - (va->ndim > 1) - (vb->ndim > 1);
    memcpy(shape, vy->shape, (size_t)batch * sizeof *shape);
    shape[batch] = va->ndim > 1 ? va->shape[va->ndim - 2] : 1;
    shape[batch + 1] = vb->ndim > 1 ? vb->shape[vb->ndim - 1] : 1;
    return masconI_reshape_to(g->dy[0], batch + 2, shape, &o->dy);
}

/* out = the product of left and right, one of them transposed (which: 0 or 1) */
static mascon_status product(mascon_tensor *left, mascon_tensor *right, int transposed,
                             mascon_tensor **out) {
    mascon_tensor *pair[] = {left, right}, *turned;
    MASCON_TRY(masconI_emit(MASCON_OP_transpose, &turned, 1, &pair[transposed], "dim0", -2.0,
                            "dim1", -1.0, NULL));
    pair[transposed] = turned;
    mascon_status status = masconI_emit(MASCON_OP_matmul, out, 2, pair, NULL);
    mascon_tensor_release(turned);
    return status;
}

/* Sums a gradient down to matrix's shape and gives it the shape of the input. Takes over grad. */
static mascon_status finish(mascon_tensor *grad, const mascon_tensor *matrix,
                            const mascon_view *input, mascon_tensor **out) {
    mascon_tensor *sum;
    MASCON_TRY(masconI_sum_to(grad, mascon_see(matrix), &sum));
    if (mascon_see(sum)->ndim == input->ndim) {
        *out = sum;
        return MASCON_OK;
    }
    mascon_status status = masconI_reshape_like(sum, input, out);
    mascon_tensor_release(sum);
    return status;
}

/* db where b is one matrix for a whole batch: one product over all rows of the batch, instead of one
 * per matrix and a sum. */
static mascon_status shared_matrix(const operands *o, mascon_tensor **out) {
    const mascon_view *a = mascon_see(o->a), *dy = mascon_see(o->dy);
    mascon_tensor *rows_a = NULL, *rows_dy = NULL;
    int64_t rows = 1;
    for (int32_t d = 0; d < a->ndim - 1; d++) rows *= a->shape[d];
    mascon_status status =
        masconI_reshape_to(o->a, 2, (int64_t[]){rows, a->shape[a->ndim - 1]}, &rows_a);
    if (status == MASCON_OK) {
        status = masconI_reshape_to(o->dy, 2, (int64_t[]){rows, dy->shape[dy->ndim - 1]}, &rows_dy);
    }
    if (status == MASCON_OK) status = product(rows_a, rows_dy, 0, out);
    mascon_tensor_release(rows_a);
    mascon_tensor_release(rows_dy);
    return status;
}

/* da = dy * transposed b, db = transposed a * dy, each summed over what was broadcast */
static mascon_status grad(mascon_grad *g) {
    operands o = {0};
    mascon_tensor *product_of = NULL;
    mascon_status status = matrices(g, &o);
    if (status == MASCON_OK && g->need[0]) {
        status = product(o.dy, o.b, 1, &product_of);
        if (status == MASCON_OK) status = finish(product_of, o.a, SRC(g->call, 0), &g->dx[0]);
    }
    if (status == MASCON_OK && g->need[1]) {
        const int shared = mascon_see(o.b)->ndim == 2 && mascon_see(o.a)->ndim > 2;
        status = shared ? shared_matrix(&o, &product_of) : product(o.a, o.dy, 0, &product_of);
        if (status == MASCON_OK) status = finish(product_of, o.b, SRC(g->call, 1), &g->dx[1]);
    }
    mascon_tensor_release(o.a);
    mascon_tensor_release(o.b);
    mascon_tensor_release(o.dy);
    return status;
}

const mascon_op mascon_op_matmul = {
    .name = "matmul",
    .inputs = "a b",
    .outputs = "y",
    .flags = MASCON_CAST_DOWN,
    .dtypes = MASCON_T_NUMBER,
    .summary = "product of vectors, matrices or batches of matrices",
    .example = "mascon.matmul(mascon.rand{2, 3}, mascon.rand{3, 4})",
    .infer = infer,
    .grad = grad,
    .saves = "a b",
};

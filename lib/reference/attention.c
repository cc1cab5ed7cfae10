/* attention.c: reference kernels of scaled_dot_product_attention, with and without dropout, and of their
 * backward op. Shapes are in ops/attention.h. */
#include "ops/attention.h"
#include "core/cut.h"
#include "ops/nn.h"
#include "reference/reference.h"

/* One matrix of the batch: where its operands begin. */
typedef struct place {
    const mascon_attention *a;
    const uint64_t *random;
    int64_t matrix, q, k, v, mask;
} place;

static place place_at(const mascon_attention *a, const mascon_call *call, int64_t matrix) {
    place p = {.a = a, .random = call->random, .matrix = matrix};
    p.q = masconI_attention_offset(a, a->q, 2, matrix);
    p.k = masconI_attention_offset(a, a->k, 2, matrix);
    p.v = masconI_attention_offset(a, a->v, 2, matrix);
    if (a->mask) p.mask = masconI_attention_offset(a, a->mask, 2, matrix);
    return p;
}

/* Element {row, column} of the matrix of v that begins at offset. */
static double at(const mascon_view *v, int64_t offset, int64_t row, int64_t column) {
    offset += row * v->stride[v->ndim - 2] + column * v->stride[v->ndim - 1];
    return masconI_load(v->data, v->dtype, offset);
}

/* q[i] . k[j] * scale + mask; -inf where key j takes no part */
static double score(const place *p, int64_t i, int64_t j) {
    const mascon_attention *a = p->a;
    if (a->causal && j > i) return -INFINITY;
    double sum = 0, add = 0;
    if (a->mask) {
        add = masconI_load(a->mask->data, a->mask->dtype,
                           p->mask + i * masconI_attention_mask_stride(a->mask, 2) +
                               j * masconI_attention_mask_stride(a->mask, 1));
        if (a->mask->dtype == MASCON_DTYPE_BOOL) {
            if (add == 0) return -INFINITY;
            add = 0;
        }
    }
    for (int64_t c = 0; c < a->e; c++) sum += at(a->q, p->q, i, c) * at(a->k, p->k, j, c);
    return sum * a->scale + add;
}

/* What dropout makes of weight {i, j}: 0, or 1 / (1 - p). */
static double kept(const place *p, int64_t i, int64_t j) {
    const mascon_attention *a = p->a;
    if (a->dropout == 0) return 1;
    const uint64_t word = (uint64_t)((p->matrix * a->l + i) * a->s + j);
    const uint32_t threshold = masconI_dropout_threshold(a->dropout);
    return masconI_random_word(p->random, word) >> 8 >= threshold ? 1 / (1 - a->dropout) : 0;
}

/* Row i: y {V} and the logarithm of the sum. w {S} is scratch. */
static void forward_row(const place *p, const mascon_call *call, int64_t i, double *w) {
    const mascon_attention *a = p->a;
    const mascon_view *y = DST(call, 0), *lse = DST(call, 1);
    double top = -INFINITY, sum = 0;
    for (int64_t j = 0; j < a->s; j++) {
        w[j] = score(p, i, j);
        top = fmax(top, w[j]);
    }
    for (int64_t j = 0; j < a->s; j++) {
        w[j] = w[j] == -INFINITY ? 0 : exp(w[j] - top); /* top may be -inf too */
        sum += w[j];
    }
    masconR_set(lse, p->matrix * a->l + i, top + log(sum));
    for (int64_t j = 0; j < a->s; j++) w[j] = sum == 0 ? 0 : w[j] / sum * kept(p, i, j);
    for (int64_t c = 0; c < a->width; c++) {
        double v = 0;
        for (int64_t j = 0; j < a->s; j++) v += w[j] * at(a->v, p->v, j, c);
        masconR_set(y, (p->matrix * a->l + i) * a->width + c, v);
    }
}

static size_t workspace(const mascon_call *call) {
    const mascon_view *k = SRC(call, 1);
    return sizeof(double) * (size_t)k->shape[k->ndim - 2];
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    mascon_attention a;
    masconI_attention_of(call, &a);
    for (int64_t m = 0; m < a.matrices; m++) {
        const place p = place_at(&a, call, m);
        for (int64_t i = 0; i < a.l && !masconI_cut_asked(); i++) {
            forward_row(&p, call, i, exec->workspace);
        }
    }
    return MASCON_OK;
}

/* Adds to element {row, column} of matrix m of a gradient {matrices, rows, columns}. */
static void add(const mascon_view *v, int64_t m, int64_t row, int64_t column, double value) {
    const int64_t i = (m * v->shape[v->ndim - 2] + row) * v->shape[v->ndim - 1] + column;
    masconR_set(v, i, masconR_get(v, i) + value);
}

/* weight w = exp(score - lse), w' = w dropped; dw' = dy . v; dscore = w (kept dw' - dy . y) */
static void backward_row(const place *p, const mascon_call *call, int64_t i) {
    const mascon_attention *a = p->a;
    const mascon_view *dy = SRC(call, NN_ATTENTION_BWD_DY), *y = SRC(call, NN_ATTENTION_BWD_Y);
    const int64_t row = p->matrix * a->l + i;
    const double whole = masconR_get(SRC(call, NN_ATTENTION_BWD_LSE), row);
    double inner = 0;
    for (int64_t c = 0; c < a->width; c++) {
        inner += masconR_get(dy, row * a->width + c) * masconR_get(y, row * a->width + c);
    }
    for (int64_t j = 0; j < a->s; j++) {
        const double s = score(p, i, j), w = s == -INFINITY ? 0 : exp(s - whole);
        const double keep = kept(p, i, j);
        double dw = 0;
        for (int64_t c = 0; c < a->width; c++) {
            const double d = masconR_get(dy, row * a->width + c);
            add(DST(call, 2), p->matrix, j, c, w * keep * d);
            dw += d * at(a->v, p->v, j, c);
        }
        const double ds = w * (keep * dw - inner);
        for (int64_t c = 0; c < a->e; c++) {
            add(DST(call, 0), p->matrix, i, c, ds * a->scale * at(a->k, p->k, j, c));
            add(DST(call, 1), p->matrix, j, c, ds * a->scale * at(a->q, p->q, i, c));
        }
        if (call->n_dst > 3) add(DST(call, 3), p->matrix, i, j, ds);
    }
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    mascon_attention a;
    masconI_attention_of(call, &a);
    for (int i = 0; i < call->n_dst; i++) {
        for (int64_t k = 0; k < DST(call, i)->numel; k++) masconR_set(DST(call, i), k, 0);
    }
    for (int64_t m = 0; m < a.matrices; m++) {
        const place p = place_at(&a, call, m);
        for (int64_t i = 0; i < a.l && !masconI_cut_asked(); i++) backward_row(&p, call, i);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_scaled_dot_product_attention = {.workspace = workspace, .run = forward};
const mascon_kernel masconR_scaled_dot_product_attention_dropout = {.workspace = workspace,
                                                                    .run = forward};
const mascon_kernel masconR_scaled_dot_product_attention_bwd = {.run = backward};

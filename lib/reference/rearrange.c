/* rearrange.c: reference kernels of flip, roll, tril, triu, sort and topk. */
#include "core/cut.h"
#include "reference/move.h"

static mascon_status flip(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    uint8_t chosen[MASCON_MAX_DIMS];
    int64_t at[MASCON_MAX_DIMS];
    MASCON_TRY(masconI_dims(call->attr, 1, x->ndim, chosen));
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_subscripts(y, i, at);
        for (int32_t d = 0; d < x->ndim; d++) {
            if (chosen[d]) at[d] = x->shape[d] - 1 - at[d];
        }
        masconR_move(y, masconR_offset(y, i), x, masconR_position(x, at));
    }
    return MASCON_OK;
}

/* (at + shift) in 0..size-1 */
static int64_t wrapped(int64_t at, double shift, int64_t size) {
    int64_t i = (at + (int64_t)fmod(shift, (double)size)) % size;
    return i < 0 ? i + size : i;
}

/* The element at at goes to at + shift. */
static mascon_status roll(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int32_t n = (int32_t)call->attr[0];
    int64_t at[MASCON_MAX_DIMS];
    for (int64_t i = 0; i < x->numel; i++) {
        int64_t to;
        if (call->attr_set >> 9 & 1u) {
            masconR_subscripts(x, i, at);
            for (int32_t k = 0; k < n && x->ndim > 0; k++) {
                int32_t d;
                MASCON_TRY(masconI_dim(call->attr[10 + k], x->ndim, &d));
                at[d] = wrapped(at[d], call->attr[1 + k], x->shape[d]);
            }
            to = masconR_position(y, at);
        } else {
            to = masconR_offset(y, wrapped(i, call->attr[1], x->numel));
        }
        masconR_move(y, to, x, masconR_offset(x, i));
    }
    return MASCON_OK;
}

/* x {..., n, m}; lower: keeps column <= row + diagonal, else column >= row + diagonal */
static void triangle(mascon_call *call, int lower) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    double diagonal = call->attr[0];
    int64_t m = x->shape[x->ndim - 1], n = x->shape[x->ndim - 2];
    for (int64_t i = 0; i < y->numel; i++) {
        double row = (double)(i / m % n), column = (double)(i % m);
        if (lower ? column <= row + diagonal : column >= row + diagonal) {
            masconR_move(y, masconR_offset(y, i), x, masconR_offset(x, i));
        } else {
            masconR_set(y, i, 0);
        }
    }
}

static mascon_status tril(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    triangle(call, 1);
    return MASCON_OK;
}

static mascon_status triu(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    triangle(call, 0);
    return MASCON_OK;
}

/* ---- sort, topk ---- */

/* One line of x along the sorted dimension: element k is at offset start + k * stride. */
typedef struct line {
    const mascon_view *x;
    int64_t start, stride;
    int descending, whole;
} line;

/* Whether element a comes strictly before element b; NaN counts as the largest value. */
static int before(const line *l, int64_t a, int64_t b) {
    int64_t i = l->start + a * l->stride, j = l->start + b * l->stride;
    if (l->whole) {
        int64_t p = masconI_load_int(l->x->data, l->x->dtype, i);
        int64_t q = masconI_load_int(l->x->data, l->x->dtype, j);
        return l->descending ? p > q : p < q;
    }
    double p = masconI_load(l->x->data, l->x->dtype, i);
    double q = masconI_load(l->x->data, l->x->dtype, j);
    if (l->descending) return isnan(p) ? !isnan(q) : p > q;
    return isnan(q) ? !isnan(p) : p < q;
}

enum { CUT_EVERY = 1 << 16 }; /* elements between two looks at an interrupt */

/* Merge sort of positions 0..n-1, stable; other has room for n. Returns where the result is: still
 * a permutation where the call was cut short. */
static int64_t *merge_sort(const line *l, int64_t n, int64_t *order, int64_t *other) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            int64_t middle = low + width < n ? low + width : n;
            int64_t high = low + 2 * width < n ? low + 2 * width : n;
            int64_t a = low, b = middle;
            for (int64_t i = low; i < high; i++) {
                if (i % CUT_EVERY == 0 && masconI_cut_asked()) return order;
                int second = a == middle || (b < high && before(l, order[b], order[a]));
                other[i] = second ? order[b++] : order[a++];
            }
        }
        int64_t *swap = order;
        order = other;
        other = swap;
    }
    return order;
}

/* Size of x along dim. */
static int64_t line_size(const mascon_view *x, double dim) {
    int32_t d;
    return x->ndim && masconI_dim(dim, x->ndim, &d) == MASCON_OK ? x->shape[d] : 1;
}

static size_t sort_workspace(const mascon_call *call) {
    return (size_t)line_size(SRC(call, 0), call->attr[0]) * 2 * sizeof(int64_t);
}

static size_t topk_workspace(const mascon_call *call) {
    return (size_t)line_size(SRC(call, 0), call->attr[1]) * 2 * sizeof(int64_t);
}

/* values and indices {.., k, ..} of x {.., n, ..}: the first k of each sorted line */
static mascon_status sort_lines(mascon_call *call, double dim, int descending, double base,
                                int64_t *room) {
    const mascon_view *x = SRC(call, 0), *values = DST(call, 0), *indices = DST(call, 1);
    int32_t d = 0;
    MASCON_TRY(masconI_dim(dim, x->ndim, &d));
    int64_t n = x->ndim ? x->shape[d] : 1, k = x->ndim ? values->shape[d] : 1;
    int64_t at[MASCON_MAX_DIMS];
    line l = {.x = x,
              .stride = x->ndim ? x->stride[d] : 0,
              .descending = descending,
              .whole = !masconI_is_float(x->dtype)};
    for (int64_t i = 0; i < values->numel; i++) {
        masconR_subscripts(values, i, at);
        if (x->ndim && at[d] != 0) continue;
        l.start = masconR_position(x, at);
        int64_t to = masconR_position(values, at), to_index = masconR_position(indices, at);
        const int64_t *order = merge_sort(&l, n, room, room + n);
        if (masconI_cut_asked()) return MASCON_OK;
        for (int64_t j = 0; j < k; j++) {
            masconR_move(values, to + j * (x->ndim ? values->stride[d] : 0), x,
                         l.start + order[j] * l.stride);
            masconI_store_int(indices->data, indices->dtype,
                              to_index + j * (x->ndim ? indices->stride[d] : 0),
                              order[j] + (int64_t)base);
        }
    }
    return MASCON_OK;
}

static mascon_status sort(mascon_call *call, mascon_exec *exec) {
    return sort_lines(call, call->attr[0], call->attr[1] != 0, call->attr[2], exec->workspace);
}

static mascon_status topk(mascon_call *call, mascon_exec *exec) {
    return sort_lines(call, call->attr[1], call->attr[2] != 0, call->attr[3], exec->workspace);
}

const mascon_kernel masconR_flip = {.run = flip};
const mascon_kernel masconR_roll = {.run = roll};
const mascon_kernel masconR_tril = {.run = tril};
const mascon_kernel masconR_triu = {.run = triu};
const mascon_kernel masconR_sort = {.workspace = sort_workspace, .run = sort};
const mascon_kernel masconR_topk = {.workspace = topk_workspace, .run = topk};

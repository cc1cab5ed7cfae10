/* move.h: what the kernels that only carry elements about share.
 */
#ifndef MASCON_REFERENCE_MOVE_H
#define MASCON_REFERENCE_MOVE_H

#include "reference/reference.h"

/* Element at offset j of y = element at offset i of x, converted. Whole numbers keep every
   digit. */
static inline void masconR_move(const mascon_view *y, int64_t j, const mascon_view *x, int64_t i) {
    if (masconI_is_float(x->dtype)) {
        masconI_store(y->data, y->dtype, j, masconI_load(x->data, x->dtype, i));
    } else {
        masconI_store_int(y->data, y->dtype, j, masconI_load_int(x->data, x->dtype, i));
    }
}

/* v as a view of a shape that it broadcasts to. */
static inline mascon_view masconR_spread(const mascon_view *v, int32_t ndim, const int64_t *shape) {
    mascon_view wide = *v;
    wide.ndim = ndim;
    wide.numel = 1;
    wide.contiguous = 0;
    for (int32_t d = 0; d < ndim; d++) {
        int32_t k = d - (ndim - v->ndim);
        wide.shape[d] = shape[d];
        wide.stride[d] = k < 0 || (v->shape[k] == 1 && shape[d] != 1) ? 0 : v->stride[k];
        wide.numel *= shape[d];
    }
    return wide;
}

/* The subscripts of element i in row-major order. */
static inline void masconR_subscripts(const mascon_view *v, int64_t i, int64_t *at) {
    for (int32_t d = v->ndim - 1; d >= 0; d--) {
        at[d] = i % v->shape[d];
        i /= v->shape[d];
    }
}

/* Fails with MASCON_E_INDEX where an element of index lies outside of base..base+size-1; what names
 * that range ("positions of dimension 1"). */
mascon_status masconR_check_range(const mascon_view *index, int64_t size, double base,
                                  const char *what);
/* The same for positions of dimension dim of x. */
mascon_status masconR_check_positions(const mascon_view *index, const mascon_view *x, double dim,
                                      double base);

/* In pad's dimension d: where position at of the padded size comes from, -1 for the constant.
 * before is what was added in front, size the size of x. mode is pad's option. */
static inline int64_t masconR_pad_source(int64_t at, int64_t before, int64_t size, int mode) {
    int64_t i = at - before;
    if (i >= 0 && i < size) return i;
    switch (mode) {
        case 1:
            return i < 0 ? -i : 2 * (size - 1) - i; /* reflect */
        case 2:
            return i < 0 ? 0 : size - 1; /* replicate */
        case 3:
            return i < 0 ? i + size : i - size; /* circular */
        default:
            return -1;
    }
}

/* Added in front of and behind each dimension of an ndim-dimensional x, from pad's option. */
static inline void masconR_pad_sizes(const mascon_call *call, int32_t ndim, int64_t *before,
                                     int64_t *after) {
    int32_t n = (int32_t)call->attr[0];
    for (int32_t d = 0; d < ndim; d++) {
        int32_t i = 2 * (ndim - 1 - d);
        before[d] = i < n ? (int64_t)call->attr[1 + i] : 0;
        after[d] = i < n ? (int64_t)call->attr[2 + i] : 0;
    }
}

#endif

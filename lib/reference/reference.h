/* reference.h: plain access to elements, for the reference kernels.
 *
 * The reference kernels are the oracle for every backend: one loop per op, written for reading. They
 * work on any strides and any dtype by loading an element as a double (or as an int64 for whole-number
 * dtypes, so that no digit is lost), and they also serve float64 and rare cases on the CPU.
 * Each is `const mascon_kernel masconR_<op> = {.run = run}`.
 */
#ifndef MASCON_REFERENCE_H
#define MASCON_REFERENCE_H

#include <math.h>

#include "core/internal.h"

/* Offset in elements of the i-th element in row-major order of the shape. */
static inline int64_t masconR_offset(const mascon_view *v, int64_t i) {
    if (v->contiguous) return i;
    int64_t offset = 0;
    for (int d = v->ndim - 1; d >= 0; d--) {
        offset += i % v->shape[d] * v->stride[d];
        i /= v->shape[d];
    }
    return offset;
}

static inline double masconR_get(const mascon_view *v, int64_t i) {
    return masconI_load(v->data, v->dtype, masconR_offset(v, i));
}

static inline void masconR_set(const mascon_view *v, int64_t i, double value) {
    masconI_store(v->data, v->dtype, masconR_offset(v, i), value);
}

static inline int64_t masconR_get_int(const mascon_view *v, int64_t i) {
    return masconI_load_int(v->data, v->dtype, masconR_offset(v, i));
}

static inline void masconR_set_int(const mascon_view *v, int64_t i, int64_t value) {
    masconI_store_int(v->data, v->dtype, masconR_offset(v, i), value);
}

/* Offset in elements of subscripts at[0..ndim-1]. */
static inline int64_t masconR_position(const mascon_view *v, const int64_t *at) {
    int64_t offset = 0;
    for (int d = 0; d < v->ndim; d++) offset += at[d] * v->stride[d];
    return offset;
}

#endif

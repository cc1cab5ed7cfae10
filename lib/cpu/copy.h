/* copy.h: fast copies between any two strided tensors of one shape (copy.c, convert.c).
 */
#ifndef MASCON_CPU_COPY_H
#define MASCON_CPU_COPY_H

#include "core/internal.h"

/* n elements, dst strides ds and src strides ss elements apart. */
typedef void (*masconC_row)(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss);

/* dst = src, converted where the dtypes differ. Equal shapes; src may have strides of 0; dst has
 * none (each element lies in a place of its own). They must not overlap, or be the same elements.
 * Runs in parallel; slices depend on the shape alone. */
void masconC_copy_view(const mascon_view *dst, const mascon_view *src);

/* The conversion between two different dtypes (convert.c); NULL where it has none. */
masconC_row masconC_convert_row(int32_t dst_dtype, int32_t src_dtype);

/* The part of v with these sizes whose first element is at position start of dimension dim. */
static inline mascon_view masconC_region(const mascon_view *v, const int64_t *shape,
                                         const int64_t *start) {
    mascon_view part = *v;
    int64_t offset = 0;
    part.numel = 1;
    part.contiguous = 0;
    for (int32_t d = 0; d < v->ndim; d++) {
        part.shape[d] = shape[d];
        part.numel *= shape[d];
        offset += start[d] * v->stride[d];
    }
    if (v->data) part.data = (char *)v->data + offset * mascon_dtype_size(v->dtype);
    return part;
}

#endif

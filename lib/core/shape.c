/* shape.c: arithmetic on shapes, dims and dtypes, for shape rules and the dispatcher.
 *
 * Messages count dims and positions from 1, as Lua users do; they are the readers of nearly all of
 * them, and a C host prints the same text.
 */
#include <stdio.h>
#include <string.h>

#include "core/internal.h"

mascon_status masconI_dim(double dim, int32_t ndim, int32_t *out) {
    int32_t n = ndim > 0 ? ndim : 1;
    if (dim < -n || dim >= n) {
        return masconI_fail(MASCON_E_ARG, "dimension %.0f of a %d-dimensional tensor",
                            dim >= 0 ? dim + 1 : dim, ndim);
    }
    *out = (int32_t)(dim < 0 ? dim + n : dim);
    return MASCON_OK;
}

mascon_status masconI_index(double index, int32_t dim, int64_t size, int64_t *out) {
    if (index < -(double)size || index >= (double)size) {
        if (size == 0) {
            return masconI_fail(MASCON_E_INDEX, "%.0f is out of range for dimension %d of size 0",
                                index >= 0 ? index + 1 : index, dim + 1);
        }
        return masconI_fail(MASCON_E_INDEX,
                            "%.0f is out of range for dimension %d of size %lld (1..%lld or "
                            "-%lld..-1)",
                            index >= 0 ? index + 1 : index, dim + 1, (long long)size,
                            (long long)size, (long long)size);
    }
    *out = (int64_t)(index < 0 ? index + (double)size : index);
    return MASCON_OK;
}

mascon_status masconI_dims(const double *attr, int given, int32_t ndim,
                           uint8_t reduce[MASCON_MAX_DIMS]) {
    memset(reduce, given ? 0 : 1, MASCON_MAX_DIMS);
    if (!given) return MASCON_OK;
    int32_t count = (int32_t)attr[0];
    for (int32_t i = 0; i < count; i++) {
        int32_t dim;
        MASCON_TRY(masconI_dim(attr[1 + i], ndim, &dim));
        if (reduce[dim]) return masconI_fail(MASCON_E_ARG, "dimension %d is named twice", dim + 1);
        reduce[dim] = 1;
    }
    return MASCON_OK;
}

mascon_status masconI_broadcast(const mascon_view *a, const mascon_view *b, mascon_meta *out) {
    out->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    out->dtype = a->dtype;
    for (int32_t d = 0; d < out->ndim; d++) {
        int32_t da = d - (out->ndim - a->ndim), db = d - (out->ndim - b->ndim);
        int64_t na = da < 0 ? 1 : a->shape[da], nb = db < 0 ? 1 : b->shape[db];
        if (na != nb && na != 1 && nb != 1) {
            char ta[160], tb[160];
            return masconI_fail(
                MASCON_E_SHAPE,
                "shapes %s and %s do not broadcast; dimension %d is %lld against %lld",
                masconI_shape_text(a->ndim, a->shape, ta),
                masconI_shape_text(b->ndim, b->shape, tb), d + 1, (long long)na, (long long)nb);
        }
        out->shape[d] = na == 1 ? nb : na;
    }
    return MASCON_OK;
}

void masconI_meta(mascon_meta *out, int32_t dtype, int32_t ndim, const int64_t *shape) {
    out->dtype = dtype;
    out->ndim = ndim;
    for (int32_t d = 0; d < ndim; d++) out->shape[d] = shape[d];
}

void masconI_like(mascon_meta *out, const mascon_view *v) {
    masconI_meta(out, v->dtype, v->ndim, v->shape);
}

mascon_status masconI_numel(int32_t ndim, const int64_t *shape, int64_t *out) {
    /* Over max(size, 1), so that a zero cannot hide an absurd product. */
    uint64_t product = 1;
    int empty = 0;
    for (int32_t d = 0; d < ndim; d++) {
        if (shape[d] < 0) {
            return masconI_fail(MASCON_E_ARG,
                                "size of dimension %d is %lld; sizes must be 0 or more", d + 1,
                                (long long)shape[d]);
        }
        uint64_t size = shape[d] > 0 ? (uint64_t)shape[d] : 1;
        empty |= shape[d] == 0;
        if (__builtin_mul_overflow(product, size, &product) || product > (UINT64_C(1) << 62)) {
            char text[160];
            return masconI_fail(MASCON_E_SHAPE, "shape %s has more than 2^62 elements",
                                masconI_shape_text(ndim, shape, text));
        }
    }
    *out = empty ? 0 : (int64_t)product;
    return MASCON_OK;
}

void masconI_row_major(int32_t ndim, const int64_t *shape, int64_t *stride) {
    int64_t step = 1;
    for (int32_t d = ndim - 1; d >= 0; d--) {
        stride[d] = step;
        step *= shape[d] > 0 ? shape[d] : 1;
    }
}

int masconI_same_shape(const mascon_view *a, const mascon_view *b) {
    if (a->ndim != b->ndim) return 0;
    for (int32_t d = 0; d < a->ndim; d++) {
        if (a->shape[d] != b->shape[d]) return 0;
    }
    return 1;
}

const char *masconI_shape_text(int32_t ndim, const int64_t *shape, char buffer[160]) {
    size_t at = 0;
    buffer[at++] = '{';
    for (int32_t d = 0; d < ndim && at < 130; d++) {
        at += (size_t)snprintf(buffer + at, 160 - at, "%s%lld", d ? ", " : "", (long long)shape[d]);
    }
    buffer[at++] = '}';
    buffer[at] = 0;
    return buffer;
}

int masconI_is_float(int32_t dtype) { return dtype <= MASCON_DTYPE_F16; }

int masconI_is_half(int32_t dtype) {
    return dtype == MASCON_DTYPE_BF16 || dtype == MASCON_DTYPE_F16;
}

int32_t masconI_sum_dtype(int32_t dtype) {
    return masconI_is_half(dtype) ? MASCON_DTYPE_F32 : dtype;
}

/* bool 0, whole numbers 1, floating 2: the categories of PyTorch's promotion. */
static int category(int32_t dtype) {
    return dtype == MASCON_DTYPE_BOOL ? 0 : masconI_is_float(dtype) ? 2 : 1;
}

static int32_t promote_dtypes(int32_t a, int32_t b) {
    if (a == b) return a;
    if (category(a) != category(b)) return category(a) > category(b) ? a : b;
    if (category(a) == 1) return a < b ? a : b; /* ORDER: int64 int32 uint8 */
    if (a == MASCON_DTYPE_F64 || b == MASCON_DTYPE_F64) return MASCON_DTYPE_F64;
    return MASCON_DTYPE_F32; /* also bfloat16 with float16 */
}

int32_t masconI_promote(const mascon_view *a, const mascon_view *b) {
    int ca = category(a->dtype), cb = category(b->dtype);
    if (a->ndim > 0 && b->ndim == 0 && cb <= ca) return a->dtype;
    if (b->ndim > 0 && a->ndim == 0 && ca <= cb) return b->dtype;
    return promote_dtypes(a->dtype, b->dtype);
}

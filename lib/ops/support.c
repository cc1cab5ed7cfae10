/* support.c: see support.h. */
#include "ops/support.h"

#include <math.h>
#include <string.h>

int32_t masconI_list(const mascon_call *call, int slot, int64_t values[MASCON_MAX_DIMS]) {
    if (!masconI_given(call, slot)) return 0;
    int32_t n = (int32_t)call->attr[slot];
    for (int32_t i = 0; i < n && i < MASCON_MAX_DIMS; i++) {
        values[i] = (int64_t)call->attr[slot + 1 + i];
    }
    return n;
}

mascon_status masconI_shape_option(const mascon_call *call, int slot, int64_t smallest,
                                   int32_t *ndim, int64_t shape[MASCON_MAX_DIMS]) {
    double n = masconI_given(call, slot) ? call->attr[slot] : 0;
    if (n > MASCON_MAX_DIMS) {
        return masconI_fail(MASCON_E_SHAPE, "%.0f dimensions; at most %d are supported", n,
                            MASCON_MAX_DIMS);
    }
    *ndim = (int32_t)n;
    for (int32_t d = 0; d < *ndim; d++) {
        double size = call->attr[slot + 1 + d];
        if (isnan(size) || isinf(size) || size != floor(size)) {
            return masconI_fail(MASCON_E_ARG, "size of dimension %d is %g; expected a whole number",
                                d + 1, size);
        }
        if (size < (double)smallest) {
            return masconI_fail(MASCON_E_ARG,
                                smallest < 0 ? "size of dimension %d is %.0f; sizes must be 0 or "
                                               "more, or -1"
                                             : "size of dimension %d is %.0f; sizes must be 0 or "
                                               "more",
                                d + 1, size);
        }
        /* 2^62 is already more elements than any tensor may have: numel refuses it as D2 */
        shape[d] = size < 0x1p62 ? (int64_t)size : (int64_t)1 << 62;
    }
    return MASCON_OK;
}

mascon_status masconI_check_value(const char *name, double value, int32_t dtype) {
    double low, high;
    switch (dtype) {
        case MASCON_DTYPE_I64:
            low = -0x1p63, high = 0x1p63 - 1024;
            break;
        case MASCON_DTYPE_I32:
            low = -2147483648.0, high = 2147483647.0;
            break;
        case MASCON_DTYPE_U8:
            low = 0, high = 255;
            break;
        default:
            return MASCON_OK;
    }
    if (trunc(value) >= low && trunc(value) <= high) return MASCON_OK;
    if (dtype == MASCON_DTYPE_I64) {
        return masconI_fail(MASCON_E_ARG, "%s is %g; int64 holds whole numbers of 64 bits", name,
                            value);
    }
    return masconI_fail(MASCON_E_ARG, "%s is %.17g; %s holds %.0f..%.0f", name, value,
                        mascon_dtype_name(dtype), low, high);
}

mascon_status masconI_check_index(const char *name, const mascon_view *index) {
    if (index->dtype == MASCON_DTYPE_I64 || index->dtype == MASCON_DTYPE_I32) return MASCON_OK;
    masconI_fail(MASCON_E_DTYPE, "%s is %s; expected int64 positions", name,
                 mascon_dtype_name(index->dtype));
    return index->dtype == MASCON_DTYPE_BOOL ? masconI_hint("masked_select takes a mask")
                                             : masconI_hint("%s:to(\"int64\")", name);
}

mascon_status masconI_check_like(const mascon_call *call, int i, int32_t dtype, int32_t ndim,
                                 const int64_t *shape) {
    const mascon_view *v = SRC(call, i);
    const size_t bytes = (size_t)ndim * sizeof *shape;
    if (v->ndim != ndim || (bytes > 0 && memcmp(v->shape, shape, bytes) != 0)) {
        char found[160], expected[160];
        return masconI_fail(MASCON_E_SHAPE, "input %d is %s; expected %s", i + 1,
                            masconI_shape_text(v->ndim, v->shape, found),
                            masconI_shape_text(ndim, shape, expected));
    }
    if (v->dtype == dtype) return MASCON_OK;
    return masconI_fail(MASCON_E_DTYPE, "input %d is %s; expected %s", i + 1,
                        mascon_dtype_name(v->dtype), mascon_dtype_name(dtype));
}

mascon_status masconI_infer_one_shape(mascon_call *call, mascon_meta *out) {
    const mascon_view *first = SRC(call, 0);
    for (int i = 1; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        MASCON_TRY(masconI_check_like(call, i, first->dtype, first->ndim, first->shape));
    }
    masconI_like(&out[0], first);
    return MASCON_OK;
}

mascon_status masconI_dim_between(double dim, int32_t ndim, int32_t *out) {
    double at = dim < 0 ? dim + ndim + 1 : dim;
    if (!(at >= 0 && at <= ndim)) {
        int32_t unused;
        return masconI_dim(dim, ndim, &unused); /* out of range there too: its sentence */
    }
    *out = (int32_t)at;
    return MASCON_OK;
}

/* ---- Composing gradients ---- */

static mascon_status invoke(mascon_call *call, mascon_tensor **out) {
    MASCON_TRY(mascon_invoke(call));
    *out = call->dst[0];
    return MASCON_OK;
}

mascon_status masconI_reshape_to(mascon_tensor *t, int32_t ndim, const int64_t *shape,
                                 mascon_tensor **out) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_reshape);
    call.n_src = 1;
    call.src[0] = t;
    masconI_call_set_list(&call, "shape", ndim, shape);
    return invoke(&call, out);
}

mascon_status masconI_reshape_like(mascon_tensor *t, const mascon_view *like, mascon_tensor **out) {
    return masconI_reshape_to(t, like->ndim, like->shape, out);
}

mascon_status masconI_zeros_like(const mascon_view *like, mascon_tensor **out) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_full);
    masconI_call_set_list(&call, "shape", like->ndim, like->shape);
    masconI_call_set(&call, "value", 0);
    masconI_call_set(&call, "dtype", like->dtype);
    masconI_call_set(&call, "device", like->device);
    return invoke(&call, out);
}

mascon_status masconI_sum_dim(mascon_tensor *t, int32_t dim, mascon_tensor **out) {
    mascon_view like = *mascon_see(t);
    like.shape[dim] = 1;
    like.numel = 1;
    for (int32_t d = 0; d < like.ndim; d++) like.numel *= like.shape[d];
    masconI_row_major(like.ndim, like.shape, like.stride);
    like.contiguous = 1;
    like.layout = MASCON_LAYOUT_STRIDED;
    mascon_tensor_retain(t); /* sum_to takes one over */
    return masconI_sum_to(t, &like, out);
}

mascon_status masconI_emit_same(const mascon_grad *g, int32_t op, mascon_tensor **out,
                                int32_t n_src, mascon_tensor *const *src) {
    mascon_call call;
    masconI_call_init(&call, op);
    call.n_src = n_src;
    for (int32_t i = 0; i < n_src; i++) call.src[i] = src[i];
    masconI_call_copy_options(&call, g->call);
    return invoke(&call, out);
}

mascon_status masconI_grad_none(mascon_grad *g) {
    (void)g;
    return MASCON_OK;
}

mascon_status masconI_grad_pass(mascon_grad *g) {
    mascon_tensor_retain(g->dy[0]);
    g->dx[0] = g->dy[0];
    return MASCON_OK;
}

mascon_status masconI_grad_reshape(mascon_grad *g) {
    return masconI_reshape_like(g->dy[0], SRC(g->call, 0), &g->dx[0]);
}

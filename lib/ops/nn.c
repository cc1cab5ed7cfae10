/* nn.c: resolved windows and the checks that several layer ops share. */
#include "ops/nn.h"

#include <stdio.h>
#include <string.h>

/* ---- Windows ---- */

/* Output size of one direction: how often a window that covers span elements fits, 0 or less where
 * it does not fit once. */
static int64_t output_size(int64_t size, int64_t before, int64_t after, int64_t span, int64_t step,
                           int ceil_mode) {
    int64_t room = size + before + after - span + (ceil_mode ? step - 1 : 0);
    if (room < 0) return 0;
    int64_t count = room / step + 1;
    /* A last window that begins in the padding behind the input does not count. */
    if (ceil_mode && (count - 1) * step >= size + before) count--;
    return count;
}

static void fill_output(mascon_window2d *w) {
    w->oh = output_size(w->h, w->top, w->bottom, (w->kh - 1) * w->dh + 1, w->sh, w->ceil_mode);
    w->ow = output_size(w->w, w->left, w->right, (w->kw - 1) * w->dw + 1, w->sw, w->ceil_mode);
}

static void set_input(mascon_window2d *w, int64_t c, int64_t height, int64_t width) {
    w->c = c;
    w->h = height;
    w->w = width;
}

/* Padding "same" reaches the kernel as -1: the total that keeps the size, the odd one behind. */
static void resolve_padding(double given, int64_t k, int64_t d, int64_t *before, int64_t *after) {
    if (given >= 0) {
        *before = *after = (int64_t)given;
        return;
    }
    int64_t total = d * (k - 1);
    *before = total / 2;
    *after = total - total / 2;
}

static void convolution(const mascon_call *call, mascon_window2d *w) {
    const mascon_view *first = SRC(call, 0), *second = SRC(call, 1);
    w->n = first->shape[0];
    w->sh = masconI_attr_int(call, NN_CONV2D_STRIDE);
    w->sw = masconI_attr_int(call, NN_CONV2D_STRIDE + 1);
    w->dh = masconI_attr_int(call, NN_CONV2D_DILATION);
    w->dw = masconI_attr_int(call, NN_CONV2D_DILATION + 1);
    w->groups = masconI_attr_int(call, NN_CONV2D_GROUPS);
    if (call->op == MASCON_OP_conv2d_bwd_weight) { /* x dy */
        set_input(w, first->shape[1], first->shape[2], first->shape[3]);
        w->oc = second->shape[1];
        w->kh = masconI_attr_int(call, NN_CONV2D_BWD_WEIGHT_KERNEL);
        w->kw = masconI_attr_int(call, NN_CONV2D_BWD_WEIGHT_KERNEL + 1);
    } else { /* x weight, or dy weight */
        w->oc = second->shape[0];
        w->kh = second->shape[2];
        w->kw = second->shape[3];
        if (call->op == MASCON_OP_conv2d_bwd_data) {
            set_input(w, second->shape[1] * w->groups,
                      masconI_attr_int(call, NN_CONV2D_BWD_DATA_HEIGHT),
                      masconI_attr_int(call, NN_CONV2D_BWD_DATA_WIDTH));
        } else {
            set_input(w, first->shape[1], first->shape[2], first->shape[3]);
        }
    }
    resolve_padding(call->attr[NN_CONV2D_PADDING], w->kh, w->dh, &w->top, &w->bottom);
    resolve_padding(call->attr[NN_CONV2D_PADDING + 1], w->kw, w->dw, &w->left, &w->right);
}

static void pooling(const mascon_call *call, mascon_window2d *w) {
    const mascon_view *first = SRC(call, 0);
    const int is_max = call->op == MASCON_OP_max_pool2d || call->op == MASCON_OP_max_pool2d_bwd;
    const int stride = masconI_given(call, NN_POOL_STRIDE) ? NN_POOL_STRIDE : NN_POOL_KERNEL;
    w->n = first->shape[0];
    w->groups = 1;
    w->kh = masconI_attr_int(call, NN_POOL_KERNEL);
    w->kw = masconI_attr_int(call, NN_POOL_KERNEL + 1);
    w->sh = masconI_attr_int(call, stride);
    w->sw = masconI_attr_int(call, stride + 1);
    w->top = w->bottom = masconI_attr_int(call, NN_POOL_PADDING);
    w->left = w->right = masconI_attr_int(call, NN_POOL_PADDING + 1);
    w->dh = w->dw = 1;
    if (is_max) {
        w->dh = masconI_attr_int(call, NN_MAX_POOL2D_DILATION);
        w->dw = masconI_attr_int(call, NN_MAX_POOL2D_DILATION + 1);
        w->ceil_mode = call->attr[NN_MAX_POOL2D_CEIL_MODE] != 0;
    } else {
        w->ceil_mode = call->attr[NN_AVG_POOL2D_CEIL_MODE] != 0;
        w->count_include_pad = call->attr[NN_AVG_POOL2D_COUNT_INCLUDE_PAD] != 0;
        if (masconI_given(call, NN_AVG_POOL2D_DIVISOR)) {
            w->divisor = masconI_attr_int(call, NN_AVG_POOL2D_DIVISOR);
        }
    }
    if (call->op == MASCON_OP_max_pool2d_bwd || call->op == MASCON_OP_avg_pool2d_bwd) {
        set_input(w, first->shape[1], masconI_attr_int(call, NN_POOL_BWD_HEIGHT),
                  masconI_attr_int(call, NN_POOL_BWD_WIDTH));
    } else {
        set_input(w, first->shape[1], first->shape[2], first->shape[3]);
    }
    w->oc = w->c;
}

void masconI_window2d(const mascon_call *call, mascon_window2d *w) {
    memset(w, 0, sizeof *w);
    w->bf16 = SRC(call, 0)->dtype == MASCON_DTYPE_BF16;
    if (call->op == MASCON_OP_conv2d || call->op == MASCON_OP_conv2d_relu ||
        call->op == MASCON_OP_conv2d_norm || call->op == MASCON_OP_conv2d_bwd_data ||
        call->op == MASCON_OP_conv2d_bwd_weight) {
        convolution(call, w);
    } else {
        pooling(call, w);
    }
    fill_output(w);
}

/* ---- Checks ---- */

mascon_status masconI_check_image(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0);
    if (x->ndim == 4) return MASCON_OK;
    char text[160];
    masconI_fail(MASCON_E_SHAPE,
                 "input has %d dimension%s %s; expected 4 {batch, channels, height, width}",
                 x->ndim, x->ndim == 1 ? "" : "s", masconI_shape_text(x->ndim, x->shape, text));
    return x->ndim == 3 ? masconI_hint("x:unsqueeze(1)") : MASCON_E_SHAPE;
}

mascon_status masconI_check_parameter_dtype(const mascon_call *call, int i, const char *name,
                                            int at) {
    if (i >= call->n_src || !call->src[i]) return MASCON_OK;
    const int32_t dtype = SRC(call, at)->dtype;
    if (masconI_is_half(dtype) && SRC(call, i)->dtype == MASCON_DTYPE_F32) return MASCON_OK;
    return masconI_check_dtype(call, i, name, NULL);
}

mascon_status masconI_check_dtype(const mascon_call *call, int i, const char *name,
                                  const char *first) {
    if (i >= call->n_src || !call->src[i]) return MASCON_OK;
    const mascon_view *a = SRC(call, 0), *b = SRC(call, i);
    if (a->dtype == b->dtype) return MASCON_OK;
    masconI_fail(MASCON_E_DTYPE, "dtypes %s and %s", mascon_dtype_name(a->dtype),
                 mascon_dtype_name(b->dtype));
    if (first && masconI_is_float(b->dtype)) {
        return masconI_hint("%s:to(\"%s\")", first, mascon_dtype_name(b->dtype));
    }
    return masconI_hint("%s:to(\"%s\")", name, mascon_dtype_name(a->dtype));
}

/* "3" where both are equal, else "3x5". */
static const char *pair_text(int64_t vertical, int64_t horizontal, char buffer[48]) {
    if (vertical == horizontal) {
        snprintf(buffer, 48, "%lld", (long long)vertical);
    } else {
        snprintf(buffer, 48, "%lldx%lld", (long long)vertical, (long long)horizontal);
    }
    return buffer;
}

/* Whether some window of this direction holds padding alone. Only the first windows can: the last
 * one begins inside the input or fits before its end. */
static int empty_window(int64_t size, int64_t outputs, int64_t before, int64_t k, int64_t d,
                        int64_t step) {
    if (size == 0) return 1;
    for (int64_t start = -before; start < 0 && outputs > 0; start += step, outputs--) {
        int64_t skipped = (d - 1 - start) / d; /* taps before the input */
        if (skipped >= k || start + skipped * d >= size) return 1;
    }
    return 0;
}

mascon_status masconI_check_window2d(const mascon_call *call, const mascon_window2d *w) {
    char padding[48], dilation[48], dilated[72] = "";
    if (w->dh != 1 || w->dw != 1) {
        snprintf(dilated, sizeof dilated, " with dilation %s", pair_text(w->dh, w->dw, dilation));
    }
    if (w->kh < 1 || w->kw < 1) {
        return masconI_fail(MASCON_E_SHAPE, "kernel is %lldx%lld; must be 1x1 or more",
                            (long long)w->kh, (long long)w->kw);
    }
    if (w->oh < 1 || w->ow < 1) {
        return masconI_fail(MASCON_E_SHAPE,
                            "kernel %lldx%lld%s is larger than the padded input %lldx%lld (input "
                            "%lldx%lld, padding %s)",
                            (long long)w->kh, (long long)w->kw, dilated,
                            (long long)(w->h + w->top + w->bottom),
                            (long long)(w->w + w->left + w->right), (long long)w->h,
                            (long long)w->w, pair_text(w->top, w->left, padding));
    }
    const int pools = call->op == MASCON_OP_max_pool2d || call->op == MASCON_OP_max_pool2d_bwd ||
                      call->op == MASCON_OP_avg_pool2d || call->op == MASCON_OP_avg_pool2d_bwd;
    if (!pools) return MASCON_OK;
    if (2 * w->top > (w->kh - 1) * w->dh + 1 || 2 * w->left > (w->kw - 1) * w->dw + 1) {
        return masconI_fail(MASCON_E_ARG, "padding %s is more than half of the kernel %lldx%lld%s",
                            pair_text(w->top, w->left, padding), (long long)w->kh, (long long)w->kw,
                            dilated);
    }
    if (empty_window(w->h, w->oh, w->top, w->kh, w->dh, w->sh) ||
        empty_window(w->w, w->ow, w->left, w->kw, w->dw, w->sw)) {
        return masconI_fail(MASCON_E_SHAPE,
                            "a window %lldx%lld%s would hold no element of the input %lldx%lld "
                            "(padding %s)",
                            (long long)w->kh, (long long)w->kw, dilated, (long long)w->h,
                            (long long)w->w, pair_text(w->top, w->left, padding));
    }
    return MASCON_OK;
}

mascon_status masconI_check_shape(const mascon_call *call, int i, const char *name, int32_t ndim,
                                  const int64_t *shape) {
    const mascon_view *v = SRC(call, i);
    if (v->ndim == ndim &&
        (ndim == 0 || memcmp(v->shape, shape, (size_t)ndim * sizeof *shape) == 0)) {
        return MASCON_OK;
    }
    char found[160], expected[160];
    return masconI_fail(MASCON_E_SHAPE, "%s is %s; expected %s", name,
                        masconI_shape_text(v->ndim, v->shape, found),
                        masconI_shape_text(ndim, shape, expected));
}

mascon_status masconI_label_fail(int64_t position, int64_t total, int64_t value, int64_t base,
                                 int64_t classes) {
    masconI_fail(MASCON_E_INDEX, "target %lld of %lld is %lld; classes run %lld..%lld",
                 (long long)position + 1, (long long)total, (long long)value, (long long)base,
                 (long long)(classes - 1 + base));
    if (base == 1 && value == 0) return masconI_hint("labels counted from 0? add 1");
    return MASCON_E_INDEX;
}

mascon_status masconI_check_groups(const mascon_call *call, int groups, const char *const *names) {
    if (call->n_list == 0) return masconI_fail(MASCON_E_ARG, "0 parameters given");
    if (call->n_list % groups != 0) {
        return masconI_fail(MASCON_E_ARG, "%lld tensors given; expected %d groups of equal length",
                            (long long)call->n_list, groups);
    }
    const int64_t n = call->n_list / groups;
    for (int64_t i = 0; i < call->n_list; i++) {
        const char *name = names[i / n];
        const long long number = (long long)(i % n + 1);
        if (!call->list[i]) return masconI_fail(MASCON_E_ARG, "%s %lld is missing", name, number);
        const mascon_view *v = mascon_see(call->list[i]), *p = mascon_see(call->list[i % n]);
        char found[160], expected[160];
        if (!masconI_is_float(v->dtype)) {
            return masconI_fail(MASCON_E_DTYPE, "%s %lld is %s; expected a floating type", name,
                                number, mascon_dtype_name(v->dtype));
        }
        if (v->dtype != p->dtype) {
            return masconI_fail(MASCON_E_DTYPE, "%s %lld is %s, the parameter is %s", name, number,
                                mascon_dtype_name(v->dtype), mascon_dtype_name(p->dtype));
        }
        if (!masconI_same_shape(v, p)) {
            return masconI_fail(MASCON_E_SHAPE, "%s %lld is %s, the parameter is %s", name, number,
                                masconI_shape_text(v->ndim, v->shape, found),
                                masconI_shape_text(p->ndim, p->shape, expected));
        }
        if (v->device != mascon_see(call->list[0])->device) {
            return masconI_fail(MASCON_E_DEVICE, "inputs on %s and %s",
                                masconI_device_text(mascon_see(call->list[0])->device, found),
                                masconI_device_text(v->device, expected));
        }
    }
    return MASCON_OK;
}

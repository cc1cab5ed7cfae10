/* conv2d.c: 2-D convolution (cross-correlation) and its backward ops.
 *
 * x {n, c, h, w}, weight {oc, c / groups, kh, kw}, bias {oc}, y {n, oc, oh, ow}. */
#include "ops/conv2d.h"

#include <string.h>

static const mascon_attr attrs[] = {CONV2D_WINDOW_ATTRS};

static const mascon_attr bwd_data_attrs[] = {
    CONV2D_WINDOW_ATTRS,
    {"height", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 1e9, NULL, "rows of dx"},
    {"width", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 1e9, NULL, "columns of dx"},
};

static const mascon_attr bwd_weight_attrs[] = {
    CONV2D_WINDOW_ATTRS,
    {"kernel_size", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_REQUIRED, 1, 1e6, NULL, "size of dw"},
    {"bias", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, "also the gradient of the bias"},
};

static mascon_status check_rank(const mascon_call *call, int i, const char *name,
                                const char *expected) {
    const mascon_view *v = SRC(call, i);
    if (v->ndim == 4) return MASCON_OK;
    char text[160];
    return masconI_fail(MASCON_E_SHAPE, "%s has %d dimension%s %s; expected 4 %s", name, v->ndim,
                        v->ndim == 1 ? "" : "s", masconI_shape_text(v->ndim, v->shape, text),
                        expected);
}

static mascon_status check_groups(const mascon_window2d *w) {
    if (w->c % w->groups != 0) {
        return masconI_fail(MASCON_E_SHAPE,
                            "%lld input channels are not divisible by groups = %lld",
                            (long long)w->c, (long long)w->groups);
    }
    if (w->oc % w->groups != 0) {
        return masconI_fail(MASCON_E_SHAPE,
                            "%lld output channels are not divisible by groups = %lld",
                            (long long)w->oc, (long long)w->groups);
    }
    return MASCON_OK;
}

/* Padding "same" keeps the size, which only a step of 1 can. */
static mascon_status check_same(const mascon_call *call, const mascon_window2d *w) {
    if (call->attr[NN_CONV2D_PADDING] >= 0 || (w->sh == 1 && w->sw == 1)) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "padding \"same\" needs stride 1; stride is %lldx%lld",
                        (long long)w->sh, (long long)w->sw);
}

mascon_status masconI_conv2d_infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    MASCON_TRY(
        check_rank(call, 1, "weight", "{out channels, in channels / groups, height, width}"));
    MASCON_TRY(masconI_check_dtype(call, 1, "weight", "x"));
    MASCON_TRY(masconI_check_dtype(call, 2, "bias", NULL));
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1);
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(check_groups(&w));
    const int64_t taken = weight->shape[1] * w.groups;
    if (w.c != taken) {
        masconI_fail(MASCON_E_SHAPE, "input has %lld channel%s, the layer takes %lld",
                     (long long)w.c, w.c == 1 ? "" : "s", (long long)taken);
        if (x->shape[3] == taken) {
            return masconI_hint(
                "the last dimension is %lld: is the data {batch, height, width, "
                "channels}? x:permute(1, 4, 2, 3)",
                (long long)taken);
        }
        return MASCON_E_SHAPE;
    }
    if (call->n_src > 2 && call->src[2]) {
        const mascon_view *bias = SRC(call, 2);
        if (bias->ndim != 1 || bias->shape[0] != w.oc) {
            char text[160];
            return masconI_fail(MASCON_E_SHAPE, "bias is %s; expected {%lld}, one per channel made",
                                masconI_shape_text(bias->ndim, bias->shape, text), (long long)w.oc);
        }
    }
    MASCON_TRY(check_same(call, &w));
    MASCON_TRY(masconI_check_window2d(call, &w));
    masconI_meta(&out[0], x->dtype, 4, (int64_t[]){w.n, w.oc, w.oh, w.ow});
    return MASCON_OK;
}

/* dx {n, c, height, width} of dy {n, oc, oh, ow} and weight */
static mascon_status infer_bwd_data(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check_rank(call, 0, "dy", "{batch, channels, height, width}"));
    MASCON_TRY(
        check_rank(call, 1, "weight", "{out channels, in channels / groups, height, width}"));
    MASCON_TRY(masconI_check_dtype(call, 1, "weight", NULL));
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(check_groups(&w));
    MASCON_TRY(check_same(call, &w));
    MASCON_TRY(masconI_check_window2d(call, &w));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", 4, (int64_t[]){w.n, w.oc, w.oh, w.ow}));
    masconI_meta(&out[0], SRC(call, 0)->dtype, 4, (int64_t[]){w.n, w.c, w.h, w.w});
    return MASCON_OK;
}

/* dw {oc, c / groups, kh, kw} and, where asked for, db {oc} of x and dy */
static mascon_status infer_bwd_weight(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    MASCON_TRY(check_rank(call, 1, "dy", "{batch, channels, height, width}"));
    MASCON_TRY(masconI_check_dtype(call, 1, "dy", NULL));
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(check_groups(&w));
    MASCON_TRY(check_same(call, &w));
    MASCON_TRY(masconI_check_window2d(call, &w));
    MASCON_TRY(masconI_check_shape(call, 1, "dy", 4, (int64_t[]){w.n, w.oc, w.oh, w.ow}));
    const int32_t dtype = SRC(call, 0)->dtype;
    masconI_meta(&out[0], dtype, 4, (int64_t[]){w.oc, w.c / w.groups, w.kh, w.kw});
    call->n_dst = 1;
    if (call->attr[NN_CONV2D_BWD_WEIGHT_BIAS] != 0) {
        masconI_meta(&out[1], dtype, 1, &w.oc);
        call->n_dst = 2;
    }
    return MASCON_OK;
}

/* The options of the window, which all ops of this family have in the same slots. */
static void copy_window(mascon_call *to, const mascon_call *from) {
    const int end = NN_CONV2D_GROUPS + 1;
    memcpy(to->attr, from->attr, sizeof to->attr[0] * (size_t)end);
    to->attr_set = from->attr_set & ((1u << end) - 1);
}

static mascon_status grad_data(mascon_grad *g, mascon_tensor *dy) {
    const mascon_view *x = SRC(g->call, 0);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_conv2d_bwd_data);
    call.n_src = 2;
    call.src[0] = dy;
    call.src[1] = g->call->src[1];
    copy_window(&call, g->call);
    masconI_call_set(&call, "height", (double)x->shape[2]);
    masconI_call_set(&call, "width", (double)x->shape[3]);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

static mascon_status grad_weight(mascon_grad *g, mascon_tensor *dy, int bias) {
    const mascon_view *weight = SRC(g->call, 1);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_conv2d_bwd_weight);
    call.n_src = 2;
    call.src[0] = g->call->src[0];
    call.src[1] = dy;
    copy_window(&call, g->call);
    for (int i = 0; i < 2; i++) {
        call.attr[NN_CONV2D_BWD_WEIGHT_KERNEL + i] = (double)weight->shape[2 + i];
        call.attr_set |= 1u << (NN_CONV2D_BWD_WEIGHT_KERNEL + i);
    }
    masconI_call_set(&call, "bias", bias);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[1] = call.dst[0];
    if (bias) g->dx[2] = call.dst[1];
    return MASCON_OK;
}

/* db {oc} = dy summed over all but its channels */
static mascon_status grad_bias(mascon_grad *g, mascon_tensor *dy) {
    mascon_view like = *mascon_see(dy);
    like.ndim = 3;
    like.shape[0] = like.numel = like.shape[1];
    like.shape[1] = like.shape[2] = 1;
    masconI_row_major(3, like.shape, like.stride);
    like.contiguous = 1;
    like.layout = MASCON_LAYOUT_STRIDED;
    mascon_tensor *sum;
    mascon_tensor_retain(dy); /* sum_to takes one over */
    MASCON_TRY(masconI_sum_to(dy, &like, &sum));
    mascon_status status = masconI_reshape_to(sum, 1, like.shape, &g->dx[2]);
    mascon_tensor_release(sum);
    return status;
}

/* dx and dw are ops of their own, and db comes with dw where both are wanted. */
mascon_status masconI_conv2d_grad(mascon_grad *g, mascon_tensor *dy) {
    const int bias = g->n_inputs > 2 && g->need[2];
    if (g->need[0]) MASCON_TRY(grad_data(g, dy));
    if (g->need[1]) return grad_weight(g, dy, bias);
    return bias ? grad_bias(g, dy) : MASCON_OK;
}

static mascon_status grad(mascon_grad *g) { return masconI_conv2d_grad(g, g->dy[0]); }

const mascon_op mascon_op_conv2d = {
    .name = "conv2d",
    .inputs = "x weight bias?",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_DOWN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "2-D convolution of a batch {n, c, h, w} with weight {oc, c / groups, kh, kw}",
    .example = "mascon.conv2d(mascon.rand{1, 3, 8, 8}, mascon.rand{4, 3, 3, 3}, {padding = 1})",
    .infer = masconI_conv2d_infer,
    .grad = grad,
    .saves = "x weight",
};

const mascon_op mascon_op_conv2d_bwd_data = {
    .name = "conv2d_bwd_data",
    .inputs = "dy weight",
    .outputs = "dx",
    .attrs = bwd_data_attrs,
    .n_attrs = sizeof bwd_data_attrs / sizeof bwd_data_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of conv2d with respect to its input",
    .infer = infer_bwd_data,
};

const mascon_op mascon_op_conv2d_bwd_weight = {
    .name = "conv2d_bwd_weight",
    .inputs = "x dy",
    .outputs = "dw db?",
    .attrs = bwd_weight_attrs,
    .n_attrs = sizeof bwd_weight_attrs / sizeof bwd_weight_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of conv2d with respect to its weight and bias",
    .infer = infer_bwd_weight,
};

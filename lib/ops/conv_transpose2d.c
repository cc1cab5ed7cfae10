/* conv_transpose2d.c: 2-D transposed convolution, the gradient of conv2d with respect to its input
 * made an operation of its own.
 *
 * x {n, c, h, w}, weight {c, oc / groups, kh, kw}, bias {oc}, y {n, oc, oh, ow} with
 * oh = (h - 1) * stride - 2 * padding + dilation * (kh - 1) + output_padding + 1. To the convolution
 * behind it, x is dy and y is dx. */
#include "ops/conv_transpose2d.h"

static const mascon_attr attrs[] = {
    /* ORDER: NN_CONV2D_*, as conv2d, then output_padding */
    {"stride", MASCON_ATTR_PAIR, MASCON_KEY, 1, 1, 1e6, NULL, "step, vertical and horizontal"},
    {"padding", MASCON_ATTR_PAIR, MASCON_KEY, 0, 0, 1e6, NULL,
     "rows and columns taken off each side of the result"},
    {"dilation", MASCON_ATTR_PAIR, MASCON_KEY, 1, 1, 1e6, NULL, "distance of kernel elements"},
    {"groups", MASCON_ATTR_INTEGER, MASCON_KEY, 1, 1, 1e9, NULL,
     "groups of channels that do not mix"},
    {"output_padding", MASCON_ATTR_PAIR, MASCON_KEY, 0, 0, 1e6, NULL,
     "rows and columns added to the end of the result; smaller than stride"},
};

mascon_status masconI_transposed(const mascon_call *call, mascon_call *as_gradient) {
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1);
    masconI_call_init(as_gradient, MASCON_OP_conv2d_bwd_data);
    as_gradient->n_src = 2;
    as_gradient->src[0] = call->src[0];
    as_gradient->src[1] = call->src[1];
    as_gradient->n_dst = 1;
    as_gradient->dst[0] = call->dst[0];
    for (int i = 0; i < NN_CONV2D_BWD_DATA_HEIGHT; i++) as_gradient->attr[i] = call->attr[i];
    as_gradient->attr_set = (1u << NN_CONV2D_BWD_DATA_HEIGHT) - 1;
    for (int i = 0; i < 2; i++) {
        const int64_t k = weight->shape[2 + i];
        const int64_t extra = masconI_attr_int(call, NN_CONV_TRANSPOSE2D_OUTPUT_PADDING + i);
        const int64_t stride = masconI_attr_int(call, NN_CONV2D_STRIDE + i);
        const int64_t size = (x->shape[2 + i] - 1) * stride -
                             2 * masconI_attr_int(call, NN_CONV2D_PADDING + i) +
                             masconI_attr_int(call, NN_CONV2D_DILATION + i) * (k - 1) + extra + 1;
        if (k < 1) {
            return masconI_fail(MASCON_E_SHAPE, "kernel is %lldx%lld; must be 1x1 or more",
                                (long long)weight->shape[2], (long long)weight->shape[3]);
        }
        if (extra >= stride) {
            return masconI_fail(MASCON_E_ARG,
                                "output_padding is %lld; must be smaller than stride %lld",
                                (long long)extra, (long long)stride);
        }
        if (size < 1) {
            return masconI_fail(
                MASCON_E_SHAPE, "the result would have %lld %s (input %lldx%lld, kernel %lldx%lld)",
                (long long)size, i ? "columns" : "rows", (long long)x->shape[2],
                (long long)x->shape[3], (long long)weight->shape[2], (long long)weight->shape[3]);
        }
        as_gradient->attr[NN_CONV2D_BWD_DATA_HEIGHT + i] = (double)size;
        as_gradient->attr_set |= 1u << (NN_CONV2D_BWD_DATA_HEIGHT + i);
    }
    return MASCON_OK;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1);
    char text[160];
    if (weight->ndim != 4) {
        return masconI_fail(MASCON_E_SHAPE,
                            "weight has %d dimension%s %s; expected 4 {in channels, out channels / "
                            "groups, height, width}",
                            weight->ndim, weight->ndim == 1 ? "" : "s",
                            masconI_shape_text(weight->ndim, weight->shape, text));
    }
    MASCON_TRY(masconI_check_dtype(call, 1, "weight", "x"));
    MASCON_TRY(masconI_check_dtype(call, 2, "bias", NULL));
    const int64_t groups = masconI_attr_int(call, NN_CONV2D_GROUPS);
    const int64_t oc = weight->shape[1] * groups;
    if (weight->shape[0] != x->shape[1]) {
        return masconI_fail(MASCON_E_SHAPE, "input has %lld channel%s, the layer takes %lld",
                            (long long)x->shape[1], x->shape[1] == 1 ? "" : "s",
                            (long long)weight->shape[0]);
    }
    if (x->shape[1] % groups != 0) {
        return masconI_fail(MASCON_E_SHAPE,
                            "%lld input channels are not divisible by groups = %lld",
                            (long long)x->shape[1], (long long)groups);
    }
    if (call->n_src > 2 && call->src[2]) {
        const mascon_view *bias = SRC(call, 2);
        if (bias->ndim != 1 || bias->shape[0] != oc) {
            return masconI_fail(MASCON_E_SHAPE, "bias is %s; expected {%lld}, one per channel made",
                                masconI_shape_text(bias->ndim, bias->shape, text), (long long)oc);
        }
    }
    if (x->shape[2] < 1 || x->shape[3] < 1) {
        return masconI_fail(MASCON_E_SHAPE, "input is %lldx%lld; must be 1x1 or more",
                            (long long)x->shape[2], (long long)x->shape[3]);
    }
    mascon_call gradient;
    MASCON_TRY(masconI_transposed(call, &gradient));
    masconI_meta(
        &out[0], x->dtype, 4,
        (int64_t[]){x->shape[0], oc, masconI_attr_int(&gradient, NN_CONV2D_BWD_DATA_HEIGHT),
                    masconI_attr_int(&gradient, NN_CONV2D_BWD_DATA_WIDTH)});
    return MASCON_OK;
}

/* A call of one of conv2d's ops with the window of g's call. */
static void window_call(const mascon_grad *g, int32_t op, mascon_tensor *a, mascon_tensor *b,
                        mascon_call *call) {
    masconI_call_init(call, op);
    call->n_src = 2;
    call->src[0] = a;
    call->src[1] = b;
    for (int i = 0; i <= NN_CONV2D_GROUPS; i++) call->attr[i] = g->call->attr[i];
    call->attr_set = (1u << (NN_CONV2D_GROUPS + 1)) - 1;
}

/* dx = conv2d(dy, weight); dweight is that of this convolution, in which dy stands for the input and
 * x for the gradient; db is dy summed over all but its channels. */
static mascon_status grad(mascon_grad *g) {
    const mascon_view *weight = SRC(g->call, 1);
    mascon_call call;
    if (g->need[0]) {
        window_call(g, MASCON_OP_conv2d, g->dy[0], g->call->src[1], &call);
        MASCON_TRY(mascon_invoke(&call));
        g->dx[0] = call.dst[0];
    }
    if (g->need[1]) {
        window_call(g, MASCON_OP_conv2d_bwd_weight, g->dy[0], g->call->src[0], &call);
        for (int i = 0; i < 2; i++) {
            call.attr[NN_CONV2D_BWD_WEIGHT_KERNEL + i] = (double)weight->shape[2 + i];
            call.attr_set |= 1u << (NN_CONV2D_BWD_WEIGHT_KERNEL + i);
        }
        MASCON_TRY(mascon_invoke(&call));
        g->dx[1] = call.dst[0];
    }
    if (g->n_inputs > 2 && g->need[2]) {
        masconI_call_init(&call, MASCON_OP_sum);
        call.n_src = 1;
        call.src[0] = g->dy[0];
        masconI_call_set_list(&call, "dim", 3, (int64_t[]){0, 2, 3});
        MASCON_TRY(mascon_invoke(&call));
        g->dx[2] = call.dst[0];
    }
    return MASCON_OK;
}

const mascon_op mascon_op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .inputs = "x weight bias?",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_DOWN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "2-D transposed convolution of {n, c, h, w} with weight {c, oc / groups, kh, kw}",
    .example =
        "mascon.conv_transpose2d(mascon.rand{1, 4, 8, 8}, mascon.rand{4, 3, 2, 2}, "
        "{stride = 2})",
    .infer = infer,
    .grad = grad,
    .saves = "x weight",
};

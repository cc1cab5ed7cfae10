/* interpolate.c: pictures of another size, and the backward op. x {n, c, h, w}, y {n, c, oh, ow}. */
#include "ops/resample.h"

/* clang-format off */
/* ORDER: NN_INTERPOLATE_* in resample.h. The backward op repeats these options and adds its own. */
#define RESAMPLE_ATTRS                                                                           \
    {"size", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_ABSENT, 1, 1e9, NULL,                          \
     "rows and columns of the result"},                                                          \
    {"scale_factor", MASCON_ATTR_NUMBER, MASCON_KEY, MASCON_ABSENT, 0, 1e9, NULL,                \
     "instead of size: how many times larger the result is"},                                    \
    {"scale_factor_width", MASCON_ATTR_NUMBER, MASCON_KEY, MASCON_ABSENT, 0, 1e9, NULL,          \
     "the factor of the columns where it is another one"},                                       \
    {"mode", MASCON_ATTR_CHOICE, MASCON_KEY, NN_NEAREST, 0, 3,                                   \
     "nearest nearest-exact bilinear bicubic", "how the elements between are made"},             \
    {"align_corners", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,                            \
     "the centers of the corners stay where they are"},                                          \
    {"antialias", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,                                \
     "smaller pictures average what they leave out"}
/* clang-format on */

static const mascon_attr attrs[] = {RESAMPLE_ATTRS};

static const mascon_attr bwd_attrs[] = {
    RESAMPLE_ATTRS,
    {"height", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL, "rows of dx"},
    {"width", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL, "columns of dx"},
};

static mascon_status check_options(const mascon_call *call) {
    const int size = masconI_given(call, NN_INTERPOLATE_SIZE);
    const int scale = masconI_given(call, NN_INTERPOLATE_SCALE);
    const int mode = (int)call->attr[NN_INTERPOLATE_MODE];
    if (size && scale) {
        return masconI_fail(MASCON_E_ARG, "size and scale_factor are both given; one is enough");
    }
    if (!size && !scale) return masconI_fail(MASCON_E_ARG, "size or scale_factor is missing");
    if (masconI_given(call, NN_INTERPOLATE_SCALE_WIDTH) && !scale) {
        return masconI_fail(MASCON_E_ARG, "scale_factor_width is given without scale_factor");
    }
    if (mode == NN_BILINEAR || mode == NN_BICUBIC) return MASCON_OK;
    if (call->attr[NN_INTERPOLATE_ALIGN_CORNERS] != 0) {
        return masconI_fail(MASCON_E_ARG, "align_corners needs mode bilinear or bicubic");
    }
    if (call->attr[NN_INTERPOLATE_ANTIALIAS] != 0) {
        return masconI_fail(MASCON_E_ARG, "antialias needs mode bilinear or bicubic");
    }
    return MASCON_OK;
}

static mascon_status sizes(const mascon_call *call, const int64_t in[2], int64_t out[2]) {
    for (int d = 0; d < 2; d++) {
        if (in[d] < 1) {
            return masconI_fail(MASCON_E_SHAPE, "input is %lldx%lld; must be 1x1 or more",
                                (long long)in[0], (long long)in[1]);
        }
        out[d] = masconI_resample_size(call, d, in[d]);
        if (out[d] >= 1) continue;
        return masconI_fail(MASCON_E_SHAPE, "the result would have %lld %s (input %lldx%lld)",
                            (long long)out[d], d ? "columns" : "rows", (long long)in[0],
                            (long long)in[1]);
    }
    return MASCON_OK;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t size[2];
    MASCON_TRY(masconI_check_image(call));
    MASCON_TRY(check_options(call));
    MASCON_TRY(sizes(call, x->shape + 2, size));
    masconI_meta(&out[0], x->dtype, 4, (int64_t[]){x->shape[0], x->shape[1], size[0], size[1]});
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *dy = SRC(call, 0);
    MASCON_TRY(masconI_check_image(call));
    MASCON_TRY(check_options(call));
    const int64_t in[2] = {masconI_attr_int(call, NN_INTERPOLATE_BWD_HEIGHT),
                           masconI_attr_int(call, NN_INTERPOLATE_BWD_WIDTH)};
    int64_t size[2];
    MASCON_TRY(sizes(call, in, size));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", 4,
                                   (int64_t[]){dy->shape[0], dy->shape[1], size[0], size[1]}));
    masconI_meta(&out[0], dy->dtype, 4, (int64_t[]){dy->shape[0], dy->shape[1], in[0], in[1]});
    return MASCON_OK;
}

static mascon_status grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_interpolate_bwd);
    call.n_src = 1;
    call.src[0] = g->dy[0];
    masconI_call_copy_options(&call, g->call);
    masconI_call_set(&call, "height", (double)x->shape[2]);
    masconI_call_set(&call, "width", (double)x->shape[3]);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_interpolate = {
    .name = "interpolate",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .dtypes = MASCON_T_FLOAT,
    .summary = "pictures {n, c, h, w} brought to another size",
    .example =
        "mascon.interpolate(mascon.rand{1, 3, 4, 4}, {scale_factor = 2, mode = \"bilinear\"})",
    .infer = infer,
    .grad = grad,
};

const mascon_op mascon_op_interpolate_bwd = {
    .name = "interpolate_bwd",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of interpolate: each dy added where its element came from",
    .infer = infer_bwd,
};

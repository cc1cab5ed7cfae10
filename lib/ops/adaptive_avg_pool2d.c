/* adaptive_avg_pool2d.c: means over a grid of a given size, and the backward op.
 *
 * x {n, c, h, w}, y {n, c, oh, ow}. Output i covers the rows of masconI_adaptive_range. */
#include "ops/nn.h"

static const mascon_attr attrs[] = {
    /* ORDER: NN_ADAPTIVE_OUTPUT_SIZE */
    {"output_size", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_REQUIRED, 1, 1e6, NULL,
     "rows and columns of the result"},
};

static const mascon_attr bwd_attrs[] = {
    /* ORDER: NN_ADAPTIVE_BWD_* */
    {"height", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL, "rows of dx"},
    {"width", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL, "columns of dx"},
};

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    const mascon_view *x = SRC(call, 0);
    if (x->shape[2] == 0 || x->shape[3] == 0) {
        return masconI_fail(MASCON_E_SHAPE, "input is %lldx%lld; must be 1x1 or more",
                            (long long)x->shape[2], (long long)x->shape[3]);
    }
    masconI_meta(
        &out[0], x->dtype, 4,
        (int64_t[]){x->shape[0], x->shape[1], masconI_attr_int(call, NN_ADAPTIVE_OUTPUT_SIZE),
                    masconI_attr_int(call, NN_ADAPTIVE_OUTPUT_SIZE + 1)});
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    const mascon_view *dy = SRC(call, 0);
    masconI_meta(
        &out[0], dy->dtype, 4,
        (int64_t[]){dy->shape[0], dy->shape[1], masconI_attr_int(call, NN_ADAPTIVE_BWD_HEIGHT),
                    masconI_attr_int(call, NN_ADAPTIVE_BWD_WIDTH)});
    return MASCON_OK;
}

/* dx gets each dy, divided by the size of its range, at every element of the range */
static mascon_status grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    return masconI_emit(MASCON_OP_adaptive_avg_pool2d_bwd, &g->dx[0], 1, &g->dy[0], "height",
                        (double)x->shape[2], "width", (double)x->shape[3], NULL);
}

const mascon_op mascon_op_adaptive_avg_pool2d = {
    .name = "adaptive_avg_pool2d",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .dtypes = MASCON_T_FLOAT,
    .summary = "means of a batch {n, c, h, w} over a grid of output_size",
    .example = "mascon.adaptive_avg_pool2d(mascon.rand{1, 3, 8, 8}, 1)",
    .infer = infer,
    .grad = grad,
};

const mascon_op mascon_op_adaptive_avg_pool2d_bwd = {
    .name = "adaptive_avg_pool2d_bwd",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of adaptive_avg_pool2d: dy spread evenly over its range",
    .infer = infer_bwd,
};

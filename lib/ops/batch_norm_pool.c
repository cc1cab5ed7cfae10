/* batch_norm_pool.c: batch_norm, max_pool2d over windows of 2x2 and dropout in one op, as the layers at
 * the end of a block run it, and its backward op.
 *
 * x {n, c, h, w}, y and codes {n, c, h / 2, w / 2}; the rest as for batch_norm. The normalised x is kept
 * nowhere. Values, statistics and gradients have the bits that the three ops give. */
#include "ops/batch_norm_pool.h"

#include <string.h>

static const mascon_attr attrs[] = {
    BATCH_NORM_ATTRS,
    {"p", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, 1, NULL,
     "probability of a pooled element to become 0"},
};

static const mascon_attr bwd_attrs[] = {
    BATCH_NORM_BWD_ATTRS,
    {"p", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, 1, NULL, "as in the forward op"},
};

static mascon_status check_picture(const mascon_call *call, int i) {
    const mascon_view *x = SRC(call, i);
    if (x->ndim == 4 && x->shape[2] >= 2 && x->shape[3] >= 2) return MASCON_OK;
    char text[160];
    return masconI_fail(
        MASCON_E_SHAPE,
        "input is %s; expected 4 dimensions {batch, channels, height, width} of 2x2 pixels or more",
        masconI_shape_text(x->ndim, x->shape, text));
}

static void pooled(const mascon_view *x, int32_t dtype, mascon_meta *out) {
    masconI_meta(out, dtype, 4,
                 (int64_t[]){x->shape[0], x->shape[1], x->shape[2] / 2, x->shape[3] / 2});
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    mascon_meta norm[3];
    MASCON_TRY(check_picture(call, 0));
    memset(norm, 0, sizeof norm);
    MASCON_TRY(masconI_batch_norm_infer(call, norm));
    const mascon_view *x = SRC(call, 0);
    pooled(x, x->dtype, &out[0]);
    pooled(x, MASCON_DTYPE_U8, &out[1]);
    out[0].writes = norm[0].writes;
    out[2] = norm[1];
    out[3] = norm[2];
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check_picture(call, 1));
    const mascon_view *x = SRC(call, 1);
    mascon_meta like;
    pooled(x, x->dtype, &like);
    MASCON_TRY(masconI_check_dtype(call, 1, "x", NULL));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", 4, like.shape));
    MASCON_TRY(masconI_check_shape(call, 2, "codes", 4, like.shape));
    if (SRC(call, 2)->dtype != MASCON_DTYPE_U8) {
        return masconI_fail(MASCON_E_DTYPE, "codes are %s; expected uint8",
                            mascon_dtype_name(SRC(call, 2)->dtype));
    }
    const int64_t c = x->shape[1];
    MASCON_TRY(masconI_check_per_channel(call, 3, "mean", c));
    MASCON_TRY(masconI_check_per_channel(call, 4, "rstd", c));
    MASCON_TRY(masconI_check_per_channel(call, 5, "weight", c));
    masconI_batch_norm_infer_gradients(call, x, NN_BATCH_NORM_BWD_AFFINE, out);
    return MASCON_OK;
}

static mascon_status grad(mascon_grad *g) {
    const mascon_call *forward = g->call;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_batch_norm_pool_bwd);
    call.n_src = 6;
    call.src[0] = g->dy[0];
    call.src[1] = forward->src[0];
    for (int i = 1; i < 4; i++) call.src[1 + i] = forward->dst[i];
    call.src[5] = masconI_src_given(forward, 3) ? forward->src[3] : NULL;
    masconI_call_set(&call, "p", forward->attr[NN_BATCH_NORM_POOL_P]);
    return masconI_batch_norm_emit_gradients(g, &call);
}

const mascon_op mascon_op_batch_norm_pool = {
    .name = "batch_norm_pool",
    .inputs = "x running_mean? running_var? weight? bias?",
    .outputs = "y (codes) (mean) (rstd)",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_RANDOM | MASCON_OPF_HIDDEN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "batch norm, the largest element of each window of 2x2, and dropout",
    .infer = infer,
    .grad = grad,
    .saves = "x weight codes mean rstd",
};

const mascon_op mascon_op_batch_norm_pool_bwd = {
    .name = "batch_norm_pool_bwd",
    .inputs = "dy x codes mean rstd weight?",
    .outputs = "dx dweight? dbias?",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of batch_norm_pool with respect to its input, weight and bias",
    .infer = infer_bwd,
};

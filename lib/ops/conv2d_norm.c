/* conv2d_norm.c: a 2-D convolution with all that follows it in a residual network, where nothing of it
 * is recorded for a gradient:
 *
 *   y = relu?( (conv2d(x) - mean) * weight / sqrt(var + eps) + bias + residual )
 *
 * mean, var, norm_weight, norm_bias {oc} as batch norm uses them. Without training mean and var are the
 * running ones; where there are none, mean is 0 and var + eps is 1. In training they are those of
 * conv2d(x), as it is rounded, and the running ones move: values and statistics have the bits that
 * conv2d, batch_norm, add and relu give. residual has y's shape. It has no gradient and refuses inputs
 * that want one while calls are recorded. */
#include "ops/conv2d.h"
#include "ops/norm.h"

static const mascon_attr attrs[] = {
    CONV2D_WINDOW_ATTRS,
    {"eps", MASCON_ATTR_NUMBER, MASCON_VALUE, 1e-5, 0, MASCON_NOLIMIT, NULL,
     "added to the variance"},
    {"relu", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, "relu of the result"},
    {"training", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "normalise by the batch's own mean and variance"},
    {"momentum", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.1, 0, 1, NULL,
     "share of the batch in the running statistics"},
};

void masconI_conv2d_norm_inner(const mascon_call *call, mascon_call *norm) {
    /* ORDER: the inputs of batch_norm behind x */
    static const int at[] = {NN_CONV2D_NORM_MEAN, NN_CONV2D_NORM_VAR, NN_CONV2D_NORM_WEIGHT,
                             NN_CONV2D_NORM_BIAS};
    masconI_call_init(norm, MASCON_OP_batch_norm);
    norm->n_src = 5;
    norm->src[0] = call->dst[0];
    for (int i = 0; i < 4; i++) {
        norm->src[1 + i] = masconI_src_given(call, at[i]) ? call->src[at[i]] : NULL;
    }
    masconI_call_set(norm, "training", 1);
    masconI_call_set(norm, "momentum", call->attr[NN_CONV2D_NORM_MOMENTUM]);
    masconI_call_set(norm, "eps", call->attr[NN_CONV2D_NORM_EPS]);
}

static mascon_status check_unrecorded(const mascon_call *call) {
    if (!(call->flags & MASCON_CALL_GRAD)) return MASCON_OK;
    for (int i = 0; i < call->n_src; i++) {
        if (!masconI_needs_grad(call->src[i])) continue;
        return masconI_fail(MASCON_E_UNSUPPORTED, "an input requires a gradient");
    }
    return MASCON_OK;
}

/* What training asks for beside the shapes. A 16-bit result is rounded between the steps, which only a
 * kernel for it does: that for rows of bfloat16 channels. */
static mascon_status infer_training(const mascon_call *call, mascon_meta *out) {
    const int64_t count = out[0].shape[0] * out[0].shape[2] * out[0].shape[3];
    if (out[0].dtype == MASCON_DTYPE_F16 ||
        (out[0].dtype == MASCON_DTYPE_BF16 && out[0].shape[1] == 1)) {
        return masconI_fail(MASCON_E_UNSUPPORTED,
                            "training takes no float16, and no bfloat16 of one channel");
    }
    if (count == 1) {
        return masconI_fail(MASCON_E_SHAPE,
                            "1 value per channel in training mode; needs 2 or more");
    }
    if (count > 0 && masconI_src_given(call, NN_CONV2D_NORM_MEAN)) {
        out[0].writes = 1u << NN_CONV2D_NORM_MEAN | 1u << NN_CONV2D_NORM_VAR;
    }
    return MASCON_OK;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    static const struct {
        int at;
        const char *name;
    } channels[] = {{NN_CONV2D_NORM_MEAN, "running_mean"},
                    {NN_CONV2D_NORM_VAR, "running_var"},
                    {NN_CONV2D_NORM_WEIGHT, "norm_weight"},
                    {NN_CONV2D_NORM_BIAS, "norm_bias"}};
    MASCON_TRY(check_unrecorded(call));
    MASCON_TRY(masconI_conv2d_infer(call, out));
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        MASCON_TRY(
            masconI_check_per_channel(call, channels[i].at, channels[i].name, out[0].shape[1]));
    }
    const int mean = masconI_src_given(call, NN_CONV2D_NORM_MEAN);
    if (mean != masconI_src_given(call, NN_CONV2D_NORM_VAR)) {
        return masconI_fail(MASCON_E_ARG, "running_%s is missing: both running statistics or none",
                            mean ? "var" : "mean");
    }
    if (call->attr[NN_CONV2D_NORM_TRAINING] != 0) MASCON_TRY(infer_training(call, out));
    if (!masconI_src_given(call, NN_CONV2D_NORM_RESIDUAL)) return MASCON_OK;
    MASCON_TRY(masconI_check_dtype(call, NN_CONV2D_NORM_RESIDUAL, "residual", NULL));
    return masconI_check_shape(call, NN_CONV2D_NORM_RESIDUAL, "residual", 4, out[0].shape);
}

const mascon_op mascon_op_conv2d_norm = {
    .name = "conv2d_norm",
    .inputs = "x weight bias? running_mean? running_var? norm_weight? norm_bias? residual?",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_DOWN | MASCON_OPF_HIDDEN | MASCON_OPF_NO_GRAD | MASCON_OPF_STEPS,
    .dtypes = MASCON_T_FLOAT,
    .summary = "2-D convolution, batch norm, residual addition and relu",
    .infer = infer,
    .uncast = 1u << NN_CONV2D_NORM_MEAN | 1u << NN_CONV2D_NORM_VAR | 1u << NN_CONV2D_NORM_WEIGHT |
              1u << NN_CONV2D_NORM_BIAS,
};

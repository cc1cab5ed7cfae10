/* batch_norm.c: batch normalisation and its backward op.
 *
 * x {n, c, ...}; running_mean, running_var, weight, bias, mean, rstd {c}. In training, mean and
 * variance are those of the batch (over all but the channels) and the running ones move towards them
 * by the share momentum, the variance as an unbiased one; else the running ones are used. mean and
 * rstd = 1 / sqrt(variance + eps) are kept for the backward op. */
#include "ops/norm.h"

static const mascon_attr attrs[] = {BATCH_NORM_ATTRS};

static const mascon_attr bwd_attrs[] = {BATCH_NORM_BWD_ATTRS};

enum { X = 0, RUNNING_MEAN, RUNNING_VAR, WEIGHT, BIAS };

static int given(const mascon_call *call, int i) { return i < call->n_src && call->src[i]; }

mascon_status masconI_check_per_channel(const mascon_call *call, int i, const char *name,
                                        int64_t size) {
    if (!given(call, i)) return MASCON_OK;
    const mascon_view *v = SRC(call, i);
    MASCON_TRY(masconI_check_parameter_dtype(call, i, name, 0));
    if (v->ndim == 1 && v->shape[0] == size) return MASCON_OK;
    char text[160];
    return masconI_fail(MASCON_E_SHAPE, "%s is %s; expected {%lld}, one per channel", name,
                        masconI_shape_text(v->ndim, v->shape, text), (long long)size);
}

static mascon_status check_statistics(const mascon_call *call, const masconI_channels *s) {
    const int training = call->attr[NN_BATCH_NORM_TRAINING] != 0;
    const int mean = given(call, RUNNING_MEAN), var = given(call, RUNNING_VAR);
    if (mean != var) {
        return masconI_fail(MASCON_E_ARG, "running_%s is missing: both running statistics or none",
                            mean ? "var" : "mean");
    }
    if (!training && !mean) {
        masconI_fail(MASCON_E_ARG,
                     "running_mean and running_var are missing; without training "
                     "they take the place of the batch's own");
        return masconI_hint("training = true");
    }
    if (training && s->count == 1) {
        char text[160];
        const mascon_view *x = SRC(call, X);
        masconI_fail(MASCON_E_SHAPE,
                     "1 value per channel in training mode; needs 2 or more; input %s",
                     masconI_shape_text(x->ndim, x->shape, text));
        return masconI_hint("last batch? use drop_last, or model:eval()");
    }
    return MASCON_OK;
}

static mascon_status check_channels(const mascon_view *x) {
    if (x->ndim >= 2) return MASCON_OK;
    char text[160];
    masconI_fail(MASCON_E_SHAPE, "input has %d dimension%s %s; expected {batch, channels, ...}",
                 x->ndim, x->ndim == 1 ? "" : "s", masconI_shape_text(x->ndim, x->shape, text));
    return x->ndim == 1 ? masconI_hint("x:unsqueeze(1)") : MASCON_E_SHAPE;
}

mascon_status masconI_batch_norm_infer(mascon_call *call, mascon_meta *out) {
    static const char *const names[] = {"x", "running_mean", "running_var", "weight", "bias"};
    const mascon_view *x = SRC(call, X);
    MASCON_TRY(check_channels(x));
    const masconI_channels s = masconI_channels_of(x);
    for (int i = RUNNING_MEAN; i <= BIAS; i++) {
        MASCON_TRY(masconI_check_per_channel(call, i, names[i], s.c));
    }
    MASCON_TRY(check_statistics(call, &s));
    for (int i = RUNNING_MEAN; i <= RUNNING_VAR; i++) {
        if (!given(call, i) || !masconI_will_record(call) || !masconI_needs_grad(call->src[i])) {
            continue;
        }
        masconI_fail(MASCON_E_UNSUPPORTED, "%s has no gradient", names[i]);
        return masconI_hint("%s:detach()", names[i]);
    }
    masconI_like(&out[0], x);
    masconI_meta(&out[1], masconI_sum_dtype(x->dtype), 1, &s.c);
    masconI_meta(&out[2], masconI_sum_dtype(x->dtype), 1, &s.c);
    if (call->attr[NN_BATCH_NORM_TRAINING] != 0 && given(call, RUNNING_MEAN) && s.count > 0) {
        out[0].writes = 1u << RUNNING_MEAN | 1u << RUNNING_VAR;
    }
    return MASCON_OK;
}

void masconI_batch_norm_infer_gradients(mascon_call *call, const mascon_view *x, int affine,
                                        mascon_meta *out) {
    const int64_t c = x->shape[1];
    masconI_like(&out[0], x);
    masconI_meta(&out[1], masconI_sum_dtype(x->dtype), 1, &c);
    masconI_meta(&out[2], masconI_sum_dtype(x->dtype), 1, &c);
    call->n_dst = call->attr[affine] != 0 ? 3 : 1;
}

/* dx like x and, where asked for, dweight and dbias {c}, of dy, x, mean, rstd and weight */
static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 1);
    MASCON_TRY(check_channels(x));
    MASCON_TRY(masconI_check_dtype(call, 1, "x", NULL));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", x->ndim, x->shape));
    const int64_t c = x->shape[1];
    MASCON_TRY(masconI_check_per_channel(call, 2, "mean", c));
    MASCON_TRY(masconI_check_per_channel(call, 3, "rstd", c));
    MASCON_TRY(masconI_check_per_channel(call, 4, "weight", c));
    masconI_batch_norm_infer_gradients(call, x, NN_BATCH_NORM_BWD_AFFINE, out);
    return MASCON_OK;
}

mascon_status masconI_batch_norm_emit_gradients(mascon_grad *g, mascon_call *call) {
    const mascon_call *forward = g->call;
    const int weight = g->n_inputs > WEIGHT && g->need[WEIGHT];
    const int bias = g->n_inputs > BIAS && g->need[BIAS];
    masconI_call_set(call, "training", forward->attr[NN_BATCH_NORM_TRAINING]);
    masconI_call_set(call, "relu_mask", forward->attr[NN_BATCH_NORM_RELU_MASK]);
    masconI_call_set(call, "affine", weight || bias);
    MASCON_TRY(mascon_invoke(call));
    const int at[] = {X, WEIGHT, BIAS}, wanted[] = {g->need[X], weight, bias};
    return masconI_give_gradients(g, call, at, wanted);
}

static mascon_status grad(mascon_grad *g) {
    const mascon_call *forward = g->call;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_batch_norm_bwd);
    call.n_src = 5;
    call.src[0] = g->dy[0];
    call.src[1] = forward->src[X];
    call.src[2] = forward->dst[1];
    call.src[3] = forward->dst[2];
    call.src[4] = given(forward, WEIGHT) ? forward->src[WEIGHT] : NULL;
    return masconI_batch_norm_emit_gradients(g, &call);
}

const mascon_op mascon_op_batch_norm = {
    .name = "batch_norm",
    .inputs = "x running_mean? running_var? weight? bias?",
    .outputs = "y (mean) (rstd)",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .dtypes = MASCON_T_FLOAT,
    .summary =
        "normalises each channel of {n, c, ...} by its mean and variance over the batch; in "
        "training the running ones are updated",
    .example = "mascon.batch_norm(mascon.randn{4, 3, 8, 8}, {training = true})",
    .infer = masconI_batch_norm_infer,
    .grad = grad,
    .saves = "x weight mean rstd",
};

const mascon_op mascon_op_batch_norm_bwd = {
    .name = "batch_norm_bwd",
    .inputs = "dy x mean rstd weight?",
    .outputs = "dx dweight? dbias?",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of batch_norm with respect to its input, weight and bias",
    .infer = infer_bwd,
};

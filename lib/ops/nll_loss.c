/* nll_loss.c: the negative logarithms of the targets' probabilities, and the backward op.
 *
 * x {n, c, ...} holds logarithms (of log_softmax), target {n, ...} class numbers that count from the
 * option base, weight {c}. A row costs -weight[t] x[t], and nothing where t is ignore_index; the mean
 * divides by the sum of the weights of the rows that count. */
#include "ops/loss.h"

#define IGNORE_AND_BASE                                                                        \
    {"ignore_index", MASCON_ATTR_INTEGER,                                                      \
     MASCON_VALUE,   -100,                                                                     \
     -0x1p53,        0x1p53,                                                                   \
     NULL,           "targets of this value count nothing"},                                   \
    {                                                                                          \
        "base", MASCON_ATTR_BASE, MASCON_VALUE, 0, 0, 1, NULL, "what class numbers count from" \
    }

/* ORDER: NN_NLL_LOSS_* in loss.h */
static const mascon_attr attrs[] = {MASCON_REDUCTION, IGNORE_AND_BASE};

static const mascon_attr bwd_attrs[] = {
    MASCON_REDUCTION,
    IGNORE_AND_BASE,
    {"classes", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL,
     "size of dimension 2 of dx"},
};

/* {n, ...} of x {n, c, ...} */
static int32_t rows_shape(const mascon_view *x, int64_t shape[MASCON_MAX_DIMS]) {
    int32_t ndim = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        if (d != 1) shape[ndim++] = x->shape[d];
    }
    return ndim;
}

static mascon_status check_target(const mascon_view *x, const mascon_view *target) {
    int64_t rows[MASCON_MAX_DIMS];
    const int32_t ndim = rows_shape(x, rows);
    int fits = target->dtype == MASCON_DTYPE_I64 && target->ndim == ndim;
    if (fits && target->shape[0] != x->shape[0]) {
        return masconI_fail(MASCON_E_SHAPE, "%lld rows of scores but %lld targets",
                            (long long)x->shape[0], (long long)target->shape[0]);
    }
    for (int32_t d = 1; fits && d < ndim; d++) fits = target->shape[d] == rows[d];
    if (fits) return MASCON_OK;
    char found[160], expected[160];
    return masconI_fail(MASCON_E_SHAPE, "targets are %s %s; expected int64 class numbers %s",
                        mascon_dtype_name(target->dtype),
                        masconI_shape_text(target->ndim, target->shape, found),
                        masconI_shape_text(ndim, rows, expected));
}

/* src[i], if given, is {classes} of this dtype. */
static mascon_status check_weight(const mascon_call *call, int i, int32_t dtype, int64_t classes) {
    if (i >= call->n_src || !call->src[i]) return MASCON_OK;
    const mascon_view *weight = SRC(call, i);
    char text[160];
    if (weight->ndim != 1 || weight->shape[0] != classes) {
        return masconI_fail(MASCON_E_SHAPE, "weight is %s; expected {%lld}, one per class",
                            masconI_shape_text(weight->ndim, weight->shape, text),
                            (long long)classes);
    }
    if (weight->dtype != dtype) return masconI_check_dtype(call, i, "weight", NULL);
    if (masconI_will_record(call) && masconI_needs_grad(call->src[i])) {
        masconI_fail(MASCON_E_UNSUPPORTED, "class weights have no gradient");
        return masconI_hint("weight:detach()");
    }
    return MASCON_OK;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    char text[160];
    if (x->ndim < 2) {
        masconI_fail(MASCON_E_SHAPE, "scores have %d dimension%s %s; expected {batch, classes}",
                     x->ndim, x->ndim == 1 ? "" : "s", masconI_shape_text(x->ndim, x->shape, text));
        return x->ndim == 1 ? masconI_hint("x:unsqueeze(1)") : MASCON_E_SHAPE;
    }
    if (x->shape[1] == 0) return masconI_fail(MASCON_E_SHAPE, "scores have 0 classes");
    MASCON_TRY(check_target(x, SRC(call, 1)));
    MASCON_TRY(check_weight(call, 2, x->dtype, x->shape[1]));
    if (call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_MEAN && x->numel == 0) {
        masconI_fail(MASCON_E_SHAPE, "mean over 0 targets is undefined");
        return masconI_hint("reduction = \"sum\"");
    }
    int64_t rows[MASCON_MAX_DIMS];
    const int32_t ndim = rows_shape(x, rows);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    masconI_meta(&out[0], x->dtype, none ? ndim : 0, rows);
    return MASCON_OK;
}

/* dx {n, classes, ...} of dy, target {n, ...} and weight */
static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *dy = SRC(call, 0), *target = SRC(call, 1);
    const int64_t classes = masconI_attr_int(call, NN_NLL_LOSS_BWD_CLASSES);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    MASCON_TRY(masconI_check_shape(call, 0, "dy", none ? target->ndim : 0, target->shape));
    MASCON_TRY(check_weight(call, 2, dy->dtype, classes));
    masconI_meta(&out[0], dy->dtype, target->ndim + 1, target->shape);
    for (int32_t d = out[0].ndim - 1; d > 1; d--) out[0].shape[d] = out[0].shape[d - 1];
    out[0].shape[1] = classes;
    return MASCON_OK;
}

static mascon_status grad(mascon_grad *g) {
    const mascon_call *forward = g->call;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_nll_loss_bwd);
    call.n_src = 3;
    call.src[0] = g->dy[0];
    call.src[1] = forward->src[1];
    call.src[2] = forward->n_src > 2 ? forward->src[2] : NULL;
    masconI_call_copy_options(&call, forward);
    masconI_call_set(&call, "classes", (double)SRC(forward, 0)->shape[1]);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_nll_loss = {
    .name = "nll_loss",
    .inputs = "x target weight?",
    .outputs = "loss",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "minus the log-probabilities {n, c, ...} of the classes that target names",
    .example = "mascon.nll_loss(mascon.randn{4, 10}:log_softmax(2), mascon.randint(1, 10, {4}))",
    .infer = infer,
    .grad = grad,
    .saves = "target weight",
};

const mascon_op mascon_op_nll_loss_bwd = {
    .name = "nll_loss_bwd",
    .inputs = "dy target weight?",
    .outputs = "dx",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of nll_loss: -weight at the target's class, 0 elsewhere",
    .infer = infer_bwd,
};

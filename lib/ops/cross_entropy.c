/* cross_entropy.c: the cross-entropy of scores against class numbers or probabilities, and its
 * backward op.
 *
 * x {n, c} or {n, c, d1, ...}. target: int64 class numbers {n} or {n, d1, ...} that count from the
 * option base, or probabilities of x's shape and dtype. weight {c}. With w the weights (else 1), p
 * the log of softmax(x), s the smoothing and C the classes, a row costs
 *   class t        -(1 - s) w[t] p[t] - s / C * sum(w[c] p[c]);          0 where t is ignore_index
 *   probabilities q  -sum(w[c] p[c] ((1 - s) q[c] + s / C))
 * and the mean divides the sum by the sum of w[t] over the rows that count, or by the number of rows
 * of probabilities. */
#include "ops/nn.h"

/* ORDER: NN_CROSS_ENTROPY_* and NN_REDUCTION_* in nn.h */
static const mascon_attr attrs[] = {
    {"reduction", MASCON_ATTR_CHOICE, MASCON_KEY, NN_REDUCTION_MEAN, 0, 2, "mean sum none",
     "what becomes of the losses of the rows"},
    {"label_smoothing", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, 1, NULL,
     "share of each target spread over all classes"},
    {"ignore_index", MASCON_ATTR_INTEGER, MASCON_VALUE, -100, -0x1p53, 0x1p53, NULL,
     "targets of this value count nothing"},
    {"base", MASCON_ATTR_BASE, MASCON_VALUE, 0, 0, 1, NULL, "what class numbers count from"},
};

/* {n, d1, ...} of x {n, c, d1, ...} */
static int32_t rows_shape(const mascon_view *x, int64_t shape[MASCON_MAX_DIMS]) {
    int32_t ndim = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        if (d != 1) shape[ndim++] = x->shape[d];
    }
    return ndim;
}

static mascon_status fail_targets(const mascon_view *x, const mascon_view *target) {
    int64_t rows[MASCON_MAX_DIMS];
    const int32_t ndim = rows_shape(x, rows);
    char found[160], classes[160], probabilities[160];
    return masconI_fail(MASCON_E_SHAPE,
                        "targets are %s %s; expected int64 class numbers %s or float probabilities "
                        "%s",
                        mascon_dtype_name(target->dtype),
                        masconI_shape_text(target->ndim, target->shape, found),
                        masconI_shape_text(ndim, rows, classes),
                        masconI_shape_text(x->ndim, x->shape, probabilities));
}

/* Targets are class numbers without the scores' dimension of classes, or exactly like the scores. */
static mascon_status check_target(const mascon_call *call, int target_at) {
    const mascon_view *x = SRC(call, target_at - 1), *target = SRC(call, target_at);
    const int probabilities = masconI_is_float(target->dtype);
    if (!probabilities && target->dtype != MASCON_DTYPE_I64) return fail_targets(x, target);
    if (target->ndim != x->ndim - !probabilities) return fail_targets(x, target);
    if (target->shape[0] != x->shape[0]) {
        return masconI_fail(MASCON_E_SHAPE, "%lld rows of scores but %lld targets",
                            (long long)x->shape[0], (long long)target->shape[0]);
    }
    for (int32_t d = 1; d < target->ndim; d++) {
        if (target->shape[d] != x->shape[d + !probabilities]) return fail_targets(x, target);
    }
    if (!probabilities) return MASCON_OK;
    if (target->dtype != x->dtype) {
        masconI_fail(MASCON_E_DTYPE, "dtypes %s and %s", mascon_dtype_name(x->dtype),
                     mascon_dtype_name(target->dtype));
        return masconI_hint("target:to(\"%s\")", mascon_dtype_name(x->dtype));
    }
    if (call->attr[NN_CROSS_ENTROPY_IGNORE_INDEX] != -100) {
        return masconI_fail(
            MASCON_E_ARG, "ignore_index is %.0f; needs class numbers as targets, not probabilities",
            call->attr[NN_CROSS_ENTROPY_IGNORE_INDEX]);
    }
    return MASCON_OK;
}

/* Checks x, target and weight at first, first + 1 and first + 2. */
static mascon_status check(const mascon_call *call, int first) {
    const mascon_view *x = SRC(call, first);
    char text[160];
    if (x->ndim < 2) {
        masconI_fail(MASCON_E_SHAPE, "scores have %d dimension%s %s; expected {batch, classes}",
                     x->ndim, x->ndim == 1 ? "" : "s", masconI_shape_text(x->ndim, x->shape, text));
        return x->ndim == 1 ? masconI_hint("x:unsqueeze(1)") : MASCON_E_SHAPE;
    }
    if (x->shape[1] == 0) return masconI_fail(MASCON_E_SHAPE, "scores have 0 classes");
    MASCON_TRY(check_target(call, first + 1));
    if (call->n_src > first + 2 && call->src[first + 2]) {
        const mascon_view *weight = SRC(call, first + 2);
        if (weight->ndim != 1 || weight->shape[0] != x->shape[1]) {
            return masconI_fail(MASCON_E_SHAPE, "weight is %s; expected {%lld}, one per class",
                                masconI_shape_text(weight->ndim, weight->shape, text),
                                (long long)x->shape[1]);
        }
        MASCON_TRY(masconI_check_dtype(call, first + 2, "weight", NULL));
    }
    if (call->attr[NN_CROSS_ENTROPY_REDUCTION] == NN_REDUCTION_MEAN && x->numel == 0) {
        masconI_fail(MASCON_E_SHAPE, "mean over 0 targets is undefined");
        return masconI_hint("reduction = \"sum\"");
    }
    return MASCON_OK;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check(call, 0));
    if (call->n_src > 2 && masconI_will_record(call) && masconI_needs_grad(call->src[2])) {
        masconI_fail(MASCON_E_UNSUPPORTED, "class weights have no gradient");
        return masconI_hint("weight:detach()");
    }
    const mascon_view *x = SRC(call, 0);
    int64_t rows[MASCON_MAX_DIMS];
    const int32_t ndim = rows_shape(x, rows);
    const int none = call->attr[NN_CROSS_ENTROPY_REDUCTION] == NN_REDUCTION_NONE;
    masconI_meta(&out[0], x->dtype, none ? ndim : 0, rows);
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 1);
    MASCON_TRY(masconI_check_dtype(call, 1, "x", NULL));
    MASCON_TRY(check(call, 1));
    int64_t rows[MASCON_MAX_DIMS];
    const int32_t ndim = rows_shape(x, rows);
    const int none = call->attr[NN_CROSS_ENTROPY_REDUCTION] == NN_REDUCTION_NONE;
    MASCON_TRY(masconI_check_shape(call, 0, "dy", none ? ndim : 0, rows));
    masconI_like(&out[0], x);
    return MASCON_OK;
}

/* ---- Gradient ---- */

/* *t = its product with other, or with factor where other is NULL */
static mascon_status multiply(mascon_tensor **t, mascon_tensor *other, double factor) {
    mascon_tensor *y;
    if (other) {
        MASCON_TRY(masconI_emit(MASCON_OP_mul, &y, 2, (mascon_tensor *[]){*t, other}, NULL));
    } else {
        MASCON_TRY(masconI_emit(MASCON_OP_mul, &y, 1, t, "other", factor, NULL));
    }
    mascon_tensor_release(*t);
    *t = y;
    return MASCON_OK;
}

/* *t = its product with other in another shape */
static mascon_status multiply_reshaped(mascon_tensor **t, mascon_tensor *other, int32_t ndim,
                                       const int64_t *shape) {
    mascon_tensor *reshaped;
    MASCON_TRY(masconI_reshape_to(other, ndim, shape, &reshaped));
    mascon_status status = multiply(t, reshaped, 0);
    mascon_tensor_release(reshaped);
    return status;
}

/* The gradient of probabilities: -(1 - s) w[c] p[c] dy, divided by the rows for a mean. */
static mascon_status grad_target(mascon_grad *g) {
    const mascon_call *forward = g->call;
    const mascon_view *x = SRC(forward, 0);
    const int reduction = (int)forward->attr[NN_CROSS_ENTROPY_REDUCTION];
    double factor = forward->attr[NN_CROSS_ENTROPY_SMOOTHING] - 1;
    if (reduction == NN_REDUCTION_MEAN) factor *= (double)x->shape[1] / (double)x->numel;
    mascon_tensor *d;
    MASCON_TRY(masconI_emit(MASCON_OP_log_softmax, &d, 1, &forward->src[0], "dim", 1.0, NULL));
    mascon_status status = multiply(&d, NULL, factor);
    int64_t shape[MASCON_MAX_DIMS];
    for (int32_t i = 0; i < x->ndim; i++) shape[i] = 1;
    if (status == MASCON_OK && forward->n_src > 2 && forward->src[2]) {
        shape[1] = x->shape[1];
        status = multiply_reshaped(&d, forward->src[2], x->ndim, shape);
    }
    if (status == MASCON_OK && reduction == NN_REDUCTION_NONE) {
        for (int32_t i = 0; i < x->ndim; i++) shape[i] = i == 1 ? 1 : x->shape[i];
        status = multiply_reshaped(&d, g->dy[0], x->ndim, shape);
    } else if (status == MASCON_OK) {
        status = multiply(&d, g->dy[0], 0);
    }
    if (status == MASCON_OK) {
        g->dx[1] = d;
    } else {
        mascon_tensor_release(d);
    }
    return status;
}

static mascon_status grad(mascon_grad *g) {
    mascon_tensor *const *src = g->call->src;
    if (g->need[0]) {
        MASCON_TRY(masconI_emit_same(
            g, MASCON_OP_cross_entropy_bwd, &g->dx[0], g->call->n_src > 2 ? 4 : 3,
            (mascon_tensor *[]){g->dy[0], src[0], src[1], g->call->n_src > 2 ? src[2] : NULL}));
    }
    return g->need[1] ? grad_target(g) : MASCON_OK;
}

const mascon_op mascon_op_cross_entropy = {
    .name = "cross_entropy",
    .inputs = "x target weight?",
    .outputs = "loss",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "cross-entropy of scores {n, c, ...} against class numbers or probabilities",
    .example = "mascon.cross_entropy(mascon.randn{4, 10}, mascon.randint(1, 10, {4}))",
    .infer = infer,
    .grad = grad,
    .saves = "x target weight",
};

const mascon_op mascon_op_cross_entropy_bwd = {
    .name = "cross_entropy_bwd",
    .inputs = "dy x target weight?",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of cross_entropy with respect to its scores",
    .infer = infer_bwd,
};

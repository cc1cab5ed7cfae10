/* pointwise_loss.c: losses of one element each: mse_loss, l1_loss and
 * binary_cross_entropy_with_logits, and their backward ops.
 *
 * x and target have one shape; the loss is one number, or of that shape without reduction. */
#include "ops/loss.h"

static const mascon_attr attrs[] = {MASCON_REDUCTION};

mascon_status masconI_check_pair(const mascon_call *call, int first) {
    const mascon_view *x = SRC(call, first), *target = SRC(call, first + 1);
    if (!masconI_same_shape(x, target)) {
        char a[160], b[160];
        masconI_fail(MASCON_E_SHAPE, "input is %s, target is %s; must be equal",
                     masconI_shape_text(x->ndim, x->shape, a),
                     masconI_shape_text(target->ndim, target->shape, b));
        return x->numel == target->numel ? masconI_hint("target:reshape(x.shape)") : MASCON_E_SHAPE;
    }
    if (x->dtype != target->dtype) {
        masconI_fail(MASCON_E_DTYPE, "dtypes %s and %s", mascon_dtype_name(x->dtype),
                     mascon_dtype_name(target->dtype));
        return masconI_hint("target:to(\"%s\")", mascon_dtype_name(x->dtype));
    }
    if (call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_MEAN && x->numel == 0) {
        masconI_fail(MASCON_E_SHAPE, "mean over 0 targets is undefined");
        return masconI_hint("reduction = \"sum\"");
    }
    return MASCON_OK;
}

void masconI_loss_meta(const mascon_call *call, const mascon_view *x, mascon_meta *out) {
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    masconI_meta(out, x->dtype, none ? x->ndim : 0, x->shape);
}

mascon_status masconI_check_loss_dy(const mascon_call *call, const mascon_view *x) {
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    return masconI_check_shape(call, 0, "dy", none ? x->ndim : 0, x->shape);
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_pair(call, 0));
    masconI_loss_meta(call, SRC(call, 0), &out[0]);
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_dtype(call, 1, "x", NULL));
    MASCON_TRY(masconI_check_pair(call, 1));
    MASCON_TRY(masconI_check_loss_dy(call, SRC(call, 1)));
    masconI_like(&out[0], SRC(call, 1));
    return MASCON_OK;
}

/* Both losses depend on x - target alone, so the gradients are opposite. */
static mascon_status grad_difference(mascon_grad *g, int32_t op) {
    mascon_tensor *const *src = g->call->src;
    mascon_tensor *dx;
    MASCON_TRY(masconI_emit_same(g, op, &dx, 3, (mascon_tensor *[]){g->dy[0], src[0], src[1]}));
    if (g->need[1]) {
        const mascon_status status = masconI_emit(MASCON_OP_neg, &g->dx[1], 1, &dx, NULL);
        if (status != MASCON_OK) {
            mascon_tensor_release(dx);
            return status;
        }
    }
    if (g->need[0]) {
        g->dx[0] = dx;
    } else {
        mascon_tensor_release(dx);
    }
    return MASCON_OK;
}

static mascon_status grad_mse(mascon_grad *g) { return grad_difference(g, MASCON_OP_mse_loss_bwd); }

static mascon_status grad_l1(mascon_grad *g) { return grad_difference(g, MASCON_OP_l1_loss_bwd); }

const mascon_op mascon_op_mse_loss = {
    .name = "mse_loss",
    .inputs = "x target",
    .outputs = "loss",
    .attrs = attrs,
    .n_attrs = 1,
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "the squares of x - target",
    .example = "mascon.mse_loss(mascon.randn{4, 2}, mascon.zeros{4, 2})",
    .infer = infer,
    .grad = grad_mse,
    .saves = "x target",
};

const mascon_op mascon_op_mse_loss_bwd = {
    .name = "mse_loss_bwd",
    .inputs = "dy x target",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of mse_loss: 2 dy (x - target)",
    .infer = infer_bwd,
};

const mascon_op mascon_op_l1_loss = {
    .name = "l1_loss",
    .inputs = "x target",
    .outputs = "loss",
    .attrs = attrs,
    .n_attrs = 1,
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "the absolute values of x - target",
    .example = "mascon.l1_loss(mascon.randn{4, 2}, mascon.zeros{4, 2})",
    .infer = infer,
    .grad = grad_l1,
    .saves = "x target",
};

const mascon_op mascon_op_l1_loss_bwd = {
    .name = "l1_loss_bwd",
    .inputs = "dy x target",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of l1_loss: dy with the sign of x - target",
    .infer = infer_bwd,
};

/* ---- binary_cross_entropy_with_logits ----
 * With x the scores, t the target, w and p the weights (else 1), the loss of an element is
 * w ((1 - t) x + (1 + (p - 1) t) softplus(-x)). */

static const mascon_attr bce_bwd_attrs[] = {
    MASCON_REDUCTION,
    {"target", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "the gradient with respect to the target instead"},
};

/* weight and pos_weight, at first + 2 and first + 3, broadcast to x. */
static mascon_status check_weights(const mascon_call *call, int first) {
    static const char *const names[] = {"weight", "pos_weight"};
    const mascon_view *x = SRC(call, first);
    for (int k = 0; k < 2; k++) {
        const int i = first + 2 + k;
        mascon_meta both;
        if (i >= call->n_src || !call->src[i]) continue;
        const mascon_view *v = SRC(call, i);
        MASCON_TRY(masconI_check_dtype(call, i, names[k], NULL));
        MASCON_TRY(masconI_broadcast(x, v, &both));
        int fits = both.ndim == x->ndim;
        for (int32_t d = 0; fits && d < x->ndim; d++) fits = both.shape[d] == x->shape[d];
        if (!fits) {
            char a[160], b[160];
            return masconI_fail(MASCON_E_SHAPE, "%s %s does not fit input %s", names[k],
                                masconI_shape_text(v->ndim, v->shape, a),
                                masconI_shape_text(x->ndim, x->shape, b));
        }
        if (masconI_will_record(call) && masconI_needs_grad(call->src[i])) {
            masconI_fail(MASCON_E_UNSUPPORTED, "%s has no gradient", names[k]);
            return masconI_hint("%s:detach()", names[k]);
        }
    }
    return MASCON_OK;
}

static mascon_status bce_infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check_weights(call, 0));
    return infer(call, out);
}

static mascon_status bce_infer_bwd(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check_weights(call, 1));
    return infer_bwd(call, out);
}

static mascon_status grad_bce(mascon_grad *g) {
    const mascon_call *forward = g->call;
    for (int i = 0; i < 2; i++) {
        if (!g->need[i]) continue;
        mascon_tensor *src[5] = {g->dy[0]};
        for (int k = 0; k < forward->n_src && k < 4; k++) src[1 + k] = forward->src[k];
        MASCON_TRY(masconI_emit(MASCON_OP_binary_cross_entropy_with_logits_bwd, &g->dx[i],
                                1 + forward->n_src, src, "reduction",
                                forward->attr[NN_LOSS_REDUCTION], "target", (double)i, NULL));
    }
    return MASCON_OK;
}

const mascon_op mascon_op_binary_cross_entropy_with_logits = {
    .name = "binary_cross_entropy_with_logits",
    .inputs = "x target weight? pos_weight?",
    .outputs = "loss",
    .attrs = attrs,
    .n_attrs = 1,
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "cross-entropy of sigmoid(x) against target, each element by itself",
    .example = "mascon.binary_cross_entropy_with_logits(mascon.randn{4, 2}, mascon.ones{4, 2})",
    .infer = bce_infer,
    .grad = grad_bce,
    .saves = "x target weight pos_weight",
};

const mascon_op mascon_op_binary_cross_entropy_with_logits_bwd = {
    .name = "binary_cross_entropy_with_logits_bwd",
    .inputs = "dy x target weight? pos_weight?",
    .outputs = "dx",
    .attrs = bce_bwd_attrs,
    .n_attrs = sizeof bce_bwd_attrs / sizeof bce_bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of binary_cross_entropy_with_logits with respect to x or the target",
    .infer = bce_infer_bwd,
};

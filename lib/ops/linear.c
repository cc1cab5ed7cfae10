/* linear.c: y = x * transposed weight + bias, and its backward ops.
 *
 * x {..., in}, weight {out, in}, bias {out}, y {..., out}; x has one dimension or more. */
#include "ops/nn.h"

static const mascon_attr bwd_weight_attrs[] = {
    /* ORDER: NN_LINEAR_BWD_WEIGHT_BIAS */
    {"bias", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, "also the gradient of the bias"},
};

static mascon_status check_weight(const mascon_call *call) {
    const mascon_view *weight = SRC(call, 1);
    if (weight->ndim == 2) return MASCON_OK;
    char text[160];
    return masconI_fail(MASCON_E_SHAPE, "weight has %d dimension%s %s; expected 2 {out, in}",
                        weight->ndim, weight->ndim == 1 ? "" : "s",
                        masconI_shape_text(weight->ndim, weight->shape, text));
}

static mascon_status check_vector(const mascon_view *v, const char *name) {
    if (v->ndim > 0) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE, "%s is a single number; expected {..., features}", name);
}

/* out = v's shape with another last size */
static void with_features(mascon_meta *out, const mascon_view *v, int64_t features) {
    masconI_like(out, v);
    out->shape[v->ndim - 1] = features;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1);
    MASCON_TRY(check_vector(x, "input"));
    MASCON_TRY(check_weight(call));
    MASCON_TRY(masconI_check_dtype(call, 1, "weight", "x"));
    MASCON_TRY(masconI_check_dtype(call, 2, "bias", NULL));
    const int64_t features = x->shape[x->ndim - 1];
    char text[160];
    if (features != weight->shape[1]) {
        return masconI_fail(
            MASCON_E_SHAPE, "input has %lld feature%s, the layer takes %lld; input %s",
            (long long)features, features == 1 ? "" : "s", (long long)weight->shape[1],
            masconI_shape_text(x->ndim, x->shape, text));
    }
    if (call->n_src > 2 && call->src[2]) {
        const mascon_view *bias = SRC(call, 2);
        if (bias->ndim != 1 || bias->shape[0] != weight->shape[0]) {
            return masconI_fail(MASCON_E_SHAPE, "bias is %s; expected {%lld}, one per feature made",
                                masconI_shape_text(bias->ndim, bias->shape, text),
                                (long long)weight->shape[0]);
        }
    }
    with_features(&out[0], x, weight->shape[0]);
    return MASCON_OK;
}

static mascon_status infer_bwd_data(mascon_call *call, mascon_meta *out) {
    const mascon_view *dy = SRC(call, 0), *weight = SRC(call, 1);
    MASCON_TRY(check_vector(dy, "dy"));
    MASCON_TRY(check_weight(call));
    MASCON_TRY(masconI_check_dtype(call, 1, "weight", NULL));
    if (dy->shape[dy->ndim - 1] != weight->shape[0]) {
        return masconI_fail(MASCON_E_SHAPE, "dy has %lld features, the layer makes %lld",
                            (long long)dy->shape[dy->ndim - 1], (long long)weight->shape[0]);
    }
    with_features(&out[0], dy, weight->shape[1]);
    return MASCON_OK;
}

static mascon_status infer_bwd_weight(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0), *dy = SRC(call, 1);
    MASCON_TRY(check_vector(x, "x"));
    MASCON_TRY(check_vector(dy, "dy"));
    MASCON_TRY(masconI_check_dtype(call, 1, "dy", NULL));
    const int64_t made = dy->shape[dy->ndim - 1], taken = x->shape[x->ndim - 1];
    mascon_meta expected;
    with_features(&expected, x, made);
    MASCON_TRY(masconI_check_shape(call, 1, "dy", expected.ndim, expected.shape));
    masconI_meta(&out[0], x->dtype, 2, (int64_t[]){made, taken});
    call->n_dst = 1;
    if (call->attr[NN_LINEAR_BWD_WEIGHT_BIAS] != 0) {
        masconI_meta(&out[1], x->dtype, 1, &made);
        call->n_dst = 2;
    }
    return MASCON_OK;
}

/* dx = dy * weight, dw = transposed dy * x, db = dy summed over all but the features */
static mascon_status grad(mascon_grad *g) {
    const mascon_call *forward = g->call;
    const int bias = g->n_inputs > 2 && g->need[2];
    if (g->need[0]) {
        MASCON_TRY(masconI_emit(MASCON_OP_linear_bwd_data, &g->dx[0], 2,
                                (mascon_tensor *[]){g->dy[0], forward->src[1]}, NULL));
    }
    if (g->need[1]) {
        mascon_call call;
        masconI_call_init(&call, MASCON_OP_linear_bwd_weight);
        call.n_src = 2;
        call.src[0] = forward->src[0];
        call.src[1] = g->dy[0];
        masconI_call_set(&call, "bias", bias);
        MASCON_TRY(mascon_invoke(&call));
        g->dx[1] = call.dst[0];
        if (bias) g->dx[2] = call.dst[1];
    } else if (bias) {
        mascon_tensor_retain(g->dy[0]);
        return masconI_sum_to(g->dy[0], SRC(forward, 2), &g->dx[2]);
    }
    return MASCON_OK;
}

const mascon_op mascon_op_linear = {
    .name = "linear",
    .inputs = "x weight bias?",
    .outputs = "y",
    .flags = MASCON_CAST_DOWN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "x {..., in} times the transpose of weight {out, in}, plus bias {out}",
    .example = "mascon.linear(mascon.rand{2, 3}, mascon.rand{4, 3}, mascon.zeros{4})",
    .infer = infer,
    .grad = grad,
    .saves = "x weight",
};

const mascon_op mascon_op_linear_bwd_data = {
    .name = "linear_bwd_data",
    .inputs = "dy weight",
    .outputs = "dx",
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of linear with respect to its input",
    .infer = infer_bwd_data,
};

const mascon_op mascon_op_linear_bwd_weight = {
    .name = "linear_bwd_weight",
    .inputs = "x dy",
    .outputs = "dw db?",
    .attrs = bwd_weight_attrs,
    .n_attrs = sizeof bwd_weight_attrs / sizeof bwd_weight_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of linear with respect to its weight and bias",
    .infer = infer_bwd_weight,
};

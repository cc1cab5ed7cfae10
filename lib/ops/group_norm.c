/* group_norm.c: normalisation of groups of channels, each picture by itself, and its backward op;
 * also the gradient that layer_norm and group_norm share.
 *
 * x {n, c, ...}, weight and bias {c}, mean and rstd {n * groups}. */
#include "ops/norm.h"

#define GROUPS                                                                    \
    {                                                                             \
        "groups", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL, \
            "groups of channels that are normalised together"                     \
    }

static const mascon_attr attrs[] = {
    /* ORDER: NN_GROUP_NORM_* */
    GROUPS,
    {"eps", MASCON_ATTR_NUMBER, MASCON_VALUE, 1e-5, 0, MASCON_NOLIMIT, NULL,
     "added to the variance"},
};

static const mascon_attr bwd_attrs[] = {
    GROUPS,
    {"affine", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "also the gradients of weight and bias"},
};

static mascon_status check_groups(const mascon_call *call, const mascon_view *x) {
    const int64_t groups = masconI_attr_int(call, NN_GROUP_NORM_GROUPS);
    char text[160];
    if (x->ndim < 2) {
        masconI_fail(MASCON_E_SHAPE, "input has %d dimension%s %s; expected {batch, channels, ...}",
                     x->ndim, x->ndim == 1 ? "" : "s", masconI_shape_text(x->ndim, x->shape, text));
        return x->ndim == 1 ? masconI_hint("x:unsqueeze(1)") : MASCON_E_SHAPE;
    }
    if (x->shape[1] % groups == 0) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE, "%lld channels are not divisible by groups = %lld",
                        (long long)x->shape[1], (long long)groups);
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    MASCON_TRY(check_groups(call, x));
    MASCON_TRY(masconI_check_per_channel(call, 1, "weight", x->shape[1]));
    MASCON_TRY(masconI_check_per_channel(call, 2, "bias", x->shape[1]));
    const int64_t rows = x->shape[0] * masconI_attr_int(call, NN_GROUP_NORM_GROUPS);
    masconI_like(&out[0], x);
    masconI_meta(&out[1], masconI_sum_dtype(x->dtype), 1, &rows);
    masconI_meta(&out[2], masconI_sum_dtype(x->dtype), 1, &rows);
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 1);
    MASCON_TRY(masconI_check_dtype(call, 1, "x", NULL));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", x->ndim, x->shape));
    MASCON_TRY(check_groups(call, x));
    const int64_t c = x->shape[1];
    const int64_t rows = x->shape[0] * masconI_attr_int(call, NN_GROUP_NORM_GROUPS);
    MASCON_TRY(masconI_check_shape(call, 2, "mean", 1, &rows));
    MASCON_TRY(masconI_check_shape(call, 3, "rstd", 1, &rows));
    MASCON_TRY(masconI_check_per_channel(call, 4, "weight", c));
    masconI_like(&out[0], x);
    masconI_meta(&out[1], masconI_sum_dtype(x->dtype), 1, &c);
    masconI_meta(&out[2], masconI_sum_dtype(x->dtype), 1, &c);
    call->n_dst = call->attr[NN_GROUP_NORM_BWD_AFFINE] != 0 ? 3 : 1;
    return MASCON_OK;
}

/* dst[i], which a norm gives in the dtype of its sums, as the gradient of its input. */
static mascon_status give(mascon_grad *g, mascon_tensor *dst, int at) {
    const int32_t dtype = SRC(g->call, at)->dtype;
    if (mascon_see(dst)->dtype == dtype) {
        mascon_tensor_retain(dst);
        g->dx[at] = dst;
        return MASCON_OK;
    }
    return masconI_emit(MASCON_OP_cast, &g->dx[at], 1, &dst, "dtype", (double)dtype, NULL);
}

mascon_status masconI_give_gradients(mascon_grad *g, mascon_call *call, const int *at,
                                     const int *wanted) {
    mascon_status status = MASCON_OK;
    for (int i = 0; i < call->n_dst; i++) {
        if (wanted[i] && status == MASCON_OK) status = give(g, call->dst[i], at[i]);
        mascon_tensor_release(call->dst[i]);
    }
    return status;
}

mascon_status masconI_grad_norm(mascon_grad *g, int32_t op, int slots) {
    const mascon_call *forward = g->call;
    const int weight = g->n_inputs > 1 && g->need[1], bias = g->n_inputs > 2 && g->need[2];
    mascon_call call;
    masconI_call_init(&call, op);
    call.n_src = 5;
    call.src[0] = g->dy[0];
    call.src[1] = forward->src[0];
    call.src[2] = forward->dst[1];
    call.src[3] = forward->dst[2];
    call.src[4] = forward->n_src > 1 ? forward->src[1] : NULL;
    for (int i = 0; i < slots; i++) call.attr[i] = forward->attr[i];
    call.attr_set = forward->attr_set & ((1u << slots) - 1);
    masconI_call_set(&call, "affine", weight || bias);
    MASCON_TRY(mascon_invoke(&call));
    const int at[] = {0, 1, 2}, wanted[] = {g->need[0], weight, bias};
    return masconI_give_gradients(g, &call, at, wanted);
}

static mascon_status grad(mascon_grad *g) {
    return masconI_grad_norm(g, MASCON_OP_group_norm_bwd, NN_GROUP_NORM_EPS);
}

const mascon_op mascon_op_group_norm = {
    .name = "group_norm",
    .inputs = "x weight? bias?",
    .outputs = "y (mean) (rstd)",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .dtypes = MASCON_T_FLOAT,
    .summary = "normalises groups of channels of {n, c, ...}, each picture by itself",
    .example = "mascon.group_norm(mascon.randn{2, 6, 4, 4}, 3)",
    .infer = infer,
    .grad = grad,
    .saves = "x weight mean rstd",
};

const mascon_op mascon_op_group_norm_bwd = {
    .name = "group_norm_bwd",
    .inputs = "dy x mean rstd weight?",
    .outputs = "dx dweight? dbias?",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of group_norm with respect to its input, weight and bias",
    .infer = infer_bwd,
};

/* softmax.c: softmax and log_softmax over one dimension, and their backward ops. One shape for all. */
#include "ops/nn.h"

static const mascon_attr attrs[] = {
    /* ORDER: NN_SOFTMAX_DIM */
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -MASCON_NOLIMIT, MASCON_NOLIMIT, NULL,
     "dimension along which the probabilities sum to 1"},
};

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[NN_SOFTMAX_DIM], SRC(call, 0)->ndim, &dim));
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *y = SRC(call, 1);
    MASCON_TRY(masconI_check_dtype(call, 1, "y", NULL));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", y->ndim, y->shape));
    return infer(call, out);
}

/* softmax: dx = y * (dy - sum(dy * y)); log_softmax: dx = dy - exp(y) * sum(dy) */
static mascon_status emit(mascon_grad *g, int32_t op) {
    return masconI_emit(op, &g->dx[0], 2, (mascon_tensor *[]){g->dy[0], g->call->dst[0]}, "dim",
                        g->call->attr[NN_SOFTMAX_DIM], NULL);
}

static mascon_status grad_softmax(mascon_grad *g) { return emit(g, MASCON_OP_softmax_bwd); }

static mascon_status grad_log_softmax(mascon_grad *g) { return emit(g, MASCON_OP_log_softmax_bwd); }

const mascon_op mascon_op_softmax = {
    .name = "softmax",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "exp(x) divided by its sum along dim",
    .example = "mascon.softmax(mascon.randn{2, 3}, 2)",
    .infer = infer,
    .grad = grad_softmax,
    .saves = "y",
};

const mascon_op mascon_op_softmax_bwd = {
    .name = "softmax_bwd",
    .inputs = "dy y",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of softmax: y * (dy - sum(dy * y))",
    .infer = infer_bwd,
};

const mascon_op mascon_op_log_softmax = {
    .name = "log_softmax",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_UP,
    .dtypes = MASCON_T_FLOAT,
    .summary = "the logarithm of softmax along dim",
    .example = "mascon.log_softmax(mascon.randn{2, 3}, 2)",
    .infer = infer,
    .grad = grad_log_softmax,
    .saves = "y",
};

const mascon_op mascon_op_log_softmax_bwd = {
    .name = "log_softmax_bwd",
    .inputs = "dy y",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of log_softmax: dy - exp(y) * sum(dy)",
    .infer = infer_bwd,
};

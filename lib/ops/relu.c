/* relu.c: max(x, 0) and its backward op. */
#include "ops/support.h"

/* dx = 0 where y <= 0, else dy */
static mascon_status grad(mascon_grad *g) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_relu_bwd);
    call.n_src = 2;
    call.src[0] = g->dy[0];
    call.src[1] = g->call->dst[0];
    MASCON_TRY(masconI_invoke_over(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_relu = {
    .name = "relu",
    .inputs = "x",
    .outputs = "y",
    .flags = MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_NUMBER,
    .summary = "max(x, 0), element by element",
    .example = "mascon.relu(mascon.tensor{-1, 2})",
    .infer = masconI_infer_one_shape,
    .grad = grad,
    .saves = "y",
};

const mascon_op mascon_op_relu_bwd = {
    .name = "relu_bwd",
    .inputs = "dy y",
    .outputs = "dx",
    .flags = MASCON_OPF_BACKWARD | MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_NUMBER,
    .summary = "gradient of relu: 0 where y <= 0, else dy",
    .infer = masconI_infer_one_shape,
};

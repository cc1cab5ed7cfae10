/* conv2d_relu.c: relu of a 2-D convolution in one op, as neighbouring layers run it.
 *
 * The result is kept for the gradient and the convolution's own is not: a masked gradient is dy where
 * y > 0. Values and gradients have the bits that conv2d and relu give. */
#include "ops/conv2d.h"

static const mascon_attr attrs[] = {
    CONV2D_WINDOW_ATTRS,
    {"masked", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL,
     "the gradient that comes in is 0 where y is 0 or less"},
};

static mascon_status grad(mascon_grad *g) {
    if (g->call->attr[NN_CONV2D_RELU_MASKED] != 0) return masconI_conv2d_grad(g, g->dy[0]);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_relu_bwd);
    call.n_src = 2;
    call.src[0] = g->dy[0];
    call.src[1] = g->call->dst[0];
    MASCON_TRY(masconI_invoke_over(&call));
    const mascon_status status = masconI_conv2d_grad(g, call.dst[0]);
    mascon_tensor_release(call.dst[0]);
    return status;
}

const mascon_op mascon_op_conv2d_relu = {
    .name = "conv2d_relu",
    .inputs = "x weight bias?",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_DOWN | MASCON_OPF_HIDDEN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "relu of a 2-D convolution",
    .infer = masconI_conv2d_infer,
    .grad = grad,
    .saves = "x weight y",
};

/* activation.c: activation functions but relu, and their backward ops. One shape for all tensors.
 *
 * Where the slope follows from y alone, y is saved and the op may work in place inside a graph;
 * leaky_relu and elu therefore take no negative slope or alpha.
 */
#include "ops/elementwise.h"

#define LIMIT MASCON_NOLIMIT

static const mascon_attr leaky_relu_attrs[] = {
    {"negative_slope", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.01, 0, LIMIT, NULL,
     "slope where x is negative"},
};

static const mascon_attr elu_attrs[] = {
    {"alpha", MASCON_ATTR_NUMBER, MASCON_VALUE, 1, 0, LIMIT, NULL,
     "-alpha is the limit for very negative x"},
};

static const mascon_attr softplus_attrs[] = {
    {"beta", MASCON_ATTR_NUMBER, MASCON_VALUE, 1, -LIMIT, LIMIT, NULL, "sharpness of the bend"},
    {"threshold", MASCON_ATTR_NUMBER, MASCON_VALUE, 20, -LIMIT, LIMIT, NULL,
     "where x * beta is above it, the result is x"},
};

static const mascon_attr gelu_attrs[] = {
    {"approximate", MASCON_ATTR_CHOICE, MASCON_KEY, 0, 0, 1, "none tanh",
     "\"none\": with erf; \"tanh\": the approximation with tanh"},
};

/* Emits the backward op over dy and what the row saves (y if it saves y, else x). */
static mascon_status emit(mascon_grad *g, int32_t op, mascon_tensor *saved) {
    return masconI_emit_same(g, op, &g->dx[0], 2, (mascon_tensor *[]){g->dy[0], saved});
}

#define ACTIVATION_NO_OPTIONS .attrs = NULL, .n_attrs = 0,
#define ACTIVATION_OPTIONS(list) .attrs = list, .n_attrs = sizeof list / sizeof list[0],

#define ACTIVATION(op, options, flags_, dtypes_, summary_, saved, saved_tensor, slope) \
    static mascon_status grad_##op(mascon_grad *g) {                                   \
        return emit(g, MASCON_OP_##op##_bwd, g->call->saved_tensor);                   \
    }                                                                                  \
    const mascon_op mascon_op_##op = {                                                 \
        .name = #op,                                                                   \
        .inputs = "x",                                                                 \
        .outputs = "y",                                                                \
        options.flags = flags_,                                                        \
        .dtypes = dtypes_,                                                             \
        .summary = summary_,                                                           \
        .example = "mascon." #op "(mascon.tensor{-1, 2})",                             \
        .infer = masconI_infer_one_shape,                                              \
        .grad = grad_##op,                                                             \
        .saves = saved,                                                                \
    };                                                                                 \
    const mascon_op mascon_op_##op##_bwd = {                                           \
        .name = #op "_bwd",                                                            \
        .inputs = "dy " saved,                                                         \
        .outputs = "dx",                                                               \
        options.flags = MASCON_OPF_BACKWARD,                                           \
        .dtypes = MASCON_T_FLOAT,                                                      \
        .summary = "gradient of " #op ": dy times " slope,                             \
        .infer = masconI_infer_one_shape,                                              \
    };

#define IN_PLACE MASCON_OPF_IN_PLACE
#define FLOAT MASCON_OPF_FLOAT

ACTIVATION(sigmoid, ACTIVATION_NO_OPTIONS, IN_PLACE | FLOAT, MASCON_T_FLOAT, "1 / (1 + exp(-x))",
           "y", dst[0], "y * (1 - y)")
ACTIVATION(tanh, ACTIVATION_NO_OPTIONS, IN_PLACE | FLOAT, MASCON_T_FLOAT,
           "the hyperbolic tangent of x", "y", dst[0], "1 - y * y")
ACTIVATION(relu6, ACTIVATION_NO_OPTIONS, IN_PLACE, MASCON_T_NUMBER, "x brought into 0..6", "y",
           dst[0], "1 where 0 < y < 6, else 0")
ACTIVATION(leaky_relu, ACTIVATION_OPTIONS(leaky_relu_attrs), IN_PLACE, MASCON_T_FLOAT,
           "x where it is positive, else negative_slope * x", "y", dst[0],
           "1 where y > 0, else negative_slope")
ACTIVATION(elu, ACTIVATION_OPTIONS(elu_attrs), IN_PLACE, MASCON_T_FLOAT,
           "x where it is positive, else alpha * (exp(x) - 1)", "y", dst[0],
           "1 where y > 0, else y + alpha")
ACTIVATION(softplus, ACTIVATION_OPTIONS(softplus_attrs), MASCON_CAST_UP, MASCON_T_FLOAT,
           "log(1 + exp(beta * x)) / beta", "x", src[0], "sigmoid(beta * x)")
ACTIVATION(gelu, ACTIVATION_OPTIONS(gelu_attrs), 0, MASCON_T_FLOAT,
           "x times the normal distribution function of x", "x", src[0], "its slope at x")
ACTIVATION(silu, ACTIVATION_NO_OPTIONS, IN_PLACE, MASCON_T_FLOAT, "x * sigmoid(x)", "x", src[0],
           "s * (1 + x * (1 - s)) with s = sigmoid(x)")
ACTIVATION(hardswish, ACTIVATION_NO_OPTIONS, IN_PLACE, MASCON_T_FLOAT, "x * relu6(x + 3) / 6", "x",
           src[0], "0 below -3, 1 above 3, x / 3 + 0.5 between")
ACTIVATION(hardsigmoid, ACTIVATION_NO_OPTIONS, IN_PLACE, MASCON_T_FLOAT, "relu6(x + 3) / 6", "y",
           dst[0], "1/6 where 0 < y < 1, else 0")

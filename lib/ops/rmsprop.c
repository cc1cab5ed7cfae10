/* rmsprop.c: one step of RMSprop over a list of parameters, in place. */
#include "ops/nn.h"

/* ORDER: NN_RMSPROP_* in nn.h */
static const mascon_attr attrs[] = {
    {"lr", MASCON_ATTR_NUMBER, MASCON_LIVE, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "learning rate"},
    {"alpha", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.99, 0, MASCON_NOLIMIT, NULL,
     "decay of the mean square"},
    {"eps", MASCON_ATTR_NUMBER, MASCON_VALUE, 1e-8, 0, MASCON_NOLIMIT, NULL,
     "added to the root of the mean square"},
    {"weight_decay", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, MASCON_NOLIMIT, NULL,
     "share of the parameter added to its gradient"},
    {"momentum", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, MASCON_NOLIMIT, NULL,
     "share of the last steps that goes on"},
    {"centered", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL,
     "take the mean gradient's square from the mean square"},
    {"maximize", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL, "climb instead of descend"},
};

/* The mean gradients are in the list only where centered, the momenta, the last group, only where
 * momentum is not 0. */
static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const int centered = call->attr[NN_RMSPROP_CENTERED] != 0;
    const int momentum = call->attr[NN_RMSPROP_MOMENTUM] != 0;
    const char *const names[] = {"params", "grads", "square_avg",
                                 centered ? "grad_avg" : "momentum_buffer", "momentum_buffer"};
    (void)out;
    call->n_dst = 0;
    return masconI_check_groups(call, 3 + centered + momentum, names);
}

const mascon_op mascon_op_rmsprop = {
    .name = "rmsprop",
    .inputs = "params* grads* square_avg* grad_avg* momentum_buffer*",
    .outputs = "",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_LIST | MASCON_OPF_WRITES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "one step of RMSprop, in place",
    .infer = infer,
};

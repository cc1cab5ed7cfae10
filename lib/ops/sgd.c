/* sgd.c: one step of stochastic gradient descent over a list of parameters, in place. */
#include "ops/nn.h"

/* ORDER: NN_SGD_* in nn.h */
static const mascon_attr attrs[] = {
    {"lr", MASCON_ATTR_NUMBER, MASCON_LIVE, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "learning rate"},
    {"momentum", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, MASCON_NOLIMIT, NULL,
     "share of the last steps that goes on"},
    {"dampening", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, -MASCON_NOLIMIT, MASCON_NOLIMIT, NULL,
     "share of the gradient kept from the momentum"},
    {"weight_decay", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, MASCON_NOLIMIT, NULL,
     "share of the parameter added to its gradient"},
    {"nesterov", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL, "Nesterov's momentum"},
    {"maximize", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL, "climb instead of descend"},
    {"first", MASCON_ATTR_BOOLEAN, MASCON_LIVE, 0, 0, 1, NULL,
     "the momenta are not set yet: they become the gradients"},
};

/* The momenta are in the list only where momentum is not 0. */
static mascon_status infer(mascon_call *call, mascon_meta *out) {
    static const char *const names[] = {"params", "grads", "momenta"};
    (void)out;
    const double momentum = call->attr[NN_SGD_MOMENTUM];
    if (call->attr[NN_SGD_NESTEROV] != 0 && (momentum <= 0 || call->attr[NN_SGD_DAMPENING] != 0)) {
        return masconI_fail(MASCON_E_ARG,
                            "nesterov needs a momentum above 0 and no dampening; momentum is %g, "
                            "dampening is %g",
                            momentum, call->attr[NN_SGD_DAMPENING]);
    }
    call->n_dst = 0;
    return masconI_check_groups(call, momentum != 0 ? 3 : 2, names);
}

const mascon_op mascon_op_sgd = {
    .name = "sgd",
    .inputs = "params* grads* momenta*",
    .outputs = "",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_LIST | MASCON_OPF_WRITES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "one step of stochastic gradient descent, in place",
    .infer = infer,
};

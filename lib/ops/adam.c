/* adam.c: one step of Adam or AdamW over a list of parameters, in place. */
#include "ops/nn.h"

/* ORDER: NN_ADAM_* in nn.h */
static const mascon_attr attrs[] = {
    {"lr", MASCON_ATTR_NUMBER, MASCON_LIVE, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "learning rate"},
    {"beta1", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.9, 0, 1, NULL, "decay of the mean gradient"},
    {"beta2", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.999, 0, 1, NULL, "decay of the mean square"},
    {"eps", MASCON_ATTR_NUMBER, MASCON_VALUE, 1e-8, 0, MASCON_NOLIMIT, NULL,
     "added to the root of the mean square"},
    {"weight_decay", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, MASCON_NOLIMIT, NULL,
     "share of the parameter added to its gradient, or taken from it where decoupled"},
    {"amsgrad", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL,
     "divide by the largest mean square so far"},
    {"maximize", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL, "climb instead of descend"},
    {"decoupled", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL, "AdamW's weight decay"},
    {"step", MASCON_ATTR_INTEGER, MASCON_LIVE, MASCON_REQUIRED, 1, 0x1p53, NULL,
     "number of this step, from 1"},
};

/* The largest squares are in the list only with amsgrad. */
static mascon_status infer(mascon_call *call, mascon_meta *out) {
    static const char *const names[] = {"params", "grads", "exp_avg", "exp_avg_sq",
                                        "max_exp_avg_sq"};
    (void)out;
    for (int slot = NN_ADAM_BETA1; slot <= NN_ADAM_BETA2; slot++) {
        if (call->attr[slot] >= 1) { /* the correction would divide by 0 */
            return masconI_fail(MASCON_E_ARG, "beta%d is %g; must be at least 0 and below 1",
                                slot - NN_ADAM_BETA1 + 1, call->attr[slot]);
        }
    }
    call->n_dst = 0;
    return masconI_check_groups(call, call->attr[NN_ADAM_AMSGRAD] != 0 ? 5 : 4, names);
}

const mascon_op mascon_op_adam = {
    .name = "adam",
    .inputs = "params* grads* exp_avg* exp_avg_sq* max_exp_avg_sq*",
    .outputs = "",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_LIST | MASCON_OPF_WRITES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "one step of Adam, or AdamW, in place",
    .infer = infer,
};

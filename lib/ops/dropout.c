/* dropout.c: zeroes random elements and scales the rest, and its backward op. One shape for all.
 *
 * Which elements go depends on the random state and the logical index alone, so the backward op
 * draws the same ones again and nothing is saved. */
#include "ops/nn.h"

/* ORDER: NN_DROPOUT_* in nn.h */
static const mascon_attr attrs[] = {
    {"p", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.5, 0, 1, NULL,
     "probability of an element to become 0"},
    {"training", MASCON_ATTR_BOOLEAN, MASCON_KEY, 1, 0, 1, NULL, "false: a plain copy"},
};

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

/* The random state is copied with the options. */
static mascon_status grad(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_dropout_bwd, &g->dx[0], 1, &g->dy[0]);
}

const mascon_op mascon_op_dropout = {
    .name = "dropout",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_RANDOM | MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_FLOAT,
    .summary = "zeroes each element with probability p and divides the others by 1 - p",
    .example = "mascon.dropout(mascon.ones{2, 3}, {p = 0.2})",
    .infer = infer,
    .grad = grad,
};

const mascon_op mascon_op_dropout_bwd = {
    .name = "dropout_bwd",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of dropout: dy treated as x was",
    .infer = infer,
};

/* dropout2d.c: dropout of whole channels, and its backward op. x, y {n, c, h, w}.
 *
 * Channel c of picture n is kept or not by word n * C + c of the random stream, so the backward op
 * draws the same ones again and nothing is saved. */
#include "ops/nn.h"

static const mascon_attr attrs[] = {
    /* ORDER: NN_DROPOUT_*, as dropout */
    {"p", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.5, 0, 1, NULL,
     "probability of a channel to become 0"},
    {"training", MASCON_ATTR_BOOLEAN, MASCON_KEY, 1, 0, 1, NULL, "false: a plain copy"},
};

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

/* The random state is copied with the options. */
static mascon_status grad(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_dropout2d_bwd, &g->dx[0], 1, &g->dy[0]);
}

const mascon_op mascon_op_dropout2d = {
    .name = "dropout2d",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_RANDOM | MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_FLOAT,
    .summary =
        "zeroes each channel of {n, c, h, w} with probability p and divides the others by "
        "1 - p",
    .example = "mascon.dropout2d(mascon.ones{1, 8, 2, 2}, {p = 0.2})",
    .infer = infer,
    .grad = grad,
};

const mascon_op mascon_op_dropout2d_bwd = {
    .name = "dropout2d_bwd",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of dropout2d: dy treated as x was",
    .infer = infer,
};

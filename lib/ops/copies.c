/* copies.c: copies that change memory, dtype or device, never values' order. */
#include "ops/support.h"

static mascon_status like_infer(mascon_call *call, mascon_meta *out) {
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

/* ---- copy ---- */

static mascon_status copy_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0), *source = SRC(call, 1);
    mascon_meta both;
    MASCON_TRY(masconI_broadcast(x, source, &both));
    int fits = both.ndim == x->ndim;
    for (int32_t d = 0; fits && d < x->ndim; d++) fits = both.shape[d] == x->shape[d];
    if (!fits) {
        char a[160], b[160];
        return masconI_fail(MASCON_E_SHAPE, "source %s does not fit into x %s",
                            masconI_shape_text(source->ndim, source->shape, a),
                            masconI_shape_text(x->ndim, x->shape, b));
    }
    masconI_like(&out[0], x);
    return MASCON_OK;
}

/* Nothing of the old values is left: only source gets a gradient. */
static mascon_status copy_grad(mascon_grad *g) {
    const mascon_view *source = SRC(g->call, 1);
    if (!g->need[1]) return MASCON_OK;
    mascon_tensor *d = g->dy[0];
    if (mascon_see(d)->dtype != source->dtype) {
        MASCON_TRY(
            masconI_emit(MASCON_OP_cast, &d, 1, &g->dy[0], "dtype", (double)source->dtype, NULL));
    } else {
        mascon_tensor_retain(d);
    }
    return masconI_sum_to(d, source, &g->dx[1]);
}

const mascon_op mascon_op_copy = {
    .name = "copy",
    .inputs = "x source",
    .outputs = "y",
    .flags = MASCON_OPF_IN_PLACE | MASCON_OPF_EXACT,
    .dtypes = MASCON_T_ALL,
    .summary = "sets x to the elements of source, converted and broadcast to x",
    .example = "mascon.zeros{2, 3}:copy_(mascon.ones{3})",
    .infer = copy_infer,
    .grad = copy_grad,
};

/* ---- cast ---- */

static const mascon_attr cast_attrs[] = {
    {"dtype", MASCON_ATTR_DTYPE, MASCON_KEY, MASCON_REQUIRED, 0, MASCON_DTYPE_COUNT - 1, NULL,
     "type of the result"},
};

static mascon_status cast_infer(mascon_call *call, mascon_meta *out) {
    masconI_like(&out[0], SRC(call, 0));
    out[0].dtype = (int32_t)call->attr[0];
    return MASCON_OK;
}

static mascon_status cast_grad(mascon_grad *g) {
    return masconI_emit(MASCON_OP_cast, &g->dx[0], 1, &g->dy[0], "dtype",
                        (double)SRC(g->call, 0)->dtype, NULL);
}

const mascon_op mascon_op_cast = {
    .name = "cast",
    .inputs = "x",
    .outputs = "y",
    .attrs = cast_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_EXACT,
    .dtypes = MASCON_T_ALL,
    .summary = "x with another type of elements; to whole numbers toward zero",
    .example = "mascon.tensor{1.5, 2}:cast(\"int64\")",
    .infer = cast_infer,
    .grad = cast_grad,
};

/* ---- clone, contiguous ---- */

const mascon_op mascon_op_clone = {
    .name = "clone",
    .inputs = "x",
    .outputs = "y",
    .flags = MASCON_OPF_EXACT,
    .dtypes = MASCON_T_ALL,
    .summary = "a copy of x in memory of its own",
    .example = "mascon.ones{2, 3}:clone()",
    .infer = like_infer,
    .grad = masconI_grad_pass,
};

const mascon_op mascon_op_contiguous = {
    .name = "contiguous",
    .inputs = "x",
    .outputs = "y",
    .flags = MASCON_OPF_EXACT,
    .dtypes = MASCON_T_ALL,
    .summary = "x with its elements dense in row-major order",
    .example = "mascon.ones{2, 3}:t():contiguous()",
    .infer = like_infer,
    .grad = masconI_grad_pass,
};

/* ---- transfer ---- */

static const mascon_attr transfer_attrs[] = {
    {"device", MASCON_ATTR_DEVICE, MASCON_KEY, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "where the copy lives"},
};

static mascon_status transfer_grad(mascon_grad *g) {
    return masconI_emit(MASCON_OP_transfer, &g->dx[0], 1, &g->dy[0], "device",
                        (double)SRC(g->call, 0)->device, NULL);
}

const mascon_op mascon_op_transfer = {
    .name = "transfer",
    .inputs = "x",
    .outputs = "y",
    .attrs = transfer_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_HIDDEN | MASCON_OPF_EXACT,
    .dtypes = MASCON_T_ALL,
    .summary = "a copy of x on a device",
    .infer = like_infer,
    .grad = transfer_grad,
};

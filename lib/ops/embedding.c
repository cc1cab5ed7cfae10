/* embedding.c: rows of a table by number. index {...}, weight {rows, size}, y {..., size}; numbers
 * count from the option base. The gradient adds the rows of dy where they came from; the row
 * padding_idx gets none. */
#include "ops/support.h"

static const mascon_attr attrs[] = {
    {"base", MASCON_ATTR_BASE, MASCON_VALUE, 0, 0, 1, NULL, "number of the first row"},
    {"padding_idx", MASCON_ATTR_INDEX, MASCON_VALUE, MASCON_ABSENT, -0x1p53, 0x1p53, NULL,
     "the row that gets no gradient"},
};

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *index = SRC(call, 0), *weight = SRC(call, 1);
    char text[160];
    if (weight->ndim != 2) {
        return masconI_fail(MASCON_E_SHAPE, "weight has %d dimension%s %s; expected {rows, size}",
                            weight->ndim, weight->ndim == 1 ? "" : "s",
                            masconI_shape_text(weight->ndim, weight->shape, text));
    }
    if (index->ndim == MASCON_MAX_DIMS) {
        return masconI_fail(MASCON_E_SHAPE, "%d dimensions; at most %d are supported",
                            index->ndim + 1, MASCON_MAX_DIMS);
    }
    const double padding = call->attr[1], rows = (double)weight->shape[0];
    if (masconI_given(call, 1) && (padding < -rows || padding >= rows)) {
        return masconI_fail(MASCON_E_INDEX, "padding_idx is %.0f; weight has %.0f rows",
                            padding < 0 ? padding : padding + call->attr[0], rows);
    }
    masconI_meta(&out[0], weight->dtype, index->ndim, index->shape);
    out[0].shape[out[0].ndim++] = weight->shape[1];
    return MASCON_OK;
}

/* Sets row `padding` of dweight, counted from the end where negative, to 0. */
static mascon_status clear_row(mascon_tensor *dweight, double padding) {
    const double rows = (double)mascon_see(dweight)->shape[0];
    mascon_tensor *row;
    MASCON_TRY(masconI_emit(MASCON_OP_narrow, &row, 1, &dweight, "dim", 0.0, "start",
                            padding < 0 ? padding + rows : padding, "length", 1.0, NULL));
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_fill);
    call.n_src = 1;
    call.src[0] = call.dst[0] = row;
    masconI_call_set(&call, "value", 0);
    const mascon_status status = mascon_invoke(&call);
    mascon_tensor_release(row);
    return status;
}

/* dweight = zeros with the rows of dy added at the positions */
static mascon_status grad(mascon_grad *g) {
    if (!g->need[1]) return MASCON_OK;
    const mascon_view *index = SRC(g->call, 0), *weight = SRC(g->call, 1);
    mascon_tensor *zeros = NULL, *flat = NULL, *rows = NULL;
    mascon_status status = masconI_zeros_like(weight, &zeros);
    if (status == MASCON_OK) {
        status = masconI_reshape_to(g->call->src[0], 1, &index->numel, &flat);
    }
    if (status == MASCON_OK) {
        status =
            masconI_reshape_to(g->dy[0], 2, (int64_t[]){index->numel, weight->shape[1]}, &rows);
    }
    if (status == MASCON_OK) {
        status =
            masconI_emit(MASCON_OP_index_add, &g->dx[1], 3, (mascon_tensor *[]){zeros, flat, rows},
                         "dim", 0.0, "base", g->call->attr[0], NULL);
    }
    if (status == MASCON_OK && masconI_given(g->call, 1)) {
        status = clear_row(g->dx[1], g->call->attr[1]);
    }
    mascon_tensor_release(rows);
    mascon_tensor_release(flat);
    mascon_tensor_release(zeros);
    return status;
}

const mascon_op mascon_op_embedding = {
    .name = "embedding",
    .inputs = "index weight",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .dtypes = MASCON_T_I64 | MASCON_T_I32,
    .summary = "the rows of weight {rows, size} that index names",
    .example = "mascon.embedding(mascon.tensor({1, 3}, {dtype = \"int64\"}), mascon.eye(3))",
    .infer = infer,
    .grad = grad,
    .saves = "index",
};

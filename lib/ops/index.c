/* index.c: ops that address elements by positions or masks held in other tensors. Positions count
 * from the option base; inside tensors they never count from the end. */
#include "core/internal.h"
#include "ops/compose.h"
#include "ops/support.h"

#define LIMIT MASCON_NOLIMIT
#define BASE_OPTION \
    { "base", MASCON_ATTR_BASE, MASCON_KEY, 0, 0, 1, NULL, "number of the first position" }

static const mascon_attr dim_base_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "the dimension that is indexed"},
    BASE_OPTION,
};

enum { DIM, BASE };

/* Emits an op with the same dim and base over the sources. */
static mascon_status emit_indexed(const mascon_grad *g, int32_t op, mascon_tensor **out,
                                  int32_t n_src, mascon_tensor *const *src) {
    return masconI_emit(op, out, n_src, src, "dim", g->call->attr[DIM], "base", g->call->attr[BASE],
                        NULL);
}

/* dx = zeros like x with dy added at the positions */
static mascon_status add_into_zeros(mascon_grad *g, int32_t op) {
    mascon_tensor *zeros;
    MASCON_TRY(masconI_zeros_like(SRC(g->call, 0), &zeros));
    mascon_status status =
        emit_indexed(g, op, &g->dx[0], 3, (mascon_tensor *[]){zeros, g->call->src[1], g->dy[0]});
    mascon_tensor_release(zeros);
    return status;
}

/* ---- index_select, index_add ---- */

static mascon_status check_rows(const mascon_call *call, int32_t *dim) {
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1);
    MASCON_TRY(masconI_check_index("index", index));
    if (index->ndim > 1) {
        return masconI_fail(MASCON_E_SHAPE, "index has %d dimensions; expected 1", index->ndim);
    }
    if (x->ndim == 0) return masconI_fail(MASCON_E_SHAPE, "x is 0-dimensional");
    return masconI_dim(call->attr[DIM], x->ndim, dim);
}

static mascon_status index_select_infer(mascon_call *call, mascon_meta *out) {
    int32_t dim;
    MASCON_TRY(check_rows(call, &dim));
    masconI_like(&out[0], SRC(call, 0));
    out[0].shape[dim] = SRC(call, 1)->numel;
    return MASCON_OK;
}

static mascon_status index_select_grad(mascon_grad *g) {
    return add_into_zeros(g, MASCON_OP_index_add);
}

const mascon_op mascon_op_index_select = {
    .name = "index_select",
    .inputs = "x index",
    .outputs = "y",
    .attrs = dim_base_attrs,
    .n_attrs = 2,
    .dtypes = MASCON_T_ALL,
    .summary = "the positions of a dimension that index names, in its order",
    .example = "mascon.eye(3):index_select(1, mascon.tensor({3, 1}, {dtype = \"int64\"}))",
    .infer = index_select_infer,
    .grad = index_select_grad,
    .saves = "index",
};

static mascon_status check_source_dtype(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *source = SRC(call, 2);
    if (x->dtype == source->dtype) return MASCON_OK;
    masconI_fail(MASCON_E_DTYPE, "dtypes %s and %s", mascon_dtype_name(x->dtype),
                 mascon_dtype_name(source->dtype));
    return masconI_hint("source:to(\"%s\")", mascon_dtype_name(x->dtype));
}

static mascon_status index_add_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0), *source = SRC(call, 2);
    int32_t dim;
    MASCON_TRY(check_rows(call, &dim));
    MASCON_TRY(check_source_dtype(call));
    int fits = source->ndim == x->ndim;
    for (int32_t d = 0; fits && d < x->ndim; d++) {
        fits = source->shape[d] == (d == dim ? SRC(call, 1)->numel : x->shape[d]);
    }
    if (!fits) {
        char a[160], b[160];
        return masconI_fail(MASCON_E_SHAPE, "source %s does not fit x %s with %lld positions",
                            masconI_shape_text(source->ndim, source->shape, a),
                            masconI_shape_text(x->ndim, x->shape, b),
                            (long long)SRC(call, 1)->numel);
    }
    masconI_like(&out[0], x);
    return MASCON_OK;
}

static mascon_status index_add_grad(mascon_grad *g) {
    if (g->need[0]) MASCON_TRY(masconI_grad_pass(g));
    if (!g->need[2]) return MASCON_OK;
    return emit_indexed(g, MASCON_OP_index_select, &g->dx[2], 2,
                        (mascon_tensor *[]){g->dy[0], g->call->src[1]});
}

const mascon_op mascon_op_index_add = {
    .name = "index_add",
    .inputs = "x index source",
    .outputs = "y",
    .attrs = dim_base_attrs,
    .n_attrs = 2,
    .flags = MASCON_CAST_WIDEST,
    .dtypes = MASCON_T_ALL,
    .summary = "x with the positions of source added at the positions that index names",
    .example =
        "mascon.zeros{3}:index_add(1, mascon.tensor({3, 3}, {dtype = \"int64\"}), "
        "mascon.ones{2})",
    .infer = index_add_infer,
    .grad = index_add_grad,
    .saves = "index",
};

/* ---- gather, scatter_add ---- */

/* index has x's dimensions and passes it nowhere but along dim. */
static mascon_status check_positions(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1);
    int32_t dim;
    char a[160], b[160];
    MASCON_TRY(masconI_check_index("index", index));
    MASCON_TRY(masconI_dim(call->attr[DIM], x->ndim, &dim));
    int fits = index->ndim == x->ndim;
    for (int32_t d = 0; fits && d < x->ndim; d++) {
        fits = d == dim || index->shape[d] <= x->shape[d];
    }
    if (fits) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE,
                        "index %s does not fit x %s; only dimension %d may be "
                        "larger",
                        masconI_shape_text(index->ndim, index->shape, a),
                        masconI_shape_text(x->ndim, x->shape, b), dim + 1);
}

static mascon_status gather_infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check_positions(call));
    masconI_like(&out[0], SRC(call, 1));
    out[0].dtype = SRC(call, 0)->dtype;
    return MASCON_OK;
}

static mascon_status gather_grad(mascon_grad *g) {
    return add_into_zeros(g, MASCON_OP_scatter_add);
}

const mascon_op mascon_op_gather = {
    .name = "gather",
    .inputs = "x index",
    .outputs = "y",
    .attrs = dim_base_attrs,
    .n_attrs = 2,
    .dtypes = MASCON_T_ALL,
    .summary = "for each element of index the element of x at that position along dim",
    .example = "mascon.eye(3):gather(2, mascon.tensor({{1}, {2}, {1}}, {dtype = \"int64\"}))",
    .infer = gather_infer,
    .grad = gather_grad,
    .saves = "index",
};

static mascon_status scatter_add_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *index = SRC(call, 1), *source = SRC(call, 2);
    MASCON_TRY(check_positions(call));
    MASCON_TRY(check_source_dtype(call));
    if (!masconI_same_shape(index, source)) {
        char a[160], b[160];
        return masconI_fail(MASCON_E_SHAPE, "index is %s, source is %s",
                            masconI_shape_text(index->ndim, index->shape, a),
                            masconI_shape_text(source->ndim, source->shape, b));
    }
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

static mascon_status scatter_add_grad(mascon_grad *g) {
    if (g->need[0]) MASCON_TRY(masconI_grad_pass(g));
    if (!g->need[2]) return MASCON_OK;
    return emit_indexed(g, MASCON_OP_gather, &g->dx[2], 2,
                        (mascon_tensor *[]){g->dy[0], g->call->src[1]});
}

const mascon_op mascon_op_scatter_add = {
    .name = "scatter_add",
    .inputs = "x index source",
    .outputs = "y",
    .attrs = dim_base_attrs,
    .n_attrs = 2,
    .flags = MASCON_CAST_WIDEST,
    .dtypes = MASCON_T_ALL,
    .summary = "x with each element of source added at its position along dim",
    .example =
        "mascon.zeros{3}:scatter_add(1, mascon.tensor({3, 3}, {dtype = \"int64\"}), "
        "mascon.ones{2})",
    .infer = scatter_add_infer,
    .grad = scatter_add_grad,
    .saves = "index",
};

/* ---- masks ---- */

static mascon_status check_mask(const mascon_view *mask) {
    if (mask->dtype == MASCON_DTYPE_BOOL) return MASCON_OK;
    masconI_fail(MASCON_E_DTYPE, "mask is %s; expected bool", mascon_dtype_name(mask->dtype));
    return masconI_hint("mask:to(\"bool\")");
}

static const mascon_attr masked_fill_attrs[] = {
    {"value", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "the value under the mask"},
};

static mascon_status masked_fill_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0), *mask = SRC(call, 1);
    mascon_meta both;
    MASCON_TRY(check_mask(mask));
    MASCON_TRY(masconI_check_value("value", call->attr[0], x->dtype));
    MASCON_TRY(masconI_broadcast(x, mask, &both));
    int fits = both.ndim == x->ndim;
    for (int32_t d = 0; fits && d < x->ndim; d++) fits = both.shape[d] == x->shape[d];
    if (!fits) {
        char a[160], b[160];
        return masconI_fail(MASCON_E_SHAPE, "mask %s does not fit into x %s",
                            masconI_shape_text(mask->ndim, mask->shape, a),
                            masconI_shape_text(x->ndim, x->shape, b));
    }
    masconI_like(&out[0], x);
    return MASCON_OK;
}

static mascon_status masked_fill_grad(mascon_grad *g) {
    if (!g->need[0]) return MASCON_OK;
    return masconI_emit(MASCON_OP_masked_fill, &g->dx[0], 2,
                        (mascon_tensor *[]){g->dy[0], g->call->src[1]}, "value", 0.0, NULL);
}

const mascon_op mascon_op_masked_fill = {
    .name = "masked_fill",
    .inputs = "x mask",
    .outputs = "y",
    .attrs = masked_fill_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_ALL,
    .summary = "x with a value wherever the mask is true; the mask is broadcast to x",
    .example = "mascon.ones{2, 2}:masked_fill(mascon.eye(2):to(\"bool\"), 0)",
    .infer = masked_fill_infer,
    .grad = masked_fill_grad,
    .saves = "mask",
};

/* How many elements there will be can only be told from values, which a shape alone does not have. */
static mascon_status readable(const char *name, const mascon_view *v) {
    if (v->data || v->numel == 0) return MASCON_OK;
    return masconI_fail(MASCON_E_UNSUPPORTED,
                        "the size of the result depends on the values of %s, which has none", name);
}

/* The value of op over all of t, which lies on another device. This waits for the device. */
static mascon_status read_reduced(mascon_tensor *t, int32_t op, int64_t *out) {
    masconI_chain chain = {0};
    mascon_tensor *x = t, *result;
    double value;
    if (op == MASCON_OP_sum && mascon_see(t)->dtype != MASCON_DTYPE_BOOL) {
        x = masconI_step_number(&chain, MASCON_OP_ne, t, 0);
    }
    x = masconI_step(&chain, op, x);
    MASCON_TRY(masconI_chain_end(&chain, x, &result));
    mascon_status status = mascon_tensor_item(result, &value);
    mascon_tensor_release(result);
    if (status == MASCON_OK) *out = (int64_t)value;
    return status;
}

/* Visits the elements of v, broadcast to shape, in row-major order; counts those that are not 0. */
static int64_t count_visited(const mascon_view *v, int32_t ndim, const int64_t *shape) {
    int64_t at[MASCON_MAX_DIMS] = {0}, stride[MASCON_MAX_DIMS], offset = 0, count = 0, numel = 1;
    for (int32_t d = 0; d < ndim; d++) {
        int32_t k = d - (ndim - v->ndim);
        stride[d] = k < 0 || v->shape[k] == 1 ? 0 : v->stride[k];
        numel *= shape[d];
    }
    for (int64_t i = 0; i < numel; i++) {
        count += masconI_load(v->data, v->dtype, offset) != 0;
        for (int32_t d = ndim - 1; d >= 0; d--) {
            offset += stride[d];
            if (++at[d] < shape[d]) break;
            offset -= stride[d] * shape[d];
            at[d] = 0;
        }
    }
    return count;
}

/* How many elements of t, broadcast to shape, are not 0. */
static mascon_status count_set(mascon_tensor *t, int32_t ndim, const int64_t *shape,
                               int64_t *count) {
    const mascon_view *v = mascon_see(t);
    if (v->device == MASCON_DEVICE_CPU) {
        *count = count_visited(v, ndim, shape);
        return MASCON_OK;
    }
    int64_t numel;
    *count = 0;
    MASCON_TRY(masconI_numel(ndim, shape, &numel));
    if (numel == 0) return MASCON_OK;
    MASCON_TRY(read_reduced(t, MASCON_OP_sum, count));
    *count *= numel / v->numel;
    return MASCON_OK;
}

static mascon_status masked_select_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0), *mask = SRC(call, 1);
    mascon_meta both;
    MASCON_TRY(check_mask(mask));
    MASCON_TRY(masconI_broadcast(x, mask, &both));
    MASCON_TRY(readable("mask", mask));
    int64_t count;
    MASCON_TRY(count_set(call->src[1], both.ndim, both.shape, &count));
    masconI_meta(&out[0], x->dtype, 1, &count);
    return MASCON_OK;
}

/* The numbers of the chosen elements, in order, of the mask broadcast to {both.shape}. */
static mascon_status chosen(mascon_tensor *mask, const mascon_meta *both, mascon_tensor **out) {
    mascon_tensor *wide = NULL, *flat = NULL, *column = NULL;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_expand);
    call.n_src = 1;
    call.src[0] = mask;
    masconI_call_set_list(&call, "size", both->ndim, both->shape);
    mascon_status status = mascon_invoke(&call);
    if (status == MASCON_OK) {
        wide = call.dst[0];
        status = masconI_reshape_to(wide, 1, (int64_t[]){-1}, &flat);
    }
    if (status == MASCON_OK) status = masconI_emit(MASCON_OP_nonzero, &column, 1, &flat, NULL);
    if (status == MASCON_OK) {
        status = masconI_reshape_to(column, 1, (int64_t[]){mascon_see(column)->numel}, out);
    }
    mascon_tensor_release(column);
    mascon_tensor_release(flat);
    mascon_tensor_release(wide);
    return status;
}

static mascon_status masked_select_grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0), *mask = SRC(g->call, 1);
    if (!g->need[0]) return MASCON_OK;
    mascon_meta both;
    mascon_tensor *places = NULL, *zeros = NULL, *sums = NULL, *wide = NULL;
    int64_t numel;
    MASCON_TRY(masconI_broadcast(x, mask, &both));
    MASCON_TRY(masconI_numel(both.ndim, both.shape, &numel));
    mascon_view flat = {.dtype = x->dtype, .device = x->device, .ndim = 1, .shape = {numel}};
    if (numel == 0) return masconI_zeros_like(x, &g->dx[0]);
    mascon_status status = chosen(g->call->src[1], &both, &places);
    if (status == MASCON_OK) status = masconI_zeros_like(&flat, &zeros);
    if (status == MASCON_OK) {
        status = masconI_emit(MASCON_OP_index_add, &sums, 3,
                              (mascon_tensor *[]){zeros, places, g->dy[0]}, "dim", 0.0, NULL);
    }
    if (status == MASCON_OK) status = masconI_reshape_to(sums, both.ndim, both.shape, &wide);
    if (status == MASCON_OK) status = masconI_sum_to(wide, x, &g->dx[0]); /* takes wide over */
    mascon_tensor_release(sums);
    mascon_tensor_release(zeros);
    mascon_tensor_release(places);
    return status;
}

const mascon_op mascon_op_masked_select = {
    .name = "masked_select",
    .inputs = "x mask",
    .outputs = "y",
    .flags = MASCON_OPF_NO_RECORD,
    .dtypes = MASCON_T_ALL,
    .summary = "the elements of x for which the mask is true, in one dimension",
    .example = "mascon.eye(2):masked_select(mascon.eye(2):to(\"bool\"))",
    .infer = masked_select_infer,
    .grad = masked_select_grad,
    .saves = "mask",
};

/* ---- nonzero, one_hot ---- */

static const mascon_attr base_attrs[] = {BASE_OPTION};

static mascon_status nonzero_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    MASCON_TRY(readable("x", x));
    int64_t shape[2] = {0, x->ndim};
    MASCON_TRY(count_set(call->src[0], x->ndim, x->shape, &shape[0]));
    masconI_meta(&out[0], MASCON_DTYPE_I64, 2, shape);
    return MASCON_OK;
}

const mascon_op mascon_op_nonzero = {
    .name = "nonzero",
    .inputs = "x",
    .outputs = "indices",
    .attrs = base_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_NO_GRAD | MASCON_OPF_NO_RECORD,
    .dtypes = MASCON_T_ALL,
    .summary = "the subscripts of the elements that are not 0, one row each",
    .example = "mascon.eye(3):nonzero()",
    .infer = nonzero_infer,
};

enum { ONE_HOT_CLASSES, ONE_HOT_BASE };

static const mascon_attr one_hot_attrs[] = {
    {"num_classes", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_ABSENT, 1, 0x1p53, NULL,
     "size of the new dimension; left out: as many as the largest class number needs"},
    BASE_OPTION,
};

static mascon_status one_hot_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *index = SRC(call, 0);
    MASCON_TRY(masconI_check_index("index", index));
    if (index->ndim == MASCON_MAX_DIMS) {
        return masconI_fail(MASCON_E_SHAPE, "%d dimensions; at most %d are supported",
                            index->ndim + 1, MASCON_MAX_DIMS);
    }
    int64_t classes = (int64_t)call->attr[ONE_HOT_CLASSES];
    if (!masconI_given(call, ONE_HOT_CLASSES)) {
        MASCON_TRY(readable("index", index));
        if (index->numel == 0) {
            return masconI_fail(MASCON_E_ARG, "num_classes must be given for an empty index");
        }
        int64_t most = INT64_MIN;
        if (index->device != MASCON_DEVICE_CPU) {
            MASCON_TRY(read_reduced(call->src[0], MASCON_OP_max, &most));
        }
        for (int64_t i = 0; i < index->numel && index->device == MASCON_DEVICE_CPU; i++) {
            int64_t offset = 0, rest = i;
            for (int32_t d = index->ndim - 1; d >= 0; d--) {
                offset += rest % index->shape[d] * index->stride[d];
                rest /= index->shape[d];
            }
            int64_t v = masconI_load_int(index->data, index->dtype, offset);
            if (v > most) most = v;
        }
        int64_t base = (int64_t)call->attr[ONE_HOT_BASE];
        if (most < base) {
            return masconI_fail(MASCON_E_INDEX,
                                "the largest index is %lld; the first class is "
                                "%lld",
                                (long long)most, (long long)base);
        }
        if (most >= INT64_C(1) << 53) {
            return masconI_fail(MASCON_E_INDEX, "the largest index is %lld: too many classes",
                                (long long)most);
        }
        classes = most - base + 1;
    }
    masconI_meta(&out[0], MASCON_DTYPE_I64, index->ndim, index->shape);
    out[0].shape[out[0].ndim++] = classes;
    return MASCON_OK;
}

const mascon_op mascon_op_one_hot = {
    .name = "one_hot",
    .inputs = "index",
    .outputs = "y",
    .attrs = one_hot_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_I64 | MASCON_T_I32,
    .summary = "for each class number a row with a 1 at its place and zeros elsewhere",
    .example = "mascon.one_hot(mascon.tensor({1, 3}, {dtype = \"int64\"}))",
    .infer = one_hot_infer,
};

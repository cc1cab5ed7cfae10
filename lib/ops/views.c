/* views.c: ops whose output lies in the memory of their input. infer writes the output's shape,
 * strides and offset relative to the first element of src[0]; the core makes the tensor. A view of
 * a view therefore works from its strides alone. Strides are never negative. */
#include <math.h>
#include <stdio.h>

#include "ops/support.h"

#define LIMIT MASCON_NOLIMIT

/* out = src[0] as it lies, to be changed from there. */
static void alias(mascon_meta *out, const mascon_view *x) {
    masconI_like(out, x);
    for (int32_t d = 0; d < x->ndim; d++) out->stride[d] = x->stride[d];
    out->offset = 0;
    out->copy = 0;
}

/* ---- view, reshape, flatten: other sizes over the same order of elements ---- */

/* The strides of a shape over the elements of x, where some exist: dimensions of x that lie behind
 * one another are taken as one block, and each block must be cut into whole dimensions of the new
 * shape. */
static int merge_strides(const mascon_view *x, int32_t ndim, const int64_t *shape,
                         int64_t *stride) {
    if (x->numel == 0) {
        masconI_row_major(ndim, shape, stride);
        return 1;
    }
    int32_t j = ndim - 1;
    for (int32_t i = x->ndim - 1; i >= 0;) {
        int64_t inner = x->stride[i], block = x->shape[i];
        if (block == 1) {
            i--;
            continue;
        }
        for (i--; i >= 0; i--) {
            if (x->shape[i] == 1) continue;
            if (x->stride[i] != inner * block && !(inner == 0 && x->stride[i] == 0)) break;
            block *= x->shape[i];
        }
        int64_t done = 1;
        while (j >= 0 && done < block) {
            stride[j] = inner * done;
            done *= shape[j];
            j--;
        }
        if (done != block) return 0;
    }
    /* only sizes of 1 are left; where they lie does not matter */
    for (; j >= 0; j--) {
        stride[j] = j + 1 < ndim ? stride[j + 1] * shape[j + 1] : 1;
    }
    return 1;
}

/* Replaces a -1 in shape, and checks that the shape holds x's elements. */
static mascon_status resolve(const mascon_view *x, int32_t ndim, int64_t *shape) {
    int64_t known = 1;
    int32_t open = -1;
    for (int32_t d = 0; d < ndim; d++) {
        if (shape[d] != -1) continue;
        if (open >= 0) return masconI_fail(MASCON_E_ARG, "only one size may be -1");
        open = d;
    }
    if (open >= 0) shape[open] = 1;
    MASCON_TRY(masconI_numel(ndim, shape, &known));
    if (open >= 0) {
        if (known == 0) {
            return masconI_fail(MASCON_E_SHAPE,
                                "beside a size of 0, a size of -1 could be any number");
        }
        if (x->numel % known != 0) {
            return masconI_fail(MASCON_E_SHAPE, "%lld elements do not divide by %lld",
                                (long long)x->numel, (long long)known);
        }
        shape[open] = x->numel / known;
    } else if (known != x->numel) {
        char text[160];
        return masconI_fail(MASCON_E_SHAPE, "%lld elements do not fit the shape %s",
                            (long long)x->numel, masconI_shape_text(ndim, shape, text));
    }
    return MASCON_OK;
}

static mascon_status viewed(const mascon_view *x, int32_t ndim, const int64_t *shape,
                            mascon_meta *out) {
    masconI_meta(out, x->dtype, ndim, shape);
    out->offset = 0;
    out->copy = 0;
    if (merge_strides(x, ndim, shape, out->stride)) return MASCON_OK;
    char text[160], strides[160];
    int used = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        used += snprintf(strides + used, sizeof strides - (size_t)used, d ? ", %lld" : "%lld",
                         (long long)x->stride[d]);
        if (used >= (int)sizeof strides) break;
    }
    masconI_fail(MASCON_E_LAYOUT, "tensor %s is not contiguous (strides %s)",
                 masconI_shape_text(x->ndim, x->shape, text), strides);
    return masconI_hint("x:reshape or x:contiguous():view");
}

static mascon_status reshaped(const mascon_view *x, int32_t ndim, const int64_t *shape,
                              mascon_meta *out) {
    masconI_meta(out, x->dtype, ndim, shape);
    out->offset = 0;
    out->copy = !merge_strides(x, ndim, shape, out->stride);
    if (out->copy) masconI_row_major(ndim, shape, out->stride);
    return MASCON_OK;
}

static const mascon_attr shape_attrs[] = {
    {"shape", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "sizes; one may be -1 and is then computed"},
};

static mascon_status view_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t ndim;
    int64_t shape[MASCON_MAX_DIMS];
    MASCON_TRY(masconI_shape_option(call, 0, -1, &ndim, shape));
    MASCON_TRY(resolve(x, ndim, shape));
    return viewed(x, ndim, shape, out);
}

const mascon_op mascon_op_view = {
    .name = "view",
    .inputs = "x",
    .outputs = "y",
    .attrs = shape_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "the same elements with other sizes, never a copy",
    .example = "mascon.zeros{2, 6}:view(3, -1)",
    .infer = view_infer,
    .grad = masconI_grad_reshape,
};

static mascon_status reshape_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t ndim;
    int64_t shape[MASCON_MAX_DIMS];
    MASCON_TRY(masconI_shape_option(call, 0, -1, &ndim, shape));
    MASCON_TRY(resolve(x, ndim, shape));
    return reshaped(x, ndim, shape, out);
}

const mascon_op mascon_op_reshape = {
    .name = "reshape",
    .inputs = "x",
    .outputs = "y",
    .attrs = shape_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "the same elements with other sizes, copied where the memory does not allow a view",
    .example = "mascon.zeros{2, 6}:t():reshape(3, -1)",
    .infer = reshape_infer,
    .grad = masconI_grad_reshape,
};

static const mascon_attr flatten_attrs[] = {
    {"start_dim", MASCON_ATTR_DIM, MASCON_KEY, 0, -LIMIT, LIMIT, NULL,
     "first of the dimensions that become one"},
    {"end_dim", MASCON_ATTR_DIM, MASCON_KEY, -1, -LIMIT, LIMIT, NULL, "last of them"},
};

static mascon_status flatten_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t first, last, ndim = 0;
    int64_t shape[MASCON_MAX_DIMS];
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &first));
    MASCON_TRY(masconI_dim(call->attr[1], x->ndim, &last));
    if (last < first) {
        return masconI_fail(MASCON_E_ARG, "end_dim %d comes before start_dim %d", last + 1,
                            first + 1);
    }
    for (int32_t d = 0; d < first; d++) shape[ndim++] = x->shape[d];
    shape[ndim] = 1;
    for (int32_t d = first; d <= last && d < x->ndim; d++) shape[ndim] *= x->shape[d];
    ndim++;
    for (int32_t d = last + 1; d < x->ndim; d++) shape[ndim++] = x->shape[d];
    return reshaped(x, ndim, shape, out);
}

const mascon_op mascon_op_flatten = {
    .name = "flatten",
    .inputs = "x",
    .outputs = "y",
    .attrs = flatten_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "some neighbouring dimensions as one",
    .example = "mascon.zeros{2, 3, 4}:flatten(2)",
    .infer = flatten_infer,
    .grad = masconI_grad_reshape,
};

/* ---- permute, transpose ---- */

static const mascon_attr permute_attrs[] = {
    {"dims", MASCON_ATTR_DIMS, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "for each dimension of the result, which one of x it is"},
};

static mascon_status permutation(const mascon_call *call, int32_t ndim, int32_t *order) {
    int64_t dims[MASCON_MAX_DIMS];
    int32_t n = masconI_list(call, 0, dims);
    if (n != ndim) {
        return masconI_fail(MASCON_E_ARG, "%d dimensions given for a %d-dimensional tensor", n,
                            ndim);
    }
    uint32_t seen = 0;
    for (int32_t d = 0; d < ndim; d++) {
        MASCON_TRY(masconI_dim((double)dims[d], ndim, &order[d]));
        if (seen >> order[d] & 1u) {
            return masconI_fail(MASCON_E_ARG, "dimension %d is given twice", order[d] + 1);
        }
        seen |= 1u << order[d];
    }
    return MASCON_OK;
}

static mascon_status permute_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t order[MASCON_MAX_DIMS];
    MASCON_TRY(permutation(call, x->ndim, order));
    alias(&out[0], x);
    for (int32_t d = 0; d < x->ndim; d++) {
        out[0].shape[d] = x->shape[order[d]];
        out[0].stride[d] = x->stride[order[d]];
    }
    return MASCON_OK;
}

static mascon_status permute_grad(mascon_grad *g) {
    int32_t order[MASCON_MAX_DIMS], ndim = SRC(g->call, 0)->ndim;
    int64_t back[MASCON_MAX_DIMS];
    MASCON_TRY(permutation(g->call, ndim, order));
    for (int32_t d = 0; d < ndim; d++) back[order[d]] = d;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_permute);
    call.n_src = 1;
    call.src[0] = g->dy[0];
    masconI_call_set_list(&call, "dims", ndim, back);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_permute = {
    .name = "permute",
    .inputs = "x",
    .outputs = "y",
    .attrs = permute_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "the dimensions in another order",
    .example = "mascon.zeros{2, 3, 4}:permute(3, 1, 2)",
    .infer = permute_infer,
    .grad = permute_grad,
};

static const mascon_attr transpose_attrs[] = {
    {"dim0", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "a dimension"},
    {"dim1", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "the one it changes places with"},
};

static mascon_status transpose_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t a, b;
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &a));
    MASCON_TRY(masconI_dim(call->attr[1], x->ndim, &b));
    alias(&out[0], x);
    if (x->ndim == 0) return MASCON_OK;
    out[0].shape[a] = x->shape[b];
    out[0].stride[a] = x->stride[b];
    out[0].shape[b] = x->shape[a];
    out[0].stride[b] = x->stride[a];
    return MASCON_OK;
}

static mascon_status transpose_grad(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_transpose, &g->dx[0], 1, g->dy);
}

const mascon_op mascon_op_transpose = {
    .name = "transpose",
    .inputs = "x",
    .outputs = "y",
    .attrs = transpose_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "two dimensions exchanged",
    .example = "mascon.zeros{2, 3}:transpose(1, 2)",
    .infer = transpose_infer,
    .grad = transpose_grad,
};

/* ---- squeeze, unsqueeze, expand ---- */

static const mascon_attr squeeze_attrs[] = {
    {"dim", MASCON_ATTR_DIMS, MASCON_KEY, MASCON_ABSENT, -LIMIT, LIMIT, NULL,
     "dimensions to drop where their size is 1; left out: all of them"},
};

static mascon_status squeeze_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    uint8_t chosen[MASCON_MAX_DIMS];
    int32_t ndim = 0;
    MASCON_TRY(masconI_dims(call->attr, masconI_given(call, 0), x->ndim, chosen));
    alias(&out[0], x);
    for (int32_t d = 0; d < x->ndim; d++) {
        if (chosen[d] && x->shape[d] == 1) continue;
        out[0].shape[ndim] = x->shape[d];
        out[0].stride[ndim] = x->stride[d];
        ndim++;
    }
    out[0].ndim = ndim;
    return MASCON_OK;
}

const mascon_op mascon_op_squeeze = {
    .name = "squeeze",
    .inputs = "x",
    .outputs = "y",
    .attrs = squeeze_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "x without dimensions of size 1",
    .example = "mascon.zeros{2, 1, 3}:squeeze()",
    .infer = squeeze_infer,
    .grad = masconI_grad_reshape,
};

static const mascon_attr unsqueeze_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "place of the new dimension in the result"},
};

static mascon_status unsqueeze_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t at;
    MASCON_TRY(masconI_dim_between(call->attr[0], x->ndim, &at));
    if (x->ndim == MASCON_MAX_DIMS) {
        return masconI_fail(MASCON_E_SHAPE, "%d dimensions; at most %d are supported", x->ndim + 1,
                            MASCON_MAX_DIMS);
    }
    alias(&out[0], x);
    out[0].ndim = x->ndim + 1;
    for (int32_t d = x->ndim; d > at; d--) {
        out[0].shape[d] = x->shape[d - 1];
        out[0].stride[d] = x->stride[d - 1];
    }
    out[0].shape[at] = 1;
    out[0].stride[at] = at < x->ndim ? x->shape[at] * x->stride[at] : 1;
    return MASCON_OK;
}

const mascon_op mascon_op_unsqueeze = {
    .name = "unsqueeze",
    .inputs = "x",
    .outputs = "y",
    .attrs = unsqueeze_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "x with a new dimension of size 1",
    .example = "mascon.zeros{2, 3}:unsqueeze(1)",
    .infer = unsqueeze_infer,
    .grad = masconI_grad_reshape,
};

static const mascon_attr expand_attrs[] = {
    {"size", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "sizes of the result; -1 keeps a dimension"},
};

static mascon_status expand_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t ndim;
    int64_t shape[MASCON_MAX_DIMS], numel;
    MASCON_TRY(masconI_shape_option(call, 0, -1, &ndim, shape));
    if (ndim < x->ndim) {
        return masconI_fail(MASCON_E_SHAPE, "%d sizes given for a %d-dimensional tensor", ndim,
                            x->ndim);
    }
    int32_t added = ndim - x->ndim;
    alias(&out[0], x);
    for (int32_t d = 0; d < ndim; d++) {
        int64_t size = d < added ? 1 : x->shape[d - added];
        if (shape[d] == -1 && d < added) {
            return masconI_fail(MASCON_E_ARG, "size of the new dimension %d is -1", d + 1);
        }
        if (shape[d] == -1) shape[d] = size;
        if (size != 1 && shape[d] != size) {
            return masconI_fail(MASCON_E_SHAPE,
                                "dimension %d is %lld and cannot become %lld; only a size of 1 "
                                "can be expanded",
                                d - added + 1, (long long)size, (long long)shape[d]);
        }
        out[0].stride[d] = d < added || (size == 1 && shape[d] != 1) ? 0 : x->stride[d - added];
        out[0].shape[d] = shape[d];
    }
    out[0].ndim = ndim;
    return masconI_numel(ndim, shape, &numel);
}

static mascon_status expand_grad(mascon_grad *g) {
    mascon_tensor_retain(g->dy[0]); /* sum_to takes one over */
    return masconI_sum_to(g->dy[0], SRC(g->call, 0), &g->dx[0]);
}

const mascon_op mascon_op_expand = {
    .name = "expand",
    .inputs = "x",
    .outputs = "y",
    .attrs = expand_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "x repeated along dimensions of size 1, without a copy",
    .example = "mascon.zeros{2, 1}:expand(2, 3)",
    .infer = expand_infer,
    .grad = expand_grad,
};

/* ---- narrow, select, slice: some positions of one dimension ---- */

/* The gradient is zero but for these positions: the same view of zeros is set to dy. */
static mascon_status part_grad(mascon_grad *g) {
    mascon_tensor *zeros = NULL, *part = NULL;
    MASCON_TRY(masconI_zeros_like(SRC(g->call, 0), &zeros));
    mascon_status status = masconI_emit_same(g, g->call->op, &part, 1, &zeros);
    if (status == MASCON_OK) {
        mascon_call call;
        masconI_call_init(&call, MASCON_OP_copy);
        call.n_src = 2;
        call.src[0] = part;
        call.src[1] = g->dy[0];
        call.n_dst = 1;
        call.dst[0] = part;
        status = mascon_invoke(&call);
        mascon_tensor_release(part);
    }
    if (status != MASCON_OK) {
        mascon_tensor_release(zeros);
        return status;
    }
    g->dx[0] = zeros;
    return MASCON_OK;
}

/* dim, and the first of length positions (step apart) of it; where length is 0 the first may
 * also be the place after the last. */
static mascon_status part(const mascon_view *x, const mascon_call *call, int64_t length,
                          int64_t step, int32_t *dim, int64_t *start) {
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, dim));
    if (x->ndim == 0)
        return masconI_fail(MASCON_E_SHAPE, "a 0-dimensional tensor has no positions");
    int64_t size = x->shape[*dim];
    if (length == 0 && call->attr[1] == (double)size) {
        *start = size;
    } else {
        MASCON_TRY(masconI_index(call->attr[1], *dim, size, start));
    }
    if (length > 0 && (length - 1) > (size - 1 - *start) / step) {
        return masconI_fail(MASCON_E_INDEX,
                            "%lld positions from %lld on pass the end of dimension %d of size %lld",
                            (long long)length, (long long)*start + 1, *dim + 1, (long long)size);
    }
    return MASCON_OK;
}

static const mascon_attr narrow_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "a dimension"},
    {"start", MASCON_ATTR_INDEX, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "first position"},
    {"length", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL,
     "number of positions"},
};

static mascon_status narrow_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t start, length = (int64_t)call->attr[2];
    int32_t dim;
    MASCON_TRY(part(x, call, length, 1, &dim, &start));
    alias(&out[0], x);
    out[0].shape[dim] = length;
    out[0].offset = start * x->stride[dim];
    return MASCON_OK;
}

const mascon_op mascon_op_narrow = {
    .name = "narrow",
    .inputs = "x",
    .outputs = "y",
    .attrs = narrow_attrs,
    .n_attrs = 3,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "some neighbouring positions of one dimension",
    .example = "mascon.zeros{5, 3}:narrow(1, 2, 3)",
    .infer = narrow_infer,
    .grad = part_grad,
};

static const mascon_attr select_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "a dimension"},
    {"index", MASCON_ATTR_INDEX, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "position"},
};

static mascon_status select_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t at;
    int32_t dim;
    MASCON_TRY(part(x, call, 1, 1, &dim, &at));
    alias(&out[0], x);
    out[0].offset = at * x->stride[dim];
    out[0].ndim = x->ndim - 1;
    for (int32_t d = dim; d < out[0].ndim; d++) {
        out[0].shape[d] = x->shape[d + 1];
        out[0].stride[d] = x->stride[d + 1];
    }
    return MASCON_OK;
}

const mascon_op mascon_op_select = {
    .name = "select",
    .inputs = "x",
    .outputs = "y",
    .attrs = select_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "one position of a dimension, which disappears",
    .example = "mascon.zeros{5, 3}:select(1, 2)",
    .infer = select_infer,
    .grad = part_grad,
};

static const mascon_attr slice_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "a dimension"},
    {"start", MASCON_ATTR_INDEX, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "first position"},
    {"length", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL,
     "number of positions in the result"},
    {"step", MASCON_ATTR_INTEGER, MASCON_KEY, 1, 1, 0x1p53, NULL, "distance of the positions"},
};

static mascon_status slice_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t start, length = (int64_t)call->attr[2], step = (int64_t)call->attr[3];
    int32_t dim;
    MASCON_TRY(part(x, call, length, step, &dim, &start));
    alias(&out[0], x);
    out[0].shape[dim] = length;
    out[0].offset = start * x->stride[dim];
    /* of one position the stride never counts, and step may be beyond any memory */
    out[0].stride[dim] = length > 1 ? x->stride[dim] * step : x->stride[dim];
    return MASCON_OK;
}

const mascon_op mascon_op_slice = {
    .name = "slice",
    .inputs = "x",
    .outputs = "y",
    .attrs = slice_attrs,
    .n_attrs = 4,
    .flags = MASCON_OPF_VIEW,
    .dtypes = MASCON_T_ALL,
    .summary = "positions of one dimension at equal distances",
    .example = "mascon.zeros{5, 3}:slice(1, 1, 3, 2)",
    .infer = slice_infer,
    .grad = part_grad,
};

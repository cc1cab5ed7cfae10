/* rearrange.c: ops that put the elements of x in another order or leave some out. */
#include "ops/support.h"

#define LIMIT MASCON_NOLIMIT

static mascon_status like_infer(mascon_call *call, mascon_meta *out) {
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

/* ---- flip ---- */

static const mascon_attr flip_attrs[] = {
    {"dims", MASCON_ATTR_DIMS, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "dimensions that run backwards"},
};

static mascon_status flip_infer(mascon_call *call, mascon_meta *out) {
    uint8_t chosen[MASCON_MAX_DIMS];
    MASCON_TRY(masconI_dims(call->attr, 1, SRC(call, 0)->ndim, chosen));
    return like_infer(call, out);
}

static mascon_status flip_grad(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_flip, &g->dx[0], 1, g->dy);
}

const mascon_op mascon_op_flip = {
    .name = "flip",
    .inputs = "x",
    .outputs = "y",
    .attrs = flip_attrs,
    .n_attrs = 1,
    .dtypes = MASCON_T_ALL,
    .summary = "x with some dimensions in reverse order",
    .example = "mascon.arange(0, 4):flip(1)",
    .infer = flip_infer,
    .grad = flip_grad,
};

/* ---- roll ---- */

enum { ROLL_SHIFTS = 0, ROLL_DIMS = 9 };

static const mascon_attr roll_attrs[] = {
    {"shifts", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "by how many positions, one number per dimension"},
    {"dims", MASCON_ATTR_DIMS, MASCON_KEY, MASCON_ABSENT, -LIMIT, LIMIT, NULL,
     "the dimensions; left out: x is rolled as if it were flat"},
};

static mascon_status roll_infer(mascon_call *call, mascon_meta *out) {
    int32_t n = (int32_t)call->attr[ROLL_SHIFTS];
    if (masconI_given(call, ROLL_DIMS)) {
        int32_t dims = (int32_t)call->attr[ROLL_DIMS];
        if (dims != n) {
            return masconI_fail(MASCON_E_ARG, "%d shifts for %d dimensions", n, dims);
        }
        for (int32_t i = 0; i < dims; i++) {
            int32_t unused;
            MASCON_TRY(masconI_dim(call->attr[ROLL_DIMS + 1 + i], SRC(call, 0)->ndim, &unused));
        }
    } else if (n != 1) {
        masconI_fail(MASCON_E_ARG, "%d shifts without dims; expected 1", n);
        if (n != 2) return MASCON_E_ARG;
        return masconI_hint("x:roll(%g, {dims = %g})", call->attr[ROLL_SHIFTS + 1],
                            call->attr[ROLL_SHIFTS + 2]);
    }
    return like_infer(call, out);
}

static mascon_status roll_grad(mascon_grad *g) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_roll);
    call.n_src = 1;
    call.src[0] = g->dy[0];
    masconI_call_copy_options(&call, g->call);
    int32_t n = (int32_t)call.attr[ROLL_SHIFTS];
    for (int32_t i = 1; i <= n; i++) call.attr[ROLL_SHIFTS + i] = -call.attr[ROLL_SHIFTS + i];
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_roll = {
    .name = "roll",
    .inputs = "x",
    .outputs = "y",
    .attrs = roll_attrs,
    .n_attrs = 2,
    .dtypes = MASCON_T_ALL,
    .summary = "x shifted along dimensions; what leaves at one end comes in at the other",
    .example = "mascon.arange(0, 4):roll(1)",
    .infer = roll_infer,
    .grad = roll_grad,
};

/* ---- tril, triu ---- */

static const mascon_attr triangle_attrs[] = {
    {"diagonal", MASCON_ATTR_INTEGER, MASCON_KEY, 0, -0x1p53, 0x1p53, NULL,
     "the last diagonal that belongs to it: 0 the main one, above it positive"},
};

static mascon_status triangle_infer(mascon_call *call, mascon_meta *out) {
    if (SRC(call, 0)->ndim < 2) {
        return masconI_fail(MASCON_E_SHAPE, "x has %d dimensions; expected 2 or more",
                            SRC(call, 0)->ndim);
    }
    return like_infer(call, out);
}

static mascon_status triangle_grad(mascon_grad *g) {
    return masconI_emit_same(g, g->call->op, &g->dx[0], 1, g->dy);
}

const mascon_op mascon_op_tril = {
    .name = "tril",
    .inputs = "x",
    .outputs = "y",
    .attrs = triangle_attrs,
    .n_attrs = 1,
    .dtypes = MASCON_T_ALL,
    .summary = "the lower triangle of the last two dimensions, zeros elsewhere",
    .example = "mascon.ones{3, 3}:tril()",
    .infer = triangle_infer,
    .grad = triangle_grad,
};

const mascon_op mascon_op_triu = {
    .name = "triu",
    .inputs = "x",
    .outputs = "y",
    .attrs = triangle_attrs,
    .n_attrs = 1,
    .dtypes = MASCON_T_ALL,
    .summary = "the upper triangle of the last two dimensions, zeros elsewhere",
    .example = "mascon.ones{3, 3}:triu()",
    .infer = triangle_infer,
    .grad = triangle_grad,
};

/* ---- sort, topk ---- */

/* dx is zero but at the positions from which the values came. */
static mascon_status picked_grad(mascon_grad *g, double dim, double base) {
    if (!g->dy[0]) return MASCON_OK;
    const mascon_view *x = SRC(g->call, 0);
    if (x->ndim == 0) return masconI_grad_pass(g);
    mascon_tensor *zeros;
    MASCON_TRY(masconI_zeros_like(x, &zeros));
    mascon_status status = masconI_emit(MASCON_OP_scatter_add, &g->dx[0], 3,
                                        (mascon_tensor *[]){zeros, g->call->dst[1], g->dy[0]},
                                        "dim", dim, "base", base, NULL);
    mascon_tensor_release(zeros);
    return status;
}

enum { SORT_DIM, SORT_DESCENDING, SORT_BASE };

static const mascon_attr sort_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, -1, -LIMIT, LIMIT, NULL, "the dimension to be sorted"},
    {"descending", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, "largest first"},
    {"base", MASCON_ATTR_BASE, MASCON_KEY, 0, 0, 1, NULL, "number of the first position"},
};

static mascon_status sort_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[SORT_DIM], x->ndim, &dim));
    masconI_like(&out[0], x);
    masconI_meta(&out[1], MASCON_DTYPE_I64, x->ndim, x->shape);
    return MASCON_OK;
}

static mascon_status sort_grad(mascon_grad *g) {
    return picked_grad(g, g->call->attr[SORT_DIM], g->call->attr[SORT_BASE]);
}

const mascon_op mascon_op_sort = {
    .name = "sort",
    .inputs = "x",
    .outputs = "values indices",
    .attrs = sort_attrs,
    .n_attrs = 3,
    .dtypes = MASCON_T_ALL,
    .summary =
        "x sorted along a dimension, and where the values stood; equal ones keep their "
        "order, NaN counts as largest",
    .example = "mascon.tensor{3, 1, 2}:sort()",
    .infer = sort_infer,
    .grad = sort_grad,
    .saves = "indices",
};

enum { TOPK_K, TOPK_DIM, TOPK_LARGEST, TOPK_BASE };

static const mascon_attr topk_attrs[] = {
    {"k", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL, "how many"},
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, -1, -LIMIT, LIMIT, NULL, "the dimension"},
    {"largest", MASCON_ATTR_BOOLEAN, MASCON_KEY, 1, 0, 1, NULL, "the largest or the smallest"},
    {"base", MASCON_ATTR_BASE, MASCON_KEY, 0, 0, 1, NULL, "number of the first position"},
};

static mascon_status topk_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t k = (int64_t)call->attr[TOPK_K];
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[TOPK_DIM], x->ndim, &dim));
    int64_t size = x->ndim ? x->shape[dim] : 1;
    if (k > size) {
        return masconI_fail(MASCON_E_ARG, "k is %lld; dimension %d has %lld values", (long long)k,
                            dim + 1, (long long)size);
    }
    if (x->ndim == 0 && k != 1) {
        return masconI_fail(MASCON_E_ARG, "k is 0; of a 0-dimensional tensor it must be 1");
    }
    masconI_like(&out[0], x);
    if (x->ndim) out[0].shape[dim] = k;
    masconI_meta(&out[1], MASCON_DTYPE_I64, x->ndim, out[0].shape);
    return MASCON_OK;
}

static mascon_status topk_grad(mascon_grad *g) {
    return picked_grad(g, g->call->attr[TOPK_DIM], g->call->attr[TOPK_BASE]);
}

const mascon_op mascon_op_topk = {
    .name = "topk",
    .inputs = "x",
    .outputs = "values indices",
    .attrs = topk_attrs,
    .n_attrs = 4,
    .dtypes = MASCON_T_ALL,
    .summary = "the k largest values along a dimension, largest first, and where they stood",
    .example = "mascon.tensor{3, 1, 2}:topk(2)",
    .infer = topk_infer,
    .grad = topk_grad,
    .saves = "indices",
};

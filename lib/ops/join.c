/* join.c: ops whose result repeats, joins or surrounds the elements of their inputs. */
#include "ops/support.h"

#define LIMIT MASCON_NOLIMIT

/* ---- cat ---- */

static const mascon_attr cat_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, 0, -LIMIT, LIMIT, NULL,
     "the dimension along which they are put"},
};

static mascon_status cat_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *first = mascon_see(call->list[0]);
    int32_t dim;
    char a[160], b[160];
    if (first->ndim == 0) return masconI_fail(MASCON_E_SHAPE, "tensor 1 is 0-dimensional");
    MASCON_TRY(masconI_dim(call->attr[0], first->ndim, &dim));
    masconI_like(&out[0], first);
    for (int64_t i = 1; i < call->n_list; i++) {
        const mascon_view *x = mascon_see(call->list[i]);
        if (x->dtype != first->dtype) {
            masconI_fail(MASCON_E_DTYPE, "dtypes %s and %s (tensor %lld)",
                         mascon_dtype_name(first->dtype), mascon_dtype_name(x->dtype),
                         (long long)i + 1);
            return masconI_hint("x:to(\"%s\")", mascon_dtype_name(first->dtype));
        }
        if (x->ndim != first->ndim) {
            return masconI_fail(MASCON_E_SHAPE, "tensor %lld is %s, tensor 1 is %s",
                                (long long)i + 1, masconI_shape_text(x->ndim, x->shape, a),
                                masconI_shape_text(first->ndim, first->shape, b));
        }
        for (int32_t d = 0; d < x->ndim; d++) {
            if (d == dim || x->shape[d] == first->shape[d]) continue;
            return masconI_fail(
                MASCON_E_SHAPE,
                "tensor %lld is %s, tensor 1 is %s; dimension %d is %lld against %lld",
                (long long)i + 1, masconI_shape_text(x->ndim, x->shape, a),
                masconI_shape_text(first->ndim, first->shape, b), d + 1, (long long)x->shape[d],
                (long long)first->shape[d]);
        }
        out[0].shape[dim] += x->shape[dim];
    }
    return MASCON_OK;
}

static mascon_status cat_grad(mascon_grad *g) {
    const mascon_call *call = g->call;
    int32_t dim;
    int64_t start = 0;
    MASCON_TRY(masconI_dim(call->attr[0], mascon_see(call->list[0])->ndim, &dim));
    for (int32_t i = 0; i < g->n_inputs; i++) {
        int64_t length = mascon_see(call->list[i])->shape[dim];
        if (g->need[i]) {
            MASCON_TRY(masconI_emit(MASCON_OP_narrow, &g->dx[i], 1, g->dy, "dim", (double)dim,
                                    "start", (double)start, "length", (double)length, NULL));
        }
        start += length;
    }
    return MASCON_OK;
}

const mascon_op mascon_op_cat = {
    .name = "cat",
    .inputs = "tensors*",
    .outputs = "y",
    .attrs = cat_attrs,
    .n_attrs = 1,
    .flags = MASCON_CAST_WIDEST | MASCON_OPF_LIST,
    .dtypes = MASCON_T_ALL,
    .summary = "tensors put one after another along a dimension",
    .example = "mascon.cat{mascon.zeros{2, 3}, mascon.ones{2, 1}, dim = 2}",
    .infer = cat_infer,
    .grad = cat_grad,
};

/* ---- pad ---- */

enum { PAD_SIZES = 0, PAD_MODE = 9 };
enum { PAD_CONSTANT, PAD_REFLECT, PAD_REPLICATE, PAD_CIRCULAR }; /* ORDER: choices below */

static const mascon_attr pad_attrs[] = {
    {"pad", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "elements added before and after, last dimension first: {left, right, top, bottom}"},
    {"mode", MASCON_ATTR_CHOICE, MASCON_KEY, 0, 0, 3, "constant reflect replicate circular",
     "what is added"},
    {"value", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, -LIMIT, LIMIT, NULL,
     "the constant that is added"},
};

/* out = x's shape with sign times the padding added */
static mascon_status padded(const mascon_call *call, int sign, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t pad[MASCON_MAX_DIMS];
    int32_t n = masconI_list(call, PAD_SIZES, pad);
    if (n % 2 != 0) {
        return masconI_fail(MASCON_E_ARG, "pad has %d values; expected two per dimension", n);
    }
    if (n / 2 > x->ndim) {
        return masconI_fail(MASCON_E_ARG, "pad has %d values; a %d-dimensional tensor takes %d", n,
                            x->ndim, 2 * x->ndim);
    }
    masconI_like(out, x);
    for (int32_t i = 0; i < n; i++) {
        int32_t d = x->ndim - 1 - i / 2;
        if (pad[i] < 0) {
            masconI_fail(MASCON_E_ARG, "pad value %d is %lld; must be 0 or more", i + 1,
                         (long long)pad[i]);
            return masconI_hint("x:narrow takes elements away");
        }
        out->shape[d] += sign * pad[i];
    }
    return MASCON_OK;
}

/* Whether x, of these sizes, has the elements that the padding repeats. */
static mascon_status check_room(const mascon_call *call, int32_t ndim, const int64_t *shape) {
    int mode = (int)call->attr[PAD_MODE];
    int64_t pad[MASCON_MAX_DIMS];
    int32_t n = masconI_list(call, PAD_SIZES, pad);
    for (int32_t i = 0; i < n && mode != PAD_CONSTANT; i++) {
        int32_t d = ndim - 1 - i / 2;
        int64_t size = shape[d];
        int64_t most = mode == PAD_REFLECT ? size - 1 : mode == PAD_CIRCULAR ? size : INT64_MAX;
        if (pad[i] > 0 && size == 0) {
            return masconI_fail(MASCON_E_SHAPE, "dimension %d is empty; there is nothing to repeat",
                                d + 1);
        }
        if (pad[i] > most && size > 0) {
            return masconI_fail(MASCON_E_SHAPE,
                                "pad value %d is %lld; dimension %d of size %lld allows at most "
                                "%lld in this mode",
                                i + 1, (long long)pad[i], d + 1, (long long)size, (long long)most);
        }
    }
    return MASCON_OK;
}

static mascon_status pad_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    MASCON_TRY(padded(call, 1, &out[0]));
    if (call->attr[PAD_MODE] == PAD_CONSTANT) {
        return masconI_check_value("value", call->attr[10], x->dtype);
    }
    return check_room(call, x->ndim, x->shape);
}

static mascon_status pad_bwd_infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(padded(call, -1, &out[0]));
    return check_room(call, out[0].ndim, out[0].shape);
}

static mascon_status pad_grad(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_pad_bwd, &g->dx[0], 1, g->dy);
}

const mascon_op mascon_op_pad = {
    .name = "pad",
    .inputs = "x",
    .outputs = "y",
    .attrs = pad_attrs,
    .n_attrs = 3,
    .dtypes = MASCON_T_ALL,
    .summary = "x with elements added around it",
    .example = "mascon.pad(mascon.ones{1, 1, 2, 2}, {1, 1, 0, 0})",
    .infer = pad_infer,
    .grad = pad_grad,
};

const mascon_op mascon_op_pad_bwd = {
    .name = "pad_bwd",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = pad_attrs,
    .n_attrs = 3,
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_ALL,
    .summary = "gradient of pad: added elements give theirs to the elements they came from",
    .infer = pad_bwd_infer,
};

/* ---- tile ---- */

static const mascon_attr tile_attrs[] = {
    {"dims", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, 0, LIMIT, NULL,
     "how often each dimension is repeated"},
};

/* Shape of x and the repeats with leading ones, so that both have n dimensions. */
static int32_t tiles(const mascon_call *call, int64_t *shape, int64_t *repeat) {
    const mascon_view *x = SRC(call, 0);
    int64_t given[MASCON_MAX_DIMS];
    int32_t k = masconI_list(call, 0, given), n = k > x->ndim ? k : x->ndim;
    for (int32_t d = 0; d < n; d++) {
        shape[d] = d < n - x->ndim ? 1 : x->shape[d - (n - x->ndim)];
        repeat[d] = d < n - k ? 1 : given[d - (n - k)];
    }
    return n;
}

static mascon_status tile_infer(mascon_call *call, mascon_meta *out) {
    int64_t shape[MASCON_MAX_DIMS], repeat[MASCON_MAX_DIMS];
    int32_t n = tiles(call, shape, repeat);
    for (int32_t d = 0; d < n; d++) {
        if (__builtin_mul_overflow(shape[d], repeat[d], &shape[d])) {
            return masconI_fail(MASCON_E_SHAPE, "dimension %d has more than 2^62 elements", d + 1);
        }
    }
    masconI_meta(&out[0], SRC(call, 0)->dtype, n, shape);
    return MASCON_OK;
}

/* Dimension by dimension: dy as {outer, repeats, inner} summed over the repeats. */
static mascon_status tile_grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    int64_t shape[MASCON_MAX_DIMS], repeat[MASCON_MAX_DIMS];
    int32_t n = tiles(g->call, shape, repeat);
    mascon_tensor *d = g->dy[0];
    mascon_tensor_retain(d);
    int64_t outer = 1;
    for (int32_t k = 0; k < n; k++) {
        if (repeat[k] != 1) {
            int64_t inner = shape[k];
            for (int32_t j = k + 1; j < n; j++) inner *= shape[j] * repeat[j];
            mascon_tensor *blocks, *sums;
            mascon_status status =
                masconI_reshape_to(d, 3, (int64_t[]){outer, repeat[k], inner}, &blocks);
            mascon_tensor_release(d);
            MASCON_TRY(status);
            status = masconI_sum_dim(blocks, 1, &sums);
            mascon_tensor_release(blocks);
            MASCON_TRY(status);
            d = sums;
        }
        outer *= shape[k];
    }
    mascon_status status = masconI_reshape_like(d, x, &g->dx[0]);
    mascon_tensor_release(d);
    return status;
}

const mascon_op mascon_op_tile = {
    .name = "tile",
    .inputs = "x",
    .outputs = "y",
    .attrs = tile_attrs,
    .n_attrs = 1,
    .dtypes = MASCON_T_ALL,
    .summary = "x repeated as a whole along its dimensions",
    .example = "mascon.tensor{1, 2}:tile(2, 2)",
    .infer = tile_infer,
    .grad = tile_grad,
};

/* ---- repeat_interleave ---- */

enum { REPEAT_REPEATS, REPEAT_DIM };

static const mascon_attr repeat_attrs[] = {
    {"repeats", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL,
     "how often each element stands in the result"},
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_ABSENT, -LIMIT, LIMIT, NULL,
     "along which dimension; left out: x is flattened"},
};

static mascon_status repeat_infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int64_t repeats = (int64_t)call->attr[REPEAT_REPEATS], *size;
    int32_t dim = 0;
    if (masconI_given(call, REPEAT_DIM) && x->ndim > 0) {
        MASCON_TRY(masconI_dim(call->attr[REPEAT_DIM], x->ndim, &dim));
        masconI_like(&out[0], x);
    } else {
        masconI_meta(&out[0], x->dtype, 1, &x->numel);
    }
    size = &out[0].shape[dim];
    if (__builtin_mul_overflow(*size, repeats, size)) {
        return masconI_fail(MASCON_E_SHAPE, "dimension %d has more than 2^62 elements", dim + 1);
    }
    return MASCON_OK;
}

/* dy as {outer * size, repeats, inner} summed over the repeats */
static mascon_status repeat_grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    int64_t outer = x->numel, inner = 1;
    if (masconI_given(g->call, REPEAT_DIM) && x->ndim > 0) {
        int32_t dim;
        MASCON_TRY(masconI_dim(g->call->attr[REPEAT_DIM], x->ndim, &dim));
        outer = 1;
        for (int32_t d = 0; d < x->ndim; d++) *(d <= dim ? &outer : &inner) *= x->shape[d];
    }
    mascon_tensor *blocks, *sums;
    MASCON_TRY(masconI_reshape_to(
        g->dy[0], 3, (int64_t[]){outer, (int64_t)g->call->attr[REPEAT_REPEATS], inner}, &blocks));
    mascon_status status = masconI_sum_dim(blocks, 1, &sums);
    mascon_tensor_release(blocks);
    MASCON_TRY(status);
    status = masconI_reshape_like(sums, x, &g->dx[0]);
    mascon_tensor_release(sums);
    return status;
}

const mascon_op mascon_op_repeat_interleave = {
    .name = "repeat_interleave",
    .inputs = "x",
    .outputs = "y",
    .attrs = repeat_attrs,
    .n_attrs = 2,
    .dtypes = MASCON_T_ALL,
    .summary = "each element of x several times in a row",
    .example = "mascon.tensor{1, 2}:repeat_interleave(3)",
    .infer = repeat_infer,
    .grad = repeat_grad,
};

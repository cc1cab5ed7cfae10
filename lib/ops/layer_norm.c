/* layer_norm.c: normalisation over the last dimensions, and its backward op.
 *
 * x {rows..., sizes...}, weight and bias {sizes...}, mean and rstd {rows}: one mean and variance per
 * row. */
#include "ops/norm.h"

#define SIZES                                                                  \
    {                                                                          \
        "sizes", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, 1, 1e9, NULL, \
            "the last sizes of x, over which it is normalised"                 \
    }

static const mascon_attr attrs[] = {
    /* ORDER: NN_LAYER_NORM_* */
    SIZES,
    {"eps", MASCON_ATTR_NUMBER, MASCON_VALUE, 1e-5, 0, MASCON_NOLIMIT, NULL,
     "added to the variance"},
};

static const mascon_attr bwd_attrs[] = {
    SIZES,
    {"affine", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "also the gradients of weight and bias"},
};

/* src[i], if given, has exactly the normalised sizes. */
static mascon_status check_like_sizes(const mascon_call *call, int i, const char *name, int32_t n,
                                      const int64_t *sizes) {
    if (i >= call->n_src || !call->src[i]) return MASCON_OK;
    const mascon_view *v = SRC(call, i);
    MASCON_TRY(masconI_check_parameter_dtype(call, i, name, 0));
    int same = v->ndim == n;
    for (int32_t d = 0; same && d < n; d++) same = v->shape[d] == sizes[d];
    if (same) return MASCON_OK;
    char found[160], expected[160];
    return masconI_fail(MASCON_E_SHAPE, "%s is %s; expected %s", name,
                        masconI_shape_text(v->ndim, v->shape, found),
                        masconI_shape_text(n, sizes, expected));
}

/* The normalised sizes are the last ones of x. */
static mascon_status check_sizes(const mascon_call *call, const mascon_view *x, int32_t *n,
                                 int64_t sizes[MASCON_MAX_DIMS]) {
    *n = masconI_list(call, NN_LAYER_NORM_SIZES, sizes);
    if (*n == 0) return masconI_fail(MASCON_E_ARG, "sizes is empty; needs 1 or more");
    int same = *n <= x->ndim;
    for (int32_t d = 0; same && d < *n; d++) same = x->shape[x->ndim - *n + d] == sizes[d];
    if (same) return MASCON_OK;
    char found[160], expected[160];
    return masconI_fail(MASCON_E_SHAPE, "input %s does not end with sizes %s",
                        masconI_shape_text(x->ndim, x->shape, found),
                        masconI_shape_text(*n, sizes, expected));
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t n;
    int64_t sizes[MASCON_MAX_DIMS], rows, size;
    MASCON_TRY(check_sizes(call, x, &n, sizes));
    MASCON_TRY(check_like_sizes(call, 1, "weight", n, sizes));
    MASCON_TRY(check_like_sizes(call, 2, "bias", n, sizes));
    masconI_rows_of(x, n, &rows, &size);
    masconI_like(&out[0], x);
    masconI_meta(&out[1], masconI_sum_dtype(x->dtype), 1, &rows);
    masconI_meta(&out[2], masconI_sum_dtype(x->dtype), 1, &rows);
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 1);
    int32_t n;
    int64_t sizes[MASCON_MAX_DIMS], rows, size;
    MASCON_TRY(masconI_check_dtype(call, 1, "x", NULL));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", x->ndim, x->shape));
    MASCON_TRY(check_sizes(call, x, &n, sizes));
    masconI_rows_of(x, n, &rows, &size);
    MASCON_TRY(masconI_check_shape(call, 2, "mean", 1, &rows));
    MASCON_TRY(masconI_check_shape(call, 3, "rstd", 1, &rows));
    MASCON_TRY(check_like_sizes(call, 4, "weight", n, sizes));
    masconI_like(&out[0], x);
    masconI_meta(&out[1], masconI_sum_dtype(x->dtype), n, sizes);
    masconI_meta(&out[2], masconI_sum_dtype(x->dtype), n, sizes);
    call->n_dst = call->attr[NN_LAYER_NORM_BWD_AFFINE] != 0 ? 3 : 1;
    return MASCON_OK;
}

static mascon_status grad(mascon_grad *g) {
    return masconI_grad_norm(g, MASCON_OP_layer_norm_bwd, NN_LAYER_NORM_EPS);
}

const mascon_op mascon_op_layer_norm = {
    .name = "layer_norm",
    .inputs = "x weight? bias?",
    .outputs = "y (mean) (rstd)",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .dtypes = MASCON_T_FLOAT,
    .summary = "normalises over the last dimensions, each row by its own mean and variance",
    .example = "mascon.layer_norm(mascon.randn{4, 6}, {6})",
    .infer = infer,
    .grad = grad,
    .saves = "x weight mean rstd",
};

const mascon_op mascon_op_layer_norm_bwd = {
    .name = "layer_norm_bwd",
    .inputs = "dy x mean rstd weight?",
    .outputs = "dx dweight? dbias?",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of layer_norm with respect to its input, weight and bias",
    .infer = infer_bwd,
};

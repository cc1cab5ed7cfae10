/* reduce.c: reductions over any dimensions (sum mean var std logsumexp norm), over one dimension or
 * all (prod any all), and cumsum. The largest and smallest elements are in extreme.c.
 *
 * Without dim the whole tensor is reduced. An empty sum is 0, an empty product 1.
 */
#include "ops/reduce.h"

#include <math.h>

#include "ops/compose.h"

#define LIMIT MASCON_NOLIMIT

/* ---- Which dimensions ---- */

mascon_status masconI_reduction_of(const mascon_call *call, const mascon_view *x,
                                   masconI_reduction *r) {
    const mascon_op *op = masconI_ops[call->op];
    int slot = masconI_attr_find(call->op, "dim"), list = 0;
    for (int i = 0; i < op->n_attrs; i++) list |= op->attrs[i].type == MASCON_ATTR_DIMS;
    int given = masconI_names_dims(call, slot, list);
    r->whole = !given;
    r->keepdim = call->attr[masconI_attr_find(call->op, "keepdim")] != 0;
    double one[2] = {1, call->attr[slot]};
    MASCON_TRY(masconI_dims(list ? &call->attr[slot] : one, given, x->ndim, r->reduce));
    r->count = 1;
    for (int32_t d = 0; d < x->ndim; d++) {
        if (r->reduce[d]) r->count *= x->shape[d];
    }
    return MASCON_OK;
}

int32_t masconI_reduction_kept(const masconI_reduction *r, const mascon_view *x,
                               int64_t shape[MASCON_MAX_DIMS]) {
    for (int32_t d = 0; d < x->ndim; d++) shape[d] = r->reduce[d] ? 1 : x->shape[d];
    return x->ndim;
}

void masconI_reduction_meta(const masconI_reduction *r, const mascon_view *x, int32_t dtype,
                            mascon_meta *out) {
    out->dtype = dtype;
    out->ndim = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        if (!r->reduce[d]) {
            out->shape[out->ndim++] = x->shape[d];
        } else if (r->keepdim) {
            out->shape[out->ndim++] = 1;
        }
    }
}

/* dtype -1: that of x. */
static mascon_status infer_dtype(mascon_call *call, mascon_meta *out, int32_t dtype) {
    masconI_reduction r;
    const mascon_view *x = SRC(call, 0);
    MASCON_TRY(masconI_reduction_of(call, x, &r));
    masconI_reduction_meta(&r, x, dtype < 0 ? x->dtype : dtype, &out[0]);
    return MASCON_OK;
}

static mascon_status infer_same(mascon_call *call, mascon_meta *out) {
    return infer_dtype(call, out, -1);
}

/* The largest or smallest magnitude of no elements is not defined. */
static mascon_status infer_norm(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    const double power = call->attr[NORM_P];
    masconI_reduction r;
    char text[160];
    MASCON_TRY(infer_same(call, out));
    MASCON_TRY(masconI_reduction_of(call, x, &r));
    if (r.count > 0 || (power >= 0 && !isinf(power))) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE, "x has no elements to reduce (%s), p is %g",
                        masconI_shape_text(x->ndim, x->shape, text), power);
}

static mascon_status infer_bool(mascon_call *call, mascon_meta *out) {
    return infer_dtype(call, out, MASCON_DTYPE_BOOL);
}

/* Sums and products of whole numbers are int64. */
static int32_t accumulated(const mascon_view *x) {
    return masconI_is_float(x->dtype) ? x->dtype : MASCON_DTYPE_I64;
}

static mascon_status infer_sum(mascon_call *call, mascon_meta *out) {
    return infer_dtype(call, out, accumulated(SRC(call, 0)));
}

/* ---- Options ---- */

#define DIMS_ATTR                                                                \
    {                                                                            \
        "dim", MASCON_ATTR_DIMS, MASCON_KEY, MASCON_ABSENT, -LIMIT, LIMIT, NULL, \
            "the dimensions to reduce; left out: all"                            \
    }
#define DIM_ATTR                                                                \
    {                                                                           \
        "dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_ABSENT, -LIMIT, LIMIT, NULL, \
            "the dimension to reduce; left out: all"                            \
    }
#define KEEPDIM_ATTR                                               \
    {                                                              \
        "keepdim", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, \
            "keep the reduced dimensions with size 1"              \
    }

static const mascon_attr dims_attrs[] = {DIMS_ATTR, KEEPDIM_ATTR};
static const mascon_attr dim_attrs[] = {DIM_ATTR, KEEPDIM_ATTR};
static const mascon_attr var_attrs[] = {
    DIMS_ATTR,
    KEEPDIM_ATTR,
    {"correction", MASCON_ATTR_NUMBER, MASCON_KEY, 1, -LIMIT, LIMIT, NULL,
     "divide by the number of elements less this"},
};
static const mascon_attr norm_attrs[] = {
    {"p", MASCON_ATTR_NUMBER, MASCON_KEY, 2, -LIMIT, LIMIT, NULL,
     "the power; math.huge: the largest absolute value; 0: how many are not 0"},
    DIMS_ATTR,
    KEEPDIM_ATTR,
};
static const mascon_attr cumsum_attrs[] = {
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "the dimension along which to add up"},
};

/* ---- Gradients ---- */

/* A gradient at work. dy and y come with the reduced dimensions kept as 1, so that they broadcast
 * against x. */
typedef struct parts {
    masconI_chain chain;
    masconI_reduction r;
    mascon_tensor *x, *dy;
    int32_t ndim;
    int64_t kept[MASCON_MAX_DIMS];
} parts;

/* t, which has the result's shape, in the kept shape. */
static mascon_tensor *keep_dims(parts *p, mascon_tensor *t) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_reshape);
    call.n_src = 1;
    call.src[0] = t;
    masconI_call_set_list(&call, "shape", p->ndim, p->kept);
    return masconI_step_call(&p->chain, &call);
}

static mascon_status open_parts(const mascon_grad *g, parts *p) {
    *p = (parts){.x = g->call->src[0]};
    MASCON_TRY(masconI_reduction_of(g->call, SRC(g->call, 0), &p->r));
    p->ndim = masconI_reduction_kept(&p->r, SRC(g->call, 0), p->kept);
    p->dy = keep_dims(p, g->dy[0]);
    return p->chain.status;
}

static mascon_tensor *number(parts *p, int32_t op, mascon_tensor *a, double v) {
    return masconI_step_number(&p->chain, op, a, v);
}

static mascon_tensor *two(parts *p, int32_t op, mascon_tensor *a, mascon_tensor *b) {
    return masconI_step2(&p->chain, op, a, b);
}

static mascon_tensor *one(parts *p, int32_t op, mascon_tensor *a) {
    return masconI_step(&p->chain, op, a);
}

static mascon_status close_parts(mascon_grad *g, parts *p, mascon_tensor *dx) {
    return masconI_chain_end(&p->chain, dx, &g->dx[0]);
}

/* dy, of the kept shape, expanded to the shape of x. */
static mascon_tensor *spread(parts *p, mascon_tensor *dy) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_expand);
    call.n_src = 1;
    call.src[0] = dy;
    masconI_call_set_list(&call, "size", mascon_see(p->x)->ndim, mascon_see(p->x)->shape);
    return masconI_step_call(&p->chain, &call);
}

static mascon_status grad_sum(mascon_grad *g) {
    parts p;
    MASCON_TRY(open_parts(g, &p));
    return close_parts(g, &p, spread(&p, p.dy));
}

static mascon_status grad_mean(mascon_grad *g) {
    parts p;
    MASCON_TRY(open_parts(g, &p));
    return close_parts(g, &p, spread(&p, number(&p, MASCON_OP_div, p.dy, (double)p.r.count)));
}

/* op (sum or mean) of t over the same dimensions, which stay as 1. */
static mascon_tensor *reduced(parts *p, int32_t op, mascon_tensor *t) {
    mascon_call call;
    int64_t dims[MASCON_MAX_DIMS];
    int32_t n = 0;
    for (int32_t d = 0; d < p->ndim; d++) {
        if (p->r.reduce[d]) dims[n++] = d;
    }
    masconI_call_init(&call, op);
    call.n_src = 1;
    call.src[0] = t;
    masconI_call_set_list(&call, "dim", n, dims);
    masconI_call_set(&call, "keepdim", 1);
    return masconI_step_call(&p->chain, &call);
}

/* x less its mean over the reduced dimensions. */
static mascon_tensor *centred(parts *p) {
    return two(p, MASCON_OP_sub, p->x, reduced(p, MASCON_OP_mean, p->x));
}

/* dx = dy * 2 / (n - correction) * (x - mean) */
static mascon_status grad_var(mascon_grad *g) {
    parts p;
    MASCON_TRY(open_parts(g, &p));
    double n = masconI_freedom(p.r.count, g->call->attr[VAR_CORRECTION]);
    mascon_tensor *scaled = number(&p, MASCON_OP_mul, p.dy, 2 / n);
    return close_parts(g, &p, two(&p, MASCON_OP_mul, centred(&p), scaled));
}

/* dx = dy / y / (n - correction) * (x - mean), and 0 where y is 0 */
static mascon_status grad_std(mascon_grad *g) {
    parts p;
    MASCON_TRY(open_parts(g, &p));
    double n = masconI_freedom(p.r.count, g->call->attr[VAR_CORRECTION]);
    mascon_tensor *y = keep_dims(&p, g->call->dst[0]);
    mascon_tensor *scaled = number(&p, MASCON_OP_div, two(&p, MASCON_OP_div, p.dy, y), n);
    scaled = masconI_step_zero(&p.chain, number(&p, MASCON_OP_eq, y, 0), scaled);
    return close_parts(g, &p, two(&p, MASCON_OP_mul, centred(&p), scaled));
}

/* dx = dy * exp(x - y) */
static mascon_status grad_logsumexp(mascon_grad *g) {
    parts p;
    MASCON_TRY(open_parts(g, &p));
    mascon_tensor *y = keep_dims(&p, g->call->dst[0]);
    mascon_tensor *weight = one(&p, MASCON_OP_exp, two(&p, MASCON_OP_sub, p.x, y));
    return close_parts(g, &p, two(&p, MASCON_OP_mul, weight, p.dy));
}

/* The largest or smallest absolute values share the gradient of their norm. */
static mascon_tensor *grad_norm_extreme(parts *p, mascon_tensor *y) {
    mascon_tensor *equal = two(p, MASCON_OP_eq, one(p, MASCON_OP_abs, p->x), y);
    mascon_tensor *mask = masconI_step_cast(&p->chain, equal, mascon_see(p->x)->dtype);
    mascon_tensor *count = reduced(p, MASCON_OP_sum, mask);
    mascon_tensor *share = two(p, MASCON_OP_div, p->dy, count);
    mascon_tensor *sign = one(p, MASCON_OP_sign, p->x);
    return two(p, MASCON_OP_mul, two(p, MASCON_OP_mul, mask, sign), share);
}

/* p = 2: dy * x / y; in general dy * sign(x) * |x| ^ (p - 1) / y ^ (p - 1), and 0 where y is 0. */
static mascon_status grad_norm(mascon_grad *g) {
    parts p;
    double power = g->call->attr[NORM_P];
    if (power == 0) return masconI_zeros_like(SRC(g->call, 0), &g->dx[0]);
    MASCON_TRY(open_parts(g, &p));
    mascon_tensor *y = keep_dims(&p, g->call->dst[0]), *slope;
    if (isinf(power)) return close_parts(g, &p, grad_norm_extreme(&p, y));
    if (power == 1) {
        slope = one(&p, MASCON_OP_sign, p.x);
        return close_parts(g, &p, two(&p, MASCON_OP_mul, slope, p.dy));
    }
    mascon_tensor *below = power == 2 ? y : number(&p, MASCON_OP_pow, y, power - 1);
    mascon_tensor *scaled = masconI_step_zero(&p.chain, number(&p, MASCON_OP_eq, y, 0),
                                              two(&p, MASCON_OP_div, p.dy, below));
    slope = p.x;
    if (power != 2) {
        slope = number(&p, MASCON_OP_pow, one(&p, MASCON_OP_abs, p.x), power - 1);
        slope = two(&p, MASCON_OP_mul, slope, one(&p, MASCON_OP_sign, p.x));
        if (power < 1) {
            slope = masconI_step_zero(&p.chain, number(&p, MASCON_OP_eq, p.x, 0), slope);
        }
    }
    return close_parts(g, &p, two(&p, MASCON_OP_mul, slope, scaled));
}

static mascon_status grad_prod(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_prod_bwd, &g->dx[0], 2,
                             (mascon_tensor *[]){g->dy[0], g->call->src[0]});
}

static mascon_status infer_prod_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 1);
    masconI_reduction r;
    mascon_meta y;
    MASCON_TRY(masconI_reduction_of(call, x, &r));
    masconI_reduction_meta(&r, x, x->dtype, &y);
    MASCON_TRY(masconI_check_like(call, 0, y.dtype, y.ndim, y.shape));
    masconI_like(&out[0], x);
    return MASCON_OK;
}

/* The sums of what follows: cumsum from the other end. */
static mascon_status grad_cumsum(mascon_grad *g) {
    masconI_chain chain = {0};
    if (SRC(g->call, 0)->ndim == 0) return masconI_grad_pass(g);
    mascon_tensor *t = g->dy[0];
    for (int i = 0; i < 3; i++) {
        mascon_call call;
        masconI_call_init(&call, i == 1 ? MASCON_OP_cumsum : MASCON_OP_flip);
        call.n_src = 1;
        call.src[0] = t;
        masconI_call_set(&call, i == 1 ? "dim" : "dims", g->call->attr[CUMSUM_DIM]);
        t = masconI_step_call(&chain, &call);
    }
    return masconI_chain_end(&chain, t, &g->dx[0]);
}

static mascon_status infer_cumsum(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[CUMSUM_DIM], x->ndim, &dim));
    masconI_like(&out[0], x);
    out[0].dtype = accumulated(x);
    return MASCON_OK;
}

/* ---- The rows ---- */

#define REDUCTION(op, attrs_, flags_, dtypes_, summary_, example_, infer_, grad_, saves_) \
    const mascon_op mascon_op_##op = {                                                    \
        .name = #op,                                                                      \
        .inputs = "x",                                                                    \
        .outputs = "y",                                                                   \
        .attrs = attrs_,                                                                  \
        .n_attrs = sizeof attrs_ / sizeof attrs_[0],                                      \
        .flags = flags_,                                                                  \
        .dtypes = dtypes_,                                                                \
        .summary = summary_,                                                              \
        .example = example_,                                                              \
        .infer = infer_,                                                                  \
        .grad = grad_,                                                                    \
        .saves = saves_,                                                                  \
    };

#define T_BOOL_TOO (MASCON_T_NUMBER | MASCON_T_BOOL)

REDUCTION(sum, dims_attrs, MASCON_CAST_UP, T_BOOL_TOO,
          "the sum of the elements; whole numbers and bools give int64",
          "x:sum(2, {keepdim = true})", infer_sum, grad_sum, NULL)
REDUCTION(mean, dims_attrs, MASCON_OPF_FLOAT, MASCON_T_FLOAT, "the mean of the elements",
          "x:mean(1)", infer_same, grad_mean, NULL)
REDUCTION(var, var_attrs, MASCON_OPF_FLOAT, MASCON_T_FLOAT, "the variance of the elements",
          "x:var(1, {correction = 0})", infer_same, grad_var, "x")
REDUCTION(std, var_attrs, MASCON_OPF_FLOAT, MASCON_T_FLOAT,
          "the standard deviation of the elements", "x:std(1)", infer_same, grad_std, "x y")
REDUCTION(logsumexp, dims_attrs, MASCON_OPF_FLOAT | MASCON_CAST_UP, MASCON_T_FLOAT,
          "log(sum(exp(x))) without overflow", "x:logsumexp(2)", infer_same, grad_logsumexp, "x y")
REDUCTION(norm, norm_attrs, MASCON_OPF_FLOAT | MASCON_CAST_UP, MASCON_T_FLOAT,
          "the p-norm of the elements: sum(|x| ^ p) ^ (1 / p)", "x:norm(2, 1)", infer_norm,
          grad_norm, "x y")
REDUCTION(prod, dim_attrs, MASCON_CAST_UP, T_BOOL_TOO,
          "the product of the elements; whole numbers and bools give int64", "x:prod(2)", infer_sum,
          grad_prod, "x")
REDUCTION(any, dim_attrs, MASCON_OPF_NO_GRAD, MASCON_T_ALL, "whether some element is not 0",
          "x:gt(0):any()", infer_bool, NULL, NULL)
REDUCTION(all, dim_attrs, MASCON_OPF_NO_GRAD, MASCON_T_ALL, "whether no element is 0",
          "x:gt(0):all()", infer_bool, NULL, NULL)
REDUCTION(cumsum, cumsum_attrs, MASCON_CAST_UP, T_BOOL_TOO,
          "running sums along a dimension; whole numbers and bools give int64", "x:cumsum(1)",
          infer_cumsum, grad_cumsum, NULL)

const mascon_op mascon_op_prod_bwd = {
    .name = "prod_bwd",
    .inputs = "dy x",
    .outputs = "dx",
    .attrs = dim_attrs,
    .n_attrs = sizeof dim_attrs / sizeof dim_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of prod: dy times the product of the other elements",
    .infer = infer_prod_bwd,
};

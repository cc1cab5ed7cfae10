/* extreme.c: the largest and smallest elements: max, min, argmax, argmin.
 *
 * max and min with a dimension give values and positions, without one the value alone. The first of
 * equal elements counts; without a dimension equal elements share the gradient. NaN is both the
 * largest and the smallest. Positions count from the option base.
 */
#include "ops/compose.h"
#include "ops/reduce.h"

#define LIMIT MASCON_NOLIMIT

static const mascon_attr attrs[] = {
    /* ORDER: REDUCE_DIM, REDUCE_DIM_KEEPDIM, REDUCE_BASE */
    {"dim", MASCON_ATTR_DIM, MASCON_KEY, MASCON_ABSENT, -LIMIT, LIMIT, NULL,
     "the dimension to reduce; left out: all"},
    {"keepdim", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "keep the reduced dimensions with size 1"},
    {"base", MASCON_ATTR_BASE, MASCON_KEY, 0, 0, 1, NULL, "number of the first position"},
};

static mascon_status resolve(const mascon_call *call, masconI_reduction *r) {
    const mascon_view *x = SRC(call, 0);
    char text[160];
    MASCON_TRY(masconI_reduction_of(call, x, r));
    if (r->count > 0) return MASCON_OK;
    if (r->whole) {
        return masconI_fail(MASCON_E_SHAPE, "x has no elements (%s)",
                            masconI_shape_text(x->ndim, x->shape, text));
    }
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[REDUCE_DIM], x->ndim, &dim));
    return masconI_fail(MASCON_E_SHAPE, "dimension %d of x has size 0 (%s)", dim + 1,
                        masconI_shape_text(x->ndim, x->shape, text));
}

static mascon_status infer_values(mascon_call *call, mascon_meta *out) {
    masconI_reduction r;
    MASCON_TRY(resolve(call, &r));
    masconI_reduction_meta(&r, SRC(call, 0), SRC(call, 0)->dtype, &out[0]);
    masconI_reduction_meta(&r, SRC(call, 0), MASCON_DTYPE_I64, &out[1]);
    call->n_dst = r.whole ? 1 : 2;
    return MASCON_OK;
}

static mascon_status infer_position(mascon_call *call, mascon_meta *out) {
    masconI_reduction r;
    MASCON_TRY(resolve(call, &r));
    masconI_reduction_meta(&r, SRC(call, 0), MASCON_DTYPE_I64, &out[0]);
    return MASCON_OK;
}

/* Without a dimension: equal elements share. */
static mascon_status grad_whole(mascon_grad *g) {
    masconI_chain chain = {0}, *c = &chain;
    mascon_tensor *x = g->call->src[0], *y = g->call->dst[0];
    int64_t none[1] = {1};
    mascon_call reshape;
    for (int i = 0; i < 2; i++) { /* keepdim leaves {1, 1, ...}: a scalar broadcasts alike */
        mascon_tensor *t = i == 0 ? y : g->dy[0];
        masconI_call_init(&reshape, MASCON_OP_reshape);
        reshape.n_src = 1;
        reshape.src[0] = t;
        masconI_call_set_list(&reshape, "shape", 0, none);
        t = masconI_step_call(c, &reshape);
        if (i == 0) {
            /* where the result is NaN, every NaN has a share */
            mascon_tensor *taken = masconI_step2(c, MASCON_OP_eq, x, t);
            taken =
                masconI_step2(c, MASCON_OP_logical_or, taken, masconI_step(c, MASCON_OP_isnan, x));
            y = masconI_step_cast(c, taken, mascon_see(x)->dtype);
        } else {
            t = masconI_step2(c, MASCON_OP_div, t, masconI_step(c, MASCON_OP_sum, y));
            y = masconI_step2(c, MASCON_OP_mul, y, t);
        }
    }
    return masconI_chain_end(c, y, &g->dx[0]);
}

/* With a dimension: the gradient goes to the position that was taken. */
static mascon_status grad_values(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    if (!masconI_given(g->call, REDUCE_DIM)) return grad_whole(g);
    if (x->ndim == 0) return masconI_grad_pass(g);
    masconI_reduction r;
    MASCON_TRY(masconI_reduction_of(g->call, x, &r));
    masconI_chain chain = {0}, *c = &chain;
    int64_t kept[MASCON_MAX_DIMS];
    int32_t ndim = masconI_reduction_kept(&r, x, kept);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_scatter_add);
    call.n_src = 3;
    mascon_tensor *from[2] = {g->call->dst[1], g->dy[0]};
    for (int i = 0; i < 2; i++) {
        mascon_call reshape;
        masconI_call_init(&reshape, MASCON_OP_reshape);
        reshape.n_src = 1;
        reshape.src[0] = from[i];
        masconI_call_set_list(&reshape, "shape", ndim, kept);
        call.src[1 + i] = masconI_step_call(c, &reshape);
    }
    mascon_tensor *zeros = NULL;
    if (c->status == MASCON_OK) c->status = masconI_zeros_like(x, &zeros);
    call.src[0] = zeros;
    masconI_call_set(&call, "dim", g->call->attr[REDUCE_DIM]);
    masconI_call_set(&call, "base", g->call->attr[REDUCE_BASE]);
    mascon_status status = masconI_chain_end(c, masconI_step_call(c, &call), &g->dx[0]);
    mascon_tensor_release(zeros);
    return status;
}

#define T_BOOL_TOO (MASCON_T_NUMBER | MASCON_T_BOOL)

#define VALUES(op, summary_)                               \
    const mascon_op mascon_op_##op = {                     \
        .name = #op,                                       \
        .inputs = "x",                                     \
        .outputs = "values indices",                       \
        .attrs = attrs,                                    \
        .n_attrs = 3,                                      \
        .dtypes = T_BOOL_TOO,                              \
        .summary = summary_,                               \
        .example = "local values, indices = x:" #op "(2)", \
        .infer = infer_values,                             \
        .grad = grad_values,                               \
        .saves = "x values indices",                       \
    };

#define POSITION(op, summary_)         \
    const mascon_op mascon_op_##op = { \
        .name = #op,                   \
        .inputs = "x",                 \
        .outputs = "indices",          \
        .attrs = attrs,                \
        .n_attrs = 3,                  \
        .flags = MASCON_OPF_NO_GRAD,   \
        .dtypes = T_BOOL_TOO,          \
        .summary = summary_,           \
        .example = "x:" #op "(2)",     \
        .infer = infer_position,       \
    };

VALUES(max, "the largest element; with dim also its position")
VALUES(min, "the smallest element; with dim also its position")
POSITION(argmax, "the position of the first of the largest elements")
POSITION(argmin, "the position of the first of the smallest elements")

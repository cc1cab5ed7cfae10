/* unary.c: element by element functions of one tensor, and clamp.
 *
 * The result has the shape of x. Functions with fractional values take whole numbers as float32;
 * those that keep whole numbers whole (abs, neg, sign, rounding, clamp) keep their dtype. The
 * slope of a step function is 0 everywhere.
 */
#include <math.h>

#include "ops/compose.h"
#include "ops/elementwise.h"
#include "ops/support.h"

static mascon_status infer_bool(mascon_call *call, mascon_meta *out) {
    masconI_like(&out[0], SRC(call, 0));
    out[0].dtype = MASCON_DTYPE_BOOL;
    return MASCON_OK;
}

/* ---- Gradients: dx from dy and what was saved ---- */

/* dx = <steps over dy, x, y> */
#define GRADIENT(name, ...)                                                            \
    static mascon_status grad_##name(mascon_grad *g) {                                 \
        mascon_tensor *dy = g->dy[0], *x = g->call->src[0], *y = g->call->dst[0], *dx; \
        masconI_chain chain = {0}, *c = &chain;                                        \
        (void)x, (void)y;                                                              \
        dx = __VA_ARGS__;                                                              \
        return masconI_chain_end(c, dx, &g->dx[0]);                                    \
    }
#define MUL(a, b) masconI_step2(c, MASCON_OP_mul, a, b)
#define DIV(a, b) masconI_step2(c, MASCON_OP_div, a, b)
#define ADD_NUMBER(a, number) masconI_step_number(c, MASCON_OP_add, a, number)
#define MUL_NUMBER(a, number) masconI_step_number(c, MASCON_OP_mul, a, number)
#define ONE(name, a) masconI_step(c, MASCON_OP_##name, a)

static const double two_over_sqrt_pi = 1.1283791670955126;

GRADIENT(exp, MUL(dy, y))
GRADIENT(log, DIV(dy, x))
GRADIENT(log1p, DIV(dy, ADD_NUMBER(x, 1)))
GRADIENT(expm1, MUL(dy, ADD_NUMBER(y, 1)))
GRADIENT(sqrt, DIV(dy, MUL_NUMBER(y, 2)))
GRADIENT(rsqrt, MUL(dy, MUL_NUMBER(MUL(y, MUL(y, y)), -0.5)))
GRADIENT(abs, MUL(dy, ONE(sign, x)))
GRADIENT(neg, ONE(neg, dy))
GRADIENT(reciprocal, MUL(dy, ONE(neg, MUL(y, y))))
GRADIENT(sin, MUL(dy, ONE(cos, x)))
GRADIENT(cos, MUL(dy, ONE(neg, ONE(sin, x))))
GRADIENT(erf, MUL(dy, MUL_NUMBER(ONE(exp, ONE(neg, MUL(x, x))), two_over_sqrt_pi)))

static mascon_status grad_zero(mascon_grad *g) {
    return masconI_zeros_like(SRC(g->call, 0), &g->dx[0]);
}

/* ---- The rows ---- */

#define UNARY(op, flags_, dtypes_, summary_, example_, infer_, grad_, saves_) \
    const mascon_op mascon_op_##op = {                                        \
        .name = #op,                                                          \
        .inputs = "x",                                                        \
        .outputs = "y",                                                       \
        .flags = flags_,                                                      \
        .dtypes = dtypes_,                                                    \
        .summary = summary_,                                                  \
        .example = example_,                                                  \
        .infer = infer_,                                                      \
        .grad = grad_,                                                        \
        .saves = saves_,                                                      \
    };

/* Of real numbers: whole numbers become float32 first. */
#define REAL(op, summary, grad, saves)                                         \
    UNARY(op, MASCON_OPF_FLOAT | MASCON_OPF_IN_PLACE, MASCON_T_FLOAT, summary, \
          "mascon." #op "(mascon.tensor{0.5, 2})", masconI_infer_one_shape, grad, saves)
/* The same, in float32 under autocast. */
#define WIDE(op, summary, grad, saves)                                                          \
    UNARY(op, MASCON_OPF_FLOAT | MASCON_OPF_IN_PLACE | MASCON_CAST_UP, MASCON_T_FLOAT, summary, \
          "mascon." #op "(mascon.tensor{0.5, 2})", masconI_infer_one_shape, grad, saves)
/* Keeps the dtype. */
#define KEEP(op, summary, grad, saves)                       \
    UNARY(op, MASCON_OPF_IN_PLACE, MASCON_T_NUMBER, summary, \
          "mascon." #op "(mascon.tensor{-1.5, 2})", masconI_infer_one_shape, grad, saves)
#define TEST(op, summary)                                                                       \
    UNARY(op, MASCON_OPF_NO_GRAD, MASCON_T_ALL, summary, "mascon." #op "(mascon.tensor{0, 1})", \
          infer_bool, NULL, NULL)

WIDE(exp, "e to the power of x", grad_exp, "y")
WIDE(log, "the natural logarithm of x", grad_log, "x")
WIDE(log1p, "log(1 + x), exact also for small x", grad_log1p, "x")
WIDE(expm1, "exp(x) - 1, exact also for small x", grad_expm1, "y")
REAL(sqrt, "the square root of x", grad_sqrt, "y")
WIDE(rsqrt, "1 / sqrt(x)", grad_rsqrt, "y")
WIDE(reciprocal, "1 / x", grad_reciprocal, "y")
REAL(sin, "the sine of x, in radians", grad_sin, "x")
REAL(cos, "the cosine of x, in radians", grad_cos, "x")
REAL(erf, "the error function of x", grad_erf, "x")
KEEP(abs, "the absolute value of x", grad_abs, "x")
KEEP(neg, "-x", grad_neg, NULL)
KEEP(sign, "-1, 0 or 1 by the sign of x; 0 where x is not a number", grad_zero, NULL)
KEEP(floor, "the largest whole number not above x", grad_zero, NULL)
KEEP(ceil, "the smallest whole number not below x", grad_zero, NULL)
KEEP(round, "the nearest whole number; halves go to the even one", grad_zero, NULL)
TEST(isnan, "true where x is not a number")
TEST(isfinite, "true where x is neither infinite nor NaN")
TEST(logical_not, "true where x is 0 or false")

/* ---- clamp ---- */

static const mascon_attr clamp_attrs[] = {
    /* ORDER: CLAMP_MIN, CLAMP_MAX */
    {"min", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_ABSENT, -MASCON_NOLIMIT, MASCON_NOLIMIT, NULL,
     "smallest value of the result"},
    {"max", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_ABSENT, -MASCON_NOLIMIT, MASCON_NOLIMIT, NULL,
     "largest value of the result; wins where it is below min"},
};

static mascon_status infer_clamp(mascon_call *call, mascon_meta *out) {
    const mascon_view *x = SRC(call, 0);
    int low = masconI_given(call, CLAMP_MIN), high = masconI_given(call, CLAMP_MAX);
    if (!low && !high) return masconI_fail(MASCON_E_ARG, "neither min nor max is given");
    masconI_like(&out[0], x);
    int whole = (!low || masconI_is_whole(call->attr[CLAMP_MIN])) &&
                (!high || masconI_is_whole(call->attr[CLAMP_MAX]));
    if (!masconI_is_float(x->dtype) && !whole) out[0].dtype = MASCON_DTYPE_F32;
    return MASCON_OK;
}

static mascon_status grad_clamp(mascon_grad *g) {
    return masconI_emit_same(g, MASCON_OP_clamp_bwd, &g->dx[0], 2,
                             (mascon_tensor *[]){g->dy[0], g->call->src[0]});
}

const mascon_op mascon_op_clamp = {
    .name = "clamp",
    .inputs = "x",
    .outputs = "y",
    .attrs = clamp_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_NUMBER,
    .summary = "x brought into min..max; NaN stays",
    .example = "mascon.clamp(mascon.tensor{-1, 2}, 0, 1)",
    .infer = infer_clamp,
    .grad = grad_clamp,
    .saves = "x",
};

const mascon_op mascon_op_clamp_bwd = {
    .name = "clamp_bwd",
    .inputs = "dy x",
    .outputs = "dx",
    .attrs = clamp_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of clamp: dy where min < x < max, else 0",
    .infer = masconI_infer_one_shape,
};

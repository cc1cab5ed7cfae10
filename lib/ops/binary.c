/* binary.c: element by element functions of two tensors, or of a tensor and a number.
 *
 * Shapes broadcast. y may be left out: the option `other` then stands for it, and with `swap` the
 * number comes first (other - x). Two tensors are brought to one dtype by the core; a fractional
 * number makes float32 of whole numbers.
 */
#include "ops/compose.h"
#include "ops/elementwise.h"

static const mascon_attr attrs[] = {
    /* ORDER: BINARY_OTHER, BINARY_SWAP */
    {"other", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_ABSENT, -MASCON_NOLIMIT, MASCON_NOLIMIT,
     NULL, "a number in the place of y"},
    {"swap", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, "the number comes first"},
};

static mascon_tensor *second(const mascon_call *call) {
    return call->n_src > 1 ? call->src[1] : NULL;
}

static mascon_status infer_dtype(mascon_call *call, mascon_meta *out, int32_t dtype) {
    int number = masconI_given(call, BINARY_OTHER);
    if (!second(call) && !number) {
        return masconI_fail(MASCON_E_ARG, "argument 2 (y) is missing");
    }
    if (second(call) && number) {
        return masconI_fail(MASCON_E_ARG,
                            "both y and the number other = %g are given; expected "
                            "one of them",
                            call->attr[BINARY_OTHER]);
    }
    if (second(call)) {
        MASCON_TRY(masconI_broadcast(SRC(call, 0), SRC(call, 1), &out[0]));
    } else {
        masconI_like(&out[0], SRC(call, 0));
        out[0].dtype = masconI_with_number(out[0].dtype, call->attr[BINARY_OTHER]);
    }
    if (dtype >= 0) out[0].dtype = dtype;
    return MASCON_OK;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    return infer_dtype(call, out, -1);
}

static mascon_status infer_bool(mascon_call *call, mascon_meta *out) {
    return infer_dtype(call, out, MASCON_DTYPE_BOOL);
}

static mascon_status infer_pow(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(infer_dtype(call, out, -1));
    double power = call->attr[BINARY_OTHER];
    if (!second(call) && call->attr[BINARY_SWAP] == 0 && power < 0 &&
        !masconI_is_float(out[0].dtype)) {
        masconI_fail(MASCON_E_ARG, "%s to the negative power %g is not a whole number",
                     mascon_dtype_name(SRC(call, 0)->dtype), power);
        return masconI_hint("x:to(\"float32\")");
    }
    return MASCON_OK;
}

/* ---- Gradients ---- */

/* A gradient at work: the saved call, and op(u, v) of its operands, number or not. */
typedef struct parts {
    masconI_chain chain;
    mascon_tensor *dy, *x, *y; /* y is NULL beside a number */
    double number;
    int swap;
} parts;

static parts open_parts(const mascon_grad *g) {
    return (parts){
        .dy = g->dy[0],
        .x = g->call->src[0],
        .y = second(g->call),
        .number = g->call->attr[BINARY_OTHER],
        .swap = !second(g->call) && g->call->attr[BINARY_SWAP] != 0,
    };
}

static int needs(const mascon_grad *g, int i) { return i < g->n_inputs && g->need[i]; }

/* Closes the chain with the gradient of input i. */
static mascon_status give(mascon_grad *g, parts *p, int i, mascon_tensor *dx) {
    return masconI_chain_end_sum(&p->chain, dx, SRC(g->call, i), &g->dx[i]);
}

/* op(first operand, second operand) as in the call. */
static mascon_tensor *both(parts *p, int32_t op) {
    if (p->y) return masconI_step2(&p->chain, op, p->x, p->y);
    return p->swap ? masconI_number_step(&p->chain, op, p->number, p->x)
                   : masconI_step_number(&p->chain, op, p->x, p->number);
}

static mascon_tensor *negative(parts *p, mascon_tensor *a) {
    return masconI_step(&p->chain, MASCON_OP_neg, a);
}

static mascon_tensor *times(parts *p, mascon_tensor *a, mascon_tensor *b) {
    return masconI_step2(&p->chain, MASCON_OP_mul, a, b);
}

static mascon_status grad_add(mascon_grad *g) {
    for (int i = 0; i < 2; i++) {
        parts p = open_parts(g);
        if (needs(g, i)) MASCON_TRY(give(g, &p, i, p.dy));
    }
    return MASCON_OK;
}

static mascon_status grad_sub(mascon_grad *g) {
    for (int i = 0; i < 2; i++) {
        parts p = open_parts(g);
        int minus = p.y ? i == 1 : p.swap;
        if (needs(g, i)) MASCON_TRY(give(g, &p, i, minus ? negative(&p, p.dy) : p.dy));
    }
    return MASCON_OK;
}

static mascon_status grad_mul(mascon_grad *g) {
    for (int i = 0; i < 2; i++) {
        parts p = open_parts(g);
        if (!needs(g, i)) continue;
        mascon_tensor *dx = p.y ? times(&p, p.dy, i == 0 ? p.y : p.x)
                                : masconI_step_number(&p.chain, MASCON_OP_mul, p.dy, p.number);
        MASCON_TRY(give(g, &p, i, dx));
    }
    return MASCON_OK;
}

/* d(a / b) = da / b - db * (a / b) / b */
static mascon_status grad_div(mascon_grad *g) {
    for (int i = 0; i < 2; i++) {
        parts p = open_parts(g);
        if (!needs(g, i)) continue;
        mascon_tensor *dx, *below = p.y ? p.y : p.x;
        if (!p.y && !p.swap) {
            dx = masconI_step_number(&p.chain, MASCON_OP_div, p.dy, p.number);
        } else if (i == 0 && p.y) {
            dx = masconI_step2(&p.chain, MASCON_OP_div, p.dy, p.y);
        } else {
            dx = times(&p, p.dy, both(&p, MASCON_OP_div));
            dx = negative(&p, masconI_step2(&p.chain, MASCON_OP_div, dx, below));
        }
        MASCON_TRY(give(g, &p, i, dx));
    }
    return MASCON_OK;
}

/* a ^ b for a: dy * b * a ^ (b - 1), and 0 where b is 0. */
static mascon_tensor *slope_of_base(parts *p) {
    masconI_chain *c = &p->chain;
    if (p->y) {
        mascon_tensor *zero = masconI_step_number(c, MASCON_OP_eq, p->y, 0);
        mascon_tensor *less = masconI_step_number(c, MASCON_OP_sub, p->y, 1);
        mascon_tensor *slope = masconI_step2(c, MASCON_OP_pow, p->x, less);
        return masconI_step_zero(c, zero, times(p, p->dy, times(p, p->y, slope)));
    }
    mascon_tensor *slope =
        p->number == 2 ? p->x : masconI_step_number(c, MASCON_OP_pow, p->x, p->number - 1);
    return times(p, p->dy, masconI_step_number(c, MASCON_OP_mul, slope, p->number));
}

/* a ^ b for b: dy * log(a) * a ^ b, and 0 where a is 0 and b is not negative. */
static mascon_tensor *slope_of_exponent(parts *p, mascon_tensor *result) {
    masconI_chain *c = &p->chain;
    if (!p->y) {
        mascon_tensor *dx = times(p, p->dy, result);
        dx = masconI_step_number(c, MASCON_OP_mul, dx, log(p->number));
        if (p->number != 0) return dx;
        return masconI_step_zero(c, masconI_step_number(c, MASCON_OP_ge, p->x, 0), dx);
    }
    mascon_tensor *flat =
        masconI_step2(c, MASCON_OP_logical_and, masconI_step_number(c, MASCON_OP_eq, p->x, 0),
                      masconI_step_number(c, MASCON_OP_ge, p->y, 0));
    mascon_tensor *slope = times(p, result, masconI_step(c, MASCON_OP_log, p->x));
    return masconI_step_zero(c, flat, times(p, p->dy, slope));
}

static mascon_status grad_pow(mascon_grad *g) {
    for (int i = 0; i < 2; i++) {
        parts p = open_parts(g);
        if (!needs(g, i)) continue;
        int base = i == 0 && !p.swap;
        if (base && !p.y && p.number == 0) { /* a constant, whatever x is */
            MASCON_TRY(masconI_zeros_like(SRC(g->call, 0), &g->dx[0]));
            continue;
        }
        MASCON_TRY(
            give(g, &p, i, base ? slope_of_base(&p) : slope_of_exponent(&p, g->call->dst[0])));
    }
    return MASCON_OK;
}

/* The operand that was not taken gets 0, equal ones half each. less: the comparison that says that
 * the first operand was not taken. */
static mascon_status grad_choice(mascon_grad *g, int32_t less, int32_t greater) {
    for (int i = 0; i < 2; i++) {
        parts p = open_parts(g);
        if (!needs(g, i)) continue;
        masconI_chain *c = &p.chain;
        mascon_call call;
        masconI_call_init(&call, MASCON_OP_where);
        call.n_src = 3;
        call.src[0] = both(&p, MASCON_OP_eq);
        call.src[1] = masconI_step_number(c, MASCON_OP_mul, p.dy, 0.5);
        call.src[2] = p.dy;
        mascon_tensor *shared = masconI_step_call(c, &call);
        int first = p.y ? i == 0 : !p.swap;
        MASCON_TRY(give(g, &p, i, masconI_step_zero(c, both(&p, first ? less : greater), shared)));
    }
    return MASCON_OK;
}

static mascon_status grad_maximum(mascon_grad *g) {
    return grad_choice(g, MASCON_OP_lt, MASCON_OP_gt);
}

static mascon_status grad_minimum(mascon_grad *g) {
    return grad_choice(g, MASCON_OP_gt, MASCON_OP_lt);
}

/* ---- The rows ---- */

#define BINARY(op, flags_, dtypes_, summary_, infer_, grad_, saves_)           \
    const mascon_op mascon_op_##op = {                                         \
        .name = #op,                                                           \
        .inputs = "x y?",                                                      \
        .outputs = "z",                                                        \
        .attrs = attrs,                                                        \
        .n_attrs = 2,                                                          \
        .flags = flags_,                                                       \
        .dtypes = dtypes_,                                                     \
        .summary = summary_,                                                   \
        .example = "mascon." #op "(mascon.tensor{1, 2}, mascon.tensor{2, 2})", \
        .infer = infer_,                                                       \
        .grad = grad_,                                                         \
        .saves = saves_,                                                       \
    };

#define ARITHMETIC (MASCON_OPF_PROMOTE | MASCON_OPF_IN_PLACE)
#define T_BOOL_TOO (MASCON_T_NUMBER | MASCON_T_BOOL)
#define COMPARISON(op, summary) \
    BINARY(op, MASCON_OPF_PROMOTE | MASCON_OPF_NO_GRAD, T_BOOL_TOO, summary, infer_bool, NULL, NULL)

BINARY(add, ARITHMETIC, T_BOOL_TOO, "x + y; of two bools: or", infer, grad_add, NULL)
BINARY(sub, ARITHMETIC, MASCON_T_NUMBER, "x - y", infer, grad_sub, NULL)
BINARY(mul, ARITHMETIC, T_BOOL_TOO, "x * y; of two bools: and", infer, grad_mul, "x y")
BINARY(div, ARITHMETIC | MASCON_OPF_FLOAT, MASCON_T_FLOAT, "x / y; whole numbers give float32",
       infer, grad_div, "x y")
BINARY(pow, ARITHMETIC | MASCON_CAST_UP, MASCON_T_NUMBER, "x to the power of y", infer_pow,
       grad_pow, "x y z")
BINARY(maximum, ARITHMETIC, T_BOOL_TOO, "the larger of x and y; NaN where either is", infer,
       grad_maximum, "x y")
BINARY(minimum, ARITHMETIC, T_BOOL_TOO, "the smaller of x and y; NaN where either is", infer,
       grad_minimum, "x y")
COMPARISON(eq, "true where x equals y")
COMPARISON(ne, "true where x differs from y")
COMPARISON(lt, "true where x is less than y")
COMPARISON(le, "true where x is at most y")
COMPARISON(gt, "true where x is greater than y")
COMPARISON(ge, "true where x is at least y")
BINARY(logical_and, MASCON_OPF_NO_GRAD, MASCON_T_ALL, "true where x and y are both not 0",
       infer_bool, NULL, NULL)
BINARY(logical_or, MASCON_OPF_NO_GRAD, MASCON_T_ALL, "true where x or y is not 0", infer_bool, NULL,
       NULL)

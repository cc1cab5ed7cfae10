/* binary.c: reference kernels of the functions of two inputs, and of where.
 *
 * x and y broadcast to the shape of z: element i of z belongs to the element of each input whose
 * subscripts are the same, but 0 where its size is 1. Floating results are computed in double,
 * whole ones in int64 with wrap-around.
 */
#include "ops/elementwise.h"
#include "reference/move.h"

/* The operands of one call. Beside a number, that operand has no view. */
typedef struct operands {
    mascon_view view[2];
    int is_number[2];
    double number;
} operands;

static operands open_operands(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *z = DST(call, 0);
    mascon_tensor *y = call->n_src > 1 ? call->src[1] : NULL;
    operands o = {.view = {masconR_spread(x, z->ndim, z->shape)}};
    if (y) {
        o.view[1] = masconR_spread(mascon_see(y), z->ndim, z->shape);
        return o;
    }
    int number = call->attr[BINARY_SWAP] != 0 ? 0 : 1;
    o.is_number[number] = 1;
    o.number =
        masconI_as(call->attr[BINARY_OTHER], masconI_is_float(z->dtype) ? z->dtype : x->dtype);
    if (number == 0) o.view[1] = o.view[0];
    return o;
}

static double real_operand(const operands *o, int k, int64_t i) {
    return o->is_number[k] ? o->number : masconR_get(&o->view[k], i);
}

static int64_t whole_operand(const operands *o, int k, int64_t i) {
    return o->is_number[k] ? (int64_t)o->number : masconR_get_int(&o->view[k], i);
}

/* Whether both operands are whole numbers. */
static int is_whole(const operands *o) {
    for (int k = 0; k < 2; k++) {
        if (o->is_number[k] ? !masconI_is_whole(o->number) : masconI_is_float(o->view[k].dtype)) {
            return 0;
        }
    }
    return 1;
}

/* ---- Arithmetic: the result has the dtype of z ---- */

static mascon_status arithmetic(const mascon_call *call, double (*f)(double, double),
                                int64_t (*whole)(int64_t, int64_t)) {
    const mascon_view *z = DST(call, 0);
    operands o = open_operands(call);
    for (int64_t i = 0; i < z->numel; i++) {
        if (masconI_is_float(z->dtype)) {
            masconR_set(z, i, f(real_operand(&o, 0, i), real_operand(&o, 1, i)));
        } else {
            masconR_set_int(z, i, whole(whole_operand(&o, 0, i), whole_operand(&o, 1, i)));
        }
    }
    return MASCON_OK;
}

static int64_t power_whole(int64_t base, int64_t exponent) {
    if (exponent < 0) { /* a fraction, cut toward zero */
        return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    }
    uint64_t result = 1, square = (uint64_t)base;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1) result *= square;
        square *= square;
    }
    return (int64_t)result;
}

/* NaN where either is. */
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

#define ARITHMETIC(op, real_expression, whole_expression)                        \
    static double op##_real(double a, double b) { return real_expression; }      \
    static int64_t op##_whole(int64_t a, int64_t b) { return whole_expression; } \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) {        \
        (void)exec;                                                              \
        return arithmetic(call, op##_real, op##_whole);                          \
    }                                                                            \
    const mascon_kernel masconR_##op = {.run = op##_run};

#define WRAPPED(a, operator, b) (int64_t)((uint64_t)(a) operator(uint64_t)(b))

ARITHMETIC(add, a + b, WRAPPED(a, +, b))
ARITHMETIC(sub, a - b, WRAPPED(a, -, b))
ARITHMETIC(mul, (a) * (b), WRAPPED(a, *, b))
ARITHMETIC(div, a / b,
           b == 0 ? 0 : (int64_t)((double)a / (double)b)) /* div gets no whole numbers */
ARITHMETIC(pow, pow(a, b), power_whole(a, b))
ARITHMETIC(maximum, larger(a, b), a > b ? a : b)
ARITHMETIC(minimum, smaller(a, b), a < b ? a : b)

/* ---- Comparisons: the result is bool ---- */

static mascon_status comparison(const mascon_call *call, int (*real)(double, double),
                                int (*whole)(int64_t, int64_t)) {
    const mascon_view *z = DST(call, 0);
    operands o = open_operands(call);
    int exact = is_whole(&o);
    for (int64_t i = 0; i < z->numel; i++) {
        masconR_set_int(z, i,
                        exact ? whole(whole_operand(&o, 0, i), whole_operand(&o, 1, i))
                              : real(real_operand(&o, 0, i), real_operand(&o, 1, i)));
    }
    return MASCON_OK;
}

#define COMPARISON(op, expression)                                        \
    static int op##_real(double a, double b) { return expression; }       \
    static int op##_whole(int64_t a, int64_t b) { return expression; }    \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return comparison(call, op##_real, op##_whole);                   \
    }                                                                     \
    const mascon_kernel masconR_##op = {.run = op##_run};

COMPARISON(eq, a == b)
COMPARISON(ne, a != b)
COMPARISON(lt, a < b)
COMPARISON(le, a <= b)
COMPARISON(gt, a > b)
COMPARISON(ge, a >= b)
COMPARISON(logical_and, a != 0 && b != 0)
COMPARISON(logical_or, a != 0 || b != 0)

/* ---- where ---- */

static mascon_status where_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *z = DST(call, 0);
    mascon_view condition = masconR_spread(SRC(call, 0), z->ndim, z->shape);
    mascon_view x = masconR_spread(SRC(call, 1), z->ndim, z->shape), y = x;
    mascon_tensor *third = call->n_src > 2 ? call->src[2] : NULL;
    int swap = !third && call->attr[WHERE_SWAP] != 0;
    if (third) y = masconR_spread(mascon_see(third), z->ndim, z->shape);
    for (int64_t i = 0; i < z->numel; i++) {
        int first = (masconR_get_int(&condition, i) != 0) != swap;
        if (!first && !third) {
            masconR_set(z, i, call->attr[WHERE_VALUE]);
        } else {
            const mascon_view *from = first ? &x : &y;
            masconR_move(z, masconR_offset(z, i), from, masconR_offset(from, i));
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_where = {.run = where_run};

/* unary.c: reference kernels of the functions of one tensor, and of clamp. x and y: one shape. */
#include "ops/elementwise.h"
#include "reference/reference.h"

/* Floating elements go through f. */
static mascon_status real(const mascon_call *call, double (*f)(double)) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    for (int64_t i = 0; i < y->numel; i++) masconR_set(y, i, f(masconR_get(x, i)));
    return MASCON_OK;
}

/* Whole numbers go through whole, so that no digit is lost, and wrap around as in C's unsigned
 * types. */
static mascon_status keep(const mascon_call *call, double (*f)(double), int64_t (*whole)(int64_t)) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    if (masconI_is_float(y->dtype)) return real(call, f);
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_set_int(y, i, whole(masconR_get_int(x, i)));
    }
    return MASCON_OK;
}

#define REAL(op, expression)                                              \
    static double op##_of(double v) { return expression; }                \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return real(call, op##_of);                                       \
    }                                                                     \
    const mascon_kernel masconR_##op = {.run = op##_run};

#define KEEP(op, expression, whole_expression)                            \
    static double op##_of(double v) { return expression; }                \
    static int64_t op##_whole(int64_t v) { return whole_expression; }     \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return keep(call, op##_of, op##_whole);                           \
    }                                                                     \
    const mascon_kernel masconR_##op = {.run = op##_run};

REAL(exp, exp(v))
REAL(log, log(v))
REAL(log1p, log1p(v))
REAL(expm1, expm1(v))
REAL(sqrt, sqrt(v))
REAL(rsqrt, 1 / sqrt(v))
REAL(reciprocal, 1 / v)
REAL(sin, sin(v))
REAL(cos, cos(v))
REAL(erf, erf(v))
REAL(isnan, isnan(v) != 0)
REAL(isfinite, isfinite(v) != 0)
REAL(logical_not, v == 0)
KEEP(abs, fabs(v), v < 0 ? (int64_t)(0 - (uint64_t)v) : v)
KEEP(neg, -v, (int64_t)(0 - (uint64_t)v))
KEEP(sign, (v > 0) - (v < 0), (v > 0) - (v < 0)) /* 0 of NaN */
KEEP(floor, floor(v), v)
KEEP(ceil, ceil(v), v)
KEEP(round, nearbyint(v), v) /* halves to even, the rounding mode of every C program */

/* ---- clamp ---- */

typedef struct bounds {
    int has_low, has_high;
    double low, high;
} bounds;

static bounds read_bounds(const mascon_call *call, int32_t dtype) {
    return (bounds){
        .has_low = masconI_given(call, CLAMP_MIN),
        .has_high = masconI_given(call, CLAMP_MAX),
        .low = masconI_as(call->attr[CLAMP_MIN], dtype),
        .high = masconI_as(call->attr[CLAMP_MAX], dtype),
    };
}

static double clamp_real(double v, const bounds *b) {
    if ((b->has_low && isnan(b->low)) || (b->has_high && isnan(b->high))) return (double)NAN;
    if (b->has_low && v < b->low) v = b->low;
    if (b->has_high && v > b->high) v = b->high;
    return v;
}

static int64_t clamp_whole(int64_t v, const bounds *b) {
    if (b->has_low && v < (int64_t)b->low) v = (int64_t)b->low;
    if (b->has_high && v > (int64_t)b->high) v = (int64_t)b->high;
    return v;
}

static mascon_status clamp(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    bounds b = read_bounds(call, y->dtype);
    for (int64_t i = 0; i < y->numel; i++) {
        if (masconI_is_float(y->dtype)) {
            masconR_set(y, i, clamp_real(masconR_get(x, i), &b));
        } else {
            masconR_set_int(y, i, clamp_whole(masconR_get_int(x, i), &b));
        }
    }
    return MASCON_OK;
}

static mascon_status clamp_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *dx = DST(call, 0);
    bounds b = read_bounds(call, x->dtype);
    for (int64_t i = 0; i < dx->numel; i++) {
        double v = masconR_get(x, i);
        int inside = (!b.has_low || v > b.low) && (!b.has_high || v < b.high);
        masconR_set(dx, i, inside ? masconR_get(dy, i) : 0);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_clamp = {.run = clamp};
const mascon_kernel masconR_clamp_bwd = {.run = clamp_bwd};

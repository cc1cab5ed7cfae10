/* unary.c: functions of one float32 tensor, clamp, and logical_not of bool. */
#include "cpu/elementwise.h"
#include "cpu/vector_math.h"
#include "ops/elementwise.h"

static mascon_status one(const mascon_call *call, masconC_row_of row, const void *o) {
    masconC_walk(DST(call, 0), 1, (const mascon_view *[]){SRC(call, 0)}, row, o);
    return MASCON_OK;
}

static int wish_float(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconC_dtypes(call, MASCON_DTYPE_F32, MASCON_DTYPE_F32);
}

static int wish_test(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconC_dtypes(call, MASCON_DTYPE_F32, MASCON_DTYPE_BOOL);
}

static int wish_bool(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconC_dtypes(call, MASCON_DTYPE_BOOL, MASCON_DTYPE_BOOL);
}

#define KERNEL(op, out_type, in_type, wish_, expression)                  \
    MASCON_ROW1(op##_row, out_type, in_type, , expression)                \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return one(call, op##_row, NULL);                                 \
    }                                                                     \
    const mascon_kernel masconC_##op = {.wish = wish_, .run = op##_run};
#define UNARY(op, expression) KERNEL(op, float, float, wish_float, expression)

UNARY(exp, vm_exp(a))
UNARY(log, vm_log(a))
UNARY(log1p, vm_log1p(a))
UNARY(expm1, vm_expm1(a))
UNARY(sqrt, sqrtf(a))
UNARY(rsqrt, 1.0f / sqrtf(a))
UNARY(reciprocal, 1.0f / a)
UNARY(abs, fabsf(a))
UNARY(neg, -a)
UNARY(sign, a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : 0.0f)
UNARY(floor, floorf(a))
UNARY(ceil, ceilf(a))
UNARY(round, nearbyintf(a))
UNARY(sin, sinf(a))
UNARY(cos, cosf(a))
UNARY(erf, vm_erf(a))
KERNEL(isnan, uint8_t, float, wish_test, a != a)
KERNEL(isfinite, uint8_t, float, wish_test, a - a == 0.0f)
KERNEL(logical_not, uint8_t, uint8_t, wish_bool, a == 0)

/* ---- clamp ---- */

typedef struct bounds {
    float low, high; /* infinite where not given; NaN makes everything NaN */
} bounds;

typedef struct slope {
    bounds limits;
    int all_low, all_high; /* the bound was not given */
} slope;

static bounds read_bounds(const mascon_call *call) {
    bounds b = {-INFINITY, INFINITY};
    if (masconI_given(call, CLAMP_MIN)) b.low = (float)call->attr[CLAMP_MIN];
    if (masconI_given(call, CLAMP_MAX)) b.high = (float)call->attr[CLAMP_MAX];
    if (isnan(b.low) || isnan(b.high)) b.low = b.high = NAN;
    return b;
}

static float raise_to(float v, float low) { return v < low ? low : v; }
static float lower_to(float v, float high) { return v > high ? high : v; }

MASCON_ROW1(clamp_row, float, float, const float low = ((const bounds *)o)->low;
            const float high = ((const bounds *)o)->high, lower_to(raise_to(a, low), high))
MASCON_ROW1(nan_row, float, float, , a *NAN)
/* Infinity passes a bound that was not given, and no other. */
MASCON_ROW2(clamp_bwd_row, float, float, const slope *const s = o; const float low = s->limits.low;
            const float high = s->limits.high; const int all_low = s->all_low;
            const int all_high = s->all_high,
            ((b > low) | all_low) & ((b < high) | all_high) ? a : 0.0f)

static mascon_status clamp(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    bounds b = read_bounds(call);
    return one(call, isnan(b.low) ? nan_row : clamp_row, &b);
}

static mascon_status clamp_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    slope s = {read_bounds(call), !masconI_given(call, CLAMP_MIN), !masconI_given(call, CLAMP_MAX)};
    if (isnan(s.limits.low)) s.all_low = s.all_high = 0;
    masconC_walk(DST(call, 0), 2, (const mascon_view *[]){SRC(call, 0), SRC(call, 1)},
                 clamp_bwd_row, &s);
    return MASCON_OK;
}

const mascon_kernel masconC_clamp = {.wish = wish_float, .run = clamp};
const mascon_kernel masconC_clamp_bwd = {.wish = wish_float, .run = clamp_bwd};

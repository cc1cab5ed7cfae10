/* activation.c: activation functions of float32 but relu, and their backward ops. */
#include "cpu/elementwise.h"
#include "cpu/vector_math.h"
#include "ops/elementwise.h"

static int wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconC_dtypes(call, MASCON_DTYPE_F32, MASCON_DTYPE_F32);
}

static mascon_status run(const mascon_call *call, masconC_row_of row) {
    const mascon_view *x[2] = {SRC(call, 0), call->n_src > 1 ? SRC(call, 1) : NULL};
    masconC_walk(DST(call, 0), call->n_src > 1 ? 2 : 1, x, row, call->attr);
    return MASCON_OK;
}

/* Option number k as a float. */
#define OPTION(k) (float)((const double *)o)[k]

/* forward: y from a = x. backward: dx from a = dy and b, what is saved (y or x). */
#define ACTIVATION(op, setup, forward, backward)                              \
    MASCON_ROW1(op##_row, float, float, setup, forward)                       \
    MASCON_ROW2(op##_bwd_row, float, float, setup, backward)                  \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) {     \
        (void)exec;                                                           \
        return run(call, op##_row);                                           \
    }                                                                         \
    static mascon_status op##_bwd_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                           \
        return run(call, op##_bwd_row);                                       \
    }                                                                         \
    const mascon_kernel masconC_##op = {.wish = wish, .run = op##_run};       \
    const mascon_kernel masconC_##op##_bwd = {.wish = wish, .run = op##_bwd_run};

MASCON_INLINE float six(float v) {
    float low = v < 0.0f ? 0.0f : v;
    return low > 6.0f ? 6.0f : low;
}

MASCON_INLINE float softplus_of(float v, float beta, float threshold) {
    float z = v * beta;
    float soft = vm_log1p(vm_exp(z)) / beta;
    return z > threshold ? v : soft;
}

MASCON_INLINE float softplus_slope(float v, float beta, float threshold) {
    float z = v * beta, s = vm_sigmoid(z);
    return z > threshold ? 1.0f : s;
}

MASCON_INLINE float silu_slope(float v) {
    float s = vm_sigmoid(v);
    return s * (1.0f + v * (1.0f - s));
}

MASCON_INLINE float silu_of(float v) { return v * vm_sigmoid(v); }

MASCON_INLINE float hardswish_slope(float v) {
    float inner = v / 3.0f + 0.5f;
    inner = v <= -3.0f ? 0.0f : inner;
    return v >= 3.0f ? 1.0f : inner;
}

ACTIVATION(sigmoid, , vm_sigmoid(a), (b * (1.0f - b)) * a)
ACTIVATION(tanh, , vm_tanh(a), (1.0f - b * b) * a)
ACTIVATION(relu6, , six(a), b > 0.0f ? b < 6.0f ? a : 0.0f : 0.0f)
ACTIVATION(leaky_relu, const float slope = OPTION(LEAKY_RELU_SLOPE), a > 0.0f ? a : a * slope,
           b > 0.0f ? a : a * slope)
ACTIVATION(elu, const float alpha = OPTION(ELU_ALPHA), a > 0.0f ? a : alpha * vm_expm1(a),
           b > 0.0f ? a : a * (b + alpha))
ACTIVATION(softplus, const float beta = OPTION(SOFTPLUS_BETA);
           const float threshold = OPTION(SOFTPLUS_THRESHOLD), softplus_of(a, beta, threshold),
           softplus_slope(b, beta, threshold) * a)
ACTIVATION(silu, , silu_of(a), silu_slope(b) * a)
ACTIVATION(hardswish, , six(a + 3.0f) * a / 6.0f, hardswish_slope(b) * a)
ACTIVATION(hardsigmoid, , six(a + 3.0f) / 6.0f, b > 0.0f ? b < 1.0f ? a / 6.0f : 0.0f : 0.0f)

/* ---- gelu ---- */

static const float sqrt_half = 0.707106781f, inverse_sqrt_2pi = 0.398942280f;
static const float sqrt_2_over_pi = 0.797884561f, cube = 0.044715f;

MASCON_INLINE float gelu_erf(float v) { return 0.5f * v * (1.0f + vm_erf(v * sqrt_half)); }

MASCON_INLINE float gelu_erf_slope(float v) {
    return 0.5f * (1.0f + vm_erf(v * sqrt_half)) + v * vm_exp(-0.5f * v * v) * inverse_sqrt_2pi;
}

MASCON_INLINE float gelu_tanh(float v) {
    return 0.5f * v * (1.0f + vm_tanh(sqrt_2_over_pi * (v + cube * v * v * v)));
}

MASCON_INLINE float gelu_tanh_slope(float v) {
    float t = vm_tanh(sqrt_2_over_pi * (v + cube * v * v * v));
    float inner = sqrt_2_over_pi * (1.0f + 3.0f * cube * v * v);
    return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * inner;
}

MASCON_ROW1(gelu_erf_row, float, float, , gelu_erf(a))
MASCON_ROW1(gelu_tanh_row, float, float, , gelu_tanh(a))
MASCON_ROW2(gelu_erf_bwd_row, float, float, , gelu_erf_slope(b) * a)
MASCON_ROW2(gelu_tanh_bwd_row, float, float, , gelu_tanh_slope(b) * a)

static mascon_status gelu(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return run(call, call->attr[GELU_APPROXIMATE] == GELU_TANH ? gelu_tanh_row : gelu_erf_row);
}

static mascon_status gelu_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return run(call,
               call->attr[GELU_APPROXIMATE] == GELU_TANH ? gelu_tanh_bwd_row : gelu_erf_bwd_row);
}

const mascon_kernel masconC_gelu = {.wish = wish, .run = gelu};
const mascon_kernel masconC_gelu_bwd = {.wish = wish, .run = gelu_bwd};

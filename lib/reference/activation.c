/* activation.c: reference kernels of the activation functions but relu, and of their backward ops.
 * All tensors have one shape. o: the call's options. */
#include "ops/elementwise.h"
#include "reference/reference.h"

static mascon_status forward(const mascon_call *call, double (*f)(double, const double *)) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    for (int64_t i = 0; i < y->numel; i++) masconR_set(y, i, f(masconR_get(x, i), call->attr));
    return MASCON_OK;
}

/* dx = dy * slope(saved) */
static mascon_status backward(const mascon_call *call, double (*slope)(double, const double *)) {
    const mascon_view *dy = SRC(call, 0), *saved = SRC(call, 1), *dx = DST(call, 0);
    for (int64_t i = 0; i < dx->numel; i++) {
        masconR_set(dx, i, masconR_get(dy, i) * slope(masconR_get(saved, i), call->attr));
    }
    return MASCON_OK;
}

/* value: y from x = v. slope: dy/dx from what is saved, y or x, = v. */
#define ACTIVATION(op, value, slope)                                          \
    static double op##_value(double v, const double *o) {                     \
        (void)o;                                                              \
        return value;                                                         \
    }                                                                         \
    static double op##_slope(double v, const double *o) {                     \
        (void)o;                                                              \
        return slope;                                                         \
    }                                                                         \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) {     \
        (void)exec;                                                           \
        return forward(call, op##_value);                                     \
    }                                                                         \
    static mascon_status op##_bwd_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                           \
        return backward(call, op##_slope);                                    \
    }                                                                         \
    const mascon_kernel masconR_##op = {.run = op##_run};                     \
    const mascon_kernel masconR_##op##_bwd = {.run = op##_bwd_run};

static double sigmoid_of(double v) { return 1 / (1 + exp(-v)); }

static const double sqrt_half = 0.70710678118654752, inverse_sqrt_2pi = 0.39894228040143268;
static const double sqrt_2_over_pi = 0.79788456080286536, gelu_cube = 0.044715;

static double gelu_of(double v, const double *o) {
    if (o[GELU_APPROXIMATE] == GELU_TANH) {
        return 0.5 * v * (1 + tanh(sqrt_2_over_pi * (v + gelu_cube * v * v * v)));
    }
    return 0.5 * v * erfc(-v * sqrt_half);
}

static double gelu_slope_of(double v, const double *o) {
    if (o[GELU_APPROXIMATE] == GELU_TANH) {
        double t = tanh(sqrt_2_over_pi * (v + gelu_cube * v * v * v));
        double inner = sqrt_2_over_pi * (1 + 3 * gelu_cube * v * v);
        return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * inner;
    }
    return 0.5 * erfc(-v * sqrt_half) + v * exp(-0.5 * v * v) * inverse_sqrt_2pi;
}

static double softplus_of(double v, const double *o) {
    double z = v * o[SOFTPLUS_BETA];
    return z > o[SOFTPLUS_THRESHOLD] ? v : log1p(exp(z)) / o[SOFTPLUS_BETA];
}

static double softplus_slope_of(double v, const double *o) {
    double z = v * o[SOFTPLUS_BETA];
    return z > o[SOFTPLUS_THRESHOLD] ? 1 : sigmoid_of(z);
}

static double silu_slope_of(double v) {
    double s = sigmoid_of(v);
    return s * (1 + v * (1 - s));
}

/* NaN passes: neither comparison holds. */
static double six(double v) { return v < 0 ? 0 : v > 6 ? 6 : v; }

ACTIVATION(sigmoid, sigmoid_of(v), v *(1 - v))
ACTIVATION(tanh, tanh(v), 1 - v * v)
ACTIVATION(relu6, six(v), v > 0 && v < 6)
ACTIVATION(leaky_relu, v > 0 ? v : v * o[LEAKY_RELU_SLOPE], v > 0 ? 1 : o[LEAKY_RELU_SLOPE])
ACTIVATION(elu, v > 0 ? v : o[ELU_ALPHA] * expm1(v), v > 0 ? 1 : v + o[ELU_ALPHA])
ACTIVATION(softplus, softplus_of(v, o), softplus_slope_of(v, o))
ACTIVATION(gelu, gelu_of(v, o), gelu_slope_of(v, o))
ACTIVATION(silu, v *sigmoid_of(v), silu_slope_of(v))
ACTIVATION(hardswish, v *six(v + 3) / 6, v <= -3 ? 0 : v >= 3 ? 1 : v / 3 + 0.5)
ACTIVATION(hardsigmoid, six(v + 3) / 6, v > 0 && v < 1 ? 1.0 / 6 : 0)

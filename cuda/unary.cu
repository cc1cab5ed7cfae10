/* unary.cu: functions of one tensor but the activations, and clamp. x and y have one shape. */
#include "cuda/each.cuh"
#include "ops/elementwise.h"

namespace {

/* Floating elements. low, high: of clamp. */
template <class C>
struct unary_real {
    typedef C in, out;
    int32_t op;
    C low, high;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], C (&r)[V]) const {
        switch (op) {
            case MASCON_OP_exp:
                LANES(exp(a[v]));
                break;
            case MASCON_OP_log:
                LANES(log(a[v]));
                break;
            case MASCON_OP_log1p:
                LANES(log1p(a[v]));
                break;
            case MASCON_OP_expm1:
                LANES(expm1(a[v]));
                break;
            case MASCON_OP_sqrt:
                LANES(sqrt(a[v]));
                break;
            case MASCON_OP_rsqrt:
                LANES(1 / sqrt(a[v]));
                break;
            case MASCON_OP_reciprocal:
                LANES(1 / a[v]);
                break;
            case MASCON_OP_sin:
                LANES(sin(a[v]));
                break;
            case MASCON_OP_cos:
                LANES(cos(a[v]));
                break;
            case MASCON_OP_erf:
                LANES(erf(a[v]));
                break;
            case MASCON_OP_abs:
                LANES(fabs(a[v]));
                break;
            case MASCON_OP_neg:
                LANES(-a[v]);
                break;
            case MASCON_OP_sign: /* 0 of NaN */
                LANES((C)((a[v] > 0) - (a[v] < 0)));
                break;
            case MASCON_OP_floor:
                LANES(floor(a[v]));
                break;
            case MASCON_OP_ceil:
                LANES(ceil(a[v]));
                break;
            case MASCON_OP_round: /* halves to even */
                LANES(rint(a[v]));
                break;
            default: /* clamp. NaN stays, and a bound of NaN makes everything NaN. */
                LANES(low != low || high != high ? low + high
                      : a[v] > high              ? high
                      : a[v] < low               ? (low > high ? high : low)
                                                 : a[v]);
                break;
        }
    }
};

/* Whole numbers. */
struct unary_whole {
    typedef int64_t in, out;
    int32_t op;
    int64_t low, high;

    template <int V>
    __device__ __forceinline__ void operator()(const int64_t (&a)[V], int64_t (&r)[V]) const {
        switch (op) {
            case MASCON_OP_abs:
                LANES(a[v] < 0 ? (int64_t)(0 - (uint64_t)a[v]) : a[v]);
                break;
            case MASCON_OP_neg:
                LANES((int64_t)(0 - (uint64_t)a[v]));
                break;
            case MASCON_OP_sign:
                LANES((a[v] > 0) - (a[v] < 0));
                break;
            case MASCON_OP_clamp:
                LANES(a[v] > high ? high : a[v] < low ? (low > high ? high : low) : a[v]);
                break;
            default: /* floor, ceil, round */
                LANES(a[v]);
                break;
        }
    }
};

template <class T, class F>
mascon_status same_type(const F &f, const mascon_call *call, mascon_exec *exec) {
    return each1_launch<T, T>(f, DST(call, 0), SRC(call, 0), exec);
}

mascon_status run_real(const mascon_call *call, mascon_exec *exec, double low, double high) {
    const unary_real<float> f = {call->op, (float)low, (float)high};
    const unary_real<double> wide = {call->op, low, high};
    if (SRC(call, 0)->dtype != DST(call, 0)->dtype) { /* clamp of whole numbers to fractions */
        return each1_any_launch(wide, DST(call, 0), SRC(call, 0), exec);
    }
    switch (DST(call, 0)->dtype) {
        case MASCON_DTYPE_F32:
            return same_type<float>(f, call, exec);
        case MASCON_DTYPE_BF16:
            return same_type<bfloat16>(f, call, exec);
        case MASCON_DTYPE_F16:
            return same_type<half>(f, call, exec);
        default:
            return same_type<double>(wide, call, exec);
    }
}

mascon_status run_whole(const mascon_call *call, mascon_exec *exec, int64_t low, int64_t high) {
    const unary_whole f = {call->op, low, high};
    switch (DST(call, 0)->dtype) {
        case MASCON_DTYPE_I64:
            return same_type<int64_t>(f, call, exec);
        case MASCON_DTYPE_I32:
            return same_type<int32_t>(f, call, exec);
        default:
            return same_type<uint8_t>(f, call, exec);
    }
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    if (masconI_is_float(DST(call, 0)->dtype)) return run_real(call, exec, 0, 0);
    return run_whole(call, exec, 0, 0);
}

/* A bound that was not given is one that nothing passes. */
mascon_status clamp(mascon_call *call, mascon_exec *exec) {
    const int32_t dtype = DST(call, 0)->dtype;
    const bool low = masconI_given(call, CLAMP_MIN), high = masconI_given(call, CLAMP_MAX);
    const double least = masconI_as(call->attr[CLAMP_MIN], dtype);
    const double most = masconI_as(call->attr[CLAMP_MAX], dtype);
    if (masconI_is_float(dtype)) {
        return run_real(call, exec, low ? least : -HUGE_VAL, high ? most : HUGE_VAL);
    }
    return run_whole(call, exec, low ? (int64_t)least : INT64_MIN,
                     high ? (int64_t)most : INT64_MAX);
}

/* dx = dy where low < x < high, else 0; a bound that was not given holds for all. a: dy, b: x. */
template <class C>
struct clamp_slope {
    typedef C in, out;
    C low, high, number;
    bool all_low, all_high;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], const C (&b)[V], C (&r)[V]) const {
        LANES((all_low || b[v] > low) && (all_high || b[v] < high) ? a[v] : 0);
    }
};

template <class C>
clamp_slope<C> clamp_slope_of(const mascon_call *call) {
    const bool low = masconI_given(call, CLAMP_MIN), high = masconI_given(call, CLAMP_MAX);
    return {(C)call->attr[CLAMP_MIN], (C)call->attr[CLAMP_MAX], 0, !low, !high};
}

template <class T, class C>
mascon_status clamp_back(const mascon_call *call, mascon_exec *exec) {
    return each2_launch<T, T>(clamp_slope_of<C>(call), DST(call, 0), SRC(call, 0), SRC(call, 1),
                              exec);
}

mascon_status clamp_bwd(mascon_call *call, mascon_exec *exec) {
    if (SRC(call, 0)->dtype != SRC(call, 1)->dtype) {
        return each2_any_launch(clamp_slope_of<double>(call), DST(call, 0), SRC(call, 0),
                                SRC(call, 1), exec);
    }
    switch (DST(call, 0)->dtype) {
        case MASCON_DTYPE_F32:
            return clamp_back<float, float>(call, exec);
        case MASCON_DTYPE_BF16:
            return clamp_back<bfloat16, float>(call, exec);
        case MASCON_DTYPE_F16:
            return clamp_back<half, float>(call, exec);
        default:
            return clamp_back<double, double>(call, exec);
    }
}

/* ---- Tests: y is bool ---- */

template <class C>
struct unary_test {
    typedef C in;
    typedef int64_t out;
    int32_t op;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], int64_t (&r)[V]) const {
        switch (op) {
            case MASCON_OP_isnan:
                LANES(a[v] != a[v]);
                break;
            case MASCON_OP_isfinite: /* infinity - infinity is NaN */
                LANES(a[v] - a[v] == 0);
                break;
            default: /* logical_not */
                LANES(a[v] == 0);
                break;
        }
    }
};

template <class T>
mascon_status test_of(const mascon_call *call, mascon_exec *exec) {
    const unary_test<typename computed<T>::type> f = {call->op};
    return each1_launch<bool, T>(f, DST(call, 0), SRC(call, 0), exec);
}

mascon_status test(mascon_call *call, mascon_exec *exec) {
    switch (SRC(call, 0)->dtype) {
        case MASCON_DTYPE_F32:
            return test_of<float>(call, exec);
        case MASCON_DTYPE_BF16:
            return test_of<bfloat16>(call, exec);
        case MASCON_DTYPE_F16:
            return test_of<half>(call, exec);
        case MASCON_DTYPE_F64:
            return test_of<double>(call, exec);
        case MASCON_DTYPE_I64:
            return test_of<int64_t>(call, exec);
        case MASCON_DTYPE_I32:
            return test_of<int32_t>(call, exec);
        default: /* uint8, bool */
            return test_of<uint8_t>(call, exec);
    }
}

}  // namespace

MASCON_KERNEL(exp, nullptr, nullptr, run);
MASCON_KERNEL(log, nullptr, nullptr, run);
MASCON_KERNEL(log1p, nullptr, nullptr, run);
MASCON_KERNEL(expm1, nullptr, nullptr, run);
MASCON_KERNEL(sqrt, nullptr, nullptr, run);
MASCON_KERNEL(rsqrt, nullptr, nullptr, run);
MASCON_KERNEL(reciprocal, nullptr, nullptr, run);
MASCON_KERNEL(sin, nullptr, nullptr, run);
MASCON_KERNEL(cos, nullptr, nullptr, run);
MASCON_KERNEL(erf, nullptr, nullptr, run);
MASCON_KERNEL(abs, nullptr, nullptr, run);
MASCON_KERNEL(neg, nullptr, nullptr, run);
MASCON_KERNEL(sign, nullptr, nullptr, run);
MASCON_KERNEL(floor, nullptr, nullptr, run);
MASCON_KERNEL(ceil, nullptr, nullptr, run);
MASCON_KERNEL(round, nullptr, nullptr, run);
MASCON_KERNEL(clamp, nullptr, nullptr, clamp);
MASCON_KERNEL(clamp_bwd, nullptr, nullptr, clamp_bwd);
MASCON_KERNEL(isnan, nullptr, nullptr, test);
MASCON_KERNEL(isfinite, nullptr, nullptr, test);
MASCON_KERNEL(logical_not, nullptr, nullptr, test);

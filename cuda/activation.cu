/* activation.cu: activation functions and their backward ops. All tensors have one shape.
 *
 * p, q: the options of an op (slope; alpha; beta, threshold; gelu's approximation). */
#include "cuda/each.cuh"
#include "ops/elementwise.h"

namespace {

/* NaN passes: neither comparison holds. */
template <class C>
__device__ __forceinline__ C six(C v) {
    return v < 0 ? 0 : v > 6 ? 6 : v;
}

template <class C>
__device__ __forceinline__ C sigmoid_of(C v) {
    return 1 / (1 + exp(-v));
}

template <class C>
__device__ __forceinline__ C gelu_tanh(C v) {
    return tanh((C)0.79788456080286536 * (v + (C)0.044715 * v * v * v));
}

template <class C>
__device__ __forceinline__ C gelu_of(C v, bool approximate) {
    if (approximate) return (C)0.5 * v * (1 + gelu_tanh(v));
    return (C)0.5 * v * erfc(-v * (C)0.70710678118654752);
}

template <class C>
__device__ __forceinline__ C gelu_slope(C v, bool approximate) {
    if (approximate) {
        const C t = gelu_tanh(v);
        const C inner = (C)0.79788456080286536 * (1 + 3 * (C)0.044715 * v * v);
        return (C)0.5 * (1 + t) + (C)0.5 * v * (1 - t * t) * inner;
    }
    return (C)0.5 * erfc(-v * (C)0.70710678118654752) +
           v * exp((C)-0.5 * v * v) * (C)0.39894228040143268;
}

template <class C>
__device__ __forceinline__ C silu_slope(C v) {
    const C s = sigmoid_of(v);
    return s * (1 + v * (1 - s));
}

/* y from x = a */
template <class C>
struct activation {
    typedef C in, out;
    int32_t op;
    C p, q;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], C (&r)[V]) const {
        switch (op) {
            case MASCON_OP_relu:
                LANES(a[v] < 0 ? 0 : a[v]);
                break;
            case MASCON_OP_sigmoid:
                LANES(sigmoid_of(a[v]));
                break;
            case MASCON_OP_tanh:
                LANES(tanh(a[v]));
                break;
            case MASCON_OP_relu6:
                LANES(six(a[v]));
                break;
            case MASCON_OP_leaky_relu:
                LANES(a[v] > 0 ? a[v] : a[v] * p);
                break;
            case MASCON_OP_elu:
                LANES(a[v] > 0 ? a[v] : p * expm1(a[v]));
                break;
            case MASCON_OP_softplus:
                LANES(a[v] * p > q ? a[v] : log1p(exp(a[v] * p)) / p);
                break;
            case MASCON_OP_gelu:
                LANES(gelu_of(a[v], p != 0));
                break;
            case MASCON_OP_silu:
                LANES(a[v] * sigmoid_of(a[v]));
                break;
            case MASCON_OP_hardswish:
                LANES(a[v] * six(a[v] + 3) / 6);
                break;
            default: /* hardsigmoid */
                LANES(six(a[v] + 3) / 6);
                break;
        }
    }
};

/* dx from dy = a and what was saved, y or x, = b */
template <class C>
struct activation_slope {
    typedef C in, out;
    int32_t op;
    C p, q, number;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], const C (&b)[V], C (&r)[V]) const {
        switch (op) {
            case MASCON_OP_relu_bwd: /* a NaN lets the gradient pass */
                LANES(b[v] <= 0 ? 0 : a[v]);
                break;
            case MASCON_OP_sigmoid_bwd:
                LANES(a[v] * (b[v] * (1 - b[v])));
                break;
            case MASCON_OP_tanh_bwd:
                LANES(a[v] * (1 - b[v] * b[v]));
                break;
            case MASCON_OP_relu6_bwd:
                LANES(a[v] * (C)(b[v] > 0 && b[v] < 6));
                break;
            case MASCON_OP_leaky_relu_bwd:
                LANES(a[v] * (b[v] > 0 ? 1 : p));
                break;
            case MASCON_OP_elu_bwd:
                LANES(a[v] * (b[v] > 0 ? 1 : b[v] + p));
                break;
            case MASCON_OP_softplus_bwd:
                LANES(a[v] * (b[v] * p > q ? 1 : sigmoid_of(b[v] * p)));
                break;
            case MASCON_OP_gelu_bwd:
                LANES(a[v] * gelu_slope(b[v], p != 0));
                break;
            case MASCON_OP_silu_bwd:
                LANES(a[v] * silu_slope(b[v]));
                break;
            case MASCON_OP_hardswish_bwd:
                LANES(a[v] * (b[v] <= -3 ? 0 : b[v] >= 3 ? 1 : b[v] / 3 + (C)0.5));
                break;
            default: /* hardsigmoid_bwd */
                LANES(a[v] * (b[v] > 0 && b[v] < 1 ? (C)(1.0 / 6) : 0));
                break;
        }
    }
};

/* relu and relu6 of whole numbers, and relu_bwd. */
struct relu_whole {
    typedef int64_t in, out;
    int64_t most;

    template <int V>
    __device__ __forceinline__ void operator()(const int64_t (&a)[V], int64_t (&r)[V]) const {
        LANES(a[v] < 0 ? 0 : a[v] > most ? most : a[v]);
    }
};

struct relu_slope_whole {
    typedef int64_t in, out;
    int64_t number;

    template <int V>
    __device__ __forceinline__ void operator()(const int64_t (&a)[V], const int64_t (&b)[V],
                                               int64_t (&r)[V]) const {
        LANES(b[v] <= 0 ? 0 : a[v]);
    }
};

template <class T, class C>
mascon_status forward(const mascon_call *call, mascon_exec *exec) {
    const activation<C> f = {call->op, (C)call->attr[0], (C)call->attr[1]};
    return each1_launch<T, T>(f, DST(call, 0), SRC(call, 0), exec);
}

template <class T>
mascon_status forward_whole(const mascon_call *call, mascon_exec *exec) {
    const relu_whole f = {call->op == MASCON_OP_relu6 ? 6 : INT64_MAX};
    return each1_launch<T, T>(f, DST(call, 0), SRC(call, 0), exec);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    switch (DST(call, 0)->dtype) {
        case MASCON_DTYPE_F32:
            return forward<float, float>(call, exec);
        case MASCON_DTYPE_BF16:
            return forward<bfloat16, float>(call, exec);
        case MASCON_DTYPE_F16:
            return forward<half, float>(call, exec);
        case MASCON_DTYPE_F64:
            return forward<double, double>(call, exec);
        case MASCON_DTYPE_I64:
            return forward_whole<int64_t>(call, exec);
        case MASCON_DTYPE_I32:
            return forward_whole<int32_t>(call, exec);
        default:
            return forward_whole<uint8_t>(call, exec);
    }
}

template <class T, class C>
mascon_status backward(const mascon_call *call, mascon_exec *exec) {
    const activation_slope<C> f = {call->op, (C)call->attr[0], (C)call->attr[1], 0};
    return each2_launch<T, T>(f, DST(call, 0), SRC(call, 0), SRC(call, 1), exec);
}

template <class T>
mascon_status backward_whole(const mascon_call *call, mascon_exec *exec) {
    const relu_slope_whole f = {0};
    return each2_launch<T, T>(f, DST(call, 0), SRC(call, 0), SRC(call, 1), exec);
}

mascon_status run_back(mascon_call *call, mascon_exec *exec) {
    if (SRC(call, 0)->dtype != SRC(call, 1)->dtype) {
        const activation_slope<double> f = {call->op, call->attr[0], call->attr[1], 0};
        return each2_any_launch(f, DST(call, 0), SRC(call, 0), SRC(call, 1), exec);
    }
    switch (DST(call, 0)->dtype) {
        case MASCON_DTYPE_F32:
            return backward<float, float>(call, exec);
        case MASCON_DTYPE_BF16:
            return backward<bfloat16, float>(call, exec);
        case MASCON_DTYPE_F16:
            return backward<half, float>(call, exec);
        case MASCON_DTYPE_F64:
            return backward<double, double>(call, exec);
        case MASCON_DTYPE_I64:
            return backward_whole<int64_t>(call, exec);
        case MASCON_DTYPE_I32:
            return backward_whole<int32_t>(call, exec);
        default:
            return backward_whole<uint8_t>(call, exec);
    }
}

}  // namespace

#define ACTIVATION(op)                        \
    MASCON_KERNEL(op, nullptr, nullptr, run); \
    MASCON_KERNEL(op##_bwd, nullptr, nullptr, run_back)

ACTIVATION(relu);
ACTIVATION(sigmoid);
ACTIVATION(tanh);
ACTIVATION(relu6);
ACTIVATION(leaky_relu);
ACTIVATION(elu);
ACTIVATION(softplus);
ACTIVATION(gelu);
ACTIVATION(silu);
ACTIVATION(hardswish);
ACTIVATION(hardsigmoid);

/* binary.cu: functions of two inputs.
 *
 * x and y broadcast to the shape of z. Beside a number one of them has no memory. Two tensors have one
 * dtype (the core saw to that), but for logical_and and logical_or; a number may turn whole elements
 * into floating results or comparisons. Such mixed calls go through the slower kernels that look at
 * the dtypes of each element.
 */
#include "cuda/each.cuh"
#include "ops/elementwise.h"

namespace {

/* Codes beside those of the ops: powers that are products. */
enum { SQUARE = -2, CUBE = -3 };

__device__ __forceinline__ int64_t power_whole(int64_t base, int64_t exponent) {
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

/* Arithmetic of floating elements. */
template <class C>
struct binary_real {
    typedef C in, out;
    int32_t op;
    C number;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], const C (&b)[V], C (&r)[V]) const {
        switch (op) {
            case MASCON_OP_add:
                LANES(a[v] + b[v]);
                break;
            case MASCON_OP_sub:
                LANES(a[v] - b[v]);
                break;
            case MASCON_OP_mul:
                LANES(a[v] * b[v]);
                break;
            case MASCON_OP_div:
                LANES(a[v] / b[v]);
                break;
            case MASCON_OP_maximum: /* NaN where either is */
                LANES(a[v] != a[v] || a[v] > b[v] ? a[v] : b[v]);
                break;
            case MASCON_OP_minimum:
                LANES(a[v] != a[v] || a[v] < b[v] ? a[v] : b[v]);
                break;
            case SQUARE:
                LANES((a[v]) * (a[v]));
                break;
            case CUBE:
                LANES((a[v]) * (a[v]) * (a[v]));
                break;
            default:
                LANES(pow(a[v], b[v]));
                break;
        }
    }
};

/* Of whole numbers and bools, with wrap-around. */
struct binary_whole {
    typedef int64_t in, out;
    int32_t op;
    int64_t number;

    template <int V>
    __device__ __forceinline__ void operator()(const int64_t (&a)[V], const int64_t (&b)[V],
                                               int64_t (&r)[V]) const {
        switch (op) {
            case MASCON_OP_add:
                LANES((int64_t)((uint64_t)a[v] + (uint64_t)b[v]));
                break;
            case MASCON_OP_sub:
                LANES((int64_t)((uint64_t)a[v] - (uint64_t)b[v]));
                break;
            case MASCON_OP_mul:
                LANES((int64_t)((uint64_t)a[v] * (uint64_t)b[v]));
                break;
            case MASCON_OP_maximum:
                LANES(a[v] > b[v] ? a[v] : b[v]);
                break;
            case MASCON_OP_minimum:
                LANES(a[v] < b[v] ? a[v] : b[v]);
                break;
            default:
                LANES(power_whole(a[v], b[v]));
                break;
        }
    }
};

/* Comparisons and logic of values of any kind; the result is bool. */
template <class C>
struct binary_test {
    typedef C in;
    typedef int64_t out;
    int32_t op;
    C number;

    template <int V>
    __device__ __forceinline__ void operator()(const C (&a)[V], const C (&b)[V],
                                               int64_t (&r)[V]) const {
        switch (op) {
            case MASCON_OP_eq:
                LANES(a[v] == b[v]);
                break;
            case MASCON_OP_ne:
                LANES(a[v] != b[v]);
                break;
            case MASCON_OP_lt:
                LANES(a[v] < b[v]);
                break;
            case MASCON_OP_le:
                LANES(a[v] <= b[v]);
                break;
            case MASCON_OP_gt:
                LANES(a[v] > b[v]);
                break;
            case MASCON_OP_ge:
                LANES(a[v] >= b[v]);
                break;
            case MASCON_OP_logical_and:
                LANES(a[v] != 0 && b[v] != 0);
                break;
            default: /* logical_or */
                LANES(a[v] != 0 || b[v] != 0);
                break;
        }
    }
};

/* ---- The operands of a call ---- */

/* a or b is nullptr beside a number. */
struct operands {
    const mascon_view *z, *a, *b;
    double number;
};

operands operands_of(const mascon_call *call) {
    operands o = {DST(call, 0), SRC(call, 0), nullptr, 0};
    if (call->n_src > 1 && call->src[1]) {
        o.b = SRC(call, 1);
        return o;
    }
    o.number = masconI_as(call->attr[BINARY_OTHER],
                          masconI_is_float(o.z->dtype) ? o.z->dtype : o.a->dtype);
    if (call->attr[BINARY_SWAP] != 0) {
        o.b = o.a;
        o.a = nullptr;
    }
    return o;
}

bool is_mixed(const operands &o) { return o.a && o.b && o.a->dtype != o.b->dtype; }

int32_t dtype_of(const operands &o) { return o.a ? o.a->dtype : o.b->dtype; }

bool is_whole_number(const operands &o) { return (o.a && o.b) || masconI_is_whole(o.number); }

template <class Y, class X, class F>
mascon_status each_pair(const F &f, const operands &o, mascon_exec *exec) {
    return each2_launch<Y, X>(f, o.z, o.a, o.b, exec);
}

/* ---- Arithmetic ---- */

mascon_status arithmetic_real(const operands &o, int32_t op, mascon_exec *exec) {
    const binary_real<float> f = {op, (float)o.number};
    const binary_real<double> wide = {op, o.number};
    if (o.z->dtype != dtype_of(o)) { /* a fraction meets whole numbers */
        return each2_any_launch(wide, o.z, o.a, o.b, exec);
    }
    switch (o.z->dtype) {
        case MASCON_DTYPE_F32:
            return each_pair<float, float>(f, o, exec);
        case MASCON_DTYPE_BF16:
            return each_pair<bfloat16, bfloat16>(f, o, exec);
        case MASCON_DTYPE_F16:
            return each_pair<half, half>(f, o, exec);
        default:
            return each_pair<double, double>(wide, o, exec);
    }
}

mascon_status arithmetic_whole(const operands &o, int32_t op, mascon_exec *exec) {
    const binary_whole f = {op, (int64_t)o.number};
    if (o.z->dtype != dtype_of(o)) { /* a whole number meets bools */
        return each2_any_launch(f, o.z, o.a, o.b, exec);
    }
    switch (o.z->dtype) {
        case MASCON_DTYPE_I64:
            return each_pair<int64_t, int64_t>(f, o, exec);
        case MASCON_DTYPE_I32:
            return each_pair<int32_t, int32_t>(f, o, exec);
        case MASCON_DTYPE_U8:
            return each_pair<uint8_t, uint8_t>(f, o, exec);
        default:
            return each_pair<bool, bool>(f, o, exec);
    }
}

mascon_status arithmetic(mascon_call *call, mascon_exec *exec) {
    const operands o = operands_of(call);
    int32_t op = call->op;
    if (!masconI_is_float(o.z->dtype)) return arithmetic_whole(o, op, exec);
    if (op == MASCON_OP_pow && o.a && !o.b) {
        op = o.number == 2 ? (int32_t)SQUARE : o.number == 3 ? (int32_t)CUBE : op;
    }
    return arithmetic_real(o, op, exec);
}

/* ---- Tests ---- */

template <class T>
mascon_status test_of(const operands &o, int32_t op, mascon_exec *exec) {
    typedef typename computed<T>::type C;
    const binary_test<C> f = {op, (C)o.number};
    return each_pair<bool, T>(f, o, exec);
}

mascon_status test(mascon_call *call, mascon_exec *exec) {
    const operands o = operands_of(call);
    const int32_t dtype = dtype_of(o), op = call->op;
    if (is_mixed(o) || (!masconI_is_float(dtype) && !is_whole_number(o))) {
        const binary_test<double> f = {op, o.number};
        return each2_any_launch(f, o.z, o.a, o.b, exec);
    }
    switch (dtype) {
        case MASCON_DTYPE_F32:
            return test_of<float>(o, op, exec);
        case MASCON_DTYPE_BF16:
            return test_of<bfloat16>(o, op, exec);
        case MASCON_DTYPE_F16:
            return test_of<half>(o, op, exec);
        case MASCON_DTYPE_F64:
            return test_of<double>(o, op, exec);
        case MASCON_DTYPE_I64:
            return test_of<int64_t>(o, op, exec);
        case MASCON_DTYPE_I32:
            return test_of<int32_t>(o, op, exec);
        default: /* uint8, bool */
            return test_of<uint8_t>(o, op, exec);
    }
}

}  // namespace

MASCON_KERNEL(add, nullptr, nullptr, arithmetic);
MASCON_KERNEL(sub, nullptr, nullptr, arithmetic);
MASCON_KERNEL(mul, nullptr, nullptr, arithmetic);
MASCON_KERNEL(div, nullptr, nullptr, arithmetic);
MASCON_KERNEL(pow, nullptr, nullptr, arithmetic);
MASCON_KERNEL(maximum, nullptr, nullptr, arithmetic);
MASCON_KERNEL(minimum, nullptr, nullptr, arithmetic);
MASCON_KERNEL(eq, nullptr, nullptr, test);
MASCON_KERNEL(ne, nullptr, nullptr, test);
MASCON_KERNEL(lt, nullptr, nullptr, test);
MASCON_KERNEL(le, nullptr, nullptr, test);
MASCON_KERNEL(gt, nullptr, nullptr, test);
MASCON_KERNEL(ge, nullptr, nullptr, test);
MASCON_KERNEL(logical_and, nullptr, nullptr, test);
MASCON_KERNEL(logical_or, nullptr, nullptr, test);

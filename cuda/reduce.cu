/* reduce.cu: sum mean var std logsumexp norm prod any all, and the gradient of prod.
 *
 * x has any strides, y is row-major. Packs of floating elements are added in their own arithmetic, packs to
 * each other in double; whole numbers in 64 bits with wrap-around. reduce.cuh has the kernels.
 */
#include "cuda/element.cuh"
#include "cuda/reduce.cuh"

namespace mascon {
namespace {

/* What is added for each element. */
enum { PLAIN, SIZE, SQUARE, POWER, COUNT };

template <class T>
struct sums {
    using element = T;
    using value = compute_of<T>;
    using State = double; /* of the sums of packs */
    static constexpr bool packs = true;
    T *y;
    int what;
    value power;
    double divisor;
    int root; /* 1: the square root, 2: the 1 / power-th power */

    __device__ State start() const { return 0; }
    __device__ value load(const T *x, int64_t i) const { return to_real(x[i]); }
    __device__ value taken(value v) const {
        switch (what) {
            case PLAIN:
                return v;
            case SIZE:
                return fabs(v);
            case SQUARE:
                return v * v;
            case POWER:
                return pow(fabs(v), power);
            default:
                return v != 0 ? 1 : 0;
        }
    }
    template <int N>
    __device__ void add(State &s, const value (&v)[N], int64_t) const {
        value sum = taken(v[0]);
#pragma unroll
        for (int k = 1; k < N; k++) sum += taken(v[k]);
        s += (double)sum;
    }
    __device__ State combine(State a, State b) const { return a + b; }
    __device__ void finish(State s, int64_t o) const {
        const double v = root == 1 ? sqrt(s) : root == 2 ? pow(s, 1 / (double)power) : s / divisor;
        y[o] = from_real<T>((value)v);
    }
};

/* The largest or smallest absolute value; NaN beats all. */
template <class T>
struct extreme_size {
    using element = T;
    using value = compute_of<T>;
    using State = value;
    static constexpr bool packs = true;
    T *y;
    int largest, empty;

    __device__ State start() const { return largest ? (State)0 : (State)INFINITY; }
    __device__ value load(const T *x, int64_t i) const { return to_real(x[i]); }
    template <int N>
    __device__ void add(State &s, const value (&v)[N], int64_t) const {
#pragma unroll
        for (int k = 0; k < N; k++) s = combine(s, fabs(v[k]));
    }
    __device__ State combine(State a, State b) const {
        if (a != a) return a;
        return b != b || (largest ? b > a : b < a) ? b : a;
    }
    __device__ void finish(State s, int64_t o) const { y[o] = from_real<T>(empty ? 0 : s); }
};

template <class T>
struct variances {
    using element = T;
    using value = compute_of<T>;
    using State = moments<value>;
    static constexpr bool packs = true;
    T *y;
    double freedom;
    int root;

    __device__ State start() const { return {0, 0, 0}; }
    __device__ value load(const T *x, int64_t i) const { return to_real(x[i]); }
    template <int N>
    __device__ void add(State &s, const value (&v)[N], int64_t) const {
        value mean = 0, squares = 0;
#pragma unroll
        for (int k = 0; k < N; k++) mean += v[k];
        mean *= (value)1 / N;
#pragma unroll /* of one element, too: an infinity makes NaN of the squares */
        for (int k = 0; k < N; k++) squares += (v[k] - mean) * (v[k] - mean);
        s = join_moments(s, State{(value)N, mean, squares});
    }
    __device__ State combine(const State &a, const State &b) const { return join_moments(a, b); }
    __device__ void finish(const State &s, int64_t o) const {
        const value v = (value)((double)s.squares / freedom);
        y[o] = from_real<T>(root ? sqrt(v) : v);
    }
};

template <class T>
struct logsumexps {
    using element = T;
    using value = compute_of<T>;
    using State = exponentials<value>;
    static constexpr bool packs = true;
    T *y;

    __device__ State start() const { return {-INFINITY, 0}; }
    __device__ value load(const T *x, int64_t i) const { return to_real(x[i]); }
    template <int N>
    __device__ void add(State &s, const value (&v)[N], int64_t) const {
#pragma unroll
        for (int k = 0; k < N; k++) add_exponential(s, v[k]);
    }
    __device__ State combine(const State &a, const State &b) const {
        return join_exponentials(a, b);
    }
    __device__ void finish(const State &s, int64_t o) const {
        const value v = s.sum != s.sum ? s.sum : isinf(s.top) ? s.top : s.top + log(s.sum);
        y[o] = from_real<T>(v);
    }
};

template <class T>
struct products {
    using element = T;
    using value = compute_of<T>;
    using State = double;
    static constexpr bool packs = true;
    T *y;

    __device__ State start() const { return 1; }
    __device__ value load(const T *x, int64_t i) const { return to_real(x[i]); }
    template <int N>
    __device__ void add(State &s, const value (&v)[N], int64_t) const {
#pragma unroll
        for (int k = 0; k < N; k++) s *= (double)v[k];
    }
    __device__ State combine(State a, State b) const { return a * b; }
    __device__ void finish(State s, int64_t o) const { y[o] = from_real<T>((value)s); }
};

/* Whole numbers and truth values of any dtype; strides are in bytes. */
enum { WHOLE_SUM, WHOLE_PRODUCT, SOME, EVERY };

struct wholes {
    using element = char;
    using value = uint64_t;
    using State = uint64_t;
    static constexpr bool packs = false;
    void *y;
    int what, dtype;

    __device__ State start() const { return what == WHOLE_PRODUCT || what == EVERY; }
    __device__ uint64_t load(const char *x, int64_t i) const {
        const any_elements e = {const_cast<char *>(x + i), dtype};
        if (what < SOME) return (uint64_t)take_any<int64_t>(e, 0);
        return dtype < MASCON_DTYPE_I64 ? take_any<double>(e, 0) != 0
                                        : take_any<int64_t>(e, 0) != 0;
    }
    template <int N>
    __device__ void add(State &s, const uint64_t (&v)[N], int64_t) const {
#pragma unroll
        for (int k = 0; k < N; k++) s = combine(s, v[k]);
    }
    __device__ State combine(State a, State b) const {
        switch (what) {
            case WHOLE_SUM:
                return a + b;
            case WHOLE_PRODUCT:
                return a * b;
            case SOME:
                return a | b;
            default:
                return a & b;
        }
    }
    __device__ void finish(State s, int64_t o) const {
        if (what >= SOME) {
            ((uint8_t *)y)[o] = (uint8_t)(s != 0);
        } else {
            ((int64_t *)y)[o] = (int64_t)s;
        }
    }
};

/* ---- Calls ---- */

int is_listed(int32_t op) {
    return op != MASCON_OP_prod && op != MASCON_OP_prod_bwd && op != MASCON_OP_any &&
           op != MASCON_OP_all;
}

int dims_slot(int32_t op) { return op == MASCON_OP_norm ? (int)NORM_DIMS : (int)REDUCE_DIMS; }

reduction plan_of(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0);
    uint8_t reduce[MASCON_MAX_DIMS];
    reduced_dims(call, x, dims_slot(call->op), is_listed(call->op), reduce);
    reduction r = plan_reduction(x, DST(call, 0), reduce, 0);
    const int bytes = (int)mascon_dtype_size(x->dtype), packs = masconI_is_float(x->dtype) &&
                                                                call->op != MASCON_OP_any &&
                                                                call->op != MASCON_OP_all;
    cut_reduction(&r, x, bytes, packs);
    return r;
}

/* No state is larger than 24 bytes. */
size_t workspace(const mascon_call *call) { return reduction_workspace<double[3]>(plan_of(call)); }

mascon_status run_whole(mascon_call *call, mascon_exec *exec, reduction *r, int what) {
    const mascon_view *x = SRC(call, 0);
    const int64_t bytes = mascon_dtype_size(x->dtype);
    for (int d = 0; d < r->kept.n; d++) r->kept.stride[d] *= bytes;
    for (int d = 0; d < r->inner.n; d++) r->inner.stride[d] *= bytes;
    const wholes op = {DST(call, 0)->data, what, x->dtype};
    return run_reduction(*r, x, op, exec->stream);
}

template <class T>
mascon_status run_sums(const mascon_call *call, const reduction &r, void *stream) {
    sums<T> op = {(T *)DST(call, 0)->data, PLAIN, 0, 1, 0};
    if (call->op == MASCON_OP_mean) op.divisor = (double)r.count;
    if (call->op == MASCON_OP_norm) {
        const double p = call->attr[NORM_P];
        if (isinf(p)) {
            const extreme_size<T> extreme = {op.y, p > 0, r.count == 0};
            return run_reduction(r, SRC(call, 0), extreme, stream);
        }
        op.what = p == 0 ? COUNT : p == 1 ? SIZE : p == 2 ? SQUARE : POWER;
        op.power = (compute_of<T>)p;
        op.root = p == 0 || p == 1 ? 0 : p == 2 ? 1 : 2;
    }
    return run_reduction(r, SRC(call, 0), op, stream);
}

template <class T>
mascon_status run_variances(const mascon_call *call, const reduction &r, void *stream) {
    const double freedom = masconI_freedom(r.count, call->attr[VAR_CORRECTION]);
    const variances<T> op = {(T *)DST(call, 0)->data, freedom, call->op == MASCON_OP_std};
    return run_reduction(r, SRC(call, 0), op, stream);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    reduction r = plan_of(call);
    const mascon_view *x = SRC(call, 0);
    r.partial = exec->workspace;
    if (call->op == MASCON_OP_any) return run_whole(call, exec, &r, SOME);
    if (call->op == MASCON_OP_all) return run_whole(call, exec, &r, EVERY);
    if (!masconI_is_float(x->dtype)) {
        return run_whole(call, exec, &r, call->op == MASCON_OP_prod ? WHOLE_PRODUCT : WHOLE_SUM);
    }
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        switch (call->op) {
            case MASCON_OP_var:
            case MASCON_OP_std:
                return run_variances<T>(call, r, exec->stream);
            case MASCON_OP_logsumexp:
                return run_reduction(r, x, logsumexps<T>{(T *)DST(call, 0)->data}, exec->stream);
            case MASCON_OP_prod:
                return run_reduction(r, x, products<T>{(T *)DST(call, 0)->data}, exec->stream);
            default:
                return run_sums<T>(call, r, exec->stream);
        }
    });
}

int wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

/* ---- The gradient of prod ---- */

struct factors {
    double product; /* of the elements that are not 0 */
    int64_t zeros;
};

/* A group of threads for each result: dx = dy * (product of the others). x and dx are row-major. */
template <class T>
__global__ void prod_gradient(const T *dy, const T *x, T *dx, const __grid_constant__ reduction r,
                              int whole) {
    const int thread = (int)threadIdx.x % r.group;
    const int64_t o = (int64_t)blockIdx.x * (reduce_threads / r.group) + threadIdx.x / r.group;
    const int64_t count = o < r.outputs ? r.count : 0;
    const int64_t first = o < r.outputs ? axes_offset(r.kept, r.kept.stride, o, r.narrow) : 0;
    factors f = {1, 0};
    for (int64_t i = thread; i < count; i += r.group) {
        const compute_of<T> v =
            to_real(x[first + axes_offset(r.inner, r.inner.stride, i, r.narrow)]);
        if (v == 0) {
            f.zeros++;
        } else {
            f.product *= (double)v;
        }
    }
    f = group_reduce(f, r.group, [](const factors &a, const factors &b) {
        return factors{a.product * b.product, a.zeros + b.zeros};
    });
    const double gradient = count ? (double)to_real(dy[o]) : 0;
    for (int64_t i = thread; i < count; i += r.group) {
        const int64_t at = first + axes_offset(r.inner, r.inner.stride, i, r.narrow);
        const double v = (double)to_real(x[at]);
        double others = 0;
        if (f.zeros == 0) {
            others = f.product / v;
        } else if (f.zeros == 1 && v == 0) {
            others = f.product;
        } else if (f.zeros == 1 || !whole) { /* a 0 is among them; NaN and infinities live on */
            others = 0 * (v == 0 ? f.product : f.product / v);
        }
        dx[at] = from_real<T>((compute_of<T>)(gradient * others));
    }
}

mascon_status prod_bwd_run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *dx = DST(call, 0);
    uint8_t reduce[MASCON_MAX_DIMS];
    reduced_dims(call, x, REDUCE_DIM, 0, reduce);
    reduction r = plan_reduction(x, NULL, reduce, 1);
    if (x->numel == 0) return MASCON_OK;
    r.group = r.count > 1024 ? reduce_threads : power_between(divide_up(r.count, 4), 1, 32);
    const dim3 grid((unsigned)divide_up(r.outputs, reduce_threads / r.group));
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return launch(prod_gradient<T>, grid, dim3(reduce_threads), 0, exec->stream,
                      (const T *)dy->data, (const T *)x->data, (T *)dx->data, r,
                      (int)!masconI_given(call, REDUCE_DIM));
    });
}

int prod_bwd_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->src[0] = w->src[1] = w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(sum, wish, workspace, run);
MASCON_KERNEL(mean, wish, workspace, run);
MASCON_KERNEL(var, wish, workspace, run);
MASCON_KERNEL(std, wish, workspace, run);
MASCON_KERNEL(logsumexp, wish, workspace, run);
MASCON_KERNEL(norm, wish, workspace, run);
MASCON_KERNEL(prod, wish, workspace, run);
MASCON_KERNEL(any, wish, workspace, run);
MASCON_KERNEL(all, wish, workspace, run);
MASCON_KERNEL(prod_bwd, prod_bwd_wish, NULL, prod_bwd_run);

/* extreme.cu: max, min, argmax and argmin.
 *
 * The first of equal elements in the logical order of its result counts, and NaN beats all. x has any
 * strides; values and positions are row-major. reduce.cuh has the kernels.
 */
#include "cuda/element.cuh"
#include "cuda/reduce.cuh"

namespace mascon {
namespace {

/* Number: float, double, or int64_t for whole numbers and bools of any dtype (strides in bytes). */
template <class Number>
struct winner {
    Number v;
    int64_t at; /* number of the element in its result; -1: none yet */
};

template <class Number>
__device__ inline bool beats(const winner<Number> &b, const winner<Number> &a, int sign) {
    if (a.at < 0 || b.at < 0) return a.at < 0;
    const bool nan_a = a.v != a.v, nan_b = b.v != b.v;
    if (nan_a || nan_b) return nan_b && (!nan_a || b.at < a.at);
    if (a.v == b.v) return b.at < a.at;
    return sign > 0 ? b.v > a.v : b.v < a.v;
}

template <class Number>
struct extremes_base {
    using value = Number;
    using State = winner<Number>;
    int sign, base;
    int64_t *positions; /* NULL: not wanted */

    __device__ State start() const { return {0, -1}; }
    template <int N>
    __device__ void add(State &s, const Number (&v)[N], int64_t at) const {
#pragma unroll
        for (int k = 0; k < N; k++) s = combine(s, {v[k], at + k});
    }
    __device__ State combine(const State &a, const State &b) const {
        return beats(b, a, sign) ? b : a;
    }
};

template <class T>
struct extremes : extremes_base<compute_of<T>> {
    using element = T;
    using State = winner<compute_of<T>>;
    static constexpr bool packs = true;
    T *values;

    __device__ compute_of<T> load(const T *x, int64_t i) const { return to_real(x[i]); }
    __device__ void finish(const State &s, int64_t o) const {
        if (values) values[o] = from_real<T>(s.v);
        if (this->positions) this->positions[o] = s.at + this->base;
    }
};

struct whole_extremes : extremes_base<int64_t> {
    using element = char;
    static constexpr bool packs = false;
    void *values;
    int dtype;

    __device__ int64_t load(const char *x, int64_t i) const {
        return take_any<int64_t>({const_cast<char *>(x + i), dtype}, 0);
    }
    __device__ void finish(const State &s, int64_t o) const {
        if (values) give_any<int64_t>({values, dtype}, o, s.v);
        if (positions) positions[o] = s.at + base;
    }
};

reduction plan_of(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0);
    uint8_t reduce[MASCON_MAX_DIMS];
    reduced_dims(call, x, REDUCE_DIM, 0, reduce);
    const int values_only =
        call->n_dst == 1 && (call->op == MASCON_OP_max || call->op == MASCON_OP_min);
    reduction r = plan_reduction(x, DST(call, 0), reduce, !values_only);
    cut_reduction(&r, x, (int)mascon_dtype_size(x->dtype), masconI_is_float(x->dtype));
    return r;
}

size_t workspace(const mascon_call *call) {
    return reduction_workspace<winner<int64_t>>(plan_of(call));
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    reduction r = plan_of(call);
    const mascon_view *x = SRC(call, 0);
    const int sign = call->op == MASCON_OP_max || call->op == MASCON_OP_argmax ? 1 : -1;
    const int with_values = call->op == MASCON_OP_max || call->op == MASCON_OP_min;
    const int base = (int)call->attr[REDUCE_BASE];
    void *values = with_values ? DST(call, 0)->data : NULL;
    int64_t *positions = !with_values      ? (int64_t *)DST(call, 0)->data
                         : call->n_dst > 1 ? (int64_t *)DST(call, 1)->data
                                           : NULL;
    r.partial = exec->workspace;
    if (!masconI_is_float(x->dtype)) {
        const int64_t bytes = mascon_dtype_size(x->dtype);
        for (int d = 0; d < r.kept.n; d++) r.kept.stride[d] *= bytes;
        for (int d = 0; d < r.inner.n; d++) r.inner.stride[d] *= bytes;
        whole_extremes op;
        op.sign = sign;
        op.base = base;
        op.positions = positions;
        op.values = values;
        op.dtype = x->dtype;
        return run_reduction(r, x, op, exec->stream);
    }
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        extremes<T> op;
        op.sign = sign;
        op.base = base;
        op.positions = positions;
        op.values = (T *)values;
        return run_reduction(r, x, op, exec->stream);
    });
}

int wish(const mascon_call *call, mascon_wish *w) {
    for (int i = 0; i < call->n_dst; i++) w->dst[i] = MASCON_WISH_ROW;
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(max, wish, workspace, run);
MASCON_KERNEL(min, wish, workspace, run);
MASCON_KERNEL(argmax, wish, workspace, run);
MASCON_KERNEL(argmin, wish, workspace, run);

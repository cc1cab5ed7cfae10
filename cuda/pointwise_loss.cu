/* pointwise_loss.cu: mse_loss, l1_loss, binary_cross_entropy_with_logits and their backward ops.
 *
 * x, target, dx and an unreduced loss have one shape and one dense order of memory; weight and pos_weight
 * have any strides and broadcast to it, and then everything else is row-major.
 */
#include "cuda/group.cuh"
extern "C" {
#include "ops/loss.h"
}

namespace mascon {
namespace {

constexpr int threads = 256;

enum { SQUARED, ABSOLUTE, LOGITS };

/* weight (0) and pos_weight (1) over the shape of x. */
struct weights {
    const void *data[2];
    axes at; /* strides of weight; outs of pos_weight */
    int narrow;
};

template <class C> /* what x is computed in */
struct problem {
    int what, by_target, none;
    C share;
    int64_t count;
    weights w;
};

template <class T>
__device__ inline compute_of<T> weight_at(const problem<compute_of<T>> &p, int k, int64_t i) {
    if (!p.w.data[k]) return 1;
    const int64_t at = axes_offset(p.w.at, k == 0 ? p.w.at.stride : p.w.at.out, i, p.w.narrow);
    return to_real(((const T *)p.w.data[k])[at]);
}

/* The loss of element i. */
template <class T>
__device__ inline compute_of<T> loss_of(const problem<compute_of<T>> &p, compute_of<T> x,
                                        compute_of<T> t, int64_t i) {
    if (p.what == SQUARED) return (x - t) * (x - t);
    if (p.what == ABSOLUTE) return fabs(x - t);
    const compute_of<T> minus = log1p(exp(-fabs(x))) + (x < 0 ? -x : 0); /* softplus(-x) */
    const compute_of<T> factor = 1 + (weight_at<T>(p, 1, i) - 1) * t;
    return weight_at<T>(p, 0, i) * ((1 - t) * x + factor * minus);
}

/* Its derivative by x, or by the target. */
template <class T>
__device__ inline compute_of<T> slope_of(const problem<compute_of<T>> &p, compute_of<T> x,
                                         compute_of<T> t, int64_t i) {
    typedef compute_of<T> C;
    if (p.what == SQUARED) return 2 * (x - t);
    if (p.what == ABSOLUTE) return x == t ? (C)0 : x > t ? (C)1 : x < t ? (C)-1 : (C)NAN;
    const C w = weight_at<T>(p, 0, i), more = weight_at<T>(p, 1, i) - 1;
    if (p.by_target) {
        const C minus = log1p(exp(-fabs(x))) + (x < 0 ? -x : 0);
        return w * (-x + more * minus);
    }
    const C e = exp(-fabs(x));
    const C below = (x >= 0 ? e : 1) / (1 + e); /* sigmoid(-x) */
    return w * (1 - t - (1 + more * t) * below);
}

template <class T>
__global__ void each_loss(const T *x, const T *target, T *y,
                          const __grid_constant__ problem<compute_of<T>> p) {
    for (int64_t i = first_index(); i < p.count; i += grid_step()) {
        y[i] = from_real<T>(loss_of<T>(p, to_real(x[i]), to_real(target[i]), i));
    }
}

/* *y = the sum of the losses times share; partial: a number per block */
template <class T, int V>
__global__ void sum_losses(const T *x, const T *target, T *y,
                           const __grid_constant__ problem<compute_of<T>> p, double *partial) {
    double sum = 0;
    for (int64_t i = first_index() * V; i < p.count; i += grid_step() * V) {
        compute_of<T> part = 0;
        if constexpr (V > 1) {
            const pack<T, V> a = *(const pack<T, V> *)(x + i),
                             b = *(const pack<T, V> *)(target + i);
#pragma unroll
            for (int k = 0; k < V; k++) {
                part += loss_of<T>(p, to_real(a.v[k]), to_real(b.v[k]), i + k);
            }
        } else {
            part = loss_of<T>(p, to_real(x[i]), to_real(target[i]), i);
        }
        sum += (double)part;
    }
    sum = group_reduce(sum, threads, add_double());
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) partial[blockIdx.x] = sum;
        if (!last_block(0, gridDim.x)) return;
        sum = 0;
        for (unsigned i = threadIdx.x; i < gridDim.x; i += threads) sum += partial[i];
        sum = group_reduce(sum, threads, add_double());
    }
    if (threadIdx.x == 0) *y = from_real<T>((compute_of<T>)(sum * (double)p.share));
}

template <class T>
__global__ void slopes(const T *dy, const T *x, const T *target, T *dx,
                       const __grid_constant__ problem<compute_of<T>> p) {
    for (int64_t i = first_index(); i < p.count; i += grid_step()) {
        const compute_of<T> g = to_real(dy[p.none ? i : 0]) * p.share;
        dx[i] = from_real<T>(slope_of<T>(p, to_real(x[i]), to_real(target[i]), i) * g);
    }
}

int is_backward(int32_t op) {
    return op == MASCON_OP_mse_loss_bwd || op == MASCON_OP_l1_loss_bwd ||
           op == MASCON_OP_binary_cross_entropy_with_logits_bwd;
}

int has_weights(const mascon_call *call, int first) {
    for (int i = first + 2; i < call->n_src; i++) {
        if (call->src[i]) return 1;
    }
    return 0;
}

weights weights_of(const mascon_call *call, int first, const mascon_view *x) {
    weights w = {};
    int64_t stride[2][MASCON_MAX_DIMS] = {{0}};
    for (int k = 0; k < 2; k++) {
        const int i = first + 2 + k;
        if (i >= call->n_src || !call->src[i]) continue;
        w.data[k] = SRC(call, i)->data;
        spread_strides(SRC(call, i), x->ndim, x->shape, stride[k]);
    }
    for (int d = 0; d < x->ndim; d++) {
        if (x->shape[d] != 1) push_axis(&w.at, x->shape[d], stride[0][d], stride[1][d]);
    }
    w.narrow = x->numel <= INT32_MAX;
    return w;
}

template <class C>
problem<C> problem_of(const mascon_call *call, int first) {
    const mascon_view *x = SRC(call, first);
    problem<C> p = {};
    const int32_t op = call->op;
    p.what = op == MASCON_OP_mse_loss || op == MASCON_OP_mse_loss_bwd ? SQUARED
             : op == MASCON_OP_l1_loss || op == MASCON_OP_l1_loss_bwd ? ABSOLUTE
                                                                      : LOGITS;
    p.by_target =
        op == MASCON_OP_binary_cross_entropy_with_logits_bwd && call->attr[NN_BCE_BWD_TARGET] != 0;
    p.none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    p.share = (C)masconI_loss_share(call, x->numel);
    p.count = x->numel;
    if (has_weights(call, first)) p.w = weights_of(call, first, x);
    return p;
}

template <class T>
mascon_status forward(const mascon_call *call, const problem<compute_of<T>> &p, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0);
    const T *a = (const T *)x->data, *b = (const T *)SRC(call, 1)->data;
    T *y = (T *)DST(call, 0)->data;
    if (p.none) {
        return launch(each_loss<T>, dim3(blocks_for(p.count, threads, x->device)), dim3(threads), 0,
                      exec->stream, a, b, y, p);
    }
    constexpr int V = pack_of<T>();
    const bool packs = p.count % V == 0 && aligned16(a) && aligned16(b);
    int64_t blocks = divide_up(p.count, threads * 16);
    blocks = blocks < 1 ? 1 : blocks < busy_blocks ? blocks : busy_blocks;
    return launch(packs ? sum_losses<T, V> : sum_losses<T, 1>, dim3((unsigned)blocks),
                  dim3(threads), 0, exec->stream, a, b, y, p, (double *)exec->workspace);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const int first = is_backward(call->op);
    const mascon_view *x = SRC(call, first), *y = DST(call, 0);
    if (y->numel == 0) return MASCON_OK;
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const auto p = problem_of<compute_of<T>>(call, first);
        if (!first) return forward<T>(call, p, exec);
        return launch(slopes<T>, dim3(blocks_for(p.count, threads, x->device)), dim3(threads), 0,
                      exec->stream, (const T *)SRC(call, 0)->data, (const T *)x->data,
                      (const T *)SRC(call, 2)->data, (T *)y->data, p);
    });
}

size_t workspace(const mascon_call *call) {
    (void)call;
    return sizeof(double) * (size_t)busy_blocks;
}

int wish(const mascon_call *call, mascon_wish *w) {
    const int first = is_backward(call->op);
    const mascon_view *x = SRC(call, first);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    const uint8_t order = has_weights(call, first) ? (uint8_t)MASCON_WISH_ROW : order_of(x);
    w->src[first] = w->src[first + 1] = order;
    w->dst[0] = none || first ? order : (uint8_t)MASCON_WISH_ROW;
    if (first) w->src[0] = none ? order : (uint8_t)MASCON_WISH_ROW;
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(mse_loss, wish, workspace, run);
MASCON_KERNEL(mse_loss_bwd, wish, NULL, run);
MASCON_KERNEL(l1_loss, wish, workspace, run);
MASCON_KERNEL(l1_loss_bwd, wish, NULL, run);
MASCON_KERNEL(binary_cross_entropy_with_logits, wish, workspace, run);
MASCON_KERNEL(binary_cross_entropy_with_logits_bwd, wish, NULL, run);

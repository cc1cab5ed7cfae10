/* cross_entropy.cu: cross_entropy and its backward op: softmax, loss and sum in one kernel.
 *
 * lib/ops/cross_entropy.c has the formulas. A group of threads works on a row where its scores are
 * neighbours, one thread where they are not. Rows are added up in double.
 */
#include "cuda/loss.cuh"

namespace mascon {
namespace {

template <class C> /* what x is computed in */
struct problem {
    labels l;
    int group, reduction, smooth, probabilities;
    C smoothing, even; /* even: smoothing / classes */
};

/* The largest score and the logarithm of the sum of exp(score - largest). */
template <class C>
struct row_measure {
    C top, whole;
};

/* n: scores of this row; 0 for a thread that has none. All threads of the block call it. */
template <class T>
__device__ inline row_measure<compute_of<T>> measure(const problem<compute_of<T>> &p, const T *x,
                                                     int64_t n) {
    exponentials<compute_of<T>> s = {-INFINITY, 0};
    for (int64_t c = (int)threadIdx.x % p.group; c < n; c += p.group) {
        add_exponential(s, to_real(x[c * p.l.step]));
    }
    s = group_reduce(s, p.group, join_exponentials_of());
    return {s.top, isinf(s.top) ? (compute_of<T>)NAN : log(s.sum)};
}

/* The coefficient of class c: a row's loss is the sum of q * (whole - (x - top)). */
template <class T>
__device__ inline compute_of<T> coefficient(const problem<compute_of<T>> &p, const T *share,
                                            int64_t t, int64_t c) {
    typedef compute_of<T> C;
    const C own = p.probabilities ? to_real(share[c * p.l.step]) : c == t ? (C)1 : (C)0;
    return ((1 - p.smoothing) * own + p.even) * weight_of<C>(p.l, c);
}

/* The loss of a row, in every thread of its group. t: its class; -1: it costs nothing. */
template <class T>
__device__ inline compute_of<T> row_loss(const problem<compute_of<T>> &p, const T *x,
                                         const T *share, int64_t t, int64_t n) {
    typedef compute_of<T> C;
    const row_measure<C> m = measure(p, x, t < 0 ? 0 : n);
    if (!p.probabilities && !p.smooth) { /* the other scores may be infinite */
        return t < 0 || n == 0
                   ? 0
                   : weight_of<C>(p.l, t) * (m.whole - (to_real(x[t * p.l.step]) - m.top));
    }
    C loss = 0;
    for (int64_t c = (int)threadIdx.x % p.group; t >= 0 && c < n; c += p.group) {
        loss += coefficient(p, share, t, c) * (m.whole - (to_real(x[c * p.l.step]) - m.top));
    }
    return group_reduce(loss, p.group, add_op());
}

/* out: the loss of each row, or one number; share: probabilities, or NULL. */
template <class T>
__global__ void forward(const T *x, const T *share, T *out, const problem<compute_of<T>> p,
                        pair_double *partial) {
    typedef compute_of<T> C;
    const int64_t groups = loss_threads / p.group;
    pair_double sum = {0, 0}; /* losses, weights */
    for (int64_t first = blockIdx.x * groups; first < p.l.rows; first += gridDim.x * groups) {
        const int64_t row = first + threadIdx.x / p.group;
        const bool there = row < p.l.rows;
        const int64_t t = !there || p.probabilities ? 0 : class_of(p.l, row);
        const int64_t at = there ? row_start(p.l, row) : 0;
        const C loss = row_loss(p, x + at, share ? share + at : share, t, there ? p.l.classes : 0);
        if (!there || threadIdx.x % p.group != 0) continue;
        if (p.reduction == NN_REDUCTION_NONE) {
            out[row] = from_real<T>(loss);
        } else {
            sum.a += (double)loss;
            if (t >= 0) sum.b += p.probabilities ? 1 : (double)weight_of<C>(p.l, t);
        }
    }
    if (p.reduction == NN_REDUCTION_NONE) return;
    sum = group_reduce(sum, loss_threads, add_pair());
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) partial[blockIdx.x] = sum;
        if (!last_block(0, gridDim.x)) return;
        sum = {0, 0};
        for (unsigned i = threadIdx.x; i < gridDim.x; i += loss_threads) {
            sum = add_pair()(sum, partial[i]);
        }
        sum = group_reduce(sum, loss_threads, add_pair());
    }
    if (threadIdx.x != 0) return;
    *out = from_real<T>((C)(p.reduction == NN_REDUCTION_MEAN ? sum.a / sum.b : sum.a));
}

/* dx[c] = (softmax(x)[c] * sum(q) - q[c]) * dy / divisor */
template <class T>
__global__ void backward(const T *dy, const T *x, const T *share, T *dx,
                         const problem<compute_of<T>> p, const double *total) {
    typedef compute_of<T> C;
    const int64_t groups = loss_threads / p.group;
    double divisor = 1;
    if (p.reduction == NN_REDUCTION_MEAN) {
        divisor = p.probabilities ? (double)p.l.rows
                  : total         ? *total
                                  : weights_of_block<C>(p.l, 0, loss_threads);
    }
    for (int64_t first = blockIdx.x * groups; first < p.l.rows; first += gridDim.x * groups) {
        const int64_t row = first + threadIdx.x / p.group;
        const bool there = row < p.l.rows;
        const int64_t t = !there || p.probabilities ? 0 : class_of(p.l, row);
        const int64_t n = there ? p.l.classes : 0, at = there ? row_start(p.l, row) : 0;
        const T *scores = x + at, *shares = share ? share + at : share;
        const row_measure<C> m = measure(p, scores, t < 0 ? 0 : n);
        C sum = 0;
        if (!p.probabilities && !p.smooth) {
            sum = t < 0 || n == 0 ? 0 : weight_of<C>(p.l, t);
        } else {
            for (int64_t c = (int)threadIdx.x % p.group; t >= 0 && c < n; c += p.group) {
                sum += coefficient(p, shares, t, c);
            }
            sum = group_reduce(sum, p.group, add_op());
        }
        const C g =
            there ? (C)((double)to_real(dy[p.reduction == NN_REDUCTION_NONE ? row : 0]) / divisor)
                  : 0;
        for (int64_t c = (int)threadIdx.x % p.group; c < n; c += p.group) {
            C d = 0;
            if (t >= 0) {
                const C q = coefficient(p, shares, t, c);
                d = (exp(to_real(scores[c * p.l.step]) - m.top - m.whole) * sum - q) * g;
            }
            dx[at + c * p.l.step] = from_real<T>(d);
        }
    }
}

/* first: the place of x; target and weight follow it. */
template <class C>
problem<C> problem_of(const mascon_call *call, int first) {
    const mascon_view *x = SRC(call, first);
    problem<C> p = {};
    p.l = labels_of(call, x, first + 1, first + 2, NN_CROSS_ENTROPY_IGNORE_INDEX,
                    NN_CROSS_ENTROPY_BASE);
    p.reduction = (int)call->attr[NN_CROSS_ENTROPY_REDUCTION];
    p.smooth = call->attr[NN_CROSS_ENTROPY_SMOOTHING] != 0;
    p.smoothing = (C)call->attr[NN_CROSS_ENTROPY_SMOOTHING];
    p.even = (C)(call->attr[NN_CROSS_ENTROPY_SMOOTHING] / (double)p.l.classes);
    p.probabilities = masconI_is_float(SRC(call, first + 1)->dtype);
    p.group = 1;
    if (p.l.step == 1) {
        p.group = p.l.classes > 2048 ? loss_threads : power_between(p.l.classes, 1, 32);
    }
    return p;
}

template <class C>
unsigned blocks_of(const problem<C> &p) {
    const int64_t groups = loss_threads / p.group;
    const int64_t wanted = divide_up(p.l.rows, groups);
    return wanted <= 4 ? 1 : loss_blocks(wanted); /* few turns take less time than a meeting */
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *loss = DST(call, 0);
    if (loss->numel == 0) return MASCON_OK;
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const auto p = problem_of<compute_of<T>>(call, 0);
        const T *share = p.probabilities ? (const T *)SRC(call, 1)->data : NULL;
        return launch(forward<T>, dim3(blocks_of(p)), dim3(loss_threads), 0, exec->stream,
                      (const T *)x->data, share, (T *)loss->data, p,
                      (pair_double *)exec->workspace);
    });
}

mascon_status run_bwd(mascon_call *call, mascon_exec *exec) {
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *dx = DST(call, 0);
    if (dx->numel == 0) return MASCON_OK;
    return dispatch_float(x->dtype, [&](auto tag) -> mascon_status {
        using T = typename decltype(tag)::type;
        const auto p = problem_of<compute_of<T>>(call, 1);
        int64_t blocks = divide_up(p.l.rows, loss_threads / p.group);
        if (blocks > 65536) blocks = 65536;
        const double *total = NULL;
        if (p.reduction == NN_REDUCTION_MEAN && !p.probabilities) {
            MASCON_TRY(find_weights<compute_of<T>>(p.l, exec->workspace, exec->stream, &total));
        }
        const T *share = p.probabilities ? (const T *)SRC(call, 2)->data : NULL;
        return launch(backward<T>, dim3((unsigned)blocks), dim3(loss_threads), 0, exec->stream,
                      (const T *)dy->data, (const T *)x->data, share, (T *)dx->data, p, total);
    });
}

size_t workspace(const mascon_call *call) {
    (void)call;
    return sizeof(pair_double) * (size_t)busy_blocks;
}

size_t workspace_bwd(const mascon_call *call) {
    (void)call;
    return weights_workspace();
}

int fits(const mascon_call *call, int first, mascon_wish *w) {
    const mascon_view *x = SRC(call, first), *target = SRC(call, first + 1);
    const uint8_t order = order_of(x);
    w->src[first] = order;
    w->src[first + 1] = masconI_is_float(target->dtype) ? order : (uint8_t)MASCON_WISH_ROW;
    w->dst[0] = first ? order : (uint8_t)MASCON_WISH_ROW;
    if (first) w->src[0] = MASCON_WISH_ROW;
    return 1;
}

int wish(const mascon_call *call, mascon_wish *w) { return fits(call, 0, w); }
int wish_bwd(const mascon_call *call, mascon_wish *w) { return fits(call, 1, w); }

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(cross_entropy, wish, workspace, run);
MASCON_KERNEL(cross_entropy_bwd, wish_bwd, workspace_bwd, run_bwd);

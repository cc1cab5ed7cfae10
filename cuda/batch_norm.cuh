/* batch_norm.cuh: what batch_norm and batch_norm_pool share: sums over each channel of rows of channels,
 * and what follows from them.
 *
 * Neighbouring threads take neighbouring channels, packs of them where memory allows. The rows are cut
 * into parts, and the block that ends a channel last joins the parts, in their order and in double. Means
 * and variances are joined from those of a few elements at a time; those of float32 are taken of each
 * channel's distance from its first element, and the mean is kept with what its float leaves over, so
 * large means cost no digits.
 */
#ifndef MASCON_CUDA_BATCH_NORM_CUH
#define MASCON_CUDA_BATCH_NORM_CUH

#include "cuda/group.cuh"
extern "C" {
#include "ops/norm.h"
}

namespace mascon {

constexpr int sum_threads = 512;

/* C: what elements are computed in. */
template <class C>
struct problem {
    int64_t rows, channels, inner; /* rows: values of a channel */
    int in_rows;
    int lanes;    /* rows: threads side by side, of V channels each */
    int splits;   /* parts of the batch */
    int64_t part; /* rows, or pictures, of one */
    C *partial;   /* {splits, 2, channels} */
    C *factors; /* {2, channels}, backward: what dx adds for x - mean and for itself; forward: what
                   * the kept mean lacks */
    int backward, training, mask, affine;
    double eps, momentum;
    column running_mean, running_var, weight, bias, mean, rstd;
    C *kept_mean, *kept_rstd, *dweight, *dbias;
};

/* Two results of one channel over the whole batch: mean and squared deviations, or sums. */
struct totals {
    double n, a, b;
};

__device__ inline totals join_totals(const totals &x, const totals &y, int backward) {
    if (backward) return {x.n + y.n, x.a + y.a, x.b + y.b};
    if (y.n == 0) return x;
    if (x.n == 0) return y;
    const double n = x.n + y.n, share = y.n / n, d = y.a - x.a;
    return {n, x.a + d * share, x.b + y.b + d * d * x.n * share};
}

/* Values of a channel in one split. */
template <class C>
__device__ inline int64_t split_count(const problem<C> &p, int split) {
    const int64_t whole = p.in_rows ? p.rows : p.rows / p.inner;
    const int64_t first = split * p.part, left = whole - first;
    return (left < p.part ? left : p.part) * (p.in_rows ? 1 : p.inner);
}

template <class C>
__device__ inline void move_running(const column &c, int64_t i, double share, double to) {
    if (c.data) column_set<C>(c, i, (C)((1 - share) * (double)column_at<C>(c, i, 0) + share * to));
}

/* What the elements of a channel are counted from: its first one, x, where that is a number. Types of 16
 * bits have fewer digits than the sums. */
template <class T>
__device__ inline compute_of<T> origin_at(const T *x) {
    if constexpr (sizeof(T) != 4) return 0;
    const compute_of<T> first = to_real(*x);
    return isfinite(first) ? first : 0;
}

/* What a channel's totals lead to. origin: what its mean is counted from. */
template <class C>
__device__ inline void finish_channel(const problem<C> &p, int64_t c, const totals &t, C origin) {
    if (!p.backward) {
        const double mean = (double)origin + t.a;
        p.kept_mean[c] = (C)mean;
        p.factors[c] = isfinite(mean) ? (C)(mean - (double)(C)mean) : 0;
        p.kept_rstd[c] = (C)(1 / sqrt(t.b / t.n + p.eps));
        move_running<C>(p.running_mean, c, p.momentum, mean);
        move_running<C>(p.running_var, c, p.momentum, t.b / (t.n - 1));
        return;
    }
    const double rstd = (double)column_at<C>(p.rstd, c, 0);
    const double a = rstd * (double)column_at<C>(p.weight, c, 1);
    p.factors[c] = p.training ? (C)(-a * rstd * rstd * t.b / (double)p.rows) : 0;
    p.factors[p.channels + c] = p.training ? (C)(-a * t.a / (double)p.rows) : 0;
    if (!p.affine) return;
    p.dweight[c] = (C)(t.b * rstd);
    p.dbias[c] = (C)t.a;
}

/* Joins the splits of channels first..first+n-1; all threads of the block call it. n: a power of two up
 * to sum_threads; origin(c): of channel c. */
template <class C, class Origin>
__device__ inline void join_splits(const problem<C> &p, int64_t first, int n,
                                   const Origin &origin) {
    __shared__ totals scratch[sum_threads];
    const int thread = (int)threadIdx.x, ways = sum_threads / n;
    const int64_t c = first + thread % n;
    totals t = {0, 0, 0};
    for (int i = thread / n; c < p.channels && i < p.splits; i += ways) {
        const C *partial = p.partial + 2 * i * p.channels + c;
        t = join_totals(
            t, {(double)split_count(p, i), (double)partial[0], (double)partial[p.channels]},
            p.backward);
    }
    scratch[thread] = t;
    for (int half = ways / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half * n) {
            scratch[thread] = join_totals(scratch[thread], scratch[thread + half * n], p.backward);
        }
    }
    __syncthreads();
    if (thread < n && c < p.channels) finish_channel(p, c, scratch[thread], origin(c));
}

/* ---- Rows ---- */

/* V channels over some rows: a, b: mean, counted from the origin, and squared deviations of the n rows so
 * far, or sums of dy and of dy * (x - mean). */
template <class C, int V>
struct state {
    C n, a[V], b[V];
};

template <class C, int V, int B>
__device__ inline void add_moments(state<C, V> &s, const C (&v)[B][V]) {
    const C n = s.n + B, share = B / n, weight = s.n * share;
#pragma unroll
    for (int k = 0; k < V; k++) {
        C mean = v[0][k], squares = 0;
#pragma unroll
        for (int i = 1; i < B; i++) mean += v[i][k];
        mean *= (C)1 / B;
#pragma unroll
        for (int i = 0; i < B; i++) squares += (v[i][k] - mean) * (v[i][k] - mean);
        const C d = mean - s.a[k];
        s.a[k] += d * share;
        s.b[k] += squares + d * d * weight;
    }
    s.n = n;
}

template <class T, int V>
__device__ inline void load_row(const T *x, int64_t at, compute_of<T> (&v)[V]) {
    const pack<T, V> p = *(const pack<T, V> *)(x + at);
#pragma unroll
    for (int k = 0; k < V; k++) v[k] = to_real(p.v[k]);
}

/* Channels-last rows, V channels at a time; dy: backward. */
template <class T, int V>
struct rows_source {
    typedef compute_of<T> C;
    const T *x, *dy;

    __device__ C origin(int64_t c) const { return origin_at(x + c); }
    /* B rows, less the origin. */
    template <int B>
    __device__ void load_rows(const problem<C> &p, int64_t c, int64_t row, int64_t step,
                              const C (&from)[V], C (&v)[B][V]) const {
#pragma unroll
        for (int i = 0; i < B; i++) {
            load_row<T, V>(x, (row + i * step) * p.channels + c, v[i]);
#pragma unroll
            for (int k = 0; k < V; k++) {
                if constexpr (sizeof(T) == 4) v[i][k] -= from[k];
            }
        }
    }

    /* Rows first, first + step, ... below end. */
    __device__ void add(const problem<C> &p, int64_t c, int64_t first, int64_t end, int64_t step,
                        state<C, V> &s) const {
        constexpr int B = V > 4 ? 4 : sizeof(T) == 4 && V == 4 ? 6 : 8; /* at a time */
        C v[B][V], mean[V];                                             /* forward: the origin */
        int64_t row = first;
#pragma unroll
        for (int k = 0; k < V; k++) {
            if constexpr (sizeof(T) == 4) mean[k] = origin(c + k);
        }
        for (; !p.backward && row + (B - 1) * step < end; row += B * step) {
            load_rows(p, c, row, step, mean, v);
            add_moments<C, V, B>(s, v);
        }
        for (; !p.backward && row < end; row += step) {
            C one[1][V];
            load_rows(p, c, row, step, mean, one);
            add_moments<C, V, 1>(s, one);
        }
        if (!p.backward) return;
#pragma unroll
        for (int k = 0; k < V; k++) mean[k] = column_at<C>(p.mean, c + k, 0);
#pragma unroll 4
        for (; row < end; row += step) {
            C d[V];
            load_row<T, V>(x, row * p.channels + c, v[0]);
            load_row<T, V>(dy, row * p.channels + c, d);
#pragma unroll
            for (int k = 0; k < V; k++) {
                s.a[k] += d[k];
                s.b[k] += d[k] * (v[0][k] - mean[k]);
            }
        }
    }
};

template <class C, int V>
__device__ inline void join_states(state<C, V> &s, const state<C, V> &o, int backward) {
    if (!backward && o.n == 0) return;
    const C n = s.n + o.n, share = backward ? 0 : o.n / n, weight = s.n * share;
#pragma unroll
    for (int k = 0; k < V; k++) {
        if (backward) {
            s.a[k] += o.a[k];
            s.b[k] += o.b[k];
        } else {
            const C d = o.a[k] - s.a[k];
            s.a[k] += d * share;
            s.b[k] += o.b[k] + d * d * weight;
        }
    }
    s.n = n;
}

/* grid {tiles of lanes * V channels, splits}. Source: where the rows come from. */
template <int V, class Source>
__global__ void __launch_bounds__(sum_threads, 2)
    sum_rows(const Source source, const __grid_constant__ problem<typename Source::C> p) {
    typedef typename Source::C C;
    __shared__ C scratch_n[sum_threads];
    __shared__ C scratch[2][V][sum_threads];
    const int thread = (int)threadIdx.x, ways = sum_threads / p.lanes;
    const int64_t tile = (int64_t)blockIdx.x * p.lanes * V, c = tile + thread % p.lanes * V;
    const int64_t first = (int64_t)blockIdx.y * p.part;
    const int64_t end = first + p.part < p.rows ? first + p.part : p.rows;
    state<C, V> s = {};
    if (c < p.channels) {
        source.add(p, c, first + thread / p.lanes, end, ways, s);
    }
    for (int half = ways / 2; half > 0; half /= 2) {
        if (thread >= half * p.lanes && thread < 2 * half * p.lanes) {
            scratch_n[thread] = s.n;
#pragma unroll
            for (int k = 0; k < V; k++) {
                scratch[0][k][thread] = s.a[k];
                scratch[1][k][thread] = s.b[k];
            }
        }
        __syncthreads();
        if (thread < half * p.lanes) {
            const int other = thread + half * p.lanes;
            state<C, V> o;
            o.n = scratch_n[other];
#pragma unroll
            for (int k = 0; k < V; k++) {
                o.a[k] = scratch[0][k][other];
                o.b[k] = scratch[1][k][other];
            }
            join_states(s, o, p.backward);
        }
        __syncthreads();
    }
    if (thread < p.lanes && c < p.channels) {
        C *partial = p.partial + 2 * (int64_t)blockIdx.y * p.channels + c;
#pragma unroll
        for (int k = 0; k < V; k++) {
            partial[k] = s.a[k];
            partial[p.channels + k] = s.b[k];
        }
    }
    if (!last_block((int)blockIdx.x, gridDim.y)) return;
    join_splits(p, tile, p.lanes * V, [&](int64_t channel) { return source.origin(channel); });
}

/* What the second kernels know of a channel: y = (x - mean) * a + c, or
 * dx = a * dy + (b * (x - mean) + c). */
template <class C>
struct affine {
    C mean, a, b, c;
};

/* first: whether this thread is the one that keeps the statistics of evaluation. */
template <class C>
__device__ inline affine<C> affine_of(const problem<C> &p, int64_t c, bool first) {
    const C w = column_at<C>(p.weight, c, 1);
    if (p.backward) {
        const bool sums = p.training;
        return {column_at<C>(p.mean, c, 0), column_at<C>(p.rstd, c, 0) * w, sums ? p.factors[c] : 0,
                sums ? p.factors[p.channels + c] : 0};
    }
    C mean, rstd, low = 0;
    if (p.training) {
        mean = p.kept_mean[c];
        low = p.factors[c];
        rstd = p.kept_rstd[c];
    } else {
        mean = column_at<C>(p.running_mean, c, 0);
        rstd = (C)(1 / sqrt((double)column_at<C>(p.running_var, c, 0) + p.eps));
        if (first) {
            p.kept_mean[c] = mean;
            p.kept_rstd[c] = rstd;
        }
    }
    const C bias = column_at<C>(p.bias, c, 0), factor = rstd * w;
    return {mean, factor, 0, low == 0 ? bias : bias - low * factor};
}

template <class C>
__device__ inline C apply(const problem<C> &p, const affine<C> &f, C x, C dy) {
    if (!p.backward) return (x - f.mean) * f.a + f.c;
    const C d = f.a * dy + (f.b * (x - f.mean) + f.c);
    return p.mask && x <= 0 ? 0 : d;
}

/* No elements: the statistics of evaluation, and gradients of 0. */
template <class C>
static __global__ void fill_empty(const __grid_constant__ problem<C> p) {
    for (int64_t c = threadIdx.x; c < p.channels; c += blockDim.x) {
        if (!p.backward) {
            const bool own = p.training;
            const double var = own ? 0 : (double)column_at<C>(p.running_var, c, 0);
            p.kept_mean[c] = own ? 0 : column_at<C>(p.running_mean, c, 0);
            p.kept_rstd[c] = (C)(1 / sqrt(var + p.eps));
        } else if (p.affine) {
            p.dweight[c] = p.dbias[c] = 0;
        }
    }
}

/* ---- On the host ---- */

template <class C>
mascon_status run_empty(const problem<C> &p, void *stream) {
    return launch(fill_empty<C>, dim3((unsigned)(p.channels ? 1 : 0)), dim3(256), 0, stream, p);
}

/* Everything but where things lie. V: channels, or elements of a plane, of a thread. */
template <class C>
problem<C> plan_sums(const masconI_channels &s, int in_rows, int backward, int V) {
    problem<C> p = {};
    p.rows = s.count;
    p.channels = s.c;
    p.inner = s.inner;
    p.in_rows = in_rows;
    p.backward = backward;
    int64_t tiles, work, whole;
    if (p.in_rows) {
        p.lanes = power_between(divide_up(s.c, V), 1, 32);
        tiles = divide_up(s.c, (int64_t)p.lanes * V);
        whole = p.rows;
        work = divide_up(whole, (int64_t)(sum_threads / p.lanes) * 16);
    } else {
        tiles = s.c;
        whole = s.n;
        work = divide_up(whole * s.inner, sum_threads * 16);
        if (work > whole) work = whole;
    }
    p.splits = tiles <= counters_count ? splits_of(tiles * 2, work) : 1; /* large blocks */
    p.part = divide_up(whole, p.splits);
    p.splits = (int)divide_up(whole, p.part);
    return p;
}

/* Bytes of work memory for p's sums; 0 for none. */
template <class C>
size_t sums_bytes(const problem<C> &p) {
    return sizeof(C) * (size_t)p.channels * (size_t)(2 + 2 * p.splits);
}

template <class C>
void place_sums(problem<C> *p, void *workspace) {
    p->factors = (C *)workspace;
    p->partial = p->factors + 2 * p->channels;
}

/* Options and vectors of a forward call; its outputs mean and rstd come from `kept` on. */
template <class C>
void fill_forward(const mascon_call *call, int kept, problem<C> *p) {
    p->training = call->attr[NN_BATCH_NORM_TRAINING] != 0;
    p->eps = call->attr[NN_BATCH_NORM_EPS];
    p->momentum = call->attr[NN_BATCH_NORM_MOMENTUM];
    p->running_mean = column_of(call, 1);
    p->running_var = column_of(call, 2);
    p->weight = column_of(call, 3);
    p->bias = column_of(call, 4);
    p->kept_mean = (C *)DST(call, kept)->data;
    p->kept_rstd = (C *)DST(call, kept + 1)->data;
}

/* Of a backward call, whose inputs mean, rstd and weight come from `mean` on. */
template <class C>
void fill_backward(const mascon_call *call, int mean, problem<C> *p) {
    p->training = call->attr[NN_BATCH_NORM_BWD_TRAINING] != 0;
    p->mask = call->attr[NN_BATCH_NORM_BWD_RELU_MASK] != 0;
    p->affine = call->n_dst > 1;
    p->mean = column_of(call, mean);
    p->rstd = column_of(call, mean + 1);
    p->weight = column_of(call, mean + 2);
    if (!p->affine) return;
    p->dweight = (C *)DST(call, 1)->data;
    p->dbias = (C *)DST(call, 2)->data;
}

template <class C>
bool wants_sums(const problem<C> &p) {
    return p.training || (p.backward && p.affine);
}

template <int V, class Source>
mascon_status run_sums(const Source &source, const problem<typename Source::C> &p, void *stream) {
    const dim3 grid((unsigned)divide_up(p.channels, (int64_t)p.lanes * V), (unsigned)p.splits);
    return launch(sum_rows<V, Source>, grid, dim3(sum_threads), 0, stream, source, p);
}

}  // namespace mascon

#endif

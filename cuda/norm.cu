/* norm.cu: layer_norm, group_norm and their backward ops.
 *
 * Both normalise runs of `size` elements with a mean and a variance of their own: layer_norm the rows
 * {runs, size} with a weight for each place, group_norm the groups {n * groups, per_group * inner} with a
 * weight for each channel. Memory is row-major, or of pictures channels-last in group_norm. A group of
 * threads works on a run. The gradients of weight and bias are a kernel of their own.
 */
#include "cuda/group.cuh"
extern "C" {
#include "ops/norm.h"
}

namespace mascon {
namespace {

constexpr int threads = 256;

template <class C> /* what elements are computed in */
struct runs {
    int64_t count, size;
    int64_t groups, per_group, inner, channels; /* of layer_norm: 1, size, 1, size */
    int nhwc, narrow;
    int group; /* threads of a run */
    double eps;
    column weight, bias, mean, rstd;
    C *kept_mean, *kept_rstd;
};

template <class C>
__device__ inline int64_t quotient(const runs<C> &r, int64_t a, int64_t b) {
    return r.narrow ? (int64_t)((uint32_t)a / (uint32_t)b) : a / b;
}

/* Where element i of run k lies, and the number of its weight. i runs through memory. */
template <class C>
__device__ inline int64_t offset_of(const runs<C> &r, int64_t k, int64_t i, int64_t *place) {
    if (r.inner == 1 && r.groups == 1) { /* layer_norm, and some others */
        *place = i;
        return k * r.size + i;
    }
    const int64_t picture = quotient(r, k, r.groups), g = k - picture * r.groups;
    if (r.nhwc) {
        const int64_t pixel = quotient(r, i, r.per_group), c = i - pixel * r.per_group;
        *place = g * r.per_group + c;
        return (picture * r.inner + pixel) * r.channels + *place;
    }
    *place = g * r.per_group + quotient(r, i, r.inner);
    return k * r.size + i;
}

/* The run of this thread's group; r.count or more: none. */
template <class C>
__device__ inline int64_t run_of(const runs<C> &r) {
    return (int64_t)blockIdx.x * (threads / r.group) + threadIdx.x / r.group;
}

/* V elements at a time: neighbours with neighbouring weights, or (group_norm, row-major) one weight. */
template <class T, int V>
__global__ void forward(const T *x, T *y, const __grid_constant__ runs<compute_of<T>> r) {
    typedef compute_of<T> C;
    const int64_t k = run_of(r), size = k < r.count ? r.size : 0;
    const int first = (int)threadIdx.x % r.group * V, step = r.group * V;
    moments<C> m = {0, 0, 0};
    int64_t place;
    for (int64_t i = first; i < size; i += step) {
        const pack<T, V> p = *(const pack<T, V> *)(x + offset_of(r, k, i, &place));
        moments<C> part = {(C)V, 0, 0};
#pragma unroll
        for (int e = 0; e < V; e++) part.mean += to_real(p.v[e]);
        part.mean *= (C)1 / V;
#pragma unroll
        for (int e = 0; V > 1 && e < V; e++) {
            const C d = to_real(p.v[e]) - part.mean;
            part.squares += d * d;
        }
        m = join_moments(m, part);
    }
    m = group_reduce(m, r.group, join_moments_of());
    if (k >= r.count) return;
    const C count = r.size ? (C)r.size : 1;
    const C rstd = (C)(1 / sqrt((double)(m.squares / count) + r.eps));
    if (first == 0) {
        r.kept_mean[k] = m.mean;
        r.kept_rstd[k] = rstd;
    }
    for (int64_t i = first; i < size; i += step) {
        const int64_t at = offset_of(r, k, i, &place);
        pack<T, V> p = *(const pack<T, V> *)(x + at);
        const int same = r.inner > 1 && !r.nhwc;
#pragma unroll
        for (int e = 0; e < V; e++) {
            const int64_t c = same ? place : place + e;
            const C v = (to_real(p.v[e]) - m.mean) * rstd;
            p.v[e] = from_real<T>(v * column_at<C>(r.weight, c, 1) + column_at<C>(r.bias, c, 0));
        }
        *(pack<T, V> *)(y + at) = p;
    }
}

/* With g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)) */
template <class T, int V>
__global__ void backward(const T *dy, const T *x, T *dx,
                         const __grid_constant__ runs<compute_of<T>> r) {
    typedef compute_of<T> C;
    const int64_t k = run_of(r), size = k < r.count ? r.size : 0;
    const int first = (int)threadIdx.x % r.group * V, step = r.group * V;
    const int same = r.inner > 1 && !r.nhwc;
    const C mean = size ? column_at<C>(r.mean, k, 0) : 0,
            rstd = size ? column_at<C>(r.rstd, k, 0) : 0;
    pair<C> sum = {0, 0}; /* of g and of g (x - mean) */
    int64_t place;
    for (int64_t i = first; i < size; i += step) {
        const int64_t at = offset_of(r, k, i, &place);
        const pack<T, V> p = *(const pack<T, V> *)(x + at), d = *(const pack<T, V> *)(dy + at);
#pragma unroll
        for (int e = 0; e < V; e++) {
            const C g = to_real(d.v[e]) * column_at<C>(r.weight, same ? place : place + e, 1);
            sum.a += g;
            sum.b += g * (to_real(p.v[e]) - mean);
        }
    }
    sum = group_reduce(sum, r.group, add_pair());
    const C count = (C)r.size;
    const C b = -rstd * rstd * rstd * sum.b / count, c = -rstd * sum.a / count;
    for (int64_t i = first; i < size; i += step) {
        const int64_t at = offset_of(r, k, i, &place);
        const pack<T, V> p = *(const pack<T, V> *)(x + at), d = *(const pack<T, V> *)(dy + at);
        pack<T, V> out;
#pragma unroll
        for (int e = 0; e < V; e++) {
            const C g = to_real(d.v[e]) * column_at<C>(r.weight, same ? place : place + e, 1);
            out.v[e] = from_real<T>(rstd * g + (b * (to_real(p.v[e]) - mean) + c));
        }
        *(pack<T, V> *)(dx + at) = out;
    }
}

/* ---- The gradients of weight and bias ---- */

template <class C>
struct cut {
    int lanes, splits;    /* neighbouring weights of a block; parts of the sums */
    int64_t values, part; /* elements with one weight; of one split */
    pair<C> *partial;     /* {splits, weights} */
};

/* Where value j of weight c lies, and its run. */
template <class C>
__device__ inline int64_t value_of(const runs<C> &r, int64_t c, int64_t j, int64_t *run) {
    if (r.inner == 1 && r.groups == 1) {
        *run = j;
        return j * r.channels + c;
    }
    const int64_t picture = quotient(r, j, r.inner);
    *run = picture * r.groups + quotient(r, c, r.per_group);
    if (r.nhwc) return j * r.channels + c;
    return (picture * r.channels + c) * r.inner + (j - picture * r.inner);
}

/* The sums of the ways of a block, for the threads of the first one. */
template <class C>
__device__ inline pair<C> join_ways(pair<C> s, int lanes) {
    __shared__ pair<C> scratch[threads];
    const int thread = (int)threadIdx.x;
    scratch[thread] = s;
    for (int half = threads / lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half * lanes) {
            scratch[thread] = add_pair()(scratch[thread], scratch[thread + half * lanes]);
        }
    }
    __syncthreads();
    s = scratch[thread];
    __syncthreads();
    return s;
}

/* grid {tiles of lanes weights, splits}; dweight = sum of dy xhat, dbias = sum of dy */
template <class T>
__global__ void weights(const T *dy, const T *x, compute_of<T> *dweight, compute_of<T> *dbias,
                        const __grid_constant__ runs<compute_of<T>> r,
                        const __grid_constant__ cut<compute_of<T>> t) {
    typedef compute_of<T> C;
    const int ways = threads / t.lanes;
    const int64_t c = (int64_t)blockIdx.x * t.lanes + threadIdx.x % t.lanes;
    const int64_t first = (int64_t)blockIdx.y * t.part;
    const int64_t end = first + t.part < t.values ? first + t.part : t.values;
    pair<C> s = {0, 0};
    int64_t run;
#pragma unroll 4
    for (int64_t j = first + threadIdx.x / t.lanes; c < r.channels && j < end; j += ways) {
        const int64_t at = value_of(r, c, j, &run);
        const C d = to_real(dy[at]);
        s.a += d * ((to_real(x[at]) - column_at<C>(r.mean, run, 0)) * column_at<C>(r.rstd, run, 0));
        s.b += d;
    }
    s = join_ways(s, t.lanes);
    const bool mine = (int)threadIdx.x < t.lanes && c < r.channels;
    if (t.splits > 1) {
        if (mine) t.partial[blockIdx.y * r.channels + c] = s;
        if (!last_block((int)blockIdx.x, gridDim.y)) return;
        s = {0, 0};
        for (int i = (int)threadIdx.x / t.lanes; c < r.channels && i < t.splits; i += ways) {
            s = add_pair()(s, t.partial[i * r.channels + c]);
        }
        s = join_ways(s, t.lanes);
    }
    if (!mine) return;
    dweight[c] = s.a;
    dbias[c] = s.b;
}

/* ---- Calls ---- */

int is_layer(const mascon_call *call) {
    return call->op == MASCON_OP_layer_norm || call->op == MASCON_OP_layer_norm_bwd;
}

template <class C>
runs<C> runs_of(const mascon_call *call, const mascon_view *x) {
    runs<C> r = {};
    if (is_layer(call)) {
        masconI_rows_of(x, (int32_t)call->attr[NN_LAYER_NORM_SIZES], &r.count, &r.size);
        r.groups = r.inner = 1;
        r.per_group = r.channels = r.size;
    } else {
        const masconI_channels s = masconI_channels_of(x);
        r.groups = masconI_attr_int(call, NN_GROUP_NORM_GROUPS);
        r.per_group = s.c / r.groups;
        r.inner = s.inner;
        r.channels = s.c;
        r.count = s.n * r.groups;
        r.size = r.per_group * r.inner;
        r.nhwc = is_nhwc(x);
    }
    r.narrow = x->numel <= INT32_MAX;
    return r;
}

/* Whether V neighbours of a run always lie side by side in a pack. */
template <class C>
int fits_packs(const runs<C> &r, const mascon_call *call, int V) {
    const int64_t side = r.nhwc ? r.per_group : r.inner > 1 ? r.inner : r.size;
    int fits = side % V == 0 && r.channels % (r.nhwc ? V : 1) == 0;
    fits &= aligned16(DST(call, 0)->data);
    for (int i = 0; i < 2 && i < call->n_src; i++) {
        const bool big =
            i == 0 || call->op == MASCON_OP_layer_norm_bwd || call->op == MASCON_OP_group_norm_bwd;
        if (big) fits &= aligned16(SRC(call, i)->data);
    }
    return fits;
}

template <class C>
void set_group(runs<C> *r, int V) {
    r->group = r->size > 1024 * V ? threads : power_between(divide_up(r->size, V), 1, 32);
    if (r->size > 32 * V && r->count * 32 < threads * busy_blocks) r->group = threads;
}

/* Weights and biases of layer_norm have as many dimensions as sizes; they are row-major. */
column dense_column(const mascon_call *call, int i) {
    if (i >= call->n_src || !call->src[i]) return {NULL, 0, 0};
    return {SRC(call, i)->data, 1, SRC(call, i)->dtype};
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0);
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        constexpr int V = pack_of<T>();
        auto r = runs_of<compute_of<T>>(call, x);
        r.eps = call->attr[is_layer(call) ? (int)NN_LAYER_NORM_EPS : (int)NN_GROUP_NORM_EPS];
        r.weight = dense_column(call, 1);
        r.bias = dense_column(call, 2);
        r.kept_mean = (compute_of<T> *)DST(call, 1)->data;
        r.kept_rstd = (compute_of<T> *)DST(call, 2)->data;
        const int packs = fits_packs(r, call, V);
        set_group(&r, packs ? V : 1);
        return launch(packs ? forward<T, V> : forward<T, 1>,
                      dim3((unsigned)divide_up(r.count, threads / r.group)), dim3(threads), 0,
                      exec->stream, (const T *)x->data, (T *)DST(call, 0)->data, r);
    });
}

template <class C>
cut<C> cut_of(const runs<C> &r) {
    cut<C> t = {};
    const bool side_by_side = r.nhwc || r.inner == 1;
    t.lanes = side_by_side ? power_between(r.channels, 1, 32) : 1;
    t.values = r.channels ? r.count * r.size / r.channels : 0;
    const int64_t tiles = divide_up(r.channels, t.lanes);
    const int64_t work = divide_up(t.values, (int64_t)(threads / t.lanes) * 8);
    t.splits = tiles <= counters_count ? splits_of(tiles, work) : 1;
    t.part = divide_up(t.values, t.splits);
    if (t.part < 1) t.part = 1;
    t.splits = (int)divide_up(t.values, t.part);
    if (t.splits < 1) t.splits = 1;
    return t;
}

mascon_status run_bwd(mascon_call *call, mascon_exec *exec) {
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1);
    return dispatch_float(x->dtype, [&](auto tag) -> mascon_status {
        using T = typename decltype(tag)::type;
        using C = compute_of<T>;
        constexpr int V = pack_of<T>();
        auto r = runs_of<C>(call, x);
        r.mean = dense_column(call, 2);
        r.rstd = dense_column(call, 3);
        r.weight = dense_column(call, 4);
        auto t = cut_of(r);
        t.partial = (pair<C> *)exec->workspace;
        const T *a = (const T *)dy->data, *b = (const T *)x->data;
        const int packs = fits_packs(r, call, V);
        set_group(&r, packs ? V : 1);
        const dim3 grid((unsigned)(r.size ? divide_up(r.count, threads / r.group) : 0));
        MASCON_TRY(launch(packs ? backward<T, V> : backward<T, 1>, grid, dim3(threads), 0,
                          exec->stream, a, b, (T *)DST(call, 0)->data, r));
        if (call->n_dst == 1) return MASCON_OK;
        const dim3 blocks((unsigned)divide_up(r.channels, t.lanes), (unsigned)t.splits);
        return launch(weights<T>, blocks, dim3(threads), 0, exec->stream, a, b,
                      (C *)DST(call, 1)->data, (C *)DST(call, 2)->data, r, t);
    });
}

template <class C>
size_t bytes_of_parts(const mascon_call *call) {
    const auto r = runs_of<C>(call, SRC(call, 1));
    const auto t = cut_of(r);
    return t.splits > 1 ? sizeof(pair<C>) * (size_t)(r.channels * t.splits) : 0;
}

size_t workspace_bwd(const mascon_call *call) {
    if (call->n_dst == 1) return 0;
    return SRC(call, 1)->dtype == MASCON_DTYPE_F64 ? bytes_of_parts<double>(call)
                                                   : bytes_of_parts<float>(call);
}

int wish(const mascon_call *call, mascon_wish *w) {
    const int back = call->op == MASCON_OP_layer_norm_bwd || call->op == MASCON_OP_group_norm_bwd;
    const mascon_view *x = SRC(call, back);
    for (int i = 0; i < call->n_src; i++) w->src[i] = MASCON_WISH_ROW;
    for (int i = 0; i < 3; i++) w->dst[i] = MASCON_WISH_ROW;
    w->src[0] = w->src[back] = w->dst[0] = is_layer(call) ? (uint8_t)MASCON_WISH_ROW : order_of(x);
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(layer_norm, wish, NULL, run);
MASCON_KERNEL(layer_norm_bwd, wish, workspace_bwd, run_bwd);
MASCON_KERNEL(group_norm, wish, NULL, run);
MASCON_KERNEL(group_norm_bwd, wish, workspace_bwd, run_bwd);

/* batch_norm.cu: batch_norm and its backward op.
 *
 * Channels-last memory and {n, c} are rows of c channels; row-major memory is planes, one for each picture
 * and channel. Two kernels each way: the first adds up each channel over the batch (batch_norm.cuh), the
 * second normalises.
 */
#include "cuda/batch_norm.cuh"
#include "cuda/conv_kernels.h"

namespace mascon {
namespace {

constexpr int map_threads = 256;

/* grid {tiles of lanes * V channels, blocks of rows} */
template <class T, int V>
__global__ void map_rows(const T *__restrict__ x, const T *__restrict__ dy, T *__restrict__ y,
                         const __grid_constant__ problem<compute_of<T>> p) {
    typedef compute_of<T> C;
    const int thread = (int)threadIdx.x, ways = map_threads / p.lanes;
    const int64_t c = ((int64_t)blockIdx.x * p.lanes + thread % p.lanes) * V;
    if (c >= p.channels) return;
    const int64_t begin = (int64_t)blockIdx.y * ways + thread / p.lanes;
    affine<C> f[V];
#pragma unroll
    for (int k = 0; k < V; k++) f[k] = affine_of(p, c + k, begin == 0);
#pragma unroll 4
    for (int64_t row = begin; row < p.rows; row += (int64_t)gridDim.y * ways) {
        const int64_t at = row * p.channels + c;
        C v[V], d[V] = {0};
        load_row<T, V>(x, at, v);
        if (p.backward) load_row<T, V>(dy, at, d);
        pack<T, V> out;
#pragma unroll
        for (int k = 0; k < V; k++) out.v[k] = from_real<T>(apply(p, f[k], v[k], d[k]));
        *(pack<T, V> *)(y + at) = out;
    }
}

/* ---- Planes ---- */

/* grid {channels, splits}; V elements of a plane at a time */
template <class T, int V>
__global__ void __launch_bounds__(sum_threads)
    sum_planes(const T *x, const T *dy, const __grid_constant__ problem<compute_of<T>> p) {
    typedef compute_of<T> C;
    const int64_t c = blockIdx.x, pictures = p.rows / p.inner, packs = p.inner / V;
    const int64_t first = (int64_t)blockIdx.y * p.part;
    const int64_t end = first + p.part < pictures ? first + p.part : pictures;
    const auto origin = [&](int64_t channel) { return origin_at(x + channel * p.inner); };
    const C mean = p.backward ? column_at<C>(p.mean, c, 0) : origin(c);
    state<C, 1> s = {};
    for (int64_t i = threadIdx.x; i < (end - first) * packs; i += sum_threads) {
        const int64_t picture = i / packs;
        const int64_t at =
            ((first + picture) * p.channels + c) * p.inner + (i - picture * packs) * V;
        C v[V], d[V];
        load_row<T, V>(x, at, v);
        if (p.backward) {
            load_row<T, V>(dy, at, d);
#pragma unroll
            for (int k = 0; k < V; k++) {
                s.a[0] += d[k];
                s.b[0] += d[k] * (v[k] - mean);
            }
        } else {
            C batch[V][1];
#pragma unroll
            for (int k = 0; k < V; k++) batch[k][0] = v[k] - mean;
            add_moments<C, 1, V>(s, batch);
        }
    }
    typedef moments<C> M;
    const M whole = group_reduce(M{s.n, s.a[0], s.b[0]}, sum_threads, [&p](const M &a, const M &b) {
        if (!p.backward) return join_moments(a, b);
        return M{0, a.mean + b.mean, a.squares + b.squares};
    });
    if (threadIdx.x == 0) {
        C *partial = p.partial + 2 * (int64_t)blockIdx.y * p.channels + c;
        partial[0] = whole.mean;
        partial[p.channels] = whole.squares;
    }
    if (p.splits > 1 && !last_block((int)c, gridDim.y)) return;
    __syncthreads();
    join_splits(p, c, 1, origin);
}

/* Item: V elements of a plane. */
template <class T, int V>
__global__ void map_planes(const T *__restrict__ x, const T *__restrict__ dy, T *__restrict__ y,
                           const __grid_constant__ problem<compute_of<T>> p, int64_t items) {
    typedef compute_of<T> C;
    const int64_t packs = p.inner / V;
    for (int64_t i = first_index(); i < items; i += grid_step()) {
        int64_t c;
        if (items <= INT32_MAX) {
            c = (uint32_t)i / (uint32_t)packs % (uint32_t)p.channels;
        } else {
            c = i / packs % p.channels;
        }
        const affine<C> f = affine_of(p, c, i == c * packs);
        C v[V], d[V] = {0};
        load_row<T, V>(x, i * V, v);
        if (p.backward) load_row<T, V>(dy, i * V, d);
        pack<T, V> out;
#pragma unroll
        for (int k = 0; k < V; k++) out.v[k] = from_real<T>(apply(p, f, v[k], d[k]));
        *(pack<T, V> *)(y + i * V) = out;
    }
}

/* ---- Calls ---- */

const mascon_view *input(const mascon_call *call) {
    return SRC(call, call->op == MASCON_OP_batch_norm ? 0 : 1);
}

/* V: channels, or elements, of a thread. */
template <class C>
problem<C> problem_over(const mascon_view *x, int backward, int V) {
    const masconI_channels s = masconI_channels_of(x);
    return plan_sums<C>(s, s.inner == 1 || is_nhwc(x), backward, V);
}

/* V is not known before the memory is, so room for the larger of both. */
size_t bytes_over(const mascon_view *x, int backward) {
    size_t bytes = 0;
    if (x->numel == 0) return 0;
    for (int V = 1; V <= 8; V *= 2) {
        const size_t own = x->dtype == MASCON_DTYPE_F64
                               ? sums_bytes(problem_over<double>(x, backward, V))
                               : sums_bytes(problem_over<float>(x, backward, V));
        if (own > bytes) bytes = own;
    }
    return bytes;
}

size_t workspace(const mascon_call *call) {
    return bytes_over(input(call), call->op != MASCON_OP_batch_norm);
}

/* Both kernels of a filled problem. */
template <class T, int V>
mascon_status run_problem(const problem<compute_of<T>> &p, const mascon_view *view, const T *dy,
                          T *y, void *stream) {
    const T *x = (const T *)view->data;
    const bool sums = wants_sums(p);
    if (!p.in_rows) {
        const dim3 grid((unsigned)p.channels, (unsigned)p.splits);
        const int64_t items = view->numel / V;
        if (sums) {
            MASCON_TRY(launch(sum_planes<T, V>, grid, dim3(sum_threads), 0, stream, x, dy, p));
        }
        return launch(map_planes<T, V>, dim3(blocks_for(items, map_threads, view->device)),
                      dim3(map_threads), 0, stream, x, dy, y, p, items);
    }
    const int64_t tiles = divide_up(p.channels, (int64_t)p.lanes * V);
    if (sums) {
        MASCON_TRY((run_sums<V>(rows_source<T, V>{x, dy}, p, stream)));
    }
    int64_t blocks = divide_up(4 * busy_blocks, tiles);
    const int64_t most = divide_up(p.rows, map_threads / p.lanes);
    if (blocks > most) blocks = most;
    return launch(map_rows<T, V>, dim3((unsigned)tiles, (unsigned)blocks), dim3(map_threads), 0,
                  stream, x, dy, y, p);
}

template <class T, int V>
mascon_status run_packs(const mascon_call *call, mascon_exec *exec) {
    auto p = problem_over<compute_of<T>>(input(call), call->op != MASCON_OP_batch_norm, V);
    const T *dy = p.backward ? (const T *)SRC(call, 0)->data : NULL;
    place_sums(&p, exec->workspace);
    if (p.backward) {
        fill_backward(call, 2, &p);
    } else {
        fill_forward(call, 1, &p);
    }
    return run_problem<T, V>(p, input(call), dy, (T *)DST(call, 0)->data, exec->stream);
}

/* Whether 16 bytes at a time hold channels (or elements of a plane) only of one row (plane). */
int fits_packs(const mascon_call *call, int V) {
    const mascon_view *x = input(call);
    const masconI_channels s = masconI_channels_of(x);
    const int in_rows = s.inner == 1 || is_nhwc(x);
    return (in_rows ? s.c : s.inner) % V == 0 && aligned16(x->data) &&
           aligned16(SRC(call, 0)->data) && aligned16(DST(call, 0)->data);
}

template <class C>
mascon_status run_no_elements(const mascon_call *call, void *stream) {
    problem<C> p = {};
    p.channels = input(call)->shape[1];
    p.backward = call->op != MASCON_OP_batch_norm;
    if (p.backward) {
        fill_backward(call, 2, &p);
    } else {
        fill_forward(call, 1, &p);
    }
    return run_empty(p, stream);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = input(call);
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (x->numel == 0) return run_no_elements<compute_of<T>>(call, exec->stream);
        if (fits_packs(call, pack_of<T>())) return run_packs<T, pack_of<T>()>(call, exec);
        return run_packs<T, 1>(call, exec);
    });
}

int wish(const mascon_call *call, mascon_wish *w) {
    const uint8_t order = order_of(input(call));
    if (call->op == MASCON_OP_batch_norm_bwd) w->src[1] = order;
    w->src[0] = w->dst[0] = order;
    w->dst[1] = w->dst[2] = MASCON_WISH_ROW; /* all {c} inputs are read, or written, as they lie */
    return 1;
}

/* ---- Behind a convolution ---- */

column column_over(const mascon_view *v) {
    if (!v) return {NULL, 0, 0};
    return {v->data, v->stride[0], v->dtype};
}

size_t kept_bytes(const mascon_view *x) {
    const size_t size = x->dtype == MASCON_DTYPE_F64 ? sizeof(double) : sizeof(float);
    return (size * 2 * (size_t)x->shape[1] + 255) / 256 * 256;
}

template <class T, int V>
mascon_status run_norm(const masconG_norm *n, void *stream) {
    auto p = problem_over<compute_of<T>>(n->x, 0, V);
    p.training = 1;
    p.eps = n->eps;
    p.momentum = n->momentum;
    p.running_mean = column_over(n->mean);
    p.running_var = column_over(n->var);
    p.weight = column_over(n->weight);
    p.bias = column_over(n->bias);
    p.kept_mean = (compute_of<T> *)n->memory;
    p.kept_rstd = p.kept_mean + p.channels;
    place_sums(&p, (char *)n->memory + kept_bytes(n->x));
    return run_problem<T, V>(p, n->x, (const T *)NULL, (T *)n->y->data, stream);
}

}  // namespace
}  // namespace mascon

using namespace mascon;

size_t masconG_norm_bytes(const mascon_view *x) { return kept_bytes(x) + bytes_over(x, 0); }

mascon_status masconG_norm_run(const masconG_norm *n, cudaStream_t stream) {
    const masconI_channels s = masconI_channels_of(n->x);
    const int64_t side = s.inner == 1 || is_nhwc(n->x) ? s.c : s.inner;
    return dispatch_float(n->x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        constexpr int V = pack_of<T>();
        const bool packs = side % V == 0 && aligned16(n->x->data) && aligned16(n->y->data);
        return packs ? run_norm<T, V>(n, stream) : run_norm<T, 1>(n, stream);
    });
}

MASCON_KERNEL(batch_norm, wish, workspace, run);
MASCON_KERNEL(batch_norm_bwd, wish, workspace, run);

/* batch_norm_pool.cu: batch_norm, the largest element of each window of 2x2 and dropout in one op, and its
 * backward op.
 *
 * x, dx {n, c, h, w}, y, dy, codes {n, c, oh, ow}, all channels-last; everything else {c}. The normalised
 * x is kept nowhere. Values have the roundings of the three ops.
 */
#include "cuda/batch_norm.cuh"
extern "C" {
#include "ops/batch_norm_pool.h"
}

namespace mascon {
namespace {

constexpr int threads = 256;

template <class C> /* what elements are computed in */
struct pooling {
    int64_t n, c, h, w, oh, ow;
    live<random_key> random;
    uint32_t threshold; /* kept where word >> 8 is at least this */
    C scale;
    int drops;
};

/* Offset in x of channel c of the first pixel of window (row, column) of a picture. */
template <class C>
__device__ inline int64_t corner(const pooling<C> &s, int64_t picture, int64_t row, int64_t column,
                                 int64_t c) {
    return ((picture * s.h + 2 * row) * s.w + 2 * column) * s.c + c;
}

/* How far element k of a window lies behind its first one. */
template <class C>
__device__ inline int64_t step_of(const pooling<C> &s, int k) {
    return ((k >> 1) * s.w + (k & 1)) * s.c;
}

/* Bit k: whether output pixel + k (of 4) of a channel is kept. */
template <class C>
__device__ inline unsigned kept_bits(const pooling<C> &s, const random_key &random, int64_t picture,
                                     int64_t c, int64_t pixel) {
    if (!s.drops) return 15;
    const uint64_t first = (uint64_t)((picture * s.c + c) * s.oh * s.ow + pixel);
    const int shift = (int)(first % 4);
    const uint4 a = philox(random, first / 4);
    const uint32_t t = s.threshold;
    unsigned bits = (a.x >> 8 >= t) | (unsigned)(a.y >> 8 >= t) << 1 |
                    (unsigned)(a.z >> 8 >= t) << 2 | (unsigned)(a.w >> 8 >= t) << 3;
    if (shift == 0) return bits;
    const uint4 b = philox(random, first / 4 + 1);
    bits |= (unsigned)(b.x >> 8 >= t) << 4 | (unsigned)(b.y >> 8 >= t) << 5 |
            (unsigned)(b.z >> 8 >= t) << 6;
    return bits >> shift;
}

/* One output pixel, V channels from c on. */
template <class T, int V>
__device__ inline void pool_pixel(const pooling<compute_of<T>> &s,
                                  const affine<compute_of<T>> (&f)[V], const T *x, T *y,
                                  uint8_t *codes, const unsigned (&kept)[V], int bit) {
    typedef compute_of<T> C;
    pack<T, V> v[4], best;
    pack<uint8_t, V> code;
#pragma unroll
    for (int k = 0; k < 4; k++) v[k] = *(const pack<T, V> *)(x + step_of(s, k));
#pragma unroll
    for (int e = 0; e < V; e++) {
        C top = 0;
        int at = 0;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const C plain = (to_real(v[k].v[e]) - f[e].mean) * f[e].a + f[e].c;
            const C normal = to_real(from_real<T>(plain));
            if (k > 0 && !(normal > top || normal != normal)) continue;
            top = normal;
            at = k;
        }
        const bool keeps = kept[e] >> bit & 1;
        best.v[e] = from_real<T>(keeps ? top * s.scale : 0);
        code.v[e] = (uint8_t)(keeps ? at : (int)BATCH_NORM_POOL_DROPPED);
    }
    *(pack<T, V> *)y = best;
    *(pack<uint8_t, V> *)codes = code;
}

/* grid {tiles of lanes * V channels, blocks of quads}: a thread takes four output pixels of a picture that
 * follow one another, and so one block of the generator for each channel. */
template <class T, int V>
__global__ void pool_forward(const T *__restrict__ x, T *__restrict__ y,
                             uint8_t *__restrict__ codes,
                             const __grid_constant__ problem<compute_of<T>> p,
                             const __grid_constant__ pooling<compute_of<T>> s) {
    const int thread = (int)threadIdx.x, ways = threads / p.lanes;
    const int64_t c = ((int64_t)blockIdx.x * p.lanes + thread % p.lanes) * V;
    if (c >= p.channels) return;
    const int64_t area = s.oh * s.ow, quads = (area + 3) / 4;
    const int64_t begin = (int64_t)blockIdx.y * ways + thread / p.lanes;
    const random_key random = s.random.now();
    affine<compute_of<T>> f[V];
#pragma unroll
    for (int e = 0; e < V; e++) f[e] = affine_of(p, c + e, begin == 0);
    for (int64_t q = begin; q < s.n * quads; q += (int64_t)gridDim.y * ways) {
        const int64_t picture = q / quads, first = (q - picture * quads) * 4;
        unsigned kept[V];
#pragma unroll
        for (int e = 0; e < V; e++) kept[e] = kept_bits(s, random, picture, c + e, first);
        for (int k = 0; k < 4 && first + k < area; k++) {
            const int row = (int)((uint32_t)(first + k) / (uint32_t)s.ow);
            const int column = (int)(first + k - (int64_t)row * s.ow);
            const int64_t to = (picture * area + first + k) * s.c + c;
            pool_pixel<T, V>(s, f, x + corner(s, picture, row, column, c), y + to, codes + to, kept,
                             k);
        }
    }
}

/* The sums of the backward op. They run over the pixels of x as those of batch_norm_bwd do, so that they
 * have its bits; neighbours read the same dy and code from the cache. */
template <class T, int V>
struct windows_source {
    typedef compute_of<T> C;
    const T *x, *dy;
    const uint8_t *codes;
    pooling<C> s;

    __device__ C origin(int64_t) const { return 0; } /* backward sums have none */
    __device__ void add(const problem<C> &p, int64_t c, int64_t first, int64_t end, int64_t step,
                        state<C, V> &sum) const {
        C mean[V];
#pragma unroll
        for (int e = 0; e < V; e++) mean[e] = column_at<C>(p.mean, c + e, 0);
#pragma unroll 4
        for (int64_t i = first; i < end; i += step) {
            const uint32_t line = (uint32_t)i / (uint32_t)s.w,
                           column = (uint32_t)i - line * (uint32_t)s.w;
            const uint32_t picture = line / (uint32_t)s.h, row = line - picture * (uint32_t)s.h;
            if (row / 2 >= s.oh || column / 2 >= s.ow) continue;
            const int64_t from = ((picture * s.oh + row / 2) * s.ow + column / 2) * s.c + c;
            const int k = (int)(row % 2 * 2 + column % 2);
            const pack<T, V> v = *(const pack<T, V> *)(x + i * s.c + c);
            const pack<T, V> d = *(const pack<T, V> *)(dy + from);
            const pack<uint8_t, V> code = *(const pack<uint8_t, V> *)(codes + from);
#pragma unroll
            for (int e = 0; e < V; e++) {
                if (code.v[e] != k) continue;
                const C g = to_real(from_real<T>(to_real(d.v[e]) * s.scale));
                sum.a[e] += g;
                sum.b[e] += g * (to_real(v.v[e]) - mean[e]);
            }
        }
    }
};

/* grid {tiles of lanes * V channels, blocks of windows}, the cut ones at the border included */
template <class T, int V>
__global__ void pool_backward(const T *__restrict__ x, const T *__restrict__ dy,
                              const uint8_t *__restrict__ codes, T *__restrict__ dx,
                              const __grid_constant__ problem<compute_of<T>> p,
                              const __grid_constant__ pooling<compute_of<T>> s) {
    const int thread = (int)threadIdx.x, ways = threads / p.lanes;
    const int64_t c = ((int64_t)blockIdx.x * p.lanes + thread % p.lanes) * V;
    if (c >= p.channels) return;
    const int64_t rows = (s.h + 1) / 2, columns = (s.w + 1) / 2;
    affine<compute_of<T>> f[V];
#pragma unroll
    for (int e = 0; e < V; e++) f[e] = affine_of(p, c + e, false);
    for (int64_t i = (int64_t)blockIdx.y * ways + thread / p.lanes; i < s.n * rows * columns;
         i += (int64_t)gridDim.y * ways) {
        const int64_t line = i / columns, column = i - line * columns, picture = line / rows;
        const int64_t row = line - picture * rows, at = corner(s, picture, row, column, c);
        const bool whole = row < s.oh && column < s.ow;
        const int64_t from = ((picture * s.oh + row) * s.ow + column) * s.c + c;
        pack<T, V> d = {};
        pack<uint8_t, V> code = {};
        if (whole) {
            d = *(const pack<T, V> *)(dy + from);
            code = *(const pack<uint8_t, V> *)(codes + from);
        }
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (2 * row + (k >> 1) >= s.h || 2 * column + (k & 1) >= s.w) continue;
            const pack<T, V> v = *(const pack<T, V> *)(x + at + step_of(s, k));
            pack<T, V> out;
#pragma unroll
            for (int e = 0; e < V; e++) {
                compute_of<T> g = 0;
                if (whole && code.v[e] == k) {
                    g = to_real(from_real<T>(to_real(d.v[e]) * s.scale));
                }
                out.v[e] = from_real<T>(apply(p, f[e], to_real(v.v[e]), g));
            }
            *(pack<T, V> *)(dx + at + step_of(s, k)) = out;
        }
    }
}

/* ---- Calls ---- */

int is_backward(const mascon_call *call) { return call->op == MASCON_OP_batch_norm_pool_bwd; }

const mascon_view *input(const mascon_call *call) { return SRC(call, is_backward(call)); }

template <class C>
pooling<C> pooling_of(const mascon_call *call, const mascon_exec *exec) {
    const mascon_view *x = input(call);
    const double p =
        call->attr[is_backward(call) ? (int)NN_BATCH_NORM_POOL_BWD_P : (int)NN_BATCH_NORM_POOL_P];
    pooling<C> s = {x->shape[0],
                    x->shape[1],
                    x->shape[2],
                    x->shape[3],
                    x->shape[2] / 2,
                    x->shape[3] / 2,
                    live_of(exec, random_of(call)),
                    masconI_dropout_threshold(p),
                    0,
                    p > 0};
    if (p < 1) s.scale = (C)(1 / (1 - p));
    return s;
}

template <class C>
problem<C> problem_of(const mascon_call *call, int V) {
    return plan_sums<C>(masconI_channels_of(input(call)), 1, is_backward(call), V);
}

size_t workspace(const mascon_call *call) {
    size_t bytes = 0;
    if (input(call)->numel == 0) return 0;
    for (int V = 1; V <= 8; V *= 2) {
        const size_t own = input(call)->dtype == MASCON_DTYPE_F64
                               ? sums_bytes(problem_of<double>(call, V))
                               : sums_bytes(problem_of<float>(call, V));
        if (own > bytes) bytes = own;
    }
    return bytes;
}

template <class C>
dim3 grid_of(const problem<C> &p, int64_t items, int V) {
    const int64_t tiles = divide_up(p.channels, (int64_t)p.lanes * V);
    const int64_t most = divide_up(items, threads / p.lanes),
                  wanted = divide_up(4 * busy_blocks, tiles);
    return dim3((unsigned)tiles, (unsigned)(wanted < most ? wanted : most));
}

template <class T, int V>
mascon_status forward(const mascon_call *call, mascon_exec *exec) {
    auto p = problem_of<compute_of<T>>(call, V);
    const auto s = pooling_of<compute_of<T>>(call, exec);
    const T *x = (const T *)SRC(call, 0)->data;
    place_sums(&p, exec->workspace);
    fill_forward(call, 2, &p);
    if (wants_sums(p)) {
        MASCON_TRY((run_sums<V>(rows_source<T, V>{x, NULL}, p, exec->stream)));
    }
    return launch(pool_forward<T, V>, grid_of(p, s.n * ((s.oh * s.ow + 3) / 4), V), dim3(threads),
                  0, exec->stream, x, (T *)DST(call, 0)->data, (uint8_t *)DST(call, 1)->data, p, s);
}

template <class T, int V>
mascon_status backward(const mascon_call *call, mascon_exec *exec) {
    auto p = problem_of<compute_of<T>>(call, V);
    const auto s = pooling_of<compute_of<T>>(call, exec);
    const T *dy = (const T *)SRC(call, 0)->data, *x = (const T *)SRC(call, 1)->data;
    const uint8_t *codes = (const uint8_t *)SRC(call, 2)->data;
    place_sums(&p, exec->workspace);
    fill_backward(call, 3, &p);
    if (wants_sums(p)) {
        MASCON_TRY((run_sums<V>(windows_source<T, V>{x, dy, codes, s}, p, exec->stream)));
    }
    return launch(pool_backward<T, V>, grid_of(p, s.n * ((s.h + 1) / 2) * ((s.w + 1) / 2), V),
                  dim3(threads), 0, exec->stream, x, dy, codes, (T *)DST(call, 0)->data, p, s);
}

/* Whether packs of V channels are whole and aligned in all pictures. */
int fits_packs(const mascon_call *call, int V) {
    if (input(call)->shape[1] % V != 0) return 0;
    for (int i = 0; i < call->n_src + call->n_dst; i++) {
        const mascon_view *v = i >= call->n_src ? DST(call, i - call->n_src)
                               : call->src[i]   ? SRC(call, i)
                                                : NULL;
        if (!v || v->ndim != 4) continue;
        if (!aligned(v->data, (size_t)(mascon_dtype_size(v->dtype) * V))) return 0;
    }
    return 1;
}

template <class C>
mascon_status run_no_pictures(const mascon_call *call, void *stream) {
    problem<C> p = {};
    p.channels = input(call)->shape[1];
    p.backward = is_backward(call);
    if (p.backward) {
        fill_backward(call, 3, &p);
    } else {
        fill_forward(call, 2, &p);
    }
    return run_empty(p, stream);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    return dispatch_float(input(call)->dtype, [&](auto tag) -> mascon_status {
        using T = typename decltype(tag)::type;
        constexpr int V = pack_of<T>();
        if (input(call)->numel == 0) {
            return run_no_pictures<compute_of<T>>(call, exec->stream);
        }
        if (is_backward(call)) {
            return fits_packs(call, V) ? backward<T, V>(call, exec) : backward<T, 1>(call, exec);
        }
        return fits_packs(call, V) ? forward<T, V>(call, exec) : forward<T, 1>(call, exec);
    });
}

int wish(const mascon_call *call, mascon_wish *w) {
    const int back = is_backward(call);
    w->src[0] = w->dst[0] = MASCON_WISH_NHWC;
    if (back) {
        w->src[1] = w->src[2] = MASCON_WISH_NHWC;
    } else {
        w->dst[1] = MASCON_WISH_NHWC;
    }
    for (int i = back ? 1 : 2; i < 4; i++) w->dst[i] = MASCON_WISH_ROW;
    return input(call)->shape[0] * input(call)->shape[2] * input(call)->shape[3] <= INT32_MAX;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL_LIVE(batch_norm_pool, wish, workspace, run, random_of);
MASCON_KERNEL(batch_norm_pool_bwd, wish, workspace, run);

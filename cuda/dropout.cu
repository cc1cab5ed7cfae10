/* dropout.cu: dropout and dropout2d, and their backward ops, which draw the same elements again.
 *
 * Word i of the random stream belongs to logical element i (dropout) or to channel i = n * C + c
 * (dropout2d), as on the CPU. In row-major memory a thread takes four neighbours and so one block of
 * the generator; in channels-last memory it takes four pixels of one channel, and neighbouring threads
 * neighbouring channels.
 */
#include "cuda/group.cuh"
#include "ops/nn.h"

namespace mascon {
namespace {

constexpr int threads = 256;

template <class C> /* what elements are computed in */
struct mask {
    live<random_key> random;
    uint32_t threshold; /* kept where word >> 8 is at least this */
    C scale;
};

template <class C>
__device__ inline C masked(const mask<C> &m, uint32_t word, C v) {
    return word >> 8 >= m.threshold ? v * m.scale : 0;
}

/* Item: four neighbours. */
template <class T, bool packed>
__global__ void drop_row(const T *x, T *y, int64_t n, const mask<compute_of<T>> m) {
    const int64_t item = (int64_t)blockIdx.x * threads + threadIdx.x, at = item * 4;
    if (at >= n) return;
    const uint4 words = philox(m.random.now(), (uint64_t)item);
    const uint32_t word[4] = {words.x, words.y, words.z, words.w};
    if (packed && at + 4 <= n) {
        pack<T, 4> p = *reinterpret_cast<const pack<T, 4> *>(x + at);
#pragma unroll
        for (int k = 0; k < 4; k++) p.v[k] = from_real<T>(masked(m, word[k], to_real(p.v[k])));
        *reinterpret_cast<pack<T, 4> *>(y + at) = p;
        return;
    }
    for (int k = 0; k < 4 && at + k < n; k++) {
        y[at + k] = from_real<T>(masked(m, word[k], to_real(x[at + k])));
    }
}

/* Item: four pixels of a channel; x {pictures, area, channels}. */
template <class T>
__global__ void drop_nhwc(const T *x, T *y, int64_t items, int64_t area, int64_t channels,
                          const mask<compute_of<T>> m) {
    const int64_t item = (int64_t)blockIdx.x * threads + threadIdx.x;
    if (item >= items) return;
    const int64_t quads = (area + 3) / 4, rest = item / channels, c = item - rest * channels;
    const int64_t picture = rest / quads, pixel = (rest - picture * quads) * 4;
    const uint64_t first = (uint64_t)((picture * channels + c) * area + pixel);
    const int shift = (int)(first % 4), left = area - pixel < 4 ? (int)(area - pixel) : 4;
    const random_key random = m.random.now();
    const uint4 a = philox(random, first / 4);
    const uint4 b = shift + left > 4 ? philox(random, first / 4 + 1) : a;
    const uint32_t word[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    const int64_t at = (picture * area + pixel) * channels + c;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        if (k >= left) break;
        /* word[k + shift], without an index that is not known when compiling */
        const uint32_t w = shift == 0   ? word[k]
                           : shift == 1 ? word[k + 1]
                           : shift == 2 ? word[k + 2]
                                        : word[k + 3];
        y[at + k * channels] = from_real<T>(masked(m, w, to_real(x[at + k * channels])));
    }
}

/* Whole channels: x {outer, channels, inner}; row-major has one picture and inner pixels, channels-last
 * `area` pixels for each picture. */
template <class T>
__global__ void drop_channels(const T *x, T *y, int64_t n, int64_t channels, int64_t inner,
                              int64_t area, const mask<compute_of<T>> m) {
    const random_key random = m.random.now();
    for (int64_t i = (int64_t)blockIdx.x * threads + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * threads) {
        const int64_t channel = inner ? i / inner : i / (area * channels) * channels + i % channels;
        const uint32_t w = random_word(random, (uint64_t)channel);
        y[i] = from_real<T>(masked(m, w, to_real(x[i])));
    }
}

template <class C>
mask<C> mask_of(const mascon_call *call, const mascon_exec *exec) {
    const double p = call->attr[NN_DROPOUT_TRAINING] != 0 ? call->attr[NN_DROPOUT_P] : 0;
    mask<C> m = {live_of(exec, random_of(call)), masconI_dropout_threshold(p), 0};
    if (p < 1) m.scale = (C)(1 / (1 - p));
    return m;
}

template <class T>
mascon_status drop(const mascon_call *call, const mask<compute_of<T>> &m, void *stream) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const T *from = (const T *)x->data;
    T *to = (T *)y->data;
    if (is_nhwc(y)) {
        const int64_t area = y->shape[2] * y->shape[3];
        const int64_t items = y->shape[0] * ((area + 3) / 4) * y->shape[1];
        return launch(drop_nhwc<T>, dim3((unsigned)divide_up(items, threads)), dim3(threads), 0,
                      stream, from, to, items, area, y->shape[1], m);
    }
    const dim3 grid((unsigned)divide_up(y->numel, 4 * threads));
    if (aligned(from, sizeof(T) * 4) && aligned(to, sizeof(T) * 4)) {
        return launch(drop_row<T, true>, grid, dim3(threads), 0, stream, from, to, y->numel, m);
    }
    return launch(drop_row<T, false>, grid, dim3(threads), 0, stream, from, to, y->numel, m);
}

template <class T>
mascon_status drop2d(const mascon_call *call, const mask<compute_of<T>> &m, void *stream) {
    const mascon_view *y = DST(call, 0);
    const int64_t area = y->shape[2] * y->shape[3], inner = is_nhwc(y) ? 0 : area;
    int64_t blocks = divide_up(y->numel, threads);
    if (blocks > 65536) blocks = 65536;
    return launch(drop_channels<T>, dim3((unsigned)blocks), dim3(threads), 0, stream,
                  (const T *)SRC(call, 0)->data, (T *)y->data, y->numel, y->shape[1], inner, area,
                  m);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    if (y->numel == 0) return MASCON_OK;
    if (call->attr[NN_DROPOUT_TRAINING] == 0 && y->data == SRC(call, 0)->data) return MASCON_OK;
    const int whole = call->op == MASCON_OP_dropout2d || call->op == MASCON_OP_dropout2d_bwd;
    return dispatch_float(y->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const auto m = mask_of<compute_of<T>>(call, exec);
        return whole ? drop2d<T>(call, m, exec->stream) : drop<T>(call, m, exec->stream);
    });
}

int wish(const mascon_call *call, mascon_wish *w) {
    w->src[0] = w->dst[0] = order_of(SRC(call, 0));
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL_LIVE(dropout, wish, NULL, run, random_of);
MASCON_KERNEL_LIVE(dropout_bwd, wish, NULL, run, random_of);
MASCON_KERNEL_LIVE(dropout2d, wish, NULL, run, random_of);
MASCON_KERNEL_LIVE(dropout2d_bwd, wish, NULL, run, random_of);

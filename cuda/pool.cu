/* pool.cu: max_pool2d, avg_pool2d, adaptive_avg_pool2d and their backward ops.
 *
 * x {n, c, h, w}, y and positions {n, c, oh, ow}, all row-major or all channels-last. A thread makes one
 * element of the output; channels-last, as many neighbouring channels of it as a load of 16 bytes
 * brings, where their number allows. Backward ops gather: each element of dx adds up the windows that
 * reach it, so nothing is added twice at once and the order is fixed.
 */
#include "cuda/element.cuh"
#include "cuda/group.cuh"

namespace mascon {
namespace {

constexpr int threads = 256;

/* Pictures as memory has them. Channels-last: `lanes` packs of channels; row-major: 1, and planes. */
struct geometry {
    int64_t items;           /* of the output */
    int64_t pictures, lanes; /* channels-last: n and packs of channels; row-major: n * c and 1 */
    int h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left, bottom, right;
    int count_include_pad, adaptive;
    int64_t divisor;
};

struct place {
    int64_t picture, lane;
    int row, column;
};

/* Item i of an output of so many rows and columns. */
__device__ inline place place_of(const geometry &g, int64_t i, int rows, int columns) {
    place p;
    if (g.items <= INT32_MAX) {
        uint32_t rest = (uint32_t)i, next = rest / (uint32_t)g.lanes;
        p.lane = rest - next * (uint32_t)g.lanes;
        rest = next;
        next = rest / (uint32_t)columns;
        p.column = (int)(rest - next * (uint32_t)columns);
        p.picture = next / (uint32_t)rows;
        p.row = (int)(next - (uint32_t)p.picture * (uint32_t)rows);
        return p;
    }
    p.lane = i % g.lanes;
    i /= g.lanes;
    p.column = (int)(i % columns);
    i /= columns;
    p.row = (int)(i % rows);
    p.picture = i / rows;
    return p;
}

/* Number of the pack at a row and column of p's picture, in an image of so many rows and columns. */
__device__ inline int64_t pack_at(const geometry &g, const place &p, int row, int column, int rows,
                                  int columns) {
    return ((p.picture * rows + row) * columns + column) * g.lanes + p.lane;
}

__device__ inline int larger(int a, int b) { return a > b ? a : b; }
__device__ inline int smaller(int a, int b) { return a < b ? a : b; }

/* ---- Max pooling ---- */

template <class T, class Position, int V>
__global__ void max_forward(const T *x, T *y, Position *positions, const geometry g) {
    const int64_t item = first_index();
    if (item >= g.items) return;
    const place p = place_of(g, item, g.oh, g.ow);
    pack<T, V> best = {};
    Position at[V] = {0};
    bool any = false;
    for (int i = 0; i < g.kh; i++) {
        const int row = p.row * g.sh - g.top + i * g.dh;
        if (row < 0 || row >= g.h) continue;
        for (int j = 0; j < g.kw; j++) {
            const int column = p.column * g.sw - g.left + j * g.dw;
            if (column < 0 || column >= g.w) continue;
            const pack<T, V> v = ((const pack<T, V> *)x)[pack_at(g, p, row, column, g.h, g.w)];
#pragma unroll
            for (int k = 0; k < V; k++) {
                const auto a = take<compute_of<T>>(v.v[k]), b = take<compute_of<T>>(best.v[k]);
                if (any && !(a > b || a != a)) continue; /* the last NaN of a window wins */
                best.v[k] = v.v[k];
                at[k] = (Position)(i * g.kw + j);
            }
            any = true;
        }
    }
    ((pack<T, V> *)y)[item] = best;
    if (!positions) return;
    pack<Position, V> where;
#pragma unroll
    for (int k = 0; k < V; k++) where.v[k] = at[k];
    ((pack<Position, V> *)positions)[item] = where;
}

template <class T, class Position, int V>
__global__ void max_backward(const T *dy, const Position *positions, T *dx, const geometry g) {
    const int64_t item = first_index();
    if (item >= g.items) return;
    const place p = place_of(g, item, g.h, g.w);
    compute_of<T> sum[V] = {0};
    /* the windows that reach this row: oh * sh - top <= row <= oh * sh - top + (kh - 1) * dh */
    const int row = p.row + g.top, column = p.column + g.left;
    const int reach_h = (g.kh - 1) * g.dh, reach_w = (g.kw - 1) * g.dw;
    const int first_h = row > reach_h ? (row - reach_h + g.sh - 1) / g.sh : 0;
    const int first_w = column > reach_w ? (column - reach_w + g.sw - 1) / g.sw : 0;
    const int last_h = smaller(row / g.sh, g.oh - 1), last_w = smaller(column / g.sw, g.ow - 1);
    for (int oh = first_h; oh <= last_h; oh++) {
        const int down = row - oh * g.sh, i = g.dh == 1 ? down : down / g.dh;
        if (i * g.dh != down) continue;
        for (int ow = first_w; ow <= last_w; ow++) {
            const int across = column - ow * g.sw, j = g.dw == 1 ? across : across / g.dw;
            if (j * g.dw != across) continue;
            const int64_t from = pack_at(g, p, oh, ow, g.oh, g.ow);
            const pack<Position, V> at = ((const pack<Position, V> *)positions)[from];
            const pack<T, V> d = ((const pack<T, V> *)dy)[from];
#pragma unroll
            for (int k = 0; k < V; k++) {
                if ((int)at.v[k] == i * g.kw + j) sum[k] += to_real(d.v[k]);
            }
        }
    }
    pack<T, V> out;
#pragma unroll
    for (int k = 0; k < V; k++) out.v[k] = from_real<T>(sum[k]);
    ((pack<T, V> *)dx)[item] = out;
}

/* ---- Average pooling: fixed windows, or ranges of a grid ---- */

/* The part first..end-1 of the input that window o covers, and in *counted how many elements it has
 * with its padding; padding behind the input's own does not count. */
__device__ inline void covered(const geometry &g, int o, int k, int step, int before, int after,
                               int size, int outputs, int *first, int *end, int *counted) {
    if (g.adaptive) {
        *first = (int)((int64_t)o * size / outputs);
        *end = (int)(((int64_t)(o + 1) * size + outputs - 1) / outputs);
        *counted = *end - *first;
        return;
    }
    const int start = o * step - before, stop = smaller(start + k, size + after);
    *first = larger(start, 0);
    *end = smaller(stop, size);
    *counted = stop - start;
}

template <class C>
__device__ inline C share_of(const geometry &g, int rows, int columns, int rows_counted,
                             int columns_counted) {
    return g.divisor             ? 1 / (C)g.divisor
           : g.count_include_pad ? 1 / (C)((int64_t)rows_counted * columns_counted)
                                 : 1 / (C)((int64_t)rows * columns);
}

template <class T, int V>
__global__ void mean_forward(const T *x, T *y, const geometry g) {
    typedef compute_of<T> C;
    const int64_t item = first_index();
    if (item >= g.items) return;
    const place p = place_of(g, item, g.oh, g.ow);
    int top, bottom, left, right, rows, columns;
    covered(g, p.row, g.kh, g.sh, g.top, g.bottom, g.h, g.oh, &top, &bottom, &rows);
    covered(g, p.column, g.kw, g.sw, g.left, g.right, g.w, g.ow, &left, &right, &columns);
    compute_of<T> sum[V] = {0};
    for (int row = top; row < bottom; row++) {
        for (int column = left; column < right; column++) {
            const pack<T, V> v = ((const pack<T, V> *)x)[pack_at(g, p, row, column, g.h, g.w)];
#pragma unroll
            for (int k = 0; k < V; k++) sum[k] += to_real(v.v[k]);
        }
    }
    const C share = share_of<C>(g, bottom - top, right - left, rows, columns);
    pack<T, V> out;
#pragma unroll
    for (int k = 0; k < V; k++) out.v[k] = from_real<T>(sum[k] * share);
    ((pack<T, V> *)y)[item] = out;
}

/* The windows that may cover position i of size. */
__device__ inline void covering(const geometry &g, int i, int k, int step, int before, int size,
                                int outputs, int *first, int *last) {
    if (g.adaptive) {
        *first = (int)((int64_t)i * outputs / size);
        *last = smaller((int)(((int64_t)(i + 1) * outputs - 1) / size), outputs - 1);
        return;
    }
    const int at = i + before;
    *first = at >= k ? (at - k) / step + 1 : 0;
    *last = smaller(at / step, outputs - 1);
}

template <class T, int V>
__global__ void mean_backward(const T *dy, T *dx, const geometry g) {
    typedef compute_of<T> C;
    const int64_t item = first_index();
    if (item >= g.items) return;
    const place p = place_of(g, item, g.h, g.w);
    int first_h, last_h, first_w, last_w;
    covering(g, p.row, g.kh, g.sh, g.top, g.h, g.oh, &first_h, &last_h);
    covering(g, p.column, g.kw, g.sw, g.left, g.w, g.ow, &first_w, &last_w);
    compute_of<T> sum[V] = {0};
    for (int oh = first_h; oh <= last_h; oh++) {
        int top, bottom, rows;
        covered(g, oh, g.kh, g.sh, g.top, g.bottom, g.h, g.oh, &top, &bottom, &rows);
        for (int ow = first_w; ow <= last_w; ow++) {
            int left, right, columns;
            covered(g, ow, g.kw, g.sw, g.left, g.right, g.w, g.ow, &left, &right, &columns);
            const C share = share_of<C>(g, bottom - top, right - left, rows, columns);
            const pack<T, V> d = ((const pack<T, V> *)dy)[pack_at(g, p, oh, ow, g.oh, g.ow)];
#pragma unroll
            for (int k = 0; k < V; k++) sum[k] += to_real(d.v[k]) * share;
        }
    }
    pack<T, V> out;
#pragma unroll
    for (int k = 0; k < V; k++) out.v[k] = from_real<T>(sum[k]);
    ((pack<T, V> *)dx)[item] = out;
}

/* ---- Calls ---- */

int is_adaptive(int32_t op) {
    return op == MASCON_OP_adaptive_avg_pool2d || op == MASCON_OP_adaptive_avg_pool2d_bwd;
}

int is_backward(int32_t op) {
    return op == MASCON_OP_max_pool2d_bwd || op == MASCON_OP_avg_pool2d_bwd ||
           op == MASCON_OP_adaptive_avg_pool2d_bwd;
}

/* x: the image that is pooled, y: the result; of a backward op dx and dy. */
geometry geometry_of(const mascon_call *call) {
    const int back = is_backward(call->op);
    const mascon_view *x = back ? DST(call, 0) : SRC(call, 0);
    const mascon_view *y = back ? SRC(call, 0) : DST(call, 0);
    geometry g = {};
    g.adaptive = is_adaptive(call->op);
    g.kh = g.kw = g.sh = g.sw = g.dh = g.dw = 1;
    if (!g.adaptive) {
        mascon_window2d w;
        masconI_window2d(call, &w);
        g.kh = (int)w.kh, g.kw = (int)w.kw, g.sh = (int)w.sh, g.sw = (int)w.sw;
        g.dh = (int)w.dh, g.dw = (int)w.dw, g.top = (int)w.top, g.left = (int)w.left;
        g.bottom = (int)w.bottom, g.right = (int)w.right;
        g.count_include_pad = w.count_include_pad;
        g.divisor = w.divisor;
    }
    g.h = (int)x->shape[2], g.w = (int)x->shape[3];
    g.oh = (int)y->shape[2], g.ow = (int)y->shape[3];
    const int nhwc = is_nhwc(SRC(call, 0)) || is_nhwc(DST(call, 0));
    g.pictures = nhwc ? x->shape[0] : x->shape[0] * x->shape[1];
    g.lanes = nhwc ? x->shape[1] : 1;
    g.items = DST(call, 0)->numel;
    return g;
}

/* Takes V channels at a time. */
void widen(geometry *g, int V) {
    g->lanes /= V;
    g->items /= V;
}

/* How many elements of T one thread takes: those of a load of 16 bytes, or 1. */
template <class T>
int width_of(const mascon_call *call, const geometry &g) {
    constexpr int V = pack_of<T>();
    if (g.lanes % V != 0) return 1;
    for (int i = 0; i < call->n_src + call->n_dst; i++) {
        const mascon_view *v = i < call->n_src ? SRC(call, i) : DST(call, i - call->n_src);
        if (!aligned(v->data, (size_t)(mascon_dtype_size(v->dtype) * V))) return 1;
    }
    return V;
}

dim3 blocks_of(const geometry &g) { return dim3((unsigned)divide_up(g.items, threads)); }

template <class T, int V>
mascon_status max_pool(const mascon_call *call, geometry g, void *stream) {
    const mascon_view *at = call->n_dst > 1 ? DST(call, 1) : NULL;
    const T *x = (const T *)SRC(call, 0)->data;
    T *y = (T *)DST(call, 0)->data;
    widen(&g, V);
    if (at && at->dtype != MASCON_DTYPE_U8) {
        return launch(max_forward<T, int32_t, V>, blocks_of(g), dim3(threads), 0, stream, x, y,
                      (int32_t *)at->data, g);
    }
    return launch(max_forward<T, uint8_t, V>, blocks_of(g), dim3(threads), 0, stream, x, y,
                  at ? (uint8_t *)at->data : NULL, g);
}

template <class T, int V>
mascon_status max_pool_bwd(const mascon_call *call, geometry g, void *stream) {
    const mascon_view *dy = SRC(call, 0), *at = SRC(call, 1), *dx = DST(call, 0);
    widen(&g, V);
    if (at->dtype != MASCON_DTYPE_U8) {
        return launch(max_backward<T, int32_t, V>, blocks_of(g), dim3(threads), 0, stream,
                      (const T *)dy->data, (const int32_t *)at->data, (T *)dx->data, g);
    }
    return launch(max_backward<T, uint8_t, V>, blocks_of(g), dim3(threads), 0, stream,
                  (const T *)dy->data, (const uint8_t *)at->data, (T *)dx->data, g);
}

template <class T, int V>
mascon_status mean_pool(const mascon_call *call, geometry g, void *stream) {
    const T *from = (const T *)SRC(call, 0)->data;
    T *to = (T *)DST(call, 0)->data;
    widen(&g, V);
    return launch(is_backward(call->op) ? mean_backward<T, V> : mean_forward<T, V>, blocks_of(g),
                  dim3(threads), 0, stream, from, to, g);
}

mascon_status max_run(mascon_call *call, mascon_exec *exec) {
    const int32_t dtype = SRC(call, 0)->dtype;
    if (DST(call, 0)->numel == 0) return MASCON_OK;
    const geometry g = geometry_of(call);
    if (dtype == MASCON_DTYPE_I64) return max_pool<int64_t, 1>(call, g, exec->stream);
    if (dtype == MASCON_DTYPE_I32) return max_pool<int32_t, 1>(call, g, exec->stream);
    if (dtype == MASCON_DTYPE_U8) return max_pool<uint8_t, 1>(call, g, exec->stream);
    return dispatch_float(dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (width_of<T>(call, g) == 1) return max_pool<T, 1>(call, g, exec->stream);
        return max_pool<T, pack_of<T>()>(call, g, exec->stream);
    });
}

mascon_status max_bwd_run(mascon_call *call, mascon_exec *exec) {
    if (DST(call, 0)->numel == 0) return MASCON_OK;
    const geometry g = geometry_of(call);
    return dispatch_float(SRC(call, 0)->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (width_of<T>(call, g) == 1) return max_pool_bwd<T, 1>(call, g, exec->stream);
        return max_pool_bwd<T, pack_of<T>()>(call, g, exec->stream);
    });
}

mascon_status mean_run(mascon_call *call, mascon_exec *exec) {
    if (DST(call, 0)->numel == 0) return MASCON_OK;
    const geometry g = geometry_of(call);
    return dispatch_float(SRC(call, 0)->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        if (width_of<T>(call, g) == 1) return mean_pool<T, 1>(call, g, exec->stream);
        return mean_pool<T, pack_of<T>()>(call, g, exec->stream);
    });
}

/* Sizes of a picture are counted in 32 bits. */
int fits(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    for (int d = 2; d < 4; d++) {
        if (x->shape[d] > INT32_MAX / 4 || y->shape[d] > INT32_MAX / 4) return 0;
    }
    return 1;
}

/* Pictures of one pixel lie the same in both orders: then channels-last, for what follows. The codes of a
 * maximum lie as its picture did and stay so: a gradient that comes row-major, from behind a flatten, is
 * the smaller one to turn. */
int wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = SRC(call, call->op == MASCON_OP_max_pool2d_bwd ? 1 : 0);
    uint8_t order = order_of(x);
    if (x->shape[2] == 1 && x->shape[3] == 1 && x->contiguous) order = MASCON_WISH_NHWC;
    w->src[0] = w->src[1] = w->dst[0] = w->dst[1] = order;
    return fits(call);
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(max_pool2d, wish, NULL, max_run);
MASCON_KERNEL(max_pool2d_bwd, wish, NULL, max_bwd_run);
MASCON_KERNEL(avg_pool2d, wish, NULL, mean_run);
MASCON_KERNEL(avg_pool2d_bwd, wish, NULL, mean_run);
MASCON_KERNEL(adaptive_avg_pool2d, wish, NULL, mean_run);
MASCON_KERNEL(adaptive_avg_pool2d_bwd, wish, NULL, mean_run);

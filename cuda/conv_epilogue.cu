/* conv_epilogue.cu: our own kernels around convolutions and matrix products: what follows where the
 * library cannot fuse it, batch norm as a factor and a term, sums of columns (bias gradients), and
 * products of whole numbers. See conv_kernels.h.
 */
#include "cuda/conv_kernels.h"
#include "cuda/group.cuh"

using mascon::column_at;

namespace {

/* ---- y = relu?(y * scale + shift + bias + residual) ---- */

template <class T>
struct tail {
    T *y;
    const compute_of<T> *scale, *shift;
    const T *bias, *residual;
    int64_t packs;   /* of V elements */
    int64_t per_row; /* packs of a row */
    divider by_row;  /* per_row, where packs < 2^31 */
    int32_t relu, narrow;
};

/* y {rows, channels} in packs of V channels. */
template <class T, int V>
__global__ void tail_kernel(tail<T> t) {
    for (int64_t i = first_index(); i < t.packs; i += grid_step()) {
        int64_t in_row;
        if (t.narrow) {
            const uint32_t row = divide((uint32_t)i, t.by_row);
            in_row = (int64_t)((uint32_t)i - row * t.by_row.by);
        } else {
            in_row = i % t.per_row;
        }
        const int64_t channel = in_row * V;
        pack<T, V> y = ((const pack<T, V> *)t.y)[i], r;
        if (t.residual) r = ((const pack<T, V> *)t.residual)[i];
        for (int k = 0; k < V; k++) {
            compute_of<T> v = to_real(y.v[k]);
            if (t.scale) v *= t.scale[channel + k];
            if (t.shift) v += t.shift[channel + k];
            if (t.bias) v += to_real(t.bias[channel + k]);
            if (t.residual) v += to_real(r.v[k]);
            if (t.relu && v < 0) v = 0;
            set_real(&y.v[k], v);
        }
        ((pack<T, V> *)t.y)[i] = y;
    }
}

template <class T, int V>
mascon_status run_tail(const masconG_epilogue *e, cudaStream_t stream) {
    tail<T> t = {};
    t.y = (T *)e->y;
    t.scale = (const compute_of<T> *)e->scale;
    t.shift = (const compute_of<T> *)e->shift;
    t.bias = (const T *)e->bias;
    t.residual = (const T *)e->residual;
    t.relu = e->relu;
    t.per_row = e->channels / V;
    t.packs = e->rows * t.per_row;
    t.narrow = t.packs < ((int64_t)1 << 31);
    if (t.narrow) t.by_row = make_divider((uint32_t)t.per_row);
    int64_t blocks = (t.packs + THREADS - 1) / THREADS;
    if (blocks > 1 << 16) blocks = 1 << 16;
    return launch(tail_kernel<T, V>, dim3((unsigned)blocks), dim3(THREADS), 0, stream, t);
}

/* ---- Batch norm as scale and shift ---- */

/* One thread per channel. C: what the convolution is computed in. */
template <class C>
__global__ void fold_kernel(masconG_fold f) {
    C *scale_out = (C *)f.scale, *shift_out = (C *)f.shift;
    for (int64_t c = first_index(); c < f.channels; c += grid_step()) {
        C scale = column_at<C>({(void *)f.weight, 1, f.weight_dtype}, c, 1);
        if (f.var) scale /= sqrt(column_at<C>({(void *)f.var, 1, f.var_dtype}, c, 0) + (C)f.eps);
        C shift = column_at<C>({(void *)f.bias, 1, f.bias_dtype}, c, 0);
        if (f.mean) shift -= column_at<C>({(void *)f.mean, 1, f.mean_dtype}, c, 0);
        shift *= scale;
        if (f.norm_bias) shift += column_at<C>({(void *)f.norm_bias, 1, f.norm_bias_dtype}, c, 0);
        scale_out[c] = scale;
        shift_out[c] = shift;
    }
}

/* ---- Sums of columns ---- */

enum { LANES = 32, WARPS = 8 }; /* of a block: columns side by side, rows at the same time */
constexpr int64_t MOST_PARTS = 512, ROWS_PER_PART = 256, ENOUGH_BLOCKS = 1024;
static_assert(ENOUGH_BLOCKS <= mascon::counters_count, "a counter for each tile that is cut");

/* The sum of rows first..end-1 of one column of x; the block's warps take turns, the result is in
 * warp 0. All threads of the block come here. */
template <class X>
__device__ compute_of<X> sum_of_rows(const X *x, int64_t first, int64_t end, int64_t columns,
                                     int64_t column) {
    typedef compute_of<X> C;
    constexpr int flight = 8; /* loads under way at a time */
    __shared__ C sums[WARPS][LANES + 1];
    const int lane = (int)threadIdx.x, warp = (int)threadIdx.y;
    C sum = 0;
    if (column < columns) {
        int64_t r = first + warp;
        for (; r + (flight - 1) * WARPS < end; r += flight * WARPS) {
            C v[flight];
#pragma unroll
            for (int k = 0; k < flight; k++) v[k] = load(x, (r + k * WARPS) * columns + column);
#pragma unroll
            for (int k = 0; k < flight; k++) sum += v[k];
        }
        for (; r < end; r += WARPS) sum += load(x, r * columns + column);
    }
    sums[warp][lane] = sum;
    __syncthreads();
    for (int w = 1; w < WARPS && warp == 0; w++) sum += sums[w][lane];
    return sum;
}

/* x {rows, columns}. Block (i, j) adds rows j * slice.. of columns i * LANES.. and writes one sum each
 * into parts {gridDim.y, columns}; the last block of the columns adds these up, in their order. */
template <class T>
__global__ void sum_kernel(const T *x, compute_of<T> *parts, T *out, int64_t rows, int64_t columns,
                           int64_t slice) {
    const int64_t column = (int64_t)blockIdx.x * LANES + threadIdx.x;
    const int64_t first = (int64_t)blockIdx.y * slice;
    const bool writes = threadIdx.y == 0 && column < columns;
    compute_of<T> sum =
        sum_of_rows(x, first, first + slice < rows ? first + slice : rows, columns, column);
    if (gridDim.y > 1) {
        if (writes) parts[(int64_t)blockIdx.y * columns + column] = sum;
        if (!mascon::last_block((int)blockIdx.x, gridDim.y)) return;
        sum = sum_of_rows((const compute_of<T> *)parts, 0, (int64_t)gridDim.y, columns, column);
    }
    if (writes) store(out, column, sum);
}

int64_t count_parts(int64_t rows, int64_t columns) {
    int64_t parts = (rows + ROWS_PER_PART - 1) / ROWS_PER_PART;
    /* many columns fill the device by themselves; so what is cut has counters_count tiles at most */
    const int64_t enough = (ENOUGH_BLOCKS * LANES + columns - 1) / (columns ? columns : 1);
    if (parts > enough) parts = enough;
    return parts < 1 ? 1 : parts > MOST_PARTS ? MOST_PARTS : parts;
}

/* ---- Products of whole numbers ---- */

/* y {m, n} = a {m, k} b {k, n}; one thread per element. The sum wraps around as on the CPU. */
template <class T>
__global__ void whole_product_kernel(masconG_whole_product p) {
    const T *a = (const T *)p.a, *b = (const T *)p.b;
    T *y = (T *)p.y;
    for (int64_t i = first_index(); i < p.m * p.n; i += grid_step()) {
        const int64_t row = i / p.n, column = i - row * p.n;
        uint64_t sum = 0;
        for (int64_t k = 0; k < p.k; k++) {
            sum += (uint64_t)a[row * p.a_row + k * p.a_column] *
                   (uint64_t)b[k * p.b_row + column * p.b_column];
        }
        y[i] = (T)sum;
    }
}

template <class T>
mascon_status run_whole(const masconG_whole_product *p, cudaStream_t stream) {
    int64_t blocks = (p->m * p->n + THREADS - 1) / THREADS;
    if (blocks > 1 << 16) blocks = 1 << 16;
    return launch(whole_product_kernel<T>, dim3((unsigned)blocks), dim3(THREADS), 0, stream, *p);
}

}  // namespace

mascon_status masconG_epilogue_run(const masconG_epilogue *e, cudaStream_t stream) {
    if (e->rows == 0 || e->channels == 0) return MASCON_OK;
    return dispatch_float(e->dtype, [&](auto t) {
        typedef typename decltype(t)::type T;
        constexpr int V = pack_of<T>();
        if (e->channels % V == 0 && aligned16(e->y) && aligned16(e->residual)) {
            return run_tail<T, V>(e, stream);
        }
        return run_tail<T, 1>(e, stream);
    });
}

mascon_status masconG_fold_run(const masconG_fold *f, cudaStream_t stream) {
    const int64_t blocks = (f->channels + THREADS - 1) / THREADS;
    const auto kernel = f->dtype == MASCON_DTYPE_F64 ? fold_kernel<double> : fold_kernel<float>;
    return launch(kernel, dim3((unsigned)blocks), dim3(THREADS), 0, stream, *f);
}

size_t masconG_column_sum_bytes(int64_t rows, int64_t columns, int32_t dtype) {
    const int64_t parts = count_parts(rows, columns);
    return parts == 1 ? 0
                      : (size_t)(parts * columns) *
                            (dtype == MASCON_DTYPE_F64 ? sizeof(double) : sizeof(float));
}

mascon_status masconG_column_sum(const void *x, void *out, void *parts, int64_t rows,
                                 int64_t columns, int32_t dtype, cudaStream_t stream) {
    if (columns == 0) return MASCON_OK;
    const int64_t n = count_parts(rows, columns), slice = (rows + n - 1) / n;
    const dim3 grid((unsigned)((columns + LANES - 1) / LANES), (unsigned)n);
    return dispatch_float(dtype, [&](auto t) {
        typedef typename decltype(t)::type T;
        return launch(sum_kernel<T>, grid, dim3(LANES, WARPS), 0, stream, (const T *)x,
                      (compute_of<T> *)parts, (T *)out, rows, columns, slice);
    });
}

mascon_status masconG_whole_product_run(const masconG_whole_product *p, cudaStream_t stream) {
    if (p->dtype == MASCON_DTYPE_I64) return run_whole<int64_t>(p, stream);
    if (p->dtype == MASCON_DTYPE_I32) return run_whole<int32_t>(p, stream);
    return run_whole<uint8_t>(p, stream);
}

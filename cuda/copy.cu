/* copy.cu: moving and filling elements (move.cuh), and the ops copy, cast, clone and contiguous.
 *
 * Memory that is dense on both sides in one order is one copy by the driver. Where the innermost
 * dimension is dense on both sides, an item is a piece of it of up to 16 bytes. Where the two sides are
 * dense in different dimensions (a transposition, or a change between row-major and channels-last
 * memory), tiles go through shared memory, so that both sides are read and written in order.
 */
#include "cuda/cast.cuh"
#include "cuda/move.cuh"

namespace {

/* 16 bytes that are moved at once. */
struct alignas(16) quarter_line {
    uint64_t low, high;
};

template <class T>
__global__ void move_items(walk<2> w, T *y, const T *x) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        y[at[0]] = x[at[1]];
    }
}

template <class T>
__global__ void fill_items(walk<1> w, T *y, T value) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[1];
        w.offsets(item, at);
        y[at[0]] = value;
    }
}

/* ---- Tiles ---- */

enum { TILE = 32, TILE_ROWS = THREADS / TILE, TILE_LEAST = 8 };

/* Matrices {rows, columns}: y is dense along columns, x along rows. */
struct tiling {
    int64_t rows, columns;
    int64_t across, tiles;   /* tiles of a row of tiles; of a matrix */
    int64_t all;             /* tiles of all matrices */
    int64_t y_row, x_column; /* strides of y between rows, of x between columns */
};

/* Each block carries tiles of the matrices that w lists. */
template <class T>
__global__ void move_tiles(walk<2> w, tiling t, T *y, const T *x) {
    __shared__ T tile[TILE][TILE + 1];
    const int along = (int)threadIdx.x % TILE, line = (int)threadIdx.x / TILE;
    for (int64_t i = blockIdx.x; i < t.all; i += gridDim.x) {
        const int64_t matrix = i / t.tiles, rest = i - matrix * t.tiles;
        const int64_t row = rest / t.across * TILE, column = rest % t.across * TILE;
        int64_t at[2];
        w.offsets(matrix, at);
        for (int k = line; k < TILE; k += TILE_ROWS) {
            if (row + along < t.rows && column + k < t.columns) {
                tile[k][along] = x[at[1] + (column + k) * t.x_column + row + along];
            }
        }
        __syncthreads();
        for (int k = line; k < TILE; k += TILE_ROWS) {
            if (column + along < t.columns && row + k < t.rows) {
                y[at[0] + (row + k) * t.y_row + column + along] = tile[along][k];
            }
        }
        __syncthreads();
    }
}

/* The dimension of the map along which x is dense while y is dense along the last one; -1 where
 * tiles do not pay. */
int tile_dimension(const index_map<2> &m) {
    const int last = m.ndim - 1;
    if (m.stride[0][last] != 1 || m.stride[1][last] == 1 || m.shape[last] < TILE_LEAST) return -1;
    for (int d = 0; d < last; d++) {
        if (m.stride[1][d] == 1 && m.shape[d] >= TILE_LEAST) return d;
    }
    return -1;
}

template <class T>
mascon_status run_tiles(const move_place &place, const walk<2> &map, int d, void *y,
                        const void *x) {
    const int last = map.ndim - 1;
    walk_plan<2> matrices;
    for (int k = 0; k < last; k++) {
        if (k == d) continue;
        const int own = matrices.add(map.shape[k]);
        matrices.stride[0][own] = map.stride[0][k];
        matrices.stride[1][own] = map.stride[1][k];
    }
    const walk<2> w = walk_of(matrices);
    tiling t;
    t.rows = map.shape[d];
    t.columns = map.shape[last];
    t.across = (t.columns + TILE - 1) / TILE;
    t.tiles = t.across * ((t.rows + TILE - 1) / TILE);
    t.all = t.tiles * w.numel;
    t.y_row = map.stride[0][d];
    t.x_column = map.stride[1][last];
    return launch(move_tiles<T>, blocks_for(t.all, 1, place.device), THREADS, 0, place.stream, w, t,
                  (T *)y, (const T *)x);
}

/* ---- Choosing ---- */

/* The largest piece, up to 16 bytes, of which every operand's innermost dimension consists. The walk's
 * items and strides are then of pieces. */
template <int N>
int widen(walk<N> *w, const void *const (&data)[N], int size) {
    const int last = w->ndim - 1;
    for (int bytes = 16; bytes > size && last >= 0; bytes /= 2) {
        const int ratio = bytes / size;
        bool fits = w->shape[last] % ratio == 0;
        for (int k = 0; k < N && fits; k++) {
            fits = w->stride[k][last] == 1 && (uintptr_t)data[k] % (uintptr_t)bytes == 0;
            for (int d = 0; d < last && fits; d++) fits = w->stride[k][d] % ratio == 0;
        }
        if (!fits) continue;
        walk_plan<N> plan;
        for (int d = 0; d <= last; d++) {
            plan.add(d == last ? w->shape[d] / ratio : w->shape[d]);
            for (int k = 0; k < N; k++) {
                plan.stride[k][d] = d == last ? 1 : w->stride[k][d] / ratio;
            }
        }
        *w = walk_of(plan);
        return bytes;
    }
    return size;
}

template <class T>
mascon_status run_items(const move_place &place, const walk<2> &w, void *y, const void *x) {
    return launch(move_items<T>, walk_blocks(w, place.device), THREADS, 0, place.stream, w, (T *)y,
                  (const T *)x);
}

mascon_status run_move(const move_place &place, walk<2> w, void *y, const void *x) {
    const int tiled = w.ndim > 1 ? tile_dimension(w) : -1;
    if (tiled >= 0) {
        switch (place.size) {
            case 1:
                return run_tiles<uint8_t>(place, w, tiled, y, x);
            case 2:
                return run_tiles<uint16_t>(place, w, tiled, y, x);
            case 4:
                return run_tiles<uint32_t>(place, w, tiled, y, x);
            default:
                return run_tiles<uint64_t>(place, w, tiled, y, x);
        }
    }
    switch (widen<2>(&w, {y, x}, place.size)) {
        case 1:
            return run_items<uint8_t>(place, w, y, x);
        case 2:
            return run_items<uint16_t>(place, w, y, x);
        case 4:
            return run_items<uint32_t>(place, w, y, x);
        case 8:
            return run_items<uint64_t>(place, w, y, x);
        default:
            return run_items<quarter_line>(place, w, y, x);
    }
}

template <class T>
mascon_status run_fill(const move_place &place, const walk<1> &w, void *y, T value) {
    return launch(fill_items<T>, walk_blocks(w, place.device), THREADS, 0, place.stream, w, (T *)y,
                  value);
}

/* Whether a plan has more dimensions than an index_map; *outer is then one to loop over. */
template <int N>
bool is_deep(const walk_plan<N> &plan, int *outer) {
    int n = 0;
    for (int d = plan.ndim - 1; d >= 0; d--) {
        if (plan.size[d] == 1) continue;
        n++;
        *outer = d;
    }
    return n > MASCON_MAX_DIMS;
}

}  // namespace

mascon_status masconG_move_elements(const move_place &place, const walk_plan<2> &plan, void *y,
                                    const void *x) {
    int outer;
    if (plan.numel() == 0) return MASCON_OK;
    if (is_deep(plan, &outer)) { /* one launch for each position of one dimension */
        const walk_plan<2> rest = plan.without(outer);
        for (int64_t i = 0; i < plan.size[outer]; i++) {
            MASCON_TRY(masconG_move_elements(
                place, rest, (char *)y + i * plan.stride[0][outer] * place.size,
                (const char *)x + i * plan.stride[1][outer] * place.size));
        }
        return MASCON_OK;
    }
    const walk<2> w = walk_of(plan);
    if (w.dense() && y == x) return MASCON_OK;
    if (w.dense()) {
        CUDA_TRY(memcpy_async(y, x, (size_t)(w.numel * place.size), cudaMemcpyDeviceToDevice,
                              (cudaStream_t)place.stream));
        return MASCON_OK;
    }
    return run_move(place, w, y, x);
}

mascon_status masconG_fill_elements(const move_place &place, const walk_plan<1> &plan, void *y,
                                    uint64_t bits) {
    if (plan.numel() == 0) return MASCON_OK;
    walk<1> w = walk_of(plan);
    if (w.dense() && bits == 0) {
        CUDA_TRY(memset_async(y, 0, (size_t)(w.numel * place.size), (cudaStream_t)place.stream));
        return MASCON_OK;
    }
    for (int filled = place.size; filled < 8; filled *= 2) bits |= bits << (8 * filled);
    switch (widen<1>(&w, {y}, place.size)) {
        case 1:
            return run_fill(place, w, y, (uint8_t)bits);
        case 2:
            return run_fill(place, w, y, (uint16_t)bits);
        case 4:
            return run_fill(place, w, y, (uint32_t)bits);
        case 8:
            return run_fill(place, w, y, bits);
        default:
            return run_fill(place, w, y, quarter_line{bits, bits});
    }
}

namespace {

mascon_status copy_from(const mascon_view *y, const mascon_view *x, mascon_exec *exec) {
    if (y->dtype != x->dtype) return masconG_convert_elements(y, x, exec->stream);
    return masconG_move_elements(place_of(y, exec), plan_of<2>({y, x}), y->data, x->data);
}

/* y = source, broadcast to y; the old x does not matter */
mascon_status copy(mascon_call *call, mascon_exec *exec) {
    return copy_from(DST(call, 0), SRC(call, 1), exec);
}

mascon_status same(mascon_call *call, mascon_exec *exec) {
    return copy_from(DST(call, 0), SRC(call, 0), exec);
}

int contiguous_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

}  // namespace

MASCON_KERNEL(copy, nullptr, nullptr, copy);
MASCON_KERNEL(cast, nullptr, nullptr, same);
MASCON_KERNEL(clone, nullptr, nullptr, same);
MASCON_KERNEL(contiguous, contiguous_wish, nullptr, same);

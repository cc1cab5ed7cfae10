/* sort.cu: sort and topk along one dimension, of every dtype.
 *
 * Elements become whole numbers of 64 bits that compare alike (NaN as the largest, both zeros equal,
 * turned over for descending order), each with its position, which decides between equals. Lines of up to
 * `tile` elements are sorted in one block's shared memory; of longer ones tiles are, and then
 * runs are merged pair by pair: each element finds its place by a search in the other run.
 */
#include "cuda/element.cuh"
#include "cuda/group.cuh"

namespace mascon {
namespace {

constexpr int threads = 256, most_threads = 1024, tile = 2048;

struct lines {
    const void *x;
    void *values;
    int64_t *indices;
    int64_t count, length, kept; /* kept: how many of each line are wanted */
    int64_t step, out_step;      /* along the line */
    axes at;                     /* of the lines; out: in values and indices */
    int32_t dtype, descending, base, narrow;
};

/* The sorted elements of all lines in work memory. */
struct room {
    uint64_t *key;
    uint32_t *position;
};

__device__ inline uint64_t key_of(const lines &l, int64_t offset) {
    const any_elements e = {const_cast<void *>(l.x), l.dtype};
    uint64_t key;
    if (l.dtype == MASCON_DTYPE_F64) {
        const double v = ((const double *)l.x)[offset];
        const uint64_t bits = v == 0 ? 0 : (uint64_t)__double_as_longlong(v);
        key = v != v ? ~0ull : bits >> 63 ? ~bits : bits | 1ull << 63;
    } else if (l.dtype < MASCON_DTYPE_I64) {
        const float v = take_any<float>(e, offset);
        const uint32_t bits = v == 0 ? 0 : __float_as_uint(v);
        key = v != v ? ~0u : bits >> 31 ? ~bits : bits | 1u << 31;
    } else {
        key = (uint64_t)take_any<int64_t>(e, offset) ^ 1ull << 63;
    }
    return l.descending ? ~key : key;
}

__device__ inline bool after(uint64_t a, uint32_t i, uint64_t b, uint32_t j) {
    return a > b || (a == b && i > j);
}

/* Element number `from` of the line that begins at offset x, to place `to` of the line at offset y. */
__device__ inline void put(const lines &l, int64_t x, int64_t y, int64_t from, int64_t to) {
    const int64_t source = x + from * l.step, place = y + to * l.out_step;
    l.indices[place] = from + l.base;
    switch (l.dtype) {
        case MASCON_DTYPE_F64:
        case MASCON_DTYPE_I64:
            ((uint64_t *)l.values)[place] = ((const uint64_t *)l.x)[source];
            break;
        case MASCON_DTYPE_F32:
        case MASCON_DTYPE_I32:
            ((uint32_t *)l.values)[place] = ((const uint32_t *)l.x)[source];
            break;
        case MASCON_DTYPE_BF16:
        case MASCON_DTYPE_F16:
            ((uint16_t *)l.values)[place] = ((const uint16_t *)l.x)[source];
            break;
        default:
            ((uint8_t *)l.values)[place] = ((const uint8_t *)l.x)[source];
            break;
    }
}

/* A block sorts elements first.. of a line, `size` (a power of two) with what lies behind the end. The
 * results go to their places (work.key NULL) or into work memory. grid {lines * tiles of a line} */
__global__ void __launch_bounds__(most_threads)
    sort_tile(const __grid_constant__ lines l, int size, int64_t tiles, room work) {
    uint64_t *key = dynamic_shared<uint64_t>();
    uint32_t *position = (uint32_t *)(key + size);
    const int64_t line = blockIdx.x / tiles, first = blockIdx.x % tiles * tile;
    const int64_t x = axes_offset(l.at, l.at.stride, line, l.narrow);
    for (int i = (int)threadIdx.x; i < size; i += (int)blockDim.x) {
        const bool there = first + i < l.length;
        key[i] = there ? key_of(l, x + (first + i) * l.step) : ~0ull;
        position[i] = (uint32_t)(first + i);
    }
    for (int run = 2; run <= size; run *= 2) {
        for (int distance = run / 2; distance > 0; distance /= 2) {
            __syncthreads();
            for (int i = (int)threadIdx.x; i < size / 2; i += (int)blockDim.x) {
                const int a = i / distance * 2 * distance + i % distance, b = a + distance;
                const bool up = (a & run) == 0;
                if (after(key[a], position[a], key[b], position[b]) != up) continue;
                const uint64_t k = key[a];
                const uint32_t p = position[a];
                key[a] = key[b], position[a] = position[b];
                key[b] = k, position[b] = p;
            }
        }
    }
    __syncthreads();
    const int64_t y = axes_offset(l.at, l.at.out, line, l.narrow);
    for (int i = (int)threadIdx.x; i < size && first + i < l.length; i += (int)blockDim.x) {
        if (work.key) {
            work.key[line * l.length + first + i] = key[i];
            work.position[line * l.length + first + i] = position[i];
        } else if (i < l.kept) {
            put(l, x, y, position[i], i);
        }
    }
}

/* How many of n sorted keys come before `key`: those below it, and with equals those equal to it. */
__device__ inline int64_t count_before(const uint64_t *keys, int64_t n, uint64_t key, bool equals) {
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (keys[middle] < key || (equals && keys[middle] == key)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Merges the runs of `width` elements of each line, two by two. Equals of the first run come first, and
 * their positions are lower, too. */
__global__ void merge_runs(room from, room to, int64_t count, int64_t length, int64_t width) {
    for (int64_t i = first_index(); i < count; i += grid_step()) {
        const int64_t line = i / length, place = i - line * length;
        const int64_t start = place / (2 * width) * (2 * width);
        const int64_t middle = start + width < length ? start + width : length;
        const int64_t end = middle + width < length ? middle + width : length;
        const uint64_t *keys = from.key + line * length;
        const bool first = place < middle;
        const int64_t others = first
                                   ? count_before(keys + middle, end - middle, keys[place], false)
                                   : count_before(keys + start, middle - start, keys[place], true);
        const int64_t target = line * length + start + place - (first ? start : middle) + others;
        to.key[target] = keys[place];
        to.position[target] = from.position[i];
    }
}

__global__ void put_lines(const __grid_constant__ lines l, room from) {
    for (int64_t i = first_index(); i < l.count * l.kept; i += grid_step()) {
        const int64_t line = i / l.kept, place = i - line * l.kept;
        put(l, axes_offset(l.at, l.at.stride, line, l.narrow),
            axes_offset(l.at, l.at.out, line, l.narrow), from.position[line * l.length + place],
            place);
    }
}

/* ---- Calls. ORDER of the options: lib/ops/rearrange.c ---- */

enum { SORT_DIM, SORT_DESCENDING, SORT_BASE };
enum { TOPK_K, TOPK_DIM, TOPK_LARGEST, TOPK_BASE };

lines lines_of(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const bool sorts = call->op == MASCON_OP_sort;
    lines l = {};
    int32_t dim = 0;
    /* the shape rule has checked the dimension */
    masconI_dim(call->attr[sorts ? (int)SORT_DIM : (int)TOPK_DIM], x->ndim, &dim);
    l.x = x->data;
    l.values = y->data;
    l.indices = (int64_t *)DST(call, 1)->data;
    l.count = l.length = l.kept = 1;
    for (int d = 0; d < x->ndim; d++) {
        if (d != dim) {
            l.count *= x->shape[d];
            if (x->shape[d] != 1) push_axis(&l.at, x->shape[d], x->stride[d], y->stride[d]);
            continue;
        }
        l.length = x->shape[d];
        l.kept = y->shape[d];
        l.step = x->stride[d];
        l.out_step = y->stride[d];
    }
    l.dtype = x->dtype;
    l.descending = call->attr[sorts ? (int)SORT_DESCENDING : (int)TOPK_LARGEST] != 0;
    l.base = (int32_t)call->attr[sorts ? (int)SORT_BASE : (int)TOPK_BASE];
    l.narrow = x->numel <= INT32_MAX;
    return l;
}

/* Two rooms, keys before positions. */
size_t workspace(const mascon_call *call) {
    const lines l = lines_of(call);
    if (l.length <= tile) return 0;
    return (size_t)(l.count * l.length) * 2 * (sizeof(uint64_t) + sizeof(uint32_t));
}

mascon_status sort_long(const lines &l, void *memory, int32_t device, void *stream) {
    const int64_t count = l.count * l.length, tiles = divide_up(l.length, tile);
    uint64_t *keys = (uint64_t *)memory;
    uint32_t *positions = (uint32_t *)(keys + 2 * count);
    room from = {keys, positions}, to = {keys + count, positions + count};
    const size_t shared = (size_t)tile * (sizeof(uint64_t) + sizeof(uint32_t));
    const unsigned blocks = blocks_for(count, threads, device);
    MASCON_TRY(launch(sort_tile, dim3((unsigned)(l.count * tiles)), dim3(most_threads), shared,
                      stream, l, (int)tile, tiles, from));
    for (int64_t width = tile; width < l.length; width *= 2) {
        MASCON_TRY(launch(merge_runs, dim3(blocks), dim3(threads), 0, stream, from, to, count,
                          l.length, width));
        const room t = from;
        from = to;
        to = t;
    }
    return launch(put_lines, dim3(blocks_for(l.count * l.kept, threads, device)), dim3(threads), 0,
                  stream, l, from);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const lines l = lines_of(call);
    if (DST(call, 0)->numel == 0) return MASCON_OK;
    if (l.length > tile) return sort_long(l, exec->workspace, SRC(call, 0)->device, exec->stream);
    const int size = power_between(l.length, 2, tile);
    const size_t shared = (size_t)size * (sizeof(uint64_t) + sizeof(uint32_t));
    return launch(sort_tile, dim3((unsigned)l.count),
                  dim3((unsigned)power_between(size / 2, 32, most_threads)), shared, exec->stream,
                  l, size, (int64_t)1, room{NULL, NULL});
}

/* Positions within a line have 32 bits, and so has the number of blocks. */
int wish(const mascon_call *call, mascon_wish *w) {
    const lines l = lines_of(call);
    w->dst[0] = w->dst[1] = MASCON_WISH_ROW;
    return l.length < UINT32_MAX - tile && l.count * divide_up(l.length, tile) <= INT32_MAX;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(sort, wish, workspace, run);
MASCON_KERNEL(topk, wish, workspace, run);

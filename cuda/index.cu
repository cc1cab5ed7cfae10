/* index.cu: kernels of the ops that address elements by positions held in a tensor: index_select,
 * gather, embedding (which read at them), index_add, scatter_add (which add there), one_hot.
 *
 * Index tensors are taken row-major, so that an offset into one is the number of its element, which an
 * error names. A position that is out of range is reported and its element skipped; what is read there
 * is 0.
 *
 * Where mascon.deterministic is on, and for dtypes without atomic sums, sums run in the order of the
 * index: a thread owns the elements it adds to. 16-bit floats are summed in float32 and rounded once.
 */
#include "cuda/cast.cuh"
#include "cuda/element.cuh"
#include "cuda/move.cuh"

namespace {

/* Positions along one dimension of another tensor. */
struct positions {
    const void *data;
    int32_t dtype;
    int64_t stride; /* of the addressed dimension, in the tensor that is read or added to */
    reporter report;
};

/* Where position number i points, or -1. */
__device__ __forceinline__ int64_t position_at(const positions &p, int64_t i) {
    return checked_index(p.report, i, load_index(p.data, p.dtype, i));
}

/* The names of what positions number; reports point to them. */
const char *dimension_words(int32_t d) {
    static const char *const words[MASCON_MAX_DIMS] = {
        "positions of dimension 1", "positions of dimension 2", "positions of dimension 3",
        "positions of dimension 4", "positions of dimension 5", "positions of dimension 6",
        "positions of dimension 7", "positions of dimension 8",
    };
    return words[d];
}

/* index as positions base..base+size-1. */
positions positions_of(const mascon_call *call, const mascon_view *index, const char *words,
                       int64_t base, int64_t size, int64_t stride) {
    positions p;
    p.data = index->data;
    p.dtype = index->dtype;
    p.stride = stride;
    p.report = make_reporter(call, index->device, words, index->numel, base, size);
    return p;
}

/* index as positions of dimension d of x. */
positions positions_along(const mascon_call *call, const mascon_view *index, const mascon_view *x,
                          int32_t d) {
    return positions_of(call, index, dimension_words(d), (int64_t)call->attr[1],
                        x->ndim ? x->shape[d] : 1, x->ndim ? x->stride[d] : 0);
}

/* ---- Reading ---- */

/* y[i] = x[i, at the position that belongs to it]. Operands of w: y, x without the addressed dimension,
 * index. */
template <int V, class T>
__global__ void pick(walk<3> w, positions p, T *y, const T *x) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[3];
        w.offsets(item, at);
        const int count = w.template count<V>(item);
        const int64_t position = position_at(p, at[2]);
        T value[V];
        if (position >= 0) {
            walk_load(x + at[1] + position * p.stride, w.repeated(1), count, value);
        } else {
#pragma unroll
            for (int v = 0; v < V; v++) value[v] = 0;
        }
        walk_store(y + at[0], count, value);
    }
}

template <class T>
mascon_status run_pick(const mascon_view *y, const mascon_view *x, const positions &p,
                       const walk_plan<3> &plan, mascon_exec *exec) {
    constexpr int V = 16 / (int)sizeof(T), size = (int)sizeof(T);
    walk<3> w = walk_of(plan);
    /* an item may be several neighbours only where they have one position */
    const bool rows = w.ndim > 0 && w.stride[2][w.ndim - 1] == 0 && p.stride % V == 0;
    if (rows && walk_vectorise<3>(&w, V, {y->data, x->data, nullptr}, {size, size, 0})) {
        return launch(pick<V, T>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, p,
                      (T *)y->data, (const T *)x->data);
    }
    return launch(pick<1, T>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, p,
                  (T *)y->data, (const T *)x->data);
}

mascon_status pick_elements(const mascon_view *y, const mascon_view *x, const positions &p,
                            const walk_plan<3> &plan, mascon_exec *exec) {
    return dispatch_size(y->dtype, [&](auto t) {
        return run_pick<typename decltype(t)::type>(y, x, p, plan, exec);
    });
}

int index_select_wish(const mascon_call *call, mascon_wish *w) {
    w->src[1] = MASCON_WISH_ROW;
    if (SRC(call, 0)->layout == MASCON_LAYOUT_NHWC) w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

/* y[.., k, ..] = x[.., index[k], ..] */
mascon_status index_select(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *y = DST(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    walk_plan<3> plan = plan_of<3>({y, nullptr, nullptr});
    for (int32_t d = 0; d < x->ndim; d++) plan.stride[1][d] = d == dim ? 0 : x->stride[d];
    plan.stride[2][dim] = 1;
    return pick_elements(y, x, positions_along(call, index, x, dim), plan, exec);
}

int gather_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->src[1] = MASCON_WISH_ROW;
    return 1;
}

/* y[.., k, ..] = x[.., index[.., k, ..], ..] */
mascon_status gather(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *y = DST(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    walk_plan<3> plan = plan_of<3>({y, nullptr, index});
    for (int32_t d = 0; d < x->ndim; d++) plan.stride[1][d] = d == dim ? 0 : x->stride[d];
    return pick_elements(y, x, positions_along(call, index, x, dim), plan, exec);
}

int embedding_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->src[0] = MASCON_WISH_ROW;
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

/* index {...}, weight {rows, size}, y {..., size} */
mascon_status embedding(mascon_call *call, mascon_exec *exec) {
    const mascon_view *index = SRC(call, 0), *weight = SRC(call, 1), *y = DST(call, 0);
    const int last = y->ndim - 1;
    walk_plan<3> plan = plan_of<3>({y, nullptr, nullptr});
    for (int d = 0; d < last; d++) plan.stride[2][d] = index->stride[d];
    plan.stride[1][last] = weight->stride[1];
    const positions p = positions_of(call, index, "rows of weight", (int64_t)call->attr[0],
                                     weight->shape[0], weight->stride[0]);
    return pick_elements(y, weight, p, plan, exec);
}

/* ---- Adding, in any order: for sums that have atomic instructions ---- */

__device__ __forceinline__ void add_atomic(float *y, float v) { atomicAdd(y, v); }
__device__ __forceinline__ void add_atomic(double *y, double v) { atomicAdd(y, v); }
__device__ __forceinline__ void add_atomic(int64_t *y, int64_t v) {
    atomicAdd((unsigned long long *)y, (unsigned long long)v);
}

/* y[i, at its position] += source[i]. Operands of w: source, y without the addressed dimension,
 * index. Y is the type of sums of elements of T. */
template <class Y, class T>
__global__ void add_scattered(walk<3> w, positions p, Y *y, const T *source) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[3];
        w.offsets(item, at);
        const int64_t position = position_at(p, at[2]);
        if (position >= 0) add_atomic(y + at[1] + position * p.stride, take<Y>(source[at[0]]));
    }
}

/* ---- Adding in the order of the index ---- */

template <class Y, class T>
__device__ __forceinline__ void add_one(Y *y, T v) {
    typedef typename computed<Y>::type C;
    *y = give<Y>((C)(take<C>(*y) + take<C>(v)));
}

/* The addressed dimension of source: `count` elements, `step` of source and `index_step` of index
 * apart. */
struct lines {
    int64_t count, step, index_step;
};

/* Each thread adds whole lines. Operands of w, all without the addressed dimension: source, y, index. */
template <class Y, class T>
__global__ void add_lines(walk<3> w, positions p, lines l, Y *y, const T *source) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[3];
        w.offsets(item, at);
        for (int64_t k = 0; k < l.count; k++) {
            const int64_t position = position_at(p, at[2] + k * l.index_step);
            if (position < 0) continue;
            add_one(y + at[1] + position * p.stride, source[at[0] + k * l.step]);
        }
    }
}

/* The index has one position for each row of source. A block owns `rows` rows of y and THREADS columns;
 * it looks through the index for its rows and adds what it finds in order. Operands of w: columns of
 * source and of y. Blocks: x over ranges of rows, y over columns. */
template <class Y, class T>
__global__ void add_rows(walk<2> w, positions p, lines l, int64_t rows, Y *y, const T *source) {
    __shared__ int64_t found[THREADS], target[THREADS];
    __shared__ int before[THREADS / 32 + 1];
    const int64_t first = (int64_t)blockIdx.x * rows;
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    for (int64_t tile = blockIdx.y; tile * THREADS < w.numel; tile += gridDim.y) {
        const int64_t column = tile * THREADS + threadIdx.x;
        int64_t at[2] = {0, 0};
        if (column < w.numel) w.offsets(column, at);
        for (int64_t start = 0; start < l.count; start += THREADS) {
            const int64_t k = start + threadIdx.x;
            const int64_t position = k < l.count ? position_at(p, k * l.index_step) : -1;
            const bool mine = position >= first && position < first + rows;
            const unsigned bits = __ballot_sync(0xffffffffu, mine);
            if (lane == 0) before[warp + 1] = __popc(bits);
            __syncthreads();
            if (threadIdx.x == 0) {
                before[0] = 0;
                for (int i = 1; i <= THREADS / 32; i++) before[i] += before[i - 1];
            }
            __syncthreads();
            if (mine) {
                const int slot = before[warp] + __popc(bits & ((1u << lane) - 1));
                found[slot] = k;
                target[slot] = position;
            }
            __syncthreads();
            const int n = before[THREADS / 32];
            for (int i = 0; i < n && column < w.numel; i++) {
                add_one(y + at[1] + target[i] * p.stride, source[at[0] + found[i] * l.step]);
            }
            __syncthreads();
        }
    }
}

template <class Y, class T>
mascon_status run_rows(const mascon_view *y, const mascon_view *source, const positions &p,
                       const lines &l, const walk_plan<2> &plan, mascon_exec *exec) {
    const walk<2> w = walk_of(plan);
    const int64_t tiles = (w.numel + THREADS - 1) / THREADS, wanted = 512;
    if (w.numel == 0 || l.count == 0 || p.report.size == 0) return MASCON_OK;
    /* about as many blocks as a large device runs at a time: each reads the whole index */
    int64_t ranges = tiles < wanted ? wanted / tiles : 1;
    if (ranges > p.report.size) ranges = p.report.size;
    const int64_t rows = (p.report.size + ranges - 1) / ranges, most = 65535;
    const dim3 grid((unsigned)((p.report.size + rows - 1) / rows),
                    (unsigned)(tiles < most ? tiles : most));
    return launch(add_rows<Y, T>, grid, THREADS, 0, exec->stream, w, p, l, rows, (Y *)y->data,
                  (const T *)source->data);
}

/* ---- index_add, scatter_add ---- */

/* What is added where. y: sums of the type that belongs to source's. */
struct addition {
    const mascon_view *y, *source;
    positions p;
    walk_plan<3> plan; /* over source's shape: source, y with a stride of 0 along dim, index */
    int32_t dim;
    bool rows; /* index has one position for all elements of a row */
};

template <class Y, class T>
mascon_status add_free(const addition &a, mascon_exec *exec) {
    const walk<3> w = walk_of(a.plan);
    return launch(add_scattered<Y, T>, walk_blocks(w, a.y->device), THREADS, 0, exec->stream, w,
                  a.p, (Y *)a.y->data, (const T *)a.source->data);
}

template <class Y, class T>
mascon_status add_ordered(const addition &a, mascon_exec *exec) {
    const lines l = {a.plan.size[a.dim], a.plan.stride[0][a.dim], a.plan.stride[2][a.dim]};
    const walk_plan<3> rest = a.plan.without(a.dim);
    if (!a.rows) {
        const walk<3> w = walk_of(rest);
        return launch(add_lines<Y, T>, walk_blocks(w, a.y->device), THREADS, 0, exec->stream, w,
                      a.p, l, (Y *)a.y->data, (const T *)a.source->data);
    }
    walk_plan<2> columns;
    for (int d = 0; d < rest.ndim; d++) {
        columns.add(rest.size[d]);
        for (int k = 0; k < 2; k++) columns.stride[k][d] = rest.stride[k][d];
    }
    return run_rows<Y, T>(a.y, a.source, a.p, l, columns, exec);
}

template <class Y, class T>
mascon_status add_real(const addition &a, mascon_exec *exec) {
    return masconG_host->setting(MASCON_SETTING_DETERMINISTIC) ? add_ordered<Y, T>(a, exec)
                                                               : add_free<Y, T>(a, exec);
}

mascon_status run_addition(const addition &a, mascon_exec *exec) {
    switch (a.source->dtype) {
        case MASCON_DTYPE_F32:
            return add_real<float, float>(a, exec);
        case MASCON_DTYPE_F64:
            return add_real<double, double>(a, exec);
        case MASCON_DTYPE_BF16:
            return add_real<float, bfloat16>(a, exec);
        case MASCON_DTYPE_F16:
            return add_real<float, half>(a, exec);
        case MASCON_DTYPE_I64: /* wraps around: any order gives the same */
            return add_free<int64_t, int64_t>(a, exec);
        case MASCON_DTYPE_I32:
            return add_ordered<int32_t, int32_t>(a, exec);
        case MASCON_DTYPE_U8:
            return add_ordered<uint8_t, uint8_t>(a, exec);
        default:
            return add_ordered<bool, bool>(a, exec);
    }
}

int add_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->src[1] = MASCON_WISH_ROW;
    return 1;
}

/* float32 sums of 16-bit elements */
size_t add_workspace(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0);
    return masconI_is_half(x->dtype) ? (size_t)x->numel * sizeof(float) : 0;
}

/* y = x, then index_add: y[.., index[k], ..] += source[.., k, ..], or scatter_add:
 * y[.., index[.., k, ..], ..] += source[.., k, ..] */
mascon_status add(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *y = DST(call, 0);
    const bool half_sums = masconI_is_half(y->dtype), rows = call->op == MASCON_OP_index_add;
    mascon_view sums = *y;
    addition a;
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &a.dim));
    if (half_sums) {
        sums.data = exec->workspace;
        sums.dtype = MASCON_DTYPE_F32;
        if (!y->contiguous && y->layout != MASCON_LAYOUT_NHWC) {
            masconI_row_major(y->ndim, y->shape, sums.stride);
        }
        MASCON_TRY(masconG_convert_elements(&sums, x, exec->stream));
    } else {
        MASCON_TRY(masconG_move_elements(place_of(y, exec), plan_of<2>({y, x}), y->data, x->data));
    }
    a.y = &sums;
    a.source = SRC(call, 2);
    a.p = positions_along(call, index, &sums, a.dim);
    a.rows = rows || x->ndim == 1;
    a.plan = plan_of<3>({a.source, nullptr, nullptr});
    if (x->ndim == 0) a.plan.add(1);
    for (int32_t d = 0; d < x->ndim; d++) {
        a.plan.stride[1][d] = d == a.dim ? 0 : sums.stride[d];
        a.plan.stride[2][d] = !rows ? index->stride[d] : d == a.dim ? 1 : 0;
    }
    MASCON_TRY(run_addition(a, exec));
    return half_sums ? masconG_convert_elements(y, &sums, exec->stream) : MASCON_OK;
}

/* ---- one_hot ---- */

/* y[i, index[i]] = 1. Operands of w: index, y without its last dimension. */
__global__ void set_ones(walk<2> w, positions p, int64_t *y) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        const int64_t position = position_at(p, at[0]);
        if (position >= 0) y[at[1] + position * p.stride] = 1;
    }
}

int one_hot_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->src[0] = MASCON_WISH_ROW;
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

/* index {...}, y {..., classes} */
mascon_status one_hot(mascon_call *call, mascon_exec *exec) {
    const mascon_view *index = SRC(call, 0), *y = DST(call, 0);
    const int last = y->ndim - 1;
    MASCON_TRY(masconG_fill_elements(place_of(y, exec), plan_of<1>({y}), y->data, 0));
    walk_plan<2> plan = plan_of<2>({index, nullptr});
    for (int d = 0; d < last; d++) plan.stride[1][d] = y->stride[d];
    const walk<2> w = walk_of(plan);
    const positions p = positions_of(call, index, "classes", (int64_t)call->attr[1], y->shape[last],
                                     y->stride[last]);
    return launch(set_ones, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, p,
                  (int64_t *)y->data);
}

}  // namespace

MASCON_KERNEL(index_select, index_select_wish, nullptr, index_select);
MASCON_KERNEL(gather, gather_wish, nullptr, gather);
MASCON_KERNEL(embedding, embedding_wish, nullptr, embedding);
MASCON_KERNEL(index_add, add_wish, add_workspace, add);
MASCON_KERNEL(scatter_add, add_wish, add_workspace, add);
MASCON_KERNEL(one_hot, one_hot_wish, nullptr, one_hot);

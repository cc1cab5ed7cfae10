/* reduce.cuh: reductions of a tensor over some of its dimensions, for any operation that is a struct Op:
 *
 *   value             what an element becomes when it is loaded
 *   State             what is known of some elements; trivially copyable, whole words of 4 bytes
 *   start()           the state of no elements
 *   load(x, i)        the element at offset i
 *   add<N>(s, v, at)  s joined by N elements, numbers at..at+N-1 of their result
 *   combine(a, b)     the states of two sets of elements
 *   finish(s, o)      writes the result whose outputs have offset o
 *
 * x is brought to its simplest form: dimensions in the order of its memory (or, where element numbers
 * matter, the reduced ones in logical order), neighbours of one kind merged. Then either a group of
 * threads works on one result (the innermost dimension is reduced), or neighbouring threads work on
 * neighbouring results (it is kept). Few large results are cut into parts, and the block that finishes
 * a result last joins them, in their order.
 */
#ifndef MASCON_CUDA_REDUCE_CUH
#define MASCON_CUDA_REDUCE_CUH

#include "cuda/group.cuh"
extern "C" {
#include "ops/reduce.h"
}

namespace mascon {

constexpr int reduce_threads = 256;

struct reduction {
    axes kept, inner;
    int64_t outputs, count; /* results; elements of each */
    int columns;            /* neighbouring results are neighbours in memory */
    int narrow;             /* element numbers fit 32 bits */
    int vector;             /* elements that one load may bring */
    int group;              /* threads of one result; or, of columns, results of one block */
    int splits;
    int64_t part; /* elements of one split */
    void *partial;
};

/* ---- A group of threads for each result ---- */

template <class Op, int V>
__device__ inline void load_pack(const Op &op, const typename Op::element *x, int64_t offset,
                                 typename Op::value (&v)[V]) {
    if constexpr (V == 1) {
        v[0] = op.load(x, offset);
    } else {
        const auto p = *reinterpret_cast<const pack<typename Op::element, V> *>(x + offset);
#pragma unroll
        for (int k = 0; k < V; k++) v[k] = op.load(p.v, k);
    }
}

/* Elements first..end-1 of the result at x, by one of `group` threads; V elements at a time. */
template <class Op, int V>
__device__ inline void add_run(const Op &op, const reduction &r, const typename Op::element *x,
                               int64_t first, int64_t end, int thread, typename Op::State &s) {
    constexpr int flight = 4; /* loads under way at a time */
    const int64_t step = (int64_t)r.group * V;
    typename Op::value v[flight][V];
    int64_t i = first + (int64_t)thread * V;
    for (; i + (flight - 1) * step < end; i += flight * step) {
#pragma unroll
        for (int k = 0; k < flight; k++) {
            load_pack<Op, V>(op, x, axes_offset(r.inner, r.inner.stride, i + k * step, r.narrow),
                             v[k]);
        }
#pragma unroll
        for (int k = 0; k < flight; k++) op.template add<V>(s, v[k], i + k * step);
    }
    for (; i < end; i += step) {
        load_pack<Op, V>(op, x, axes_offset(r.inner, r.inner.stride, i, r.narrow), v[0]);
        op.template add<V>(s, v[0], i);
    }
}

/* grid {results / groups of a block, splits} */
template <class Op, int V>
__global__ void __launch_bounds__(reduce_threads, 3)
    reduce_rows(const typename Op::element *x, const __grid_constant__ reduction r,
                const __grid_constant__ Op op) {
    using State = typename Op::State;
    const auto combine = [&op](const State &a, const State &b) { return op.combine(a, b); };
    const int thread = (int)threadIdx.x % r.group;
    const int64_t o = (int64_t)blockIdx.x * (reduce_threads / r.group) + threadIdx.x / r.group;
    const int64_t first = (int64_t)blockIdx.y * r.part;
    const int64_t end = first + r.part < r.count ? first + r.part : r.count;
    State s = op.start();
    if (o < r.outputs) {
        const typename Op::element *row = x + axes_offset(r.kept, r.kept.stride, o, r.narrow);
        add_run<Op, V>(op, r, row, first, end, thread, s);
    }
    s = group_reduce(s, r.group, combine);
    if (r.splits > 1) { /* then a block has one result */
        State *partial = (State *)r.partial + o * r.splits;
        if (thread == 0) partial[blockIdx.y] = s;
        if (!last_block((int)o, (unsigned)r.splits)) return;
        s = op.start();
        for (int i = thread; i < r.splits; i += r.group) s = op.combine(s, partial[i]);
        s = group_reduce(s, r.group, combine);
    }
    if (thread == 0 && o < r.outputs) {
        op.finish(s, axes_offset(r.kept, r.kept.out, o, r.narrow));
    }
}

/* ---- Neighbouring threads for neighbouring results ---- */

/* The states of the threads {x, 0..} of a block, joined in order; for the threads {x, 0}. */
template <class Op>
__device__ inline typename Op::State join_columns(const Op &op, typename Op::State s) {
    __shared__ typename Op::State scratch[reduce_threads];
    const int at = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    scratch[at] = s;
    for (int half = (int)blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half) {
            scratch[at] = op.combine(scratch[at], scratch[at + half * (int)blockDim.x]);
        }
    }
    __syncthreads();
    s = scratch[threadIdx.x];
    __syncthreads();
    return s;
}

/* block {results, threads of one}, grid {results / results of a block, splits} */
template <class Op>
__global__ void reduce_columns(const typename Op::element *x, const __grid_constant__ reduction r,
                               const __grid_constant__ Op op) {
    using State = typename Op::State;
    constexpr int flight = 4;
    const int64_t o = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    const int64_t first = (int64_t)blockIdx.y * r.part, step = blockDim.y;
    const int64_t end = first + r.part < r.count ? first + r.part : r.count;
    State s = op.start();
    if (o < r.outputs) {
        const typename Op::element *column = x + axes_offset(r.kept, r.kept.stride, o, r.narrow);
        typename Op::value v[flight][1];
        int64_t i = first + threadIdx.y;
        for (; i + (flight - 1) * step < end; i += flight * step) {
#pragma unroll
            for (int k = 0; k < flight; k++) {
                v[k][0] =
                    op.load(column, axes_offset(r.inner, r.inner.stride, i + k * step, r.narrow));
            }
#pragma unroll
            for (int k = 0; k < flight; k++) op.template add<1>(s, v[k], i + k * step);
        }
        for (; i < end; i += step) {
            v[0][0] = op.load(column, axes_offset(r.inner, r.inner.stride, i, r.narrow));
            op.template add<1>(s, v[0], i);
        }
    }
    s = join_columns(op, s);
    if (r.splits > 1) {
        State *partial = (State *)r.partial;
        if (threadIdx.y == 0 && o < r.outputs) partial[blockIdx.y * r.outputs + o] = s;
        if (!last_block((int)blockIdx.x, (unsigned)r.splits)) return;
        s = op.start();
        for (int i = (int)threadIdx.y; o < r.outputs && i < r.splits; i += (int)blockDim.y) {
            s = op.combine(s, partial[i * r.outputs + o]);
        }
        s = join_columns(op, s);
    }
    if (threadIdx.y == 0 && o < r.outputs) {
        op.finish(s, axes_offset(r.kept, r.kept.out, o, r.narrow));
    }
}

/* ---- The plan ---- */

/* Which dimensions of x a call reduces. dims: the slots of its option, one number or a list. */
inline void reduced_dims(const mascon_call *call, const mascon_view *x, int slot, int list,
                         uint8_t reduce[MASCON_MAX_DIMS]) {
    const double one[2] = {1, call->attr[slot]};
    if (masconI_dims(list ? &call->attr[slot] : one, masconI_names_dims(call, slot, list), x->ndim,
                     reduce) != MASCON_OK) {
        memset(reduce, 1, MASCON_MAX_DIMS); /* the shape rule has refused such a call */
    }
}

/* Fills everything but partial. y: NULL or the (kept or squeezed) result. ordered: element numbers
 * matter. */
inline reduction plan_reduction(const mascon_view *x, const mascon_view *y,
                                const uint8_t reduce[MASCON_MAX_DIMS], int ordered) {
    reduction r = {};
    int order[MASCON_MAX_DIMS], n = 0;
    int64_t out[MASCON_MAX_DIMS] = {0};
    r.outputs = r.count = 1;
    for (int d = 0, at = 0; d < x->ndim; d++) {
        *(reduce[d] ? &r.count : &r.outputs) *= x->shape[d];
        if (y && y->ndim == x->ndim) {
            out[d] = y->stride[d];
        } else if (y && !reduce[d]) {
            out[d] = y->stride[at++];
        }
        if (x->shape[d] != 1) order[n++] = d;
    }
    for (int i = 1; i < n; i++) { /* by stride, largest first; ordered: reduced ones keep theirs */
        for (int j = i; j > 0 && x->stride[order[j - 1]] < x->stride[order[j]]; j--) {
            if (ordered && reduce[order[j - 1]] && reduce[order[j]]) break;
            const int t = order[j];
            order[j] = order[j - 1];
            order[j - 1] = t;
        }
    }
    int64_t lowest = INT64_MAX;
    for (int i = 0; i < n; i++) {
        const int d = order[i];
        push_axis(reduce[d] ? &r.inner : &r.kept, x->shape[d], x->stride[d],
                  reduce[d] ? 0 : out[d]);
        if (x->stride[d] <= lowest) {
            lowest = x->stride[d];
            r.columns = !reduce[d];
        }
    }
    r.narrow = x->numel <= INT32_MAX;
    return r;
}

/* Threads, splits and loads for a plan. bytes: of an element; packs: whether it may be loaded in
 * packs; least: elements of a result below which a part is not worth a block. */
inline void cut_reduction(reduction *r, const mascon_view *x, int bytes, int packs) {
    int64_t tiles, work;
    r->vector = 1;
    if (r->columns) {
        r->group = power_between(r->outputs, 1, 32);
        tiles = divide_up(r->outputs, r->group);
        work = divide_up(r->count, reduce_threads / r->group * 8);
    } else {
        const int full = 16 / bytes, last = r->inner.n - 1;
        int fits =
            packs && last >= 0 && r->inner.stride[last] == 1 && r->inner.size[last] % full == 0;
        for (int d = 0; d < last; d++) fits &= r->inner.stride[d] % full == 0;
        for (int d = 0; d < r->kept.n; d++) fits &= r->kept.stride[d] % full == 0;
        if (fits) r->vector = full; /* the address itself is looked at when it is known */
        r->group = power_between(divide_up(r->count, 4 * r->vector), 1, 32);
        if (r->count > 32 * 32 * r->vector) r->group = reduce_threads;
        if (r->count > 32 * r->vector && r->outputs * 32 < reduce_threads * busy_blocks) {
            r->group = reduce_threads;
        }
        tiles = divide_up(r->outputs, reduce_threads / r->group);
        work = divide_up(r->count, (int64_t)r->group * r->vector * 8);
        if (r->group != reduce_threads) work = 1;
    }
    r->splits = tiles <= counters_count ? splits_of(tiles, work) : 1;
    r->part = divide_up(r->count, r->splits);
    if (!r->columns) r->part = divide_up(r->part, 64) * 64; /* whole packs */
    if (r->part < 1) r->part = 1;
    r->splits = (int)divide_up(r->count, r->part);
    if (r->splits < 1) r->splits = 1;
    (void)x;
}

template <class State>
size_t reduction_workspace(const reduction &r) {
    return r.splits > 1 ? sizeof(State) * (size_t)(r.outputs * r.splits) : 0;
}

template <class Op>
mascon_status run_reduction(const reduction &r, const mascon_view *x, const Op &op, void *stream) {
    using element = typename Op::element;
    constexpr int full = Op::packs ? pack_of<element>() : 1;
    const element *data = (const element *)x->data;
    if (r.outputs == 0) return MASCON_OK;
    if (r.columns) {
        const dim3 block((unsigned)r.group, (unsigned)(reduce_threads / r.group));
        const dim3 grid((unsigned)divide_up(r.outputs, r.group), (unsigned)r.splits);
        return launch(reduce_columns<Op>, grid, block, 0, stream, data, r, op);
    }
    const dim3 grid((unsigned)divide_up(r.outputs, reduce_threads / r.group), (unsigned)r.splits);
    if (full > 1 && r.vector == full && aligned(data, 16)) {
        return launch(reduce_rows<Op, full>, grid, dim3(reduce_threads), 0, stream, data, r, op);
    }
    return launch(reduce_rows<Op, 1>, grid, dim3(reduce_threads), 0, stream, data, r, op);
}

}  // namespace mascon

#endif

/* optimizer.cuh: one launch over the elements of a list of tensors, for the optimizers and the norm of
 * gradients.
 *
 * A list holds `groups` groups of n tensors; those of one position have one shape and dtype. Where
 * all of a position lie dense in one order they are a row of a table that travels as the kernel's
 * argument, and each block takes a chunk of one row. Positions whose tensors lie differently get a
 * launch of their own, with strides. Positions of float64 are launches of their own, too: a step is
 * computed in one type, Step::C.
 */
#ifndef MASCON_CUDA_OPTIMIZER_CUH
#define MASCON_CUDA_OPTIMIZER_CUH

#include "cuda/group.cuh"

namespace mascon {

constexpr int most_groups = 5;
constexpr int step_threads = 256, step_chunk = 4096;

/* Rows of dense tensors. Kernels' arguments may have 32,764 bytes. */
template <int Rows>
struct table {
    int32_t rows, groups;
    uint32_t first[Rows + 1]; /* the first chunk of each row */
    int32_t dtype[Rows];
    int64_t numel[Rows];
    void *data[most_groups][Rows];
};

constexpr int few_rows_of_table = 48;
#if CUDART_VERSION >= 12010
constexpr int many_rows_of_table = 512;
#else
constexpr int many_rows_of_table = few_rows_of_table; /* older toolkits: 4 KB */
#endif
static_assert(sizeof(table<few_rows_of_table>) <= 3600, "with the options 4 KB");
static_assert(sizeof(table<many_rows_of_table>) <= 32000, "with the options 32,764 bytes");

/* One position of the list, with strides. */
struct strided_row {
    index_map<most_groups> map;
    void *data[most_groups];
    int32_t groups, dtype;
};

template <int Rows>
__device__ inline int row_of_chunk(const table<Rows> &t, uint32_t chunk) {
    int low = 0, high = t.rows; /* first[low] <= chunk < first[high] */
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (t.first[middle] <= chunk) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Whether a step is for positions of float64, or for all others. */
template <class Step>
constexpr bool is_wide = sizeof(typename Step::C) == 8;

/* Calls f(element type, width) for the chunk of this block. Step: what works on elements; it has
 *   C                  the type it is computed in
 *   element(v)         v[groups] of one position, changed in place
 *   written            bit per group that is stored again */
template <class T, int V, class Step>
__device__ inline void step_chunk_of(const Step &step, void *const *data, int groups, int64_t first,
                                     int64_t end, typename Step::result &result) {
    for (int64_t i = first + (int64_t)threadIdx.x * V; i < end; i += step_threads * V) {
        pack<T, V> p[most_groups];
#pragma unroll
        for (int g = 0; g < most_groups; g++) {
            if (g < groups) p[g] = *(const pack<T, V> *)((const T *)data[g] + i);
        }
#pragma unroll
        for (int k = 0; k < V; k++) {
            typename Step::C v[most_groups];
#pragma unroll
            for (int g = 0; g < most_groups; g++) v[g] = g < groups ? to_real(p[g].v[k]) : 0;
            step.element(v, result);
#pragma unroll
            for (int g = 0; g < most_groups; g++) {
                if (g < groups && step.writes(g)) p[g].v[k] = from_real<T>(v[g]);
            }
        }
#pragma unroll
        for (int g = 0; g < most_groups; g++) {
            if (g < groups && step.writes(g)) *(pack<T, V> *)((T *)data[g] + i) = p[g];
        }
    }
}

template <class T, class Step>
__device__ inline void step_dense(const Step &step, void *const *data, int groups, int64_t first,
                                  int64_t end, typename Step::result &result) {
    constexpr int V = sizeof(T) < 8 ? 4 : 1;
    bool packs = true;
#pragma unroll
    for (int g = 0; g < most_groups; g++) {
        packs &= g >= groups || (uintptr_t)data[g] % (sizeof(T) * V) == 0;
    }
    const int64_t middle = packs ? first + (end - first) / V * V : first;
    if constexpr (V > 1) step_chunk_of<T, V>(step, data, groups, first, middle, result);
    step_chunk_of<T, 1>(step, data, groups, V > 1 ? middle : first, end, result);
}

template <int Rows, class Step>
__global__ void __launch_bounds__(step_threads, 3)
    step_table(const __grid_constant__ table<Rows> t, const __grid_constant__ Step step) {
    typename Step::result result = step.start();
    if (!step.idle()) {
        const int row = row_of_chunk(t, blockIdx.x);
        const int64_t first = (int64_t)(blockIdx.x - t.first[row]) * step_chunk;
        const int64_t left = t.numel[row] - first;
        const int64_t end = left < step_chunk ? first + left : first + step_chunk;
        void *data[most_groups];
#pragma unroll
        for (int g = 0; g < most_groups; g++) data[g] = t.data[g][row];
        if constexpr (is_wide<Step>) {
            step_dense<double>(step, data, t.groups, first, end, result);
        } else {
            switch (t.dtype[row]) {
                case MASCON_DTYPE_F32:
                    step_dense<float>(step, data, t.groups, first, end, result);
                    break;
                case MASCON_DTYPE_BF16:
                    step_dense<bfloat16>(step, data, t.groups, first, end, result);
                    break;
                default:
                    step_dense<half>(step, data, t.groups, first, end, result);
                    break;
            }
        }
    }
    step.finish(result);
}

template <class T, class Step>
__device__ inline void step_one(const Step &step, const strided_row &r, int64_t i,
                                typename Step::result &result) {
    int64_t at[most_groups];
    typename Step::C v[most_groups];
    r.map.offsets(i, at);
#pragma unroll
    for (int g = 0; g < most_groups; g++) {
        v[g] = g < r.groups ? to_real(((const T *)r.data[g])[at[g]]) : 0;
    }
    step.element(v, result);
#pragma unroll
    for (int g = 0; g < most_groups; g++) {
        if (g < r.groups && step.writes(g)) store((T *)r.data[g], at[g], v[g]);
    }
}

template <class Step>
__global__ void step_strided(const __grid_constant__ strided_row r,
                             const __grid_constant__ Step step) {
    typename Step::result result = step.start();
    const int64_t first = (int64_t)blockIdx.x * step_chunk;
    const int64_t end = first + step_chunk < r.map.numel ? first + step_chunk : r.map.numel;
    const bool idle = step.idle();
    for (int64_t i = first + threadIdx.x; !idle && i < end; i += step_threads) {
        if constexpr (is_wide<Step>) {
            step_one<double>(step, r, i, result);
        } else {
            switch (r.dtype) {
                case MASCON_DTYPE_F32:
                    step_one<float>(step, r, i, result);
                    break;
                case MASCON_DTYPE_BF16:
                    step_one<bfloat16>(step, r, i, result);
                    break;
                default:
                    step_one<half>(step, r, i, result);
                    break;
            }
        }
    }
    step.finish(result);
}

/* ---- On the host ---- */

/* Whether position i is one of float64 (wide), or of another dtype. */
inline bool belongs(const mascon_call *call, int64_t i, bool wide) {
    return (mascon_see(call->list[i])->dtype == MASCON_DTYPE_F64) == wide;
}

/* 1: all tensors of position i lie dense in one order. */
inline int lies_dense(const mascon_call *call, int64_t n, int groups, int64_t i) {
    const mascon_view *p = mascon_see(call->list[i]);
    for (int g = 0; g < groups; g++) {
        const mascon_view *v = mascon_see(call->list[g * n + i]);
        if (p->contiguous && v->contiguous) continue;
        if (p->layout != MASCON_LAYOUT_NHWC || v->layout != MASCON_LAYOUT_NHWC) return 0;
    }
    return 1;
}

inline int64_t chunks_of(const mascon_view *v) { return divide_up(v->numel, step_chunk); }

/* Chunks of the whole list, which is also how many blocks all launches have together. */
inline int64_t list_chunks(const mascon_call *call, int groups) {
    int64_t chunks = 0;
    for (int64_t i = 0; i < call->n_list / groups; i++) {
        chunks += chunks_of(mascon_see(call->list[i]));
    }
    return chunks;
}

inline strided_row strided_row_of(const mascon_call *call, int64_t n, int groups, int64_t i) {
    strided_row r = {};
    const mascon_view *p = mascon_see(call->list[i]);
    const int64_t *strides[most_groups];
    for (int g = 0; g < most_groups; g++) {
        const mascon_view *v = g < groups ? mascon_see(call->list[g * n + i]) : p;
        strides[g] = v->stride;
        r.data[g] = g < groups ? v->data : NULL;
    }
    r.map = make_map<most_groups>(p->ndim, p->shape, strides, true);
    r.groups = groups;
    r.dtype = p->dtype;
    return r;
}

/* The rows from position *i on, of float64 or of the others, as many as there is room for. */
template <int Rows>
void fill_table(const mascon_call *call, int64_t n, int groups, int64_t *i, bool wide,
                table<Rows> *t) {
    t->rows = 0;
    t->groups = groups;
    t->first[0] = 0;
    for (; *i < n && t->rows < Rows; ++*i) {
        const mascon_view *p = mascon_see(call->list[*i]);
        if (p->numel == 0 || !belongs(call, *i, wide) || !lies_dense(call, n, groups, *i)) continue;
        if (t->first[t->rows] + (uint64_t)chunks_of(p) > INT32_MAX) break;
        const int row = t->rows++;
        t->dtype[row] = p->dtype;
        t->numel[row] = p->numel;
        t->first[row + 1] = t->first[row] + (uint32_t)chunks_of(p);
        for (int g = 0; g < most_groups; g++) {
            t->data[g][row] = g < groups ? mascon_see(call->list[g * n + *i])->data : NULL;
        }
    }
}

template <int Rows, class Step>
mascon_status run_tables(const mascon_call *call, int groups, Step *step, void *stream) {
    const int64_t n = call->n_list / groups;
    for (int64_t i = 0; i < n;) {
        const int64_t before = i;
        table<Rows> t;
        fill_table(call, n, groups, &i, is_wide<Step>, &t);
        if (t.rows == 0 && i == before) {
            return masconI_fail(MASCON_E_UNSUPPORTED, "a parameter of 2^43 elements or more");
        }
        MASCON_TRY(launch(step_table<Rows, Step>, dim3(t.first[t.rows]), dim3(step_threads), 0,
                          stream, t, *step));
        step->advance(t.first[t.rows]);
    }
    return MASCON_OK;
}

/* Runs the step over the positions of the list that it is for. */
template <class Step>
mascon_status run_part(const mascon_call *call, int groups, Step &step, void *stream) {
    const int64_t n = call->n_list / groups;
    if (is_wide<Step> || n <= few_rows_of_table) {
        MASCON_TRY((run_tables<few_rows_of_table>(call, groups, &step, stream)));
    } else {
        if constexpr (!is_wide<Step>) {
            MASCON_TRY((run_tables<many_rows_of_table>(call, groups, &step, stream)));
        }
    }
    for (int64_t i = 0; i < n; i++) {
        if (!belongs(call, i, is_wide<Step>) || mascon_see(call->list[i])->numel == 0 ||
            lies_dense(call, n, groups, i)) {
            continue;
        }
        const strided_row r = strided_row_of(call, n, groups, i);
        const unsigned chunks = (unsigned)chunks_of(mascon_see(call->list[i]));
        MASCON_TRY(
            launch(step_strided<Step>, dim3(chunks), dim3(step_threads), 0, stream, r, step));
        step.advance(chunks);
    }
    return MASCON_OK;
}

/* Runs make(0.0f), the step in float, over the positions that are not of float64, and make(0.0) over
 * those that are. */
template <class Make>
mascon_status run_list(const mascon_call *call, int groups, Make make, void *stream) {
    bool wide = false, other = false;
    for (int64_t i = 0; i < call->n_list / groups; i++) {
        *(belongs(call, i, true) ? &wide : &other) = true;
    }
    if (other) {
        auto step = make(0.0f);
        MASCON_TRY(run_part(call, groups, step, stream));
    }
    if (!wide) return MASCON_OK;
    auto step = make(0.0);
    return run_part(call, groups, step, stream);
}

}  // namespace mascon

#endif

/* walk.cuh: index spaces that several operands share, described dimension by dimension.
 *
 * A walk_plan is a list of dimensions, outermost first, with a stride for each operand: the shape of a
 * tensor, or what an op makes of it (a repeated dimension, a part of one, one that runs backwards). walk_of
 * turns it into an index_map (device.cuh), where neighbours that lie behind one another are one
 * dimension. walk_vectorise then lets an item be several neighbours, where memory allows loads of up to
 * 16 bytes.
 */
#ifndef MASCON_CUDA_WALK_CUH
#define MASCON_CUDA_WALK_CUH

#include "cuda/device.cuh"

/* ---- On the device ---- */

/* Items 0..numel-1, each one element, or several of the innermost dimension. */
template <int N>
struct walk : index_map<N> {
    int64_t elements; /* less than items times lanes where the last item is not full */

    /* Whether operand k has one element for a whole item. */
    __device__ __forceinline__ bool repeated(int k) const {
        return this->stride[k][this->ndim ? this->ndim - 1 : 0] == 0;
    }

    /* Elements of an item of V: V but in the last one. */
    template <int V>
    __device__ __forceinline__ int count(int64_t item) const {
        if (V == 1) return 1;
        const int64_t rest = elements - item * V;
        return rest < V ? (int)rest : V;
    }
};

/* The V elements of an item from p on. */
template <int V, class T>
__device__ __forceinline__ void walk_load(const T *p, bool repeated, int count, T (&out)[V]) {
    if (V == 1 || repeated) {
        const T value = *p;
#pragma unroll
        for (int v = 0; v < V; v++) out[v] = value;
    } else if (count == V) {
        const pack<T, V> all = *(const pack<T, V> *)(const void *)p;
#pragma unroll
        for (int v = 0; v < V; v++) out[v] = all.v[v];
    } else {
#pragma unroll
        for (int v = 0; v < V; v++) out[v] = p[v < count ? v : 0];
    }
}

template <int V, class T>
__device__ __forceinline__ void walk_store(T *p, int count, const T (&in)[V]) {
    if (V == 1) {
        *p = in[0];
    } else if (count == V) {
        pack<T, V> all;
#pragma unroll
        for (int v = 0; v < V; v++) all.v[v] = in[v];
        *(pack<T, V> *)(void *)p = all;
    } else {
#pragma unroll
        for (int v = 0; v < V; v++) {
            if (v < count) p[v] = in[v];
        }
    }
}

/* ---- On the host ---- */

template <int N>
struct walk_plan {
    enum { MOST = 2 * MASCON_MAX_DIMS + 2 };
    int ndim = 0;
    int64_t size[MOST];
    int64_t stride[N][MOST];

    /* Adds the next inner dimension, with strides of 0. */
    int add(int64_t n) {
        size[ndim] = n;
        for (int k = 0; k < N; k++) stride[k][ndim] = 0;
        return ndim++;
    }

    int64_t numel() const {
        int64_t n = 1;
        for (int d = 0; d < ndim; d++) n *= size[d];
        return n;
    }

    /* Operand k is v, broadcast to the dimensions. */
    void spread(int k, const mascon_view *v) { spread_strides(v, ndim, size, stride[k]); }

    /* Without dimension d. */
    walk_plan without(int d) const {
        walk_plan rest;
        for (int i = 0; i < ndim; i++) {
            if (i == d) continue;
            const int own = rest.add(size[i]);
            for (int k = 0; k < N; k++) rest.stride[k][own] = stride[k][i];
        }
        return rest;
    }
};

/* The plan over the shape of v[0], to which the others broadcast; NULL: an operand with strides of 0,
 * for one that has no memory. */
template <int N>
static inline walk_plan<N> plan_of(const mascon_view *const (&v)[N]) {
    walk_plan<N> plan;
    for (int d = 0; d < v[0]->ndim; d++) plan.add(v[0]->shape[d]);
    for (int k = 0; k < N; k++) {
        if (v[k]) plan.spread(k, v[k]);
    }
    return plan;
}

/* The walk of a plan with at most MASCON_MAX_DIMS dimensions of a size other than 1. ordered: items keep
 * the row-major order of the plan; else they follow the memory of operand 0. */
template <int N>
static inline walk<N> walk_of(const walk_plan<N> &plan, bool ordered = false) {
    const int64_t *strides[N];
    for (int k = 0; k < N; k++) strides[k] = plan.stride[k];
    walk<N> w;
    (index_map<N> &)w =
        make_map<N>(plan.ndim, plan.size, (const int64_t *const(&)[N])strides, !ordered);
    w.elements = w.numel;
    return w;
}

/* Makes an item `lanes` neighbours, where every operand k, elements of size[k] bytes at data[k], has
 * them behind one another and aligned, or has one element for all of them. Returns whether it could. */
template <int N>
static inline bool walk_vectorise(walk<N> *w, int lanes, const void *const (&data)[N],
                                  const int (&size)[N]) {
    const int last = w->ndim - 1;
    if (lanes == 1 || last < 0 || (last > 0 && w->shape[last] % lanes != 0)) return false;
    for (int k = 0; k < N; k++) {
        if (w->stride[k][last] == 0 && k > 0) continue;
        if (w->stride[k][last] != 1) return false;
        if ((uintptr_t)data[k] % (uintptr_t)(lanes * size[k]) != 0) return false;
        for (int d = 0; d < last; d++) {
            if (w->stride[k][d] % lanes != 0) return false;
        }
    }
    w->shape[last] = (w->shape[last] + lanes - 1) / lanes;
    for (int k = 0; k < N; k++) w->stride[k][last] *= lanes;
    w->numel = 1;
    for (int d = 0; d < w->ndim; d++) w->numel *= w->shape[d];
    w->wide = w->numel >= (int64_t)1 << 31;
    for (int d = 0; d < w->ndim && !w->wide; d++) w->by[d] = make_divider((uint32_t)w->shape[d]);
    return true;
}

/* Blocks for the items of a walk. */
template <int N>
static inline unsigned walk_blocks(const walk<N> &w, int32_t device) {
    return blocks_for(w.numel, THREADS, device);
}

#endif

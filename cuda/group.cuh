/* group.cuh: what threads of a block do together: sums over groups of threads, and the end of a
 * reduction whose parts several blocks computed.
 *
 * All orders are fixed by sizes alone, so the same call gives the same bits twice.
 */
#ifndef MASCON_CUDA_GROUP_CUH
#define MASCON_CUDA_GROUP_CUH

#include "cuda/device.cuh"

#ifdef MASCON_CUDA_EMULATE
#define __grid_constant__
#endif

namespace mascon {

constexpr unsigned all_lanes = 0xffffffffu;

/* ---- Elements ---- */

/* Element i of one of the small vectors beside x (weights, statistics), whose dtype may differ from
 * that of x and which lie as they are; data NULL: absent. */
struct column {
    void *data;
    int64_t stride;
    int32_t dtype;
};

inline column column_of(const mascon_call *call, int i) {
    if (i >= call->n_src || !call->src[i]) return {NULL, 0, 0};
    const mascon_view *v = SRC(call, i);
    return {v->data, v->stride[0], v->dtype};
}

/* C: what x is computed in. Beside x of float64 all columns are float64, and no others are. */
template <class C>
__device__ inline C column_at(const column &c, int64_t i, typename exactly<C>::type absent) {
    if (!c.data) return absent;
    i *= c.stride;
    if constexpr (sizeof(C) == 8) {
        return load((const double *)c.data, i);
    } else {
        switch (c.dtype) {
            case MASCON_DTYPE_F32:
                return load((const float *)c.data, i);
            case MASCON_DTYPE_BF16:
                return load((const bfloat16 *)c.data, i);
            default:
                return load((const half *)c.data, i);
        }
    }
}

template <class C>
__device__ inline void column_set(const column &c, int64_t i, typename exactly<C>::type v) {
    i *= c.stride;
    if constexpr (sizeof(C) == 8) {
        store((double *)c.data, i, v);
    } else {
        switch (c.dtype) {
            case MASCON_DTYPE_F32:
                store((float *)c.data, i, v);
                break;
            case MASCON_DTYPE_BF16:
                store((bfloat16 *)c.data, i, v);
                break;
            default:
                store((half *)c.data, i, v);
                break;
        }
    }
}

/* ---- Memory ---- */

/* What a kernel wants of x where it takes both dense orders. */
inline uint8_t order_of(const mascon_view *x) {
    return x->layout == MASCON_LAYOUT_NHWC && !x->contiguous ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
}

inline bool is_nhwc(const mascon_view *x) {
    return x->layout == MASCON_LAYOUT_NHWC && !x->contiguous;
}

inline bool aligned(const void *p, size_t bytes) { return (uintptr_t)p % bytes == 0; }

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The smallest power of two that is at least n, between low and high. */
inline int power_between(int64_t n, int low, int high) {
    int p = low;
    while (p < high && p < n) p *= 2;
    return p;
}

/* ---- Strides ---- */

/* Some dimensions of x; the last one runs fastest. */
struct axes {
    int n;
    int64_t size[MASCON_MAX_DIMS], stride[MASCON_MAX_DIMS], out[MASCON_MAX_DIMS];
};

/* Not inlined: kernels have several of these, and one dimension is the common case. */
template <class Index>
__device__ __attribute__((noinline)) int64_t axes_offset_of(const axes &a, const int64_t *stride,
                                                            Index i) {
    int64_t offset = 0;
    for (int d = a.n - 1; d > 0; d--) {
        const Index size = (Index)a.size[d], rest = i / size;
        offset += (int64_t)(i - rest * size) * stride[d];
        i = rest;
    }
    return a.n > 0 ? offset + (int64_t)i * stride[0] : 0;
}

__device__ inline int64_t axes_offset(const axes &a, const int64_t *stride, int64_t i, int narrow) {
    if (a.n <= 1) return a.n ? i * stride[0] : 0;
    if (narrow) return axes_offset_of<uint32_t>(a, stride, (uint32_t)i);
    return axes_offset_of<int64_t>(a, stride, i);
}

/* Adds an axis behind the last one, merged with it where it may be. */
inline void push_axis(axes *a, int64_t size, int64_t stride, int64_t out) {
    const int last = a->n - 1;
    if (last >= 0 && a->stride[last] == stride * size && a->out[last] == out * size) {
        a->size[last] *= size;
        a->stride[last] = stride;
        a->out[last] = out;
        return;
    }
    a->size[a->n] = size;
    a->stride[a->n] = stride;
    a->out[a->n++] = out;
}

/* ---- Groups of threads ---- */

/* s of the lane whose number differs by the bits of mask. State: plain words, in multiples of 4. */
template <class State>
__device__ inline State shuffle_xor(const State &s, int mask) {
    static_assert(sizeof(State) % 4 == 0, "whole words");
    union both {
        State s;
        unsigned word[sizeof(State) / 4];
        __device__ both() {}
    } from, to;
    from.s = s;
#pragma unroll
    for (unsigned i = 0; i < sizeof(State) / 4; i++) {
        to.word[i] = __shfl_xor_sync(all_lanes, from.word[i], mask);
    }
    return to.s;
}

/* Combines the states of each group of `size` neighbouring threads of a one-dimensional block (size: a
 * power of two that divides the block); every thread gets its group's. All threads of the block
 * call it. combine(a, b) with the lower threads' state first. */
template <class State, class Combine>
__device__ inline State group_reduce(State s, int size, const Combine &combine) {
    const int thread = (int)threadIdx.x;
    for (int mask = 1; mask < size && mask < 32; mask *= 2) {
        const State other = shuffle_xor(s, mask);
        s = thread & mask ? combine(other, s) : combine(s, other);
    }
    if (size <= 32) return s;
    __shared__ State scratch[32];
    if (thread % 32 == 0) scratch[thread / 32] = s;
    __syncthreads();
    const int first = thread / size * (size / 32);
    s = scratch[first];
    for (int i = 1; i < size / 32; i++) s = combine(s, scratch[first + i]);
    __syncthreads();
    return s;
}

struct add_double {
    __device__ double operator()(double a, double b) const { return a + b; }
};

/* Two sums at once. */
template <class C>
struct pair {
    C a, b;
};
typedef pair<double> pair_double;

struct add_pair {
    template <class C>
    __device__ pair<C> operator()(pair<C> x, pair<C> y) const {
        return {x.a + y.a, x.b + y.b};
    }
};

/* Number, mean and squared deviations of some elements. */
template <class C>
struct moments {
    C n, mean, squares;
};

template <class C>
__device__ inline moments<C> join_moments(const moments<C> &a, const moments<C> &b) {
    if (b.n == 0) return a;
    if (a.n == 0) return b;
    const C n = a.n + b.n, share = b.n / n, d = b.mean - a.mean;
    return {n, a.mean + d * share, a.squares + b.squares + d * d * a.n * share};
}

struct join_moments_of {
    template <class C>
    __device__ moments<C> operator()(const moments<C> &a, const moments<C> &b) const {
        return join_moments(a, b);
    }
};

/* The largest of some numbers, and the sum of exp(number - largest). */
template <class C>
struct exponentials {
    C top, sum;
};

template <class C>
__device__ inline void add_exponential(exponentials<C> &s, C v) {
    if (v > s.top) {
        s.sum = s.sum * exp(s.top - v) + 1;
        s.top = v;
    } else {
        s.sum += v == s.top ? 1 : exp(v - s.top);
    }
}

template <class C>
__device__ inline exponentials<C> join_exponentials(const exponentials<C> &a,
                                                    const exponentials<C> &b) {
    if (a.top == b.top) return {a.top, a.sum + b.sum};
    const bool first = a.top > b.top;
    const exponentials<C> high = first ? a : b, low = first ? b : a;
    return {high.top, high.sum + low.sum * exp(low.top - high.top)};
}

struct join_exponentials_of {
    template <class C>
    __device__ exponentials<C> operator()(const exponentials<C> &a,
                                          const exponentials<C> &b) const {
        return join_exponentials(a, b);
    }
};

/* ---- Reductions over several blocks ---- */

/* Results that may be under way at a time. */
constexpr int counters_count = 4096;
/* How many blocks of a result are done; all zero between kernels. */
static __device__ unsigned counters[counters_count];

/* Called by all threads of each of `blocks` blocks that work on result `which`, after their parts are
 * written; true in the block that comes last, which then sees the parts of all. Kernels that use it
 * run one after the other, on one stream. A block that works alone needs no counter, so `which` may then
 * be any number. */
__device__ inline bool last_block(int which, unsigned blocks) {
    __shared__ bool last;
    if (blocks == 1) {
        __syncthreads();
        return true;
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        last = atomicAdd(&counters[which], 1u) == blocks - 1;
        __threadfence();
        if (last) counters[which] = 0;
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
}

/* Blocks that keep a large device busy; a constant, since the order of sums follows from it. */
constexpr int64_t busy_blocks = 528;

/* Into how many parts each of `tiles` results is cut, of `work` parts at most. */
inline int splits_of(int64_t tiles, int64_t work) {
    if (tiles >= busy_blocks / 2 || work <= 1) return 1;
    const int64_t wanted = divide_up(busy_blocks, tiles);
    return (int)(wanted < work ? wanted : work);
}

}  // namespace mascon

#endif

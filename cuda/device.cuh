/* device.cuh: what the kernels in cuda are written with.
 *
 * Conventions
 *   - A .cu file is compiled twice: by nvcc for a GPU, and by g++ as C++17 for the fake device (then
 *     MASCON_CUDA_EMULATE is defined and fake/emulate.h stands for the built-in functions). Use only what
 *     both know; add to emulate.h what is missing there. No __constant__ copies, no cooperative groups,
 *     no thrust or cub, no extern __shared__ (dynamic_shared<T>() instead), no inline PTX outside of
 *     #ifndef MASCON_CUDA_EMULATE.
 *   - One file holds one family of ops. Everything in it is in an anonymous namespace but the table
 *     entries: MASCON_KERNEL(neg, neg_wish, nullptr, neg_run); defines masconG_neg, which backend.c finds
 *     by its name. wish, workspace and run mean what they mean on the CPU (mascon_backend.h); any of
 *     the first two may be nullptr.
 *   - run gets exec->stream and launches on it, with launch(kernel, grid, block, shared, stream, ...).
 *     Arguments are converted to the kernel's parameters. A grid with a zero size is no launch. More than
 *     48 KB of dynamic shared memory: allow_shared(kernel, bytes) first.
 *   - Nothing waits: no synchronisation, no reading of device memory (the fake faults on it), no
 *     allocation. Scratch memory is what workspace() asked for. Memory from the host reaches a kernel as
 *     arguments (up to 4 KB, where more is not asked of the toolkit), and in no other way.
 *   - What differs each time a recorded call is replayed (random state, options of kind LIVE) is one plain
 *     struct T of at most MASCON_LIVE_BYTES, filled by a host function T of(const mascon_call *). run passes
 *     live_of(exec, of(call)) to the kernel, whose threads ask now() of it; the entry is
 *     MASCON_KERNEL_LIVE(dropout, wish, nullptr, run, of). No decision on the host depends on it.
 *   - Elements of T are computed in compute_of<T>: double for double, float for the other floating types.
 *     to_real(v) and load(p, i) give such a value; from_real<T>(v) and store(p, i, v) round it back. No
 *     other place decides between float and double; a kernel of float32 has no double by accident.
 *     Types: float, double, bfloat16, half, int64_t, int32_t, uint8_t, bool.
 *   - Same call, same bits: sums go through warp_reduce and block_reduce, whose order is fixed; no
 *     floating atomics unless the result does not depend on the order.
 *   - A bad index never traps: report_index(reporter, position, value) notes it for the next read, the
 *     kernel skips the element and goes on.
 *   - A kernel for blocks of more than 256 threads says so with __launch_bounds__, or it could get more
 *     registers than such a block has (spec/kernel_sources_spec.lua).
 *   - Every kernel states the shapes of what it works on. Positions are int64_t unless checked to fit.
 */
#ifndef MASCON_CUDA_DEVICE_CUH
#define MASCON_CUDA_DEVICE_CUH

#ifdef MASCON_CUDA_EMULATE
#include "cuda/fake/emulate.h"
#else
#include <cuda_runtime.h>
#endif
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* core/internal.h is C11. Its atomic counters are plain numbers of the same size here: kernels' files
 * read headers of tensors and never count references. */
#define _STDATOMIC_H
#define __CLANG_STDATOMIC_H
typedef int atomic_int;
typedef long long atomic_llong;
#define memory_order_relaxed 0
#define atomic_load_explicit(p, order) (*(p))

#include "cuda/backend.h"
extern "C" {
#include "ops/nn.h"
}
#undef atomic_load_explicit
#undef memory_order_relaxed

typedef __nv_bfloat16 bfloat16;

/* ---- The table entry of a kernel ---- */

#define MASCON_KERNEL_ENTRY(op, wish, workspace, run, words)                  \
    extern "C" {                                                              \
    extern const mascon_kernel masconG_##op;                                  \
    const mascon_kernel masconG_##op = {(wish), (workspace), (run), (words)}; \
    }                                                                         \
    static_assert(MASCON_OP_##op >= 0, "an op of ops.def")
#define MASCON_KERNEL(op, wish, workspace, run) \
    MASCON_KERNEL_ENTRY(op, wish, workspace, run, nullptr)
/* of: T of(const mascon_call *), what of the call is new in each replay. */
#define MASCON_KERNEL_LIVE(op, wish, workspace, run, of) \
    MASCON_KERNEL_ENTRY(op, wish, workspace, run, live_words<of>)

/* What differs from replay to replay: the call's own, or what lies in the device's memory when the kernel
 * runs. */
template <class T>
struct live {
    T value;
    const T *from; /* NULL: value */

    __device__ __forceinline__ T now() const { return from ? *from : value; }
};

template <class T>
static inline live<T> live_of(const mascon_exec *exec, T value) {
    return {value, (const T *)exec->live};
}

/* A table entry's `live`. */
template <auto of>
static inline size_t live_words(const mascon_call *call, void *words) {
    const auto value = of(call);
    static_assert(sizeof value <= MASCON_LIVE_BYTES, "the words of one call");
    memcpy(words, &value, sizeof value);
    return sizeof value;
}

/* A wish for kernels that want dense memory: sources and outputs row-major. */
static inline int wish_row(const mascon_call *call, mascon_wish *w) {
    (void)call;
    for (int i = 0; i < MASCON_MAX_SRC; i++) w->src[i] = MASCON_WISH_ROW;
    for (int i = 0; i < MASCON_MAX_DST; i++) w->dst[i] = MASCON_WISH_ROW;
    return 1;
}

/* ---- Launching ---- */

template <class T>
struct exactly {
    typedef T type;
};

/* The size of most blocks. */
enum { THREADS = 256 };

template <class... P>
static inline mascon_status launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                   void *stream, typename exactly<P>::type... arguments) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) return MASCON_OK;
#ifdef MASCON_CUDA_EMULATE
    std::function<void()> thread;
    if (!emulate::skips) thread = [=]() { kernel(arguments...); };
    const void *pointers[] = {emulate::pointer_in(arguments)..., nullptr};
    cudaError_t error = emulate::launch((const void *)kernel, grid, block, shared, stream,
                                        std::move(thread), pointers, (int)sizeof...(P));
#else
    void *list[sizeof...(P) + 1] = {(void *)&arguments...};
    cudaError_t error =
        cuda->launch_kernel((const void *)kernel, grid, block, list, shared, (cudaStream_t)stream);
#endif
    return masconG_check(error, "launch");
}

/* Lets a kernel use more than 48 KB of dynamic shared memory (masconG_of(device)->max_shared at most). */
template <class... P>
static inline mascon_status allow_shared(void (*kernel)(P...), size_t bytes) {
    return masconG_check(
        cuda->func_set_attribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)bytes),
        "allow_shared");
}

/* The block's dynamic shared memory. */
template <class T>
static __device__ __forceinline__ T *dynamic_shared() {
#ifdef MASCON_CUDA_EMULATE
    return (T *)emulate::dynamic;
#else
    extern __shared__ __align__(16) unsigned char masconG_shared[];
    return (T *)masconG_shared;
#endif
}

/* Blocks for n things of which each block does `per_block` at a time in a grid-stride loop: enough to
 * fill the device, and no more. */
static inline unsigned blocks_for(int64_t n, int64_t per_block, int32_t device) {
    int64_t wanted = (n + per_block - 1) / per_block;
    int64_t most = (int64_t)masconG_of(device)->multiprocessors * 16;
    return (unsigned)(wanted < most ? wanted : most);
}

/* for (int64_t i = first_index(); i < n; i += grid_step()) */
static __device__ __forceinline__ int64_t first_index() {
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}
static __device__ __forceinline__ int64_t grid_step() { return (int64_t)gridDim.x * blockDim.x; }

/* ---- Element types ---- */

template <class T>
struct tag {
    typedef T type;
};

/* Calls f(tag<T>()) with the element type of a floating dtype. */
template <class F>
static inline mascon_status dispatch_float(int32_t dtype, F f) {
    switch (dtype) {
        case MASCON_DTYPE_F32:
            return f(tag<float>());
        case MASCON_DTYPE_BF16:
            return f(tag<bfloat16>());
        case MASCON_DTYPE_F16:
            return f(tag<half>());
        case MASCON_DTYPE_F64:
            return f(tag<double>());
        default:
            return masconI_fail(MASCON_E_UNSUPPORTED, "not supported on cuda for %s",
                                mascon_dtype_name(dtype));
    }
}

/* Calls f(tag<T>()) with the element type of any dtype. */
template <class F>
static inline mascon_status dispatch_any(int32_t dtype, F f) {
    switch (dtype) {
        case MASCON_DTYPE_I64:
            return f(tag<int64_t>());
        case MASCON_DTYPE_I32:
            return f(tag<int32_t>());
        case MASCON_DTYPE_U8:
            return f(tag<uint8_t>());
        case MASCON_DTYPE_BOOL:
            return f(tag<bool>());
        default:
            return dispatch_float(dtype, f);
    }
}

/* Calls f(tag<U>()) with the unsigned type of an element's size, for ops that only move elements. */
template <class F>
static inline mascon_status dispatch_size(int32_t dtype, F f) {
    switch (mascon_dtype_size(dtype)) {
        case 1:
            return f(tag<uint8_t>());
        case 2:
            return f(tag<uint16_t>());
        case 4:
            return f(tag<uint32_t>());
        default:
            return f(tag<uint64_t>());
    }
}

/* The type in which elements of T are computed. */
template <class T>
struct computed {
    typedef int64_t type;
};
template <>
struct computed<float> {
    typedef float type;
};
template <>
struct computed<bfloat16> {
    typedef float type;
};
template <>
struct computed<half> {
    typedef float type;
};
template <>
struct computed<double> {
    typedef double type;
};
template <class T>
using compute_of = typename computed<T>::type;

static __device__ __forceinline__ float to_real(float v) { return v; }
static __device__ __forceinline__ double to_real(double v) { return v; }
static __device__ __forceinline__ float to_real(bfloat16 v) { return __bfloat162float(v); }
static __device__ __forceinline__ float to_real(half v) { return __half2float(v); }

static __device__ __forceinline__ void set_real(float *p, float v) { *p = v; }
static __device__ __forceinline__ void set_real(double *p, double v) { *p = v; }
static __device__ __forceinline__ void set_real(bfloat16 *p, float v) {
    *p = __float2bfloat16_rn(v);
}
static __device__ __forceinline__ void set_real(half *p, float v) { *p = __float2half_rn(v); }

/* A computed value as an element of a floating type, rounded once. */
template <class T>
static __device__ __forceinline__ T from_real(compute_of<T> v) {
    T rounded;
    set_real(&rounded, v);
    return rounded;
}

/* Element i as it is computed, and back. */
template <class T>
static __device__ __forceinline__ compute_of<T> load(const T *p, int64_t i) {
    return to_real(p[i]);
}
template <class T>
static __device__ __forceinline__ void store(T *p, int64_t i, compute_of<T> v) {
    set_real(p + i, v);
}

/* N elements that one instruction moves; memory must be aligned to their size. */
template <class T, int N>
struct alignas(sizeof(T) * N) pack {
    T v[N];
};

/* Elements of 16 bytes; of double one at a time, which spares every kernel a second form. */
template <class T>
constexpr int pack_of() {
    return sizeof(T) < 8 ? (int)(16 / sizeof(T)) : 1;
}

static inline int aligned16(const void *p) { return ((uintptr_t)p & 15) == 0; }

/* ---- Strided positions ---- */

/* Division of a 32-bit number by a fixed one, by multiplication. */
struct divider {
    uint32_t by, magic, shift;
};

static inline divider make_divider(uint32_t by) {
    divider d = {by, 0, 0};
    while (d.shift < 32 && ((uint64_t)1 << d.shift) < by) d.shift++;
    d.magic = (uint32_t)((((uint64_t)1 << 32) * (((uint64_t)1 << d.shift) - by)) / by + 1);
    return d;
}

/* i / d.by for i < 2^31 */
static __device__ __forceinline__ uint32_t divide(uint32_t i, const divider &d) {
    return (__umulhi(i, d.magic) + i) >> d.shift;
}

/* From the number of an element to its offset in N operands of one shape: dims that lie together in all
 * of them are one. */
template <int N>
struct index_map {
    int32_t ndim;
    int32_t wide; /* more than 2^31 elements: 64-bit division */
    int64_t numel;
    divider by[MASCON_MAX_DIMS];
    int64_t shape[MASCON_MAX_DIMS];
    int64_t stride[N][MASCON_MAX_DIMS];

    /* Whether all operands are dense in the order of the numbers: the offset is the number. */
    bool dense() const {
        if (ndim > 1) return false;
        for (int k = 0; k < N && ndim; k++) {
            if (stride[k][0] != 1) return false;
        }
        return true;
    }

    __device__ __forceinline__ void offsets(int64_t i, int64_t (&out)[N]) const {
        for (int k = 0; k < N; k++) out[k] = 0;
        if (wide) {
            for (int d = ndim - 1; d > 0; d--) {
                int64_t rest = i / shape[d], at = i - rest * shape[d];
                for (int k = 0; k < N; k++) out[k] += at * stride[k][d];
                i = rest;
            }
        } else {
            uint32_t j = (uint32_t)i;
            for (int d = ndim - 1; d > 0; d--) {
                uint32_t rest = divide(j, by[d]), at = j - rest * by[d].by;
                for (int k = 0; k < N; k++) out[k] += (int64_t)at * stride[k][d];
                j = rest;
            }
            i = j;
        }
        if (ndim) {
            for (int k = 0; k < N; k++) out[k] += i * stride[k][0];
        }
    }
};

/* The map of N operands over one shape; strides[k][d] of operand k (0 where it is broadcast). Where
 * any_order is true, the numbers may run through the elements in another order than the logical one
 * (operand 0's memory order): for ops that treat every element alike. */
template <int N>
static inline index_map<N> make_map(int32_t ndim, const int64_t *shape,
                                    const int64_t *const (&strides)[N], bool any_order) {
    index_map<N> m;
    memset(&m, 0, sizeof m);
    m.numel = 1;
    for (int d = 0; d < ndim; d++) {
        m.numel *= shape[d];
        if (shape[d] == 1) continue;
        int at = m.ndim++;
        m.shape[at] = shape[d];
        for (int k = 0; k < N; k++) m.stride[k][at] = strides[k][d];
        for (; any_order && at > 0 && m.stride[0][at - 1] < m.stride[0][at]; at--) {
            int64_t t = m.shape[at];
            m.shape[at] = m.shape[at - 1], m.shape[at - 1] = t;
            for (int k = 0; k < N; k++) {
                t = m.stride[k][at];
                m.stride[k][at] = m.stride[k][at - 1], m.stride[k][at - 1] = t;
            }
        }
    }
    int n = 0; /* dims of the result so far */
    for (int d = 0; d < m.ndim; d++) {
        bool joins = n > 0;
        for (int k = 0; k < N && joins; k++) {
            joins = m.stride[k][n - 1] == m.stride[k][d] * m.shape[d];
        }
        int to = joins ? n - 1 : n++;
        m.shape[to] = joins ? m.shape[to] * m.shape[d] : m.shape[d];
        for (int k = 0; k < N; k++) m.stride[k][to] = m.stride[k][d];
    }
    m.ndim = m.numel == 0 ? 0 : n;
    m.wide = m.numel >= (int64_t)1 << 31;
    for (int d = 0; d < m.ndim && !m.wide; d++) m.by[d] = make_divider((uint32_t)m.shape[d]);
    return m;
}

/* Strides of v as an operand of a result of the given shape: 0 where it is broadcast. */
static inline void spread_strides(const mascon_view *v, int32_t ndim, const int64_t *shape,
                                  int64_t *stride) {
    for (int d = 0; d < ndim; d++) {
        int own = d - (ndim - v->ndim);
        stride[d] = own < 0 || (v->shape[own] == 1 && shape[d] != 1) ? 0 : v->stride[own];
    }
}

/* ---- Reductions: a fixed order, so that the same call gives the same bits ---- */

struct add_op {
    template <class T>
    __device__ __forceinline__ T operator()(T a, T b) const {
        return a + b;
    }
};

/* The result in every lane. All 32 lanes of the warp must come here. */
template <class T, class Op>
static __device__ __forceinline__ T warp_reduce(T v, Op op) {
    for (int bits = 16; bits > 0; bits >>= 1) {
        T other = __shfl_xor_sync(0xffffffffu, v, bits);
        /* the lower lane's value first: the same in both, whatever op is */
        v = (threadIdx.x & (unsigned)bits) ? op(other, v) : op(v, other);
    }
    return v;
}

/* The result in every thread of a one-dimensional block whose size is a multiple of 32, up to 1024. All
 * threads must come here; the shared memory is free again when the call ends. */
template <class T, class Op>
static __device__ __forceinline__ T block_reduce(T v, Op op, T neutral) {
    __shared__ T parts[32];
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    v = warp_reduce(v, op);
    if (lane == 0) parts[warp] = v;
    __syncthreads();
    v = lane < (int)((blockDim.x + 31) >> 5) ? parts[lane] : neutral;
    v = warp_reduce(v, op);
    __syncthreads();
    return v;
}

/* ---- Random numbers: the words of core/rng.c, bit for bit ---- */

struct random_key {
    uint64_t key, stream;
};

static inline random_key random_of(const mascon_call *call) {
    random_key r = {call->random[0], call->random[1]};
    return r;
}

/* The four words of a block. */
static __device__ __forceinline__ uint4 philox(random_key r, uint64_t block) {
    uint32_t k0 = (uint32_t)r.key, k1 = (uint32_t)(r.key >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)r.stream, c3 = (uint32_t)(r.stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint32_t high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32_t high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c2 = high0 ^ c3 ^ k1;
        c1 = low1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

/* Word i of the stream. */
static __device__ __forceinline__ uint32_t random_word(random_key r, uint64_t i) {
    uint4 w = philox(r, i / 4);
    uint32_t k = (uint32_t)(i & 3);
    return k == 0 ? w.x : k == 1 ? w.y : k == 2 ? w.z : w.w;
}

/* Uniform in [0, 1) with 24 bits. */
static __device__ __forceinline__ float uniform_of(uint32_t word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* ---- Bad indices ---- */

/* What a kernel needs to report one; made on the host, passed by value. */
struct reporter {
    masconG_report *slot;
    const char *words;
    int64_t total, base, size;
    int32_t op;
};

/* Of an op's input: total values, which should lie in base..base+size-1. words names in the plural what
 * they number ("classes", "positions of dimension 2"); it must live for ever (masconG_words), and is
 * NULL for class labels. */
static inline reporter make_reporter(const mascon_call *call, int32_t device, const char *words,
                                     int64_t total, int64_t base, int64_t size) {
    reporter r = {masconG_of(device)->report, words, total, base, size, call->op};
    return r;
}

/* Notes that the value at a position (from 0, in logical order) is none of base..base+size-1. The first
 * of a device is kept until the host reads it. */
static __device__ __forceinline__ void report_index(const reporter &r, int64_t position,
                                                    int64_t value) {
    if (atomicCAS(&r.slot->taken, 0, 1) != 0) return;
    r.slot->op = r.op;
    r.slot->words = r.words;
    r.slot->position = position;
    r.slot->total = r.total;
    r.slot->value = value;
    r.slot->base = r.base;
    r.slot->size = r.size;
    __threadfence_system();
    *(volatile int32_t *)&r.slot->written = 1;
}

/* value - base where it is one of the size allowed; else -1, reported. */
static __device__ __forceinline__ int64_t checked_index(const reporter &r, int64_t position,
                                                        int64_t value) {
    int64_t i = value - r.base;
    if (i >= 0 && i < r.size) return i;
    report_index(r, position, value);
    return -1;
}

/* Reads an index of dtype int64, int32 or uint8. */
static __device__ __forceinline__ int64_t load_index(const void *p, int32_t dtype, int64_t i) {
    return dtype == MASCON_DTYPE_I64   ? ((const int64_t *)p)[i]
           : dtype == MASCON_DTYPE_I32 ? (int64_t)((const int32_t *)p)[i]
                                       : (int64_t)((const uint8_t *)p)[i];
}

#endif

/* emulate.h: what device.cuh includes in place of the GPU's built-in functions when kernels are compiled
 * as C++ for the fake device.
 *
 * A grid runs block after block on one thread of the host, under one lock. The threads of a block are
 * fibers; one that meets no barrier runs to its end like an ordinary loop, and its fiber takes the next
 * thread. A barrier, a shuffle or a vote suspends the fiber until the others have come. Threads that can
 * never meet end the launch with an error, as a GPU would hang.
 */
#ifndef MASCON_CUDA_EMULATE_H
#define MASCON_CUDA_EMULATE_H

#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#undef __shared__
#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __grid_constant__
#define __grid_constant__
#define __shared__ static
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace emulate {

/* Where the running fiber is. */
struct place {
    uint3 thread, block;
    dim3 block_dim, grid_dim;
};
extern place now;
extern void *dynamic;  /* the block's dynamic shared memory */
extern bool skips;     /* kernels are not run (MASCON_FAKE_SKIP) */
extern bool backwards; /* the last thread and block go first (MASCON_FAKE_BACKWARDS) */

/* Queues a grid whose every thread calls `thread`; kernel only identifies it. pointers: those among its
 * arguments. */
cudaError_t launch(const void *kernel, dim3 grid, dim3 block, size_t shared, void *stream,
                   std::function<void()> thread, const void *const *pointers, int n_pointers);

/* An argument where it is a pointer, else NULL. */
template <class T>
const void *pointer_in(const T &argument) {
    if constexpr (std::is_pointer<T>::value) {
        return (const void *)argument;
    } else {
        (void)argument;
        return nullptr;
    }
}

/* Where a barrier stands in the source. */
struct source_line {
    const char *file;
    int line;
};

/* Waits for all threads of the block that still run. */
void block_barrier(const source_line &at);
/* Waits for the lanes of mask that still run. */
void warp_barrier(unsigned mask);
/* Room of 16 bytes per lane for what a warp exchanges. */
void *lane_slot(unsigned lane);
unsigned lane();
unsigned live_lanes();
/* Sums value over the block, between two barriers. */
int block_count(int value, const source_line &at);

/* watch.cpp: told of everything that orders accesses, in the library that looks for races. */
#ifdef MASCON_CUDA_WATCH
#define EMULATE_UNWATCHED __attribute__((no_sanitize_thread))
extern char *stack_low;
void watch_launch(const void *shared, size_t bytes);
bool watch_end();
void watch_block();
void watch_arrival(const source_line &at);
void watch_round();
void watch_warp(int warp);
void watch_atomic(const void *at, size_t bytes);
void watch_fence();
#else
#define EMULATE_UNWATCHED
inline void watch_launch(const void *, size_t) {}
inline bool watch_end() { return true; }
inline void watch_block() {}
inline void watch_arrival(const source_line &) {}
inline void watch_round() {}
inline void watch_warp(int) {}
inline void watch_atomic(const void *, size_t) {}
inline void watch_fence() {}
#endif

template <class T>
EMULATE_UNWATCHED T exchange(unsigned mask, T value, unsigned from) {
    static_assert(sizeof(T) <= 16, "a lane passes 16 bytes at most");
    std::memcpy(lane_slot(lane()), &value, sizeof value);
    warp_barrier(mask);
    /* what a lane that is gone or not in the mask would give is not defined: a pattern here */
    if (live_lanes() >> (from & 31) & mask >> (from & 31) & 1) {
        std::memcpy(&value, lane_slot(from & 31), sizeof value);
    } else {
        std::memset(&value, 0xff, sizeof value);
    }
    warp_barrier(mask);
    return value;
}

}  // namespace emulate

#define threadIdx (emulate::now.thread)
#define blockIdx (emulate::now.block)
#define blockDim (emulate::now.block_dim)
#define gridDim (emulate::now.grid_dim)
constexpr int warpSize = 32;

/* ---- Barriers, shuffles and votes ---- */

inline void __syncthreads(emulate::source_line at = {__builtin_FILE(), __builtin_LINE()}) {
    emulate::block_barrier(at);
}
inline int __syncthreads_count(int v,
                               emulate::source_line at = {__builtin_FILE(), __builtin_LINE()}) {
    return emulate::block_count(v != 0, at);
}
inline int __syncthreads_or(int v, emulate::source_line at = {__builtin_FILE(), __builtin_LINE()}) {
    return emulate::block_count(v != 0, at) != 0;
}
inline int __syncthreads_and(int v,
                             emulate::source_line at = {__builtin_FILE(), __builtin_LINE()}) {
    return emulate::block_count(v == 0, at) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulate::warp_barrier(mask); }
inline void __threadfence() { emulate::watch_fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { emulate::watch_fence(); }

template <class T>
T __shfl_sync(unsigned mask, T v, int from, int width = 32) {
    unsigned base = emulate::lane() & ~(unsigned)(width - 1);
    return emulate::exchange(mask, v, base + ((unsigned)from & (unsigned)(width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32) {
    unsigned me = emulate::lane(), from = me ^ (unsigned)bits;
    if ((from & ~(unsigned)(width - 1)) > (me & ~(unsigned)(width - 1))) from = me;
    return emulate::exchange(mask, v, from);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) {
    unsigned me = emulate::lane(), from = me + by;
    if ((me & (unsigned)(width - 1)) + by >= (unsigned)width) from = me;
    return emulate::exchange(mask, v, from);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32) {
    unsigned me = emulate::lane();
    unsigned from = (me & (unsigned)(width - 1)) < by ? me : me - by;
    return emulate::exchange(mask, v, from);
}
inline unsigned __activemask() { return emulate::live_lanes(); }
EMULATE_UNWATCHED inline unsigned __ballot_sync(unsigned mask, int v) {
    unsigned bits = 0, value = v != 0;
    std::memcpy(emulate::lane_slot(emulate::lane()), &value, sizeof value);
    emulate::warp_barrier(mask);
    for (unsigned i = 0, live = mask & emulate::live_lanes(); i < 32; i++) {
        if (!(live >> i & 1)) continue;
        std::memcpy(&value, emulate::lane_slot(i), sizeof value);
        bits |= value << i;
    }
    emulate::warp_barrier(mask);
    return bits;
}
inline int __any_sync(unsigned mask, int v) { return __ballot_sync(mask, v) != 0; }
inline int __all_sync(unsigned mask, int v) { return __ballot_sync(mask, !v) == 0; }

/* ---- Atomics: one fiber runs at a time ---- */

template <class T, class F>
EMULATE_UNWATCHED T emulate_update(T *at, F change) {
    emulate::watch_atomic(at, sizeof *at);
    T old = *at;
    *at = change(old);
    return old;
}
template <class T, class V>
T atomicAdd(T *at, V v) {
    return emulate_update(at, [&](T old) { return (T)(old + (T)v); });
}
template <class T, class V>
T atomicMax(T *at, V v) {
    return emulate_update(at, [&](T old) { return old < (T)v ? (T)v : old; });
}
template <class T, class V>
T atomicMin(T *at, V v) {
    return emulate_update(at, [&](T old) { return (T)v < old ? (T)v : old; });
}
template <class T, class V>
T atomicOr(T *at, V v) {
    return emulate_update(at, [&](T old) { return (T)(old | (T)v); });
}
template <class T, class V>
T atomicAnd(T *at, V v) {
    return emulate_update(at, [&](T old) { return (T)(old & (T)v); });
}
template <class T, class V>
T atomicExch(T *at, V v) {
    return emulate_update(at, [&](T) { return (T)v; });
}
template <class T, class C, class V>
T atomicCAS(T *at, C expected, V v) {
    return emulate_update(at, [&](T old) { return old == (T)expected ? (T)v : old; });
}
inline unsigned atomicInc(unsigned *at, unsigned limit) {
    return emulate_update(at, [&](unsigned old) { return old >= limit ? 0u : old + 1; });
}

/* ---- Arithmetic ---- */

template <class T>
T __ldg(const T *p) {
    return *p;
}
template <class To, class From>
To emulate_bits(From v) {
    To to;
    std::memcpy(&to, &v, sizeof to);
    return to;
}
inline int __float_as_int(float v) { return emulate_bits<int>(v); }
inline unsigned __float_as_uint(float v) { return emulate_bits<unsigned>(v); }
inline float __int_as_float(int v) { return emulate_bits<float>(v); }
inline float __uint_as_float(unsigned v) { return emulate_bits<float>(v); }
inline long long __double_as_longlong(double v) { return emulate_bits<long long>(v); }
inline double __longlong_as_double(long long v) { return emulate_bits<double>(v); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz((unsigned)v); }
inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline double rsqrt(double v) { return 1.0 / std::sqrt(v); }
inline float __frcp_rn(float v) { return 1.0f / v; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fsqrt_rn(float v) { return std::sqrt(v); }
inline float __saturatef(float v) { return v > 0 ? (v < 1 ? v : 1) : 0; }
/* Names with __ that glibc's own headers have taken are macros here. */
inline float emulate_expf(float v) { return std::exp(v); }
inline float emulate_logf(float v) { return std::log(v); }
inline float emulate_powf(float a, float b) { return std::pow(a, b); }
inline float emulate_sinf(float v) { return std::sin(v); }
inline float emulate_cosf(float v) { return std::cos(v); }
#define __expf emulate_expf
#define __logf emulate_logf
#define __powf emulate_powf
#define __sinf emulate_sinf
#define __cosf emulate_cosf

template <class A, class B>
constexpr auto min(A a, B b) -> decltype(a + b) {
    return b < a ? b : a;
}
template <class A, class B>
constexpr auto max(A a, B b) -> decltype(a + b) {
    return a < b ? b : a;
}

#endif

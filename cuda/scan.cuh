/* scan.cuh: running sums over the threads of a block, in a fixed order. */
#ifndef MASCON_CUDA_SCAN_CUH
#define MASCON_CUDA_SCAN_CUH

#include "cuda/device.cuh"

/* Sums of int64_t wrap around. */
static __device__ __forceinline__ int scan_add(int a, int b) { return a + b; }
static __device__ __forceinline__ double scan_add(double a, double b) { return a + b; }
static __device__ __forceinline__ int64_t scan_add(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* The sum of v over the threads before this one; *total that of all. Blocks of THREADS threads, all of
 * which come here; the shared memory is free again when the call ends. */
template <class T>
static __device__ __forceinline__ T block_scan(T v, T *total) {
    __shared__ T parts[THREADS / 32];
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    T sum = v;
    for (int by = 1; by < 32; by *= 2) {
        const T other = __shfl_up_sync(0xffffffffu, sum, by);
        if (lane >= by) sum = scan_add(other, sum);
    }
    if (lane == 31) parts[warp] = sum;
    __syncthreads();
    T before = 0, all = 0;
    for (int i = 0; i < THREADS / 32; i++) {
        if (i == warp) before = all;
        all = scan_add(all, parts[i]);
    }
    __syncthreads();
    *total = all;
    /* the sum up to this thread, without it: from the lane before, not by subtraction */
    const T left = __shfl_up_sync(0xffffffffu, sum, 1);
    return lane ? scan_add(before, left) : before;
}

/* totals {n, pieces}: each becomes the sum of those before it in its line. A block for each of the n
 * lines. */
template <class S>
static __global__ void scan_totals(int64_t n, int64_t pieces, S *totals) {
    for (int64_t line = blockIdx.x; line < n; line += gridDim.x) {
        S carry = 0;
        for (int64_t first = 0; first < pieces; first += THREADS) {
            const int64_t i = first + threadIdx.x;
            S *own = totals + line * pieces + i;
            S all, before = block_scan(i < pieces ? *own : (S)0, &all);
            if (i < pieces) *own = scan_add(carry, before);
            carry = scan_add(carry, all);
        }
    }
}

#endif

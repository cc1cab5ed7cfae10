/* random.cu: kernels of the ops that draw numbers: the values of lib/reference/random.c.
 *
 * Element i in logical row-major order draws from words of the stream that its number names, so values
 * depend on neither layout, grid nor device. Arithmetic is in double, as on the CPU.
 */
#include "cuda/element.cuh"
#include "cuda/walk.cuh"

namespace {

/* from + (to - from) * u as on the CPU, where nothing is fused. */
__device__ __forceinline__ double stretched(double from, double span, double u) {
#ifdef MASCON_CUDA_EMULATE
    return from + span * u;
#else
    return __dadd_rn(from, __dmul_rn(span, u));
#endif
}

/* A double rounded to the element type and back. */
template <class T>
__device__ __forceinline__ double rounded(double v) {
    return take<double>(give<T>(v));
}

__device__ __forceinline__ uint64_t two_words(uint32_t low, uint32_t high) {
    return (uint64_t)high << 32 | low;
}

/* Writes the values of elements 4 * block .. 4 * block + 3. */
template <class T>
__device__ __forceinline__ void write_four(const walk<1> &w, T *y, int64_t block,
                                           const double (&v)[4]) {
    for (int k = 0; k < 4; k++) {
        const int64_t i = 4 * block + k;
        int64_t at[1];
        if (i >= w.numel) return;
        w.offsets(i, at);
        y[at[0]] = give<T>(v[k]);
    }
}

/* Uniform in from..to, to itself left out: 24 bits of a word, or of float64 53 bits of two. */
template <class T>
__global__ void uniform_kernel(walk<1> w, live<random_key> random, double from, double to, T *y) {
    const random_key key = random.now();
    const int64_t blocks = (w.numel + 3) / 4;
    for (int64_t block = first_index(); block < blocks; block += grid_step()) {
        double v[4];
        if (sizeof(T) == 8) {
            for (int half_block = 0; half_block < 2; half_block++) {
                const uint4 word = philox(key, 2 * (uint64_t)block + (uint64_t)half_block);
                v[2 * half_block] = (double)(two_words(word.x, word.y) >> 11) * 0x1p-53;
                v[2 * half_block + 1] = (double)(two_words(word.z, word.w) >> 11) * 0x1p-53;
            }
        } else {
            const uint4 word = philox(key, (uint64_t)block);
            v[0] = (double)uniform_of(word.x);
            v[1] = (double)uniform_of(word.y);
            v[2] = (double)uniform_of(word.z);
            v[3] = (double)uniform_of(word.w);
        }
        for (int k = 0; k < 4; k++) {
            v[k] = rounded<T>(stretched(from, to - from, v[k]));
            if (v[k] >= to) v[k] = from; /* rounding may reach the end, which is not in the range */
        }
        write_four(w, y, block, v);
    }
}

/* Two normal values by the transformation of Box and Muller. */
__device__ __forceinline__ void two_normals(uint32_t first, uint32_t second, double *a, double *b) {
    /* in (0, 1], so that the logarithm is finite */
    const double radius = sqrt(-2 * log(((double)first + 1) * 0x1p-32));
    const double angle = 6.283185307179586476925286766559 * ((double)second * 0x1p-32);
    *a = radius * cos(angle);
    *b = radius * sin(angle);
}

template <class T>
__global__ void normal_kernel(walk<1> w, live<random_key> random, double mean, double deviation,
                              T *y) {
    const random_key key = random.now();
    const int64_t blocks = (w.numel + 3) / 4;
    for (int64_t block = first_index(); block < blocks; block += grid_step()) {
        const uint4 word = philox(key, (uint64_t)block);
        double v[4];
        two_normals(word.x, word.y, &v[0], &v[1]);
        two_normals(word.z, word.w, &v[2], &v[3]);
        for (int k = 0; k < 4; k++) v[k] = stretched(mean, deviation, v[k]);
        write_four(w, y, block, v);
    }
}

/* High 64 bits of the product. */
__device__ __forceinline__ uint64_t high_product(uint64_t a, uint64_t b) {
#ifdef MASCON_CUDA_EMULATE
    return (uint64_t)((unsigned __int128)a * b >> 64);
#else
    return __umul64hi(a, b);
#endif
}

/* A whole number below n (1 or more) from words 2i and 2i + 1. */
__device__ __forceinline__ uint64_t below(const random_key &key, uint64_t i, uint64_t n) {
    const uint4 word = philox(key, i / 2);
    return high_product(i % 2 ? two_words(word.z, word.w) : two_words(word.x, word.y), n);
}

__global__ void randint_kernel(walk<1> w, live<random_key> random, int64_t low, uint64_t n,
                               any_elements y) {
    const random_key key = random.now();
    for (int64_t i = first_index(); i < w.numel; i += grid_step()) {
        int64_t at[1];
        w.offsets(i, at);
        give_any(y, at[0], low + (int64_t)below(key, (uint64_t)i, n));
    }
}

/* ---- randperm ----
 *
 * The permutation is that of Fisher and Yates from the back: for i = n-1 .. 1, positions i and
 * target(i) = below(i, i + 1) change places. Position i has its last value after step i: the value
 * that was at target(i). What was at a position p before step i came there by the last step j before,
 * the smallest j > i with target(j) = p, which put the value of position j there; without such a step
 * it is p. So values are found by following steps upwards, each on its own. A list for each p of the
 * steps with this target makes that quick: they have about log(n / p) entries, and so many steps are
 * followed.
 */

/* first {n}, next {n}: the lists; first was filled with -1. */
__global__ void list_steps(live<random_key> random, int64_t n, int64_t *first, int64_t *next) {
    const random_key key = random.now();
    for (int64_t i = first_index() + 1; i < n; i += grid_step()) {
        const int64_t target = (int64_t)below(key, (uint64_t)i, (uint64_t)i + 1);
        next[i] = (int64_t)atomicExch((unsigned long long *)&first[target], (unsigned long long)i);
    }
}

/* The smallest step after `step` whose target is p; -1 without one. */
__device__ __forceinline__ int64_t step_after(const int64_t *first, const int64_t *next, int64_t p,
                                              int64_t step) {
    int64_t best = -1;
    for (int64_t j = first[p]; j >= 0; j = next[j]) {
        if (j > step && (best < 0 || j < best)) best = j;
    }
    return best;
}

/* y {n} */
__global__ void follow_steps(live<random_key> random, int64_t n, const int64_t *first,
                             const int64_t *next, int64_t base, int64_t *y, int64_t stride) {
    const random_key key = random.now();
    for (int64_t i = first_index(); i < n; i += grid_step()) {
        int64_t p = i ? (int64_t)below(key, (uint64_t)i, (uint64_t)i + 1) : 0;
        for (int64_t j = step_after(first, next, p, i); j >= 0; j = step_after(first, next, p, p)) {
            p = j;
        }
        y[i * stride] = base + p;
    }
}

/* ---- Running ---- */

mascon_status uniform(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const walk<1> w = walk_of(plan_of<1>({y}), true);
    return dispatch_float(y->dtype, [&](auto t) {
        typedef typename decltype(t)::type T;
        return launch(uniform_kernel<T>, blocks_for((w.numel + 3) / 4, THREADS, y->device), THREADS,
                      0, exec->stream, w, live_of(exec, random_of(call)), call->attr[0],
                      call->attr[1], (T *)y->data);
    });
}

mascon_status normal(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const walk<1> w = walk_of(plan_of<1>({y}), true);
    return dispatch_float(y->dtype, [&](auto t) {
        typedef typename decltype(t)::type T;
        return launch(normal_kernel<T>, blocks_for((w.numel + 3) / 4, THREADS, y->device), THREADS,
                      0, exec->stream, w, live_of(exec, random_of(call)), call->attr[0],
                      call->attr[1], (T *)y->data);
    });
}

mascon_status randint(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const int64_t low = (int64_t)call->attr[0];
    const uint64_t n = (uint64_t)((int64_t)call->attr[1] - low) + 1;
    const walk<1> w = walk_of(plan_of<1>({y}), true);
    return launch(randint_kernel, walk_blocks(w, y->device), THREADS, 0, exec->stream, w,
                  live_of(exec, random_of(call)), low, n, any_of(y));
}

size_t randperm_workspace(const mascon_call *call) {
    return (size_t)DST(call, 0)->numel * 2 * sizeof(int64_t);
}

mascon_status randperm(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const int64_t n = y->numel;
    const unsigned blocks = blocks_for(n, THREADS, y->device);
    int64_t *first = (int64_t *)exec->workspace, *next = first + n;
    if (n == 0) return MASCON_OK;
    CUDA_TRY(memset_async(first, 0xff, (size_t)n * sizeof(int64_t), (cudaStream_t)exec->stream));
    MASCON_TRY(launch(list_steps, blocks, THREADS, 0, exec->stream, live_of(exec, random_of(call)),
                      n, first, next));
    return launch(follow_steps, blocks, THREADS, 0, exec->stream, live_of(exec, random_of(call)), n,
                  (const int64_t *)first, (const int64_t *)next, (int64_t)call->attr[1],
                  (int64_t *)y->data, y->stride[0]);
}

}  // namespace

MASCON_KERNEL_LIVE(uniform, nullptr, nullptr, uniform, random_of);
MASCON_KERNEL_LIVE(normal, nullptr, nullptr, normal, random_of);
MASCON_KERNEL_LIVE(randint, nullptr, nullptr, randint, random_of);
MASCON_KERNEL_LIVE(randperm, nullptr, randperm_workspace, randperm, random_of);

/* simd.h: how kernels reach the vector units of the processor they run on.
 *
 * MASCON_CLONES before a function of plain loops compiles it for several processors; the right one
 * is chosen when the library is loaded. With gcc only: clang 14 gives the resolvers of static
 * functions global names, and two files with a function of one name no longer link. A library built
 * by clang runs these loops for the plain processor, with the same results. Functions written with
 * AVX-512 intrinsics carry MASCON_AVX512 and are called only where masconI_has_avx512(); MASCON_AVX2
 * likewise (with FMA).
 */
#ifndef MASCON_CORE_SIMD_H
#define MASCON_CORE_SIMD_H

#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MASCON_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MASCON_CLONES
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define MASCON_HAS_AVX512_CODE 1
#define MASCON_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))
#define MASCON_AVX2 __attribute__((target("avx2,fma")))

static inline int masconI_has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static inline int masconI_has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
#define MASCON_HAS_AVX512_CODE 0
#endif

#endif

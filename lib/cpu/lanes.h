/* lanes.h: 16 elements of float32 or bfloat16 memory as vectors of float32, in plain vector code.
 *
 * A kernel's body is written once in LOAD, STORE and ROUND and included for each element type. ROUND is
 * what a value would be after a store and a load, for bodies that join what were two operations.
 */
#ifndef MASCON_CPU_LANES_H
#define MASCON_CPU_LANES_H

#include <stdint.h>

#include "core/simd.h"

enum { MASCON_LANES = 16 };

typedef float masconC_lanes __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t masconC_mask __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t masconC_words __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t masconC_halves __attribute__((vector_size(32), aligned(2), may_alias));

#define MASCON_INLINE static inline __attribute__((always_inline))

/* ---- float32 ---- */

MASCON_INLINE void masconC_load_f32(const float *p, masconC_lanes *v) {
    *v = *(const masconC_lanes *)p;
}

MASCON_INLINE void masconC_round_f32(masconC_lanes *v) { (void)v; }

MASCON_INLINE void masconC_store_f32(float *p, const masconC_lanes *v) { *(masconC_lanes *)p = *v; }

MASCON_INLINE float masconC_get_f32(const float *p) { return *p; }
MASCON_INLINE void masconC_put_f32(float *p, float v) { *p = v; }

/* ---- bfloat16: the upper half of a float32, rounded to the nearest and to even ---- */

MASCON_INLINE void masconC_load_bf16(const uint16_t *p, masconC_lanes *v) {
    *v = (masconC_lanes)(__builtin_convertvector(*(const masconC_halves *)p, masconC_words) << 16);
}

/* The upper halves of v's lanes, in words. A NaN keeps a set bit. */
MASCON_INLINE void masconC_upper(const masconC_lanes *v, masconC_words *upper) {
    const masconC_words u = (masconC_words)*v;
    const masconC_words nan = (masconC_words)(*v != *v);
    const masconC_words near = (u + 0x7fffu + (u >> 16 & 1u)) >> 16;
    *upper = (near & ~nan) | ((u >> 16 | 0x40u) & nan);
}

MASCON_INLINE void masconC_store_bf16(uint16_t *p, const masconC_lanes *v) {
    masconC_words upper;
    masconC_upper(v, &upper);
    *(masconC_halves *)p = __builtin_convertvector(upper, masconC_halves);
}

MASCON_INLINE void masconC_round_bf16(masconC_lanes *v) {
    masconC_words upper;
    masconC_upper(v, &upper);
    *v = (masconC_lanes)(upper << 16);
}

MASCON_INLINE float masconC_get_bf16(const uint16_t *p) {
    union {
        uint32_t u;
        float f;
    } v = {.u = (uint32_t)*p << 16};
    return v.f;
}

MASCON_INLINE void masconC_put_bf16(uint16_t *p, float f) {
    union {
        float f;
        uint32_t u;
    } v = {.f = f};
    *p = (uint16_t)(f != f ? v.u >> 16 | 0x40u : (v.u + 0x7fffu + (v.u >> 16 & 1u)) >> 16);
}

/* ---- The same with AVX-512 registers ---- */

#if MASCON_HAS_AVX512_CODE
MASCON_AVX512 MASCON_INLINE __m512 masconC_take_f32(const float *p) { return _mm512_loadu_ps(p); }
MASCON_AVX512 MASCON_INLINE void masconC_give_f32(float *p, __m512 v) { _mm512_storeu_ps(p, v); }
MASCON_AVX512 MASCON_INLINE __m512 masconC_same_f32(__m512 v) { return v; }

MASCON_AVX512 MASCON_INLINE __m512 masconC_take_bf16(const uint16_t *p) {
    const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

MASCON_AVX512 MASCON_INLINE __m512i masconC_upper_avx512(__m512 v) {
    const __m512i u = _mm512_castps_si512(v), top = _mm512_srli_epi32(u, 16);
    const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    const __m512i near = _mm512_srli_epi32(
        _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd), 16);
    return _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), top,
                                _mm512_set1_epi32(0x40));
}

MASCON_AVX512 MASCON_INLINE void masconC_give_bf16(uint16_t *p, __m512 v) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(masconC_upper_avx512(v)));
}

MASCON_AVX512 MASCON_INLINE __m512 masconC_same_bf16(__m512 v) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(masconC_upper_avx512(v), 16));
}

/* The lanes of m alone; the others are 0, or not written. */
MASCON_AVX512 MASCON_INLINE __m512 masconC_take_some_f32(__mmask16 m, const float *p) {
    return _mm512_maskz_loadu_ps(m, p);
}

MASCON_AVX512 MASCON_INLINE void masconC_give_some_f32(__mmask16 m, float *p, __m512 v) {
    _mm512_mask_storeu_ps(p, m, v);
}

MASCON_AVX512 MASCON_INLINE __m512 masconC_take_some_bf16(__mmask16 m, const uint16_t *p) {
    const __m512i half = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(half, 16));
}

MASCON_AVX512 MASCON_INLINE void masconC_give_some_bf16(__mmask16 m, uint16_t *p, __m512 v) {
    _mm256_mask_storeu_epi16(p, m, _mm512_cvtepi32_epi16(masconC_upper_avx512(v)));
}
#endif

#endif

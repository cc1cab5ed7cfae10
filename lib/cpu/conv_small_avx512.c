/* conv_small_avx512.c: the few-channel convolution by AVX-512. */
#include "core/simd.h"
#include "cpu/conv_small.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector512.h"

#define PAIR 2
#define WIDE 12
#define FEW 4
#define VECTOR_IS_WHOLE_PIXEL 1

/* 16 pixels of c <= 4 channels fill c vectors: picks each channel's lanes from them. */
MASCON_AVX512 static inline void pick(const float *x, int64_t c, float *out, int64_t plane) {
    __m512i lane =
        _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                           _mm512_set1_epi32((int)c));
    for (int64_t i = 0; i < c; i++) {
        __m512 v = _mm512_setzero_ps();
        for (int64_t k = 0; k < c; k++) {
            const __mmask16 here =
                _mm512_cmpeq_epi32_mask(_mm512_srli_epi32(lane, 4), _mm512_set1_epi32((int)k));
            v = _mm512_mask_permutexvar_ps(v, here, lane, _mm512_loadu_ps(x + k * VECTOR));
        }
        _mm512_storeu_ps(out + i * plane, v);
        lane = _mm512_add_epi32(lane, _mm512_set1_epi32(1));
    }
}

#include "cpu/conv_small_body.h"

const masconI_small_code masconI_small_avx512 = CODE;

#endif

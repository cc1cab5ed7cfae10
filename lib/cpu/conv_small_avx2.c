/* conv_small_avx2.c: the few-channel convolution by AVX2 and FMA. */
#include "core/simd.h"
#include "cpu/conv_small.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector256.h"

/* 16 registers hold half as many sums. */
#define PAIR 1
#define WIDE 6
#define FEW 0
#define VECTOR_IS_WHOLE_PIXEL 0

static inline void pick(const float *x, int64_t c, float *out, int64_t plane) {
    (void)x, (void)c, (void)out, (void)plane;
}

#include "cpu/conv_small_body.h"

const masconI_small_code masconI_small_avx2 = CODE;

#endif

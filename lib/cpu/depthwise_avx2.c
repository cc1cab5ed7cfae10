/* depthwise_avx2.c: the depthwise convolution by AVX2 and FMA. */
#include "core/simd.h"
#include "cpu/depthwise.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector256.h"

#define NAME masconI_depthwise_avx2
#include "cpu/depthwise_body.h"

#endif

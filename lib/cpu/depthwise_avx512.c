/* depthwise_avx512.c: the depthwise convolution by AVX-512. */
#include "core/simd.h"
#include "cpu/depthwise.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector512.h"

#define NAME masconI_depthwise_avx512
#include "cpu/depthwise_body.h"

#endif

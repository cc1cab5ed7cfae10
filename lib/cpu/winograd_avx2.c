/* winograd_avx2.c: the Winograd convolution by AVX2 and FMA: panels of 16 channels, 12 sums in
 * registers. */
#include "cpu/winograd.h"

#include "core/simd.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector256.h"

#define VECTORS 2
#include "cpu/winograd_body.h"

const masconI_winograd_code masconI_winograd_avx2 = CODE;

#endif

/* winograd_avx512.c: the Winograd convolution by AVX-512: panels of 64 channels, 24 sums in
 * registers. */
#include "cpu/winograd.h"

#include "core/simd.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector512.h"

#define VECTORS 4
#include "cpu/winograd_body.h"

const masconI_winograd_code masconI_winograd_avx512 = CODE;

#endif

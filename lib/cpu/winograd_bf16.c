/* winograd_bf16.c: the Winograd convolution by AVX-512 between bfloat16 pictures. Only what is read and
 * written is bfloat16: transforms and products are float32, as in winograd_avx512.c, because transformed
 * values in bfloat16 would lose two of its eight bits. */
#include "cpu/winograd.h"

#include "cpu/lanes.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector512.h"

#define ELEMENT uint16_t
#define TAKE(p) masconC_take_bf16(p)
#define TAKE_PART(p, m) masconC_take_some_bf16(m, p)
#define GIVE(p, v) masconC_give_bf16(p, v)
#define GIVE_PART(p, m, v) masconC_give_some_bf16(m, p, v)
#define VECTORS 4
#include "cpu/winograd_body.h"

const masconI_winograd_code masconI_winograd_bf16 = CODE;

#endif

/* attention_avx2.c: attention's products and exponentials by AVX2 and FMA. */
#include "cpu/attention.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector256.h"

#define COLUMNS 2

#include "cpu/attention_body.h"

const masconI_attention_code masconI_attention_avx2 = CODE;

#endif

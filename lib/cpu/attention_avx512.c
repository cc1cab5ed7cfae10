/* attention_avx512.c: attention's products and exponentials by AVX-512. */
#include "cpu/attention.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector512.h"

#define COLUMNS 4

#include "cpu/attention_body.h"

const masconI_attention_code masconI_attention_avx512 = CODE;

#endif

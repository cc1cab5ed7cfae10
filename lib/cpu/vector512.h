/* vector512.h: the macros of the kernels that are written once for any vector length, by AVX-512. */
#include "cpu/turn.h"

enum { VECTOR = 16 };
#define TARGET MASCON_AVX512

typedef __m512 vec;
typedef __mmask16 part;

#define REGISTER(v) "v"(v)
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define SET1(x) _mm512_set1_ps(x)
#define ZERO() _mm512_setzero_ps()
#define ADD(a, b) _mm512_add_ps(a, b)
#define MAX(a, b) _mm512_max_ps(a, b) /* NaN in b stays */
#define SUB(a, b) _mm512_sub_ps(a, b)
#define MUL(a, b) _mm512_mul_ps(a, b)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define FNMA(a, b, c) _mm512_fnmadd_ps(a, b, c)
#define PART(n) ((__mmask16)((1u << (n)) - 1))
#define LOAD_PART(p, m) _mm512_maskz_loadu_ps(m, p)
#define STORE_PART(p, m, v) _mm512_mask_storeu_ps(p, m, v)
#define SUM(v) _mm512_reduce_add_ps(v)
#define turn(r) masconI_turn16(r)

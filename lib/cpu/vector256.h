/* vector256.h: the macros of the kernels that are written once for any vector length, by AVX2. */
#include "cpu/turn.h"

enum { VECTOR = 8 };
#define TARGET MASCON_AVX2

typedef __m256 vec;
typedef __m256i part;

/* the first n lanes */
TARGET static inline __attribute__((unused)) part first_lanes(int64_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

TARGET static inline __attribute__((unused)) float lanes_added(vec v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

#define REGISTER(v) "x"(v)
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define SET1(x) _mm256_set1_ps(x)
#define ZERO() _mm256_setzero_ps()
#define ADD(a, b) _mm256_add_ps(a, b)
#define MAX(a, b) _mm256_max_ps(a, b) /* NaN in b stays */
#define SUB(a, b) _mm256_sub_ps(a, b)
#define MUL(a, b) _mm256_mul_ps(a, b)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define FNMA(a, b, c) _mm256_fnmadd_ps(a, b, c)
#define PART(n) first_lanes(n)
#define LOAD_PART(p, m) _mm256_maskload_ps(p, m)
#define STORE_PART(p, m, v) _mm256_maskstore_ps(p, m, v)
#define SUM(v) lanes_added(v)
#define turn(r) masconI_turn8(r)

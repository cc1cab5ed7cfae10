/* gemm_dot.c: c {m, n} = a {m, k} b^T + beta c with b stored {n, k}, by AVX-512.
 *
 * Both operands lie dense along the inner dimension, so blocks of 4 rows and 6 columns are dot
 * products of vectors that are loaded once for several sums, without packing. For the few rows of a
 * batch this is several times faster than oneDNN's gemm, which packs the weights at each call. */
#include "core/simd.h"
#include "cpu/gemm.h"

#if MASCON_HAS_AVX512_CODE

enum { ROWS = 4, COLUMNS = 6, VECTOR = 16 };

MASCON_AVX512 static inline __attribute__((always_inline)) void block(
    const float *a, int64_t lda, const float *b, int64_t ldb, int64_t k, float beta, float *c,
    int64_t ldc, const int rows, const int columns) {
    __m512 sum[ROWS][COLUMNS];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 6
        for (int j = 0; j < columns; j++) sum[i][j] = _mm512_setzero_ps();
    }
    for (int64_t e = 0; e < k; e += VECTOR) {
        const __mmask16 m = (__mmask16)(k - e >= VECTOR ? 0xffffu : (1u << (k - e)) - 1);
        __m512 x[ROWS];
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) x[i] = _mm512_maskz_loadu_ps(m, a + i * lda + e);
#pragma GCC unroll 6
        for (int j = 0; j < columns; j++) {
            const __m512 y = _mm512_maskz_loadu_ps(m, b + j * ldb + e);
#pragma GCC unroll 4
            for (int i = 0; i < rows; i++) sum[i][j] = _mm512_fmadd_ps(x[i], y, sum[i][j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 6
        for (int j = 0; j < columns; j++) {
            const float dot = _mm512_reduce_add_ps(sum[i][j]);
            float *to = c + i * ldc + j;
            *to = beta == 0 ? dot : dot + beta * *to;
        }
    }
}

typedef void block_function(const float *, int64_t, const float *, int64_t, int64_t, float, float *,
                            int64_t);

#define BLOCK(rows, columns)                                                                   \
    MASCON_AVX512 static void block_##rows##_##columns(const float *a, int64_t lda,            \
                                                       const float *b, int64_t ldb, int64_t k, \
                                                       float beta, float *c, int64_t ldc) {    \
        block(a, lda, b, ldb, k, beta, c, ldc, rows, columns);                                 \
    }
#define BLOCKS(columns) BLOCK(1, columns) BLOCK(2, columns) BLOCK(3, columns) BLOCK(4, columns)
BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)
BLOCKS(5)
BLOCKS(6)

#define COLUMN(columns) \
    { block_1_##columns, block_2_##columns, block_3_##columns, block_4_##columns }
static block_function *const blocks[COLUMNS][ROWS] = {COLUMN(1), COLUMN(2), COLUMN(3),
                                                      COLUMN(4), COLUMN(5), COLUMN(6)};

int masconI_gemm_dot_fits(const masconI_product *p) {
    /* oneDNN packs better where many rows share what it packs, or sums are short */
    return masconI_has_avx512() && !p->ta && p->tb && p->m <= 64 && p->k >= 4 * VECTOR;
}

void masconI_gemm_dot(const masconI_product *p, int64_t m, int64_t n, const float *a,
                      const float *b, float *c) {
    for (int64_t j = 0; j < n; j += COLUMNS) {
        const int64_t columns = n - j < COLUMNS ? n - j : COLUMNS;
        for (int64_t i = 0; i < m; i += ROWS) {
            const int64_t rows = m - i < ROWS ? m - i : ROWS;
            blocks[columns - 1][rows - 1](a + i * p->lda, p->lda, b + j * p->ldb, p->ldb, p->k,
                                          p->beta, c + i * p->ldc + j, p->ldc);
        }
    }
}

#else

int masconI_gemm_dot_fits(const masconI_product *p) {
    (void)p;
    return 0;
}

void masconI_gemm_dot(const masconI_product *p, int64_t m, int64_t n, const float *a,
                      const float *b, float *c) {
    (void)p, (void)m, (void)n, (void)a, (void)b, (void)c;
}

#endif

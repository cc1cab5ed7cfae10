/* gemm.h: matrix products in parallel, for linear.c and matmul.c. */
#ifndef MASCON_CPU_GEMM_H
#define MASCON_CPU_GEMM_H

#include "cpu/dnnl.h"

typedef struct masconI_product {
    int ta, tb; /* a is stored {k, m}; b is stored {n, k} */
    int64_t m, n, k, lda, ldb, ldc;
    float beta;
} masconI_product;

/* c {m, n} = a {m, k} b {k, n} + beta c, cut into blocks of rows or columns of c. Bits do not
 * depend on the number of threads. */
mascon_status masconI_gemm(const masconI_product *p, const float *a, const float *b, float *c);

/* gemm_dot.c: whether it serves this product, and a block of it: m rows of a, n of b. */
int masconI_gemm_dot_fits(const masconI_product *p);
void masconI_gemm_dot(const masconI_product *p, int64_t m, int64_t n, const float *a,
                      const float *b, float *c);

#endif

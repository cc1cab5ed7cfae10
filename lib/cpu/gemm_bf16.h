/* gemm_bf16.h: products of bfloat16 matrices with float32 sums, for linear_bf16.c. */
#ifndef MASCON_CPU_GEMM_BF16_H
#define MASCON_CPU_GEMM_BF16_H

#include "mascon_backend.h"

/* A matrix: element (row, column) lies at row * row_step + column * column_step. */
typedef struct masconI_half_matrix {
    uint16_t *data;
    int64_t row_step, column_step;
} masconI_half_matrix;

/* c {m, n} = a {m, k} b {k, n}, each element one float32 sum, rounded once. b is copied into the workspace
 * and a is read where it lies if its column_step is 1 and k even: so b should be the smaller factor. */
typedef struct masconI_half_product {
    int64_t m, n, k;
    masconI_half_matrix a, b, c;
    const uint16_t *row_bias, *column_bias; /* {m}, {n}, or NULL */
} masconI_half_product;

/* Whether this processor has the kernel and gains by it. */
int masconI_gemm_bf16_fits(void);
size_t masconI_gemm_bf16_workspace(const masconI_half_product *p);
/* Bits do not depend on the number of threads. */
void masconI_gemm_bf16(const masconI_half_product *p, void *workspace);

#endif

/* attention.h: what the attention kernels written for one vector length do, and what they work on.
 *
 * Matrices are row-major with a distance between rows. "Wide" rows have a multiple of `vector` floats, 0
 * beyond their end.
 */
#ifndef MASCON_CPU_ATTENTION_H
#define MASCON_CPU_ATTENTION_H

#include <stdint.h>

#include "core/simd.h"

typedef struct masconI_attention_code {
    int64_t vector;
    /* c {m, n} += a {m, k} b {k, n}; a's element {i, p} at i * rows + p * columns; n a multiple of
     * vector. first: c = instead of +=. */
    void (*product)(int64_t m, int64_t n, int64_t k, const float *a, int64_t rows, int64_t columns,
                    const float *b, int64_t ldb, float *c, int64_t ldc, int first);
    /* to {columns, ldt} = the transpose of from {rows, columns}, wide rows of ldt floats */
    void (*turned)(int64_t rows, int64_t columns, const float *from, int64_t ld, float *to,
                   int64_t ldt);
    /* The largest of n scores and `top`, n a multiple of vector. */
    float (*largest)(int64_t n, const float *s, float top);
    /* s = exp(s - top); returns their sum. NaN gives NaN. n a multiple of vector. */
    float (*exponentials)(int64_t n, float *s, float top);
    /* y = x * factor */
    void (*scaled)(int64_t n, const float *x, float factor, float *y);
} masconI_attention_code;

extern const masconI_attention_code masconI_attention_avx512, masconI_attention_avx2;

#endif

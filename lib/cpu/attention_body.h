/* attention_body.h: attention.h's functions for the vectors of vector512.h or vector256.h.
 *
 * The product keeps ROWS x COLUMNS vectors of c in registers while it walks through k. */
#include "cpu/vector_math.h"

#define ALWAYS TARGET static inline __attribute__((always_inline))

enum { ROWS = 4 };

/* c {rows, columns vectors} */
ALWAYS void block(int rows, int columns, int64_t k, const float *a, int64_t down, int64_t across,
                  const float *b, int64_t ldb, float *c, int64_t ldc, int first) {
    vec sum[ROWS][COLUMNS];
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) {
            sum[i][j] = first ? ZERO() : LOAD(c + i * ldc + j * VECTOR);
        }
    }
    for (int64_t p = 0; p < k; p++) {
        vec right[COLUMNS];
        for (int j = 0; j < columns; j++) right[j] = LOAD(b + j * VECTOR);
        for (int i = 0; i < rows; i++) {
            const vec left = SET1(a[i * down]);
            for (int j = 0; j < columns; j++) sum[i][j] = FMA(left, right[j], sum[i][j]);
        }
        a += across;
        b += ldb;
    }
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < columns; j++) STORE(c + i * ldc + j * VECTOR, sum[i][j]);
    }
}

/* All rows of `columns` vectors. */
ALWAYS void strip(int columns, int64_t m, int64_t k, const float *a, int64_t down, int64_t across,
                  const float *b, int64_t ldb, float *c, int64_t ldc, int first) {
    int64_t i = 0;
    for (; i + ROWS <= m; i += ROWS) {
        block(ROWS, columns, k, a + i * down, down, across, b, ldb, c + i * ldc, ldc, first);
    }
    for (; i < m; i++) {
        block(1, columns, k, a + i * down, down, across, b, ldb, c + i * ldc, ldc, first);
    }
}

TARGET static void product(int64_t m, int64_t n, int64_t k, const float *a, int64_t rows,
                           int64_t columns, const float *b, int64_t ldb, float *c, int64_t ldc,
                           int first) {
    int64_t j = 0;
    for (; j + COLUMNS * VECTOR <= n; j += COLUMNS * VECTOR) {
        strip(COLUMNS, m, k, a, rows, columns, b + j, ldb, c + j, ldc, first);
    }
    for (; j < n; j += VECTOR) strip(1, m, k, a, rows, columns, b + j, ldb, c + j, ldc, first);
}

TARGET static void turned(int64_t rows, int64_t columns, const float *from, int64_t ld, float *to,
                          int64_t ldt) {
    for (int64_t i = 0; i < rows; i += VECTOR) {
        const int64_t here = rows - i < VECTOR ? rows - i : VECTOR;
        for (int64_t j = 0; j < columns; j += VECTOR) {
            const int64_t wide = columns - j < VECTOR ? columns - j : VECTOR;
            const part some = PART(wide);
            vec r[VECTOR];
            for (int k = 0; k < VECTOR; k++) {
                r[k] = k < here ? LOAD_PART(from + (i + k) * ld + j, some) : ZERO();
            }
            turn(r);
            for (int64_t k = 0; k < wide; k++) STORE(to + (j + k) * ldt + i, r[k]);
        }
    }
}

TARGET static float largest(int64_t n, const float *s, float top) {
    vec v = SET1(top);
    for (int64_t i = 0; i < n; i += VECTOR) v = MAX(LOAD(s + i), v);
    float lane[VECTOR];
    STORE(lane, v);
    for (int i = 0; i < VECTOR; i++) top = lane[i] > top ? lane[i] : top;
    return top;
}

TARGET static float exponentials(int64_t n, float *s, float top) {
    vec sum = ZERO();
    for (int64_t i = 0; i < n; i += VECTOR) {
        for (int k = 0; k < VECTOR; k++) s[i + k] = vm_exp(s[i + k] - top);
        sum = ADD(sum, LOAD(s + i));
    }
    return SUM(sum);
}

TARGET static void scaled(int64_t n, const float *x, float factor, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * factor;
}

#define CODE \
    { VECTOR, product, turned, largest, exponentials, scaled }

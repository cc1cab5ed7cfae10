/* moments.c: see moments.h. */
#include "cpu/moments.h"

#include "core/simd.h"

enum { LANES = 16 };

static double total(const float lane[LANES]) {
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

MASCON_CLONES static void moments_piece(const float *x, int64_t n, float shift, float s[LANES],
                                        float q[LANES]) {
    float a[LANES] = {0}, b[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            const float d = x[i + k] - shift;
            a[k] += d;
            b[k] += d * d;
        }
    }
    for (int k = 0; i + k < n; k++) {
        const float d = x[i + k] - shift;
        a[k] += d;
        b[k] += d * d;
    }
    for (int k = 0; k < LANES; k++) {
        s[k] = a[k];
        q[k] = b[k];
    }
}

MASCON_CLONES static void products_piece(const float *dy, const float *x, int64_t n, float mean,
                                         float s[LANES], float q[LANES]) {
    float a[LANES] = {0}, b[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            a[k] += dy[i + k];
            b[k] += dy[i + k] * (x[i + k] - mean);
        }
    }
    for (int k = 0; i + k < n; k++) {
        a[k] += dy[i + k];
        b[k] += dy[i + k] * (x[i + k] - mean);
    }
    for (int k = 0; k < LANES; k++) {
        s[k] = a[k];
        q[k] = b[k];
    }
}

static int64_t piece(int64_t left) {
    return left < MASCON_MOMENTS_PIECE ? left : MASCON_MOMENTS_PIECE;
}

void masconC_moments(const float *x, int64_t n, float shift, double *sum, double *squares) {
    float s[LANES], q[LANES];
    for (int64_t i = 0; i < n; i += MASCON_MOMENTS_PIECE) {
        moments_piece(x + i, piece(n - i), shift, s, q);
        *sum += total(s);
        *squares += total(q);
    }
}

void masconC_mean_squares(const float *x, int64_t n, double *mean, double *squares) {
    double sum = 0, unused = 0, rest = 0;
    const float first = x[0];
    masconC_moments(x, n, first, &sum, &unused);
    const float middle = (float)((double)first + sum / (double)n);
    *squares = 0;
    masconC_moments(x, n, middle, &rest, squares);
    /* what the rounding of middle left over */
    *mean = (double)middle + rest / (double)n;
    *squares -= rest * rest / (double)n;
    if (*squares < 0) *squares = 0;
}

void masconC_products(const float *dy, const float *x, int64_t n, float mean, double *sum,
                      double *product) {
    float s[LANES], q[LANES];
    for (int64_t i = 0; i < n; i += MASCON_MOMENTS_PIECE) {
        products_piece(dy + i, x + i, piece(n - i), mean, s, q);
        *sum += total(s);
        *product += total(q);
    }
}

MASCON_CLONES void masconC_normalise(const float *restrict x, int64_t n, float mean, float scale,
                                     float shift, float *restrict y) {
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * scale + shift;
}

MASCON_CLONES static void combine_masked(const float *restrict dy, const float *restrict x,
                                         int64_t n, float mean, float a, float b, float c,
                                         float *restrict dx) {
    for (int64_t i = 0; i < n; i++) {
        const float v = a * dy[i] + (b * (x[i] - mean) + c);
        dx[i] = x[i] <= 0 ? 0 : v;
    }
}

MASCON_CLONES static void combine(const float *restrict dy, const float *restrict x, int64_t n,
                                  float mean, float a, float b, float c, float *restrict dx) {
    for (int64_t i = 0; i < n; i++) dx[i] = a * dy[i] + (b * (x[i] - mean) + c);
}

void masconC_combine(const float *dy, const float *x, int64_t n, float mean, float a, float b,
                     float c, int mask, float *dx) {
    (mask ? combine_masked : combine)(dy, x, n, mean, a, b, c, dx);
}

/* vector_math.h: elementary functions of a float, written so that a loop over them vectorises: no
 * branches, no table, no call. Errors are a few units in the last place; NaN and infinities give
 * what the C library gives. Nothing here needs a fused multiply-add, so every processor gives the
 * same bits.
 */
#ifndef MASCON_CPU_VECTOR_MATH_H
#define MASCON_CPU_VECTOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MASCON_INLINE static inline __attribute__((always_inline))

MASCON_INLINE float vm_float(int32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

MASCON_INLINE int32_t vm_bits(float f) {
    int32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* 2 ^ n for whole n in -126..127 */
MASCON_INLINE float vm_power_of_two(int32_t n) {
    return vm_float((int32_t)((uint32_t)(n + 127) << 23));
}

/* x = n ln 2 + r with |r| <= 0.35, for |x| < 200; returns exp(r) - 1.
 * ln 2 is taken apart so that n times its first part is exact. */
MASCON_INLINE float vm_reduce(float x, int32_t *n) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    float biased = x * 1.44269504f + shift;
    *n = vm_bits(biased) - vm_bits(shift);
    float whole = biased - shift;
    float r = x - whole * 0.693359375f;
    r = r - whole * -2.12194440e-4f;
    /* the series of exp(r) - 1 up to r^8 */
    float p = 1.0f / 40320.0f;
    p = p * r + 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    return p * r * r + r;
}

MASCON_INLINE float vm_exp(float x) {
    float inside = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;
    int32_t n;
    float p = vm_reduce(inside, &n);
    int32_t half = n >> 1; /* in two steps, for the results near 0 and near the largest float */
    float y = (1.0f + p) * vm_power_of_two(half) * vm_power_of_two(n - half);
    y = x > 88.7228394f ? INFINITY : y;
    return x != x ? x : y;
}

MASCON_INLINE float vm_expm1(float x) {
    float inside = x < -20.0f ? -20.0f : x > 89.0f ? 89.0f : x;
    int32_t n;
    float p = vm_reduce(inside, &n);
    float scale = vm_power_of_two(n - 1); /* half of 2^n, which may be too large */
    float y = 2.0f * (p * scale + (scale - 0.5f));
    y = n == 0 ? p : y;
    y = x > 88.7228394f ? INFINITY : y;
    y = x == 0.0f ? x : y;
    return x != x ? x : y;
}

/* log(x) = e ln 2 + log(m) with m in 0.707..1.414, log(m) = 2 atanh((m - 1) / (m + 1)) */
MASCON_INLINE float vm_log(float x) {
    int small = x < 1.17549435e-38f;
    float scaled = small ? x * 8388608.0f : x; /* subnormal numbers are made normal */
    int32_t bits = vm_bits(scaled);
    int32_t e = (int32_t)((uint32_t)bits - 0x3f3504f3u) >> 23; /* 0x3f3504f3: sqrt(1/2) */
    float m = vm_float((int32_t)((uint32_t)bits - ((uint32_t)e << 23)));
    float whole = (float)(small ? e - 23 : e);
    float f = m - 1.0f;
    float s = f / (2.0f + f), z = s * s;
    float p = 2.0f / 11.0f;
    p = p * z + 2.0f / 9.0f;
    p = p * z + 2.0f / 7.0f;
    p = p * z + 2.0f / 5.0f;
    p = p * z + 2.0f / 3.0f;
    /* log(m) = f - s (f - z p): f is exact, the rest is small */
    float rest = s * (f - z * p);
    float y = whole * 0.693359375f + (f + (whole * -2.12194440e-4f - rest));
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    y = x == INFINITY ? x : y;
    return x != x ? x : y;
}

/* The rounding of 1 + x is mended by x / (u - 1). */
MASCON_INLINE float vm_log1p(float x) {
    float u = 1.0f + x, d = u - 1.0f;
    float y = vm_log(u) * (x / (d == 0.0f ? 1.0f : d));
    y = d == 0.0f ? x : y;
    return x == INFINITY ? x : y;
}

MASCON_INLINE float vm_tanh(float x) {
    float size = fabsf(x), inside = size > 10.0f ? 10.0f : size;
    float e = vm_expm1(2.0f * inside);
    float y = copysignf(e / (e + 2.0f), x);
    return x != x ? x : y;
}

MASCON_INLINE float vm_sigmoid(float x) { return 1.0f / (1.0f + vm_exp(-x)); }

/* Up to 1 a polynomial in x^2, beyond it 1 - exp(-x^2) q(1 / (x + 1.5)); both were fitted at
 * Chebyshev points. */
MASCON_INLINE float vm_erf(float x) {
    float size = fabsf(x), a = size > 4.0f ? 4.0f : size, z = a * a;
    float p = -9.673590246e-06f;
    p = p * z + 1.126825369e-04f;
    p = p * z - 8.484396522e-04f;
    p = p * z + 5.221053410e-03f;
    p = p * z - 2.686543831e-02f;
    p = p * z + 1.128378262e-01f;
    p = p * z - 3.761263848e-01f;
    p = p * z + 1.128379167e+00f;
    float u = 1.0f / (a + 1.5f);
    float q = 2.416717568e+00f;
    q = q * u - 4.719586016e+00f;
    q = q * u + 2.327002574e+00f;
    q = q * u + 6.017473121e-01f;
    q = q * u + 8.977914608e-01f;
    q = q * u + 5.604156172e-01f;
    q = q * u + 1.172897686e-04f;
    float y = size <= 1.0f ? p * a : 1.0f - vm_exp(-z) * q;
    y = copysignf(y, x);
    return x != x ? x : y;
}

#endif

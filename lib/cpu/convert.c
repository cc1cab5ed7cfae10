/* convert.c: rows of elements converted from one dtype to another, with the results of the
 * reference kernels. Only conversions that the C compiler turns into a plain loop are here; the
 * others (to narrower whole numbers, which need limits) are the reference kernels'. */
#include "cpu/bf16.h"
#include "cpu/copy.h"
#include "cpu/lanes.h"

#define ROW(to, from, to_type, from_type, expression)                                             \
    static void to##_from_##from(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss) { \
        to_type *d = dst;                                                                         \
        const from_type *s = src;                                                                 \
        if (ds == 1 && ss == 1) {                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                     \
                from_type v = s[i];                                                               \
                d[i] = (to_type)(expression);                                                     \
            }                                                                                     \
        } else {                                                                                  \
            for (int64_t i = 0; i < n; i++) {                                                     \
                from_type v = s[i * ss];                                                          \
                d[i * ds] = (to_type)(expression);                                                \
            }                                                                                     \
        }                                                                                         \
    }

ROW(f32, f64, float, double, v)
ROW(f32, i64, float, int64_t, v)
ROW(f32, i32, float, int32_t, v)
ROW(f32, u8, float, uint8_t, v)
ROW(f32, bool, float, uint8_t, v != 0)
ROW(f64, f32, double, float, v)
ROW(f64, bf16, double, uint16_t, (double)masconC_get_bf16(&v))
ROW(f64, f16, double, uint16_t, (double)masconI_f16_to_f32(v))
ROW(f64, i64, double, int64_t, v)
ROW(f64, i32, double, int32_t, v)
ROW(f64, u8, double, uint8_t, v)
ROW(f64, bool, double, uint8_t, v != 0)
ROW(i64, i32, int64_t, int32_t, v)
ROW(i64, u8, int64_t, uint8_t, v)
ROW(i64, bool, int64_t, uint8_t, v != 0)
ROW(i32, u8, int32_t, uint8_t, v)
ROW(i32, bool, int32_t, uint8_t, v != 0)
ROW(u8, bool, uint8_t, uint8_t, v != 0)
ROW(bool, f32, uint8_t, float, v != 0)
ROW(bool, f64, uint8_t, double, v != 0)
ROW(bool, i64, uint8_t, int64_t, v != 0)
ROW(bool, i32, uint8_t, int32_t, v != 0)
ROW(bool, u8, uint8_t, uint8_t, v != 0)

/* ---- 16-bit floats and float32: dense rows by vectors ---- */

static void f32_from_bf16(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss) {
    float *d = dst;
    const uint16_t *s = src;
    if (ds == 1 && ss == 1) {
        masconI_bf16_widen(s, d, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) d[i * ds] = masconC_get_bf16(s + i * ss);
}

static void bf16_from_f32(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss) {
    uint16_t *d = dst;
    const float *s = src;
    if (ds == 1 && ss == 1) {
        masconI_bf16_narrow(s, d, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) masconC_put_bf16(d + i * ds, s[i * ss]);
}

#if MASCON_HAS_AVX512_CODE
/* Both instructions keep subnormals whatever mode the host set, and give quiet NaNs. */
MASCON_AVX512 static int64_t widen_f16(int64_t n, float *d, const uint16_t *s) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)(s + i));
        _mm512_storeu_ps(d + i, _mm512_cvtph_ps(half));
    }
    return i;
}

MASCON_AVX512 static int64_t narrow_f16(int64_t n, uint16_t *d, const float *s) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m512 v = _mm512_loadu_ps(s + i);
        _mm256_storeu_si256((__m256i *)(void *)(d + i),
                            _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
    return i;
}
#endif

static void f32_from_f16(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss) {
    float *d = dst;
    const uint16_t *s = src;
    int64_t i = 0;
#if MASCON_HAS_AVX512_CODE
    if (ds == 1 && ss == 1 && masconI_has_avx512()) i = widen_f16(n, d, s);
#endif
    for (; i < n; i++) d[i * ds] = masconI_f16_to_f32(s[i * ss]);
}

static void f16_from_f32(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss) {
    uint16_t *d = dst;
    const float *s = src;
    int64_t i = 0;
#if MASCON_HAS_AVX512_CODE
    if (ds == 1 && ss == 1 && masconI_has_avx512()) i = narrow_f16(n, d, s);
#endif
    for (; i < n; i++) d[i * ds] = masconI_f32_to_f16(s[i * ss]);
}

enum {
    F32 = MASCON_DTYPE_F32,
    F64 = MASCON_DTYPE_F64,
    BF16 = MASCON_DTYPE_BF16,
    F16 = MASCON_DTYPE_F16,
    I64 = MASCON_DTYPE_I64,
    I32 = MASCON_DTYPE_I32,
    U8 = MASCON_DTYPE_U8,
    BOOL = MASCON_DTYPE_BOOL
};

static const masconC_row rows[MASCON_DTYPE_COUNT][MASCON_DTYPE_COUNT] = {
    [F32] = {[F64] = f32_from_f64,
             [BF16] = f32_from_bf16,
             [F16] = f32_from_f16,
             [I64] = f32_from_i64,
             [I32] = f32_from_i32,
             [U8] = f32_from_u8,
             [BOOL] = f32_from_bool},
    [F64] = {[F32] = f64_from_f32,
             [BF16] = f64_from_bf16,
             [F16] = f64_from_f16,
             [I64] = f64_from_i64,
             [I32] = f64_from_i32,
             [U8] = f64_from_u8,
             [BOOL] = f64_from_bool},
    [BF16] = {[F32] = bf16_from_f32},
    [F16] = {[F32] = f16_from_f32},
    [I64] = {[I32] = i64_from_i32, [U8] = i64_from_u8, [BOOL] = i64_from_bool},
    [I32] = {[U8] = i32_from_u8, [BOOL] = i32_from_bool},
    [U8] = {[BOOL] = u8_from_bool},
    [BOOL] = {[F32] = bool_from_f32,
              [F64] = bool_from_f64,
              [I64] = bool_from_i64,
              [I32] = bool_from_i32,
              [U8] = bool_from_u8},
};

masconC_row masconC_convert_row(int32_t dst_dtype, int32_t src_dtype) {
    return rows[dst_dtype][src_dtype];
}

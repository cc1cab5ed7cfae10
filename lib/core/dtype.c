/* dtype.c: names and sizes of the element types, and access to one element of any of them.
 *
 * What is read is safe to hand to a scripting language: every NaN is the one canonical quiet NaN.
 * What is stored into a whole-number type is cut toward zero and kept within the type's range.
 */
#include <math.h>
#include <string.h>

#include "core/internal.h"

/* ORDER: MASCON_DTYPE_* */
static const struct {
    const char *name;
    int32_t size;
} types[MASCON_DTYPE_COUNT] = {
    {"float32", 4}, {"float64", 8}, {"bfloat16", 2}, {"float16", 2},
    {"int64", 8},   {"int32", 4},   {"uint8", 1},    {"bool", 1},
};

const char *mascon_dtype_name(int32_t dtype) {
    return dtype >= 0 && dtype < MASCON_DTYPE_COUNT ? types[dtype].name : NULL;
}

int32_t mascon_dtype_find(const char *name) {
    if (!name) return -1;
    for (int32_t i = 0; name != NULL && i < MASCON_DTYPE_COUNT; i++) {
        if (strcmp(types[i].name, name) == 0) return i;
    }
    return -1;
}

int32_t mascon_dtype_size(int32_t dtype) {
    return dtype >= 0 && dtype < MASCON_DTYPE_COUNT ? types[dtype].size : 0;
}

/* ---- The 16-bit floating types ---- */

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float masconI_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t masconI_f32_to_bf16(float f) {
    uint32_t u = bits_of(f);
    /* a NaN whose set bits are all in the lower half would become an infinity */
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

float masconI_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest >= 0x7c00u) return float_of(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest >= 0x400u) return float_of(sign | ((rest << 13) + (112u << 23)));
    float small = (float)rest * 0x1p-24f; /* zero and the subnormals, exact */
    return float_of(sign | bits_of(small));
}

uint16_t masconI_f32_to_f16(float f) {
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000u, rest = u & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 rounds to infinity */
    if (rest >= 0x38800000u) {                                  /* normal: 2^-14 and more */
        rest += 0xfffu + (rest >> 13 & 1u);
        return (uint16_t)(sign | (rest - (112u << 23)) >> 13);
    }
    /* Subnormal: count steps of 2^-24, ties to even, by shifting so that no rounding mode or
     * flush-to-zero setting of the host matters. */
    uint32_t exponent = rest >> 23;
    if (exponent < 102) return (uint16_t)sign; /* below 2^-25 */
    uint32_t mantissa = (rest & 0x7fffffu) | 0x800000u, shift = 126 - exponent;
    uint32_t steps = mantissa >> shift, lost = mantissa & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);
    steps += lost > half || (lost == half && (steps & 1u));
    return (uint16_t)(sign | steps);
}

/* ---- One element ---- */

/* Whole part of v within low..high; 0 for NaN. high is exact as a double or rounds up. */
static int64_t whole(double v, double low, double high, int64_t lowest, int64_t highest) {
    if (isnan(v)) return 0;
    if (v <= low) return lowest;
    if (v >= high) return highest;
    return (int64_t)v;
}

static int64_t to_int64(double v) { return whole(v, -0x1p63, 0x1p63, INT64_MIN, INT64_MAX); }

static double floating(const void *data, int32_t dtype, int64_t i) {
    switch (dtype) {
        case MASCON_DTYPE_F32:
            return (double)((const float *)data)[i];
        case MASCON_DTYPE_F64:
            return ((const double *)data)[i];
        case MASCON_DTYPE_BF16:
            return (double)masconI_bf16_to_f32(((const uint16_t *)data)[i]);
        default:
            return (double)masconI_f16_to_f32(((const uint16_t *)data)[i]);
    }
}

static void store_floating(void *data, int32_t dtype, int64_t i, double v) {
    switch (dtype) {
        case MASCON_DTYPE_F32:
            ((float *)data)[i] = (float)v;
            break;
        case MASCON_DTYPE_F64:
            ((double *)data)[i] = v;
            break;
        case MASCON_DTYPE_BF16:
            ((uint16_t *)data)[i] = masconI_f32_to_bf16((float)v);
            break;
        default:
            ((uint16_t *)data)[i] = masconI_f32_to_f16((float)v);
            break;
    }
}

double masconI_load(const void *data, int32_t dtype, int64_t i) {
    if (dtype >= MASCON_DTYPE_I64) return (double)masconI_load_int(data, dtype, i);
    double v = floating(data, dtype, i);
    return isnan(v) ? (double)NAN : v;
}

int64_t masconI_load_int(const void *data, int32_t dtype, int64_t i) {
    switch (dtype) {
        case MASCON_DTYPE_I64:
            return ((const int64_t *)data)[i];
        case MASCON_DTYPE_I32:
            return ((const int32_t *)data)[i];
        case MASCON_DTYPE_U8:
            return ((const uint8_t *)data)[i];
        case MASCON_DTYPE_BOOL:
            return ((const uint8_t *)data)[i] != 0;
        default:
            return to_int64(floating(data, dtype, i));
    }
}

void masconI_store(void *data, int32_t dtype, int64_t i, double v) {
    switch (dtype) {
        case MASCON_DTYPE_I64:
            ((int64_t *)data)[i] = to_int64(v);
            break;
        case MASCON_DTYPE_I32:
            ((int32_t *)data)[i] = (int32_t)whole(v, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MAX);
            break;
        case MASCON_DTYPE_U8:
            ((uint8_t *)data)[i] = (uint8_t)whole(v, 0, 255, 0, 255);
            break;
        case MASCON_DTYPE_BOOL:
            ((uint8_t *)data)[i] = v != 0;
            break;
        default:
            store_floating(data, dtype, i, v);
            break;
    }
}

/* Whole numbers wrap around within a narrower dtype, computed or converted; what comes from a floating
 * value (masconI_store) stays within the range. */
void masconI_store_int(void *data, int32_t dtype, int64_t i, int64_t v) {
    switch (dtype) {
        case MASCON_DTYPE_I64:
            ((int64_t *)data)[i] = v;
            break;
        case MASCON_DTYPE_I32:
            ((int32_t *)data)[i] = (int32_t)(uint32_t)v;
            break;
        case MASCON_DTYPE_U8:
            ((uint8_t *)data)[i] = (uint8_t)v;
            break;
        case MASCON_DTYPE_BOOL:
            ((uint8_t *)data)[i] = v != 0;
            break;
        case MASCON_DTYPE_F32:
            ((float *)data)[i] = (float)v;
            break; /* one rounding, not two */
        default:
            store_floating(data, dtype, i, (double)v);
            break;
    }
}

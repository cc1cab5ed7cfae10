/* test_dtype.c: names, and reading and storing one element of every type. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/internal.h"
#include "expect.h"

static uint64_t bits(double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

/* The value of a 16-bit pattern by its definition. */
static double value_of(uint16_t h, int exponent_bits, int mantissa_bits) {
    int exponent = h >> mantissa_bits & ((1 << exponent_bits) - 1);
    int mantissa = h & ((1 << mantissa_bits) - 1), bias = (1 << (exponent_bits - 1)) - 1;
    double v = exponent == 0
                   ? ldexp(mantissa, 1 - bias - mantissa_bits)
                   : ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
    return h & 0x8000 ? -v : v;
}

typedef struct half {
    int exponent_bits, mantissa_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
} half;

/* Every pattern, and for every two neighbours what lies between them. */
static int check_half(const half *t) {
    int special = ((1 << t->exponent_bits) - 1) << t->mantissa_bits; /* infinity */
    for (int sign = 0; sign <= 0x8000; sign += 0x8000) {
        for (int i = 0; i < special; i++) {
            uint16_t h = (uint16_t)(sign | i), up = (uint16_t)(sign | (i + 1));
            float v = t->widen(h);
            EXPECT((double)v == value_of(h, t->exponent_bits, t->mantissa_bits));
            EXPECT(!signbit(v) == !sign && t->narrow(v) == h);
            double high = value_of(up, t->exponent_bits, t->mantissa_bits);
            float middle = (float)(((double)v + high) / 2); /* exact: one bit more */
            if (!isinf(middle)) {
                EXPECT(t->narrow(middle) == (i & 1 ? up : h)); /* ties to even */
                EXPECT(t->narrow(nextafterf(middle, 0)) == h || middle == 0);
                float beyond = nextafterf(middle, sign ? -INFINITY : INFINITY);
                EXPECT(t->narrow(beyond) == up);
            }
        }
        float infinite = sign ? -INFINITY : INFINITY;
        EXPECT(t->narrow(infinite) == (sign | special));
        EXPECT(t->widen((uint16_t)(sign | special)) == infinite);
        for (int i = special + 1; i < 0x8000; i++) {
            float v = t->widen((uint16_t)(sign | i));
            EXPECT(isnan(v) && isnan(t->widen(t->narrow(v))));
        }
    }
    uint32_t low_nan = 0x7f800001; /* a NaN with a payload in the lowest bit only */
    float v;
    memcpy(&v, &low_nan, sizeof v);
    EXPECT(isnan(t->widen(t->narrow(v))));
    return 0;
}

int main(void) {
    for (int32_t d = 0; d < MASCON_DTYPE_COUNT; d++) {
        EXPECT(mascon_dtype_find(mascon_dtype_name(d)) == d);
        EXPECT(mascon_dtype_size(d) >= 1);
    }
    EXPECT(mascon_dtype_name(-1) == NULL && mascon_dtype_name(MASCON_DTYPE_COUNT) == NULL);
    EXPECT(mascon_dtype_find("float31") == -1 && mascon_dtype_find(NULL) == -1);
    EXPECT(mascon_dtype_size(99) == 0);

    const half f16 = {5, 10, masconI_f16_to_f32, masconI_f32_to_f16};
    const half bf16 = {8, 7, masconI_bf16_to_f32, masconI_f32_to_bf16};
    if (check_half(&f16) || check_half(&bf16)) return 1;
    EXPECT(masconI_f32_to_f16(65519.996f) == 0x7bff && masconI_f32_to_f16(65520.0f) == 0x7c00);

    uint64_t memory[4];
    for (int32_t d = 0; d < MASCON_DTYPE_COUNT; d++) {
        for (int64_t i = 0; i < 3; i++) {
            masconI_store(memory, d, i, (double)(i & 1));
            EXPECT(masconI_load(memory, d, i) == (double)(i & 1));
            masconI_store_int(memory, d, i, 1 - (i & 1));
            EXPECT(masconI_load_int(memory, d, i) == 1 - (i & 1));
        }
    }
    /* a NaN with a payload comes out canonical */
    uint32_t odd32 = 0xffffffffu;
    uint64_t odd64 = 0xfff8dead0000beefu;
    uint16_t odd16 = 0xffff;
    EXPECT(bits(masconI_load(&odd32, MASCON_DTYPE_F32, 0)) == bits((double)NAN));
    EXPECT(bits(masconI_load(&odd64, MASCON_DTYPE_F64, 0)) == bits((double)NAN));
    EXPECT(bits(masconI_load(&odd16, MASCON_DTYPE_F16, 0)) == bits((double)NAN));
    EXPECT(bits(masconI_load(&odd16, MASCON_DTYPE_BF16, 0)) == bits((double)NAN));
    EXPECT(masconI_load_int(&odd32, MASCON_DTYPE_F32, 0) == 0);

    static const struct {
        double v;
        int64_t i64, i32, u8, truth;
    } cases[] = {
        {2.9, 2, 2, 2, 1},
        {-2.9, -2, -2, 0, 1},
        {0.5, 0, 0, 0, 1},
        {(double)NAN, 0, 0, 0, 1},
        {255.5, 255, 255, 255, 1},
        {256, 256, 256, 255, 1},
        {3e9, 3000000000, INT32_MAX, 255, 1},
        {-3e9, -3000000000, INT32_MIN, 0, 1},
        {1e30, INT64_MAX, INT32_MAX, 255, 1},
        {-(double)INFINITY, INT64_MIN, INT32_MIN, 0, 1},
        {0x1p63, INT64_MAX, INT32_MAX, 255, 1},
        {2147483647.5, 2147483647, INT32_MAX, 255, 1},
        {-0.0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        masconI_store(memory, MASCON_DTYPE_I64, 0, cases[i].v);
        EXPECT(masconI_load_int(memory, MASCON_DTYPE_I64, 0) == cases[i].i64);
        masconI_store(memory, MASCON_DTYPE_I32, 0, cases[i].v);
        EXPECT(masconI_load_int(memory, MASCON_DTYPE_I32, 0) == cases[i].i32);
        masconI_store(memory, MASCON_DTYPE_U8, 0, cases[i].v);
        EXPECT(masconI_load_int(memory, MASCON_DTYPE_U8, 0) == cases[i].u8);
        masconI_store(memory, MASCON_DTYPE_BOOL, 0, cases[i].v);
        EXPECT(masconI_load_int(memory, MASCON_DTYPE_BOOL, 0) == cases[i].truth);
    }
    int64_t big = INT64_MAX - 1;
    masconI_store_int(memory, MASCON_DTYPE_I64, 0, big);
    EXPECT(masconI_load_int(memory, MASCON_DTYPE_I64, 0) == big);
    masconI_store_int(memory, MASCON_DTYPE_U8, 0, -5); /* whole numbers wrap around */
    EXPECT(masconI_load_int(memory, MASCON_DTYPE_U8, 0) == 251);
    masconI_store_int(memory, MASCON_DTYPE_I32, 0, big);
    EXPECT(masconI_load_int(memory, MASCON_DTYPE_I32, 0) == -2);
    return 0;
}

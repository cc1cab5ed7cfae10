/* random.c: reference kernels of the random ops, and random.h. */
#include "reference/random.h"

#include "reference/reference.h"

static const double two_pi = 6.283185307179586476925286766559;

void masconR_normals(const uint64_t random[2], uint64_t block, double out[4]) {
    uint32_t word[4];
    masconI_philox(random, block, word);
    for (int k = 0; k < 4; k += 2) {
        /* the first in (0, 1], so that the logarithm is finite */
        double radius = sqrt(-2 * log(((double)word[k] + 1) * 0x1p-32));
        double angle = two_pi * ((double)word[k + 1] * 0x1p-32);
        out[k] = radius * cos(angle);
        out[k + 1] = radius * sin(angle);
    }
}

static double rounded(int32_t dtype, double v) {
    switch (dtype) {
        case MASCON_DTYPE_F32:
            return (double)(float)v;
        case MASCON_DTYPE_BF16:
            return (double)masconI_bf16_to_f32(masconI_f32_to_bf16((float)v));
        case MASCON_DTYPE_F16:
            return (double)masconI_f16_to_f32(masconI_f32_to_f16((float)v));
        default:
            return v;
    }
}

static uint64_t word64(const uint64_t random[2], uint64_t i) {
    uint32_t word[4];
    masconI_philox(random, i / 2, word);
    unsigned k = (unsigned)(i % 2) * 2;
    return (uint64_t)word[k + 1] << 32 | word[k];
}

void masconR_uniforms(const uint64_t random[2], int32_t dtype, uint64_t block, double from,
                      double to, double out[4]) {
    uint32_t word[8];
    if (dtype == MASCON_DTYPE_F64) {
        masconI_philox(random, 2 * block, word);
        masconI_philox(random, 2 * block + 1, word + 4);
        for (int k = 0; k < 4; k++) {
            uint64_t bits = (uint64_t)word[2 * k + 1] << 32 | word[2 * k];
            out[k] = (double)(bits >> 11) * 0x1p-53;
        }
    } else {
        masconI_philox(random, block, word);
        for (int k = 0; k < 4; k++) out[k] = (double)masconI_uniform(word[k]);
    }
    for (int k = 0; k < 4; k++) {
        double v = rounded(dtype, from + (to - from) * out[k]);
        out[k] = v >= to ? from : v; /* rounding may reach the end, which is not in the range */
    }
}

uint64_t masconR_below(const uint64_t random[2], uint64_t i, uint64_t n) {
    return (uint64_t)((unsigned __int128)word64(random, i) * n >> 64);
}

static mascon_status uniform(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    double v[4];
    for (int64_t i = 0; i < y->numel; i++) {
        if (i % 4 == 0) {
            masconR_uniforms(call->random, y->dtype, (uint64_t)i / 4, call->attr[0], call->attr[1],
                             v);
        }
        masconR_set(y, i, v[i % 4]);
    }
    return MASCON_OK;
}

static mascon_status normal(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    double z[4];
    for (int64_t i = 0; i < y->numel; i++) {
        if (i % 4 == 0) masconR_normals(call->random, (uint64_t)i / 4, z);
        masconR_set(y, i, call->attr[0] + call->attr[1] * z[i % 4]);
    }
    return MASCON_OK;
}

static mascon_status randint(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    int64_t low = (int64_t)call->attr[0];
    uint64_t n = (uint64_t)((int64_t)call->attr[1] - low) + 1;
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_set_int(y, i, low + (int64_t)masconR_below(call->random, (uint64_t)i, n));
    }
    return MASCON_OK;
}

/* Fisher-Yates from the back: position i changes places with one of 0..i. */
static mascon_status randperm(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    int64_t base = (int64_t)call->attr[1];
    for (int64_t i = 0; i < y->numel; i++) masconR_set_int(y, i, base + i);
    for (int64_t i = y->numel - 1; i > 0; i--) {
        int64_t j = (int64_t)masconR_below(call->random, (uint64_t)i, (uint64_t)i + 1);
        int64_t a = masconR_get_int(y, i);
        masconR_set_int(y, i, masconR_get_int(y, j));
        masconR_set_int(y, j, a);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_uniform = {.run = uniform};
const mascon_kernel masconR_normal = {.run = normal};
const mascon_kernel masconR_randint = {.run = randint};
const mascon_kernel masconR_randperm = {.run = randperm};

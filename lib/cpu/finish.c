/* finish.c: what follows a convolution, for kernels that cannot do it before they store their sums:
 * one pass over a slice's results while the caches still hold them. */
#include "core/simd.h"
#include "cpu/bf16.h"
#include "cpu/conv.h"

enum { CHUNK = 1024 };

MASCON_CLONES static void add_relu(float *y, const float *residual, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float v = y[i] + residual[i];
        y[i] = v < 0 ? 0 : v;
    }
}

MASCON_CLONES static void add(float *y, const float *residual, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += residual[i];
}

MASCON_CLONES static void relu(float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = y[i] < 0 ? 0 : y[i];
}

/* Chunks that stay in the first-level cache, through float32. */
static void run_bf16(const masconI_finish *f, uint16_t *y, int64_t first, int64_t count) {
    const uint16_t *residual = f->residual;
    const masconI_finish wide = {.relu = f->relu};
    float to[CHUNK], from[CHUNK];
    for (int64_t i = first; i < first + count; i += CHUNK) {
        const int64_t n = first + count - i < CHUNK ? first + count - i : CHUNK;
        masconI_bf16_widen(y + i, to, n);
        if (residual) masconI_bf16_widen(residual + i, from, n);
        masconI_finish chunk = wide;
        if (residual) chunk.residual = from;
        masconI_finish_run(&chunk, to, 0, n);
        masconI_bf16_narrow(to, y + i, n);
    }
}

void masconI_finish_run(const masconI_finish *f, void *results, int64_t first, int64_t count) {
    float *y = results;
    const float *residual = f->residual;
    if (f->bf16) {
        run_bf16(f, results, first, count);
    } else if (residual && f->relu) {
        add_relu(y + first, residual + first, count);
    } else if (residual) {
        add(y + first, residual + first, count);
    } else if (f->relu) {
        relu(y + first, count);
    }
}

/* finish.c: what follows a convolution, for kernels that cannot do it before they store their sums:
 * one pass over a slice's results while the caches still hold them. */
#include "core/simd.h"
#include "cpu/batch_norm.h"
#include "cpu/bf16.h"
#include "cpu/conv.h"
#include "cpu/lanes.h"

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
static void run_bf16_plain(const masconI_finish *f, uint16_t *y, int64_t first, int64_t count) {
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

#if MASCON_HAS_AVX512_CODE
/* relu of bfloat16 numbers is a matter of bits: between -0 and -infinity it is 0 */
MASCON_AVX512 static void relu_avx512(uint16_t *y, int64_t n) {
    const __m512i zero = _mm512_set1_epi16((short)0x8000), /* -0 and -infinity */
        infinity = _mm512_set1_epi16((short)0xff80);
    for (int64_t i = 0; i < n; i += 32) {
        const __mmask32 m = n - i < 32 ? (1u << (n - i)) - 1 : 0xffffffffu;
        const __m512i v = _mm512_maskz_loadu_epi16(m, y + i);
        const __mmask32 off =
            _mm512_cmpgt_epu16_mask(v, zero) & _mm512_cmple_epu16_mask(v, infinity);
        _mm512_mask_storeu_epi16(y + i, m, _mm512_maskz_mov_epi16(~off, v));
    }
}

MASCON_AVX512 MASCON_INLINE void add_avx512(uint16_t *y, const uint16_t *residual, int64_t n,
                                            const int relu) {
    const __m512 floor = _mm512_set1_ps(relu ? 0 : -__builtin_inff());
    int64_t i = 0;
    for (; i + MASCON_LANES <= n; i += MASCON_LANES) {
        const __m512 v = _mm512_add_ps(masconC_take_bf16(y + i), masconC_take_bf16(residual + i));
        masconC_give_bf16(y + i, _mm512_max_ps(floor, v)); /* a NaN in v stays */
    }
    if (i < n) {
        const __mmask16 m = (__mmask16)((1u << (n - i)) - 1);
        const __m512 v = _mm512_add_ps(masconC_take_some_bf16(m, y + i),
                                       masconC_take_some_bf16(m, residual + i));
        masconC_give_some_bf16(m, y + i, _mm512_max_ps(floor, v));
    }
}

MASCON_AVX512 static void add_relu_avx512(uint16_t *y, const uint16_t *residual, int64_t n) {
    add_avx512(y, residual, n, 1);
}
MASCON_AVX512 static void add_only_avx512(uint16_t *y, const uint16_t *residual, int64_t n) {
    add_avx512(y, residual, n, 0);
}
#endif

static void run_bf16(const masconI_finish *f, uint16_t *y, int64_t first, int64_t count) {
#if MASCON_HAS_AVX512_CODE
    if (masconI_has_avx512()) {
        const uint16_t *residual = f->residual;
        if (residual && f->relu) {
            add_relu_avx512(y + first, residual + first, count);
        } else if (residual) {
            add_only_avx512(y + first, residual + first, count);
        } else if (f->relu) {
            relu_avx512(y + first, count);
        }
        return;
    }
#endif
    run_bf16_plain(f, y, first, count);
}

void masconI_finish_run(const masconI_finish *f, void *results, int64_t first, int64_t count) {
    float *y = results;
    const float *residual = f->residual;
    if (f->norm) {
        masconC_norm_gather(f->norm, first, count);
    } else if (f->bf16) {
        run_bf16(f, results, first, count);
    } else if (residual && f->relu) {
        add_relu(y + first, residual + first, count);
    } else if (residual) {
        add(y + first, residual + first, count);
    } else if (f->relu) {
        relu(y + first, count);
    }
}

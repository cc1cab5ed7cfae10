/* keep_bits.c: see keep_bits.h. */
#include "cpu/keep_bits.h"

#include "core/internal.h"
#include "core/simd.h"

enum { BLOCKS = 16, RUN = 4 * BLOCKS }; /* Philox blocks drawn at a time; words they give */

#if MASCON_HAS_AVX512_CODE
#define MASCON_AVX512_BMI2 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,bmi2")))

/* *low and *high: the halves of the products of 16 lanes with m */
MASCON_AVX512_BMI2 static inline __attribute__((always_inline)) void multiply(__m512i c, __m512i m,
                                                                              __m512i *low,
                                                                              __m512i *high) {
    const __m512i even = _mm512_mul_epu32(c, m);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(c, 32), m);
    *low = _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32));
    *high = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd);
}

/* Bits of the RUN words of the blocks from `first` on, whose upper halves are equal: masconI_philox of
 * each block, one block in each lane. */
MASCON_AVX512_BMI2 static uint64_t run_avx512(const uint64_t random[2], uint64_t first,
                                              uint32_t threshold) {
    const __m512i m0 = _mm512_set1_epi32((int)0xD2511F53u),
                  m1 = _mm512_set1_epi32((int)0xCD9E8D57u);
    uint32_t k0 = (uint32_t)random[0], k1 = (uint32_t)(random[0] >> 32);
    __m512i c0 =
        _mm512_add_epi32(_mm512_set1_epi32((int)(uint32_t)first),
                         _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    __m512i c1 = _mm512_set1_epi32((int)(uint32_t)(first >> 32));
    __m512i c2 = _mm512_set1_epi32((int)(uint32_t)random[1]);
    __m512i c3 = _mm512_set1_epi32((int)(uint32_t)(random[1] >> 32));
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        __m512i low0, high0, low1, high1;
        multiply(c0, m0, &low0, &high0);
        multiply(c2, m1, &low1, &high1);
        c0 = _mm512_xor_si512(_mm512_xor_si512(high1, c1), _mm512_set1_epi32((int)k0));
        c2 = _mm512_xor_si512(_mm512_xor_si512(high0, c3), _mm512_set1_epi32((int)k1));
        c1 = low1;
        c3 = low0;
    }
    /* c0..c3 hold words 0..3 of each block, whose bits belong side by side */
    const __m512i t = _mm512_set1_epi32((int)threshold);
    const __m512i words[4] = {c0, c1, c2, c3};
    uint64_t bits = 0;
    for (int w = 0; w < 4; w++) {
        const __mmask16 m = _mm512_cmpge_epu32_mask(_mm512_srli_epi32(words[w], 8), t);
        bits |= _pdep_u64(m, 0x1111111111111111u << w);
    }
    return bits;
}

static int wide(void) { return masconI_has_avx512() && __builtin_cpu_supports("bmi2"); }
#endif

static uint64_t run_plain(const uint64_t random[2], uint64_t first, uint32_t threshold) {
    uint64_t bits = 0;
    for (int i = 0; i < BLOCKS; i++) {
        uint32_t word[4];
        masconI_philox(random, first + (uint64_t)i, word);
        for (int w = 0; w < 4; w++) bits |= (uint64_t)(word[w] >> 8 >= threshold) << (4 * i + w);
    }
    return bits;
}

void masconC_keep_bits(const uint64_t random[2], uint64_t first, int64_t count, uint32_t threshold,
                       uint64_t *bits) {
    uint64_t block = first / 4;
    for (int64_t i = 0; i < count; i += RUN, block += BLOCKS) {
#if MASCON_HAS_AVX512_CODE
        if (wide() && (uint32_t)block <= UINT32_MAX - BLOCKS) {
            *bits++ = run_avx512(random, block, threshold);
            continue;
        }
#endif
        *bits++ = run_plain(random, block, threshold);
    }
}

masconC_tiling masconC_tiling_of(int64_t c, int64_t area) {
    masconC_tiling t = {.c = c, .area = area};
    t.step = area % 4 == 0 ? MASCON_KEEP_ALIGNED : MASCON_KEEP_PIXELS;
    t.across = (area + t.step - 1) / t.step;
    return t;
}

masconC_tile masconC_tile_at(const masconC_tiling *t, int64_t index, int64_t channel) {
    masconC_tile tile = {.picture = index / t->across, .channel = channel};
    tile.pixel = index % t->across * t->step;
    tile.pixels = t->area - tile.pixel < t->step ? t->area - tile.pixel : t->step;
    tile.channels = t->c - channel < MASCON_KEEP_CHANNELS ? t->c - channel : MASCON_KEEP_CHANNELS;
    return tile;
}

/* count bits from bit `at` on; at most 64. */
static uint64_t extract(const uint64_t *bits, int64_t at, int64_t count) {
    uint64_t v = bits[at / 64] >> at % 64;
    if (at % 64 + count > 64) v |= bits[at / 64 + 1] << (64 - at % 64);
    return count == 64 ? v : v & (((uint64_t)1 << count) - 1);
}

void masconC_keep_tile(const masconC_tiling *t, const masconC_tile *tile, const uint64_t random[2],
                       uint32_t threshold, uint64_t *kept) {
    const uint64_t first =
        (uint64_t)((tile->picture * t->c + tile->channel) * t->area + tile->pixel);
    if (t->across == 1) { /* the channels lie one behind the other in the stream */
        uint64_t bits[MASCON_KEEP_CHANNELS + 1];
        const int64_t before = (int64_t)(first % 4);
        masconC_keep_bits(random, first - first % 4, before + tile->channels * t->area, threshold,
                          bits);
        for (int64_t c = 0; c < tile->channels; c++) {
            kept[c] = extract(bits, before + c * t->area, t->area);
        }
        return;
    }
    for (int64_t c = 0; c < tile->channels; c++) {
        const uint64_t at = first + (uint64_t)(c * t->area);
        uint64_t bits;
        masconC_keep_bits(random, at - at % 4, RUN, threshold, &bits);
        kept[c] = bits >> at % 4;
    }
}

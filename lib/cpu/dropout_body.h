/* dropout_body.h: dropout.c's loops for one type of element. Defines functions with the name's ending
 * SUFFIX over ELEMENT, and takes both macros back. */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)
#define GET NAME(masconC_get)
#define PUT NAME(masconC_put)

/* n elements from i on, which bits[0] begins with. */
MASCON_CLONES static void NAME(apply_row)(const job *j, int64_t i, const uint64_t *bits,
                                          int64_t n) {
    const ELEMENT *x = (const ELEMENT *)j->x + i;
    ELEMENT *y = (ELEMENT *)j->y + i;
    const float scale = j->scale;
    for (int64_t k = 0; k < n; k += 64) {
        const uint64_t word = bits[k / 64];
        const int64_t end = n - k < 64 ? n - k : 64;
        for (int64_t b = 0; b < end; b++) {
            PUT(y + k + b, word >> b & 1 ? GET(x + k + b) * scale : 0);
        }
    }
}

MASCON_CLONES static void NAME(apply_tile)(const job *j, const masconC_tile *t,
                                           const uint64_t *kept) {
    const int64_t c = j->tiling.c, at = (t->picture * j->tiling.area + t->pixel) * c + t->channel;
    const ELEMENT *x = (const ELEMENT *)j->x + at;
    ELEMENT *y = (ELEMENT *)j->y + at;
    for (int64_t p = 0; p < t->pixels; p++) {
        for (int64_t k = 0; k < t->channels; k++) {
            PUT(y + p * c + k, kept[k] >> p & 1 ? GET(x + p * c + k) * j->scale : 0);
        }
    }
}

#if MASCON_HAS_AVX512_CODE
#define TAKE NAME(masconC_take)
#define GIVE NAME(masconC_give)

MASCON_AVX512 static void NAME(apply_row_avx512)(const job *j, int64_t i, const uint64_t *bits,
                                                 int64_t n) {
    const ELEMENT *x = (const ELEMENT *)j->x + i;
    ELEMENT *y = (ELEMENT *)j->y + i;
    const __m512 s = _mm512_set1_ps(j->scale);
    int64_t k = 0;
    for (; k + MASCON_LANES <= n; k += MASCON_LANES) {
        const __mmask16 m = (__mmask16)(bits[k / 64] >> k % 64);
        GIVE(y + k, _mm512_maskz_mul_ps(m, TAKE(x + k), s));
    }
    for (; k < n; k++) PUT(y + k, bits[k / 64] >> k % 64 & 1 ? GET(x + k) * j->scale : 0);
}

MASCON_AVX512 static void NAME(apply_tile_avx512)(const job *j, const masconC_tile *t,
                                                  const uint64_t *kept) {
    const int64_t c = j->tiling.c, at = (t->picture * j->tiling.area + t->pixel) * c + t->channel;
    const ELEMENT *x = (const ELEMENT *)j->x + at;
    ELEMENT *y = (ELEMENT *)j->y + at;
    const __m512 s = _mm512_set1_ps(j->scale);
    for (int64_t p = 0; p < t->pixels; p++, x += c, y += c) {
        const __m512i bit = _mm512_set1_epi64((long long)((uint64_t)1 << p));
        int64_t k = 0;
        for (; k + MASCON_LANES <= t->channels; k += MASCON_LANES) {
            const __mmask16 m = masconC_keep_mask(kept + k, bit);
            GIVE(y + k, _mm512_maskz_mul_ps(m, TAKE(x + k), s));
        }
        for (; k < t->channels; k++) PUT(y + k, kept[k] >> p & 1 ? GET(x + k) * j->scale : 0);
    }
}

#undef TAKE
#undef GIVE
#endif

#undef GET
#undef PUT
#undef NAME
#undef JOIN
#undef JOIN_
#undef SUFFIX
#undef ELEMENT

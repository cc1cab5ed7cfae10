/* batch_norm_pool_body.h: batch_norm_pool.c's loops for one type of element. Defines functions with the
 * name's ending SUFFIX over ELEMENT, and takes both macros back. Channels are multiples of 16, windows
 * are 2x2. */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)
#define LOAD NAME(masconC_load)
#define STORE NAME(masconC_store)

MASCON_INLINE void NAME(round)(masconC_lanes *v) {
#if ROUNDS
    masconC_round_bf16(v);
#else
    (void)v;
#endif
}

/* ---- Forward: y and codes of a tile ---- */

/* v: the normalised element at x, as a tensor of its own would hold it. */
MASCON_INLINE void NAME(normal)(const ELEMENT *x, const masconC_norm_factors *f, int64_t k,
                                masconC_lanes *v) {
    LOAD(x, v);
    *v = (*v - *(const masconC_lanes *)(f->mean + k)) * *(const masconC_lanes *)(f->a + k) +
         *(const masconC_lanes *)(f->c + k);
    NAME(round)(v);
}

MASCON_CLONES static void NAME(forward)(const job *j, const masconC_tile *t, const uint64_t *kept) {
    const int64_t c = j->norm.s.c, row = j->w * c;
    for (int64_t p = 0; p < t->pixels; p++) {
        const int64_t at = t->pixel + p, out = (t->picture * j->tiling.area + at) * c;
        const ELEMENT *x = (const ELEMENT *)j->norm.x + (t->picture * j->h + at / j->ow * 2) * row +
                           at % j->ow * 2 * c;
        for (int64_t k = t->channel; k < t->channel + t->channels; k += MASCON_LANES) {
            const ELEMENT *corner[4] = {x + k, x + k + c, x + k + row, x + k + row + c};
            masconC_lanes best, v;
            masconC_mask code = {0};
            NAME(normal)(corner[0], &j->norm.f, k, &best);
            for (int i = 1; i < 4; i++) {
                NAME(normal)(corner[i], &j->norm.f, k, &v);
                const masconC_mask wins = (v > best) | (v != v);
                best = (masconC_lanes)(((masconC_mask)v & wins) | ((masconC_mask)best & ~wins));
                code = (i & wins) | (code & ~wins);
            }
            for (int i = 0; kept && i < MASCON_LANES; i++) {
                if (kept[k - t->channel + i] >> p & 1) {
                    best[i] *= j->scale;
                } else {
                    best[i] = 0;
                    code[i] = DROPPED;
                }
            }
            STORE((ELEMENT *)j->norm.y + out + k, &best);
            for (int i = 0; i < MASCON_LANES; i++) j->made[out + k + i] = (uint8_t)code[i];
        }
    }
}

/* ---- Backward ---- */

/* What dropout's backward op makes of dy at the pooled element `at`. */
MASCON_INLINE void NAME(upstream)(const job *j, int64_t at, masconC_lanes *d) {
    LOAD((const ELEMENT *)j->norm.dy + at, d);
    if (j->drops) {
        *d = *d * j->scale;
        NAME(round)(d);
    }
}

MASCON_INLINE void NAME(codes)(const job *j, int64_t at, masconC_mask *code) {
    for (int i = 0; i < MASCON_LANES; i++) (*code)[i] = j->codes[at + i];
}

/* Sums of dy and of dy * (x - mean) over row pairs first..first + n - 1, {c}: the winners in the order
 * in which x has them, as batch_norm's own sums would meet them among zeros. */
MASCON_CLONES static void NAME(products)(const job *j, int64_t first, int64_t n, double *sum,
                                         double *product) {
    const int64_t c = j->norm.s.c, row = j->w * c;
    const ELEMENT *x = j->norm.x;
    for (int64_t k = 0; k < c; k += MASCON_LANES) {
        masconC_lanes s = {0}, q = {0}, d, left, right;
        masconC_mask code;
        const masconC_lanes mean = *(const masconC_lanes *)(j->norm.f.mean + k);
        for (int64_t r = 2 * first; r < 2 * (first + n); r++) {
            const int base = (int)(r % 2) * 2;
            for (int64_t o = 0; o < j->ow; o++) {
                const int64_t at = (r / 2 * j->ow + o) * c + k;
                NAME(upstream)(j, at, &d);
                NAME(codes)(j, at, &code);
                LOAD(x + r * row + 2 * o * c + k, &left);
                LOAD(x + r * row + (2 * o + 1) * c + k, &right);
                const masconC_mask l = code == base, m = code == base + 1;
                d = (masconC_lanes)((masconC_mask)d & (l | m));
                left = (masconC_lanes)(((masconC_mask)left & ~m) | ((masconC_mask)right & m));
                s += d;
                q += d * (left - mean);
            }
        }
        for (int i = 0; i < MASCON_LANES; i++) {
            sum[k + i] = (double)s[i];
            product[k + i] = (double)q[i];
        }
    }
}

MASCON_CLONES static void NAME(combine)(const job *j, int64_t first, int64_t n) {
    const int64_t c = j->norm.s.c, row = j->w * c;
    for (int64_t o = first * j->ow; o < (first + n) * j->ow; o++) {
        const int64_t corner = o / j->ow * 2 * row + o % j->ow * 2 * c;
        const int64_t place[4] = {corner, corner + c, corner + row, corner + row + c};
        for (int64_t k = 0; k < c; k += MASCON_LANES) {
            const masconC_lanes mean = *(const masconC_lanes *)(j->norm.f.mean + k);
            const masconC_lanes a = *(const masconC_lanes *)(j->norm.f.a + k);
            const masconC_lanes b = *(const masconC_lanes *)(j->norm.f.b + k);
            const masconC_lanes e = *(const masconC_lanes *)(j->norm.f.c + k);
            masconC_lanes d, v;
            masconC_mask code;
            NAME(upstream)(j, o * c + k, &d);
            NAME(codes)(j, o * c + k, &code);
            for (int i = 0; i < 4; i++) {
                const masconC_lanes here = (masconC_lanes)((masconC_mask)d & (code == i));
                LOAD((const ELEMENT *)j->norm.x + place[i] + k, &v);
                masconC_lanes g = a * here + (b * (v - mean) + e);
                if (j->norm.mask) g = (masconC_lanes)((masconC_mask)g & ~(v <= 0));
                STORE((ELEMENT *)j->norm.y + place[i] + k, &g);
            }
        }
    }
}

/* ---- The same with AVX-512 ---- */

#if MASCON_HAS_AVX512_CODE
#define TAKE NAME(masconC_take)
#define GIVE NAME(masconC_give)
#define SAME NAME(masconC_same)

MASCON_AVX512 MASCON_INLINE __m512 NAME(normal_avx512)(const ELEMENT *x, __m512 mean, __m512 a,
                                                       __m512 b) {
    return SAME(_mm512_add_ps(_mm512_mul_ps(_mm512_sub_ps(TAKE(x), mean), a), b));
}

MASCON_AVX512 static void NAME(forward_avx512)(const job *j, const masconC_tile *t,
                                               const uint64_t *kept) {
    const int64_t c = j->norm.s.c, row = j->w * c;
    const masconC_norm_factors *f = &j->norm.f;
    const __m512 scale = _mm512_set1_ps(j->scale);
    for (int64_t p = 0; p < t->pixels; p++) {
        const int64_t at = t->pixel + p, out = (t->picture * j->tiling.area + at) * c;
        const ELEMENT *x = (const ELEMENT *)j->norm.x + (t->picture * j->h + at / j->ow * 2) * row +
                           at % j->ow * 2 * c;
        const __m512i bit = _mm512_set1_epi64((long long)((uint64_t)1 << p));
        for (int64_t k = t->channel; k < t->channel + t->channels; k += MASCON_LANES) {
            const __m512 mean = _mm512_loadu_ps(f->mean + k), a = _mm512_loadu_ps(f->a + k),
                         b = _mm512_loadu_ps(f->c + k);
            const ELEMENT *corner[4] = {x + k, x + k + c, x + k + row, x + k + row + c};
            __m512 best = NAME(normal_avx512)(corner[0], mean, a, b);
            __m512i code = _mm512_setzero_si512();
            for (int i = 1; i < 4; i++) {
                const __m512 v = NAME(normal_avx512)(corner[i], mean, a, b);
                const __mmask16 wins = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) |
                                       _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
                best = _mm512_mask_mov_ps(best, wins, v);
                code = _mm512_mask_mov_epi32(code, wins, _mm512_set1_epi32(i));
            }
            if (kept) {
                const __mmask16 keep = masconC_keep_mask(kept + (k - t->channel), bit);
                best = _mm512_maskz_mul_ps(keep, best, scale);
                code = _mm512_mask_mov_epi32(_mm512_set1_epi32(DROPPED), keep, code);
            }
            GIVE((ELEMENT *)j->norm.y + out + k, best);
            _mm_storeu_si128((__m128i *)(void *)(j->made + out + k), _mm512_cvtepi32_epi8(code));
        }
    }
}

MASCON_AVX512 MASCON_INLINE __m512 NAME(upstream_avx512)(const job *j, int64_t at, __m512 scale) {
    const __m512 d = TAKE((const ELEMENT *)j->norm.dy + at);
    return j->drops ? SAME(_mm512_mul_ps(d, scale)) : d;
}

MASCON_AVX512 static void NAME(products_avx512)(const job *j, int64_t first, int64_t n, double *sum,
                                                double *product) {
    const int64_t c = j->norm.s.c, row = j->w * c;
    const ELEMENT *x = j->norm.x;
    const __m512 scale = _mm512_set1_ps(j->scale);
    for (int64_t k = 0; k < c; k += MASCON_LANES) {
        __m512 s = _mm512_setzero_ps(), q = s;
        const __m512 mean = _mm512_loadu_ps(j->norm.f.mean + k);
        for (int64_t r = 2 * first; r < 2 * (first + n); r++) {
            const __m512i l = _mm512_set1_epi32((int)(r % 2) * 2),
                          m = _mm512_set1_epi32((int)(r % 2) * 2 + 1);
            const ELEMENT *left = x + r * row + k;
            int64_t at = r / 2 * j->ow * c + k;
            for (int64_t o = 0; o < j->ow; o++, at += c, left += 2 * c) {
                const __m512i code = masconC_codes_avx512(j->codes + at);
                const __mmask16 is_left = _mm512_cmpeq_epi32_mask(code, l),
                                is_right = _mm512_cmpeq_epi32_mask(code, m);
                const __m512 d = _mm512_maskz_mov_ps((__mmask16)(is_left | is_right),
                                                     NAME(upstream_avx512)(j, at, scale));
                const __m512 v = _mm512_mask_mov_ps(TAKE(left), is_right, TAKE(left + c));
                s = _mm512_add_ps(s, d);
                q = _mm512_add_ps(q, _mm512_mul_ps(d, _mm512_sub_ps(v, mean)));
            }
        }
        masconC_widen_avx512(s, sum + k);
        masconC_widen_avx512(q, product + k);
    }
}

MASCON_AVX512 static void NAME(combine_avx512)(const job *j, int64_t first, int64_t n) {
    const int64_t c = j->norm.s.c, row = j->w * c;
    const masconC_norm_factors *f = &j->norm.f;
    const __m512 scale = _mm512_set1_ps(j->scale);
    const __mmask16 masks = j->norm.mask ? 0xffff : 0;
    for (int64_t o = first * j->ow; o < (first + n) * j->ow; o++) {
        const int64_t corner = o / j->ow * 2 * row + o % j->ow * 2 * c;
        const int64_t place[4] = {corner, corner + c, corner + row, corner + row + c};
        for (int64_t k = 0; k < c; k += MASCON_LANES) {
            const __m512 mean = _mm512_loadu_ps(f->mean + k), a = _mm512_loadu_ps(f->a + k),
                         b = _mm512_loadu_ps(f->b + k), e = _mm512_loadu_ps(f->c + k);
            const __m512 d = NAME(upstream_avx512)(j, o * c + k, scale);
            const __m512i code = masconC_codes_avx512(j->codes + o * c + k);
            for (int i = 0; i < 4; i++) {
                const __m512 here =
                    _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(code, _mm512_set1_epi32(i)), d);
                const __m512 v = TAKE((const ELEMENT *)j->norm.x + place[i] + k);
                const __m512 g =
                    _mm512_add_ps(_mm512_mul_ps(a, here),
                                  _mm512_add_ps(_mm512_mul_ps(b, _mm512_sub_ps(v, mean)), e));
                const __mmask16 off =
                    _mm512_mask_cmp_ps_mask(masks, v, _mm512_setzero_ps(), _CMP_LE_OQ);
                GIVE((ELEMENT *)j->norm.y + place[i] + k, _mm512_maskz_mov_ps((__mmask16)~off, g));
            }
        }
    }
}

#undef TAKE
#undef GIVE
#undef SAME
#endif

#undef LOAD
#undef STORE
#undef NAME
#undef JOIN
#undef JOIN_
#undef SUFFIX
#undef ELEMENT
#undef ROUNDS

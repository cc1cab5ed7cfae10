/* max_pool2d_body.h: max_pool2d.c's loops for one type of element. Defines functions with the name's
 * ending SUFFIX over ELEMENT, and takes both macros back. */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)
#define GET NAME(masconC_get)
#define PUT NAME(masconC_put)

/* ---- Plain loops ---- */

MASCON_CLONES static void NAME(take_larger)(const ELEMENT *restrict v, float *restrict best,
                                            int32_t *restrict at, int32_t k, int64_t n) {
    for (int64_t c = 0; c < n; c++) {
        const float one = GET(v + c);
        const int wins = (one > best[c]) | (one != one);
        best[c] = wins ? one : best[c];
        at[c] = wins ? k : at[c];
    }
}

static void NAME(pixel_plain)(const mascon_window2d *w, const window *s, const ELEMENT *x,
                              ELEMENT *y, uint8_t *positions) {
    float best[BLOCK];
    int32_t at[BLOCK];
    for (int64_t c = 0; c < w->c; c += BLOCK) {
        const int64_t n = w->c - c < BLOCK ? w->c - c : BLOCK;
        for (int64_t e = 0; e < n; e++) {
            best[e] = -INFINITY;
            at[e] = (int32_t)(s->i0 * w->kw + s->j0);
        }
        for (int64_t i = s->i0; i < s->i1; i++) {
            for (int64_t j = s->j0; j < s->j1; j++) {
                NAME(take_larger)
                (x + element(w, s, i, j) + c, best, at, (int32_t)(i * w->kw + j), n);
            }
        }
        for (int64_t e = 0; e < n; e++) PUT(y + c + e, best[e]);
        for (int64_t e = 0; positions && e < n; e++) positions[c + e] = (uint8_t)at[e];
    }
}

MASCON_CLONES static void NAME(add_where)(const ELEMENT *restrict dy, const uint8_t *restrict at,
                                          int k, ELEMENT *restrict dx, int64_t n) {
    for (int64_t c = 0; c < n; c++) PUT(dx + c, GET(dx + c) + (at[c] == k ? GET(dy + c) : 0));
}

static void NAME(pixel_back_plain)(const mascon_window2d *w, const window *s, const ELEMENT *dy,
                                   const uint8_t *positions, ELEMENT *dx) {
    for (int64_t i = s->i0; i < s->i1; i++) {
        for (int64_t j = s->j0; j < s->j1; j++) {
            NAME(add_where)(dy, positions, (int)(i * w->kw + j), dx + element(w, s, i, j), w->c);
        }
    }
}

/* ---- AVX-512: sixteen channels at a time, the last ones masked ---- */

#if MASCON_HAS_AVX512_CODE
#define TAKE NAME(masconC_take_some)
#define GIVE NAME(masconC_give_some)

MASCON_AVX512 static inline void NAME(pixel_avx512)(const mascon_window2d *w, const window *s,
                                                    const ELEMENT *x, ELEMENT *y,
                                                    uint8_t *positions) {
    for (int64_t c = 0; c < w->c; c += 16) {
        const __mmask16 m = lanes(w->c - c);
        __m512 best = _mm512_set1_ps(-INFINITY);
        __m512i at = _mm512_set1_epi32((int)(s->i0 * w->kw + s->j0));
        for (int64_t i = s->i0; i < s->i1; i++) {
            const ELEMENT *row = x + element(w, s, i, s->j0) + c;
            for (int64_t j = s->j0; j < s->j1; j++, row += w->dw * w->c) {
                const __m512 v = TAKE(m, row);
                const __mmask16 wins = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) |
                                       _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
                best = _mm512_mask_mov_ps(best, wins, v);
                at = _mm512_mask_mov_epi32(at, wins, _mm512_set1_epi32((int)(i * w->kw + j)));
            }
        }
        GIVE(m, y + c, best);
        if (positions) _mm_mask_storeu_epi8(positions + c, m, _mm512_cvtepi32_epi8(at));
    }
}

/* alone: no other window reaches these elements, so they are set, not added to. */
MASCON_AVX512 static inline void NAME(pixel_back_avx512)(const mascon_window2d *w, const window *s,
                                                         const ELEMENT *dy,
                                                         const uint8_t *positions, ELEMENT *dx,
                                                         int alone) {
    for (int64_t c = 0; c < w->c; c += 16) {
        const __mmask16 m = lanes(w->c - c);
        const __m512 g = TAKE(m, dy + c);
        const __m512i at = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, positions + c));
        for (int64_t i = s->i0; i < s->i1; i++) {
            ELEMENT *row = dx + element(w, s, i, s->j0) + c;
            for (int64_t j = s->j0; j < s->j1; j++, row += w->dw * w->c) {
                const __mmask16 here =
                    _mm512_cmpeq_epi32_mask(at, _mm512_set1_epi32((int)(i * w->kw + j)));
                __m512 v = _mm512_maskz_mov_ps(here, g);
                if (!alone) v = _mm512_add_ps(v, TAKE(m, row));
                GIVE(m, row, v);
            }
        }
    }
}

/* Windows of 2x2, stride 2, no padding, up to 16 channels: one vector holds a pixel. Pixels lie closer
 * than a vector is long, so a store runs over into the next pixel, which is written after it; only the
 * last store of a row is masked.
 * x0, x1: two input rows {2 * ow, c}; y, positions: one output row {ow, c}. */
MASCON_AVX512 static void NAME(row_2x2_avx512)(int64_t ow, int64_t c, const ELEMENT *x0,
                                               const ELEMENT *x1, ELEMENT *y, uint8_t *positions) {
    const __mmask16 m = lanes(c);
    for (int64_t q = 0; q < ow; q++) {
        const ELEMENT *p[4] = {x0 + 2 * q * c, x0 + (2 * q + 1) * c, x1 + 2 * q * c,
                               x1 + (2 * q + 1) * c};
        __m512 best = TAKE(m, p[0]);
        __m512i at = _mm512_setzero_si512();
        for (int k = 1; k < 4; k++) {
            const __m512 v = TAKE(m, p[k]);
            const __mmask16 wins =
                _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
            best = _mm512_mask_mov_ps(best, wins, v);
            at = _mm512_mask_mov_epi32(at, wins, _mm512_set1_epi32(k));
        }
        const __mmask16 out = q + 1 < ow ? (__mmask16)0xffff : m;
        if (out == 0xffff) {
            GIVE(0xffff, y + q * c, best);
        } else {
            GIVE(out, y + q * c, best);
        }
        if (positions) _mm_mask_storeu_epi8(positions + q * c, out, _mm512_cvtepi32_epi8(at));
    }
}

/* dy, positions: one output row {ow, c}; dx0, dx1: two input rows {2 * ow, c}. */
MASCON_AVX512 static void NAME(row_2x2_back_avx512)(int64_t ow, int64_t c, const ELEMENT *dy,
                                                    const uint8_t *positions, ELEMENT *dx0,
                                                    ELEMENT *dx1) {
    const __mmask16 m = lanes(c);
    for (int64_t q = 0; q < ow; q++) {
        const __m512 g = TAKE(m, dy + q * c);
        const __m512i at = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, positions + q * c));
        for (int j = 0; j < 2; j++) {
            const __m512 a =
                _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(at, _mm512_set1_epi32(j)), g);
            const __m512 b =
                _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(at, _mm512_set1_epi32(2 + j)), g);
            if (q + 1 < ow || j == 0) {
                GIVE(0xffff, dx0 + (2 * q + j) * c, a);
                GIVE(0xffff, dx1 + (2 * q + j) * c, b);
            } else {
                GIVE(m, dx0 + (2 * q + j) * c, a);
                GIVE(m, dx1 + (2 * q + j) * c, b);
            }
        }
    }
}

MASCON_AVX512 static void NAME(row_avx512)(const mascon_window2d *w, int64_t r, const ELEMENT *x,
                                           ELEMENT *y, uint8_t *positions) {
    for (int64_t q = 0; q < w->ow; q++) {
        const window s = place(w, r, q);
        NAME(pixel_avx512)(w, &s, x, y + q * w->c, positions ? positions + q * w->c : NULL);
    }
}

MASCON_AVX512 static void NAME(row_back_avx512)(const mascon_window2d *w, int64_t r,
                                                const ELEMENT *dy, const uint8_t *positions,
                                                ELEMENT *dx, int alone) {
    for (int64_t q = 0; q < w->ow; q++) {
        const window s = place(w, r, q);
        NAME(pixel_back_avx512)(w, &s, dy + q * w->c, positions + q * w->c, dx, alone);
    }
}

#undef TAKE
#undef GIVE
#endif

/* ---- Slices ---- */

static void NAME(slice)(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_window2d *w = &j->w;
    int64_t row = index * j->rows, end = row + j->rows;
    if (end > w->n * w->oh) end = w->n * w->oh;
    for (; row < end; row++) {
        const ELEMENT *picture = (const ELEMENT *)j->x + row / w->oh * w->h * w->w * w->c;
        const int64_t r = row % w->oh, out = row * w->ow * w->c;
        uint8_t *positions = j->positions ? j->positions + out : NULL;
#if MASCON_HAS_AVX512_CODE
        if (j->few) {
            const ELEMENT *pair = picture + 2 * r * w->w * w->c;
            NAME(row_2x2_avx512)
            (w->ow, w->c, pair, pair + w->w * w->c, (ELEMENT *)j->y + out, positions);
            continue;
        }
        if (j->wide) {
            NAME(row_avx512)(w, r, picture, (ELEMENT *)j->y + out, positions);
            continue;
        }
#endif
        for (int64_t q = 0; q < w->ow; q++) {
            const window s = place(w, r, q);
            NAME(pixel_plain)
            (w, &s, picture, (ELEMENT *)j->y + out + q * w->c,
             positions ? positions + q * w->c : NULL);
        }
    }
}

/* One picture. */
static void NAME(slice_back)(void *context, int64_t n, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_window2d *w = &j->w;
    ELEMENT *dx = (ELEMENT *)j->y + n * w->h * w->w * w->c;
    const int64_t first = n * w->oh * w->ow * w->c;
    const int alone = w->sh >= (w->kh - 1) * w->dh + 1 && w->sw >= (w->kw - 1) * w->dw + 1;
    const int whole = alone && w->sh == w->kh && w->sw == w->kw && w->top == 0 && w->left == 0 &&
                      w->oh * w->kh >= w->h && w->ow * w->kw >= w->w;
    if (!whole || !j->wide) memset(dx, 0, sizeof(ELEMENT) * (size_t)(w->h * w->w * w->c));
    for (int64_t r = 0; r < w->oh; r++) {
        const int64_t out = first + r * w->ow * w->c;
#if MASCON_HAS_AVX512_CODE
        if (j->few) {
            ELEMENT *pair = dx + 2 * r * w->w * w->c;
            NAME(row_2x2_back_avx512)
            (w->ow, w->c, (const ELEMENT *)j->x + out, j->positions + out, pair,
             pair + w->w * w->c);
            continue;
        }
        if (j->wide) {
            NAME(row_back_avx512)(w, r, (const ELEMENT *)j->x + out, j->positions + out, dx, alone);
            continue;
        }
#endif
        for (int64_t q = 0; q < w->ow; q++) {
            const window s = place(w, r, q);
            const int64_t at = out + q * w->c;
            NAME(pixel_back_plain)(w, &s, (const ELEMENT *)j->x + at, j->positions + at, dx);
        }
    }
}

#undef GET
#undef PUT
#undef NAME
#undef JOIN
#undef JOIN_
#undef SUFFIX
#undef ELEMENT

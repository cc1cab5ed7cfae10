/* max_pool2d.c: max pooling and its backward op on channels-last float32, 8-bit positions.
 *
 * x {n, c, h, w}, y and positions {n, c, oh, ow}. A position is i * kw + j of the first largest
 * element of its window; a NaN wins over every number. */
#include <string.h>

#include "core/simd.h"
#include "ops/nn.h"

/* Output elements of one slice, about. */
enum { SLICE = 8192, BLOCK = 64 };

/* The part of one window that lies inside the input: rows and columns of the kernel, and where its
 * first element lies in the picture. */
typedef struct window {
    int64_t i0, i1, j0, j1, row, column;
} window;

/* How many steps of d lead to `to` or beyond; most kernels are dense and spare the division. */
static inline int64_t steps(int64_t to, int64_t d) { return d == 1 ? to : (to + d - 1) / d; }

static inline window place(const mascon_window2d *w, int64_t r, int64_t q) {
    window s = {.row = r * w->sh - w->top, .column = q * w->sw - w->left};
    s.i0 = s.row < 0 ? steps(-s.row, w->dh) : 0;
    s.j0 = s.column < 0 ? steps(-s.column, w->dw) : 0;
    s.i1 = steps(w->h - s.row, w->dh);
    s.j1 = steps(w->w - s.column, w->dw);
    if (s.i1 > w->kh) s.i1 = w->kh;
    if (s.j1 > w->kw) s.j1 = w->kw;
    return s;
}

/* Offset of window element (i, j) in the picture. */
static int64_t element(const mascon_window2d *w, const window *s, int64_t i, int64_t j) {
    return ((s->row + i * w->dh) * w->w + s->column + j * w->dw) * w->c;
}

/* ---- Plain loops ---- */

MASCON_CLONES static void take_larger(const float *restrict v, float *restrict best,
                                      int32_t *restrict at, int32_t k, int64_t n) {
    for (int64_t c = 0; c < n; c++) {
        const int wins = (v[c] > best[c]) | (v[c] != v[c]);
        best[c] = wins ? v[c] : best[c];
        at[c] = wins ? k : at[c];
    }
}

static void pixel_plain(const mascon_window2d *w, const window *s, const float *x, float *y,
                        uint8_t *positions) {
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
                take_larger(x + element(w, s, i, j) + c, best, at, (int32_t)(i * w->kw + j), n);
            }
        }
        memcpy(y + c, best, sizeof(float) * (size_t)n);
        for (int64_t e = 0; positions && e < n; e++) positions[c + e] = (uint8_t)at[e];
    }
}

MASCON_CLONES static void add_where(const float *restrict dy, const uint8_t *restrict at, int k,
                                    float *restrict dx, int64_t n) {
    for (int64_t c = 0; c < n; c++) dx[c] += at[c] == k ? dy[c] : 0;
}

static void pixel_back_plain(const mascon_window2d *w, const window *s, const float *dy,
                             const uint8_t *positions, float *dx) {
    for (int64_t i = s->i0; i < s->i1; i++) {
        for (int64_t j = s->j0; j < s->j1; j++) {
            add_where(dy, positions, (int)(i * w->kw + j), dx + element(w, s, i, j), w->c);
        }
    }
}

/* ---- AVX-512: sixteen channels at a time, the last ones masked ---- */

#if MASCON_HAS_AVX512_CODE
static inline __mmask16 lanes(int64_t left) {
    return left >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << left) - 1);
}

MASCON_AVX512 static inline void pixel_avx512(const mascon_window2d *w, const window *s,
                                              const float *x, float *y, uint8_t *positions) {
    for (int64_t c = 0; c < w->c; c += 16) {
        const __mmask16 m = lanes(w->c - c);
        __m512 best = _mm512_set1_ps(-INFINITY);
        __m512i at = _mm512_set1_epi32((int)(s->i0 * w->kw + s->j0));
        for (int64_t i = s->i0; i < s->i1; i++) {
            const float *row = x + element(w, s, i, s->j0) + c;
            for (int64_t j = s->j0; j < s->j1; j++, row += w->dw * w->c) {
                const __m512 v = _mm512_maskz_loadu_ps(m, row);
                const __mmask16 wins = _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) |
                                       _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
                best = _mm512_mask_mov_ps(best, wins, v);
                at = _mm512_mask_mov_epi32(at, wins, _mm512_set1_epi32((int)(i * w->kw + j)));
            }
        }
        _mm512_mask_storeu_ps(y + c, m, best);
        if (positions) _mm_mask_storeu_epi8(positions + c, m, _mm512_cvtepi32_epi8(at));
    }
}

/* alone: no other window reaches these elements, so they are set, not added to. */
MASCON_AVX512 static inline void pixel_back_avx512(const mascon_window2d *w, const window *s,
                                                   const float *dy, const uint8_t *positions,
                                                   float *dx, int alone) {
    for (int64_t c = 0; c < w->c; c += 16) {
        const __mmask16 m = lanes(w->c - c);
        const __m512 g = _mm512_maskz_loadu_ps(m, dy + c);
        const __m512i at = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, positions + c));
        for (int64_t i = s->i0; i < s->i1; i++) {
            float *row = dx + element(w, s, i, s->j0) + c;
            for (int64_t j = s->j0; j < s->j1; j++, row += w->dw * w->c) {
                const __mmask16 here =
                    _mm512_cmpeq_epi32_mask(at, _mm512_set1_epi32((int)(i * w->kw + j)));
                __m512 v = _mm512_maskz_mov_ps(here, g);
                if (!alone) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(m, row));
                _mm512_mask_storeu_ps(row, m, v);
            }
        }
    }
}

/* Windows of 2x2, stride 2, no padding, up to 16 channels: one vector holds a pixel. Pixels lie closer
 * than a vector is long, so a store runs over into the next pixel, which is written after it; only the
 * last store of a row is masked.
 * x0, x1: two input rows {2 * ow, c}; y, positions: one output row {ow, c}. */
MASCON_AVX512 static void row_2x2_avx512(int64_t ow, int64_t c, const float *x0, const float *x1,
                                         float *y, uint8_t *positions) {
    const __mmask16 m = lanes(c);
    for (int64_t q = 0; q < ow; q++) {
        const float *p[4] = {x0 + 2 * q * c, x0 + (2 * q + 1) * c, x1 + 2 * q * c,
                             x1 + (2 * q + 1) * c};
        __m512 best = _mm512_maskz_loadu_ps(m, p[0]);
        __m512i at = _mm512_setzero_si512();
        for (int k = 1; k < 4; k++) {
            const __m512 v = _mm512_maskz_loadu_ps(m, p[k]);
            const __mmask16 wins =
                _mm512_cmp_ps_mask(v, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
            best = _mm512_mask_mov_ps(best, wins, v);
            at = _mm512_mask_mov_epi32(at, wins, _mm512_set1_epi32(k));
        }
        const __mmask16 out = q + 1 < ow ? (__mmask16)0xffff : m;
        if (out == 0xffff) {
            _mm512_storeu_ps(y + q * c, best);
        } else {
            _mm512_mask_storeu_ps(y + q * c, out, best);
        }
        if (positions) _mm_mask_storeu_epi8(positions + q * c, out, _mm512_cvtepi32_epi8(at));
    }
}

/* dy, positions: one output row {ow, c}; dx0, dx1: two input rows {2 * ow, c}. */
MASCON_AVX512 static void row_2x2_back_avx512(int64_t ow, int64_t c, const float *dy,
                                              const uint8_t *positions, float *dx0, float *dx1) {
    const __mmask16 m = lanes(c);
    for (int64_t q = 0; q < ow; q++) {
        const __m512 g = _mm512_maskz_loadu_ps(m, dy + q * c);
        const __m512i at = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, positions + q * c));
        for (int j = 0; j < 2; j++) {
            const __m512 a =
                _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(at, _mm512_set1_epi32(j)), g);
            const __m512 b =
                _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(at, _mm512_set1_epi32(2 + j)), g);
            if (q + 1 < ow || j == 0) {
                _mm512_storeu_ps(dx0 + (2 * q + j) * c, a);
                _mm512_storeu_ps(dx1 + (2 * q + j) * c, b);
            } else {
                _mm512_mask_storeu_ps(dx0 + (2 * q + j) * c, m, a);
                _mm512_mask_storeu_ps(dx1 + (2 * q + j) * c, m, b);
            }
        }
    }
}

MASCON_AVX512 static void row_avx512(const mascon_window2d *w, int64_t r, const float *x, float *y,
                                     uint8_t *positions) {
    for (int64_t q = 0; q < w->ow; q++) {
        const window s = place(w, r, q);
        pixel_avx512(w, &s, x, y + q * w->c, positions ? positions + q * w->c : NULL);
    }
}

MASCON_AVX512 static void row_back_avx512(const mascon_window2d *w, int64_t r, const float *dy,
                                          const uint8_t *positions, float *dx, int alone) {
    for (int64_t q = 0; q < w->ow; q++) {
        const window s = place(w, r, q);
        pixel_back_avx512(w, &s, dy + q * w->c, positions + q * w->c, dx, alone);
    }
}
#endif

/* ---- The kernels ---- */

static int wish_any(const mascon_call *call, mascon_wish *w) {
    if (SRC(call, 0)->dtype != MASCON_DTYPE_F32 || SRC(call, 0)->numel == 0) return 0;
    mascon_window2d window2d;
    masconI_window2d(call, &window2d);
    if (window2d.kh * window2d.kw > 256) return 0; /* wider positions */
    w->src[0] = w->dst[0] = MASCON_WISH_NHWC;
    w->src[1] = w->dst[1] = MASCON_WISH_NHWC;
    return 1;
}

typedef struct job {
    mascon_window2d w;
    const float *x; /* backward: dy */
    float *y;       /* backward: dx */
    uint8_t *positions;
    int64_t rows; /* of output, in one slice of the forward pass */
    int wide;     /* AVX-512 */
    int few;      /* the 2x2 rows of up to 16 channels */
} job;

/* A store must not run over more than the next pixel, hence at least 8 channels. */
static int few_channels(const mascon_window2d *w) {
    return w->kh == 2 && w->kw == 2 && w->sh == 2 && w->sw == 2 && w->dh == 1 && w->dw == 1 &&
           w->top == 0 && w->left == 0 && 2 * w->oh <= w->h && 2 * w->ow <= w->w && w->c >= 8 &&
           w->c <= 16;
}

static void slice(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_window2d *w = &j->w;
    int64_t row = index * j->rows, end = row + j->rows;
    if (end > w->n * w->oh) end = w->n * w->oh;
    for (; row < end; row++) {
        const float *picture = j->x + row / w->oh * w->h * w->w * w->c;
        const int64_t r = row % w->oh, out = row * w->ow * w->c;
        uint8_t *positions = j->positions ? j->positions + out : NULL;
#if MASCON_HAS_AVX512_CODE
        if (j->few) {
            const float *pair = picture + 2 * r * w->w * w->c;
            row_2x2_avx512(w->ow, w->c, pair, pair + w->w * w->c, j->y + out, positions);
            continue;
        }
        if (j->wide) {
            row_avx512(w, r, picture, j->y + out, positions);
            continue;
        }
#endif
        for (int64_t q = 0; q < w->ow; q++) {
            const window s = place(w, r, q);
            pixel_plain(w, &s, picture, j->y + out + q * w->c,
                        positions ? positions + q * w->c : NULL);
        }
    }
}

static int wide(void) {
#if MASCON_HAS_AVX512_CODE
    return masconI_has_avx512();
#else
    return 0;
#endif
}

static mascon_status max_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.x = SRC(call, 0)->data, .y = DST(call, 0)->data, .wide = wide()};
    if (call->n_dst > 1) j.positions = DST(call, 1)->data;
    masconI_window2d(call, &j.w);
    j.few = j.wide && few_channels(&j.w);
    j.rows = 1 + SLICE / (j.w.ow * j.w.c);
    masconI_parallel((j.w.n * j.w.oh + j.rows - 1) / j.rows, slice, &j);
    return MASCON_OK;
}

/* One picture. */
static void slice_back(void *context, int64_t n, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_window2d *w = &j->w;
    float *dx = j->y + n * w->h * w->w * w->c;
    const int64_t first = n * w->oh * w->ow * w->c;
    const int alone = w->sh >= (w->kh - 1) * w->dh + 1 && w->sw >= (w->kw - 1) * w->dw + 1;
    const int whole = alone && w->sh == w->kh && w->sw == w->kw && w->top == 0 && w->left == 0 &&
                      w->oh * w->kh >= w->h && w->ow * w->kw >= w->w;
    if (!whole || !j->wide) memset(dx, 0, sizeof(float) * (size_t)(w->h * w->w * w->c));
    for (int64_t r = 0; r < w->oh; r++) {
        const int64_t out = first + r * w->ow * w->c;
#if MASCON_HAS_AVX512_CODE
        if (j->few) {
            float *pair = dx + 2 * r * w->w * w->c;
            row_2x2_back_avx512(w->ow, w->c, j->x + out, j->positions + out, pair,
                                pair + w->w * w->c);
            continue;
        }
        if (j->wide) {
            row_back_avx512(w, r, j->x + out, j->positions + out, dx, alone);
            continue;
        }
#endif
        for (int64_t q = 0; q < w->ow; q++) {
            const window s = place(w, r, q);
            const int64_t at = out + q * w->c;
            pixel_back_plain(w, &s, j->x + at, j->positions + at, dx);
        }
    }
}

static mascon_status max_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.x = SRC(call, 0)->data, .y = DST(call, 0)->data, .wide = wide()};
    j.positions = SRC(call, 1)->data;
    masconI_window2d(call, &j.w);
    j.few = j.wide && few_channels(&j.w);
    masconI_parallel(j.w.n, slice_back, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_max_pool2d = {.wish = wish_any, .run = max_pool2d};
const mascon_kernel masconC_max_pool2d_bwd = {.wish = wish_any, .run = max_pool2d_bwd};

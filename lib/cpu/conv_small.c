/* conv_small.c: 3x3 convolution with step 1 and few channels, by AVX-512.
 *
 * With 10 channels in a vector of 16, channels-last memory would leave a third of every
 * multiplication unused. So each picture is turned into planes (one per channel, rows of `pitch`
 * floats with zeros between them) that stay in the second-level cache, vectors run along the width,
 * and results are turned back. Slices are pieces of the batch; everything is added in an order set
 * by the shapes.
 */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/simd.h"

#if MASCON_HAS_AVX512_CODE

enum { VECTOR = 16, MOST = 16, TAPS = 9 };
/* A picture's planes must fit the second-level cache beside the weights. */
static const int64_t most_floats = 96 * 1024;

/* Planes of one picture: element (row, column) of channel c is at
 * c * plane + (row + 1) * pitch + column + VECTOR; the rows around it are zeros, and so are the
 * pitch - w floats behind each row, which also serve as the border before the next. */
typedef struct planes {
    int64_t h, w, c, pitch, plane, floats;
} planes;

static planes planes_of(int64_t h, int64_t w, int64_t c) {
    planes p = {.h = h, .w = w, .c = c};
    p.pitch = (w + VECTOR - 1) / VECTOR * VECTOR + VECTOR;
    p.plane = (h + 3) * p.pitch + 2 * VECTOR; /* a vector may read past the last row */
    p.floats = (c * p.plane + 2 * VECTOR + VECTOR - 1) / VECTOR * VECTOR;
    return p;
}

int masconI_conv_small_fits(const mascon_window2d *w, int kind) {
    if (!masconI_has_avx512()) return 0;
    if (w->kh != 3 || w->kw != 3 || w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1) return 0;
    if (w->top != 1 || w->bottom != 1 || w->left != 1 || w->right != 1 || w->groups != 1) return 0;
    /* oneDNN is as fast at a full vector, and for a small width, where vectors would be half empty
     */
    if (w->oc > 12 || w->c > 12 || w->w % VECTOR != 0) return 0;
    (void)kind;
    return planes_of(w->h, w->w, w->c + w->oc).floats <= most_floats;
}

/* ---- Turning ---- */

/* 16x16 floats, rows become columns */
MASCON_AVX512 static inline __attribute__((always_inline)) void turn(__m512 r[16]) {
    __m512 t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int k = 0; k < 2; k++) {
            const __m512d a = _mm512_castps_pd(t[i + k]), b = _mm512_castps_pd(t[i + k + 2]);
            r[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    }
}

static __mmask16 first_lanes(int64_t n) { return (__mmask16)((1u << n) - 1); }

/* A picture {h, w, c} into planes whose borders are already zero. */
MASCON_AVX512 static void to_planes(const planes *p, const float *x, float *to) {
    const __mmask16 m = first_lanes(p->c);
    for (int64_t row = 0; row < p->h; row++) {
        for (int64_t q = 0; q < p->w; q += VECTOR) {
            const float *from = x + (row * p->w + q) * p->c;
            float *out = to + (row + 1) * p->pitch + VECTOR + q;
            if (p->c <= 4) { /* c vectors hold all of it: pick each channel's lanes from them */
                __m512i lane = _mm512_mullo_epi32(
                    _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                    _mm512_set1_epi32((int)p->c));
                for (int64_t c = 0; c < p->c; c++) {
                    __m512 v = _mm512_setzero_ps();
                    for (int64_t k = 0; k < p->c; k++) {
                        const __mmask16 here = _mm512_cmpeq_epi32_mask(_mm512_srli_epi32(lane, 4),
                                                                       _mm512_set1_epi32((int)k));
                        v = _mm512_mask_permutexvar_ps(v, here, lane,
                                                       _mm512_loadu_ps(from + k * VECTOR));
                    }
                    _mm512_storeu_ps(out + c * p->plane, v);
                    lane = _mm512_add_epi32(lane, _mm512_set1_epi32(1));
                }
                continue;
            }
            __m512 r[16];
            for (int i = 0; i < VECTOR; i++) r[i] = _mm512_maskz_loadu_ps(m, from + i * p->c);
            turn(r);
            for (int c = 0; c < MOST; c++) {
                if (c < p->c) _mm512_storeu_ps(out + c * p->plane, r[c]);
            }
        }
    }
}

/* rows {channels, VECTOR} of 16 pixels into channels-last memory */
MASCON_AVX512 static void from_rows(const float *rows, int64_t channels, float *y) {
    const __mmask16 m = first_lanes(channels);
    __m512 r[16];
    for (int c = 0; c < MOST; c++) {
        r[c] = c < channels ? _mm512_load_ps(rows + c * VECTOR) : _mm512_setzero_ps();
    }
    turn(r);
    for (int i = 0; i < VECTOR; i++) _mm512_mask_storeu_ps(y + i * channels, m, r[i]);
}

/* ---- Forward, and the gradient of x ---- */

/* out {oc, VECTOR} of `vectors` times 16 pixels from `at`, the plane position of the first pixel's
 * upper left neighbour; weight {c, 9, oc}. oc and vectors are constants wherever this is called. */
MASCON_AVX512 static inline __attribute__((always_inline)) void block(
    const float *at, int64_t c, int64_t plane, int64_t pitch, const float *weight,
    const float *bias, float *out, const int oc, const int vectors) {
    __m512 sum[12][2];
    for (int o = 0; o < oc; o++) {
        for (int v = 0; v < vectors; v++) sum[o][v] = _mm512_set1_ps(bias[o]);
    }
    for (int64_t i = 0; i < c; i++, at += plane) {
        for (int k = 0; k < TAPS; k++, weight += oc) {
            const float *from = at + k / 3 * pitch + k % 3;
            __m512 x[2];
            for (int v = 0; v < vectors; v++) x[v] = _mm512_loadu_ps(from + v * VECTOR);
#pragma GCC unroll 12
            for (int o = 0; o < oc; o++) {
                const __m512 w = _mm512_set1_ps(weight[o]);
                for (int v = 0; v < vectors; v++) sum[o][v] = _mm512_fmadd_ps(x[v], w, sum[o][v]);
            }
        }
    }
    for (int o = 0; o < oc; o++) {
        for (int v = 0; v < vectors; v++) {
            _mm512_store_ps(out + (v * MOST + o) * VECTOR, sum[o][v]);
        }
    }
}

typedef void block_function(const float *, int64_t, int64_t, int64_t, const float *, const float *,
                            float *);

#define BLOCK(oc, vectors)                                                                      \
    MASCON_AVX512 static void block_##oc##_##vectors(const float *at, int64_t c, int64_t plane, \
                                                     int64_t pitch, const float *weight,        \
                                                     const float *bias, float *out) {           \
        block(at, c, plane, pitch, weight, bias, out, oc, vectors);                             \
    }
#define BLOCKS(oc) BLOCK(oc, 1) BLOCK(oc, 2)
BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)
BLOCKS(5)
BLOCKS(6)
BLOCKS(7)
BLOCKS(8)
BLOCKS(9)
BLOCKS(10)
BLOCKS(11)
BLOCKS(12)

#define ROW(oc) \
    { block_##oc##_1, block_##oc##_2 }
static block_function *const blocks[12][2] = {ROW(1), ROW(2), ROW(3), ROW(4),  ROW(5),  ROW(6),
                                              ROW(7), ROW(8), ROW(9), ROW(10), ROW(11), ROW(12)};

typedef struct job {
    const mascon_window2d *w;
    masconI_cut cut;
    planes from, dy; /* from: x, or dy for the gradient of x */
    const float *x, *y, *weight, *bias;
    float *out;
    float *rooms, *sums; /* rooms: of each thread; sums {9 * c * oc + oc} of each slice */
    int64_t room;        /* floats */
} job;

static void slice(void *context, int64_t index, int thread) {
    const job *j = context;
    const planes *p = &j->from;
    const int64_t out_channels = j->x ? j->w->oc : j->w->c;
    const float *in = j->x ? j->x : j->y;
    float *room = j->rooms + j->room * thread;
    float rows[2 * MOST * VECTOR] __attribute__((aligned(64)));
    const int64_t first = index * j->cut.size;
    const int64_t end = first + j->cut.size < j->w->n ? first + j->cut.size : j->w->n;
    memset(room, 0, sizeof(float) * (size_t)p->floats);
    for (int64_t n = first; n < end; n++) {
        to_planes(p, in + n * p->h * p->w * p->c, room);
        for (int64_t r = 0; r < p->h; r++) {
            for (int64_t q = 0; q < p->w; q += 2 * VECTOR) {
                const int vectors = q + VECTOR < p->w ? 2 : 1;
                blocks[out_channels - 1][vectors - 1](room + r * p->pitch + VECTOR + q - 1, p->c,
                                                      p->plane, p->pitch, j->weight, j->bias, rows);
                float *out = j->out + ((n * p->h + r) * p->w + q) * out_channels;
                for (int v = 0; v < vectors; v++) {
                    from_rows(rows + v * MOST * VECTOR, out_channels,
                              out + v * VECTOR * out_channels);
                }
            }
        }
    }
}

/* ---- The gradient of the weights ---- */

/* Rows taken at a time: so many of x and dy together stay in the first-level cache while every pair
 * of their planes is multiplied. */
enum { STRIP = 16 };

/* Adds to sums {9, pair, VECTOR} the products of one plane of x and `pair` planes of dy, rows first
 * to end - 1. */
MASCON_AVX512 static inline __attribute__((always_inline)) void products(
    const planes *p, const planes *d, const float *x, const float *dy, float *sums, int64_t first,
    int64_t end, const int pair) {
    __m512 a[TAPS][2];
#pragma GCC unroll 9
    for (int k = 0; k < TAPS; k++) {
        for (int o = 0; o < pair; o++) a[k][o] = _mm512_load_ps(sums + (k * 2 + o) * VECTOR);
    }
    for (int64_t r = first; r < end; r++) {
        for (int64_t q = 0; q < p->w; q += VECTOR) {
            const float *at = x + r * p->pitch + VECTOR + q - 1;
            const float *g = dy + (r + 1) * d->pitch + VECTOR + q;
            __m512 v[2];
            for (int o = 0; o < pair; o++) v[o] = _mm512_loadu_ps(g + o * d->plane);
#pragma GCC unroll 9
            for (int k = 0; k < TAPS; k++) {
                __m512 s = _mm512_loadu_ps(at + k / 3 * p->pitch + k % 3);
                /* loaded once: as an operand of both products it would be loaded twice, and loads
                 * across cache lines are what limits this loop */
                __asm__("" : "+v"(s));
                for (int o = 0; o < pair; o++) a[k][o] = _mm512_fmadd_ps(s, v[o], a[k][o]);
            }
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < TAPS; k++) {
        for (int o = 0; o < pair; o++) _mm512_store_ps(sums + (k * 2 + o) * VECTOR, a[k][o]);
    }
}

MASCON_AVX512 static void products_1(const planes *p, const planes *d, const float *x,
                                     const float *dy, float *sums, int64_t first, int64_t end) {
    products(p, d, x, dy, sums, first, end, 1);
}
MASCON_AVX512 static void products_2(const planes *p, const planes *d, const float *x,
                                     const float *dy, float *sums, int64_t first, int64_t end) {
    products(p, d, x, dy, sums, first, end, 2);
}

/* db's sums {VECTOR}: the rows of one plane */
MASCON_AVX512 static void plane_sum(const planes *d, const float *dy, float *sums) {
    __m512 a = _mm512_load_ps(sums);
    for (int64_t r = 0; r < d->h; r++) {
        for (int64_t q = 0; q < d->w; q += VECTOR) {
            a = _mm512_add_ps(a, _mm512_loadu_ps(dy + (r + 1) * d->pitch + VECTOR + q));
        }
    }
    _mm512_store_ps(sums, a);
}

MASCON_AVX512 static float lanes_sum(const float *v) {
    return _mm512_reduce_add_ps(_mm512_load_ps(v));
}

/* Floats of the vector sums of a slice: {c, pairs of oc, 9, 2, VECTOR}, then db's {oc, VECTOR}. */
static int64_t vector_sums(const mascon_window2d *w) {
    return (w->c * ((w->oc + 1) / 2) * TAPS * 2 + w->oc) * VECTOR;
}

/* A slice's sum in the order of dw {oc, 3, 3, c}, then db {oc}. */
static int64_t plain_sums(const mascon_window2d *w) {
    return (w->oc * TAPS * w->c + w->oc + VECTOR - 1) / VECTOR * VECTOR;
}

static void slice_weight(void *context, int64_t index, int thread) {
    const job *j = context;
    const mascon_window2d *w = j->w;
    const int64_t pairs = (w->oc + 1) / 2;
    float *x = j->rooms + j->room * thread, *dy = x + j->from.floats, *sums = dy + j->dy.floats;
    float *bias = sums + w->c * pairs * TAPS * 2 * VECTOR;
    const int64_t first = index * j->cut.size;
    const int64_t end = first + j->cut.size < w->n ? first + j->cut.size : w->n;
    memset(x, 0, sizeof(float) * (size_t)j->room);
    for (int64_t n = first; n < end; n++) {
        to_planes(&j->from, j->x + n * w->h * w->w * w->c, x);
        to_planes(&j->dy, j->y + n * w->h * w->w * w->oc, dy);
        for (int64_t r = 0; r < w->h; r += STRIP) {
            const int64_t r_end = r + STRIP < w->h ? r + STRIP : w->h;
            for (int64_t i = 0; i < w->c * pairs; i++) {
                const int64_t c = i / pairs, o = i % pairs * 2;
                (o + 1 < w->oc ? products_2 : products_1)(&j->from, &j->dy, x + c * j->from.plane,
                                                          dy + o * j->dy.plane,
                                                          sums + i * TAPS * 2 * VECTOR, r, r_end);
            }
        }
        for (int64_t o = 0; o < w->oc; o++)
            plane_sum(&j->dy, dy + o * j->dy.plane, bias + o * VECTOR);
    }
    float *out = j->sums + plain_sums(w) * index;
    for (int64_t o = 0; o < w->oc; o++) {
        for (int64_t k = 0; k < TAPS; k++) {
            for (int64_t c = 0; c < w->c; c++) {
                out[(o * TAPS + k) * w->c + c] =
                    lanes_sum(sums + (((c * pairs + o / 2) * TAPS + k) * 2 + o % 2) * VECTOR);
            }
        }
        out[w->oc * TAPS * w->c + o] = lanes_sum(bias + o * VECTOR);
    }
}

/* ---- The kernel ---- */

/* Floats of one thread's room, and of what all slices share. */
static void measure(const mascon_window2d *w, int kind, int64_t *room, int64_t *shared) {
    const planes x = planes_of(w->h, w->w, w->c), y = planes_of(w->h, w->w, w->oc);
    if (kind == MASCON_CONV_BWD_WEIGHT) {
        *room = x.floats + y.floats + vector_sums(w);
        *shared = plain_sums(w) * masconI_cut_batch(w->n).count;
    } else {
        *room = kind == MASCON_CONV_FORWARD ? x.floats : y.floats;
        *shared = (w->c * w->oc * TAPS + MOST + VECTOR - 1) / VECTOR * VECTOR; /* weights, bias */
    }
}

size_t masconI_conv_small_workspace(const mascon_window2d *w, int kind) {
    int64_t room, shared;
    measure(w, kind, &room, &shared);
    return sizeof(float) * (size_t)(shared + room * mascon_num_threads());
}

/* to {in, 9, out} with a bias behind it, from weight {oc, 9, c}. For the gradient of x, in and out
 * change places and the taps turn round. */
static void order_weights(const mascon_window2d *w, int back, const float *weight,
                          const float *bias, float *to) {
    const int64_t in = back ? w->oc : w->c, out = back ? w->c : w->oc;
    for (int64_t i = 0; i < in; i++) {
        for (int64_t k = 0; k < TAPS; k++) {
            for (int64_t o = 0; o < out; o++) {
                *to++ = back ? weight[(i * TAPS + TAPS - 1 - k) * w->c + o]
                             : weight[(o * TAPS + k) * w->c + i];
            }
        }
    }
    for (int64_t o = 0; o < out; o++) *to++ = bias ? bias[o] : 0;
}

static void add_slices(const job *j, float *dw, float *db) {
    const mascon_window2d *w = j->w;
    const int64_t weights = w->oc * TAPS * w->c, size = plain_sums(w);
    memcpy(dw, j->sums, sizeof(float) * (size_t)weights);
    if (db) memcpy(db, j->sums + weights, sizeof(float) * (size_t)w->oc);
    for (int64_t s = 1; s < j->cut.count; s++) {
        const float *one = j->sums + s * size;
        for (int64_t e = 0; e < weights; e++) dw[e] += one[e];
        for (int64_t o = 0; db && o < w->oc; o++) db[o] += one[weights + o];
    }
}

mascon_status masconI_conv_small_run(const mascon_window2d *w, int kind, float *x, float *weight,
                                     float *bias, float *y, void *workspace) {
    const planes px = planes_of(w->h, w->w, w->c), py = planes_of(w->h, w->w, w->oc);
    job j = {.w = w, .cut = masconI_cut_batch(w->n)};
    int64_t shared;
    float *work = workspace;
    measure(w, kind, &j.room, &shared);
    j.rooms = work + shared;
    if (kind == MASCON_CONV_BWD_WEIGHT) {
        j.from = px;
        j.dy = py;
        j.x = x;
        j.y = y;
        j.sums = work;
        masconI_parallel(j.cut.count, slice_weight, &j);
        add_slices(&j, weight, bias);
        return MASCON_OK;
    }
    const int back = kind == MASCON_CONV_BWD_DATA;
    order_weights(w, back, weight, bias, work);
    j.weight = work;
    j.bias = work + w->c * w->oc * TAPS;
    j.from = back ? py : px;
    j.x = back ? NULL : x;
    j.y = back ? y : NULL;
    j.out = back ? x : y;
    masconI_parallel(j.cut.count, slice, &j);
    return MASCON_OK;
}

#else

int masconI_conv_small_fits(const mascon_window2d *w, int kind) {
    (void)w;
    (void)kind;
    return 0;
}

size_t masconI_conv_small_workspace(const mascon_window2d *w, int kind) {
    (void)w;
    (void)kind;
    return 0;
}

mascon_status masconI_conv_small_run(const mascon_window2d *w, int kind, float *x, float *weight,
                                     float *bias, float *y, void *workspace) {
    (void)w, (void)kind, (void)x, (void)weight, (void)bias, (void)y, (void)workspace;
    return masconI_fail(MASCON_E_UNSUPPORTED, "this processor has no such kernel");
}

#endif

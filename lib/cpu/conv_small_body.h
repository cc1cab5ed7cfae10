/* conv_small_body.h: the loops of conv_small.h, written once for any vector length.
 * conv_small_avx512.c and conv_small_avx2.c define the macros below and include it.
 *
 *   TARGET            the target attribute of every function
 *   VECTOR            floats of a vector
 *   PAIR              planes of dy that are multiplied at a time
 *   WIDE              with up to so many output channels, two vectors of a row at a time
 *   VECTOR_IS_WHOLE_PIXEL   1 where a vector holds all channels of a pixel
 *   FEW, pick         up to FEW channels, pick(x, c, out, plane) turns VECTOR pixels into planes
 *   vec, part, LOAD STORE SET1 ZERO ADD SUM FMA PART LOAD_PART STORE_PART turn REGISTER   as in winograd_body.h
 */
#define INLINE TARGET static inline __attribute__((always_inline))

enum { MOST = MASCON_SMALL_CHANNELS, TAPS = MASCON_SMALL_TAPS };
enum { ROOM = (MOST + VECTOR - 1) / VECTOR * VECTOR };

/* ---- Turning ---- */

TARGET static void to_planes(const masconI_planes *p, const float *x, int64_t at, int64_t rows,
                             float *to) {
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t q = 0; q < p->w; q += VECTOR, x += VECTOR * p->c) {
            float *out = to + (at + row + 1) * p->pitch + VECTOR + q;
            if (p->c <= FEW) {
                pick(x, p->c, out, p->plane);
                continue;
            }
            for (int64_t c = 0; c < p->c; c += VECTOR) {
                const int64_t count = p->c - c < VECTOR ? p->c - c : VECTOR;
                const part m = PART(count);
                vec r[VECTOR];
                for (int i = 0; i < VECTOR; i++) r[i] = LOAD_PART(x + i * p->c + c, m);
                turn(r);
                for (int i = 0; i < VECTOR; i++) {
                    if (i < count) STORE(out + (c + i) * p->plane, r[i]);
                }
            }
        }
    }
}

#if VECTOR_IS_WHOLE_PIXEL

/* rows {channels, VECTOR} into VECTOR pixels of channels-last memory */
TARGET static void from_rows(const float *rows, int64_t channels, float *y) {
    const part m = PART(channels);
    vec r[VECTOR];
    for (int i = 0; i < VECTOR; i++) r[i] = i < channels ? LOAD(rows + i * VECTOR) : ZERO();
    turn(r);
    for (int i = 0; i < VECTOR; i++) STORE_PART(y + i * channels, m, r[i]);
}

#else

/* The same where a pixel takes several vectors, and a masked store several times as long as a whole
 * one: what a whole store writes too much is overwritten by the next pixel, only the last ones are
 * masked. */
TARGET static void from_rows(const float *rows, int64_t channels, float *y) {
    float pixels[VECTOR][ROOM] __attribute__((aligned(64)));
    const int64_t end = VECTOR * channels;
    for (int64_t c = 0; c < channels; c += VECTOR) {
        vec r[VECTOR];
        for (int i = 0; i < VECTOR; i++) {
            r[i] = c + i < channels ? LOAD(rows + (c + i) * VECTOR) : ZERO();
        }
        turn(r);
        for (int i = 0; i < VECTOR; i++) STORE(pixels[i] + c, r[i]);
    }
    for (int i = 0; i < VECTOR; i++) {
        for (int64_t c = 0; c < channels; c += VECTOR) {
            const int64_t at = i * channels + c, rest = channels - c;
            if (at + VECTOR <= end) {
                STORE(y + at, LOAD(pixels[i] + c));
            } else {
                STORE_PART(y + at, PART(rest < VECTOR ? rest : VECTOR), LOAD(pixels[i] + c));
            }
        }
    }
}

#endif

/* ---- Forward, and the gradient of x ---- */

/* out {vectors, ROOM, VECTOR} from `at`, the plane position of the first pixel's upper left
 * neighbour; weight {c, 9, oc}. oc and vectors are constants wherever this is called. */
INLINE void block(const float *at, int64_t c, int64_t plane, int64_t pitch, const float *weight,
                  const float *bias, vec floor, float *out, const int oc, const int vectors) {
    vec sum[MOST][2];
#pragma GCC unroll 12
    for (int o = 0; o < oc; o++) {
        for (int v = 0; v < vectors; v++) sum[o][v] = SET1(bias[o]);
    }
    for (int64_t i = 0; i < c; i++, at += plane) {
        for (int k = 0; k < TAPS; k++, weight += oc) {
            const float *from = at + k / 3 * pitch + k % 3;
            vec x[2];
            for (int v = 0; v < vectors; v++) x[v] = LOAD(from + v * VECTOR);
#pragma GCC unroll 12
            for (int o = 0; o < oc; o++) {
                const vec w = SET1(weight[o]);
                for (int v = 0; v < vectors; v++) sum[o][v] = FMA(x[v], w, sum[o][v]);
            }
        }
    }
#pragma GCC unroll 12
    for (int o = 0; o < oc; o++) {
        for (int v = 0; v < vectors; v++) {
            STORE(out + (v * ROOM + o) * VECTOR, MAX(floor, sum[o][v]));
        }
    }
}

typedef void block_function(const float *, int64_t, int64_t, int64_t, const float *, const float *,
                            float, float *);

#define BLOCK(oc, vectors)                                                                        \
    TARGET static void block_##oc##_##vectors(const float *at, int64_t c, int64_t plane,          \
                                              int64_t pitch, const float *weight,                 \
                                              const float *bias, float floor, float *out) {       \
        block(at, c, plane, pitch, weight, bias, SET1(floor), out, oc, oc <= WIDE ? vectors : 1); \
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

#define PAIR_OF(oc) \
    { block_##oc##_1, block_##oc##_2 }
static block_function *const blocks[MOST][2] = {PAIR_OF(1), PAIR_OF(2),  PAIR_OF(3),  PAIR_OF(4),
                                                PAIR_OF(5), PAIR_OF(6),  PAIR_OF(7),  PAIR_OF(8),
                                                PAIR_OF(9), PAIR_OF(10), PAIR_OF(11), PAIR_OF(12)};

TARGET static void row(const masconI_planes *p, const float *from, int64_t at, int64_t oc,
                       const float *weight, const float *bias, float floor, float *y) {
    float rows[2 * ROOM * VECTOR] __attribute__((aligned(64)));
    const int most = oc <= WIDE ? 2 : 1;
    for (int64_t q = 0; q < p->w; q += most * VECTOR) {
        const int vectors = q + VECTOR < p->w ? most : 1;
        blocks[oc - 1][vectors - 1](from + at * p->pitch + VECTOR + q - 1, p->c, p->plane, p->pitch,
                                    weight, bias, floor, rows);
        for (int v = 0; v < vectors; v++) {
            from_rows(rows + v * ROOM * VECTOR, oc, y + (q + v * VECTOR) * oc);
        }
    }
}

/* ---- The gradient of the weights ---- */

INLINE void products_of(const masconI_planes *p, const masconI_planes *d, const float *x,
                        const float *dy, float *sums, int64_t first, int64_t end, const int count) {
    vec a[TAPS][PAIR];
#pragma GCC unroll 9
    for (int k = 0; k < TAPS; k++) {
        for (int o = 0; o < count; o++) a[k][o] = LOAD(sums + (k * PAIR + o) * VECTOR);
    }
    for (int64_t r = first; r < end; r++) {
        for (int64_t q = 0; q < p->w; q += VECTOR) {
            const float *at = x + r * p->pitch + VECTOR + q - 1;
            const float *g = dy + (r + 1) * d->pitch + VECTOR + q;
            vec v[PAIR];
            for (int o = 0; o < count; o++) v[o] = LOAD(g + o * d->plane);
#pragma GCC unroll 9
            for (int k = 0; k < TAPS; k++) {
                vec s = LOAD(at + k / 3 * p->pitch + k % 3);
                /* loaded once: as an operand of both products it would be loaded twice, and loads
                 * across cache lines are what limits this loop */
                __asm__("" : "+" REGISTER(s));
                for (int o = 0; o < count; o++) a[k][o] = FMA(s, v[o], a[k][o]);
            }
        }
    }
#pragma GCC unroll 9
    for (int k = 0; k < TAPS; k++) {
        for (int o = 0; o < count; o++) STORE(sums + (k * PAIR + o) * VECTOR, a[k][o]);
    }
}

TARGET static void products(const masconI_planes *p, const masconI_planes *d, const float *x,
                            const float *dy, int64_t count, float *sums, int64_t first,
                            int64_t end) {
    if (count == PAIR) {
        products_of(p, d, x, dy, sums, first, end, PAIR);
    } else {
        products_of(p, d, x, dy, sums, first, end, 1);
    }
}

TARGET static void plane_sum(const masconI_planes *d, const float *dy, float *sums) {
    vec a = LOAD(sums);
    for (int64_t r = 0; r < d->h; r++) {
        for (int64_t q = 0; q < d->w; q += VECTOR) {
            a = ADD(a, LOAD(dy + (r + 1) * d->pitch + VECTOR + q));
        }
    }
    STORE(sums, a);
}

TARGET static float lanes_sum(const float *v) { return SUM(LOAD(v)); }

#define CODE                                                                                      \
    {                                                                                             \
        .vector = VECTOR, .pair = PAIR, .to_planes = to_planes, .row = row, .products = products, \
        .plane_sum = plane_sum, .lanes_sum = lanes_sum                                            \
    }

/* winograd_body.h: the transforms and the matrix product of winograd.h, written once for any vector
 * length. winograd_avx512.c and winograd_avx2.c define the macros below and include it.
 *
 *   TARGET            the target attribute of every function
 *   VECTOR, VECTORS   floats of a vector, vectors of a panel
 *   vec, part         a vector; which of its lanes a partial load or store touches
 *   LOAD STORE SET1 ZERO ADD SUB MUL FMA(a, b, c) = a b + c  FNMA(a, b, c) = c - a b
 *   PART(n) LOAD_PART STORE_PART
 *   turn(r)           the square of VECTOR vectors: rows become columns
 *
 * and, for another type of elements in memory than float32, ELEMENT, TAKE, TAKE_PART, GIVE, GIVE_PART.
 *
 * The order of every sum is fixed and the same for each vector length. */
#include <stddef.h>

#include "cpu/winograd.h"

#define INLINE TARGET static inline __attribute__((always_inline))

enum { ROWS = 12, TILE = MASCON_WINOGRAD_TILE, SPAN = 6, TAPS = 9 };

/* Elements of x, y, dy and plain weights: float32, or what the file that includes this one says. */
#ifndef ELEMENT
#define ELEMENT float
#define TAKE(p) LOAD(p)
#define TAKE_PART(p, m) LOAD_PART(p, m)
#define GIVE(p, v) STORE(p, v)
#define GIVE_PART(p, m, v) STORE_PART(p, m, v)
#endif
typedef ELEMENT element;

/* What a tile meets outside of the picture. */
static const element nothing[MASCON_WINOGRAD_CHANNELS + VECTOR];

INLINE vec take(const element *p, part m, const int whole) {
    return whole ? TAKE(p) : TAKE_PART(p, m);
}
INLINE void give(element *p, part m, vec v, const int whole) {
    if (whole) {
        GIVE(p, v);
    } else {
        GIVE_PART(p, m, v);
    }
}
INLINE void store(float *p, part m, vec v, const int whole) {
    if (whole) {
        STORE(p, v);
    } else {
        STORE_PART(p, m, v);
    }
}

/* ---- Transforms of six, four and three values ---- */

/* The interpolation points are 0, a, -a, b, -b and infinity with a = 1/sqrt(2) and b = sqrt(2): the
 * powers of b stay small, which makes the error several times smaller than with 1 and 2. */
#define A 0.70710678f
#define B 1.41421356f

/* Bt d: two rows at a time share their loads */
INLINE vec input_0(vec d0, vec d2, vec d4) { return FNMA(SET1(2.5f), d2, ADD(d0, d4)); }
INLINE void input_12(vec d1, vec d2, vec d3, vec d4, vec *t1, vec *t2) {
    const vec e = FNMA(SET1(2), d2, d4), o = FNMA(SET1(2), d1, d3);
    *t1 = FMA(SET1(A), o, e);
    *t2 = FNMA(SET1(A), o, e);
}
INLINE void input_34(vec d1, vec d2, vec d3, vec d4, vec *t3, vec *t4) {
    const vec e = FNMA(SET1(0.5f), d2, d4), o = FNMA(SET1(0.5f), d1, d3);
    *t3 = FMA(SET1(B), o, e);
    *t4 = FNMA(SET1(B), o, e);
}
INLINE void input_row(const vec t[SPAN], float *v, int64_t step) {
    vec a, b;
    STORE(v, input_0(t[0], t[2], t[4]));
    input_12(t[1], t[2], t[3], t[4], &a, &b);
    STORE(v + step, a);
    STORE(v + 2 * step, b);
    input_34(t[1], t[2], t[3], t[4], &a, &b);
    STORE(v + 3 * step, a);
    STORE(v + 4 * step, b);
    STORE(v + 5 * step, input_0(t[1], t[3], t[5]));
}

/* At m */
INLINE void output_6(const vec m[SPAN], vec *o0, vec *o1, vec *o2, vec *o3) {
    const vec s = ADD(m[1], m[2]), d = SUB(m[1], m[2]);
    const vec s2 = ADD(m[3], m[4]), d2 = SUB(m[3], m[4]);
    *o0 = ADD(ADD(m[0], s), s2);
    *o1 = FMA(SET1(B), d2, MUL(SET1(A), d));
    *o2 = FMA(SET1(2), s2, MUL(SET1(0.5f), s));
    *o3 = FMA(SET1(2 * B), d2, FMA(SET1(A / 2), d, m[5]));
}

/* A y */
INLINE void gradient_4(const vec y[TILE], vec z[SPAN]) {
    const vec e = FMA(SET1(0.5f), y[2], y[0]), o = FMA(SET1(0.5f), y[3], y[1]);
    const vec e2 = FMA(SET1(2), y[2], y[0]), o2 = FMA(SET1(2), y[3], y[1]);
    z[0] = y[0];
    z[1] = FMA(SET1(A), o, e);
    z[2] = FNMA(SET1(A), o, e);
    z[3] = FMA(SET1(B), o2, e2);
    z[4] = FNMA(SET1(B), o2, e2);
    z[5] = y[3];
}

/* G g */
INLINE void weights_3(vec g0, vec g1, vec g2, vec u[SPAN]) {
    const vec third = MUL(SET1(1.0f / 3), g2);
    const vec e = FMA(SET1(-2.0f / 3), g0, SUB(ZERO(), third));
    const vec e2 = FMA(SET1(1.0f / 6), g0, third);
    u[0] = g0;
    u[1] = FNMA(SET1(B / 3), g1, e);
    u[2] = FMA(SET1(B / 3), g1, e);
    u[3] = FMA(SET1(B / 6), g1, e2);
    u[4] = FNMA(SET1(B / 6), g1, e2);
    u[5] = g2;
}

/* Gt m */
INLINE void gather_6(const vec m[SPAN], vec *g0, vec *g1, vec *g2) {
    const vec s = ADD(m[1], m[2]), d = SUB(m[1], m[2]);
    const vec s2 = ADD(m[3], m[4]), d2 = SUB(m[3], m[4]);
    *g0 = FMA(SET1(1.0f / 6), s2, FNMA(SET1(2.0f / 3), s, m[0]));
    *g1 = FNMA(SET1(B / 3), d, MUL(SET1(B / 6), d2));
    *g2 = FMA(SET1(1.0f / 3), SUB(s2, s), m[5]);
}

/* ---- Tiles ---- */

/* Where a tile lies. */
typedef struct place {
    int64_t n, y, x; /* picture; tile row and column */
} place;

static inline place place_of(const masconI_tiling *g, int64_t tile) {
    const int64_t per = g->down * g->across;
    return (place){tile / per, tile % per / g->across, tile % g->across};
}

static inline void place_next(const masconI_tiling *g, place *p) {
    if (++p->x < g->across) return;
    p->x = 0;
    if (++p->y < g->down) return;
    p->y = 0;
    p->n++;
}

/* The span x span pixels from (y, x) of a picture {h, w, c}; nothing where outside. */
static inline void pixels(const element *picture, int64_t h, int64_t w, int64_t c, int64_t y,
                          int64_t x, int span, const element **at) {
    for (int i = 0; i < span; i++) {
        for (int j = 0; j < span; j++) {
            const int inside = y + i >= 0 && y + i < h && x + j >= 0 && x + j < w;
            *at++ = inside ? picture + ((y + i) * w + x + j) * c : nothing;
        }
    }
}

/* ---- Prefetching ---- */

/* Where a tile's pixel (0, 0) lies, or would lie: it may be outside of the picture, since nothing is
 * read or written there. */
static inline uintptr_t address_of(const void *pictures, int64_t h, int64_t w, int64_t c, int64_t n,
                                   int64_t y, int64_t x) {
    const int64_t pixel = (n * h + y) * w + x;
    return (uintptr_t)pictures + (uintptr_t)(pixel * c) * sizeof(element);
}

/* One channel of the rows x columns pixels from here on. Tiles of a row are 4 pixels apart, and what
 * comes next in memory is not what comes next in a tile, so the processor does not see it coming. */
INLINE void fetch(uintptr_t at, int64_t line, int64_t c, const int rows, const int columns,
                  const int write) {
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 6
        for (int j = 0; j < columns; j++) {
            const uintptr_t to = at + (uintptr_t)(i * line + j * c) * sizeof(element);
            if (write) {
                __builtin_prefetch((const void *)to, 1);
            } else {
                __builtin_prefetch((const void *)to, 0);
            }
        }
    }
}

/* Element (i, j) of a tile: from the list of pixels at an edge, else from its first pixel. */
#define AT(i, j) take((edge ? at[(i)*span + (j)] : from + (i)*line + (j)*c) + channel, m, whole)

INLINE void input_tile(const element *const *at, const element *from, int64_t line, int64_t c,
                       int64_t channel, part m, float *v, int64_t step, const int edge,
                       const int whole) {
    const int span = SPAN;
    vec s[SPAN], t[SPAN];
#pragma GCC unroll 6
    for (int j = 0; j < SPAN; j++) s[j] = input_0(AT(0, j), AT(2, j), AT(4, j));
    input_row(s, v, step);
#pragma GCC unroll 6
    for (int j = 0; j < SPAN; j++) {
        input_12(AT(1, j), AT(2, j), AT(3, j), AT(4, j), &s[j], &t[j]);
    }
    input_row(s, v + 6 * step, step);
    input_row(t, v + 12 * step, step);
#pragma GCC unroll 6
    for (int j = 0; j < SPAN; j++) {
        input_34(AT(1, j), AT(2, j), AT(3, j), AT(4, j), &s[j], &t[j]);
    }
    input_row(s, v + 18 * step, step);
    input_row(t, v + 24 * step, step);
#pragma GCC unroll 6
    for (int j = 0; j < SPAN; j++) s[j] = input_0(AT(1, j), AT(3, j), AT(5, j));
    input_row(s, v + 30 * step, step);
}

TARGET static void input(const masconI_tiling *g, const void *pictures, int64_t tile, int64_t count,
                         int64_t first, int64_t end, float *v, int64_t row, int64_t step) {
    const element *at[SPAN * SPAN], *x = pictures;
    const int64_t line = g->w * g->c;
    place p = place_of(g, tile);
    for (int64_t t = 0; t < count; t++, place_next(g, &p), v += row) {
        const int64_t py = p.y * TILE - g->top, px = p.x * TILE - g->left;
        const int edge = py < 0 || px < 0 || py + SPAN > g->h || px + SPAN > g->w;
        const element *picture = x + p.n * g->h * line;
        const element *from = edge ? nothing : picture + py * line + px * g->c;
        if (edge) pixels(picture, g->h, g->w, g->c, py, px, SPAN, at);
        place next = p;
        place_next(g, &next);
        /* the columns that this tile does not share */
        const uintptr_t ahead = address_of(x, g->h, g->w, g->c, next.n, next.y * TILE - g->top,
                                           next.x * TILE - g->left + SPAN - TILE);
        for (int64_t c = first; c < end; c += VECTOR) {
            if (t + 1 < count) {
                fetch(ahead + (uintptr_t)c * sizeof(element), line, g->c, SPAN, TILE, 0);
            }
            if (c + VECTOR > g->c) {
                const part m = PART(g->c - c);
                if (edge) {
                    input_tile(at, from, line, g->c, c, m, v + c - first, step, 1, 0);
                } else {
                    input_tile(at, from, line, g->c, c, m, v + c - first, step, 0, 0);
                }
            } else if (edge) {
                input_tile(at, from, line, g->c, c, PART(0), v + c - first, step, 1, 1);
            } else {
                input_tile(at, from, line, g->c, c, PART(0), v + c - first, step, 0, 1);
            }
        }
    }
}

INLINE void gradient_tile(const element *const *at, const element *from, int64_t line, int64_t c,
                          int64_t channel, part m, float *v, int64_t step, const int edge,
                          const int whole) {
    const int span = TILE;
    vec z[TILE][SPAN], y[TILE], s[SPAN], sum = ZERO();
#pragma GCC unroll 4
    for (int j = 0; j < TILE; j++) {
#pragma GCC unroll 4
        for (int i = 0; i < TILE; i++) y[i] = AT(i, j);
        sum = ADD(sum, ADD(ADD(y[0], y[1]), ADD(y[2], y[3])));
        gradient_4(y, z[j]);
    }
    STORE(v + SPAN * SPAN * step, sum);
#pragma GCC unroll 6
    for (int i = 0; i < SPAN; i++) {
#pragma GCC unroll 4
        for (int j = 0; j < TILE; j++) y[j] = z[j][i];
        gradient_4(y, s);
#pragma GCC unroll 6
        for (int j = 0; j < SPAN; j++) STORE(v + (i * SPAN + j) * step, s[j]);
    }
}

#undef AT

TARGET static void gradient(const masconI_tiling *g, const void *pictures, int64_t tile,
                            int64_t count, int64_t first, int64_t end, float *v, int64_t row,
                            int64_t step) {
    const element *at[TILE * TILE], *dy = pictures;
    const int64_t line = g->ow * g->oc;
    place p = place_of(g, tile);
    for (int64_t t = 0; t < count; t++, place_next(g, &p), v += row) {
        const int64_t py = p.y * TILE, px = p.x * TILE;
        const int edge = py + TILE > g->oh || px + TILE > g->ow;
        const element *picture = dy + p.n * g->oh * line;
        const element *from = edge ? nothing : picture + py * line + px * g->oc;
        if (edge) pixels(picture, g->oh, g->ow, g->oc, py, px, TILE, at);
        place next = p;
        place_next(g, &next);
        const uintptr_t ahead =
            address_of(dy, g->oh, g->ow, g->oc, next.n, next.y * TILE, next.x * TILE);
        for (int64_t c = first; c < end; c += VECTOR) {
            if (t + 1 < count) {
                fetch(ahead + (uintptr_t)c * sizeof(element), line, g->oc, TILE, TILE, 0);
            }
            if (c + VECTOR > g->oc) {
                const part m = PART(g->oc - c);
                if (edge) {
                    gradient_tile(at, from, line, g->oc, c, m, v + c - first, step, 1, 0);
                } else {
                    gradient_tile(at, from, line, g->oc, c, m, v + c - first, step, 0, 0);
                }
            } else if (edge) {
                gradient_tile(at, from, line, g->oc, c, PART(0), v + c - first, step, 1, 1);
            } else {
                gradient_tile(at, from, line, g->oc, c, PART(0), v + c - first, step, 0, 1);
            }
        }
    }
}

/* y and residual (may be NULL) alike */
INLINE void output_tile(const float *m, int64_t step, vec bias, vec floor, const element *residual,
                        element *y, int64_t line, int64_t oc, part lanes, int64_t rows,
                        int64_t columns, const int edge, const int whole) {
    vec t[SPAN], o[TILE][SPAN], r[TILE];
#pragma GCC unroll 6
    for (int j = 0; j < SPAN; j++) {
#pragma GCC unroll 6
        for (int i = 0; i < SPAN; i++) t[i] = LOAD(m + (i * SPAN + j) * step);
        output_6(t, &o[0][j], &o[1][j], &o[2][j], &o[3][j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i++) {
        if (edge && i >= rows) break;
        output_6(o[i], &r[0], &r[1], &r[2], &r[3]);
#pragma GCC unroll 4
        for (int j = 0; j < TILE; j++) {
            if (edge && j >= columns) break;
            vec v = ADD(r[j], bias);
            if (residual) v = ADD(v, take(residual + i * line + j * oc, lanes, whole));
            give(y + i * line + j * oc, lanes, MAX(floor, v), whole);
        }
    }
}

TARGET static void output(const masconI_tiling *g, const float *m, int64_t row, int64_t step,
                          int64_t tile, int64_t count, int64_t first, int64_t end,
                          const masconI_finish *finish, void *pictures) {
    element *y = pictures;
    const element *residual = finish->residual;
    const int64_t line = g->ow * g->oc;
    const float *bias = finish->bias;
    const vec floor = SET1(finish->relu ? 0 : -__builtin_inff());
    place p = place_of(g, tile);
    for (int64_t t = 0; t < count; t++, place_next(g, &p), m += row) {
        const int64_t py = p.y * TILE, px = p.x * TILE;
        const int64_t rows = g->oh - py < TILE ? g->oh - py : TILE;
        const int64_t columns = g->ow - px < TILE ? g->ow - px : TILE;
        const int edge = rows < TILE || columns < TILE;
        const int64_t at = (p.n * g->oh + py) * line + px * g->oc;
        element *to = y + at;
        place next = p;
        place_next(g, &next);
        const uintptr_t ahead =
            address_of(y, g->oh, g->ow, g->oc, next.n, next.y * TILE, next.x * TILE);
        for (int64_t c = first; c < end; c += VECTOR) {
            if (t + 1 < count) {
                fetch(ahead + (uintptr_t)c * sizeof(element), line, g->oc, TILE, TILE, 1);
            }
            const element *add = residual ? residual + at + c : NULL;
            const int whole = c + VECTOR <= g->oc;
            const part lanes = PART(whole ? VECTOR : g->oc - c);
            const vec b = bias ? LOAD_PART(bias + c, lanes) : ZERO();
            if (!whole) {
                output_tile(m + c, step, b, floor, add, to + c, line, g->oc, lanes, rows, columns,
                            1, 0);
            } else if (edge) {
                output_tile(m + c, step, b, floor, add, to + c, line, g->oc, lanes, rows, columns,
                            1, 1);
            } else {
                output_tile(m + c, step, b, floor, add, to + c, line, g->oc, lanes, rows, columns,
                            0, 1);
            }
        }
    }
}

/* ---- Weights ---- */

/* g {9} to 36 vectors of u */
INLINE void weights_tile(const vec g[TAPS], float *u, int64_t step) {
    vec t[3][SPAN], r[SPAN];
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) weights_3(g[j], g[3 + j], g[6 + j], t[j]);
#pragma GCC unroll 6
    for (int i = 0; i < SPAN; i++) {
        weights_3(t[0][i], t[1][i], t[2][i], r);
#pragma GCC unroll 6
        for (int j = 0; j < SPAN; j++) STORE(u + (i * SPAN + j) * step, r[j]);
    }
}

TARGET static void weights_forward(const element *weight, int64_t c, int64_t oc, int64_t first,
                                   float *u, int64_t width, int64_t step) {
    float turned[TAPS][VECTOR][VECTOR] __attribute__((aligned(64))); /* {taps, c, oc} */
    const int64_t outs = oc - first < VECTOR ? oc - first : VECTOR;
    for (int64_t i = 0; i < c; i += VECTOR) {
        const int64_t ins = c - i < VECTOR ? c - i : VECTOR;
        const part m = PART(ins);
        for (int64_t k = 0; k < TAPS; k++) {
            vec r[VECTOR];
            for (int64_t o = 0; o < VECTOR; o++) {
                r[o] = o < outs ? TAKE_PART(weight + ((first + o) * TAPS + k) * c + i, m) : ZERO();
            }
            turn(r);
            for (int e = 0; e < VECTOR; e++) STORE(turned[k][e], r[e]);
        }
        for (int64_t e = 0; e < ins; e++) {
            vec g[TAPS];
            for (int k = 0; k < TAPS; k++) g[k] = LOAD(turned[k][e]);
            weights_tile(g, u + (i + e) * width, step);
        }
    }
}

TARGET static void weights_back(const element *weight, int64_t c, int64_t oc, int64_t first,
                                float *u, int64_t width, int64_t step) {
    const part m = PART(c - first < VECTOR ? c - first : VECTOR);
    for (int64_t o = 0; o < oc; o++) {
        vec g[TAPS];
        for (int k = 0; k < TAPS; k++) {
            g[k] = TAKE_PART(weight + (o * TAPS + TAPS - 1 - k) * c + first, m);
        }
        weights_tile(g, u + o * width, step);
    }
}

TARGET static void weights(const void *weight, int64_t c, int64_t oc, int back, int64_t block,
                           float *u, int64_t width, int64_t step) {
    if (back) {
        weights_back(weight, c, oc, block * VECTOR, u, width, step);
    } else {
        weights_forward(weight, c, oc, block * VECTOR, u, width, step);
    }
}

TARGET static void gather(const float *sums, int64_t row, int64_t step, int64_t c, int64_t oc,
                          int64_t all_c, float *dw) {
    for (int64_t o = 0; o < oc; o++) {
        for (int64_t i = 0; i < c; i += VECTOR) {
            const int whole = c - i >= VECTOR;
            const part m = PART(whole ? VECTOR : c - i);
            vec t[SPAN], g[3][SPAN], r[3];
#pragma GCC unroll 6
            for (int j = 0; j < SPAN; j++) {
#pragma GCC unroll 6
                for (int k = 0; k < SPAN; k++) {
                    t[k] = LOAD(sums + (k * SPAN + j) * step + o * row + i);
                }
                gather_6(t, &g[0][j], &g[1][j], &g[2][j]);
            }
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) {
                gather_6(g[k], &r[0], &r[1], &r[2]);
                for (int j = 0; j < 3; j++) {
                    store(dw + (o * TAPS + k * 3 + j) * all_c + i, m, r[j], whole);
                }
            }
        }
    }
}

/* ---- The matrix product ---- */

/* Keeps the compiler from computing all addresses of a block in advance, for which it has no
 * registers. */
#define KEEP(pointer) __asm__("" : "+r"(pointer))

/* `rows` rows and `vectors` vectors of c; both are constants wherever this is called */
INLINE void block(const masconI_positions *p, const float *a, const float *b, int64_t b_row,
                  float *c, const int rows, const int vectors) {
    const int64_t a_row = p->a_row, a_inner = p->a_inner, ldc = p->ldc, inner = p->inner;
    const int accumulate = p->accumulate;
    float *to = c;
    vec s[ROWS][VECTORS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++, to += ldc) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) s[i][v] = accumulate ? LOAD(to + v * VECTOR) : ZERO();
        KEEP(to);
    }
    for (int64_t e = 0; e < inner; e++, a += a_inner, b += b_row) {
        vec y[VECTORS];
        if (e < rows) { /* a row of the next block's sums */
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) __builtin_prefetch(to + v * VECTOR, 1);
            to += ldc;
        }
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) y[v] = LOAD(b + v * VECTOR);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            const vec x = SET1(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) s[i][v] = FMA(x, y[v], s[i][v]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++, c += ldc) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) STORE(c + v * VECTOR, s[i][v]);
        KEEP(c);
    }
}

typedef void block_function(const masconI_positions *, const float *, const float *, int64_t,
                            float *);

#define BLOCK(rows, vectors)                                                                \
    TARGET static void block_##rows##_##vectors(const masconI_positions *p, const float *a, \
                                                const float *b, int64_t b_row, float *c) {  \
        block(p, a, b, b_row, c, rows, vectors);                                            \
    }
/* M(rows, vectors) for 1 to 6 or 12 rows, and the names of what it made. */
#define SIX(M, vectors) \
    M(1, vectors) M(2, vectors) M(3, vectors) M(4, vectors) M(5, vectors) M(6, vectors)
#define TWELVE(M, vectors) \
    SIX(M, vectors)        \
    M(7, vectors) M(8, vectors) M(9, vectors) M(10, vectors) M(11, vectors) M(12, vectors)
#define SIX_NAMES(name, vectors)                                                    \
    name##_1_##vectors, name##_2_##vectors, name##_3_##vectors, name##_4_##vectors, \
        name##_5_##vectors, name##_6_##vectors
#define TWELVE_NAMES(name, vectors)                                                       \
    SIX_NAMES(name, vectors), name##_7_##vectors, name##_8_##vectors, name##_9_##vectors, \
        name##_10_##vectors, name##_11_##vectors, name##_12_##vectors

/* As many rows as there are registers for; few vectors need many rows, or each product would wait
 * for the one before. */
TWELVE(BLOCK, 1)
#if VECTORS == 4
TWELVE(BLOCK, 2)
SIX(BLOCK, 3)
SIX(BLOCK, 4)
static const int most_rows[VECTORS] = {12, 12, 6, 6};
static block_function *const blocks[VECTORS][ROWS] = {{TWELVE_NAMES(block, 1)},
                                                      {TWELVE_NAMES(block, 2)},
                                                      {SIX_NAMES(block, 3)},
                                                      {SIX_NAMES(block, 4)}};
#else
SIX(BLOCK, 2)
static const int most_rows[VECTORS] = {12, 6};
static block_function *const blocks[VECTORS][ROWS] = {{TWELVE_NAMES(block, 1)},
                                                      {SIX_NAMES(block, 2)}};
#endif

TARGET static void multiply(const masconI_positions *p) {
    const int64_t panel = VECTOR * VECTORS;
    for (int64_t j = 0; j < p->width; j += panel) {
        const int64_t width = p->width - j < panel ? p->width - j : panel;
        const int64_t vectors = width / VECTOR, most = most_rows[vectors - 1];
        const float *b = p->b_row ? p->b + j : p->b + j * p->inner;
        const int64_t b_row = p->b_row ? p->b_row : width;
        for (int64_t i = 0; i < p->rows; i += most) {
            const int64_t rows = p->rows - i < most ? p->rows - i : most;
            blocks[vectors - 1][rows - 1](p, p->a + i * p->a_row, b, b_row, p->c + i * p->ldc + j);
        }
    }
}

#define CODE                                                                             \
    {                                                                                    \
        .vector = VECTOR, .panel = VECTOR * VECTORS, .input = input, .weights = weights, \
        .multiply = multiply, .output = output, .gradient = gradient, .gather = gather   \
    }

/* winograd_bf16.c: the Winograd convolution by AVX-512 between bfloat16 pictures.
 *
 * Transforms are float32, as in winograd_avx512.c. Products are float32 too (all of them for the gradient
 * of the weights, and everywhere without VNNI), or those of whole numbers that winograd_int16.h explains. */
#include "cpu/winograd.h"

#include "cpu/lanes.h"
#include "cpu/winograd_int16.h"

#if MASCON_HAS_AVX512_CODE

#include "cpu/vector512.h"

#define ELEMENT uint16_t
#define TAKE(p) masconC_take_bf16(p)
#define TAKE_PART(p, m) masconC_take_some_bf16(m, p)
#define GIVE(p, v) masconC_give_bf16(p, v)
#define GIVE_PART(p, m, v) masconC_give_some_bf16(m, p, v)
#define VECTORS 4
#include "cpu/winograd_body.h"

const masconI_winograd_code masconI_winograd_bf16 = CODE;

/* ---- Products of whole numbers ---- */

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma")))

enum { CHUNK = MASCON_INT16_CHUNK, POSITIONS = SPAN * SPAN };

/* CHUNK times its square is below 2^31. */
static const float largest_number = 8191;

/* Below this nothing counts, and the reciprocal would be infinite. */
#define LEAST 1e-30f

/* How large values of row or column i of the 6x6 positions are: of v the lengths of the transform's
 * rows, by which equally large numbers are expected to grow; of u their largest possible sums. */
static const float v_size[SPAN] = {2.8722813f, 2.7386128f, 2.7386128f,
                                   1.9364917f, 1.9364917f, 2.8722813f};
static const float u_size[SPAN] = {1, 1.4714046f, 1.4714046f, 0.7357023f, 0.7357023f, 1};

static inline float v_factor(int p) { return v_size[p / SPAN] * v_size[p % SPAN]; }
static inline float u_factor(int p) { return u_size[p / SPAN] * u_size[p % SPAN]; }

/* Magnitudes as whole numbers, which have their order; NaN is the largest. */
TARGET MASCON_INLINE __m512i magnitude(vec v) {
    return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

static inline float from_bits(uint32_t u) {
    union {
        uint32_t u;
        float f;
    } v = {.u = u};
    return v.f;
}

/* `width` values of each position in room to v; the scale. */
TARGET static float reduce(float (*room)[CHUNK], int64_t width, int16_t *v, int64_t step) {
    __m512i top = _mm512_setzero_si512();
    for (int p = 0; p < POSITIONS; p++) {
        __m512i here = magnitude(LOAD(room[p]));
        for (int64_t k = VECTOR; k < width; k += VECTOR) {
            here = _mm512_max_epu32(here, magnitude(LOAD(room[p] + k)));
        }
        const vec sized = MUL(_mm512_castsi512_ps(here), SET1(1 / v_factor(p)));
        top = _mm512_max_epu32(top, _mm512_castps_si512(sized));
    }
    float largest = from_bits(_mm512_reduce_max_epu32(top));
    if (largest < LEAST) largest = LEAST; /* not where it is NaN */
    const float inverse = largest_number / largest;
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    for (int p = 0; p < POSITIONS; p++, v += step) {
        const vec f = SET1(inverse / v_factor(p));
        int64_t k = 0;
        for (; k + 2 * VECTOR <= width; k += 2 * VECTOR) {
            const __m512i a = _mm512_cvtps_epi32(MUL(LOAD(room[p] + k), f));
            const __m512i b = _mm512_cvtps_epi32(MUL(LOAD(room[p] + k + VECTOR), f));
            _mm512_storeu_si512(v + k, _mm512_permutexvar_epi64(order, _mm512_packs_epi32(a, b)));
        }
        if (k < width) {
            const __m512i a = _mm512_cvtps_epi32(MUL(LOAD(room[p] + k), f));
            _mm256_storeu_si256((__m256i *)(void *)(v + k), _mm512_cvtsepi32_epi16(a));
        }
    }
    return largest / largest_number;
}

TARGET void masconI_int16_input_run(const masconI_int16_input *j, int64_t tile, int64_t count,
                                    int64_t to, int64_t first, int64_t end) {
    const masconI_tiling *g = j->g;
    const element *at[SPAN * SPAN], *x = j->x;
    float room[POSITIONS][CHUNK] __attribute__((aligned(64)));
    const int64_t line = g->w * g->c;
    place p = place_of(g, tile);
    for (int64_t t = to; t < to + count; t++, place_next(g, &p)) {
        const int64_t py = p.y * TILE - g->top, px = p.x * TILE - g->left;
        const int edge = py < 0 || px < 0 || py + SPAN > g->h || px + SPAN > g->w;
        const element *picture = x + p.n * g->h * line;
        const element *from = edge ? nothing : picture + py * line + px * g->c;
        if (edge) pixels(picture, g->h, g->w, g->c, py, px, SPAN, at);
        for (int64_t k = first; k < end; k++) {
            const int64_t begin = k * CHUNK;
            const int64_t width = j->row - begin < CHUNK ? j->row - begin : CHUNK;
            for (int64_t c = begin; c < begin + width; c += VECTOR) {
                float *v = &room[0][c - begin];
                if (c + VECTOR > g->c) {
                    const part m = PART(g->c - c);
                    if (edge) {
                        input_tile(at, from, line, g->c, c, m, v, CHUNK, 1, 0);
                    } else {
                        input_tile(at, from, line, g->c, c, m, v, CHUNK, 0, 0);
                    }
                } else if (edge) {
                    input_tile(at, from, line, g->c, c, PART(0), v, CHUNK, 1, 1);
                } else {
                    input_tile(at, from, line, g->c, c, PART(0), v, CHUNK, 0, 1);
                }
            }
            j->scale[k * j->scale_step + t] =
                reduce(room, width, j->v + t * j->row + begin, j->step);
        }
    }
}

/* Weights from element `at` on, as float32. */
TARGET MASCON_INLINE vec plain(const void *weight, int64_t at, part m, const int wide) {
    return wide ? LOAD_PART((const float *)weight + at, m)
                : TAKE_PART((const uint16_t *)weight + at, m);
}

/* g {9} of two channels, already in units of u's scale but for the position, to 36 vectors of pairs */
TARGET MASCON_INLINE void pair_tile(const vec low[TAPS], const vec high[TAPS], int32_t *u,
                                    int64_t step) {
    vec a[3][SPAN], b[3][SPAN], r[SPAN], q[SPAN];
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        weights_3(low[j], low[3 + j], low[6 + j], a[j]);
        weights_3(high[j], high[3 + j], high[6 + j], b[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < SPAN; i++) {
        weights_3(a[0][i], a[1][i], a[2][i], r);
        weights_3(b[0][i], b[1][i], b[2][i], q);
#pragma GCC unroll 6
        for (int j = 0; j < SPAN; j++) {
            const vec f = SET1(1 / u_factor(i * SPAN + j));
            const __m512i lower = _mm512_cvtps_epi32(MUL(r[j], f));
            const __m512i upper = _mm512_slli_epi32(_mm512_cvtps_epi32(MUL(q[j], f)), 16);
            _mm512_storeu_si512(u + (i * SPAN + j) * step,
                                _mm512_mask_blend_epi16(0xaaaaaaaa, lower, upper));
        }
    }
}

/* The scale of 16 outputs whose largest weights have these bits; what weights are multiplied by. */
TARGET MASCON_INLINE vec scale_of(__m512i top, float *scale) {
    const vec largest = _mm512_castsi512_ps(
        _mm512_max_epu32(top, _mm512_castps_si512(SET1(LEAST)))); /* NaN stays */
    STORE(scale, MUL(largest, SET1(1 / largest_number)));
    return _mm512_div_ps(SET1(largest_number), largest);
}

/* Where the weights of pair 0 of a vector of outputs go, and the distance to the next pair. */
typedef struct column {
    int32_t *u;
    int64_t width;
} column;

static inline column column_of(const masconI_int16_weights *j, int64_t first) {
    const int64_t in = j->back ? j->oc : j->c, out = j->back ? j->c : j->oc;
    const int64_t row = masconI_whole(in, VECTOR), all = masconI_whole(out, VECTOR);
    const int64_t panel = first / MASCON_INT16_PANEL * MASCON_INT16_PANEL;
    const int64_t width = all - panel < MASCON_INT16_PANEL ? all - panel : MASCON_INT16_PANEL;
    return (column){j->u + panel * (row / 2) + first - panel, width};
}

/* Outputs first..first+15, channels begin..end-1, which are padded to whole vectors. */
TARGET MASCON_INLINE void chunk_forward(const masconI_int16_weights *j, int64_t first,
                                        int64_t begin, int64_t end, float *scale, const int wide) {
    const int64_t outs = j->oc - first < VECTOR ? j->oc - first : VECTOR;
    const column to = column_of(j, first);
    uint32_t largest[VECTOR] __attribute__((aligned(64))) = {0};
    for (int64_t o = 0; o < outs; o++) {
        __m512i top = _mm512_setzero_si512();
        for (int64_t k = 0; k < TAPS; k++) {
            for (int64_t i = begin; i < end; i += VECTOR) {
                const part m = PART(end - i < VECTOR ? end - i : VECTOR);
                const int64_t at = ((first + o) * TAPS + k) * j->c + i;
                top = _mm512_max_epu32(top, magnitude(plain(j->weight, at, m, wide)));
            }
        }
        largest[o] = _mm512_reduce_max_epu32(top);
    }
    const vec inverse = scale_of(_mm512_load_si512(largest), scale);
    float turned[TAPS][VECTOR][VECTOR] __attribute__((aligned(64))); /* {taps, c, oc} */
    for (int64_t i = begin; i < end; i += VECTOR) {
        const part m = PART(end - i < VECTOR ? end - i : VECTOR);
        for (int64_t k = 0; k < TAPS; k++) {
            vec r[VECTOR];
            for (int64_t o = 0; o < VECTOR; o++) {
                const int64_t at = ((first + o) * TAPS + k) * j->c + i;
                r[o] = o < outs ? plain(j->weight, at, m, wide) : ZERO();
            }
            turn(r);
            for (int e = 0; e < VECTOR; e++) STORE(turned[k][e], MUL(r[e], inverse));
        }
        for (int64_t e = 0; e < VECTOR; e += 2) {
            vec low[TAPS], high[TAPS];
            for (int k = 0; k < TAPS; k++) {
                low[k] = LOAD(turned[k][e]);
                high[k] = LOAD(turned[k][e + 1]);
            }
            pair_tile(low, high, to.u + (i + e) / 2 * to.width, j->step);
        }
    }
}

/* The same for the gradient of x: channels first..first+15 are the outputs, inner begin..end-1 those of
 * dy, and the taps turn round. */
TARGET MASCON_INLINE void chunk_back(const masconI_int16_weights *j, int64_t first, int64_t begin,
                                     int64_t end, float *scale, const int wide) {
    const part m = PART(j->c - first < VECTOR ? j->c - first : VECTOR);
    const column to = column_of(j, first);
    __m512i top = _mm512_setzero_si512();
    for (int64_t at = begin * TAPS; at < end * TAPS; at++) {
        top = _mm512_max_epu32(top, magnitude(plain(j->weight, at * j->c + first, m, wide)));
    }
    const vec inverse = scale_of(top, scale);
    const int64_t whole = masconI_whole(end, VECTOR);
    for (int64_t o = begin; o < whole; o += 2) {
        vec low[TAPS], high[TAPS];
        for (int k = 0; k < TAPS; k++) {
            const int64_t at = (o * TAPS + TAPS - 1 - k) * j->c + first;
            low[k] = high[k] = ZERO();
            if (o < end) low[k] = MUL(plain(j->weight, at, m, wide), inverse);
            if (o + 1 < end) high[k] = MUL(plain(j->weight, at + TAPS * j->c, m, wide), inverse);
        }
        pair_tile(low, high, to.u + o / 2 * to.width, j->step);
    }
}

TARGET void masconI_int16_weights_run(const masconI_int16_weights *j, int64_t block) {
    const int64_t first = block * VECTOR, in = j->back ? j->oc : j->c;
    for (int64_t begin = 0, k = 0; begin < in; begin += CHUNK, k++) {
        const int64_t end = in - begin < CHUNK ? in : begin + CHUNK;
        float *scale = j->scale + k * j->scale_step + first;
        if (j->back && j->wide) {
            chunk_back(j, first, begin, end, scale, 1);
        } else if (j->back) {
            chunk_back(j, first, begin, end, scale, 0);
        } else if (j->wide) {
            chunk_forward(j, first, begin, end, scale, 1);
        } else {
            chunk_forward(j, first, begin, end, scale, 0);
        }
    }
}

/* sum += the products of pairs. As an instruction of its own: gcc 12 copies and spills the sums of the
 * intrinsic function. */
#define DOT(sum, x, y) __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))

/* `rows` tiles from number i on and `vectors` vectors of outputs from o on; both are constants wherever
 * this is called */
VNNI MASCON_INLINE void int16_block(const masconI_int16_product *p, int64_t i, int64_t o,
                                    const int rows, const int vectors) {
    const int64_t pairs = p->row / 2, lda = p->row * 2; /* bytes */
    const char *a = (const char *)(p->v + i * p->row);
    const int32_t *b = p->u + o / MASCON_INT16_PANEL * MASCON_INT16_PANEL * pairs;
    const float *v_scale = p->v_scale + i, *u_scale = p->u_scale + o;
    const vec factor = SET1(v_factor(p->position) * u_factor(p->position));
    for (int64_t begin = 0; begin < pairs; begin += CHUNK / 2) {
        const int64_t end = pairs - begin < CHUNK / 2 ? pairs : begin + CHUNK / 2;
        __m512i s[ROWS][VECTORS];
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
            for (int k = 0; k < vectors; k++) s[r][k] = _mm512_setzero_si512();
        }
        for (int64_t e = begin; e < end; e++, b += vectors * VECTOR, a += sizeof(int32_t)) {
            __m512i y[VECTORS];
#pragma GCC unroll 4
            for (int k = 0; k < vectors; k++) y[k] = _mm512_loadu_si512(b + k * VECTOR);
#pragma GCC unroll 12
            for (int r = 0; r < rows; r++) {
                int32_t pair;
                __builtin_memcpy(&pair, a + r * lda, sizeof pair);
                const __m512i x = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
                for (int k = 0; k < vectors; k++) DOT(s[r][k], x, y[k]);
            }
        }
        vec scale[VECTORS];
#pragma GCC unroll 4
        for (int k = 0; k < vectors; k++) scale[k] = MUL(LOAD(u_scale + k * VECTOR), factor);
        float *m = p->m + i * p->out_row + o;
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++, m += p->out_row) {
            const vec of_tile = SET1(v_scale[r]);
#pragma GCC unroll 4
            for (int k = 0; k < vectors; k++) {
                const vec before = begin ? LOAD(m + k * VECTOR) : ZERO();
                const vec sum = MUL(_mm512_cvtepi32_ps(s[r][k]), scale[k]);
                STORE(m + k * VECTOR, FMA(sum, of_tile, before));
            }
            KEEP(m);
        }
        v_scale += p->v_scale_step;
        u_scale += p->u_scale_step;
    }
}

typedef void int16_function(const masconI_int16_product *, int64_t, int64_t);

#define INT16(rows, vectors)                                                             \
    VNNI static void int16_##rows##_##vectors(const masconI_int16_product *p, int64_t i, \
                                              int64_t o) {                               \
        int16_block(p, i, o, rows, vectors);                                             \
    }

TWELVE(INT16, 1)
TWELVE(INT16, 2)
SIX(INT16, 3)
SIX(INT16, 4)
static int16_function *const int16_blocks[VECTORS][ROWS] = {{TWELVE_NAMES(int16, 1)},
                                                            {TWELVE_NAMES(int16, 2)},
                                                            {SIX_NAMES(int16, 3)},
                                                            {SIX_NAMES(int16, 4)}};

void masconI_int16_multiply(const masconI_int16_product *p) {
    for (int64_t o = 0; o < p->out_row; o += MASCON_INT16_PANEL) {
        const int64_t rest = p->out_row - o;
        const int64_t width = rest < MASCON_INT16_PANEL ? rest : MASCON_INT16_PANEL;
        const int64_t vectors = width / VECTOR, most = most_rows[vectors - 1];
        for (int64_t i = 0; i < p->tiles; i += most) {
            const int64_t rows = p->tiles - i < most ? p->tiles - i : most;
            int16_blocks[vectors - 1][rows - 1](p, i, o);
        }
    }
}

int masconI_int16_here(void) {
    return masconI_conv_avx512() && __builtin_cpu_supports("avx512vnni");
}

#endif

/* dropout.c: dropout and its backward op on dense float32.
 *
 * Element i in logical row-major order is kept or not by word i of the call's random stream,
 * wherever it lies in memory; channels-last memory is walked in tiles of pixels, whose words are
 * drawn channel by channel and kept as one bit each. */
#include <string.h>

#include "core/simd.h"
#include "cpu/dense.h"
#include "ops/nn.h"

/* ---- Words of the stream ---- */

enum { BLOCKS = 16, RUN = 4 * BLOCKS }; /* Philox blocks drawn at a time; words they give */

#if MASCON_HAS_AVX512_CODE
/* *low and *high: the halves of the products of 16 lanes with m */
MASCON_AVX512 static inline __attribute__((always_inline)) void multiply(__m512i c, __m512i m,
                                                                         __m512i *low,
                                                                         __m512i *high) {
    const __m512i even = _mm512_mul_epu32(c, m);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(c, 32), m);
    *low = _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32));
    *high = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd);
}

/* words {RUN} of the blocks from `first` on, whose upper half is the same for all: masconI_philox
 * of each block, one block in each lane. */
MASCON_AVX512 static void philox_avx512(const uint64_t random[2], uint64_t first, uint32_t *words) {
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
    /* c0..c3 hold words 0..3 of each block; bring each block's words together */
    const __m512i a = _mm512_unpacklo_epi32(c0, c1), b = _mm512_unpackhi_epi32(c0, c1);
    const __m512i c = _mm512_unpacklo_epi32(c2, c3), d = _mm512_unpackhi_epi32(c2, c3);
    const __m512i e[4] = {_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c),
                          _mm512_unpacklo_epi64(b, d), _mm512_unpackhi_epi64(b, d)};
    /* e[i] holds blocks i, i + 4, i + 8, i + 12, a quarter each */
    const __m512i f = _mm512_shuffle_i32x4(e[0], e[1], 0x44),
                  g = _mm512_shuffle_i32x4(e[2], e[3], 0x44);
    const __m512i h = _mm512_shuffle_i32x4(e[0], e[1], 0xee),
                  i = _mm512_shuffle_i32x4(e[2], e[3], 0xee);
    _mm512_storeu_si512(words, _mm512_shuffle_i32x4(f, g, 0x88));
    _mm512_storeu_si512(words + 16, _mm512_shuffle_i32x4(f, g, 0xdd));
    _mm512_storeu_si512(words + 32, _mm512_shuffle_i32x4(h, i, 0x88));
    _mm512_storeu_si512(words + 48, _mm512_shuffle_i32x4(h, i, 0xdd));
}
#endif

/* RUN words of the stream from that of block first / 4 on, into room {RUN}; returns where word
 * `first` lies, with at least RUN - 3 words from it on. */
static const uint32_t *draw(const uint64_t random[2], uint64_t first, uint32_t *room) {
    const uint64_t block = first / 4;
#if MASCON_HAS_AVX512_CODE
    if (masconI_has_avx512() && (uint32_t)block <= UINT32_MAX - BLOCKS) {
        philox_avx512(random, block, room);
        return room + first % 4;
    }
#endif
    for (uint64_t i = 0; i < BLOCKS; i++) masconI_philox(random, block + i, room + 4 * i);
    return room + first % 4;
}

/* ---- Applying them ---- */

/* Pixels of a tile: what one draw gives from any start, or from a multiple of 4; channels whose
 * bits are kept at a time. */
enum { PIXELS = 60, PIXELS_ALIGNED = 64, GROUP = 256 };

typedef struct job {
    const float *x;
    float *y;
    const uint64_t *random;
    uint32_t threshold;
    float scale;
    int64_t count, c, area; /* channels-last: pictures of c channels and area pixels */
    int64_t tile, tiles;    /* pixels of a tile; tiles of a picture */
} job;

MASCON_CLONES static void apply_words(const float *x, const uint32_t *word, uint32_t threshold,
                                      float scale, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = word[i] >> 8 >= threshold ? x[i] * scale : 0;
}

/* Bit p: whether word p is at least the threshold. */
static uint64_t keep_bits(const uint32_t *word, uint32_t threshold, int64_t n) {
    uint64_t bits = 0;
    for (int64_t p = 0; p < n; p++) bits |= (uint64_t)(word[p] >> 8 >= threshold) << p;
    return bits;
}

/* y {pixels, stride} = x scaled where bit p of kept[c] is set; n channels, up to GROUP; kept is 0
 * beyond. */
MASCON_CLONES static void apply_bits(const float *x, const uint64_t *kept, float scale, float *y,
                                     int64_t stride, int64_t pixels, int64_t n) {
    for (int64_t p = 0; p < pixels; p++) {
        for (int64_t c = 0; c < n; c++) {
            y[p * stride + c] = kept[c] >> p & 1 ? x[p * stride + c] * scale : 0;
        }
    }
}

#if MASCON_HAS_AVX512_CODE
MASCON_AVX512 static uint64_t keep_bits_avx512(const uint32_t *word, uint32_t threshold) {
    const __m512i t = _mm512_set1_epi32((int)threshold);
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) { /* what lies behind the last pixel gives bits that nobody reads */
        const __m512i v = _mm512_srli_epi32(_mm512_loadu_si512(word + 16 * i), 8);
        bits |= (uint64_t)_mm512_cmpge_epu32_mask(v, t) << 16 * i;
    }
    return bits;
}

MASCON_AVX512 static void apply_bits_avx512(const float *x, const uint64_t *kept, float scale,
                                            float *y, int64_t stride, int64_t pixels, int64_t n) {
    const __m512 s = _mm512_set1_ps(scale);
    for (int64_t p = 0; p < pixels; p++, x += stride, y += stride) {
        const __m512i bit = _mm512_set1_epi64((long long)((uint64_t)1 << p));
        for (int64_t c = 0; c < n; c += 16) {
            const __m512i low = _mm512_load_si512(kept + c), high = _mm512_load_si512(kept + c + 8);
            const __mmask16 lanes =
                n - c >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (n - c)) - 1);
            const __mmask16 m = (__mmask16)(_mm512_test_epi64_mask(low, bit) |
                                            (unsigned)_mm512_test_epi64_mask(high, bit) << 8);
            const __m512 v = _mm512_maskz_loadu_ps(lanes, x + c);
            _mm512_mask_storeu_ps(y + c, lanes, _mm512_maskz_mul_ps(m, v, s));
        }
    }
}
#endif

static void slice_row(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    uint32_t room[RUN];
    int64_t i = index * MASCON_DENSE_CHUNK, end = i + MASCON_DENSE_CHUNK;
    if (end > j->count) end = j->count;
    for (; i < end; i += RUN) { /* begins at a multiple of 4, so a draw gives all of RUN */
        const uint32_t *word = draw(j->random, (uint64_t)i, room);
        apply_words(j->x + i, word, j->threshold, j->scale, j->y + i,
                    end - i < RUN ? end - i : RUN);
    }
}

/* A tile of pixels of one picture, all channels. */
static void slice_nhwc(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    uint32_t room[RUN + 4]; /* the vector form reads a few words more */
    uint64_t kept[GROUP + 16] __attribute__((aligned(64)));
    const int64_t picture = index / j->tiles, pixel = index % j->tiles * j->tile;
    const int64_t pixels = j->area - pixel < j->tile ? j->area - pixel : j->tile;
    memset(room, 0, sizeof room);
    memset(kept, 0, sizeof kept);
    for (int64_t c0 = 0; c0 < j->c; c0 += GROUP) {
        const int64_t channels = j->c - c0 < GROUP ? j->c - c0 : GROUP;
        const int64_t at = (picture * j->area + pixel) * j->c + c0;
        for (int64_t c = 0; c < channels; c++) {
            const uint64_t first = (uint64_t)((picture * j->c + c0 + c) * j->area + pixel);
            const uint32_t *word = draw(j->random, first, room);
#if MASCON_HAS_AVX512_CODE
            if (masconI_has_avx512()) {
                kept[c] = keep_bits_avx512(word, j->threshold);
                continue;
            }
#endif
            kept[c] = keep_bits(word, j->threshold, pixels);
        }
#if MASCON_HAS_AVX512_CODE
        if (masconI_has_avx512()) {
            apply_bits_avx512(j->x + at, kept, j->scale, j->y + at, j->c, pixels, channels);
            continue;
        }
#endif
        apply_bits(j->x + at, kept, j->scale, j->y + at, j->c, pixels, channels);
    }
}

static int wish(const mascon_call *call, mascon_wish *w) { return masconI_dense_wish(call, w); }

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const double p = call->attr[NN_DROPOUT_P];
    const size_t bytes = sizeof(float) * (size_t)y->numel;
    if (call->attr[NN_DROPOUT_TRAINING] == 0) {
        if (y->data != x->data && bytes) memcpy(y->data, x->data, bytes);
        return MASCON_OK;
    }
    if (p >= 1) {
        if (bytes) memset(y->data, 0, bytes);
        return MASCON_OK;
    }
    job j = {.x = x->data, .y = y->data, .random = call->random, .count = y->numel};
    j.threshold = masconI_dropout_threshold(p);
    j.scale = (float)(1 / (1 - p));
    if (y->layout == MASCON_LAYOUT_NHWC && !y->contiguous && y->numel) {
        j.c = y->shape[1];
        j.area = y->shape[2] * y->shape[3];
        j.tile = j.area % 4 == 0 ? PIXELS_ALIGNED : PIXELS;
        j.tiles = (j.area + j.tile - 1) / j.tile;
        masconI_parallel(y->shape[0] * j.tiles, slice_nhwc, &j);
    } else {
        masconI_parallel(masconI_dense_chunks(j.count), slice_row, &j);
    }
    return MASCON_OK;
}

const mascon_kernel masconC_dropout = {.wish = wish, .run = run};
const mascon_kernel masconC_dropout_bwd = {.wish = wish, .run = run};

/* resize.c: Resize and RandomResizedCrop, with the bytes that Pillow gives.
 *
 * A resize is two passes of weighted sums, along the rows and along the columns; each rounds to bytes.
 * Rows come first, unless the height shrinks by more than twice what the width does (Pillow 13). Weights are whole numbers with 22 bits behind the point, so a sum is exact in 32 bits and
 * any order of adding gives the same byte. Both passes use one kernel that adds weighted rows of
 * bytes: for the first one, a strip of rows is transposed, so that the pixels of one column become
 * one row, and the result is transposed back.
 *
 * Nearest takes the pixel below the centre of each new one, with Pillow's running sums of doubles.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/simd.h"
#include "data/picture.h"

enum { POINT = 22, STRIP = 64 };

/* dst[i] = the sum over k < count of src[k * stride + i] * weight k, rounded and cut to a byte, for
 * i < n. packed holds groups of four weights as the kernel's pack function made them. */
typedef void weigh_fn(const uint8_t *src, int64_t stride, int32_t count, const int32_t *packed,
                      uint8_t *dst, int64_t n);

/* ---- Plain kernel: packed is the weights ---- */

static uint8_t to_byte(int32_t sum) {
    sum >>= POINT;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

MASCON_CLONES
static void weigh_plain(const uint8_t *src, int64_t stride, int32_t count, const int32_t *packed,
                        uint8_t *dst, int64_t n) {
    enum { LANES = 64 };
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        int32_t sum[LANES];
        for (int j = 0; j < LANES; j++) sum[j] = 1 << (POINT - 1);
        for (int32_t k = 0; k < count; k++) {
            const uint8_t *row = src + k * stride + i;
            for (int j = 0; j < LANES; j++) sum[j] += row[j] * packed[k];
        }
        for (int j = 0; j < LANES; j++) dst[i + j] = to_byte(sum[j]);
    }
    for (; i < n; i++) {
        int32_t sum = 1 << (POINT - 1);
        for (int32_t k = 0; k < count; k++) sum += src[k * stride + i] * packed[k];
        dst[i] = to_byte(sum);
    }
}

#if MASCON_HAS_AVX512_CODE

/* ---- AVX2: a weight is high * 2^12 + low, both 16 bits. A group is the low parts of weights 0 and 1,
 * their high parts, and the same of weights 2 and 3. ---- */

static void pack_words(int32_t w[4]) {
    int32_t out[4];
    for (int i = 0; i < 4; i += 2) {
        uint32_t low = ((uint32_t)w[i] & 4095) | ((uint32_t)w[i + 1] & 4095) << 16;
        uint32_t high = ((uint32_t)(w[i] >> 12) & 65535) | ((uint32_t)(w[i + 1] >> 12) & 65535)
                                                               << 16;
        out[i] = (int32_t)low;
        out[i + 1] = (int32_t)high;
    }
    memcpy(w, out, sizeof out);
}

#define AVX2 __attribute__((target("avx2")))

/* Adds 32 bytes of two rows to the sums of low and high parts: sums[0..3] and [4..7]. */
AVX2 static inline void add_pair(__m256i a, __m256i b, __m256i low, __m256i high, __m256i sums[8]) {
    __m256i zero = _mm256_setzero_si256();
    __m256i first = _mm256_unpacklo_epi8(a, b), last = _mm256_unpackhi_epi8(a, b);
    __m256i four[4] = {_mm256_unpacklo_epi8(first, zero), _mm256_unpackhi_epi8(first, zero),
                       _mm256_unpacklo_epi8(last, zero), _mm256_unpackhi_epi8(last, zero)};
    for (int i = 0; i < 4; i++) {
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(four[i], low));
        sums[4 + i] = _mm256_add_epi32(sums[4 + i], _mm256_madd_epi16(four[i], high));
    }
}

AVX2 static void weigh_avx2(const uint8_t *src, int64_t stride, int32_t count,
                            const int32_t *packed, uint8_t *dst, int64_t n) {
    enum { LANES = 32 };
    if (n < LANES) { /* a short row: through a buffer, so that nothing beyond it is read */
        uint8_t rows[4 * LANES], out[LANES];
        if (count > 4) {
            for (int64_t i = 0; i < n; i++) {
                int32_t sum = 1 << (POINT - 1);
                for (int32_t k = 0; k < count; k++) {
                    uint32_t low = (uint32_t)packed[k / 2 * 2] >> (k % 2 * 16) & 65535;
                    int32_t high = (int16_t)((uint32_t)packed[k / 2 * 2 + 1] >> (k % 2 * 16));
                    sum += src[k * stride + i] * (int32_t)((uint32_t)high * 4096 + low);
                }
                dst[i] = to_byte(sum);
            }
            return;
        }
        memset(rows, 0, sizeof rows);
        for (int32_t k = 0; k < count; k++) memcpy(rows + k * LANES, src + k * stride, (size_t)n);
        weigh_avx2(rows, LANES, count, packed, out, LANES);
        memcpy(dst, out, (size_t)n);
        return;
    }
    for (int64_t i = 0; i < n; i += LANES) {
        if (i > n - LANES) i = n - LANES; /* the last bytes twice */
        __m256i sums[8];
        for (int j = 0; j < 4; j++) {
            sums[j] = _mm256_set1_epi32(1 << (POINT - 1));
            sums[4 + j] = _mm256_setzero_si256();
        }
        for (int32_t k = 0; k < count; k += 2) {
            const uint8_t *row = src + k * stride + i;
            __m256i a = _mm256_loadu_si256((const void *)row), b = _mm256_setzero_si256();
            if (k + 1 < count) b = _mm256_loadu_si256((const void *)(row + stride));
            add_pair(a, b, _mm256_set1_epi32(packed[k]), _mm256_set1_epi32(packed[k + 1]), sums);
        }
        for (int j = 0; j < 4; j++) {
            sums[j] = _mm256_add_epi32(sums[j], _mm256_slli_epi32(sums[4 + j], 12));
            sums[j] = _mm256_srai_epi32(sums[j], POINT);
        }
        __m256i first = _mm256_packs_epi32(sums[0], sums[1]);
        __m256i last = _mm256_packs_epi32(sums[2], sums[3]);
        _mm256_storeu_si256((void *)(dst + i), _mm256_packus_epi16(first, last));
    }
}

/* ---- AVX-512 with VNNI: a weight is three signed digits of base 256. A group is the lowest digits
 * of its four weights, the middle ones, the highest ones, and a zero. ---- */

static void pack_digits(int32_t w[4]) {
    uint32_t out[4] = {0};
    for (int i = 0; i < 4; i++) {
        int32_t rest = w[i];
        for (int digit = 0; digit < 3; digit++) {
            int8_t d = (int8_t)(uint8_t)(rest & 255);
            out[digit] |= (uint32_t)(uint8_t)d << (8 * i);
            rest = (rest - d) / 256;
        }
    }
    memcpy(w, out, sizeof out);
}

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

/* A mask of the bytes from i on that exist. */
static inline uint64_t mask_of(int64_t left) {
    return left >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;
}

/* One result byte for each of four sums. */
VNNI static inline __m512i finish(const __m512i low[4], const __m512i middle[4],
                                  const __m512i high[4]) {
    __m512i sum[4];
    for (int j = 0; j < 4; j++) {
        sum[j] = _mm512_add_epi32(_mm512_slli_epi32(high[j], 8), middle[j]);
        sum[j] = _mm512_add_epi32(_mm512_slli_epi32(sum[j], 8), low[j]);
        sum[j] = _mm512_srai_epi32(sum[j], POINT);
    }
    return _mm512_packus_epi16(_mm512_packs_epi32(sum[0], sum[1]),
                               _mm512_packs_epi32(sum[2], sum[3]));
}

VNNI static void weigh_vnni(const uint8_t *src, int64_t stride, int32_t count,
                            const int32_t *packed, uint8_t *dst, int64_t n) {
    const __m512i zero = _mm512_setzero_si512(), half = _mm512_set1_epi32(1 << (POINT - 1));
    for (int64_t i = 0; i < n; i += 64) {
        uint64_t mask = mask_of(n - i);
        __m512i low[4], middle[4], high[4];
        for (int j = 0; j < 4; j++) {
            low[j] = half;
            middle[j] = high[j] = zero;
        }
        for (int32_t k = 0; k < count; k += 4) {
            const uint8_t *row = src + k * stride + i;
            int32_t left = count - k;
            __m512i a = _mm512_maskz_loadu_epi8(mask, row);
            __m512i b = left > 1 ? _mm512_maskz_loadu_epi8(mask, row + stride) : zero;
            __m512i c = zero, d = zero;
            if (left > 2) c = _mm512_maskz_loadu_epi8(mask, row + 2 * stride);
            if (left > 3) d = _mm512_maskz_loadu_epi8(mask, row + 3 * stride);
            __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
            __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
            __m512i v[4] = {_mm512_unpacklo_epi16(ab0, cd0), _mm512_unpackhi_epi16(ab0, cd0),
                            _mm512_unpacklo_epi16(ab1, cd1), _mm512_unpackhi_epi16(ab1, cd1)};
            __m512i w0 = _mm512_set1_epi32(packed[k]), w1 = _mm512_set1_epi32(packed[k + 1]);
            __m512i w2 = _mm512_set1_epi32(packed[k + 2]);
            for (int j = 0; j < 4; j++) {
                low[j] = _mm512_dpbusd_epi32(low[j], v[j], w0);
                middle[j] = _mm512_dpbusd_epi32(middle[j], v[j], w1);
                high[j] = _mm512_dpbusd_epi32(high[j], v[j], w2);
            }
        }
        _mm512_mask_storeu_epi8(dst + i, mask, finish(low, middle, high));
    }
}

#endif

typedef struct kernel {
    weigh_fn *weigh;
    void (*pack)(int32_t w[4]); /* NULL: nothing to do */
} kernel;

int masconI_resize_most = MASCON_RESIZE_VNNI;

static kernel choose_kernel(void) {
#if MASCON_HAS_AVX512_CODE
    if (masconI_resize_most >= MASCON_RESIZE_VNNI && masconI_has_avx512() &&
        __builtin_cpu_supports("avx512vnni"))
        return (kernel){weigh_vnni, pack_digits};
    if (masconI_resize_most >= MASCON_RESIZE_AVX2 && __builtin_cpu_supports("avx2"))
        return (kernel){weigh_avx2, pack_words};
#endif
    return (kernel){weigh_plain, NULL};
}

/* ---- Transposing bytes ---- */

/* src: rows that begin src_stride apart, columns side by side. dst: the other way. */
static void transpose_plain(const uint8_t *src, int64_t src_stride, int64_t rows, int64_t columns,
                            uint8_t *dst, int64_t dst_stride) {
    for (int64_t y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x++) dst[x * dst_stride + y] = src[y * src_stride + x];
}

#ifdef __SSE2__
/* 16 x 16. Interleaving row i with row i + 8, four times over, turns the block. */
static void transpose_block(const uint8_t *src, int64_t src_stride, uint8_t *dst,
                            int64_t dst_stride) {
    __m128i a[16], b[16];
    for (int i = 0; i < 16; i++) a[i] = _mm_loadu_si128((const void *)(src + i * src_stride));
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        memcpy(a, b, sizeof a);
    }
    for (int i = 0; i < 16; i++) _mm_storeu_si128((void *)(dst + i * dst_stride), a[i]);
}

static void transpose(const uint8_t *src, int64_t src_stride, int64_t rows, int64_t columns,
                      uint8_t *dst, int64_t dst_stride) {
    if (rows < 16 || columns < 16) {
        transpose_plain(src, src_stride, rows, columns, dst, dst_stride);
        return;
    }
    for (int64_t y = 0; y < rows; y += 16) {
        if (y > rows - 16) y = rows - 16; /* the last block overlaps its neighbour */
        for (int64_t x = 0; x < columns; x += 16) {
            if (x > columns - 16) x = columns - 16;
            transpose_block(src + y * src_stride + x, src_stride, dst + x * dst_stride + y,
                            dst_stride);
        }
    }
}
#else
#define transpose transpose_plain
#endif

/* ---- Weights ---- */

static double triangle(double x) {
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys's cubic with a = -0.5. */
static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

/* The weights of output position i; returns their number, *first is where they begin. */
static int32_t weights_at(const masconI_taps *t, int64_t i, double *w, int32_t *first) {
    double (*filter)(double) = t->filter == MASCON_BICUBIC ? cubic : triangle;
    double scale = (double)t->in / (double)t->out;
    double widening = scale < 1 || !t->antialias ? 1 : scale;
    double support = (t->filter == MASCON_BICUBIC ? 2.0 : 1.0) * widening;
    double centre = ((double)i + 0.5) * scale, total = 0, inverse = 1.0 / widening;
    int64_t low = (int64_t)(centre - support + 0.5), high = (int64_t)(centre + support + 0.5);
    if (low < 0) low = 0;
    if (high > t->in) high = t->in;
    int32_t n = (int32_t)(high - low);
    for (int32_t k = 0; k < n; k++) {
        w[k] = filter(((double)(k + low) - centre + 0.5) * inverse);
        total += w[k];
    }
    for (int32_t k = 0; k < n && total != 0; k++) w[k] /= total;
    *first = (int32_t)low;
    return n;
}

static mascon_status make_taps(masconI_taps *t, const kernel *kern) {
    double scale = (double)t->in / (double)t->out;
    double support =
        (t->filter == MASCON_BICUBIC ? 2.0 : 1.0) * (scale < 1 || !t->antialias ? 1 : scale);
    int64_t most = (int64_t)ceil(support) * 2 + 1;
    t->groups = (int32_t)((most + 3) / 4);
    int64_t words = t->out * (2 + 4 * (int64_t)t->groups);
    free(t->packed);
    t->packed = calloc((size_t)words, sizeof(int32_t));
    double *w = malloc((size_t)(4 * t->groups) * sizeof *w);
    if (!t->packed || !w) {
        free(w);
        t->out = 0; /* nothing is kept */
        return masconI_fail(MASCON_E_OOM, "no memory for the weights of a resize");
    }
    t->first = t->packed + 4 * t->groups * t->out;
    t->count = t->first + t->out;
    for (int64_t i = 0; i < t->out; i++) {
        int32_t n = t->count[i] = weights_at(t, i, w, &t->first[i]);
        int32_t *to = t->packed + 4 * t->groups * i;
        for (int32_t k = 0; k < n; k++)
            to[k] = (int32_t)(w[k] * (1 << POINT) + (w[k] < 0 ? -0.5 : 0.5));
        /* weights of zero at the end cost time and nothing else */
        while (t->count[i] > 1 && to[t->count[i] - 1] == 0) t->count[i]--;
        for (int32_t g = 0; g < t->groups && kern->pack; g++) kern->pack(to + 4 * g);
    }
    free(w);
    return MASCON_OK;
}

/* Weights from in to out positions, those of the last picture where they fit. */
static mascon_status find_taps(masconI_taps *t, int64_t in, int64_t out, int32_t filter,
                               int32_t antialias, const kernel *kern) {
    if (t->packed && t->in == in && t->out == out && t->filter == filter &&
        t->antialias == antialias)
        return MASCON_OK;
    t->in = in;
    t->out = out;
    t->filter = filter;
    t->antialias = antialias;
    return make_taps(t, kern);
}

/* ---- Passes ---- */

/* p: rows as masconI_picture_gather leaves them; q: dense, of another width. */
static mascon_status pass_rows(const masconI_picture *p, masconI_picture *q,
                               masconI_scratch *scratch, const kernel *kern) {
    const masconI_taps *t = &scratch->taps[0];
    int64_t c = p->shape[0], columns = p->shape[2] * c, results = q->shape[2] * c;
    uint8_t *tile = masconI_scratch_get(scratch, MASCON_SCRATCH_TILE, (columns + results) * STRIP);
    if (!tile) return MASCON_E_OOM;
    for (int64_t y = 0; y < p->shape[1]; y += STRIP) {
        int64_t n = p->shape[1] - y < STRIP ? p->shape[1] - y : STRIP;
        uint8_t *turned = tile, *made = tile + columns * n;
        transpose((const uint8_t *)p->data + y * p->stride[1], p->stride[1], n, columns, turned, n);
        for (int64_t x = 0; x < t->out; x++)
            kern->weigh(turned + t->first[x] * c * n, c * n, t->count[x],
                        t->packed + 4 * t->groups * x, made + x * c * n, c * n);
        transpose(made, n, results, n, (uint8_t *)q->data + y * q->stride[1], q->stride[1]);
    }
    return MASCON_OK;
}

static void pass_columns(const masconI_picture *p, masconI_picture *q, const masconI_taps *t,
                         const kernel *kern) {
    for (int64_t y = 0; y < t->out; y++)
        kern->weigh((const uint8_t *)p->data + t->first[y] * p->stride[1], p->stride[1],
                    t->count[y], t->packed + 4 * t->groups * y,
                    (uint8_t *)q->data + y * q->stride[1], p->shape[2] * p->shape[0]);
}

static mascon_status nearest(masconI_picture *p, masconI_scratch *scratch, int64_t h, int64_t w) {
    masconI_picture q;
    int64_t c = p->shape[0];
    MASCON_TRY(masconI_picture_new(&q, p, scratch, p->dtype, c, h, w));
    int32_t *column = masconI_scratch_get(scratch, MASCON_SCRATCH_TILE, w * 4);
    if (!column) return MASCON_E_OOM;
    double step = (double)p->shape[2] / (double)w, at = step * 0.5;
    for (int64_t x = 0; x < w; x++, at += step) {
        column[x] = (int32_t)at;
        if (column[x] >= p->shape[2]) column[x] = (int32_t)p->shape[2] - 1;
    }
    step = (double)p->shape[1] / (double)h;
    at = step * 0.5;
    /* three bytes by way of four, as long as nothing beyond the rows is touched */
    int64_t fast = 0;
    while (c == 3 && fast < w - 1 && column[fast] < p->shape[2] - 1) fast++;
    int64_t last = -1;
    for (int64_t y = 0; y < h; y++, at += step) {
        int64_t from = (int64_t)at < p->shape[1] ? (int64_t)at : p->shape[1] - 1;
        const char *row = p->data + from * p->stride[1];
        char *to = q.data + y * q.stride[1];
        if (from == last) {
            memcpy(to, to - q.stride[1], (size_t)(w * c));
            continue;
        }
        last = from;
        for (int64_t x = 0; x < fast; x++) memcpy(to + 3 * x, row + 3 * column[x], 4);
        for (int64_t x = fast; x < w; x++) memcpy(to + x * c, row + column[x] * c, (size_t)c);
    }
    *p = q;
    return MASCON_OK;
}

static mascon_status filtered(masconI_picture *p, masconI_scratch *scratch, int64_t h, int64_t w,
                              int32_t filter, int32_t antialias) {
    kernel kern = choose_kernel();
    masconI_taps *rows = &scratch->taps[0], *columns = &scratch->taps[1];
    if (p->shape[2] != w) MASCON_TRY(find_taps(rows, p->shape[2], w, filter, antialias, &kern));
    if (p->shape[1] != h) MASCON_TRY(find_taps(columns, p->shape[1], h, filter, antialias, &kern));
    int columns_first = p->shape[1] > h && p->shape[1] - h > 2 * (p->shape[2] - w);
    for (int pass = 0; pass < 2; pass++) {
        masconI_picture q;
        if (pass == columns_first && p->shape[2] != w) {
            MASCON_TRY(masconI_picture_new(&q, p, scratch, p->dtype, p->shape[0], p->shape[1], w));
            MASCON_TRY(pass_rows(p, &q, scratch, &kern));
            *p = q;
        } else if (pass != columns_first && p->shape[1] != h) {
            MASCON_TRY(masconI_picture_new(&q, p, scratch, p->dtype, p->shape[0], h, p->shape[2]));
            pass_columns(p, &q, columns, &kern);
            *p = q;
        }
    }
    return MASCON_OK;
}

/* ---- Transparency: in pictures of 2 and 4 channels the last one says how much of a colour there is.
 * Colours are weighted by it before they are mixed, so that hidden ones do not shine through. ---- */

static void weigh_colours(const masconI_picture *p) {
    const int64_t c = p->shape[0];
    for (int64_t y = 0; y < p->shape[1]; y++) {
        uint8_t *pixel = (uint8_t *)p->data + y * p->stride[1];
        for (int64_t x = 0; x < p->shape[2]; x++, pixel += c) {
            for (int64_t k = 0; k < c - 1; k++) {
                const uint32_t v = (uint32_t)pixel[k] * pixel[c - 1] + 128;
                pixel[k] = (uint8_t)((v + (v >> 8)) >> 8);
            }
        }
    }
}

static void unweigh_colours(const masconI_picture *p) {
    const int64_t c = p->shape[0];
    for (int64_t y = 0; y < p->shape[1]; y++) {
        uint8_t *pixel = (uint8_t *)p->data + y * p->stride[1];
        for (int64_t x = 0; x < p->shape[2]; x++, pixel += c) {
            const uint32_t alpha = pixel[c - 1];
            for (int64_t k = 0; alpha > 0 && k < c - 1; k++) {
                const uint32_t v = 255u * pixel[k] / alpha;
                pixel[k] = (uint8_t)(v > 255 ? 255 : v);
            }
        }
    }
}

mascon_status masconI_resize(masconI_picture *p, masconI_scratch *scratch, int64_t h, int64_t w,
                             int32_t filter, int32_t antialias) {
    if (p->shape[1] == h && p->shape[2] == w) return MASCON_OK;
    const int transparent = p->shape[0] == 2 || p->shape[0] == 4;
    if (filter == MASCON_NEAREST || !transparent) {
        MASCON_TRY(masconI_picture_gather(p, scratch));
        if (filter == MASCON_NEAREST) return nearest(p, scratch, h, w);
        return filtered(p, scratch, h, w, filter, antialias);
    }
    MASCON_TRY(masconI_picture_own(p, scratch));
    weigh_colours(p);
    MASCON_TRY(filtered(p, scratch, h, w, filter, antialias));
    unweigh_colours(p);
    return MASCON_OK;
}

/* ---- Resize: height, width (-1: height is the shorter side's size), interpolation, antialias, the
 * longest the longer side may be (0: any) ---- */

static mascon_status check_resize(const masconI_stage *s) {
    MASCON_TRY(masconI_size_ok(s->v[0], s->v[1] == -1 ? 1 : s->v[1]));
    if (s->v[4] == 0 || (s->v[1] == -1 && s->v[4] > s->v[0])) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG,
                        "max_size is %g; must be above the size of the shorter side, %g", s->v[4],
                        s->v[0]);
}

static mascon_status shape_resize(const masconI_stage *s, int64_t shape[3]) {
    int64_t size = (int64_t)s->v[0], most = (int64_t)s->v[4];
    if (s->v[1] != -1) {
        shape[1] = size;
        shape[2] = (int64_t)s->v[1];
        return MASCON_OK;
    }
    if (shape[1] < 0 || shape[2] < 0) return MASCON_OK;
    int wide = shape[2] > shape[1];
    int64_t shorter = shape[wide ? 1 : 2], longer = shape[wide ? 2 : 1];
    int64_t new_longer = (int64_t)((double)(size * longer) / (double)shorter);
    if (most > 0 && new_longer > most) {
        size = (int64_t)((double)(most * size) / (double)new_longer);
        new_longer = most;
    }
    shape[1] = wide ? size : new_longer;
    shape[2] = wide ? new_longer : size;
    return MASCON_OK;
}

static mascon_status run_resize(const masconI_stage *s, masconI_random *r, masconI_scratch *scratch,
                                masconI_picture *p) {
    (void)r;
    int64_t shape[3];
    memcpy(shape, p->shape, sizeof shape);
    MASCON_TRY(shape_resize(s, shape));
    return masconI_resize(p, scratch, shape[1], shape[2], (int32_t)s->v[2], (int32_t)s->v[3]);
}

const masconI_stage_kind masconI_stage_resize = {.name = "resize",
                                                 .shown = "Resize",
                                                 .n_values = 5,
                                                 .bytes = 1,
                                                 .check = check_resize,
                                                 .shape = shape_resize,
                                                 .run = run_resize};

/* ---- RandomResizedCrop: height, width, interpolation, antialias, scale (2), ratio (2) ---- */

static mascon_status check_resized_crop(const masconI_stage *s) {
    MASCON_TRY(masconI_size_ok(s->v[0], s->v[1]));
    if (s->v[4] > 0 && s->v[4] <= s->v[5] && s->v[6] > 0 && s->v[6] <= s->v[7]) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG,
                        "scale {%g, %g}, ratio {%g, %g}; expected numbers above 0, the smaller one "
                        "first",
                        s->v[4], s->v[5], s->v[6], s->v[7]);
}

static mascon_status shape_resized_crop(const masconI_stage *s, int64_t shape[3]) {
    shape[1] = (int64_t)s->v[0];
    shape[2] = (int64_t)s->v[1];
    return MASCON_OK;
}

/* The middle of the picture, as much of it as the ratio allows. */
static void central(const masconI_stage *s, const int64_t shape[3], int64_t *h, int64_t *w) {
    double ratio = (double)shape[2] / (double)shape[1];
    *h = shape[1];
    *w = shape[2];
    if (ratio < s->v[6])
        *h = (int64_t)masconI_round_even((double)*w / s->v[6]);
    else if (ratio > s->v[7])
        *w = (int64_t)masconI_round_even((double)*h * s->v[7]);
}

static mascon_status run_resized_crop(const masconI_stage *s, masconI_random *r,
                                      masconI_scratch *scratch, masconI_picture *p) {
    double area = (double)(p->shape[1] * p->shape[2]);
    int64_t h = 0, w = 0, y = 0, x = 0;
    int found = 0;
    for (int i = 0; i < 10 && !found; i++) {
        double part = area * masconI_random_between(r, s->v[4], s->v[5]);
        double ratio = exp(masconI_random_between(r, log(s->v[6]), log(s->v[7])));
        w = (int64_t)masconI_round_even(sqrt(part * ratio));
        h = (int64_t)masconI_round_even(sqrt(part / ratio));
        found = w > 0 && w <= p->shape[2] && h > 0 && h <= p->shape[1];
        if (!found) continue;
        y = masconI_random_below(r, p->shape[1] - h + 1);
        x = masconI_random_below(r, p->shape[2] - w + 1);
    }
    if (!found) {
        central(s, p->shape, &h, &w);
        y = (p->shape[1] - h) / 2;
        x = (p->shape[2] - w) / 2;
    }
    masconI_picture_crop(p, y, x, h > 0 ? h : 1, w > 0 ? w : 1);
    return masconI_resize(p, scratch, (int64_t)s->v[0], (int64_t)s->v[1], (int32_t)s->v[2],
                          (int32_t)s->v[3]);
}

const masconI_stage_kind masconI_stage_resized_crop = {.name = "random_resized_crop",
                                                       .shown = "RandomResizedCrop",
                                                       .n_values = 8,
                                                       .random = 1,
                                                       .bytes = 1,
                                                       .check = check_resized_crop,
                                                       .shape = shape_resized_crop,
                                                       .run = run_resized_crop};

/* picture.c: views of pictures, their scratch memory, and the random numbers of stages. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/picture.h"

/* ---- Scratch memory ---- */

void *masconI_scratch_get(masconI_scratch *scratch, int block, int64_t bytes) {
    size_t need = bytes > 64 ? (size_t)bytes : 64;
    if (scratch->size[block] >= need) return scratch->block[block];
    free(scratch->block[block]);
    scratch->size[block] = 0;
    scratch->block[block] = malloc(need);
    if (!scratch->block[block]) {
        masconI_fail(MASCON_E_OOM, "no memory for a picture of %lld bytes", (long long)bytes);
        return NULL;
    }
    scratch->size[block] = need;
    return scratch->block[block];
}

void masconI_scratch_free(masconI_scratch *scratch) {
    for (int i = 0; i < MASCON_SCRATCH_COUNT; i++) free(scratch->block[i]);
    for (int i = 0; i < 2; i++) free(scratch->taps[i].packed);
    memset(scratch, 0, sizeof *scratch);
}

/* ---- Random numbers ---- */

/* Keeps these draws apart from those of scripts, orders and drawn pictures. */
static const uint64_t purpose_stage = 0x7374616765u;

/* Steele's and Vigna's splitmix64: every bit of x reaches every bit of the result. */
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void masconI_random_begin(masconI_random *r, const masconI_draw *draw, int32_t stage) {
    r->key[0] = mix(draw->seed ^ purpose_stage) + mix(draw->epoch);
    r->key[1] = (uint64_t)draw->row << 8 | (uint64_t)(draw->stage + stage);
    r->block = 0;
    r->used = 4;
}

static uint32_t next_word(masconI_random *r) {
    if (r->used == 4) {
        masconI_philox(r->key, r->block++, r->words);
        r->used = 0;
    }
    return r->words[r->used++];
}

double masconI_random_unit(masconI_random *r) { return next_word(r) * 0x1p-32; }

double masconI_random_between(masconI_random *r, double low, double high) {
    return low + (high - low) * masconI_random_unit(r);
}

int64_t masconI_random_below(masconI_random *r, int64_t n) {
    return (int64_t)((uint64_t)next_word(r) * (uint64_t)n >> 32);
}

/* ---- Views ---- */

masconI_picture masconI_picture_of(void *data, int32_t dtype, const int64_t shape[3],
                                   const int64_t stride[3]) {
    masconI_picture p = {.data = data, .dtype = dtype, .slot = MASCON_PICTURE_GIVEN};
    memcpy(p.shape, shape, sizeof p.shape);
    memcpy(p.stride, stride, sizeof p.stride);
    p.height = shape[1];
    p.width = shape[2];
    return p;
}

mascon_status masconI_picture_new(masconI_picture *out, const masconI_picture *busy,
                                  masconI_scratch *scratch, int32_t dtype, int64_t c, int64_t h,
                                  int64_t w) {
    int slot = busy->slot == MASCON_SCRATCH_A ? MASCON_SCRATCH_B : MASCON_SCRATCH_A;
    void *data = masconI_scratch_get(scratch, slot, c * h * w * mascon_dtype_size(dtype));
    if (!data) return MASCON_E_OOM;
    *out = masconI_picture_of(data, dtype, (const int64_t[3]){c, h, w},
                              (const int64_t[3]){1, w * c, c});
    out->slot = slot;
    return MASCON_OK;
}

/* n elements of a row, c values after each other, as the border has them. */
static void fill_row(char *to, int32_t dtype, const float *fill, int32_t n_fill, int64_t c,
                     int64_t pixels) {
    for (int64_t i = 0; i < pixels * c; i++) {
        float v = fill[n_fill == 1 ? 0 : i % c];
        if (dtype == MASCON_DTYPE_U8)
            ((uint8_t *)to)[i] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
        else
            ((float *)(void *)to)[i] = v;
    }
}

void masconI_copy_pixels(char *dst, const char *src, int64_t step, int64_t n, int64_t bytes) {
    if (step == bytes) {
        memcpy(dst, src, (size_t)(n * bytes));
    } else if (bytes == 3) {
        for (int64_t i = 0; i < n; i++, dst += 3, src += step) {
            dst[0] = src[0];
            dst[1] = src[1];
            dst[2] = src[2];
        }
    } else {
        for (int64_t i = 0; i < n; i++) memcpy(dst + i * bytes, src + i * step, (size_t)bytes);
    }
}

/* n pixels of c bytes, whose channels lie `apart` from each other. */
static void copy_bytes(uint8_t *to, const uint8_t *from, int64_t step, int64_t apart, int64_t c,
                       int64_t n) {
    for (int64_t k = 0; k < c; k++, from += apart) {
        for (int64_t i = 0; i < n; i++) to[i * c + k] = from[i * step];
    }
}

/* Copies the view into dense memory. */
static mascon_status densify(masconI_picture *p, masconI_scratch *scratch) {
    masconI_picture q;
    int64_t c = p->shape[0], size = mascon_dtype_size(p->dtype);
    MASCON_TRY(masconI_picture_new(&q, p, scratch, p->dtype, c, p->shape[1], p->shape[2]));
    for (int64_t y = 0; y < p->shape[1]; y++) {
        char *row = q.data + y * q.stride[1] * size;
        int inside = y >= p->top && y < p->top + p->height;
        int64_t before = inside ? p->left : p->shape[2];
        if (before > 0) fill_row(row, p->dtype, p->fill, p->n_fill, c, before);
        if (!inside) continue;
        const char *from = p->data + (y - p->top) * p->stride[1] * size;
        char *to = row + p->left * c * size;
        if (p->stride[0] == 1)
            masconI_copy_pixels(to, from, p->stride[2] * size, p->width, c * size);
        else if (size == 1)
            copy_bytes((uint8_t *)to, (const uint8_t *)from, p->stride[2], p->stride[0], c,
                       p->width);
        else
            masconI_copy_strided(to, (const int64_t[2]){c, 1}, from,
                                 (const int64_t[2]){p->stride[2], p->stride[0]},
                                 (const int64_t[2]){p->width, c}, 2, (size_t)size);
        int64_t after = p->shape[2] - p->left - p->width;
        if (after > 0) fill_row(to + p->width * c * size, p->dtype, p->fill, p->n_fill, c, after);
    }
    *p = q;
    return MASCON_OK;
}

mascon_status masconI_picture_gather(masconI_picture *p, masconI_scratch *scratch) {
    int good = !masconI_picture_bordered(p) && p->stride[0] == 1 && p->stride[2] == p->shape[0];
    return good ? MASCON_OK : densify(p, scratch);
}

mascon_status masconI_picture_own(masconI_picture *p, masconI_scratch *scratch) {
    MASCON_TRY(masconI_picture_gather(p, scratch));
    return p->slot >= 0 ? MASCON_OK : densify(p, scratch);
}

static int64_t clip(int64_t x, int64_t low, int64_t high) {
    return x < low ? low : x > high ? high : x;
}

void masconI_picture_crop(masconI_picture *p, int64_t y, int64_t x, int64_t h, int64_t w) {
    /* what is left of the inner rectangle, which may be nothing */
    int64_t y0 = clip(y, p->top, p->top + p->height), y1 = clip(y + h, y0, p->top + p->height);
    int64_t x0 = clip(x, p->left, p->left + p->width), x1 = clip(x + w, x0, p->left + p->width);
    if (y1 > y0 && x1 > x0) /* else there is no pixel to point to */
        p->data += ((y0 - p->top) * p->stride[1] + (x0 - p->left) * p->stride[2]) *
                   mascon_dtype_size(p->dtype);
    p->height = y1 - y0;
    p->width = x1 - x0;
    p->top = y1 > y0 ? y0 - y : 0;
    p->left = x1 > x0 ? x0 - x : 0;
    p->shape[1] = h;
    p->shape[2] = w;
}

mascon_status masconI_picture_pad(masconI_picture *p, masconI_scratch *scratch,
                                  const int64_t ltrb[4], const float *fill, int32_t n_fill) {
    if (ltrb[0] == 0 && ltrb[1] == 0 && ltrb[2] == 0 && ltrb[3] == 0) return MASCON_OK;
    if (masconI_picture_bordered(p) && p->fill != fill) MASCON_TRY(densify(p, scratch));
    p->shape[1] += ltrb[1] + ltrb[3];
    p->shape[2] += ltrb[0] + ltrb[2];
    p->top += ltrb[1];
    p->left += ltrb[0];
    p->fill = fill;
    p->n_fill = n_fill;
    return MASCON_OK;
}

double masconI_round_even(double x) { return nearbyint(x); }

mascon_status masconI_size_ok(double h, double w) {
    if (h >= 1 && w >= 1 && h <= 65500 && w <= 65500) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "size is %gx%g; sides must be in [1, 65500]", h, w);
}

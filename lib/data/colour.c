/* colour.c: ColorJitter and Grayscale on bytes, with the arithmetic of Pillow: blends in float32 cut
 * to a byte, gray in 16 bits of fixed point, hue, saturation and value as bytes.
 */
#include <string.h>

#include "core/simd.h"
#include "data/picture.h"

static uint8_t gray_of(const uint8_t *rgb) {
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

/* from + factor * (to - from). */
static uint8_t blend(int from, int to, float factor) {
    float v = (float)from + factor * (float)(to - from);
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* ---- Brightness, contrast, saturation: away from (or towards) black, gray, the gray picture ---- */

static int is_colour(const masconI_picture *p) { return p->shape[0] == 3; }

static void adjust_to(masconI_picture *p, uint8_t from, float factor) {
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = blend(from, v, factor);
    uint8_t *pixels = (uint8_t *)p->data;
    int64_t n = p->shape[1] * p->shape[2] * p->shape[0];
    for (int64_t i = 0; i < n; i++) pixels[i] = table[pixels[i]];
}

static uint8_t mean_gray(const masconI_picture *p) {
    const uint8_t *pixels = (const uint8_t *)p->data;
    int64_t n = p->shape[1] * p->shape[2];
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += is_colour(p) ? gray_of(pixels + 3 * i) : pixels[i];
    return (uint8_t)((double)sum / (double)n + 0.5);
}

/* In strips: the gray values of some pixels, three times each, then one plain loop over all bytes. */
MASCON_CLONES
static void saturate(uint8_t *pixels, int64_t n, float factor) {
    enum { STRIP = 128 };
    uint8_t gray[3 * STRIP];
    for (int64_t done = 0; done < n; done += STRIP, pixels += 3 * STRIP) {
        int count = n - done < STRIP ? (int)(n - done) : STRIP;
        for (int i = 0; i < count; i++)
            gray[3 * i] = gray[3 * i + 1] = gray[3 * i + 2] = gray_of(pixels + 3 * i);
        for (int i = 0; i < 3 * count; i++) {
            float v = (float)gray[i] + factor * (float)(pixels[i] - gray[i]);
            v = v > 0 ? v : 0;
            v = v < 255 ? v : 255;
            pixels[i] = (uint8_t)(int)v;
        }
    }
}

static void adjust_saturation(masconI_picture *p, float factor) {
    if (is_colour(p)) /* else it is the gray picture */
        saturate((uint8_t *)p->data, p->shape[1] * p->shape[2], factor);
}

/* ---- Hue ---- */

static uint8_t cut(int v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

static void to_hsv(const uint8_t *rgb, uint8_t hsv[3]) {
    uint8_t r = rgb[0], g = rgb[1], b = rgb[2];
    uint8_t most = r > g ? (r > b ? r : b) : (g > b ? g : b);
    uint8_t least = r < g ? (r < b ? r : b) : (g < b ? g : b);
    hsv[0] = hsv[1] = 0;
    hsv[2] = most;
    if (most == least) return;
    float range = (float)(most - least), s = range / (float)most, h;
    float rc = (float)(most - r) / range, gc = (float)(most - g) / range;
    float bc = (float)(most - b) / range;
    if (r == most)
        h = bc - gc;
    else if (g == most)
        h = (float)(2.0 + rc - bc);
    else
        h = (float)(4.0 + gc - rc);
    double turn = h / 6.0 + 1.0; /* in [5/6, 11/6]: the part behind the point */
    h = (float)(turn >= 1 ? turn - 1 : turn);
    hsv[0] = cut((int)(h * 255.0));
    hsv[1] = cut((int)(s * 255.0));
}

/* v in [0, 255] rounded, halves up. */
static uint8_t rounded(float v) {
    int whole = (int)v;
    return (uint8_t)(whole + (v - (float)whole >= 0.5f));
}

static void to_rgb(const uint8_t hsv[3], uint8_t *rgb) {
    uint8_t v = hsv[2];
    if (hsv[1] == 0) {
        rgb[0] = rgb[1] = rgb[2] = v;
        return;
    }
    float h = (float)hsv[0] * 6.0f / 255.0f, s = (float)hsv[1] / 255.0f;
    int sector = (int)h;
    float f = h - (float)sector;
    uint8_t p = rounded(v * (1.0f - s));
    uint8_t q = rounded(v * (1.0f - s * f));
    uint8_t t = rounded(v * (1.0f - s * (1.0f - f)));
    const uint8_t sectors[6][3] = {{v, t, p}, {q, v, p}, {p, v, t},
                                   {p, q, v}, {t, p, v}, {v, p, q}};
    memcpy(rgb, sectors[sector % 6], 3);
}

static void adjust_hue(masconI_picture *p, double factor) {
    if (!is_colour(p)) return;
    uint8_t shift = (uint8_t)(int32_t)(factor * 255), *pixel = (uint8_t *)p->data;
    for (int64_t n = p->shape[1] * p->shape[2]; n > 0; n--, pixel += 3) {
        uint8_t hsv[3];
        to_hsv(pixel, hsv);
        hsv[0] = (uint8_t)(hsv[0] + shift);
        to_rgb(hsv, pixel);
    }
}

/* ---- ColorJitter: the ranges (2 each) of brightness, contrast, saturation, hue ---- */

static mascon_status check_jitter(const masconI_stage *s) {
    for (int i = 0; i < 3; i++) {
        if (!(s->v[2 * i] >= 0 && s->v[2 * i] <= s->v[2 * i + 1]))
            return masconI_fail(MASCON_E_ARG,
                                "range {%g, %g}; expected 0 or more, the smaller first",
                                s->v[2 * i], s->v[2 * i + 1]);
    }
    if (s->v[6] >= -0.5 && s->v[6] <= s->v[7] && s->v[7] <= 0.5) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "hue {%g, %g}; must be in [-0.5, 0.5], the smaller one first",
                        s->v[6], s->v[7]);
}

static mascon_status check_colours(int64_t channels, const char *name) {
    if (channels == 1 || channels == 3) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE, "%s takes pictures with 1 or 3 channels, this one has %lld",
                        name, (long long)channels);
}

static mascon_status shape_jitter(const masconI_stage *s, int64_t shape[3]) {
    return check_colours(shape[0], s->kind->shown);
}

static mascon_status run_jitter(const masconI_stage *s, masconI_random *r, masconI_scratch *scratch,
                                masconI_picture *p) {
    MASCON_TRY(masconI_picture_own(p, scratch));
    int order[4] = {0, 1, 2, 3};
    double factor[4];
    for (int i = 3; i > 0; i--) {
        int j = (int)masconI_random_below(r, i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (int i = 0; i < 4; i++) factor[i] = masconI_random_between(r, s->v[2 * i], s->v[2 * i + 1]);
    for (int i = 0; i < 4; i++) {
        int what = order[i];
        double still = what == 3 ? 0 : 1;
        if (s->v[2 * what] == still && s->v[2 * what + 1] == still) continue;
        if (what == 0) adjust_to(p, 0, (float)factor[0]);
        if (what == 1) adjust_to(p, mean_gray(p), (float)factor[1]);
        if (what == 2) adjust_saturation(p, (float)factor[2]);
        if (what == 3) adjust_hue(p, factor[3]);
    }
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_jitter = {.name = "color_jitter",
                                                 .shown = "ColorJitter",
                                                 .n_values = 8,
                                                 .random = 1,
                                                 .bytes = 1,
                                                 .check = check_jitter,
                                                 .shape = shape_jitter,
                                                 .run = run_jitter};

/* ---- Grayscale: channels of the result (1 or 3) ---- */

static mascon_status check_grayscale(const masconI_stage *s) {
    if (s->v[0] == 1 || s->v[0] == 3) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "num_output_channels is %g; must be 1 or 3", s->v[0]);
}

static mascon_status shape_grayscale(const masconI_stage *s, int64_t shape[3]) {
    MASCON_TRY(check_colours(shape[0], s->kind->shown));
    shape[0] = (int64_t)s->v[0];
    return MASCON_OK;
}

static mascon_status run_grayscale(const masconI_stage *s, masconI_random *r,
                                   masconI_scratch *scratch, masconI_picture *p) {
    (void)r;
    int64_t c = (int64_t)s->v[0];
    MASCON_TRY(masconI_picture_gather(p, scratch));
    masconI_picture q;
    MASCON_TRY(masconI_picture_new(&q, p, scratch, p->dtype, c, p->shape[1], p->shape[2]));
    for (int64_t y = 0; y < p->shape[1]; y++) {
        const uint8_t *from = (const uint8_t *)p->data + y * p->stride[1];
        uint8_t *to = (uint8_t *)q.data + y * q.stride[1];
        for (int64_t x = 0; x < p->shape[2]; x++, from += p->shape[0], to += c) {
            uint8_t gray = is_colour(p) ? gray_of(from) : from[0];
            for (int64_t k = 0; k < c; k++) to[k] = gray;
        }
    }
    *p = q;
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_grayscale = {.name = "grayscale",
                                                    .shown = "Grayscale",
                                                    .n_values = 1,
                                                    .bytes = 1,
                                                    .check = check_grayscale,
                                                    .shape = shape_grayscale,
                                                    .run = run_grayscale};

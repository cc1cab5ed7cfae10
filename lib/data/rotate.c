/* rotate.c: RandomRotation, with the bytes that Pillow gives for pictures of the same size.
 *
 * The result's pixel (x, y) comes from where the inverse rotation about the middle puts its centre.
 * Nearest walks there in 16.16 fixed point; bilinear computes each place in double. Pixels from
 * outside of the picture get the fill colour.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/picture.h"

/* Rounded to 15 digits behind the point, so that right angles are exact. By way of text: scaling would
 * round twice. */
static double round15(double x) {
    char text[32];
    snprintf(text, sizeof text, "%.15f", x);
    return strtod(text, NULL);
}

/* x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5]. */
static void matrix_of(double degrees, int64_t h, int64_t w, double m[6]) {
    double angle = -(degrees * (3.141592653589793 / 180.0));
    double cx = (double)w / 2, cy = (double)h / 2;
    m[0] = round15(cos(angle));
    m[1] = round15(sin(angle));
    m[3] = round15(-sin(angle));
    m[4] = round15(cos(angle));
    m[2] = m[0] * -cx + m[1] * -cy + 0.0;
    m[5] = m[3] * -cx + m[4] * -cy + 0.0;
    m[2] += cx;
    m[5] += cy;
}

static void copy_pixel(uint8_t *to, const uint8_t *from, int64_t c) {
    for (int64_t k = 0; k < c; k++) to[k] = from[k];
}

static int32_t fixed(double x) { return (int32_t)floor(x * 65536.0 + 0.5); }

static void rotate_nearest(const masconI_picture *p, masconI_picture *q, const double m[6]) {
    int64_t c = p->shape[0];
    int32_t row_x = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5);
    int32_t row_y = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
    int32_t a0 = fixed(m[0]), a1 = fixed(m[1]), a3 = fixed(m[3]), a4 = fixed(m[4]);
    for (int64_t y = 0; y < q->shape[1]; y++, row_x += a1, row_y += a4) {
        uint8_t *to = (uint8_t *)q->data + y * q->stride[1];
        int32_t fx = row_x, fy = row_y;
        for (int64_t x = 0; x < q->shape[2]; x++, fx += a0, fy += a3, to += c) {
            int32_t from_x = fx >> 16, from_y = fy >> 16;
            if (from_x < 0 || from_x >= p->shape[2] || from_y < 0 || from_y >= p->shape[1])
                continue;
            copy_pixel(to, (const uint8_t *)p->data + from_y * p->stride[1] + from_x * c, c);
        }
    }
}

/* Sides too long for 16 bits of whole pixels. */
static void rotate_nearest_far(const masconI_picture *p, masconI_picture *q, const double m[6]) {
    int64_t c = p->shape[0];
    double row_x = m[2] + m[0] * 0.5 + m[1] * 0.5, row_y = m[5] + m[3] * 0.5 + m[4] * 0.5;
    for (int64_t y = 0; y < q->shape[1]; y++, row_x += m[1], row_y += m[4]) {
        uint8_t *to = (uint8_t *)q->data + y * q->stride[1];
        double fx = row_x, fy = row_y;
        for (int64_t x = 0; x < q->shape[2]; x++, fx += m[0], fy += m[3], to += c) {
            if (!(fx >= 0 && fy >= 0 && fx < (double)p->shape[2] && fy < (double)p->shape[1]))
                continue;
            copy_pixel(to, (const uint8_t *)p->data + (int64_t)fy * p->stride[1] + (int64_t)fx * c,
                       c);
        }
    }
}

static int64_t inside(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

static void rotate_bilinear(const masconI_picture *p, masconI_picture *q, const double m[6]) {
    int64_t c = p->shape[0], h = p->shape[1], w = p->shape[2];
    for (int64_t y = 0; y < q->shape[1]; y++) {
        uint8_t *to = (uint8_t *)q->data + y * q->stride[1];
        for (int64_t x = 0; x < q->shape[2]; x++, to += c) {
            double cx = (double)x + 0.5, cy = (double)y + 0.5;
            double fx = m[0] * cx + m[1] * cy + m[2], fy = m[3] * cx + m[4] * cy + m[5];
            if (fx < 0 || fx >= (double)w || fy < 0 || fy >= (double)h) continue;
            fx -= 0.5;
            fy -= 0.5;
            double low_x = floor(fx), low_y = floor(fy), dx = fx - low_x, dy = fy - low_y;
            int64_t x0 = inside((int64_t)low_x, w) * c, x1 = inside((int64_t)low_x + 1, w) * c;
            const uint8_t *upper =
                (const uint8_t *)p->data + inside((int64_t)low_y, h) * p->stride[1];
            const uint8_t *lower =
                (const uint8_t *)p->data + inside((int64_t)low_y + 1, h) * p->stride[1];
            for (int64_t k = 0; k < c; k++) {
                double a = upper[x0 + k] + (upper[x1 + k] - upper[x0 + k]) * dx;
                double b = lower[x0 + k] + (lower[x1 + k] - lower[x0 + k]) * dx;
                to[k] = (uint8_t)(a + (b - a) * dy);
            }
        }
    }
}

/* ---- RandomRotation: degrees (2), interpolation; fill: the colour ---- */

static mascon_status check_rotation(const masconI_stage *s) {
    if (s->v[0] <= s->v[1] && fabs(s->v[0]) <= 1e6 && fabs(s->v[1]) <= 1e6) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "degrees {%g, %g}; expected the smaller one first", s->v[0],
                        s->v[1]);
}

/* Turns the view itself by 0, 90, 180 or 270 degrees, as far as that fits the size. */
static int turn(masconI_picture *p, double degrees) {
    int64_t h = p->shape[1], w = p->shape[2], sy = p->stride[1], sx = p->stride[2];
    if (degrees == 0) return 1;
    if (degrees == 180) {
        p->data += (h - 1) * sy + (w - 1) * sx;
        p->stride[1] = -sy;
        p->stride[2] = -sx;
        return 1;
    }
    if (h != w || (degrees != 90 && degrees != 270)) return 0;
    /* counter-clockwise by 90: row y of the result is column w - 1 - y */
    p->data += degrees == 90 ? (w - 1) * sx : (h - 1) * sy;
    p->stride[1] = degrees == 90 ? -sx : sx;
    p->stride[2] = degrees == 90 ? sy : -sy;
    return 1;
}

static mascon_status run_rotation(const masconI_stage *s, masconI_random *r,
                                  masconI_scratch *scratch, masconI_picture *p) {
    double degrees = fmod(masconI_random_between(r, s->v[0], s->v[1]), 360.0);
    if (degrees < 0) degrees += 360.0;
    MASCON_TRY(masconI_picture_gather(p, scratch));
    if (turn(p, degrees)) return MASCON_OK;
    masconI_picture q;
    double m[6];
    matrix_of(degrees, p->shape[1], p->shape[2], m);
    MASCON_TRY(
        masconI_picture_new(&q, p, scratch, p->dtype, p->shape[0], p->shape[1], p->shape[2]));
    for (int64_t i = 0; i < q.shape[1] * q.shape[2]; i++) {
        for (int64_t k = 0; k < q.shape[0]; k++) {
            float f = s->n_fill == 0 ? 0 : s->fill[s->n_fill == 1 ? 0 : k];
            ((uint8_t *)q.data)[i * q.shape[0] + k] = f <= 0 ? 0 : f >= 255 ? 255 : (uint8_t)f;
        }
    }
    int64_t longest = p->shape[1] > p->shape[2] ? p->shape[1] : p->shape[2];
    if ((int32_t)s->v[2] == MASCON_BILINEAR)
        rotate_bilinear(p, &q, m);
    else if (longest < 16384)
        rotate_nearest(p, &q, m);
    else
        rotate_nearest_far(p, &q, m);
    *p = q;
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_rotation = {.name = "rotation",
                                                   .shown = "RandomRotation",
                                                   .n_values = 3,
                                                   .fills = 1,
                                                   .random = 1,
                                                   .bytes = 1,
                                                   .check = check_rotation,
                                                   .run = run_rotation};

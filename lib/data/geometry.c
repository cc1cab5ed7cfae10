/* geometry.c: stages that move pixels without changing them: padding, crops, flips, erasing.
 *
 * Crops, flips and padding with a colour only change the view. The arithmetic of positions is
 * torchvision's.
 */
#include <math.h>
#include <string.h>

#include "data/picture.h"

static const float black[1] = {0};

/* ---- Padding ---- */

/* ORDER: Lua's list of padding modes. */
enum { CONSTANT = 0, EDGE, REFLECT, SYMMETRIC };

/* Where position i of a row that was continued beyond 0..n-1 comes from. */
static int64_t continued(int64_t i, int64_t n, int mode) {
    if (mode == EDGE || n == 1) return i < 0 ? 0 : i >= n ? n - 1 : i;
    int64_t skip = mode == REFLECT, period = 2 * (n - skip); /* REFLECT does not repeat the edge */
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : period - 1 + skip - i;
}

static mascon_status continue_picture(masconI_picture *p, masconI_scratch *scratch,
                                      const int64_t ltrb[4], int mode) {
    MASCON_TRY(masconI_picture_gather(p, scratch));
    masconI_picture q;
    int64_t c = p->shape[0], h = p->shape[1], w = p->shape[2], size = mascon_dtype_size(p->dtype);
    MASCON_TRY(masconI_picture_new(&q, p, scratch, p->dtype, c, h + ltrb[1] + ltrb[3],
                                   w + ltrb[0] + ltrb[2]));
    for (int64_t y = 0; y < q.shape[1]; y++) {
        const char *from = p->data + continued(y - ltrb[1], h, mode) * p->stride[1] * size;
        char *to = q.data + y * q.stride[1] * size;
        for (int64_t x = 0; x < q.shape[2]; x++)
            memcpy(to + x * c * size, from + continued(x - ltrb[0], w, mode) * c * size,
                   (size_t)(c * size));
    }
    *p = q;
    return MASCON_OK;
}

static mascon_status pad(masconI_picture *p, masconI_scratch *scratch, const int64_t ltrb[4],
                         int mode, const masconI_stage *s) {
    if (mode == CONSTANT)
        return masconI_picture_pad(p, scratch, ltrb, s->n_fill ? s->fill : black,
                                   s->n_fill ? s->n_fill : 1);
    if (ltrb[0] == 0 && ltrb[1] == 0 && ltrb[2] == 0 && ltrb[3] == 0) return MASCON_OK;
    return continue_picture(p, scratch, ltrb, mode);
}

/* Values: left, top, right, bottom, mode. */
static void read_padding(const double *v, int64_t ltrb[4]) {
    for (int i = 0; i < 4; i++) ltrb[i] = (int64_t)v[i];
}

static mascon_status check_padding(const double *v) {
    for (int i = 0; i < 4; i++) {
        if (!(v[i] >= 0 && v[i] <= 65500))
            return masconI_fail(MASCON_E_ARG, "padding is %g; must be in [0, 65500]", v[i]);
    }
    return MASCON_OK;
}

/* A picture can be reflected once: by less than its size. */
static mascon_status check_reflection(const double *v, const int64_t shape[3]) {
    int mode = (int)v[4];
    int64_t most = mode == REFLECT ? 1 : 0;
    if (mode != REFLECT && mode != SYMMETRIC) return MASCON_OK;
    for (int i = 0; i < 4; i++) {
        int64_t side = shape[i % 2 ? 1 : 2];
        if (side < 0 || (int64_t)v[i] <= side - most) continue;
        return masconI_fail(MASCON_E_SHAPE, "padding %g is too much to reflect a picture %lldx%lld",
                            v[i], (long long)shape[1], (long long)shape[2]);
    }
    return MASCON_OK;
}

static mascon_status check_pad(const masconI_stage *s) { return check_padding(s->v); }

static mascon_status shape_padded(const double *v, int64_t shape[3]) {
    MASCON_TRY(check_reflection(v, shape));
    if (shape[1] >= 0) shape[1] += (int64_t)v[1] + (int64_t)v[3];
    if (shape[2] >= 0) shape[2] += (int64_t)v[0] + (int64_t)v[2];
    return MASCON_OK;
}

static mascon_status shape_pad(const masconI_stage *s, int64_t shape[3]) {
    return shape_padded(s->v, shape);
}

static mascon_status run_pad(const masconI_stage *s, masconI_random *r, masconI_scratch *scratch,
                             masconI_picture *p) {
    (void)r;
    int64_t ltrb[4];
    read_padding(s->v, ltrb);
    return pad(p, scratch, ltrb, (int)s->v[4], s);
}

const masconI_stage_kind masconI_stage_pad = {.name = "pad",
                                              .shown = "Pad",
                                              .n_values = 5,
                                              .fills = 1,
                                              .check = check_pad,
                                              .shape = shape_pad,
                                              .run = run_pad};

/* ---- CenterCrop: height, width ---- */

static mascon_status check_size(const masconI_stage *s) {
    return masconI_size_ok(s->v[0], s->v[1]);
}

static mascon_status shape_size(const masconI_stage *s, int64_t shape[3]) {
    shape[1] = (int64_t)s->v[0];
    shape[2] = (int64_t)s->v[1];
    return MASCON_OK;
}

static mascon_status run_center_crop(const masconI_stage *s, masconI_random *r,
                                     masconI_scratch *scratch, masconI_picture *p) {
    (void)r;
    int64_t h = (int64_t)s->v[0], w = (int64_t)s->v[1];
    int64_t more_h = h > p->shape[1] ? h - p->shape[1] : 0;
    int64_t more_w = w > p->shape[2] ? w - p->shape[2] : 0;
    const int64_t ltrb[4] = {more_w / 2, more_h / 2, (more_w + 1) / 2, (more_h + 1) / 2};
    MASCON_TRY(masconI_picture_pad(p, scratch, ltrb, black, 1));
    int64_t y = (int64_t)masconI_round_even((double)(p->shape[1] - h) / 2.0);
    int64_t x = (int64_t)masconI_round_even((double)(p->shape[2] - w) / 2.0);
    masconI_picture_crop(p, y, x, h, w);
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_center_crop = {.name = "center_crop",
                                                      .shown = "CenterCrop",
                                                      .n_values = 2,
                                                      .check = check_size,
                                                      .shape = shape_size,
                                                      .run = run_center_crop};

/* ---- RandomCrop: height, width, padding (5), pad_if_needed ---- */

static mascon_status check_random_crop(const masconI_stage *s) {
    MASCON_TRY(masconI_size_ok(s->v[0], s->v[1]));
    return check_padding(s->v + 2);
}

static mascon_status shape_random_crop(const masconI_stage *s, int64_t shape[3]) {
    MASCON_TRY(shape_padded(s->v + 2, shape));
    int64_t h = (int64_t)s->v[0], w = (int64_t)s->v[1];
    int small = (shape[1] >= 0 && shape[1] < h) || (shape[2] >= 0 && shape[2] < w);
    if (small && s->v[7] == 0) {
        masconI_fail(MASCON_E_SHAPE, "crop %lldx%lld is larger than the padded picture %lldx%lld",
                     (long long)h, (long long)w, (long long)shape[1], (long long)shape[2]);
        return masconI_hint("pad_if_needed = true, or Resize before RandomCrop");
    }
    if (small) {
        const double more[5] = {w > shape[2] ? (double)(w - shape[2]) : 0,
                                h > shape[1] ? (double)(h - shape[1]) : 0, 0, 0, s->v[6]};
        MASCON_TRY(check_reflection(more, shape));
    }
    shape[1] = h;
    shape[2] = w;
    return MASCON_OK;
}

static mascon_status run_random_crop(const masconI_stage *s, masconI_random *r,
                                     masconI_scratch *scratch, masconI_picture *p) {
    int64_t h = (int64_t)s->v[0], w = (int64_t)s->v[1], ltrb[4];
    int mode = (int)s->v[6];
    read_padding(s->v + 2, ltrb);
    MASCON_TRY(pad(p, scratch, ltrb, mode, s));
    /* both sides by what is missing, as torchvision does: the position stays random */
    int64_t more_h = h > p->shape[1] ? h - p->shape[1] : 0;
    int64_t more_w = w > p->shape[2] ? w - p->shape[2] : 0;
    MASCON_TRY(pad(p, scratch, (const int64_t[4]){more_w, more_h, more_w, more_h}, mode, s));
    int64_t y = masconI_random_below(r, p->shape[1] - h + 1);
    int64_t x = masconI_random_below(r, p->shape[2] - w + 1);
    masconI_picture_crop(p, y, x, h, w);
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_random_crop = {.name = "random_crop",
                                                      .shown = "RandomCrop",
                                                      .n_values = 8,
                                                      .fills = 1,
                                                      .random = 1,
                                                      .check = check_random_crop,
                                                      .shape = shape_random_crop,
                                                      .run = run_random_crop};

/* ---- Flips: probability ---- */

static mascon_status check_probability(const masconI_stage *s) {
    if (s->v[0] >= 0 && s->v[0] <= 1) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "p is %g; must be in [0, 1]", s->v[0]);
}

/* Walks one axis (1 or 2) backwards; *before is what lies in front of the inner rectangle. */
static void flip(masconI_picture *p, int axis, int64_t *before, int64_t inner) {
    if (inner > 0) p->data += (inner - 1) * p->stride[axis] * (int64_t)mascon_dtype_size(p->dtype);
    p->stride[axis] = -p->stride[axis];
    *before = p->shape[axis] - *before - inner;
}

static mascon_status run_hflip(const masconI_stage *s, masconI_random *r, masconI_scratch *scratch,
                               masconI_picture *p) {
    (void)scratch;
    if (masconI_random_unit(r) < s->v[0]) flip(p, 2, &p->left, p->width);
    return MASCON_OK;
}

static mascon_status run_vflip(const masconI_stage *s, masconI_random *r, masconI_scratch *scratch,
                               masconI_picture *p) {
    (void)scratch;
    if (masconI_random_unit(r) < s->v[0]) flip(p, 1, &p->top, p->height);
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_hflip = {.name = "hflip",
                                                .shown = "RandomHorizontalFlip",
                                                .n_values = 1,
                                                .random = 1,
                                                .check = check_probability,
                                                .run = run_hflip};
const masconI_stage_kind masconI_stage_vflip = {.name = "vflip",
                                                .shown = "RandomVerticalFlip",
                                                .n_values = 1,
                                                .random = 1,
                                                .check = check_probability,
                                                .run = run_vflip};

/* ---- RandomErasing: p, scale (2), ratio (2), whether the value is random; fill: the value ---- */

static mascon_status check_erasing(const masconI_stage *s) {
    MASCON_TRY(check_probability(s));
    if (s->v[1] >= 0 && s->v[1] <= s->v[2] && s->v[2] <= 1 && s->v[3] > 0 && s->v[3] <= s->v[4])
        return MASCON_OK;
    return masconI_fail(MASCON_E_ARG,
                        "scale {%g, %g}, ratio {%g, %g}; expected 0 <= scale <= 1, ratio above 0, "
                        "the smaller number first",
                        s->v[1], s->v[2], s->v[3], s->v[4]);
}

/* A normal number by Box and Muller. */
static float normal(masconI_random *r) {
    double u = 1 - masconI_random_unit(r), v = masconI_random_unit(r);
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static void erase(const masconI_stage *s, masconI_random *r, masconI_picture *p, int64_t top,
                  int64_t left, int64_t h, int64_t w) {
    for (int64_t y = top; y < top + h; y++) {
        for (int64_t x = left; x < left + w; x++) {
            for (int64_t c = 0; c < p->shape[0]; c++) {
                int64_t at = c * p->stride[0] + y * p->stride[1] + x * p->stride[2];
                float v = s->v[5] != 0 ? normal(r)
                          : s->n_fill  ? s->fill[s->n_fill == 1 ? 0 : c]
                                       : 0;
                if (p->dtype == MASCON_DTYPE_U8)
                    ((uint8_t *)p->data)[at] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
                else
                    ((float *)(void *)p->data)[at] = v;
            }
        }
    }
}

static mascon_status run_erasing(const masconI_stage *s, masconI_random *r,
                                 masconI_scratch *scratch, masconI_picture *p) {
    if (!(masconI_random_unit(r) < s->v[0])) return MASCON_OK;
    double area = (double)(p->shape[1] * p->shape[2]);
    for (int i = 0; i < 10; i++) {
        double part = area * masconI_random_between(r, s->v[1], s->v[2]);
        double aspect = exp(masconI_random_between(r, log(s->v[3]), log(s->v[4])));
        int64_t h = (int64_t)masconI_round_even(sqrt(part * aspect));
        int64_t w = (int64_t)masconI_round_even(sqrt(part / aspect));
        if (!(h < p->shape[1] && w < p->shape[2])) continue;
        int64_t y = masconI_random_below(r, p->shape[1] - h + 1);
        int64_t x = masconI_random_below(r, p->shape[2] - w + 1);
        if (p->slot != MASCON_PICTURE_RESULT) MASCON_TRY(masconI_picture_own(p, scratch));
        erase(s, r, p, y, x, h, w);
        break;
    }
    return MASCON_OK;
}

const masconI_stage_kind masconI_stage_erasing = {.name = "erasing",
                                                  .shown = "RandomErasing",
                                                  .n_values = 6,
                                                  .fills = 1,
                                                  .random = 1,
                                                  .check = check_erasing,
                                                  .run = run_erasing};

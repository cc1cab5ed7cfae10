/* pipeline.c: the stages a picture passes, and pipelines applied to tensors.
 *
 * Stages that map one channel value to one channel value are fused: over uint8 pictures a run of
 * them is a table of 256 results per channel, which gives exactly the values that the stages give
 * one after the other in float32. The arithmetic is PyTorch's: v / 255, (v - mean) / std,
 * v * 255.999 for the way back to uint8. The last run of them is applied while the result is
 * written, so that crops, flips, ToTensor and Normalize take one pass over the pixels.
 */
#include <stdlib.h>
#include <string.h>

#include "core/simd.h"
#include "data/picture.h"

struct mascon_pipeline {
    atomic_int refs;
    int32_t n, n_random;
    masconI_stage *stages[MASCON_MAX_STAGES];
};

/* ---- Stages of single values ---- */

static const masconI_stage_kind to_tensor = {.name = "to_tensor", .shown = "ToTensor"};
static const masconI_stage_kind normalize = {.name = "normalize", .shown = "Normalize", .fills = 1};
static const masconI_stage_kind convert = {
    .name = "convert", .shown = "ConvertImageDtype", .n_values = 1};

static const masconI_stage_kind *const kinds[] = {
    &to_tensor,
    &normalize,
    &convert,
    &masconI_stage_pad,
    &masconI_stage_center_crop,
    &masconI_stage_random_crop,
    &masconI_stage_hflip,
    &masconI_stage_vflip,
    &masconI_stage_erasing,
    &masconI_stage_resize,
    &masconI_stage_resized_crop,
    &masconI_stage_rotation,
    &masconI_stage_jitter,
    &masconI_stage_grayscale,
};

/* The value after a stage; *dtype is that of v before and after. uint8 values are kept as float. */
static float stage_value(const masconI_stage *s, int64_t channel, float v, int32_t *dtype) {
    if (s->kind == &normalize) {
        int64_t c = s->n_fill == 1 ? 0 : channel;
        return (v - s->fill[c]) / s->std[c];
    }
    int32_t to = s->kind == &convert ? s->dtype : MASCON_DTYPE_F32;
    if (*dtype == to) return v;
    *dtype = to;
    if (to == MASCON_DTYPE_F32) return v / 255.0f;
    v *= 255.999f;
    /* outside of 0..255 PyTorch leaves the result open; we stay at the nearest end */
    if (!(v > 0)) return 0;
    return v >= 255.0f ? 255.0f : (float)(uint8_t)v;
}

static float step_value(const masconI_plan *plan, const masconI_step *step, int64_t channel,
                        float v) {
    int32_t dtype = step->in_dtype;
    for (int32_t i = step->from; i < step->to; i++)
        v = stage_value(plan->pipeline->stages[i], channel, v, &dtype);
    return v;
}

/* ---- Pipelines ---- */

mascon_status mascon_pipeline_new(mascon_pipeline **out) {
    MASCON_NEED(out);
    *out = calloc(1, sizeof **out);
    if (!*out) return masconI_fail(MASCON_E_OOM, "no memory for a pipeline");
    atomic_init(&(*out)->refs, 1);
    return MASCON_OK;
}

void masconI_pipeline_retain(mascon_pipeline *pipeline) { atomic_fetch_add(&pipeline->refs, 1); }

void mascon_pipeline_release(mascon_pipeline *pipeline) {
    if (!pipeline || atomic_fetch_sub(&pipeline->refs, 1) != 1) return;
    for (int32_t i = 0; i < pipeline->n; i++) free(pipeline->stages[i]);
    free(pipeline);
}

int masconI_pipeline_empty(const mascon_pipeline *pipeline) {
    return !pipeline || pipeline->n == 0;
}

int32_t mascon_pipeline_random(const mascon_pipeline *pipeline) {
    if (!pipeline) return 0;
    return pipeline->n_random;
}

static mascon_status read_normalize(masconI_stage *s, const double *values, int32_t n) {
    if (n < 2 || n % 2 != 0 || n > 2 * MASCON_MAX_CHANNELS)
        return masconI_fail(MASCON_E_ARG,
                            "%d values; expected a mean and a std for each of 1 to %d channels", n,
                            MASCON_MAX_CHANNELS);
    s->n_fill = n / 2;
    for (int32_t c = 0; c < s->n_fill; c++) {
        s->fill[c] = (float)values[c];
        s->std[c] = (float)values[s->n_fill + c];
        if (s->std[c] == 0) return masconI_fail(MASCON_E_ARG, "std of channel %d is 0", c + 1);
    }
    return MASCON_OK;
}

/* Fills s, whose kind is set, from the values of one stage. */
static mascon_status read_stage(masconI_stage *s, const double *values, int32_t n) {
    const masconI_stage_kind *kind = s->kind;
    if (kind == &normalize) return read_normalize(s, values, n);
    int32_t fill = n - kind->n_values;
    if (fill < 0 || fill > (kind->fills ? MASCON_MAX_CHANNELS : 0))
        return masconI_fail(MASCON_E_ARG, "%s takes %d values%s, %d were given", kind->name,
                            kind->n_values, kind->fills ? " and a colour" : "", n);
    for (int32_t i = 0; i < kind->n_values; i++) {
        s->v[i] = values[i];
        if (values[i] != values[i])
            return masconI_fail(MASCON_E_ARG, "value %d of %s is nan", i + 1, kind->name);
    }
    s->n_fill = fill;
    for (int32_t i = 0; i < fill; i++) s->fill[i] = (float)values[kind->n_values + i];
    if (kind == &convert) {
        s->dtype = (int32_t)values[0];
        if (s->dtype != MASCON_DTYPE_F32 && s->dtype != MASCON_DTYPE_U8)
            return masconI_fail(MASCON_E_UNSUPPORTED, "pictures convert to float32 or uint8");
    }
    return kind->check ? kind->check(s) : MASCON_OK;
}

mascon_status mascon_pipeline_add(mascon_pipeline *pipeline, const char *name, const double *values,
                                  int32_t n) {
    MASCON_NEED(pipeline);
    MASCON_NEED(name);
    if (n < 0) return masconI_fail(MASCON_E_ARG, "%d values of a stage", n);
    if (n > 0) MASCON_NEED(values);
    if (pipeline->n == MASCON_MAX_STAGES)
        return masconI_fail(MASCON_E_LIMIT, "more than %d stages", MASCON_MAX_STAGES);
    const masconI_stage_kind *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->name, name) == 0) kind = kinds[i];
    if (!kind) return masconI_fail(MASCON_E_ARG, "no picture stage \"%s\"", name);
    masconI_stage *s = calloc(1, sizeof *s);
    if (!s) return masconI_fail(MASCON_E_OOM, "no memory for a stage");
    s->kind = kind;
    mascon_status status = read_stage(s, values, n);
    if (status != MASCON_OK) {
        free(s);
        return status;
    }
    if (kind->random) s->ordinal = pipeline->n_random++;
    pipeline->stages[pipeline->n++] = s;
    return MASCON_OK;
}

/* ---- Plans ---- */

static mascon_status check_channels(const masconI_stage *s, int64_t channels) {
    if (s->n_fill <= 1 || s->n_fill == channels) return MASCON_OK;
    return masconI_fail(
        MASCON_E_SHAPE, "%s has %d %s, the picture has %lld channels", s->kind->shown, s->n_fill,
        s->kind == &normalize ? "means" : "values of a colour", (long long)channels);
}

/* *dtype and shape become those behind the stage, which must be able to follow. */
static mascon_status follow(const masconI_stage *s, int32_t *dtype, int64_t shape[3]) {
    const char *shown = s->kind->shown;
    MASCON_TRY(check_channels(s, shape[0]));
    if (s->kind == &normalize && *dtype == MASCON_DTYPE_U8) {
        masconI_fail(MASCON_E_DTYPE, "Normalize takes float32 pictures, this one is uint8");
        return masconI_hint("ToTensor() before Normalize");
    }
    if (s->kind->bytes && *dtype != MASCON_DTYPE_U8) {
        masconI_fail(MASCON_E_DTYPE, "%s takes uint8 pictures, this one is float32", shown);
        return masconI_hint("ToTensor() comes behind %s", shown);
    }
    if (s->kind == &convert) *dtype = s->dtype;
    if (s->kind == &to_tensor) *dtype = MASCON_DTYPE_F32;
    if (!s->kind->run) return MASCON_OK;
    if (shape[0] > MASCON_MAX_CHANNELS || shape[1] == 0 || shape[2] == 0)
        return masconI_fail(MASCON_E_SHAPE, "%s of a picture {%lld, %lld, %lld}", shown,
                            (long long)shape[0], (long long)shape[1], (long long)shape[2]);
    MASCON_TRY(s->kind->shape ? s->kind->shape(s, shape) : MASCON_OK);
    int known = shape[1] >= 0 && shape[2] >= 0;
    return known ? masconI_size_ok((double)shape[1], (double)shape[2]) : MASCON_OK;
}

static mascon_status make_table(const masconI_plan *plan, masconI_step *step) {
    int64_t c = step->channels;
    int to_u8 = step->out_dtype == MASCON_DTYPE_U8;
    step->table = malloc((size_t)(c > 0 ? c : 1) * 256 * (to_u8 ? 1 : sizeof(float)));
    if (!step->table) return masconI_fail(MASCON_E_OOM, "no memory for a pipeline");
    for (int64_t i = 0; i < c * 256; i++) {
        float v = step_value(plan, step, i / 256, (float)(i % 256));
        if (to_u8)
            ((uint8_t *)step->table)[i] = (uint8_t)v;
        else
            ((float *)step->table)[i] = v;
    }
    return MASCON_OK;
}

/* Divides the stages into steps. */
static mascon_status make_steps(masconI_plan *plan) {
    const mascon_pipeline *p = plan->pipeline;
    int64_t shape[3];
    int32_t dtype = plan->dtype;
    memcpy(shape, plan->shape, sizeof shape);
    for (int32_t i = 0; i < p->n; i++) {
        const masconI_stage *s = p->stages[i];
        int map = s->kind->run == NULL;
        masconI_step *last = plan->n > 0 ? &plan->steps[plan->n - 1] : NULL;
        if (!map || !last || !last->map) {
            last = &plan->steps[plan->n++];
            *last = (masconI_step){.from = i, .map = map, .in_dtype = dtype, .channels = shape[0]};
        }
        MASCON_TRY(follow(s, &dtype, shape));
        last->to = i + 1;
        last->out_dtype = dtype;
    }
    plan->out_dtype = dtype;
    memcpy(plan->out_shape, shape, sizeof shape);
    plan->tail = plan->n;
    while (plan->tail > 0) {
        const masconI_step *step = &plan->steps[plan->tail - 1];
        if (!step->map && p->stages[step->from]->kind != &masconI_stage_erasing) break;
        plan->tail--;
        if (step->map) break;
    }
    for (int32_t i = 0; i < plan->n; i++)
        if (plan->steps[i].map && plan->steps[i].in_dtype == MASCON_DTYPE_U8)
            MASCON_TRY(make_table(plan, &plan->steps[i]));
    return MASCON_OK;
}

mascon_status masconI_plan_make(masconI_plan *plan, const mascon_pipeline *pipeline, int32_t dtype,
                                int32_t ndim, const int64_t *shape) {
    *plan = (masconI_plan){.dtype = dtype, .out_dtype = dtype};
    if (ndim == 3) {
        memcpy(plan->shape, shape, sizeof plan->shape);
        memcpy(plan->out_shape, shape, sizeof plan->shape);
    }
    if (masconI_pipeline_empty(pipeline)) return MASCON_OK;
    char text[160];
    if (ndim != 3 || (dtype != MASCON_DTYPE_U8 && dtype != MASCON_DTYPE_F32))
        return masconI_fail(MASCON_E_SHAPE,
                            "a sample is %s %s; picture stages take uint8 or float32 "
                            "{channels, height, width}",
                            mascon_dtype_name(dtype), masconI_shape_text(ndim, shape, text));
    plan->pipeline = pipeline;
    mascon_status status = make_steps(plan);
    if (status != MASCON_OK) masconI_plan_free(plan);
    return status;
}

mascon_status masconI_plan_shape(const masconI_plan *plan, int64_t h, int64_t w, int64_t out[3]) {
    int32_t dtype = plan->dtype;
    out[0] = plan->shape[0];
    out[1] = h;
    out[2] = w;
    for (int32_t i = 0; plan->pipeline && i < plan->pipeline->n; i++)
        MASCON_TRY(follow(plan->pipeline->stages[i], &dtype, out));
    return MASCON_OK;
}

void masconI_plan_free(masconI_plan *plan) {
    for (int32_t i = 0; i < plan->n; i++) free(plan->steps[i].table);
    plan->n = 0;
}

/* ---- Writing pictures, mapped ---- */

/* Where values go and what becomes of them; step NULL: nothing. */
typedef struct writer {
    const masconI_plan *plan;
    const masconI_step *step;
    int32_t in_dtype, out_dtype;
    char *dst;
    int64_t stride[3];
} writer;

static void write_value(const writer *w, int64_t c, const char *src, int64_t to) {
    if (w->step && w->step->table) {
        int64_t at = c * 256 + *(const uint8_t *)src;
        if (w->out_dtype == MASCON_DTYPE_U8)
            ((uint8_t *)w->dst)[to] = ((const uint8_t *)w->step->table)[at];
        else
            ((float *)(void *)w->dst)[to] = ((const float *)w->step->table)[at];
    } else if (w->step) {
        float v = step_value(w->plan, w->step, c, *(const float *)(const void *)src);
        if (w->out_dtype == MASCON_DTYPE_U8)
            ((uint8_t *)w->dst)[to] = (uint8_t)v;
        else
            ((float *)(void *)w->dst)[to] = v;
    } else {
        size_t size = (size_t)mascon_dtype_size(w->in_dtype);
        memcpy(w->dst + to * (int64_t)size, src, size);
    }
}

/* Three channels side by side in uint8 and float32: the usual picture. step is 3 or -3. */
static void write_pixels(const float *table, const uint8_t *src, int64_t step, float *dst,
                         int64_t pixels) {
    const float *r = table, *g = table + 256, *b = table + 512;
    for (int64_t i = 0; i < pixels; i++, src += step, dst += 3) {
        dst[0] = r[src[0]];
        dst[1] = g[src[1]];
        dst[2] = b[src[2]];
    }
}

/* One channel of three that lie side by side. */
MASCON_CLONES static void copy_third(const uint8_t *restrict src, uint8_t *restrict dst,
                                     int64_t n) {
    for (int64_t x = 0; x < n; x++) dst[x] = src[3 * x];
}

/* n values of channel k, as of planes: plain loops for the usual types. */
static void write_channel(const writer *w, int64_t k, const char *src, int64_t step, int64_t to,
                          int64_t by, int64_t n) {
    const int64_t size = mascon_dtype_size(w->in_dtype);
    const int bytes = w->in_dtype == MASCON_DTYPE_U8, table = w->step && w->step->table;
    const uint8_t *from = (const uint8_t *)src;
    if (bytes && table && w->out_dtype == MASCON_DTYPE_F32) {
        const float *values = (const float *)w->step->table + k * 256;
        float *dst = (float *)(void *)w->dst + to;
        for (int64_t x = 0; x < n; x++) dst[x * by] = values[from[x * step]];
    } else if (bytes && !w->step) {
        uint8_t *dst = (uint8_t *)w->dst + to;
        if (step == 3 && by == 1) {
            copy_third(from, dst, n);
            return;
        }
        for (int64_t x = 0; x < n; x++) dst[x * by] = from[x * step];
    } else {
        for (int64_t x = 0; x < n; x++) write_value(w, k, src + x * step * size, to + x * by);
    }
}

/* Pixels [x, x + n) of row y of the result, from the inner rectangle. */
static void write_inner(const writer *w, const masconI_picture *p, const char *row, int64_t y) {
    const int64_t *ss = p->stride, *ds = w->stride;
    int64_t c = p->shape[0], size = mascon_dtype_size(p->dtype);
    int64_t to = y * ds[1] + p->left * ds[2];
    int pixels = ss[0] == 1 && ds[0] == 1 && ds[2] == c;
    if (pixels && !w->step) {
        masconI_copy_pixels(w->dst + to * size, row, ss[2] * size, p->width, c * size);
        return;
    }
    if (pixels && c == 3 && (ss[2] == 3 || ss[2] == -3) && w->step && w->step->table &&
        w->out_dtype == MASCON_DTYPE_F32) {
        write_pixels(w->step->table, (const uint8_t *)row, ss[2], (float *)(void *)w->dst + to,
                     p->width);
        return;
    }
    for (int64_t k = 0; k < c; k++) {
        write_channel(w, k, row + k * ss[0] * size, ss[2], to + k * ds[0], ds[2], p->width);
    }
}

static void write_border(const writer *w, const masconI_picture *p, int64_t y, int64_t x,
                         int64_t end) {
    for (int64_t k = 0; k < p->shape[0] && x < end; k++) {
        float f = p->fill[p->n_fill == 1 ? 0 : k];
        uint8_t byte = f <= 0 ? 0 : f >= 255 ? 255 : (uint8_t)f;
        const char *src = p->dtype == MASCON_DTYPE_U8 ? (const char *)&byte : (const char *)&f;
        for (int64_t i = x; i < end; i++)
            write_value(w, k, src, k * w->stride[0] + y * w->stride[1] + i * w->stride[2]);
    }
}

static void write_picture(const writer *w, const masconI_picture *p) {
    int64_t size = mascon_dtype_size(p->dtype);
    for (int64_t y = 0; y < p->shape[1]; y++) {
        if (y < p->top || y >= p->top + p->height) {
            write_border(w, p, y, 0, p->shape[2]);
            continue;
        }
        write_border(w, p, y, 0, p->left);
        write_inner(w, p, p->data + (y - p->top) * p->stride[1] * size, y);
        write_border(w, p, y, p->left + p->width, p->shape[2]);
    }
}

/* ---- Running ---- */

static mascon_status run_step(const masconI_plan *plan, const masconI_step *step,
                              masconI_scratch *scratch, const masconI_draw *draw,
                              masconI_picture *p) {
    if (!step->map) {
        const masconI_stage *s = plan->pipeline->stages[step->from];
        masconI_random random;
        if (s->kind->random) masconI_random_begin(&random, draw, s->ordinal);
        return s->kind->run(s, &random, scratch, p);
    }
    masconI_picture q;
    MASCON_TRY(masconI_picture_new(&q, p, scratch, step->out_dtype, p->shape[0], p->shape[1],
                                   p->shape[2]));
    writer w = {.plan = plan,
                .step = step,
                .in_dtype = step->in_dtype,
                .out_dtype = step->out_dtype,
                .dst = q.data};
    memcpy(w.stride, q.stride, sizeof w.stride);
    write_picture(&w, p);
    *p = q;
    return MASCON_OK;
}

mascon_status masconI_plan_run(const masconI_plan *plan, masconI_scratch *scratch,
                               const masconI_draw *draw, const masconI_picture *src, void *dst,
                               const int64_t dst_stride[3]) {
    masconI_picture p = *src;
    int32_t i = 0;
    for (; i < plan->tail; i++) MASCON_TRY(run_step(plan, &plan->steps[i], scratch, draw, &p));
    writer w = {.plan = plan, .in_dtype = p.dtype, .out_dtype = plan->out_dtype, .dst = dst};
    memcpy(w.stride, dst_stride, sizeof w.stride);
    if (i < plan->n && plan->steps[i].map) w.step = &plan->steps[i++];
    write_picture(&w, &p);
    if (i == plan->n) return MASCON_OK;
    masconI_picture result = masconI_picture_of(dst, plan->out_dtype, p.shape, dst_stride);
    result.slot = MASCON_PICTURE_RESULT;
    for (; i < plan->n; i++) MASCON_TRY(run_step(plan, &plan->steps[i], scratch, draw, &result));
    return MASCON_OK;
}

/* ---- Pictures that stay where they are ---- */

enum { PADDING_CONSTANT = 0 }; /* ORDER: geometry.c */

static int may_border(const masconI_stage *s) {
    return s->kind == &masconI_stage_pad || s->kind == &masconI_stage_center_crop ||
           s->kind == &masconI_stage_random_crop;
}

static int is_view(const masconI_stage *s) {
    if (s->kind == &masconI_stage_pad) return (int)s->v[4] == PADDING_CONSTANT;
    if (s->kind == &masconI_stage_random_crop) return (int)s->v[6] == PADDING_CONSTANT;
    return s->kind == &masconI_stage_center_crop || s->kind == &masconI_stage_hflip ||
           s->kind == &masconI_stage_vflip;
}

static float border_of(const masconI_stage *s, int64_t channel) {
    float f = s->n_fill ? s->fill[s->n_fill == 1 ? 0 : channel] : 0;
    return f <= 0 ? 0 : f >= 255 ? 255 : (float)(uint8_t)f;
}

/* The first stage that may border; NULL: none. */
static const masconI_stage *bordering(const masconI_plan *plan) {
    for (int32_t i = 0; plan->pipeline && i < plan->pipeline->n; i++)
        if (may_border(plan->pipeline->stages[i])) return plan->pipeline->stages[i];
    return NULL;
}

static mascon_status not_in_place(const masconI_stage *s, const char *how) {
    masconI_fail(MASCON_E_UNSUPPORTED, "%s%s does not run on pictures that lie on a device",
                 s->kind->shown, how);
    return masconI_hint("without resident = true every transform runs");
}

mascon_status masconI_plan_check_views(const masconI_plan *plan) {
    const masconI_stage *first = bordering(plan);
    int mapped = 0;
    for (int32_t i = 0; plan->pipeline && i < plan->pipeline->n; i++) {
        const masconI_stage *s = plan->pipeline->stages[i];
        mapped |= s->kind->run == NULL;
        if (s->kind->run && !is_view(s))
            return not_in_place(s, may_border(s) ? " without a constant border" : "");
        if (!may_border(s)) continue;
        if (mapped) return not_in_place(s, " behind ToTensor");
        for (int64_t c = 0; c < plan->shape[0]; c++)
            if (border_of(s, c) != border_of(first, c))
                return not_in_place(s, " with a second colour of borders");
    }
    return MASCON_OK;
}

mascon_status masconI_plan_view(const masconI_plan *plan, masconI_scratch *scratch,
                                const masconI_draw *draw, masconI_picture *p) {
    for (int32_t i = 0; i < plan->n; i++)
        if (!plan->steps[i].map) MASCON_TRY(run_step(plan, &plan->steps[i], scratch, draw, p));
    if (p->slot == MASCON_PICTURE_GIVEN) return MASCON_OK;
    masconI_fail(MASCON_E_UNSUPPORTED,
                 "a border around a border is not for pictures that lie on a device");
    return masconI_hint("without resident = true every transform runs");
}

void masconI_plan_values(const masconI_plan *plan, int64_t channel, float values[257]) {
    const masconI_stage *s = bordering(plan);
    for (int i = 0; i < 257; i++) {
        float v = i < 256 ? (float)i : s ? border_of(s, channel) : 0;
        for (int32_t k = 0; k < plan->n; k++) {
            if (!plan->steps[k].map) continue;
            v = step_value(plan, &plan->steps[k], channel, v);
            if (plan->steps[k].out_dtype == MASCON_DTYPE_U8) v = (float)(uint8_t)v;
        }
        values[i] = v;
    }
}

/* ---- Tensors ---- */

/* Pictures of x, from the first on, into y. */
static mascon_status run_all(const masconI_plan *plan, const mascon_draw *given,
                             const mascon_view *x, const mascon_view *y) {
    int batch = x->ndim == 4;
    int64_t in = batch ? x->stride[0] * mascon_dtype_size(x->dtype) : 0;
    int64_t to = batch ? y->stride[0] * mascon_dtype_size(y->dtype) : 0;
    masconI_scratch scratch = {0};
    masconI_draw draw = {0};
    if (given)
        draw = (masconI_draw){.seed = given->seed, .epoch = given->epoch, .stage = given->stage};
    mascon_status status = MASCON_OK;
    for (int64_t i = 0; status == MASCON_OK && i < (batch ? x->shape[0] : 1); i++) {
        masconI_picture p = masconI_picture_of((char *)x->data + i * in, x->dtype, x->shape + batch,
                                               x->stride + batch);
        draw.row = given && given->rows ? given->rows[i] : i;
        status = masconI_plan_run(plan, &scratch, &draw, &p, (char *)y->data + i * to,
                                  y->stride + batch);
    }
    masconI_scratch_free(&scratch);
    return status;
}

mascon_status mascon_pipeline_draw(const mascon_pipeline *pipeline, const mascon_tensor *x,
                                   const mascon_draw *draw, mascon_tensor **out) {
    MASCON_NEED(pipeline);
    MASCON_NEED(out);
    *out = NULL;
    MASCON_TRY(masconI_tensor_alive(x));
    const mascon_view *v = mascon_see(x);
    char text[160];
    if (v->device != MASCON_DEVICE_CPU)
        return masconI_fail(MASCON_E_DEVICE, "pictures are prepared on the cpu, this one is on %s",
                            masconI_device_text(v->device, text));
    if (v->ndim != 3 && v->ndim != 4)
        return masconI_fail(MASCON_E_SHAPE,
                            "picture has %d dimensions %s; expected 3 {channels, height, width} or "
                            "4 {batch, channels, height, width}",
                            v->ndim, masconI_shape_text(v->ndim, v->shape, text));
    int batch = v->ndim == 4;
    masconI_plan plan;
    MASCON_TRY(masconI_plan_make(&plan, pipeline, v->dtype, 3, v->shape + batch));
    int64_t shape[4] = {v->shape[0]};
    memcpy(shape + batch, plan.out_shape, sizeof plan.out_shape);
    mascon_meta meta;
    masconI_meta(&meta, plan.out_dtype, v->ndim, shape);
    mascon_status status = masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU,
                                                batch ? MASCON_LAYOUT_NHWC : MASCON_LAYOUT_STRIDED);
    if (status == MASCON_OK && v->numel > 0) {
        status = run_all(&plan, draw, v, mascon_see(*out));
        if (status != MASCON_OK) {
            mascon_tensor_release(*out);
            *out = NULL;
        }
    }
    masconI_plan_free(&plan);
    return status;
}

mascon_status mascon_pipeline_apply(const mascon_pipeline *pipeline, const mascon_tensor *x,
                                    mascon_tensor **out) {
    MASCON_NEED(pipeline);
    MASCON_NEED(x);
    MASCON_NEED(out);
    return mascon_pipeline_draw(pipeline, x, NULL, out);
}

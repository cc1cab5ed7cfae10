/* pipeline.c: the stages a picture passes, and pipelines applied to tensors.
 *
 * Every stage here maps one channel value to one channel value, so a whole pipeline over uint8
 * pictures is a table of 256 results per channel: one pass over the picture, whatever the number of
 * stages, and exactly the values that the stages give one after the other in float32. The arithmetic
 * is PyTorch's: v / 255, (v - mean) / std, v * 255.999 for the way back to uint8.
 */
#include <stdlib.h>
#include <string.h>

#include "data/data.h"

enum { MAX_STAGES = 16, MAX_CHANNELS = 64 };

typedef enum stage_kind { TO_TENSOR, NORMALIZE, CONVERT } stage_kind;

typedef struct stage {
    stage_kind kind;
    int32_t dtype;    /* CONVERT */
    int32_t channels; /* NORMALIZE: 1 stands for every channel */
    float mean[MAX_CHANNELS], std[MAX_CHANNELS];
} stage;

struct mascon_pipeline {
    atomic_int refs;
    int32_t n;
    stage *stages[MAX_STAGES];
};

mascon_status mascon_pipeline_new(mascon_pipeline **out) {
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

/* Fills s from the values of one stage. */
static mascon_status read_stage(stage *s, const char *name, const double *values, int32_t n) {
    if (strcmp(name, "to_tensor") == 0) {
        s->kind = TO_TENSOR;
        if (n != 0) return masconI_fail(MASCON_E_ARG, "to_tensor takes no values");
        return MASCON_OK;
    }
    if (strcmp(name, "convert") == 0) {
        s->kind = CONVERT;
        int32_t dtype = n == 1 ? (int32_t)values[0] : -1;
        if (dtype != MASCON_DTYPE_F32 && dtype != MASCON_DTYPE_U8)
            return masconI_fail(MASCON_E_UNSUPPORTED, "pictures convert to float32 or uint8");
        s->dtype = dtype;
        return MASCON_OK;
    }
    if (strcmp(name, "normalize") == 0) {
        s->kind = NORMALIZE;
        if (n < 2 || n % 2 != 0 || n > 2 * MAX_CHANNELS)
            return masconI_fail(MASCON_E_ARG,
                                "%d values; expected a mean and a std for each of "
                                "1 to %d channels",
                                n, MAX_CHANNELS);
        s->channels = n / 2;
        for (int32_t c = 0; c < s->channels; c++) {
            s->mean[c] = (float)values[c];
            s->std[c] = (float)values[s->channels + c];
            if (s->std[c] == 0) return masconI_fail(MASCON_E_ARG, "std of channel %d is 0", c + 1);
        }
        return MASCON_OK;
    }
    return masconI_fail(MASCON_E_ARG, "no picture stage \"%s\"", name);
}

mascon_status mascon_pipeline_add(mascon_pipeline *pipeline, const char *name, const double *values,
                                  int32_t n) {
    if (pipeline->n == MAX_STAGES)
        return masconI_fail(MASCON_E_LIMIT, "more than %d stages", MAX_STAGES);
    stage *s = calloc(1, sizeof *s);
    if (!s) return masconI_fail(MASCON_E_OOM, "no memory for a stage");
    mascon_status status = read_stage(s, name, values, n);
    if (status != MASCON_OK) {
        free(s);
        return status;
    }
    pipeline->stages[pipeline->n++] = s;
    return MASCON_OK;
}

/* ---- The arithmetic of one value ---- */

/* The value after a stage; *dtype is that of v before and after. uint8 values are kept as float. */
static float stage_value(const stage *s, int64_t channel, float v, int32_t *dtype) {
    switch (s->kind) {
        case NORMALIZE: {
            int64_t c = s->channels == 1 ? 0 : channel;
            return (v - s->mean[c]) / s->std[c];
        }
        case TO_TENSOR:
        case CONVERT: {
            int32_t to = s->kind == CONVERT ? s->dtype : MASCON_DTYPE_F32;
            if (*dtype == to) return v;
            *dtype = to;
            if (to == MASCON_DTYPE_F32) return v / 255.0f;
            v *= 255.999f;
            /* outside of 0..255 PyTorch leaves the result open; we stay at the nearest end */
            if (!(v > 0)) return 0;
            return v >= 255.0f ? 255.0f : (float)(uint8_t)v;
        }
    }
    return v;
}

static float pipeline_value(const mascon_pipeline *p, int64_t channel, float v, int32_t dtype) {
    for (int32_t i = 0; i < p->n; i++) v = stage_value(p->stages[i], channel, v, &dtype);
    return v;
}

/* ---- Plans ---- */

/* Fails where a stage cannot follow, else *dtype becomes the result's. */
static mascon_status infer(const mascon_pipeline *p, int64_t channels, int32_t *dtype) {
    for (int32_t i = 0; i < p->n; i++) {
        const stage *s = p->stages[i];
        if (s->kind != NORMALIZE) {
            *dtype = s->kind == CONVERT ? s->dtype : MASCON_DTYPE_F32;
            continue;
        }
        if (*dtype == MASCON_DTYPE_U8) {
            masconI_fail(MASCON_E_DTYPE, "Normalize takes float32 pictures, this one is uint8");
            return masconI_hint("ToTensor() before Normalize");
        }
        if (s->channels != 1 && s->channels != channels)
            return masconI_fail(MASCON_E_SHAPE,
                                "Normalize has %d means, the picture has %lld channels",
                                s->channels, (long long)channels);
    }
    return MASCON_OK;
}

static mascon_status make_table(masconI_plan *plan) {
    int64_t c = plan->shape[0];
    int to_u8 = plan->out_dtype == MASCON_DTYPE_U8;
    plan->table = malloc((size_t)(c > 0 ? c : 1) * 256 * (to_u8 ? 1 : sizeof(float)));
    if (!plan->table) return masconI_fail(MASCON_E_OOM, "no memory for a pipeline");
    for (int64_t i = 0; i < c * 256; i++) {
        float v = pipeline_value(plan->pipeline, i / 256, (float)(i % 256), plan->dtype);
        if (to_u8)
            ((uint8_t *)plan->table)[i] = (uint8_t)v;
        else
            ((float *)plan->table)[i] = v;
    }
    return MASCON_OK;
}

mascon_status masconI_plan_make(masconI_plan *plan, const mascon_pipeline *pipeline, int32_t dtype,
                                int32_t ndim, const int64_t *shape) {
    *plan = (masconI_plan){.dtype = dtype, .out_dtype = dtype};
    if (ndim == 3) memcpy(plan->shape, shape, sizeof plan->shape);
    if (masconI_pipeline_empty(pipeline)) return MASCON_OK;
    char text[160];
    if (ndim != 3 || (dtype != MASCON_DTYPE_U8 && dtype != MASCON_DTYPE_F32))
        return masconI_fail(MASCON_E_SHAPE,
                            "a sample is %s %s; picture stages take uint8 or float32 "
                            "{channels, height, width}",
                            mascon_dtype_name(dtype), masconI_shape_text(ndim, shape, text));
    plan->pipeline = pipeline;
    MASCON_TRY(infer(pipeline, shape[0], &plan->out_dtype));
    return dtype == MASCON_DTYPE_U8 ? make_table(plan) : MASCON_OK;
}

void masconI_plan_free(masconI_plan *plan) {
    free(plan->table);
    plan->table = NULL;
}

/* Three channels, channels-last on both sides: the usual picture. */
static void run_pixels(const float *table, const uint8_t *src, float *dst, int64_t pixels) {
    const float *r = table, *g = table + 256, *b = table + 512;
    for (int64_t i = 0; i < pixels; i++, src += 3, dst += 3) {
        dst[0] = r[src[0]];
        dst[1] = g[src[1]];
        dst[2] = b[src[2]];
    }
}

/* {c, h, w}: src and dst with any strides. */
static void run_strided(const masconI_plan *plan, const void *src, const int64_t ss[3], void *dst,
                        const int64_t ds[3]) {
    for (int64_t c = 0; c < plan->shape[0]; c++) {
        for (int64_t y = 0; y < plan->shape[1]; y++) {
            for (int64_t x = 0; x < plan->shape[2]; x++) {
                int64_t from = c * ss[0] + y * ss[1] + x * ss[2];
                int64_t to = c * ds[0] + y * ds[1] + x * ds[2];
                if (plan->table) {
                    int64_t at = c * 256 + ((const uint8_t *)src)[from];
                    if (plan->out_dtype == MASCON_DTYPE_U8)
                        ((uint8_t *)dst)[to] = ((const uint8_t *)plan->table)[at];
                    else
                        ((float *)dst)[to] = ((const float *)plan->table)[at];
                    continue;
                }
                float v =
                    pipeline_value(plan->pipeline, c, ((const float *)src)[from], MASCON_DTYPE_F32);
                if (plan->out_dtype == MASCON_DTYPE_U8)
                    ((uint8_t *)dst)[to] = (uint8_t)v;
                else
                    ((float *)dst)[to] = v;
            }
        }
    }
}

static int is_pixels(const masconI_plan *plan, const int64_t s[3]) {
    return plan->shape[0] == 3 && s[0] == 1 && s[2] == 3 && s[1] == plan->shape[2] * 3;
}

void masconI_plan_run(const masconI_plan *plan, const void *src, const int64_t src_stride[3],
                      void *dst, const int64_t dst_stride[3]) {
    int both = is_pixels(plan, src_stride) && is_pixels(plan, dst_stride);
    size_t pixels = (size_t)(plan->shape[1] * plan->shape[2]);
    if (!plan->pipeline) {
        size_t size = (size_t)mascon_dtype_size(plan->dtype);
        if (both)
            memcpy(dst, src, pixels * 3 * size);
        else
            masconI_copy_strided(dst, dst_stride, src, src_stride, plan->shape, 3, size);
    } else if (both && plan->table && plan->out_dtype == MASCON_DTYPE_F32) {
        run_pixels(plan->table, src, dst, (int64_t)pixels);
    } else {
        run_strided(plan, src, src_stride, dst, dst_stride);
    }
}

/* ---- Tensors ---- */

mascon_status mascon_pipeline_apply(const mascon_pipeline *pipeline, const mascon_tensor *x,
                                    mascon_tensor **out) {
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
    mascon_meta meta;
    masconI_meta(&meta, plan.out_dtype, v->ndim, v->shape);
    mascon_status status = masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU,
                                                batch ? MASCON_LAYOUT_NHWC : MASCON_LAYOUT_STRIDED);
    if (status == MASCON_OK && v->numel > 0) {
        const mascon_view *y = mascon_see(*out);
        int64_t n = batch ? v->shape[0] : 1;
        int64_t in = batch ? v->stride[0] * mascon_dtype_size(v->dtype) : 0;
        int64_t to = batch ? y->stride[0] * mascon_dtype_size(y->dtype) : 0;
        for (int64_t i = 0; i < n; i++)
            masconI_plan_run(&plan, (const char *)v->data + i * in, v->stride + batch,
                             (char *)y->data + i * to, y->stride + batch);
    }
    masconI_plan_free(&plan);
    return status;
}

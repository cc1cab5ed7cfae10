/* resident.c: data sets whose pictures lie on a device, and the batches made of them there.
 *
 * Where a picture is cropped, flipped and bordered is decided here, by the stages themselves: they move a
 * view of a picture without touching a pixel, and draw the numbers that they draw in a loader. All views
 * of an epoch go to the device when it begins; a batch is then one call of picture_batch.
 */
#include <stdlib.h>
#include <string.h>

#include "core/op.h"
#include "data/picture.h"

struct mascon_resident {
    int32_t device;
    int64_t n, shape[3], rows; /* pictures, c h w of one, and rows of this epoch */
    int64_t out[2];            /* height and width of a batch */
    mascon_tensor *pictures, *labels;
    mascon_tensor *views, *table; /* of this epoch; NULL before the first one */
};

static mascon_status to_device(mascon_tensor *t, int32_t device, mascon_tensor **out) {
    const mascon_status status =
        masconI_emit(MASCON_OP_transfer, out, 1, &t, "device", (double)device, NULL);
    mascon_tensor_release(t);
    return status;
}

static mascon_status check_source(const mascon_source *source) {
    for (int32_t i = 0; i < source->n_blocks; i++) {
        const masconI_rows *b = source->blocks[i];
        const masconI_field *x = &b->field[0], *y = &b->field[1];
        if (b->files)
            return masconI_fail(MASCON_E_UNSUPPORTED,
                                "pictures in files cannot lie on a device; those of this data set "
                                "are decoded as they are read");
        if (b->n_fields != 2 || x->dtype != MASCON_DTYPE_U8 || x->ndim != 3 ||
            y->dtype != MASCON_DTYPE_I64 || y->ndim != 0)
            return masconI_fail(MASCON_E_UNSUPPORTED,
                                "rows are no uint8 picture {channels, height, width} with an int64 "
                                "label");
    }
    return MASCON_OK;
}

/* Pictures and labels of all rows as CPU tensors. */
static mascon_status collect(const mascon_resident *r, const mascon_source *source,
                             mascon_tensor **pictures, mascon_tensor **labels) {
    const int64_t shape[4] = {r->n, r->shape[0], r->shape[1], r->shape[2]};
    mascon_meta meta;
    masconI_meta(&meta, MASCON_DTYPE_U8, 4, shape);
    MASCON_TRY(masconI_tensor_dense(pictures, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_NHWC));
    masconI_meta(&meta, MASCON_DTYPE_I64, 1, shape);
    MASCON_TRY(masconI_tensor_dense(labels, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED));
    const mascon_view *x = mascon_see(*pictures), *y = mascon_see(*labels);
    for (int64_t i = 0; i < r->n; i++) {
        int64_t row;
        const masconI_rows *b = masconI_source_locate(source, i, &row);
        const masconI_field *p = &b->field[0], *l = &b->field[1];
        masconI_copy_strided((char *)x->data + i * x->stride[0], x->stride + 1,
                             p->data + row * p->row_stride, p->stride, p->shape, 3, 1);
        int64_t label;
        memcpy(&label, l->data + row * l->row_stride * (int64_t)sizeof label, sizeof label);
        ((int64_t *)y->data)[i] = label + (b->labelled ? b->label_base : 0);
    }
    return MASCON_OK;
}

static mascon_status fill(mascon_resident *r, const mascon_source *source) {
    mascon_tensor *pictures = NULL, *labels = NULL;
    mascon_status status = collect(r, source, &pictures, &labels);
    if (status != MASCON_OK) {
        mascon_tensor_release(pictures);
        mascon_tensor_release(labels);
        return status;
    }
    status = to_device(pictures, r->device, &r->pictures);
    if (status != MASCON_OK) {
        mascon_tensor_release(labels);
        return status;
    }
    return to_device(labels, r->device, &r->labels);
}

mascon_status mascon_resident_new(mascon_resident **out, mascon_source *source, int32_t device) {
    MASCON_NEED(out);
    MASCON_NEED(source);
    *out = NULL;
    MASCON_TRY(check_source(source));
    mascon_resident *r = calloc(1, sizeof *r);
    if (!r) return masconI_fail(MASCON_E_OOM, "no memory for a data set");
    r->device = device;
    r->n = source->rows;
    memcpy(r->shape, source->blocks[0]->field[0].shape, sizeof r->shape);
    const mascon_status status =
        r->n > INT32_MAX || r->shape[0] * r->shape[1] * r->shape[2] > INT32_MAX
            ? masconI_fail(MASCON_E_LIMIT, "more than 2^31 pictures, or bytes of one")
            : fill(r, source);
    if (status != MASCON_OK) {
        mascon_resident_release(r);
        return status;
    }
    *out = r;
    return MASCON_OK;
}

static void drop_epoch(mascon_resident *r) {
    mascon_tensor_release(r->views);
    mascon_tensor_release(r->table);
    r->views = r->table = NULL;
    r->rows = 0;
}

void mascon_resident_release(mascon_resident *r) {
    if (!r) return;
    drop_epoch(r);
    mascon_tensor_release(r->pictures);
    mascon_tensor_release(r->labels);
    free(r);
}

/* ---- Epochs ---- */

static mascon_status new_table(const mascon_resident *r, const masconI_plan *plan,
                               mascon_tensor **out) {
    const int64_t c = r->shape[0];
    mascon_meta meta;
    masconI_meta(&meta, plan->out_dtype, 2, (const int64_t[]){c, 257});
    MASCON_TRY(masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED));
    void *data = mascon_see(*out)->data;
    for (int64_t k = 0; k < c; k++) {
        float values[257];
        masconI_plan_values(plan, k, values);
        for (int i = 0; i < 257; i++) {
            if (plan->out_dtype == MASCON_DTYPE_U8)
                ((uint8_t *)data)[k * 257 + i] = (uint8_t)values[i];
            else
                ((float *)data)[k * 257 + i] = values[i];
        }
    }
    return MASCON_OK;
}

/* ORDER: ops/picture_batch.c. origin: where the pixels of a whole picture would begin. */
static void write_view(int32_t *to, int64_t row, const masconI_picture *p, const char *origin) {
    const int64_t view[8] = {row,    p->data - origin, p->stride[1], p->stride[2],
                             p->top, p->left,          p->height,    p->width};
    for (int k = 0; k < 8; k++) to[k] = (int32_t)view[k];
}

static mascon_status write_views(const mascon_resident *r, const masconI_plan *plan,
                                 masconI_draw draw, const int64_t *order, int64_t n, int32_t *to) {
    const int64_t c = r->shape[0], stride[3] = {1, r->shape[2] * c, c};
    char *origin = malloc((size_t)(r->shape[0] * r->shape[1] * r->shape[2]) + 1);
    if (!origin) return masconI_fail(MASCON_E_OOM, "no memory for a picture");
    /* its views are moved, its pixels never read */
    const masconI_picture whole = masconI_picture_of(origin, MASCON_DTYPE_U8, r->shape, stride);
    masconI_scratch scratch = {0};
    mascon_status status = MASCON_OK;
    for (int64_t i = 0; i < n && status == MASCON_OK; i++) {
        masconI_picture p = whole;
        draw.row = order[i];
        status = masconI_plan_view(plan, &scratch, &draw, &p);
        if (status == MASCON_OK) write_view(to + 8 * i, order[i], &p, origin);
    }
    masconI_scratch_free(&scratch);
    free(origin);
    return status;
}

static mascon_status new_views(const mascon_resident *r, const masconI_plan *plan,
                               masconI_draw draw, const int64_t *order, int64_t n,
                               mascon_tensor **out) {
    mascon_meta meta;
    masconI_meta(&meta, MASCON_DTYPE_I32, 2, (const int64_t[]){n, 8});
    MASCON_TRY(masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED));
    return write_views(r, plan, draw, order, n, mascon_see(*out)->data);
}

static mascon_status prepare(mascon_resident *r, const masconI_plan *plan, masconI_draw draw,
                             const int64_t *order, int64_t n) {
    mascon_tensor *table = NULL, *views = NULL;
    MASCON_TRY(masconI_plan_check_views(plan));
    mascon_status status = new_table(r, plan, &table);
    if (status == MASCON_OK) status = new_views(r, plan, draw, order, n, &views);
    if (status != MASCON_OK) {
        mascon_tensor_release(table);
        mascon_tensor_release(views);
        return status;
    }
    status = to_device(table, r->device, &r->table);
    if (status != MASCON_OK) {
        mascon_tensor_release(views);
        return status;
    }
    return to_device(views, r->device, &r->views);
}

mascon_status mascon_resident_begin(mascon_resident *r, mascon_pipeline *pipeline, uint64_t seed,
                                    uint64_t epoch, const int64_t *order, int64_t n) {
    MASCON_NEED(r);
    if (n > 0) MASCON_NEED(order);
    drop_epoch(r);
    for (int64_t i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= r->n)
            return masconI_fail(MASCON_E_INDEX, "sample %lld is out of range (1..%lld)",
                                (long long)order[i] + 1, (long long)r->n);
    }
    masconI_plan plan;
    MASCON_TRY(masconI_plan_make(&plan, pipeline, MASCON_DTYPE_U8, 3, r->shape));
    const masconI_draw draw = {.seed = seed, .epoch = epoch};
    const mascon_status status = prepare(r, &plan, draw, order, n);
    r->out[0] = plan.out_shape[1];
    r->out[1] = plan.out_shape[2];
    masconI_plan_free(&plan);
    if (status == MASCON_OK)
        r->rows = n;
    else
        drop_epoch(r);
    return status;
}

mascon_status mascon_resident_batch(mascon_resident *r, int64_t first, int64_t count,
                                    mascon_tensor **out) {
    MASCON_NEED(r);
    MASCON_NEED(out);
    out[0] = out[1] = NULL;
    if (first < 0 || first >= r->rows || count < 1)
        return masconI_fail(MASCON_E_INDEX, "row %lld of an epoch of %lld", (long long)first + 1,
                            (long long)r->rows);
    if (count > r->rows - first) count = r->rows - first;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_picture_batch);
    mascon_tensor *const src[4] = {r->pictures, r->labels, r->views, r->table};
    memcpy(call.src, src, sizeof src);
    call.n_src = 4;
    masconI_call_set(&call, "first", (double)first);
    masconI_call_set(&call, "count", (double)count);
    const int slot = masconI_attr_find(MASCON_OP_picture_batch, "size");
    for (int i = 0; i < 2; i++) {
        call.attr[slot + i] = (double)r->out[i];
        call.attr_set |= 1u << (slot + i);
    }
    MASCON_TRY(mascon_invoke(&call));
    out[0] = call.dst[0];
    out[1] = call.dst[1];
    return MASCON_OK;
}

/* index.c: index_select and index_add over dense memory: whole blocks at a time. */
#include <string.h>

#include "reference/move.h"

enum { SLICE = 32768 }; /* bytes */

/* Memory seen as {outer, positions, block}: a row-major tensor cut at dim, or the pictures of a
 * channels-last one. */
typedef struct rows {
    int64_t outer, positions, block; /* block in elements */
} rows;

static int dense_at(const mascon_view *v, int32_t dim) {
    return v->contiguous || (v->layout == MASCON_LAYOUT_NHWC && dim == 0);
}

static rows rows_of(const mascon_view *v, int32_t dim) {
    rows r = {1, v->shape[dim], 1};
    for (int32_t d = 0; d < v->ndim; d++) {
        if (d < dim) r.outer *= v->shape[d];
        if (d > dim) r.block *= v->shape[d];
    }
    return r;
}

typedef struct job {
    rows from;
    int64_t count, base, size; /* positions named by index, its base, bytes of an element */
    int64_t per_slice, units;  /* a unit is one block of dst */
    const mascon_view *x, *index, *y;
} job;

static void select_slice(void *context, int64_t slice, int thread) {
    (void)thread;
    const job *j = context;
    size_t bytes = (size_t)(j->from.block * j->size);
    int64_t unit = slice * j->per_slice, end = unit + j->per_slice;
    for (; unit < end && unit < j->units; unit++) {
        int64_t position = masconR_get_int(j->index, unit % j->count) - j->base;
        int64_t row = unit / j->count * j->from.positions + position;
        memcpy((char *)j->y->data + (size_t)unit * bytes,
               (const char *)j->x->data + (size_t)row * bytes, bytes);
    }
}

static int index_select_wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = SRC(call, 0);
    int32_t dim;
    if (masconI_dim(call->attr[0], x->ndim, &dim) != MASCON_OK || !dense_at(x, dim)) return 0;
    w->dst[0] = x->contiguous ? MASCON_WISH_ROW : MASCON_WISH_NHWC;
    return 1;
}

static mascon_status index_select(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.x = SRC(call, 0), .index = SRC(call, 1), .y = DST(call, 0)};
    int32_t dim;
    MASCON_TRY(masconR_check_positions(j.index, j.x, call->attr[0], call->attr[1]));
    MASCON_TRY(masconI_dim(call->attr[0], j.x->ndim, &dim));
    if (j.y->numel == 0) return MASCON_OK;
    j.from = rows_of(j.x, dim);
    j.count = j.index->numel;
    j.base = (int64_t)call->attr[1];
    j.size = mascon_dtype_size(j.x->dtype);
    j.units = j.from.outer * j.count;
    int64_t bytes = j.from.block * j.size;
    j.per_slice = bytes < SLICE ? SLICE / bytes : 1;
    masconI_parallel((j.units + j.per_slice - 1) / j.per_slice, select_slice, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_index_select = {.wish = index_select_wish, .run = index_select};

/* ---- index_add, float32: the gradient of index_select ---- */

static int index_add_wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = SRC(call, 0);
    if (x->dtype != MASCON_DTYPE_F32) return 0;
    w->src[0] = w->src[2] = w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

enum { COLUMNS = 1024 }; /* of a block that one slice adds */

/* Slices cut the blocks, never the positions, so each sum runs in the order of index. */
static void add_slice(void *context, int64_t slice, int thread) {
    (void)thread;
    const job *j = context;
    int64_t block = j->from.block, strips = (block + COLUMNS - 1) / COLUMNS;
    int64_t outer = slice / strips, first = slice % strips * COLUMNS;
    int64_t n = block - first < COLUMNS ? block - first : COLUMNS;
    float *y = (float *)j->y->data + outer * j->from.positions * block + first;
    const float *source = (const float *)j->x->data + outer * j->count * block + first;
    for (int64_t k = 0; k < j->count; k++) {
        float *to = y + (masconR_get_int(j->index, k) - j->base) * block;
        const float *from = source + k * block;
        for (int64_t i = 0; i < n; i++) to[i] += from[i];
    }
}

static mascon_status index_add(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0);
    job j = {.x = SRC(call, 2), .index = SRC(call, 1), .y = DST(call, 0)};
    int32_t dim;
    MASCON_TRY(masconR_check_positions(j.index, x, call->attr[0], call->attr[1]));
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    if (x->numel) memcpy(j.y->data, x->data, (size_t)x->numel * sizeof(float));
    if (j.x->numel == 0) return MASCON_OK;
    j.from = rows_of(x, dim);
    j.count = j.index->numel;
    j.base = (int64_t)call->attr[1];
    masconI_parallel(j.from.outer * ((j.from.block + COLUMNS - 1) / COLUMNS), add_slice, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_index_add = {.wish = index_add_wish, .run = index_add};

/* source.c: rows in memory and the sources made of them.
 *
 * Invariants: a block never changes once its source is handed out; a source's rows all have the same
 * number of fields, with equal dtypes and shapes; which and row are both NULL or both set. A source
 * of a source refers to blocks directly, so looking a row up takes one step however deep data sets
 * are nested.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/picture.h"
#include "io/io.h"

static mascon_status no_memory(int64_t bytes) {
    char text[32];
    return masconI_fail(MASCON_E_OOM, "%s bytes needed for the data set",
                        masconI_count(text, (uint64_t)bytes));
}

/* ---- Blocks ---- */

static void block_release(masconI_rows *b) {
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1) return;
    for (int f = 0; f < b->n_fields; f++) {
        free(b->field[f].memory);
        mascon_tensor_release(b->field[f].owner);
    }
    masconI_files_free(b->files);
    free(b);
}

static masconI_rows *block_new(int64_t rows, int32_t n_fields) {
    masconI_rows *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->refs, 1);
    b->rows = rows;
    b->n_fields = n_fields;
    return b;
}

/* Takes over block, also on failure. */
static mascon_status source_of_block(mascon_source **out, masconI_rows *block) {
    mascon_source *s = calloc(1, sizeof *s);
    masconI_rows **blocks = calloc(1, sizeof *blocks);
    if (!s || !blocks || !block) {
        free(s);
        free(blocks);
        block_release(block);
        return no_memory((int64_t)sizeof *s);
    }
    atomic_init(&s->refs, 1);
    blocks[0] = block;
    s->blocks = blocks;
    s->n_blocks = 1;
    s->rows = block->rows;
    *out = s;
    return MASCON_OK;
}

void masconI_source_retain(mascon_source *source) { atomic_fetch_add(&source->refs, 1); }

void mascon_source_release(mascon_source *source) {
    if (!source || atomic_fetch_sub(&source->refs, 1) != 1) return;
    for (int32_t b = 0; b < source->n_blocks; b++) block_release(source->blocks[b]);
    for (int32_t i = 0; i < source->n_classes; i++) free(source->classes[i]);
    free(source->classes);
    free(source->blocks);
    free(source->which);
    free(source->row);
    free(source);
}

/* ---- Constructors ---- */

mascon_status masconI_source_pictures(mascon_source **out, int64_t rows, int64_t c, int64_t h,
                                      int64_t w, uint8_t **pixels, int64_t **labels) {
    *out = NULL;
    int64_t row = c * h * w;
    masconI_rows *b = block_new(rows, 2);
    if (!b) return no_memory((int64_t)sizeof *b);
    size_t n = rows > 0 ? (size_t)rows : 1;
    *pixels = calloc(n, (size_t)row);
    *labels = calloc(n, sizeof **labels);
    b->field[0].memory = *pixels;
    b->field[1].memory = *labels;
    if (!*pixels || !*labels) {
        block_release(b);
        return no_memory(rows * (row + 8));
    }
    b->field[0] = (masconI_field){.data = (const char *)*pixels,
                                  .dtype = MASCON_DTYPE_U8,
                                  .ndim = 3,
                                  .shape = {c, h, w},
                                  .stride = {1, w * c, c},
                                  .row_stride = row,
                                  .memory = *pixels};
    b->field[1] = (masconI_field){.data = (const char *)*labels,
                                  .dtype = MASCON_DTYPE_I64,
                                  .row_stride = 1,
                                  .memory = *labels};
    b->labelled = 1;
    return source_of_block(out, b);
}

mascon_status masconI_source_files(mascon_source **out, int64_t rows, masconI_files *files,
                                   int64_t **labels) {
    *out = NULL;
    masconI_rows *b = block_new(rows, 2);
    if (!b) {
        masconI_files_free(files);
        return no_memory((int64_t)sizeof *b);
    }
    b->files = files;
    *labels = calloc(rows > 0 ? (size_t)rows : 1, sizeof **labels);
    b->field[0] = (masconI_field){.dtype = MASCON_DTYPE_U8, .ndim = 3, .shape = {3, -1, -1}};
    b->field[1] = (masconI_field){.data = (const char *)*labels,
                                  .dtype = MASCON_DTYPE_I64,
                                  .row_stride = 1,
                                  .memory = *labels};
    if (!*labels) {
        block_release(b);
        return no_memory(rows * 8);
    }
    b->labelled = 1;
    return source_of_block(out, b);
}

mascon_status mascon_source_tensors(mascon_source **out, mascon_tensor *const *tensors, int32_t n) {
    MASCON_NEED(out);
    *out = NULL;
    if (n < 1 || n > MASCON_MAX_FIELDS)
        return masconI_fail(MASCON_E_ARG, "%d tensors; must be 1 to %d", n, MASCON_MAX_FIELDS);
    MASCON_NEED(tensors);
    int64_t rows = 0;
    for (int32_t f = 0; f < n; f++) {
        MASCON_TRY(masconI_tensor_alive(tensors[f]));
        const mascon_view *v = mascon_see(tensors[f]);
        if (v->device != MASCON_DEVICE_CPU) {
            char device[16];
            masconI_fail(MASCON_E_DEVICE, "tensor %d is on %s; a data set lies on the cpu", f + 1,
                         masconI_device_text(v->device, device));
            return masconI_hint("x:cpu(), and device = for the loader");
        }
        if (v->ndim == 0)
            return masconI_fail(MASCON_E_SHAPE, "tensor %d has no dimensions; needs {samples, ...}",
                                f + 1);
        if (f == 0) rows = v->shape[0];
        if (v->shape[0] != rows)
            return masconI_fail(MASCON_E_SHAPE, "tensor %d has %lld rows, tensor 1 has %lld", f + 1,
                                (long long)v->shape[0], (long long)rows);
    }
    masconI_rows *b = block_new(rows, n);
    if (!b) return no_memory((int64_t)sizeof *b);
    for (int32_t f = 0; f < n; f++) {
        masconI_field *field = &b->field[f];
        /* a header of our own keeps the storage even if the script releases its tensor */
        mascon_status status = masconI_tensor_alias(&field->owner, tensors[f]);
        if (status != MASCON_OK) {
            block_release(b);
            return status;
        }
        const mascon_view *v = mascon_see(field->owner);
        field->data = v->data;
        field->dtype = v->dtype;
        field->ndim = v->ndim - 1;
        field->row_stride = v->stride[0];
        for (int32_t d = 1; d < v->ndim; d++) {
            field->shape[d - 1] = v->shape[d];
            field->stride[d - 1] = v->stride[d];
        }
    }
    return source_of_block(out, b);
}

/* A source over the blocks of n sources, without rows yet. */
static mascon_status source_over(mascon_source **out, mascon_source *const *sources, int32_t n,
                                 int64_t rows) {
    int32_t n_blocks = 0;
    for (int32_t i = 0; i < n; i++) n_blocks += sources[i]->n_blocks;
    mascon_source *s = calloc(1, sizeof *s);
    if (!s) return no_memory((int64_t)sizeof *s);
    atomic_init(&s->refs, 1);
    size_t room = rows > 0 ? (size_t)rows : 1;
    s->blocks = calloc((size_t)n_blocks, sizeof(masconI_rows *));
    s->which = malloc(room * sizeof *s->which);
    s->row = malloc(room * sizeof *s->row);
    if (!s->blocks || !s->which || !s->row) {
        mascon_source_release(s);
        return no_memory(rows * 12);
    }
    for (int32_t i = 0; i < n; i++) {
        for (int32_t b = 0; b < sources[i]->n_blocks; b++) {
            atomic_fetch_add(&sources[i]->blocks[b]->refs, 1);
            s->blocks[s->n_blocks++] = sources[i]->blocks[b];
        }
    }
    for (int32_t i = 0; i < sources[0]->n_classes; i++) {
        mascon_status status = masconI_source_add_class(s, sources[0]->classes[i]);
        if (status != MASCON_OK) {
            mascon_source_release(s);
            return status;
        }
    }
    s->rows = rows;
    *out = s;
    return MASCON_OK;
}

mascon_status mascon_source_select(mascon_source **out, const mascon_source *source,
                                   const int64_t *rows, int64_t n) {
    MASCON_NEED(out);
    MASCON_NEED(source);
    if (n > 0) MASCON_NEED(rows);
    *out = NULL;
    for (int64_t i = 0; i < n; i++) {
        if (rows[i] < 0 || rows[i] >= source->rows)
            return masconI_fail(MASCON_E_INDEX, "row %lld of a data set with %lld",
                                (long long)rows[i], (long long)source->rows);
    }
    mascon_source *s = NULL;
    MASCON_TRY(source_over(&s, (mascon_source *const[]){(mascon_source *)(uintptr_t)source}, 1, n));
    for (int64_t i = 0; i < n; i++) {
        s->which[i] = source->which ? source->which[rows[i]] : 0;
        s->row[i] = source->which ? source->row[rows[i]] : rows[i];
    }
    *out = s;
    return MASCON_OK;
}

static int same_field(const masconI_field *a, const masconI_field *b) {
    return a->dtype == b->dtype && a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof(int64_t)) == 0;
}

mascon_status mascon_source_concat(mascon_source **out, mascon_source *const *sources, int32_t n) {
    MASCON_NEED(out);
    *out = NULL;
    if (n < 1) return masconI_fail(MASCON_E_ARG, "no data sets to concatenate");
    MASCON_NEED(sources);
    for (int32_t i = 0; i < n; i++) MASCON_NEED(sources[i]);
    int64_t rows = 0;
    const masconI_rows *first = sources[0]->blocks[0];
    for (int32_t i = 0; i < n; i++) {
        const masconI_rows *b = sources[i]->blocks[0];
        int same = b->n_fields == first->n_fields;
        for (int32_t f = 0; same && f < b->n_fields; f++)
            same = same_field(&b->field[f], &first->field[f]);
        if (!same)
            return masconI_fail(MASCON_E_SHAPE, "data set %d has rows unlike those of data set 1",
                                i + 1);
        rows += sources[i]->rows;
    }
    mascon_source *s = NULL;
    MASCON_TRY(source_over(&s, sources, n, rows));
    int64_t at = 0;
    int32_t base = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int64_t r = 0; r < sources[i]->rows; r++, at++) {
            s->which[at] = base + (sources[i]->which ? sources[i]->which[r] : 0);
            s->row[at] = sources[i]->which ? sources[i]->row[r] : r;
        }
        base += sources[i]->n_blocks;
    }
    *out = s;
    return MASCON_OK;
}

mascon_status masconI_source_add_class(mascon_source *source, const char *name) {
    size_t n = (size_t)source->n_classes;
    if (n % 64 == 0) { /* room for 64 more */
        char **room = realloc(source->classes, (n + 64) * sizeof *room);
        if (!room) return no_memory((int64_t)((n + 64) * sizeof *room));
        source->classes = room;
    }
    source->classes[n] = strdup(name);
    if (!source->classes[n]) return no_memory((int64_t)strlen(name));
    source->n_classes++;
    return MASCON_OK;
}

/* ---- Getters ---- */

int64_t mascon_source_len(const mascon_source *source) {
    if (!source) return 0;
    return source->rows;
}

int32_t mascon_source_fields(const mascon_source *source) {
    if (!source) return 0;
    return source->blocks[0]->n_fields;
}

void mascon_source_set_label_base(mascon_source *source, int64_t base) {
    if (!source) return;
    for (int32_t b = 0; b < source->n_blocks; b++) source->blocks[b]->label_base = base;
}

const char *mascon_source_class(const mascon_source *source, int32_t i) {
    if (!source) return NULL;
    return i >= 0 && i < source->n_classes ? source->classes[i] : NULL;
}

const char *mascon_source_warning(const mascon_source *source) {
    if (!source) return NULL;
    return source->warning[0] ? source->warning : NULL;
}

const char *mascon_source_file(const mascon_source *source, int64_t row) {
    if (!source) return NULL;
    if (row < 0 || row >= source->rows) return NULL;
    int64_t r;
    const masconI_rows *b = masconI_source_locate(source, row, &r);
    return b->files ? masconI_files_name(b->files, r) : NULL;
}

/* ---- Reading rows ---- */

void masconI_copy_strided(char *dst, const int64_t *dst_stride, const char *src,
                          const int64_t *src_stride, const int64_t *shape, int32_t ndim,
                          size_t size) {
    if (ndim == 0) {
        memcpy(dst, src, size);
        return;
    }
    for (int64_t i = 0; i < shape[0]; i++) {
        masconI_copy_strided(dst + i * dst_stride[0] * (int64_t)size, dst_stride + 1,
                             src + i * src_stride[0] * (int64_t)size, src_stride + 1, shape + 1,
                             ndim - 1, size);
    }
}

static mascon_status row_in_range(const mascon_source *source, int64_t row) {
    if (row >= 0 && row < source->rows) return MASCON_OK;
    return masconI_fail(MASCON_E_INDEX, "sample %lld is out of range (1..%lld)", (long long)row + 1,
                        (long long)source->rows);
}

/* A picture from its file. */
static mascon_status get_file(const masconI_rows *b, int64_t r, mascon_tensor **out) {
    masconI_scratch scratch = {0};
    masconI_picture p;
    mascon_status status = masconI_files_read(b->files, r, &scratch, &p);
    mascon_meta meta;
    if (status == MASCON_OK) {
        masconI_meta(&meta, MASCON_DTYPE_U8, 3, p.shape);
        status = masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED);
    } else {
        masconI_blame(0, masconI_files_name(b->files, r));
    }
    if (status == MASCON_OK) {
        const mascon_view *v = mascon_see(*out);
        masconI_copy_strided(v->data, v->stride, p.data, p.stride, p.shape, 3, 1);
    }
    masconI_scratch_free(&scratch);
    return status;
}

mascon_status mascon_source_get(const mascon_source *source, int64_t row, int32_t field,
                                mascon_tensor **out) {
    MASCON_NEED(source);
    MASCON_NEED(out);
    *out = NULL;
    MASCON_TRY(row_in_range(source, row));
    int64_t r;
    const masconI_rows *b = masconI_source_locate(source, row, &r);
    if (field < 0 || field >= b->n_fields)
        return masconI_fail(MASCON_E_INDEX, "field %d of %d", field, b->n_fields);
    if (field == 0 && b->files) return get_file(b, r, out);
    const masconI_field *f = &b->field[field];
    mascon_meta meta;
    masconI_meta(&meta, f->dtype, f->ndim, f->shape);
    MASCON_TRY(masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED));
    const mascon_view *v = mascon_see(*out);
    size_t size = (size_t)mascon_dtype_size(f->dtype);
    if (v->numel == 0) return MASCON_OK;
    masconI_copy_strided(v->data, v->stride, f->data + r * f->row_stride * (int64_t)size, f->stride,
                         f->shape, f->ndim, size);
    if (field == 1 && b->labelled) *(int64_t *)v->data += b->label_base;
    return MASCON_OK;
}

mascon_status mascon_source_label(const mascon_source *source, int64_t row, int64_t *label) {
    MASCON_NEED(source);
    MASCON_NEED(label);
    MASCON_TRY(row_in_range(source, row));
    int64_t r;
    const masconI_rows *b = masconI_source_locate(source, row, &r);
    if (!b->labelled) return masconI_fail(MASCON_E_STATE, "this data set has no class labels");
    *label = ((const int64_t *)(const void *)b->field[1].data)[r] + b->label_base;
    return MASCON_OK;
}

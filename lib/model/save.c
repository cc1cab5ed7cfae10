/* save.c: writing a recording as a saved model.
 *
 * Two recordings of one model with different batches show what follows the batch: an option that is k
 * times the batch in both is written as such, and whatever else differs is an error that names the call.
 * The program is read back and checked by the loader's own rules before anything is written.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

/* Room in the metadata for a program; more lies in a tensor. The rest is for check sums. */
enum { METADATA_ROOM = 600000 };

typedef struct saver {
    const mascon_recorder *r, *other;
    const char *path;
    int64_t batch, other_batch; /* 0: fixed */
    uint32_t *scaled;           /* by entry: slots that are multiples of the batch */
    uint8_t *used;              /* by buffer */
    mascon_tensor **weights;    /* by buffer: what is written, owned */
    char **names;               /* by buffer: of the weights, owned */
    masconI_text text;
} saver;

static const char *entry_text(const saver *s, int32_t i, char buffer[192]) {
    const masconI_entry *e = &s->r->entries[i];
    snprintf(buffer, 192, "call %d (%s%s%.120s)", i + 1, masconI_ops[e->op]->name,
             e->path ? " in " : "", e->path ? e->path : "");
    return buffer;
}

/* ---- The batch ---- */

static mascon_status batch_error(const saver *s, int32_t entry, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static mascon_status batch_error(const saver *s, int32_t entry, const char *format, ...) {
    char text[512], where[192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    masconI_fail(MASCON_E_SHAPE, "%s does not allow another batch: %s", entry_text(s, entry, where),
                 text);
    return masconI_hint(
        "sizes that follow the batch, such as x:view(-1, 10), or {batch = \"fixed\"}");
}

static mascon_status find_batch(saver *s) {
    for (int32_t i = 0; i < s->r->n_buffers && s->other; i++) {
        const masconI_buffer *a = &s->r->buffers[i], *b = &s->other->buffers[i];
        if (a->kind != MASCON_BUFFER_INPUT) continue;
        if (i >= s->other->n_buffers || b->kind != MASCON_BUFFER_INPUT ||
            strcmp(a->name, b->name) != 0 || a->meta.ndim != b->meta.ndim ||
            a->meta.dtype != b->meta.dtype) {
            return masconI_fail(MASCON_E_ARG, "the two recordings have other inputs");
        }
        for (int d = 0; d < a->meta.ndim; d++) {
            int64_t x = a->meta.shape[d], y = b->meta.shape[d];
            if (x == y) continue;
            if (d > 0 || (s->batch && (s->batch != x || s->other_batch != y)) || x < 1 || y < 1) {
                return masconI_fail(MASCON_E_ARG,
                                    "input %s differs between the two recordings in more than the "
                                    "size of the batch",
                                    a->name);
            }
            s->batch = x;
            s->other_batch = y;
        }
    }
    if (s->other && !s->batch) {
        return masconI_fail(MASCON_E_ARG, "the two recordings have the same batch");
    }
    return MASCON_OK;
}

static mascon_status compare_options(saver *s, int32_t i) {
    const masconI_entry *a = &s->r->entries[i], *b = &s->other->entries[i];
    const mascon_op *op = masconI_ops[a->op];
    for (int k = 0, slot = 0; k < op->n_attrs; k++) {
        int n = masconI_attr_slots(op->attrs[k].type);
        for (int j = slot; j < slot + n; j++) {
            if (!(a->attr_set >> j & 1)) continue;
            double x = a->attr[j], y = b->attr[j], factor = x / (double)s->batch;
            if (x == y || (x != x && y != y)) continue;
            if (factor >= 1 && factor == (double)(int64_t)factor &&
                factor * (double)s->other_batch == y) {
                s->scaled[i] |= 1u << j;
                continue;
            }
            return batch_error(s, i, "option %s is %g for a batch of %lld and %g for one of %lld",
                               op->attrs[k].name, x, (long long)s->batch, y,
                               (long long)s->other_batch);
        }
        slot += n;
    }
    return MASCON_OK;
}

static int same_buffers(const masconI_entry *a, const masconI_entry *b) {
    if (a->n_src != b->n_src || a->n_dst != b->n_dst || a->n_list != b->n_list) return 0;
    for (int k = 0; k < a->n_dst; k++) {
        if (a->dst[k] != b->dst[k]) return 0;
    }
    return memcmp(a->src, b->src, sizeof a->src) == 0 &&
           (!a->n_list || memcmp(a->list, b->list, (size_t)a->n_list * sizeof *a->list) == 0);
}

/* The values of a constant, wherever it lies, must not follow the batch either. */
static mascon_status same_constant(const masconI_buffer *a, const masconI_buffer *b, int *same) {
    mascon_view x = {.ndim = a->meta.ndim}, y = {.ndim = b->meta.ndim};
    memcpy(x.shape, a->meta.shape, sizeof x.shape);
    memcpy(y.shape, b->meta.shape, sizeof y.shape);
    *same = a->tensor == b->tensor;
    if (*same || a->meta.dtype != b->meta.dtype || !masconI_same_shape(&x, &y)) return MASCON_OK;
    MASCON_TRY(masconI_tensor_alive(a->tensor));
    MASCON_TRY(masconI_tensor_alive(b->tensor));
    size_t n = (size_t)a->tensor->view.numel, bytes = (n ? n : 1) * sizeof(double);
    double *values = malloc(2 * bytes);
    if (!values) return masconI_fail(MASCON_E_OOM, "no memory to compare constants");
    mascon_status status = mascon_tensor_read(a->tensor, values);
    if (status == MASCON_OK) status = mascon_tensor_read(b->tensor, values + (n ? n : 1));
    if (status == MASCON_OK) *same = memcmp(values, values + (n ? n : 1), bytes) == 0 || !n;
    free(values);
    return status;
}

static mascon_status compare_constants(const saver *s, int32_t entry) {
    const masconI_entry *e = &s->r->entries[entry];
    for (int64_t k = 0; k < e->n_src + e->n_list; k++) {
        int32_t b = k < e->n_src ? e->src[k] : e->list[k - e->n_src];
        if (b < 0 || s->r->buffers[b].kind != MASCON_BUFFER_CONSTANT) continue;
        int same;
        MASCON_TRY(same_constant(&s->r->buffers[b], &s->other->buffers[b], &same));
        if (!same) return batch_error(s, entry, "a tensor that was made in Lua differs");
    }
    return MASCON_OK;
}

static mascon_status compare(saver *s) {
    const mascon_recorder *a = s->r, *b = s->other;
    int32_t n = a->n_entries < b->n_entries ? a->n_entries : b->n_entries;
    for (int32_t i = 0; i < n; i++) {
        const masconI_entry *x = &a->entries[i], *y = &b->entries[i];
        if (x->op != y->op || x->attr_set != y->attr_set || x->flags != y->flags ||
            !same_buffers(x, y)) {
            return batch_error(s, i, "with %lld, another call stands in its place",
                               (long long)s->other_batch);
        }
        MASCON_TRY(compare_options(s, i));
        MASCON_TRY(compare_constants(s, i));
        for (int k = 0; k < x->n_dst; k++) {
            if (a->buffers[x->dst[k]].meta.ndim == b->buffers[y->dst[k]].meta.ndim) continue;
            return batch_error(s, i,
                               "its result has %d dimensions for a batch of %lld and %d for "
                               "one of %lld",
                               a->buffers[x->dst[k]].meta.ndim, (long long)s->batch,
                               b->buffers[y->dst[k]].meta.ndim, (long long)s->other_batch);
        }
    }
    if (a->n_entries != b->n_entries || a->n_results != b->n_results) {
        return batch_error(s, n ? n - 1 : 0, "the number of calls depends on it");
    }
    for (int32_t i = 0; i < a->n_results; i++) {
        if (a->results[i].buffer != b->results[i].buffer ||
            strcmp(a->results[i].name, b->results[i].name) != 0) {
            return masconI_fail(MASCON_E_SHAPE, "output %s depends on the batch",
                                a->results[i].name);
        }
    }
    return MASCON_OK;
}

/* ---- Weights ---- */

static int name_taken(const saver *s, const char *name) {
    for (int32_t i = 0; i < s->r->n_buffers; i++) {
        const masconI_buffer *b = &s->r->buffers[i];
        if (b->kind == MASCON_BUFFER_CONSTANT && b->name && strcmp(b->name, name) == 0) return 1;
    }
    return 0;
}

static mascon_status name_weight(saver *s, int32_t buffer, int32_t *number) {
    const masconI_buffer *b = &s->r->buffers[buffer];
    char text[32];
    snprintf(text, sizeof text, "constant.%d", *number);
    while (!b->name && name_taken(s, text)) {
        snprintf(text, sizeof text, "constant.%d", ++*number);
    }
    *number += !b->name;
    s->names[buffer] = strdup(b->name ? b->name : text);
    return s->names[buffer] ? MASCON_OK : masconI_oom(s->path, 32);
}

/* What is written for a constant: its elements on the CPU, in memory that no other one shares. */
static mascon_status take_weight(saver *s, int32_t buffer) {
    const masconI_buffer *b = &s->r->buffers[buffer];
    mascon_tensor *t = b->tensor;
    if (mascon_tensor_is_released(t)) {
        return masconI_fail(MASCON_E_STATE, "constant %s was released", s->names[buffer]);
    }
    if (t->view.device != MASCON_DEVICE_CPU) {
        return masconI_emit(MASCON_OP_transfer, &s->weights[buffer], 1, &t, "device",
                            (double)MASCON_DEVICE_CPU, NULL);
    }
    for (int32_t i = 0; i < buffer; i++) {
        if (s->weights[i] && s->r->buffers[i].storage == b->storage) {
            return masconI_emit(MASCON_OP_clone, &s->weights[buffer], 1, &t, NULL);
        }
    }
    mascon_tensor_retain(t);
    s->weights[buffer] = t;
    return MASCON_OK;
}

static mascon_status take_weights(saver *s) {
    int32_t number = 1;
    for (int32_t i = 0; i < s->r->n_entries; i++) {
        const masconI_entry *e = &s->r->entries[i];
        for (int k = 0; k < e->n_src; k++) {
            if (e->src[k] >= 0) s->used[e->src[k]] = 1;
        }
        for (int64_t k = 0; k < e->n_list; k++) s->used[e->list[k]] = 1;
    }
    for (int32_t i = 0; i < s->r->n_buffers; i++) {
        if (s->r->buffers[i].kind != MASCON_BUFFER_CONSTANT || !s->used[i]) continue;
        MASCON_TRY(name_weight(s, i, &number));
        MASCON_TRY(take_weight(s, i));
    }
    return MASCON_OK;
}

/* ---- The text ---- */

static void put(saver *s, const char *text) { masconI_text_add(&s->text, text, strlen(text)); }
static void put_json(saver *s, const char *text) {
    masconI_text_json(&s->text, text, strlen(text));
}

static void put_port(saver *s, int32_t buffer, const char *name) {
    const mascon_meta *a = &s->r->buffers[buffer].meta;
    const mascon_meta *b = s->other ? &s->other->buffers[buffer].meta : a;
    put(s, "{\"name\":");
    put_json(s, name);
    masconI_text_format(&s->text, ",\"buffer\":%d,\"dtype\":\"%s\",\"shape\":[", buffer,
                        mascon_dtype_name(a->dtype));
    for (int d = 0; d < a->ndim; d++) {
        if (d) put(s, ",");
        if (a->shape[d] != b->shape[d]) {
            put(s, "\"batch\"");
        } else {
            masconI_text_format(&s->text, "%" PRId64, a->shape[d]);
        }
    }
    put(s, "]}");
}

static void put_weights(saver *s) {
    int n = 0;
    put(s, "],\n\"weights\":[");
    for (int32_t i = 0; i < s->r->n_buffers; i++) {
        if (!s->names[i]) continue;
        put(s, n++ ? ",\n{\"name\":" : "{\"name\":");
        put_json(s, s->names[i]);
        masconI_text_format(&s->text, ",\"buffer\":%d%s}", i,
                            s->r->buffers[i].tensor->view.layout == MASCON_LAYOUT_NHWC
                                ? ",\"layout\":\"nhwc\""
                                : "");
    }
}

/* One number of an option, or the batch that it follows. */
static void put_value(saver *s, int32_t entry, int slot) {
    double v = s->r->entries[entry].attr[slot];
    if (s->scaled[entry] >> slot & 1) {
        int64_t factor = (int64_t)(v / (double)s->batch);
        if (factor == 1) {
            put(s, "\"batch\"");
        } else {
            masconI_text_format(&s->text, "\"batch*%" PRId64 "\"", factor);
        }
        return;
    }
    masconI_program_put_number(&s->text, v);
}

static void put_values(saver *s, int32_t entry, int first, int n) {
    put(s, "[");
    for (int k = 0; k < n; k++) {
        if (k) put(s, ",");
        put_value(s, entry, first + k);
    }
    put(s, "]");
}

static void put_choice(saver *s, const char *choices, int index) {
    for (; index > 0; index--) {
        choices += strcspn(choices, " ");
        choices += strspn(choices, " ");
    }
    masconI_text_format(&s->text, "\"%.*s\"", (int)strcspn(choices, " "), choices);
}

static void put_option(saver *s, int32_t entry, const mascon_attr *a, int slot) {
    const double *v = &s->r->entries[entry].attr[slot];
    put_json(s, a->name);
    put(s, ":");
    switch (a->type) {
        case MASCON_ATTR_BOOLEAN:
            put(s, *v != 0 ? "true" : "false");
            break;
        case MASCON_ATTR_PADDING:
            if (v[0] == -1 && v[1] == -1) {
                put(s, "\"same\"");
                break;
            }
            put_values(s, entry, slot, 2);
            break;
        case MASCON_ATTR_PAIR:
            put_values(s, entry, slot, 2);
            break;
        case MASCON_ATTR_DIMS:
        case MASCON_ATTR_SIZES:
            put_values(s, entry, slot + 1, (int)*v);
            break;
        case MASCON_ATTR_CHOICE:
            put_choice(s, a->choices, (int)*v);
            break;
        case MASCON_ATTR_DTYPE:
            masconI_text_format(&s->text, "\"%s\"", mascon_dtype_name((int32_t)*v));
            break;
        case MASCON_ATTR_DEVICE:
        case MASCON_ATTR_NUMBER:
        case MASCON_ATTR_INTEGER:
        case MASCON_ATTR_DIM:
        case MASCON_ATTR_INDEX:
        case MASCON_ATTR_BASE:
            put_value(s, entry, slot);
            break;
    }
}

static void put_options(saver *s, int32_t entry) {
    const masconI_entry *e = &s->r->entries[entry];
    const mascon_op *op = masconI_ops[e->op];
    int n = 0;
    put(s, ",\"options\":{");
    for (int k = 0, slot = 0; k < op->n_attrs; k++) {
        if (e->attr_set >> slot & 1 && op->attrs[k].type != MASCON_ATTR_DEVICE) {
            if (n++) put(s, ",");
            put_option(s, entry, &op->attrs[k], slot);
        }
        slot += masconI_attr_slots(op->attrs[k].type);
    }
    put(s, "}");
}

static void put_entry(saver *s, int32_t i) {
    const masconI_entry *e = &s->r->entries[i];
    masconI_text_format(&s->text, "%s{\"op\":\"%s\",\"version\":%d,\"in\":[", i ? ",\n" : "",
                        masconI_ops[e->op]->name, masconI_ops[e->op]->version + 1);
    for (int64_t k = 0; k < e->n_src + e->n_list; k++) {
        int32_t b = k < e->n_src ? e->src[k] : e->list[k - e->n_src];
        if (k) put(s, ",");
        if (b < 0) {
            put(s, "null");
        } else {
            masconI_text_format(&s->text, "%d", b);
        }
    }
    put(s, "],\"out\":[");
    for (int k = 0; k < e->n_dst; k++) {
        masconI_text_format(&s->text, k ? ",%d" : "%d", e->dst[k]);
    }
    put(s, "]");
    put_options(s, i);
    if (e->flags & MASCON_CALL_AUTOCAST) put(s, ",\"autocast\":true");
    if (e->path) {
        put(s, ",\"path\":");
        put_json(s, e->path);
    }
    put(s, "}");
}

static mascon_status make_text(saver *s) {
    int n = 0;
    masconI_text_format(&s->text,
                        "{\"schema\":%d,\"writer\":\"mascon %s\",\"buffers\":%d,\n\"inputs\":[",
                        MASCON_MODEL_SCHEMA, mascon_version(), s->r->n_buffers);
    for (int32_t i = 0; i < s->r->n_buffers; i++) {
        if (s->r->buffers[i].kind != MASCON_BUFFER_INPUT) continue;
        if (n++) put(s, ",");
        put_port(s, i, s->r->buffers[i].name);
    }
    put_weights(s);
    put(s, "],\n\"calls\":[");
    for (int32_t i = 0; i < s->r->n_entries; i++) put_entry(s, i);
    put(s, "],\n\"outputs\":[");
    for (int32_t i = 0; i < s->r->n_results; i++) {
        if (i) put(s, ",");
        put_port(s, s->r->results[i].buffer, s->r->results[i].name);
    }
    put(s, "]}");
    return s->text.failed ? masconI_oom(s->path, s->text.size) : MASCON_OK;
}

/* ---- The file ---- */

/* Reads the text as the loader will. */
static mascon_status check_text(const saver *s) {
    char *copy = malloc(s->text.size + 1);
    mascon_model *m = calloc(1, sizeof *m);
    mascon_status status = MASCON_OK;
    if (!copy || !m) {
        free(copy);
        free(m);
        return masconI_oom(s->path, s->text.size);
    }
    memcpy(copy, s->text.data, s->text.size + 1);
    m->arena = (masconI_arena){.limit = masconI_limits_default()->meta_bytes, .path = s->path};
    status = masconI_model_parse(m, copy, s->text.size, s->path);
    for (int32_t i = 0; i < m->n_weights && status == MASCON_OK; i++) {
        m->weights[i].tensor = s->weights[m->weights[i].buffer];
        mascon_tensor_retain(m->weights[i].tensor);
    }
    if (status == MASCON_OK) status = masconI_model_check(m);
    mascon_model_release(m);
    return status;
}

static mascon_status write_file(const saver *s) {
    mascon_writer *w = NULL;
    MASCON_TRY(mascon_writer_begin(&w, s->path));
    int64_t size = (int64_t)s->text.size;
    mascon_status status = mascon_writer_metadata(w, "format", "pt", 2);
    if (status == MASCON_OK) {
        status = size <= METADATA_ROOM
                     ? mascon_writer_metadata(w, MASCON_MODEL_PROGRAM, s->text.data, size)
                     : mascon_writer_add_bytes(w, MASCON_MODEL_LONG_PROGRAM, s->text.data, size);
    }
    for (int32_t i = 0; i < s->r->n_buffers && status == MASCON_OK; i++) {
        if (s->weights[i]) status = mascon_writer_add(w, s->names[i], s->weights[i], NULL);
    }
    if (status == MASCON_OK) status = mascon_writer_finish(w, MASCON_WRITER_VERIFY);
    mascon_writer_release(w);
    return status;
}

static mascon_status save(saver *s) {
    size_t buffers = (size_t)s->r->n_buffers + 1, entries = (size_t)s->r->n_entries + 1;
    s->scaled = calloc(entries, sizeof *s->scaled);
    s->used = calloc(buffers, 1);
    s->weights = calloc(buffers, sizeof(mascon_tensor *));
    s->names = calloc(buffers, sizeof(char *));
    if (!s->scaled || !s->used || !s->weights || !s->names) return masconI_oom(s->path, buffers);
    MASCON_TRY(find_batch(s));
    if (s->other) MASCON_TRY(compare(s));
    MASCON_TRY(take_weights(s));
    MASCON_TRY(make_text(s));
    MASCON_TRY(check_text(s));
    return write_file(s);
}

mascon_status mascon_recorder_save(const mascon_recorder *r, const mascon_recorder *other,
                                   const char *path) {
    if (!r) return masconI_fail(MASCON_E_ARG, "the recorder is NULL");
    if (!path) return masconI_fail(MASCON_E_ARG, "path is NULL");
    if (r->active || (other && other->active)) {
        return masconI_fail(MASCON_E_STATE, "the recording has not ended");
    }
    if (!r->n_entries || !r->n_results) {
        return masconI_fail(MASCON_E_STATE, "the recording has no %s",
                            r->n_entries ? "outputs" : "calls");
    }
    saver s = {.r = r, .other = other, .path = path};
    mascon_status status = save(&s);
    for (int32_t i = 0; s.weights && i < r->n_buffers; i++) mascon_tensor_release(s.weights[i]);
    for (int32_t i = 0; s.names && i < r->n_buffers; i++) free(s.names[i]);
    free(s.scaled);
    free(s.used);
    free(s.weights);
    free(s.names);
    masconI_text_free(&s.text);
    return status;
}

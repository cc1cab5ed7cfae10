/* run.c: a saved model in memory: loading it, its inputs and outputs, and running it.
 *
 * Running changes nothing in the model, so several threads may do it at once. Each run has a table of
 * its own, from buffers to tensors; a tensor leaves it as soon as no later call needs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

/* ---- Loading ---- */

void mascon_model_retain(mascon_model *m) {
    if (m) atomic_fetch_add_explicit(&m->others, 1, memory_order_relaxed);
}

void mascon_model_release(mascon_model *m) {
    if (!m || atomic_fetch_sub_explicit(&m->others, 1, memory_order_acq_rel) != 0) return;
    for (int32_t i = 0; i < m->n_weights; i++) mascon_tensor_release(m->weights[i].tensor);
    free(m->weights);
    free(m->steps);
    free(m->text);
    masconI_arena_free(&m->arena);
    free(m);
}

/* A copy of the program that the file holds. */
static mascon_status read_text(mascon_reader *r, const char *path, char **out, uint64_t *size) {
    int64_t length = 0;
    const char *text = mascon_reader_metadata(r, MASCON_MODEL_PROGRAM, &length);
    int64_t i = mascon_reader_find(r, MASCON_MODEL_LONG_PROGRAM);
    if (!text && i >= 0) MASCON_TRY(mascon_reader_bytes(r, i, &text, &length));
    if (!text) {
        masconI_io_fail(MASCON_E_FORMAT, path, MASCON_IO_NOWHERE,
                        "it holds tensors but no program: no saved model");
        return masconI_hint("mascon.load reads such files; mascon.save_model writes models");
    }
    *out = malloc((size_t)length + 1);
    if (!*out) return masconI_oom(path, (uint64_t)length);
    memcpy(*out, text, (size_t)length);
    (*out)[length] = 0;
    *size = (uint64_t)length;
    return MASCON_OK;
}

/* Gives every weight the shape that the file says, without values. */
static mascon_status find_weights(mascon_model *m, mascon_reader *r) {
    char quote[MASCON_IO_QUOTE];
    for (int32_t i = 0; i < m->n_weights; i++) {
        masconI_weight *w = &m->weights[i];
        int64_t at = mascon_reader_find(r, w->name);
        masconI_quote(quote, w->name, strlen(w->name));
        if (at < 0) {
            return masconI_io_fail(MASCON_E_FORMAT, m->file, MASCON_IO_NOWHERE,
                                   "saved model: weight %s is not in the file", quote);
        }
        if (mascon_reader_dtype(r, at) < 0) {
            return masconI_io_fail(MASCON_E_UNSUPPORTED, m->file, MASCON_IO_NOWHERE,
                                   "saved model: weight %s is %s, a type that mascon does not have",
                                   quote, mascon_reader_dtype_text(r, at));
        }
        mascon_meta meta;
        masconI_meta(&meta, mascon_reader_dtype(r, at), mascon_reader_ndim(r, at),
                     mascon_reader_shape(r, at));
        MASCON_TRY(masconI_tensor_meta(&w->tensor, &meta, MASCON_DEVICE_CPU));
    }
    return MASCON_OK;
}

/* A copy of t with the elements in the same places of another layout. */
static mascon_status to_nhwc(mascon_tensor *t, mascon_tensor **out) {
    mascon_call call;
    MASCON_TRY(mascon_tensor_new_nhwc(out, t->view.dtype, t->view.shape, MASCON_DEVICE_CPU));
    masconI_call_init(&call, MASCON_OP_copy);
    call.n_src = 2;
    call.src[0] = call.dst[0] = *out;
    call.src[1] = t;
    mascon_status status = mascon_invoke(&call);
    if (status != MASCON_OK) mascon_tensor_release(*out);
    return status;
}

static mascon_status read_weights(mascon_model *m, mascon_reader *r) {
    for (int32_t i = 0; i < m->n_weights; i++) {
        masconI_weight *w = &m->weights[i];
        mascon_tensor *t = NULL, *dense = NULL;
        MASCON_TRY(mascon_reader_tensor(r, mascon_reader_find(r, w->name), &t));
        if (w->layout == MASCON_LAYOUT_NHWC) {
            mascon_status status = to_nhwc(t, &dense);
            mascon_tensor_release(t);
            if (status != MASCON_OK) return status;
            t = dense;
        }
        mascon_tensor_release(w->tensor);
        w->tensor = t;
    }
    return MASCON_OK;
}

static mascon_status load(mascon_model *m, mascon_reader *r, const char *path) {
    char *text = NULL;
    uint64_t size = 0;
    m->arena = (masconI_arena){.limit = masconI_limits_default()->meta_bytes, .path = path};
    MASCON_TRY(read_text(r, path, &text, &size));
    MASCON_TRY(masconI_model_parse(m, text, size, path));
    MASCON_TRY(find_weights(m, r));
    MASCON_TRY(masconI_model_check(m));
    MASCON_TRY(read_weights(m, r));
    m->arena.path = m->file;
    return MASCON_OK;
}

mascon_status mascon_model_load(mascon_model **out, const char *path) {
    if (!out) return masconI_fail(MASCON_E_ARG, "out is NULL");
    *out = NULL;
    if (!path) return masconI_fail(MASCON_E_ARG, "path is NULL");
    int32_t format;
    MASCON_TRY(mascon_file_detect(path, &format));
    if (format != MASCON_FILE_SAFETENSORS) {
        masconI_io_fail(MASCON_E_FORMAT, path, MASCON_IO_NOWHERE,
                        "a PyTorch file, not a saved model of mascon");
        return masconI_hint("mascon.load reads its tensors; mascon.save_model writes models");
    }
    mascon_reader *r = NULL;
    MASCON_TRY(mascon_reader_open(&r, path, NULL));
    mascon_model *m = calloc(1, sizeof *m);
    mascon_status status = m ? load(m, r, path) : masconI_oom(path, sizeof *m);
    mascon_reader_close(r);
    if (status != MASCON_OK) {
        mascon_model_release(m);
        return status;
    }
    *out = m;
    return MASCON_OK;
}

mascon_status mascon_model_to(mascon_model *m, int32_t device) {
    if (!m) return masconI_fail(MASCON_E_ARG, "the model is NULL");
    if (device == m->device) return MASCON_OK;
    mascon_tensor **moved = calloc((size_t)m->n_weights + 1, sizeof(mascon_tensor *));
    if (!moved) return masconI_fail(MASCON_E_OOM, "no memory to move a model");
    const mascon_backend *backend;
    mascon_status status = masconI_backend(device, &backend);
    for (int32_t i = 0; i < m->n_weights && status == MASCON_OK; i++) {
        status = masconI_emit(MASCON_OP_transfer, &moved[i], 1, &m->weights[i].tensor, "device",
                              (double)device, NULL);
    }
    for (int32_t i = 0; i < m->n_weights; i++) {
        mascon_tensor_release(status == MASCON_OK ? m->weights[i].tensor : moved[i]);
        if (status == MASCON_OK) m->weights[i].tensor = moved[i];
    }
    free(moved);
    if (status == MASCON_OK) m->device = device;
    return status;
}

int32_t mascon_model_device(const mascon_model *m) { return m ? m->device : -1; }

/* ---- Inputs and outputs ---- */

static const masconI_port *port_of(const mascon_model *m, int32_t kind, int32_t i) {
    if (!m || kind < 0 || kind > MASCON_MODEL_OUTPUT || i < 0 || i >= m->n_ports[kind]) return NULL;
    return &m->ports[kind][i];
}

int32_t mascon_model_count(const mascon_model *m, int32_t kind) {
    return port_of(m, kind, 0) ? m->n_ports[kind] : 0;
}

const char *mascon_model_name(const mascon_model *m, int32_t kind, int32_t i) {
    const masconI_port *p = port_of(m, kind, i);
    return p ? p->name : NULL;
}

int32_t mascon_model_find(const mascon_model *m, int32_t kind, const char *name) {
    for (int32_t i = 0; name && port_of(m, kind, i); i++) {
        if (strcmp(m->ports[kind][i].name, name) == 0) return i;
    }
    return -1;
}

int32_t mascon_model_dtype(const mascon_model *m, int32_t kind, int32_t i) {
    const masconI_port *p = port_of(m, kind, i);
    return p ? p->dtype : -1;
}

int32_t mascon_model_shape(const mascon_model *m, int32_t kind, int32_t i, const int64_t **shape) {
    const masconI_port *p = port_of(m, kind, i);
    if (shape) *shape = p ? p->shape : NULL;
    return p ? p->ndim : -1;
}

int32_t mascon_model_calls(const mascon_model *m) { return m ? m->n_steps : 0; }

/* ---- Running ---- */

/* "{batch, 3, 32, 32}" */
static const char *port_text(const masconI_port *p, char text[192]) {
    int n = snprintf(text, 192, "{");
    for (int d = 0; d < p->ndim; d++) {
        const char *comma = d ? ", " : "";
        n += p->shape[d] == MASCON_MODEL_BATCH
                 ? snprintf(text + n, 192 - (size_t)n, "%sbatch", comma)
                 : snprintf(text + n, 192 - (size_t)n, "%s%lld", comma, (long long)p->shape[d]);
    }
    snprintf(text + n, 192 - (size_t)n, "}");
    return text;
}

/* "input x", or "input" where that is its name. */
static const char *input_text(const masconI_port *p, char text[192]) {
    snprintf(text, 192, strcmp(p->name, "input") ? "input %s" : "%s", p->name);
    return text;
}

static mascon_status check_input(const mascon_model *m, int32_t i, const mascon_tensor *t,
                                 int64_t *batch) {
    const masconI_port *p = &m->ports[MASCON_MODEL_INPUT][i];
    char shape[160], want[192], name[192], a[16], b[16];
    input_text(p, name);
    if (!t) return masconI_fail(MASCON_E_ARG, "%s is missing", name);
    MASCON_TRY(masconI_tensor_alive(t));
    const mascon_view *v = &t->view;
    if (v->device != m->device) {
        masconI_fail(MASCON_E_DEVICE, "%s is on %s, the model on %s", name,
                     masconI_device_text(v->device, a), masconI_device_text(m->device, b));
        return masconI_hint("x:to(\"%s\"), or model:to(\"%s\")", b, a);
    }
    if (v->dtype != p->dtype) {
        return masconI_fail(MASCON_E_DTYPE, "%s is %s; the model takes %s", name,
                            mascon_dtype_name(v->dtype), mascon_dtype_name(p->dtype));
    }
    int same = v->ndim == p->ndim, small = 0;
    for (int d = 0; d < p->ndim && same; d++) {
        if (p->shape[d] != MASCON_MODEL_BATCH) {
            same = p->shape[d] == v->shape[d];
            continue;
        }
        if (*batch < 0) *batch = v->shape[d];
        if (v->shape[d] < 1) small = 1;
        same = *batch == v->shape[d];
    }
    masconI_shape_text(v->ndim, v->shape, shape);
    if (!same) {
        masconI_fail(MASCON_E_SHAPE, "%s has shape %s; the model takes %s%s", name, shape,
                     port_text(p, want),
                     v->ndim == p->ndim && *batch > 0 && p->shape[0] < 0 && v->shape[0] != *batch
                         ? ", with one batch for all inputs"
                         : "");
        if (v->ndim == p->ndim - 1) return masconI_hint("x:unsqueeze(1) makes a batch of one");
        return MASCON_E_SHAPE;
    }
    if (small) return masconI_fail(MASCON_E_SHAPE, "%s has an empty batch %s", name, shape);
    return MASCON_OK;
}

/* Adds to the error just made in which part of the model it was. */
static void name_path(const masconI_step *s) {
    mascon_error *e = masconI_error();
    size_t used = strlen(e->detail);
    if (!s->path || used + 8 >= sizeof e->detail) return;
    snprintf(e->detail + used, sizeof e->detail - used, "%s  in %s", used ? "\n" : "", s->path);
}

static mascon_status run_step(const mascon_model *m, const masconI_step *s, mascon_tensor **t,
                              mascon_tensor **list, int64_t batch) {
    mascon_call call;
    masconI_call_init(&call, s->op);
    call.flags = s->flags;
    memcpy(call.attr, s->attr, sizeof call.attr);
    call.attr_set = s->attr_set;
    if (s->scaled) {
        for (int slot = 0; slot < MASCON_MAX_ATTRS; slot++) {
            if (s->scaled >> slot & 1) call.attr[slot] *= (double)batch;
        }
    }
    if (s->device_slot >= 0) {
        call.attr[s->device_slot] = m->device;
        call.attr_set |= 1u << s->device_slot;
    }
    call.n_src = s->n_src;
    for (int i = 0; i < s->n_src; i++) call.src[i] = s->src[i] < 0 ? NULL : t[s->src[i]];
    for (int32_t i = 0; i < s->n_list; i++) list[i] = t[s->list[i]];
    call.list = s->n_list ? list : NULL;
    call.n_list = s->n_list;
    for (int i = 0; i < s->n_dst; i++) {
        if (s->written >> i & 1) call.dst[i] = t[s->dst[i]];
    }
    mascon_status status = mascon_invoke(&call);
    if (status != MASCON_OK) {
        name_path(s);
        return status;
    }
    for (int i = 0; i < call.n_dst; i++) t[s->dst[i]] = call.dst[i];
    for (int32_t i = 0; i < s->n_last; i++) {
        mascon_tensor_release(t[s->last[i]]);
        t[s->last[i]] = NULL;
    }
    return MASCON_OK;
}

/* The shapes of the outputs are what the model promises: a call that behaves otherwise for this batch
 * (squeeze) must not pass as a result. */
static mascon_status check_output(const masconI_port *p, const mascon_tensor *t) {
    char shape[160], want[192];
    int same = t->view.ndim == p->ndim && t->view.dtype == p->dtype;
    for (int d = 0; d < p->ndim && same; d++) {
        same = p->shape[d] == MASCON_MODEL_BATCH || p->shape[d] == t->view.shape[d];
    }
    if (same) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE, "output %s has shape %s for this batch; the model gives %s",
                        p->name, masconI_shape_text(t->view.ndim, t->view.shape, shape),
                        port_text(p, want));
}

static mascon_status run_all(const mascon_model *m, mascon_tensor *const *inputs,
                             mascon_tensor **outputs, mascon_tensor **t, mascon_tensor **list,
                             int64_t batch) {
    mascon_status status = MASCON_OK;
    for (int32_t i = 0; i < m->n_weights; i++) {
        t[m->weights[i].buffer] = m->weights[i].tensor;
        mascon_tensor_retain(m->weights[i].tensor);
    }
    for (int32_t i = 0; i < m->n_ports[MASCON_MODEL_INPUT]; i++) {
        t[m->ports[MASCON_MODEL_INPUT][i].buffer] = inputs[i];
        mascon_tensor_retain(inputs[i]);
    }
    for (int32_t i = 0; i < m->n_steps && status == MASCON_OK; i++) {
        status = run_step(m, &m->steps[i], t, list, batch);
    }
    int32_t n = m->n_ports[MASCON_MODEL_OUTPUT];
    const masconI_port *ports = m->ports[MASCON_MODEL_OUTPUT];
    for (int32_t i = 0; i < n && status == MASCON_OK; i++) {
        status = check_output(&ports[i], t[ports[i].buffer]);
    }
    for (int32_t i = 0; i < n && status == MASCON_OK; i++) {
        outputs[i] = t[ports[i].buffer];
        mascon_tensor_retain(outputs[i]);
    }
    for (int32_t i = 0; i < m->n_buffers; i++) mascon_tensor_release(t[i]);
    return status;
}

static mascon_status check_count(const char *what, int32_t given, int32_t count) {
    if (given == count) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "%d %s%s; the model has %d", given, what,
                        given == 1 ? "" : "s", count);
}

mascon_status mascon_model_run(const mascon_model *m, mascon_tensor *const *inputs,
                               int32_t n_inputs, mascon_tensor **outputs, int32_t n_outputs) {
    if (!m) return masconI_fail(MASCON_E_ARG, "the model is NULL");
    if (!inputs) return masconI_fail(MASCON_E_ARG, "inputs is NULL");
    if (!outputs) return masconI_fail(MASCON_E_ARG, "outputs is NULL");
    MASCON_TRY(check_count("input", n_inputs, m->n_ports[MASCON_MODEL_INPUT]));
    MASCON_TRY(check_count("output", n_outputs, m->n_ports[MASCON_MODEL_OUTPUT]));
    int64_t batch = -1;
    for (int32_t i = 0; i < n_inputs; i++) MASCON_TRY(check_input(m, i, inputs[i], &batch));
    int32_t most = 1;
    for (int32_t i = 0; i < m->n_steps; i++) {
        if (m->steps[i].n_list > most) most = m->steps[i].n_list;
    }
    size_t n = (size_t)m->n_buffers;
    mascon_tensor *some[256] = {NULL};
    mascon_tensor **t = n + (size_t)most <= 256 ? some : calloc(n + (size_t)most, sizeof *t);
    if (!t) return masconI_fail(MASCON_E_OOM, "no memory to run a model");
    mascon_status status = run_all(m, inputs, outputs, t, t + n, batch);
    if (t != some) free(t);
    return status;
}

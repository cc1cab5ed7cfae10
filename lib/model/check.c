/* check.c: what a program may be. Walks the calls in order with shapes alone, by the ops' own rules, for
 * a batch of 1 and one of 2 where the batch is free, and finds after which call a buffer is needed no
 * more.
 *
 * All shapes are taken as row-major here. So `view` is never refused by this walk; on memory that does
 * not allow it, it fails when it runs, as it would anywhere.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

/* The state of one walk. */
typedef struct walk {
    mascon_model *m;
    mascon_tensor **metas; /* by buffer: NULL where nothing has defined it yet */
    int32_t *root;         /* by buffer: whose memory it looks at */
    uint8_t *kind;         /* by buffer: MASCON_BUFFER_* */
    int64_t batch;
} walk;

const char *masconI_step_text(const mascon_model *m, int32_t step, char buffer[192]) {
    const masconI_step *s = &m->steps[step];
    char path[MASCON_IO_QUOTE];
    int n = snprintf(buffer, 192, "call %d (%s", step + 1, masconI_ops[s->op]->name);
    if (s->path) {
        masconI_quote(path, s->path, strlen(s->path));
        path[strlen(path) - 1] = 0; /* without its quotes */
        snprintf(buffer + n, 192 - (size_t)n, " in %s)", path + 1);
    } else {
        snprintf(buffer + n, 192 - (size_t)n, ")");
    }
    return buffer;
}

static mascon_status wrong(const mascon_model *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static mascon_status wrong(const mascon_model *m, const char *format, ...) {
    char text[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return masconI_io_fail(MASCON_E_FORMAT, m->file, MASCON_IO_NOWHERE, "saved model: %s", text);
}

static mascon_status wrong_step(const walk *w, int32_t step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static mascon_status wrong_step(const walk *w, int32_t step, const char *format, ...) {
    char text[512], where[192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return wrong(w->m, "%s: %s", masconI_step_text(w->m, step, where), text);
}

/* ---- Buffers ---- */

static mascon_status define(walk *w, int32_t buffer, int32_t kind, int32_t root,
                            const mascon_meta *meta) {
    int64_t numel;
    if (w->metas[buffer]) return wrong(w->m, "buffer %d is defined twice", buffer);
    MASCON_TRY(masconI_numel(meta->ndim, meta->shape, &numel));
    MASCON_TRY(masconI_tensor_meta(&w->metas[buffer], meta, MASCON_DEVICE_CPU));
    w->kind[buffer] = (uint8_t)kind;
    w->root[buffer] = root < 0 ? buffer : root;
    return MASCON_OK;
}

static mascon_status define_inputs(walk *w) {
    mascon_model *m = w->m;
    for (int32_t i = 0; i < m->n_ports[MASCON_MODEL_INPUT]; i++) {
        const masconI_port *p = &m->ports[MASCON_MODEL_INPUT][i];
        mascon_meta meta;
        masconI_meta(&meta, p->dtype, p->ndim, p->shape);
        for (int d = 0; d < p->ndim; d++) {
            if (meta.shape[d] != MASCON_MODEL_BATCH) continue;
            m->free_batch = 1;
            meta.shape[d] = w->batch;
        }
        MASCON_TRY(define(w, p->buffer, MASCON_BUFFER_INPUT, -1, &meta));
    }
    for (int32_t i = 0; i < m->n_weights; i++) {
        mascon_meta meta;
        masconI_like(&meta, &m->weights[i].tensor->view);
        if (m->weights[i].layout == MASCON_LAYOUT_NHWC && meta.ndim != 4) {
            return wrong(m, "a weight of %d dimensions cannot lie channels-last", meta.ndim);
        }
        MASCON_TRY(define(w, m->weights[i].buffer, MASCON_BUFFER_CONSTANT, -1, &meta));
    }
    return MASCON_OK;
}

/* ---- One call ---- */

static mascon_status check_kind(const walk *w, int32_t step) {
    const masconI_step *s = &w->m->steps[step];
    const mascon_op *op = masconI_ops[s->op];
    uint32_t never =
        MASCON_OPF_RANDOM | MASCON_OPF_NO_RECORD | MASCON_OPF_WRITES | MASCON_OPF_BACKWARD;
    if (op->flags & never || s->op == MASCON_OP_transfer) {
        return wrong_step(w, step, "this operation cannot be part of a saved model");
    }
    if (s->scaled && !w->m->free_batch) {
        return wrong_step(w, step, "an option follows the batch, but no input has a free one");
    }
    const masconI_signature *known = &masconI_signatures[s->op];
    if (s->n_src > known->n_inputs) {
        return wrong_step(w, step, "%d inputs; the operation takes %d", s->n_src, known->n_inputs);
    }
    return MASCON_OK;
}

static mascon_status check_use(const walk *w, int32_t step, int32_t buffer) {
    if (w->metas[buffer]) return MASCON_OK;
    return wrong_step(w, step, "buffer %d is used before it is made", buffer);
}

/* Fills the record of a call with what is known without running it. */
static mascon_status fill(const walk *w, int32_t step, mascon_call *call, mascon_tensor **list) {
    const masconI_step *s = &w->m->steps[step];
    const masconI_signature *known = &masconI_signatures[s->op];
    char name[32];
    masconI_call_init(call, s->op);
    call->n_src = s->n_src;
    for (int i = 0; i < s->n_src; i++) {
        if (s->src[i] < 0) continue;
        MASCON_TRY(check_use(w, step, s->src[i]));
        call->src[i] = w->metas[s->src[i]];
    }
    for (int i = 0; i < known->n_inputs; i++) {
        if (masconI_ops[s->op]->flags & MASCON_OPF_LIST || !(known->required >> i & 1)) continue;
        if (i < s->n_src && call->src[i]) continue;
        return wrong_step(w, step, "input %s is missing", masconI_input_name(s->op, i, name));
    }
    for (int32_t i = 0; i < s->n_list; i++) {
        MASCON_TRY(check_use(w, step, s->list[i]));
        list[i] = w->metas[s->list[i]];
    }
    call->list = list;
    call->n_list = s->n_list;
    if (masconI_ops[s->op]->flags & MASCON_OPF_LIST && !s->n_list) {
        return wrong_step(w, step, "the list of tensors is empty");
    }
    memcpy(call->attr, s->attr, sizeof call->attr);
    call->attr_set = s->attr_set;
    for (int slot = 0; slot < MASCON_MAX_ATTRS; slot++) {
        if (s->scaled >> slot & 1) call->attr[slot] *= (double)w->batch;
    }
    return masconI_fill_options(call);
}

/* Input i as it is after a conversion to dtype; owned in *made where it is another. */
static mascon_status convert(mascon_call *call, int i, int32_t dtype, mascon_tensor **made) {
    if (call->src[i]->view.dtype == dtype) return MASCON_OK;
    mascon_meta meta;
    masconI_like(&meta, &call->src[i]->view);
    meta.dtype = dtype;
    MASCON_TRY(masconI_tensor_meta(made, &meta, MASCON_DEVICE_CPU));
    call->src[i] = *made;
    return MASCON_OK;
}

/* What autocast will do to the inputs. */
static mascon_status autocast(const masconI_step *s, mascon_call *call, mascon_tensor **made) {
    const mascon_op *op = masconI_ops[s->op];
    int32_t dtype = op->flags & MASCON_CAST_ANY ? masconI_autocast_dtype(call) : -1;
    for (int i = 0; i < call->n_src && dtype >= 0; i++) {
        if (op->uncast >> i & 1 || !masconI_autocast_changes(call->src[i], dtype)) continue;
        MASCON_TRY(convert(call, i, dtype, &made[i]));
    }
    return MASCON_OK;
}

static mascon_status promote(const masconI_step *s, mascon_call *call, mascon_tensor *made[2]) {
    uint32_t flags = masconI_ops[s->op]->flags;
    if (!(flags & (MASCON_OPF_PROMOTE | MASCON_OPF_FLOAT)) || !call->src[0]) return MASCON_OK;
    mascon_tensor *x = call->src[0], *y = call->n_src > 1 ? call->src[1] : NULL;
    int pair = (flags & MASCON_OPF_PROMOTE) && y;
    int32_t dtype = pair ? masconI_promote(&x->view, &y->view) : x->view.dtype;
    if ((flags & MASCON_OPF_FLOAT) && !masconI_is_float(dtype)) dtype = MASCON_DTYPE_F32;
    if (s->written & 1 && s->n_src && s->dst[0] == s->src[0]) dtype = x->view.dtype;
    MASCON_TRY(convert(call, 0, dtype, &made[0]));
    return pair ? convert(call, 1, dtype, &made[1]) : MASCON_OK;
}

static mascon_status infer(const masconI_step *s, mascon_call *call, mascon_meta *out) {
    const mascon_op *op = masconI_ops[s->op];
    const mascon_tensor *first = call->n_list ? call->list[0] : call->src[0];
    if (first && !(op->dtypes >> first->view.dtype & 1)) {
        return masconI_fail(MASCON_E_DTYPE, "it does not take %s",
                            mascon_dtype_name(first->view.dtype));
    }
    call->n_dst = masconI_signatures[s->op].n_outputs;
    return op->infer(call, out);
}

static mascon_status check_output(walk *w, int32_t step, int k, const mascon_meta *out) {
    masconI_step *s = &w->m->steps[step];
    const mascon_op *op = masconI_ops[s->op];
    int32_t b = s->dst[k];
    if (!w->metas[b]) {
        int32_t root = op->flags & MASCON_OPF_VIEW && s->n_src ? w->root[s->src[0]] : -1;
        return define(w, b, MASCON_BUFFER_MADE, root, out);
    }
    s->written |= 1u << k;
    if (w->kind[w->root[b]] != MASCON_BUFFER_MADE) {
        return wrong_step(w, step, "it would change an input or a weight");
    }
    for (int i = 0; i < k; i++) {
        if (s->dst[i] == b) return wrong_step(w, step, "two outputs are buffer %d", b);
    }
    mascon_view want = {.ndim = out->ndim};
    memcpy(want.shape, out->shape, sizeof want.shape);
    if (op->flags & MASCON_OPF_VIEW || !masconI_same_shape(&want, &w->metas[b]->view) ||
        out->dtype != w->metas[b]->view.dtype) {
        return wrong_step(w, step, "the result does not fit into buffer %d", b);
    }
    return MASCON_OK;
}

/* Whether outputs are made twice is asked before they are defined. */
static mascon_status note_written(walk *w, int32_t step) {
    masconI_step *s = &w->m->steps[step];
    for (int k = 0; k < s->n_dst; k++) {
        if (w->metas[s->dst[k]]) s->written |= 1u << k;
        for (int i = 0; i < k; i++) {
            if (s->dst[i] == s->dst[k]) {
                return wrong_step(w, step, "two outputs are buffer %d", s->dst[k]);
            }
        }
    }
    return MASCON_OK;
}

static mascon_status walk_step(walk *w, int32_t step, mascon_tensor **list) {
    masconI_step *s = &w->m->steps[step];
    mascon_call call;
    mascon_meta out[MASCON_MAX_DST] = {{0}};
    mascon_tensor *cast[MASCON_MAX_SRC] = {NULL}, *made[2] = {NULL, NULL};
    MASCON_TRY(check_kind(w, step));
    MASCON_TRY(note_written(w, step));
    mascon_error *e = masconI_error();
    e->message[0] = 0;
    mascon_status status = fill(w, step, &call, list);
    if (status == MASCON_OK && s->flags) status = autocast(s, &call, cast);
    if (status == MASCON_OK) status = promote(s, &call, made);
    if (status == MASCON_OK) status = infer(s, &call, out);
    for (int i = 0; i < 2; i++) mascon_tensor_release(made[i]);
    for (int i = 0; i < MASCON_MAX_SRC; i++) mascon_tensor_release(cast[i]);
    if (status == MASCON_E_OOM) return status;
    if (status != MASCON_OK) {
        char message[400];
        snprintf(message, sizeof message, "%.399s", e->message);
        if (strstr(message, "saved model: ")) return status; /* it names the call already */
        return wrong_step(w, step, "%s", message);
    }
    if (call.n_dst != s->n_dst) {
        return wrong_step(w, step, "%d outputs; the operation has %d", s->n_dst, call.n_dst);
    }
    if (out[0].writes) return wrong_step(w, step, "it would change its inputs");
    for (int k = 0; k < s->n_dst; k++) {
        status = check_output(w, step, k, &out[k]);
        if (status == MASCON_E_SHAPE) { /* more than 2^62 elements */
            return wrong_step(w, step, "the result has more than 2^62 elements");
        }
        if (status != MASCON_OK) return status;
    }
    return MASCON_OK;
}

/* ---- The whole ---- */

static mascon_status check_results(const walk *w) {
    const mascon_model *m = w->m;
    for (int32_t i = 0; i < m->n_ports[MASCON_MODEL_OUTPUT]; i++) {
        const masconI_port *p = &m->ports[MASCON_MODEL_OUTPUT][i];
        const mascon_tensor *t = w->metas[p->buffer];
        if (!t || w->kind[w->root[p->buffer]] != MASCON_BUFFER_MADE) {
            return wrong(m, "output %d is buffer %d, which no call makes", i + 1, p->buffer);
        }
        int same = t->view.dtype == p->dtype && t->view.ndim == p->ndim;
        for (int d = 0; d < p->ndim && same; d++) {
            same = p->shape[d] == MASCON_MODEL_BATCH || p->shape[d] == t->view.shape[d];
        }
        if (!same) {
            return wrong(m,
                         "output %d has another shape or type than its call makes for a batch of "
                         "%lld",
                         i + 1, (long long)w->batch);
        }
    }
    return MASCON_OK;
}

static mascon_status walk_all(mascon_model *m, int64_t batch) {
    size_t n = (size_t)m->n_buffers + 1, most = 1;
    for (int32_t i = 0; i < m->n_steps; i++) {
        if ((size_t)m->steps[i].n_list > most) most = (size_t)m->steps[i].n_list;
    }
    walk w = {.m = m, .batch = batch};
    w.metas = calloc(n, sizeof(mascon_tensor *));
    w.root = calloc(n, sizeof *w.root);
    w.kind = calloc(n, 1);
    mascon_tensor **list = calloc(most, sizeof(mascon_tensor *));
    mascon_status status = w.metas && w.root && w.kind && list
                               ? define_inputs(&w)
                               : masconI_oom(m->file, n * sizeof(mascon_tensor *));
    for (int32_t i = 0; i < m->n_steps && status == MASCON_OK; i++) {
        m->steps[i].written = 0;
        status = walk_step(&w, i, list);
    }
    if (status == MASCON_OK) status = check_results(&w);
    for (size_t i = 0; w.metas && i < n; i++) mascon_tensor_release(w.metas[i]);
    free(w.metas);
    free(w.root);
    free(w.kind);
    free(list);
    return status;
}

/* ---- Liveness ---- */

/* Notes the last use of a buffer, walking backwards: a buffer not seen yet dies after this step. */
static void note_last(uint8_t *seen, int32_t buffer, int32_t *last, int32_t *n) {
    if (buffer < 0 || seen[buffer]) return;
    seen[buffer] = 1;
    last[(*n)++] = buffer;
}

static mascon_status find_last_uses(mascon_model *m) {
    uint8_t *seen = calloc((size_t)m->n_buffers + 1, 1);
    int32_t *last = calloc((size_t)m->n_buffers + 1, sizeof *last);
    mascon_status status = seen && last ? MASCON_OK : masconI_oom(m->file, (uint64_t)m->n_buffers);
    for (int kind = 0; kind < 2 && status == MASCON_OK; kind++) {
        for (int32_t i = 0; i < m->n_ports[kind]; i++) seen[m->ports[kind][i].buffer] = 1;
    }
    for (int32_t i = 0; i < m->n_weights && status == MASCON_OK; i++)
        seen[m->weights[i].buffer] = 1;
    for (int32_t i = m->n_steps - 1; i >= 0 && status == MASCON_OK; i--) {
        masconI_step *s = &m->steps[i];
        int32_t n = 0;
        for (int k = 0; k < s->n_dst; k++) note_last(seen, s->dst[k], last, &n);
        for (int k = 0; k < s->n_src; k++) note_last(seen, s->src[k], last, &n);
        for (int32_t k = 0; k < s->n_list; k++) note_last(seen, s->list[k], last, &n);
        if (n == 0) continue;
        s->last = masconI_arena_get(&m->arena, (uint64_t)n * sizeof *last);
        if (!s->last) status = mascon_last_error()->code;
        if (s->last) memcpy(s->last, last, (size_t)n * sizeof *last);
        s->n_last = n;
    }
    free(seen);
    free(last);
    return status;
}

mascon_status masconI_model_check(mascon_model *m) {
    MASCON_TRY(walk_all(m, 1));
    if (m->free_batch) MASCON_TRY(walk_all(m, 2));
    for (int32_t i = 0; i < m->n_steps; i++) {
        m->steps[i].device_slot = masconI_attr_find(m->steps[i].op, "device");
    }
    return find_last_uses(m);
}

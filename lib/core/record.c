/* record.c: recording calls while they run.
 *
 * Owns the recorder of each thread. While one is active, mascon_invoke comes through
 * masconI_recorder_invoke: the call runs as always, and once it has succeeded it is appended over
 * numbered buffers. Calls that a running call makes itself belong to it and are not recorded.
 *
 * Invariants
 *   - masconI_recordings counts active recorders of all threads; where it is 0, recording costs one
 *     look at that number
 *   - a buffer is defined (an input, a constant, or made) before an entry uses it
 *   - an entry writes only into memory that recorded calls have made
 */
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "mascon_program.h"

atomic_int masconI_recordings;

static _Thread_local mascon_recorder *current;

int masconI_recorder_active(void) { return current != NULL; }

/* ---- Tables ---- */

static mascon_status out_of_memory(void) {
    return masconI_fail(MASCON_E_OOM, "no memory for a recording");
}

mascon_status masconI_grow(void *table, int32_t n, int32_t *room, size_t size) {
    if (n < *room) return MASCON_OK;
    void *old, *grown;
    int32_t more = *room ? *room * 2 : 64;
    memcpy(&old, table, sizeof old);
    grown = realloc(old, (size_t)more * size);
    if (!grown) return out_of_memory();
    memcpy(table, &grown, sizeof grown);
    *room = more;
    return MASCON_OK;
}

static uint32_t start_of(const mascon_recorder *r, const mascon_tensor *t) {
    uint64_t h = (uint64_t)(uintptr_t)t * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32) & (uint32_t)(r->n_slots - 1);
}

static void put_slot(mascon_recorder *r, const mascon_tensor *t, int32_t buffer) {
    uint32_t i = start_of(r, t);
    while (r->slots[i]) i = (i + 1) & (uint32_t)(r->n_slots - 1);
    r->slots[i] = buffer + 1;
}

static int32_t known(const mascon_recorder *r, const mascon_tensor *t) {
    if (!r->n_slots) return -1;
    for (uint32_t i = start_of(r, t); r->slots[i]; i = (i + 1) & (uint32_t)(r->n_slots - 1)) {
        if (r->buffers[r->slots[i] - 1].tensor == t) return r->slots[i] - 1;
    }
    return -1;
}

static mascon_status widen_slots(mascon_recorder *r) {
    if (2 * (r->n_buffers + 1) < r->n_slots) return MASCON_OK;
    int32_t n = r->n_slots ? r->n_slots * 2 : 256;
    int32_t *slots = calloc((size_t)n, sizeof *slots);
    if (!slots) return out_of_memory();
    free(r->slots);
    r->slots = slots;
    r->n_slots = n;
    for (int32_t i = 0; i < r->n_buffers; i++) put_slot(r, r->buffers[i].tensor, i);
    return MASCON_OK;
}

static mascon_status add_buffer(mascon_recorder *r, mascon_tensor *t, int32_t kind, int32_t root,
                                const char *name, int32_t *out) {
    MASCON_TRY(masconI_grow(&r->buffers, r->n_buffers, &r->buffers_room, sizeof *r->buffers));
    MASCON_TRY(widen_slots(r));
    masconI_buffer b = {.tensor = t, .kind = kind, .storage = mascon_tensor_storage_id(t)};
    if (name) {
        b.name = strdup(name);
        if (!b.name) return out_of_memory();
    }
    masconI_like(&b.meta, &t->view);
    b.root = root < 0 ? r->n_buffers : root;
    mascon_tensor_retain(t);
    put_slot(r, t, r->n_buffers);
    *out = r->n_buffers;
    r->buffers[r->n_buffers++] = b;
    return MASCON_OK;
}

static int same_elements(const masconI_buffer *b, const mascon_tensor *t) {
    const mascon_view *v = &b->tensor->view, *w = &t->view;
    return v->dtype == w->dtype && v->data == w->data && masconI_same_shape(v, w) &&
           memcmp(v->stride, w->stride, sizeof(int64_t) * (size_t)v->ndim) == 0;
}

static mascon_status push(mascon_recorder *r, const masconI_entry *e) {
    MASCON_TRY(masconI_grow(&r->entries, r->n_entries, &r->entries_room, sizeof *r->entries));
    r->entries[r->n_entries++] = *e;
    return MASCON_OK;
}

/* Whether t was made while recording runs, by no operation: the host has asked for memory. */
static int is_fresh(const mascon_recorder *r, const mascon_tensor *t) {
    return t->storage && t->storage->id > r->first_storage && !t->storage->foreign && !t->alias;
}

/* Adds an entry that makes t's buffer from nothing (full, zeros) or from one other buffer (clone). */
static mascon_status add_maker(mascon_recorder *r, mascon_tensor *t, int32_t from, int32_t *out) {
    mascon_call call;
    masconI_call_init(&call, from < 0 ? MASCON_OP_full : MASCON_OP_clone);
    if (from < 0) {
        masconI_call_set_list(&call, "shape", t->view.ndim, t->view.shape);
        masconI_call_set(&call, "dtype", t->view.dtype);
    }
    masconI_entry e = {.op = call.op, .n_src = from >= 0, .n_dst = 1, .attr_set = call.attr_set};
    memcpy(e.attr, call.attr, sizeof e.attr);
    for (int i = 0; i < MASCON_MAX_SRC; i++) e.src[i] = -1;
    e.src[0] = from;
    MASCON_TRY(add_buffer(r, t, MASCON_BUFFER_MADE, -1, NULL, out));
    e.dst[0] = *out;
    return push(r, &e);
}

/* The buffer of a tensor that a call uses. One that was never seen is a constant, unless it is memory
 * that nobody has written yet, or looks at memory that the recording has made: then it stands for a view
 * that no call has made. */
static mascon_status buffer_of(mascon_recorder *r, mascon_tensor *t, int32_t *out) {
    *out = known(r, t);
    if (*out >= 0) return MASCON_OK;
    if (is_fresh(r, t) && mascon_tensor_version(t) == 0) return add_maker(r, t, -1, out);
    uint64_t storage = mascon_tensor_storage_id(t);
    int foreign = 0;
    for (int32_t i = 0; i < r->n_buffers; i++) {
        if (r->buffers[i].storage != storage || !storage) continue;
        if (same_elements(&r->buffers[i], t)) {
            *out = i;
            return MASCON_OK;
        }
        if (r->buffers[i].kind != MASCON_BUFFER_CONSTANT) foreign = 1;
    }
    if (foreign) {
        return masconI_fail(
            MASCON_E_STATE,
            "a tensor shares memory with one of the recording, but was not made by a "
            "recorded operation");
    }
    return add_buffer(r, t, MASCON_BUFFER_CONSTANT, -1, NULL, out);
}

/* ---- Entries ---- */

static mascon_status cannot(const char *what) {
    masconI_fail(MASCON_E_STATE, "%s cannot be recorded", what);
    return MASCON_E_STATE;
}

/* The buffer of a tensor that a call will write. What Lua has filled with values inside the recording is
 * copied first: the values are the constant, and every run changes a copy of them. */
static mascon_status target_of(mascon_recorder *r, mascon_tensor *t, int32_t *out) {
    if (known(r, t) >= 0 || !is_fresh(r, t) || mascon_tensor_version(t) == 0) {
        return buffer_of(r, t, out);
    }
    mascon_tensor *copy;
    int32_t constant;
    current = NULL; /* the copy is no part of the recording */
    mascon_status status = masconI_emit(MASCON_OP_clone, &copy, 1, &t, NULL);
    current = r;
    if (status != MASCON_OK) return status;
    status = add_buffer(r, copy, MASCON_BUFFER_CONSTANT, -1, NULL, &constant);
    mascon_tensor_release(copy);
    return status == MASCON_OK ? add_maker(r, t, constant, out) : status;
}

/* What no recording of a model can honour, seen before the call runs. */
static mascon_status check_before(mascon_recorder *r, const mascon_call *call) {
    const mascon_op *op = masconI_ops[call->op];
    if (op->flags & MASCON_OPF_RANDOM) {
        cannot("a random operation");
        return masconI_hint("model:eval()");
    }
    if (op->flags & MASCON_OPF_NO_RECORD) {
        return cannot("an operation whose result has a size that depends on values");
    }
    if (op->flags & MASCON_OPF_WRITES) return cannot("an optimizer's step");
    if (op->flags & MASCON_OPF_BACKWARD) return cannot("a gradient");
    if (call->op == MASCON_OP_transfer) return cannot("a move to another device");
    for (int i = 0; i < MASCON_MAX_DST; i++) {
        if (!call->dst[i]) continue;
        int32_t b;
        MASCON_TRY(target_of(r, call->dst[i], &b));
        const masconI_buffer *root = &r->buffers[r->buffers[b].root];
        if (root->kind == MASCON_BUFFER_MADE) continue;
        const char *kind = root->kind == MASCON_BUFFER_INPUT ? "an input" : "a constant";
        masconI_fail(MASCON_E_STATE, "an in-place change of %s%s%s%s cannot be recorded", kind,
                     root->name ? " (" : "", root->name ? root->name : "", root->name ? ")" : "");
        return masconI_hint("x:clone() first");
    }
    return MASCON_OK;
}

/* Inputs that the call wrote beside its outputs. */
static mascon_status check_written(const mascon_call *call, const int64_t *versions) {
    char name[32];
    for (int i = 0; i < call->n_src; i++) {
        const mascon_tensor *t = call->src[i];
        if (!t || t == call->dst[0] || mascon_tensor_version(t) == versions[i]) continue;
        if (call->dst[0] && t->storage == call->dst[0]->storage) continue;
        masconI_fail(MASCON_E_STATE, "it changes %s, which cannot be recorded",
                     masconI_input_name(call->op, i, name));
        return masconI_hint("model:eval()");
    }
    return MASCON_OK;
}

static mascon_status append(mascon_recorder *r, const mascon_call *call) {
    masconI_entry e = {.op = call->op, .n_src = call->n_src, .n_dst = call->n_dst};
    const mascon_op *op = masconI_ops[call->op];
    memcpy(e.attr, call->attr, sizeof e.attr);
    e.attr_set = call->attr_set;
    e.flags = call->flags & MASCON_CALL_AUTOCAST;
    for (int i = 0; i < MASCON_MAX_SRC; i++) e.src[i] = -1;
    for (int i = 0; i < call->n_src; i++) {
        if (call->src[i]) MASCON_TRY(buffer_of(r, call->src[i], &e.src[i]));
    }
    e.list = call->n_list ? calloc((size_t)call->n_list, sizeof *e.list) : NULL;
    e.path = r->path[0] ? strdup(r->path) : NULL;
    mascon_status status = MASCON_OK;
    if ((call->n_list && !e.list) || (r->path[0] && !e.path)) status = out_of_memory();
    for (int64_t i = 0; i < call->n_list && status == MASCON_OK; i++) {
        status = buffer_of(r, call->list[i], &e.list[i]);
    }
    e.n_list = call->n_list;
    for (int i = 0; i < call->n_dst && status == MASCON_OK; i++) {
        e.dst[i] = known(r, call->dst[i]);
        if (e.dst[i] >= 0) continue; /* in place */
        int32_t root = op->flags & MASCON_OPF_VIEW ? r->buffers[e.src[0]].root : -1;
        status = add_buffer(r, call->dst[i], MASCON_BUFFER_MADE, root, NULL, &e.dst[i]);
    }
    if (status == MASCON_OK) status = push(r, &e);
    if (status != MASCON_OK) {
        free(e.list);
        free(e.path);
    }
    return status;
}

mascon_status masconI_recorder_invoke(mascon_call *call) {
    mascon_recorder *r = current;
    if (!r || call->op < 0 || call->op >= MASCON_OP_COUNT || call->n_src < 0 ||
        call->n_src > MASCON_MAX_SRC) {
        mascon_status status = masconI_invoke_now(call);
        if (status == MASCON_OK) masconI_log_call(call);
        return status;
    }
    int64_t versions[MASCON_MAX_SRC] = {0};
    mascon_tensor *given[MASCON_MAX_DST];
    memcpy(given, call->dst, sizeof given);
    mascon_status status = check_before(r, call);
    if (status == MASCON_OK) {
        for (int i = 0; i < call->n_src; i++) {
            versions[i] = call->src[i] ? mascon_tensor_version(call->src[i]) : 0;
        }
        current = NULL;
        status = masconI_invoke_now(call);
        current = r;
        if (status != MASCON_OK) return status;
        status = check_written(call, versions);
        if (status == MASCON_OK) status = append(r, call);
        if (status == MASCON_OK) masconI_log_call(call);
    }
    if (status != MASCON_OK) {
        for (int i = 0; i < MASCON_MAX_DST; i++) {
            if (call->dst[i] != given[i]) mascon_tensor_release(call->dst[i]);
            call->dst[i] = given[i];
        }
        masconI_error_decorate(call);
    }
    return status;
}

/* Whether the values of a tensor were given or made in the recording, through whatever handle. */
static int depends_on_input(const mascon_recorder *r, const mascon_tensor *t) {
    int32_t b = known(r, t);
    if (b >= 0) return r->buffers[r->buffers[b].root].kind != MASCON_BUFFER_CONSTANT;
    uint64_t storage = mascon_tensor_storage_id(t);
    for (int32_t i = 0; i < r->n_buffers; i++) {
        if (r->buffers[i].storage == storage && r->buffers[i].kind != MASCON_BUFFER_CONSTANT) {
            return 1;
        }
    }
    return 0;
}

mascon_status masconI_recorder_refuse(const mascon_tensor *t, const char *what) {
    mascon_recorder *r = current;
    if (!r) return masconI_program_now() ? masconI_program_refuse(t, what, 0) : MASCON_OK;
    if (t && !depends_on_input(r, t)) return MASCON_OK;
    masconI_fail(MASCON_E_STATE, "%s cannot be recorded", what);
    return masconI_hint(
        "a saved model holds operations alone: keep Lua's decisions out of forward");
}

/* ---- Public ---- */

mascon_status mascon_recorder_begin(mascon_recorder **out) {
    if (!out) return masconI_fail(MASCON_E_ARG, "out is NULL");
    *out = NULL;
    MASCON_TRY(masconI_registry_check());
    if (mascon_program_active()) {
        return masconI_fail(MASCON_E_STATE, "another recording of this thread has not ended");
    }
    mascon_recorder *r = calloc(1, sizeof *r);
    if (!r) return out_of_memory();
    masconI_storage *mark;
    mascon_status status = masconI_storage_new(&mark, 1, MASCON_DEVICE_CPU);
    if (status != MASCON_OK) {
        free(r);
        return status;
    }
    r->first_storage = mark->id; /* later ones have larger numbers */
    masconI_storage_release(mark);
    r->active = 1;
    current = r;
    atomic_fetch_add(&masconI_recordings, 1);
    *out = r;
    return MASCON_OK;
}

void mascon_recorder_stop(mascon_recorder *r) {
    if (!r || !r->active) return;
    r->active = 0;
    if (current == r) current = NULL;
    atomic_fetch_sub(&masconI_recordings, 1);
}

void mascon_recorder_release(mascon_recorder *r) {
    if (!r) return;
    mascon_recorder_stop(r);
    for (int32_t i = 0; i < r->n_buffers; i++) {
        mascon_tensor_release(r->buffers[i].tensor);
        free(r->buffers[i].name);
    }
    for (int32_t i = 0; i < r->n_entries; i++) {
        free(r->entries[i].list);
        free(r->entries[i].path);
    }
    for (int32_t i = 0; i < r->n_results; i++) free(r->results[i].name);
    free(r->buffers);
    free(r->entries);
    free(r->results);
    free(r->slots);
    free(r);
}

static mascon_status check_arguments(const mascon_recorder *r, const char *name,
                                     const mascon_tensor *t) {
    if (!r) return masconI_fail(MASCON_E_ARG, "the recorder is NULL");
    if (!name || !name[0])
        return masconI_fail(MASCON_E_ARG, "the name is %s", name ? "empty" : "NULL");
    MASCON_TRY(masconI_tensor_alive(t));
    if (!r->active || current != r) {
        return masconI_fail(MASCON_E_STATE,
                            "this recording has ended or belongs to another thread");
    }
    return MASCON_OK;
}

mascon_status mascon_recorder_input(mascon_recorder *r, const char *name, mascon_tensor *t) {
    MASCON_TRY(check_arguments(r, name, t));
    if (r->n_entries)
        return masconI_fail(MASCON_E_STATE, "input %s comes after the first call", name);
    for (int32_t i = 0; i < r->n_buffers; i++) {
        if (strcmp(r->buffers[i].name, name) == 0) {
            return masconI_fail(MASCON_E_ARG, "two tensors have the name %s", name);
        }
        if (r->buffers[i].storage == mascon_tensor_storage_id(t)) {
            return masconI_fail(MASCON_E_ARG, "inputs %s and %s share memory", r->buffers[i].name,
                                name);
        }
    }
    int32_t b;
    return add_buffer(r, t, MASCON_BUFFER_INPUT, -1, name, &b);
}

mascon_status mascon_recorder_constant(mascon_recorder *r, const char *name, mascon_tensor *t) {
    MASCON_TRY(check_arguments(r, name, t));
    int32_t b;
    MASCON_TRY(buffer_of(r, t, &b));
    if (r->buffers[b].kind != MASCON_BUFFER_CONSTANT) {
        return masconI_fail(MASCON_E_ARG, "%s is an input or was made by a call", name);
    }
    if (r->buffers[b].name) return MASCON_OK; /* tied: the first name stays */
    r->buffers[b].name = strdup(name);
    return r->buffers[b].name ? MASCON_OK : out_of_memory();
}

mascon_status mascon_recorder_output(mascon_recorder *r, const char *name, mascon_tensor *t) {
    MASCON_TRY(check_arguments(r, name, t));
    for (int32_t i = 0; i < r->n_results; i++) {
        if (strcmp(r->results[i].name, name) == 0) {
            return masconI_fail(MASCON_E_ARG, "two outputs have the name %s", name);
        }
    }
    int32_t b;
    MASCON_TRY(buffer_of(r, t, &b));
    if (r->buffers[r->buffers[b].root].kind != MASCON_BUFFER_MADE) {
        /* what goes in, or a weight, must not come out: whoever gets an output may change it */
        mascon_tensor *copy;
        MASCON_TRY(masconI_emit(MASCON_OP_clone, &copy, 1, &t, NULL));
        b = known(r, copy);
        mascon_tensor_release(copy);
    }
    MASCON_TRY(masconI_grow(&r->results, r->n_results, &r->results_room, sizeof *r->results));
    char *copied = strdup(name);
    if (!copied) return out_of_memory();
    r->results[r->n_results++] = (masconI_result){copied, b};
    return MASCON_OK;
}

void mascon_recorder_path(mascon_recorder *r, const char *path) {
    if (!r) return;
    size_t n = path ? strlen(path) : 0;
    if (n >= sizeof r->path) n = sizeof r->path - 1;
    if (n) memcpy(r->path, path, n);
    r->path[n] = 0;
}

int32_t mascon_recorder_calls(const mascon_recorder *r) { return r ? r->n_entries : 0; }

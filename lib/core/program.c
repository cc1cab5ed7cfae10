/* program.c: recording the kernel runs of a thread as a program; replay.c runs them again.
 *
 * invoke.c has one place where a kernel runs: layout conversions, casts, gradients and optimizer steps
 * all pass through it. While a program is recorded, each run that succeeds there becomes a step with
 * its tensors as they finally were, so that a replay has nothing left to check, infer or convert.
 *
 * Invariants
 *   - a step owns headers of its own over the storages (a handle may be discarded or change); the
 *     references are counted in storage->recorded, and who asks whether a tensor is unique leaves them out
 *   - a storage that was made by a recorded run and that nobody but the recording holds any more gives its
 *     block back at once (masconI_program_shed): recording needs no more memory than running, and at
 *     the end exactly the storages without a block are temporary
 *   - a storage that Lua filled with values inside the recording is a constant; where a step writes it,
 *     a step before all others restores the values
 */
#include "core/program.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local mascon_program *current;

mascon_program *masconI_program_find(void) { return current && !current->paused ? current : NULL; }

uint64_t masconI_program_id(void) { return current ? current->id : 0; }

int32_t mascon_program_active(void) { return current || masconI_recorder_active(); }

static mascon_status out_of_memory(void) {
    return masconI_fail(MASCON_E_OOM, "no memory for a recording");
}

static mascon_status cannot(const char *what) {
    return masconI_fail(MASCON_E_STATE, "%s cannot be recorded", what);
}

/* ---- Hash tables of pointers: slots hold numbers + 1 ---- */

static uint32_t start_of(const void *pointer, int32_t n_slots) {
    uint64_t h = (uint64_t)(uintptr_t)pointer * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32) & (uint32_t)(n_slots - 1);
}

static const void *place_key(const mascon_program *p, int32_t i) { return p->places.at[i].storage; }
static const void *watch_key(const mascon_program *p, int32_t i) { return p->watched.at[i].t; }

typedef const void *(*key_of)(const mascon_program *p, int32_t i);

static int32_t find(const mascon_program *p, const int32_t *slots, int32_t n_slots, key_of key,
                    const void *pointer) {
    if (!n_slots) return -1;
    uint32_t mask = (uint32_t)(n_slots - 1);
    for (uint32_t i = start_of(pointer, n_slots); slots[i]; i = (i + 1) & mask) {
        if (key(p, slots[i] - 1) == pointer) return slots[i] - 1;
    }
    return -1;
}

static void put(int32_t *slots, int32_t n_slots, const void *pointer, int32_t number) {
    uint32_t i = start_of(pointer, n_slots);
    while (slots[i]) i = (i + 1) & (uint32_t)(n_slots - 1);
    slots[i] = number + 1;
}

/* Makes the table of n entries large enough for one more. */
static mascon_status widen(const mascon_program *p, int32_t **slots, int32_t *n_slots, int32_t n,
                           key_of key) {
    if (2 * (n + 1) < *n_slots) return MASCON_OK;
    int32_t room = *n_slots ? *n_slots * 2 : 256;
    int32_t *wider = calloc((size_t)room, sizeof *wider);
    if (!wider) return out_of_memory();
    for (int32_t i = 0; i < n; i++) put(wider, room, key(p, i), i);
    free(*slots);
    *slots = wider;
    *n_slots = room;
    return MASCON_OK;
}

/* ---- Places and headers ---- */

int32_t masconI_program_place(const mascon_program *p, const masconI_storage *s) {
    return find(p, p->slots, p->n_slots, place_key, s);
}

/* A reference of the recording's. */
static void count_reference(const mascon_program *p, masconI_storage *s) {
    if (s->program == p->id) atomic_fetch_add_explicit(&s->recorded, 1, memory_order_relaxed);
}

static mascon_status place_of(mascon_program *p, masconI_storage *s, int32_t *out) {
    *out = masconI_program_place(p, s);
    if (*out >= 0) return MASCON_OK;
    const int32_t n = p->places.n;
    MASCON_TRY(masconI_grow(&p->places.at, n, &p->places.room, sizeof *p->places.at));
    MASCON_TRY(widen(p, &p->slots, &p->n_slots, n, place_key));
    masconI_storage_retain(s);
    count_reference(p, s);
    p->places.at[n] = (masconI_place){.storage = s, .input = -1};
    put(p->slots, p->n_slots, s, n);
    p->places.n++;
    *out = n;
    return MASCON_OK;
}

/* A header of the program's own over t's memory. */
static mascon_status header_of(mascon_program *p, const mascon_tensor *t, mascon_tensor **out) {
    int32_t place;
    MASCON_TRY(masconI_grow(&p->headers.at, p->headers.n, &p->headers.room, sizeof *p->headers.at));
    MASCON_TRY(place_of(p, t->storage, &place));
    MASCON_TRY(masconI_tensor_alias(out, t));
    count_reference(p, t->storage);
    p->headers.at[p->headers.n++] = (masconI_header){*out, place};
    return MASCON_OK;
}

/* Remembers a tensor from before the recording, and whether it requires a gradient. */
static mascon_status watch(mascon_program *p, mascon_tensor *t) {
    if (t->storage->program == p->id || t->node || !masconI_is_float(t->view.dtype)) {
        return MASCON_OK;
    }
    if (find(p, p->watch_slots, p->n_watch_slots, watch_key, t) >= 0) return MASCON_OK;
    const int32_t n = p->watched.n;
    MASCON_TRY(masconI_grow(&p->watched.at, n, &p->watched.room, sizeof *p->watched.at));
    MASCON_TRY(widen(p, &p->watch_slots, &p->n_watch_slots, n, watch_key));
    mascon_tensor_retain(t);
    p->watched.at[n] = (masconI_watch){t, t->requires_grad};
    put(p->watch_slots, p->n_watch_slots, t, n);
    p->watched.n++;
    return MASCON_OK;
}

/* ---- Steps ---- */

/* Values that Lua has put into a storage inside the recording, before a step writes it: they are copied,
 * and a step that comes first restores them. */
static mascon_status restore_constant(mascon_program *p, const mascon_tensor *t) {
    masconI_storage *s = t->storage;
    mascon_tensor *bytes, *copy = NULL;
    mascon_meta meta;
    const int64_t size = (int64_t)s->bytes, stride = 1;
    masconI_meta(&meta, MASCON_DTYPE_U8, 1, &size);
    s->made = 1;
    MASCON_TRY(
        masconI_tensor_header(&bytes, s, &meta, t->view.device, MASCON_LAYOUT_STRIDED, &stride, 0));
    p->paused = 1;
    mascon_status status = masconI_emit(MASCON_OP_clone, &copy, 1, &bytes, NULL);
    p->paused = 0;
    if (status == MASCON_OK) {
        mascon_call call;
        const int32_t before = p->steps.n;
        masconI_call_init(&call, MASCON_OP_copy);
        call.n_src = 2;
        call.src[0] = call.dst[0] = bytes;
        call.src[1] = copy;
        status = mascon_invoke(&call);
        for (int32_t i = before; i < p->steps.n; i++) p->steps.at[i].early = 1;
        mascon_tensor_release(copy);
    }
    mascon_tensor_release(bytes);
    return status;
}

/* Whether a storage is an input's or the one that an input was copied from: a replay works with the latter
 * itself. */
static int is_input(const mascon_program *p, const masconI_storage *s) {
    for (int32_t i = 0; i < p->places.n && p->places.at[i].input >= 0; i++) {
        if (p->places.at[i].storage == s || p->places.at[i].source == s->id) return 1;
    }
    return 0;
}

/* A storage that the coming run writes. */
static mascon_status before_write(mascon_program *p, const mascon_tensor *t) {
    masconI_storage *s = t->storage;
    if (is_input(p, s)) {
        masconI_fail(MASCON_E_STATE, "an in-place change of an argument cannot be recorded");
        return masconI_hint("x:clone() first");
    }
    if (s->program == p->id && !s->made) {
        if (atomic_load_explicit(&s->version, memory_order_relaxed) > 0) {
            MASCON_TRY(restore_constant(p, t));
        }
        s->made = 1;
    }
    s->written_in = p->id;
    return MASCON_OK;
}

static mascon_status check_device(mascon_program *p, int32_t device) {
    if (p->device < 0) p->device = device;
    if (p->device == device) return MASCON_OK;
    char a[16], b[16];
    return masconI_fail(MASCON_E_STATE, "a recording runs on one device, not on %s and on %s",
                        masconI_device_text(p->device, a), masconI_device_text(device, b));
}

mascon_status masconI_program_before(mascon_program *p, const mascon_call *call, uint32_t writes) {
    const mascon_op *op = masconI_ops[call->op];
    if (call->op == MASCON_OP_transfer) return cannot("a move to another device");
    if (op->flags & MASCON_OPF_NO_RECORD) {
        return cannot("an operation whose result has a size that depends on values");
    }
    for (int i = 0; i < call->n_dst; i++) {
        MASCON_TRY(check_device(p, call->dst[i]->view.device));
        MASCON_TRY(before_write(p, call->dst[i]));
    }
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        MASCON_TRY(check_device(p, call->src[i]->view.device));
        if (writes >> i & 1) MASCON_TRY(before_write(p, call->src[i]));
        MASCON_TRY(watch(p, call->src[i]));
    }
    for (int64_t i = 0; i < call->n_list; i++) {
        MASCON_TRY(check_device(p, call->list[i]->view.device));
        if (op->flags & MASCON_OPF_WRITES) MASCON_TRY(before_write(p, call->list[i]));
        MASCON_TRY(watch(p, call->list[i]));
    }
    return MASCON_OK;
}

/* The program's header for a tensor of a call: the same for the same tensor within one call, because a
 * kernel may ask whether it works in place. */
static mascon_status own(mascon_program *p, const mascon_call *call, const mascon_call *step,
                         mascon_tensor *t, mascon_tensor **out) {
    *out = NULL;
    if (!t) return MASCON_OK;
    for (int i = 0; i < call->n_src; i++) {
        if (call->src[i] == t && step->src[i]) {
            *out = step->src[i];
            return MASCON_OK;
        }
    }
    return header_of(p, t, out);
}

static int32_t draw_of(const mascon_program *p, const uint64_t random[2]) {
    for (int32_t i = p->draws.n - 1; i >= 0; i--) {
        if (memcmp(p->draws.at[i].random, random, sizeof p->draws.at[i].random) == 0) return i;
    }
    return -1;
}

mascon_status masconI_program_append(mascon_program *p, const mascon_kernel *kernel,
                                     const mascon_call *call, uint32_t writes, size_t workspace,
                                     const char *name) {
    masconI_step step = {.kernel = kernel,
                         .name = name,
                         .call = *call,
                         .workspace = workspace,
                         .writes = writes,
                         .draw = draw_of(p, call->random)};
    mascon_call *own_call = &step.call;
    memset(own_call->src, 0, sizeof own_call->src);
    memset(own_call->dst, 0, sizeof own_call->dst);
    own_call->list = NULL;
    own_call->generator = NULL;
    own_call->gc_debt = 0;
    MASCON_TRY(masconI_grow(&p->steps.at, p->steps.n, &p->steps.room, sizeof *p->steps.at));
    for (int i = 0; i < call->n_src; i++) {
        MASCON_TRY(own(p, call, own_call, call->src[i], &own_call->src[i]));
    }
    for (int i = 0; i < call->n_dst; i++) {
        MASCON_TRY(own(p, call, own_call, call->dst[i], &own_call->dst[i]));
    }
    if (call->n_list) {
        mascon_tensor **list = calloc((size_t)call->n_list, sizeof *list);
        if (!list) return out_of_memory();
        for (int64_t i = 0; i < call->n_list; i++) {
            mascon_status status = header_of(p, call->list[i], &list[i]);
            if (status == MASCON_OK) continue;
            free(list);
            return status;
        }
        own_call->list = list;
    }
    p->steps.at[p->steps.n++] = step;
    return MASCON_OK;
}

void masconI_program_draw(mascon_generator *g, const uint64_t random[2]) {
    mascon_program *p = current;
    if (masconI_grow(&p->draws.at, p->draws.n, &p->draws.room, sizeof *p->draws.at) != MASCON_OK) {
        p->broken = 1; /* mascon_program_end says so */
        return;
    }
    p->draws.at[p->draws.n++] = (masconI_draw){g, {random[0], random[1]}};
}

/* ---- Gradients ---- */

mascon_status masconI_program_leaf(mascon_tensor *leaf, int reads) {
    mascon_program *p = current;
    if (leaf->storage && leaf->storage->program == p->id) return MASCON_OK;
    for (int32_t i = 0; i < p->leaves.n; i++) {
        if (p->leaves.at[i].leaf == leaf) return MASCON_OK;
    }
    MASCON_TRY(masconI_grow(&p->leaves.at, p->leaves.n, &p->leaves.room, sizeof *p->leaves.at));
    masconI_leaf entry = {.leaf = leaf, .matters = (uint8_t)reads};
    mascon_tensor_retain(leaf);
    if (reads && leaf->grad) {
        entry.start = leaf->grad;
        mascon_tensor_retain(entry.start);
    }
    p->leaves.at[p->leaves.n++] = entry;
    return MASCON_OK;
}

mascon_status masconI_program_node(const masconI_node *node) {
    if (node->sequence > current->first_node) return MASCON_OK;
    return cannot("a backward through operations from before the recording");
}

/* ---- What the host may not do ---- */

mascon_status masconI_program_refuse(const mascon_tensor *t, const char *what, int writing) {
    const mascon_program *p = current;
    if (t && t->storage) {
        const masconI_storage *s = t->storage;
        const int32_t place = masconI_program_place(p, s);
        int refused = s->written_in == p->id || (place >= 0 && p->places.at[place].input >= 0);
        if (writing && s->program != p->id) refused = 1;
        if (!refused) return MASCON_OK;
    }
    cannot(what);
    return masconI_hint(writing ? "x:copy_(y) and x:fill_(v) can be recorded"
                                : "return the tensor and read it outside of the compiled function");
}

void masconI_program_shed(masconI_storage *s) {
    if (!current || s->program != current->id || !s->made || !s->data) return;
    masconI_free(s->device, s->data, s->bytes);
    s->data = NULL;
}

/* ---- Public ---- */

mascon_status mascon_program_begin(mascon_program **out) {
    MASCON_NEED(out);
    *out = NULL;
    MASCON_TRY(masconI_registry_check());
    if (mascon_program_active()) {
        return masconI_fail(MASCON_E_STATE, "another recording of this thread has not ended");
    }
    mascon_program *p = calloc(1, sizeof *p);
    if (!p) return out_of_memory();
    p->id = p->first_node = masconI_next_id();
    p->device = -1;
    p->active = 1;
    for (int i = 0; i < MASCON_SETTING_COUNT; i++) p->settings[i] = mascon_setting(i);
    p->threads = mascon_num_threads();
    current = p;
    atomic_fetch_add(&masconI_recordings, 1);
    *out = p;
    return MASCON_OK;
}

static mascon_status check_active(const mascon_program *p) {
    if (p->active && current == p) return MASCON_OK;
    return masconI_fail(MASCON_E_STATE, "this recording has ended or belongs to another thread");
}

/* A header over the bytes that the elements of t span, from the first to the last. */
static mascon_status span_of(const mascon_tensor *t, mascon_tensor **out) {
    mascon_meta meta;
    int64_t bytes = t->view.numel > 0, stride = 1;
    const int64_t size = mascon_dtype_size(t->view.dtype);
    for (int d = 0; d < t->view.ndim && bytes; d++) {
        bytes += (t->view.shape[d] - 1) * t->view.stride[d];
    }
    bytes *= size;
    masconI_meta(&meta, MASCON_DTYPE_U8, 1, &bytes);
    return masconI_tensor_header(out, t->storage, &meta, t->view.device, MASCON_LAYOUT_STRIDED,
                                 &stride, t->offset * size);
}

mascon_status masconI_program_copy_span(mascon_tensor *to, const mascon_tensor *from) {
    mascon_call call;
    mascon_tensor *x, *y;
    MASCON_TRY(span_of(to, &y));
    mascon_status status = span_of(from, &x);
    if (status == MASCON_OK) {
        masconI_call_init(&call, MASCON_OP_copy);
        call.n_src = 2;
        call.src[0] = call.dst[0] = y;
        call.src[1] = x;
        status = mascon_invoke(&call);
        mascon_tensor_release(x);
    }
    mascon_tensor_release(y);
    return status;
}

int masconI_program_shift(const mascon_view *v) {
    return (int)((uintptr_t)v->data % MASCON_SHIFTS);
}

/* A copy of t with its very strides, in memory of its own: kernels may sum in the order of memory, and
 * in another order where they cannot load many elements at once. */
static mascon_status stand_in(const mascon_tensor *t, mascon_tensor **out) {
    mascon_meta meta;
    mascon_tensor *span;
    masconI_storage *storage;
    MASCON_TRY(span_of(t, &span));
    const int64_t shift = masconI_program_shift(&t->view) / mascon_dtype_size(t->view.dtype);
    const size_t bytes = (size_t)span->view.numel + MASCON_SHIFTS;
    mascon_tensor_release(span);
    MASCON_TRY(masconI_storage_new(&storage, bytes, t->view.device));
    masconI_like(&meta, &t->view);
    mascon_status status = masconI_tensor_header(out, storage, &meta, t->view.device,
                                                 t->view.layout, t->view.stride, shift);
    masconI_storage_release(storage);
    MASCON_TRY(status);
    status = masconI_program_copy_span(*out, t);
    if (status != MASCON_OK) mascon_tensor_release(*out);
    return status;
}

mascon_status mascon_program_input(mascon_program *p, mascon_tensor *t, mascon_tensor **own_input) {
    MASCON_NEED(p);
    MASCON_NEED(own_input);
    MASCON_TRY(check_active(p));
    MASCON_TRY(masconI_tensor_alive(t));
    if (p->steps.n) return masconI_fail(MASCON_E_STATE, "an input comes after the first operation");
    MASCON_TRY(check_device(p, t->view.device));
    MASCON_TRY(masconI_grow(&p->inputs.at, p->inputs.n, &p->inputs.room, sizeof *p->inputs.at));
    mascon_tensor *copy, *header;
    p->paused = 1;
    mascon_status status = stand_in(t, &copy);
    p->paused = 0;
    MASCON_TRY(status);
    status = header_of(p, copy, &header);
    if (status != MASCON_OK) {
        mascon_tensor_release(copy);
        return status;
    }
    masconI_place *place = &p->places.at[p->headers.at[p->headers.n - 1].place];
    place->input = p->inputs.n;
    place->source = t->storage->id;
    p->inputs.at[p->inputs.n++] = header;
    *own_input = copy;
    return MASCON_OK;
}

mascon_status mascon_program_output(mascon_program *p, mascon_tensor *t, mascon_tensor **copy) {
    MASCON_NEED(p);
    MASCON_NEED(copy);
    MASCON_TRY(check_active(p));
    MASCON_TRY(masconI_tensor_alive(t));
    MASCON_TRY(check_device(p, t->view.device));
    if (t->node && !t->node->freed) {
        masconI_fail(MASCON_E_STATE,
                     "output %d takes part in a graph, which a compiled function cannot return",
                     p->outputs.n + 1);
        return masconI_hint(
            "call backward inside the function, return y:detach(), or run it inside "
            "mascon.no_grad");
    }
    mascon_tensor *header;
    MASCON_TRY(masconI_grow(&p->outputs.at, p->outputs.n, &p->outputs.room, sizeof *p->outputs.at));
    MASCON_TRY(header_of(p, t, &header));
    p->paused = 1;
    mascon_status status = masconI_emit(MASCON_OP_clone, copy, 1, &header, NULL);
    p->paused = 0;
    MASCON_TRY(status);
    p->outputs.at[p->outputs.n++] = p->headers.n - 1;
    return MASCON_OK;
}

void mascon_program_pause(mascon_program *p, int32_t on) {
    if (p) p->paused = on != 0;
}

int32_t mascon_program_steps(const mascon_program *p) { return p ? p->steps.n : 0; }

int32_t mascon_program_uses(const mascon_program *p, const mascon_tensor *t) {
    if (!p || !t || !t->storage || t->storage->program == p->id) return 0;
    return masconI_program_place(p, t->storage) >= 0;
}

void masconI_program_stop(mascon_program *p) {
    if (!p->active) return;
    p->active = 0;
    if (current == p) current = NULL;
    atomic_fetch_sub(&masconI_recordings, 1);
    for (int32_t i = 0; i < p->places.n; i++) {
        masconI_storage *s = p->places.at[i].storage;
        if (s->program == p->id) atomic_store_explicit(&s->recorded, 0, memory_order_relaxed);
    }
}

void mascon_program_release(mascon_program *p) {
    if (!p) return;
    masconI_program_stop(p);
    if (p->graph) p->backend->forget(p->device, p->graph);
    for (int32_t i = 0; i < p->headers.n; i++) mascon_tensor_release(p->headers.at[i].t);
    for (int32_t i = 0; i < p->places.n; i++) masconI_storage_release(p->places.at[i].storage);
    for (int32_t i = 0; i < p->steps.n; i++) free(p->steps.at[i].call.list);
    for (int32_t i = 0; i < p->watched.n; i++) mascon_tensor_release(p->watched.at[i].t);
    for (int32_t i = 0; i < p->leaves.n; i++) {
        mascon_tensor_release(p->leaves.at[i].leaf);
        mascon_tensor_release(p->leaves.at[i].start);
        mascon_tensor_release(p->leaves.at[i].end);
    }
    masconI_storage_release(p->arena);
    masconI_storage_release(p->live);
    void *const blocks[] = {p->steps.at,  p->places.at,   p->headers.at, p->draws.at,
                            p->leaves.at, p->watched.at,  p->inputs.at,  p->outputs.at,
                            p->slots,     p->watch_slots, p->order,      p->words};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) free(blocks[i]);
    free(p);
}

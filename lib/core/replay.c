/* replay.c: preparing recorded programs and running them again.
 *
 * At the end of a recording the steps whose results nobody uses are dropped, and the temporary storages
 * (program.c) get their places in one block, the arena: two of them may share memory where their
 * times do not meet. Each storage keeps its identity and its count of versions, so what kernels keep of a
 * tensor (packed weights) is found, or made anew, as in an ordinary run.
 *
 * A replay puts the inputs in place, draws the random numbers, runs the steps in their order, or on a
 * device with graphs the one graph that was captured, copies the outputs into new tensors and
 * gives the leaves their gradients.
 */
#include <stdlib.h>
#include <string.h>

#include "core/program.h"

enum { ALIGNMENT = 256 }; /* libraries choose by it: as tensors of their own lie */

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

static mascon_status out_of_memory(void) {
    return masconI_fail(MASCON_E_OOM, "no memory to prepare a replay");
}

/* ---- Which steps are needed ---- */

typedef void (*touch)(mascon_program *p, const mascon_tensor *t, int32_t position);

static masconI_place *place_of(mascon_program *p, const mascon_tensor *t) {
    return &p->places.at[masconI_program_place(p, t->storage)];
}

/* Calls f for the tensors of a step, those that it reads or those that it writes. */
static void each_tensor(mascon_program *p, const masconI_step *step, int writes, touch f,
                        int32_t position) {
    const mascon_call *call = &step->call;
    for (int i = 0; i < call->n_dst && writes; i++) f(p, call->dst[i], position);
    for (int i = 0; i < call->n_src; i++) {
        if (call->src[i] && (!writes || step->writes >> i & 1)) f(p, call->src[i], position);
    }
    if (writes && !(masconI_ops[call->op]->flags & MASCON_OPF_WRITES)) return;
    for (int64_t i = 0; i < call->n_list; i++) f(p, call->list[i], position);
}

static void want(mascon_program *p, const mascon_tensor *t, int32_t position) {
    (void)position;
    place_of(p, t)->wanted = 1;
}

static void note_written(mascon_program *p, const mascon_tensor *t, int32_t position) {
    (void)position;
    place_of(p, t)->written = 1;
}

static int writes_wanted(mascon_program *p, const masconI_step *step) {
    const mascon_call *call = &step->call;
    for (int i = 0; i < call->n_dst; i++) {
        if (place_of(p, call->dst[i])->wanted) return 1;
    }
    for (int i = 0; i < call->n_src; i++) {
        if (step->writes >> i & 1 && place_of(p, call->src[i])->wanted) return 1;
    }
    if (!(masconI_ops[call->op]->flags & MASCON_OPF_WRITES)) return 0;
    for (int64_t i = 0; i < call->n_list; i++) {
        if (place_of(p, call->list[i])->wanted) return 1;
    }
    return 0;
}

/* Everything that outlives a replay is wanted, and what a needed step reads. */
static void find_needed(mascon_program *p) {
    for (int32_t i = 0; i < p->places.n; i++) {
        masconI_place *place = &p->places.at[i];
        place->temporary = place->storage->program == p->id && place->storage->made &&
                           !place->storage->data && place->storage->bytes > 0;
        place->wanted = !place->temporary;
    }
    for (int32_t i = 0; i < p->outputs.n; i++) {
        want(p, p->headers.at[p->outputs.at[i]].t, 0);
    }
    for (int early = 0; early <= 1; early++) { /* backwards: those that come first at last */
        for (int32_t i = p->steps.n - 1; i >= 0; i--) {
            masconI_step *step = &p->steps.at[i];
            if (step->early != early || !writes_wanted(p, step)) continue;
            step->needed = 1;
            each_tensor(p, step, 0, want, 0);
            each_tensor(p, step, 1, want, 0);
            each_tensor(p, step, 1, note_written, 0);
        }
    }
}

static mascon_status put_in_order(mascon_program *p) {
    p->order = malloc((size_t)(p->steps.n + 1) * sizeof *p->order);
    if (!p->order) return out_of_memory();
    for (int early = 1; early >= 0; early--) {
        for (int32_t i = 0; i < p->steps.n; i++) {
            const masconI_step *step = &p->steps.at[i];
            if (step->needed && step->early == early) p->order[p->n_order++] = i;
        }
    }
    return MASCON_OK;
}

/* ---- The arena ---- */

static void note_time(mascon_program *p, const mascon_tensor *t, int32_t position) {
    masconI_place *place = place_of(p, t);
    if (position < place->first) place->first = position;
    if (position > place->last) place->last = position;
}

static void find_times(mascon_program *p) {
    for (int32_t i = 0; i < p->places.n; i++) {
        p->places.at[i].first = INT32_MAX;
        p->places.at[i].last = -1;
    }
    for (int32_t k = 0; k < p->n_order; k++) {
        const masconI_step *step = &p->steps.at[p->order[k]];
        each_tensor(p, step, 0, note_time, k);
        each_tensor(p, step, 1, note_time, k);
    }
    for (int32_t i = 0; i < p->outputs.n; i++) {
        note_time(p, p->headers.at[p->outputs.at[i]].t, p->n_order);
    }
}

static int largest_first(const void *a, const void *b) {
    const masconI_place *x = *(masconI_place *const *)a, *y = *(masconI_place *const *)b;
    if (x->storage->bytes != y->storage->bytes) {
        return x->storage->bytes < y->storage->bytes ? 1 : -1;
    }
    return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : (x > y) - (x < y);
}

/* The lowest offset at which a place fits among the n placed ones, which are sorted by offset, with the
 * number of those before it in *at. */
static size_t first_gap(masconI_place *const *placed, int32_t n, const masconI_place *place,
                        int32_t *at) {
    const size_t bytes = aligned(place->storage->bytes);
    size_t offset = 0;
    for (int32_t i = 0; i < n; i++) {
        const masconI_place *other = placed[i];
        if (other->last < place->first || other->first > place->last) continue;
        if (other->offset >= offset + bytes) break;
        const size_t end = other->offset + aligned(other->storage->bytes);
        if (end > offset) offset = end;
    }
    for (*at = 0; *at < n && placed[*at]->offset < offset;) ++*at;
    return offset;
}

/* Offsets for the temporary storages that needed steps use. */
static mascon_status plan_arena(mascon_program *p) {
    masconI_place **list = malloc((size_t)(p->places.n + 1) * 2 * sizeof(masconI_place *)),
                  **placed;
    int32_t n = 0;
    if (!list) return out_of_memory();
    placed = list + p->places.n + 1;
    for (int32_t i = 0; i < p->places.n; i++) {
        masconI_place *place = &p->places.at[i];
        if (place->temporary && place->last >= 0) list[n++] = place;
    }
    qsort(list, (size_t)n, sizeof(masconI_place *), largest_first);
    for (int32_t i = 0; i < n; i++) {
        int32_t at;
        masconI_place *place = list[i];
        place->offset = first_gap(placed, i, place, &at);
        memmove(placed + at + 1, placed + at, (size_t)(i - at) * sizeof(masconI_place *));
        placed[at] = place;
        const size_t bytes = aligned(place->storage->bytes);
        p->temporary_bytes += bytes;
        if (place->offset + bytes > p->arena_bytes) p->arena_bytes = place->offset + bytes;
    }
    free(list);
    return MASCON_OK;
}

static void set_data(const masconI_header *header, void *data) {
    mascon_tensor *t = header->t;
    const size_t skip = (size_t)t->offset * (size_t)mascon_dtype_size(t->view.dtype);
    t->view.data = data ? (char *)data + skip : NULL;
}

/* Makes the block, behind the temporary storages with room for the largest workspace, and puts the storages
 * and all headers over them there. */
static mascon_status make_arena(mascon_program *p) {
    size_t workspace = 0;
    for (int32_t k = 0; k < p->n_order; k++) {
        const masconI_step *step = &p->steps.at[p->order[k]];
        if (step->workspace > workspace) workspace = step->workspace;
    }
    p->workspace_at = p->arena_bytes;
    p->arena_bytes += aligned(workspace);
    if (p->arena_bytes) {
        MASCON_TRY(masconI_storage_new(&p->arena, p->arena_bytes, p->device));
    }
    for (int32_t i = 0; i < p->places.n; i++) {
        masconI_place *place = &p->places.at[i];
        if (!place->temporary || place->last < 0) continue;
        masconI_storage_retain(p->arena);
        place->storage->arena = p->arena;
        place->storage->data = (char *)p->arena->data + place->offset;
    }
    for (int32_t i = 0; i < p->headers.n; i++) {
        const masconI_header *header = &p->headers.at[i];
        if (!p->places.at[header->place].temporary) continue;
        set_data(header, p->places.at[header->place].storage->data);
    }
    return MASCON_OK;
}

/* ---- Running steps ---- */

static void bump(mascon_program *p, const mascon_tensor *t, int32_t op) {
    (void)p;
    atomic_fetch_add_explicit(&t->storage->version, 1, memory_order_relaxed);
    t->storage->writer = op;
}

static void note_writes(mascon_program *p, const masconI_step *step) {
    each_tensor(p, step, 1, bump, step->call.op);
}

static mascon_status run_step(mascon_program *p, masconI_step *step, const void *live) {
    mascon_exec exec = {.live = live};
    mascon_call *call = &step->call;
    if (step->workspace) exec.workspace = (char *)p->arena->data + p->workspace_at;
    const mascon_backend *backend = p->backend;
    mascon_status status = backend->begin ? backend->begin(p->device, call, &exec) : MASCON_OK;
    if (status == MASCON_OK) {
        status = step->kernel->run(call, &exec);
        if (backend->end) status = backend->end(p->device, call, status);
    }
    if (status != MASCON_OK) masconI_error_decorate(call);
    return status;
}

static void take_draws(mascon_program *p) {
    for (int32_t i = 0; i < p->draws.n; i++) {
        mascon_generator_next(p->draws.at[i].generator, p->draws.at[i].random);
    }
    for (int32_t k = 0; k < p->n_order && p->draws.n; k++) {
        masconI_step *step = &p->steps.at[p->order[k]];
        if (step->draw < 0) continue;
        memcpy(step->call.random, p->draws.at[step->draw].random, sizeof step->call.random);
    }
}

static mascon_status run_steps(mascon_program *p) {
    for (int32_t k = 0; k < p->n_order; k++) {
        masconI_step *step = &p->steps.at[p->order[k]];
        if (mascon_interrupted()) return masconI_fail(MASCON_E_INTERRUPTED, "interrupted");
        const int profiling = atomic_load_explicit(&masconI_profiling, memory_order_relaxed);
        const int64_t begun = profiling ? mascon_now() : 0;
        MASCON_TRY(run_step(p, step, NULL));
        note_writes(p, step);
        if (profiling) masconI_profile_add(step->call.op, mascon_now() - begun, 0, step->name);
        masconI_log_call(&step->call);
    }
    return MASCON_OK;
}

/* ---- Graphs of a device ---- */

static int has_live_option(int32_t op) {
    for (int i = 0; i < masconI_ops[op]->n_attrs; i++) {
        if (masconI_ops[op]->attrs[i].kind == MASCON_LIVE) return 1;
    }
    return 0;
}

/* Room for the words of the steps that have some. */
static mascon_status plan_live(mascon_program *p) {
    unsigned char words[MASCON_LIVE_BYTES];
    for (int32_t k = 0; k < p->n_order; k++) {
        masconI_step *step = &p->steps.at[p->order[k]];
        const mascon_op *op = masconI_ops[step->call.op];
        if (step->kernel->live) {
            step->live_at = p->words_bytes;
            step->live_bytes = (uint32_t)step->kernel->live(&step->call, words);
            p->words_bytes += (step->live_bytes + 15u) & ~15u;
        } else if (op->flags & MASCON_OPF_RANDOM || has_live_option(step->call.op)) {
            masconI_fail(MASCON_E_UNSUPPORTED,
                         "its kernel cannot be a part of a graph of the device");
            masconI_error_decorate(&step->call);
            return MASCON_E_UNSUPPORTED;
        }
    }
    if (!p->words_bytes) return MASCON_OK;
    p->words = calloc(p->words_bytes, 1);
    if (!p->words) return out_of_memory();
    return masconI_storage_new(&p->live, p->words_bytes, p->device);
}

static mascon_status capture_steps(void *context) {
    mascon_program *p = context;
    for (int32_t k = 0; k < p->n_order; k++) {
        masconI_step *step = &p->steps.at[p->order[k]];
        const void *live = step->live_bytes ? (char *)p->live->data + step->live_at : NULL;
        MASCON_TRY(run_step(p, step, live));
    }
    return MASCON_OK;
}

static mascon_status replay_graph(mascon_program *p) {
    if (mascon_interrupted()) return masconI_fail(MASCON_E_INTERRUPTED, "interrupted");
    for (int32_t k = 0; k < p->n_order; k++) {
        const masconI_step *step = &p->steps.at[p->order[k]];
        if (step->live_bytes) step->kernel->live(&step->call, p->words + step->live_at);
    }
    MASCON_TRY(p->backend->replay(p->device, p->graph, p->live ? p->live->data : NULL, p->words,
                                  p->words_bytes));
    for (int32_t k = 0; k < p->n_order; k++) note_writes(p, &p->steps.at[p->order[k]]);
    return MASCON_OK;
}

/* ---- Inputs and outputs ---- */

static mascon_status copy(mascon_tensor *to, mascon_tensor *from) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_copy);
    call.n_src = 2;
    call.src[0] = call.dst[0] = to;
    call.src[1] = from;
    return mascon_invoke(&call);
}

/* Lets the headers of input i look at `data`. */
static void point_input(mascon_program *p, int32_t i, void *data) {
    for (int32_t k = 0; k < p->headers.n; k++) {
        if (p->places.at[p->headers.at[k].place].input == i) set_data(&p->headers.at[k], data);
    }
}

static mascon_status put_inputs(mascon_program *p, mascon_tensor *const *inputs) {
    for (int32_t i = 0; i < p->inputs.n; i++) {
        mascon_tensor *own = p->inputs.at[i], *t = inputs[i];
        if (p->graph) {
            MASCON_TRY(masconI_program_copy_span(own, t));
            continue;
        }
        const int64_t skip = own->offset * mascon_dtype_size(own->view.dtype);
        point_input(p, i, (char *)t->view.data - skip);
        atomic_fetch_add_explicit(&own->storage->version, 1, memory_order_relaxed);
    }
    return MASCON_OK;
}

static void take_inputs_back(mascon_program *p) {
    for (int32_t i = 0; i < p->inputs.n && !p->graph; i++) {
        point_input(p, i, p->inputs.at[i]->storage->data);
    }
}

static void drop_outputs(mascon_tensor **outputs, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        mascon_tensor_release(outputs[i]);
        outputs[i] = NULL;
    }
}

/* Before anything runs: missing memory then leaves everything as it was. */
static mascon_status make_outputs(mascon_program *p, mascon_tensor **outputs) {
    for (int32_t i = 0; i < p->outputs.n; i++) {
        const mascon_view *v = &p->headers.at[p->outputs.at[i]].t->view;
        mascon_meta meta;
        masconI_like(&meta, v);
        mascon_status status = masconI_tensor_dense(&outputs[i], &meta, v->device, v->layout);
        if (status == MASCON_OK) continue;
        drop_outputs(outputs, i);
        return status;
    }
    return MASCON_OK;
}

static mascon_status fill_outputs(mascon_program *p, mascon_tensor **outputs) {
    for (int32_t i = 0; i < p->outputs.n; i++) {
        MASCON_TRY(copy(outputs[i], p->headers.at[p->outputs.at[i]].t));
    }
    return MASCON_OK;
}

/* ---- Public ---- */

static int is_watched(const mascon_program *p, const mascon_tensor *t) {
    for (int32_t i = 0; i < p->watched.n; i++) {
        if (p->watched.at[i].t == t) return 1;
    }
    return 0;
}

static int holders(const mascon_tensor *t) {
    return atomic_load_explicit(&t->refs, memory_order_acquire);
}

/* Forgets the leaves and tensors that nobody but the recording holds: the function made them for itself.
 * While recording, so that the memory of their gradients is given back. */
static void forget_dead(mascon_program *p) {
    int32_t kept = 0;
    for (int32_t i = 0; i < p->leaves.n; i++) {
        masconI_leaf *entry = &p->leaves.at[i];
        if (holders(entry->leaf) == 1 + is_watched(p, entry->leaf)) {
            mascon_tensor_release(entry->leaf->grad);
            entry->leaf->grad = NULL;
            mascon_tensor_release(entry->leaf);
            mascon_tensor_release(entry->start);
        } else {
            p->leaves.at[kept++] = *entry;
        }
    }
    p->leaves.n = kept;
    kept = 0;
    for (int32_t i = 0; i < p->watched.n; i++) {
        mascon_tensor *t = p->watched.at[i].t;
        if (holders(t) == 1) {
            mascon_tensor_release(t);
        } else {
            p->watched.at[kept++] = p->watched.at[i];
        }
    }
    p->watched.n = kept;
}

static void remember_gradients(mascon_program *p) {
    for (int32_t i = 0; i < p->leaves.n; i++) {
        masconI_leaf *entry = &p->leaves.at[i];
        entry->end = entry->leaf->grad;
        mascon_tensor_retain(entry->end);
    }
}

static void give_gradients(mascon_program *p) {
    for (int32_t i = 0; i < p->leaves.n; i++) {
        masconI_leaf *entry = &p->leaves.at[i];
        mascon_tensor *before = entry->leaf->grad;
        if (before == entry->end || entry->leaf->released) continue;
        mascon_tensor_retain(entry->end);
        entry->leaf->grad = entry->end;
        mascon_tensor_release(before);
    }
}

mascon_status mascon_program_end(mascon_program *p) {
    MASCON_NEED(p);
    if (!p->active || p->ended) return masconI_fail(MASCON_E_STATE, "this recording has ended");
    forget_dead(p);
    masconI_program_stop(p);
    if (p->broken) return out_of_memory();
    if (p->device < 0) p->device = MASCON_DEVICE_CPU;
    MASCON_TRY(masconI_backend(p->device, &p->backend));
    remember_gradients(p);
    find_needed(p);
    MASCON_TRY(put_in_order(p));
    find_times(p);
    MASCON_TRY(plan_arena(p));
    MASCON_TRY(make_arena(p));
    if (p->backend->capture && p->n_order > 0) {
        MASCON_TRY(plan_live(p));
        MASCON_TRY(p->backend->capture(p->device, capture_steps, p, &p->graph));
    }
    p->ended = 1;
    return MASCON_OK;
}

static int same_input(const mascon_tensor *t, const mascon_tensor *own) {
    if (!t || !t->storage || t->view.dtype != own->view.dtype ||
        t->view.device != own->view.device || t->view.layout != own->view.layout ||
        !masconI_same_shape(&t->view, &own->view)) {
        return 0;
    }
    for (int d = 0; d < t->view.ndim; d++) {
        if (t->view.shape[d] != 1 && t->view.stride[d] != own->view.stride[d]) return 0;
    }
    return 1;
}

int32_t mascon_program_fits(const mascon_program *p, mascon_tensor *const *inputs,
                            int32_t n_inputs) {
    if (!p || !p->ended || n_inputs != p->inputs.n || (n_inputs > 0 && !inputs)) {
        return MASCON_PROGRAM_INPUTS;
    }
    for (int32_t i = 0; i < n_inputs; i++) {
        if (!same_input(inputs[i], p->inputs.at[i])) return MASCON_PROGRAM_INPUTS;
        const int32_t place = masconI_program_place(p, inputs[i]->storage);
        if (place >= 0 && p->places.at[place].written) return MASCON_PROGRAM_INPUTS;
        if (p->graph && masconI_program_shift(&inputs[i]->view) !=
                            masconI_program_shift(&p->inputs.at[i]->view)) {
            return MASCON_PROGRAM_INPUTS;
        }
    }
    for (int i = 0; i < MASCON_SETTING_COUNT; i++) {
        if (mascon_setting(i) != p->settings[i]) return MASCON_PROGRAM_SETTINGS;
    }
    if (mascon_num_threads() != p->threads) return MASCON_PROGRAM_SETTINGS;
    if (mascon_program_active()) return MASCON_PROGRAM_RECORDING;
    for (int32_t i = 0; i < p->watched.n; i++) {
        const masconI_watch *w = &p->watched.at[i];
        if (w->t->requires_grad != w->requires_grad) return MASCON_PROGRAM_TRAINED;
    }
    for (int32_t i = 0; i < p->leaves.n; i++) {
        const masconI_leaf *entry = &p->leaves.at[i];
        if (entry->matters && entry->leaf->grad != entry->start) return MASCON_PROGRAM_GRADIENTS;
    }
    return MASCON_PROGRAM_FITS;
}

mascon_status mascon_program_run(mascon_program *p, mascon_tensor *const *inputs, int32_t n_inputs,
                                 mascon_tensor **outputs, int32_t n_outputs) {
    MASCON_NEED(p);
    if (n_inputs > 0) MASCON_NEED(inputs);
    if (n_outputs > 0) MASCON_NEED(outputs);
    if (!p->ended) return masconI_fail(MASCON_E_STATE, "the recording has not ended");
    if (n_outputs != p->outputs.n) {
        return masconI_fail(MASCON_E_ARG, "%d outputs; the program has %d", n_outputs,
                            p->outputs.n);
    }
    if (mascon_program_fits(p, inputs, n_inputs) != MASCON_PROGRAM_FITS) {
        return masconI_fail(MASCON_E_STATE, "the program was recorded for another moment");
    }
    if (mascon_program_active()) {
        return masconI_fail(MASCON_E_STATE, "a program cannot run inside a recording");
    }
    if (masconI_threads_forked()) {
        return masconI_fail(MASCON_E_STATE, "process was forked after compute began");
    }
    MASCON_TRY(make_outputs(p, outputs));
    mascon_status status = put_inputs(p, inputs);
    if (status == MASCON_OK) {
        take_draws(p);
        status = p->graph ? replay_graph(p) : run_steps(p);
    }
    if (status == MASCON_OK) {
        give_gradients(p);
        status = fill_outputs(p, outputs);
    }
    take_inputs_back(p);
    if (status != MASCON_OK) drop_outputs(outputs, p->outputs.n);
    return status;
}

mascon_status mascon_program_set(mascon_program *p, int32_t first, int32_t last, int32_t op,
                                 const char *option, double value) {
    MASCON_NEED(p);
    MASCON_NEED(option);
    if (op < 0 || op >= MASCON_OP_COUNT || first < 0 || last > p->steps.n) {
        return masconI_fail(MASCON_E_ARG, "no steps %d to %d of op %d", first, last, op);
    }
    for (int i = 0; i < masconI_ops[op]->n_attrs; i++) {
        const mascon_attr *attr = &masconI_ops[op]->attrs[i];
        if (strcmp(attr->name, option) != 0) continue;
        if (attr->kind != MASCON_LIVE && (attr->kind == MASCON_KEY || p->graph)) break;
        const int slot = masconI_attr_slot(op, i);
        for (int32_t k = first; k < last; k++) {
            if (p->steps.at[k].call.op == op) p->steps.at[k].call.attr[slot] = value;
        }
        return MASCON_OK;
    }
    return masconI_fail(MASCON_E_ARG, "%s has no option %s that can change between replays",
                        masconI_ops[op]->name, option);
}

void mascon_program_counts(const mascon_program *p, int64_t *out) {
    if (!p || !out) return;
    out[MASCON_PROGRAM_COUNT_STEPS] = p->n_order;
    out[MASCON_PROGRAM_COUNT_DROPPED] = p->steps.n - p->n_order;
    out[MASCON_PROGRAM_COUNT_ARENA] = (int64_t)p->arena_bytes;
    out[MASCON_PROGRAM_COUNT_TENSORS] = (int64_t)p->temporary_bytes;
    out[MASCON_PROGRAM_COUNT_GRAPH] = p->graph != NULL;
}

/* ---- Comparing ---- */

static mascon_status differ_tensors(const char *op, const char *what, const mascon_tensor *a,
                                    const mascon_tensor *b) {
    if (!a && !b) return MASCON_OK;
    if (a && b && a->view.dtype == b->view.dtype && masconI_same_shape(&a->view, &b->view)) {
        return MASCON_OK;
    }
    char x[160] = "absent", y[160] = "absent";
    if (a) masconI_shape_text(a->view.ndim, a->view.shape, x);
    if (b) masconI_shape_text(b->view.ndim, b->view.shape, y);
    return masconI_fail(MASCON_E_STATE, "%s of %s was %s%s%s when recorded, is %s%s%s now", what,
                        op, a ? mascon_dtype_name(a->view.dtype) : "", a ? " " : "", x,
                        b ? mascon_dtype_name(b->view.dtype) : "", b ? " " : "", y);
}

static mascon_status differ_options(const mascon_call *a, const mascon_call *b) {
    const mascon_op *op = masconI_ops[a->op];
    for (int i = 0, slot = 0; i < op->n_attrs; i++) {
        const mascon_attr *attr = &op->attrs[i];
        const int n = masconI_attr_slots(attr->type);
        for (int k = slot; k < slot + n && attr->kind != MASCON_LIVE; k++) {
            if (memcmp(&a->attr[k], &b->attr[k], sizeof a->attr[k]) == 0) continue;
            return masconI_fail(MASCON_E_STATE,
                                "option %s of %s was %.15g when recorded, is %.15g now", attr->name,
                                op->name, a->attr[k], b->attr[k]);
        }
        slot += n;
    }
    return MASCON_OK;
}

static mascon_status differ(const mascon_call *a, const mascon_call *b) {
    const char *name = masconI_ops[a->op]->name;
    char input[32];
    if (a->n_list != b->n_list) {
        return masconI_fail(MASCON_E_STATE, "%s had %d tensors when recorded, has %d now", name,
                            (int)a->n_list, (int)b->n_list);
    }
    for (int i = 0; i < MASCON_MAX_SRC; i++) {
        masconI_input_name(a->op, i, input);
        MASCON_TRY(differ_tensors(name, input, a->src[i], b->src[i]));
    }
    for (int64_t i = 0; i < a->n_list; i++) {
        MASCON_TRY(differ_tensors(name, "a tensor", a->list[i], b->list[i]));
    }
    return differ_options(a, b);
}

mascon_status mascon_program_compare(const mascon_program *before, const mascon_program *now) {
    MASCON_NEED(before);
    MASCON_NEED(now);
    for (int32_t i = 0; i < before->steps.n && i < now->steps.n; i++) {
        const mascon_call *a = &before->steps.at[i].call, *b = &now->steps.at[i].call;
        if (a->op != b->op) {
            return masconI_fail(MASCON_E_STATE, "operation %d was %s when recorded, is %s now",
                                i + 1, masconI_ops[a->op]->name, masconI_ops[b->op]->name);
        }
        MASCON_TRY(differ(a, b));
    }
    if (before->steps.n == now->steps.n) return MASCON_OK;
    return masconI_fail(MASCON_E_STATE, "%d operations when recorded, %d now", before->steps.n,
                        now->steps.n);
}

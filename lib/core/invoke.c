/* invoke.c: the one function through which every operation goes.
 *
 * mascon_invoke checks a call against its op's row, brings dtypes together, asks the shape rule, picks
 * the kernel, converts layouts, allocates the outputs, runs the kernel and records the call for
 * backward. On failure nothing is changed: outputs that were made are released and dst is as before.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cut.h"
#include "core/internal.h"

/* What one running call owns besides the call itself. */
typedef struct work {
    mascon_call *call;
    const mascon_op *op;
    const masconI_signature *signature;
    int in_place;                             /* dst[0] == src[0] */
    mascon_tensor *casts[MASCON_MAX_SRC];     /* promoted inputs, owned */
    mascon_tensor *given_src[MASCON_MAX_SRC]; /* as the caller passed them */
    mascon_tensor **list, **given_list;       /* the list with casts in it, owned, or NULL */
    mascon_tensor *given_dst[MASCON_MAX_DST];
    int32_t device;
    mascon_meta meta[MASCON_MAX_DST];
    masconI_before before;
} work;

/* ---- Options ---- */

static mascon_status range_error(const mascon_attr *a, double v) {
    if (!(v >= a->min) && a->max >= 1e6) {
        return masconI_fail(MASCON_E_ARG, "%s is %g; must be %g or more", a->name, v, a->min);
    }
    if (a->min <= -MASCON_NOLIMIT) {
        return masconI_fail(MASCON_E_ARG, "%s is %g; must be at most %g", a->name, v, a->max);
    }
    return masconI_fail(MASCON_E_ARG, "%s is %g; must be in [%g, %g]", a->name, v, a->min, a->max);
}

/* Checks the slots of one given option. */
static mascon_status check_option(const mascon_attr *a, const double *slot) {
    int first = 0, n = masconI_attr_slots(a->type);
    if (a->type == MASCON_ATTR_DIMS || a->type == MASCON_ATTR_SIZES) {
        first = 1;
        if (!(slot[0] >= 0 && slot[0] <= MASCON_MAX_DIMS)) {
            return masconI_fail(MASCON_E_ARG, "%s has %g values; at most %d are supported", a->name,
                                slot[0], MASCON_MAX_DIMS);
        }
        n = 1 + (int)slot[0];
    }
    int same = a->type == MASCON_ATTR_PADDING && slot[0] == -1 && slot[1] == -1;
    for (int i = first; i < n && !same; i++) {
        if (a->type != MASCON_ATTR_NUMBER && slot[i] != floor(slot[i])) {
            return masconI_fail(MASCON_E_ARG, "%s is %g; expected a whole number", a->name,
                                slot[i]);
        }
        if (a->type != MASCON_ATTR_NUMBER && fabs(slot[i]) > 0x1p53) {
            return masconI_fail(MASCON_E_ARG, "%s is %g; beyond 2^53", a->name, slot[i]);
        }
        if (a->min > -MASCON_NOLIMIT && !(slot[i] >= a->min)) return range_error(a, slot[i]);
        if (a->max < MASCON_NOLIMIT && !(slot[i] <= a->max)) return range_error(a, slot[i]);
    }
    return MASCON_OK;
}

static mascon_status fill_options(const mascon_op *op, mascon_call *call) {
    for (int i = 0, slot = 0; i < op->n_attrs; i++) {
        const mascon_attr *a = &op->attrs[i];
        int n = masconI_attr_slots(a->type);
        if (call->attr_set >> slot & 1) {
            MASCON_TRY(check_option(a, &call->attr[slot]));
        } else if (a->standard == MASCON_REQUIRED) {
            return masconI_fail(MASCON_E_ARG, "option %s is missing", a->name);
        } else {
            double value = a->standard == MASCON_ABSENT ? 0 : a->standard;
            for (int k = 0; k < n; k++) call->attr[slot + k] = value;
        }
        slot += n;
    }
    return MASCON_OK;
}

/* ---- Inputs ---- */

static mascon_status check_device(work *w, const mascon_tensor *t) {
    if (w->device < 0) w->device = t->view.device;
    if (w->device == t->view.device) return MASCON_OK;
    char a[16], b[16];
    masconI_fail(MASCON_E_DEVICE, "inputs on %s and %s", masconI_device_text(w->device, a),
                 masconI_device_text(t->view.device, b));
    return masconI_hint("y:to(x.device)");
}

static mascon_status check_inputs(work *w) {
    const mascon_call *call = w->call;
    char name[32];
    const int most = w->op->flags & MASCON_OPF_LIST ? 0 : w->signature->n_inputs;
    if (call->n_src > most) {
        return masconI_fail(MASCON_E_ARG, "%d inputs; the operation takes %d%s", call->n_src, most,
                            w->op->flags & MASCON_OPF_LIST ? " and a list" : "");
    }
    if (!(w->op->flags & MASCON_OPF_LIST) && call->n_list != 0) {
        return masconI_fail(MASCON_E_ARG, "the operation takes no list of tensors");
    }
    if (w->op->flags & MASCON_OPF_LIST) {
        if (call->n_list < 1) return masconI_fail(MASCON_E_ARG, "the list of tensors is empty");
        for (int64_t i = 0; i < call->n_list; i++) {
            MASCON_TRY(masconI_tensor_alive(call->list[i]));
            MASCON_TRY(check_device(w, call->list[i]));
        }
        return MASCON_OK;
    }
    for (int i = 0; i < w->signature->n_inputs; i++) {
        if (i >= call->n_src || !call->src[i]) {
            if (!(w->signature->required >> i & 1)) continue;
            return masconI_fail(MASCON_E_ARG, "argument %d (%s) is missing", i + 1,
                                masconI_input_name(call->op, i, name));
        }
        MASCON_TRY(masconI_tensor_alive(call->src[i]));
        MASCON_TRY(check_device(w, call->src[i]));
    }
    return MASCON_OK;
}

static mascon_status check_dtype(const work *w) {
    const mascon_call *call = w->call;
    const mascon_tensor *first = w->op->flags & MASCON_OPF_LIST ? call->list[0]
                                 : call->n_src > 0              ? call->src[0]
                                                                : NULL;
    if (!first || w->op->dtypes >> first->view.dtype & 1) return MASCON_OK;
    char expected[128] = "";
    for (int d = 0; d < MASCON_DTYPE_COUNT; d++) {
        if (!(w->op->dtypes >> d & 1)) continue;
        if (expected[0]) strcat(expected, " ");
        strcat(expected, mascon_dtype_name(d));
    }
    char name[32];
    masconI_fail(MASCON_E_DTYPE, "%s is %s; expected %s%s", masconI_input_name(call->op, 0, name),
                 mascon_dtype_name(first->view.dtype), strchr(expected, ' ') ? "one of " : "",
                 expected);
    return masconI_hint("%s:to(\"float32\")", name);
}

/* *out = what inner makes of t, as an ordinary recorded call. */
static mascon_status derive(mascon_call *call, mascon_call *inner, mascon_tensor *t,
                            mascon_tensor **out) {
    inner->n_src = 1;
    inner->src[0] = t;
    inner->flags = call->flags;
    MASCON_TRY(mascon_invoke(inner));
    *out = inner->dst[0];
    call->gc_debt += inner->gc_debt;
    return MASCON_OK;
}

/* *out = t in another dtype. */
static mascon_status cast(mascon_call *call, mascon_tensor *t, int32_t dtype, mascon_tensor **out) {
    mascon_call inner;
    masconI_call_init(&inner, MASCON_OP_cast);
    masconI_call_set(&inner, "dtype", dtype);
    return derive(call, &inner, t, out);
}

/* Input i becomes t, which is owned. */
static void replace_input(work *w, int i, mascon_tensor *t) {
    mascon_tensor_release(w->casts[i]);
    w->casts[i] = w->call->src[i] = t;
}

/* Replaces input i by its conversion to dtype. */
static mascon_status cast_input(work *w, int i, int32_t dtype) {
    mascon_tensor *t = w->call->src[i];
    if (t->view.dtype == dtype) return MASCON_OK;
    MASCON_TRY(cast(w->call, t, dtype, &t));
    replace_input(w, i, t);
    return MASCON_OK;
}

static mascon_status autocast_list(work *w, int32_t dtype) {
    mascon_call *call = w->call;
    int64_t i = 0;
    while (i < call->n_list && !masconI_autocast_changes(call->list[i], dtype)) i++;
    if (i == call->n_list) return MASCON_OK;
    w->list = calloc((size_t)call->n_list, sizeof *w->list);
    if (!w->list) return masconI_fail(MASCON_E_OOM, "no memory for a list of tensors");
    memcpy(w->list, call->list, (size_t)call->n_list * sizeof *w->list);
    call->list = w->list;
    for (; i < call->n_list; i++) {
        if (!masconI_autocast_changes(w->list[i], dtype)) continue;
        MASCON_TRY(cast(call, w->list[i], dtype, &w->list[i]));
    }
    return MASCON_OK;
}

static mascon_status autocast(work *w) {
    mascon_call *call = w->call;
    const int32_t dtype = masconI_autocast_dtype(call);
    if (dtype < 0) return MASCON_OK;
    if (call->n_list > 0) return autocast_list(w, dtype);
    for (int i = 0; i < call->n_src; i++) {
        if (w->op->uncast >> i & 1 || !masconI_autocast_changes(call->src[i], dtype)) continue;
        mascon_tensor *twin = NULL;
        if (masconI_is_half(dtype) && w->signature->weights >> i & 1) {
            MASCON_TRY(masconI_autocast_weight(call->src[i], dtype, call->flags, &twin));
        }
        if (twin) {
            replace_input(w, i, twin);
        } else {
            MASCON_TRY(cast_input(w, i, dtype));
        }
    }
    return MASCON_OK;
}

/* Brings src[0] and src[1] to one dtype, and whole numbers to float32 where the op needs it. */
static mascon_status promote(work *w) {
    mascon_call *call = w->call;
    mascon_tensor *x = call->src[0], *y = call->n_src > 1 ? call->src[1] : NULL;
    if (!x) return MASCON_OK;
    int pair = (w->op->flags & MASCON_OPF_PROMOTE) && y;
    int32_t dtype = pair ? masconI_promote(&x->view, &y->view) : x->view.dtype;
    if ((w->op->flags & MASCON_OPF_FLOAT) && !masconI_is_float(dtype)) dtype = MASCON_DTYPE_F32;
    if (w->in_place && dtype != x->view.dtype) {
        const int to_whole = masconI_is_float(dtype) && !masconI_is_float(x->view.dtype);
        if (to_whole || x->view.dtype == MASCON_DTYPE_BOOL) {
            return masconI_fail(MASCON_E_DTYPE, "the result is %s and cannot be written into %s",
                                mascon_dtype_name(dtype), mascon_dtype_name(x->view.dtype));
        }
        dtype = x->view.dtype;
    }
    MASCON_TRY(cast_input(w, 0, dtype));
    return pair ? cast_input(w, 1, dtype) : MASCON_OK;
}

/* ---- In place ---- */

static int overlaps_itself(const mascon_view *v) {
    for (int d = 0; d < v->ndim; d++) {
        if (v->shape[d] > 1 && v->stride[d] == 0) return 1;
    }
    return 0;
}

/* Inputs that the kernel writes beside its outputs. */
static mascon_status check_written(const work *w) {
    char name[32];
    for (int i = 0; i < w->call->n_src; i++) {
        if (!(w->meta[0].writes >> i & 1) || !overlaps_itself(SRC(w->call, i))) continue;
        masconI_input_name(w->call->op, i, name);
        masconI_fail(MASCON_E_LAYOUT, "%s is an expanded tensor and cannot be written", name);
        return masconI_hint("%s:clone()", name);
    }
    return MASCON_OK;
}

static mascon_status check_in_place(work *w) {
    mascon_call *call = w->call;
    mascon_tensor *t = call->dst[0];
    if (!w->in_place) {
        if (masconI_will_record(call)) {
            return masconI_fail(MASCON_E_UNSUPPORTED,
                                "writing into a given tensor cannot be "
                                "recorded; use no_grad");
        }
        return MASCON_OK;
    }
    if (!(w->op->flags & MASCON_OPF_IN_PLACE)) {
        return masconI_fail(MASCON_E_UNSUPPORTED, "this operation cannot work in place");
    }
    if (overlaps_itself(&t->view)) {
        masconI_fail(MASCON_E_LAYOUT, "in-place change of an expanded tensor");
        return masconI_hint("x:clone()");
    }
    if (!(call->flags & MASCON_CALL_GRAD)) return MASCON_OK;
    if (!t->node && t->requires_grad) {
        masconI_fail(MASCON_E_STATE, "in-place change of a parameter outside no_grad");
        return masconI_hint("mascon.no_grad(function() ... end)");
    }
    if (t->alias && masconI_will_record(call)) {
        masconI_fail(MASCON_E_STATE,
                     "in-place change of a view of a tensor that takes part in a "
                     "graph");
        return masconI_hint("x:clone()");
    }
    return MASCON_OK;
}

/* An input that shares memory with the output, but not element for element, is copied first. */
static mascon_status separate_input(work *w, int i) {
    mascon_call *call = w->call;
    const mascon_tensor *x = call->src[i], *y = call->dst[0];
    if (x == y || x->storage != y->storage) return MASCON_OK;
    if (x->view.data == y->view.data && masconI_same_shape(&x->view, &y->view) &&
        memcmp(x->view.stride, y->view.stride, sizeof(int64_t) * (size_t)x->view.ndim) == 0) {
        return MASCON_OK;
    }
    mascon_call inner;
    mascon_tensor *source;
    masconI_call_init(&inner, MASCON_OP_clone);
    MASCON_TRY(derive(call, &inner, call->src[i], &source));
    replace_input(w, i, source);
    return MASCON_OK;
}

/* In place, x is copied first where the gradient reads its old values. */
static mascon_status keep_original(work *w) {
    mascon_call *call = w->call;
    if (!w->in_place || !(w->signature->save_src & 1)) return MASCON_OK;
    if (call->flags & MASCON_CALL_WIDE || !masconI_will_record(call)) return MASCON_OK;
    /* a factor is read for the gradient of the other one alone */
    const int product = call->op == MASCON_OP_mul || call->op == MASCON_OP_div;
    if (product && !(call->n_src > 1 && masconI_needs_grad(call->src[1]))) return MASCON_OK;
    return masconI_emit(MASCON_OP_clone, &w->before.original, 1, &call->src[0], NULL);
}

/* ---- Running ---- */

static mascon_status make_views(work *w) {
    mascon_call *call = w->call;
    mascon_tensor *base = call->src[0], *source = base;
    mascon_meta *meta = &w->meta[0];
    if (call->dst[0]) return masconI_fail(MASCON_E_UNSUPPORTED, "a view cannot be written to dst");
    int64_t stride[MASCON_MAX_DIMS], offset = base->offset + meta->offset;
    memcpy(stride, meta->stride, sizeof stride);
    if (meta->copy) {
        MASCON_TRY(masconI_layout_fix(base, MASCON_WISH_ROW, call->op, 0, &source));
        masconI_row_major(meta->ndim, meta->shape, stride);
        offset = source->offset;
        if (source != base) call->gc_debt += (int64_t)source->storage->bytes;
    } else {
        mascon_tensor_retain(source);
    }
    mascon_tensor *y;
    mascon_status status = masconI_tensor_header(&y, source->storage, meta, w->device,
                                                 MASCON_LAYOUT_STRIDED, stride, offset);
    if (status == MASCON_OK) {
        y->alias = source == base;
        y->inference = base->inference;
        if (!y->view.contiguous && masconI_layout_fits(&y->view, MASCON_WISH_NHWC)) {
            y->view.layout = MASCON_LAYOUT_NHWC;
        }
        call->dst[0] = y;
    }
    mascon_tensor_release(source);
    return status;
}

/* The layout of an output whose kernel leaves it open: that of the first input of its shape. */
static int follow(const mascon_call *call, const mascon_view *y) {
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i] || !masconI_same_shape(SRC(call, i), y)) continue;
        return SRC(call, i)->layout;
    }
    return MASCON_LAYOUT_STRIDED;
}

static mascon_status prepare_outputs(work *w, const mascon_wish *wish, mascon_tensor **given) {
    mascon_call *call = w->call;
    for (int i = 0; i < call->n_dst; i++) {
        mascon_tensor *y = call->dst[i];
        int want = wish->dst[i];
        if (y->storage && masconI_layout_fits(&y->view, want)) continue;
        if (y->storage) { /* given, in another layout: compute aside and copy back */
            given[i] = y;
            call->dst[i] = NULL;
            MASCON_TRY(masconI_tensor_meta(&call->dst[i], &w->meta[i], w->device));
            y = call->dst[i];
        }
        int layout = want == MASCON_WISH_NHWC  ? MASCON_LAYOUT_NHWC
                     : want == MASCON_WISH_ROW ? MASCON_LAYOUT_STRIDED
                                               : follow(call, &y->view);
        MASCON_TRY(masconI_tensor_materialise(y, layout));
        call->gc_debt += (int64_t)y->storage->bytes;
    }
    return MASCON_OK;
}

static mascon_status copy_back(mascon_tensor *to, mascon_tensor *from) {
    mascon_call copy;
    masconI_call_init(&copy, MASCON_OP_copy);
    copy.n_src = 2;
    copy.src[0] = copy.dst[0] = to;
    copy.src[1] = from;
    return mascon_invoke(&copy);
}

/* Whether the call can be given up half way: nothing that was there before is written, or only filled
 * with values that do not depend on it. */
static int may_cut(const work *w) {
    if (w->call->op == MASCON_OP_uniform || w->call->op == MASCON_OP_normal) return 1;
    if (w->in_place || w->meta[0].writes || w->op->flags & MASCON_OPF_WRITES) return 0;
    for (int i = 0; i < w->call->n_dst; i++) {
        if (w->given_dst[i]) return 0;
    }
    return 1;
}

static mascon_status run_cuttable(const mascon_kernel *kernel, const work *w, mascon_exec *exec) {
    const int before = masconI_cut_allow(may_cut(w));
    const mascon_status status = kernel->run(w->call, exec);
    masconI_cut_allow(before);
    if (!masconI_cut_happened()) return status;
    if (w->in_place) masconI_tensor_written(w->call->dst[0], w->call->op);
    mascon_interrupted(); /* who reports the request takes it down */
    return masconI_fail(MASCON_E_INTERRUPTED, "interrupted");
}

static mascon_status run_with_workspace(const mascon_kernel *kernel, const work *w, int32_t device,
                                        const char *name) {
    mascon_call *call = w->call;
    mascon_program *program = masconI_program_now();
    if (program) MASCON_TRY(masconI_program_before(program, call, w->meta[0].writes));
    mascon_exec exec = {0};
    size_t bytes = kernel->workspace ? kernel->workspace(call) : 0;
    const mascon_backend *backend;
    MASCON_TRY(masconI_backend(device, &backend));
    if (bytes) MASCON_TRY(masconI_alloc(device, bytes, &exec.workspace));
    mascon_status status = backend->begin ? backend->begin(device, call, &exec) : MASCON_OK;
    if (status == MASCON_OK) {
        status = run_cuttable(kernel, w, &exec);
        if (backend->end) status = backend->end(device, call, status);
    }
    if (bytes) masconI_free(device, exec.workspace, bytes);
    if (!program || status != MASCON_OK) return status;
    return masconI_program_append(program, kernel, call, w->meta[0].writes, bytes, name);
}

static mascon_status run_kernel(work *w, const char **used) {
    mascon_call *call = w->call;
    const mascon_kernel *kernel;
    mascon_wish wish;
    mascon_tensor *converted[MASCON_MAX_SRC] = {0}, *source[MASCON_MAX_SRC],
                  *given[MASCON_MAX_DST] = {0};
    mascon_status status = MASCON_OK;
    for (int i = 0; i < call->n_dst && status == MASCON_OK; i++) {
        if (!call->dst[i]) status = masconI_tensor_meta(&call->dst[i], &w->meta[i], w->device);
    }
    if (status == MASCON_OK) status = masconI_kernel(w->device, call, &wish, &kernel);
    if (status == MASCON_OK && !kernel) return masconI_widen(call, w->meta[0].writes, used);
    memcpy(source, call->src, sizeof source);
    for (int i = 0; i < call->n_src && status == MASCON_OK; i++) {
        if (!call->src[i] || (w->in_place && i == 0)) continue;
        if (masconI_layout_fits(SRC(call, i), wish.src[i])) continue;
        status = masconI_layout_fix(call->src[i], wish.src[i], call->op, i, &converted[i]);
        if (status == MASCON_OK) call->src[i] = converted[i];
    }
    if (status == MASCON_OK) status = prepare_outputs(w, &wish, given);
    if (status == MASCON_OK && w->in_place && given[0] &&
        !masconI_layout_fits(SRC(call, 0), wish.src[0])) {
        status = masconI_layout_fix(call->src[0], wish.src[0], call->op, 0, &converted[0]);
        if (status == MASCON_OK) call->src[0] = converted[0];
    }
    if (status == MASCON_OK) {
        *used = wish.kernel;
        status = run_with_workspace(kernel, w, w->device, wish.kernel);
    }
    memcpy(call->src, source, sizeof source);
    for (int i = 0; i < MASCON_MAX_DST; i++) {
        if (!given[i]) continue;
        if (status == MASCON_OK) status = copy_back(given[i], call->dst[i]);
        mascon_tensor_release(call->dst[i]);
        call->dst[i] = given[i];
    }
    for (int i = 0; i < call->n_src; i++) mascon_tensor_release(converted[i]);
    return status;
}

/* Checks that given outputs have the inferred shape and dtype. */
static mascon_status check_given(const work *w) {
    const mascon_call *call = w->call;
    for (int i = 0; i < call->n_dst; i++) {
        const mascon_tensor *y = call->dst[i];
        if (!y) continue;
        mascon_view want = {.ndim = w->meta[i].ndim};
        memcpy(want.shape, w->meta[i].shape, sizeof want.shape);
        char a[160], b[160];
        if (!masconI_same_shape(&y->view, &want)) {
            return masconI_fail(MASCON_E_SHAPE, "the result is %s and cannot be written into %s",
                                masconI_shape_text(want.ndim, want.shape, a),
                                masconI_shape_text(y->view.ndim, y->view.shape, b));
        }
        if (y->view.dtype != w->meta[i].dtype) {
            return masconI_fail(MASCON_E_DTYPE, "the result is %s and cannot be written into %s",
                                mascon_dtype_name(w->meta[i].dtype),
                                mascon_dtype_name(y->view.dtype));
        }
    }
    return MASCON_OK;
}

static void note_writes(const work *w) {
    const mascon_call *call = w->call;
    for (int i = 0; i < call->n_dst; i++) {
        if (w->given_dst[i]) masconI_tensor_written(call->dst[i], call->op);
        if (call->flags & MASCON_CALL_INFERENCE && !w->given_dst[i]) call->dst[i]->inference = 1;
    }
    for (int i = 0; i < call->n_src; i++) {
        if (w->meta[0].writes >> i & 1) masconI_tensor_written(call->src[i], call->op);
    }
    if (w->op->flags & MASCON_OPF_WRITES) {
        for (int64_t i = 0; i < call->n_list; i++) masconI_tensor_written(call->list[i], call->op);
    }
}

static mascon_status refuse_second_order(const work *w) {
    if (!(w->op->flags & MASCON_OPF_BACKWARD) || !(w->call->flags & MASCON_CALL_GRAD)) {
        return MASCON_OK;
    }
    for (int i = 0; i < w->call->n_src; i++) {
        if (masconI_needs_grad(w->call->src[i])) {
            return masconI_fail(MASCON_E_UNSUPPORTED,
                                "a gradient of a gradient was asked for; only "
                                "first-order gradients are supported");
        }
    }
    return MASCON_OK;
}

static void remember_before(work *w) {
    const mascon_call *call = w->call;
    for (int i = 0; i < call->n_src; i++) {
        w->before.versions[i] = call->src[i] ? mascon_tensor_version(call->src[i]) : 0;
    }
    if (w->in_place) {
        w->before.node = call->dst[0]->node;
        w->before.output = call->dst[0]->output;
        w->before.was_leaf = !call->dst[0]->node && call->dst[0]->requires_grad;
    }
}

static mascon_status run_call(work *w, const char **kernel) {
    mascon_call *call = w->call;
    MASCON_TRY(fill_options(w->op, call));
    MASCON_TRY(check_inputs(w));
    if (call->flags & MASCON_CALL_AUTOCAST && w->op->flags & MASCON_CAST_ANY) {
        MASCON_TRY(autocast(w));
    }
    if (w->op->flags & (MASCON_OPF_PROMOTE | MASCON_OPF_FLOAT)) MASCON_TRY(promote(w));
    MASCON_TRY(check_dtype(w));
    if (w->op->flags & MASCON_OPF_CREATES) {
        int slot = masconI_attr_find(call->op, "device");
        w->device = slot >= 0 ? (int32_t)call->attr[slot] : MASCON_DEVICE_CPU;
    }
    MASCON_TRY(refuse_second_order(w));
    call->n_dst = w->signature->n_outputs;
    MASCON_TRY(w->op->infer(call, w->meta));
    int64_t numel;
    for (int i = 0; i < call->n_dst; i++) {
        MASCON_TRY(masconI_numel(w->meta[i].ndim, w->meta[i].shape, &numel));
    }
    if (w->op->flags & MASCON_OPF_VIEW) {
        MASCON_TRY(make_views(w));
    } else {
        if (call->n_dst && call->dst[0]) {
            MASCON_TRY(check_in_place(w));
            MASCON_TRY(check_given(w));
            for (int i = 1; i < call->n_src; i++) {
                if (call->src[i]) MASCON_TRY(separate_input(w, i));
            }
        }
        MASCON_TRY(check_written(w));
        remember_before(w);
        MASCON_TRY(keep_original(w));
        if (call->op == MASCON_OP_transfer) {
            w->device = (int32_t)call->attr[masconI_attr_find(call->op, "device")];
        }
        if (w->op->flags & MASCON_OPF_RANDOM && call->generator) {
            mascon_generator_next(call->generator, call->random);
        }
        MASCON_TRY(run_kernel(w, kernel));
        note_writes(w);
    }
    if (call->flags & MASCON_CALL_WIDE || !masconI_will_record(call)) return MASCON_OK;
    return masconI_record(w->op, call, &w->before);
}

static void drop_list(work *w) {
    mascon_call *call = w->call;
    call->list = w->given_list;
    for (int64_t i = 0; i < call->n_list; i++) {
        if (w->list[i] != call->list[i]) mascon_tensor_release(w->list[i]);
    }
    free(w->list);
}

mascon_status masconI_perform(mascon_call *call, const char **kernel) {
    work w = {.call = call, .op = masconI_ops[call->op], .device = -1};
    w.signature = &masconI_signatures[call->op];
    w.in_place = call->dst[0] && call->n_src > 0 && call->dst[0] == call->src[0];
    memcpy(w.given_src, call->src, sizeof w.given_src);
    memcpy(w.given_dst, call->dst, sizeof w.given_dst);
    w.given_list = call->list;
    call->gc_debt = 0;
    mascon_status status = run_call(&w, kernel);
    memcpy(call->src, w.given_src, sizeof w.given_src);
    if (w.list) drop_list(&w);
    for (int i = 0; i < MASCON_MAX_DST && status != MASCON_OK; i++) {
        if (call->dst[i] != w.given_dst[i]) mascon_tensor_release(call->dst[i]);
        call->dst[i] = w.given_dst[i];
    }
    for (int i = 0; i < call->n_src; i++) mascon_tensor_release(w.casts[i]);
    mascon_tensor_release(w.before.original);
    return status;
}

static _Thread_local int64_t nested_time; /* spent in calls made by the running call */

mascon_status mascon_invoke(mascon_call *call) {
    MASCON_NEED(call);
    if (atomic_load_explicit(&masconI_recordings, memory_order_relaxed)) {
        return masconI_recorder_invoke(call);
    }
    return masconI_invoke_now(call);
}

/* The threads that computed before the fork do not exist here, and what they were doing is lost. */
static mascon_status after_fork(const mascon_call *call) {
    mascon_status status =
        masconI_fail(MASCON_E_STATE,
                     "process was forked after compute began (pid %d -> %d); load "
                     "in the child instead",
                     masconI_threads_forked(), (int)getpid());
    masconI_error_decorate(call);
    return status;
}

mascon_status masconI_invoke_now(mascon_call *call) {
    if (mascon_interrupted()) return masconI_fail(MASCON_E_INTERRUPTED, "interrupted");
    MASCON_TRY(masconI_registry_check());
    if (call->op < 0 || call->op >= MASCON_OP_COUNT || call->n_src < 0 ||
        call->n_src > MASCON_MAX_SRC) {
        return masconI_fail(MASCON_E_ARG, "no such operation: %d", call->op);
    }
    if (call->n_list > 0) MASCON_NEED(call->list);
    if (masconI_threads_forked()) return after_fork(call);
    int profiling = atomic_load_explicit(&masconI_profiling, memory_order_relaxed);
    int64_t begun = profiling ? mascon_now() : 0, outer = nested_time;
    nested_time = 0;
    const char *kernel = NULL;
    mascon_status status = masconI_perform(call, &kernel);
    if (status != MASCON_OK && status != MASCON_E_INTERRUPTED) masconI_error_decorate(call);
    if (profiling) {
        int64_t total = mascon_now() - begun;
        masconI_profile_add(call->op, total - nested_time, call->gc_debt, kernel);
        nested_time = outer + total;
    }
    if (call->gc_debt && call->dst[0]) {
        call->gc_debt = masconI_debt_of(mascon_see(call->dst[0])->device, call->gc_debt);
    }
    return status;
}

int masconI_will_record(const mascon_call *call) {
    if (!(call->flags & MASCON_CALL_GRAD)) return (call->flags & MASCON_CALL_WIDE) != 0;
    if (masconI_ops[call->op]->flags & (MASCON_OPF_NO_GRAD | MASCON_OPF_BACKWARD)) return 0;
    for (int i = 0; i < call->n_src; i++) {
        if (masconI_needs_grad(call->src[i])) return 1;
    }
    for (int64_t i = 0; i < call->n_list; i++) {
        if (masconI_needs_grad(call->list[i])) return 1;
    }
    return 0;
}

mascon_status masconI_fill_options(mascon_call *call) {
    return fill_options(masconI_ops[call->op], call);
}

/* ---- Emitting calls from C ---- */

void masconI_call_init(mascon_call *call, int32_t op) {
    memset(call, 0, sizeof *call);
    call->op = op;
}

static void set_slot(mascon_call *call, int slot, double value) {
    call->attr[slot] = value;
    call->attr_set |= 1u << slot;
}

void masconI_call_set(mascon_call *call, const char *name, double value) {
    const mascon_op *op = masconI_ops[call->op];
    for (int i = 0, slot = 0; i < op->n_attrs; i++) {
        int n = masconI_attr_slots(op->attrs[i].type);
        if (strcmp(op->attrs[i].name, name) == 0) {
            int list =
                op->attrs[i].type == MASCON_ATTR_DIMS || op->attrs[i].type == MASCON_ATTR_SIZES;
            if (list) { /* one value */
                set_slot(call, slot, 1);
                set_slot(call, slot + 1, value);
            } else {
                for (int k = 0; k < n; k++) set_slot(call, slot + k, value);
            }
            return;
        }
        slot += n;
    }
}

void masconI_call_set_list(mascon_call *call, const char *name, int32_t n, const int64_t *values) {
    int slot = masconI_attr_find(call->op, name);
    if (slot < 0) return;
    set_slot(call, slot, n);
    for (int32_t i = 0; i < n; i++) set_slot(call, slot + 1 + i, (double)values[i]);
}

void masconI_call_copy_options(mascon_call *to, const mascon_call *from) {
    memcpy(to->attr, from->attr, sizeof to->attr);
    to->attr_set = from->attr_set;
    memcpy(to->random, from->random, sizeof to->random);
}

mascon_status masconI_invoke_over(mascon_call *call) {
    mascon_tensor *x = call->src[0];
    if (masconI_tensor_is_unique(x)) call->dst[0] = x;
    MASCON_TRY(mascon_invoke(call));
    if (call->dst[0] == x) mascon_tensor_retain(x);
    return MASCON_OK;
}

mascon_status masconI_emit(int32_t op, mascon_tensor **out, int32_t n_src,
                           mascon_tensor *const *src, ...) {
    mascon_call call;
    masconI_call_init(&call, op);
    call.n_src = n_src;
    for (int32_t i = 0; i < n_src; i++) call.src[i] = src[i];
    va_list args;
    va_start(args, src);
    for (const char *name; (name = va_arg(args, const char *));) {
        masconI_call_set(&call, name, va_arg(args, double));
    }
    va_end(args);
    MASCON_TRY(mascon_invoke(&call));
    for (int i = 1; i < call.n_dst; i++) mascon_tensor_release(call.dst[i]);
    *out = call.dst[0];
    return MASCON_OK;
}

/* widen.c: bfloat16 and float16 for the CPU kernels that know float32 only.
 *
 * A call with 16-bit inputs that no kernel takes as they are runs on float32 copies of them, and its
 * outputs are rounded back, to the nearest and to even. So every op that is defined for float32 has
 * both types, sums are kept in float32, and only kernels that pay need a 16-bit form of their own.
 * Casts and copies (MASCON_OPF_EXACT) are never widened: they are what this file is made of.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

static int is_half(const mascon_tensor *t) { return t && masconI_is_half(t->view.dtype); }

int masconI_widens(const mascon_call *call) {
    if (masconI_ops[call->op]->flags & MASCON_OPF_EXACT) return 0;
    for (int32_t i = 0; i < call->n_src; i++) {
        if (is_half(call->src[i])) return 1;
    }
    for (int64_t i = 0; i < call->n_list; i++) {
        if (is_half(call->list[i])) return 1;
    }
    return 0;
}

/* ---- Names for the profile ---- */

enum { NAMES = 256 };

static struct {
    pthread_mutex_t lock;
    int count;
    struct {
        const char *of;
        char text[56];
    } name[NAMES];
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* "depthwise (widened)", kept for ever: the names of kernels are static and few. */
static const char *widened_name(const char *kernel) {
    const char *found = NULL;
    pthread_mutex_lock(&names.lock);
    for (int i = 0; i < names.count && !found; i++) {
        if (names.name[i].of == kernel) found = names.name[i].text;
    }
    if (!found && names.count < NAMES) {
        int i = names.count++;
        names.name[i].of = kernel;
        snprintf(names.name[i].text, sizeof names.name[i].text, "%.44s (widened)", kernel);
        found = names.name[i].text;
    }
    pthread_mutex_unlock(&names.lock);
    return found ? found : "(widened)";
}

/* ---- Tensors ---- */

static mascon_status cast(mascon_tensor *t, int32_t dtype, mascon_tensor **out) {
    return masconI_emit(MASCON_OP_cast, out, 1, &t, "dtype", (double)dtype, NULL);
}

static mascon_status copy(mascon_tensor *to, mascon_tensor *from) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_copy);
    call.n_src = 2;
    call.src[0] = call.dst[0] = to;
    call.src[1] = from;
    return mascon_invoke(&call);
}

/* Replaces the 16-bit ones of n tensors by float32 copies. What differs from `given` is owned. */
static mascon_status widen_all(mascon_tensor *const *given, mascon_tensor **wide, int64_t n) {
    memcpy(wide, given, (size_t)n * sizeof *wide);
    for (int64_t i = 0; i < n; i++) {
        if (!is_half(given[i])) continue;
        mascon_status status = cast(given[i], MASCON_DTYPE_F32, &wide[i]);
        if (status == MASCON_OK) continue;
        wide[i] = given[i];
        return status;
    }
    return MASCON_OK;
}

static void release_all(mascon_tensor *const *given, mascon_tensor **wide, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (wide[i] != given[i]) mascon_tensor_release(wide[i]);
    }
}

/* Output i of the wide call becomes that of the call itself. */
static mascon_status narrow_output(mascon_call *call, mascon_call *wide, int32_t i) {
    mascon_tensor *y = call->dst[i], *from = wide->dst[i], *made;
    if (from == y) return MASCON_OK; /* in place on what was not widened */
    if (y->storage) return copy(y, from);
    if (from->view.dtype == y->view.dtype) {
        mascon_tensor_retain(from);
        made = from;
    } else {
        MASCON_TRY(cast(from, y->view.dtype, &made));
    }
    mascon_tensor_release(y);
    call->dst[i] = made;
    call->gc_debt += (int64_t)made->storage->bytes;
    return MASCON_OK;
}

static mascon_status narrow_all(mascon_call *call, mascon_call *wide, uint32_t writes) {
    for (int32_t i = 0; i < call->n_dst; i++) MASCON_TRY(narrow_output(call, wide, i));
    for (int32_t i = 0; i < call->n_src; i++) {
        if (!(writes >> i & 1) || wide->src[i] == call->src[i]) continue;
        MASCON_TRY(copy(call->src[i], wide->src[i]));
    }
    if (!(masconI_ops[call->op]->flags & MASCON_OPF_WRITES)) return MASCON_OK;
    for (int64_t i = 0; i < call->n_list; i++) {
        if (wide->list[i] != call->list[i]) MASCON_TRY(copy(call->list[i], wide->list[i]));
    }
    return MASCON_OK;
}

/* ---- The call ---- */

static mascon_status run_wide(mascon_call *call, mascon_call *wide, uint32_t writes,
                              const char **used) {
    const int in_place = call->n_dst > 0 && call->n_src > 0 && call->dst[0] == call->src[0];
    const char *kernel = NULL;
    memset(wide->dst, 0, sizeof wide->dst);
    if (in_place) wide->dst[0] = wide->src[0];
    mascon_status status = masconI_perform(wide, &kernel);
    if (status != MASCON_OK) return status;
    if (atomic_load_explicit(&masconI_profiling, memory_order_relaxed)) {
        *used = widened_name(kernel ? kernel : "");
    }
    status = narrow_all(call, wide, writes);
    for (int32_t i = in_place; i < wide->n_dst; i++) mascon_tensor_release(wide->dst[i]);
    return status;
}

mascon_status masconI_widen(mascon_call *call, uint32_t writes, const char **used) {
    mascon_call wide = *call;
    mascon_tensor **list = NULL;
    wide.flags = masconI_will_record(call) ? MASCON_CALL_WIDE : 0; /* recorded is the call itself */
    wide.generator = NULL; /* its random state was drawn before */
    if (call->n_list > 0) {
        list = calloc((size_t)call->n_list, sizeof *list);
        if (!list) return masconI_fail(MASCON_E_OOM, "no memory for a list of tensors");
        wide.list = list;
    }
    mascon_status status = widen_all(call->src, wide.src, call->n_src);
    if (list) memcpy(list, call->list, (size_t)call->n_list * sizeof *list);
    if (list && status == MASCON_OK) status = widen_all(call->list, list, call->n_list);
    if (status == MASCON_OK) status = run_wide(call, &wide, writes, used);
    release_all(call->src, wide.src, call->n_src);
    if (list) release_all(call->list, list, call->n_list);
    free(list);
    return status;
}

/* autocast.c: which inputs a call under autocast gets in another type, and the 16-bit twins of weights.
 *
 * The rule is a column of the op table (MASCON_CAST_*): products and convolutions run in bfloat16,
 * what needs digits in float32, and ops of several inputs in the widest type among them. float64 and
 * whole numbers are left alone, and so is a call that writes into a given tensor. Casts are recorded
 * calls, so gradients arrive in the type of the tensor they belong to.
 *
 * A weight keeps its 16-bit copy, its twin, beside it in its storage. It is made once per version, so all
 * calls between two steps of an optimizer share it, and so do the packed forms that kernels keep of it.
 * Twins are guarded by one lock, held for a look-up only.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

/* ---- The rule ---- */

static int is_narrow(int32_t dtype) { return dtype == MASCON_DTYPE_F32 || masconI_is_half(dtype); }

/* The widest type among the floating inputs; -1 where there is none, or float64. */
static int32_t widest(mascon_tensor *const *t, int64_t n) {
    int32_t dtype = -1;
    for (int64_t i = 0; i < n; i++) {
        if (!t[i] || !masconI_is_float(t[i]->view.dtype)) continue;
        const int32_t own = t[i]->view.dtype;
        if (own == MASCON_DTYPE_F64) return -1;
        dtype = dtype < 0 || own == dtype ? own : MASCON_DTYPE_F32;
    }
    return dtype;
}

int32_t masconI_autocast_dtype(const mascon_call *call) {
    const uint32_t flags = masconI_ops[call->op]->flags;
    if (call->dst[0]) return -1;
    if (flags & MASCON_CAST_DOWN) return MASCON_DTYPE_BF16;
    if (flags & MASCON_CAST_UP) return MASCON_DTYPE_F32;
    return call->n_list > 0 ? widest(call->list, call->n_list) : widest(call->src, call->n_src);
}

int masconI_autocast_changes(const mascon_tensor *t, int32_t dtype) {
    return t && t->view.dtype != dtype && is_narrow(t->view.dtype);
}

/* ---- Twins ---- */

struct masconI_twin {
    masconI_storage *storage;
    int64_t version; /* of the storage it is a copy of */
    mascon_view view;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void masconI_twin_free(struct masconI_twin *twin) {
    if (!twin) return;
    masconI_storage_release(twin->storage);
    free(twin);
}

/* Only whole dense storages of our own: foreign memory may change without a new version. */
static int may_have_twin(const mascon_tensor *t) {
    const mascon_view *v = &t->view;
    return t->storage && !t->storage->foreign && t->offset == 0 && v->dtype == MASCON_DTYPE_F32 &&
           v->numel > 0 && (v->contiguous || v->layout == MASCON_LAYOUT_NHWC);
}

static int is_twin(const struct masconI_twin *twin, const mascon_view *v, int32_t dtype) {
    return twin && twin->view.dtype == dtype && twin->view.layout == v->layout &&
           twin->view.contiguous == v->contiguous && masconI_same_shape(&twin->view, v);
}

/* The twin's storage, retained; *fresh: it is of t's present version. NULL: none, or one that others still
 * use in its old version. */
static masconI_storage *find_twin(const mascon_tensor *t, int32_t dtype, int64_t version,
                                  int *fresh) {
    masconI_storage *found = NULL;
    pthread_mutex_lock(&lock);
    struct masconI_twin *twin = t->storage->twin;
    if (is_twin(twin, &t->view, dtype)) {
        const uint64_t recording = masconI_program_now() ? masconI_program_id() : 0;
        /* a replay makes its twins anew, into memory of their own */
        *fresh = twin->version == version && (!recording || twin->storage->written_in == recording);
        if (*fresh || (!recording && atomic_load(&twin->storage->refs) == 1)) {
            found = twin->storage;
            masconI_storage_retain(found);
            if (!*fresh) twin->version = -1; /* until it is written anew */
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void keep_twin(mascon_tensor *t, mascon_tensor *copy, int64_t version) {
    struct masconI_twin *old = NULL, *made = calloc(1, sizeof *made);
    if (!made) return; /* the next call makes another copy */
    made->storage = copy->storage;
    made->version = version;
    made->view = copy->view;
    masconI_storage_retain(copy->storage);
    pthread_mutex_lock(&lock);
    old = t->storage->twin;
    t->storage->twin = made;
    pthread_mutex_unlock(&lock);
    masconI_twin_free(old);
}

static mascon_status header(const mascon_tensor *t, masconI_storage *storage, int32_t dtype,
                            mascon_tensor **out) {
    mascon_meta meta;
    masconI_like(&meta, &t->view);
    meta.dtype = dtype;
    return masconI_tensor_header(out, storage, &meta, t->view.device, t->view.layout,
                                 t->view.stride, 0);
}

static mascon_status rewrite(mascon_tensor *twin, mascon_tensor *t) {
    mascon_call copy;
    masconI_call_init(&copy, MASCON_OP_copy);
    copy.n_src = 2;
    copy.src[0] = copy.dst[0] = twin;
    copy.src[1] = t;
    return mascon_invoke(&copy);
}

/* Records y as the cast of t. */
static mascon_status record(mascon_tensor *t, mascon_tensor *y, int32_t dtype, int32_t flags) {
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_cast);
    call.n_src = call.n_dst = 1;
    call.src[0] = t;
    call.dst[0] = y;
    call.flags = flags;
    masconI_call_set(&call, "dtype", dtype);
    y->inference = (flags & MASCON_CALL_INFERENCE) != 0;
    if (!masconI_will_record(&call)) return MASCON_OK;
    const masconI_before before = {.versions = {mascon_tensor_version(t)}};
    return masconI_record(masconI_ops[MASCON_OP_cast], &call, &before);
}

mascon_status masconI_autocast_weight(mascon_tensor *t, int32_t dtype, int32_t flags,
                                      mascon_tensor **out) {
    *out = NULL;
    if (!may_have_twin(t)) return MASCON_OK;
    const int64_t version = mascon_tensor_version(t);
    int fresh = 0;
    masconI_storage *storage = find_twin(t, dtype, version, &fresh);
    mascon_tensor *y = NULL;
    mascon_status status = MASCON_OK;
    if (storage) {
        status = header(t, storage, dtype, &y);
        masconI_storage_release(storage);
        if (status == MASCON_OK && !fresh) {
            status = rewrite(y, t);
            if (status == MASCON_OK) keep_twin(t, y, version);
        }
    } else {
        mascon_call cast;
        masconI_call_init(&cast, MASCON_OP_cast);
        cast.n_src = 1;
        cast.src[0] = t;
        masconI_call_set(&cast, "dtype", dtype);
        MASCON_TRY(mascon_invoke(&cast));
        y = cast.dst[0];
        keep_twin(t, y, version);
    }
    if (status == MASCON_OK) status = record(t, y, dtype, flags);
    if (status != MASCON_OK) {
        mascon_tensor_release(y);
        return status;
    }
    *out = y;
    return MASCON_OK;
}

/* dlpack.c: tensors of other libraries without a copy, and ours for them.
 *
 * Ownership: a managed tensor that came in belongs to the storage made over its memory, whose last
 * reference calls its deleter; one that went out holds a reference to a tensor, which its deleter gives
 * back.
 */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "mascon_dlpack.h"

enum { DL_INT, DL_UINT, DL_FLOAT, DL_BFLOAT = 4, DL_BOOL = 6 };
enum { DL_CPU = 1, DL_CUDA, DL_CUDA_HOST };
enum { DL_READ_ONLY = 1, DL_MAJOR = 1 };

typedef mascon_dlpack_tensor dl_tensor;

/* ORDER: MASCON_DTYPE_* */
static const struct {
    uint8_t code, bits;
} types[MASCON_DTYPE_COUNT] = {
    {DL_FLOAT, 32}, {DL_FLOAT, 64}, {DL_BFLOAT, 16}, {DL_FLOAT, 16},
    {DL_INT, 64},   {DL_INT, 32},   {DL_UINT, 8},    {DL_BOOL, 8},
};

/* ---- In ---- */

static mascon_status find_dtype(const dl_tensor *t, int32_t *out) {
    for (*out = 0; *out < MASCON_DTYPE_COUNT; (*out)++) {
        if (types[*out].code == t->dtype.code && types[*out].bits == t->dtype.bits &&
            t->dtype.lanes == 1) {
            return MASCON_OK;
        }
    }
    return masconI_fail(MASCON_E_DTYPE,
                        "DLPack type of code %d with %d bits and %d lanes; mascon has no such type",
                        t->dtype.code, t->dtype.bits, t->dtype.lanes);
}

static mascon_status find_device(const dl_tensor *t, int32_t *out) {
    const mascon_backend *backend;
    *out = MASCON_DEVICE_CPU;
    if (t->device.device_type == DL_CPU || t->device.device_type == DL_CUDA_HOST) return MASCON_OK;
    if (t->device.device_type != DL_CUDA || t->device.device_id < 0 || t->device.device_id > 255) {
        return masconI_fail(MASCON_E_DEVICE,
                            "DLPack device %d:%d; mascon knows CPU and CUDA memory",
                            t->device.device_type, t->device.device_id);
    }
    *out = MASCON_DEVICE_CUDA + t->device.device_id;
    return masconI_backend(*out, &backend);
}

/* Fills meta and the bytes from the first element to the end of the last. */
static mascon_status find_shape(const dl_tensor *t, int32_t dtype, mascon_meta *meta,
                                size_t *bytes) {
    if (t->ndim < 0 || t->ndim > MASCON_MAX_DIMS) {
        return masconI_fail(MASCON_E_SHAPE, "%d dimensions; at most %d are supported", t->ndim,
                            MASCON_MAX_DIMS);
    }
    if (t->ndim && !t->shape) return masconI_fail(MASCON_E_ARG, "the DLPack tensor has no shape");
    int64_t numel, last = 0, size = mascon_dtype_size(dtype);
    MASCON_TRY(masconI_numel(t->ndim, t->shape, &numel));
    masconI_meta(meta, dtype, t->ndim, t->shape);
    masconI_row_major(t->ndim, t->shape, meta->stride);
    for (int d = 0; d < t->ndim && t->strides; d++) {
        meta->stride[d] = t->strides[d];
        if (t->strides[d] < 0) {
            return masconI_fail(MASCON_E_LAYOUT, "stride %d is %lld; must be 0 or more", d,
                                (long long)t->strides[d]);
        }
    }
    for (int d = 0; d < t->ndim && numel; d++) {
        int64_t reach;
        if (__builtin_mul_overflow(meta->shape[d] - 1, meta->stride[d], &reach) ||
            __builtin_add_overflow(last, reach, &last) || last > INT64_MAX / size - 1) {
            return masconI_fail(MASCON_E_SHAPE, "its strides reach beyond any memory");
        }
    }
    *bytes = numel ? (size_t)(last + 1) * (size_t)size : 0;
    return MASCON_OK;
}

static mascon_status take(mascon_tensor **out, const dl_tensor *t, void (*release)(void *),
                          void *owner) {
    int32_t dtype, device;
    mascon_meta meta;
    size_t bytes;
    *out = NULL;
    MASCON_TRY(find_dtype(t, &dtype));
    MASCON_TRY(find_device(t, &device));
    MASCON_TRY(find_shape(t, dtype, &meta, &bytes));
    char *data = t->data ? (char *)t->data + t->byte_offset : NULL;
    if (bytes && !t->data) return masconI_fail(MASCON_E_ARG, "the DLPack tensor has no data");
    if ((uintptr_t)data % (uintptr_t)mascon_dtype_size(dtype)) {
        return masconI_fail(MASCON_E_LAYOUT, "its elements do not lie at multiples of their size");
    }
    masconI_storage *storage;
    MASCON_TRY(masconI_storage_foreign(&storage, data, bytes, 0));
    storage->device = device;
    mascon_status status =
        masconI_tensor_header(out, storage, &meta, device, MASCON_LAYOUT_STRIDED, meta.stride, 0);
    if (status == MASCON_OK) {
        mascon_view *v = &(*out)->view;
        if (!v->contiguous && masconI_layout_fits(v, MASCON_WISH_NHWC)) {
            v->layout = MASCON_LAYOUT_NHWC;
        }
        storage->release = release; /* from here on the managed tensor is ours */
        storage->owner = owner;
    }
    masconI_storage_release(storage);
    return status;
}

static void delete_managed(void *owner) {
    mascon_dlpack *m = owner;
    if (m->deleter) m->deleter(m);
}

static void delete_versioned(void *owner) {
    mascon_dlpack_versioned *m = owner;
    if (m->deleter) m->deleter(m);
}

static mascon_status check_pointers(const void *out, const void *in) {
    if (out && in) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, out ? "the tensor is NULL" : "out is NULL");
}

mascon_status mascon_tensor_from_dlpack(mascon_tensor **out, mascon_dlpack *managed) {
    MASCON_TRY(check_pointers(out, managed));
    return take(out, &managed->dl_tensor, delete_managed, managed);
}

mascon_status mascon_tensor_from_dlpack_versioned(mascon_tensor **out,
                                                  mascon_dlpack_versioned *managed) {
    MASCON_TRY(check_pointers(out, managed));
    *out = NULL;
    if (managed->version.major != DL_MAJOR) {
        return masconI_fail(MASCON_E_UNSUPPORTED,
                            "DLPack version %u; this library knows version %d",
                            managed->version.major, DL_MAJOR);
    }
    if (managed->flags & DL_READ_ONLY) {
        return masconI_fail(MASCON_E_UNSUPPORTED,
                            "the DLPack tensor is read-only, and mascon has no such tensors");
    }
    return take(out, &managed->dl_tensor, delete_versioned, managed);
}

/* ---- Out ---- */

/* One block for both kinds: what is handed out, and what it points to. */
typedef struct outgoing {
    union {
        mascon_dlpack plain;
        mascon_dlpack_versioned versioned;
    } managed;
    mascon_tensor *tensor;
    int64_t shape[MASCON_MAX_DIMS], stride[MASCON_MAX_DIMS];
} outgoing;

/* Whoever had it may have written through it. */
static void delete_outgoing(outgoing *o) {
    mascon_tensor_mark_changed(o->tensor);
    mascon_tensor_release(o->tensor);
    free(o);
}

static void delete_plain_out(mascon_dlpack *m) { delete_outgoing(m->manager_ctx); }
static void delete_versioned_out(mascon_dlpack_versioned *m) { delete_outgoing(m->manager_ctx); }

static mascon_status make(outgoing **out, mascon_tensor *t) {
    MASCON_TRY(masconI_tensor_alive(t));
    if (masconI_needs_grad(t)) {
        masconI_fail(MASCON_E_STATE, "a tensor that requires a gradient cannot be given away");
        return masconI_hint("x:detach()");
    }
    outgoing *o = *out = calloc(1, sizeof *o);
    if (!o) return masconI_fail(MASCON_E_OOM, "no memory for a DLPack tensor");
    /* A header of its own: whatever happens to t, this one keeps the storage. */
    mascon_status status = masconI_tensor_alias(&o->tensor, t);
    if (status != MASCON_OK) {
        free(o);
        return status;
    }
    mascon_tensor_mark_changed(t);
    memcpy(o->shape, t->view.shape, sizeof o->shape);
    memcpy(o->stride, t->view.stride, sizeof o->stride);
    return MASCON_OK;
}

static void fill(outgoing *o, dl_tensor *to) {
    const mascon_view *v = &o->tensor->view;
    int cuda = v->device >= MASCON_DEVICE_CUDA;
    to->data = v->data;
    to->device.device_type = cuda ? DL_CUDA : DL_CPU;
    to->device.device_id = cuda ? v->device - MASCON_DEVICE_CUDA : 0;
    to->ndim = v->ndim;
    to->dtype.code = types[v->dtype].code;
    to->dtype.bits = types[v->dtype].bits;
    to->dtype.lanes = 1;
    to->shape = o->shape;
    to->strides = o->stride;
    to->byte_offset = 0;
}

mascon_status mascon_tensor_to_dlpack(mascon_dlpack **out, mascon_tensor *t) {
    MASCON_TRY(check_pointers(out, t));
    outgoing *o;
    *out = NULL;
    MASCON_TRY(make(&o, t));
    fill(o, &o->managed.plain.dl_tensor);
    o->managed.plain.manager_ctx = o;
    o->managed.plain.deleter = delete_plain_out;
    *out = &o->managed.plain;
    return MASCON_OK;
}

mascon_status mascon_tensor_to_dlpack_versioned(mascon_dlpack_versioned **out, mascon_tensor *t) {
    MASCON_TRY(check_pointers(out, t));
    outgoing *o;
    *out = NULL;
    MASCON_TRY(make(&o, t));
    fill(o, &o->managed.versioned.dl_tensor);
    o->managed.versioned.version.major = DL_MAJOR;
    o->managed.versioned.manager_ctx = o;
    o->managed.versioned.deleter = delete_versioned_out;
    *out = &o->managed.versioned;
    return MASCON_OK;
}

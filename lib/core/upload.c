/* upload.c: page-locked CPU tensors, and copies to a device beside its computing.
 *
 * An upload owns its sources, which must not change or go while they are read, and a reference to each
 * destination, whose memory must not serve another tensor while it is written: both are let go when the
 * copies are known to be over and the device's stream has been made to wait for them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "mascon_data.h"

struct mascon_upload {
    const mascon_backend *backend;
    int32_t device, n;
    int joined;
    void *ticket; /* NULL: nothing to copy, or over */
    mascon_tensor *src[MASCON_MAX_SRC], *dst[MASCON_MAX_SRC];
};

mascon_status masconI_tensor_pinned(mascon_tensor **out, const mascon_meta *meta, int32_t layout) {
    int64_t stride[MASCON_MAX_DIMS], numel;
    masconI_storage *storage;
    MASCON_TRY(masconI_numel(meta->ndim, meta->shape, &numel));
    if (layout == MASCON_LAYOUT_NHWC) {
        masconI_nhwc_strides(meta->shape, stride);
    } else {
        masconI_row_major(meta->ndim, meta->shape, stride);
    }
    MASCON_TRY(masconI_storage_new(&storage, (size_t)numel * (size_t)mascon_dtype_size(meta->dtype),
                                   MASCONI_DEVICE_PINNED));
    mascon_status status =
        masconI_tensor_header(out, storage, meta, MASCON_DEVICE_CPU, layout, stride, 0);
    masconI_storage_release(storage);
    return status;
}

/* In which dense layout the tensor travels. */
static int32_t layout_of(const mascon_view *v) {
    return v->layout == MASCON_LAYOUT_NHWC && masconI_layout_fits(v, MASCON_WISH_NHWC)
               ? MASCON_LAYOUT_NHWC
               : MASCON_LAYOUT_STRIDED;
}

static int is_pinned(const mascon_tensor *t) {
    int dense = t->view.contiguous || layout_of(&t->view) == MASCON_LAYOUT_NHWC;
    return dense && t->storage->device == MASCONI_DEVICE_PINNED;
}

mascon_status mascon_tensor_pin(mascon_tensor *t, mascon_tensor **out) {
    MASCON_NEED(out);
    MASCON_TRY(masconI_tensor_alive(t));
    if (t->view.device != MASCON_DEVICE_CPU) {
        return masconI_fail(MASCON_E_DEVICE, "only CPU memory can be page-locked");
    }
    if (is_pinned(t) || mascon_device_count(MASCON_DEVICE_CUDA, NULL) == 0) {
        mascon_tensor_retain(t);
        *out = t;
        return MASCON_OK;
    }
    mascon_meta meta;
    mascon_tensor *pinned;
    masconI_like(&meta, &t->view);
    MASCON_TRY(masconI_tensor_pinned(&pinned, &meta, layout_of(&t->view)));
    mascon_call copy;
    masconI_call_init(&copy, MASCON_OP_copy);
    copy.n_src = 2;
    copy.src[0] = copy.dst[0] = pinned;
    copy.src[1] = t;
    mascon_status status = mascon_invoke(&copy);
    if (status != MASCON_OK) {
        mascon_tensor_release(pinned);
        return status;
    }
    *out = pinned;
    return MASCON_OK;
}

static mascon_status begin(mascon_upload *u, mascon_tensor *const *src) {
    void *to[MASCON_MAX_SRC];
    const void *from[MASCON_MAX_SRC];
    size_t bytes[MASCON_MAX_SRC];
    int32_t copies = 0;
    for (int32_t i = 0; i < u->n; i++) {
        mascon_meta meta;
        MASCON_TRY(mascon_tensor_pin(src[i], &u->src[i]));
        const mascon_view *v = &u->src[i]->view;
        masconI_like(&meta, v);
        MASCON_TRY(masconI_tensor_dense(&u->dst[i], &meta, u->device, layout_of(v)));
        if (v->numel == 0) continue;
        to[copies] = u->dst[i]->view.data;
        from[copies] = v->data;
        bytes[copies++] = (size_t)v->numel * (size_t)mascon_dtype_size(v->dtype);
    }
    if (copies == 0) return MASCON_OK;
    return u->backend->upload(u->device, copies, to, from, bytes, &u->ticket);
}

mascon_status mascon_upload_new(mascon_upload **out, mascon_tensor *const *src, int32_t n,
                                int32_t device, mascon_tensor **dst) {
    MASCON_NEED(out);
    MASCON_NEED(dst);
    const mascon_backend *backend;
    if (n < 1 || n > MASCON_MAX_SRC) {
        return masconI_fail(MASCON_E_ARG, "%d tensors; an upload has 1..%d", n, MASCON_MAX_SRC);
    }
    MASCON_NEED(src);
    MASCON_TRY(masconI_backend(device, &backend));
    if (!backend->upload) {
        return masconI_fail(MASCON_E_DEVICE, "an upload goes to a CUDA device");
    }
    mascon_upload *u = calloc(1, sizeof *u);
    if (!u) return masconI_fail(MASCON_E_OOM, "no memory for an upload");
    u->backend = backend;
    u->device = device;
    u->n = n;
    mascon_status status = begin(u, src);
    if (status != MASCON_OK) {
        mascon_upload_release(u);
        return status;
    }
    for (int32_t i = 0; i < n; i++) {
        mascon_tensor_retain(u->dst[i]);
        dst[i] = u->dst[i];
    }
    *out = u;
    return MASCON_OK;
}

mascon_status mascon_upload_use(mascon_upload *u) {
    MASCON_NEED(u);
    if (u->joined) return MASCON_OK;
    u->joined = 1;
    return u->ticket ? u->backend->join(u->device, u->ticket) : MASCON_OK;
}

void mascon_upload_release(mascon_upload *u) {
    if (!u) return;
    if (u->ticket) u->backend->finish(u->device, u->ticket);
    for (int32_t i = 0; i < u->n; i++) {
        mascon_tensor_release(u->src[i]);
        mascon_tensor_release(u->dst[i]);
    }
    free(u);
}

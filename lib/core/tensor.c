/* tensor.c: tensor headers, their life, and reading and writing values from the host.
 *
 * A tensor is a counted header (shape, strides, layout tag, offset) over a counted storage. A header
 * without storage is either a meta tensor (only its shape may be used) or was released; every entry
 * checks through masconI_tensor_alive.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

/* ---- Making headers ---- */

void masconI_view_update(mascon_view *v) {
    int64_t step = 1;
    v->numel = 1;
    v->contiguous = 1;
    for (int d = v->ndim - 1; d >= 0; d--) {
        if (v->shape[d] != 1 && v->stride[d] != step) v->contiguous = 0;
        step *= v->shape[d];
        v->numel *= v->shape[d];
    }
    if (v->numel == 0) v->contiguous = 1;
}

mascon_status masconI_tensor_meta(mascon_tensor **out, const mascon_meta *meta, int32_t device) {
    mascon_tensor *t = malloc(sizeof *t);
    if (!t) return masconI_fail(MASCON_E_OOM, "no memory for a tensor header");
    memset(t, 0, sizeof *t);
    atomic_init(&t->refs, 1);
    t->view.dtype = (uint8_t)meta->dtype;
    t->view.device = device;
    t->view.ndim = meta->ndim;
    memcpy(t->view.shape, meta->shape, sizeof(int64_t) * (size_t)meta->ndim);
    masconI_row_major(meta->ndim, meta->shape, t->view.stride);
    masconI_view_update(&t->view);
    atomic_fetch_add_explicit(&masconI_live_tensors, 1, memory_order_relaxed);
    *out = t;
    return MASCON_OK;
}

static void set_data(mascon_tensor *t) {
    size_t skip = (size_t)t->offset * (size_t)mascon_dtype_size(t->view.dtype);
    t->view.data = t->storage->data ? (char *)t->storage->data + skip : NULL;
}

/* Puts the tensor's dtype and shape into an out-of-memory sentence ("34.4 GB needed (float32 {..})"). */
static mascon_status name_tensor(const mascon_view *v, mascon_status status) {
    mascon_error *e = masconI_error();
    char *needed = strstr(e->message, " needed");
    if (status != MASCON_E_OOM || !needed) return status;
    char rest[512], shape[160];
    needed += strlen(" needed");
    snprintf(rest, sizeof rest, "%s", needed);
    snprintf(needed, sizeof e->message - (size_t)(needed - e->message), " (%s %s)%s",
             mascon_dtype_name(v->dtype), masconI_shape_text(v->ndim, v->shape, shape), rest);
    return status;
}

mascon_status masconI_tensor_materialise(mascon_tensor *t, int32_t layout) {
    mascon_view *v = &t->view;
    v->layout = (uint8_t)layout;
    if (layout == MASCON_LAYOUT_NHWC) {
        masconI_nhwc_strides(v->shape, v->stride);
    } else {
        masconI_row_major(v->ndim, v->shape, v->stride);
    }
    masconI_view_update(v);
    size_t bytes;
    if (__builtin_mul_overflow((size_t)v->numel, (size_t)mascon_dtype_size(v->dtype), &bytes)) {
        bytes = SIZE_MAX / 2; /* more than any machine has: the ordinary sentence follows */
    }
    mascon_status status = masconI_storage_new(&t->storage, bytes, v->device);
    if (status != MASCON_OK) return name_tensor(v, status);
    set_data(t);
    return MASCON_OK;
}

mascon_status masconI_tensor_dense(mascon_tensor **out, const mascon_meta *meta, int32_t device,
                                   int32_t layout) {
    mascon_tensor *t;
    MASCON_TRY(masconI_tensor_meta(&t, meta, device));
    mascon_status status = masconI_tensor_materialise(t, layout);
    if (status != MASCON_OK) {
        mascon_tensor_release(t);
        return status;
    }
    *out = t;
    return MASCON_OK;
}

mascon_status masconI_tensor_header(mascon_tensor **out, masconI_storage *storage,
                                    const mascon_meta *meta, int32_t device, int32_t layout,
                                    const int64_t *stride, int64_t offset) {
    MASCON_TRY(masconI_tensor_meta(out, meta, device));
    mascon_tensor *t = *out;
    memcpy(t->view.stride, stride, sizeof(int64_t) * (size_t)meta->ndim);
    masconI_view_update(&t->view);
    t->view.layout = (uint8_t)layout;
    t->offset = offset;
    if (storage) {
        masconI_storage_retain(storage);
        t->storage = storage;
        set_data(t);
    }
    return MASCON_OK;
}

mascon_status masconI_tensor_alias(mascon_tensor **out, const mascon_tensor *t) {
    mascon_meta meta;
    masconI_like(&meta, &t->view);
    return masconI_tensor_header(out, t->storage, &meta, t->view.device, t->view.layout,
                                 t->view.stride, t->offset);
}

static mascon_status check_kind(int32_t dtype, int32_t ndim) {
    if (!mascon_dtype_size(dtype)) return masconI_fail(MASCON_E_DTYPE, "unknown dtype %d", dtype);
    if (ndim < 0 || ndim > MASCON_MAX_DIMS) {
        return masconI_fail(MASCON_E_SHAPE, "%d dimensions; at most %d are supported", ndim,
                            MASCON_MAX_DIMS);
    }
    return MASCON_OK;
}

mascon_status mascon_tensor_new(mascon_tensor **out, int32_t dtype, int32_t ndim,
                                const int64_t *shape, int32_t device) {
    MASCON_NEED(out);
    int64_t numel;
    mascon_meta meta;
    MASCON_TRY(check_kind(dtype, ndim));
    if (ndim > 0) MASCON_NEED(shape);
    MASCON_TRY(masconI_numel(ndim, shape, &numel));
    masconI_meta(&meta, dtype, ndim, shape);
    return masconI_tensor_dense(out, &meta, device, MASCON_LAYOUT_STRIDED);
}

mascon_status mascon_tensor_new_nhwc(mascon_tensor **out, int32_t dtype, const int64_t *shape,
                                     int32_t device) {
    MASCON_NEED(out);
    MASCON_NEED(shape);
    int64_t numel;
    mascon_meta meta;
    MASCON_TRY(check_kind(dtype, 4));
    MASCON_TRY(masconI_numel(4, shape, &numel));
    masconI_meta(&meta, dtype, 4, shape);
    return masconI_tensor_dense(out, &meta, device, MASCON_LAYOUT_NHWC);
}

mascon_status mascon_tensor_from_blob(mascon_tensor **out, void *data, int32_t dtype, int32_t ndim,
                                      const int64_t *shape, uint64_t anchor) {
    MASCON_NEED(out);
    int64_t numel;
    mascon_meta meta;
    int64_t stride[MASCON_MAX_DIMS];
    MASCON_TRY(check_kind(dtype, ndim));
    if (ndim > 0) MASCON_NEED(shape);
    MASCON_TRY(masconI_numel(ndim, shape, &numel));
    if (!data && numel > 0) return masconI_fail(MASCON_E_ARG, "the pointer is NULL");
    masconI_meta(&meta, dtype, ndim, shape);
    masconI_row_major(ndim, shape, stride);
    masconI_storage *storage;
    MASCON_TRY(masconI_storage_foreign(&storage, data,
                                       (size_t)numel * (size_t)mascon_dtype_size(dtype), anchor));
    mascon_status status = masconI_tensor_header(out, storage, &meta, MASCON_DEVICE_CPU,
                                                 MASCON_LAYOUT_STRIDED, stride, 0);
    masconI_storage_release(storage);
    return status;
}

/* ---- Life ---- */

void mascon_tensor_retain(mascon_tensor *t) {
    if (!t) return;
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}

static void drop_contents(mascon_tensor *t) {
    if (t->storage) masconI_storage_release(t->storage);
    if (t->node) masconI_node_release(t->node);
    if (t->grad) mascon_tensor_release(t->grad);
    t->storage = NULL;
    t->node = NULL;
    t->grad = NULL;
    t->view.data = NULL;
}

void mascon_tensor_release(mascon_tensor *t) {
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) return;
    drop_contents(t);
    free(t->why);
    free(t->origin);
    free(t);
    atomic_fetch_sub_explicit(&masconI_live_tensors, 1, memory_order_relaxed);
}

int32_t mascon_tensor_discard(mascon_tensor *t, const char *why) {
    if (!t || t->released) return 0;
    if (t->host_shared && atomic_load_explicit(&t->refs, memory_order_acquire) > 1) {
        mascon_tensor_release(t);
        return 1;
    }
    drop_contents(t);
    t->released = 1;
    t->why = why ? strdup(why) : NULL;
    return 0;
}

int32_t mascon_tensor_is_released(const mascon_tensor *t) { return !t || t->released; }

mascon_status masconI_tensor_alive(const mascon_tensor *t) {
    if (!t) return masconI_fail(MASCON_E_ARG, "the tensor is NULL");
    if (t->released == 2) {
        masconI_fail(MASCON_E_STATE, "%s", t->why ? t->why : "a saved tensor was changed");
        return masconI_hint("mascon.detect_anomaly(true) shows both lines");
    }
    if (t->released) {
        return masconI_fail(MASCON_E_STATE, "tensor was released%s%s", t->why ? " " : "",
                            t->why ? t->why : "");
    }
    if (!t->storage) {
        return masconI_fail(MASCON_E_STATE, "this tensor has a shape but no values");
    }
    return MASCON_OK;
}

int masconI_tensor_is_unique(const mascon_tensor *t) {
    return atomic_load_explicit(&t->refs, memory_order_acquire) == 1 && t->storage &&
           atomic_load_explicit(&t->storage->refs, memory_order_acquire) -
                   atomic_load_explicit(&t->storage->recorded, memory_order_relaxed) ==
               1 &&
           !t->alias;
}

void masconI_tensor_written(mascon_tensor *t, int32_t op) {
    atomic_fetch_add_explicit(&t->storage->version, 1, memory_order_relaxed);
    t->storage->writer = op;
}

/* ---- Getters ---- */

int32_t mascon_tensor_ndim(const mascon_tensor *t) {
    if (!t) return 0;
    return t->view.ndim;
}
const int64_t *mascon_tensor_shape(const mascon_tensor *t) {
    if (!t) return NULL;
    return t->view.shape;
}
const int64_t *mascon_tensor_strides(const mascon_tensor *t) {
    if (!t) return NULL;
    return t->view.stride;
}
int64_t mascon_tensor_numel(const mascon_tensor *t) {
    if (!t) return 0;
    return t->view.numel;
}
int32_t mascon_tensor_dtype(const mascon_tensor *t) {
    if (!t) return -1;
    return t->view.dtype;
}
int32_t mascon_tensor_device(const mascon_tensor *t) {
    if (!t) return 0;
    return t->view.device;
}
int32_t mascon_tensor_layout(const mascon_tensor *t) {
    if (!t) return 0;
    return t->view.layout;
}
int32_t mascon_tensor_is_contiguous(const mascon_tensor *t) {
    if (!t) return 0;
    return t->view.contiguous;
}
uint64_t mascon_tensor_storage_id(const mascon_tensor *t) {
    if (!t) return 0;
    return t->storage ? t->storage->id : 0;
}

int64_t mascon_tensor_version(const mascon_tensor *t) {
    if (!t) return 0;
    return t->storage ? atomic_load_explicit(&t->storage->version, memory_order_relaxed) : 0;
}

void mascon_tensor_mark_changed(mascon_tensor *t) {
    if (!t) return;
    if (t->storage) masconI_tensor_written(t, MASCON_OP_copy);
}

/* ---- Values ---- */

mascon_status mascon_tensor_data(mascon_tensor *t, void **data) {
    MASCON_NEED(data);
    MASCON_TRY(masconI_tensor_alive(t));
    MASCON_TRY(masconI_check_recording(t, "a pointer to its values"));
    MASCON_TRY(masconI_check_host_write(t, "a pointer to its values"));
    if (t->view.device != MASCON_DEVICE_CPU) {
        char text[16];
        masconI_fail(MASCON_E_DEVICE, "the tensor is on %s; only CPU memory has an address here",
                     masconI_device_text(t->view.device, text));
        return masconI_hint("x:cpu()");
    }
    if (!t->view.contiguous) {
        char shape[160], stride[160];
        masconI_fail(MASCON_E_LAYOUT, "tensor %s is not row-major (strides %s)",
                     masconI_shape_text(t->view.ndim, t->view.shape, shape),
                     masconI_shape_text(t->view.ndim, t->view.stride, stride));
        return masconI_hint("x:contiguous()");
    }
    masconI_tensor_written(t, MASCON_OP_copy);
    *data = t->view.data;
    return MASCON_OK;
}

/* Calls each(offset, i) style loops: the next offset in logical order. */
static int64_t step(const mascon_view *v, int64_t *at, int64_t offset) {
    for (int d = v->ndim - 1; d >= 0; d--) {
        offset += v->stride[d];
        if (++at[d] < v->shape[d]) return offset;
        offset -= v->stride[d] * v->shape[d];
        at[d] = 0;
    }
    return offset;
}

static mascon_status read_values(const mascon_view *v, double *out) {
    int64_t at[MASCON_MAX_DIMS] = {0}, offset = 0;
    for (int64_t i = 0; i < v->numel; i++) {
        if (v->dtype == MASCON_DTYPE_I64) {
            int64_t value = masconI_load_int(v->data, v->dtype, offset);
            if (value > INT64_C(1) << 53 || value < -(INT64_C(1) << 53)) {
                return masconI_fail(MASCON_E_ARG,
                                    "element %lld is %lld; a Lua number holds whole numbers up to "
                                    "2^53",
                                    (long long)i + 1, (long long)value);
            }
            out[i] = (double)value;
        } else {
            out[i] = masconI_load(v->data, v->dtype, offset);
        }
        offset = step(v, at, offset);
    }
    return MASCON_OK;
}

/* *out is t itself (retained) or its copy on the CPU. */
static mascon_status on_cpu(const mascon_tensor *t, mascon_tensor **out) {
    if (t->view.device == MASCON_DEVICE_CPU) {
        *out = (mascon_tensor *)(uintptr_t)t;
        mascon_tensor_retain(*out);
        return MASCON_OK;
    }
    mascon_tensor *source = (mascon_tensor *)(uintptr_t)t;
    return masconI_emit(MASCON_OP_transfer, out, 1, &source, "device", (double)MASCON_DEVICE_CPU,
                        NULL);
}

/* The value of a tensor with one element on a device. */
static mascon_status read_one(const mascon_tensor *t, double *out) {
    const mascon_backend *backend;
    int64_t bits = 0;
    mascon_view here = t->view;
    size_t bytes = (size_t)mascon_dtype_size(here.dtype);
    MASCON_TRY(masconI_backend(here.device, &backend));
    if (backend->read) {
        MASCON_TRY(backend->read(here.device, t, &bits, bytes));
    } else {
        MASCON_TRY(backend->copy(&bits, MASCON_DEVICE_CPU, here.data, here.device, bytes));
    }
    here.data = &bits;
    return read_values(&here, out);
}

mascon_status mascon_tensor_read(const mascon_tensor *t, double *out) {
    MASCON_NEED(out);
    mascon_tensor *here;
    MASCON_TRY(masconI_tensor_alive(t));
    MASCON_TRY(masconI_check_recording(t, "reading its values"));
    if (t->view.device != MASCON_DEVICE_CPU && t->view.numel == 1) return read_one(t, out);
    MASCON_TRY(on_cpu(t, &here));
    mascon_status status = read_values(&here->view, out);
    mascon_tensor_release(here);
    return status;
}

mascon_status mascon_tensor_write(mascon_tensor *t, const double *values) {
    MASCON_NEED(values);
    MASCON_TRY(masconI_tensor_alive(t));
    MASCON_TRY(masconI_check_recording(t, "writing its values"));
    MASCON_TRY(masconI_check_host_write(t, "writing its values"));
    if (t->view.device != MASCON_DEVICE_CPU) {
        mascon_tensor *here;
        mascon_meta meta;
        masconI_like(&meta, &t->view);
        MASCON_TRY(masconI_tensor_dense(&here, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED));
        mascon_status status = mascon_tensor_write(here, values);
        if (status == MASCON_OK) {
            mascon_tensor *source = here;
            status = masconI_emit(MASCON_OP_transfer, &here, 1, &source, "device",
                                  (double)t->view.device, NULL);
            if (status == MASCON_OK) mascon_tensor_release(source);
        }
        if (status == MASCON_OK) {
            mascon_call call;
            masconI_call_init(&call, MASCON_OP_copy);
            call.n_src = 2;
            call.src[0] = call.dst[0] = t;
            call.src[1] = here;
            status = mascon_invoke(&call);
        }
        mascon_tensor_release(here);
        return status;
    }
    const mascon_view *v = &t->view;
    int64_t at[MASCON_MAX_DIMS] = {0}, offset = 0;
    for (int64_t i = 0; i < v->numel; i++) {
        masconI_store(v->data, v->dtype, offset, values[i]);
        offset = step(v, at, offset);
    }
    masconI_tensor_written(t, MASCON_OP_copy);
    return MASCON_OK;
}

mascon_status mascon_tensor_item(const mascon_tensor *t, double *out) {
    MASCON_NEED(out);
    MASCON_TRY(masconI_tensor_alive(t));
    if (t->view.numel != 1) {
        char shape[160];
        return masconI_fail(MASCON_E_SHAPE, "tensor has %lld elements %s; expected 1",
                            (long long)t->view.numel,
                            masconI_shape_text(t->view.ndim, t->view.shape, shape));
    }
    return mascon_tensor_read(t, out);
}

/* ---- Gradient fields ---- */

int32_t mascon_tensor_requires_grad(const mascon_tensor *t) {
    if (!t) return 0;
    return masconI_needs_grad(t);
}
int32_t mascon_tensor_is_leaf(const mascon_tensor *t) { return t && !t->node; }

mascon_status mascon_tensor_set_requires_grad(mascon_tensor *t, int32_t on) {
    MASCON_TRY(masconI_tensor_alive(t));
    if (on && !masconI_is_float(t->view.dtype)) {
        return masconI_fail(MASCON_E_DTYPE,
                            "only floating tensors can require a gradient, this one "
                            "is %s",
                            mascon_dtype_name(t->view.dtype));
    }
    if (on && t->inference) {
        masconI_fail(MASCON_E_STATE,
                     "a tensor made under inference_mode cannot require a gradient");
        return masconI_hint("x:clone() outside of it");
    }
    if (!on && t->node) {
        masconI_fail(MASCON_E_STATE,
                     "requires_grad can be switched off on leaves only; this tensor "
                     "is the output of %s",
                     t->node->op ? t->node->op->name : "a function");
        return masconI_hint("x:detach()");
    }
    t->requires_grad = on != 0;
    return MASCON_OK;
}

mascon_status mascon_tensor_grad(mascon_tensor *t, mascon_tensor **out) {
    MASCON_NEED(out);
    MASCON_TRY(masconI_tensor_alive(t));
    if (masconI_program_now()) MASCON_TRY(masconI_program_leaf(t, 1));
    *out = t->grad;
    if (t->grad) mascon_tensor_retain(t->grad);
    return MASCON_OK;
}

mascon_status mascon_tensor_set_grad(mascon_tensor *t, mascon_tensor *grad) {
    MASCON_TRY(masconI_tensor_alive(t));
    if (grad) {
        MASCON_TRY(masconI_tensor_alive(grad));
        char a[160], b[160];
        if (!masconI_same_shape(&t->view, &grad->view)) {
            return masconI_fail(MASCON_E_SHAPE, "grad has shape %s, the tensor %s",
                                masconI_shape_text(grad->view.ndim, grad->view.shape, a),
                                masconI_shape_text(t->view.ndim, t->view.shape, b));
        }
        if (t->view.dtype != grad->view.dtype) {
            return masconI_fail(MASCON_E_DTYPE, "grad is %s, the tensor %s",
                                mascon_dtype_name(grad->view.dtype),
                                mascon_dtype_name(t->view.dtype));
        }
        if (t->view.device != grad->view.device) {
            return masconI_fail(MASCON_E_DEVICE, "grad and the tensor are on different devices");
        }
    }
    if (masconI_program_now()) MASCON_TRY(masconI_program_leaf(t, 0));
    mascon_tensor_retain(grad);
    if (t->grad) mascon_tensor_release(t->grad);
    t->grad = grad;
    return MASCON_OK;
}

mascon_status mascon_tensor_detach(mascon_tensor *t, mascon_tensor **out) {
    MASCON_NEED(out);
    MASCON_TRY(masconI_tensor_alive(t));
    MASCON_TRY(masconI_tensor_alias(out, t));
    (*out)->alias = t->alias;
    (*out)->inference = t->inference;
    return MASCON_OK;
}

void mascon_tensor_set_origin(mascon_tensor *t, const char *text) {
    if (!t) return;
    char **place = t->node ? &t->node->origin : &t->origin;
    free(*place);
    *place = text ? strdup(text) : NULL;
}

/* memory.c: raw blocks below the core's caching allocator, and copies.
 *
 * Copies follow the device's stream, so that a copy sees what the kernels before it wrote. */
#include "cuda/backend.h"

#include "core/op.h"

mascon_status masconG_memory_alloc(int32_t device, size_t bytes, void **out) {
    masconG_device *d;
    MASCON_TRY(masconG_open(device, &d));
    *out = NULL;
    CUDA_TRY(malloc(out, bytes ? bytes : 1));
    return MASCON_OK;
}

void masconG_memory_free(int32_t device, void *block) {
    masconG_device *d;
    if (masconG_open(device, &d) == MASCON_OK) cuda->free(block);
}

mascon_status masconG_memory_info(int32_t device, int64_t *total, int64_t *available) {
    masconG_device *d;
    size_t all = 0, left = 0;
    *total = *available = 0;
    MASCON_TRY(masconG_open(device, &d));
    CUDA_TRY(mem_get_info(&left, &all));
    *total = (int64_t)all;
    *available = (int64_t)left;
    return MASCON_OK;
}

/* ---- Page-locked memory ---- */

mascon_status masconG_pin(size_t bytes, void **out) {
    *out = NULL;
    MASCON_TRY(masconG_open_any()); /* loaders' threads come here */
    CUDA_TRY(host_alloc(out, bytes ? bytes : 1, cudaHostAllocPortable));
    return MASCON_OK;
}

void masconG_unpin(void *block) {
    if (masconG_open_any() == MASCON_OK) cuda->free_host(block);
}

/* Whether a copy reads this memory of the host when it comes to it, and not before the call returns:
 * page-locked memory, whoever locked it, and all memory on a device that can read the host's. */
static int is_read_late(const masconG_device *d, const void *p) {
    struct cudaPointerAttributes found;
    if (d->host_pages) return 1;
    if (cuda->pointer_get_attributes(&found, p) == cudaSuccess) {
        return found.type != cudaMemoryTypeUnregistered;
    }
    cuda->get_last_error();
    return 1; /* not known */
}

/* ---- Copies ---- */

/* From one device to another: in the order of both streams, since either block may be reused next. */
static mascon_status copy_across(void *dst, int32_t dst_device, const void *src, int32_t src_device,
                                 size_t bytes) {
    masconG_device *from, *to;
    MASCON_TRY(masconG_open(src_device, &from));
    CUDA_TRY(stream_synchronize(from->stream));
    MASCON_TRY(masconG_open(dst_device, &to));
    CUDA_TRY(memcpy_async(dst, src, bytes, cudaMemcpyDefault, to->stream));
    CUDA_TRY(stream_synchronize(to->stream));
    return MASCON_OK;
}

mascon_status masconG_memory_copy(void *dst, int32_t dst_device, const void *src,
                                  int32_t src_device, size_t bytes) {
    masconG_device *d;
    if (bytes == 0) return MASCON_OK;
    int from_host = src_device == MASCON_DEVICE_CPU, to_host = dst_device == MASCON_DEVICE_CPU;
    if (src_device != dst_device) MASCON_TRY(masconG_refuse_capture("a copy between devices"));
    if (!from_host && !to_host && src_device != dst_device) {
        return copy_across(dst, dst_device, src, src_device, bytes);
    }
    MASCON_TRY(masconG_open(from_host ? dst_device : src_device, &d));
    CUDA_TRY(memcpy_async(dst, src, bytes, cudaMemcpyDefault, masconG_stream_of(d)));
    /* what is read late the caller could change before it is read */
    if (to_host || (from_host && is_read_late(d, src))) CUDA_TRY(stream_synchronize(d->stream));
    return to_host ? masconG_take_report(src_device) : MASCON_OK;
}

/* ---- Uploads ---- */

static mascon_status start_copies(masconG_device *d, int32_t n, void *const *dst,
                                  const void *const *src, const size_t *bytes, cudaEvent_t event) {
    /* a destination may have been another tensor's, which the device still works on */
    MASCON_TRY(masconG_follow(d->copies, d->stream));
    for (int32_t i = 0; i < n; i++) {
        CUDA_TRY(memcpy_async(dst[i], src[i], bytes[i], cudaMemcpyHostToDevice, d->copies));
    }
    CUDA_TRY(event_record(event, d->copies));
    return MASCON_OK;
}

mascon_status masconG_upload(int32_t device, int32_t n, void *const *dst, const void *const *src,
                             const size_t *bytes, void **ticket) {
    masconG_device *d;
    cudaEvent_t event;
    *ticket = NULL;
    MASCON_TRY(masconG_refuse_capture("an upload"));
    MASCON_TRY(masconG_open(device, &d));
    CUDA_TRY(event_create_with_flags(&event, cudaEventDisableTiming));
    mascon_status status = start_copies(d, n, dst, src, bytes, event);
    if (status != MASCON_OK) {
        cuda->stream_synchronize(d->copies); /* what has begun must end before the memory goes */
        cuda->event_destroy(event);
        return status;
    }
    *ticket = event;
    return MASCON_OK;
}

mascon_status masconG_join(int32_t device, void *ticket) {
    masconG_device *d;
    MASCON_TRY(masconG_refuse_capture("an upload"));
    MASCON_TRY(masconG_open(device, &d));
    CUDA_TRY(stream_wait_event(d->stream, ticket, 0));
    return MASCON_OK;
}

void masconG_finish(int32_t device, void *ticket) {
    masconG_device *d;
    if (masconG_open(device, &d) == MASCON_OK) cuda->event_synchronize(ticket);
    cuda->event_destroy(ticket);
}

/* ---- transfer: the op that brings a tensor to this device ---- */

/* Bytes travel in the layout they have, so both sides want the same dense one. */
static int transfer_wish(const mascon_call *call, mascon_wish *w) {
    int nhwc = SRC(call, 0)->layout == MASCON_LAYOUT_NHWC;
    w->src[0] = w->dst[0] = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    return 1;
}

static mascon_status transfer_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    size_t bytes = (size_t)x->numel * (size_t)mascon_dtype_size(x->dtype);
    return masconG_memory_copy(y->data, y->device, x->data, x->device, bytes);
}

extern const mascon_kernel masconG_transfer;
const mascon_kernel masconG_transfer = {.wish = transfer_wish, .run = transfer_run};

/* copies.c: reference kernels of the ops that copy and convert. */
#include "reference/move.h"

/* y = x, of one shape */
static void copy_elements(const mascon_view *y, const mascon_view *x) {
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_move(y, masconR_offset(y, i), x, masconR_offset(x, i));
    }
}

/* y = source, broadcast to y; the old x does not matter */
static mascon_status copy(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    mascon_view source = masconR_spread(SRC(call, 1), y->ndim, y->shape);
    copy_elements(y, &source);
    return MASCON_OK;
}

static mascon_status same(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    copy_elements(DST(call, 0), SRC(call, 0));
    return MASCON_OK;
}

static int contiguous_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

/* Bytes travel in the layout they have, so both sides want the same dense one. */
static int transfer_wish(const mascon_call *call, mascon_wish *w) {
    int nhwc = SRC(call, 0)->layout == MASCON_LAYOUT_NHWC;
    w->src[0] = w->dst[0] = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    return 1;
}

static mascon_status transfer(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const mascon_backend *backend;
    size_t bytes = (size_t)x->numel * (size_t)mascon_dtype_size(x->dtype);
    MASCON_TRY(masconI_backend(y->device != MASCON_DEVICE_CPU ? y->device : x->device, &backend));
    return backend->copy(y->data, y->device, x->data, x->device, bytes);
}

const mascon_kernel masconR_copy = {.run = copy};
const mascon_kernel masconR_cast = {.run = same};
const mascon_kernel masconR_clone = {.run = same};
const mascon_kernel masconR_contiguous = {.wish = contiguous_wish, .run = same};
const mascon_kernel masconR_transfer = {.wish = transfer_wish, .run = transfer};

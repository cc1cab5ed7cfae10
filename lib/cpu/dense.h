/* dense.h: for kernels of float32 tensors of one shape, run over dense storage whatever its order.
 */
#ifndef MASCON_CPU_DENSE_H
#define MASCON_CPU_DENSE_H

#include "mascon_backend.h"

enum { MASCON_DENSE_CHUNK = 16384 }; /* elements of one slice */

static inline int64_t masconI_dense_chunks(int64_t n) {
    return (n + MASCON_DENSE_CHUNK - 1) / MASCON_DENSE_CHUNK;
}

/* All tensors of the call in one layout: channels-last where the first source is, else row-major.
 */
static inline int masconI_dense_wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = mascon_see(call->src[0]);
    const int nhwc = x->layout == MASCON_LAYOUT_NHWC && !x->contiguous;
    const uint8_t order = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    for (int i = 0; i < call->n_src; i++) {
        if (mascon_see(call->src[i])->dtype != MASCON_DTYPE_F32) return 0;
        w->src[i] = order;
    }
    for (int i = 0; i < call->n_dst; i++) w->dst[i] = order;
    return 1;
}

/* The same, also for calls whose tensors are all bfloat16. */
static inline int masconC_half_wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = mascon_see(call->src[0]);
    const int nhwc = x->layout == MASCON_LAYOUT_NHWC && !x->contiguous;
    const uint8_t order = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    if (x->dtype != MASCON_DTYPE_F32 && x->dtype != MASCON_DTYPE_BF16) return 0;
    for (int i = 0; i < call->n_src; i++) {
        if (mascon_see(call->src[i])->dtype != x->dtype) return 0;
        w->src[i] = order;
    }
    for (int i = 0; i < call->n_dst; i++) w->dst[i] = order;
    return 1;
}

#endif

/* relu.c: reference kernels of relu and its backward op. All tensors have one shape. */
#include "reference/reference.h"

static mascon_status relu(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    for (int64_t i = 0; i < y->numel; i++) {
        if (masconI_is_float(y->dtype)) {
            double v = masconR_get(x, i);
            masconR_set(y, i, v < 0 ? 0 : v); /* NaN passes through */
        } else {
            int64_t v = masconR_get_int(x, i);
            masconR_set_int(y, i, v < 0 ? 0 : v);
        }
    }
    return MASCON_OK;
}

static mascon_status relu_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *y = SRC(call, 1), *dx = DST(call, 0);
    for (int64_t i = 0; i < dx->numel; i++) {
        /* a NaN lets the gradient pass */
        masconR_set(dx, i, masconR_get(y, i) <= 0 ? 0 : masconR_get(dy, i));
    }
    return MASCON_OK;
}

const mascon_kernel masconR_relu = {.run = relu};
const mascon_kernel masconR_relu_bwd = {.run = relu_bwd};

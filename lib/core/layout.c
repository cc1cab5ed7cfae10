/* layout.c: the only place where memory is converted between layouts.
 *
 * The dispatcher calls masconI_layout_fix for each input whose kernel wishes another memory order.
 * Each conversion is counted, so that specs can demand that there is none.
 */
#include "core/internal.h"

void masconI_nhwc_strides(const int64_t *shape, int64_t *stride) {
    int64_t c = shape[1] > 0 ? shape[1] : 1, h = shape[2] > 0 ? shape[2] : 1,
            w = shape[3] > 0 ? shape[3] : 1;
    stride[0] = h * w * c;
    stride[1] = 1;
    stride[2] = w * c;
    stride[3] = c;
}

static int is_nhwc(const mascon_view *v) {
    if (v->ndim != 4) return 0;
    if (v->layout == MASCON_LAYOUT_NHWC || v->numel == 0) return 1;
    int64_t stride[4];
    masconI_nhwc_strides(v->shape, stride);
    for (int d = 0; d < 4; d++) {
        if (v->shape[d] != 1 && v->stride[d] != stride[d]) return 0;
    }
    return 1;
}

int masconI_layout_fits(const mascon_view *v, int wish) {
    switch (wish) {
        case MASCON_WISH_ROW:
            return v->contiguous;
        case MASCON_WISH_NHWC:
            return is_nhwc(v);
        default:
            return 1;
    }
}

mascon_status masconI_layout_fix(mascon_tensor *t, int wish, int32_t op, int input,
                                 mascon_tensor **out) {
    if (masconI_layout_fits(&t->view, wish)) {
        mascon_tensor_retain(t);
        *out = t;
        return MASCON_OK;
    }
    mascon_meta meta;
    mascon_tensor *dense;
    masconI_like(&meta, &t->view);
    int32_t layout = wish == MASCON_WISH_NHWC ? MASCON_LAYOUT_NHWC : MASCON_LAYOUT_STRIDED;
    MASCON_TRY(masconI_tensor_dense(&dense, &meta, t->view.device, layout));
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_copy);
    call.n_src = 2;
    call.src[0] = call.dst[0] = dense;
    call.src[1] = t;
    mascon_status status = mascon_invoke(&call);
    if (status != MASCON_OK) {
        mascon_tensor_release(dense);
        return status;
    }
    masconI_profile_conversion(op, input);
    *out = dense;
    return MASCON_OK;
}

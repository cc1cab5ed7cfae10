/* adaptive_avg_pool2d.c: reference kernels of adaptive_avg_pool2d and its backward op.
 *
 * x {n, c, h, w}, y {n, c, oh, ow}. */
#include "ops/nn.h"
#include "reference/reference.h"

static mascon_status adaptive_avg_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const int64_t h = x->shape[2], w = x->shape[3], oh = y->shape[2], ow = y->shape[3];
    for (int64_t i = 0; i < y->numel; i++) {
        const int64_t image = i / (oh * ow);
        int64_t top, bottom, left, right;
        masconI_adaptive_range(i / ow % oh, h, oh, &top, &bottom);
        masconI_adaptive_range(i % ow, w, ow, &left, &right);
        double sum = 0;
        for (int64_t row = top; row < bottom; row++) {
            for (int64_t column = left; column < right; column++) {
                sum += masconR_get(x, (image * h + row) * w + column);
            }
        }
        masconR_set(y, i, sum / (double)((bottom - top) * (right - left)));
    }
    return MASCON_OK;
}

/* dx = the sum of dy / size over the ranges that cover the element */
static mascon_status adaptive_avg_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *dx = DST(call, 0);
    const int64_t h = dx->shape[2], w = dx->shape[3], oh = dy->shape[2], ow = dy->shape[3];
    for (int64_t i = 0; i < dx->numel; i++) {
        const int64_t image = i / (h * w), row = i / w % h, column = i % w;
        double sum = 0;
        for (int64_t o = 0; o < oh * ow; o++) {
            int64_t top, bottom, left, right;
            masconI_adaptive_range(o / ow, h, oh, &top, &bottom);
            masconI_adaptive_range(o % ow, w, ow, &left, &right);
            if (row < top || row >= bottom || column < left || column >= right) continue;
            sum += masconR_get(dy, image * oh * ow + o) / (double)((bottom - top) * (right - left));
        }
        masconR_set(dx, i, sum);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_adaptive_avg_pool2d = {.run = adaptive_avg_pool2d};
const mascon_kernel masconR_adaptive_avg_pool2d_bwd = {.run = adaptive_avg_pool2d_bwd};

/* avg_pool2d.c: reference kernels of avg_pool2d and its backward op.
 *
 * x {n, c, h, w}, y {n, c, oh, ow}. */
#include "ops/nn.h"
#include "reference/reference.h"

/* The part first..end-1 of the input that window o covers along one direction, and in *counted how
 * many elements it has with its padding; padding behind the input's own does not count. */
static void range(int64_t o, int64_t k, int64_t step, int64_t before, int64_t after, int64_t size,
                  int64_t *first, int64_t *end, int64_t *counted) {
    const int64_t start = o * step - before;
    int64_t stop = start + k;
    if (stop > size + after) stop = size + after;
    *counted = stop - start;
    *first = start < 0 ? 0 : start;
    *end = stop > size ? size : stop;
}

typedef struct window {
    int64_t top, bottom, left, right; /* rows top..bottom-1, columns left..right-1 of x */
    double divisor;
} window;

static window window_at(const mascon_window2d *w, int64_t oh, int64_t ow) {
    window r;
    int64_t rows, columns;
    range(oh, w->kh, w->sh, w->top, w->bottom, w->h, &r.top, &r.bottom, &rows);
    range(ow, w->kw, w->sw, w->left, w->right, w->w, &r.left, &r.right, &columns);
    r.divisor = w->divisor             ? (double)w->divisor
                : w->count_include_pad ? (double)(rows * columns)
                                       : (double)((r.bottom - r.top) * (r.right - r.left));
    return r;
}

static mascon_status avg_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    mascon_window2d w;
    masconI_window2d(call, &w);
    for (int64_t i = 0; i < y->numel; i++) {
        const window r = window_at(&w, i / w.ow % w.oh, i % w.ow);
        const int64_t image = i / (w.oh * w.ow);
        double sum = 0;
        for (int64_t row = r.top; row < r.bottom; row++) {
            for (int64_t column = r.left; column < r.right; column++) {
                sum += masconR_get(x, (image * w.h + row) * w.w + column);
            }
        }
        masconR_set(y, i, sum / r.divisor);
    }
    return MASCON_OK;
}

/* dx = the sum of dy / divisor over the windows that cover the element */
static mascon_status avg_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *dx = DST(call, 0);
    mascon_window2d w;
    masconI_window2d(call, &w);
    for (int64_t i = 0; i < dx->numel; i++) {
        const int64_t image = i / (w.h * w.w), row = i / w.w % w.h, column = i % w.w;
        double sum = 0;
        for (int64_t oh = 0; oh < w.oh; oh++) {
            for (int64_t ow = 0; ow < w.ow; ow++) {
                const window r = window_at(&w, oh, ow);
                if (row < r.top || row >= r.bottom || column < r.left || column >= r.right)
                    continue;
                sum += masconR_get(dy, (image * w.oh + oh) * w.ow + ow) / r.divisor;
            }
        }
        masconR_set(dx, i, sum);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_avg_pool2d = {.run = avg_pool2d};
const mascon_kernel masconR_avg_pool2d_bwd = {.run = avg_pool2d_bwd};

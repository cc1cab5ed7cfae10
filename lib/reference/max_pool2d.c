/* max_pool2d.c: reference kernels of max_pool2d and its backward op.
 *
 * x {n, c, h, w}, y and positions {n, c, oh, ow}. A position is i * kw + j in the window. */
#include "ops/nn.h"
#include "reference/reference.h"

static int64_t offset4(const mascon_view *v, int64_t a, int64_t b, int64_t c, int64_t d) {
    return masconR_position(v, (int64_t[]){a, b, c, d});
}

/* Whether candidate beats best: larger, or NaN (the last NaN of a window wins, as in PyTorch).
 * Integers are compared whole. */
static int beats(const mascon_view *x, int64_t candidate, int64_t best) {
    if (!masconI_is_float(x->dtype)) {
        return masconI_load_int(x->data, x->dtype, candidate) >
               masconI_load_int(x->data, x->dtype, best);
    }
    const double a = masconI_load(x->data, x->dtype, candidate);
    const double b = masconI_load(x->data, x->dtype, best);
    return a > b || isnan(a);
}

/* The first winner of the window at (oh, ow): its offset in x; *position says where it stood. */
static int64_t winner(const mascon_window2d *w, const mascon_view *x, int64_t n, int64_t c,
                      int64_t oh, int64_t ow, int64_t *position) {
    int64_t best = -1;
    for (int64_t i = 0; i < w->kh; i++) {
        const int64_t row = masconI_window_input(oh, i, w->sh, w->dh, w->top, w->h);
        if (row < 0) continue;
        for (int64_t j = 0; j < w->kw; j++) {
            const int64_t column = masconI_window_input(ow, j, w->sw, w->dw, w->left, w->w);
            if (column < 0) continue;
            const int64_t at = offset4(x, n, c, row, column);
            if (best >= 0 && !beats(x, at, best)) continue;
            best = at;
            *position = i * w->kw + j;
        }
    }
    return best;
}

static mascon_status max_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const mascon_view *positions = call->n_dst > 1 ? DST(call, 1) : NULL;
    mascon_window2d w;
    masconI_window2d(call, &w);
    for (int64_t i = 0; i < y->numel; i++) {
        const int64_t image = i / (w.oh * w.ow);
        int64_t position = 0;
        const int64_t at =
            winner(&w, x, image / w.c, image % w.c, i / w.ow % w.oh, i % w.ow, &position);
        if (masconI_is_float(x->dtype)) {
            masconR_set(y, i, masconI_load(x->data, x->dtype, at));
        } else {
            masconR_set_int(y, i, masconI_load_int(x->data, x->dtype, at));
        }
        if (positions) masconR_set_int(positions, i, position);
    }
    return MASCON_OK;
}

/* dx[n, c, row, column] = the sum of dy over the windows that this element won */
static double won(const mascon_window2d *w, const mascon_view *dy, const mascon_view *positions,
                  int64_t n, int64_t c, int64_t row, int64_t column) {
    double sum = 0;
    for (int64_t i = 0; i < w->kh; i++) {
        const int64_t oh = masconI_window_output(row, i, w->sh, w->dh, w->top, w->oh);
        if (oh < 0) continue;
        for (int64_t j = 0; j < w->kw; j++) {
            const int64_t ow = masconI_window_output(column, j, w->sw, w->dw, w->left, w->ow);
            if (ow < 0) continue;
            const int64_t at = offset4(positions, n, c, oh, ow);
            if (masconI_load_int(positions->data, positions->dtype, at) != i * w->kw + j) continue;
            sum += masconI_load(dy->data, dy->dtype, offset4(dy, n, c, oh, ow));
        }
    }
    return sum;
}

static mascon_status max_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dx = DST(call, 0);
    mascon_window2d w;
    masconI_window2d(call, &w);
    for (int64_t i = 0; i < dx->numel; i++) {
        const int64_t image = i / (w.h * w.w);
        masconR_set(
            dx, i,
            won(&w, SRC(call, 0), SRC(call, 1), image / w.c, image % w.c, i / w.w % w.h, i % w.w));
    }
    return MASCON_OK;
}

const mascon_kernel masconR_max_pool2d = {.run = max_pool2d};
const mascon_kernel masconR_max_pool2d_bwd = {.run = max_pool2d_bwd};

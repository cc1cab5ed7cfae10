/* interpolate.c: interpolate and its backward op on channels-last float32. x {n, c, h, w},
 * y {n, c, oh, ow}; the taps are those of resample.h. */
#include <string.h>

#include "core/simd.h"
#include "ops/resample.h"

typedef struct job {
    const masconI_taps *taps;
    int64_t c, h, w, oh, ow;
    const float *from; /* x; backward: dy */
    float *to;         /* y; backward: dx */
} job;

static void directions(const mascon_call *call, masconI_resample r[2]) {
    const int back = call->op == MASCON_OP_interpolate_bwd;
    const mascon_view *x = back ? DST(call, 0) : SRC(call, 0);
    const mascon_view *y = back ? SRC(call, 0) : DST(call, 0);
    for (int d = 0; d < 2; d++) {
        r[d] = masconI_resample_of(call, d, x->shape[2 + d], y->shape[2 + d]);
    }
}

static size_t workspace(const mascon_call *call) {
    masconI_resample r[2];
    directions(call, r);
    return masconI_taps_bytes(r);
}

MASCON_CLONES static void add_scaled(const float *restrict x, float scale, float *restrict y,
                                     int64_t n) {
    for (int64_t c = 0; c < n; c++) y[c] += x[c] * scale;
}

/* One row of y. */
static void slice(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    const masconI_taps *rows = &j->taps[0], *columns = &j->taps[1];
    const int64_t row = index % j->oh;
    const float *picture = j->from + index / j->oh * j->h * j->w * j->c;
    float *y = j->to + index * j->ow * j->c;
    memset(y, 0, sizeof(float) * (size_t)(j->ow * j->c));
    for (int64_t q = 0; q < j->ow; q++) {
        for (int64_t a = row * rows->most; a < row * rows->most + rows->count[row]; a++) {
            for (int64_t b = q * columns->most; b < q * columns->most + columns->count[q]; b++) {
                add_scaled(picture + (rows->index[a] * j->w + columns->index[b]) * j->c,
                           (float)(rows->weight[a] * columns->weight[b]), y + q * j->c, j->c);
            }
        }
    }
}

/* One picture. */
static void slice_back(void *context, int64_t n, int thread) {
    (void)thread;
    const job *j = context;
    const masconI_taps *rows = &j->taps[0], *columns = &j->taps[1];
    float *dx = j->to + n * j->h * j->w * j->c;
    memset(dx, 0, sizeof(float) * (size_t)(j->h * j->w * j->c));
    for (int64_t row = 0; row < j->oh; row++) {
        for (int64_t q = 0; q < j->ow; q++) {
            const float *dy = j->from + ((n * j->oh + row) * j->ow + q) * j->c;
            for (int64_t a = row * rows->most; a < row * rows->most + rows->count[row]; a++) {
                for (int64_t b = q * columns->most; b < q * columns->most + columns->count[q];
                     b++) {
                    add_scaled(dy, (float)(rows->weight[a] * columns->weight[b]),
                               dx + (rows->index[a] * j->w + columns->index[b]) * j->c, j->c);
                }
            }
        }
    }
}

static int wish(const mascon_call *call, mascon_wish *w) {
    if (SRC(call, 0)->dtype != MASCON_DTYPE_F32 || SRC(call, 0)->numel == 0) return 0;
    w->src[0] = w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    const int back = call->op == MASCON_OP_interpolate_bwd;
    const mascon_view *x = back ? DST(call, 0) : SRC(call, 0);
    const mascon_view *y = back ? SRC(call, 0) : DST(call, 0);
    masconI_resample r[2];
    masconI_taps taps[2];
    directions(call, r);
    masconI_taps_fill(r, exec->workspace, taps);
    job j = {.taps = taps, .c = x->shape[1], .h = x->shape[2], .w = x->shape[3]};
    j.oh = y->shape[2];
    j.ow = y->shape[3];
    j.from = SRC(call, 0)->data;
    j.to = DST(call, 0)->data;
    if (back) {
        masconI_parallel(x->shape[0], slice_back, &j);
    } else {
        masconI_parallel(x->shape[0] * j.oh, slice, &j);
    }
    return MASCON_OK;
}

const mascon_kernel masconC_interpolate = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconC_interpolate_bwd = {.wish = wish, .workspace = workspace, .run = run};

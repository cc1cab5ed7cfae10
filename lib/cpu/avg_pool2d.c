/* avg_pool2d.c: average pooling, fixed or adaptive, and the backward ops, on channels-last float32.
 *
 * x {n, c, h, w}, y {n, c, oh, ow}. Both kinds differ only in which rectangle of the input an
 * output element averages and what it divides by. */
#include <string.h>

#include "core/simd.h"
#include "ops/nn.h"

enum { SLICE = 8192 }; /* output elements of one slice, about */

typedef struct rectangle {
    int64_t top, bottom, left, right; /* bottom and right are not part of it */
    float share;                      /* 1 / divisor */
} rectangle;

typedef struct job {
    mascon_window2d w;
    int adaptive;
    const float *x; /* backward: dy */
    float *y;       /* backward: dx */
    int64_t rows;   /* of output, in one slice of the forward pass */
} job;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static rectangle place(const job *j, int64_t r, int64_t q) {
    const mascon_window2d *w = &j->w;
    rectangle a;
    int64_t divisor;
    if (j->adaptive) {
        masconI_adaptive_range(r, w->h, w->oh, &a.top, &a.bottom);
        masconI_adaptive_range(q, w->w, w->ow, &a.left, &a.right);
        divisor = (a.bottom - a.top) * (a.right - a.left);
    } else {
        const int64_t row = r * w->sh - w->top, column = q * w->sw - w->left;
        /* what a window over the end of the padding covers does not count */
        const int64_t row_end = smaller(row + w->kh, w->h + w->bottom);
        const int64_t column_end = smaller(column + w->kw, w->w + w->right);
        a.top = larger(row, 0);
        a.left = larger(column, 0);
        a.bottom = smaller(row_end, w->h);
        a.right = smaller(column_end, w->w);
        divisor = w->divisor             ? w->divisor
                  : w->count_include_pad ? (row_end - row) * (column_end - column)
                                         : (a.bottom - a.top) * (a.right - a.left);
    }
    a.share = 1.0f / (float)divisor;
    return a;
}

MASCON_CLONES static void add(const float *restrict x, float *restrict sum, int64_t n) {
    for (int64_t c = 0; c < n; c++) sum[c] += x[c];
}

MASCON_CLONES static void scale(float *y, float share, int64_t n) {
    for (int64_t c = 0; c < n; c++) y[c] *= share;
}

MASCON_CLONES static void add_scaled(const float *restrict dy, float share, float *restrict dx,
                                     int64_t n) {
    for (int64_t c = 0; c < n; c++) dx[c] += dy[c] * share;
}

static void slice(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_window2d *w = &j->w;
    const int64_t end = smaller((index + 1) * j->rows, w->n * w->oh);
    for (int64_t row = index * j->rows; row < end; row++) {
        const float *picture = j->x + row / w->oh * w->h * w->w * w->c;
        for (int64_t q = 0; q < w->ow; q++) {
            const rectangle a = place(j, row % w->oh, q);
            float *y = j->y + (row * w->ow + q) * w->c;
            memset(y, 0, sizeof(float) * (size_t)w->c);
            for (int64_t r = a.top; r < a.bottom; r++) {
                for (int64_t i = a.left; i < a.right; i++)
                    add(picture + (r * w->w + i) * w->c, y, w->c);
            }
            scale(y, a.share, w->c);
        }
    }
}

/* One picture. */
static void slice_back(void *context, int64_t n, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_window2d *w = &j->w;
    float *dx = j->y + n * w->h * w->w * w->c;
    memset(dx, 0, sizeof(float) * (size_t)(w->h * w->w * w->c));
    for (int64_t r = 0; r < w->oh; r++) {
        for (int64_t q = 0; q < w->ow; q++) {
            const rectangle a = place(j, r, q);
            const float *dy = j->x + ((n * w->oh + r) * w->ow + q) * w->c;
            for (int64_t p = a.top; p < a.bottom; p++) {
                for (int64_t i = a.left; i < a.right; i++) {
                    add_scaled(dy, a.share, dx + (p * w->w + i) * w->c, w->c);
                }
            }
        }
    }
}

static int wish(const mascon_call *call, mascon_wish *w) {
    if (SRC(call, 0)->dtype != MASCON_DTYPE_F32) return 0;
    if (SRC(call, 0)->numel == 0 || DST(call, 0)->numel == 0) return 0;
    w->src[0] = w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

static mascon_status forward(job *j, const mascon_call *call) {
    j->x = SRC(call, 0)->data;
    j->y = DST(call, 0)->data;
    j->rows = 1 + SLICE / (j->w.ow * j->w.c);
    masconI_parallel((j->w.n * j->w.oh + j->rows - 1) / j->rows, slice, j);
    return MASCON_OK;
}

static mascon_status backward(job *j, const mascon_call *call) {
    j->x = SRC(call, 0)->data;
    j->y = DST(call, 0)->data;
    masconI_parallel(j->w.n, slice_back, j);
    return MASCON_OK;
}

static mascon_status avg_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.adaptive = 0};
    masconI_window2d(call, &j.w);
    return forward(&j, call);
}

static mascon_status avg_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.adaptive = 0};
    masconI_window2d(call, &j.w);
    return backward(&j, call);
}

/* An adaptive job between pictures of these shapes {n, c, height, width}. */
static job adaptive(const mascon_view *x, const mascon_view *y) {
    job j = {.adaptive = 1};
    j.w.n = x->shape[0];
    j.w.c = j.w.oc = x->shape[1];
    j.w.h = x->shape[2];
    j.w.w = x->shape[3];
    j.w.oh = y->shape[2];
    j.w.ow = y->shape[3];
    return j;
}

static mascon_status adaptive_avg_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = adaptive(SRC(call, 0), DST(call, 0));
    return forward(&j, call);
}

static mascon_status adaptive_avg_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = adaptive(DST(call, 0), SRC(call, 0));
    return backward(&j, call);
}

const mascon_kernel masconC_avg_pool2d = {.wish = wish, .run = avg_pool2d};
const mascon_kernel masconC_avg_pool2d_bwd = {.wish = wish, .run = avg_pool2d_bwd};
const mascon_kernel masconC_adaptive_avg_pool2d = {.wish = wish, .run = adaptive_avg_pool2d};
const mascon_kernel masconC_adaptive_avg_pool2d_bwd = {.wish = wish,
                                                       .run = adaptive_avg_pool2d_bwd};

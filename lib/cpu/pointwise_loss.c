/* pointwise_loss.c: mse_loss, l1_loss and their backward ops on dense float32. Sums run over chunks of
 * fixed size, in 16 lanes each, and are put together in the chunks' order. */
#include <math.h>

#include "core/simd.h"
#include "cpu/dense.h"
#include "ops/loss.h"

enum { LANES = 16 };

typedef struct job {
    const float *x, *target, *dy;
    float *out; /* each loss without reduction, or dx */
    double *partial;
    float share;
    int64_t count;
    int squared;
    int64_t step; /* of dy: 0 for one number */
} job;

MASCON_CLONES static double sum_squared(const float *x, const float *t, int64_t n) {
    float lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            const float d = x[i + k] - t[i + k];
            lane[k] += d * d;
        }
    }
    for (int k = 0; i + k < n; k++) {
        const float d = x[i + k] - t[i + k];
        lane[k] += d * d;
    }
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

MASCON_CLONES static double sum_absolute(const float *x, const float *t, int64_t n) {
    float lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) lane[k] += fabsf(x[i + k] - t[i + k]);
    }
    for (int k = 0; i + k < n; k++) lane[k] += fabsf(x[i + k] - t[i + k]);
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    return sum;
}

MASCON_CLONES static void each(const float *x, const float *t, float *y, int squared, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float d = x[i] - t[i];
        y[i] = squared ? d * d : fabsf(d);
    }
}

/* dy: one number, or as many as elements. NaN passes through. */
MASCON_CLONES static void derivative(const float *x, const float *t, const float *dy, int64_t step,
                                     float share, int squared, float *dx, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float d = x[i] - t[i], g = dy[i * step] * share;
        const float sign = d > 0 ? 1.0f : d < 0 ? -1.0f : d;
        dx[i] = squared ? 2 * d * g : x[i] == t[i] ? 0 : sign * g;
    }
}

static int64_t chunk(const job *j, int64_t i, int64_t *first) {
    *first = i * MASCON_DENSE_CHUNK;
    return j->count - *first < MASCON_DENSE_CHUNK ? j->count - *first : MASCON_DENSE_CHUNK;
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = chunk(j, i, &first);
    if (j->out) {
        each(j->x + first, j->target + first, j->out + first, j->squared, n);
    } else {
        j->partial[i] =
            (j->squared ? sum_squared : sum_absolute)(j->x + first, j->target + first, n);
    }
}

static void slice_back(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = chunk(j, i, &first);
    derivative(j->x + first, j->target + first, j->dy + first * j->step, j->step, j->share,
               j->squared, j->out + first, n);
}

static int none(const mascon_call *call) {
    return call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
}

/* The place of x: before target, behind dy in a backward op. */
static int place(const mascon_call *call) {
    return call->op == MASCON_OP_mse_loss_bwd || call->op == MASCON_OP_l1_loss_bwd;
}

static size_t workspace(const mascon_call *call) {
    return sizeof(double) * (size_t)masconI_dense_chunks(SRC(call, 0)->numel);
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0);
    job j = {.x = x->data, .target = SRC(call, 1)->data, .count = x->numel};
    j.squared = call->op == MASCON_OP_mse_loss;
    j.partial = exec->workspace;
    if (none(call)) j.out = DST(call, 0)->data;
    const int64_t chunks = masconI_dense_chunks(x->numel);
    masconI_parallel(chunks, slice, &j);
    if (j.out) return MASCON_OK;
    double sum = 0;
    for (int64_t i = 0; i < chunks; i++) sum += j.partial[i];
    *(float *)DST(call, 0)->data = (float)(sum * masconI_loss_share(call, x->numel));
    return MASCON_OK;
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 1);
    job j = {.x = x->data, .target = SRC(call, 2)->data, .count = x->numel};
    j.dy = SRC(call, 0)->data;
    j.out = DST(call, 0)->data;
    j.squared = call->op == MASCON_OP_mse_loss_bwd;
    j.share = (float)masconI_loss_share(call, x->numel);
    j.step = none(call);
    masconI_parallel(masconI_dense_chunks(x->numel), slice_back, &j);
    return MASCON_OK;
}

static int wish(const mascon_call *call, mascon_wish *w) {
    const int first = place(call);
    const mascon_view *x = SRC(call, first);
    if (x->dtype != MASCON_DTYPE_F32 || x->numel == 0) return 0;
    const int nhwc = x->layout == MASCON_LAYOUT_NHWC && !x->contiguous;
    const uint8_t order = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    w->src[first] = w->src[first + 1] = order;
    const int same_shape = none(call) || first;
    w->dst[0] = same_shape ? order : MASCON_WISH_ROW;
    if (first) w->src[0] = none(call) ? order : MASCON_WISH_ROW;
    return 1;
}

const mascon_kernel masconC_mse_loss = {.wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_mse_loss_bwd = {.wish = wish, .run = backward};
const mascon_kernel masconC_l1_loss = {.wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_l1_loss_bwd = {.wish = wish, .run = backward};

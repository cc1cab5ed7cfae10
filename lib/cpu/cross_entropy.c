/* cross_entropy.c: cross_entropy and its backward op for float32 scores and class numbers.
 *
 * x {n, c, inner} row-major with all further dimensions as one, target {n, inner} int64, weight
 * {c}. Row r = (n, inner). Probabilities as targets are left to the reference kernel. lib/ops/
 * cross_entropy.c has the formulas. */
#include "ops/nn.h"

enum { SLICE = 8192 }; /* scores of one slice, about */

typedef struct job {
    const float *x, *weight, *dy;
    const int64_t *target;
    float *dx, *loss; /* loss: of each row */
    int64_t rows, classes, inner, ignore, base, per_slice;
    int reduction;
    float smoothing, weight_sum, share; /* share: 1 / what a mean divides by */
} job;

static int64_t label(const job *j, int64_t row) {
    return j->target[row] == j->ignore ? -1 : j->target[row] - j->base;
}

static float weight_of(const job *j, int64_t c) { return j->weight ? j->weight[c] : 1; }

/* Reads the call, checks the labels, and finds what a mean divides by. */
static mascon_status begin(const mascon_call *call, int first, job *j) {
    const mascon_view *x = SRC(call, first);
    *j = (job){.x = x->data, .target = SRC(call, first + 1)->data, .classes = x->shape[1]};
    if (call->n_src > first + 2 && call->src[first + 2]) j->weight = SRC(call, first + 2)->data;
    j->rows = x->numel / j->classes;
    j->inner = j->rows / x->shape[0];
    j->reduction = (int)call->attr[NN_CROSS_ENTROPY_REDUCTION];
    j->smoothing = (float)call->attr[NN_CROSS_ENTROPY_SMOOTHING];
    j->ignore = masconI_attr_int(call, NN_CROSS_ENTROPY_IGNORE_INDEX);
    j->base = masconI_attr_int(call, NN_CROSS_ENTROPY_BASE);
    j->per_slice = 1 + SLICE / j->classes;
    double sum = 0;
    for (int64_t row = 0; row < j->rows; row++) {
        const int64_t value = j->target[row];
        if (value == j->ignore) continue;
        if (value < j->base || value - j->base >= j->classes) {
            return masconI_label_fail(row, j->rows, value, j->base, j->classes);
        }
        sum += (double)weight_of(j, value - j->base);
    }
    j->share = j->reduction == NN_REDUCTION_MEAN ? (float)(1 / sum) : 1;
    for (int64_t c = 0; c < j->classes; c++) j->weight_sum += weight_of(j, c);
    return MASCON_OK;
}

/* The row's first score, its largest one, and the logarithm of the sum of exp(score - largest). */
static const float *measure(const job *j, int64_t row, float *largest, float *whole) {
    const int64_t step = j->inner;
    const float *x = j->x + row / step * j->classes * step + row % step;
    float top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < j->classes; c++) top = x[c * step] > top ? x[c * step] : top;
    for (int64_t c = 0; c < j->classes; c++) sum += expf(x[c * step] - top);
    *largest = top;
    *whole = logf(sum);
    return x;
}

static float row_loss(const job *j, int64_t row) {
    const int64_t t = label(j, row), step = j->inner;
    if (t < 0) return 0;
    float largest, whole;
    const float *x = measure(j, row, &largest, &whole);
    const float own = weight_of(j, t) * (whole - (x[t * step] - largest));
    if (j->smoothing == 0) return own; /* the other scores may be infinite */
    float all = 0;
    for (int64_t c = 0; c < j->classes; c++) {
        all += weight_of(j, c) * (whole - (x[c * step] - largest));
    }
    return (1 - j->smoothing) * own + j->smoothing / (float)j->classes * all;
}

static void slice(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    int64_t row = index * j->per_slice, end = row + j->per_slice;
    if (end > j->rows) end = j->rows;
    for (; row < end; row++) j->loss[row] = row_loss(j, row);
}

/* dx[c] = (softmax(x)[c] * sum(q) - q[c]) * dy * share, q as in the reference kernel */
static void row_gradient(const job *j, int64_t row) {
    const int64_t t = label(j, row), step = j->inner;
    float *dx = j->dx + row / step * j->classes * step + row % step;
    if (t < 0) {
        for (int64_t c = 0; c < j->classes; c++) dx[c * step] = 0;
        return;
    }
    float largest, whole;
    const float *x = measure(j, row, &largest, &whole);
    const float g = j->dy[j->reduction == NN_REDUCTION_NONE ? row : 0] * j->share;
    const float even = j->smoothing / (float)j->classes, own = (1 - j->smoothing) * weight_of(j, t);
    const float sum = own + even * j->weight_sum;
    for (int64_t c = 0; c < j->classes; c++) {
        const float q = even * weight_of(j, c) + (c == t ? own : 0);
        dx[c * step] = (expf(x[c * step] - largest - whole) * sum - q) * g;
    }
}

static void slice_back(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    int64_t row = index * j->per_slice, end = row + j->per_slice;
    if (end > j->rows) end = j->rows;
    for (; row < end; row++) row_gradient(j, row);
}

static int fits(const mascon_call *call, int first, mascon_wish *w) {
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        const mascon_view *v = SRC(call, i);
        if (v->numel == 0) return 0;
        if (v->dtype != (i == first + 1 ? MASCON_DTYPE_I64 : MASCON_DTYPE_F32)) return 0;
        w->src[i] = MASCON_WISH_ROW;
    }
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

static int wish(const mascon_call *call, mascon_wish *w) { return fits(call, 0, w); }
static int wish_bwd(const mascon_call *call, mascon_wish *w) { return fits(call, 1, w); }

/* the loss of each row */
static size_t workspace(const mascon_call *call) {
    return sizeof(float) * (size_t)(SRC(call, 0)->numel / SRC(call, 0)->shape[1]);
}

static mascon_status cross_entropy(mascon_call *call, mascon_exec *exec) {
    job j;
    MASCON_TRY(begin(call, 0, &j));
    const int none = j.reduction == NN_REDUCTION_NONE;
    float *out = DST(call, 0)->data;
    j.loss = none ? out : exec->workspace;
    masconI_parallel((j.rows + j.per_slice - 1) / j.per_slice, slice, &j);
    if (none) return MASCON_OK;
    double sum = 0;
    for (int64_t row = 0; row < j.rows; row++) sum += (double)j.loss[row];
    /* all ignored: 0 times infinity, NaN as 0 / 0 would be */
    *out = (float)(sum * (double)j.share);
    return MASCON_OK;
}

static mascon_status cross_entropy_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j;
    MASCON_TRY(begin(call, 1, &j));
    j.dy = SRC(call, 0)->data;
    j.dx = DST(call, 0)->data;
    masconI_parallel((j.rows + j.per_slice - 1) / j.per_slice, slice_back, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_cross_entropy = {
    .wish = wish, .workspace = workspace, .run = cross_entropy};
const mascon_kernel masconC_cross_entropy_bwd = {.wish = wish_bwd, .run = cross_entropy_bwd};

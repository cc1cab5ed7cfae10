/* softmax.c: softmax and log_softmax along one dimension and their backward ops, in float32.
 *
 * Every tensor is {outer, length, inner} with all dimensions before and after dim as one,
 * row-major. A line is the `length` elements of one (outer, inner), `inner` apart. */
#include "ops/nn.h"

enum { SLICE = 8192 }; /* elements of one slice, about */

typedef struct job {
    const float *a, *b; /* x; or dy and y */
    float *out;
    int64_t length, inner, lines, per_slice;
    void (*line)(const struct job *j, int64_t first);
} job;

static void line_softmax(const job *j, int64_t first) {
    const int64_t step = j->inner, end = first + j->length * step;
    float largest = -INFINITY, sum = 0;
    for (int64_t i = first; i < end; i += step) largest = j->a[i] > largest ? j->a[i] : largest;
    for (int64_t i = first; i < end; i += step) {
        const float e = expf(j->a[i] - largest);
        j->out[i] = e;
        sum += e;
    }
    const float share = 1 / sum;
    for (int64_t i = first; i < end; i += step) j->out[i] *= share;
}

static void line_log_softmax(const job *j, int64_t first) {
    const int64_t step = j->inner, end = first + j->length * step;
    float largest = -INFINITY, sum = 0;
    for (int64_t i = first; i < end; i += step) largest = j->a[i] > largest ? j->a[i] : largest;
    for (int64_t i = first; i < end; i += step) sum += expf(j->a[i] - largest);
    const float whole = logf(sum); /* apart from largest: each difference stays exact */
    for (int64_t i = first; i < end; i += step) j->out[i] = j->a[i] - largest - whole;
}

/* dx = y * (dy - sum(dy * y)) */
static void line_softmax_bwd(const job *j, int64_t first) {
    const int64_t step = j->inner, end = first + j->length * step;
    float sum = 0;
    for (int64_t i = first; i < end; i += step) sum += j->a[i] * j->b[i];
    for (int64_t i = first; i < end; i += step) j->out[i] = j->b[i] * (j->a[i] - sum);
}

/* dx = dy - exp(y) * sum(dy) */
static void line_log_softmax_bwd(const job *j, int64_t first) {
    const int64_t step = j->inner, end = first + j->length * step;
    float sum = 0;
    for (int64_t i = first; i < end; i += step) sum += j->a[i];
    for (int64_t i = first; i < end; i += step) j->out[i] = j->a[i] - expf(j->b[i]) * sum;
}

static void slice(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    int64_t line = index * j->per_slice, end = line + j->per_slice;
    if (end > j->lines) end = j->lines;
    for (; line < end; line++) {
        j->line(j, line / j->inner * j->length * j->inner + line % j->inner);
    }
}

static int wish(const mascon_call *call, mascon_wish *w) {
    for (int i = 0; i < call->n_src; i++) {
        const mascon_view *v = SRC(call, i);
        if (v->dtype != MASCON_DTYPE_F32 || v->numel == 0) return 0;
        w->src[i] = MASCON_WISH_ROW;
    }
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

static mascon_status run(const mascon_call *call, void (*line)(const job *, int64_t)) {
    const mascon_view *y = DST(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[NN_SOFTMAX_DIM], y->ndim, &dim));
    job j = {.a = SRC(call, 0)->data, .out = y->data, .length = 1, .inner = 1, .line = line};
    if (call->n_src > 1) j.b = SRC(call, 1)->data;
    for (int32_t d = dim; d < y->ndim; d++) {
        if (d == dim) {
            j.length = y->shape[d];
        } else {
            j.inner *= y->shape[d];
        }
    }
    j.lines = y->numel / j.length;
    j.per_slice = 1 + SLICE / j.length;
    masconI_parallel((j.lines + j.per_slice - 1) / j.per_slice, slice, &j);
    return MASCON_OK;
}

static mascon_status softmax(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return run(call, line_softmax);
}

static mascon_status softmax_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return run(call, line_softmax_bwd);
}

static mascon_status log_softmax(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return run(call, line_log_softmax);
}

static mascon_status log_softmax_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return run(call, line_log_softmax_bwd);
}

const mascon_kernel masconC_softmax = {.wish = wish, .run = softmax};
const mascon_kernel masconC_softmax_bwd = {.wish = wish, .run = softmax_bwd};
const mascon_kernel masconC_log_softmax = {.wish = wish, .run = log_softmax};
const mascon_kernel masconC_log_softmax_bwd = {.wish = wish, .run = log_softmax_bwd};

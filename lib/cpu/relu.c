/* relu.c: relu and its backward op on dense float32. */
#include "core/op.h"
#include "core/simd.h"
#include "cpu/dense.h"

typedef struct job {
    const float *x, *y; /* backward: dy, y */
    float *out;
    int64_t count;
} job;

/* NaN passes through. */
MASCON_CLONES static void forward(const float *x, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] < 0 ? 0 : x[i];
}

MASCON_CLONES static void backward(const float *dy, const float *y, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = y[i] <= 0 ? 0 : dy[i];
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t first = i * MASCON_DENSE_CHUNK;
    const int64_t n = j->count - first < MASCON_DENSE_CHUNK ? j->count - first : MASCON_DENSE_CHUNK;
    if (j->y) {
        backward(j->x + first, j->y + first, j->out + first, n);
    } else {
        forward(j->x + first, j->out + first, n);
    }
}

static mascon_status relu(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    job j = {.x = SRC(call, 0)->data, .out = y->data, .count = y->numel};
    masconI_parallel(masconI_dense_chunks(y->numel), slice, &j);
    return MASCON_OK;
}

static mascon_status relu_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dx = DST(call, 0);
    job j = {.x = SRC(call, 0)->data, .y = SRC(call, 1)->data, .out = dx->data, .count = dx->numel};
    masconI_parallel(masconI_dense_chunks(dx->numel), slice, &j);
    return MASCON_OK;
}

static int wish(const mascon_call *call, mascon_wish *w) { return masconI_dense_wish(call, w); }

const mascon_kernel masconC_relu = {.wish = wish, .run = relu};
const mascon_kernel masconC_relu_bwd = {.wish = wish, .run = relu_bwd};

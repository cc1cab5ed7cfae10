/* relu.c: relu and its backward op on dense float32 or bfloat16. */
#include "core/op.h"
#include "core/simd.h"
#include "cpu/dense.h"

typedef struct job {
    const void *x, *y; /* backward: dy, y */
    void *out;
    int64_t count;
    int half; /* bfloat16 */
} job;

/* NaN passes through. */
MASCON_CLONES static void forward(const float *x, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] < 0 ? 0 : x[i];
}

MASCON_CLONES static void backward(const float *dy, const float *y, float *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = y[i] <= 0 ? 0 : dy[i];
}

/* The same on the bits of bfloat16: -infinity is 0xff80, what lies above is NaN. */
MASCON_CLONES static void forward_half(const uint16_t *x, uint16_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] > 0x8000u && x[i] <= 0xff80u ? 0 : x[i];
}

MASCON_CLONES static void backward_half(const uint16_t *dy, const uint16_t *y, uint16_t *out,
                                        int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const uint16_t v = y[i], g = dy[i]; /* both loaded, so that no branch is in the way */
        const int off = (v == 0) | ((v >= 0x8000u) & (v <= 0xff80u));
        out[i] = (uint16_t)(g & (off - 1));
    }
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t first = i * MASCON_DENSE_CHUNK;
    const int64_t n = j->count - first < MASCON_DENSE_CHUNK ? j->count - first : MASCON_DENSE_CHUNK;
    if (j->half) {
        const uint16_t *x = (const uint16_t *)j->x + first, *y = j->y;
        uint16_t *out = (uint16_t *)j->out + first;
        if (y) {
            backward_half(x, y + first, out, n);
        } else {
            forward_half(x, out, n);
        }
        return;
    }
    const float *x = (const float *)j->x + first, *y = j->y;
    float *out = (float *)j->out + first;
    if (y) {
        backward(x, y + first, out, n);
    } else {
        forward(x, out, n);
    }
}

static mascon_status relu(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    job j = {.x = SRC(call, 0)->data, .out = y->data, .count = y->numel};
    j.half = y->dtype == MASCON_DTYPE_BF16;
    masconI_parallel(masconI_dense_chunks(y->numel), slice, &j);
    return MASCON_OK;
}

static mascon_status relu_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dx = DST(call, 0);
    job j = {.x = SRC(call, 0)->data, .y = SRC(call, 1)->data, .out = dx->data, .count = dx->numel};
    j.half = dx->dtype == MASCON_DTYPE_BF16;
    masconI_parallel(masconI_dense_chunks(dx->numel), slice, &j);
    return MASCON_OK;
}

static int wish(const mascon_call *call, mascon_wish *w) { return masconC_half_wish(call, w); }

const mascon_kernel masconC_relu = {.wish = wish, .run = relu};
const mascon_kernel masconC_relu_bwd = {.wish = wish, .run = relu_bwd};

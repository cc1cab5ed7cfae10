/* dropout2d.c: dropout2d and its backward op on dense float32, in either memory order. A slice is
 * one picture. */
#include <string.h>

#include "core/simd.h"
#include "cpu/dense.h"
#include "ops/nn.h"

enum { BLOCK = 256 }; /* channels whose factors are kept at a time */

typedef struct job {
    const float *x;
    float *y;
    const uint64_t *random;
    uint32_t threshold;
    float scale;
    int64_t c, area;
    int nhwc;
} job;

MASCON_CLONES static void scale_plane(const float *x, float factor, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = factor != 0 ? x[i] * factor : 0;
}

/* n channels of each of `area` pixels that lie stride elements apart */
MASCON_CLONES static void scale_pixels(const float *x, const float *factor, float *y, int64_t n,
                                       int64_t stride, int64_t area) {
    for (int64_t p = 0; p < area; p++) {
        for (int64_t c = 0; c < n; c++) {
            y[p * stride + c] = factor[c] != 0 ? x[p * stride + c] * factor[c] : 0;
        }
    }
}

static float factor_of(const job *j, int64_t channel) {
    const uint32_t word = masconI_random_word(j->random, (uint64_t)channel);
    return word >> 8 >= j->threshold ? j->scale : 0;
}

static void slice(void *context, int64_t n, int thread) {
    (void)thread;
    const job *j = context;
    const float *x = j->x + n * j->c * j->area;
    float *y = j->y + n * j->c * j->area, factor[BLOCK];
    if (!j->nhwc) {
        for (int64_t c = 0; c < j->c; c++) {
            scale_plane(x + c * j->area, factor_of(j, n * j->c + c), y + c * j->area, j->area);
        }
        return;
    }
    for (int64_t first = 0; first < j->c; first += BLOCK) {
        const int64_t count = j->c - first < BLOCK ? j->c - first : BLOCK;
        for (int64_t c = 0; c < count; c++) factor[c] = factor_of(j, n * j->c + first + c);
        scale_pixels(x + first, factor, y + first, count, j->c, j->area);
    }
}

static int wish(const mascon_call *call, mascon_wish *w) { return masconI_dense_wish(call, w); }

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const double p = call->attr[NN_DROPOUT_P];
    const size_t bytes = sizeof(float) * (size_t)y->numel;
    if (call->attr[NN_DROPOUT_TRAINING] == 0) {
        if (y->data != x->data && bytes) memcpy(y->data, x->data, bytes);
        return MASCON_OK;
    }
    job j = {.x = x->data, .y = y->data, .random = call->random, .c = y->shape[1]};
    j.area = y->shape[2] * y->shape[3];
    j.threshold = masconI_dropout_threshold(p);
    j.scale = p < 1 ? (float)(1 / (1 - p)) : 0;
    j.nhwc = !y->contiguous;
    if (y->numel) masconI_parallel(y->shape[0], slice, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_dropout2d = {.wish = wish, .run = run};
const mascon_kernel masconC_dropout2d_bwd = {.wish = wish, .run = run};

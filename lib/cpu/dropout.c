/* dropout.c: dropout and its backward op on dense float32 or bfloat16.
 *
 * Element i in logical row-major order is kept or not by word i of the call's random stream, wherever
 * it lies in memory; channels-last memory is walked in tiles of pixels (keep_bits.h). */
#include <string.h>

#include "core/simd.h"
#include "cpu/dense.h"
#include "cpu/keep_bits.h"
#include "cpu/lanes.h"
#include "ops/nn.h"

typedef struct job {
    const void *x;
    void *y;
    const uint64_t *random;
    uint32_t threshold;
    float scale;
    int half; /* bfloat16 */
    int64_t count;
    masconC_tiling tiling; /* channels-last memory */
} job;

#define SUFFIX f32
#define ELEMENT float
#include "cpu/dropout_body.h"
#define SUFFIX bf16
#define ELEMENT uint16_t
#include "cpu/dropout_body.h"

static void slice_row(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    uint64_t bits[MASCON_DENSE_CHUNK / 64];
    const int64_t i = index * MASCON_DENSE_CHUNK, left = j->count - i;
    const int64_t n = left < MASCON_DENSE_CHUNK ? left : MASCON_DENSE_CHUNK;
    masconC_keep_bits(j->random, (uint64_t)i, n, j->threshold, bits);
#if MASCON_HAS_AVX512_CODE
    if (masconI_has_avx512()) {
        (j->half ? apply_row_avx512_bf16 : apply_row_avx512_f32)(j, i, bits, n);
        return;
    }
#endif
    (j->half ? apply_row_bf16 : apply_row_f32)(j, i, bits, n);
}

/* A tile of pixels of one picture, all channels. */
static void slice_nhwc(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    uint64_t kept[MASCON_KEEP_CHANNELS] __attribute__((aligned(64)));
    for (int64_t c = 0; c < j->tiling.c; c += MASCON_KEEP_CHANNELS) {
        const masconC_tile t = masconC_tile_at(&j->tiling, index, c);
        masconC_keep_tile(&j->tiling, &t, j->random, j->threshold, kept);
#if MASCON_HAS_AVX512_CODE
        if (masconI_has_avx512()) {
            (j->half ? apply_tile_avx512_bf16 : apply_tile_avx512_f32)(j, &t, kept);
            continue;
        }
#endif
        (j->half ? apply_tile_bf16 : apply_tile_f32)(j, &t, kept);
    }
}

static int wish(const mascon_call *call, mascon_wish *w) { return masconC_half_wish(call, w); }

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const double p = call->attr[NN_DROPOUT_P];
    const int half = x->dtype == MASCON_DTYPE_BF16;
    const size_t bytes = (half ? sizeof(uint16_t) : sizeof(float)) * (size_t)y->numel;
    if (call->attr[NN_DROPOUT_TRAINING] == 0) {
        if (y->data != x->data && bytes) memcpy(y->data, x->data, bytes);
        return MASCON_OK;
    }
    if (p >= 1) {
        if (bytes) memset(y->data, 0, bytes);
        return MASCON_OK;
    }
    job j = {.x = x->data, .y = y->data, .random = call->random, .count = y->numel, .half = half};
    j.threshold = masconI_dropout_threshold(p);
    j.scale = (float)(1 / (1 - p));
    if (y->layout == MASCON_LAYOUT_NHWC && !y->contiguous && y->numel) {
        j.tiling = masconC_tiling_of(y->shape[1], y->shape[2] * y->shape[3]);
        masconI_parallel(y->shape[0] * j.tiling.across, slice_nhwc, &j);
    } else {
        masconI_parallel(masconI_dense_chunks(j.count), slice_row, &j);
    }
    return MASCON_OK;
}

const mascon_kernel masconC_dropout = {.wish = wish, .run = run};
const mascon_kernel masconC_dropout_bwd = {.wish = wish, .run = run};

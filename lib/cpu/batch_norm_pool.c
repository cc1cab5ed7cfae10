/* batch_norm_pool.c: batch norm, max pooling over 2x2 windows and dropout in one pass, and back.
 *
 * x {n, c, h, w} channels-last, y and codes {n, c, h / 2, w / 2}. The normalised x is never written. A
 * code is where in its window the largest element stood, or DROPPED: the backward op needs no random
 * numbers, and its sums touch only what won. Every value is rounded where the three operations one by
 * one would round it, and sums run in batch_norm's slices and order, so all results have their bits. */
#include "ops/batch_norm_pool.h"

#include "core/simd.h"
#include "cpu/batch_norm.h"
#include "cpu/keep_bits.h"
#include "cpu/lanes.h"

enum { DROPPED = BATCH_NORM_POOL_DROPPED };

typedef struct job {
    masconC_norm norm;
    int64_t h, w, ow;      /* rows and columns of x; columns of y */
    masconC_tiling tiling; /* of y */
    const uint64_t *random;
    uint32_t threshold;
    float scale;
    int drops;
    const uint8_t *codes;
    uint8_t *made; /* codes, being written */
} job;

#if MASCON_HAS_AVX512_CODE
MASCON_AVX512 MASCON_INLINE __m512i masconC_codes_avx512(const uint8_t *codes) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)codes));
}

MASCON_AVX512 MASCON_INLINE void masconC_widen_avx512(__m512 v, double *to) {
    _mm512_storeu_pd(to, _mm512_cvtps_pd(_mm512_castps512_ps256(v)));
    _mm512_storeu_pd(to + 8, _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
}
#endif

#define SUFFIX f32
#define ELEMENT float
#define ROUNDS 0
#include "cpu/batch_norm_pool_body.h"
#define SUFFIX bf16
#define ELEMENT uint16_t
#define ROUNDS 1
#include "cpu/batch_norm_pool_body.h"

/* The loops for this processor, by the type of element. */
typedef struct loops {
    void (*forward)(const job *j, const masconC_tile *t, const uint64_t *kept);
    void (*products)(const job *j, int64_t first, int64_t n, double *sum, double *product);
    void (*combine)(const job *j, int64_t first, int64_t n);
} loops;

static const loops *loops_for(const job *j) {
    static const loops plain[2] = {{forward_f32, products_f32, combine_f32},
                                   {forward_bf16, products_bf16, combine_bf16}};
#if MASCON_HAS_AVX512_CODE
    static const loops wide[2] = {{forward_avx512_f32, products_avx512_f32, combine_avx512_f32},
                                  {forward_avx512_bf16, products_avx512_bf16, combine_avx512_bf16}};
    if (masconI_has_avx512()) return &wide[j->norm.half];
#endif
    return &plain[j->norm.half];
}

/* ---- Slices ---- */

static void slice_forward(void *context, int64_t index, int thread) {
    (void)thread;
    const job *j = context;
    uint64_t kept[MASCON_KEEP_CHANNELS];
    for (int64_t c = 0; c < j->tiling.c; c += MASCON_KEEP_CHANNELS) {
        const masconC_tile t = masconC_tile_at(&j->tiling, index, c);
        if (j->drops) masconC_keep_tile(&j->tiling, &t, j->random, j->threshold, kept);
        loops_for(j)->forward(j, &t, j->drops ? kept : NULL);
    }
}

/* The pairs of rows of batch_norm's slice i. */
static int64_t pairs_of_slice(const job *j, int64_t i, int64_t *first) {
    const int64_t n = masconC_norm_slice(&j->norm, i, first);
    *first /= 2 * j->w;
    return n / (2 * j->w);
}

static void slice_products(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = pairs_of_slice(j, i, &first);
    double *partial = j->norm.partial + 2 * i * j->norm.s.c;
    loops_for(j)->products(j, first, n, partial, partial + j->norm.s.c);
}

static void slice_combine(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = pairs_of_slice(j, i, &first);
    loops_for(j)->combine(j, first, n);
}

/* ---- The kernels ---- */

static const mascon_view *input(const mascon_call *call) {
    return SRC(call, call->op == MASCON_OP_batch_norm_pool ? 0 : 1);
}

static size_t workspace(const mascon_call *call) { return masconC_norm_workspace(input(call)); }

static job begin(const mascon_call *call, void *memory, double p) {
    const mascon_view *x = input(call);
    job j = {.norm = masconC_norm_begin(x, memory), .h = x->shape[2], .w = x->shape[3]};
    j.ow = j.w / 2;
    j.tiling = masconC_tiling_of(x->shape[1], j.h / 2 * j.ow);
    j.random = call->random;
    j.drops = p > 0;
    j.threshold = masconI_dropout_threshold(p);
    j.scale = p < 1 ? (float)(1 / (1 - p)) : 0;
    return j;
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    job j = begin(call, exec->workspace, call->attr[NN_BATCH_NORM_POOL_P]);
    masconC_norm_prepare(&j.norm, call, DST(call, 2)->data, DST(call, 3)->data);
    j.norm.y = DST(call, 0)->data;
    j.made = DST(call, 1)->data;
    masconI_parallel(j.norm.s.n * j.tiling.across, slice_forward, &j);
    return MASCON_OK;
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    job j = begin(call, exec->workspace, call->attr[NN_BATCH_NORM_POOL_BWD_P]);
    const int training = call->attr[NN_BATCH_NORM_BWD_TRAINING] != 0, affine = call->n_dst > 1;
    j.norm.dy = SRC(call, 0)->data;
    j.codes = SRC(call, 2)->data;
    j.norm.y = DST(call, 0)->data;
    j.norm.mask = call->attr[NN_BATCH_NORM_BWD_RELU_MASK] != 0;
    for (int64_t c = 0; c < j.norm.s.c; c++) {
        j.norm.f.mean[c] = masconC_norm_value(SRC(call, 3), c, 0);
    }
    if (training || affine) {
        masconI_parallel(j.norm.slices, slice_products, &j);
        masconC_norm_join_products(&j.norm);
    }
    masconC_norm_prepare_back(
        &j.norm, SRC(call, 4), masconI_src_given(call, 5) ? SRC(call, 5) : NULL, training,
        affine ? DST(call, 1)->data : NULL, affine ? DST(call, 2)->data : NULL);
    masconI_parallel(j.norm.slices, slice_combine, &j);
    return MASCON_OK;
}

/* Even sizes, and slices of whole pairs of rows. */
static int fits(const mascon_view *x) {
    if (x->shape[1] % MASCON_LANES || x->shape[2] % 2 || x->shape[3] % 2) return 0;
    return masconC_norm_per_slice(x) % (2 * x->shape[3]) == 0;
}

static int wish(const mascon_call *call, mascon_wish *w) {
    const int back = call->op == MASCON_OP_batch_norm_pool_bwd;
    const mascon_view *x = input(call);
    if (!masconC_norm_takes(call, x, back ? 3 : 1, back ? 4 : 0) || !fits(x)) return 0;
    for (int i = 0; i < (back ? 3 : 1); i++) w->src[i] = MASCON_WISH_NHWC;
    w->dst[0] = MASCON_WISH_NHWC;
    w->dst[1] = back ? MASCON_WISH_ROW : MASCON_WISH_NHWC;
    w->dst[2] = w->dst[3] = MASCON_WISH_ROW;
    return 1;
}

const mascon_kernel masconC_batch_norm_pool = {
    .wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_batch_norm_pool_bwd = {
    .wish = wish, .workspace = workspace, .run = backward};

/* batch_norm_pool.c: reference kernels of batch_norm_pool and its backward op.
 *
 * x, dx {n, c, h, w}, y, dy, codes {n, c, oh, ow}; everything else {c}. */
#include "ops/batch_norm_pool.h"

#include "reference/norm.h"

typedef struct pooling {
    int64_t c, h, w, oh, ow;
} pooling;

static pooling pooling_of(const mascon_view *x) {
    return (pooling){.c = x->shape[1],
                     .h = x->shape[2],
                     .w = x->shape[3],
                     .oh = x->shape[2] / 2,
                     .ow = x->shape[3] / 2};
}

/* The logical index in x of element k of the window of output o. */
static int64_t corner(const pooling *s, int64_t o, int k) {
    const int64_t plane = o / (s->oh * s->ow), row = o / s->ow % s->oh * 2 + k / 2;
    return (plane * s->h + row) * s->w + o % s->ow * 2 + k % 2;
}

static mascon_status batch_norm_pool(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0), *codes = DST(call, 1);
    const pooling s = pooling_of(x);
    const double p = call->attr[NN_BATCH_NORM_POOL_P];
    const uint32_t threshold = masconI_dropout_threshold(p);
    for (int64_t c = 0; c < s.c; c++) {
        double mean, rstd;
        masconR_norm_statistics(call, c, &mean, &rstd);
        masconR_set(DST(call, 2), c, mean);
        masconR_set(DST(call, 3), c, rstd);
        const double w = masconR_norm_parameter(call, 3, c, 1),
                     b = masconR_norm_parameter(call, 4, c, 0);
        for (int64_t i = 0; i < y->numel / s.c; i++) {
            const int64_t plane = i / (s.oh * s.ow) * s.c + c;
            const int64_t o = plane * s.oh * s.ow + i % (s.oh * s.ow);
            double best = 0;
            int code = -1;
            for (int k = 0; k < 4; k++) {
                const double v = (masconR_get(x, corner(&s, o, k)) - mean) * rstd * w + b;
                if (code >= 0 && !(v > best) && !isnan(v)) continue;
                best = v;
                code = k;
            }
            const int kept = masconI_random_word(call->random, (uint64_t)o) >> 8 >= threshold;
            masconR_set(y, o, kept ? best / (1 - p) : 0);
            masconR_set_int(codes, o, kept ? code : BATCH_NORM_POOL_DROPPED);
        }
    }
    return MASCON_OK;
}

/* The gradient of the normalised x at the window element k of output o. */
static double upstream(const mascon_call *call, int64_t o, int k) {
    if (masconR_get_int(SRC(call, 2), o) != k) return 0;
    return masconR_get(SRC(call, 0), o) / (1 - call->attr[NN_BATCH_NORM_POOL_BWD_P]);
}

/* What is known of one channel. */
typedef struct channel {
    double mean, rstd, weight;
    double sum, product; /* of dy, of dy xhat */
} channel;

static void add(const mascon_call *call, const pooling *s, int64_t c, channel *f) {
    const mascon_view *x = SRC(call, 1), *dy = SRC(call, 0);
    for (int64_t i = 0; i < dy->numel / s->c; i++) {
        const int64_t plane = i / (s->oh * s->ow) * s->c + c;
        const int64_t o = plane * s->oh * s->ow + i % (s->oh * s->ow);
        for (int k = 0; k < 4; k++) {
            const double d = upstream(call, o, k);
            f->sum += d;
            f->product += d * (masconR_get(x, corner(s, o, k)) - f->mean) * f->rstd;
        }
    }
}

/* The gradient that reaches element (row, column) of a plane: 0 outside of every window. */
static double reaching(const mascon_call *call, const pooling *s, int64_t plane, int64_t row,
                       int64_t column) {
    if (row / 2 >= s->oh || column / 2 >= s->ow) return 0;
    const int64_t o = (plane * s->oh + row / 2) * s->ow + column / 2;
    return upstream(call, o, (int)(row % 2 * 2 + column % 2));
}

static mascon_status batch_norm_pool_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 1), *dx = DST(call, 0);
    const pooling s = pooling_of(x);
    const masconI_channels all = masconI_channels_of(x);
    const double n = (double)all.count;
    const int training = call->attr[NN_BATCH_NORM_BWD_TRAINING] != 0;
    const int mask = call->attr[NN_BATCH_NORM_BWD_RELU_MASK] != 0;
    for (int64_t c = 0; c < s.c; c++) {
        channel f = {.mean = masconR_get(SRC(call, 3), c), .rstd = masconR_get(SRC(call, 4), c)};
        f.weight = masconR_norm_parameter(call, 5, c, 1);
        add(call, &s, c, &f);
        if (call->n_dst > 1) {
            masconR_set(DST(call, 1), c, f.product);
            masconR_set(DST(call, 2), c, f.sum);
        }
        for (int64_t i = 0; i < all.count; i++) {
            const int64_t k = masconR_norm_at(&all, c, i);
            const double v = masconR_get(x, k);
            double d = reaching(call, &s, k / (s.h * s.w), k / s.w % s.h, k % s.w);
            if (training) d -= f.sum / n + (v - f.mean) * f.rstd * f.product / n;
            masconR_set(dx, k, mask && v <= 0 ? 0 : f.weight * f.rstd * d);
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_batch_norm_pool = {.run = batch_norm_pool};
const mascon_kernel masconR_batch_norm_pool_bwd = {.run = batch_norm_pool_bwd};

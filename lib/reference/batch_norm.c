/* batch_norm.c: reference kernels of batch_norm and its backward op.
 *
 * x, y, dy, dx {n, c, inner...}; everything else {c}. Element k of channel c in picture n is the
 * logical element (n * C + c) * inner + k. */
#include "reference/norm.h"

static const mascon_view *maybe(const mascon_call *call, int i) {
    return i < call->n_src && call->src[i] ? SRC(call, i) : NULL;
}

int64_t masconR_norm_at(const masconI_channels *s, int64_t c, int64_t i) {
    return (i / s->inner * s->c + c) * s->inner + i % s->inner;
}

static void moments(const masconI_channels *s, const mascon_view *x, int64_t c, double *mean,
                    double *squares) {
    double sum = 0;
    for (int64_t i = 0; i < s->count; i++) sum += masconR_get(x, masconR_norm_at(s, c, i));
    *mean = s->count ? sum / (double)s->count : 0;
    *squares = 0;
    for (int64_t i = 0; i < s->count; i++) {
        const double d = masconR_get(x, masconR_norm_at(s, c, i)) - *mean;
        *squares += d * d;
    }
}

static void move_running(const mascon_view *running, int64_t c, double momentum, double value) {
    if (!running) return;
    masconR_set(running, c, (1 - momentum) * masconR_get(running, c) + momentum * value);
}

void masconR_norm_statistics(const mascon_call *call, int64_t c, double *mean, double *rstd) {
    const mascon_view *running_mean = maybe(call, 1), *running_var = maybe(call, 2);
    const masconI_channels s = masconI_channels_of(SRC(call, 0));
    const double momentum = call->attr[NN_BATCH_NORM_MOMENTUM];
    double var;
    if (call->attr[NN_BATCH_NORM_TRAINING] != 0) {
        moments(&s, SRC(call, 0), c, mean, &var);
        if (s.count) {
            move_running(running_mean, c, momentum, *mean);
            move_running(running_var, c, momentum, var / (double)(s.count - 1));
            var /= (double)s.count;
        }
    } else {
        *mean = masconR_get(running_mean, c);
        var = masconR_get(running_var, c);
    }
    *rstd = 1 / sqrt(var + call->attr[NN_BATCH_NORM_EPS]);
}

double masconR_norm_parameter(const mascon_call *call, int i, int64_t c, double absent) {
    const mascon_view *v = maybe(call, i);
    return v ? masconR_get(v, c) : absent;
}

static mascon_status batch_norm(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const masconI_channels s = masconI_channels_of(x);
    for (int64_t c = 0; c < s.c; c++) {
        double mean, rstd;
        masconR_norm_statistics(call, c, &mean, &rstd);
        const double w = masconR_norm_parameter(call, 3, c, 1),
                     b = masconR_norm_parameter(call, 4, c, 0);
        masconR_set(DST(call, 1), c, mean);
        masconR_set(DST(call, 2), c, rstd);
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t k = masconR_norm_at(&s, c, i);
            masconR_set(y, k, (masconR_get(x, k) - mean) * rstd * w + b);
        }
    }
    return MASCON_OK;
}

/* training: dx = w rstd (dy - mean(dy) - xhat mean(dy xhat)); else dx = w rstd dy */
static mascon_status batch_norm_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *weight = maybe(call, 4);
    const mascon_view *dx = DST(call, 0);
    const masconI_channels s = masconI_channels_of(x);
    const int training = call->attr[NN_BATCH_NORM_BWD_TRAINING] != 0;
    const int mask = call->attr[NN_BATCH_NORM_BWD_RELU_MASK] != 0;
    for (int64_t c = 0; c < s.c; c++) {
        const double mean = masconR_get(SRC(call, 2), c), rstd = masconR_get(SRC(call, 3), c);
        const double w = weight ? masconR_get(weight, c) : 1;
        double sum = 0, product = 0; /* of dy, of dy xhat */
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t k = masconR_norm_at(&s, c, i);
            sum += masconR_get(dy, k);
            product += masconR_get(dy, k) * (masconR_get(x, k) - mean) * rstd;
        }
        if (call->n_dst > 1) {
            masconR_set(DST(call, 1), c, product);
            masconR_set(DST(call, 2), c, sum);
        }
        const double n = (double)s.count;
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t k = masconR_norm_at(&s, c, i);
            const double v = masconR_get(x, k);
            double d = masconR_get(dy, k);
            if (training) d -= sum / n + (v - mean) * rstd * product / n;
            masconR_set(dx, k, mask && v <= 0 ? 0 : w * rstd * d);
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_batch_norm = {.run = batch_norm};
const mascon_kernel masconR_batch_norm_bwd = {.run = batch_norm_bwd};

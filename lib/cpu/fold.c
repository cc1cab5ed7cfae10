/* fold.c: batch norm by running statistics as a part of the convolution before it:
 *
 *   (w x + bias - mean) * scale / sqrt(var + eps) + shift
 *     = (w a) x + ((bias - mean) a + shift)             a = scale / sqrt(var + eps), per channel
 */
#include <math.h>

#include "cpu/plan.h"

static double value(const masconI_fold *fold, int which, int64_t o, double absent) {
    const mascon_tensor *t = fold->of[which];
    return t ? (double)((const float *)mascon_see(t)->data)[o] : absent;
}

void masconI_fold_run(const masconI_fold *fold, const float *plain, float *scaled, float *bias) {
    for (int64_t o = 0; o < fold->oc; o++) {
        double a = value(fold, MASCON_FOLD_SCALE, o, 1);
        if (fold->of[MASCON_FOLD_VAR]) a /= sqrt(value(fold, MASCON_FOLD_VAR, o, 1) + fold->eps);
        const double from =
            value(fold, MASCON_FOLD_BIAS, o, 0) - value(fold, MASCON_FOLD_MEAN, o, 0);
        bias[o] = (float)(from * a + value(fold, MASCON_FOLD_SHIFT, o, 0));
        for (int64_t i = o * fold->each; i < (o + 1) * fold->each; i++) {
            scaled[i] = (float)((double)plain[i] * a);
        }
    }
}

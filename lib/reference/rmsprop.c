/* rmsprop.c: reference kernel of rmsprop. Three to five groups of n tensors; those of one position have
 * one shape. */
#include "ops/nn.h"
#include "reference/reference.h"

static void update(const mascon_call *call, const mascon_view *param, const mascon_view *grad,
                   const mascon_view *square, const mascon_view *mean,
                   const mascon_view *momentum) {
    const double *option = call->attr;
    const double alpha = option[NN_RMSPROP_ALPHA];
    const double sign = option[NN_RMSPROP_MAXIMIZE] != 0 ? -1 : 1;
    for (int64_t i = 0; i < param->numel; i++) {
        const double p = masconR_get(param, i);
        double g = sign * masconR_get(grad, i);
        if (option[NN_RMSPROP_WEIGHT_DECAY] != 0) g += option[NN_RMSPROP_WEIGHT_DECAY] * p;
        const double v = alpha * masconR_get(square, i) + (1 - alpha) * g * g;
        masconR_set(square, i, v);
        double spread = v;
        if (mean) {
            const double before = masconR_get(mean, i), m = before + (1 - alpha) * (g - before);
            masconR_set(mean, i, m);
            spread = v - m * m;
            if (spread < 0) spread = 0; /* by rounding, where all gradients were equal */
        }
        double d = g / (sqrt(spread) + option[NN_RMSPROP_EPS]);
        if (momentum) {
            d += option[NN_RMSPROP_MOMENTUM] * masconR_get(momentum, i);
            masconR_set(momentum, i, d);
        }
        masconR_set(param, i, p - option[NN_RMSPROP_LR] * d);
    }
}

static mascon_status rmsprop(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const int centered = call->attr[NN_RMSPROP_CENTERED] != 0;
    const int momentum = call->attr[NN_RMSPROP_MOMENTUM] != 0;
    const int groups = 3 + centered + momentum;
    const int64_t n = call->n_list / groups;
    for (int64_t i = 0; i < n; i++) {
        const mascon_view *v[5] = {0};
        for (int k = 0; k < groups; k++) v[k] = mascon_see(call->list[k * n + i]);
        update(call, v[0], v[1], v[2], centered ? v[3] : NULL, momentum ? v[groups - 1] : NULL);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_rmsprop = {.run = rmsprop};

/* adam.c: reference kernel of adam. Four or five groups of n tensors; those of one position have one
 * shape. */
#include "ops/nn.h"
#include "reference/reference.h"

typedef struct factors {
    double step_size, root_correction; /* lr / (1 - beta1^t), sqrt(1 - beta2^t) */
} factors;

static void update(const mascon_call *call, const factors *f, const mascon_view *param,
                   const mascon_view *grad, const mascon_view *mean, const mascon_view *square,
                   const mascon_view *largest) {
    const double *option = call->attr;
    const double beta1 = option[NN_ADAM_BETA1], beta2 = option[NN_ADAM_BETA2];
    const double decay = option[NN_ADAM_WEIGHT_DECAY];
    const double sign = option[NN_ADAM_MAXIMIZE] != 0 ? -1 : 1;
    for (int64_t i = 0; i < param->numel; i++) {
        double p = masconR_get(param, i), g = sign * masconR_get(grad, i);
        if (option[NN_ADAM_DECOUPLED] != 0) {
            p *= 1 - option[NN_ADAM_LR] * decay;
        } else {
            g += decay * p;
        }
        double m = masconR_get(mean, i), v = masconR_get(square, i);
        m += (1 - beta1) * (g - m);
        v = beta2 * v + (1 - beta2) * g * g;
        masconR_set(mean, i, m);
        masconR_set(square, i, v);
        if (largest) {
            const double before = masconR_get(largest, i);
            if (!(before >= v) && !isnan(before)) masconR_set(largest, i, v); /* NaN stays */
            v = masconR_get(largest, i);
        }
        masconR_set(param, i,
                    p - f->step_size * m / (sqrt(v) / f->root_correction + option[NN_ADAM_EPS]));
    }
}

static mascon_status adam(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const double step = call->attr[NN_ADAM_STEP];
    const factors f = {
        .step_size = call->attr[NN_ADAM_LR] / (1 - pow(call->attr[NN_ADAM_BETA1], step)),
        .root_correction = sqrt(1 - pow(call->attr[NN_ADAM_BETA2], step)),
    };
    const int groups = call->attr[NN_ADAM_AMSGRAD] != 0 ? 5 : 4;
    const int64_t n = call->n_list / groups;
    for (int64_t i = 0; i < n; i++) {
        const mascon_view *v[5] = {0};
        for (int k = 0; k < groups; k++) v[k] = mascon_see(call->list[k * n + i]);
        update(call, &f, v[0], v[1], v[2], v[3], v[4]);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_adam = {.run = adam};

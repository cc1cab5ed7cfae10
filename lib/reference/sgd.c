/* sgd.c: reference kernel of sgd. Two or three groups of n tensors; those of one position have one shape. */
#include "ops/nn.h"
#include "reference/reference.h"

static void update(const mascon_call *call, const mascon_view *param, const mascon_view *grad,
                   const mascon_view *momentum) {
    const double *option = call->attr;
    const double sign = option[NN_SGD_MAXIMIZE] != 0 ? -1 : 1;
    for (int64_t i = 0; i < param->numel; i++) {
        const double p = masconR_get(param, i);
        double g = sign * masconR_get(grad, i);
        if (option[NN_SGD_WEIGHT_DECAY] != 0) g += option[NN_SGD_WEIGHT_DECAY] * p;
        if (momentum) {
            double m = g;
            if (option[NN_SGD_FIRST] == 0) {
                m = option[NN_SGD_MOMENTUM] * masconR_get(momentum, i) +
                    (1 - option[NN_SGD_DAMPENING]) * g;
            }
            masconR_set(momentum, i, m);
            g = option[NN_SGD_NESTEROV] != 0 ? g + option[NN_SGD_MOMENTUM] * m : m;
        }
        masconR_set(param, i, p - option[NN_SGD_LR] * g);
    }
}

static mascon_status sgd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const int groups = call->attr[NN_SGD_MOMENTUM] != 0 ? 3 : 2;
    const int64_t n = call->n_list / groups;
    for (int64_t i = 0; i < n; i++) {
        update(call, mascon_see(call->list[i]), mascon_see(call->list[n + i]),
               groups == 3 ? mascon_see(call->list[2 * n + i]) : NULL);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_sgd = {.run = sgd};

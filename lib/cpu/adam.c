/* adam.c: one step of Adam or AdamW over all parameters, in float32. */
#include "core/simd.h"
#include "cpu/optimizer.h"
#include "ops/nn.h"

typedef struct options {
    float beta2, mean_share, square_share; /* shares of the new gradient: 1 - beta */
    float root, eps, step;     /* root: 1 / sqrt(correction 2); step: lr / correction 1 */
    float sign, decay, shrink; /* decay: added to the gradient; shrink: AdamW's factor */
    int amsgrad;
} options;

MASCON_CLONES static void adam(const options *o, float *restrict p, const float *restrict grad,
                               float *restrict mean, float *restrict square, int64_t n) {
    const options k = *o;
    for (int64_t i = 0; i < n; i++) {
        const float w = p[i] * k.shrink;
        const float g = k.decay != 0 ? k.sign * grad[i] + k.decay * w : k.sign * grad[i];
        const float m = mean[i] + k.mean_share * (g - mean[i]);
        const float v = square[i] * k.beta2 + k.square_share * g * g;
        mean[i] = m;
        square[i] = v;
        p[i] = w - k.step * m / (sqrtf(v) * k.root + k.eps);
    }
}

MASCON_CLONES static void amsgrad(const options *o, float *restrict p, const float *restrict grad,
                                  float *restrict mean, float *restrict square,
                                  float *restrict most, int64_t n) {
    const options k = *o;
    for (int64_t i = 0; i < n; i++) {
        const float w = p[i] * k.shrink;
        const float g = k.decay != 0 ? k.sign * grad[i] + k.decay * w : k.sign * grad[i];
        const float m = mean[i] + k.mean_share * (g - mean[i]);
        const float v = square[i] * k.beta2 + k.square_share * g * g;
        const float top = most[i] < v || v != v ? v : most[i];
        mean[i] = m;
        square[i] = v;
        most[i] = top;
        p[i] = w - k.step * m / (sqrtf(top) * k.root + k.eps);
    }
}

static void work(const void *given, float *const data[MASCON_GROUPS], int64_t n, double *sum) {
    const options *o = given;
    (void)sum;
    if (o->amsgrad) {
        amsgrad(o, data[0], data[1], data[2], data[3], data[4], n);
    } else {
        adam(o, data[0], data[1], data[2], data[3], n);
    }
}

static int groups(const mascon_call *call) { return call->attr[NN_ADAM_AMSGRAD] != 0 ? 5 : 4; }

static int wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconI_pass_fits(call, groups(call));
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const double *a = call->attr;
    const double beta1 = a[NN_ADAM_BETA1], beta2 = a[NN_ADAM_BETA2], steps = a[NN_ADAM_STEP];
    const double lr = a[NN_ADAM_LR], decay = a[NN_ADAM_WEIGHT_DECAY];
    const int decoupled = a[NN_ADAM_DECOUPLED] != 0;
    const options o = {.beta2 = (float)beta2,
                       .mean_share = (float)(1 - beta1),
                       .square_share = (float)(1 - beta2),
                       .root = (float)(1 / sqrt(1 - pow(beta2, steps))),
                       .eps = (float)a[NN_ADAM_EPS],
                       .step = (float)(lr / (1 - pow(beta1, steps))),
                       .sign = a[NN_ADAM_MAXIMIZE] != 0 ? -1.0f : 1.0f,
                       .decay = decoupled ? 0 : (float)decay,
                       .shrink = decoupled ? (float)(1 - lr * decay) : 1,
                       .amsgrad = groups(call) == 5};
    const masconI_pass pass = {.call = call,
                               .params = call->n_list / groups(call),
                               .groups = groups(call),
                               .work = work,
                               .options = &o};
    masconI_pass_run(&pass);
    return MASCON_OK;
}

const mascon_kernel masconC_adam = {.wish = wish, .run = run};

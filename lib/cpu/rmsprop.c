/* rmsprop.c: one step of RMSprop over all parameters, in float32. */
#include "core/simd.h"
#include "cpu/optimizer.h"
#include "ops/nn.h"

typedef struct options {
    float lr, alpha, fresh, eps; /* fresh: 1 - alpha */
    float sign, decay, momentum;
    int centered;
} options;

/* The gradient divided by its usual size; square becomes the new mean square. */
static inline float scaled(const options *k, float p, float grad, float *square) {
    const float g = k->decay != 0 ? k->sign * grad + k->decay * p : k->sign * grad;
    const float v = *square * k->alpha + k->fresh * g * g;
    *square = v;
    return g / (sqrtf(v) + k->eps);
}

/* As above, by the distance from the mean gradient. */
static inline float scaled_centered(const options *k, float p, float grad, float *square,
                                    float *mean) {
    const float g = k->decay != 0 ? k->sign * grad + k->decay * p : k->sign * grad;
    const float v = *square * k->alpha + k->fresh * g * g;
    const float m = *mean + k->fresh * (g - *mean);
    const float spread = v - m * m;
    *square = v;
    *mean = m;
    /* below 0 by rounding, where all gradients were equal; NaN stays */
    return g / (sqrtf(spread < 0 ? 0 : spread) + k->eps);
}

MASCON_CLONES static void plain(const options *o, float *restrict p, const float *restrict grad,
                                float *restrict square, int64_t n) {
    const options k = *o;
    for (int64_t i = 0; i < n; i++) p[i] -= k.lr * scaled(&k, p[i], grad[i], &square[i]);
}

MASCON_CLONES static void with_momentum(const options *o, float *restrict p,
                                        const float *restrict grad, float *restrict square,
                                        float *restrict momentum, int64_t n) {
    const options k = *o;
    for (int64_t i = 0; i < n; i++) {
        const float b = k.momentum * momentum[i] + scaled(&k, p[i], grad[i], &square[i]);
        momentum[i] = b;
        p[i] -= k.lr * b;
    }
}

MASCON_CLONES static void centered(const options *o, float *restrict p, const float *restrict grad,
                                   float *restrict square, float *restrict mean, int64_t n) {
    const options k = *o;
    for (int64_t i = 0; i < n; i++) {
        p[i] -= k.lr * scaled_centered(&k, p[i], grad[i], &square[i], &mean[i]);
    }
}

MASCON_CLONES static void centered_with_momentum(const options *o, float *restrict p,
                                                 const float *restrict grad, float *restrict square,
                                                 float *restrict mean, float *restrict momentum,
                                                 int64_t n) {
    const options k = *o;
    for (int64_t i = 0; i < n; i++) {
        const float b =
            k.momentum * momentum[i] + scaled_centered(&k, p[i], grad[i], &square[i], &mean[i]);
        momentum[i] = b;
        p[i] -= k.lr * b;
    }
}

static void work(const void *given, float *const data[MASCON_GROUPS], int64_t n, double *sum) {
    const options *o = given;
    (void)sum;
    if (o->centered && o->momentum != 0) {
        centered_with_momentum(o, data[0], data[1], data[2], data[3], data[4], n);
    } else if (o->centered) {
        centered(o, data[0], data[1], data[2], data[3], n);
    } else if (o->momentum != 0) {
        with_momentum(o, data[0], data[1], data[2], data[3], n);
    } else {
        plain(o, data[0], data[1], data[2], n);
    }
}

static int groups(const mascon_call *call) {
    return 3 + (call->attr[NN_RMSPROP_CENTERED] != 0) + (call->attr[NN_RMSPROP_MOMENTUM] != 0);
}

/* A momentum too small for float32 would change the number of groups. */
static int wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    const double momentum = call->attr[NN_RMSPROP_MOMENTUM];
    return (momentum == 0 || (float)momentum != 0) && masconI_pass_fits(call, groups(call));
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const double *a = call->attr;
    const options o = {.lr = (float)a[NN_RMSPROP_LR],
                       .alpha = (float)a[NN_RMSPROP_ALPHA],
                       .fresh = (float)(1 - a[NN_RMSPROP_ALPHA]),
                       .eps = (float)a[NN_RMSPROP_EPS],
                       .sign = a[NN_RMSPROP_MAXIMIZE] != 0 ? -1.0f : 1.0f,
                       .decay = (float)a[NN_RMSPROP_WEIGHT_DECAY],
                       .momentum = (float)a[NN_RMSPROP_MOMENTUM],
                       .centered = a[NN_RMSPROP_CENTERED] != 0};
    const masconI_pass pass = {.call = call,
                               .params = call->n_list / groups(call),
                               .groups = groups(call),
                               .work = work,
                               .options = &o};
    masconI_pass_run(&pass);
    return MASCON_OK;
}

const mascon_kernel masconC_rmsprop = {.wish = wish, .run = run};

/* sgd.c: one step of stochastic gradient descent over all parameters, in float32. */
#include "core/simd.h"
#include "cpu/optimizer.h"
#include "ops/nn.h"

typedef struct options {
    float lr, momentum, fresh, weight_decay, sign; /* fresh: 1 - dampening */
    int momenta, nesterov, first;
} options;

/* The gradient that the step uses. */
static inline float decayed(const options *o, float g, float p) {
    return o->weight_decay != 0 ? o->sign * g + o->weight_decay * p : o->sign * g;
}

MASCON_CLONES static void plain(const options *o, float *restrict p, const float *restrict g,
                                int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float d = decayed(o, g[i], p[i]);
        p[i] -= o->lr * d;
    }
}

MASCON_CLONES static void with_momentum(const options *o, float *restrict p,
                                        const float *restrict g, float *restrict m, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float d = decayed(o, g[i], p[i]);
        const float b = o->momentum * m[i] + o->fresh * d;
        m[i] = b;
        p[i] -= o->lr * (o->nesterov ? d + o->momentum * b : b);
    }
}

/* The momenta hold nothing yet, perhaps not even numbers. */
MASCON_CLONES static void first_momentum(const options *o, float *restrict p,
                                         const float *restrict g, float *restrict m, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        const float d = decayed(o, g[i], p[i]);
        m[i] = d;
        p[i] -= o->lr * (o->nesterov ? d + o->momentum * d : d);
    }
}

static void work(const void *given, float *const data[MASCON_GROUPS], int64_t n, double *sum) {
    const options *o = given;
    (void)sum;
    if (!o->momenta) {
        plain(o, data[0], data[1], n);
    } else if (o->first) {
        first_momentum(o, data[0], data[1], data[2], n);
    } else {
        with_momentum(o, data[0], data[1], data[2], n);
    }
}

static int groups(const mascon_call *call) { return call->attr[NN_SGD_MOMENTUM] != 0 ? 3 : 2; }

static int wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconI_pass_fits(call, groups(call));
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const double *a = call->attr;
    const options o = {.lr = (float)a[NN_SGD_LR],
                       .momentum = (float)a[NN_SGD_MOMENTUM],
                       .fresh = (float)(1 - a[NN_SGD_DAMPENING]),
                       .weight_decay = (float)a[NN_SGD_WEIGHT_DECAY],
                       .sign = a[NN_SGD_MAXIMIZE] != 0 ? -1.0f : 1.0f,
                       .momenta = groups(call) == 3,
                       .nesterov = a[NN_SGD_NESTEROV] != 0,
                       .first = a[NN_SGD_FIRST] != 0};
    const masconI_pass pass = {.call = call,
                               .params = call->n_list / groups(call),
                               .groups = groups(call),
                               .work = work,
                               .options = &o};
    masconI_pass_run(&pass);
    return MASCON_OK;
}

const mascon_kernel masconC_sgd = {.wish = wish, .run = run};

/* pointwise_loss.c: reference kernels of mse_loss, l1_loss, binary_cross_entropy_with_logits and
 * their backward ops. x, target, dx and an unreduced loss have one shape; weights broadcast to it. */
#include "ops/loss.h"
#include "reference/move.h"

/* The loss of one element, and its derivatives by x and by target. */
typedef struct element {
    double loss, dx, dtarget;
} element;

static element squared(double x, double t) {
    return (element){(x - t) * (x - t), 2 * (x - t), -2 * (x - t)};
}

static element absolute(double x, double t) {
    const double sign = x == t ? 0 : x > t ? 1 : x < t ? -1 : NAN;
    return (element){fabs(x - t), sign, -sign};
}

/* w ((1 - t) x + (1 + (p - 1) t) softplus(-x)) */
static element logits(double x, double t, double w, double p) {
    const double minus = log1p(exp(-fabs(x))) + (x < 0 ? -x : 0);             /* softplus(-x) */
    const double below = x >= 0 ? exp(-x) / (1 + exp(-x)) : 1 / (1 + exp(x)); /* sigmoid(-x) */
    const double factor = 1 + (p - 1) * t;
    return (element){w * ((1 - t) * x + factor * minus), w * (1 - t - factor * below),
                     w * (-x + (p - 1) * minus)};
}

typedef struct weights {
    mascon_view view[2];
    int given[2];
} weights;

/* weight and pos_weight as views of x's shape. */
static weights weights_of(const mascon_call *call, int first, const mascon_view *x) {
    weights w = {.given = {0, 0}};
    for (int k = 0; k < 2; k++) {
        w.given[k] = first + k < call->n_src && call->src[first + k];
        if (w.given[k]) w.view[k] = masconR_spread(SRC(call, first + k), x->ndim, x->shape);
    }
    return w;
}

static double weight_at(const weights *w, int k, int64_t i) {
    return w->given[k] ? masconR_get(&w->view[k], i) : 1;
}

static element element_of(const mascon_call *call, const weights *w, const mascon_view *x,
                          const mascon_view *target, int64_t i) {
    const double v = masconR_get(x, i), t = masconR_get(target, i);
    if (call->op == MASCON_OP_mse_loss || call->op == MASCON_OP_mse_loss_bwd) return squared(v, t);
    if (call->op == MASCON_OP_l1_loss || call->op == MASCON_OP_l1_loss_bwd) return absolute(v, t);
    return logits(v, t, weight_at(w, 0, i), weight_at(w, 1, i));
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *target = SRC(call, 1), *loss = DST(call, 0);
    const weights w = weights_of(call, 2, x);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    double sum = 0;
    for (int64_t i = 0; i < x->numel; i++) {
        const double v = element_of(call, &w, x, target, i).loss;
        if (none) masconR_set(loss, i, v);
        sum += v;
    }
    if (!none) masconR_set(loss, 0, sum * masconI_loss_share(call, x->numel));
    return MASCON_OK;
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *target = SRC(call, 2);
    const mascon_view *dx = DST(call, 0);
    const weights w = weights_of(call, 3, x);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    const int by_target = call->op == MASCON_OP_binary_cross_entropy_with_logits_bwd &&
                          call->attr[NN_BCE_BWD_TARGET] != 0;
    const double share = masconI_loss_share(call, x->numel);
    for (int64_t i = 0; i < x->numel; i++) {
        const element e = element_of(call, &w, x, target, i);
        masconR_set(dx, i, (by_target ? e.dtarget : e.dx) * share * masconR_get(dy, none ? i : 0));
    }
    return MASCON_OK;
}

const mascon_kernel masconR_mse_loss = {.run = forward};
const mascon_kernel masconR_mse_loss_bwd = {.run = backward};
const mascon_kernel masconR_l1_loss = {.run = forward};
const mascon_kernel masconR_l1_loss_bwd = {.run = backward};
const mascon_kernel masconR_binary_cross_entropy_with_logits = {.run = forward};
const mascon_kernel masconR_binary_cross_entropy_with_logits_bwd = {.run = backward};

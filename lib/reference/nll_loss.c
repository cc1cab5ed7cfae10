/* nll_loss.c: reference kernels of nll_loss and its backward op. x, dx {n, c, inner...}, target
 * {n, inner...}: row r belongs to picture r / inner. */
#include "ops/loss.h"
#include "reference/reference.h"

static int64_t inner_of(const mascon_view *x) {
    int64_t inner = 1;
    for (int32_t d = 2; d < x->ndim; d++) inner *= x->shape[d];
    return inner;
}

/* The class of row r from 0, -1 for one that does not count, -2 for one out of range. */
static int64_t class_of(const mascon_call *call, const mascon_view *target, int64_t r,
                        int64_t classes) {
    const int64_t value = masconR_get_int(target, r);
    if (value == masconI_attr_int(call, NN_NLL_LOSS_IGNORE_INDEX)) return -1;
    const int64_t t = value - masconI_attr_int(call, NN_NLL_LOSS_BASE);
    return t < 0 || t >= classes ? -2 : t;
}

static double weight_of(const mascon_call *call, int64_t t) {
    return call->n_src > 2 && call->src[2] ? masconR_get(SRC(call, 2), t) : 1;
}

/* What the mean divides by: the weights of the rows that count. Fails at a target out of range. */
static mascon_status divisor(const mascon_call *call, const mascon_view *target, int64_t classes,
                             double *total) {
    *total = 0;
    for (int64_t r = 0; r < target->numel; r++) {
        const int64_t t = class_of(call, target, r, classes);
        if (t == -2) {
            return masconI_label_fail(r, target->numel, masconR_get_int(target, r),
                                      masconI_attr_int(call, NN_NLL_LOSS_BASE), classes);
        }
        if (t >= 0) *total += weight_of(call, t);
    }
    if (call->attr[NN_LOSS_REDUCTION] != NN_REDUCTION_MEAN) *total = 1;
    return MASCON_OK;
}

static mascon_status nll_loss(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *target = SRC(call, 1), *loss = DST(call, 0);
    const int64_t classes = x->shape[1], inner = inner_of(x);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    double total, sum = 0;
    MASCON_TRY(divisor(call, target, classes, &total));
    for (int64_t r = 0; r < target->numel; r++) {
        const int64_t t = class_of(call, target, r, classes);
        double v = 0;
        if (t >= 0) {
            v = -weight_of(call, t) * masconR_get(x, (r / inner * classes + t) * inner + r % inner);
        }
        if (none) masconR_set(loss, r, v);
        sum += v;
    }
    if (!none) masconR_set(loss, 0, sum / total);
    return MASCON_OK;
}

static mascon_status nll_loss_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *target = SRC(call, 1), *dx = DST(call, 0);
    const int64_t classes = dx->shape[1], inner = inner_of(dx);
    const int none = call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_NONE;
    double total;
    MASCON_TRY(divisor(call, target, classes, &total));
    for (int64_t i = 0; i < dx->numel; i++) masconR_set(dx, i, 0);
    for (int64_t r = 0; r < target->numel; r++) {
        const int64_t t = class_of(call, target, r, classes);
        if (t < 0) continue;
        masconR_set(dx, (r / inner * classes + t) * inner + r % inner,
                    -weight_of(call, t) / total * masconR_get(dy, none ? r : 0));
    }
    return MASCON_OK;
}

const mascon_kernel masconR_nll_loss = {.run = nll_loss};
const mascon_kernel masconR_nll_loss_bwd = {.run = nll_loss_bwd};

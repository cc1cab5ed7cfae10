/* cross_entropy.c: reference kernels of cross_entropy and its backward op.
 *
 * x {n, c, inner} with all further dimensions as one; row r = (n, inner). Each row has coefficients
 * q[c] such that its loss is the sum of q[c] * (logsumexp(x) - x[c]); lib/ops/cross_entropy.c has the
 * formulas. */
#include "ops/nn.h"
#include "reference/reference.h"

typedef struct problem {
    const mascon_view *x, *target, *weight;
    int64_t rows, classes, inner;
    int reduction, probabilities;
    double smoothing;
    int64_t ignore, base;
} problem;

static void read_call(const mascon_call *call, int first, problem *p) {
    p->x = SRC(call, first);
    p->target = SRC(call, first + 1);
    p->weight = call->n_src > first + 2 && call->src[first + 2] ? SRC(call, first + 2) : NULL;
    p->classes = p->x->shape[1];
    p->rows = p->x->numel / p->classes;
    p->inner = 1;
    for (int32_t d = 2; d < p->x->ndim; d++) p->inner *= p->x->shape[d];
    p->reduction = (int)call->attr[NN_CROSS_ENTROPY_REDUCTION];
    p->probabilities = masconI_is_float(p->target->dtype);
    p->smoothing = call->attr[NN_CROSS_ENTROPY_SMOOTHING];
    p->ignore = masconI_attr_int(call, NN_CROSS_ENTROPY_IGNORE_INDEX);
    p->base = masconI_attr_int(call, NN_CROSS_ENTROPY_BASE);
}

/* Row-major index in x (or in probabilities) of class c of a row. */
static int64_t at(const problem *p, int64_t row, int64_t c) {
    return (row / p->inner * p->classes + c) * p->inner + row % p->inner;
}

/* The class of a row from 0, or -1 where it is ignored. Labels were checked. */
static int64_t label(const problem *p, int64_t row) {
    const int64_t value = masconR_get_int(p->target, row);
    return value == p->ignore ? -1 : value - p->base;
}

static double weight_of(const problem *p, int64_t c) {
    return p->weight ? masconR_get(p->weight, c) : 1;
}

static mascon_status check_labels(const problem *p) {
    if (p->probabilities) return MASCON_OK;
    for (int64_t row = 0; row < p->rows; row++) {
        const int64_t value = masconR_get_int(p->target, row);
        if (value == p->ignore) continue;
        if (value < p->base || value - p->base >= p->classes) {
            return masconI_label_fail(row, p->rows, value, p->base, p->classes);
        }
    }
    return MASCON_OK;
}

/* What a mean divides by. */
static double divisor(const problem *p) {
    if (p->reduction != NN_REDUCTION_MEAN) return 1;
    if (p->probabilities) return (double)p->rows;
    double sum = 0;
    for (int64_t row = 0; row < p->rows; row++) {
        const int64_t t = label(p, row);
        if (t >= 0) sum += weight_of(p, t);
    }
    return sum;
}

/* q[c] of a row that is not ignored; t is its class (any number for probabilities). */
static double coefficient(const problem *p, int64_t row, int64_t t, int64_t c) {
    double q = p->probabilities ? masconR_get(p->target, at(p, row, c)) : c == t;
    q *= 1 - p->smoothing;
    q += p->smoothing / (double)p->classes;
    return q * weight_of(p, c);
}

static double logsumexp(const problem *p, int64_t row) {
    double largest = -INFINITY, sum = 0;
    for (int64_t c = 0; c < p->classes; c++) {
        largest = fmax(largest, masconR_get(p->x, at(p, row, c)));
    }
    for (int64_t c = 0; c < p->classes; c++) {
        sum += exp(masconR_get(p->x, at(p, row, c)) - largest);
    }
    return largest + log(sum);
}

static double row_loss(const problem *p, int64_t row) {
    const int64_t t = p->probabilities ? 0 : label(p, row);
    if (t < 0) return 0;
    const double whole = logsumexp(p, row);
    double loss = 0;
    for (int64_t c = 0; c < p->classes; c++) {
        /* A class number without smoothing looks at its own score only: others may be infinite. */
        if (!p->probabilities && p->smoothing == 0 && c != t) continue;
        loss += coefficient(p, row, t, c) * (whole - masconR_get(p->x, at(p, row, c)));
    }
    return loss;
}

static mascon_status cross_entropy(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    problem p;
    read_call(call, 0, &p);
    MASCON_TRY(check_labels(&p));
    double sum = 0;
    for (int64_t row = 0; row < p.rows; row++) {
        const double loss = row_loss(&p, row);
        if (p.reduction == NN_REDUCTION_NONE) masconR_set(DST(call, 0), row, loss);
        sum += loss;
    }
    if (p.reduction != NN_REDUCTION_NONE) masconR_set(DST(call, 0), 0, sum / divisor(&p));
    return MASCON_OK;
}

/* dx[c] = (softmax(x)[c] * sum(q) - q[c]) * dy / divisor */
static mascon_status cross_entropy_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *dx = DST(call, 0);
    problem p;
    read_call(call, 1, &p);
    MASCON_TRY(check_labels(&p));
    const double share = 1 / divisor(&p);
    for (int64_t row = 0; row < p.rows; row++) {
        const int64_t t = p.probabilities ? 0 : label(&p, row);
        const double whole = t < 0 ? 0 : logsumexp(&p, row);
        const double g = masconR_get(dy, p.reduction == NN_REDUCTION_NONE ? row : 0) * share;
        double sum = 0;
        for (int64_t c = 0; c < p.classes && t >= 0; c++) sum += coefficient(&p, row, t, c);
        for (int64_t c = 0; c < p.classes; c++) {
            const int64_t i = at(&p, row, c);
            const double q = t < 0 ? 0 : coefficient(&p, row, t, c);
            masconR_set(dx, i, t < 0 ? 0 : (exp(masconR_get(p.x, i) - whole) * sum - q) * g);
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_cross_entropy = {.run = cross_entropy};
const mascon_kernel masconR_cross_entropy_bwd = {.run = cross_entropy_bwd};

/* softmax.c: reference kernels of softmax, log_softmax and their backward ops. All tensors have one
 * shape, seen as {outer, size, inner} with the classes in the middle. */
#include "ops/nn.h"
#include "reference/reference.h"

typedef struct split {
    int64_t outer, size, inner;
} split;

static mascon_status split_at(const mascon_call *call, split *s) {
    const mascon_view *v = SRC(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[NN_SOFTMAX_DIM], v->ndim, &dim));
    *s = (split){1, v->ndim ? v->shape[dim] : 1, 1};
    for (int32_t d = 0; d < dim; d++) s->outer *= v->shape[d];
    for (int32_t d = dim + 1; d < v->ndim; d++) s->inner *= v->shape[d];
    return MASCON_OK;
}

/* Row-major index of the first element of line i; the line goes on in steps of inner. */
static int64_t line(const split *s, int64_t i) {
    return i / s->inner * s->size * s->inner + i % s->inner;
}

static mascon_status forward(const mascon_call *call, int logarithm) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    split s;
    MASCON_TRY(split_at(call, &s));
    for (int64_t i = 0; i < s.outer * s.inner && s.size > 0; i++) {
        const int64_t first = line(&s, i);
        double largest = -INFINITY, sum = 0;
        for (int64_t k = 0; k < s.size; k++) {
            largest = fmax(largest, masconR_get(x, first + k * s.inner));
        }
        for (int64_t k = 0; k < s.size; k++) {
            sum += exp(masconR_get(x, first + k * s.inner) - largest);
        }
        for (int64_t k = 0; k < s.size; k++) {
            const double v = masconR_get(x, first + k * s.inner) - largest;
            masconR_set(y, first + k * s.inner, logarithm ? v - log(sum) : exp(v) / sum);
        }
    }
    return MASCON_OK;
}

/* softmax: dx = y * (dy - sum(dy * y)); log_softmax: dx = dy - exp(y) * sum(dy) */
static mascon_status backward(const mascon_call *call, int logarithm) {
    const mascon_view *dy = SRC(call, 0), *y = SRC(call, 1), *dx = DST(call, 0);
    split s;
    MASCON_TRY(split_at(call, &s));
    for (int64_t i = 0; i < s.outer * s.inner; i++) {
        const int64_t first = line(&s, i);
        double sum = 0;
        for (int64_t k = 0; k < s.size; k++) {
            const int64_t at = first + k * s.inner;
            sum += masconR_get(dy, at) * (logarithm ? 1 : masconR_get(y, at));
        }
        for (int64_t k = 0; k < s.size; k++) {
            const int64_t at = first + k * s.inner;
            const double g = masconR_get(dy, at), v = masconR_get(y, at);
            masconR_set(dx, at, logarithm ? g - exp(v) * sum : v * (g - sum));
        }
    }
    return MASCON_OK;
}

static mascon_status softmax(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return forward(call, 0);
}

static mascon_status softmax_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return backward(call, 0);
}

static mascon_status log_softmax(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return forward(call, 1);
}

static mascon_status log_softmax_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return backward(call, 1);
}

const mascon_kernel masconR_softmax = {.run = softmax};
const mascon_kernel masconR_softmax_bwd = {.run = softmax_bwd};
const mascon_kernel masconR_log_softmax = {.run = log_softmax};
const mascon_kernel masconR_log_softmax_bwd = {.run = log_softmax_bwd};

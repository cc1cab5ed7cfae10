/* softmax.cu: softmax and log_softmax along one dimension, and their backward ops.
 *
 * Every tensor is {outer, length, inner} in the order of its memory, row-major or channels-last. A line
 * is the `length` elements of one (outer, inner), `inner` apart. Lines of neighbours are worked on by
 * groups of threads, others by one thread each, side by side.
 */
#include "cuda/group.cuh"
#include "ops/nn.h"

namespace mascon {
namespace {

constexpr int threads = 256;

struct lines {
    int64_t count, length, inner;
    int group; /* threads of a line */
    int logarithm;
};

/* The line of this thread's group: its first element, and how many elements it has (0: none). */
__device__ inline int64_t line_of(const lines &l, int64_t *length) {
    const int64_t i = (int64_t)blockIdx.x * (threads / l.group) + threadIdx.x / l.group;
    *length = i < l.count ? l.length : 0;
    return i / l.inner * l.length * l.inner + i % l.inner;
}

template <class T>
__global__ void forward(const T *x, T *y, const lines l) {
    typedef compute_of<T> C;
    const int thread = (int)threadIdx.x % l.group;
    int64_t length;
    const int64_t first = line_of(l, &length);
    exponentials<C> s = {-INFINITY, 0};
    for (int64_t i = thread; i < length; i += l.group) {
        add_exponential(s, to_real(x[first + i * l.inner]));
    }
    s = group_reduce(s, l.group, join_exponentials_of());
    if (isinf(s.top)) s.sum = NAN; /* then so is every result */
    const C whole = log(s.sum), share = 1 / s.sum;
    for (int64_t i = thread; i < length; i += l.group) {
        const int64_t at = first + i * l.inner;
        const C v = to_real(x[at]) - s.top;
        y[at] = from_real<T>(l.logarithm ? v - whole : exp(v) * share);
    }
}

/* softmax: dx = y * (dy - sum(dy * y)); log_softmax: dx = dy - exp(y) * sum(dy) */
template <class T>
__global__ void backward(const T *dy, const T *y, T *dx, const lines l) {
    typedef compute_of<T> C;
    const int thread = (int)threadIdx.x % l.group;
    int64_t length;
    const int64_t first = line_of(l, &length);
    C sum = 0;
    for (int64_t i = thread; i < length; i += l.group) {
        const int64_t at = first + i * l.inner;
        sum += l.logarithm ? to_real(dy[at]) : to_real(dy[at]) * to_real(y[at]);
    }
    sum = group_reduce(sum, l.group, add_op());
    for (int64_t i = thread; i < length; i += l.group) {
        const int64_t at = first + i * l.inner;
        const C g = to_real(dy[at]), v = to_real(y[at]);
        dx[at] = from_real<T>(l.logarithm ? g - exp(v) * sum : v * (g - sum));
    }
}

/* The dimensions of v in the order of its memory, around the one of the call. */
lines lines_of(const mascon_call *call, const mascon_view *v) {
    static const int channels_last[] = {0, 2, 3, 1};
    lines l = {1, 1, 1, 1, 0};
    int32_t dim = 0, seen = 0;
    masconI_dim(call->attr[NN_SOFTMAX_DIM], v->ndim, &dim); /* checked by the shape rule */
    for (int32_t i = 0; i < v->ndim; i++) {
        const int32_t d = is_nhwc(v) ? channels_last[i] : i;
        if (d == dim) {
            l.length = v->shape[d];
            seen = 1;
        } else {
            *(seen ? &l.inner : &l.count) *= v->shape[d];
        }
    }
    l.count *= l.inner;
    if (l.inner == 1) l.group = l.length > 2048 ? threads : power_between(l.length, 1, 32);
    l.logarithm = call->op == MASCON_OP_log_softmax || call->op == MASCON_OP_log_softmax_bwd;
    return l;
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    if (y->numel == 0) return MASCON_OK;
    const lines l = lines_of(call, y);
    const dim3 grid((unsigned)divide_up(l.count, threads / l.group));
    return dispatch_float(y->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        const T *a = (const T *)SRC(call, 0)->data;
        if (call->n_src == 1) {
            return launch(forward<T>, grid, dim3(threads), 0, exec->stream, a, (T *)y->data, l);
        }
        return launch(backward<T>, grid, dim3(threads), 0, exec->stream, a,
                      (const T *)SRC(call, 1)->data, (T *)y->data, l);
    });
}

int wish(const mascon_call *call, mascon_wish *w) {
    const uint8_t order = order_of(SRC(call, call->n_src - 1)); /* of x, or of y */
    w->src[0] = w->src[1] = w->dst[0] = order;
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(softmax, wish, NULL, run);
MASCON_KERNEL(softmax_bwd, wish, NULL, run);
MASCON_KERNEL(log_softmax, wish, NULL, run);
MASCON_KERNEL(log_softmax_bwd, wish, NULL, run);

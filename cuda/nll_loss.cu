/* nll_loss.cu: nll_loss and its backward op. One thread for each row, or for each element of dx. */
#include "cuda/loss.cuh"

namespace mascon {
namespace {

/* out: the loss of each row, or one number */
template <class T>
__global__ void forward(const T *x, T *out, const labels l, int reduction, pair_double *partial) {
    typedef compute_of<T> C;
    pair_double sum = {0, 0}; /* losses, weights */
    for (int64_t row = (int64_t)blockIdx.x * loss_threads + threadIdx.x; row < l.rows;
         row += (int64_t)gridDim.x * loss_threads) {
        const int64_t t = class_of(l, row);
        C loss = 0, weight = 0;
        if (t >= 0) {
            weight = weight_of<C>(l, t);
            loss = -weight * to_real(x[row_start(l, row) + t * l.step]);
        }
        if (reduction == NN_REDUCTION_NONE) out[row] = from_real<T>(loss);
        sum.a += (double)loss;
        sum.b += (double)weight;
    }
    if (reduction == NN_REDUCTION_NONE) return;
    sum = group_reduce(sum, loss_threads, add_pair());
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) partial[blockIdx.x] = sum;
        if (!last_block(0, gridDim.x)) return;
        sum = {0, 0};
        for (unsigned i = threadIdx.x; i < gridDim.x; i += loss_threads) {
            sum = add_pair()(sum, partial[i]);
        }
        sum = group_reduce(sum, loss_threads, add_pair());
    }
    if (threadIdx.x != 0) return;
    *out = from_real<T>((C)(reduction == NN_REDUCTION_MEAN ? sum.a / sum.b : sum.a));
}

template <class T>
__global__ void backward(const T *dy, T *dx, const labels l, int reduction, const double *total) {
    typedef compute_of<T> C;
    double divisor = 1;
    if (reduction == NN_REDUCTION_MEAN) {
        divisor = total ? *total : weights_of_block<C>(l, 0, loss_threads);
    }
    const int64_t n = l.rows * l.classes;
    for (int64_t i = (int64_t)blockIdx.x * loss_threads + threadIdx.x; i < n;
         i += (int64_t)gridDim.x * loss_threads) {
        const int64_t c = i / l.step % l.classes;
        const int64_t row = i / (l.classes * l.step) * l.step + i % l.step;
        const int64_t t = class_of(l, row);
        C d = 0;
        if (t == c) {
            d = (C)(-(double)weight_of<C>(l, t) / divisor *
                    (double)to_real(dy[reduction == NN_REDUCTION_NONE ? row : 0]));
        }
        dx[i] = from_real<T>(d);
    }
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *out = DST(call, 0);
    const labels l = labels_of(call, x, 1, 2, NN_NLL_LOSS_IGNORE_INDEX, NN_NLL_LOSS_BASE);
    if (out->numel == 0) return MASCON_OK;
    int64_t blocks = divide_up(l.rows, loss_threads);
    if (blocks < 1) blocks = 1;
    return dispatch_float(x->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return launch(forward<T>, dim3(loss_blocks(blocks)), dim3(loss_threads), 0, exec->stream,
                      (const T *)x->data, (T *)out->data, l, (int)call->attr[NN_LOSS_REDUCTION],
                      (pair_double *)exec->workspace);
    });
}

mascon_status run_bwd(mascon_call *call, mascon_exec *exec) {
    const mascon_view *dy = SRC(call, 0), *dx = DST(call, 0);
    const labels l = labels_of(call, dx, 1, 2, NN_NLL_LOSS_IGNORE_INDEX, NN_NLL_LOSS_BASE);
    const int reduction = (int)call->attr[NN_LOSS_REDUCTION];
    if (dx->numel == 0) return MASCON_OK;
    int64_t blocks = divide_up(dx->numel, loss_threads);
    if (blocks > 65536) blocks = 65536;
    return dispatch_float(dx->dtype, [&](auto tag) -> mascon_status {
        using T = typename decltype(tag)::type;
        const double *total = NULL;
        if (reduction == NN_REDUCTION_MEAN) {
            MASCON_TRY(find_weights<compute_of<T>>(l, exec->workspace, exec->stream, &total));
        }
        return launch(backward<T>, dim3((unsigned)blocks), dim3(loss_threads), 0, exec->stream,
                      (const T *)dy->data, (T *)dx->data, l, reduction, total);
    });
}

size_t workspace(const mascon_call *call) {
    (void)call;
    return sizeof(pair_double) * (size_t)busy_blocks;
}

size_t workspace_bwd(const mascon_call *call) {
    (void)call;
    return weights_workspace();
}

int wish(const mascon_call *call, mascon_wish *w) {
    w->src[0] = order_of(SRC(call, 0));
    w->src[1] = w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

int wish_bwd(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->src[0] = w->src[1] = w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(nll_loss, wish, workspace, run);
MASCON_KERNEL(nll_loss_bwd, wish_bwd, workspace_bwd, run_bwd);

/* loss.cuh: class labels, for cross_entropy and nll_loss: scores {n, classes, inner} with all further
 * dimensions as one, in either memory order, targets {n, inner}. Row r = (n, inner).
 */
#ifndef MASCON_CUDA_LOSS_CUH
#define MASCON_CUDA_LOSS_CUH

#include "cuda/group.cuh"
extern "C" {
#include "ops/loss.h"
}

namespace mascon {

constexpr int loss_threads = 256;

struct labels {
    const int64_t *target;
    int64_t rows, classes;
    int64_t inner, step; /* of the scores in memory; step: from class to class */
    int64_t ignore, base;
    column weight;
    reporter bad;
};

/* Where the scores of a row begin. */
__device__ inline int64_t row_start(const labels &l, int64_t row) {
    if (l.step == 1) return row * l.classes;
    return row / l.inner * l.classes * l.inner + row % l.inner;
}

/* The class of a row from 0, or -1 where it does not count. One out of range is reported, and taken
 * for the nearest class there is. */
__device__ inline int64_t class_of(const labels &l, int64_t row) {
    const int64_t value = l.target[row];
    if (value == l.ignore) return -1;
    if (value >= l.base && value - l.base < l.classes) return value - l.base;
    report_index(l.bad, row, value);
    return value < l.base ? 0 : l.classes - 1;
}

/* C here and below: what the scores are computed in. */
template <class C>
__device__ inline C weight_of(const labels &l, int64_t c) {
    return column_at<C>(l.weight, c, 1);
}

/* The sum of the weights of the rows that count, over one block; every thread gets it. */
template <class C>
__device__ inline double weights_of_block(const labels &l, int64_t first, int64_t step) {
    double sum = 0;
    for (int64_t row = first + threadIdx.x; row < l.rows; row += step) {
        const int64_t t = class_of(l, row);
        if (t >= 0) sum += (double)weight_of<C>(l, t);
    }
    return group_reduce(sum, loss_threads, add_double());
}

/* *total = the sum of the weights of the rows that count; partial: one number per block. */
template <class C>
static __global__ void sum_weights(const labels l, double *partial, double *total) {
    const double sum = weights_of_block<C>(l, (int64_t)blockIdx.x * loss_threads,
                                           (int64_t)gridDim.x * loss_threads);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
    if (!last_block(0, gridDim.x)) return;
    double all = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += loss_threads) all += partial[i];
    all = group_reduce(all, loss_threads, add_double());
    if (threadIdx.x == 0) *total = all;
}

/* Up to so many rows, every block of a backward op adds up the weights itself. */
constexpr int64_t few_rows = 8192;

/* Blocks for so many groups of rows; each takes several where there are many. */
inline unsigned loss_blocks(int64_t groups) {
    return (unsigned)(groups < busy_blocks ? groups : busy_blocks);
}

/* total, then a number per block */
inline size_t weights_workspace() { return sizeof(double) * (size_t)(1 + busy_blocks); }

/* Leaves in *total where a kernel finds the sum of the weights: NULL where its blocks make their own. */
template <class C>
mascon_status find_weights(const labels &l, void *workspace, void *stream, const double **total) {
    *total = NULL;
    if (l.rows <= few_rows) return MASCON_OK;
    double *room = (double *)workspace;
    *total = room;
    return launch(sum_weights<C>, dim3(loss_blocks(divide_up(l.rows, loss_threads))),
                  dim3(loss_threads), 0, stream, l, room + 1, room);
}

/* Of a call whose scores are {n, classes, ...} in x's memory; ignore and base: the options' slots. */
inline labels labels_of(const mascon_call *call, const mascon_view *x, int target, int weight,
                        int ignore, int base) {
    labels l = {};
    l.target = (const int64_t *)SRC(call, target)->data;
    l.classes = x->shape[1];
    l.inner = 1;
    for (int32_t d = 2; d < x->ndim; d++) l.inner *= x->shape[d];
    l.rows = x->shape[0] * l.inner;
    l.step = is_nhwc(x) ? 1 : l.inner;
    l.ignore = masconI_attr_int(call, ignore);
    l.base = masconI_attr_int(call, base);
    l.weight = column_of(call, weight);
    l.bad = make_reporter(call, x->device, NULL, l.rows, l.base, l.classes);
    return l;
}

}  // namespace mascon

#endif

/* scan.cu: cumsum. x and y have one shape; y is int64 where x is not of a floating type.
 *
 * A line is the elements along the summed dimension. Short lines, and those that lie side by side in
 * memory, are summed by a thread each. Long ones are cut into pieces that a block sums; where there are
 * several of a line, their totals are summed first. Sums run in double or int64.
 */
#include "cuda/element.cuh"
#include "cuda/scan.cuh"
#include "cuda/walk.cuh"
#include "ops/reduce.h"

namespace {

enum { EACH = 8, PIECE = EACH * THREADS, SHORT = 64 };

struct lines {
    int64_t count;          /* elements of a line */
    int64_t x_step, y_step; /* their distance */
    int64_t pieces;         /* of a line */
};

template <class T>
struct summed {
    typedef double type;
    typedef T result;
};
template <>
struct summed<int64_t> {
    typedef int64_t type;
    typedef int64_t result;
};
template <>
struct summed<int32_t> : summed<int64_t> {};
template <>
struct summed<uint8_t> : summed<int64_t> {};
template <>
struct summed<bool> : summed<int64_t> {};

/* How many times THREADS elements a piece of a line of `count` has. */
__device__ __forceinline__ int64_t rounds_of(int64_t count, int64_t piece) {
    const int64_t rounds = (count - piece * PIECE + THREADS - 1) / THREADS;
    return rounds < EACH ? rounds : (int64_t)EACH;
}

/* A thread for each line. Operands of w: y and x without the summed dimension. */
template <class T>
__global__ void sum_lines(walk<2> w, lines l, typename summed<T>::result *y, const T *x) {
    typedef typename summed<T>::type S;
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        S sum = 0;
        for (int64_t k = 0; k < l.count; k++) {
            sum = scan_add(sum, take<S>(x[at[1] + k * l.x_step]));
            y[at[0] + k * l.y_step] = give<typename summed<T>::result>(sum);
        }
    }
}

/* totals {lines, pieces}: the sum of each piece */
template <class T>
__global__ void sum_pieces(walk<2> w, lines l, const T *x, typename summed<T>::type *totals) {
    typedef typename summed<T>::type S;
    for (int64_t i = blockIdx.x; i < w.numel * l.pieces; i += gridDim.x) {
        const int64_t line = i / l.pieces, piece = i - line * l.pieces;
        int64_t at[2];
        w.offsets(line, at);
        S sum = 0;
        const int64_t end = rounds_of(l.count, piece);
        for (int64_t e = 0; e < end; e++) {
            const int64_t k = piece * PIECE + e * THREADS + threadIdx.x;
            if (k < l.count) sum = scan_add(sum, take<S>(x[at[1] + k * l.x_step]));
        }
        sum = block_reduce(sum, add_op(), (S)0);
        if (threadIdx.x == 0) totals[i] = sum;
    }
}

/* A block for each piece; totals: what comes before it, NULL where lines have one piece. */
template <class T>
__global__ void scan_pieces(walk<2> w, lines l, typename summed<T>::result *y, const T *x,
                            const typename summed<T>::type *totals) {
    typedef typename summed<T>::type S;
    for (int64_t i = blockIdx.x; i < w.numel * l.pieces; i += gridDim.x) {
        const int64_t line = i / l.pieces, piece = i - line * l.pieces;
        int64_t at[2];
        w.offsets(line, at);
        S carry = totals ? totals[i] : (S)0;
        const int64_t end = rounds_of(l.count, piece);
        for (int64_t e = 0; e < end; e++) {
            const int64_t k = piece * PIECE + e * THREADS + threadIdx.x;
            const bool inside = k < l.count;
            const S own = inside ? take<S>(x[at[1] + k * l.x_step]) : (S)0;
            S all, before = block_scan(own, &all);
            if (inside) {
                y[at[0] + k * l.y_step] =
                    give<typename summed<T>::result>(scan_add(scan_add(carry, before), own));
            }
            carry = scan_add(carry, all);
        }
    }
}

/* ---- Running ---- */

struct job {
    walk<2> w;
    lines l;
    bool by_threads;
};

job job_of(const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    walk_plan<2> plan = plan_of<2>({y, x});
    int32_t dim = 0;
    job j;
    j.l.count = j.l.pieces = 1;
    j.l.x_step = j.l.y_step = 0;
    if (x->ndim && masconI_dim(call->attr[CUMSUM_DIM], x->ndim, &dim) == MASCON_OK) {
        j.l.count = x->shape[dim];
        j.l.x_step = x->stride[dim];
        j.l.y_step = y->stride[dim];
        plan = plan.without(dim);
    }
    j.w = walk_of(plan);
    j.l.pieces = (j.l.count + PIECE - 1) / PIECE;
    const bool beside = j.w.ndim > 0 && j.w.stride[1][j.w.ndim - 1] == 1 && j.w.numel >= THREADS;
    j.by_threads = j.l.count <= SHORT || (beside && j.l.pieces <= 8);
    return j;
}

size_t workspace(const mascon_call *call) {
    if (SRC(call, 0)->numel == 0) return 0;
    const job j = job_of(call);
    return j.by_threads || j.l.pieces == 1 ? 0 : (size_t)(j.w.numel * j.l.pieces) * sizeof(double);
}

template <class T>
mascon_status run_job(const job &j, const mascon_call *call, mascon_exec *exec) {
    typedef typename summed<T>::type S;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    typename summed<T>::result *to = (typename summed<T>::result *)y->data;
    const T *from = (const T *)x->data;
    if (j.by_threads) {
        return launch(sum_lines<T>, walk_blocks(j.w, y->device), THREADS, 0, exec->stream, j.w, j.l,
                      to, from);
    }
    const unsigned blocks = blocks_for(j.w.numel * j.l.pieces, 1, y->device);
    S *totals = (S *)exec->workspace;
    if (j.l.pieces > 1) {
        MASCON_TRY(launch(sum_pieces<T>, blocks, THREADS, 0, exec->stream, j.w, j.l, from, totals));
        MASCON_TRY(launch(scan_totals<S>, blocks_for(j.w.numel, 1, y->device), THREADS, 0,
                          exec->stream, j.w.numel, j.l.pieces, totals));
    }
    return launch(scan_pieces<T>, blocks, THREADS, 0, exec->stream, j.w, j.l, to, from,
                  (const S *)(j.l.pieces > 1 ? totals : nullptr));
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    if (SRC(call, 0)->numel == 0) return MASCON_OK;
    const job j = job_of(call);
    return dispatch_any(SRC(call, 0)->dtype,
                        [&](auto t) { return run_job<typename decltype(t)::type>(j, call, exec); });
}

}  // namespace

MASCON_KERNEL(cumsum, nullptr, workspace, run);

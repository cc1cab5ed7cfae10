/* compact.cu: nonzero and masked_select: the elements that a condition chooses, in row-major order.
 *
 * How many there are the shape rule has found out. Pieces of PIECE elements are counted, the counts
 * become places in the output, and each piece writes what it has.
 */
#include "cuda/element.cuh"
#include "cuda/scan.cuh"
#include "cuda/walk.cuh"

namespace {

enum { EACH = 8, PIECE = EACH * THREADS };

/* Element i of x, in row-major order of the walk, is not 0. */
template <int N>
__device__ __forceinline__ bool is_set(const walk<N> &w, const any_elements &x, int64_t i,
                                       int64_t (&at)[N]) {
    if (i >= w.numel) return false;
    w.offsets(i, at);
    return take_any<double>(x, at[0]) != 0;
}

/* counts {pieces}. x is operand 0 of w. */
template <int N>
__global__ void count_set(walk<N> w, any_elements x, int64_t pieces, int64_t *counts) {
    for (int64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        int mine = 0;
        for (int e = 0; e < EACH && piece * PIECE + e * THREADS < w.numel; e++) {
            int64_t at[N] = {};
            mine += is_set(w, x, piece * PIECE + e * THREADS + threadIdx.x, at);
        }
        int all;
        block_scan(mine, &all);
        if (threadIdx.x == 0) counts[piece] = all;
    }
}

/* The dimensions of x. */
struct subscripts {
    int32_t ndim;
    int64_t shape[MASCON_MAX_DIMS];
    int64_t base, row, column; /* strides of y */
};

/* y {found, ndim}: subscripts; places {pieces}: rows of y */
__global__ void write_subscripts(walk<1> w, any_elements x, int64_t pieces, const int64_t *places,
                                 subscripts s, int64_t found, int64_t *y) {
    for (int64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        int64_t place = places[piece];
        for (int e = 0; e < EACH && piece * PIECE + e * THREADS < w.numel; e++) {
            const int64_t i = piece * PIECE + e * THREADS + threadIdx.x;
            int64_t at[1] = {0};
            const bool set = is_set(w, x, i, at);
            int all;
            const int64_t row = place + block_scan((int)set, &all);
            place += all;
            if (!set || row >= found) continue;
            int64_t rest = i;
            for (int d = s.ndim - 1; d >= 0; d--) {
                const int64_t next = rest / s.shape[d];
                y[row * s.row + d * s.column] = rest - next * s.shape[d] + s.base;
                rest = next;
            }
        }
    }
}

/* y {found}. Operands of w: mask, x. */
template <class U>
__global__ void write_chosen(walk<2> w, any_elements mask, int64_t pieces, const int64_t *places,
                             int64_t found, int64_t stride, U *y, const U *x) {
    for (int64_t piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        int64_t place = places[piece];
        for (int e = 0; e < EACH && piece * PIECE + e * THREADS < w.numel; e++) {
            const int64_t i = piece * PIECE + e * THREADS + threadIdx.x;
            int64_t at[2] = {0, 0};
            const bool set = is_set(w, mask, i, at);
            int all;
            const int64_t to = place + block_scan((int)set, &all);
            place += all;
            if (set && to < found) y[to * stride] = x[at[1]];
        }
    }
}

int64_t pieces_of(int64_t numel) { return (numel + PIECE - 1) / PIECE; }

/* places {pieces}: how many elements are chosen before each piece */
template <int N>
mascon_status find_places(const walk<N> &w, const mascon_view *x, int64_t *places,
                          mascon_exec *exec) {
    const int64_t pieces = pieces_of(w.numel);
    MASCON_TRY(launch(count_set<N>, blocks_for(pieces, 1, x->device), THREADS, 0, exec->stream, w,
                      any_of(x), pieces, places));
    return launch(scan_totals<int64_t>, 1, THREADS, 0, exec->stream, (int64_t)1, pieces, places);
}

/* ---- nonzero ---- */

size_t nonzero_workspace(const mascon_call *call) {
    return (size_t)pieces_of(SRC(call, 0)->numel) * sizeof(int64_t);
}

/* indices {number of elements that are not 0, dimensions of x} */
mascon_status nonzero(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int64_t *places = (int64_t *)exec->workspace;
    if (y->numel == 0) return MASCON_OK;
    const walk<1> w = walk_of(plan_of<1>({x}), true);
    subscripts s = {};
    s.ndim = x->ndim;
    for (int d = 0; d < x->ndim; d++) s.shape[d] = x->shape[d];
    s.base = (int64_t)call->attr[0];
    s.row = y->stride[0];
    s.column = y->stride[1];
    MASCON_TRY(find_places(w, x, places, exec));
    const int64_t pieces = pieces_of(w.numel);
    return launch(write_subscripts, blocks_for(pieces, 1, y->device), THREADS, 0, exec->stream, w,
                  any_of(x), pieces, (const int64_t *)places, s, y->shape[0], (int64_t *)y->data);
}

/* ---- masked_select ---- */

/* The shape that x and mask broadcast to; 0 elements where that fails (the shape rule has said so). */
walk_plan<2> chosen_plan(const mascon_call *call) {
    mascon_meta both;
    walk_plan<2> plan;
    if (masconI_broadcast(SRC(call, 0), SRC(call, 1), &both) != MASCON_OK) return plan;
    for (int32_t d = 0; d < both.ndim; d++) plan.add(both.shape[d]);
    plan.spread(0, SRC(call, 1));
    plan.spread(1, SRC(call, 0));
    return plan;
}

size_t masked_select_workspace(const mascon_call *call) {
    return (size_t)pieces_of(chosen_plan(call).numel()) * sizeof(int64_t);
}

/* y {number of true elements of the mask} */
mascon_status masked_select(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *mask = SRC(call, 1), *y = DST(call, 0);
    int64_t *places = (int64_t *)exec->workspace;
    if (y->numel == 0) return MASCON_OK;
    const walk<2> w = walk_of(chosen_plan(call), true);
    MASCON_TRY(find_places(w, mask, places, exec));
    const int64_t pieces = pieces_of(w.numel);
    return dispatch_size(y->dtype, [&](auto t) {
        typedef typename decltype(t)::type U;
        return launch(write_chosen<U>, blocks_for(pieces, 1, y->device), THREADS, 0, exec->stream,
                      w, any_of(mask), pieces, (const int64_t *)places, y->numel, y->stride[0],
                      (U *)y->data, (const U *)x->data);
    });
}

}  // namespace

MASCON_KERNEL(nonzero, nullptr, nonzero_workspace, nonzero);
MASCON_KERNEL(masked_select, nullptr, masked_select_workspace, masked_select);

/* interpolate.cu: interpolate and its backward op. x {n, c, h, w}, y {n, c, oh, ow}; the taps are those
 * of resample_taps.h.
 *
 * Tables of the taps of all rows and columns are made first. An element of y is the sum over its taps;
 * an element of dx the sum over the outputs in whose taps it is, which lie beside one another since
 * taps move forward with the outputs. So sums have a fixed order.
 */
#include "cuda/element.cuh"
#include "cuda/walk.cuh"

extern "C" {
#include "ops/resample.h"
}

namespace {

#define RESAMPLE_FUNCTION __device__ inline
#include "ops/resample_taps.h"

/* Of each direction: for output o, count[o] taps from o * most on. For input i, outputs first[i] ..
 * end[i] - 1 have it among theirs. */
struct taps {
    masconI_resample how;
    int64_t *count, *index;
    double *weight;
    int64_t *first, *end;
};

struct tap_pair {
    taps rows, columns;
};

__global__ void fill_taps(tap_pair both) {
    for (int64_t i = first_index(); i < both.rows.how.out + both.columns.how.out;
         i += grid_step()) {
        const bool row = i < both.rows.how.out;
        const taps &t = row ? both.rows : both.columns;
        const int64_t o = row ? i : i - both.rows.how.out;
        t.count[o] = taps_of(&t.how, o, t.index + o * t.how.most, t.weight + o * t.how.most);
    }
}

/* The first output whose last (or first) tap is i or later. */
__device__ inline int64_t first_output(const taps &t, int64_t i, bool last) {
    int64_t low = 0, high = t.how.out;
    while (low < high) {
        const int64_t o = low + (high - low) / 2;
        const int64_t at = o * t.how.most + (last ? t.count[o] - 1 : 0);
        if (t.index[at] >= i) {
            high = o;
        } else {
            low = o + 1;
        }
    }
    return low;
}

__global__ void fill_outputs(tap_pair both) {
    for (int64_t i = first_index(); i < both.rows.how.in + both.columns.how.in; i += grid_step()) {
        const bool row = i < both.rows.how.in;
        const taps &t = row ? both.rows : both.columns;
        const int64_t own = row ? i : i - both.rows.how.in;
        t.first[own] = first_output(t, own, true);
        t.end[own] = first_output(t, own + 1, false);
    }
}

/* Operands of w: y; the picture of x; row and column of y. */
template <class T>
__global__ void gather_taps(walk<4> w, tap_pair both, int64_t row_step, int64_t column_step, T *y,
                            const T *x) {
    typedef typename computed<T>::type C;
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[4];
        w.offsets(item, at);
        const int64_t row = at[2] * both.rows.how.most, column = at[3] * both.columns.how.most;
        const int64_t row_end = row + both.rows.count[at[2]];
        const int64_t column_end = column + both.columns.count[at[3]];
        C sum = 0;
        for (int64_t i = row; i < row_end; i++) {
            const T *line = x + at[1] + both.rows.index[i] * row_step;
            C part = 0;
            for (int64_t j = column; j < column_end; j++) {
                part +=
                    (C)both.columns.weight[j] * take<C>(line[both.columns.index[j] * column_step]);
            }
            sum += (C)both.rows.weight[i] * part;
        }
        y[at[0]] = give<T>(sum);
    }
}

/* The weight of input i in output o. */
template <class C>
__device__ __forceinline__ C weight_of(const taps &t, int64_t o, int64_t i) {
    const int64_t first = o * t.how.most, end = first + t.count[o];
    C sum = 0;
    for (int64_t k = first; k < end; k++) {
        if (t.index[k] == i) sum += (C)t.weight[k];
    }
    return sum;
}

/* Operands of w: dx; the picture of dy; row and column of dx. */
template <class T>
__global__ void gather_outputs(walk<4> w, tap_pair both, int64_t row_step, int64_t column_step,
                               T *dx, const T *dy) {
    typedef typename computed<T>::type C;
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[4];
        w.offsets(item, at);
        const int64_t row_end = both.rows.end[at[2]], column_end = both.columns.end[at[3]];
        C sum = 0;
        for (int64_t o = both.rows.first[at[2]]; o < row_end; o++) {
            const T *line = dy + at[1] + o * row_step;
            C part = 0;
            for (int64_t q = both.columns.first[at[3]]; q < column_end; q++) {
                part += weight_of<C>(both.columns, q, at[3]) * take<C>(line[q * column_step]);
            }
            sum += weight_of<C>(both.rows, o, at[2]) * part;
        }
        dx[at[0]] = give<T>(sum);
    }
}

/* ---- Running ---- */

bool is_back(const mascon_call *call) { return call->op == MASCON_OP_interpolate_bwd; }

masconI_resample direction_of(const mascon_call *call, int d) {
    const mascon_view *x = is_back(call) ? DST(call, 0) : SRC(call, 0);
    const mascon_view *y = is_back(call) ? SRC(call, 0) : DST(call, 0);
    return masconI_resample_of(call, d, x->shape[2 + d], y->shape[2 + d]);
}

/* Words of 8 bytes of the tables of a direction. */
int64_t words_of(const masconI_resample &how) { return how.out * (1 + 2 * how.most) + 2 * how.in; }

size_t workspace(const mascon_call *call) {
    return (size_t)(words_of(direction_of(call, 0)) + words_of(direction_of(call, 1))) *
           sizeof(int64_t);
}

taps lay_out(const masconI_resample &how, int64_t *memory) {
    taps t;
    t.how = how;
    t.count = memory;
    t.index = t.count + how.out;
    t.weight = (double *)(t.index + how.out * how.most);
    t.first = (int64_t *)(t.weight + how.out * how.most);
    t.end = t.first + how.in;
    return t;
}

int wish(const mascon_call *call, mascon_wish *w) {
    if (SRC(call, 0)->layout == MASCON_LAYOUT_NHWC) w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

template <class T>
mascon_status run_type(const mascon_call *call, const tap_pair &both, mascon_exec *exec) {
    const mascon_view *from = SRC(call, 0), *to = DST(call, 0);
    walk_plan<4> plan = plan_of<4>({to, nullptr, nullptr, nullptr});
    plan.stride[1][0] = from->stride[0];
    plan.stride[1][1] = from->stride[1];
    plan.stride[2][2] = plan.stride[3][3] = 1;
    const walk<4> w = walk_of(plan);
    return launch(is_back(call) ? gather_outputs<T> : gather_taps<T>, walk_blocks(w, to->device),
                  THREADS, 0, exec->stream, w, both, from->stride[2], from->stride[3],
                  (T *)to->data, (const T *)from->data);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *to = DST(call, 0);
    const masconI_resample rows = direction_of(call, 0), columns = direction_of(call, 1);
    int64_t *memory = (int64_t *)exec->workspace;
    const tap_pair both = {lay_out(rows, memory), lay_out(columns, memory + words_of(rows))};
    if (to->numel == 0) return MASCON_OK;
    MASCON_TRY(launch(fill_taps, blocks_for(rows.out + columns.out, THREADS, to->device), THREADS,
                      0, exec->stream, both));
    if (is_back(call)) {
        MASCON_TRY(launch(fill_outputs, blocks_for(rows.in + columns.in, THREADS, to->device),
                          THREADS, 0, exec->stream, both));
    }
    return dispatch_float(
        to->dtype, [&](auto t) { return run_type<typename decltype(t)::type>(call, both, exec); });
}

}  // namespace

MASCON_KERNEL(interpolate, wish, workspace, run);
MASCON_KERNEL(interpolate_bwd, wish, workspace, run);

/* join.cu: kernels of cat, tile and repeat_interleave: each is a move between index spaces (move.cuh)
 * with a dimension that is a part of another one, or that repeats. */
#include "cuda/move.cuh"
#include "ops/support.h"

namespace {

/* ---- cat ---- */

int cat_wish(const mascon_call *call, mascon_wish *w) {
    bool nhwc = true;
    for (int64_t i = 0; i < call->n_list && nhwc; i++) {
        nhwc = mascon_see(call->list[i])->layout == MASCON_LAYOUT_NHWC;
    }
    if (nhwc) w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

/* Tensors side by side, in units of up to 16 bytes: each has `rows` rows of its own length, and the rows of y
 * are theirs behind one another. By value: a chunk of them, which covers columns begin[0]..begin[n]-1. */
constexpr int most_parts = 128;
struct parts {
    int32_t n, narrow; /* narrow: items < 2^31 */
    int64_t items;     /* units of the chunk in all rows */
    int64_t row;       /* units from row to row of y */
    divider by_columns;
    int64_t begin[most_parts + 1];
    const void *data[most_parts];
};
static_assert(sizeof(parts) <= 4000, "with the other arguments 4 KB");

template <class U>
__global__ void join_kernel(const parts p, U *y) {
    const int64_t columns = p.begin[p.n] - p.begin[0];
    for (int64_t i = first_index(); i < p.items; i += grid_step()) {
        const int64_t row = p.narrow ? divide((uint32_t)i, p.by_columns) : i / columns;
        const int64_t column = p.begin[0] + i - row * columns;
        int low = 0, high = p.n; /* begin[low] <= column < begin[high] */
        while (high - low > 1) {
            const int middle = (low + high) / 2;
            if (p.begin[middle] <= column) {
                low = middle;
            } else {
                high = middle;
            }
        }
        const int64_t length = p.begin[low + 1] - p.begin[low];
        y[row * p.row + column] = ((const U *)p.data[low])[row * length + column - p.begin[low]];
    }
}

/* Whether v is dense with its dimensions in this order, the last one running fastest. */
bool dense_in(const mascon_view *v, const int *order) {
    int64_t step = 1;
    for (int k = v->ndim - 1; k >= 0; k--) {
        const int d = order[k];
        if (v->shape[d] != 1 && v->stride[d] != step) return false;
        step *= v->shape[d];
    }
    return true;
}

template <class U>
mascon_status join_as(const mascon_call *call, const move_place &place, int64_t rows, int64_t row,
                      const int64_t *bytes, void *y) {
    int64_t at = 0;
    for (int64_t i = 0; i < call->n_list;) {
        parts p = {};
        p.row = row / (int64_t)sizeof(U);
        p.begin[0] = at;
        for (; i < call->n_list && p.n < most_parts; i++) {
            if (bytes[i] == 0) continue;
            p.data[p.n++] = mascon_see(call->list[i])->data;
            p.begin[p.n] = at += bytes[i] / (int64_t)sizeof(U);
        }
        p.items = rows * (at - p.begin[0]);
        p.narrow = p.items < (int64_t)1 << 31;
        if (p.items == 0) continue;
        if (p.narrow) p.by_columns = make_divider((uint32_t)(at - p.begin[0]));
        MASCON_TRY(launch(join_kernel<U>, blocks_for(p.items, THREADS, place.device), THREADS, 0,
                          place.stream, p, (U *)y));
    }
    return MASCON_OK;
}

/* cat of tensors that all lie in the order of y: one launch for most_parts of them. *done: whether it
 * could. */
mascon_status join(const mascon_call *call, const move_place &place, int dim, bool *done) {
    const mascon_view *y = DST(call, 0);
    int order[MASCON_MAX_DIMS] = {0, 1, 2, 3, 4, 5, 6, 7};
    if (y->layout == MASCON_LAYOUT_NHWC && !y->contiguous) order[1] = 2, order[2] = 3, order[3] = 1;
    *done = call->n_list > 1 && dense_in(y, order);
    int64_t rows = 1, inner = place.size, bytes[4 * most_parts];
    for (int k = 0, inside = 0; k < y->ndim; k++) {
        if (order[k] == dim) {
            inside = 1;
        } else {
            (inside ? inner : rows) *= y->shape[order[k]];
        }
    }
    uintptr_t common = (uintptr_t)y->data | 16; /* its lowest bit is the widest unit */
    if (call->n_list > 4 * most_parts) *done = false;
    for (int64_t i = 0; i < call->n_list && *done; i++) {
        const mascon_view *x = mascon_see(call->list[i]);
        *done = x->ndim == y->ndim && dense_in(x, order);
        bytes[i] = x->numel ? x->shape[dim] * inner : 0;
        if (bytes[i]) common |= (uintptr_t)x->data | (uintptr_t)bytes[i];
    }
    if (!*done) return MASCON_OK;
    const int64_t row = y->shape[dim] * inner;
    switch (common & (~common + 1)) {
        case 1:
            return join_as<uint8_t>(call, place, rows, row, bytes, y->data);
        case 2:
            return join_as<uint16_t>(call, place, rows, row, bytes, y->data);
        case 4:
            return join_as<uint32_t>(call, place, rows, row, bytes, y->data);
        case 8:
            return join_as<uint64_t>(call, place, rows, row, bytes, y->data);
        default:
            return join_as<uint4>(call, place, rows, row, bytes, y->data);
    }
}

/* y {..., sum of sizes along dim, ...} */
mascon_status cat(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const move_place place = place_of(y, exec);
    int32_t dim;
    bool done;
    MASCON_TRY(masconI_dim(call->attr[0], y->ndim, &dim));
    if (y->numel == 0) return MASCON_OK;
    MASCON_TRY(join(call, place, dim, &done));
    if (done) return MASCON_OK;
    char *to = (char *)y->data;
    for (int64_t i = 0; i < call->n_list; i++) {
        const mascon_view *x = mascon_see(call->list[i]);
        walk_plan<2> plan = plan_of<2>({x, x});
        for (int d = 0; d < x->ndim; d++) plan.stride[0][d] = y->stride[d];
        MASCON_TRY(masconG_move_elements(place, plan, to, x->data));
        to += x->shape[dim] * y->stride[dim] * place.size;
    }
    return MASCON_OK;
}

/* ---- tile, repeat_interleave ---- */

/* y as {repeats of dimension 1, dimension 1 of x, repeats of dimension 2, ...} */
mascon_status tile(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const int added = y->ndim - x->ndim;
    walk_plan<2> plan;
    if (y->numel == 0) return MASCON_OK;
    for (int d = 0; d < y->ndim; d++) {
        const int64_t size = d < added ? 1 : x->shape[d - added];
        const int over = plan.add(y->shape[d] / size);
        plan.stride[0][over] = y->stride[d] * size;
        const int own = plan.add(size);
        plan.stride[0][own] = y->stride[d];
        plan.stride[1][own] = d < added ? 0 : x->stride[d - added];
    }
    return masconG_move_elements(place_of(y, exec), plan, y->data, x->data);
}

/* y {..., size * repeats, ...} as {..., size, repeats, ...}; without dim x is flat and y {numel *
 * repeats}. */
mascon_status repeat_interleave(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const int64_t repeats = (int64_t)call->attr[0];
    const bool along = masconI_given(call, 1) && x->ndim > 0;
    int32_t dim = x->ndim - 1;
    int64_t step = along ? 0 : y->stride[0] * repeats * x->numel;
    walk_plan<2> plan;
    if (y->numel == 0) return MASCON_OK;
    if (along) MASCON_TRY(masconI_dim(call->attr[1], x->ndim, &dim));
    for (int d = 0; d < x->ndim; d++) {
        const int own = plan.add(x->shape[d]);
        step = along ? y->stride[d] * (d == dim ? repeats : 1) : step / x->shape[d];
        plan.stride[0][own] = step;
        plan.stride[1][own] = x->stride[d];
        if (!along || d != dim) continue;
        plan.stride[0][plan.add(repeats)] = y->stride[d];
    }
    if (!along) plan.stride[0][plan.add(repeats)] = y->stride[0];
    return masconG_move_elements(place_of(y, exec), plan, y->data, x->data);
}

}  // namespace

MASCON_KERNEL(cat, cat_wish, nullptr, cat);
MASCON_KERNEL(tile, nullptr, nullptr, tile);
MASCON_KERNEL(repeat_interleave, nullptr, nullptr, repeat_interleave);

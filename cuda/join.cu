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

/* y {..., sum of sizes along dim, ...} */
mascon_status cat(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const move_place place = place_of(y, exec);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[0], y->ndim, &dim));
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

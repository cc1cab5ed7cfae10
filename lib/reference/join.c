/* join.c: reference kernels of cat, pad, tile and repeat_interleave. */
#include "reference/move.h"

/* y {..., sum of sizes along dim, ...} */
static mascon_status cat(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    int32_t dim;
    int64_t at[MASCON_MAX_DIMS], start = 0;
    MASCON_TRY(masconI_dim(call->attr[0], y->ndim, &dim));
    for (int64_t k = 0; k < call->n_list; k++) {
        const mascon_view *x = mascon_see(call->list[k]);
        for (int64_t i = 0; i < x->numel; i++) {
            masconR_subscripts(x, i, at);
            at[dim] += start;
            masconR_move(y, masconR_position(y, at), x, masconR_offset(x, i));
        }
        start += x->shape[dim];
    }
    return MASCON_OK;
}

/* Subscripts in x of the element of the padded tensor at at; 0 for a constant. */
static int pad_source(const mascon_view *x, const int64_t *before, int mode, const int64_t *at,
                      int64_t *from) {
    for (int32_t d = 0; d < x->ndim; d++) {
        from[d] = masconR_pad_source(at[d], before[d], x->shape[d], mode);
        if (from[d] < 0) return 0;
    }
    return 1;
}

static mascon_status pad(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int64_t before[MASCON_MAX_DIMS], after[MASCON_MAX_DIMS], at[MASCON_MAX_DIMS],
        from[MASCON_MAX_DIMS];
    int mode = (int)call->attr[9];
    masconR_pad_sizes(call, x->ndim, before, after);
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_subscripts(y, i, at);
        if (pad_source(x, before, mode, at, from)) {
            masconR_move(y, masconR_offset(y, i), x, masconR_position(x, from));
        } else {
            masconR_set(y, i, call->attr[10]);
        }
    }
    return MASCON_OK;
}

/* dy has the padded shape, dx the shape of x */
static mascon_status pad_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *dx = DST(call, 0);
    int64_t before[MASCON_MAX_DIMS], after[MASCON_MAX_DIMS], at[MASCON_MAX_DIMS],
        from[MASCON_MAX_DIMS];
    int mode = (int)call->attr[9];
    masconR_pad_sizes(call, dx->ndim, before, after);
    for (int64_t i = 0; i < dx->numel; i++) masconR_set(dx, i, 0);
    for (int64_t i = 0; i < dy->numel; i++) {
        masconR_subscripts(dy, i, at);
        if (!pad_source(dx, before, mode, at, from)) continue;
        int64_t j = masconR_position(dx, from);
        masconI_store(dx->data, dx->dtype, j,
                      masconI_load(dx->data, dx->dtype, j) + masconR_get(dy, i));
    }
    return MASCON_OK;
}

static mascon_status tile(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int64_t at[MASCON_MAX_DIMS];
    int32_t added = y->ndim - x->ndim;
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_subscripts(y, i, at);
        for (int32_t d = 0; d < x->ndim; d++) at[d] = at[d + added] % x->shape[d];
        masconR_move(y, masconR_offset(y, i), x, masconR_position(x, at));
    }
    return MASCON_OK;
}

static mascon_status repeat_interleave(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int64_t repeats = (int64_t)call->attr[0], at[MASCON_MAX_DIMS];
    int along = (call->attr_set >> 1 & 1u) && x->ndim > 0;
    int32_t dim = 0;
    if (along) MASCON_TRY(masconI_dim(call->attr[1], x->ndim, &dim));
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_subscripts(y, i, at);
        at[dim] /= repeats;
        int64_t from = along ? masconR_position(x, at) : masconR_offset(x, at[0]);
        masconR_move(y, masconR_offset(y, i), x, from);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_cat = {.run = cat};
const mascon_kernel masconR_pad = {.run = pad};
const mascon_kernel masconR_pad_bwd = {.run = pad_bwd};
const mascon_kernel masconR_tile = {.run = tile};
const mascon_kernel masconR_repeat_interleave = {.run = repeat_interleave};

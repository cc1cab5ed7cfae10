/* index.c: reference kernels of the ops that address elements by positions or masks. */
#include <stdio.h>

#include "reference/move.h"

mascon_status masconR_check_range(const mascon_view *index, int64_t size, double base,
                                  const char *what) {
    int64_t first = (int64_t)base;
    for (int64_t i = 0; i < index->numel; i++) {
        int64_t v = masconR_get_int(index, i);
        if (v >= first && v - first < size) continue;
        if (size == 0) {
            return masconI_fail(MASCON_E_INDEX, "index %lld of %lld is %lld; there are no %s",
                                (long long)i + 1, (long long)index->numel, (long long)v, what);
        }
        masconI_fail(MASCON_E_INDEX, "index %lld of %lld is %lld; %s run %lld..%lld",
                     (long long)i + 1, (long long)index->numel, (long long)v, what,
                     (long long)first, (long long)(first + size - 1));
        if (v == 0 && first == 1) return masconI_hint("positions counted from 0? add 1");
        if (v < 0) return masconI_hint("inside a tensor of positions none counts from the end");
        return MASCON_E_INDEX;
    }
    return MASCON_OK;
}

mascon_status masconR_check_positions(const mascon_view *index, const mascon_view *x, double dim,
                                      double base) {
    int32_t d;
    char what[48];
    MASCON_TRY(masconI_dim(dim, x->ndim, &d));
    snprintf(what, sizeof what, "positions of dimension %d", d + 1);
    return masconR_check_range(index, x->ndim ? x->shape[d] : 1, base, what);
}

static void add_at(const mascon_view *y, int64_t j, const mascon_view *x, int64_t i) {
    if (masconI_is_float(y->dtype)) {
        masconI_store(y->data, y->dtype, j,
                      masconI_load(y->data, y->dtype, j) + masconI_load(x->data, x->dtype, i));
    } else {
        uint64_t a = (uint64_t)masconI_load_int(y->data, y->dtype, j);
        uint64_t b = (uint64_t)masconI_load_int(x->data, x->dtype, i);
        masconI_store_int(y->data, y->dtype, j, (int64_t)(a + b));
    }
}

static void copy_all(const mascon_view *y, const mascon_view *x) {
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_move(y, masconR_offset(y, i), x, masconR_offset(x, i));
    }
}

/* y[.., k, ..] = x[.., index[k], ..] */
static mascon_status index_select(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *y = DST(call, 0);
    int64_t base = (int64_t)call->attr[1], at[MASCON_MAX_DIMS];
    int32_t dim;
    MASCON_TRY(masconR_check_positions(index, x, call->attr[0], call->attr[1]));
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_subscripts(y, i, at);
        at[dim] = masconR_get_int(index, at[dim]) - base;
        masconR_move(y, masconR_offset(y, i), x, masconR_position(x, at));
    }
    return MASCON_OK;
}

/* y = x, then y[.., index[k], ..] += source[.., k, ..] in the order of k */
static mascon_status index_add(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *source = SRC(call, 2),
                      *y = DST(call, 0);
    int64_t base = (int64_t)call->attr[1], at[MASCON_MAX_DIMS];
    int32_t dim;
    MASCON_TRY(masconR_check_positions(index, x, call->attr[0], call->attr[1]));
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    copy_all(y, x);
    for (int64_t i = 0; i < source->numel; i++) {
        masconR_subscripts(source, i, at);
        at[dim] = masconR_get_int(index, at[dim]) - base;
        add_at(y, masconR_position(y, at), source, masconR_offset(source, i));
    }
    return MASCON_OK;
}

/* y[.., k, ..] = x[.., index[.., k, ..], ..] */
static mascon_status gather(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *y = DST(call, 0);
    int64_t base = (int64_t)call->attr[1], at[MASCON_MAX_DIMS];
    int32_t dim;
    MASCON_TRY(masconR_check_positions(index, x, call->attr[0], call->attr[1]));
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_subscripts(y, i, at);
        at[dim] = masconR_get_int(index, i) - base;
        masconR_move(y, masconR_offset(y, i), x, masconR_position(x, at));
    }
    return MASCON_OK;
}

/* y = x, then y[.., index[.., k, ..], ..] += source[.., k, ..] in row-major order of source */
static mascon_status scatter_add(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *index = SRC(call, 1), *source = SRC(call, 2),
                      *y = DST(call, 0);
    int64_t base = (int64_t)call->attr[1], at[MASCON_MAX_DIMS];
    int32_t dim;
    MASCON_TRY(masconR_check_positions(index, x, call->attr[0], call->attr[1]));
    MASCON_TRY(masconI_dim(call->attr[0], x->ndim, &dim));
    copy_all(y, x);
    for (int64_t i = 0; i < source->numel; i++) {
        masconR_subscripts(source, i, at);
        at[dim] = masconR_get_int(index, i) - base;
        add_at(y, masconR_position(y, at), source, masconR_offset(source, i));
    }
    return MASCON_OK;
}

/* y may be x */
static mascon_status masked_fill(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    mascon_view mask = masconR_spread(SRC(call, 1), y->ndim, y->shape);
    for (int64_t i = 0; i < y->numel; i++) {
        int64_t to = masconR_offset(y, i);
        if (masconR_get_int(&mask, i)) {
            masconI_store(y->data, y->dtype, to, call->attr[0]);
        } else {
            masconR_move(y, to, x, masconR_offset(x, i));
        }
    }
    return MASCON_OK;
}

/* y {number of true elements of the mask} */
static mascon_status masked_select(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    mascon_meta both;
    MASCON_TRY(masconI_broadcast(SRC(call, 0), SRC(call, 1), &both));
    mascon_view x = masconR_spread(SRC(call, 0), both.ndim, both.shape);
    mascon_view mask = masconR_spread(SRC(call, 1), both.ndim, both.shape);
    int64_t n = 0;
    for (int64_t i = 0; i < mask.numel && n < y->numel; i++) {
        if (!masconR_get_int(&mask, i)) continue;
        masconR_move(y, masconR_offset(y, n++), &x, masconR_offset(&x, i));
    }
    return MASCON_OK;
}

/* indices {number of elements that are not 0, dimensions of x} */
static mascon_status nonzero(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int64_t base = (int64_t)call->attr[0], at[MASCON_MAX_DIMS], n = 0;
    for (int64_t i = 0; i < x->numel && n < y->numel; i++) {
        if (masconR_get(x, i) == 0) continue;
        masconR_subscripts(x, i, at);
        for (int32_t d = 0; d < x->ndim; d++) masconR_set_int(y, n++, at[d] + base);
    }
    return MASCON_OK;
}

/* index {...}, y {..., classes} */
static mascon_status one_hot(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *index = SRC(call, 0), *y = DST(call, 0);
    int64_t classes = y->shape[y->ndim - 1], base = (int64_t)call->attr[1];
    MASCON_TRY(masconR_check_range(index, classes, call->attr[1], "classes"));
    for (int64_t i = 0; i < y->numel; i++) {
        masconR_set_int(y, i, masconR_get_int(index, i / classes) - base == i % classes);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_index_select = {.run = index_select};
const mascon_kernel masconR_index_add = {.run = index_add};
const mascon_kernel masconR_gather = {.run = gather};
const mascon_kernel masconR_scatter_add = {.run = scatter_add};
const mascon_kernel masconR_masked_fill = {.run = masked_fill};
const mascon_kernel masconR_masked_select = {.run = masked_select};
const mascon_kernel masconR_nonzero = {.run = nonzero};
const mascon_kernel masconR_one_hot = {.run = one_hot};

/* rearrange.cu: kernels of flip, roll, tril and triu. flip and roll are moves (move.cuh): dimensions
 * that run backwards, and parts of dimensions. */
#include "cuda/move.cuh"
#include "ops/support.h"

namespace {

/* ---- flip ---- */

mascon_status flip(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const move_place place = place_of(y, exec);
    uint8_t chosen[MASCON_MAX_DIMS];
    MASCON_TRY(masconI_dims(call->attr, 1, x->ndim, chosen));
    walk_plan<2> plan = plan_of<2>({y, x});
    const char *from = (const char *)x->data;
    if (y->numel == 0) return MASCON_OK;
    for (int d = 0; d < x->ndim; d++) {
        if (!chosen[d]) continue;
        from += (x->shape[d] - 1) * x->stride[d] * place.size;
        plan.stride[1][d] = -x->stride[d];
    }
    return masconG_move_elements(place, plan, y->data, from);
}

/* ---- roll ---- */

/* A dimension of y begins with the last `shift` positions of x's: it falls into two parts. */
struct rolled {
    int n;
    int dim[MASCON_MAX_DIMS];
    int64_t shift[MASCON_MAX_DIMS]; /* 1..size-1 */
};

/* Moves each of the 2^n combinations of parts. */
mascon_status move_parts(const move_place &place, const walk_plan<2> &whole, const rolled &r,
                         char *y, const char *x) {
    for (unsigned part = 0; part < 1u << r.n; part++) {
        walk_plan<2> plan = whole;
        char *to = y;
        const char *from = x;
        for (int k = 0; k < r.n; k++) {
            const int d = r.dim[k];
            const int64_t rest = whole.size[d] - r.shift[k];
            const bool front = part >> k & 1; /* of y: what left x at its end */
            plan.size[d] = front ? r.shift[k] : rest;
            if (front) {
                from += rest * whole.stride[1][d] * place.size;
            } else {
                to += r.shift[k] * whole.stride[0][d] * place.size;
            }
        }
        MASCON_TRY(masconG_move_elements(place, plan, to, from));
    }
    return MASCON_OK;
}

/* Shifts are taken modulo the size; those that change nothing are left out. */
void add_shift(rolled *r, const walk_plan<2> &plan, int d, double shift) {
    const int64_t size = plan.size[d];
    int64_t by = (int64_t)fmod(shift, (double)size);
    int k = 0;
    while (k < r->n && r->dim[k] != d) k++;
    if (k < r->n) by += r->shift[k]; /* a dimension may be named again */
    by %= size;
    if (by < 0) by += size;
    if (k == r->n && by != 0) r->n++;
    r->dim[k] = d;
    r->shift[k] = by;
}

enum { ROLL_SHIFTS = 0, ROLL_DIMS = 9 };

/* Without dims the elements count as one line, which needs them in one order. */
int roll_wish(const mascon_call *call, mascon_wish *w) {
    if (!masconI_given(call, ROLL_DIMS)) w->src[0] = w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

mascon_status roll(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const int32_t n = (int32_t)call->attr[ROLL_SHIFTS];
    rolled r;
    r.n = 0;
    if (y->numel == 0) return MASCON_OK;
    walk_plan<2> plan = plan_of<2>({y, x});
    if (masconI_given(call, ROLL_DIMS)) {
        for (int32_t k = 0; k < n && x->ndim > 0; k++) {
            int32_t d;
            MASCON_TRY(masconI_dim(call->attr[ROLL_DIMS + 1 + k], x->ndim, &d));
            add_shift(&r, plan, d, call->attr[ROLL_SHIFTS + 1 + k]);
        }
    } else {
        plan = walk_plan<2>();
        plan.add(x->numel);
        plan.stride[0][0] = plan.stride[1][0] = 1;
        add_shift(&r, plan, 0, call->attr[ROLL_SHIFTS + 1]);
    }
    return move_parts(place_of(y, exec), plan, r, (char *)y->data, (const char *)x->data);
}

/* ---- tril, triu ---- */

/* x {..., n, m}: keeps column - row <= diagonal where lower, else >= diagonal. */
struct triangle {
    int64_t n, m, diagonal;
    int lower;
};

template <class U>
__global__ void keep_triangle(walk<2> w, triangle t, U *y, const U *x) {
    for (int64_t i = first_index(); i < w.numel; i += grid_step()) {
        int64_t at[2];
        w.offsets(i, at);
        const int64_t line = i / t.m, column = i - line * t.m, row = line % t.n;
        const bool kept = t.lower ? column - row <= t.diagonal : column - row >= t.diagonal;
        y[at[0]] = kept ? x[at[1]] : (U)0;
    }
}

mascon_status run_triangle(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    triangle t;
    t.n = x->shape[x->ndim - 2];
    t.m = x->shape[x->ndim - 1];
    t.diagonal = (int64_t)call->attr[0];
    t.lower = call->op == MASCON_OP_tril;
    const walk<2> w = walk_of(plan_of<2>({y, x}), true);
    return dispatch_size(y->dtype, [&](auto tag_) {
        typedef typename decltype(tag_)::type U;
        return launch(keep_triangle<U>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, t,
                      (U *)y->data, (const U *)x->data);
    });
}

}  // namespace

MASCON_KERNEL(flip, nullptr, nullptr, flip);
MASCON_KERNEL(roll, roll_wish, nullptr, roll);
MASCON_KERNEL(tril, nullptr, nullptr, run_triangle);
MASCON_KERNEL(triu, nullptr, nullptr, run_triangle);

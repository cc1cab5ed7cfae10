/* choose.cu: where and masked_fill: one of two values for each element, by a bool. */
#include "cuda/element.cuh"
#include "cuda/walk.cuh"
#include "ops/elementwise.h"

namespace {

/* z = x where condition holds, else y; all broadcast to z. x or y is NULL for the number. */
template <int V, class T>
__global__ void choose(walk<4> w, T *z, const uint8_t *condition, const T *x, const T *y,
                       T number) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[4];
        w.offsets(item, at);
        const int count = w.template count<V>(item);
        uint8_t holds[V];
        T a[V], b[V];
#pragma unroll
        for (int v = 0; v < V; v++) a[v] = b[v] = number;
        walk_load(condition + at[1], w.repeated(1), count, holds);
        if (x) walk_load(x + at[2], w.repeated(2), count, a);
        if (y) walk_load(y + at[3], w.repeated(3), count, b);
#pragma unroll
        for (int v = 0; v < V; v++) a[v] = holds[v] ? a[v] : b[v];
        walk_store(z + at[0], count, a);
    }
}

/* The same where x, y and z differ in their dtypes. */
__global__ void choose_any(walk<4> w, any_elements z, const uint8_t *condition, any_elements x,
                           any_elements y, double number) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[4];
        w.offsets(item, at);
        const bool first = condition[at[1]] != 0;
        const any_elements &from = first ? x : y;
        const int64_t i = first ? at[2] : at[3];
        if (!from.data) {
            give_any(z, at[0], number);
        } else if (from.dtype >= MASCON_DTYPE_I64) {
            give_any(z, at[0], take_any<int64_t>(from, i));
        } else {
            give_any(z, at[0], take_any<double>(from, i));
        }
    }
}

/* One of x and y may be NULL for the number. */
struct choice {
    const mascon_view *z, *condition, *x, *y;
    double number;
};

template <class T>
mascon_status run_same(const choice &c, walk<4> w, mascon_exec *exec) {
    constexpr int V = 16 / (int)sizeof(T), size = (int)sizeof(T);
    const uint8_t *holds = (const uint8_t *)c.condition->data;
    const T *x = c.x ? (const T *)c.x->data : nullptr, *y = c.y ? (const T *)c.y->data : nullptr;
    T *z = (T *)c.z->data;
    const T number = (T)element_bits(c.number, c.z->dtype);
    if (walk_vectorise<4>(&w, V, {z, holds, x, y}, {size, 1, size, size})) {
        return launch(choose<V, T>, walk_blocks(w, c.z->device), THREADS, 0, exec->stream, w, z,
                      holds, x, y, number);
    }
    return launch(choose<1, T>, walk_blocks(w, c.z->device), THREADS, 0, exec->stream, w, z, holds,
                  x, y, number);
}

mascon_status run(const choice &c, mascon_exec *exec) {
    const walk<4> w = walk_of(plan_of<4>({c.z, c.condition, c.x, c.y}));
    if ((c.x && c.x->dtype != c.z->dtype) || (c.y && c.y->dtype != c.z->dtype)) {
        const any_elements none = {nullptr, MASCON_DTYPE_F32};
        return launch(choose_any, walk_blocks(w, c.z->device), THREADS, 0, exec->stream, w,
                      any_of(c.z), (const uint8_t *)c.condition->data, c.x ? any_of(c.x) : none,
                      c.y ? any_of(c.y) : none, c.number);
    }
    return dispatch_size(c.z->dtype,
                         [&](auto t) { return run_same<typename decltype(t)::type>(c, w, exec); });
}

mascon_status where(mascon_call *call, mascon_exec *exec) {
    choice c = {DST(call, 0), SRC(call, 0), SRC(call, 1), nullptr, call->attr[WHERE_VALUE]};
    if (call->n_src > 2 && call->src[2]) {
        c.y = SRC(call, 2);
    } else if (call->attr[WHERE_SWAP] != 0) {
        c.y = c.x;
        c.x = nullptr;
    }
    return run(c, exec);
}

/* y = value under the mask, else x; y may be x */
mascon_status masked_fill(mascon_call *call, mascon_exec *exec) {
    const choice c = {DST(call, 0), SRC(call, 1), nullptr, SRC(call, 0), call->attr[0]};
    return run(c, exec);
}

}  // namespace

MASCON_KERNEL(where, nullptr, nullptr, where);
MASCON_KERNEL(masked_fill, nullptr, nullptr, masked_fill);

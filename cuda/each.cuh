/* each.cuh: kernels that compute each element of an output from the elements of one or two inputs that
 * broadcast to its shape.
 *
 * A function F computes on V elements at a time, `in` values to `out` values:
 *   typedef in, out;  template <int V> void operator()(const in (&a)[V], out (&r)[V]) const
 * or with a second argument b after a. The switch over an op's code thus runs once per V elements, and
 * one kernel per dtype serves a whole family of ops.
 */
#ifndef MASCON_CUDA_EACH_CUH
#define MASCON_CUDA_EACH_CUH

#include "cuda/element.cuh"
#include "cuda/walk.cuh"

/* r[v] = expression over v, inside of a function */
#define LANES(expression)                                                  \
    do {                                                                   \
        _Pragma("unroll") for (int v = 0; v < V; v++) r[v] = (expression); \
    } while (0)

template <int V, class F, class Y, class X>
__global__ void each1(walk<2> w, F f, Y *y, const X *x) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        const int count = w.template count<V>(item);
        X from[V];
        Y to[V];
        typename F::in a[V];
        typename F::out r[V];
        walk_load(x + at[1], w.repeated(1), count, from);
#pragma unroll
        for (int v = 0; v < V; v++) a[v] = take<typename F::in>(from[v]);
        f(a, r);
#pragma unroll
        for (int v = 0; v < V; v++) to[v] = give<Y>(r[v]);
        walk_store(y + at[0], count, to);
    }
}

/* x or z may be NULL: f.number then stands for its elements. */
template <int V, class F, class Y, class X>
__global__ void each2(walk<3> w, F f, Y *y, const X *x, const X *z) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[3];
        w.offsets(item, at);
        const int count = w.template count<V>(item);
        X from[V];
        Y to[V];
        typename F::in a[V], b[V];
        typename F::out r[V];
#pragma unroll
        for (int v = 0; v < V; v++) a[v] = b[v] = f.number;
        if (x) {
            walk_load(x + at[1], w.repeated(1), count, from);
#pragma unroll
            for (int v = 0; v < V; v++) a[v] = take<typename F::in>(from[v]);
        }
        if (z) {
            walk_load(z + at[2], w.repeated(2), count, from);
#pragma unroll
            for (int v = 0; v < V; v++) b[v] = take<typename F::in>(from[v]);
        }
        f(a, b, r);
#pragma unroll
        for (int v = 0; v < V; v++) to[v] = give<Y>(r[v]);
        walk_store(y + at[0], count, to);
    }
}

/* The same for dtypes that are known at run time only. */
template <class F>
__global__ void each1_any(walk<2> w, F f, any_elements y, any_elements x) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        const typename F::in a[1] = {take_any<typename F::in>(x, at[1])};
        typename F::out r[1];
        f(a, r);
        give_any(y, at[0], r[0]);
    }
}

template <class F>
__global__ void each2_any(walk<3> w, F f, any_elements y, any_elements x, any_elements z) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[3];
        w.offsets(item, at);
        const typename F::in a[1] = {x.data ? take_any<typename F::in>(x, at[1]) : f.number};
        const typename F::in b[1] = {z.data ? take_any<typename F::in>(z, at[2]) : f.number};
        typename F::out r[1];
        f(a, b, r);
        give_any(y, at[0], r[0]);
    }
}

/* ---- Launching ---- */

/* Neighbours that a thread takes of elements of at most this size. */
template <class A, class B>
constexpr int each_lanes() {
    return 16 / (int)(sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));
}

template <class Y, class X, class F>
static mascon_status each1_launch(const F &f, const mascon_view *y, const mascon_view *x,
                                  mascon_exec *exec) {
    constexpr int V = each_lanes<Y, X>();
    if (y->numel == 0) return MASCON_OK;
    walk<2> w = walk_of(plan_of<2>({y, x}));
    if (V > 1 && walk_vectorise(&w, V, {y->data, x->data}, {(int)sizeof(Y), (int)sizeof(X)})) {
        return launch(each1<V, F, Y, X>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, f,
                      (Y *)y->data, (const X *)x->data);
    }
    return launch(each1<1, F, Y, X>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, f,
                  (Y *)y->data, (const X *)x->data);
}

/* x or z may be NULL. */
template <class Y, class X, class F>
static mascon_status each2_launch(const F &f, const mascon_view *y, const mascon_view *x,
                                  const mascon_view *z, mascon_exec *exec) {
    constexpr int V = each_lanes<Y, X>();
    if (y->numel == 0) return MASCON_OK;
    const X *from = x ? (const X *)x->data : nullptr, *also = z ? (const X *)z->data : nullptr;
    walk<3> w = walk_of(plan_of<3>({y, x, z}));
    if (V > 1 && walk_vectorise(&w, V, {y->data, from, also},
                                {(int)sizeof(Y), (int)sizeof(X), (int)sizeof(X)})) {
        return launch(each2<V, F, Y, X>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, f,
                      (Y *)y->data, from, also);
    }
    return launch(each2<1, F, Y, X>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, f,
                  (Y *)y->data, from, also);
}

template <class F>
static mascon_status each1_any_launch(const F &f, const mascon_view *y, const mascon_view *x,
                                      mascon_exec *exec) {
    if (y->numel == 0) return MASCON_OK;
    const walk<2> w = walk_of(plan_of<2>({y, x}));
    return launch(each1_any<F>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, f,
                  any_of(y), any_of(x));
}

template <class F>
static mascon_status each2_any_launch(const F &f, const mascon_view *y, const mascon_view *x,
                                      const mascon_view *z, mascon_exec *exec) {
    if (y->numel == 0) return MASCON_OK;
    const any_elements none = {NULL, MASCON_DTYPE_F32};
    const walk<3> w = walk_of(plan_of<3>({y, x, z}));
    return launch(each2_any<F>, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, f,
                  any_of(y), x ? any_of(x) : none, z ? any_of(z) : none);
}

#endif

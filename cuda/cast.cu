/* cast.cu: conversion between dtypes: a kernel for each pair where memory is dense, else one that
 * looks at the dtypes of each element. */
#include "cuda/cast.cuh"

#include "cuda/element.cuh"
#include "cuda/walk.cuh"

namespace {

template <int V, class Y, class X>
__global__ void convert(walk<2> w, Y *y, const X *x) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        const int count = w.template count<V>(item);
        X from[V];
        Y to[V];
        walk_load(x + at[1], w.repeated(1), count, from);
#pragma unroll
        for (int v = 0; v < V; v++) {
            to[v] = give<Y>(take<typename computed<X>::type>(from[v]));
        }
        walk_store(y + at[0], count, to);
    }
}

/* C is double, or int64_t where x is of whole numbers. */
template <class C>
__global__ void convert_any(walk<2> w, any_elements y, any_elements x) {
    for (int64_t item = first_index(); item < w.numel; item += grid_step()) {
        int64_t at[2];
        w.offsets(item, at);
        give_any(y, at[0], take_any<C>(x, at[1]));
    }
}

template <class Y, class X>
mascon_status run_dense(walk<2> w, const mascon_view *y, const mascon_view *x, void *stream,
                        bool *done) {
    constexpr int V = 16 / (int)(sizeof(Y) > sizeof(X) ? sizeof(Y) : sizeof(X));
    *done = walk_vectorise(&w, V, {y->data, x->data}, {(int)sizeof(Y), (int)sizeof(X)});
    if (!*done) return MASCON_OK;
    return launch(convert<V, Y, X>, walk_blocks(w, y->device), THREADS, 0, stream, w, (Y *)y->data,
                  (const X *)x->data);
}

template <class Y>
mascon_status run_to(const walk<2> &w, const mascon_view *y, const mascon_view *x, void *stream,
                     bool *done) {
    switch (x->dtype) {
        case MASCON_DTYPE_F32:
            return run_dense<Y, float>(w, y, x, stream, done);
        case MASCON_DTYPE_F64:
            return run_dense<Y, double>(w, y, x, stream, done);
        case MASCON_DTYPE_BF16:
            return run_dense<Y, bfloat16>(w, y, x, stream, done);
        case MASCON_DTYPE_F16:
            return run_dense<Y, half>(w, y, x, stream, done);
        case MASCON_DTYPE_I64:
            return run_dense<Y, int64_t>(w, y, x, stream, done);
        case MASCON_DTYPE_I32:
            return run_dense<Y, int32_t>(w, y, x, stream, done);
        default: /* uint8, bool */
            return run_dense<Y, uint8_t>(w, y, x, stream, done);
    }
}

mascon_status run_pair(const walk<2> &w, const mascon_view *y, const mascon_view *x, void *stream,
                       bool *done) {
    switch (y->dtype) {
        case MASCON_DTYPE_F32:
            return run_to<float>(w, y, x, stream, done);
        case MASCON_DTYPE_F64:
            return run_to<double>(w, y, x, stream, done);
        case MASCON_DTYPE_BF16:
            return run_to<bfloat16>(w, y, x, stream, done);
        case MASCON_DTYPE_F16:
            return run_to<half>(w, y, x, stream, done);
        case MASCON_DTYPE_I64:
            return run_to<int64_t>(w, y, x, stream, done);
        case MASCON_DTYPE_I32:
            return run_to<int32_t>(w, y, x, stream, done);
        case MASCON_DTYPE_U8:
            return run_to<uint8_t>(w, y, x, stream, done);
        default:
            return run_to<bool>(w, y, x, stream, done);
    }
}

}  // namespace

mascon_status masconG_convert_elements(const mascon_view *y, const mascon_view *x, void *stream) {
    if (y->numel == 0) return MASCON_OK;
    const walk<2> w = walk_of(plan_of<2>({y, x}));
    bool done;
    MASCON_TRY(run_pair(w, y, x, stream, &done));
    if (done) return MASCON_OK;
    if (masconI_is_float(x->dtype)) {
        return launch(convert_any<double>, walk_blocks(w, y->device), THREADS, 0, stream, w,
                      any_of(y), any_of(x));
    }
    return launch(convert_any<int64_t>, walk_blocks(w, y->device), THREADS, 0, stream, w, any_of(y),
                  any_of(x));
}

/* create.cu: kernels of the ops that make tensors from options alone, and fill.
 *
 * Element i in logical row-major order has a value that follows from i, whatever the memory's layout.
 */
#include "cuda/element.cuh"
#include "cuda/move.cuh"

namespace {

/* A sum and a product that are never fused, so that the values are those of the CPU. */
__device__ __forceinline__ double plus(double a, double b) {
#ifdef MASCON_CUDA_EMULATE
    return a + b;
#else
    return __dadd_rn(a, b);
#endif
}
__device__ __forceinline__ double times(double a, double b) {
#ifdef MASCON_CUDA_EMULATE
    return a * b;
#else
    return __dmul_rn(a, b);
#endif
}

/* start + i * step below `middle`, from there on end - (n - 1 - i) * step. */
struct line {
    double start, end, step;
    int64_t middle, n;
};

/* y {n} */
__global__ void line_kernel(walk<1> w, line l, any_elements y) {
    for (int64_t i = first_index(); i < w.numel; i += grid_step()) {
        int64_t at[1];
        w.offsets(i, at);
        const double v = i < l.middle ? plus(l.start, times((double)i, l.step))
                                      : plus(l.end, -times((double)(l.n - 1 - i), l.step));
        give_any(y, at[0], v);
    }
}

/* y {n, m}: 1 on the main diagonal, else 0 */
template <class U>
__global__ void eye_kernel(U *y, U one, int64_t m, int64_t stride_row, int64_t stride_column,
                           int64_t numel) {
    for (int64_t i = first_index(); i < numel; i += grid_step()) {
        const int64_t row = i / m, column = i - row * m;
        y[row * stride_row + column * stride_column] = row == column ? one : (U)0;
    }
}

mascon_status fill_with(const mascon_view *y, double value, const mascon_exec *exec) {
    return masconG_fill_elements(place_of(y, exec), plan_of<1>({y}), y->data,
                                 element_bits(value, y->dtype));
}

mascon_status full(mascon_call *call, mascon_exec *exec) {
    return fill_with(DST(call, 0), call->attr[9], exec);
}

mascon_status fill(mascon_call *call, mascon_exec *exec) {
    return fill_with(DST(call, 0), call->attr[0], exec);
}

mascon_status run_line(const mascon_view *y, const line &l, mascon_exec *exec) {
    const walk<1> w = walk_of(plan_of<1>({y}), true);
    return launch(line_kernel, walk_blocks(w, y->device), THREADS, 0, exec->stream, w, l,
                  any_of(y));
}

/* y[i] = start + i * step */
mascon_status arange(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const line l = {call->attr[0], 0, call->attr[2], y->numel, y->numel};
    return run_line(y, l, exec);
}

/* From both ends to the middle, so that the last value is end itself. */
mascon_status linspace(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const int64_t n = y->numel;
    line l = {call->attr[0], call->attr[1], 0, n, n};
    if (n > 1) {
        l.step = (l.end - l.start) / (double)(n - 1);
        l.middle = n / 2;
    }
    return run_line(y, l, exec);
}

mascon_status eye(mascon_call *call, mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const uint64_t one = element_bits(1, y->dtype);
    return dispatch_size(y->dtype, [&](auto t) {
        typedef typename decltype(t)::type U;
        return launch(eye_kernel<U>, blocks_for(y->numel, THREADS, y->device), THREADS, 0,
                      exec->stream, (U *)y->data, (U)one, y->shape[1], y->stride[0], y->stride[1],
                      y->numel);
    });
}

}  // namespace

MASCON_KERNEL(full, nullptr, nullptr, full);
MASCON_KERNEL(fill, nullptr, nullptr, fill);
MASCON_KERNEL(arange, nullptr, nullptr, arange);
MASCON_KERNEL(linspace, nullptr, nullptr, linspace);
MASCON_KERNEL(eye, nullptr, nullptr, eye);

/* pad.cu: kernels of pad and its backward op. x and dx have the inner shape, y and dy the padded one. */
#include "cuda/element.cuh"
#include "cuda/move.cuh"
#include "ops/support.h"

namespace {

/* ORDER: the choices of pad's option mode. */
enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR };
enum { PAD_SIZES = 0, PAD_MODE = 9, PAD_VALUE = 10 };

/* Both tensors, dimension by dimension, outermost first. */
struct padding {
    int32_t ndim, mode;
    int64_t size[MASCON_MAX_DIMS];   /* inner */
    int64_t padded[MASCON_MAX_DIMS]; /* outer */
    int64_t before[MASCON_MAX_DIMS];
    int64_t inner_stride[MASCON_MAX_DIMS], outer_stride[MASCON_MAX_DIMS];
};

/* Where position `at` of a padded dimension comes from; -1: from the constant. */
__device__ __forceinline__ int64_t source_of(int64_t at, int64_t before, int64_t size, int mode) {
    const int64_t i = at - before;
    if (i >= 0 && i < size) return i;
    if (mode == REFLECT) return i < 0 ? -i : 2 * (size - 1) - i;
    if (mode == REPLICATE) return i < 0 ? 0 : size - 1;
    if (mode == CIRCULAR) return i < 0 ? i + size : i - size;
    return -1;
}

/* Index: uint32_t where the elements' numbers fit, else int64_t. */
template <class U, class Index>
__global__ void pad_elements(padding p, int64_t numel, U *y, const U *x, U value) {
    for (int64_t i = first_index(); i < numel; i += grid_step()) {
        Index rest = (Index)i;
        int64_t to = 0, from = 0;
        bool inside = true;
        for (int d = p.ndim - 1; d >= 0; d--) {
            const Index next = rest / (Index)p.padded[d];
            const int64_t at = (int64_t)(rest - next * (Index)p.padded[d]);
            const int64_t source = source_of(at, p.before[d], p.size[d], p.mode);
            inside = inside && source >= 0;
            to += at * p.outer_stride[d];
            from += source * p.inner_stride[d];
            rest = next;
        }
        y[to] = inside ? x[from] : value;
    }
}

/* The positions of a padded dimension that come from one inner position: at most three, or a run. */
struct places {
    int64_t n, at[3], run;

    __device__ __forceinline__ void add(int64_t position) { at[n++] = position; }
    __device__ __forceinline__ int64_t get(int64_t k) const { return run >= 0 ? run + k : at[k]; }
};

__device__ inline places places_of(const padding &p, int d, int64_t i) {
    const int64_t before = p.before[d], size = p.size[d], padded = p.padded[d];
    places found = {0, {0, 0, 0}, -1};
    if (p.mode == REPLICATE) {
        const int64_t last = i == size - 1 ? padded - 1 : i + before;
        found.run = i == 0 ? 0 : i + before;
        found.n = last - found.run + 1;
        return found;
    }
    found.add(i + before);
    if (p.mode == REFLECT) {
        if (i >= 1 && before - i >= 0) found.add(before - i);
        const int64_t mirrored = before + 2 * (size - 1) - i;
        if (i <= size - 2 && mirrored < padded) found.add(mirrored);
    } else {
        if (i - size + before >= 0) found.add(i - size + before);
        if (i + size + before < padded) found.add(i + size + before);
    }
    return found;
}

/* dx = the sum of the elements of dy that came from it */
template <class T>
__global__ void add_padded(padding p, int64_t numel, T *dx, const T *dy) {
    typedef typename computed<T>::type C;
    for (int64_t i = first_index(); i < numel; i += grid_step()) {
        places from[MASCON_MAX_DIMS];
        int64_t at[MASCON_MAX_DIMS], to = 0, rest = i;
        for (int d = p.ndim - 1; d >= 0; d--) {
            const int64_t next = rest / p.size[d], own = rest - next * p.size[d];
            to += own * p.inner_stride[d];
            from[d] = places_of(p, d, own);
            at[d] = 0;
            rest = next;
        }
        C sum = 0;
        for (int d = 0; d >= 0;) { /* all combinations of places */
            int64_t offset = 0;
            for (int k = 0; k < p.ndim; k++) offset += from[k].get(at[k]) * p.outer_stride[k];
            sum += take<C>(dy[offset]);
            for (d = p.ndim - 1; d >= 0 && ++at[d] == from[d].n; d--) at[d] = 0;
        }
        dx[to] = give<T>(sum);
    }
}

/* Neighbouring dimensions without padding that lie behind one another count as one. */
padding padding_of(const mascon_call *call, const mascon_view *inner, const mascon_view *outer) {
    padding p = {};
    const int32_t n = (int32_t)call->attr[PAD_SIZES];
    p.mode = (int32_t)call->attr[PAD_MODE];
    bool plain = false; /* the dimension before this one is not padded */
    for (int d = 0; d < inner->ndim; d++) {
        const int own = 2 * (inner->ndim - 1 - d), last = p.ndim - 1;
        const bool padded = inner->shape[d] != outer->shape[d];
        if (!padded && plain && p.inner_stride[last] == inner->stride[d] * inner->shape[d] &&
            p.outer_stride[last] == outer->stride[d] * outer->shape[d]) {
            p.size[last] *= inner->shape[d];
            p.padded[last] = p.size[last];
            p.inner_stride[last] = inner->stride[d];
            p.outer_stride[last] = outer->stride[d];
            continue;
        }
        const int to = p.ndim++;
        p.size[to] = inner->shape[d];
        p.padded[to] = outer->shape[d];
        p.before[to] = own < n ? (int64_t)call->attr[PAD_SIZES + 1 + own] : 0;
        p.inner_stride[to] = inner->stride[d];
        p.outer_stride[to] = outer->stride[d];
        plain = !padded;
    }
    return p;
}

mascon_status pad(mascon_call *call, mascon_exec *exec) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const padding p = padding_of(call, x, y);
    const uint64_t value = element_bits(call->attr[PAD_VALUE], y->dtype);
    return dispatch_size(y->dtype, [&](auto t) {
        typedef typename decltype(t)::type U;
        const bool small = y->numel < (int64_t)1 << 31;
        return launch(small ? pad_elements<U, uint32_t> : pad_elements<U, int64_t>,
                      blocks_for(y->numel, THREADS, y->device), THREADS, 0, exec->stream, p,
                      y->numel, (U *)y->data, (const U *)x->data, (U)value);
    });
}

/* The inside of dy. */
mascon_status take_inside(const padding &p, const mascon_view *dx, const mascon_view *dy,
                          mascon_exec *exec) {
    const move_place place = place_of(dx, exec);
    walk_plan<2> plan;
    int64_t start = 0;
    for (int d = 0; d < p.ndim; d++) {
        plan.add(p.size[d]);
        plan.stride[0][d] = p.inner_stride[d];
        plan.stride[1][d] = p.outer_stride[d];
        start += p.before[d] * p.outer_stride[d];
    }
    return masconG_move_elements(place, plan, dx->data,
                                 (const char *)dy->data + start * place.size);
}

mascon_status pad_bwd(mascon_call *call, mascon_exec *exec) {
    const mascon_view *dy = SRC(call, 0), *dx = DST(call, 0);
    const padding p = padding_of(call, dx, dy);
    if (dx->numel == 0) return MASCON_OK;
    if (p.mode == CONSTANT) return take_inside(p, dx, dy, exec);
    return dispatch_any(dx->dtype, [&](auto t) {
        typedef typename decltype(t)::type T;
        return launch(add_padded<T>, blocks_for(dx->numel, THREADS, dx->device), THREADS, 0,
                      exec->stream, p, dx->numel, (T *)dx->data, (const T *)dy->data);
    });
}

/* Memory of one kind on both sides. */
int wish(const mascon_call *call, mascon_wish *w) {
    if (SRC(call, 0)->layout == MASCON_LAYOUT_NHWC) w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

}  // namespace

MASCON_KERNEL(pad, wish, nullptr, pad);
MASCON_KERNEL(pad_bwd, wish, nullptr, pad_bwd);

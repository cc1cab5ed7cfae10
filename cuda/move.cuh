/* move.cuh: carrying elements about without looking at them, for every op that only rearranges. */
#ifndef MASCON_CUDA_MOVE_CUH
#define MASCON_CUDA_MOVE_CUH

#include "cuda/walk.cuh"

/* Where elements of `size` bytes are moved. */
typedef struct move_place {
    int32_t device;
    int size;
    void *stream;
} move_place;

static inline move_place place_of(const mascon_view *y, const mascon_exec *exec) {
    move_place place = {y->device, (int)mascon_dtype_size(y->dtype), exec->stream};
    return place;
}

/* y[...] = x[...] over the plan's operands y and x, of any strides (those of x also 0 or negative).
 * No two items may share an element of y. */
mascon_status masconG_move_elements(const move_place &place, const walk_plan<2> &plan, void *y,
                                    const void *x);

/* y[...] = the element whose bits are given, over the plan's operand y. */
mascon_status masconG_fill_elements(const move_place &place, const walk_plan<1> &plan, void *y,
                                    uint64_t bits);

#endif

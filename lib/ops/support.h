/* support.h: what the shape rules and gradients of several op files share: reading options from the
 * slots of a call, and composing a gradient from a few calls.
 */
#ifndef MASCON_OPS_SUPPORT_H
#define MASCON_OPS_SUPPORT_H

#include "core/op.h"

/* ---- Options ---- */

/* Whether the option whose first slot this is was given. */
static inline int masconI_given(const mascon_call *call, int slot) {
    return (int)(call->attr_set >> slot & 1u);
}

/* The values of a DIMS or SIZES option; returns how many there are (0 where it was not given). */
int32_t masconI_list(const mascon_call *call, int slot, int64_t values[MASCON_MAX_DIMS]);

/* The shape in a SIZES option. smallest is 0, or -1 where that has a meaning of its own. Fails as
 * D1, D4, D5, D8. */
mascon_status masconI_shape_option(const mascon_call *call, int slot, int64_t smallest,
                                   int32_t *ndim, int64_t shape[MASCON_MAX_DIMS]);

/* Fails where an element of the dtype cannot hold the value: "value is 300; uint8 holds 0..255". */
mascon_status masconI_check_value(const char *name, double value, int32_t dtype);

/* Fails where an index tensor is neither int64 nor int32. */
mascon_status masconI_check_index(const char *name, const mascon_view *index);

/* Fails where input i has another dtype or shape than these. */
mascon_status masconI_check_like(const mascon_call *call, int i, int32_t dtype, int32_t ndim,
                                 const int64_t *shape);

/* The shape rule of ops whose tensors all have one shape and dtype, the output's too. */
mascon_status masconI_infer_one_shape(mascon_call *call, mascon_meta *out);

/* dim of ndim as D34, allowing the place after the last one (unsqueeze). */
mascon_status masconI_dim_between(double dim, int32_t ndim, int32_t *out);

/* ---- Composing gradients. All results are owned. ---- */

/* t with the shape of like. */
mascon_status masconI_reshape_like(mascon_tensor *t, const mascon_view *like, mascon_tensor **out);
mascon_status masconI_reshape_to(mascon_tensor *t, int32_t ndim, const int64_t *shape,
                                 mascon_tensor **out);
/* Row-major zeros of the shape, dtype and device of like. */
mascon_status masconI_zeros_like(const mascon_view *like, mascon_tensor **out);
/* t summed over dimension dim, which stays with size 1. */
mascon_status masconI_sum_dim(mascon_tensor *t, int32_t dim, mascon_tensor **out);
/* Where one call with these sources and the options of g's call (the op having the same ones) is
 * the gradient. */
mascon_status masconI_emit_same(const mascon_grad *g, int32_t op, mascon_tensor **out,
                                int32_t n_src, mascon_tensor *const *src);

/* The gradient of an output that does not depend on the inputs: none flows. */
mascon_status masconI_grad_none(mascon_grad *g);
/* dx[0] = dy[0] itself. */
mascon_status masconI_grad_pass(mascon_grad *g);
/* dx[0] = dy[0] in the shape of src[0]. */
mascon_status masconI_grad_reshape(mascon_grad *g);

#endif

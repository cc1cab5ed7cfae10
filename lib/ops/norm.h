/* norm.h: what batch_norm, layer_norm and group_norm, their backward ops and all their kernels share.
 *
 * Every norm takes means and variances over groups of elements, normalises with them, and scales and
 * shifts with one weight and bias per channel (layer_norm: per place in a row).
 */
#ifndef MASCON_OPS_NORM_H
#define MASCON_OPS_NORM_H

#include "ops/nn.h"

/* clang-format off */
/* ORDER: NN_BATCH_NORM_*. An option that is not for scripts: a fused call leaves the mask of the relu
 * before it to batch norm, whose input is the mask. */
#define BATCH_NORM_ATTRS                                                                            \
    {"training", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,                                    \
     "normalise by the batch's own mean and variance"},                                             \
    {"momentum", MASCON_ATTR_NUMBER, MASCON_VALUE, 0.1, 0, 1, NULL,                                 \
     "share of the batch in the running statistics"},                                               \
    {"eps", MASCON_ATTR_NUMBER, MASCON_VALUE, 1e-5, 0, MASCON_NOLIMIT, NULL,                        \
     "added to the variance"},                                                                      \
    {"relu_mask", MASCON_ATTR_BOOLEAN, MASCON_VALUE, 0, 0, 1, NULL,                                 \
     "x came out of relu, whose gradient is taken over: dx is 0 where x is 0 or less"}

/* ORDER: NN_BATCH_NORM_BWD_*. */
#define BATCH_NORM_BWD_ATTRS                                                                        \
    {"training", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,                                    \
     "mean and rstd are those of the batch"},                                                       \
    {"relu_mask", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,                                   \
     "x came out of relu: dx is 0 where x is 0 or less"},                                           \
    {"affine", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,                                      \
     "also the gradients of weight and bias"}
/* clang-format on */

/* ORDER: the option tables of the ops. */
enum { /* batch_norm */
       NN_BATCH_NORM_TRAINING = 0,
       NN_BATCH_NORM_MOMENTUM,
       NN_BATCH_NORM_EPS,
       NN_BATCH_NORM_RELU_MASK
};
enum { /* batch_norm_bwd */
       NN_BATCH_NORM_BWD_TRAINING = 0,
       NN_BATCH_NORM_BWD_RELU_MASK,
       NN_BATCH_NORM_BWD_AFFINE
};
enum { /* layer_norm: sizes take 9 slots */
       NN_LAYER_NORM_SIZES = 0,
       NN_LAYER_NORM_EPS = 9,
       NN_LAYER_NORM_BWD_AFFINE = 9
};
enum { /* group_norm */
       NN_GROUP_NORM_GROUPS = 0,
       NN_GROUP_NORM_EPS = 1,
       NN_GROUP_NORM_BWD_AFFINE = 1
};

/* x {n, c, inner...} as three sizes; count is n * inner, the values of one channel. */
typedef struct masconI_channels {
    int64_t n, c, inner, count;
} masconI_channels;

static inline masconI_channels masconI_channels_of(const mascon_view *x) {
    masconI_channels s = {.n = x->shape[0], .c = x->shape[1], .inner = 1, .count = 0};
    for (int32_t d = 2; d < x->ndim; d++) s.inner *= x->shape[d];
    s.count = s.n * s.inner;
    return s;
}

/* x as rows of size elements each, for layer_norm over its last n dimensions. */
static inline void masconI_rows_of(const mascon_view *x, int32_t n, int64_t *rows, int64_t *size) {
    *rows = *size = 1;
    for (int32_t d = 0; d < x->ndim; d++) *(d < x->ndim - n ? rows : size) *= x->shape[d];
}

/* src[i], if given, is {size}: "weight is {3}; expected {64}, one per channel". */
mascon_status masconI_check_per_channel(const mascon_call *call, int i, const char *name,
                                        int64_t size);

/* batch_norm's shape rule: out {y, mean, rstd}. */
mascon_status masconI_batch_norm_infer(mascon_call *call, mascon_meta *out);
/* dx like x and, where option slot `affine` says so, dweight and dbias. */
void masconI_batch_norm_infer_gradients(mascon_call *call, const mascon_view *x, int affine,
                                        mascon_meta *out);
/* Completes and runs a backward call whose inputs are in place, and hands its results to g. */
mascon_status masconI_batch_norm_emit_gradients(mascon_grad *g, mascon_call *call);

/* The gradient of layer_norm and group_norm by their backward op, which takes dy, x, mean, rstd and
 * weight, has the forward op's first `slots` option slots and then `affine` (group_norm.c). */
mascon_status masconI_give_gradients(mascon_grad *g, mascon_call *call, const int *at,
                                     const int *wanted);
mascon_status masconI_grad_norm(mascon_grad *g, int32_t op, int slots);

#endif

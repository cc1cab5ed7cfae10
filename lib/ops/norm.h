/* norm.h: what batch_norm, layer_norm and group_norm, their backward ops and all their kernels share.
 *
 * Every norm takes means and variances over groups of elements, normalises with them, and scales and
 * shifts with one weight and bias per channel (layer_norm: per place in a row).
 */
#ifndef MASCON_OPS_NORM_H
#define MASCON_OPS_NORM_H

#include "ops/nn.h"

/* ORDER: the option tables of the ops. */
enum { /* batch_norm */
       NN_BATCH_NORM_TRAINING = 0,
       NN_BATCH_NORM_MOMENTUM,
       NN_BATCH_NORM_EPS
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
    masconI_channels s = {.n = x->shape[0], .c = x->shape[1], .inner = 1};
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

/* The gradient of layer_norm and group_norm by their backward op, which takes dy, x, mean, rstd and
 * weight, has the forward op's first `slots` option slots and then `affine` (group_norm.c). */
mascon_status masconI_grad_norm(mascon_grad *g, int32_t op, int slots);

#endif

/* attention.h: the sizes of an attention call, for its shape rule and its kernels.
 *
 * q {batch, L, E}, k {batch, S, E}, v {batch, S, V}, y {batch, L, V}; batch is any number of dimensions,
 * which broadcast. mask: bool or of q's dtype, broadcast to {batch, L, S}. lse {batch, L}: per row of
 * scores the logarithm of the sum of their exponentials. A "matrix" is one place of the batch.
 */
#ifndef MASCON_OPS_ATTENTION_H
#define MASCON_OPS_ATTENTION_H

#include <math.h>

#include "ops/support.h"

/* ORDER: the option tables in attention.c */
enum {
    NN_ATTENTION_CAUSAL = 0,
    NN_ATTENTION_SCALE,
    NN_ATTENTION_DROPOUT,      /* not of the op without dropout */
    NN_ATTENTION_MASK_GRADIENT /* of the backward op */
};

/* The inputs of the backward op; the forward ops have q, k, v, attn_mask. */
enum {
    NN_ATTENTION_BWD_DY = 0,
    NN_ATTENTION_BWD_Q,
    NN_ATTENTION_BWD_K,
    NN_ATTENTION_BWD_V,
    NN_ATTENTION_BWD_Y,
    NN_ATTENTION_BWD_LSE,
    NN_ATTENTION_BWD_MASK
};

typedef struct mascon_attention {
    const mascon_view *q, *k, *v, *mask; /* mask: NULL where there is none */
    int32_t dims;                        /* of the batch */
    int64_t batch[MASCON_MAX_DIMS];
    int64_t matrices, l, s, e, width; /* width: V */
    int causal;
    double scale, dropout; /* dropout: the probability of a weight to become 0 */
} mascon_attention;

/* What a checked call of any of the three ops says. */
static inline void masconI_attention_of(const mascon_call *call, mascon_attention *a) {
    const int back = call->op == MASCON_OP_scaled_dot_product_attention_bwd;
    const int first = back ? NN_ATTENTION_BWD_Q : 0, mask = back ? NN_ATTENTION_BWD_MASK : 3;
    a->q = mascon_see(call->src[first]);
    a->k = mascon_see(call->src[first + 1]);
    a->v = mascon_see(call->src[first + 2]);
    a->mask = mask < call->n_src && call->src[mask] ? mascon_see(call->src[mask]) : NULL;
    /* dy, or y */
    const mascon_view *y = mascon_see(back ? call->src[NN_ATTENTION_BWD_DY] : call->dst[0]);
    a->dims = y->ndim - 2;
    a->matrices = 1;
    for (int32_t d = 0; d < a->dims; d++) {
        a->batch[d] = y->shape[d];
        a->matrices *= y->shape[d];
    }
    a->l = a->q->shape[a->q->ndim - 2];
    a->e = a->q->shape[a->q->ndim - 1];
    a->s = a->k->shape[a->k->ndim - 2];
    a->width = a->v->shape[a->v->ndim - 1];
    a->causal = call->attr[NN_ATTENTION_CAUSAL] != 0;
    a->scale = masconI_given(call, NN_ATTENTION_SCALE) ? call->attr[NN_ATTENTION_SCALE]
               : a->e                                  ? 1 / sqrt((double)a->e)
                                                       : 1; /* all scores are 0 */
    a->dropout =
        call->op == MASCON_OP_scaled_dot_product_attention ? 0 : call->attr[NN_ATTENTION_DROPOUT];
}

/* Offset in elements of the matrix at place i of the batch in v, whose last `own` dimensions are its own
 * (lse: 1, else 2). */
static inline int64_t masconI_attention_offset(const mascon_attention *a, const mascon_view *v,
                                               int own, int64_t i) {
    int64_t offset = 0;
    for (int32_t d = a->dims - 1, at = v->ndim - own - 1; d >= 0; d--, at--) {
        const int64_t rest = i / a->batch[d];
        if (at >= 0 && v->shape[at] != 1) offset += (i - rest * a->batch[d]) * v->stride[at];
        i = rest;
    }
    return offset;
}

/* Strides of the mask's rows and columns; 0 where it is broadcast. */
static inline int64_t masconI_attention_mask_stride(const mascon_view *mask, int from_end) {
    const int32_t d = mask->ndim - from_end;
    return d >= 0 && mask->shape[d] != 1 ? mask->stride[d] : 0;
}

#endif

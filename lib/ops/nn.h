/* nn.h: what the layer ops, their reference kernels and the kernels of a backend share: resolved
 * windows, the slots of their options, and checks whose sentences several ops use.
 *
 * Sizes are logical (NCHW) wherever the elements lie. Everything here reads a call and changes none.
 */
#ifndef MASCON_OPS_NN_H
#define MASCON_OPS_NN_H

#include <math.h>

#include "core/internal.h"
#include "ops/support.h"

/* Whether masconI_record will record this call (core/invoke.c). */
int masconI_will_record(const mascon_call *call);

/* ---- Slots of the options ----
 * ORDER: the option tables of the ops; an option with two slots takes the next one as well. */

enum { /* conv2d and its backward ops */
       NN_CONV2D_STRIDE = 0,
       NN_CONV2D_PADDING = 2,
       NN_CONV2D_DILATION = 4,
       NN_CONV2D_GROUPS = 6,
       NN_CONV2D_RELU_MASKED = 7,
       NN_CONV2D_NORM_EPS = 7,
       NN_CONV2D_NORM_RELU = 8,
       NN_CONV2D_NORM_TRAINING = 9,
       NN_CONV2D_NORM_MOMENTUM = 10,
       NN_CONV2D_BWD_DATA_HEIGHT = 7,
       NN_CONV2D_BWD_DATA_WIDTH = 8,
       NN_CONV2D_BWD_WEIGHT_KERNEL = 7,
       NN_CONV2D_BWD_WEIGHT_BIAS = 9
};

enum { /* the inputs of conv2d_norm */
       NN_CONV2D_NORM_MEAN = 3,
       NN_CONV2D_NORM_VAR,
       NN_CONV2D_NORM_WEIGHT,
       NN_CONV2D_NORM_BIAS,
       NN_CONV2D_NORM_RESIDUAL
};

enum { /* max_pool2d, avg_pool2d and their backward ops */
       NN_POOL_KERNEL = 0,
       NN_POOL_STRIDE = 2,
       NN_POOL_PADDING = 4,
       NN_MAX_POOL2D_DILATION = 6,
       NN_MAX_POOL2D_CEIL_MODE = 8,
       NN_AVG_POOL2D_CEIL_MODE = 6,
       NN_AVG_POOL2D_COUNT_INCLUDE_PAD = 7,
       NN_AVG_POOL2D_DIVISOR = 8,
       NN_POOL_BWD_HEIGHT = 9,
       NN_POOL_BWD_WIDTH = 10
};

enum {
    NN_ADAPTIVE_OUTPUT_SIZE = 0, /* adaptive_avg_pool2d */
    NN_ADAPTIVE_BWD_HEIGHT = 0,  /* adaptive_avg_pool2d_bwd */
    NN_ADAPTIVE_BWD_WIDTH = 1,
    NN_LINEAR_BWD_WEIGHT_BIAS = 0,
    NN_SOFTMAX_DIM = 0, /* softmax, log_softmax and their backward ops */
    NN_DROPOUT_P = 0,   /* dropout, dropout_bwd */
    NN_DROPOUT_TRAINING = 1
};

enum { /* cross_entropy, cross_entropy_bwd */
       NN_CROSS_ENTROPY_REDUCTION = 0,
       NN_CROSS_ENTROPY_SMOOTHING,
       NN_CROSS_ENTROPY_IGNORE_INDEX,
       NN_CROSS_ENTROPY_BASE
};
enum { NN_REDUCTION_MEAN = 0, NN_REDUCTION_SUM, NN_REDUCTION_NONE };

enum {
    NN_SGD_LR = 0,
    NN_SGD_MOMENTUM,
    NN_SGD_DAMPENING,
    NN_SGD_WEIGHT_DECAY,
    NN_SGD_NESTEROV,
    NN_SGD_MAXIMIZE,
    NN_SGD_FIRST
};

enum {
    NN_ADAM_LR = 0,
    NN_ADAM_BETA1,
    NN_ADAM_BETA2,
    NN_ADAM_EPS,
    NN_ADAM_WEIGHT_DECAY,
    NN_ADAM_AMSGRAD,
    NN_ADAM_MAXIMIZE,
    NN_ADAM_DECOUPLED,
    NN_ADAM_STEP
};

enum {
    NN_RMSPROP_LR = 0,
    NN_RMSPROP_ALPHA,
    NN_RMSPROP_EPS,
    NN_RMSPROP_WEIGHT_DECAY,
    NN_RMSPROP_MOMENTUM,
    NN_RMSPROP_CENTERED,
    NN_RMSPROP_MAXIMIZE
};

enum { NN_CLIP_MAX_NORM = 0, NN_CLIP_NORM_TYPE };

/* Whether an optional input is there. */
static inline int masconI_src_given(const mascon_call *call, int i) {
    return i < call->n_src && call->src[i] != NULL;
}

/* A whole-number option as an integer. */
static inline int64_t masconI_attr_int(const mascon_call *call, int slot) {
    return (int64_t)call->attr[slot];
}

/* ---- Windows ---- */

/* One sliding window: convolution or pooling. A checked call has oh and ow of 1 or more, and each
 * pooling window holds at least one element of the input. */
typedef struct mascon_window2d {
    int64_t n, c, h, w; /* the input (x, not dy) */
    int64_t oc, oh, ow; /* the output; oc == c for pooling */
    int64_t kh, kw, sh, sw, dh, dw;
    int64_t top, left, bottom, right;     /* resolved zero padding; may be uneven */
    int64_t groups;                       /* convolution; 1 for pooling */
    int32_t ceil_mode, count_include_pad; /* pooling */
    int64_t divisor;                      /* average pooling; 0: none */
    int32_t bf16;                         /* src[0] is bfloat16 */
} mascon_window2d;

/* Fills w from a (checked) call of any of the convolution or pooling ops, forward or backward.
 * Adaptive pooling has no fixed window; see masconI_adaptive_range. */
void masconI_window2d(const mascon_call *call, mascon_window2d *w);

/* The input row (or column) that kernel element k meets at output o; -1 where it is padding. */
static inline int64_t masconI_window_input(int64_t o, int64_t k, int64_t step, int64_t dilation,
                                           int64_t before, int64_t size) {
    const int64_t i = o * step - before + k * dilation;
    return i >= 0 && i < size ? i : -1;
}

/* The output that meets input row (or column) i with kernel element k; -1 where there is none. */
static inline int64_t masconI_window_output(int64_t i, int64_t k, int64_t step, int64_t dilation,
                                            int64_t before, int64_t outputs) {
    const int64_t at = i + before - k * dilation;
    return at >= 0 && at % step == 0 && at / step < outputs ? at / step : -1;
}

/* The rows (or columns) *first..*end-1 of size that output i of adaptive pooling averages. */
static inline void masconI_adaptive_range(int64_t i, int64_t size, int64_t outputs, int64_t *first,
                                          int64_t *end) {
    *first = i * size / outputs;
    *end = ((i + 1) * size + outputs - 1) / outputs;
}

/* ---- Dropout ---- */

/* Element i is kept where masconI_random_word(call->random, i) >> 8 is at least this threshold: the
 * exact form of masconI_uniform(word) >= p, equal on every backend. */
static inline uint32_t masconI_dropout_threshold(double p) { return (uint32_t)ceil(p * 0x1p24); }

/* ---- Checks ---- */

/* src[0] of an image op has 4 dimensions (D19). */
mascon_status masconI_check_image(const mascon_call *call);
/* src[i], if there, has the dtype of src[0] (D38). name is what the script calls src[i]; first, where
 * not NULL, what it calls src[0] if that is the one to convert (the input of a layer). */
mascon_status masconI_check_dtype(const mascon_call *call, int i, const char *name,
                                  const char *first);
/* The same for a weight, bias or statistic of a norm over x = src[at]: beside a 16-bit x it may also be
 * float32, which is how such a network keeps them. */
mascon_status masconI_check_parameter_dtype(const mascon_call *call, int i, const char *name,
                                            int at);
/* The resolved window fits its input (D21) and, for pooling, never lies in the padding alone. */
mascon_status masconI_check_window2d(const mascon_call *call, const mascon_window2d *w);
/* src[i] has exactly this shape; for the inputs of backward ops. */
mascon_status masconI_check_shape(const mascon_call *call, int i, const char *name, int32_t ndim,
                                  const int64_t *shape);
/* Fails as D25 or D26: target number position (from 0, in logical order) of total has this value,
 * which is not a class of base..base+classes-1. */
mascon_status masconI_label_fail(int64_t position, int64_t total, int64_t value, int64_t base,
                                 int64_t classes);
/* Checks the list of an optimizer: names[0..groups-1] groups of equal length, the tensors of one
 * position equal in shape, dtype (floating) and device. */
mascon_status masconI_check_groups(const mascon_call *call, int groups, const char *const *names);

#endif

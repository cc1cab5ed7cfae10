/* elementwise.h: slots of the options of the element by element ops, and the rules that their shape
 * rules and the kernels of every backend share.
 */
#ifndef MASCON_OPS_ELEMENTWISE_H
#define MASCON_OPS_ELEMENTWISE_H

#include <math.h>

#include "core/op.h"
#include "ops/support.h"

/* ORDER: the option tables of the ops. */
enum { CLAMP_MIN = 0, CLAMP_MAX };                                  /* clamp, clamp_bwd */
enum { BINARY_OTHER = 0, BINARY_SWAP };                             /* ops of two inputs */
enum { WHERE_VALUE = 0, WHERE_SWAP };                               /* where */
enum { LEAKY_RELU_SLOPE = 0, ELU_ALPHA = 0, GELU_APPROXIMATE = 0 }; /* and their backward ops */
enum { SOFTPLUS_BETA = 0, SOFTPLUS_THRESHOLD };
enum { GELU_NONE = 0, GELU_TANH };

/* Whether a number given as an option is a whole one that an int64 can hold. */
static inline int masconI_is_whole(double v) { return v == floor(v) && v >= -0x1p63 && v < 0x1p63; }

/* A number that meets elements of dtype: rounded to it, as if it stood in a tensor. */
static inline double masconI_as(double v, int32_t dtype) {
    return dtype == MASCON_DTYPE_F32 ? (double)(float)v : v;
}

/* The dtype of a tensor of this dtype together with a number: fractional numbers make float32 of
 * whole-number tensors, whole ones int64 of bools. */
static inline int32_t masconI_with_number(int32_t dtype, double v) {
    if (masconI_is_float(dtype)) return dtype;
    if (!masconI_is_whole(v)) return MASCON_DTYPE_F32;
    return dtype == MASCON_DTYPE_BOOL ? MASCON_DTYPE_I64 : dtype;
}

#endif

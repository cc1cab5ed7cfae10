/* conv_transpose2d.h: how the kernels of conv_transpose2d reach those of conv2d_bwd_data. */
#ifndef MASCON_OPS_CONV_TRANSPOSE2D_H
#define MASCON_OPS_CONV_TRANSPOSE2D_H

#include "ops/nn.h"

enum { NN_CONV_TRANSPOSE2D_OUTPUT_PADDING = 7 }; /* ORDER: the option table of the op */

/* The call of conv2d_bwd_data over the same tensors that computes y without its bias. Fails where
 * the result would have no rows or columns. */
mascon_status masconI_transposed(const mascon_call *call, mascon_call *as_gradient);

#endif

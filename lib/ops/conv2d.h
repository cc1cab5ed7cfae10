/* conv2d.h: what the convolution ops share (conv2d.c, conv2d_relu.c, conv2d_norm.c).
 *
 * x {n, c, h, w}, weight {oc, c / groups, kh, kw}, bias {oc}, y {n, oc, oh, ow}. */
#ifndef MASCON_OPS_CONV2D_H
#define MASCON_OPS_CONV2D_H

#include "ops/nn.h"

/* conv2d_norm in training: the batch_norm call over its convolution's result, which is its output.
 * norm's tensors are call's own. */
void masconI_conv2d_norm_inner(const mascon_call *call, mascon_call *norm);

/* clang-format off */
/* ORDER: NN_CONV2D_* in nn.h. Every op of the family begins with these options. */
#define CONV2D_WINDOW_ATTRS                                                                      \
    {"stride", MASCON_ATTR_PAIR, MASCON_KEY, 1, 1, 1e6, NULL, "step, vertical and horizontal"},  \
    {"padding", MASCON_ATTR_PADDING, MASCON_KEY, 0, 0, 1e6, NULL,                                \
     "zeros added on each side, or \"same\" or \"valid\""},                                      \
    {"dilation", MASCON_ATTR_PAIR, MASCON_KEY, 1, 1, 1e6, NULL, "distance of kernel elements"},  \
    {"groups", MASCON_ATTR_INTEGER, MASCON_KEY, 1, 1, 1e9, NULL,                                 \
     "groups of channels that do not mix"}
/* clang-format on */

/* The shape rule for x, weight and bias as inputs 0 to 2 and y as output 0. */
mascon_status masconI_conv2d_infer(mascon_call *call, mascon_meta *out);
/* The gradients of those inputs, where dy is that of the convolution's own result. */
mascon_status masconI_conv2d_grad(mascon_grad *g, mascon_tensor *dy);

#endif

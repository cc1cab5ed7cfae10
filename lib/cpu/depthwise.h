/* depthwise.h: what the files of the depthwise convolution share (depthwise*.c, depthwise_body.h).
 */
#ifndef MASCON_CPU_DEPTHWISE_H
#define MASCON_CPU_DEPTHWISE_H

#include "cpu/conv.h"

enum { MASCON_DEPTHWISE_CHANNELS = 2048 }; /* most channels */

/* Pictures from {n, h, w, c} to {n, oh, ow, c}, channels-last. */
typedef struct masconI_depthwise {
    int64_t n, h, w, c, oh, ow;
    int64_t step, top, left; /* rows and columns of zeros before the input; never negative */
    int64_t row;             /* channels in whole lines */
    float floor;             /* what is less becomes this: 0 for relu, -infinity for nothing */
} masconI_depthwise;

/* Output rows first..end-1, counted through the batch; weight {9, row}, bias {c} or NULL. */
typedef void masconI_depthwise_rows(const masconI_depthwise *g, const float *x, const float *weight,
                                    const float *bias, int64_t first, int64_t end, float *y);

masconI_depthwise_rows masconI_depthwise_avx512, masconI_depthwise_avx2;

#endif

/* conv.h: what the files of the convolution kernels share (conv.c, conv_weight.c, conv_small*.c).
 */
#ifndef MASCON_CPU_CONV_H
#define MASCON_CPU_CONV_H

#include <stdatomic.h>

#include "cpu/plan.h"
#include "ops/nn.h"

/* A batch in pieces of `size` pictures; the last may be smaller. It depends on the shapes alone, so
 * that a result has the same bits for any number of threads. */
typedef struct masconI_cut {
    int64_t size, count;
} masconI_cut;

masconI_cut masconI_cut_batch(int64_t n);

static inline size_t masconI_line(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* The key for n pictures of this window. */
masconI_conv masconI_conv_key(const mascon_window2d *w, int kind, int bias, int64_t n);
/* 1 where all tensors of the call are float32 and none is empty. */
int masconI_conv_plain(const mascon_call *call);
/* For the end of a sliced run: fails on this thread with what a slice met. */
mascon_status masconI_slice_status(atomic_int *status);

/* conv_small.c: our own loops for few channels. kind is MASCON_CONV_*. */
int masconI_conv_small_fits(const mascon_window2d *w, int kind);
size_t masconI_conv_small_workspace(const mascon_window2d *w, int kind);
/* x {n, c, h, w}, y {n, oc, oh, ow} channels-last; weight {oc, kh, kw, c}; bias {oc} or NULL.
 * FORWARD makes y of x; BWD_DATA makes x (dx) of y (dy); BWD_WEIGHT makes weight and bias of both.
 */
mascon_status masconI_conv_small_run(const mascon_window2d *w, int kind, float *x, float *weight,
                                     float *bias, float *y, void *workspace);

#endif

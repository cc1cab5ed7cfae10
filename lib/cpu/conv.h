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

/* The key for n pictures of this window. */
masconI_conv masconI_conv_key(const mascon_window2d *w, int kind, int bias, int64_t n);
/* 1 where all tensors of the call are float32, or bfloat16 with float32 for batch norm, and none is
 * empty. */
int masconI_conv_plain(const mascon_call *call);
/* For the end of a sliced run: fails on this thread with what a slice met. */
mascon_status masconI_slice_status(atomic_int *status);

/* What is done to the sums of a forward convolution before they are stored (finish.c):
 *   y = relu?(sum + bias + residual) */
typedef struct masconI_finish {
    const float *bias;    /* {oc}, or NULL */
    const void *residual; /* where y's elements are and of their type, or NULL */
    int relu;             /* NaN stays NaN */
    int bf16;             /* y is bfloat16 */
    /* Of a convolution that batch norm follows: gathers y's moments, behind oneDNN. */
    const struct masconC_norm *norm;
} masconI_finish;

/* y = relu?(y + residual), `count` elements beginning at y[first]; their moments */
void masconI_finish_run(const masconI_finish *f, void *y, int64_t first, int64_t count);

/* conv.c: the parts of the kernels. In training conv2d_norm has a kernel around them (conv_norm.c): they
 * make the convolution alone, and gather for norm (or NULL) what they can on the way. */
int masconI_conv_wish(const mascon_call *call, mascon_wish *w);
size_t masconI_conv_workspace(const mascon_call *call);
mascon_status masconI_conv_run(const mascon_call *call, void *workspace,
                               const struct masconC_norm *norm);

/* conv_small.c: our own loops for few channels. kind is MASCON_CONV_*. */
int masconI_conv_small_fits(const mascon_window2d *w, int kind);
size_t masconI_conv_small_workspace(const mascon_window2d *w, int kind);
/* x {n, c, h, w}, y {n, oc, oh, ow} channels-last; weight {oc, kh, kw, c}.
 * FORWARD makes y of x; BWD_DATA makes x (dx) of y (dy) and has an empty finish. */
mascon_status masconI_conv_small_run(const mascon_window2d *w, int kind, float *x,
                                     const float *weight, const masconI_finish *finish, float *y,
                                     void *workspace);
/* dw like weight and db {oc} (or NULL) of x and dy */
mascon_status masconI_conv_small_weight_run(const mascon_window2d *w, const float *x,
                                            const float *dy, float *dw, float *db, void *workspace);

/* winograd.c and winograd_weight.c: 3x3, step 1, by Winograd's method (winograd.h). */
int masconI_winograd_fits(const mascon_window2d *w);
size_t masconI_winograd_workspace(const mascon_window2d *w, int kind, const masconI_fold *fold);
/* FORWARD makes y of x, BWD_DATA makes x of y. The weights come as a tensor, since their transformed
 * form is kept. With a fold (or NULL), the bias is its own. */
mascon_status masconI_winograd_run(const mascon_window2d *w, int kind, float *x,
                                   const mascon_tensor *weight, const masconI_fold *fold,
                                   const masconI_finish *finish, float *y, void *workspace);
size_t masconI_winograd_weight_workspace(const mascon_window2d *w);
/* db may be NULL */
void masconI_winograd_weight_run(const mascon_window2d *w, const float *x, const float *dy,
                                 float *dw, float *db, void *workspace);

/* depthwise.c: 3x3 with groups = channels. FORWARD makes y of x, BWD_DATA makes x of y. */
int masconI_depthwise_fits(const mascon_window2d *w, int kind);
size_t masconI_depthwise_workspace(const mascon_window2d *w);
void masconI_depthwise_run(const mascon_window2d *w, int kind, float *x, const float *weight,
                           const masconI_finish *finish, float *y, void *workspace);

/* conv_weight.c: dw {dw_count} and db {db_count} from `count` sums of slices, each dw then db and
 * `stride` floats from the next, added in the order of the slices. */
void masconI_conv_sum(const float *sums, int64_t stride, int64_t count, float *dw, int64_t dw_count,
                      float *db, int64_t db_count);

/* ---- conv_choice.c: which kernel serves a convolution ---- */

enum { MASCON_CONV_ONEDNN = 0, MASCON_CONV_SMALL, MASCON_CONV_WINOGRAD, MASCON_CONV_DEPTHWISE };

/* kind is MASCON_CONV_*. Depends on the sizes, the processor and mascon_testing_conv alone. */
int masconI_conv_choice(const mascon_window2d *w, int kind);
const char *masconI_conv_kernel_name(int choice);
/* 1 where kernels of ours shall use AVX-512, AVX2. */
int masconI_conv_avx512(void);
int masconI_conv_avx2(void);

#endif

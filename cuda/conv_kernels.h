/* conv_kernels.h: our own kernels around convolutions and matrix products (conv_epilogue.cu).
 *
 * Every function returns a status; sizes may be anything that fits the addresses, 0 included.
 */
#ifndef MASCON_CUDA_CONV_KERNELS_H
#define MASCON_CUDA_CONV_KERNELS_H

#include "cuda/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What follows a convolution or a product whose library call could not do it. y {rows, channels} as it
 * lies in memory, of a floating dtype; all but y may be NULL. */
typedef struct masconG_epilogue {
    void *y;
    const void *scale, *shift; /* {channels}, float64 beside such a y, else float32 */
    const void *bias;          /* {channels}, dtype of y */
    const void *residual;      /* {rows, channels}, dtype of y */
    int64_t rows, channels;
    int32_t dtype, relu;
} masconG_epilogue;

/* y = relu?(y * scale + shift + bias + residual) */
mascon_status masconG_epilogue_run(const masconG_epilogue *e, cudaStream_t stream);

/* A batch norm by running statistics as one factor and one term per channel: scale and shift, {channels},
 * as masconG_epilogue has them for a y of dtype. Any of the inputs may be NULL, and each has a dtype of its
 * own; beside float64 all are float64. */
typedef struct masconG_fold {
    const void *bias, *mean, *var, *weight, *norm_bias;
    void *scale, *shift;
    int64_t channels;
    double eps;
    int32_t dtype;
    int32_t bias_dtype, mean_dtype, var_dtype, weight_dtype, norm_bias_dtype;
} masconG_fold;

mascon_status masconG_fold_run(const masconG_fold *f, cudaStream_t stream);

/* y = batch norm of x by its own statistics, both {n, c, h, w}, channels-last and of one floating dtype
 * (batch_norm.cu); the running ones move. mean, var, weight and bias {c} may be NULL, with any stride and
 * dtype. memory: masconG_norm_bytes, 256-byte aligned. */
typedef struct masconG_norm {
    const mascon_view *x, *y, *mean, *var, *weight, *bias;
    double eps, momentum;
    void *memory;
} masconG_norm;

size_t masconG_norm_bytes(const mascon_view *x);
mascon_status masconG_norm_run(const masconG_norm *n, cudaStream_t stream);

/* out {columns} = the sums of the columns of x {rows, columns}, both of one floating dtype, added in
 * float (of float64 in double) in an order that sizes alone decide. parts: as many bytes as masconG_column_sum_bytes says. */
size_t masconG_column_sum_bytes(int64_t rows, int64_t columns, int32_t dtype);
mascon_status masconG_column_sum(const void *x, void *out, void *parts, int64_t rows,
                                 int64_t columns, int32_t dtype, cudaStream_t stream);

/* y {m, n} = a {m, k} b {k, n} of a whole-number dtype, which wraps around; strides in elements. */
typedef struct masconG_whole_product {
    const void *a, *b;
    void *y;
    int64_t m, n, k, a_row, a_column, b_row, b_column;
    int32_t dtype, reserved;
} masconG_whole_product;

mascon_status masconG_whole_product_run(const masconG_whole_product *p, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif

/* blas.h: matrix products through cuBLASLt, and the library handles of a thread.
 */
#ifndef MASCON_CUDA_BLAS_H
#define MASCON_CUDA_BLAS_H

#include "cuda/backend.h"
#include "cuda/plan_cache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Handles ----
 * One of each library per thread and device, made on first use on the device's stream; they live as long
 * as the process, and those of a thread that ended serve another. The device becomes the current one. */
mascon_status masconG_blas_handle(int32_t device, cublasLtHandle_t *out);
mascon_status masconG_dnn_handle(int32_t device, cudnnHandle_t *out);

/* ---- Products ---- */

typedef enum masconG_product_kind {
    MASCONG_PRODUCT_PLAIN = 0,
    MASCONG_PRODUCT_BIAS,      /* + bias {n}, one value per column */
    MASCONG_PRODUCT_COLUMN_SUM /* also sums op(a) over k: {m} */
} masconG_product_kind;

/* d {m, n} = op(a) {m, k} op(b) {k, n}, `batch` times, all row-major: ld is the distance of rows in
 * elements as they lie in memory, step that of matrices (0: one for all). ta: a lies as {k, m}; tb: b
 * lies as {n, k}. Every byte is part of a cache's key. */
typedef struct masconG_product {
    int64_t m, n, k, lda, ldb, ldd, batch, step_a, step_b, step_d;
    int32_t ta, tb, dtype, kind, device;
    int32_t align_a, align_b, align_d, align_vector; /* bytes, of the addresses */
    int32_t wide; /* 1: d is float32, beside a and b of 16 bits; only of the plain kind */
} masconG_product;

/* The largest power of two up to 256 that divides the address. */
int32_t masconG_alignment(const void *address);

/* The same product without its epilogue. */
masconG_product masconG_product_plain(const masconG_product *p);

/* Bytes of workspace for this product, which are enough for the plain one, too; fails with UNSUPPORTED where
 * cuBLASLt has no algorithm for it. */
mascon_status masconG_product_workspace(const masconG_product *p, size_t *bytes);
/* Computes. vector: the bias, or where the sums go; else NULL. workspace: as many bytes as
 * masconG_product_workspace said. Sizes are 1 or more. Fails with UNSUPPORTED where no algorithm runs that
 * was promised to; from then on masconG_product_workspace says so, too. */
mascon_status masconG_product_run(const masconG_product *p, const void *a, const void *b, void *d,
                                  void *vector, void *workspace, cudaStream_t stream);

/* Whether products and convolutions take this dtype. */
static inline int masconG_takes(int32_t dtype) {
    return dtype == MASCON_DTYPE_F32 || dtype == MASCON_DTYPE_BF16 || dtype == MASCON_DTYPE_F16 ||
           dtype == MASCON_DTYPE_F64;
}

#ifdef __cplusplus
}
#endif

#endif

/* batch_norm.h: what batch_norm and batch_norm_pool share on the CPU.
 *
 * Channels-last memory and {n, c} are rows of c channels. Rows are cut into slices by shape alone, each
 * of which fits the first cache: a slice finds its own sums, and the slices are put together in their
 * order. So no result depends on the number of threads.
 */
#ifndef MASCON_CPU_BATCH_NORM_H
#define MASCON_CPU_BATCH_NORM_H

#include "ops/norm.h"

/* What both passes know about a channel, {c} each. Forward: y = (x - mean) * a + c. Backward:
 * dx = a * dy + (b * (x - mean) + c). */
typedef struct masconC_norm_factors {
    float *mean, *a, *b, *c;
} masconC_norm_factors;

typedef struct masconC_norm {
    masconI_channels s;
    int64_t rows, per_slice, slices; /* slices of per_slice rows; slices == 0: planes */
    int half;                        /* x, dy, y are bfloat16 */
    const void *x, *dy;
    void *y; /* backward: dx */
    int mask;
    const void *residual; /* forward: y = relu?(normalised x + residual), or NULL */
    int relu;             /* NaN stays NaN */
    uint8_t *done;        /* slices that gather has seen, or NULL */
    masconC_norm_factors f;
    double *partial; /* slices * {2, c}, or planes: {2, c} */
    double *whole;   /* {2, c} */
} masconC_norm;

/* Whether the kernels take the types of a call over x: float32, or bfloat16 with float32 statistics. A
 * bit of `like` says that an input has x's type, a bit of `any` that its type does not matter. */
int masconC_norm_takes(const mascon_call *call, const mascon_view *x, uint32_t like, uint32_t any);
/* Bytes of workspace for a call over x. */
size_t masconC_norm_workspace(const mascon_view *x);
/* The job over x, with its parts of the workspace. */
masconC_norm masconC_norm_begin(const mascon_view *x, void *memory);
/* Rows of a slice of x. */
int64_t masconC_norm_per_slice(const mascon_view *x);
/* The rows of slice i. */
int64_t masconC_norm_slice(const masconC_norm *j, int64_t i, int64_t *first);

/* For who makes x in pieces: the moments of the slices that lie whole in elements first..first + count
 * - 1, while the caches still hold them. Pieces may come in any order and on any thread; what remains,
 * prepare does. j->done: a byte of 0 for each slice. */
void masconC_norm_gather(const masconC_norm *j, int64_t first, int64_t count);
/* Forward, for calls whose inputs and first options are batch_norm's: the factors of y, the running
 * statistics moved, mean and rstd {c} written. */
void masconC_norm_prepare(masconC_norm *j, const mascon_call *call, float *mean, float *rstd);
/* y, once the factors are there. */
void masconC_norm_finish(const masconC_norm *j);
/* Backward: the factors of dx from j->whole, and dweight and dbias where they are not NULL. */
void masconC_norm_prepare_back(masconC_norm *j, const mascon_view *rstd, const mascon_view *weight,
                               int training, float *dweight, float *dbias);
/* j->whole from the slices' sums of dy and dy * (x - mean). */
void masconC_norm_join_products(masconC_norm *j);
/* Element c of a {c} vector; absent where there is none. */
float masconC_norm_value(const mascon_view *v, int64_t c, float absent);

/* ---- Rows first..first + n - 1 (batch_norm_rows.c) ---- */

/* Means and squared deviations {c}: a pass for the mean, a pass around it, and what the rounding of the
 * mean left over. */
void masconC_norm_moments(const masconC_norm *j, int64_t first, int64_t n, double *mean,
                          double *squares);
/* Sums of dy and of dy * (x - mean), {c}. */
void masconC_norm_products(const masconC_norm *j, int64_t first, int64_t n, double *sum,
                           double *product);
void masconC_norm_normalise(const masconC_norm *j, int64_t first, int64_t n);
void masconC_norm_combine(const masconC_norm *j, int64_t first, int64_t n);

#endif

/* moments.h: sums over runs of float32 elements, for the normalising kernels.
 *
 * Sums run in 16 float lanes over pieces of at most MASCON_MOMENTS_PIECE elements and are gathered
 * in doubles, so they depend on the length alone and stay exact to float's precision.
 */
#ifndef MASCON_CPU_MOMENTS_H
#define MASCON_CPU_MOMENTS_H

#include <stdint.h>

enum { MASCON_MOMENTS_PIECE = 2048 };

/* Adds the sums of x - shift and of its squares over n elements. */
void masconC_moments(const float *x, int64_t n, float shift, double *sum, double *squares);
/* Mean and sum of the squared deviations of n elements (1 or more): two passes. */
void masconC_mean_squares(const float *x, int64_t n, double *mean, double *squares);
/* Adds the sums of dy and of dy * (x - mean) over n elements. */
void masconC_products(const float *dy, const float *x, int64_t n, float mean, double *sum,
                      double *product);
/* y = (x - mean) * scale + shift */
void masconC_normalise(const float *x, int64_t n, float mean, float scale, float shift, float *y);
/* dx = a * dy + b * (x - mean) + c, and 0 where mask and x is 0 or less. dx may not overlap. */
void masconC_combine(const float *dy, const float *x, int64_t n, float mean, float a, float b,
                     float c, int mask, float *dx);

#endif

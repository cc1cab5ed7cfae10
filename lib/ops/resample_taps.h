/* resample_taps.h: the taps of one output row or column of interpolate, as PyTorch places them.
 *
 * Included where they are computed: by resample.c, and by kernels of devices that make their own
 * table. RESAMPLE_FUNCTION says what kind of functions these are there.
 */
#ifndef MASCON_OPS_RESAMPLE_TAPS_H
#define MASCON_OPS_RESAMPLE_TAPS_H

#include "ops/resample.h"

/* Distance of two outputs in inputs. */
RESAMPLE_FUNCTION double step_of(const masconI_resample *r) {
    if (r->align_corners) return r->out > 1 ? (double)(r->in - 1) / (double)(r->out - 1) : 0;
    return r->given > 0 ? 1 / r->given : (double)r->in / (double)r->out;
}

RESAMPLE_FUNCTION int64_t clip(int64_t i, int64_t size) {
    return i < 0 ? 0 : i >= size ? size - 1 : i;
}

/* Nearest positions are PyTorch's to the bit: it computes them in float for every dtype. */
RESAMPLE_FUNCTION int64_t nearest(const masconI_resample *r, int64_t o) {
    const float step = r->given > 0 ? (float)(1 / r->given) : (float)r->in / (float)r->out;
    const float at = r->mode == NN_NEAREST ? (float)o * step : ((float)o + 0.5f) * step;
    const int64_t i = (int64_t)floorf(at);
    return i < r->in ? i : r->in - 1;
}

/* The cubic convolution kernel at distance t of 0 or more. */
RESAMPLE_FUNCTION double cubic(double t, double a) {
    if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
    return 0;
}

RESAMPLE_FUNCTION int64_t bilinear(const masconI_resample *r, int64_t o, int64_t *index,
                                   double *weight) {
    const double step = step_of(r);
    double at = r->align_corners ? step * (double)o : step * ((double)o + 0.5) - 0.5;
    if (at < 0) at = 0;
    const int64_t first = clip((int64_t)at, r->in);
    double part = at - (double)first;
    if (part > 1) part = 1;
    index[0] = first;
    index[1] = clip(first + 1, r->in);
    weight[0] = 1 - part;
    weight[1] = part;
    return 2;
}

RESAMPLE_FUNCTION int64_t bicubic(const masconI_resample *r, int64_t o, int64_t *index,
                                  double *weight) {
    const double step = step_of(r);
    const double at = r->align_corners ? step * (double)o : step * ((double)o + 0.5) - 0.5;
    const double whole = floor(at);
    for (int k = 0; k < 4; k++) {
        index[k] = clip((int64_t)whole - 1 + k, r->in);
        weight[k] = cubic(fabs(at - (whole - 1 + k)), -0.75);
    }
    return 4;
}

/* A kernel as wide as the step, its weights made to sum to 1. */
RESAMPLE_FUNCTION int64_t antialiased(const masconI_resample *r, int64_t o, int64_t *index,
                                      double *weight) {
    const double step = step_of(r), wide = step > 1 ? step : 1;
    const double half = (r->mode == NN_BICUBIC ? 2 : 1) * wide;
    const double center = step * ((double)o + 0.5);
    int64_t first = (int64_t)(center - half + 0.5), end = (int64_t)(center + half + 0.5);
    if (first < 0) first = 0;
    if (end > r->in) end = r->in;
    if (end - first > r->most) end = first + r->most;
    double sum = 0;
    for (int64_t i = first; i < end; i++) {
        const double t = fabs((double)i - center + 0.5) / wide;
        index[i - first] = i;
        weight[i - first] = r->mode == NN_BICUBIC ? cubic(t, -0.5) : t < 1 ? 1 - t : 0;
        sum += weight[i - first];
    }
    for (int64_t i = 0; i < end - first && sum != 0; i++) weight[i] /= sum;
    return end - first;
}

RESAMPLE_FUNCTION int64_t taps_of(const masconI_resample *r, int64_t o, int64_t *index,
                                  double *weight) {
    if (r->antialias) return antialiased(r, o, index, weight);
    if (r->mode == NN_BICUBIC) return bicubic(r, o, index, weight);
    if (r->mode == NN_BILINEAR) return bilinear(r, o, index, weight);
    index[0] = nearest(r, o);
    weight[0] = 1;
    return 1;
}

#endif

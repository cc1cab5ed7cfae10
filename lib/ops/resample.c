/* resample.c: the taps of interpolate, as PyTorch places them. */
#include "ops/resample.h"

int64_t masconI_resample_size(const mascon_call *call, int direction, int64_t in) {
    if (masconI_given(call, NN_INTERPOLATE_SIZE)) {
        return masconI_attr_int(call, NN_INTERPOLATE_SIZE + direction);
    }
    const int own = direction && masconI_given(call, NN_INTERPOLATE_SCALE_WIDTH);
    const double size =
        floor((double)in * call->attr[own ? NN_INTERPOLATE_SCALE_WIDTH : NN_INTERPOLATE_SCALE]);
    return size < 0x1p53 ? (int64_t)size : (int64_t)1 << 53;
}

/* Distance of two outputs in inputs. */
static double step_of(const masconI_resample *r) {
    if (r->align_corners) return r->out > 1 ? (double)(r->in - 1) / (double)(r->out - 1) : 0;
    return r->given > 0 ? 1 / r->given : (double)r->in / (double)r->out;
}

masconI_resample masconI_resample_of(const mascon_call *call, int direction, int64_t in,
                                     int64_t out) {
    masconI_resample r = {.mode = (int)call->attr[NN_INTERPOLATE_MODE], .in = in, .out = out};
    r.align_corners = call->attr[NN_INTERPOLATE_ALIGN_CORNERS] != 0;
    r.antialias = call->attr[NN_INTERPOLATE_ANTIALIAS] != 0;
    if (masconI_given(call, NN_INTERPOLATE_SCALE)) {
        const int own = direction && masconI_given(call, NN_INTERPOLATE_SCALE_WIDTH);
        r.given = call->attr[own ? NN_INTERPOLATE_SCALE_WIDTH : NN_INTERPOLATE_SCALE];
    }
    r.most = r.mode == NN_BICUBIC ? 4 : r.mode == NN_BILINEAR ? 2 : 1;
    if (r.antialias) {
        const double step = step_of(&r), half = r.mode == NN_BICUBIC ? 2 : 1;
        const double most = 2 * half * (step > 1 ? step : 1) + 2;
        r.most = most < (double)in ? (int64_t)most : in;
    }
    return r;
}

static int64_t clip(int64_t i, int64_t size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

/* Nearest positions are PyTorch's to the bit: it computes them in float for every dtype. */
static int64_t nearest(const masconI_resample *r, int64_t o) {
    const float step = r->given > 0 ? (float)(1 / r->given) : (float)r->in / (float)r->out;
    const float at = r->mode == NN_NEAREST ? (float)o * step : ((float)o + 0.5f) * step;
    const int64_t i = (int64_t)floorf(at);
    return i < r->in ? i : r->in - 1;
}

/* The cubic convolution kernel at distance t of 0 or more. */
static double cubic(double t, double a) {
    if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
    return 0;
}

static int64_t bilinear(const masconI_resample *r, int64_t o, int64_t *index, double *weight) {
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

static int64_t bicubic(const masconI_resample *r, int64_t o, int64_t *index, double *weight) {
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
static int64_t antialiased(const masconI_resample *r, int64_t o, int64_t *index, double *weight) {
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

static int64_t taps_of(const masconI_resample *r, int64_t o, int64_t *index, double *weight) {
    if (r->antialias) return antialiased(r, o, index, weight);
    if (r->mode == NN_BICUBIC) return bicubic(r, o, index, weight);
    if (r->mode == NN_BILINEAR) return bilinear(r, o, index, weight);
    index[0] = nearest(r, o);
    weight[0] = 1;
    return 1;
}

size_t masconI_taps_bytes(const masconI_resample r[2]) {
    size_t bytes = 0;
    for (int d = 0; d < 2; d++) {
        bytes += (size_t)r[d].out * (sizeof(int64_t) + (size_t)r[d].most * 2 * sizeof(int64_t));
    }
    return bytes;
}

void masconI_taps_fill(const masconI_resample r[2], void *memory, masconI_taps taps[2]) {
    char *at = memory;
    for (int d = 0; d < 2; d++) {
        const size_t out = (size_t)r[d].out, all = out * (size_t)r[d].most;
        taps[d] = (masconI_taps){.most = r[d].most, .count = (int64_t *)(void *)at};
        taps[d].index = taps[d].count + out;
        taps[d].weight = (double *)(void *)(taps[d].index + all);
        at += (out + all) * sizeof(int64_t) + all * sizeof(double);
        for (int64_t o = 0; o < r[d].out; o++) {
            taps[d].count[o] =
                taps_of(&r[d], o, taps[d].index + o * r[d].most, taps[d].weight + o * r[d].most);
        }
    }
}

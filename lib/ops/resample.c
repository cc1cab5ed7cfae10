/* resample.c: the taps of interpolate, as PyTorch places them. */
#define RESAMPLE_FUNCTION static
#include "ops/resample_taps.h"

int64_t masconI_resample_size(const mascon_call *call, int direction, int64_t in) {
    if (masconI_given(call, NN_INTERPOLATE_SIZE)) {
        return masconI_attr_int(call, NN_INTERPOLATE_SIZE + direction);
    }
    const int own = direction && masconI_given(call, NN_INTERPOLATE_SCALE_WIDTH);
    const double size =
        floor((double)in * call->attr[own ? NN_INTERPOLATE_SCALE_WIDTH : NN_INTERPOLATE_SCALE]);
    return size < 0x1p53 ? (int64_t)size : (int64_t)1 << 53;
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

/* resample.h: which elements of the input an element of the output of interpolate is made of.
 *
 * Rows and columns are independent: output element (r, q) is the sum over taps (i, u) of row r and
 * (j, v) of column q of u * v * x[i, j]. All kernels share these taps, forward and backward.
 */
#ifndef MASCON_OPS_RESAMPLE_H
#define MASCON_OPS_RESAMPLE_H

#include "ops/nn.h"

enum { /* ORDER: interpolate; interpolate_bwd adds the last two */
       NN_INTERPOLATE_SIZE = 0,
       NN_INTERPOLATE_SCALE = 2,
       NN_INTERPOLATE_SCALE_WIDTH,
       NN_INTERPOLATE_MODE,
       NN_INTERPOLATE_ALIGN_CORNERS,
       NN_INTERPOLATE_ANTIALIAS,
       NN_INTERPOLATE_BWD_HEIGHT,
       NN_INTERPOLATE_BWD_WIDTH
};
enum { NN_NEAREST = 0, NN_NEAREST_EXACT, NN_BILINEAR, NN_BICUBIC };

/* One direction (0: rows, 1: columns) of a checked call. */
typedef struct masconI_resample {
    int mode, align_corners, antialias;
    int64_t in, out;
    double given; /* the factor in the call; 0: none */
    int64_t most; /* taps of one output element at most */
} masconI_resample;

/* The taps of every output row or column: count[o] of them, from o * most on. */
typedef struct masconI_taps {
    int64_t most;
    int64_t *count, *index;
    double *weight;
} masconI_taps;

/* Output size of a direction of `in` elements; less than 1 where there would be none. */
int64_t masconI_resample_size(const mascon_call *call, int direction, int64_t in);
masconI_resample masconI_resample_of(const mascon_call *call, int direction, int64_t in,
                                     int64_t out);
/* Bytes that the taps of both directions take in workspace memory. */
size_t masconI_taps_bytes(const masconI_resample r[2]);
/* Fills the taps of both directions, in memory of that size. */
void masconI_taps_fill(const masconI_resample r[2], void *memory, masconI_taps taps[2]);

#endif

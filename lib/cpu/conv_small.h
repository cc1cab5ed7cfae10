/* conv_small.h: what the files of the few-channel convolution share (conv_small*.c and
 * conv_small_body.h). */
#ifndef MASCON_CPU_CONV_SMALL_H
#define MASCON_CPU_CONV_SMALL_H

#include "cpu/conv.h"

enum {
    MASCON_SMALL_CHANNELS = 12, /* most channels on either side */
    MASCON_SMALL_TAPS = 9
};

/* Planes of a picture or of some of its rows, one per channel: element (row, column) of channel c is
 * at c * plane + (row + 1) * pitch + column + vector. The rows above and below are there too, zeros
 * at the picture's edge, and so are the pitch - w floats behind each row, which also serve as the
 * border before the next. */
typedef struct masconI_planes {
    int64_t h, w, c, pitch, plane, floats;
} masconI_planes;

/* One instruction set. A vector is `vector` pixels of a row. */
typedef struct masconI_small_code {
    int vector;
    int pair; /* planes of dy that are multiplied at a time */
    /* `rows` channels-last rows to rows of planes, beginning with row `at` (-1: the one above) */
    void (*to_planes)(const masconI_planes *p, const float *x, int64_t at, int64_t rows, float *to);
    /* y {w, oc}: row `row` of the convolution of planes with weight {c, 9, oc}, and bias {oc}; what is
     * less than floor becomes floor */
    void (*row)(const masconI_planes *p, const float *from, int64_t row, int64_t oc,
                const float *weight, const float *bias, float floor, float *y);
    /* adds to sums {9, pair, vector} the products of a plane of x and `count` planes of dy, rows
     * first..end-1 */
    void (*products)(const masconI_planes *p, const masconI_planes *d, const float *x,
                     const float *dy, int64_t count, float *sums, int64_t first, int64_t end);
    /* adds the rows of a plane to sums {vector} */
    void (*plane_sum)(const masconI_planes *d, const float *dy, float *sums);
    /* the sum of a vector */
    float (*lanes_sum)(const float *v);
} masconI_small_code;

extern const masconI_small_code masconI_small_avx512, masconI_small_avx2;

#endif

/* winograd_int16.h: what winograd_bf16.c's products of 16-bit whole numbers share with their driver,
 * winograd_int16.c.
 *
 * Transformed values of F(4x4, 3x3) need more digits than bfloat16 has: rounded to it, they would add an
 * error of 1 % to results whose own rounding is 0.3 %. Whole numbers of 13 bits with a scale in common have
 * enough (0.1 %), and a processor with AVX-512 VNNI multiplies and adds them as fast as bfloat16: twice as
 * fast as float32. A sum over CHUNK channels fits into 32 bits whatever the values are; the chunks are
 * added in float32, in their order.
 *
 *   v {36, tiles, row of c}           input, transformed
 *   v_scale {chunks, tiles}           the value of 1 in v, but for a factor of the position
 *   u {36, panels, row / 2, panel}    pairs of channels of the weights, transformed
 *   u_scale {chunks, out_row}         the value of 1 in u, likewise
 *   m {36, tiles, out_row}            products, float32
 * `row` is c in whole vectors of 16; a panel has 64 output channels, the last one may have fewer.
 */
#ifndef MASCON_CPU_WINOGRAD_INT16_H
#define MASCON_CPU_WINOGRAD_INT16_H

#include "cpu/winograd.h"

enum { MASCON_INT16_CHUNK = 32 /* channels */, MASCON_INT16_PANEL = 64, MASCON_INT16_VECTOR = 16 };

/* 1 where the processor has the instruction; mascon_testing_conv's switch counts. */
int masconI_int16_here(void);

typedef struct masconI_int16_input {
    const masconI_tiling *g;
    const void *x; /* bfloat16 */
    int16_t *v;
    float *scale;
    int64_t row, step, scale_step; /* of v a tile, a position; of scale a chunk; in elements */
} masconI_int16_input;

/* `count` tiles from number `tile` on, which become tiles `to`.. of v; chunks first..end-1 */
void masconI_int16_input_run(const masconI_int16_input *j, int64_t tile, int64_t count, int64_t to,
                             int64_t first, int64_t end);

typedef struct masconI_int16_weights {
    const void *weight; /* {oc, 3, 3, c}, bfloat16 or, if wide, float32 */
    int wide, back;     /* back: for the gradient of x, where the outputs are the c channels */
    int64_t c, oc;
    int32_t *u;
    float *scale;
    int64_t step, scale_step; /* of u a position, in pairs; of scale a chunk */
} masconI_int16_weights;

/* Vector number `block` of the outputs. */
void masconI_int16_weights_run(const masconI_int16_weights *j, int64_t block);

typedef struct masconI_int16_product {
    const int16_t *v; /* of this position, as u and m */
    const int32_t *u;
    const float *v_scale, *u_scale;
    float *m;
    int64_t tiles, row, out_row, v_scale_step, u_scale_step;
    int position;
} masconI_int16_product;

void masconI_int16_multiply(const masconI_int16_product *p);

/* The driver, as winograd.c's functions for bfloat16 pictures, forward and the gradient of x. */
int masconI_winograd_int16_fits(const mascon_window2d *w);
size_t masconI_winograd_int16_workspace(const mascon_window2d *w, int kind,
                                        const masconI_fold *fold);
mascon_status masconI_winograd_int16_run(const mascon_window2d *w, int kind, void *x,
                                         const mascon_tensor *weight, const masconI_fold *fold,
                                         const masconI_finish *finish, void *y, void *workspace);

#endif

/* winograd.h: what the files of the Winograd convolution share (winograd*.c, winograd_body.h).
 *
 * F(4x4, 3x3) after Lavin and Gray (2016): an output tile of 4x4 pixels comes from an input tile of
 * 6x6, and in a transformed domain of 36 positions the convolution over channels is 36 small matrix
 * products, a quarter of the multiplications of the direct sum:
 *   y = At [ (G g Gt) * (Bt d B) ] A          forward, and the gradient of x
 *   dg = Gt [ (Bt d B) * (A dy At) ] G        the gradient of the weights
 *
 * Matrices of the transformed domain, float32, with channels padded to whole vectors (`row`):
 *   v {36, tiles, row of c}    the input, transformed
 *   u {36, panels, c, panel}   the weights, transformed; a panel is up to `panel` output channels,
 *                              the last one may be narrower
 *   m {36, tiles, row of oc}   products, or the transformed dy
 * `step` is the distance from one of the 36 positions to the next, in floats.
 */
#ifndef MASCON_CPU_WINOGRAD_H
#define MASCON_CPU_WINOGRAD_H

#include "cpu/conv.h"

enum {
    MASCON_WINOGRAD_POSITIONS = 36,
    MASCON_WINOGRAD_TILE = 4,
    MASCON_WINOGRAD_CHANNELS = 2048 /* most channels on either side */
};

/* Pictures from {n, h, w, c} to {n, oh, ow, oc}, channels-last, in tiles of 4x4 outputs, numbered
 * through the batch row by row. For the gradient of x the roles are already exchanged. */
typedef struct masconI_tiling {
    int64_t n, h, w, c, oh, ow, oc;
    int64_t top, left; /* rows and columns of zeros before the input; never negative */
    int64_t down, across, tiles;
} masconI_tiling;

/* One product of matrices for one of the positions. With whole vectors along j:
 *   c[i * ldc + j] = (accumulate ? c : 0) + sum over p of a[i * a_row + p * a_inner] * b(p, j) */
typedef struct masconI_positions {
    const float *a, *b;
    float *c;
    int64_t rows, inner, width; /* width: floats along j, whole vectors */
    int64_t a_row, a_inner, ldc;
    int64_t b_row, b_panel; /* b_row 0: b lies in panels as u does */
    int accumulate;
} masconI_positions;

/* One instruction set. Channel ranges first..end-1 begin at a whole vector. */
typedef struct masconI_winograd_code {
    int vector, panel; /* floats */
    /* x to v, `count` tiles from number `tile` on; v[0] is of channel `first` */
    void (*input)(const masconI_tiling *g, const void *x, int64_t tile, int64_t count,
                  int64_t first, int64_t end, float *v, int64_t row, int64_t step);
    /* weights {oc, 3, 3, c} to u {36, c, width}, of which vector number `block` of the outputs is
     * made. back: for the gradient of x, where the outputs are the c channels and the taps turn
     * round */
    void (*weights)(const void *weight, int64_t c, int64_t oc, int back, int64_t block, float *u,
                    int64_t width, int64_t step);
    void (*multiply)(const masconI_positions *p);
    /* m to y; m[0] is of channel 0 */
    void (*output)(const masconI_tiling *g, const float *m, int64_t row, int64_t step, int64_t tile,
                   int64_t count, int64_t first, int64_t end, const masconI_finish *finish,
                   void *y);
    /* dy {n, oh, ow, oc} to m, and the sum of each tile to a 37th position behind it; m[0] is of
     * channel `first` */
    void (*gradient)(const masconI_tiling *g, const void *dy, int64_t tile, int64_t count,
                     int64_t first, int64_t end, float *m, int64_t row, int64_t step);
    /* the sums {36, oc, row of c} to a part {oc, 3, 3, c} of dw {.., 3, 3, all_c} */
    void (*gather)(const float *sums, int64_t row, int64_t step, int64_t c, int64_t oc,
                   int64_t all_c, float *dw);
} masconI_winograd_code;

extern const masconI_winograd_code masconI_winograd_avx512, masconI_winograd_avx2,
    masconI_winograd_bf16; /* x, y, dy and plain weights in bfloat16; AVX-512 */

/* What this processor runs; NULL: none. */
const masconI_winograd_code *masconI_winograd_code_here(int bf16);

/* ---- winograd.c, winograd_weight.c, winograd_int16.c: the drivers ---- */

/* A block has whole ROWS of tiles, at most MOST_TILES; few tiles make PIECES blocks for the threads. */
enum { MASCON_WINOGRAD_ROWS = 6, MASCON_WINOGRAD_MOST_TILES = 48, MASCON_WINOGRAD_PIECES = 8 };

/* The tiling of a window; back: for the gradient of x. */
masconI_tiling masconI_tiling_of(const mascon_window2d *w, int back);

/* What the transformed weights are kept by (masconI_form): odd, and of sizes, direction and vector length
 * alone. */
static inline uint64_t masconI_winograd_form_id(const masconI_tiling *g, int vector, int back) {
    const uint64_t sizes = (uint64_t)g->c << 16 | (uint64_t)g->oc;
    return sizes << 8 | (uint64_t)vector << 2 | (uint64_t)back << 1 | 1;
}

static inline int64_t masconI_least(int64_t a, int64_t b) { return a < b ? a : b; }
/* How many pieces of `size` cover n; the size of so many pieces that are as even as they can be. */
static inline int64_t masconI_pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }
static inline int64_t masconI_whole(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

#endif

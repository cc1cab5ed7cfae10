/* max_pool2d.c: max pooling and its backward op on channels-last float32 or bfloat16, 8-bit positions.
 *
 * x {n, c, h, w}, y and positions {n, c, oh, ow}. A position is i * kw + j of the first largest
 * element of its window; a NaN wins over every number. */
#include <string.h>

#include "core/simd.h"
#include "cpu/lanes.h"
#include "ops/nn.h"

/* Output elements of one slice, about. */
enum { SLICE = 8192, BLOCK = 64 };

/* The part of one window that lies inside the input: rows and columns of the kernel, and where its
 * first element lies in the picture. */
typedef struct window {
    int64_t i0, i1, j0, j1, row, column;
} window;

/* How many steps of d lead to `to` or beyond; most kernels are dense and spare the division. */
static inline int64_t steps(int64_t to, int64_t d) { return d == 1 ? to : (to + d - 1) / d; }

static inline window place(const mascon_window2d *w, int64_t r, int64_t q) {
    window s = {.row = r * w->sh - w->top, .column = q * w->sw - w->left};
    s.i0 = s.row < 0 ? steps(-s.row, w->dh) : 0;
    s.j0 = s.column < 0 ? steps(-s.column, w->dw) : 0;
    s.i1 = steps(w->h - s.row, w->dh);
    s.j1 = steps(w->w - s.column, w->dw);
    if (s.i1 > w->kh) s.i1 = w->kh;
    if (s.j1 > w->kw) s.j1 = w->kw;
    return s;
}

/* Offset of window element (i, j) in the picture. */
static int64_t element(const mascon_window2d *w, const window *s, int64_t i, int64_t j) {
    return ((s->row + i * w->dh) * w->w + s->column + j * w->dw) * w->c;
}

#if MASCON_HAS_AVX512_CODE
static inline __mmask16 lanes(int64_t left) {
    return (__mmask16)(left >= 16 ? 0xffffu : (1u << left) - 1);
}
#endif

typedef struct job {
    mascon_window2d w;
    const void *x; /* backward: dy */
    void *y;       /* backward: dx */
    uint8_t *positions;
    int64_t rows; /* of output, in one slice of the forward pass */
    int wide;     /* AVX-512 */
    int few;      /* the 2x2 rows of up to 16 channels */
} job;

#define SUFFIX f32
#define ELEMENT float
#include "cpu/max_pool2d_body.h"
#define SUFFIX bf16
#define ELEMENT uint16_t
#include "cpu/max_pool2d_body.h"

/* ---- The kernels ---- */

/* Whether no two windows share an element. */
static int apart(const mascon_window2d *w) {
    return w->sh >= (w->kh - 1) * w->dh + 1 && w->sw >= (w->kw - 1) * w->dw + 1;
}

static int wish_any(const mascon_call *call, mascon_wish *w) {
    const int half = SRC(call, 0)->dtype == MASCON_DTYPE_BF16;
    if ((SRC(call, 0)->dtype != MASCON_DTYPE_F32 && !half) || SRC(call, 0)->numel == 0) return 0;
    mascon_window2d window2d;
    masconI_window2d(call, &window2d);
    if (window2d.kh * window2d.kw > 256) return 0; /* wider positions */
    /* where windows share elements, gradients are added, in float32 */
    if (half && call->op == MASCON_OP_max_pool2d_bwd && !apart(&window2d)) return 0;
    w->src[0] = w->dst[0] = MASCON_WISH_NHWC;
    w->src[1] = w->dst[1] = MASCON_WISH_NHWC;
    return 1;
}

/* A store must not run over more than the next pixel, hence at least 8 channels. */
static int few_channels(const mascon_window2d *w) {
    return w->kh == 2 && w->kw == 2 && w->sh == 2 && w->sw == 2 && w->dh == 1 && w->dw == 1 &&
           w->top == 0 && w->left == 0 && 2 * w->oh <= w->h && 2 * w->ow <= w->w && w->c >= 8 &&
           w->c <= 16;
}

static int wide(void) {
#if MASCON_HAS_AVX512_CODE
    return masconI_has_avx512();
#else
    return 0;
#endif
}

static mascon_status max_pool2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.x = SRC(call, 0)->data, .y = DST(call, 0)->data, .wide = wide()};
    if (call->n_dst > 1) j.positions = DST(call, 1)->data;
    masconI_window2d(call, &j.w);
    j.few = j.wide && few_channels(&j.w);
    j.rows = 1 + SLICE / (j.w.ow * j.w.c);
    const int64_t slices = (j.w.n * j.w.oh + j.rows - 1) / j.rows;
    const int half = SRC(call, 0)->dtype == MASCON_DTYPE_BF16;
    masconI_parallel(slices, half ? slice_bf16 : slice_f32, &j);
    return MASCON_OK;
}

static mascon_status max_pool2d_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {.x = SRC(call, 0)->data, .y = DST(call, 0)->data, .wide = wide()};
    j.positions = SRC(call, 1)->data;
    masconI_window2d(call, &j.w);
    j.few = j.wide && few_channels(&j.w);
    const int half = SRC(call, 0)->dtype == MASCON_DTYPE_BF16;
    masconI_parallel(j.w.n, half ? slice_back_bf16 : slice_back_f32, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_max_pool2d = {.wish = wish_any, .run = max_pool2d};
const mascon_kernel masconC_max_pool2d_bwd = {.wish = wish_any, .run = max_pool2d_bwd};

/* depthwise.c: 3x3 convolution of each channel by itself (groups = channels), step 1 or 2, forward,
 * and with step 1 the gradient of x, which is the same with the taps turned round.
 *
 * Vectors lie along the channels. Slices are rows of the output; each output is the sum of one slice
 * in one order. depthwise_body.h has the loops.
 */
#include "cpu/depthwise.h"

#include "core/simd.h"

enum { TAPS = 9, LINE = 16, PIECES = 32 };

static masconI_depthwise_rows *rows_here(void) {
#if MASCON_HAS_AVX512_CODE
    if (masconI_conv_avx512()) return masconI_depthwise_avx512;
    if (masconI_conv_avx2()) return masconI_depthwise_avx2;
#endif
    return NULL;
}

int masconI_depthwise_fits(const mascon_window2d *w, int kind) {
    if (kind == MASCON_CONV_BWD_WEIGHT || (kind == MASCON_CONV_BWD_DATA && w->sh != 1)) return 0;
    if (w->groups != w->c || w->groups != w->oc || w->c > MASCON_DEPTHWISE_CHANNELS) return 0;
    if (w->kh != 3 || w->kw != 3 || w->dh != 1 || w->dw != 1) return 0;
    if (w->sh != w->sw || w->sh > 2) return 0;
    if (w->top > 2 || w->bottom > 2 || w->left > 2 || w->right > 2) return 0;
    return rows_here() != NULL;
}

/* A line more than the channels need keeps the nine rows apart in the sets of the caches. */
static int64_t row_of(const mascon_window2d *w) { return (w->c + LINE - 1) / LINE * LINE + LINE; }

size_t masconI_depthwise_workspace(const mascon_window2d *w) {
    return sizeof(float) * (size_t)(TAPS * row_of(w));
}

typedef struct job {
    masconI_depthwise g;
    masconI_depthwise_rows *rows;
    int64_t size;
    const float *x, *weight;
    masconI_finish finish;
    float *y;
} job;

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t first = i * j->size, all = j->g.n * j->g.oh;
    const int64_t end = first + j->size < all ? first + j->size : all;
    j->rows(&j->g, j->x, j->weight, j->finish.bias, first, end, j->y);
    if (!j->finish.residual) return;
    const int64_t row = j->g.ow * j->g.c;
    masconI_finish_run(&j->finish, j->y, first * row, (end - first) * row);
}

void masconI_depthwise_run(const mascon_window2d *w, int kind, float *x, const float *weight,
                           const masconI_finish *finish, float *y, void *workspace) {
    const int back = kind == MASCON_CONV_BWD_DATA;
    const int64_t row = row_of(w);
    float *ordered = workspace;
    for (int64_t c = 0; c < row; c++) { /* {c, 9} to {9, row} */
        for (int64_t k = 0; k < TAPS; k++) {
            ordered[k * row + c] = c < w->c ? weight[c * TAPS + (back ? TAPS - 1 - k : k)] : 0;
        }
    }
    job j = {.rows = rows_here(), .weight = ordered, .finish = *finish};
    if (back) {
        j.g = (masconI_depthwise){w->n, w->oh,      w->ow,       w->c, w->h, w->w,
                                  1,    2 - w->top, 2 - w->left, row,  0};
    } else {
        j.g = (masconI_depthwise){w->n,  w->h,   w->w,    w->c, w->oh, w->ow,
                                  w->sh, w->top, w->left, row,  0};
    }
    j.g.floor = finish->relu && !finish->residual ? 0 : -INFINITY;
    j.x = back ? y : x;
    j.y = back ? x : y;
    const int64_t all = j.g.n * j.g.oh;
    j.size = (all + PIECES - 1) / PIECES;
    masconI_parallel((all + j.size - 1) / j.size, slice, &j);
}

/* conv_small.c: 3x3 convolution with step 1 and few channels.
 *
 * With 10 channels in a vector of 16, channels-last memory would leave a third of every
 * multiplication unused. So rows are turned into planes, one per channel, that stay in the
 * second-level cache; vectors run along the width, and results are turned back. Slices are pieces of
 * the batch or, where it is small, rows of a picture; everything is added in an order set by the
 * shapes. conv_small_body.h has the loops.
 */
#include "cpu/conv_small.h"

#include <string.h>

#include "core/simd.h"

enum { MOST = MASCON_SMALL_CHANNELS, TAPS = MASCON_SMALL_TAPS, LINE = 16 };
/* A slice's planes must fit the second-level cache beside the weights. */
static const int64_t most_floats = 96 * 1024;

static const masconI_small_code *code_here(void) {
#if MASCON_HAS_AVX512_CODE
    if (masconI_conv_avx512()) return &masconI_small_avx512;
    if (masconI_conv_avx2()) return &masconI_small_avx2;
#endif
    return NULL;
}

static int64_t whole(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

static masconI_planes planes_of(int64_t h, int64_t w, int64_t c, int64_t vector) {
    masconI_planes p = {.h = h, .w = w, .c = c};
    p.pitch = whole(w, vector) + vector;
    p.plane = (h + 3) * p.pitch + 2 * vector; /* a vector may read past the last row */
    p.floats = whole(c * p.plane + 2 * vector, LINE);
    return p;
}

int masconI_conv_small_fits(const mascon_window2d *w, int kind) {
    const masconI_small_code *code = code_here();
    (void)kind;
    if (!code) return 0;
    if (w->kh != 3 || w->kw != 3 || w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1) return 0;
    if (w->top != 1 || w->bottom != 1 || w->left != 1 || w->right != 1 || w->groups != 1) return 0;
    /* other widths would leave vectors half empty */
    if (w->oc > MOST || w->c > MOST || w->w % code->vector != 0) return 0;
    return planes_of(w->h, w->w, w->c + w->oc, code->vector).floats <= most_floats;
}

/* ---- Slices ---- */

typedef struct job {
    const mascon_window2d *w;
    const masconI_small_code *code;
    masconI_cut cut;
    int64_t parts, rows;     /* a picture's rows in parts of `rows`; 1 part: slices of the batch */
    masconI_planes from, dy; /* from: x, or dy for the gradient of x */
    const float *x, *y, *weight, *bias;
    masconI_finish finish;
    float floor;
    float *out;
    float *rooms, *sums; /* rooms: of each thread; sums {9 * c * oc + oc} of each slice */
    int64_t room;        /* floats */
} job;

/* Few pictures are cut into parts of at least 8 rows. */
static void choose_parts(job *j, int kind) {
    const int64_t wanted = 8, least_rows = 8;
    const mascon_window2d *w = j->w;
    j->cut = masconI_cut_batch(w->n);
    j->parts = 1;
    j->rows = w->h;
    if (kind == MASCON_CONV_BWD_WEIGHT || w->n >= wanted / 2) return;
    j->rows = (w->h * w->n + wanted - 1) / wanted;
    if (j->rows < least_rows) j->rows = least_rows;
    if (j->rows > w->h) j->rows = w->h;
    j->parts = (w->h + j->rows - 1) / j->rows;
    if (j->parts > 1) j->cut = (masconI_cut){.size = 1, .count = w->n};
}

static void slice(void *context, int64_t index, int thread) {
    const job *j = context;
    const masconI_planes *p = &j->from;
    const int64_t h = j->w->h, out_channels = j->x ? j->w->oc : j->w->c;
    const float *in = j->x ? j->x : j->y;
    float *room = j->rooms + j->room * thread;
    const int64_t first = index / j->parts * j->cut.size, top = index % j->parts * j->rows;
    const int64_t end = first + j->cut.size < j->w->n ? first + j->cut.size : j->w->n;
    const int64_t rows = top + j->rows < h ? j->rows : h - top;
    const int64_t above = top > 0, below = top + rows < h; /* neighbours inside of the picture */
    memset(room, 0, sizeof(float) * (size_t)p->floats);
    for (int64_t n = first; n < end; n++) {
        j->code->to_planes(p, in + (n * h + top - above) * p->w * p->c, -above,
                           rows + above + below, room);
        const int64_t row = p->w * out_channels, at = (n * h + top) * row;
        for (int64_t r = 0; r < rows; r++) {
            j->code->row(p, room, r, out_channels, j->weight, j->bias, j->floor,
                         j->out + at + r * row);
        }
        if (j->finish.residual) masconI_finish_run(&j->finish, j->out, at, rows * row);
    }
}

/* ---- The gradient of the weights ---- */

/* Rows taken at a time: so many of x and dy together stay in the first-level cache while every pair
 * of their planes is multiplied. */
enum { STRIP = 16 };

/* Floats of the vector sums of a slice: {c, pairs of oc, 9, pair, vector}, then db's {oc, vector}. */
static int64_t vector_sums(const mascon_window2d *w, const masconI_small_code *code) {
    return (w->c * whole(w->oc, code->pair) * TAPS + w->oc) * code->vector;
}

/* A slice's sum in the order of dw {oc, 3, 3, c}, then db {oc}. */
static int64_t plain_sums(const mascon_window2d *w) {
    return whole(w->oc * TAPS * w->c + w->oc, LINE);
}

/* vector sums to plain sums */
static void add_lanes(const job *j, const float *sums, const float *bias, float *out) {
    const mascon_window2d *w = j->w;
    const int64_t pair = j->code->pair, vector = j->code->vector, all = whole(w->oc, pair);
    for (int64_t o = 0; o < w->oc; o++) {
        for (int64_t k = 0; k < TAPS; k++) {
            for (int64_t c = 0; c < w->c; c++) {
                const int64_t at = ((c * all + o / pair * pair) * TAPS + k * pair + o % pair);
                out[(o * TAPS + k) * w->c + c] = j->code->lanes_sum(sums + at * vector);
            }
        }
        out[w->oc * TAPS * w->c + o] = j->code->lanes_sum(bias + o * vector);
    }
}

static void slice_weight(void *context, int64_t index, int thread) {
    const job *j = context;
    const mascon_window2d *w = j->w;
    const int64_t pair = j->code->pair, vector = j->code->vector, all = whole(w->oc, pair);
    float *x = j->rooms + j->room * thread, *dy = x + j->from.floats, *sums = dy + j->dy.floats;
    float *bias = sums + w->c * all * TAPS * vector;
    const int64_t first = index * j->cut.size;
    const int64_t end = first + j->cut.size < w->n ? first + j->cut.size : w->n;
    memset(x, 0, sizeof(float) * (size_t)j->room);
    for (int64_t n = first; n < end; n++) {
        j->code->to_planes(&j->from, j->x + n * w->h * w->w * w->c, 0, w->h, x);
        j->code->to_planes(&j->dy, j->y + n * w->h * w->w * w->oc, 0, w->h, dy);
        for (int64_t r = 0; r < w->h; r += STRIP) {
            const int64_t r_end = r + STRIP < w->h ? r + STRIP : w->h;
            for (int64_t c = 0; c < w->c; c++) {
                for (int64_t o = 0; o < w->oc; o += pair) {
                    j->code->products(&j->from, &j->dy, x + c * j->from.plane, dy + o * j->dy.plane,
                                      w->oc - o < pair ? w->oc - o : pair,
                                      sums + (c * all + o) * TAPS * vector, r, r_end);
                }
            }
        }
        for (int64_t o = 0; o < w->oc; o++) {
            j->code->plane_sum(&j->dy, dy + o * j->dy.plane, bias + o * vector);
        }
    }
    add_lanes(j, sums, bias, j->sums + plain_sums(w) * index);
}

/* ---- The kernel ---- */

/* All of a job but its tensors; returns the floats that its slices share. */
static int64_t plan(const mascon_window2d *w, int kind, job *j) {
    *j = (job){.w = w, .code = code_here()};
    choose_parts(j, kind);
    const masconI_planes x = planes_of(j->rows, w->w, w->c, j->code->vector);
    const masconI_planes y = planes_of(j->rows, w->w, w->oc, j->code->vector);
    j->from = kind == MASCON_CONV_BWD_DATA ? y : x;
    j->dy = y;
    j->room = j->from.floats;
    if (kind != MASCON_CONV_BWD_WEIGHT) return whole(w->c * w->oc * TAPS + MOST, LINE);
    j->room = whole(x.floats + y.floats + vector_sums(w, j->code), LINE);
    return plain_sums(w) * j->cut.count;
}

size_t masconI_conv_small_workspace(const mascon_window2d *w, int kind) {
    job j;
    const int64_t shared = plan(w, kind, &j);
    return sizeof(float) * (size_t)(shared + j.room * mascon_num_threads());
}

/* to {in, 9, out} with a bias behind it, from weight {oc, 9, c}. For the gradient of x, in and out
 * change places and the taps turn round. */
static void order_weights(const mascon_window2d *w, int back, const float *weight,
                          const float *bias, float *to) {
    const int64_t in = back ? w->oc : w->c, out = back ? w->c : w->oc;
    for (int64_t i = 0; i < in; i++) {
        for (int64_t k = 0; k < TAPS; k++) {
            for (int64_t o = 0; o < out; o++) {
                *to++ = back ? weight[(i * TAPS + TAPS - 1 - k) * w->c + o]
                             : weight[(o * TAPS + k) * w->c + i];
            }
        }
    }
    for (int64_t o = 0; o < out; o++) *to++ = bias ? bias[o] : 0;
}

mascon_status masconI_conv_small_run(const mascon_window2d *w, int kind, float *x,
                                     const float *weight, const masconI_finish *finish, float *y,
                                     void *workspace) {
    job j;
    float *work = workspace;
    const int64_t shared = plan(w, kind, &j);
    const int back = kind == MASCON_CONV_BWD_DATA;
    j.rooms = work + shared;
    order_weights(w, back, weight, finish->bias, work);
    j.weight = work;
    j.bias = work + w->c * w->oc * TAPS;
    j.finish = *finish;
    j.floor = finish->relu && !finish->residual ? 0 : -INFINITY;
    j.x = back ? NULL : x;
    j.y = back ? y : NULL;
    j.out = back ? x : y;
    masconI_parallel(j.cut.count * j.parts, slice, &j);
    return MASCON_OK;
}

mascon_status masconI_conv_small_weight_run(const mascon_window2d *w, const float *x,
                                            const float *dy, float *dw, float *db,
                                            void *workspace) {
    job j;
    const int64_t shared = plan(w, MASCON_CONV_BWD_WEIGHT, &j);
    j.sums = workspace;
    j.rooms = j.sums + shared;
    j.x = x;
    j.y = dy;
    masconI_parallel(j.cut.count, slice_weight, &j);
    masconI_conv_sum(j.sums, plain_sums(w), j.cut.count, dw, w->oc * TAPS * w->c, db, w->oc);
    return MASCON_OK;
}

/* winograd.c: 3x3 convolution with step 1 by Winograd's method, forward and the gradient of x.
 *
 * Two ways through the work, chosen by the sizes alone:
 *   by tiles      a slice takes a block of tiles through input transform, 36 products and output
 *                 transform, all in the second-level cache. Each block reads all of u.
 *   by positions  for many channels, where u is far larger than that cache: the input of many tiles
 *                 is transformed, then each slice does one of the 36 products, then the output is
 *                 transformed. u is read once for all these tiles.
 * Each output is the sum of one slice in one order, so both give the same bits, for any number of
 * threads. Error: about 1e-6 of the largest magnitude.
 */
#include "cpu/winograd.h"
#include "core/simd.h"

enum { POSITIONS = MASCON_WINOGRAD_POSITIONS, TILE = MASCON_WINOGRAD_TILE };
enum { ROWS = 6, MOST_TILES = 48, PIECES = 8, LINE = 16 /* floats */ };
/* By tiles, v and m of a block (in floats) share the second-level cache with u. */
static const int64_t block_floats = 96 * 1024;
/* u of this many floats makes the work go by positions. */
static const int64_t large_weights = 256 * 1024;
/* By positions, v and m of this many floats stay in the third-level cache. */
static const int64_t chunk_floats = 1280 * 1024;

const masconI_winograd_code *masconI_winograd_code_here(int bf16) {
#if MASCON_HAS_AVX512_CODE
    if (bf16) return masconI_conv_avx512() ? &masconI_winograd_bf16 : NULL;
    if (masconI_conv_avx512()) return &masconI_winograd_avx512;
    if (masconI_conv_avx2()) return &masconI_winograd_avx2;
#endif
    (void)bf16;
    return NULL;
}

int masconI_winograd_fits(const mascon_window2d *w) {
    if (w->kh != 3 || w->kw != 3 || w->sh != 1 || w->sw != 1 || w->dh != 1 || w->dw != 1) return 0;
    if (w->top > 2 || w->bottom > 2 || w->left > 2 || w->right > 2 || w->groups != 1) return 0;
    if (w->c > MASCON_WINOGRAD_CHANNELS || w->oc > MASCON_WINOGRAD_CHANNELS) return 0;
    return masconI_winograd_code_here(w->bf16) != NULL;
}

masconI_tiling masconI_tiling_of(const mascon_window2d *w, int back) {
    masconI_tiling g = {.n = w->n};
    if (back) {
        g = (masconI_tiling){.n = w->n,
                             .h = w->oh,
                             .w = w->ow,
                             .c = w->oc,
                             .oh = w->h,
                             .ow = w->w,
                             .oc = w->c,
                             .top = 2 - w->top,
                             .left = 2 - w->left};
    } else {
        g = (masconI_tiling){.n = w->n,
                             .h = w->h,
                             .w = w->w,
                             .c = w->c,
                             .oh = w->oh,
                             .ow = w->ow,
                             .oc = w->oc,
                             .top = w->top,
                             .left = w->left};
    }
    g.down = (g.oh + TILE - 1) / TILE;
    g.across = (g.ow + TILE - 1) / TILE;
    g.tiles = g.n * g.down * g.across;
    return g;
}

typedef struct scheme {
    const masconI_winograd_code *code;
    masconI_tiling g;
    int back, by_positions, bf16;
    int64_t row, out_row;           /* floats of a tile in v and m */
    int64_t size;                   /* tiles of a block or chunk */
    int64_t v_step, u_step, m_step; /* from one position to the next */
    int64_t u_floats, room;         /* room: v and m */
} scheme;

static scheme plan(const mascon_window2d *w, int kind) {
    scheme s = {.code = masconI_winograd_code_here(w->bf16), .back = kind == MASCON_CONV_BWD_DATA};
    s.g = masconI_tiling_of(w, s.back);
    s.bf16 = w->bf16;
    s.row = masconI_whole(s.g.c, s.code->vector);
    s.out_row = masconI_whole(s.g.oc, s.code->vector);
    /* A line more than a round size keeps the 36 positions apart in the sets of the caches. */
    s.u_step = masconI_whole(s.g.c * s.out_row, LINE) + LINE;
    s.u_floats = POSITIONS * s.u_step;
    const int64_t tile_floats = POSITIONS * (s.row + s.out_row);
    s.by_positions = s.u_floats >= large_weights;
    if (s.by_positions) {
        int64_t chunks = (s.g.tiles * tile_floats + chunk_floats - 1) / chunk_floats;
        s.size = (s.g.tiles + chunks - 1) / chunks;
    } else {
        s.size = block_floats / tile_floats / ROWS * ROWS;
        const int64_t even = masconI_whole((s.g.tiles + PIECES - 1) / PIECES, ROWS);
        if (s.size > even) s.size = even;
        if (s.size > MOST_TILES) s.size = MOST_TILES;
        if (s.size < ROWS) s.size = ROWS;
    }
    s.v_step = masconI_whole(s.size * s.row, LINE) + LINE;
    s.m_step = masconI_whole(s.size * s.out_row, LINE) + LINE;
    s.room = POSITIONS * (s.v_step + s.m_step);
    return s;
}

/* ---- Weights ---- */

typedef struct weights_job {
    const scheme *s;
    const masconI_winograd_code *code;
    const void *plain;
    float *u;
} weights_job;

static void weights_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const weights_job *j = context;
    const masconI_tiling *g = &j->s->g;
    const int back = j->s->back;
    j->code->weights(j->plain, back ? g->oc : g->c, back ? g->c : g->oc, back, i, j->u,
                     j->s->u_step);
}

static mascon_status make_weights(const void *context, const float *plain, float *to) {
    weights_job j = {.s = context, .plain = plain, .u = to};
    j.code = j.s->code;
    masconI_parallel(j.s->out_row / j.s->code->vector, weights_slice, &j);
    return MASCON_OK;
}

/* Folded weights are float32 whatever the plain ones are. */
static mascon_status make_folded(const void *context, const float *plain, float *to) {
    weights_job j = {.s = context, .plain = plain, .u = to};
    j.code = masconI_winograd_code_here(0);
    masconI_parallel(j.s->out_row / j.s->code->vector, weights_slice, &j);
    return MASCON_OK;
}

/* Odd, and of these sizes, direction and instruction set alone: see masconI_form. */
static uint64_t form_id(const scheme *s) {
    const uint64_t sizes = (uint64_t)s->g.c << 16 | (uint64_t)s->g.oc;
    return sizes << 8 | (uint64_t)s->code->vector << 2 | (uint64_t)s->back << 1 | 1;
}

/* ---- The work ---- */

typedef struct job {
    const scheme *s;
    const float *x, *u;
    masconI_finish finish;
    float *y, *v, *m;
    int64_t first, count; /* tiles of this chunk */
} job;

static void multiply(const scheme *s, const job *j, const float *v, float *m, int64_t count,
                     int64_t position) {
    const masconI_positions p = {.a = v + position * s->v_step,
                                 .b = j->u + position * s->u_step,
                                 .c = m + position * s->m_step,
                                 .rows = count,
                                 .inner = s->g.c,
                                 .width = s->out_row,
                                 .a_row = s->row,
                                 .a_inner = 1,
                                 .ldc = s->out_row};
    s->code->multiply(&p);
}

static void tiles_slice(void *context, int64_t i, int thread) {
    const job *j = context;
    const scheme *s = j->s;
    const int64_t first = i * s->size, rest = s->g.tiles - first;
    const int64_t count = rest < s->size ? rest : s->size;
    float *v = j->v + s->room * thread, *m = v + POSITIONS * s->v_step;
    s->code->input(&s->g, j->x, first, count, 0, s->g.c, v, s->row, s->v_step);
    for (int64_t p = 0; p < POSITIONS; p++) multiply(s, j, v, m, count, p);
    s->code->output(&s->g, m, s->out_row, s->m_step, first, count, 0, s->g.oc, &j->finish, j->y);
}

/* By positions, a slice of the transforms: so many tiles and channels. */
enum { SOME_TILES = 4, SOME_CHANNELS = 128 };

static int64_t groups(int64_t tiles, int64_t channels) {
    return (tiles + SOME_TILES - 1) / SOME_TILES * ((channels + SOME_CHANNELS - 1) / SOME_CHANNELS);
}

typedef struct group {
    int64_t tile, count, first, end; /* of the chunk; channels */
} group;

static group group_of(int64_t i, int64_t tiles, int64_t channels) {
    const int64_t parts = (channels + SOME_CHANNELS - 1) / SOME_CHANNELS;
    group r = {.tile = i / parts * SOME_TILES, .first = i % parts * SOME_CHANNELS};
    r.count = tiles - r.tile < SOME_TILES ? tiles - r.tile : SOME_TILES;
    r.end = channels - r.first < SOME_CHANNELS ? channels : r.first + SOME_CHANNELS;
    return r;
}

static void input_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const group r = group_of(i, j->count, s->g.c);
    s->code->input(&s->g, j->x, j->first + r.tile, r.count, r.first, r.end, j->v + r.tile * s->row,
                   s->row, s->v_step);
}

static void position_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    multiply(j->s, j, j->v, j->m, j->count, i);
}

static void output_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const group r = group_of(i, j->count, s->g.oc);
    s->code->output(&s->g, j->m + r.tile * s->out_row, s->out_row, s->m_step, j->first + r.tile,
                    r.count, r.first, r.end, &j->finish, j->y);
}

static void run_positions(const scheme *s, job *j) {
    j->m = j->v + POSITIONS * s->v_step;
    for (j->first = 0; j->first < s->g.tiles; j->first += s->size) {
        const int64_t rest = s->g.tiles - j->first;
        j->count = rest < s->size ? rest : s->size;
        masconI_parallel(groups(j->count, s->g.c), input_slice, j);
        masconI_parallel(POSITIONS, position_slice, j);
        masconI_parallel(groups(j->count, s->g.oc), output_slice, j);
    }
}

static masconI_form form_of(const scheme *s, const masconI_fold *fold) {
    return (masconI_form){.id = form_id(s),
                          .bytes = sizeof(float) * (size_t)s->u_floats,
                          .make = fold ? make_folded : make_weights,
                          .context = s,
                          .half = s->bf16 && fold ? s->g.c * s->g.oc * 9 : 0,
                          .fold = fold};
}

size_t masconI_winograd_workspace(const mascon_window2d *w, int kind, const masconI_fold *fold) {
    if (kind == MASCON_CONV_BWD_WEIGHT) return masconI_winograd_weight_workspace(w);
    const scheme s = plan(w, kind);
    const masconI_form form = form_of(&s, fold);
    const int64_t rooms = s.by_positions ? 1 : mascon_num_threads();
    return masconI_form_room(&form) + sizeof(float) * (size_t)(s.room * rooms);
}

mascon_status masconI_winograd_run(const mascon_window2d *w, int kind, float *x,
                                   const mascon_tensor *weight, const masconI_fold *fold,
                                   const masconI_finish *finish, float *y, void *workspace) {
    const scheme s = plan(w, kind);
    const masconI_form form = form_of(&s, fold);
    char *work = workspace;
    job j = {.s = &s, .finish = *finish, .v = (float *)(void *)(work + masconI_form_room(&form))};
    j.x = s.back ? y : x;
    j.y = s.back ? x : y;
    masconI_packed *held;
    MASCON_TRY(masconI_form_get(weight, &form, work, &j.u, &held));
    if (fold) j.finish.bias = masconI_form_bias(&form, j.u);
    if (s.by_positions) {
        run_positions(&s, &j);
    } else {
        masconI_parallel((s.g.tiles + s.size - 1) / s.size, tiles_slice, &j);
    }
    masconI_packed_put(held);
    return MASCON_OK;
}

/* winograd.c: 3x3 convolution with step 1 by Winograd's method, forward and the gradient of x.
 *
 * A slice takes its tiles, block by block, through input transform, 36 products and output
 * transform in its own core's caches. Three cuts of the work into slices:
 *   by tiles      each slice makes all outputs of its tiles and reads all of u, which the threads
 *                 made together.
 *   by parts      where u fits no cache, or is large and would serve few tiles: a slice makes a part
 *                 of the output channels of all tiles, and the part of u for it. The input is
 *                 transformed once for every part, but u never leaves the core that made it.
 *   by positions  in place of that where u is kept from an earlier call and there are few tiles: all
 *                 are transformed, each slice does one of the 36 products, then the output is made.
 * So cores read little of what others have just written: two cores may share no cache. Each output
 * is the sum of one slice in one order, so all give the same bits, for any number of threads. Error:
 * about 1e-6 of the largest magnitude.
 */
#include "cpu/winograd.h"
#include "core/simd.h"
#include "cpu/winograd_int16.h"

enum { POSITIONS = MASCON_WINOGRAD_POSITIONS, TILE = MASCON_WINOGRAD_TILE };
enum {
    ROWS = MASCON_WINOGRAD_ROWS,
    MOST_TILES = MASCON_WINOGRAD_MOST_TILES,
    PIECES = MASCON_WINOGRAD_PIECES,
    LINE = 16 /* floats */
};
/* v and m of a block (in floats) share the second-level cache with u, unless u is larger than that
 * cache: then it passes through, and they fill it. */
static const int64_t block_floats = 96 * 1024, large_block_floats = 224 * 1024;
static const int64_t large_weights = 256 * 1024;
/* By parts: u fits no cache; a large u serves fewer tiles than these. */
static const int64_t far_weights = 3 * 1024 * 1024, few_tiles = 192;
enum { PART = 64 /* channels, whole panels */ };

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
    int back, bf16;
    int64_t row, out_row;           /* floats of a tile in v; channels of u */
    int64_t parts, part;            /* channels of a part, which are the floats of a tile in m */
    int64_t size;                   /* tiles of a block */
    int64_t v_step, u_step, m_step; /* from one position to the next */
    int64_t part_step, part_floats; /* of a part's own u; by tiles there is none */
    int64_t u_floats, room;         /* room: v and m */
    int64_t all_v_step, all_m_step; /* by positions: v and m of all tiles */
    int64_t all_floats;
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
    const int large = s.u_floats >= large_weights;
    const int by_parts = large && (s.u_floats >= far_weights || s.g.tiles < few_tiles);
    s.part = by_parts && s.out_row > PART ? PART : s.out_row;
    s.parts = masconI_pieces(s.out_row, s.part);
    if (s.parts > 1) {
        s.part_step = s.g.c * s.part + LINE;
        s.part_floats = POSITIONS * s.part_step;
    }
    s.size = (large ? large_block_floats : block_floats) / (POSITIONS * (s.row + s.part));
    if (s.size > MOST_TILES) s.size = MOST_TILES;
    if (s.size < ROWS) s.size = ROWS;
    int64_t blocks = masconI_pieces(s.g.tiles, s.size);
    if (s.parts == 1) { /* a slice each */
        if (blocks < PIECES) blocks = PIECES;
        blocks += blocks % 2; /* two threads share evenly */
    }
    s.size = masconI_pieces(s.g.tiles, blocks);
    if (s.size < ROWS) s.size = ROWS;
    s.v_step = masconI_whole(s.size * s.row, LINE) + LINE;
    s.m_step = masconI_whole(s.size * s.part, LINE) + LINE;
    s.room = POSITIONS * (s.v_step + s.m_step);
    if (s.parts > 1 && s.g.tiles < few_tiles) {
        s.all_v_step = masconI_whole(s.g.tiles * s.row, LINE) + LINE;
        s.all_m_step = masconI_whole(s.g.tiles * s.out_row, LINE) + LINE;
        s.all_floats = POSITIONS * (s.all_v_step + s.all_m_step);
    }
    return s;
}

/* ---- Weights ---- */

typedef struct weights_job {
    const scheme *s;
    const masconI_winograd_code *code;
    const void *plain;
    float *u;
} weights_job;

/* Vector number `block` of u, which begins with channel `first` and has `channels` of them. */
static void make_vector(const weights_job *j, int64_t block, int64_t first, int64_t channels,
                        float *u, int64_t step) {
    const scheme *s = j->s;
    const masconI_tiling *g = &s->g;
    const int64_t channel = block * j->code->vector - first, rest = channel % j->code->panel;
    const int64_t panel = channel - rest, left = channels - panel;
    j->code->weights(j->plain, s->back ? g->oc : g->c, s->back ? g->c : g->oc, s->back, block,
                     u + panel * g->c + rest, left < j->code->panel ? left : j->code->panel, step);
}

static void weights_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const weights_job *j = context;
    make_vector(j, i, 0, j->s->out_row, j->u, j->s->u_step);
}

static mascon_status make_all(const scheme *s, const masconI_winograd_code *code, const void *plain,
                              float *to) {
    weights_job j = {.s = s, .code = code, .plain = plain, .u = to};
    masconI_parallel(s->out_row / code->vector, weights_slice, &j);
    return MASCON_OK;
}

static mascon_status make_weights(const void *context, const float *plain, float *to) {
    const scheme *s = context;
    return make_all(s, s->code, plain, to);
}

/* Folded weights are float32 whatever the plain ones are. */
static mascon_status make_folded(const void *context, const float *plain, float *to) {
    return make_all(context, masconI_winograd_code_here(0), plain, to);
}

/* ---- The work ---- */

typedef struct job {
    const scheme *s;
    const void *plain;
    const float *x, *u; /* u NULL: each slice makes its part */
    masconI_finish finish;
    float *y, *rooms;
    float *v, *m;  /* by positions */
    int64_t piece; /* tiles of a slice */
} job;

/* What a slice works on: output channels and tiles, and its u. */
typedef struct task {
    int64_t first, end, tile, tile_end;
    const float *u;
    int64_t u_step;
} task;

static task task_of(const job *j, int64_t i, float *room) {
    const scheme *s = j->s;
    const int64_t first = i % s->parts * s->part, tile = i / s->parts * j->piece;
    task t = {.first = first, .end = masconI_least(first + s->part, s->out_row), .tile = tile};
    t.tile_end = masconI_least(tile + j->piece, s->g.tiles);
    if (j->u) { /* parts are whole panels */
        t.u = j->u + first * s->g.c;
        t.u_step = s->u_step;
        return t;
    }
    t.u = room;
    t.u_step = s->part_step;
    const weights_job weights = {.s = s, .code = s->code, .plain = j->plain};
    for (int64_t c = first; c < t.end; c += s->code->vector) {
        make_vector(&weights, c / s->code->vector, first, t.end - first, room, t.u_step);
    }
    return t;
}

static void slice(void *context, int64_t i, int thread) {
    const job *j = context;
    const scheme *s = j->s;
    float *room = j->rooms + (s->part_floats + s->room) * thread;
    float *v = room + s->part_floats, *m = v + POSITIONS * s->v_step;
    const task t = task_of(j, i, room);
    const int64_t end = masconI_least(t.end, s->g.oc);
    masconI_positions p = {
        .inner = s->g.c, .width = t.end - t.first, .a_row = s->row, .a_inner = 1, .ldc = s->part};
    for (int64_t tile = t.tile; tile < t.tile_end; tile += s->size) {
        p.rows = masconI_least(s->size, t.tile_end - tile);
        s->code->input(&s->g, j->x, tile, p.rows, 0, s->g.c, v, s->row, s->v_step);
        for (int64_t k = 0; k < POSITIONS; k++) {
            p.a = v + k * s->v_step;
            p.b = t.u + k * t.u_step;
            p.c = m + k * s->m_step;
            s->code->multiply(&p);
        }
        /* channel 0 would lie before m, in v */
        s->code->output(&s->g, m - t.first, s->part, s->m_step, tile, p.rows, t.first, end,
                        &j->finish, j->y);
    }
}

/* ---- By positions ---- */

enum { SOME_TILES = 2 /* of a slice of the transforms */ };

static void input_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const int64_t tile = i * SOME_TILES;
    s->code->input(&s->g, j->x, tile, masconI_least(SOME_TILES, s->g.tiles - tile), 0, s->g.c,
                   j->v + tile * s->row, s->row, s->all_v_step);
}

static void position_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const masconI_positions p = {.a = j->v + i * s->all_v_step,
                                 .b = j->u + i * s->u_step,
                                 .c = j->m + i * s->all_m_step,
                                 .rows = s->g.tiles,
                                 .inner = s->g.c,
                                 .width = s->out_row,
                                 .a_row = s->row,
                                 .a_inner = 1,
                                 .ldc = s->out_row};
    s->code->multiply(&p);
}

static void output_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const int64_t tile = i * SOME_TILES;
    s->code->output(&s->g, j->m + tile * s->out_row, s->out_row, s->all_m_step, tile,
                    masconI_least(SOME_TILES, s->g.tiles - tile), 0, s->g.oc, &j->finish, j->y);
}

static void run_positions(const scheme *s, job *j) {
    const int64_t some = masconI_pieces(s->g.tiles, SOME_TILES);
    j->v = j->rooms;
    j->m = j->v + POSITIONS * s->all_v_step;
    masconI_parallel(some, input_slice, j);
    masconI_parallel(POSITIONS, position_slice, j);
    masconI_parallel(some, output_slice, j);
}

/* Tiles of a slice by parts with a u for all of them: enough slices for many threads. */
static int64_t piece_of(const scheme *s) {
    return masconI_whole(masconI_pieces(s->g.tiles, masconI_pieces(2 * PIECES, s->parts)), ROWS);
}

static masconI_form form_of(const scheme *s, const masconI_fold *fold) {
    return (masconI_form){.id = masconI_winograd_form_id(&s->g, s->code->vector, s->back),
                          .bytes = sizeof(float) * (size_t)s->u_floats,
                          .make = fold ? make_folded : make_weights,
                          .context = s,
                          .piecewise = s->parts > 1 && !fold,
                          .half = s->bf16 && fold ? s->g.c * s->g.oc * 9 : 0,
                          .fold = fold};
}

size_t masconI_winograd_workspace(const mascon_window2d *w, int kind, const masconI_fold *fold) {
    if (kind == MASCON_CONV_BWD_WEIGHT) return masconI_winograd_weight_workspace(w);
    if (masconI_winograd_int16_fits(w)) return masconI_winograd_int16_workspace(w, kind, fold);
    const scheme s = plan(w, kind);
    const masconI_form form = form_of(&s, fold);
    const int64_t rooms = (s.part_floats + s.room) * mascon_num_threads();
    const size_t floats = (size_t)(rooms > s.all_floats ? rooms : s.all_floats);
    return (form.piecewise ? 0 : masconI_form_room(&form)) + sizeof(float) * floats;
}

mascon_status masconI_winograd_run(const mascon_window2d *w, int kind, float *x,
                                   const mascon_tensor *weight, const masconI_fold *fold,
                                   const masconI_finish *finish, float *y, void *workspace) {
    if (masconI_winograd_int16_fits(w)) {
        return masconI_winograd_int16_run(w, kind, x, weight, fold, finish, y, workspace);
    }
    const scheme s = plan(w, kind);
    const masconI_form form = form_of(&s, fold);
    char *work = workspace;
    job j = {.s = &s, .finish = *finish, .plain = mascon_see(weight)->data, .piece = s.size};
    j.rooms = (float *)(void *)(work + (form.piecewise ? 0 : masconI_form_room(&form)));
    j.x = s.back ? y : x;
    j.y = s.back ? x : y;
    masconI_packed *held;
    MASCON_TRY(masconI_form_get(weight, &form, work, &j.u, &held));
    if (fold) j.finish.bias = masconI_form_bias(&form, j.u);
    if (s.parts > 1) j.piece = j.u ? piece_of(&s) : s.g.tiles;
    if (j.u && s.all_floats) {
        run_positions(&s, &j);
    } else {
        masconI_parallel(masconI_pieces(s.g.tiles, j.piece) * s.parts, slice, &j);
    }
    masconI_packed_put(held);
    return MASCON_OK;
}

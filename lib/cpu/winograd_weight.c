/* winograd_weight.c: the gradient of the weights of a 3x3 convolution with step 1, by Winograd's
 * method.
 *
 * In the transformed domain the gradient is 36 products {oc, tiles} x {tiles, c}. A slice makes the
 * sums of one part of the output channels and one part of the input channels over one piece of all
 * tiles: block by block it takes the tiles through both transforms and adds to its 36 sums, and it
 * transforms these back at the end. So the tiles are transformed once for every part of the other
 * side, a small part of the arithmetic; but what is transformed is read by the core that wrote it and
 * by no other, which matters where two cores share no cache. Where there is more than one piece, the
 * pieces' dw are added in their order.
 * The bias gradient adds the tiles' sums of dy, which lie behind its transform (position SUM).
 */
#include <string.h>

#include "core/simd.h"
#include "cpu/winograd.h"

enum { POSITIONS = MASCON_WINOGRAD_POSITIONS, SUM = POSITIONS, LINE = 16 };
/* At least so many slices; tiles of a block. */
enum { SLICES = 8, MOST_TILES = 48, LEAST_TILES = 8 };
/* Floats of transformed tiles in a block, and of the sums from which on channels are cut. */
static const int64_t block_floats = 192 * 1024, large_sums = 256 * 1024;
/* Channels of a part. Small parts have their sums in the second-level cache. Large ones do with half
 * as many transforms, but adding to their sums pays for large blocks only, hence for many tiles. */
enum { SMALL_PART = 64, LARGE_PART = 128, LARGE_PART_TILES = 100 };

typedef struct scheme {
    const masconI_winograd_code *code;
    masconI_tiling g;
    int64_t part, out_part;            /* channels of x and of dy in a part */
    int64_t parts, out_parts, pieces;  /* slices are the product of these */
    int64_t width, row, out_row;       /* a part of x in whole vectors; floats of a tile */
    int64_t piece, size;               /* tiles of a slice, of a block */
    int64_t v_step, z_step, sums_step; /* from one position to the next */
    int64_t sums_floats, room;         /* room: v and z */
    int64_t result;                    /* floats of a piece's dw and db */
} scheme;

/* Reading down a column of a matrix whose rows are a large power of two apart would meet a few sets
 * of the first-level cache only. */
static int64_t apart(int64_t row) { return row % 128 == 0 ? row + LINE : row; }

/* Parts of about channels x channels. They begin at multiples of a line, for any vector length: the
 * order of all sums depends on them. */
static void cut_channels(scheme *s, int64_t channels) {
    const int64_t c = s->g.c, oc = s->g.oc, products = channels * channels;
    s->part = c;
    s->out_part = oc;
    if (POSITIONS * c * oc >= large_sums) {
        if (oc < channels) {
            s->part = masconI_least(c, products / oc / LINE * LINE);
        } else {
            s->part = masconI_least(c, channels);
            s->out_part = products / s->part / LINE * LINE;
        }
    }
    s->parts = masconI_pieces(c, s->part);
    s->out_parts = masconI_pieces(oc, s->out_part);
    const int64_t parts = s->parts * s->out_parts;
    int64_t pieces = masconI_pieces(SLICES, parts);
    if (parts * pieces < 2 * SLICES && parts * pieces % 2) pieces++; /* two threads share evenly */
    s->piece = masconI_pieces(s->g.tiles, pieces);
    if (s->piece < LEAST_TILES) s->piece = LEAST_TILES;
    s->pieces = masconI_pieces(s->g.tiles, s->piece);
}

/* Tiles of a block. */
static int64_t block_size(const scheme *s, int large) {
    int64_t size = LARGE_PART_TILES;
    if (!large) {
        size = block_floats / (POSITIONS * (s->row + s->out_row));
        if (size > MOST_TILES) size = MOST_TILES;
        if (size < LEAST_TILES) size = LEAST_TILES;
    }
    return masconI_pieces(s->piece, masconI_pieces(s->piece, size));
}

static scheme plan(const mascon_window2d *w) {
    scheme s = {.code = masconI_winograd_code_here(w->bf16), .g = masconI_tiling_of(w, 0)};
    cut_channels(&s, LARGE_PART);
    const int large = s.piece >= LARGE_PART_TILES && POSITIONS * s.g.c * s.g.oc >= large_sums;
    if (!large) cut_channels(&s, SMALL_PART);
    s.width = masconI_whole(s.part, s.code->vector);
    s.row = apart(s.width);
    s.out_row = apart(masconI_whole(s.out_part, s.code->vector));
    s.size = block_size(&s, large);
    s.sums_step = masconI_whole(s.out_part * s.width, LINE) + LINE;
    s.sums_floats = POSITIONS * s.sums_step;
    s.result = masconI_whole(s.g.oc * 9 * s.g.c + s.g.oc, LINE);
    s.v_step = masconI_whole(s.size * s.row, LINE) + LINE;
    s.z_step = masconI_whole(s.size * s.out_row, LINE) + LINE;
    s.room = POSITIONS * (s.v_step + s.z_step) + s.z_step;
    return s;
}

/* Floats of the pieces' own dw and db; one piece alone writes where they belong. */
static int64_t results_of(const scheme *s) { return s->pieces > 1 ? s->result * s->pieces : 0; }

size_t masconI_winograd_weight_workspace(const mascon_window2d *w) {
    const scheme s = plan(w);
    return sizeof(float) *
           (size_t)(results_of(&s) + (s.sums_floats + s.room) * mascon_num_threads());
}

typedef struct job {
    const scheme *s;
    const float *x, *dy;
    float *dw, *db;
    float *rooms, *results;
} job;

/* What a slice works on: channels of x, channels of dy, tiles. */
typedef struct task {
    int64_t first, end, out_first, out_end, tile, tile_end;
} task;

static task task_of(const scheme *s, int64_t i) {
    const int64_t part = i % s->parts, out_part = i / s->parts % s->out_parts;
    const int64_t piece = i / s->parts / s->out_parts;
    task t = {.first = part * s->part, .out_first = out_part * s->out_part};
    t.end = masconI_least(t.first + s->part, s->g.c);
    t.out_end = masconI_least(t.out_first + s->out_part, s->g.oc);
    t.tile = piece * s->piece;
    t.tile_end = masconI_least(t.tile + s->piece, s->g.tiles);
    return t;
}

/* sums of a position += z^T v over `count` tiles; the first time sums = */
static void add_tiles(const scheme *s, const task *t, int64_t position, const float *v,
                      const float *z, int64_t count, int again, float *sums) {
    const masconI_positions p = {.a = z + position * s->z_step,
                                 .b = v + position * s->v_step,
                                 .c = sums + position * s->sums_step,
                                 .rows = t->out_end - t->out_first,
                                 .inner = count,
                                 .width = masconI_whole(t->end - t->first, s->code->vector),
                                 .a_row = 1,
                                 .a_inner = s->out_row,
                                 .ldc = s->width,
                                 .b_row = s->row,
                                 .accumulate = again};
    s->code->multiply(&p);
}

MASCON_CLONES static void add_bias(const float *restrict z, int64_t row, int64_t count, int64_t oc,
                                   float *restrict db) {
    for (int64_t t = 0; t < count; t++, z += row) {
        for (int64_t o = 0; o < oc; o++) db[o] += z[o];
    }
}

static void slice(void *context, int64_t i, int thread) {
    const job *j = context;
    const scheme *s = j->s;
    const masconI_tiling *g = &s->g;
    const task t = task_of(s, i);
    const int64_t piece = i / s->parts / s->out_parts, outs = t.out_end - t.out_first;
    float *sums = j->rooms + (s->sums_floats + s->room) * thread;
    float *v = sums + s->sums_floats, *z = v + POSITIONS * s->v_step;
    float *dw = j->dw, *db = j->db;
    if (s->pieces > 1) {
        dw = j->results + s->result * piece;
        if (db) db = dw + g->oc * 9 * g->c;
    }
    if (t.first > 0) db = NULL; /* the slices of the first part of x make it */
    if (db) memset(db + t.out_first, 0, sizeof(float) * (size_t)outs);
    for (int64_t tile = t.tile; tile < t.tile_end; tile += s->size) {
        const int64_t count = masconI_least(s->size, t.tile_end - tile);
        s->code->input(g, j->x, tile, count, t.first, t.end, v, s->row, s->v_step);
        s->code->gradient(g, j->dy, tile, count, t.out_first, t.out_end, z, s->out_row, s->z_step);
        for (int64_t p = 0; p < POSITIONS; p++)
            add_tiles(s, &t, p, v, z, count, tile > t.tile, sums);
        if (db) add_bias(z + SUM * s->z_step, s->out_row, count, outs, db + t.out_first);
    }
    s->code->gather(sums, s->width, s->sums_step, t.end - t.first, outs, g->c,
                    dw + t.out_first * 9 * g->c + t.first);
}

void masconI_winograd_weight_run(const mascon_window2d *w, const float *x, const float *dy,
                                 float *dw, float *db, void *workspace) {
    const scheme s = plan(w);
    job j = {.s = &s, .x = x, .dy = dy, .dw = dw, .db = db, .rooms = workspace};
    j.results = j.rooms + (s.sums_floats + s.room) * mascon_num_threads();
    masconI_parallel(s.pieces * s.parts * s.out_parts, slice, &j);
    if (s.pieces > 1) {
        masconI_conv_sum(j.results, s.result, s.pieces, dw, s.g.oc * 9 * s.g.c, db, s.g.oc);
    }
}

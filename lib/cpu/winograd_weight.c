/* winograd_weight.c: the gradient of the weights of a 3x3 convolution with step 1, by Winograd's
 * method.
 *
 * In the transformed domain the gradient is 36 products {oc, tiles} x {tiles, c}. Two ways, chosen
 * by the sizes alone:
 *   by tiles      a slice takes a piece of all tiles, block by block, through both transforms and
 *                 adds to its own 36 sums, which stay in the second-level cache; the slices' dw are
 *                 added in their order.
 *   by positions  for many channels, where those sums are large: many tiles are transformed, then
 *                 each slice adds to the sums of one position, and all of them are transformed back
 *                 at the end.
 * The bias gradient adds the tiles' sums of dy, which lie behind its transform (position SUM).
 */
#include <string.h>

#include "core/simd.h"
#include "cpu/winograd.h"

enum { POSITIONS = MASCON_WINOGRAD_POSITIONS, SUM = POSITIONS, LINE = 16 };
enum { PIECES = 8, MOST_TILES = 48, LEAST_TILES = 8 };
/* Floats of transformed tiles in a block, of the sums that make the work go by positions, and of
 * the transformed tiles of a chunk then, at least: every chunk goes through all sums once more, so
 * where those are larger than any cache the chunks grow with them. */
static const int64_t block_floats = 192 * 1024, large_sums = 256 * 1024, chunk_floats = 1536 * 1024;

typedef struct scheme {
    const masconI_winograd_code *code;
    masconI_tiling g;
    int by_positions;
    int64_t width, row, out_row;       /* channels of x in whole vectors; floats of a tile */
    int64_t piece, pieces, size;       /* tiles of a slice (by tiles); of a block or chunk */
    int64_t v_step, z_step, sums_step; /* from one position to the next */
    int64_t sums_floats, room;         /* room: v and z */
    int64_t result;                    /* floats of a slice's dw and db */
} scheme;

/* Reading down a column of a matrix whose rows are a large power of two apart would meet a few sets
 * of the first-level cache only. */
static int64_t apart(int64_t row) { return row % 128 == 0 ? row + LINE : row; }

static scheme plan(const mascon_window2d *w) {
    scheme s = {.code = masconI_winograd_code_here(w->bf16), .g = masconI_tiling_of(w, 0)};
    s.width = masconI_whole(s.g.c, s.code->vector);
    s.row = apart(s.width);
    s.out_row = apart(masconI_whole(s.g.oc, s.code->vector));
    s.sums_step = masconI_whole(s.g.oc * s.width, LINE) + LINE;
    s.sums_floats = POSITIONS * s.sums_step;
    s.result = masconI_whole(s.g.oc * 9 * s.g.c + s.g.oc, LINE);
    const int64_t tile_floats = POSITIONS * (s.row + s.out_row);
    s.by_positions = s.sums_floats >= large_sums;
    if (s.by_positions) {
        const int64_t by_sums = s.sums_floats * 2 / 3;
        const int64_t room = by_sums > chunk_floats ? by_sums : chunk_floats;
        const int64_t chunks = (s.g.tiles * tile_floats + room - 1) / room;
        s.size = (s.g.tiles + chunks - 1) / chunks;
    } else {
        s.piece = (s.g.tiles + PIECES - 1) / PIECES;
        if (s.piece < LEAST_TILES) s.piece = LEAST_TILES;
        s.pieces = (s.g.tiles + s.piece - 1) / s.piece;
        s.size = block_floats / tile_floats;
        if (s.size > s.piece) s.size = s.piece;
        if (s.size > MOST_TILES) s.size = MOST_TILES;
        if (s.size < LEAST_TILES) s.size = LEAST_TILES;
    }
    s.v_step = masconI_whole(s.size * s.row, LINE) + LINE;
    s.z_step = masconI_whole(s.size * s.out_row, LINE) + LINE;
    s.room = POSITIONS * (s.v_step + s.z_step) + s.z_step;
    return s;
}

size_t masconI_winograd_weight_workspace(const mascon_window2d *w) {
    const scheme s = plan(w);
    const int64_t floats =
        s.by_positions ? s.sums_floats + s.room
                       : s.result * s.pieces + (s.sums_floats + s.room) * mascon_num_threads();
    return sizeof(float) * (size_t)floats;
}

typedef struct job {
    const scheme *s;
    const float *x, *dy;
    float *dw, *db;
    float *v, *z, *sums, *results;
    int64_t first, count; /* tiles of this chunk */
} job;

/* sums of a position += z^T v over `count` tiles; the first time sums = */
static void add_tiles(const scheme *s, int64_t position, const float *v, const float *z,
                      int64_t count, int again, float *sums) {
    const masconI_positions p = {.a = z + position * s->z_step,
                                 .b = v + position * s->v_step,
                                 .c = sums + position * s->sums_step,
                                 .rows = s->g.oc,
                                 .inner = count,
                                 .width = s->width,
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

/* ---- By tiles ---- */

static void tiles_slice(void *context, int64_t i, int thread) {
    const job *j = context;
    const scheme *s = j->s;
    float *sums = j->sums + (s->sums_floats + s->room) * thread;
    float *v = sums + s->sums_floats, *z = v + POSITIONS * s->v_step;
    float *dw = j->results + s->result * i, *db = dw + s->g.oc * 9 * s->g.c;
    const int64_t begin = i * s->piece, rest = s->g.tiles - begin;
    const int64_t end = rest < s->piece ? s->g.tiles : begin + s->piece;
    memset(db, 0, sizeof(float) * (size_t)s->g.oc);
    for (int64_t t = begin; t < end; t += s->size) {
        const int64_t count = end - t < s->size ? end - t : s->size;
        s->code->input(&s->g, j->x, t, count, 0, s->g.c, v, s->row, s->v_step);
        s->code->gradient(&s->g, j->dy, t, count, 0, s->g.oc, z, s->out_row, s->z_step);
        for (int64_t p = 0; p < POSITIONS; p++) add_tiles(s, p, v, z, count, t > begin, sums);
        if (j->db) add_bias(z + SUM * s->z_step, s->out_row, count, s->g.oc, db);
    }
    s->code->gather(sums, s->width, s->sums_step, s->g.c, 0, s->g.oc, dw);
}

/* ---- By positions ---- */

enum { SOME_TILES = 4, SOME_CHANNELS = 8 };

static void transform_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const int64_t half = (j->count + SOME_TILES - 1) / SOME_TILES;
    const int64_t tile = i % half * SOME_TILES;
    const int64_t count = j->count - tile < SOME_TILES ? j->count - tile : SOME_TILES;
    if (i < half) {
        s->code->input(&s->g, j->x, j->first + tile, count, 0, s->g.c, j->v + tile * s->row, s->row,
                       s->v_step);
    } else {
        s->code->gradient(&s->g, j->dy, j->first + tile, count, 0, s->g.oc,
                          j->z + tile * s->out_row, s->out_row, s->z_step);
    }
}

static void position_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    if (i < POSITIONS) {
        add_tiles(s, i, j->v, j->z, j->count, j->first > 0, j->sums);
    } else {
        add_bias(j->z + SUM * s->z_step, s->out_row, j->count, s->g.oc, j->db);
    }
}

static void gather_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const scheme *s = j->s;
    const int64_t first = i * SOME_CHANNELS, rest = s->g.oc - first;
    s->code->gather(j->sums, s->width, s->sums_step, s->g.c, first,
                    first + (rest < SOME_CHANNELS ? rest : SOME_CHANNELS), j->dw);
}

static void run_positions(const scheme *s, job *j) {
    j->v = j->sums + s->sums_floats;
    j->z = j->v + POSITIONS * s->v_step;
    if (j->db) memset(j->db, 0, sizeof(float) * (size_t)s->g.oc);
    for (j->first = 0; j->first < s->g.tiles; j->first += s->size) {
        const int64_t rest = s->g.tiles - j->first;
        j->count = rest < s->size ? rest : s->size;
        masconI_parallel(2 * ((j->count + SOME_TILES - 1) / SOME_TILES), transform_slice, j);
        masconI_parallel(POSITIONS + (j->db != NULL), position_slice, j);
    }
    masconI_parallel((s->g.oc + SOME_CHANNELS - 1) / SOME_CHANNELS, gather_slice, j);
}

void masconI_winograd_weight_run(const mascon_window2d *w, const float *x, const float *dy,
                                 float *dw, float *db, void *workspace) {
    const scheme s = plan(w);
    job j = {.s = &s, .x = x, .dy = dy, .dw = dw, .db = db};
    if (s.by_positions) {
        j.sums = workspace;
        run_positions(&s, &j);
        return;
    }
    j.results = workspace;
    j.sums = j.results + s.result * s.pieces;
    masconI_parallel(s.pieces, tiles_slice, &j);
    masconI_conv_sum(j.results, s.result, s.pieces, dw, s.g.oc * 9 * s.g.c, db, s.g.oc);
}

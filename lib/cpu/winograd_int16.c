/* winograd_int16.c: Winograd's method between bfloat16 pictures by products of 16-bit whole numbers
 * (winograd_int16.h), forward and the gradient of x. winograd.c hands such convolutions over.
 *
 * By tiles or by positions as there. A slice's scales depend on its tile and chunk of channels alone and
 * sums of whole numbers are exact, so a result has the same bits for any number of threads. A NaN or an
 * infinity makes the scale of its tile one, and so reaches all outputs of the tiles it touches.
 */
#include "cpu/winograd_int16.h"

#include "core/simd.h"

#if MASCON_HAS_AVX512_CODE

enum { POSITIONS = MASCON_WINOGRAD_POSITIONS, CHUNK = MASCON_INT16_CHUNK };
enum {
    ROWS = MASCON_WINOGRAD_ROWS,
    MOST_TILES = MASCON_WINOGRAD_MOST_TILES,
    PIECES = MASCON_WINOGRAD_PIECES,
    LINE = 64 /* bytes */
};
/* As in winograd.c, in bytes: v and m of a block; u that makes the work go by positions; v and m of many
 * tiles by positions. */
static const int64_t block_bytes = 384 * 1024, large_weights = 1024 * 1024,
                     chunk_bytes = 5 * 1024 * 1024;

int masconI_winograd_int16_fits(const mascon_window2d *w) {
    return w->bf16 && masconI_int16_here() && masconI_winograd_fits(w);
}

typedef struct scheme {
    masconI_tiling g;
    int back, by_positions;
    int64_t row, out_row, chunks;   /* elements of a tile in v and m */
    int64_t size;                   /* tiles of a block or of a chunk of them */
    int64_t v_step, u_step, m_step; /* from one position to the next, in elements */
    int64_t v_bytes, m_bytes, u_bytes, room;
} scheme;

static int64_t line(int64_t bytes) { return masconI_whole(bytes, LINE); }

static scheme plan(const mascon_window2d *w, int kind) {
    scheme s = {.back = kind == MASCON_CONV_BWD_DATA};
    s.g = masconI_tiling_of(w, s.back);
    s.row = masconI_whole(s.g.c, MASCON_INT16_VECTOR);
    s.out_row = masconI_whole(s.g.oc, MASCON_INT16_VECTOR);
    s.chunks = (s.g.c + CHUNK - 1) / CHUNK;
    /* A line more than a round size keeps the 36 positions apart in the sets of the caches. */
    s.u_step = s.row / 2 * s.out_row + LINE / (int64_t)sizeof(int32_t);
    s.u_bytes = POSITIONS * s.u_step * (int64_t)sizeof(int32_t);
    const int64_t tile_bytes = POSITIONS * (2 * s.row + 4 * s.out_row);
    s.by_positions = s.u_bytes >= large_weights;
    if (s.by_positions) {
        const int64_t parts = (s.g.tiles * tile_bytes + chunk_bytes - 1) / chunk_bytes;
        s.size = (s.g.tiles + parts - 1) / parts;
    } else {
        s.size = block_bytes / tile_bytes / ROWS * ROWS;
        const int64_t even = masconI_whole((s.g.tiles + PIECES - 1) / PIECES, ROWS);
        if (s.size > even) s.size = even;
        if (s.size > MOST_TILES) s.size = MOST_TILES;
        if (s.size < ROWS) s.size = ROWS;
    }
    s.v_step = line(2 * s.size * s.row) / 2 + LINE / 2;
    s.m_step = line(4 * s.size * s.out_row) / 4 + LINE / 4;
    s.v_bytes = line(2 * POSITIONS * s.v_step);
    s.m_bytes = line(4 * POSITIONS * s.m_step);
    s.room = s.v_bytes + s.m_bytes + line(4 * s.chunks * s.size);
    return s;
}

/* ---- Weights ---- */

static void weights_slice(void *context, int64_t i, int thread) {
    (void)thread;
    masconI_int16_weights_run(context, i);
}

static mascon_status make(const scheme *s, const void *plain, int wide, float *to) {
    masconI_int16_weights j = {.weight = plain,
                               .wide = wide,
                               .back = s->back,
                               .c = s->back ? s->g.oc : s->g.c,
                               .oc = s->back ? s->g.c : s->g.oc,
                               .u = (int32_t *)(void *)to,
                               .scale = to + s->u_bytes / 4,
                               .step = s->u_step,
                               .scale_step = s->out_row};
    masconI_parallel(s->out_row / MASCON_INT16_VECTOR, weights_slice, &j);
    return MASCON_OK;
}

static mascon_status make_half(const void *context, const float *plain, float *to) {
    return make(context, plain, 0, to);
}

/* Folded weights are float32 whatever the plain ones are. */
static mascon_status make_folded(const void *context, const float *plain, float *to) {
    return make(context, plain, 1, to);
}

static masconI_form form_of(const scheme *s, const masconI_fold *fold) {
    /* 32: no vector length of winograd.c's */
    return (masconI_form){.id = masconI_winograd_form_id(&s->g, 32, s->back),
                          .bytes = (size_t)(s->u_bytes + 4 * s->chunks * s->out_row),
                          .make = fold ? make_folded : make_half,
                          .context = s,
                          .half = fold ? s->g.c * s->g.oc * 9 : 0,
                          .fold = fold};
}

/* ---- The work ---- */

typedef struct job {
    const scheme *s;
    const void *x;
    const int32_t *u;
    const float *u_scale;
    masconI_finish finish;
    void *y;
    char *room;
    int64_t first, count; /* tiles of this chunk */
} job;

/* A room: v, m, the scales of v. */
static int16_t *v_of(char *room) { return (int16_t *)(void *)room; }
static float *m_of(const scheme *s, char *room) { return (float *)(void *)(room + s->v_bytes); }
static float *scale_of(const scheme *s, char *room) {
    return (float *)(void *)(room + s->v_bytes + s->m_bytes);
}

static masconI_int16_input input_of(const job *j, char *room) {
    const scheme *s = j->s;
    return (masconI_int16_input){.g = &s->g,
                                 .x = j->x,
                                 .v = v_of(room),
                                 .scale = scale_of(s, room),
                                 .row = s->row,
                                 .step = s->v_step,
                                 .scale_step = s->size};
}

static void multiply(const job *j, char *room, int64_t count, int64_t position) {
    const scheme *s = j->s;
    const masconI_int16_product p = {.v = v_of(room) + position * s->v_step,
                                     .u = j->u + position * s->u_step,
                                     .v_scale = scale_of(s, room),
                                     .u_scale = j->u_scale,
                                     .m = m_of(s, room) + position * s->m_step,
                                     .tiles = count,
                                     .row = s->row,
                                     .out_row = s->out_row,
                                     .v_scale_step = s->size,
                                     .u_scale_step = s->out_row,
                                     .position = (int)position};
    masconI_int16_multiply(&p);
}

/* Tiles `tile`.. of the room, which are `first`.. of all, and channels begin..end-1. */
static void output(const job *j, char *room, int64_t tile, int64_t first, int64_t count,
                   int64_t begin, int64_t end) {
    const scheme *s = j->s;
    masconI_winograd_bf16.output(&s->g, m_of(s, room) + tile * s->out_row, s->out_row, s->m_step,
                                 first, count, begin, end, &j->finish, j->y);
}

static void tiles_slice(void *context, int64_t i, int thread) {
    const job *j = context;
    const scheme *s = j->s;
    const int64_t first = i * s->size, rest = s->g.tiles - first;
    const int64_t count = rest < s->size ? rest : s->size;
    char *room = j->room + s->room * thread;
    const masconI_int16_input in = input_of(j, room);
    masconI_int16_input_run(&in, first, count, 0, 0, s->chunks);
    for (int64_t p = 0; p < POSITIONS; p++) multiply(j, room, count, p);
    output(j, room, 0, first, count, 0, s->g.oc);
}

/* By positions, a slice of the transforms: so many tiles and chunks or channels. */
enum { SOME_TILES = 4, SOME_CHUNKS = 4, SOME_CHANNELS = SOME_CHUNKS * CHUNK };

static void input_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t parts = masconI_pieces(j->s->chunks, SOME_CHUNKS);
    const int64_t tile = i / parts * SOME_TILES, chunk = i % parts * SOME_CHUNKS;
    const masconI_int16_input in = input_of(j, j->room);
    masconI_int16_input_run(&in, j->first + tile, masconI_least(j->count - tile, SOME_TILES), tile,
                            chunk, masconI_least(j->s->chunks, chunk + SOME_CHUNKS));
}

static void position_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    multiply(j, j->room, j->count, i);
}

static void output_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t parts = masconI_pieces(j->s->g.oc, SOME_CHANNELS);
    const int64_t tile = i / parts * SOME_TILES, channel = i % parts * SOME_CHANNELS;
    output(j, j->room, tile, j->first + tile, masconI_least(j->count - tile, SOME_TILES), channel,
           masconI_least(j->s->g.oc, channel + SOME_CHANNELS));
}

static void run_positions(const scheme *s, job *j) {
    for (j->first = 0; j->first < s->g.tiles; j->first += s->size) {
        j->count = masconI_least(s->g.tiles - j->first, s->size);
        const int64_t groups = masconI_pieces(j->count, SOME_TILES);
        masconI_parallel(groups * masconI_pieces(s->chunks, SOME_CHUNKS), input_slice, j);
        masconI_parallel(POSITIONS, position_slice, j);
        masconI_parallel(groups * masconI_pieces(s->g.oc, SOME_CHANNELS), output_slice, j);
    }
}

size_t masconI_winograd_int16_workspace(const mascon_window2d *w, int kind,
                                        const masconI_fold *fold) {
    const scheme s = plan(w, kind);
    const masconI_form form = form_of(&s, fold);
    const int64_t rooms = s.by_positions ? 1 : mascon_num_threads();
    return masconI_form_room(&form) + (size_t)(s.room * rooms);
}

mascon_status masconI_winograd_int16_run(const mascon_window2d *w, int kind, void *x,
                                         const mascon_tensor *weight, const masconI_fold *fold,
                                         const masconI_finish *finish, void *y, void *workspace) {
    const scheme s = plan(w, kind);
    const masconI_form form = form_of(&s, fold);
    char *work = workspace;
    job j = {.s = &s, .finish = *finish, .room = work + masconI_form_room(&form)};
    const float *u;
    masconI_packed *held;
    j.x = s.back ? y : x;
    j.y = s.back ? x : y;
    MASCON_TRY(masconI_form_get(weight, &form, work, &u, &held));
    j.u = (const int32_t *)(const void *)u;
    j.u_scale = u + s.u_bytes / 4;
    if (fold) j.finish.bias = masconI_form_bias(&form, u);
    if (s.by_positions) {
        run_positions(&s, &j);
    } else {
        masconI_parallel(masconI_pieces(s.g.tiles, s.size), tiles_slice, &j);
    }
    masconI_packed_put(held);
    return MASCON_OK;
}

#else

int masconI_winograd_int16_fits(const mascon_window2d *w) {
    (void)w;
    return 0;
}

/* never called: it fits nothing */
size_t masconI_winograd_int16_workspace(const mascon_window2d *w, int kind,
                                        const masconI_fold *fold) {
    (void)w, (void)kind, (void)fold;
    return 0;
}

mascon_status masconI_winograd_int16_run(const mascon_window2d *w, int kind, void *x,
                                         const mascon_tensor *weight, const masconI_fold *fold,
                                         const masconI_finish *finish, void *y, void *workspace) {
    (void)w, (void)kind, (void)x, (void)weight, (void)fold, (void)finish, (void)y, (void)workspace;
    return masconI_fail(MASCON_E_UNSUPPORTED, "no AVX-512 in this build");
}

#endif

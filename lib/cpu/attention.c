/* attention.c: scaled_dot_product_attention and its backward op in float32. Shapes: ops/attention.h.
 *
 * Scores exist as tiles of ROWS queries times KEYS keys. Forward, a slice is a matrix of the batch and ROWS
 * of its queries: it goes once through the keys and keeps per row the largest score so far and the sum of
 * exponentials under it. Backward, a slice is a whole matrix; where there are few, it is a group of a
 * matrix's tiles of keys, each with a share of dq of its own, and the shares are added afterwards. Slices
 * are set by the shapes alone. */
#include "cpu/attention.h"

#include <string.h>

#include "cpu/conv.h"
#include "cpu/keep_bits.h"
#include "ops/attention.h"
#include "ops/nn.h"

enum {
    ROWS = 128,
    KEYS = 64,
    LINE = 16,
    SLICES = 8 /* that keep the threads busy */,
    WORDS = (KEYS + 4) / 64 + 1
};

typedef struct job {
    mascon_attention a;
    const masconI_attention_code *code;
    const mascon_call *call;
    int64_t blocks;         /* of rows, per matrix */
    int64_t groups;         /* of tiles of keys, per matrix, backward */
    float *shares;          /* of dq {matrices, groups, L, wide_e}, where there are groups */
    int64_t wide_e, wide_v; /* e and width as whole vectors */
    int64_t room;           /* floats of one thread */
    float *rooms;
    uint32_t threshold;
    float keep; /* 1 / (1 - dropout) */
} job;

static const masconI_attention_code *code_here(void) {
#if MASCON_HAS_AVX512_CODE
    if (masconI_conv_avx512()) return &masconI_attention_avx512;
    if (masconI_conv_avx2()) return &masconI_attention_avx2;
#endif
    return NULL;
}

static int64_t whole(int64_t n) { return (n + LINE - 1) / LINE * LINE; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* One matrix of the batch. */
typedef struct place {
    const job *j;
    int64_t matrix;
    const float *q, *k, *v;
    int64_t ldq, ldk, ldv;
    const char *mask;
    int64_t mask_row, mask_column;
} place;

static const float *begin(const mascon_attention *a, const mascon_view *t, int64_t matrix,
                          int64_t *ld) {
    *ld = t->stride[t->ndim - 2];
    return (const float *)t->data + masconI_attention_offset(a, t, 2, matrix);
}

static place place_at(const job *j, int64_t matrix) {
    const mascon_attention *a = &j->a;
    place p = {.j = j, .matrix = matrix};
    p.q = begin(a, a->q, matrix, &p.ldq);
    p.k = begin(a, a->k, matrix, &p.ldk);
    p.v = begin(a, a->v, matrix, &p.ldv);
    if (!a->mask) return p;
    const int64_t size = a->mask->dtype == MASCON_DTYPE_BOOL ? 1 : (int64_t)sizeof(float);
    p.mask = (const char *)a->mask->data + size * masconI_attention_offset(a, a->mask, 2, matrix);
    p.mask_row = masconI_attention_mask_stride(a->mask, 2);
    p.mask_column = masconI_attention_mask_stride(a->mask, 1);
    return p;
}

/* ---- One row of a tile: query i, keys from `key` on, n of them ---- */

/* s = s * scale + mask; -inf for keys that take no part and for the rest of the vector. */
static void finish_scores(const place *p, int64_t i, int64_t key, int64_t n, float *s) {
    const mascon_attention *a = &p->j->a;
    const int64_t end = a->causal ? least(n, i + 1 - key < 0 ? 0 : i + 1 - key) : n;
    p->j->code->scaled(end, s, (float)a->scale, s);
    if (p->mask && a->mask->dtype == MASCON_DTYPE_BOOL) {
        const uint8_t *m = (const uint8_t *)p->mask + i * p->mask_row + key * p->mask_column;
        for (int64_t k = 0; k < end; k++) s[k] = m[k * p->mask_column] ? s[k] : -INFINITY;
    } else if (p->mask) {
        const float *m =
            (const float *)(const void *)p->mask + i * p->mask_row + key * p->mask_column;
        for (int64_t k = 0; k < end; k++) s[k] += m[k * p->mask_column];
    }
    for (int64_t k = end; k < whole(n); k++) s[k] = -INFINITY;
}

/* Bit first + k of the result tells whether weight k of the row is kept. */
static int draw(const place *p, int64_t i, int64_t key, int64_t n, uint64_t bits[WORDS + 1]) {
    const mascon_attention *a = &p->j->a;
    const uint64_t word = (uint64_t)((p->matrix * a->l + i) * a->s + key), first = word & 3;
    masconC_keep_bits(p->j->call->random, word - first, n + (int64_t)first, p->j->threshold, bits);
    return (int)first;
}

static float kept(const job *j, const uint64_t *bits, int64_t at) {
    return bits[at >> 6] >> (at & 63) & 1 ? j->keep : 0;
}

static void drop(const place *p, int64_t i, int64_t key, int64_t n, float *s) {
    uint64_t bits[WORDS + 1];
    const int first = draw(p, i, key, n, bits);
    for (int64_t k = 0; k < n; k++) s[k] *= kept(p->j, bits, first + k);
}

/* exp(s - top), 0 throughout where there is nothing but -inf; returns the sum. */
static float exponentials(const job *j, int64_t n, float *s, float top) {
    if (top != -INFINITY) return j->code->exponentials(whole(n), s, top);
    float sum = 0;
    for (int64_t k = 0; k < whole(n); k++) {
        s[k] = s[k] == -INFINITY ? 0 : NAN;
        sum += s[k];
    }
    return sum;
}

/* from {rows, columns}, or a copy in wide rows where the rows are no whole vectors. */
static const float *widened(const job *j, const float *from, int64_t *ld, int64_t rows,
                            int64_t columns, float *room) {
    const int64_t wide = whole(columns);
    (void)j;
    if (wide == columns) return from;
    for (int64_t i = 0; i < rows; i++) {
        memcpy(room + i * wide, from + i * *ld, sizeof(float) * (size_t)columns);
        memset(room + i * wide + columns, 0, sizeof(float) * (size_t)(wide - columns));
    }
    *ld = wide;
    return room;
}

/* ---- Forward ---- */

typedef struct forward_room {
    float *out, *score, *keys, *values, *top, *sum;
} forward_room;

static int64_t lay_out_forward(const job *j, float *at, forward_room *r) {
    float *const start = at;
    float **parts[] = {&r->out, &r->score, &r->keys, &r->values, &r->top, &r->sum};
    const int64_t floats[] = {ROWS * j->wide_v, ROWS * KEYS, j->a.e * KEYS,
                              KEYS * j->wide_v, ROWS,        ROWS};
    for (int i = 0; i < 6; i++) {
        *parts[i] = at;
        at += whole(floats[i]);
    }
    return at - start;
}

/* The weights of one tile under the largest scores so far, by which what was added is scaled down. */
static void forward_rows(const place *p, const forward_room *r, int64_t row, int64_t rows,
                         int64_t key, int64_t n) {
    const job *j = p->j;
    for (int64_t i = 0; i < rows; i++) {
        float *s = r->score + i * KEYS, *out = r->out + i * j->wide_v;
        finish_scores(p, row + i, key, n, s);
        const float top = j->code->largest(whole(n), s, r->top[i]);
        const float factor = top == r->top[i] ? 1 : expf(r->top[i] - top);
        r->sum[i] = r->sum[i] * factor + exponentials(j, n, s, top);
        r->top[i] = top;
        if (key && factor != 1) j->code->scaled(j->wide_v, out, factor, out);
        if (j->a.dropout > 0) drop(p, row + i, key, n, s);
    }
}

static void forward_slice(void *context, int64_t index, int thread) {
    const job *j = context;
    const mascon_attention *a = &j->a;
    const place p = place_at(j, index / j->blocks);
    const int64_t row = index % j->blocks * ROWS, rows = least(ROWS, a->l - row);
    forward_room r;
    lay_out_forward(j, j->rooms + thread * j->room, &r);
    for (int64_t i = 0; i < rows; i++) {
        r.top[i] = -INFINITY;
        r.sum[i] = 0;
    }
    const int64_t end = a->causal ? least(a->s, row + rows) : a->s;
    for (int64_t key = 0; key < end; key += KEYS) {
        const int64_t n = least(KEYS, end - key);
        int64_t ldv = p.ldv;
        const float *v = widened(j, p.v + key * ldv, &ldv, n, a->width, r.values);
        j->code->turned(n, a->e, p.k + key * p.ldk, p.ldk, r.keys, KEYS);
        /* AVX2's vectors leave the upper half of a last 16 unwritten: it is made -inf below */
        j->code->product(rows, (n + j->code->vector - 1) / j->code->vector * j->code->vector, a->e,
                         p.q + row * p.ldq, p.ldq, 1, r.keys, KEYS, r.score, KEYS, 1);
        forward_rows(&p, &r, row, rows, key, n);
        j->code->product(rows, j->wide_v, n, r.score, KEYS, 1, v, ldv, r.out, j->wide_v, key == 0);
    }
    const int64_t first = p.matrix * a->l + row;
    float *y = (float *)DST(j->call, 0)->data + first * a->width;
    float *lse = (float *)DST(j->call, 1)->data + first;
    for (int64_t i = 0; i < rows; i++) {
        const float share = r.sum[i] == 0 ? 0 : 1 / r.sum[i];
        j->code->scaled(a->width, r.out + i * j->wide_v, share, y + i * a->width);
        lse[i] = r.top[i] + logf(r.sum[i]);
    }
}

/* ---- Backward ---- */

typedef struct backward_room {
    float *score, *change, *keys_turned, *values_turned, *keys, *queries, *dy, *dq, *dk, *dv,
        *inner;
} backward_room;

static int64_t lay_out_backward(const job *j, float *at, backward_room *r) {
    float *const start = at;
    const mascon_attention *a = &j->a;
    const int64_t e = j->wide_e, v = j->wide_v;
    float **parts[] = {&r->score, &r->change,  &r->keys_turned, &r->values_turned,
                       &r->keys,  &r->queries, &r->dy,          &r->dq,
                       &r->dk,    &r->dv,      &r->inner};
    const int64_t floats[] = {ROWS * KEYS,
                              ROWS * KEYS,
                              a->e * KEYS,
                              a->width * KEYS,
                              KEYS * e,
                              e == a->e ? 0 : a->l * e,
                              v == a->width ? 0 : a->l * v,
                              j->groups > 1 ? 0 : a->l * e,
                              KEYS * e,
                              KEYS * v,
                              a->l};
    for (int i = 0; i < 11; i++) {
        *parts[i] = at;
        at += whole(floats[i]);
    }
    return at - start;
}

/* Matrix m of a gradient {matrices, rows, columns}. */
static float *gradient(const job *j, int i, int64_t m) {
    const mascon_view *v = DST(j->call, i);
    return (float *)v->data + m * v->shape[v->ndim - 2] * v->shape[v->ndim - 1];
}

/* score becomes the dropped weights, change (dy v^T so far) the gradient of the scores. */
static void backward_rows(const place *p, const backward_room *r, int64_t row, int64_t rows,
                          int64_t key, int64_t n) {
    const job *j = p->j;
    const float *lse = SRC(j->call, NN_ATTENTION_BWD_LSE)->data;
    for (int64_t i = 0; i < rows; i++) {
        float *s = r->score + i * KEYS, *d = r->change + i * KEYS;
        const float inner = r->inner[row + i];
        finish_scores(p, row + i, key, n, s);
        exponentials(j, n, s, lse[p->matrix * j->a.l + row + i]);
        if (j->a.dropout > 0) {
            uint64_t bits[WORDS + 1];
            const int first = draw(p, row + i, key, n, bits);
            for (int64_t k = 0; k < n; k++) {
                const float keep = kept(j, bits, first + k);
                d[k] = s[k] * (d[k] * keep - inner);
                s[k] *= keep;
            }
        } else {
            for (int64_t k = 0; k < n; k++) d[k] = s[k] * (d[k] - inner);
        }
        if (j->call->n_dst < 4) continue;
        memcpy(gradient(j, 3, p->matrix) + (row + i) * j->a.s + key, d, sizeof(float) * (size_t)n);
    }
}

/* What the tiles of a matrix share: q and dy in wide rows. */
typedef struct operands {
    const float *q, *dy;
    int64_t ldq, ldd;
} operands;

/* All rows against the keys from `key` on, n of them. */
static void backward_tile(const place *p, const backward_room *r, const operands *o, int64_t key,
                          int64_t n) {
    const job *j = p->j;
    const mascon_attention *a = &j->a;
    const masconI_attention_code *code = j->code;
    const int64_t e = j->wide_e, v = j->wide_v;
    const int64_t wide = (n + code->vector - 1) / code->vector * code->vector;
    int64_t ldk = p->ldk;
    const float *k = widened(j, p->k + key * ldk, &ldk, n, a->e, r->keys);
    code->turned(n, a->e, p->k + key * p->ldk, p->ldk, r->keys_turned, KEYS);
    code->turned(n, a->width, p->v + key * p->ldv, p->ldv, r->values_turned, KEYS);
    const int64_t begins = least(a->causal ? key / ROWS * ROWS : 0, a->l);
    for (int64_t i = 0; j->call->n_dst > 3 && i < begins; i++) {
        memset(gradient(j, 3, p->matrix) + i * a->s + key, 0, sizeof(float) * (size_t)n);
    }
    int first = 1;
    for (int64_t row = begins; row < a->l; row += ROWS, first = 0) {
        const int64_t rows = least(ROWS, a->l - row);
        const float *q = o->q + row * o->ldq, *dy = o->dy + row * o->ldd;
        code->product(rows, wide, a->e, q, o->ldq, 1, r->keys_turned, KEYS, r->score, KEYS, 1);
        code->product(rows, wide, a->width, dy, o->ldd, 1, r->values_turned, KEYS, r->change, KEYS,
                      1);
        backward_rows(p, r, row, rows, key, n);
        code->product(n, v, rows, r->score, 1, KEYS, dy, o->ldd, r->dv, v, first);
        code->product(n, e, rows, r->change, 1, KEYS, q, o->ldq, r->dk, e, first);
        code->product(rows, e, n, r->change, KEYS, 1, k, ldk, r->dq + row * e, e, key == 0);
    }
    float *dk = gradient(j, 1, p->matrix) + key * a->e;
    float *dv = gradient(j, 2, p->matrix) + key * a->width;
    for (int64_t i = 0; i < n; i++) {
        /* first: no query takes part in these keys */
        code->scaled(a->e, r->dk + i * e, (float)a->scale, dk + i * a->e);
        memcpy(dv + i * a->width, r->dv + i * v, sizeof(float) * (size_t)a->width);
    }
    if (!first) return;
    memset(dk, 0, sizeof(float) * (size_t)(n * a->e));
    memset(dv, 0, sizeof(float) * (size_t)(n * a->width));
}

static void backward_slice(void *context, int64_t index, int thread) {
    const job *j = context;
    const mascon_attention *a = &j->a;
    const int64_t matrix = index / j->groups, group = index % j->groups;
    const place p = place_at(j, matrix);
    backward_room r;
    lay_out_backward(j, j->rooms + thread * j->room, &r);
    if (j->groups > 1) r.dq = j->shares + index * a->l * j->wide_e;
    if (group > 0) memset(r.dq, 0, sizeof(float) * (size_t)(a->l * j->wide_e));
    const float *y =
        (const float *)SRC(j->call, NN_ATTENTION_BWD_Y)->data + matrix * a->l * a->width;
    const float *dy =
        (const float *)SRC(j->call, NN_ATTENTION_BWD_DY)->data + matrix * a->l * a->width;
    for (int64_t i = 0; i < a->l; i++) {
        float sum = 0;
        for (int64_t c = 0; c < a->width; c++) sum += dy[i * a->width + c] * y[i * a->width + c];
        r.inner[i] = sum;
    }
    operands o = {.ldq = p.ldq, .ldd = a->width};
    o.q = widened(j, p.q, &o.ldq, a->l, a->e, r.queries);
    o.dy = widened(j, dy, &o.ldd, a->l, a->width, r.dy);
    for (int64_t key = group * KEYS; key < a->s; key += j->groups * KEYS) {
        backward_tile(&p, &r, &o, key, least(KEYS, a->s - key));
    }
    float *dq = gradient(j, 0, matrix);
    for (int64_t i = 0; j->groups == 1 && i < a->l; i++) {
        j->code->scaled(a->e, r.dq + i * j->wide_e, (float)a->scale, dq + i * a->e);
    }
}

/* A block of rows of a matrix's dq from the shares of its groups, in their order. */
static void join_slice(void *context, int64_t index, int thread) {
    const job *j = context;
    (void)thread;
    const mascon_attention *a = &j->a;
    const int64_t matrix = index / j->blocks, row = index % j->blocks * ROWS;
    const int64_t step = a->l * j->wide_e;
    for (int64_t i = row; i < least(row + ROWS, a->l); i++) {
        float *sum = j->shares + matrix * j->groups * step + i * j->wide_e;
        for (int64_t g = 1; g < j->groups; g++) {
            for (int64_t c = 0; c < a->e; c++) sum[c] += sum[g * step + c];
        }
        j->code->scaled(a->e, sum, (float)a->scale, gradient(j, 0, matrix) + i * a->e);
    }
}

/* ---- The kernels ---- */

static void plan(const mascon_call *call, job *j) {
    memset(j, 0, sizeof *j);
    masconI_attention_of(call, &j->a);
    j->code = code_here();
    j->call = call;
    j->blocks = (j->a.l + ROWS - 1) / ROWS;
    j->groups = least((j->a.s + KEYS - 1) / KEYS, (SLICES + j->a.matrices - 1) / j->a.matrices);
    j->wide_e = whole(j->a.e);
    j->wide_v = whole(j->a.width);
    j->threshold = masconI_dropout_threshold(j->a.dropout);
    j->keep = j->a.dropout < 1 ? (float)(1 / (1 - j->a.dropout)) : 0;
    forward_room f;
    backward_room b;
    const int back = call->op == MASCON_OP_scaled_dot_product_attention_bwd;
    j->room = back ? lay_out_backward(j, NULL, &b) : lay_out_forward(j, NULL, &f);
}

/* Floats of the shares of dq. */
static int64_t shares_of(const job *j) {
    const int back = j->call->op == MASCON_OP_scaled_dot_product_attention_bwd;
    return back && j->groups > 1 ? j->a.matrices * j->groups * j->a.l * j->wide_e : 0;
}

static size_t workspace(const mascon_call *call) {
    job j;
    plan(call, &j);
    return sizeof(float) * (size_t)(shares_of(&j) + j.room * mascon_num_threads());
}

static int wish(const mascon_call *call, mascon_wish *w) {
    if (!code_here()) return 0;
    const int back = call->op == MASCON_OP_scaled_dot_product_attention_bwd;
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        const mascon_view *v = SRC(call, i);
        const int mask = i == (back ? NN_ATTENTION_BWD_MASK : 3);
        if (v->numel == 0 || (v->dtype != MASCON_DTYPE_F32 && !mask)) return 0;
        if (mask && v->dtype != MASCON_DTYPE_F32 && v->dtype != MASCON_DTYPE_BOOL) return 0;
        const int operand = back ? i >= NN_ATTENTION_BWD_Q && i <= NN_ATTENTION_BWD_V : i < 3;
        const int dense = operand && (v->stride[v->ndim - 1] == 1 || v->shape[v->ndim - 1] == 1);
        w->src[i] = mask || dense ? MASCON_WISH_ANY : MASCON_WISH_ROW;
    }
    for (int i = 0; i < call->n_dst; i++) w->dst[i] = MASCON_WISH_ROW;
    w->kernel = "tiled";
    return 1;
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    job j;
    plan(call, &j);
    j.rooms = exec->workspace;
    masconI_parallel(j.a.matrices * j.blocks, forward_slice, &j);
    return MASCON_OK;
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    job j;
    plan(call, &j);
    j.shares = exec->workspace;
    j.rooms = j.shares + shares_of(&j);
    masconI_parallel(j.a.matrices * j.groups, backward_slice, &j);
    if (j.groups > 1) masconI_parallel(j.a.matrices * j.blocks, join_slice, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_scaled_dot_product_attention = {
    .wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_scaled_dot_product_attention_dropout = {
    .wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_scaled_dot_product_attention_bwd = {
    .wish = wish, .workspace = workspace, .run = backward};

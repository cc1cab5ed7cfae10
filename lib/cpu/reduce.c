/* reduce.c: sums of float32: sum, mean, and the norms with p = 1 and 2.
 *
 * x is brought to its simplest form: dimensions in the order of its memory, each kept or reduced,
 * neighbours of one kind merged. Then either
 *   rows     the innermost dimension is reduced: each result is a sum of row sums, or
 *   columns  the innermost dimension is kept: whole rows are added into a row of sums.
 * The elements of one result are cut into blocks whose boundaries follow from the shape alone. A
 * block is summed in double (rows: 32 float lanes of at most 32 elements each, then double), and
 * the blocks are added in order, so any number of threads gives the same bits.
 */
#include <math.h>
#include <string.h>

#include "cpu/elementwise.h"
#include "ops/reduce.h"

enum { BLOCK = 32768, LANES = 32, RUN = 1024, TILE = 1024, FOLD = 64, ROWS = 64 };

typedef enum kind { PLAIN, SIZE, SQUARE } kind; /* what is added: x, |x|, x * x */

typedef struct plan {
    const float *x;
    kind what;
    int columns;
    int64_t width, step;     /* the innermost dimension and its stride */
    int32_t n_kept, n_inner; /* the other dimensions */
    int64_t kept[MASCON_MAX_DIMS], kept_stride[MASCON_MAX_DIMS], out_stride[MASCON_MAX_DIMS];
    int64_t inner[MASCON_MAX_DIMS], inner_stride[MASCON_MAX_DIMS];
    int64_t outputs, rows;     /* products of kept and inner */
    int64_t per_block, blocks; /* rows of one block; blocks of one output (or row of outputs) */
    int64_t cut; /* rows: the innermost dimension was one row of this size, cut into BLOCKs */
    int64_t tile, tiles;  /* columns: the innermost dimension is cut into tiles; else 1 */
    int64_t fold;         /* columns: short rows that lie behind one another are added as one */
    int64_t out_step;     /* columns: stride of the innermost dimension in y */
    int64_t units, group; /* outputs * tiles * blocks; units of one slice */
    double *partial;      /* {outputs, tiles, blocks, tile} */
} plan;

typedef struct axis {
    int64_t size, stride, out;
    int reduced;
} axis;

/* The axes of x, sizes of 1 dropped, in the order of memory, merged. Returns how many. */
static int32_t simplify(const mascon_view *x, const mascon_view *y, const masconI_reduction *r,
                        axis *a) {
    int32_t n = 0, at = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        int64_t out = 0;
        if (!r->reduce[d] || r->keepdim) out = y->stride[at++];
        if (x->shape[d] == 1) continue;
        a[n++] = (axis){x->shape[d], x->stride[d], r->reduce[d] ? 0 : out, r->reduce[d]};
    }
    for (int32_t i = 1; i < n; i++) {
        for (int32_t j = i; j > 0 && a[j - 1].stride < a[j].stride; j--) {
            axis t = a[j];
            a[j] = a[j - 1];
            a[j - 1] = t;
        }
    }
    for (int32_t d = n - 2; d >= 0; d--) {
        axis *up = &a[d], *low = &a[d + 1];
        if (up->reduced != low->reduced || up->stride != low->stride * low->size) continue;
        if (!up->reduced && up->out != low->out * low->size) continue;
        low->size *= up->size;
        for (int32_t i = d; i < n - 1; i++) a[i] = a[i + 1];
        n--;
    }
    return n;
}

static int make_plan(const mascon_call *call, plan *p) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    masconI_reduction r;
    axis a[MASCON_MAX_DIMS];
    *p = (plan){.x = x->data, .width = 1, .step = 1, .outputs = 1, .rows = 1};
    if (masconI_reduction_of(call, x, &r) != MASCON_OK) return 0;
    int32_t n = simplify(x, y, &r, a);
    if (n > 0) {
        axis *last = &a[--n];
        p->columns = !last->reduced;
        p->width = last->size;
        p->step = last->stride;
        p->out_step = last->out;
    }
    for (int32_t d = 0; d < n; d++) {
        if (a[d].reduced) {
            p->inner[p->n_inner] = a[d].size;
            p->inner_stride[p->n_inner++] = a[d].stride;
            p->rows *= a[d].size;
        } else {
            p->kept[p->n_kept] = a[d].size;
            p->kept_stride[p->n_kept] = a[d].stride;
            p->out_stride[p->n_kept++] = a[d].out;
            p->outputs *= a[d].size;
        }
    }
    if (x->numel == 0) return 1;
    p->tile = p->columns ? (p->width < TILE ? p->width : TILE) : 1;
    p->tiles = p->columns ? (p->width + TILE - 1) / TILE : 1;
    p->per_block = BLOCK / (p->columns ? p->tile : p->width);
    if (p->columns && p->per_block < ROWS) p->per_block = ROWS; /* few partial sums */
    if (p->per_block < 1) p->per_block = 1;
    if (!p->columns && p->width > BLOCK && p->n_inner == 0) {
        p->cut = p->width;
        p->inner[0] = p->rows = (p->width + BLOCK - 1) / BLOCK;
        p->inner_stride[0] = BLOCK * p->step;
        p->n_inner = 1;
    }
    p->fold = 1;
    if (p->columns && p->step == 1 && p->n_inner == 1 && p->inner_stride[0] == p->width &&
        p->width <= FOLD / 2) {
        p->fold = FOLD / p->width;
    }
    p->blocks = (p->rows + p->per_block - 1) / p->per_block;
    p->units = p->outputs * p->tiles * p->blocks;
    p->group = p->blocks > 1 ? 1 : BLOCK / (p->rows * (p->columns ? p->tile : p->width));
    if (p->group < 1) p->group = 1;
    return 1;
}

static int64_t row_width(const plan *p, int64_t row) {
    if (!p->cut) return p->width;
    return row + 1 < p->rows ? BLOCK : p->cut - row * BLOCK;
}

static int64_t place(int32_t n, const int64_t *size, const int64_t *stride, int64_t i) {
    int64_t offset = 0;
    for (int32_t d = n - 1; d >= 0; d--) {
        offset += i % size[d] * stride[d];
        i /= size[d];
    }
    return offset;
}

MASCON_CLONES static double dense_run(const float *x, int64_t n, int what) {
    float lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float v = x[i + k];
            lane[k] += what == SQUARE ? v * v : what == SIZE ? fabsf(v) : v;
        }
    }
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += (double)lane[k];
    for (; i < n; i++) {
        double v = (double)x[i];
        sum += what == SQUARE ? v * v : what == SIZE ? fabs(v) : v;
    }
    return sum;
}

static double row_sum(const float *x, int64_t n, int64_t step, kind what) {
    double sum = 0;
    if (step == 1 && n >= LANES) {
        for (int64_t i = 0; i < n; i += RUN)
            sum += dense_run(x + i, n - i < RUN ? n - i : RUN, (int)what);
        return sum;
    }
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i * step];
        sum += what == SQUARE ? v * v : what == SIZE ? fabs(v) : v;
    }
    return sum;
}

MASCON_CLONES static void add_row(double *sum, const float *x, int64_t n, int64_t step, int what) {
    if (step == 1 && what == PLAIN) {
        for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i];
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i * step];
        sum[i] += what == SQUARE ? v * v : what == SIZE ? fabs(v) : v;
    }
}

/* Rows first..end-1 of columns column..column+n-1 into sum[0..n-1]. x: where the output's part
 * begins. */
static void add_columns(const plan *p, const float *x, int64_t first, int64_t end, int64_t column,
                        int64_t n, double *sum) {
    double lane[FOLD] = {0}, *to = p->fold > 1 ? lane : sum;
    int64_t row = first;
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (; p->fold > 1 && row + p->fold <= end; row += p->fold) {
        add_row(lane, x + row * p->width, p->fold * p->width, 1, (int)p->what);
    }
    for (; row < end; row++) {
        int64_t offset = place(p->n_inner, p->inner, p->inner_stride, row);
        add_row(to, x + offset + column * p->step, n, p->step, (int)p->what);
    }
    for (int64_t i = 0; p->fold > 1 && i < p->fold * p->width; i++) sum[i % p->width] += lane[i];
}

/* Unit: a block of a tile of an output. */
static void run_unit(const plan *p, int64_t unit) {
    int64_t block = unit % p->blocks, tile = unit / p->blocks % p->tiles;
    int64_t output = unit / p->blocks / p->tiles;
    int64_t first = block * p->per_block, end = first + p->per_block;
    const float *x = p->x + place(p->n_kept, p->kept, p->kept_stride, output);
    if (end > p->rows) end = p->rows;
    if (p->columns) {
        int64_t column = tile * TILE, n = p->width - column;
        add_columns(p, x, first, end, column, n < TILE ? n : TILE, p->partial + unit * p->tile);
        return;
    }
    double sum = 0;
    for (int64_t row = first; row < end; row++) {
        sum += row_sum(x + place(p->n_inner, p->inner, p->inner_stride, row), row_width(p, row),
                       p->step, p->what);
    }
    p->partial[unit] = sum;
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const plan *p = context;
    int64_t first = i * p->group, end = first + p->group;
    for (int64_t unit = first; unit < end && unit < p->units; unit++) run_unit(p, unit);
}

static float finish(double sum, double divisor, int root) {
    return (float)(root ? sqrt(sum) : sum / divisor);
}

/* y = sum / divisor, or the square root of the sum. */
static void run_plan(plan *p, const mascon_view *y, double divisor, int root) {
    masconI_parallel((p->units + p->group - 1) / p->group, slice, p);
    for (int64_t part = 0; part < p->outputs * p->tiles; part++) {
        int64_t output = part / p->tiles, column = part % p->tiles * TILE;
        int64_t n = p->columns ? p->width - column : 1;
        float *out = (float *)y->data + place(p->n_kept, p->kept, p->out_stride, output);
        double *total = p->partial + part * p->blocks * p->tile;
        if (n > p->tile) n = p->tile;
        for (int64_t b = 1; b < p->blocks; b++) {
            for (int64_t i = 0; i < n; i++) total[i] += total[b * p->tile + i];
        }
        for (int64_t i = 0; i < n; i++) {
            out[(column + i) * p->out_step] = finish(total[i], divisor, root);
        }
    }
}

static mascon_status reduce(mascon_call *call, mascon_exec *exec, kind what, int mean, int root) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    masconI_reduction r;
    plan p;
    MASCON_TRY(masconI_reduction_of(call, x, &r));
    double divisor = mean ? (double)r.count : 1;
    if (x->numel == 0) {
        for (int64_t o = 0; o < y->numel; o++) ((float *)y->data)[o] = finish(0, divisor, root);
        return MASCON_OK;
    }
    if (!make_plan(call, &p)) return MASCON_E_ARG;
    p.what = what;
    p.partial = exec->workspace;
    run_plan(&p, y, divisor, root);
    return MASCON_OK;
}

static size_t workspace(const mascon_call *call) {
    plan p;
    if (SRC(call, 0)->numel == 0 || !make_plan(call, &p)) return 0;
    return (size_t)(p.units * p.tile) * sizeof(double);
}

static int wish(const mascon_call *call, mascon_wish *w) {
    w->dst[0] = MASCON_WISH_ROW;
    return masconC_dtypes(call, MASCON_DTYPE_F32, MASCON_DTYPE_F32);
}

static int wish_norm(const mascon_call *call, mascon_wish *w) {
    double p = call->attr[NORM_P];
    return (p == 1 || p == 2) && wish(call, w);
}

static mascon_status sum_run(mascon_call *call, mascon_exec *exec) {
    return reduce(call, exec, PLAIN, 0, 0);
}

static mascon_status mean_run(mascon_call *call, mascon_exec *exec) {
    return reduce(call, exec, PLAIN, 1, 0);
}

static mascon_status norm_run(mascon_call *call, mascon_exec *exec) {
    int two = call->attr[NORM_P] == 2;
    return reduce(call, exec, two ? SQUARE : SIZE, 0, two);
}

const mascon_kernel masconC_sum = {.wish = wish, .workspace = workspace, .run = sum_run};
const mascon_kernel masconC_mean = {.wish = wish, .workspace = workspace, .run = mean_run};
const mascon_kernel masconC_norm = {.wish = wish_norm, .workspace = workspace, .run = norm_run};

/* batch_norm.c: batch_norm and its backward op on float32, in the memory order of x.
 *
 * Channels-last memory and {n, c} are rows of c channels; row-major memory is planes, one for each
 * picture and channel. Rows are cut into slices of fixed size, each of which fits the first cache:
 * a slice finds its own mean, then its squared deviations, and the slices are put together in their
 * order. Planes are cut by channel. So no result depends on the number of threads. */
#include <math.h>
#include <string.h>

#include "core/simd.h"
#include "cpu/moments.h"
#include "ops/norm.h"

/* Elements of a slice of rows, about; rows at least. */
enum { SLICE = 8192, ROWS = 16 };
enum { LANES = 16, WIDE = 4 }; /* floats of a vector; vectors of channels worked on at a time */

typedef float vector __attribute__((vector_size(64), aligned(4), may_alias));
typedef int mask_vector __attribute__((vector_size(64), aligned(4), may_alias));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* What both passes know about a channel, {c} each. Forward: y = (x - mean) * a + c. Backward:
 * dx = a * dy + (b * (x - mean) + c). */
typedef struct factors {
    float *mean, *a, *b, *c;
} factors;

typedef struct job {
    masconI_channels s;
    int64_t rows, per_slice, slices; /* rows form; slices of per_slice rows */
    const float *x, *dy;
    float *y; /* backward: dx */
    int mask;
    factors f;
    double *partial; /* slices * {2, c}, or planes: {2, c} */
} job;

static int64_t rows_of_slice(int64_t c) {
    const int64_t rows = SLICE / c;
    return rows < ROWS ? ROWS : rows;
}

/* ---- Rows: V vectors of channels over n rows ---- */

/* Means and squared deviations of one slice: a pass for the mean, a pass around it, and what the
 * rounding of the mean left over. */
INLINE void moments_block(const float *x, int64_t stride, int64_t n, int V, double *mean,
                          double *squares) {
    vector s[2 * WIDE] = {{0}}, q[WIDE] = {{0}}, m[WIDE];
    int64_t r = 0;
    for (; r + 2 <= n; r += 2) {
        UNROLL for (int v = 0; v < V; v++) {
            s[v] += *(const vector *)(x + r * stride + LANES * v);
            s[V + v] += *(const vector *)(x + (r + 1) * stride + LANES * v);
        }
    }
    if (r < n) {
        UNROLL for (int v = 0; v < V; v++) s[v] += *(const vector *)(x + r * stride + LANES * v);
    }
    UNROLL for (int v = 0; v < V; v++) {
        m[v] = (s[v] + s[V + v]) / (float)n;
        s[v] = (vector){0};
    }
    for (r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            const vector d = *(const vector *)(x + r * stride + LANES * v) - m[v];
            s[v] += d;
            q[v] += d * d;
        }
    }
    for (int v = 0; v < V; v++) {
        for (int k = 0; k < LANES; k++) {
            const double rest = (double)s[v][k];
            mean[LANES * v + k] = (double)m[v][k] + rest / (double)n;
            squares[LANES * v + k] = (double)q[v][k] - rest * rest / (double)n;
        }
    }
}

/* Sums of dy and of dy * (x - mean) of one slice. */
INLINE void products_block(const float *dy, const float *x, int64_t stride, int64_t n, int V,
                           const float *mean, double *sum, double *product) {
    vector s[WIDE] = {{0}}, q[WIDE] = {{0}}, m[WIDE];
    UNROLL for (int v = 0; v < V; v++) m[v] = *(const vector *)(mean + LANES * v);
    for (int64_t r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            const vector d = *(const vector *)(dy + r * stride + LANES * v);
            s[v] += d;
            q[v] += d * (*(const vector *)(x + r * stride + LANES * v) - m[v]);
        }
    }
    for (int v = 0; v < V; v++) {
        for (int k = 0; k < LANES; k++) {
            sum[LANES * v + k] = (double)s[v][k];
            product[LANES * v + k] = (double)q[v][k];
        }
    }
}

INLINE void normalise_block(const float *x, int64_t stride, int64_t n, int V, const factors *f,
                            int64_t c, float *y) {
    vector m[WIDE], a[WIDE], b[WIDE];
    UNROLL for (int v = 0; v < V; v++) {
        m[v] = *(const vector *)(f->mean + c + LANES * v);
        a[v] = *(const vector *)(f->a + c + LANES * v);
        b[v] = *(const vector *)(f->c + c + LANES * v);
    }
    for (int64_t r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            const int64_t at = r * stride + c + LANES * v;
            *(vector *)(y + at) = (*(const vector *)(x + at) - m[v]) * a[v] + b[v];
        }
    }
}

INLINE void combine_block(const float *dy, const float *x, int64_t stride, int64_t n, int V,
                          const factors *f, int64_t c, int mask, float *dx) {
    vector m[WIDE], a[WIDE], b[WIDE], e[WIDE];
    UNROLL for (int v = 0; v < V; v++) {
        m[v] = *(const vector *)(f->mean + c + LANES * v);
        a[v] = *(const vector *)(f->a + c + LANES * v);
        b[v] = *(const vector *)(f->b + c + LANES * v);
        e[v] = *(const vector *)(f->c + c + LANES * v);
    }
    for (int64_t r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            const int64_t at = r * stride + c + LANES * v;
            const vector value = *(const vector *)(x + at);
            vector d = a[v] * *(const vector *)(dy + at) + (b[v] * (value - m[v]) + e[v]);
            if (mask) d = (vector)((mask_vector)d & ~(mask_vector)(value <= 0));
            *(vector *)(dx + at) = d;
        }
    }
}

/* block(V) over whole vectors of channels, WIDE, two or one at a time; the last channels are plain
 * loops. */
#define BLOCKS(c, count, block)                                       \
    for (; c + LANES * WIDE <= count; c += LANES * WIDE) block(WIDE); \
    for (; c + LANES * 2 <= count; c += LANES * 2) block(2);          \
    for (; c + LANES <= count; c += LANES) block(1)

MASCON_CLONES static void moments_rows(const float *x, int64_t channels, int64_t n, double *mean,
                                       double *squares) {
    int64_t c = 0;
#define BLOCK(V) moments_block(x + c, channels, n, V, mean + c, squares + c)
    BLOCKS(c, channels, BLOCK);
#undef BLOCK
    for (; c < channels; c++) {
        double sum = 0, rest = 0, q = 0;
        for (int64_t r = 0; r < n; r++) sum += (double)x[r * channels + c];
        const double m = sum / (double)n;
        for (int64_t r = 0; r < n; r++) {
            const double d = (double)x[r * channels + c] - m;
            rest += d;
            q += d * d;
        }
        mean[c] = m + rest / (double)n;
        squares[c] = q;
    }
}

MASCON_CLONES static void products_rows(const float *dy, const float *x, int64_t channels,
                                        int64_t n, const float *mean, double *sum,
                                        double *product) {
    int64_t c = 0;
#define BLOCK(V) products_block(dy + c, x + c, channels, n, V, mean + c, sum + c, product + c)
    BLOCKS(c, channels, BLOCK);
#undef BLOCK
    for (; c < channels; c++) {
        sum[c] = product[c] = 0;
        for (int64_t r = 0; r < n; r++) {
            const double d = (double)dy[r * channels + c];
            sum[c] += d;
            product[c] += d * ((double)x[r * channels + c] - (double)mean[c]);
        }
    }
}

MASCON_CLONES static void normalise_rows(const float *x, int64_t channels, int64_t n,
                                         const factors *f, float *y) {
    int64_t c = 0;
#define BLOCK(V) normalise_block(x, channels, n, V, f, c, y)
    BLOCKS(c, channels, BLOCK);
#undef BLOCK
    for (int64_t r = 0; r < n && c < channels; r++) {
        for (int64_t k = c; k < channels; k++) {
            y[r * channels + k] = (x[r * channels + k] - f->mean[k]) * f->a[k] + f->c[k];
        }
    }
}

MASCON_CLONES static void combine_rows(const float *dy, const float *x, int64_t channels, int64_t n,
                                       const factors *f, int mask, float *dx) {
    int64_t c = 0;
#define PLAIN(V) combine_block(dy, x, channels, n, V, f, c, 0, dx)
#define MASKED(V) combine_block(dy, x, channels, n, V, f, c, 1, dx)
    if (mask) {
        BLOCKS(c, channels, MASKED);
    } else {
        BLOCKS(c, channels, PLAIN);
    }
#undef PLAIN
#undef MASKED
    for (int64_t r = 0; r < n && c < channels; r++) {
        for (int64_t k = c; k < channels; k++) {
            const float v = x[r * channels + k];
            const float d = f->a[k] * dy[r * channels + k] + (f->b[k] * (v - f->mean[k]) + f->c[k]);
            dx[r * channels + k] = mask && v <= 0 ? 0 : d;
        }
    }
}

/* ---- Slices ---- */

static int64_t slice_rows(const job *j, int64_t i, int64_t *first) {
    *first = i * j->per_slice;
    return *first + j->per_slice < j->rows ? j->per_slice : j->rows - *first;
}

static void slice_moments(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = slice_rows(j, i, &first), c = j->s.c;
    moments_rows(j->x + first * c, c, n, j->partial + 2 * i * c, j->partial + (2 * i + 1) * c);
}

static void slice_products(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = slice_rows(j, i, &first), c = j->s.c;
    products_rows(j->dy + first * c, j->x + first * c, c, n, j->f.mean, j->partial + 2 * i * c,
                  j->partial + (2 * i + 1) * c);
}

static void slice_normalise(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = slice_rows(j, i, &first), c = j->s.c;
    normalise_rows(j->x + first * c, c, n, &j->f, j->y + first * c);
}

static void slice_combine(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    int64_t first, n = slice_rows(j, i, &first), c = j->s.c;
    combine_rows(j->dy + first * c, j->x + first * c, c, n, &j->f, j->mask, j->y + first * c);
}

/* ---- Planes: a slice is one channel ---- */

static void plane_moments(void *context, int64_t c, int thread) {
    (void)thread;
    const job *j = context;
    double sum = 0, unused = 0, rest = 0, squares = 0;
    const float first = j->x[c * j->s.inner];
    for (int64_t n = 0; n < j->s.n; n++) {
        masconC_moments(j->x + (n * j->s.c + c) * j->s.inner, j->s.inner, first, &sum, &unused);
    }
    const float middle = (float)((double)first + sum / (double)j->s.count);
    for (int64_t n = 0; n < j->s.n; n++) {
        masconC_moments(j->x + (n * j->s.c + c) * j->s.inner, j->s.inner, middle, &rest, &squares);
    }
    j->partial[c] = (double)middle + rest / (double)j->s.count;
    j->partial[j->s.c + c] = squares - rest * rest / (double)j->s.count;
}

static void plane_products(void *context, int64_t c, int thread) {
    (void)thread;
    const job *j = context;
    double sum = 0, product = 0;
    for (int64_t n = 0; n < j->s.n; n++) {
        const int64_t at = (n * j->s.c + c) * j->s.inner;
        masconC_products(j->dy + at, j->x + at, j->s.inner, j->f.mean[c], &sum, &product);
    }
    j->partial[c] = sum;
    j->partial[j->s.c + c] = product;
}

static void plane_normalise(void *context, int64_t c, int thread) {
    (void)thread;
    const job *j = context;
    for (int64_t n = 0; n < j->s.n; n++) {
        const int64_t at = (n * j->s.c + c) * j->s.inner;
        masconC_normalise(j->x + at, j->s.inner, j->f.mean[c], j->f.a[c], j->f.c[c], j->y + at);
    }
}

static void plane_combine(void *context, int64_t c, int thread) {
    (void)thread;
    const job *j = context;
    for (int64_t n = 0; n < j->s.n; n++) {
        const int64_t at = (n * j->s.c + c) * j->s.inner;
        masconC_combine(j->dy + at, j->x + at, j->s.inner, j->f.mean[c], j->f.a[c], j->f.b[c],
                        j->f.c[c], j->mask, j->y + at);
    }
}

/* ---- Putting slices together ---- */

MASCON_CLONES static void add_weighted(const double *restrict x, double w, double *restrict sum,
                                       int64_t n) {
    for (int64_t c = 0; c < n; c++) sum[c] += x[c] * w;
}

MASCON_CLONES static void add_deviation(const double *restrict mean, const double *restrict squares,
                                        double w, const double *restrict whole,
                                        double *restrict sum, int64_t n) {
    for (int64_t c = 0; c < n; c++) {
        const double d = mean[c] - whole[c];
        sum[c] += squares[c] + w * d * d;
    }
}

/* whole {2, c}: mean and squared deviations over all slices. */
static void join_moments(const job *j, double *whole) {
    const int64_t c = j->s.c;
    int64_t first;
    memset(whole, 0, sizeof(double) * 2 * (size_t)c);
    for (int64_t i = 0; i < j->slices; i++) {
        const double share = (double)slice_rows(j, i, &first) / (double)j->rows;
        add_weighted(j->partial + 2 * i * c, share, whole, c);
    }
    for (int64_t i = 0; i < j->slices; i++) {
        add_deviation(j->partial + 2 * i * c, j->partial + (2 * i + 1) * c,
                      (double)slice_rows(j, i, &first), whole, whole + c, c);
    }
}

static void join_products(const job *j, double *whole) {
    memset(whole, 0, sizeof(double) * 2 * (size_t)j->s.c);
    for (int64_t i = 0; i < j->slices; i++) {
        add_weighted(j->partial + 2 * i * j->s.c, 1, whole, 2 * j->s.c);
    }
}

/* ---- The kernels ---- */

/* Rows of channels rather than planes; what wish asked for decides for 4 dimensions. */
static int in_rows(const mascon_view *x, const masconI_channels *s) {
    return s->inner == 1 || !x->contiguous;
}

/* Also tells, for workspace, how much room the partial sums may take: planes need less. */
static void cut(job *j) {
    j->rows = j->s.count;
    j->per_slice = rows_of_slice(j->s.c);
    j->slices = (j->rows + j->per_slice - 1) / j->per_slice;
}

static const mascon_view *input(const mascon_call *call) {
    return SRC(call, call->op == MASCON_OP_batch_norm ? 0 : 1);
}

/* {2, c} whole sums, partial sums of each slice, four floats of each channel. */
static size_t workspace(const mascon_call *call) {
    job j = {.s = masconI_channels_of(input(call))};
    cut(&j);
    return (size_t)j.s.c * (sizeof(double) * 2 * (size_t)(1 + j.slices) + sizeof(float) * 4);
}

static job begin(const mascon_call *call, void *memory, double **whole) {
    job j = {.s = masconI_channels_of(input(call)), .x = input(call)->data};
    cut(&j);
    const int64_t c = j.s.c;
    *whole = memory;
    j.partial = *whole + 2 * c;
    j.f.mean = (float *)(void *)(j.partial + 2 * c * j.slices);
    j.f.a = j.f.mean + c;
    j.f.b = j.f.a + c;
    j.f.c = j.f.b + c;
    if (!in_rows(input(call), &j.s)) j.slices = 0; /* planes */
    return j;
}

static const mascon_view *maybe(const mascon_call *call, int i) {
    return i < call->n_src && call->src[i] ? SRC(call, i) : NULL;
}

static float value(const mascon_view *v, int64_t c, float absent) {
    return v ? ((const float *)v->data)[c * v->stride[0]] : absent;
}

static void move_running(const mascon_view *v, int64_t c, double momentum, double to) {
    if (!v) return;
    float *p = (float *)v->data + c * v->stride[0];
    *p = (float)((1 - momentum) * (double)*p + momentum * to);
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    double *whole;
    job j = begin(call, exec->workspace, &whole);
    const mascon_view *running_mean = maybe(call, 1), *running_var = maybe(call, 2);
    const mascon_view *weight = maybe(call, 3), *bias = maybe(call, 4);
    const double momentum = call->attr[NN_BATCH_NORM_MOMENTUM], n = (double)j.s.count;
    const double eps = call->attr[NN_BATCH_NORM_EPS];
    const int training = call->attr[NN_BATCH_NORM_TRAINING] != 0;
    float *kept_mean = DST(call, 1)->data, *kept_rstd = DST(call, 2)->data;
    j.y = DST(call, 0)->data;
    if (training && j.slices) {
        masconI_parallel(j.slices, slice_moments, &j);
        join_moments(&j, whole);
    } else if (training) {
        masconI_parallel(j.s.c, plane_moments, &j);
        whole = j.partial;
    }
    for (int64_t c = 0; c < j.s.c; c++) {
        double mean, var;
        if (training) {
            mean = whole[c];
            var = whole[j.s.c + c] / n;
            move_running(running_mean, c, momentum, mean);
            move_running(running_var, c, momentum, whole[j.s.c + c] / (n - 1));
        } else {
            mean = (double)value(running_mean, c, 0);
            var = (double)value(running_var, c, 0);
        }
        const double rstd = 1 / sqrt(var + eps);
        kept_mean[c] = j.f.mean[c] = (float)mean;
        kept_rstd[c] = (float)rstd;
        j.f.a[c] = (float)(rstd * (double)value(weight, c, 1));
        /* what the rounding of the mean leaves over goes into the shift */
        j.f.c[c] =
            (float)((double)value(bias, c, 0) - (mean - (double)j.f.mean[c]) * (double)j.f.a[c]);
    }
    if (j.slices) {
        masconI_parallel(j.slices, slice_normalise, &j);
    } else {
        masconI_parallel(j.s.c, plane_normalise, &j);
    }
    return MASCON_OK;
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    double *whole;
    job j = begin(call, exec->workspace, &whole);
    const mascon_view *weight = maybe(call, 4);
    const int training = call->attr[NN_BATCH_NORM_BWD_TRAINING] != 0;
    const int affine = call->n_dst > 1;
    const double n = (double)j.s.count;
    j.dy = SRC(call, 0)->data;
    j.y = DST(call, 0)->data;
    j.mask = call->attr[NN_BATCH_NORM_BWD_RELU_MASK] != 0;
    for (int64_t c = 0; c < j.s.c; c++) j.f.mean[c] = value(SRC(call, 2), c, 0);
    if ((training || affine) && j.slices) {
        masconI_parallel(j.slices, slice_products, &j);
        join_products(&j, whole);
    } else if (training || affine) {
        masconI_parallel(j.s.c, plane_products, &j);
        whole = j.partial;
    }
    for (int64_t c = 0; c < j.s.c; c++) {
        const double rstd = (double)value(SRC(call, 3), c, 0);
        const double a = rstd * (double)value(weight, c, 1);
        j.f.a[c] = (float)a;
        j.f.b[c] = training ? (float)(-a * rstd * rstd * whole[j.s.c + c] / n) : 0;
        j.f.c[c] = training ? (float)(-a * whole[c] / n) : 0;
        if (!affine) continue;
        ((float *)DST(call, 1)->data)[c] = (float)(whole[j.s.c + c] * rstd);
        ((float *)DST(call, 2)->data)[c] = (float)whole[c];
    }
    if (j.slices) {
        masconI_parallel(j.slices, slice_combine, &j);
    } else {
        masconI_parallel(j.s.c, plane_combine, &j);
    }
    return MASCON_OK;
}

static int wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = input(call);
    for (int i = 0; i < call->n_src; i++) {
        if (call->src[i] && SRC(call, i)->dtype != MASCON_DTYPE_F32) return 0;
    }
    if (x->numel == 0) return 0;
    const int nhwc = x->layout == MASCON_LAYOUT_NHWC && !x->contiguous;
    const uint8_t order = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    if (call->op == MASCON_OP_batch_norm_bwd) w->src[1] = order;
    w->src[0] = w->dst[0] = order;
    w->dst[1] = w->dst[2] = MASCON_WISH_ROW; /* all {c} inputs are read, or written, as they lie */
    return 1;
}

const mascon_kernel masconC_batch_norm = {.wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_batch_norm_bwd = {
    .wish = wish, .workspace = workspace, .run = backward};

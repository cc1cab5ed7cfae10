/* batch_norm.c: batch_norm and its backward op on float32 and bfloat16, in the memory order of x.
 *
 * Channels-last memory and {n, c} are rows of c channels (batch_norm.h); row-major memory is planes,
 * one for each picture and channel, cut by channel. */
#include "cpu/batch_norm.h"

#include <math.h>
#include <string.h>

#include "core/simd.h"
#include "cpu/conv.h"
#include "cpu/moments.h"

/* Elements of a slice of rows, about; rows at least. */
enum { SLICE = 8192, ROWS = 16 };

/* ---- Slices ---- */

/* Of pictures, whole rows of pixels, and two at a time where that goes up: a slice then holds whole
 * windows of 2x2 (batch_norm_pool.c). */
int64_t masconC_norm_per_slice(const mascon_view *x) {
    const int64_t c = x->shape[1];
    int64_t rows = SLICE / c;
    if (rows < ROWS) rows = ROWS;
    if (x->ndim != 4) return rows;
    const int64_t unit = (x->shape[2] % 2 ? 1 : 2) * x->shape[3];
    if (unit * c > 4 * SLICE) return rows;
    return rows < unit ? unit : rows - rows % unit;
}

int64_t masconC_norm_slice(const masconC_norm *j, int64_t i, int64_t *first) {
    *first = i * j->per_slice;
    return *first + j->per_slice < j->rows ? j->per_slice : j->rows - *first;
}

static void moments_of(const masconC_norm *j, int64_t i) {
    int64_t first, n = masconC_norm_slice(j, i, &first);
    double *partial = j->partial + 2 * i * j->s.c;
    masconC_norm_moments(j, first, n, partial, partial + j->s.c);
}

static void slice_moments(void *context, int64_t i, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    if (!j->done || !j->done[i]) moments_of(j, i);
}

void masconC_norm_gather(const masconC_norm *j, int64_t first, int64_t count) {
    const int64_t begin = first / j->s.c, end = (first + count) / j->s.c;
    for (int64_t i = (begin + j->per_slice - 1) / j->per_slice; i < j->slices; i++) {
        int64_t at, n = masconC_norm_slice(j, i, &at);
        if (at + n > end) return;
        moments_of(j, i);
        j->done[i] = 1;
    }
}

static void slice_products(void *context, int64_t i, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    int64_t first, n = masconC_norm_slice(j, i, &first);
    double *partial = j->partial + 2 * i * j->s.c;
    masconC_norm_products(j, first, n, partial, partial + j->s.c);
}

static void slice_normalise(void *context, int64_t i, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    int64_t first, n = masconC_norm_slice(j, i, &first);
    masconC_norm_normalise(j, first, n);
}

static void slice_combine(void *context, int64_t i, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    int64_t first, n = masconC_norm_slice(j, i, &first);
    masconC_norm_combine(j, first, n);
}

/* ---- Planes: a slice is one channel ---- */

static void plane_moments(void *context, int64_t c, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    const float *x = j->x;
    double sum = 0, unused = 0, rest = 0, squares = 0;
    const float first = x[c * j->s.inner];
    for (int64_t n = 0; n < j->s.n; n++) {
        masconC_moments(x + (n * j->s.c + c) * j->s.inner, j->s.inner, first, &sum, &unused);
    }
    const float middle = (float)((double)first + sum / (double)j->s.count);
    for (int64_t n = 0; n < j->s.n; n++) {
        masconC_moments(x + (n * j->s.c + c) * j->s.inner, j->s.inner, middle, &rest, &squares);
    }
    j->partial[c] = (double)middle + rest / (double)j->s.count;
    j->partial[j->s.c + c] = squares - rest * rest / (double)j->s.count;
}

static void plane_products(void *context, int64_t c, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    const float *x = j->x;
    double sum = 0, product = 0;
    for (int64_t n = 0; n < j->s.n; n++) {
        const int64_t at = (n * j->s.c + c) * j->s.inner;
        masconC_products((const float *)j->dy + at, x + at, j->s.inner, j->f.mean[c], &sum,
                         &product);
    }
    j->partial[c] = sum;
    j->partial[j->s.c + c] = product;
}

static void plane_normalise(void *context, int64_t c, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    const masconI_finish tail = {.residual = j->residual, .relu = j->relu};
    for (int64_t n = 0; n < j->s.n; n++) {
        const int64_t at = (n * j->s.c + c) * j->s.inner;
        masconC_normalise((const float *)j->x + at, j->s.inner, j->f.mean[c], j->f.a[c], j->f.c[c],
                          (float *)j->y + at);
        masconI_finish_run(&tail, j->y, at, j->s.inner);
    }
}

static void plane_combine(void *context, int64_t c, int thread) {
    (void)thread;
    const masconC_norm *j = context;
    for (int64_t n = 0; n < j->s.n; n++) {
        const int64_t at = (n * j->s.c + c) * j->s.inner;
        masconC_combine((const float *)j->dy + at, (const float *)j->x + at, j->s.inner,
                        j->f.mean[c], j->f.a[c], j->f.b[c], j->f.c[c], j->mask, (float *)j->y + at);
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

/* j->whole: mean and squared deviations over all slices. */
static void join_moments(masconC_norm *j) {
    const int64_t c = j->s.c;
    int64_t first;
    memset(j->whole, 0, sizeof(double) * 2 * (size_t)c);
    for (int64_t i = 0; i < j->slices; i++) {
        const double share = (double)masconC_norm_slice(j, i, &first) / (double)j->rows;
        add_weighted(j->partial + 2 * i * c, share, j->whole, c);
    }
    for (int64_t i = 0; i < j->slices; i++) {
        const double n = (double)masconC_norm_slice(j, i, &first);
        add_deviation(j->partial + 2 * i * c, j->partial + (2 * i + 1) * c, n, j->whole,
                      j->whole + c, c);
    }
}

void masconC_norm_join_products(masconC_norm *j) {
    memset(j->whole, 0, sizeof(double) * 2 * (size_t)j->s.c);
    for (int64_t i = 0; i < j->slices; i++) {
        add_weighted(j->partial + 2 * i * j->s.c, 1, j->whole, 2 * j->s.c);
    }
}

/* ---- What the kernels share ---- */

/* Rows of channels rather than planes; what wish asked for decides for 4 dimensions. */
static int in_rows(const mascon_view *x, const masconI_channels *s) {
    return s->inner == 1 || !x->contiguous;
}

/* Also tells, for workspace, how much room the partial sums may take: planes need less. */
static void cut(masconC_norm *j, const mascon_view *x) {
    j->s = masconI_channels_of(x);
    j->rows = j->s.count;
    j->per_slice = masconC_norm_per_slice(x);
    j->slices = (j->rows + j->per_slice - 1) / j->per_slice;
}

int masconC_norm_takes(const mascon_call *call, const mascon_view *x, uint32_t like, uint32_t any) {
    if (x->numel == 0) return 0;
    if (x->dtype != MASCON_DTYPE_F32 && x->dtype != MASCON_DTYPE_BF16) return 0;
    for (int i = 0; i < call->n_src; i++) {
        const int32_t expected = like >> i & 1 ? x->dtype : MASCON_DTYPE_F32;
        if (call->src[i] && !(any >> i & 1) && SRC(call, i)->dtype != expected) return 0;
    }
    return 1;
}

/* {2, c} whole sums, partial sums of each slice, four floats of each channel. */
size_t masconC_norm_workspace(const mascon_view *x) {
    masconC_norm j = {0};
    cut(&j, x);
    return (size_t)j.s.c * (sizeof(double) * 2 * (size_t)(1 + j.slices) + sizeof(float) * 4);
}

masconC_norm masconC_norm_begin(const mascon_view *x, void *memory) {
    masconC_norm j = {.x = x->data, .half = x->dtype == MASCON_DTYPE_BF16, .whole = memory};
    cut(&j, x);
    const int64_t c = j.s.c;
    j.partial = j.whole + 2 * c;
    j.f.mean = (float *)(void *)(j.partial + 2 * c * j.slices);
    j.f.a = j.f.mean + c;
    j.f.b = j.f.a + c;
    j.f.c = j.f.b + c;
    if (!in_rows(x, &j.s)) j.slices = 0; /* planes */
    return j;
}

static const mascon_view *maybe(const mascon_call *call, int i) {
    return i < call->n_src && call->src[i] ? SRC(call, i) : NULL;
}

float masconC_norm_value(const mascon_view *v, int64_t c, float absent) {
    return v ? ((const float *)v->data)[c * v->stride[0]] : absent;
}

static void move_running(const mascon_view *v, int64_t c, double momentum, double to) {
    if (!v) return;
    float *p = (float *)v->data + c * v->stride[0];
    *p = (float)((1 - momentum) * (double)*p + momentum * to);
}

static void find_moments(masconC_norm *j) {
    if (j->slices) {
        masconI_parallel(j->slices, slice_moments, j);
        join_moments(j);
    } else {
        masconI_parallel(j->s.c, plane_moments, j);
        j->whole = j->partial;
    }
}

void masconC_norm_prepare(masconC_norm *j, const mascon_call *call, float *kept_mean,
                          float *kept_rstd) {
    const mascon_view *running_mean = maybe(call, 1), *running_var = maybe(call, 2);
    const mascon_view *weight = maybe(call, 3), *bias = maybe(call, 4);
    const double momentum = call->attr[NN_BATCH_NORM_MOMENTUM], n = (double)j->s.count;
    const double eps = call->attr[NN_BATCH_NORM_EPS];
    const int training = call->attr[NN_BATCH_NORM_TRAINING] != 0;
    if (training) find_moments(j);
    for (int64_t c = 0; c < j->s.c; c++) {
        double mean, var;
        if (training) {
            mean = j->whole[c];
            var = j->whole[j->s.c + c] / n;
            move_running(running_mean, c, momentum, mean);
            move_running(running_var, c, momentum, j->whole[j->s.c + c] / (n - 1));
        } else {
            mean = (double)masconC_norm_value(running_mean, c, 0);
            var = (double)masconC_norm_value(running_var, c, 0);
        }
        const double rstd = 1 / sqrt(var + eps);
        kept_mean[c] = j->f.mean[c] = (float)mean;
        kept_rstd[c] = (float)rstd;
        j->f.a[c] = (float)(rstd * (double)masconC_norm_value(weight, c, 1));
        /* what the rounding of the mean leaves over goes into the shift */
        j->f.c[c] = (float)((double)masconC_norm_value(bias, c, 0) -
                            (mean - (double)j->f.mean[c]) * (double)j->f.a[c]);
    }
}

void masconC_norm_prepare_back(masconC_norm *j, const mascon_view *rstds, const mascon_view *weight,
                               int training, float *dweight, float *dbias) {
    const double n = (double)j->s.count;
    for (int64_t c = 0; c < j->s.c; c++) {
        const double rstd = (double)masconC_norm_value(rstds, c, 0);
        const double a = rstd * (double)masconC_norm_value(weight, c, 1);
        j->f.a[c] = (float)a;
        j->f.b[c] = training ? (float)(-a * rstd * rstd * j->whole[j->s.c + c] / n) : 0;
        j->f.c[c] = training ? (float)(-a * j->whole[c] / n) : 0;
        if (dweight) dweight[c] = (float)(j->whole[j->s.c + c] * rstd);
        if (dbias) dbias[c] = (float)j->whole[c];
    }
}

/* ---- The kernels ---- */

static const mascon_view *input(const mascon_call *call) {
    return SRC(call, call->op == MASCON_OP_batch_norm ? 0 : 1);
}

static size_t workspace(const mascon_call *call) { return masconC_norm_workspace(input(call)); }

void masconC_norm_finish(const masconC_norm *j) {
    if (j->slices) {
        masconI_parallel(j->slices, slice_normalise, (void *)j);
    } else {
        masconI_parallel(j->s.c, plane_normalise, (void *)j);
    }
}

static mascon_status forward(mascon_call *call, mascon_exec *exec) {
    masconC_norm j = masconC_norm_begin(SRC(call, 0), exec->workspace);
    masconC_norm_prepare(&j, call, DST(call, 1)->data, DST(call, 2)->data);
    j.y = DST(call, 0)->data;
    masconC_norm_finish(&j);
    return MASCON_OK;
}

static mascon_status backward(mascon_call *call, mascon_exec *exec) {
    masconC_norm j = masconC_norm_begin(SRC(call, 1), exec->workspace);
    const int training = call->attr[NN_BATCH_NORM_BWD_TRAINING] != 0;
    const int affine = call->n_dst > 1;
    j.dy = SRC(call, 0)->data;
    j.y = DST(call, 0)->data;
    j.mask = call->attr[NN_BATCH_NORM_BWD_RELU_MASK] != 0;
    for (int64_t c = 0; c < j.s.c; c++) j.f.mean[c] = masconC_norm_value(SRC(call, 2), c, 0);
    if ((training || affine) && j.slices) {
        masconI_parallel(j.slices, slice_products, &j);
        masconC_norm_join_products(&j);
    } else if (training || affine) {
        masconI_parallel(j.s.c, plane_products, &j);
        j.whole = j.partial;
    }
    masconC_norm_prepare_back(&j, SRC(call, 3), maybe(call, 4), training,
                              affine ? DST(call, 1)->data : NULL,
                              affine ? DST(call, 2)->data : NULL);
    if (j.slices) {
        masconI_parallel(j.slices, slice_combine, &j);
    } else {
        masconI_parallel(j.s.c, plane_combine, &j);
    }
    return MASCON_OK;
}

/* bfloat16 is worked on in rows alone. */
static int wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *x = input(call);
    const int back = call->op == MASCON_OP_batch_norm_bwd;
    if (!masconC_norm_takes(call, x, back ? 3 : 1, 0)) return 0;
    const int nhwc = x->layout == MASCON_LAYOUT_NHWC && !x->contiguous;
    if (x->dtype == MASCON_DTYPE_BF16 && !nhwc && masconI_channels_of(x).inner != 1) return 0;
    const uint8_t order = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    if (back) w->src[1] = order;
    w->src[0] = w->dst[0] = order;
    w->dst[1] = w->dst[2] = MASCON_WISH_ROW; /* all {c} inputs are read, or written, as they lie */
    return 1;
}

const mascon_kernel masconC_batch_norm = {.wish = wish, .workspace = workspace, .run = forward};
const mascon_kernel masconC_batch_norm_bwd = {
    .wish = wish, .workspace = workspace, .run = backward};

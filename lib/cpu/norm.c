/* norm.c: layer_norm, group_norm and their backward ops on row-major float32.
 *
 * Both normalise runs of elements that follow one another: layer_norm the rows {rows, size} with a
 * weight for each place, group_norm the groups {n * groups, per_group * inner} with a weight for each
 * channel of inner elements. A slice is a number of whole runs that the shape alone decides. */
#include <math.h>
#include <string.h>

#include "core/simd.h"
#include "cpu/moments.h"
#include "ops/norm.h"

enum { SLICE = 8192 };  /* elements of a slice, about */
enum { PARTIALS = 64 }; /* slices of a sum over rows at most */

typedef struct job {
    int layer;
    int64_t runs, size, per_slice, slices;
    int64_t groups, per_group, inner; /* group_norm */
    double eps;
    const float *x, *dy, *weight, *bias;
    const float *mean, *rstd; /* backward */
    float *y, *kept_mean, *kept_rstd;
    float *partial;  /* layer_norm: {slices, 2, size} of dweight and dbias */
    double *channel; /* group_norm: {runs, 2, per_group}: sums of dy xhat and of dy */
} job;

static job job_of(const mascon_call *call, const mascon_view *x, int layer) {
    job j = {.layer = layer, .x = x->data};
    if (layer) {
        int64_t sizes[MASCON_MAX_DIMS];
        masconI_rows_of(x, masconI_list(call, NN_LAYER_NORM_SIZES, sizes), &j.runs, &j.size);
    } else {
        const masconI_channels s = masconI_channels_of(x);
        j.groups = masconI_attr_int(call, NN_GROUP_NORM_GROUPS);
        j.per_group = s.c / j.groups;
        j.inner = s.inner;
        j.runs = s.n * j.groups;
        j.size = j.per_group * j.inner;
    }
    j.per_slice = (SLICE + j.size - 1) / j.size;
    if (j.runs > j.per_slice * PARTIALS) j.per_slice = (j.runs + PARTIALS - 1) / PARTIALS;
    j.slices = (j.runs + j.per_slice - 1) / j.per_slice;
    return j;
}

static const float *data_of(const mascon_call *call, int i) {
    return i < call->n_src && call->src[i] ? SRC(call, i)->data : NULL;
}

static int64_t slice_end(const job *j, int64_t i) {
    const int64_t end = (i + 1) * j->per_slice;
    return end < j->runs ? end : j->runs;
}

/* ---- Forward ---- */

/* Without weight or bias the pointer is NULL. */
MASCON_CLONES static void normalise_places(const float *restrict x, int64_t n, float mean,
                                           float rstd, const float *weight, const float *bias,
                                           float *restrict y) {
    if (weight && bias) {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * weight[i] + bias[i];
    } else if (weight) {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * weight[i];
    } else if (bias) {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd + bias[i];
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd;
    }
}

static void normalise_channels(const job *j, int64_t run, float mean, float rstd) {
    const int64_t first = run % j->groups * j->per_group;
    for (int64_t c = 0; c < j->per_group; c++) {
        const int64_t at = run * j->size + c * j->inner;
        const float w = j->weight ? j->weight[first + c] : 1;
        const float b = j->bias ? j->bias[first + c] : 0;
        masconC_normalise(j->x + at, j->inner, mean, rstd * w, b, j->y + at);
    }
}

static void slice_forward(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    for (int64_t run = i * j->per_slice; run < slice_end(j, i); run++) {
        const float *x = j->x + run * j->size;
        double mean, squares;
        masconC_mean_squares(x, j->size, &mean, &squares);
        const float rstd = (float)(1 / sqrt(squares / (double)j->size + j->eps));
        j->kept_mean[run] = (float)mean;
        j->kept_rstd[run] = rstd;
        if (j->layer) {
            normalise_places(x, j->size, (float)mean, rstd, j->weight, j->bias,
                             j->y + run * j->size);
        } else {
            normalise_channels(j, run, (float)mean, rstd);
        }
    }
}

static mascon_status forward(mascon_call *call, int layer) {
    job j = job_of(call, SRC(call, 0), layer);
    j.eps = call->attr[layer ? NN_LAYER_NORM_EPS : NN_GROUP_NORM_EPS];
    j.weight = data_of(call, 1);
    j.bias = data_of(call, 2);
    j.y = DST(call, 0)->data;
    j.kept_mean = DST(call, 1)->data;
    j.kept_rstd = DST(call, 2)->data;
    masconI_parallel(j.slices, slice_forward, &j);
    return MASCON_OK;
}

/* ---- Backward of layer_norm ---- */

/* g = dy * weight */
MASCON_CLONES static void multiply(const float *restrict dy, const float *restrict weight,
                                   float *restrict g, int64_t n) {
    for (int64_t i = 0; i < n; i++) g[i] = dy[i] * weight[i];
}

MASCON_CLONES static void add_affine(const float *restrict dy, const float *restrict x, float mean,
                                     float rstd, float *restrict dweight, float *restrict dbias,
                                     int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        dweight[i] += dy[i] * ((x[i] - mean) * rstd);
        dbias[i] += dy[i];
    }
}

/* In place: g becomes dx. */
MASCON_CLONES static void finish(float *restrict g, const float *restrict x, float mean, float a,
                                 float b, float c, int64_t n) {
    for (int64_t i = 0; i < n; i++) g[i] = a * g[i] + (b * (x[i] - mean) + c);
}

static void slice_layer(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t n = j->size;
    float *dweight = j->partial ? j->partial + 2 * i * n : NULL;
    if (dweight) memset(dweight, 0, sizeof(float) * 2 * (size_t)n);
    for (int64_t run = i * j->per_slice; run < slice_end(j, i); run++) {
        const float *x = j->x + run * n, *dy = j->dy + run * n;
        float *g = j->y + run * n;
        const float mean = j->mean[run], rstd = j->rstd[run];
        double sum = 0, product = 0;
        if (dweight) add_affine(dy, x, mean, rstd, dweight, dweight + n, n);
        if (j->weight) {
            multiply(dy, j->weight, g, n);
        } else {
            memcpy(g, dy, sizeof(float) * (size_t)n);
        }
        masconC_products(g, x, n, mean, &sum, &product);
        const double r = (double)rstd, size = (double)n;
        finish(g, x, mean, rstd, (float)(-r * r * r * product / size), (float)(-r * sum / size), n);
    }
}

MASCON_CLONES static void add(const float *restrict x, double *restrict sum, int64_t n) {
    for (int64_t i = 0; i < n; i++) sum[i] += (double)x[i];
}

/* {2, size} in doubles, then {slices, 2, size} in floats */
static size_t workspace_layer(const mascon_call *call) {
    if (call->attr[NN_LAYER_NORM_BWD_AFFINE] == 0) return 0;
    const job j = job_of(call, SRC(call, 1), 1);
    return (size_t)j.size * 2 * (sizeof(double) + sizeof(float) * (size_t)j.slices);
}

static mascon_status layer_norm_bwd(mascon_call *call, mascon_exec *exec) {
    job j = job_of(call, SRC(call, 1), 1);
    double *whole = exec->workspace;
    j.dy = data_of(call, 0);
    j.mean = data_of(call, 2);
    j.rstd = data_of(call, 3);
    j.weight = data_of(call, 4);
    j.y = DST(call, 0)->data;
    if (call->n_dst > 1) j.partial = (float *)(void *)(whole + 2 * j.size);
    masconI_parallel(j.slices, slice_layer, &j);
    if (call->n_dst == 1) return MASCON_OK;
    memset(whole, 0, sizeof(double) * 2 * (size_t)j.size);
    for (int64_t i = 0; i < j.slices; i++) add(j.partial + 2 * i * j.size, whole, 2 * j.size);
    for (int64_t i = 0; i < j.size; i++) {
        ((float *)DST(call, 1)->data)[i] = (float)whole[i];
        ((float *)DST(call, 2)->data)[i] = (float)whole[j.size + i];
    }
    return MASCON_OK;
}

/* ---- Backward of group_norm ---- */

static void slice_group(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    for (int64_t run = i * j->per_slice; run < slice_end(j, i); run++) {
        const int64_t first = run % j->groups * j->per_group;
        const float mean = j->mean[run], rstd = j->rstd[run];
        double *kept = j->channel + 2 * run * j->per_group, all = 0, all_product = 0;
        for (int64_t c = 0; c < j->per_group; c++) {
            const int64_t at = run * j->size + c * j->inner;
            const double w = j->weight ? (double)j->weight[first + c] : 1;
            double sum = 0, product = 0;
            masconC_products(j->dy + at, j->x + at, j->inner, mean, &sum, &product);
            kept[c] = product * (double)rstd;
            kept[j->per_group + c] = sum;
            all += w * sum;
            all_product += w * product;
        }
        const double r = (double)rstd, size = (double)j->size;
        const float b = (float)(-r * r * r * all_product / size), d = (float)(-r * all / size);
        for (int64_t c = 0; c < j->per_group; c++) {
            const int64_t at = run * j->size + c * j->inner;
            const float w = j->weight ? j->weight[first + c] : 1;
            masconC_combine(j->dy + at, j->x + at, j->inner, mean, rstd * w, b, d, 0, j->y + at);
        }
    }
}

static size_t workspace_group(const mascon_call *call) {
    const job j = job_of(call, SRC(call, 1), 0);
    return sizeof(double) * 2 * (size_t)(j.runs * j.per_group);
}

static mascon_status group_norm_bwd(mascon_call *call, mascon_exec *exec) {
    job j = job_of(call, SRC(call, 1), 0);
    j.dy = data_of(call, 0);
    j.mean = data_of(call, 2);
    j.rstd = data_of(call, 3);
    j.weight = data_of(call, 4);
    j.y = DST(call, 0)->data;
    j.channel = exec->workspace;
    masconI_parallel(j.slices, slice_group, &j);
    for (int64_t c = 0; call->n_dst > 1 && c < j.groups * j.per_group; c++) {
        double product = 0, sum = 0;
        for (int64_t run = c / j.per_group; run < j.runs; run += j.groups) {
            const double *kept = j.channel + 2 * run * j.per_group + c % j.per_group;
            product += kept[0];
            sum += kept[j.per_group];
        }
        ((float *)DST(call, 1)->data)[c] = (float)product;
        ((float *)DST(call, 2)->data)[c] = (float)sum;
    }
    return MASCON_OK;
}

/* ---- The kernels ---- */

static int wish(const mascon_call *call, mascon_wish *w) {
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        if (SRC(call, i)->dtype != MASCON_DTYPE_F32 || SRC(call, i)->numel == 0) return 0;
        w->src[i] = MASCON_WISH_ROW;
    }
    for (int i = 0; i < 3; i++) w->dst[i] = MASCON_WISH_ROW;
    return 1;
}

static mascon_status layer_norm(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return forward(call, 1);
}

static mascon_status group_norm(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return forward(call, 0);
}

const mascon_kernel masconC_layer_norm = {.wish = wish, .run = layer_norm};
const mascon_kernel masconC_layer_norm_bwd = {
    .wish = wish, .workspace = workspace_layer, .run = layer_norm_bwd};
const mascon_kernel masconC_group_norm = {.wish = wish, .run = group_norm};
const mascon_kernel masconC_group_norm_bwd = {
    .wish = wish, .workspace = workspace_group, .run = group_norm_bwd};

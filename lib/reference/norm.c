/* norm.c: reference kernels of layer_norm, group_norm and their backward ops.
 *
 * Both normalise runs of `size` logical elements that follow one another, run r by mean[r] and
 * rstd[r]. Element i of a run has the weight number place(i): for layer_norm its place in the run,
 * for group_norm its channel. */
#include "ops/norm.h"
#include "reference/reference.h"

typedef struct runs {
    int64_t count, size;
    int64_t inner, groups, per_group; /* group_norm: elements of a channel; channels of a group */
} runs;

static runs runs_of(const mascon_call *call, const mascon_view *x, int layer) {
    runs r = {.inner = 1, .groups = 1};
    if (layer) {
        int64_t sizes[MASCON_MAX_DIMS];
        masconI_rows_of(x, masconI_list(call, NN_LAYER_NORM_SIZES, sizes), &r.count, &r.size);
        r.per_group = r.size;
        return r;
    }
    const masconI_channels s = masconI_channels_of(x);
    r.groups = masconI_attr_int(call, NN_GROUP_NORM_GROUPS);
    r.per_group = s.c / r.groups;
    r.inner = s.inner;
    r.count = s.n * r.groups;
    r.size = r.per_group * s.inner;
    return r;
}

/* The number of the weight of element i of run k. */
static int64_t place(const runs *r, int64_t k, int64_t i) {
    return k % r->groups * r->per_group + i / r->inner;
}

static double weight_at(const mascon_call *call, int input, int64_t at, double absent) {
    const int given = input < call->n_src && call->src[input];
    return given ? masconR_get(SRC(call, input), at) : absent;
}

static mascon_status forward(const mascon_call *call, int layer) {
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const runs r = runs_of(call, x, layer);
    const double eps = call->attr[layer ? NN_LAYER_NORM_EPS : NN_GROUP_NORM_EPS];
    const double n = r.size ? (double)r.size : 1;
    for (int64_t k = 0; k < r.count; k++) {
        double mean = 0, var = 0;
        for (int64_t i = 0; i < r.size; i++) mean += masconR_get(x, k * r.size + i);
        mean /= n;
        for (int64_t i = 0; i < r.size; i++) {
            const double d = masconR_get(x, k * r.size + i) - mean;
            var += d * d;
        }
        const double rstd = 1 / sqrt(var / n + eps);
        masconR_set(DST(call, 1), k, mean);
        masconR_set(DST(call, 2), k, rstd);
        for (int64_t i = 0; i < r.size; i++) {
            const int64_t at = place(&r, k, i);
            const double v = (masconR_get(x, k * r.size + i) - mean) * rstd;
            masconR_set(y, k * r.size + i,
                        v * weight_at(call, 1, at, 1) + weight_at(call, 2, at, 0));
        }
    }
    return MASCON_OK;
}

/* dweight = sum of dy xhat, dbias = sum of dy over the elements of one weight. Summed in doubles, so
 * weight by weight. */
static void affine(const mascon_call *call, const runs *r) {
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1);
    const mascon_view *dweight = DST(call, 1), *dbias = DST(call, 2);
    for (int64_t p = 0; p < dweight->numel; p++) {
        const int64_t group = p / r->per_group, first = p % r->per_group * r->inner;
        double product = 0, sum = 0;
        for (int64_t k = group; k < r->count; k += r->groups) {
            const double mean = masconR_get(SRC(call, 2), k), rstd = masconR_get(SRC(call, 3), k);
            for (int64_t i = k * r->size + first; i < k * r->size + first + r->inner; i++) {
                product += masconR_get(dy, i) * (masconR_get(x, i) - mean) * rstd;
                sum += masconR_get(dy, i);
            }
        }
        masconR_set(dweight, p, product);
        masconR_set(dbias, p, sum);
    }
}

/* With g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)) */
static mascon_status backward(const mascon_call *call, int layer) {
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *dx = DST(call, 0);
    const runs r = runs_of(call, x, layer);
    const double n = (double)r.size;
    for (int64_t k = 0; k < r.count; k++) {
        const double mean = masconR_get(SRC(call, 2), k), rstd = masconR_get(SRC(call, 3), k);
        double sum = 0, product = 0;
        for (int64_t i = 0; i < r.size; i++) {
            const int64_t at = k * r.size + i;
            const double g = masconR_get(dy, at) * weight_at(call, 4, place(&r, k, i), 1);
            sum += g;
            product += g * (masconR_get(x, at) - mean) * rstd;
        }
        for (int64_t i = 0; i < r.size; i++) {
            const int64_t at = k * r.size + i;
            const double g = masconR_get(dy, at) * weight_at(call, 4, place(&r, k, i), 1);
            const double xhat = (masconR_get(x, at) - mean) * rstd;
            masconR_set(dx, at, rstd * (g - sum / n - xhat * product / n));
        }
    }
    if (call->n_dst > 1) affine(call, &r);
    return MASCON_OK;
}

static mascon_status layer_norm(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return forward(call, 1);
}

static mascon_status layer_norm_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return backward(call, 1);
}

static mascon_status group_norm(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return forward(call, 0);
}

static mascon_status group_norm_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return backward(call, 0);
}

const mascon_kernel masconR_layer_norm = {.run = layer_norm};
const mascon_kernel masconR_layer_norm_bwd = {.run = layer_norm_bwd};
const mascon_kernel masconR_group_norm = {.run = group_norm};
const mascon_kernel masconR_group_norm_bwd = {.run = group_norm_bwd};

/* reduce.c: reference kernels of the reductions and of cumsum.
 *
 * x has any shape. Each result belongs to one choice of subscripts of the kept dimensions; its
 * elements are visited in row-major order of the reduced ones. Sums of floating elements are
 * compensated (Neumaier), so that the oracle is exact to the last bits.
 */
#include "ops/reduce.h"
#include "reference/reference.h"

/* x taken apart: two views over the same memory, one with the kept dimensions, one with the
 * reduced. The element is at the sum of both offsets. */
typedef struct walk {
    masconI_reduction r;
    mascon_view kept, inner;
} walk;

static mascon_status open_walk(const mascon_call *call, const mascon_view *x, walk *w) {
    MASCON_TRY(masconI_reduction_of(call, x, &w->r));
    w->kept = w->inner = (mascon_view){.data = x->data, .dtype = x->dtype, .numel = 1};
    for (int32_t d = 0; d < x->ndim; d++) {
        mascon_view *v = w->r.reduce[d] ? &w->inner : &w->kept;
        v->shape[v->ndim] = x->shape[d];
        v->stride[v->ndim++] = x->stride[d];
        v->numel *= x->shape[d];
    }
    return MASCON_OK;
}

/* Element i of result o. */
static int64_t offset_of(const walk *w, int64_t o, int64_t i) {
    return masconR_offset(&w->kept, o) + masconR_offset(&w->inner, i);
}

static double element(const walk *w, int64_t o, int64_t i) {
    return masconI_load(w->kept.data, w->kept.dtype, offset_of(w, o, i));
}

static int64_t element_int(const walk *w, int64_t o, int64_t i) {
    return masconI_load_int(w->kept.data, w->kept.dtype, offset_of(w, o, i));
}

/* ---- Sums ---- */

typedef struct sum_of {
    double sum, lost;
} sum_of;

static void add(sum_of *s, double v) {
    double t = s->sum + v;
    if (isfinite(t)) s->lost += fabs(s->sum) >= fabs(v) ? (s->sum - t) + v : (v - t) + s->sum;
    s->sum = t;
}

static double total(const sum_of *s) { return s->sum + s->lost; }

/* The floating result number o. p: the option of norm, or the correction of var. */
typedef double (*result_of)(const walk *w, int64_t o, double p);

static mascon_status reduce(const mascon_call *call, result_of f, double p) {
    const mascon_view *y = DST(call, 0);
    walk w;
    MASCON_TRY(open_walk(call, SRC(call, 0), &w));
    for (int64_t o = 0; o < y->numel; o++) masconR_set(y, o, f(&w, o, p));
    return MASCON_OK;
}

static double sum_result(const walk *w, int64_t o, double p) {
    (void)p;
    sum_of s = {0};
    for (int64_t i = 0; i < w->r.count; i++) add(&s, element(w, o, i));
    return total(&s);
}

static double mean_result(const walk *w, int64_t o, double p) {
    return sum_result(w, o, p) / (double)w->r.count;
}

static double var_result(const walk *w, int64_t o, double correction) {
    double mean = mean_result(w, o, 0);
    sum_of s = {0};
    for (int64_t i = 0; i < w->r.count; i++) {
        double d = element(w, o, i) - mean;
        add(&s, d * d);
    }
    return total(&s) / masconI_freedom(w->r.count, correction);
}

static double std_result(const walk *w, int64_t o, double correction) {
    return sqrt(var_result(w, o, correction));
}

static double logsumexp_result(const walk *w, int64_t o, double p) {
    (void)p;
    double largest = -(double)INFINITY;
    for (int64_t i = 0; i < w->r.count; i++) {
        double v = element(w, o, i);
        if (isnan(v)) return v;
        if (v > largest) largest = v;
    }
    if (isinf(largest)) return largest;
    sum_of s = {0};
    for (int64_t i = 0; i < w->r.count; i++) add(&s, exp(element(w, o, i) - largest));
    return largest + log(total(&s));
}

/* The largest (p > 0) or smallest absolute value; 0 of no elements. */
static double norm_extreme(const walk *w, int64_t o, double p) {
    double best = w->r.count ? fabs(element(w, o, 0)) : 0;
    for (int64_t i = 1; i < w->r.count; i++) {
        double v = fabs(element(w, o, i));
        if (isnan(v) || (p > 0 ? v > best : v < best)) best = v;
        if (isnan(best)) return best;
    }
    return best;
}

static double norm_result(const walk *w, int64_t o, double p) {
    if (isinf(p)) return norm_extreme(w, o, p);
    sum_of s = {0};
    for (int64_t i = 0; i < w->r.count; i++) {
        double v = fabs(element(w, o, i));
        add(&s, p == 0 ? v != 0 : p == 1 ? v : p == 2 ? v * v : pow(v, p));
    }
    return p == 0 || p == 1 ? total(&s) : p == 2 ? sqrt(total(&s)) : pow(total(&s), 1 / p);
}

#define REDUCTION(op, p)                                                  \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return reduce(call, op##_result, p);                              \
    }                                                                     \
    const mascon_kernel masconR_##op = {.run = op##_run};

REDUCTION(mean, 0)
REDUCTION(var, call->attr[VAR_CORRECTION])
REDUCTION(std, call->attr[VAR_CORRECTION])
REDUCTION(logsumexp, 0)
REDUCTION(norm, call->attr[NORM_P])

/* Whole numbers are added and multiplied in int64 with wrap-around. */
static mascon_status reduce_whole(const mascon_call *call, int product) {
    const mascon_view *y = DST(call, 0);
    walk w;
    MASCON_TRY(open_walk(call, SRC(call, 0), &w));
    for (int64_t o = 0; o < y->numel; o++) {
        uint64_t result = product ? 1 : 0;
        for (int64_t i = 0; i < w.r.count; i++) {
            uint64_t v = (uint64_t)element_int(&w, o, i);
            result = product ? result * v : result + v;
        }
        masconR_set_int(y, o, (int64_t)result);
    }
    return MASCON_OK;
}

static mascon_status sum_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    if (!masconI_is_float(SRC(call, 0)->dtype)) return reduce_whole(call, 0);
    return reduce(call, sum_result, 0);
}

static double prod_result(const walk *w, int64_t o, double p) {
    (void)p;
    double product = 1;
    for (int64_t i = 0; i < w->r.count; i++) product *= element(w, o, i);
    return product;
}

static mascon_status prod_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    if (!masconI_is_float(SRC(call, 0)->dtype)) return reduce_whole(call, 1);
    return reduce(call, prod_result, 0);
}

/* The product of all elements of reduction o but the i-th. */
static double product_of_others(const walk *w, int64_t o, int64_t i) {
    double product = 1;
    for (int64_t k = 0; k < w->r.count; k++) {
        if (k != i) product *= element(w, o, k);
    }
    return product;
}

/* dx_i = dy * (product of the others), by division where there is no zero. As in PyTorch, two zeros
 * in a whole-tensor product make every gradient 0, whatever else stands there. */
static mascon_status prod_bwd_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dy = SRC(call, 0), *x = SRC(call, 1), *dx = DST(call, 0);
    walk w, to;
    MASCON_TRY(open_walk(call, x, &w));
    MASCON_TRY(open_walk(call, dx, &to));
    for (int64_t o = 0; o < w.kept.numel; o++) {
        double product = 1, gradient = masconR_get(dy, o);
        int64_t zeros = 0;
        for (int64_t i = 0; i < w.r.count; i++) {
            double v = element(&w, o, i);
            zeros += v == 0;
            product *= v;
        }
        for (int64_t i = 0; i < w.r.count; i++) {
            double others = 0;
            if (zeros == 0) {
                others = product / element(&w, o, i);
            } else if (zeros == 1 || !w.r.whole) {
                others = product_of_others(&w, o, i);
            }
            masconI_store(dx->data, dx->dtype, offset_of(&to, o, i), gradient * others);
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_sum = {.run = sum_run};
const mascon_kernel masconR_prod = {.run = prod_run};
const mascon_kernel masconR_prod_bwd = {.run = prod_bwd_run};

/* ---- any, all ---- */

static double any_result(const walk *w, int64_t o, double p) {
    (void)p;
    for (int64_t i = 0; i < w->r.count; i++) {
        if (element(w, o, i) != 0) return 1;
    }
    return 0;
}

static double all_result(const walk *w, int64_t o, double p) {
    (void)p;
    for (int64_t i = 0; i < w->r.count; i++) {
        if (element(w, o, i) == 0) return 0;
    }
    return 1;
}

REDUCTION(any, 0)
REDUCTION(all, 0)

/* ---- max, min, argmax, argmin ---- */

/* Whether element i of result o replaces the best so far: NaN before all else, the first of
 * equals. */
static int better(const walk *w, int64_t o, int64_t i, int64_t best, int sign) {
    if (!masconI_is_float(w->kept.dtype)) {
        int64_t a = element_int(w, o, i), b = element_int(w, o, best);
        return sign > 0 ? a > b : a < b;
    }
    double a = element(w, o, i), b = element(w, o, best);
    if (isnan(b)) return 0;
    return isnan(a) || (sign > 0 ? a > b : a < b);
}

/* values: dst[0] are the elements and dst[1], if there, their positions; else dst[0] the
 * positions. */
static mascon_status extreme(mascon_call *call, int sign, int values) {
    walk w;
    MASCON_TRY(open_walk(call, SRC(call, 0), &w));
    int64_t base = (int64_t)call->attr[REDUCE_BASE];
    const mascon_view *y = DST(call, 0);
    const mascon_view *at = values ? (call->n_dst > 1 ? DST(call, 1) : NULL) : y;
    for (int64_t o = 0; o < y->numel; o++) {
        int64_t best = 0;
        for (int64_t i = 1; i < w.r.count; i++) {
            if (better(&w, o, i, best, sign)) best = i;
        }
        if (at) masconR_set_int(at, o, base + best);
        if (!values) continue;
        if (masconI_is_float(y->dtype)) {
            masconR_set(y, o, element(&w, o, best));
        } else {
            masconR_set_int(y, o, element_int(&w, o, best));
        }
    }
    return MASCON_OK;
}

#define EXTREME(op, sign, values)                                         \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return extreme(call, sign, values);                               \
    }                                                                     \
    const mascon_kernel masconR_##op = {.run = op##_run};

EXTREME(max, 1, 1)
EXTREME(min, -1, 1)
EXTREME(argmax, 1, 0)
EXTREME(argmin, -1, 0)

/* ---- cumsum: y has the shape of x ---- */

static mascon_status cumsum_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[CUMSUM_DIM], x->ndim, &dim));
    int64_t n = x->ndim ? x->shape[dim] : 1, after = 1;
    for (int32_t d = dim + 1; d < x->ndim; d++) after *= x->shape[d];
    if (x->numel == 0) return MASCON_OK;
    for (int64_t row = 0; row < x->numel / n; row++) {
        int64_t first = row / after * n * after + row % after; /* in row-major order */
        sum_of s = {0};
        uint64_t whole = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = first + i * after;
            if (masconI_is_float(x->dtype)) {
                add(&s, masconR_get(x, at));
                masconR_set(y, at, total(&s));
            } else {
                whole += (uint64_t)masconR_get_int(x, at);
                masconR_set_int(y, at, (int64_t)whole);
            }
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_cumsum = {.run = cumsum_run};

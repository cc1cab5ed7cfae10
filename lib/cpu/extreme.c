/* extreme.c: max, min, argmax and argmin of float32.
 *
 * One result after the other, its elements in row-major order of the reduced dimensions: the first
 * of equal elements counts and NaN beats all. Results are shared among the threads; one result
 * over a large tensor is cut into blocks of fixed size whose winners meet in order.
 */
#include <math.h>

#include "cpu/elementwise.h"
#include "ops/reduce.h"

enum { BLOCK = 32768, LANES = 32 };

typedef struct winner {
    float value;
    int64_t at; /* number of the element among those of its result */
} winner;

typedef struct plan {
    const float *x;
    int sign;
    int32_t n_kept, n_inner;
    int64_t kept[MASCON_MAX_DIMS], kept_stride[MASCON_MAX_DIMS];
    int64_t inner[MASCON_MAX_DIMS], inner_stride[MASCON_MAX_DIMS];
    int64_t outputs, count, blocks, group;
    winner *winners; /* {outputs, blocks} */
} plan;

static int make_plan(const mascon_call *call, plan *p) {
    const mascon_view *x = SRC(call, 0);
    masconI_reduction r;
    *p = (plan){.x = x->data, .outputs = 1};
    if (masconI_reduction_of(call, x, &r) != MASCON_OK) return 0;
    p->count = r.count;
    for (int32_t d = 0; d < x->ndim; d++) {
        if (!r.reduce[d]) {
            p->kept[p->n_kept] = x->shape[d];
            p->kept_stride[p->n_kept++] = x->stride[d];
            p->outputs *= x->shape[d];
            continue;
        }
        int32_t last = p->n_inner - 1; /* merged where this one lies behind the last */
        if (last >= 0 && p->inner_stride[last] == x->stride[d] * x->shape[d]) {
            p->inner[last] *= x->shape[d];
            p->inner_stride[last] = x->stride[d];
        } else {
            p->inner[p->n_inner] = x->shape[d];
            p->inner_stride[p->n_inner++] = x->stride[d];
        }
    }
    if (p->n_inner == 0) { /* a scalar */
        p->n_inner = 1;
        p->inner[0] = 1;
    }
    p->blocks = (p->count + BLOCK - 1) / BLOCK;
    p->group = p->count > 0 && p->blocks <= 1 ? BLOCK / p->count : 1;
    return 1;
}

/* v replaces the best so far: larger (sign 1) or smaller (-1), or the first NaN. */
static inline int beats(float v, float best, int sign) {
    if (best != best) return 0;
    return v != v || (sign > 0 ? v > best : v < best);
}

static void scan(winner *w, const float *x, int64_t n, int64_t step, int64_t first, int sign) {
    float best = w->value;
    int64_t at = w->at;
    for (int64_t i = 0; i < n; i++) {
        if (!beats(x[i * step], best, sign)) continue;
        best = x[i * step];
        at = first + i;
    }
    w->value = best;
    w->at = at;
}

/* The largest (sign 1) or smallest of n elements, n a multiple of LANES, where none is NaN; else
 * NaN. */
MASCON_CLONES static float dense_best(const float *x, int64_t n, int sign) {
    float lane[LANES], flag[LANES] = {0};
    for (int k = 0; k < LANES; k++) lane[k] = x[k];
    for (int64_t i = 0; i < n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float v = x[i + k], larger = v > lane[k] ? v : lane[k];
            float smaller = v < lane[k] ? v : lane[k];
            lane[k] = sign > 0 ? larger : smaller;
            flag[k] = v != v ? 1.0f : flag[k];
        }
    }
    float best = lane[0];
    for (int k = 0; k < LANES; k++) {
        if (flag[k] != 0) return NAN;
        if (beats(lane[k], best, sign)) best = lane[k];
    }
    return best;
}

/* As scan, of a dense row: the value is found first, then where it stands. */
static void dense_scan(winner *w, const float *x, int64_t n, int64_t first, int sign) {
    const int64_t whole = n & ~(int64_t)(LANES - 1);
    if (whole > 0) {
        float best = dense_best(x, whole, sign);
        if (best != best) { /* rare: element by element */
            scan(w, x, whole, 1, first, sign);
        } else if (beats(best, w->value, sign)) {
            int64_t i = 0;
            while (x[i] != best) i++;
            *w = (winner){best, first + i};
        }
    }
    scan(w, x + whole, n - whole, 1, first + whole, sign);
}

/* Elements first..end-1 of the result whose elements begin at x. */
static winner run_block(const plan *p, const float *x, int64_t first, int64_t end) {
    const int32_t last = p->n_inner - 1;
    const int64_t width = p->inner[last];
    winner w = {0};
    for (int64_t i = first; i < end;) {
        int64_t offset = 0, rest = i / width, column = i % width, n = width - column;
        if (n > end - i) n = end - i;
        for (int32_t d = last - 1; d >= 0; d--) {
            offset += rest % p->inner[d] * p->inner_stride[d];
            rest /= p->inner[d];
        }
        const float *row = x + offset + column * p->inner_stride[last];
        if (i == first) w = (winner){row[0], i};
        if (p->inner_stride[last] == 1 && n >= 2 * LANES) {
            dense_scan(&w, row, n, i, p->sign);
        } else {
            scan(&w, row, n, p->inner_stride[last], i, p->sign);
        }
        i += n;
    }
    return w;
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const plan *p = context;
    int64_t units = p->outputs * p->blocks, end = (i + 1) * p->group;
    for (int64_t unit = i * p->group; unit < end && unit < units; unit++) {
        int64_t output = unit / p->blocks, first = unit % p->blocks * BLOCK, offset = 0;
        int64_t stop = p->count - first < BLOCK ? p->count : first + BLOCK;
        for (int32_t d = p->n_kept - 1; d >= 0; d--) {
            offset += output % p->kept[d] * p->kept_stride[d];
            output /= p->kept[d];
        }
        p->winners[unit] = run_block(p, p->x + offset, first, stop);
    }
}

/* values and positions are row-major; NULL where not asked for. */
static mascon_status extreme(mascon_call *call, mascon_exec *exec, int sign, float *values,
                             int64_t *positions) {
    plan p;
    if (!make_plan(call, &p)) return MASCON_E_ARG;
    if (p.outputs == 0) return MASCON_OK;
    p.sign = sign;
    p.winners = exec->workspace;
    masconI_parallel((p.outputs * p.blocks + p.group - 1) / p.group, slice, &p);
    for (int64_t o = 0; o < p.outputs; o++) {
        winner best = p.winners[o * p.blocks];
        for (int64_t b = 1; b < p.blocks; b++) {
            winner w = p.winners[o * p.blocks + b];
            if (beats(w.value, best.value, sign)) best = w;
        }
        if (values) values[o] = best.value;
        if (positions) positions[o] = best.at + (int64_t)call->attr[REDUCE_BASE];
    }
    return MASCON_OK;
}

static size_t workspace(const mascon_call *call) {
    plan p;
    return make_plan(call, &p) ? (size_t)(p.outputs * p.blocks) * sizeof(winner) : 0;
}

static int wish(const mascon_call *call, mascon_wish *w) {
    for (int i = 0; i < call->n_dst; i++) w->dst[i] = MASCON_WISH_ROW;
    return SRC(call, 0)->dtype == MASCON_DTYPE_F32;
}

#define VALUES(op, sign)                                                  \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        return extreme(call, exec, sign, DST(call, 0)->data,              \
                       call->n_dst > 1 ? DST(call, 1)->data : NULL);      \
    }                                                                     \
    const mascon_kernel masconC_##op = {.wish = wish, .workspace = workspace, .run = op##_run};

#define POSITION(op, sign)                                                \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        return extreme(call, exec, sign, NULL, DST(call, 0)->data);       \
    }                                                                     \
    const mascon_kernel masconC_##op = {.wish = wish, .workspace = workspace, .run = op##_run};

VALUES(max, 1)
VALUES(min, -1)
POSITION(argmax, 1)
POSITION(argmin, -1)

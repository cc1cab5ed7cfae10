/* elementwise.c: the walker of elementwise.h. */
#include "cpu/elementwise.h"

enum { SLICE = 32768 }; /* elements; part of no result, as elements do not meet */

typedef struct walk {
    int32_t ndim; /* 1 or more; the last dimension is the row */
    int32_t operands;
    int64_t shape[MASCON_MAX_DIMS];
    int64_t stride[MASCON_WALK_OPERANDS][MASCON_MAX_DIMS];
    int64_t size[MASCON_WALK_OPERANDS]; /* bytes of an element */
    char *data[MASCON_WALK_OPERANDS];
    int64_t numel;
    masconC_row_of row;
    const void *o;
} walk;

static void add_operand(walk *w, const mascon_view *v, const mascon_view *y) {
    int k = w->operands++;
    w->data[k] = v->data;
    w->size[k] = mascon_dtype_size(v->dtype);
    for (int32_t d = 0; d < y->ndim; d++) {
        int32_t at = d - (y->ndim - v->ndim);
        w->stride[k][d] = at < 0 || (v->shape[at] == 1 && y->shape[d] != 1) ? 0 : v->stride[at];
    }
}

static void exchange(walk *w, int32_t a, int32_t b) {
    int64_t t = w->shape[a];
    w->shape[a] = w->shape[b];
    w->shape[b] = t;
    for (int k = 0; k < w->operands; k++) {
        t = w->stride[k][a];
        w->stride[k][a] = w->stride[k][b];
        w->stride[k][b] = t;
    }
}

static void take(walk *w, int32_t to, int32_t from) {
    w->shape[to] = w->shape[from];
    for (int k = 0; k < w->operands; k++) w->stride[k][to] = w->stride[k][from];
}

/* Whether dimension d + 1 lies behind dimension d in every operand. */
static int joins(const walk *w, int32_t d) {
    for (int k = 0; k < w->operands; k++) {
        if (w->stride[k][d] != w->stride[k][d + 1] * w->shape[d + 1]) return 0;
    }
    return 1;
}

static void simplify(walk *w) {
    int32_t n = 0;
    for (int32_t d = 0; d < w->ndim; d++) {
        if (w->shape[d] != 1) take(w, n++, d);
    }
    w->ndim = n;
    for (int32_t i = 1; i < n; i++) { /* insertion sort by the output's strides, largest first */
        for (int32_t j = i; j > 0 && w->stride[0][j - 1] < w->stride[0][j]; j--) {
            exchange(w, j - 1, j);
        }
    }
    for (int32_t d = n - 2; d >= 0; d--) {
        if (!joins(w, d)) continue;
        w->shape[d + 1] *= w->shape[d];
        for (int32_t i = d; i < w->ndim - 1; i++) take(w, i, i + 1);
        w->ndim--;
    }
    if (w->ndim == 0) { /* one element */
        w->ndim = 1;
        w->shape[0] = 1;
        for (int k = 0; k < w->operands; k++) w->stride[k][0] = 1;
    }
}

/* Elements first..first+count-1 in the order of the simplified dimensions. */
static void run_part(const walk *w, int64_t first, int64_t count) {
    int64_t at[MASCON_MAX_DIMS], rest = first, stride[MASCON_WALK_OPERANDS];
    char *data[MASCON_WALK_OPERANDS];
    const int32_t last = w->ndim - 1;
    for (int32_t d = last; d >= 0; d--) {
        at[d] = rest % w->shape[d];
        rest /= w->shape[d];
    }
    for (int k = 0; k < w->operands; k++) {
        data[k] = w->data[k];
        stride[k] = w->stride[k][last];
        for (int32_t d = 0; d <= last; d++) data[k] += at[d] * w->stride[k][d] * w->size[k];
    }
    while (count > 0) {
        int64_t n = w->shape[last] - at[last];
        if (n > count) n = count;
        w->row(n, (void *const *)data, stride, w->o);
        count -= n;
        if (count == 0) return;
        for (int k = 0; k < w->operands; k++) data[k] -= at[last] * stride[k] * w->size[k];
        at[last] = 0;
        for (int32_t d = last - 1; d >= 0; d--) {
            int done = ++at[d] < w->shape[d];
            if (!done) at[d] = 0;
            for (int k = 0; k < w->operands; k++) {
                int64_t steps = done ? 1 : 1 - w->shape[d];
                data[k] += steps * w->stride[k][d] * w->size[k];
            }
            if (done) break;
        }
    }
}

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    const walk *w = context;
    int64_t first = i * SLICE, count = w->numel - first;
    run_part(w, first, count < SLICE ? count : SLICE);
}

void masconC_walk(const mascon_view *y, int n, const mascon_view *const *x, masconC_row_of row,
                  const void *o) {
    walk w = {.ndim = y->ndim, .numel = y->numel, .row = row, .o = o};
    if (y->numel == 0) return;
    for (int32_t d = 0; d < y->ndim; d++) w.shape[d] = y->shape[d];
    add_operand(&w, y, y);
    for (int k = 0; k < n; k++) add_operand(&w, x[k], y);
    simplify(&w);
    if (w.numel <= SLICE) {
        run_part(&w, 0, w.numel);
    } else {
        masconI_parallel((w.numel + SLICE - 1) / SLICE, slice, &w);
    }
}

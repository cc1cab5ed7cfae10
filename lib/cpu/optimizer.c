/* optimizer.c: one pass over the elements of all parameters. */
#include "cpu/optimizer.h"

/* Elements of one slice: at seven streams of memory it fits the second-level cache. */
enum { SLICE = 16384 };

static int dense_alike(const mascon_view *a, const mascon_view *b) {
    if (a->contiguous && b->contiguous) return 1;
    return a->layout == MASCON_LAYOUT_NHWC && b->layout == MASCON_LAYOUT_NHWC;
}

int masconI_pass_fits(const mascon_call *call, int groups) {
    const int64_t params = call->n_list / groups;
    for (int64_t i = 0; i < call->n_list; i++) {
        const mascon_view *v = mascon_see(call->list[i]);
        if (v->dtype != MASCON_DTYPE_F32) return 0;
        if (!dense_alike(mascon_see(call->list[i % params]), v)) return 0;
    }
    return 1;
}

static void slice(void *context, int64_t index, int thread) {
    (void)thread;
    const masconI_pass *pass = context;
    int64_t from = index * SLICE, left = SLICE; /* counted over all parameters in a row */
    for (int64_t i = 0; i < pass->params && left > 0; i++) {
        const int64_t count = mascon_see(pass->call->list[i])->numel;
        if (from >= count) {
            from -= count;
            continue;
        }
        float *data[MASCON_GROUPS];
        for (int g = 0; g < pass->groups; g++) {
            data[g] = (float *)mascon_see(pass->call->list[g * pass->params + i])->data + from;
        }
        const int64_t n = count - from < left ? count - from : left;
        pass->work(pass->options, data, n, pass->sums ? &pass->sums[index] : NULL);
        left -= n;
        from = 0;
    }
}

int64_t masconI_pass_slices(const masconI_pass *pass) {
    int64_t total = 0;
    for (int64_t i = 0; i < pass->params; i++) total += mascon_see(pass->call->list[i])->numel;
    return (total + SLICE - 1) / SLICE;
}

void masconI_pass_run(const masconI_pass *pass) {
    masconI_parallel(masconI_pass_slices(pass), slice, (void *)(uintptr_t)pass);
}

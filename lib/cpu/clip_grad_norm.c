/* clip_grad_norm.c: the norm of all gradients and their scaling, in float32: two passes of memory, the
 * second only where the norm is too large. Sums are of doubles and added slice by slice. */
#include <string.h>

#include "core/simd.h"
#include "cpu/optimizer.h"
#include "ops/nn.h"

enum { LANES = 16 };

MASCON_CLONES static double squares(const float *x, int64_t n) {
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) lane[k] += (double)x[i + k] * (double)x[i + k];
    }
    for (int k = 0; i < n; i++, k++) lane[k] += (double)x[i] * (double)x[i];
    double sum = 0;
    for (int k = 0; k < LANES; k++) sum += lane[k];
    return sum;
}

MASCON_CLONES static void scale(float *restrict x, float share, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] *= share;
}

static void add_squares(const void *options, float *const data[MASCON_GROUPS], int64_t n,
                        double *sum) {
    (void)options;
    *sum += squares(data[0], n);
}

static void scale_all(const void *options, float *const data[MASCON_GROUPS], int64_t n,
                      double *sum) {
    (void)sum;
    scale(data[0], *(const float *)options, n);
}

static masconI_pass pass_over(const mascon_call *call) {
    return (masconI_pass){.call = call, .params = call->n_list, .groups = 1};
}

static int wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return call->attr[NN_CLIP_NORM_TYPE] == 2 && masconI_pass_fits(call, 1);
}

static size_t workspace(const mascon_call *call) {
    const masconI_pass pass = pass_over(call);
    return (size_t)masconI_pass_slices(&pass) * sizeof(double);
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    masconI_pass pass = pass_over(call);
    const int64_t slices = masconI_pass_slices(&pass);
    double total = 0;
    if (slices > 0) {
        pass.sums = exec->workspace;
        memset(pass.sums, 0, (size_t)slices * sizeof *pass.sums);
        pass.work = add_squares;
        masconI_pass_run(&pass);
        for (int64_t i = 0; i < slices; i++) total += pass.sums[i];
    }
    const double norm = sqrt(total);
    const float share = (float)(call->attr[NN_CLIP_MAX_NORM] / (norm + 1e-6));
    *(float *)DST(call, 0)->data = (float)norm;
    /* A norm of NaN goes on into all gradients. */
    if (share >= 1 || isinf(call->attr[NN_CLIP_MAX_NORM])) return MASCON_OK;
    pass.sums = NULL;
    pass.work = scale_all;
    pass.options = &share;
    masconI_pass_run(&pass);
    return MASCON_OK;
}

const mascon_kernel masconC_clip_grad_norm = {.wish = wish, .workspace = workspace, .run = run};

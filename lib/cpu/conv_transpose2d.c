/* conv_transpose2d.c: conv_transpose2d on channels-last float32: the kernel of conv2d_bwd_data over
 * the same tensors, then the bias. */
#include "ops/conv_transpose2d.h"
#include "core/simd.h"

extern const mascon_kernel masconC_conv2d_bwd_data;

static int wish(const mascon_call *call, mascon_wish *w) {
    const int bias = call->n_src > 2 && call->src[2];
    mascon_call gradient;
    if (bias && SRC(call, 2)->dtype != MASCON_DTYPE_F32) return 0;
    if (masconI_transposed(call, &gradient) != MASCON_OK) return 0;
    if (!masconC_conv2d_bwd_data.wish(&gradient, w) || w->dst[0] != MASCON_WISH_NHWC) return 0;
    w->src[2] = MASCON_WISH_ROW;
    return 1;
}

static size_t workspace(const mascon_call *call) {
    mascon_call gradient;
    if (masconI_transposed(call, &gradient) != MASCON_OK) return 0; /* was checked by infer */
    return masconC_conv2d_bwd_data.workspace(&gradient);
}

typedef struct job {
    float *y;
    const float *bias;
    int64_t c, area;
} job;

MASCON_CLONES static void add_bias(float *y, const float *bias, int64_t c, int64_t area) {
    for (int64_t p = 0; p < area; p++) {
        for (int64_t i = 0; i < c; i++) y[p * c + i] += bias[i];
    }
}

/* One picture. */
static void slice(void *context, int64_t n, int thread) {
    (void)thread;
    const job *j = context;
    add_bias(j->y + n * j->c * j->area, j->bias, j->c, j->area);
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    mascon_call gradient;
    MASCON_TRY(masconI_transposed(call, &gradient));
    MASCON_TRY(masconC_conv2d_bwd_data.run(&gradient, exec));
    if (call->n_src < 3 || !call->src[2]) return MASCON_OK;
    const mascon_view *y = DST(call, 0);
    job j = {.y = y->data, .bias = SRC(call, 2)->data, .c = y->shape[1]};
    j.area = y->shape[2] * y->shape[3];
    masconI_parallel(y->shape[0], slice, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_conv_transpose2d = {.wish = wish, .workspace = workspace, .run = run};

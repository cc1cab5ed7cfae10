/* conv_norm.c: conv2d_norm. Without training it is a convolution with folded weights (conv.c); in
 * training a convolution, batch norm by the statistics of its result, and what follows.
 *
 * The result is read twice more: for its moments, by slices and behind oneDNN while the caches still
 * hold what a slice of the convolution made, and to normalise it in place, with the residual and relu
 * in the same pass. Both use batch_norm's slices and loops, so all has the bits of one op after the
 * other.
 */
#include <string.h>

#include "cpu/batch_norm.h"
#include "cpu/conv.h"
#include "ops/conv2d.h"

static int trains(const mascon_call *call) { return call->attr[NN_CONV2D_NORM_TRAINING] != 0; }

static int wish(const mascon_call *call, mascon_wish *w) {
    if (!masconI_conv_wish(call, w)) return 0;
    if (!trains(call)) return 1;
    for (int i = NN_CONV2D_NORM_MEAN; i <= NN_CONV2D_NORM_BIAS; i++) {
        w->src[i] = MASCON_WISH_ANY; /* read, and the running ones written, as they lie */
    }
    return 1;
}

/* Slices of batch norm at most: its workspace has a double for each channel of each. */
static size_t flags_of(const mascon_view *y, size_t norm) {
    return masconI_line(norm / (sizeof(double) * (size_t)y->shape[1]));
}

/* Of batch norm, its flags, means and rstds; then the convolution's. */
static size_t room(const mascon_view *y, size_t *flags, size_t *kept) {
    const size_t norm = masconC_norm_workspace(y);
    *flags = masconI_line(norm);
    *kept = *flags + flags_of(y, norm);
    return *kept + masconI_line(sizeof(float) * 2 * (size_t)y->shape[1]);
}

static size_t workspace(const mascon_call *call) {
    size_t flags, kept;
    return masconI_conv_workspace(call) + (trains(call) ? room(DST(call, 0), &flags, &kept) : 0);
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    if (!trains(call)) return masconI_conv_run(call, exec->workspace, NULL);
    const mascon_view *y = DST(call, 0);
    char *work = exec->workspace;
    size_t flags, kept;
    const size_t own = room(y, &flags, &kept);
    float *mean = (float *)(void *)(work + kept);
    mascon_call inner;
    masconI_conv2d_norm_inner(call, &inner);
    masconC_norm norm = masconC_norm_begin(y, work);
    norm.done = (uint8_t *)work + flags;
    memset(norm.done, 0, (size_t)norm.slices);
    MASCON_TRY(masconI_conv_run(call, work + own, &norm));
    masconC_norm_prepare(&norm, &inner, mean, mean + y->shape[1]);
    norm.y = y->data;
    norm.relu = call->attr[NN_CONV2D_NORM_RELU] != 0;
    if (masconI_src_given(call, NN_CONV2D_NORM_RESIDUAL)) {
        norm.residual = SRC(call, NN_CONV2D_NORM_RESIDUAL)->data;
    }
    masconC_norm_finish(&norm);
    return MASCON_OK;
}

const mascon_kernel masconC_conv2d_norm = {.wish = wish, .workspace = workspace, .run = run};

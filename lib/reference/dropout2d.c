/* dropout2d.c: reference kernels of dropout2d and its backward op. x, y {n, c, h, w}; word
 * n * C + c of the random stream belongs to that channel. */
#include "ops/nn.h"
#include "reference/reference.h"

/* Also in place: an element is read before it is written. */
static mascon_status dropout2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const int training = call->attr[NN_DROPOUT_TRAINING] != 0;
    const double p = training ? call->attr[NN_DROPOUT_P] : 0, scale = p < 1 ? 1 / (1 - p) : 0;
    const uint32_t threshold = masconI_dropout_threshold(p);
    const int64_t area = x->shape[2] * x->shape[3];
    for (int64_t i = 0; i < y->numel; i++) {
        const uint64_t channel = (uint64_t)(i / area);
        const int kept = masconI_random_word(call->random, channel) >> 8 >= threshold;
        masconR_set(y, i, kept ? masconR_get(x, i) * scale : 0);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_dropout2d = {.run = dropout2d};
const mascon_kernel masconR_dropout2d_bwd = {.run = dropout2d}; /* dy is treated as x was */

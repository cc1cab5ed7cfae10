/* dropout.c: reference kernels of dropout and its backward op. All tensors have one shape; element i
 * of the random stream belongs to logical element i. */
#include "ops/nn.h"
#include "reference/reference.h"

/* Also in place: an element is read before it is written. */
static mascon_status dropout(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    const int training = call->attr[NN_DROPOUT_TRAINING] != 0;
    const double p = training ? call->attr[NN_DROPOUT_P] : 0, scale = p < 1 ? 1 / (1 - p) : 0;
    const uint32_t threshold = masconI_dropout_threshold(p);
    for (int64_t i = 0; i < y->numel; i++) {
        const int kept = masconI_random_word(call->random, (uint64_t)i) >> 8 >= threshold;
        masconR_set(y, i, kept ? masconR_get(x, i) * scale : 0);
    }
    return MASCON_OK;
}

const mascon_kernel masconR_dropout = {.run = dropout};
const mascon_kernel masconR_dropout_bwd = {.run = dropout}; /* dy is treated as x was */

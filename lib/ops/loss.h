/* loss.h: what the losses of one element each (mse_loss, l1_loss, binary_cross_entropy_with_logits)
 * and nll_loss share with their kernels. */
#ifndef MASCON_OPS_LOSS_H
#define MASCON_OPS_LOSS_H

#include "ops/nn.h"

/* ORDER: the option tables of the ops; reduction is NN_REDUCTION_* in nn.h. */
enum { NN_LOSS_REDUCTION = 0 };
enum { NN_BCE_BWD_TARGET = 1 };
enum { NN_NLL_LOSS_IGNORE_INDEX = 1, NN_NLL_LOSS_BASE = 2, NN_NLL_LOSS_BWD_CLASSES = 3 };

#define MASCON_REDUCTION                                                                       \
    {                                                                                          \
        "reduction", MASCON_ATTR_CHOICE, MASCON_KEY, NN_REDUCTION_MEAN, 0, 2, "mean sum none", \
            "what becomes of the losses of the elements"                                       \
    }

/* What the loss of one of n elements is multiplied by. */
static inline double masconI_loss_share(const mascon_call *call, int64_t n) {
    return call->attr[NN_LOSS_REDUCTION] == NN_REDUCTION_MEAN ? 1 / (double)n : 1;
}

/* x and target (src first and first + 1) have one shape and dtype, and there is something to
 * average: for losses of one element each. */
mascon_status masconI_check_pair(const mascon_call *call, int first);
/* The loss has x's shape without reduction, else it is one number. */
void masconI_loss_meta(const mascon_call *call, const mascon_view *x, mascon_meta *out);
/* dy (src[0]) has the shape of the loss over x. */
mascon_status masconI_check_loss_dy(const mascon_call *call, const mascon_view *x);

#endif

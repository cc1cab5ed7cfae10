/* clip_grad_norm.c: reference kernel of clip_grad_norm. norm is 0-dimensional; the list's tensors have
 * any shapes. */
#include "ops/nn.h"
#include "reference/reference.h"

static double norm_of(const mascon_call *call, double p) {
    double sum = 0;
    for (int64_t i = 0; i < call->n_list; i++) {
        const mascon_view *g = mascon_see(call->list[i]);
        for (int64_t k = 0; k < g->numel; k++) {
            const double v = fabs(masconR_get(g, k));
            if (isinf(p)) {
                if (v > sum || isnan(v)) sum = v;
                if (isnan(sum)) return sum;
            } else {
                sum += p == 2 ? v * v : p == 1 ? v : pow(v, p);
            }
        }
    }
    return isinf(p) || p == 1 ? sum : p == 2 ? sqrt(sum) : pow(sum, 1 / p);
}

static mascon_status clip(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const double norm = norm_of(call, call->attr[NN_CLIP_NORM_TYPE]);
    const double share = call->attr[NN_CLIP_MAX_NORM] / (norm + 1e-6);
    masconR_set(DST(call, 0), 0, norm);
    /* A norm of NaN goes on into all gradients. */
    if (share >= 1 || isinf(call->attr[NN_CLIP_MAX_NORM])) return MASCON_OK;
    for (int64_t i = 0; i < call->n_list; i++) {
        const mascon_view *g = mascon_see(call->list[i]);
        for (int64_t k = 0; k < g->numel; k++) masconR_set(g, k, share * masconR_get(g, k));
    }
    return MASCON_OK;
}

const mascon_kernel masconR_clip_grad_norm = {.run = clip};

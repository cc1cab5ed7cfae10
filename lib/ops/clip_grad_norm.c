/* clip_grad_norm.c: scales a list of gradients, in place, where their common norm is too large. */
#include <inttypes.h>

#include "ops/nn.h"

/* ORDER: NN_CLIP_* in nn.h */
static const mascon_attr attrs[] = {
    {"max_norm", MASCON_ATTR_NUMBER, MASCON_LIVE, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "largest norm allowed; infinite: nothing is scaled"},
    {"norm_type", MASCON_ATTR_NUMBER, MASCON_VALUE, 2, -MASCON_NOLIMIT, MASCON_NOLIMIT, NULL,
     "p of the norm, above 0; infinite: the largest magnitude"},
};

/* One norm of all elements of all tensors, which have one dtype. */
static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const double p = call->attr[NN_CLIP_NORM_TYPE];
    if (!(p > 0)) return masconI_fail(MASCON_E_ARG, "norm_type is %g; must be above 0", p);
    const int32_t dtype = mascon_see(call->list[0])->dtype;
    for (int64_t i = 0; i < call->n_list; i++) {
        const mascon_view *v = mascon_see(call->list[i]);
        for (int d = 0; d < v->ndim; d++) {
            if (v->stride[d] != 0 || v->shape[d] < 2) continue;
            return masconI_fail(MASCON_E_LAYOUT,
                                "gradient %" PRId64 " is expanded; its elements share memory",
                                i + 1);
        }
        if (v->dtype != dtype) {
            return masconI_fail(MASCON_E_DTYPE, "gradient %" PRId64 " is %s, the first one is %s",
                                i + 1, mascon_dtype_name(v->dtype), mascon_dtype_name(dtype));
        }
    }
    out[0].dtype = masconI_sum_dtype(dtype);
    out[0].ndim = 0;
    return MASCON_OK;
}

const mascon_op mascon_op_clip_grad_norm = {
    .name = "clip_grad_norm",
    .inputs = "grads*",
    .outputs = "norm",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_LIST | MASCON_OPF_WRITES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_FLOAT,
    .summary =
        "scales gradients in place to a common norm of max_norm where it is larger; gives the "
        "norm before",
    .infer = infer,
};

/* compose.c: chains of calls, for gradients. */
#include "ops/compose.h"

mascon_tensor *masconI_step_call(masconI_chain *c, mascon_call *call) {
    if (c->status != MASCON_OK) return NULL;
    if (c->n == MASCON_CHAIN_STEPS) {
        c->status =
            masconI_fail(MASCON_E_STATE, "a gradient has more than %d steps", MASCON_CHAIN_STEPS);
        return NULL;
    }
    c->status = mascon_invoke(call);
    if (c->status != MASCON_OK) return NULL;
    for (int32_t i = 1; i < call->n_dst; i++) mascon_tensor_release(call->dst[i]);
    return c->made[c->n++] = call->dst[0];
}

static void begin(mascon_call *call, int32_t op, int32_t n, mascon_tensor *a, mascon_tensor *b) {
    masconI_call_init(call, op);
    call->n_src = n;
    call->src[0] = a;
    call->src[1] = b;
}

mascon_tensor *masconI_step(masconI_chain *c, int32_t op, mascon_tensor *a) {
    mascon_call call;
    begin(&call, op, 1, a, NULL);
    return masconI_step_call(c, &call);
}

mascon_tensor *masconI_step2(masconI_chain *c, int32_t op, mascon_tensor *a, mascon_tensor *b) {
    mascon_call call;
    begin(&call, op, 2, a, b);
    return masconI_step_call(c, &call);
}

mascon_tensor *masconI_step_number(masconI_chain *c, int32_t op, mascon_tensor *a, double number) {
    mascon_call call;
    begin(&call, op, 1, a, NULL);
    masconI_call_set(&call, "other", number);
    return masconI_step_call(c, &call);
}

mascon_tensor *masconI_number_step(masconI_chain *c, int32_t op, double number, mascon_tensor *b) {
    mascon_call call;
    begin(&call, op, 1, b, NULL);
    masconI_call_set(&call, "other", number);
    masconI_call_set(&call, "swap", 1);
    return masconI_step_call(c, &call);
}

mascon_tensor *masconI_step_zero(masconI_chain *c, mascon_tensor *condition, mascon_tensor *a) {
    mascon_call call;
    begin(&call, MASCON_OP_where, 2, condition, a);
    masconI_call_set(&call, "value", 0);
    masconI_call_set(&call, "swap", 1);
    return masconI_step_call(c, &call);
}

mascon_tensor *masconI_step_cast(masconI_chain *c, mascon_tensor *a, int32_t dtype) {
    if (c->status != MASCON_OK || mascon_see(a)->dtype == dtype) return a;
    mascon_call call;
    begin(&call, MASCON_OP_cast, 1, a, NULL);
    masconI_call_set(&call, "dtype", dtype);
    return masconI_step_call(c, &call);
}

mascon_status masconI_chain_end(masconI_chain *c, mascon_tensor *result, mascon_tensor **out) {
    if (c->status == MASCON_OK) {
        mascon_tensor_retain(result);
        *out = result;
    }
    for (int32_t i = 0; i < c->n; i++) mascon_tensor_release(c->made[i]);
    c->n = 0;
    return c->status;
}

mascon_status masconI_chain_end_sum(masconI_chain *c, mascon_tensor *result,
                                    const mascon_view *like, mascon_tensor **out) {
    mascon_tensor *whole;
    MASCON_TRY(masconI_chain_end(c, result, &whole));
    return masconI_sum_to(whole, like, out);
}

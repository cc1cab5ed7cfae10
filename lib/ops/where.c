/* where.c: x where a condition holds, else y. All three broadcast.
 *
 * y may be left out: the option `value` then stands for it, and with `swap` the number is taken
 * where the condition holds and x elsewhere.
 */
#include <string.h>

#include "ops/compose.h"
#include "ops/elementwise.h"

static const mascon_attr attrs[] = {
    /* ORDER: WHERE_VALUE, WHERE_SWAP */
    {"value", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_ABSENT, -MASCON_NOLIMIT, MASCON_NOLIMIT,
     NULL, "a number in the place of y"},
    {"swap", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "the number is taken where the condition holds"},
};

static mascon_tensor *third(const mascon_call *call) {
    return call->n_src > 2 ? call->src[2] : NULL;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    int number = masconI_given(call, WHERE_VALUE);
    const mascon_view *condition = SRC(call, 0), *x = SRC(call, 1);
    if (condition->dtype != MASCON_DTYPE_BOOL) {
        masconI_fail(MASCON_E_DTYPE, "condition is %s; expected bool",
                     mascon_dtype_name(condition->dtype));
        return masconI_hint("condition:ne(0)");
    }
    if (!third(call) && !number) return masconI_fail(MASCON_E_ARG, "argument 3 (y) is missing");
    if (third(call) && number) {
        return masconI_fail(MASCON_E_ARG,
                            "both y and the number value = %g are given; expected "
                            "one of them",
                            call->attr[WHERE_VALUE]);
    }
    MASCON_TRY(masconI_broadcast(condition, x, &out[0]));
    out[0].dtype = x->dtype;
    if (number) {
        out[0].dtype = masconI_with_number(x->dtype, call->attr[WHERE_VALUE]);
        MASCON_TRY(masconI_check_value("value", call->attr[WHERE_VALUE], out[0].dtype));
    } else {
        mascon_view pair = {.ndim = out[0].ndim};
        memcpy(pair.shape, out[0].shape, sizeof pair.shape);
        MASCON_TRY(masconI_broadcast(&pair, SRC(call, 2), &out[0]));
        out[0].dtype = masconI_promote(x, SRC(call, 2));
    }
    return MASCON_OK;
}

/* dy where the input was taken, else 0. */
static mascon_status grad(mascon_grad *g) {
    for (int i = 1; i < g->n_inputs; i++) {
        if (!g->need[i]) continue;
        masconI_chain chain = {0};
        mascon_call call;
        int where_true = i == 1 && (third(g->call) || g->call->attr[WHERE_SWAP] == 0);
        masconI_call_init(&call, MASCON_OP_where);
        call.n_src = 2;
        call.src[0] = g->call->src[0];
        call.src[1] = g->dy[0];
        masconI_call_set(&call, "value", 0);
        masconI_call_set(&call, "swap", where_true ? 0 : 1);
        mascon_tensor *dx = masconI_step_call(&chain, &call);
        dx = masconI_step_cast(&chain, dx, SRC(g->call, i)->dtype);
        MASCON_TRY(masconI_chain_end_sum(&chain, dx, SRC(g->call, i), &g->dx[i]));
    }
    return MASCON_OK;
}

const mascon_op mascon_op_where = {
    .name = "where",
    .inputs = "condition x y?",
    .outputs = "z",
    .attrs = attrs,
    .n_attrs = 2,
    .dtypes = MASCON_T_ALL,
    .summary = "x where condition is true, else y",
    .example = "mascon.where(x:gt(0), x, mascon.zeros_like(x))",
    .infer = infer,
    .grad = grad,
    .saves = "condition",
};

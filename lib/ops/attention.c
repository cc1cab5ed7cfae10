/* attention.c: softmax(q k^T * scale + mask) v, the same with dropout of the weights, and their backward op.
 *
 * Shapes are in attention.h. Dropout is an op of its own, since only that one draws random numbers: weight
 * i, in row-major order of {batch, L, S}, is kept by word i of the stream. Neither the scores nor the
 * weights are kept for the backward op, which makes them anew from q, k and lse. A row whose keys are all
 * masked gives 0. */
#include "ops/attention.h"

#include <string.h>

#include "ops/nn.h"

#define CAUSAL                                                       \
    {                                                                \
        "is_causal", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, \
            "row i takes part in the keys up to i alone"             \
    }
#define SCALE                                                                                      \
    {                                                                                              \
        "scale", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_ABSENT, -MASCON_NOLIMIT, MASCON_NOLIMIT, \
            NULL, "factor of the scores; absent: 1 / sqrt of the features"                         \
    }
#define DROPOUT                                                       \
    {                                                                 \
        "dropout_p", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, 0, 1, NULL, \
            "probability of a weight to become 0"                     \
    }

/* ORDER: NN_ATTENTION_* */
static const mascon_attr attrs[] = {CAUSAL, SCALE, DROPOUT};
static const mascon_attr bwd_attrs[] = {
    CAUSAL,
    SCALE,
    DROPOUT,
    {"mask_gradient", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "also the gradient of the scores, of which the mask's is made"},
};

/* ---- Shapes ---- */

static const char *text_of(const mascon_view *v, char buffer[160]) {
    return masconI_shape_text(v->ndim, v->shape, buffer);
}

/* v without its last two dimensions. */
static mascon_view batch_of(const mascon_view *v) {
    mascon_view b = *v;
    b.ndim = v->ndim - 2;
    return b;
}

static mascon_status check_sizes(const mascon_call *call) {
    static const char *const names[] = {"q", "k", "v"};
    char first[160], second[160];
    for (int i = 0; i < 3; i++) {
        const mascon_view *t = SRC(call, i);
        if (i) MASCON_TRY(masconI_check_dtype(call, i, names[i], NULL));
        if (t->ndim >= 2) continue;
        return masconI_fail(
            MASCON_E_SHAPE,
            "%s has %d dimension%s %s; expected 2 or more {batch, positions, features}", names[i],
            t->ndim, t->ndim == 1 ? "" : "s", text_of(t, first));
    }
    const mascon_view *q = SRC(call, 0), *k = SRC(call, 1), *v = SRC(call, 2);
    const int64_t e = q->shape[q->ndim - 1], s = k->shape[k->ndim - 2];
    if (k->shape[k->ndim - 1] != e) {
        return masconI_fail(MASCON_E_SHAPE, "q has %lld features, k %lld (%s and %s)", (long long)e,
                            (long long)k->shape[k->ndim - 1], text_of(q, first),
                            text_of(k, second));
    }
    if (v->shape[v->ndim - 2] != s) {
        return masconI_fail(MASCON_E_SHAPE, "k has %lld positions, v %lld (%s and %s)",
                            (long long)s, (long long)v->shape[v->ndim - 2], text_of(k, first),
                            text_of(v, second));
    }
    return MASCON_OK;
}

/* The mask broadcasts to the scores. */
static mascon_status check_mask(const mascon_call *call, const mascon_view *mask,
                                const mascon_meta *scores) {
    if (mask->dtype != MASCON_DTYPE_BOOL && mask->dtype != SRC(call, 0)->dtype) {
        const char *numbers = mascon_dtype_name(SRC(call, 0)->dtype);
        masconI_fail(MASCON_E_DTYPE, "attn_mask is %s; expected bool or %s",
                     mascon_dtype_name(mask->dtype), numbers);
        if (masconI_is_float(mask->dtype)) return masconI_hint("attn_mask:to(\"%s\")", numbers);
        return masconI_hint("attn_mask:to(\"bool\") where 1 means: takes part");
    }
    int fits = mask->ndim <= scores->ndim;
    for (int32_t d = 1; fits && d <= mask->ndim; d++) {
        const int64_t size = mask->shape[mask->ndim - d];
        fits = size == 1 || size == scores->shape[scores->ndim - d];
    }
    if (!fits) {
        char found[160], expected[160];
        return masconI_fail(MASCON_E_SHAPE, "attn_mask is %s; does not broadcast to the scores %s",
                            text_of(mask, found),
                            masconI_shape_text(scores->ndim, scores->shape, expected));
    }
    if (call->attr[NN_ATTENTION_CAUSAL] == 0) return MASCON_OK;
    masconI_fail(MASCON_E_ARG, "attn_mask and is_causal are both given; expected one of them");
    if (mask->dtype == MASCON_DTYPE_BOOL) return masconI_hint("join them: attn_mask:tril()");
    return masconI_hint("join them: attn_mask + mascon.full({%lld, %lld}, -math.huge):triu(1)",
                        (long long)scores->shape[scores->ndim - 2],
                        (long long)scores->shape[scores->ndim - 1]);
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(check_sizes(call));
    const mascon_view *q = SRC(call, 0), *k = SRC(call, 1), *v = SRC(call, 2);
    const mascon_view bq = batch_of(q), bk = batch_of(k), bv = batch_of(v);
    mascon_meta pair, *y = &out[0];
    mascon_view both = bq;
    mascon_status status = masconI_broadcast(&bq, &bk, &pair);
    if (status == MASCON_OK) {
        both.ndim = pair.ndim;
        memcpy(both.shape, pair.shape, sizeof both.shape);
        status = masconI_broadcast(&both, &bv, y);
    }
    if (status != MASCON_OK) {
        char tq[160], tk[160], tv[160];
        return masconI_fail(MASCON_E_SHAPE, "the batches of q %s, k %s and v %s do not broadcast",
                            text_of(q, tq), text_of(k, tk), text_of(v, tv));
    }
    y->dtype = q->dtype;
    const int32_t n = y->ndim;
    y->ndim = n + 2;
    y->shape[n] = q->shape[q->ndim - 2];
    y->shape[n + 1] = k->shape[k->ndim - 2];
    if (masconI_src_given(call, 3)) MASCON_TRY(check_mask(call, SRC(call, 3), y));
    y->shape[n + 1] = v->shape[v->ndim - 1];
    masconI_meta(&out[1], masconI_sum_dtype(q->dtype), n + 1, y->shape);
    return MASCON_OK;
}

/* Gradients have the whole batch; those of broadcast inputs are summed afterwards. */
static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    const mascon_view *dy = SRC(call, NN_ATTENTION_BWD_DY), *y = SRC(call, NN_ATTENTION_BWD_Y);
    MASCON_TRY(masconI_check_shape(call, NN_ATTENTION_BWD_DY, "dy", y->ndim, y->shape));
    MASCON_TRY(masconI_check_shape(call, NN_ATTENTION_BWD_LSE, "lse", y->ndim - 1, y->shape));
    for (int i = 1; i <= NN_ATTENTION_BWD_Y; i++) {
        MASCON_TRY(masconI_check_dtype(call, i, "an input", NULL));
    }
    mascon_attention a;
    masconI_attention_of(call, &a);
    const int64_t rows[] = {a.l, a.s, a.s, a.l}, columns[] = {a.e, a.e, a.width, a.s};
    for (int i = 0; i < 4; i++) {
        masconI_meta(&out[i], dy->dtype, a.dims + 2, y->shape);
        out[i].shape[a.dims] = rows[i];
        out[i].shape[a.dims + 1] = columns[i];
    }
    call->n_dst = call->attr[NN_ATTENTION_MASK_GRADIENT] != 0 ? 4 : 3;
    return MASCON_OK;
}

/* ---- Gradient ---- */

static mascon_status grad(mascon_grad *g) {
    const mascon_call *forward = g->call;
    const int mask = masconI_src_given(forward, 3);
    const int mask_gradient =
        mask && g->need[3] && mascon_see(forward->src[3])->dtype != MASCON_DTYPE_BOOL;
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_scaled_dot_product_attention_bwd);
    call.n_src = mask ? 7 : 6;
    call.src[NN_ATTENTION_BWD_DY] = g->dy[0];
    for (int i = 0; i < 3; i++) call.src[NN_ATTENTION_BWD_Q + i] = forward->src[i];
    call.src[NN_ATTENTION_BWD_Y] = forward->dst[0];
    call.src[NN_ATTENTION_BWD_LSE] = forward->dst[1];
    if (mask) call.src[NN_ATTENTION_BWD_MASK] = forward->src[3];
    masconI_call_set(&call, "is_causal", forward->attr[NN_ATTENTION_CAUSAL]);
    if (masconI_given(forward, NN_ATTENTION_SCALE)) {
        masconI_call_set(&call, "scale", forward->attr[NN_ATTENTION_SCALE]);
    }
    if (forward->op == MASCON_OP_scaled_dot_product_attention_dropout) {
        masconI_call_set(&call, "dropout_p", forward->attr[NN_ATTENTION_DROPOUT]);
        memcpy(call.random, forward->random, sizeof call.random);
    }
    masconI_call_set(&call, "mask_gradient", mask_gradient);
    MASCON_TRY(mascon_invoke(&call));
    mascon_status status = MASCON_OK;
    for (int i = 0; i < call.n_dst; i++) {
        if (status == MASCON_OK && i < g->n_inputs && g->need[i]) {
            mascon_tensor_retain(call.dst[i]); /* sum_to takes it over */
            status = masconI_sum_to(call.dst[i], SRC(forward, i), &g->dx[i]);
        }
        mascon_tensor_release(call.dst[i]);
    }
    return status;
}

const mascon_op mascon_op_scaled_dot_product_attention = {
    .name = "scaled_dot_product_attention",
    .inputs = "q k v attn_mask?",
    .outputs = "y (lse)",
    .attrs = attrs,
    .n_attrs = NN_ATTENTION_DROPOUT,
    .flags = MASCON_CAST_DOWN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "softmax(q k^T * scale + attn_mask) v: each row of q takes a mean of the rows of v",
    .example =
        "mascon.scaled_dot_product_attention(mascon.randn{2, 4, 8}, mascon.randn{2, 5, 8}, "
        "mascon.randn{2, 5, 8})",
    .infer = infer,
    .grad = grad,
    .saves = "q k v attn_mask y lse",
};

const mascon_op mascon_op_scaled_dot_product_attention_dropout = {
    .name = "scaled_dot_product_attention_dropout",
    .inputs = "q k v attn_mask?",
    .outputs = "y (lse)",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_CAST_DOWN | MASCON_OPF_RANDOM | MASCON_OPF_HIDDEN,
    .dtypes = MASCON_T_FLOAT,
    .summary = "scaled_dot_product_attention with dropout of the weights",
    .infer = infer,
    .grad = grad,
    .saves = "q k v attn_mask y lse",
};

const mascon_op mascon_op_scaled_dot_product_attention_bwd = {
    .name = "scaled_dot_product_attention_bwd",
    .inputs = "dy q k v y lse attn_mask?",
    .outputs = "dq dk dv dscores?",
    .attrs = bwd_attrs,
    .n_attrs = sizeof bwd_attrs / sizeof bwd_attrs[0],
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradients of scaled_dot_product_attention with respect to its inputs",
    .infer = infer_bwd,
};

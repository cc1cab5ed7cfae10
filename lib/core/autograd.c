/* autograd.c: recording calls, and the life of what was recorded.
 *
 * A node is one recorded call. It owns what its gradient needs (aliases of the saved tensors, with the
 * version each had) and counted edges to the nodes or leaves that made its inputs; tensors own their
 * node. Nodes never own output handles, so there are no cycles and counting frees everything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

static atomic_ullong next_id = 1;

uint64_t masconI_next_id(void) {
    return atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
}

/* ---- Saving ---- */

/* What a node keeps of a tensor: an alias where its values are needed, else its shape only. */
static mascon_status keep(mascon_tensor *t, int values, mascon_tensor **out) {
    *out = NULL;
    if (!t) return MASCON_OK;
    if (values) {
        if (t->inference) {
            masconI_fail(MASCON_E_STATE,
                         "a tensor made under inference_mode cannot be saved for backward");
            return masconI_hint("x:clone() outside of it");
        }
        return masconI_tensor_alias(out, t);
    }
    mascon_meta meta;
    masconI_like(&meta, &t->view);
    return masconI_tensor_header(out, NULL, &meta, t->view.device, t->view.layout, t->view.stride,
                                 0);
}

static void note_saved(masconI_node *node, mascon_tensor **slot, int64_t version, int is_output) {
    node->saved[node->n_saved++] =
        (struct masconI_saved){.slot = slot, .version = version, .is_output = is_output};
}

static mascon_status save_tensors(masconI_node *node, const mascon_call *call,
                                  const masconI_before *before) {
    const masconI_signature *s = &masconI_signatures[call->op];
    for (int i = 0; i < call->n_src; i++) {
        int values = (int)(s->save_src >> i & 1), copied = i == 0 && before->original;
        mascon_tensor *x = copied ? before->original : call->src[i];
        MASCON_TRY(keep(x, values, &node->call.src[i]));
        if (values && x) {
            int64_t version = copied ? mascon_tensor_version(x) : before->versions[i];
            note_saved(node, &node->call.src[i], version, 0);
        }
    }
    for (int i = 0; i < call->n_dst; i++) {
        int values = (int)(s->save_dst >> i & 1);
        MASCON_TRY(keep(call->dst[i], values, &node->call.dst[i]));
        if (values) note_saved(node, &node->call.dst[i], mascon_tensor_version(call->dst[i]), 1);
    }
    for (int64_t i = 0; i < call->n_list; i++) {
        MASCON_TRY(keep(call->list[i], (int)(s->save_src & 1), &node->call.list[i]));
        if (s->save_src & 1) {
            note_saved(node, &node->call.list[i], mascon_tensor_version(call->list[i]), 0);
        }
    }
    return MASCON_OK;
}

/* ---- Nodes ---- */

static mascon_status node_new(masconI_node **out, int32_t n_inputs, int64_t n_list) {
    masconI_node *node = calloc(1, sizeof *node);
    size_t n = n_inputs > 0 ? (size_t)n_inputs : 1;
    if (node) {
        node->edges = calloc(n, sizeof *node->edges);
        node->need = calloc(n, 1);
        node->saved = calloc(n + MASCON_MAX_DST, sizeof *node->saved);
        node->call.list = n_list ? calloc((size_t)n_list, sizeof(mascon_tensor *)) : NULL;
    }
    if (!node || !node->edges || !node->need || !node->saved || (n_list && !node->call.list)) {
        if (node) {
            free(node->edges);
            free(node->need);
            free(node->saved);
        }
        free(node);
        return masconI_fail(MASCON_E_OOM, "no memory to record a call");
    }
    atomic_init(&node->refs, 1);
    node->n_inputs = n_inputs;
    node->sequence = masconI_next_id();
    atomic_fetch_add_explicit(&masconI_live_nodes, 1, memory_order_relaxed);
    *out = node;
    return MASCON_OK;
}

static void release_saved(masconI_node *node) {
    for (int i = 0; i < MASCON_MAX_SRC; i++) mascon_tensor_release(node->call.src[i]);
    for (int i = 0; i < MASCON_MAX_DST; i++) mascon_tensor_release(node->call.dst[i]);
    for (int64_t i = 0; node->call.list && i < node->call.n_list; i++) {
        mascon_tensor_release(node->call.list[i]);
    }
    memset(node->call.src, 0, sizeof node->call.src);
    memset(node->call.dst, 0, sizeof node->call.dst);
    node->call.n_list = 0;
    node->n_saved = 0;
}

/* Drops an edge's leaf; returns its node where that has no owner left, for the caller to destroy. */
static masconI_node *drop_edge(struct masconI_edge *edge) {
    masconI_node *node = edge->node;
    mascon_tensor_release(edge->leaf);
    edge->node = NULL;
    edge->leaf = NULL;
    if (node && atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) == 1) return node;
    return NULL;
}

/* Destroys nodes that have no owner left, each linked through its `pass` field: a chain of ten
 * thousand operations must not recurse. */
static void destroy(masconI_node *dead) {
    while (dead) {
        masconI_node *node = dead;
        dead = (masconI_node *)(void *)node->pass;
        release_saved(node);
        for (int32_t i = 0; i < node->n_inputs; i++) {
            masconI_node *next = drop_edge(&node->edges[i]);
            if (!next) continue;
            next->pass = (mascon_backward *)(void *)dead;
            dead = next;
        }
        if (!node->op) masconI_anchor_push(node->host);
        free(node->edges);
        free(node->need);
        free(node->saved);
        free(node->call.list);
        free(node->origin);
        free(node);
        atomic_fetch_sub_explicit(&masconI_live_nodes, 1, memory_order_relaxed);
    }
}

void masconI_node_release(masconI_node *node) {
    if (atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) != 1) return;
    node->pass = NULL;
    destroy(node);
}

void masconI_node_clear(masconI_node *node) {
    release_saved(node);
    node->freed = 1;
    for (int32_t i = 0; i < node->n_inputs; i++) {
        masconI_node *next = drop_edge(&node->edges[i]);
        if (!next) continue;
        next->pass = NULL;
        destroy(next);
    }
}

/* ---- Recording ---- */

static void connect(masconI_node *node, int32_t i, mascon_tensor *input) {
    struct masconI_edge *edge = &node->edges[i];
    if (!input || !masconI_needs_grad(input)) return;
    node->need[i] = 1;
    if (input->node) {
        edge->node = input->node;
        edge->output = input->output;
        atomic_fetch_add_explicit(&edge->node->refs, 1, memory_order_relaxed);
    } else {
        edge->leaf = input;
        mascon_tensor_retain(input);
    }
}

/* Makes node the origin of output i of a call. In place, this replaces the tensor's node. */
static void attach(masconI_node *node, mascon_tensor *y, int32_t i) {
    if (y->node) masconI_node_release(y->node);
    y->node = node;
    y->output = i;
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    masconI_like(&node->outputs[i], &y->view);
    free(node->origin);
    node->origin = y->origin;
    y->origin = NULL;
}

/* Under anomaly detection: whether what the call made is finite. */
static mascon_status look_at_outputs(masconI_node *node, const mascon_call *call) {
    for (int i = 0; i < call->n_dst && !node->not_finite; i++) {
        double bad = 0;
        if (!masconI_is_float(call->dst[i]->view.dtype)) continue;
        MASCON_TRY(masconI_count_not_finite(call->dst[i], &bad));
        node->not_finite = bad != 0;
    }
    return MASCON_OK;
}

mascon_status masconI_record(const mascon_op *op, const mascon_call *call,
                             const masconI_before *before) {
    masconI_node *node;
    int32_t n_inputs = call->n_list > 0 ? (int32_t)call->n_list : call->n_src;
    MASCON_TRY(node_new(&node, n_inputs, call->n_list));
    node->op = op;
    mascon_tensor **list = node->call.list;
    node->call = *call;
    memset(node->call.src, 0, sizeof node->call.src);
    memset(node->call.dst, 0, sizeof node->call.dst);
    node->call.list = list;
    node->call.flags = 0;
    node->call.generator = NULL;
    mascon_status status = save_tensors(node, call, before);
    if (status == MASCON_OK && call->flags & MASCON_CALL_ANOMALY) {
        status = look_at_outputs(node, call);
    }
    if (status == MASCON_OK) {
        for (int32_t i = 0; i < n_inputs; i++) {
            connect(node, i, call->n_list > 0 ? call->list[i] : call->src[i]);
        }
        for (int32_t i = 0; i < call->n_dst; i++) {
            if (masconI_is_float(call->dst[i]->view.dtype)) attach(node, call->dst[i], i);
        }
    }
    masconI_node_release(node);
    return status;
}

mascon_status mascon_node_new(uint64_t id, mascon_tensor **inputs, int32_t n_inputs,
                              mascon_tensor **outputs, int32_t n_outputs) {
    MASCON_NEED(outputs);
    if (n_inputs > 0) MASCON_NEED(inputs);
    masconI_node *node;
    MASCON_TRY(masconI_check_recording(NULL, "a function with a backward in Lua"));
    if (n_inputs < 0) return masconI_fail(MASCON_E_ARG, "%d inputs; expected 0 or more", n_inputs);
    if (n_outputs < 1 || n_outputs > MASCON_MAX_DST) {
        return masconI_fail(MASCON_E_ARG, "a function may have 1 to %d outputs, not %d",
                            MASCON_MAX_DST, n_outputs);
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        MASCON_TRY(masconI_tensor_alive(outputs[i]));
        if (outputs[i]->node || outputs[i]->requires_grad) {
            return masconI_fail(MASCON_E_STATE,
                                "output %d of a function is a leaf that requires a "
                                "gradient or takes part in a graph already",
                                i + 1);
        }
    }
    MASCON_TRY(node_new(&node, n_inputs, 0));
    node->host = id;
    node->call.op = -1;
    node->call.n_dst = n_outputs;
    for (int32_t i = 0; i < n_inputs; i++) connect(node, i, inputs[i]);
    for (int32_t i = 0; i < n_outputs; i++) {
        if (masconI_is_float(outputs[i]->view.dtype)) attach(node, outputs[i], i);
    }
    masconI_node_release(node);
    return MASCON_OK;
}

/* ---- A helper for gradients ---- */

mascon_status masconI_sum_to(mascon_tensor *grad, const mascon_view *like, mascon_tensor **out) {
    if (masconI_same_shape(&grad->view, like)) {
        *out = grad;
        return MASCON_OK;
    }
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_sum);
    call.n_src = 1;
    call.src[0] = grad;
    int64_t dims[MASCON_MAX_DIMS];
    int32_t n = 0, extra = grad->view.ndim - like->ndim;
    for (int32_t d = 0; d < grad->view.ndim; d++) {
        if (d < extra || like->shape[d - extra] != grad->view.shape[d]) dims[n++] = d;
    }
    masconI_call_set_list(&call, "dim", n, dims);
    masconI_call_set(&call, "keepdim", 1);
    mascon_status status = mascon_invoke(&call);
    mascon_tensor_release(grad);
    if (status != MASCON_OK || extra == 0) {
        *out = call.dst[0];
        return status;
    }
    mascon_tensor *summed = call.dst[0];
    masconI_call_init(&call, MASCON_OP_reshape);
    call.n_src = 1;
    call.src[0] = summed;
    masconI_call_set_list(&call, masconI_ops[MASCON_OP_reshape]->attrs[0].name, like->ndim,
                          like->shape);
    status = mascon_invoke(&call);
    mascon_tensor_release(summed);
    *out = call.dst[0];
    return status;
}

/* backward.c: the reverse pass.
 *
 * The nodes reachable from the root are sorted by their sequence number, newest first, which is a
 * topological order; each then hands gradients to its inputs. One rule holds everywhere: a gradient
 * function writes, the pass adds where a tensor already has a gradient, and leaves accumulate until
 * zero_grad. The pass stops at host functions and hands them to the caller ("pull, not callback").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

struct mascon_backward {
    masconI_node **nodes; /* newest first; each owned once */
    int64_t count, capacity, at;
    int32_t flags;
    int32_t waiting; /* at a host function */
    mascon_tensor *root;
    mascon_tensor **inputs, **results; /* of mascon.grad; NULL for an ordinary pass */
    int32_t n_inputs;
    mascon_tensor **dx; /* gradients given by the host function */
};

/* ---- Finding the nodes ---- */

static mascon_status push(mascon_backward *b, masconI_node *node) {
    if (node->pass == b) return MASCON_OK;
    if (b->count == b->capacity) {
        int64_t capacity = b->capacity ? 2 * b->capacity : 64;
        masconI_node **grown = realloc(b->nodes, (size_t)capacity * sizeof *grown);
        if (!grown) return masconI_fail(MASCON_E_OOM, "no memory for the backward pass");
        b->nodes = grown;
        b->capacity = capacity;
    }
    node->pass = b;
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    b->nodes[b->count++] = node;
    return MASCON_OK;
}

static int newest_first(const void *a, const void *b) {
    uint64_t x = (*(masconI_node *const *)a)->sequence, y = (*(masconI_node *const *)b)->sequence;
    return (x < y) - (x > y);
}

static mascon_status collect(mascon_backward *b, masconI_node *root) {
    MASCON_TRY(push(b, root));
    for (int64_t i = 0; i < b->count; i++) {
        masconI_node *node = b->nodes[i];
        if (masconI_program_now()) MASCON_TRY(masconI_program_node(node));
        if (node->freed) {
            masconI_fail(MASCON_E_STATE, "this graph was already freed by an earlier backward");
            return masconI_hint("retain_graph = true");
        }
        for (int32_t e = 0; e < node->n_inputs; e++) {
            if (node->edges[e].node) MASCON_TRY(push(b, node->edges[e].node));
        }
    }
    qsort(b->nodes, (size_t)b->count, sizeof *b->nodes, newest_first);
    return MASCON_OK;
}

/* ---- Adding gradients ---- */

/* A dense copy of grad in the layout of like. */
static mascon_status dense_like(const mascon_tensor *like, mascon_tensor *grad,
                                mascon_tensor **out) {
    mascon_meta meta;
    mascon_tensor *copy;
    masconI_like(&meta, &like->view);
    MASCON_TRY(masconI_tensor_dense(&copy, &meta, like->view.device, like->view.layout));
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_copy);
    call.n_src = 2;
    call.src[0] = call.dst[0] = copy;
    call.src[1] = grad;
    mascon_status status = mascon_invoke(&call);
    if (status != MASCON_OK) {
        mascon_tensor_release(copy);
        return status;
    }
    *out = copy;
    return MASCON_OK;
}

static int same_strides(const mascon_view *a, const mascon_view *b) {
    for (int d = 0; d < a->ndim; d++) {
        if (a->shape[d] > 1 && a->stride[d] != b->stride[d]) return 0;
    }
    return 1;
}

/* *place += grad; takes over grad. in_place: *place may be changed (it is a leaf's gradient). */
static mascon_status accumulate(mascon_tensor **place, mascon_tensor *grad, int in_place) {
    if (!*place) {
        *place = grad;
        return MASCON_OK;
    }
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_add);
    call.n_src = 2;
    call.src[0] = *place;
    call.src[1] = grad;
    if (in_place || masconI_tensor_is_unique(*place)) call.dst[0] = *place;
    mascon_status status = mascon_invoke(&call);
    mascon_tensor_release(grad);
    if (status != MASCON_OK) return status;
    if (call.dst[0] != *place) {
        mascon_tensor_release(*place);
        *place = call.dst[0];
    }
    return MASCON_OK;
}

/* A leaf's gradient is dense, in the leaf's layout, and shares memory with nothing. Takes over grad. */
static mascon_status give_leaf(mascon_tensor *leaf, mascon_tensor *grad) {
    if (masconI_program_now()) {
        mascon_status status = masconI_program_leaf(leaf, 1);
        if (status != MASCON_OK) {
            mascon_tensor_release(grad);
            return status;
        }
    }
    if (leaf->grad) return accumulate(&leaf->grad, grad, 1);
    if (!masconI_tensor_is_unique(grad) || !same_strides(&leaf->view, &grad->view)) {
        mascon_tensor *copy = NULL;
        mascon_status status = dense_like(leaf, grad, &copy);
        mascon_tensor_release(grad);
        if (status != MASCON_OK) return status;
        grad = copy;
    }
    leaf->grad = grad;
    return MASCON_OK;
}

/* The place among the requested inputs of mascon.grad, or NULL. */
static mascon_tensor **wanted(mascon_backward *b, const masconI_node *node, int32_t output,
                              const mascon_tensor *leaf) {
    for (int32_t i = 0; i < b->n_inputs; i++) {
        const mascon_tensor *t = b->inputs[i];
        if (leaf ? t == leaf : t->node == node && t->output == output) return &b->results[i];
    }
    return NULL;
}

/* Hands grad (taken over) to the maker of input i of node. */
static mascon_status hand_on(mascon_backward *b, masconI_node *node, int32_t i,
                             mascon_tensor *grad) {
    struct masconI_edge *edge = &node->edges[i];
    if (edge->node) return accumulate(&edge->node->grads[edge->output], grad, 0);
    if (edge->leaf && b->inputs) {
        mascon_tensor **result = wanted(b, NULL, 0, edge->leaf);
        if (result) return accumulate(result, grad, 0);
    } else if (edge->leaf) {
        return give_leaf(edge->leaf, grad);
    }
    mascon_tensor_release(grad);
    return MASCON_OK;
}

/* ---- One node ---- */

/* Puts a tombstone in the place of each saved tensor that was changed since: only a gradient that
 * really reads it fails, with a sentence that names both operations. */
static mascon_status check_versions(masconI_node *node) {
    for (int32_t i = 0; i < node->n_saved; i++) {
        mascon_tensor **slot = node->saved[i].slot, *t = *slot;
        if (!t || !t->storage || mascon_tensor_version(t) == node->saved[i].version) continue;
        char why[160];
        snprintf(why, sizeof why, "%s of %s was changed by %s_ after it was saved",
                 node->saved[i].is_output ? "output" : "an input", node->op->name,
                 masconI_ops[t->storage->writer]->name);
        mascon_meta meta;
        masconI_like(&meta, &t->view);
        mascon_tensor *tombstone;
        MASCON_TRY(masconI_tensor_meta(&tombstone, &meta, t->view.device));
        mascon_tensor_discard(tombstone, why);
        tombstone->released = 2;
        mascon_tensor_release(t);
        *slot = tombstone;
    }
    return MASCON_OK;
}

static mascon_status run_gradient(masconI_node *node, mascon_tensor **dx) {
    mascon_grad g = {.call = &node->call, .n_inputs = node->n_inputs, .need = node->need, .dx = dx};
    for (int i = 0; i < MASCON_MAX_DST; i++) g.dy[i] = node->grads[i];
    MASCON_TRY(check_versions(node));
    return node->op->grad(&g);
}

/* " in Net.layer3.conv2", the module of an origin, or nothing; *line: the length of its first line. */
static const char *module_of(const masconI_node *node, int *line, char text[128]) {
    const char *origin = node->origin ? node->origin : "", *end = strchr(origin, '\n');
    *line = (int)(end ? (size_t)(end - origin) : strlen(origin));
    snprintf(text, 128, "%s%s", end ? " in " : "", end ? end + 1 : "");
    return text;
}

/* "; first non-finite value arose in log (loss.lua:12)", or nothing: the oldest recorded call of the
 * graph whose result had such values. */
static void first_not_finite(const mascon_backward *b, char *text, size_t size) {
    text[0] = 0;
    for (int64_t i = b->count - 1; i >= 0; i--) {
        const masconI_node *node = b->nodes[i];
        if (!node->not_finite || !node->op) continue;
        char module[128];
        int line;
        module_of(node, &line, module);
        snprintf(text, size, "; first non-finite value arose in %s%s%s%.*s%s", node->op->name,
                 module, line ? " (" : "", line, node->origin ? node->origin : "", line ? ")" : "");
        return;
    }
}

/* "3 NaN values", "1 infinite value", or both. */
static void bad_values(double nan, double infinite, char *text, size_t size) {
    int used = 0;
    if (nan > 0) used = snprintf(text, size, "%.0f NaN%s", nan, infinite > 0 ? " and " : "");
    if (infinite > 0) snprintf(text + used, size - (size_t)used, "%.0f infinite", infinite);
    snprintf(text + strlen(text), size - strlen(text), " value%s", nan + infinite == 1 ? "" : "s");
}

/* The number of elements of t for which an op such as isfinite holds. */
static mascon_status count_where(int32_t op, mascon_tensor *t, double *count) {
    mascon_tensor *which, *sum;
    MASCON_TRY(masconI_emit(op, &which, 1, &t, NULL));
    mascon_status status = masconI_emit(MASCON_OP_sum, &sum, 1, &which, NULL);
    mascon_tensor_release(which);
    if (status != MASCON_OK) return status;
    status = mascon_tensor_item(sum, count);
    mascon_tensor_release(sum);
    return status;
}

mascon_status masconI_count_not_finite(mascon_tensor *t, double *count) {
    mascon_status status = count_where(MASCON_OP_isfinite, t, count);
    *count = (double)t->view.numel - *count;
    return status;
}

static mascon_status check_finite(const mascon_backward *b, const masconI_node *node,
                                  mascon_tensor **dx) {
    for (int32_t i = 0; i < node->n_inputs; i++) {
        double bad = 0, nan = 0;
        if (!dx[i]) continue;
        MASCON_TRY(masconI_count_not_finite(dx[i], &bad));
        if (bad == 0) continue;
        MASCON_TRY(count_where(MASCON_OP_isnan, dx[i], &nan));
        char name[32], module[128], values[80], first[384];
        int line;
        module_of(node, &line, module);
        bad_values(nan, bad - nan, values, sizeof values);
        first_not_finite(b, first, sizeof first);
        mascon_status status =
            masconI_fail(MASCON_E_STATE, "gradient of %s%s has %s%s",
                         node->op ? node->op->name : "a function", module, values, first);
        mascon_error *e = masconI_error();
        snprintf(e->detail, sizeof e->detail, "%s%s%s%s%.*s", node->op ? "input " : "",
                 node->op ? masconI_input_name(node->call.op, i, name) : "",
                 node->op && line ? ", " : "", line ? "recorded at " : "", line,
                 node->origin ? node->origin : "");
        return status;
    }
    return MASCON_OK;
}

static void clear_grads(masconI_node *node) {
    for (int i = 0; i < MASCON_MAX_DST; i++) {
        mascon_tensor_release(node->grads[i]);
        node->grads[i] = NULL;
    }
}

/* Distributes dx (all taken over) and closes the node. */
static mascon_status finish_node(mascon_backward *b, masconI_node *node, mascon_tensor **dx) {
    mascon_status status = MASCON_OK;
    if (b->flags & MASCON_BACKWARD_ANOMALY) status = check_finite(b, node, dx);
    for (int32_t i = 0; i < node->n_inputs; i++) {
        if (!dx[i]) continue;
        if (status == MASCON_OK && node->need[i]) {
            status = hand_on(b, node, i, dx[i]);
        } else {
            mascon_tensor_release(dx[i]);
        }
        dx[i] = NULL;
    }
    clear_grads(node);
    if (!(b->flags & MASCON_BACKWARD_RETAIN)) masconI_node_clear(node);
    return status;
}

static int has_grads(const masconI_node *node) {
    for (int i = 0; i < MASCON_MAX_DST; i++) {
        if (node->grads[i]) return 1;
    }
    return 0;
}

static void capture(mascon_backward *b, const masconI_node *node) {
    for (int k = 0; b->inputs && k < MASCON_MAX_DST; k++) {
        mascon_tensor **result = node->grads[k] ? wanted(b, node, k, NULL) : NULL;
        if (!result) continue;
        mascon_tensor_retain(node->grads[k]);
        mascon_tensor_release(*result);
        *result = node->grads[k];
    }
}

static mascon_status run_node(mascon_backward *b, masconI_node *node) {
    mascon_tensor *few[MASCON_MAX_SRC] = {0}, **dx = few;
    if (node->n_inputs > MASCON_MAX_SRC) {
        dx = calloc((size_t)node->n_inputs, sizeof *dx);
        if (!dx) return masconI_fail(MASCON_E_OOM, "no memory for the backward pass");
    }
    mascon_status status = run_gradient(node, dx);
    if (status == MASCON_OK) {
        status = finish_node(b, node, dx);
    } else {
        for (int32_t i = 0; i < node->n_inputs; i++) mascon_tensor_release(dx[i]);
    }
    if (dx != few) free(dx);
    return status;
}

/* ---- The pass ---- */

static mascon_status check_root(const mascon_tensor *root, const mascon_tensor *grad) {
    MASCON_TRY(masconI_tensor_alive(root));
    if (!masconI_needs_grad(root)) {
        return masconI_fail(MASCON_E_STATE,
                            "nothing to differentiate; no input has requires_grad "
                            "(inside no_grad? parameters frozen?)");
    }
    char a[160], b[160];
    if (!grad) {
        if (root->view.numel == 1) return MASCON_OK;
        masconI_fail(MASCON_E_SHAPE, "needs a scalar, loss is %s",
                     masconI_shape_text(root->view.ndim, root->view.shape, a));
        return masconI_hint("loss:mean():backward()");
    }
    MASCON_TRY(masconI_tensor_alive(grad));
    if (!masconI_same_shape(&root->view, &grad->view) || root->view.dtype != grad->view.dtype ||
        root->view.device != grad->view.device) {
        return masconI_fail(MASCON_E_SHAPE, "the gradient is %s %s, the tensor %s %s",
                            mascon_dtype_name(grad->view.dtype),
                            masconI_shape_text(grad->view.ndim, grad->view.shape, a),
                            mascon_dtype_name(root->view.dtype),
                            masconI_shape_text(root->view.ndim, root->view.shape, b));
    }
    return MASCON_OK;
}

/* A tensor of ones like t. */
static mascon_status ones_like(const mascon_tensor *t, mascon_tensor **out) {
    mascon_meta meta;
    masconI_like(&meta, &t->view);
    MASCON_TRY(masconI_tensor_dense(out, &meta, t->view.device, MASCON_LAYOUT_STRIDED));
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_fill);
    call.n_src = 1;
    call.src[0] = call.dst[0] = *out;
    masconI_call_set(&call, "value", 1);
    mascon_status status = mascon_invoke(&call);
    if (status != MASCON_OK) mascon_tensor_release(*out);
    return status;
}

static mascon_status begin(mascon_backward *b, mascon_tensor *grad) {
    mascon_tensor *root = b->root;
    if (grad) {
        mascon_tensor_retain(grad);
    } else {
        MASCON_TRY(ones_like(root, &grad));
    }
    if (!root->node) { /* a leaf: its own gradient */
        mascon_tensor **result = b->inputs ? wanted(b, NULL, 0, root) : NULL;
        if (!b->inputs) return give_leaf(root, grad);
        if (result) return accumulate(result, grad, 0);
        mascon_tensor_release(grad);
        return MASCON_OK;
    }
    mascon_status status = collect(b, root->node);
    if (status != MASCON_OK) {
        mascon_tensor_release(grad);
        return status;
    }
    root->node->grads[root->output] = grad;
    return MASCON_OK;
}

mascon_status mascon_backward_begin(mascon_backward **out, mascon_tensor *root, mascon_tensor *grad,
                                    mascon_tensor **inputs, int32_t n_inputs, int32_t flags) {
    MASCON_NEED(out);
    MASCON_NEED(root);
    mascon_status status = check_root(root, grad);
    mascon_backward *b = status == MASCON_OK ? calloc(1, sizeof *b) : NULL;
    if (status == MASCON_OK && !b) status = masconI_fail(MASCON_E_OOM, "no memory for backward");
    if (status == MASCON_OK) {
        b->flags = flags;
        b->root = root;
        mascon_tensor_retain(root);
        if (inputs) {
            size_t n = n_inputs > 0 ? (size_t)n_inputs : 1;
            b->inputs = calloc(n, sizeof *b->inputs);
            b->results = calloc(n, sizeof *b->results);
            if (!b->inputs || !b->results) status = masconI_fail(MASCON_E_OOM, "no memory");
            for (int32_t i = 0; status == MASCON_OK && i < n_inputs; i++) {
                status = masconI_tensor_alive(inputs[i]);
                if (status != MASCON_OK) break;
                b->inputs[i] = inputs[i];
                mascon_tensor_retain(inputs[i]);
                b->n_inputs = i + 1;
            }
        }
    }
    if (status == MASCON_OK) status = begin(b, grad);
    if (status != MASCON_OK) {
        mascon_backward_end(b);
        snprintf(masconI_error()->op, sizeof masconI_error()->op, "backward");
        return status;
    }
    *out = b;
    return MASCON_OK;
}

mascon_status mascon_backward_next(mascon_backward *b, int32_t *what, uint64_t *id) {
    MASCON_NEED(b);
    MASCON_NEED(what);
    MASCON_NEED(id);
    mascon_status status = MASCON_OK;
    *what = MASCON_BACKWARD_DONE;
    *id = 0;
    if (b->waiting) {
        b->waiting = 0;
        status = finish_node(b, b->nodes[b->at++], b->dx);
        free(b->dx);
        b->dx = NULL;
    }
    for (; status == MASCON_OK && b->at < b->count; b->at++) {
        masconI_node *node = b->nodes[b->at];
        capture(b, node);
        if (!has_grads(node)) continue;
        if (node->op) {
            status = run_node(b, node);
            continue;
        }
        b->dx = calloc((size_t)node->n_inputs + 1, sizeof *b->dx);
        if (!b->dx) {
            status = masconI_fail(MASCON_E_OOM, "no memory for the backward pass");
            break;
        }
        b->waiting = 1;
        *what = MASCON_BACKWARD_CALL_HOST;
        *id = node->host;
        return MASCON_OK;
    }
    if (status != MASCON_OK) {
        mascon_error *e = masconI_error();
        if (e->hint[0] && strstr(e->message, "was changed by")) {
            snprintf(e->op, sizeof e->op, "backward");
            e->detail[0] = 0;
        }
        if (!e->op[0]) snprintf(e->op, sizeof e->op, "backward");
    }
    return status;
}

mascon_status mascon_backward_host_grad(mascon_backward *b, int32_t index, mascon_tensor **out) {
    MASCON_NEED(b);
    MASCON_NEED(out);
    if (!b->waiting || index < 0 || index >= MASCON_MAX_DST) {
        return masconI_fail(MASCON_E_STATE, "no function waits for a gradient %d", index + 1);
    }
    *out = b->nodes[b->at]->grads[index];
    if (*out) mascon_tensor_retain(*out);
    return MASCON_OK;
}

mascon_status mascon_backward_host_give(mascon_backward *b, int32_t index, mascon_tensor *grad) {
    MASCON_NEED(b);
    if (!b->waiting || index < 0 || index >= b->nodes[b->at]->n_inputs) {
        return masconI_fail(MASCON_E_STATE, "no function waits for gradient %d", index + 1);
    }
    if (grad) {
        MASCON_TRY(masconI_tensor_alive(grad));
        mascon_tensor_retain(grad);
    }
    mascon_tensor_release(b->dx[index]);
    b->dx[index] = grad;
    return MASCON_OK;
}

mascon_status mascon_backward_result(mascon_backward *b, int32_t index, mascon_tensor **out) {
    MASCON_NEED(b);
    MASCON_NEED(out);
    if (index < 0 || index >= b->n_inputs) {
        return masconI_fail(MASCON_E_ARG, "no input %d was asked for", index + 1);
    }
    *out = b->results[index];
    if (*out) mascon_tensor_retain(*out);
    return MASCON_OK;
}

void mascon_backward_end(mascon_backward *b) {
    if (!b) return;
    if (b->dx) {
        for (int32_t i = 0; i < b->nodes[b->at]->n_inputs; i++) mascon_tensor_release(b->dx[i]);
        free(b->dx);
    }
    for (int64_t i = 0; i < b->count; i++) {
        clear_grads(b->nodes[i]);
        b->nodes[i]->pass = NULL;
    }
    for (int64_t i = 0; i < b->count; i++) masconI_node_release(b->nodes[i]);
    for (int32_t i = 0; i < b->n_inputs; i++) {
        mascon_tensor_release(b->inputs[i]);
        mascon_tensor_release(b->results[i]);
    }
    mascon_tensor_release(b->root);
    free(b->inputs);
    free(b->results);
    free(b->nodes);
    free(b);
}

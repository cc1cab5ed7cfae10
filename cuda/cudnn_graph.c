/* cudnn_graph.c: operation graphs of cuDNN by its backend API. See cudnn_graph.h.
 *
 * The backend API knows one kind of object, the descriptor: made, given attributes by name, type and
 * count, finalised, from then on read only. The helpers at the top are that life in two calls.
 */
#include "cuda/cudnn_graph.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "cuda/api.h"

/* The attributes that carry a handle are declared deprecated, because a plan may also be made for a
 * described device; all versions of cuDNN 9 take them, and older ones of it demand them. */
enum { ATTR_GRAPH_HANDLE = 800, ATTR_PLAN_HANDLE = 400 };

mascon_status masconG_cudnn_fail(const char *what, cudnnStatus_t status) {
    mascon_status code = MASCON_E_BACKEND;
    if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED) code = MASCON_E_UNSUPPORTED;
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
        status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED) {
        code = MASCON_E_OOM;
    }
    return masconI_fail(code, "cuDNN: %s: %s", what, cuda->cudnn_get_error_string(status));
}

#define TRY_CUDNN(what, expression)                                                        \
    do {                                                                                   \
        const cudnnStatus_t try_cudnn = (expression);                                      \
        if (try_cudnn != CUDNN_STATUS_SUCCESS) return masconG_cudnn_fail(what, try_cudnn); \
    } while (0)

void masconG_descriptor_free(cudnnBackendDescriptor_t descriptor) {
    if (descriptor) (void)cuda->cudnn_backend_destroy_descriptor(descriptor);
}

/* ---- Descriptors with their attributes ---- */

typedef struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    const void *values;
} attribute;

/* Makes, fills and finalises a descriptor. */
static mascon_status make(cudnnBackendDescriptorType_t type, const attribute *attributes, int n,
                          const char *what, cudnnBackendDescriptor_t *out) {
    cudnnBackendDescriptor_t d = NULL;
    *out = NULL;
    TRY_CUDNN(what, cuda->cudnn_backend_create_descriptor(type, &d));
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    for (int i = 0; i < n && status == CUDNN_STATUS_SUCCESS; i++) {
        const attribute *a = &attributes[i];
        status = cuda->cudnn_backend_set_attribute(d, a->name, a->type, a->count, a->values);
    }
    if (status == CUDNN_STATUS_SUCCESS) status = cuda->cudnn_backend_finalize(d);
    if (status != CUDNN_STATUS_SUCCESS) {
        const mascon_status code = masconG_cudnn_fail(what, status);
        masconG_descriptor_free(d);
        return code;
    }
    *out = d;
    return MASCON_OK;
}

#define MAKE(type, attributes, what, out) \
    make(type, attributes, (int)(sizeof(attributes) / sizeof((attributes)[0])), what, out)

/* As make, owned by the graph. */
static mascon_status add(masconG_graph *g, cudnnBackendDescriptorType_t type,
                         const attribute *attributes, int n, const char *what,
                         cudnnBackendDescriptor_t *out) {
    if (g->n_owned == MASCONG_GRAPH_OWNED) {
        return masconI_fail(MASCON_E_LIMIT, "a graph of more than %d parts", MASCONG_GRAPH_OWNED);
    }
    MASCON_TRY(make(type, attributes, n, what, out));
    g->owned[g->n_owned++] = *out;
    return MASCON_OK;
}

#define ADD(g, type, attributes, what, out) \
    add(g, type, attributes, (int)(sizeof(attributes) / sizeof((attributes)[0])), what, out)

static mascon_status add_op(masconG_graph *g, cudnnBackendDescriptorType_t type,
                            const attribute *attributes, int n, const char *what) {
    if (g->n_ops == MASCONG_GRAPH_OPS) {
        return masconI_fail(MASCON_E_LIMIT, "a graph of more than %d operations",
                            MASCONG_GRAPH_OPS);
    }
    cudnnBackendDescriptor_t op;
    MASCON_TRY(add(g, type, attributes, n, what, &op));
    g->ops[g->n_ops++] = op;
    return MASCON_OK;
}

/* How many values an attribute has; 0 where it has none or cuDNN does not know it. */
static int64_t count_of(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                        cudnnBackendAttributeType_t type) {
    int64_t count = 0;
    const cudnnStatus_t status = cuda->cudnn_backend_get_attribute(d, name, type, 0, &count, NULL);
    return status == CUDNN_STATUS_SUCCESS ? count : 0;
}

/* ---- Graphs ---- */

mascon_status masconG_graph_tensor(masconG_graph *g, const masconG_tensor *t,
                                   cudnnBackendDescriptor_t *out) {
    const bool is_virtual = t->is_virtual != 0;
    const attribute attributes[] = {
        {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t->dtype},
        {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, t->shape},
        {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, t->stride},
        {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t->uid},
        {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &t->alignment},
        {CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual},
    };
    return ADD(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR, attributes, "describing a tensor", out);
}

static mascon_status add_window(masconG_graph *g, const masconG_window *w,
                                cudnnBackendDescriptor_t *out) {
    const cudnnDataType_t compute = w->in_double ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dimensions = 2;
    const attribute attributes[] = {
        {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute},
        {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode},
        {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dimensions},
        {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, w->before},
        {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, w->after},
        {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, w->dilation},
        {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, w->stride},
    };
    return ADD(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, attributes, "describing a convolution",
               out);
}

mascon_status masconG_graph_convolution(masconG_graph *g, masconG_conv_kind kind,
                                        const masconG_window *window, cudnnBackendDescriptor_t x,
                                        cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y) {
    static const struct {
        cudnnBackendDescriptorType_t type;
        cudnnBackendAttributeName_t window, x, w, y, alpha, beta;
    } names[] = {
        [MASCONG_CONV_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        [MASCONG_CONV_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        [MASCONG_CONV_WEIGHT] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
    };
    cudnnBackendDescriptor_t described;
    MASCON_TRY(add_window(g, window, &described));
    const float one = 1, zero = 0;
    const double one_wide = 1, zero_wide = 0;
    const int wide = window->in_double;
    const cudnnBackendAttributeType_t factor = wide ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_FLOAT;
    const void *alpha = wide ? (const void *)&one_wide : &one;
    const void *beta = wide ? (const void *)&zero_wide : &zero;
    const attribute attributes[] = {
        {names[kind].window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &described},
        {names[kind].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x},
        {names[kind].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w},
        {names[kind].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y},
        {names[kind].alpha, factor, 1, alpha},
        {names[kind].beta, factor, 1, beta},
    };
    return add_op(g, names[kind].type, attributes, 6, "adding a convolution");
}

mascon_status masconG_graph_pointwise(masconG_graph *g, cudnnPointwiseMode_t mode,
                                      cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                                      cudnnBackendDescriptor_t y) {
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN; /* else relu makes it 0 */
    const attribute described[] = {
        {CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode},
        {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute},
        {CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan},
    };
    cudnnBackendDescriptor_t function;
    MASCON_TRY(add(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, described,
                   mode == CUDNN_POINTWISE_RELU_FWD ? 3 : 2, "describing a function", &function));
    const attribute attributes[] = {
        {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &function},
        {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x},
        {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y},
        {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &b},
    };
    return add_op(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, attributes, b ? 4 : 3,
                  "adding a function");
}

mascon_status masconG_graph_finish(masconG_graph *g, const masconG_target *target) {
    const attribute attributes[] = {
        {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->n_ops, g->ops},
        {(cudnnBackendAttributeName_t)ATTR_GRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle},
    };
    return add(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, attributes, target->handle ? 2 : 1,
               "closing the graph", &g->graph);
}

void masconG_graph_free(masconG_graph *g) {
    while (g->n_owned > 0) masconG_descriptor_free(g->owned[--g->n_owned]);
    g->n_ops = 0;
    g->graph = NULL;
}

/* ---- Engine configurations ---- */

static void free_all(cudnnBackendDescriptor_t *descriptors, int n) {
    for (int i = 0; i < n; i++) {
        masconG_descriptor_free(descriptors[i]);
        descriptors[i] = NULL;
    }
}

mascon_status masconG_graph_candidates(const masconG_graph *g, const masconG_target *target,
                                       cudnnBackendHeurMode_t mode, int max,
                                       cudnnBackendDescriptor_t *configs, int *count) {
    static const char what[] = "asking for engines";
    *count = 0;
    const attribute attributes[] = {
        {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->graph},
        {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode},
        {CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &target->device},
    };
    cudnnBackendDescriptor_t heuristics;
    mascon_status code = make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, attributes,
                              target->handle ? 2 : 3, what, &heuristics);
    if (code == MASCON_E_UNSUPPORTED) return MASCON_OK; /* this mode has nothing to offer */
    MASCON_TRY(code);
    int64_t found =
        count_of(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
    if (found > max) found = max;
    int made = 0;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    for (; made < found && status == CUDNN_STATUS_SUCCESS; made++) {
        configs[made] = NULL;
        status = cuda->cudnn_backend_create_descriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                                       &configs[made]);
    }
    int64_t filled = 0;
    if (status == CUDNN_STATUS_SUCCESS && found) {
        status = cuda->cudnn_backend_get_attribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                   CUDNN_TYPE_BACKEND_DESCRIPTOR, found, &filled,
                                                   configs);
    }
    masconG_descriptor_free(heuristics);
    if (status != CUDNN_STATUS_SUCCESS) {
        free_all(configs, made);
        return masconG_cudnn_fail(what, status);
    }
    if (filled > found) filled = found;
    free_all(configs + filled, made - (int)filled);
    *count = (int)filled;
    return MASCON_OK;
}

/* The engine of a configuration, owned by the caller. */
static mascon_status engine_of(cudnnBackendDescriptor_t config, cudnnBackendDescriptor_t *out) {
    static const char what[] = "reading an engine";
    *out = NULL;
    TRY_CUDNN(what, cuda->cudnn_backend_create_descriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, out));
    int64_t count = 0;
    const cudnnStatus_t status = cuda->cudnn_backend_get_attribute(
        config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, out);
    if (status == CUDNN_STATUS_SUCCESS && count == 1) return MASCON_OK;
    masconG_descriptor_free(*out);
    *out = NULL;
    return masconG_cudnn_fail(what, status ? status : CUDNN_STATUS_INTERNAL_ERROR);
}

mascon_status masconG_config_notes(cudnnBackendDescriptor_t config, masconG_notes *notes) {
    *notes = (masconG_notes){0};
    cudnnBackendDescriptor_t engine;
    MASCON_TRY(engine_of(config, &engine));
    cudnnBackendNumericalNote_t numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t count = 0;
    cudnnStatus_t status = cuda->cudnn_backend_get_attribute(
        engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, numerical);
    for (int i = 0; status == CUDNN_STATUS_SUCCESS && i < (int)count; i++) {
        if (i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT) notes->numerical |= 1u << numerical[i];
    }
    if (status == CUDNN_STATUS_SUCCESS) {
        status = cuda->cudnn_backend_get_attribute(
            engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
            CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, &count, behavior);
        for (int i = 0; status == CUDNN_STATUS_SUCCESS && i < (int)count; i++) {
            if (i < CUDNN_BEHAVIOR_NOTE_TYPE_COUNT) notes->behavior |= 1u << behavior[i];
        }
    }
    masconG_descriptor_free(engine);
    TRY_CUDNN("reading an engine's notes", status);
    return MASCON_OK;
}

/* ---- Plans ---- */

static attribute for_whom(const masconG_target *target) {
    if (target->handle) {
        return (attribute){(cudnnBackendAttributeName_t)ATTR_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                           &target->handle};
    }
    return (attribute){CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                       &target->device};
}

static mascon_status plan_of(const attribute *attributes, int n, cudnnBackendDescriptor_t *plan,
                             size_t *workspace) {
    MASCON_TRY(make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, attributes, n, "making a plan", plan));
    int64_t bytes = 0, one;
    const cudnnStatus_t status = cuda->cudnn_backend_get_attribute(
        *plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &bytes);
    if (status != CUDNN_STATUS_SUCCESS || bytes < 0) {
        masconG_descriptor_free(*plan);
        *plan = NULL;
        return masconG_cudnn_fail("reading a plan", status ? status : CUDNN_STATUS_INTERNAL_ERROR);
    }
    *workspace = (size_t)bytes;
    return MASCON_OK;
}

mascon_status masconG_plan_new(const masconG_target *target, cudnnBackendDescriptor_t config,
                               cudnnBackendDescriptor_t *plan, size_t *workspace) {
    const attribute attributes[] = {
        for_whom(target),
        {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config},
    };
    return plan_of(attributes, 2, plan, workspace);
}

mascon_status masconG_plan_text(cudnnBackendDescriptor_t plan, char **text, size_t *length) {
    *text = NULL;
    *length = 0;
    int64_t bytes = count_of(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR);
    if (bytes <= 0) return MASCON_OK;
    char *buffer = malloc((size_t)bytes);
    if (!buffer) return masconI_fail(MASCON_E_OOM, "no memory for the text of a plan");
    const cudnnStatus_t status =
        cuda->cudnn_backend_get_attribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                          CUDNN_TYPE_CHAR, bytes, &bytes, buffer);
    if (status != CUDNN_STATUS_SUCCESS) {
        free(buffer);
        return MASCON_OK; /* not every engine has one */
    }
    *text = buffer;
    *length = (size_t)bytes;
    return MASCON_OK;
}

mascon_status masconG_plan_from_text(const masconG_target *target, const char *text, size_t length,
                                     cudnnBackendDescriptor_t *plan, size_t *workspace) {
    const attribute attributes[] = {
        for_whom(target),
        {CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)length, text},
    };
    return plan_of(attributes, 2, plan, workspace);
}

mascon_status masconG_plan_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, int n,
                               const int64_t *uids, void *const *pointers, void *workspace) {
    const attribute attributes[] = {
        {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids},
        {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, pointers},
        {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace},
    };
    cudnnBackendDescriptor_t pack;
    MASCON_TRY(MAKE(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, attributes, "passing addresses", &pack));
    const cudnnStatus_t status = cuda->cudnn_backend_execute(handle, plan, pack);
    masconG_descriptor_free(pack);
    TRY_CUDNN("running a convolution", status);
    return MASCON_OK;
}

/* cudnn_graph.h: operation graphs of cuDNN by its backend API, as few calls as convolutions need.
 *
 * A graph owns every descriptor that was made for it. Configurations and plans are single
 * descriptors that the caller destroys with masconG_descriptor_free. Nothing here keeps state between
 * calls. Every function that returns a status has filled the error record where it is not MASCON_OK.
 */
#ifndef MASCON_CUDA_CUDNN_GRAPH_H
#define MASCON_CUDA_CUDNN_GRAPH_H

#include <cudnn.h>

#include "mascon_backend.h"

/* For whom plans are made: for the device of a handle, or, where handle is NULL, for a device that is
 * described by a descriptor of its properties and need not be in this machine. */
typedef struct masconG_target {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t device;
} masconG_target;

enum { MASCONG_GRAPH_OWNED = 48, MASCONG_GRAPH_OPS = 8 };

typedef struct masconG_graph {
    cudnnBackendDescriptor_t owned[MASCONG_GRAPH_OWNED], ops[MASCONG_GRAPH_OPS];
    int n_owned, n_ops;
    cudnnBackendDescriptor_t graph; /* after masconG_graph_finish; one of owned */
} masconG_graph;

/* Four dimensions, logical order n c h w (a filter: k c r s); strides in elements. A virtual tensor
 * lies between two operations and never in memory. */
typedef struct masconG_tensor {
    int64_t uid;
    int64_t shape[4], stride[4];
    int64_t alignment; /* bytes: of every address it will have */
    cudnnDataType_t dtype;
    int is_virtual;
} masconG_tensor;

typedef struct masconG_window { /* ORDER: vertical, horizontal */
    int64_t stride[2], dilation[2], before[2], after[2];
    int in_double; /* sums are in double, for tensors of that type; else in float */
} masconG_window;

typedef enum masconG_conv_kind { /* of three tensors x, w, y one is the result */
                                 MASCONG_CONV_FORWARD = 0,
                                 MASCONG_CONV_DATA,
                                 MASCONG_CONV_WEIGHT
} masconG_conv_kind;

mascon_status masconG_graph_tensor(masconG_graph *g, const masconG_tensor *t,
                                   cudnnBackendDescriptor_t *out);
/* Adds the convolution y = x * w, or the gradient of it that kind names (then the gradient takes the
 * place of its tensor). */
mascon_status masconG_graph_convolution(masconG_graph *g, masconG_conv_kind kind,
                                        const masconG_window *window, cudnnBackendDescriptor_t x,
                                        cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y);
/* Adds y = mode(x, b); b is NULL for a mode of one input. Computes in float. */
mascon_status masconG_graph_pointwise(masconG_graph *g, cudnnPointwiseMode_t mode,
                                      cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                                      cudnnBackendDescriptor_t y);
/* Closes the graph. */
mascon_status masconG_graph_finish(masconG_graph *g, const masconG_target *target);
void masconG_graph_free(masconG_graph *g);

/* ---- Engine configurations ---- */

/* Up to max configurations, best first, of one mode of cuDNN's heuristics. *count may be 0: cuDNN
 * knows no engine for this graph, which is no error. */
mascon_status masconG_graph_candidates(const masconG_graph *g, const masconG_target *target,
                                       cudnnBackendHeurMode_t mode, int max,
                                       cudnnBackendDescriptor_t *configs, int *count);

typedef struct masconG_notes { /* bit per CUDNN_NUMERICAL_NOTE_, CUDNN_BEHAVIOR_NOTE_ */
    uint32_t numerical, behavior;
} masconG_notes;

mascon_status masconG_config_notes(cudnnBackendDescriptor_t config, masconG_notes *notes);

/* ---- Plans ---- */

/* MASCON_E_UNSUPPORTED where this engine cannot serve the graph after all: try the next. */
mascon_status masconG_plan_new(const masconG_target *target, cudnnBackendDescriptor_t config,
                               cudnnBackendDescriptor_t *plan, size_t *workspace);
/* A plan as text, malloc'ed (release with free), which saves a later process the compilation of its
 * kernel; *text is NULL where cuDNN gives none. */
mascon_status masconG_plan_text(cudnnBackendDescriptor_t plan, char **text, size_t *length);
mascon_status masconG_plan_from_text(const masconG_target *target, const char *text, size_t length,
                                     cudnnBackendDescriptor_t *plan, size_t *workspace);
mascon_status masconG_plan_run(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, int n,
                               const int64_t *uids, void *const *pointers, void *workspace);

void masconG_descriptor_free(cudnnBackendDescriptor_t descriptor); /* NULL is allowed */

/* Fills the error record from a status of cuDNN; returns its code: UNSUPPORTED, OOM or BACKEND. */
mascon_status masconG_cudnn_fail(const char *what, cudnnStatus_t status);

#endif

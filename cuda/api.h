/* api.h: the one table through which every call of the CUDA libraries goes.
 *
 * libmascon_cuda.so is built twice from the same sources: with api_real.c, whose table holds the
 * functions of the CUDA runtime, cuBLAS and cuDNN, and with fake/api_fake.cpp, whose table holds a
 * device that computes on host memory. So tests without a GPU run every line of host code.
 *
 * Members are named like the calls they stand for, without their prefix. No file of cuda/ but these two
 * calls a CUDA library by name.
 */
#ifndef MASCON_CUDA_API_H
#define MASCON_CUDA_API_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cuda_api {
    /* Opens cuBLASLt and cuDNN, whose members below may be called from then on; NULL, or a sentence that
     * says why not. */
    const char *(*open_libraries)(void);
    /* ---- devices and errors ---- */
    cudaError_t (*get_device_count)(int *count);
    cudaError_t (*set_device)(int device);
    cudaError_t (*get_device)(int *device);
    cudaError_t (*get_device_properties)(struct cudaDeviceProp *out, int device);
    cudaError_t (*device_get_attribute)(int *value, enum cudaDeviceAttr which, int device);
    cudaError_t (*device_synchronize)(void);
    cudaError_t (*mem_get_info)(size_t *available, size_t *total);
    const char *(*get_error_string)(cudaError_t error);
    const char *(*get_error_name)(cudaError_t error);
    cudaError_t (*get_last_error)(void);
    cudaError_t (*driver_get_version)(int *version);
    cudaError_t (*runtime_get_version)(int *version);
    /* ---- memory ---- */
    cudaError_t (*malloc)(void **out, size_t bytes);
    cudaError_t (*free)(void *block);
    cudaError_t (*host_alloc)(void **out, size_t bytes, unsigned int flags);
    cudaError_t (*free_host)(void *block);
    cudaError_t (*pointer_get_attributes)(struct cudaPointerAttributes *out, const void *p);
    cudaError_t (*memcpy_async)(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind,
                                cudaStream_t stream);
    cudaError_t (*memset_async)(void *dst, int byte, size_t bytes, cudaStream_t stream);
    /* ---- streams and events ---- */
    cudaError_t (*stream_create_with_flags)(cudaStream_t *out, unsigned int flags);
    cudaError_t (*stream_destroy)(cudaStream_t stream);
    cudaError_t (*stream_synchronize)(cudaStream_t stream);
    cudaError_t (*stream_wait_event)(cudaStream_t stream, cudaEvent_t event, unsigned int flags);
    cudaError_t (*event_create_with_flags)(cudaEvent_t *out, unsigned int flags);
    cudaError_t (*event_destroy)(cudaEvent_t event);
    cudaError_t (*event_record)(cudaEvent_t event, cudaStream_t stream);
    cudaError_t (*event_query)(cudaEvent_t event);
    cudaError_t (*event_synchronize)(cudaEvent_t event);
    cudaError_t (*event_elapsed_time)(float *milliseconds, cudaEvent_t from, cudaEvent_t to);
    /* ---- graphs ---- */
    cudaError_t (*stream_begin_capture)(cudaStream_t stream, enum cudaStreamCaptureMode mode);
    cudaError_t (*stream_end_capture)(cudaStream_t stream, cudaGraph_t *out);
    cudaError_t (*graph_instantiate)(cudaGraphExec_t *out, cudaGraph_t graph,
                                     unsigned long long flags);
    cudaError_t (*graph_destroy)(cudaGraph_t graph);
    cudaError_t (*graph_upload)(cudaGraphExec_t exec, cudaStream_t stream);
    cudaError_t (*graph_launch)(cudaGraphExec_t exec, cudaStream_t stream);
    cudaError_t (*graph_exec_destroy)(cudaGraphExec_t exec);
    /* ---- kernels (device.cuh's launch calls these) ---- */
    cudaError_t (*launch_kernel)(const void *kernel, dim3 grid, dim3 block, void **arguments,
                                 size_t shared, cudaStream_t stream);
    cudaError_t (*func_set_attribute)(const void *kernel, enum cudaFuncAttribute which, int value);
    /* ---- matrix products: cuBLASLt ---- */
    cublasStatus_t (*blas_create)(cublasLtHandle_t *out);
    cublasStatus_t (*blas_destroy)(cublasLtHandle_t handle);
    const char *(*blas_get_status_string)(cublasStatus_t status);
    size_t (*blas_get_version)(void);
    cublasStatus_t (*blas_matmul_desc_create)(cublasLtMatmulDesc_t *out,
                                              cublasComputeType_t compute, cudaDataType_t scale);
    cublasStatus_t (*blas_matmul_desc_destroy)(cublasLtMatmulDesc_t desc);
    cublasStatus_t (*blas_matmul_desc_set_attribute)(cublasLtMatmulDesc_t desc,
                                                     cublasLtMatmulDescAttributes_t which,
                                                     const void *value, size_t bytes);
    cublasStatus_t (*blas_matrix_layout_create)(cublasLtMatrixLayout_t *out, cudaDataType type,
                                                uint64_t rows, uint64_t columns, int64_t ld);
    cublasStatus_t (*blas_matrix_layout_destroy)(cublasLtMatrixLayout_t layout);
    cublasStatus_t (*blas_matrix_layout_set_attribute)(cublasLtMatrixLayout_t layout,
                                                       cublasLtMatrixLayoutAttribute_t which,
                                                       const void *value, size_t bytes);
    cublasStatus_t (*blas_preference_create)(cublasLtMatmulPreference_t *out);
    cublasStatus_t (*blas_preference_destroy)(cublasLtMatmulPreference_t preference);
    cublasStatus_t (*blas_preference_set_attribute)(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t which,
                                                    const void *value, size_t bytes);
    cublasStatus_t (*blas_get_heuristic)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                         cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                         cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                         cublasLtMatmulPreference_t preference, int requested,
                                         cublasLtMatmulHeuristicResult_t results[], int *returned);
    cublasStatus_t (*blas_matmul)(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                  const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                                  const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                                  const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                                  cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                                  void *workspace, size_t workspace_bytes, cudaStream_t stream);
    /* ---- convolutions: cuDNN by its backend API ---- */
    cudnnStatus_t (*cudnn_create)(cudnnHandle_t *out);
    cudnnStatus_t (*cudnn_destroy)(cudnnHandle_t handle);
    cudnnStatus_t (*cudnn_set_stream)(cudnnHandle_t handle, cudaStream_t stream);
    size_t (*cudnn_get_version)(void);
    const char *(*cudnn_get_error_string)(cudnnStatus_t status);
    cudnnStatus_t (*cudnn_backend_create_descriptor)(cudnnBackendDescriptorType_t type,
                                                     cudnnBackendDescriptor_t *out);
    cudnnStatus_t (*cudnn_backend_destroy_descriptor)(cudnnBackendDescriptor_t descriptor);
    cudnnStatus_t (*cudnn_backend_finalize)(cudnnBackendDescriptor_t descriptor);
    cudnnStatus_t (*cudnn_backend_set_attribute)(cudnnBackendDescriptor_t descriptor,
                                                 cudnnBackendAttributeName_t name,
                                                 cudnnBackendAttributeType_t type, int64_t count,
                                                 const void *values);
    cudnnStatus_t (*cudnn_backend_get_attribute)(const cudnnBackendDescriptor_t descriptor,
                                                 cudnnBackendAttributeName_t name,
                                                 cudnnBackendAttributeType_t type,
                                                 int64_t requested, int64_t *count, void *values);
    cudnnStatus_t (*cudnn_backend_execute)(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                           cudnnBackendDescriptor_t pack);
} cuda_api;

extern const cuda_api *const cuda;

#ifdef __cplusplus
}
#endif

#endif

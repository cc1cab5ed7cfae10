/* api_real.c: the table of api.h over the CUDA libraries themselves. The runtime is linked in; cuBLASLt and
 * cuDNN are opened once a GPU was found, and only then are their members set. */
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "cuda/libraries.h"

static const char *open_libraries(void);

static cuda_api real = {
    .open_libraries = open_libraries,
    .get_device_count = cudaGetDeviceCount,
    .set_device = cudaSetDevice,
    .get_device = cudaGetDevice,
    .get_device_properties = cudaGetDeviceProperties,
    .device_get_attribute = cudaDeviceGetAttribute,
    .device_synchronize = cudaDeviceSynchronize,
    .mem_get_info = cudaMemGetInfo,
    .get_error_string = cudaGetErrorString,
    .get_error_name = cudaGetErrorName,
    .get_last_error = cudaGetLastError,
    .driver_get_version = cudaDriverGetVersion,
    .runtime_get_version = cudaRuntimeGetVersion,
    .malloc = cudaMalloc,
    .free = cudaFree,
    .host_alloc = cudaHostAlloc,
    .free_host = cudaFreeHost,
    .pointer_get_attributes = cudaPointerGetAttributes,
    .memcpy_async = cudaMemcpyAsync,
    .memset_async = cudaMemsetAsync,
    .stream_create_with_flags = cudaStreamCreateWithFlags,
    .stream_destroy = cudaStreamDestroy,
    .stream_synchronize = cudaStreamSynchronize,
    .stream_wait_event = cudaStreamWaitEvent,
    .event_create_with_flags = cudaEventCreateWithFlags,
    .event_destroy = cudaEventDestroy,
    .event_record = cudaEventRecord,
    .event_query = cudaEventQuery,
    .event_synchronize = cudaEventSynchronize,
    .event_elapsed_time = cudaEventElapsedTime,
    .stream_begin_capture = cudaStreamBeginCapture,
    .stream_end_capture = cudaStreamEndCapture,
    .graph_instantiate = cudaGraphInstantiate,
    .graph_destroy = cudaGraphDestroy,
    .graph_upload = cudaGraphUpload,
    .graph_launch = cudaGraphLaunch,
    .graph_exec_destroy = cudaGraphExecDestroy,
    .launch_kernel = cudaLaunchKernel,
    .func_set_attribute = cudaFuncSetAttribute,
};

#define BLAS_CALLS                                                            \
    CALL(blas_create, cublasLtCreate)                                         \
    CALL(blas_destroy, cublasLtDestroy)                                       \
    CALL(blas_get_status_string, cublasLtGetStatusString)                     \
    CALL(blas_get_version, cublasLtGetVersion)                                \
    CALL(blas_matmul_desc_create, cublasLtMatmulDescCreate)                   \
    CALL(blas_matmul_desc_destroy, cublasLtMatmulDescDestroy)                 \
    CALL(blas_matmul_desc_set_attribute, cublasLtMatmulDescSetAttribute)      \
    CALL(blas_matrix_layout_create, cublasLtMatrixLayoutCreate)               \
    CALL(blas_matrix_layout_destroy, cublasLtMatrixLayoutDestroy)             \
    CALL(blas_matrix_layout_set_attribute, cublasLtMatrixLayoutSetAttribute)  \
    CALL(blas_preference_create, cublasLtMatmulPreferenceCreate)              \
    CALL(blas_preference_destroy, cublasLtMatmulPreferenceDestroy)            \
    CALL(blas_preference_set_attribute, cublasLtMatmulPreferenceSetAttribute) \
    CALL(blas_get_heuristic, cublasLtMatmulAlgoGetHeuristic)                  \
    CALL(blas_matmul, cublasLtMatmul)

#define CUDNN_CALLS                                                       \
    CALL(cudnn_create, cudnnCreate)                                       \
    CALL(cudnn_destroy, cudnnDestroy)                                     \
    CALL(cudnn_set_stream, cudnnSetStream)                                \
    CALL(cudnn_get_version, cudnnGetVersion)                              \
    CALL(cudnn_get_error_string, cudnnGetErrorString)                     \
    CALL(cudnn_backend_create_descriptor, cudnnBackendCreateDescriptor)   \
    CALL(cudnn_backend_destroy_descriptor, cudnnBackendDestroyDescriptor) \
    CALL(cudnn_backend_finalize, cudnnBackendFinalize)                    \
    CALL(cudnn_backend_set_attribute, cudnnBackendSetAttribute)           \
    CALL(cudnn_backend_get_attribute, cudnnBackendGetAttribute)           \
    CALL(cudnn_backend_execute, cudnnBackendExecute)

/* Each member takes the function that the library's header declares for it. */
#define CALL(member, function)                                                           \
    _Static_assert(__builtin_types_compatible_p(__typeof__(&(function)),                 \
                                                __typeof__(((cuda_api *)NULL)->member)), \
                   #function " has the type of " #member);
/* clang-format off */
BLAS_CALLS
CUDNN_CALLS
/* clang-format on */
#undef CALL

typedef struct call {
    size_t offset; /* of the member */
    const char *name;
} call;

#define CALL(member, function) {offsetof(cuda_api, member), #function},
static const call blas_calls[] = {BLAS_CALLS};
static const call cudnn_calls[] = {CUDNN_CALLS};
#undef CALL

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)
#define BLAS_NAME "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)
#define CUDNN_NAME "libcudnn.so." TEXT(CUDNN_MAJOR)
#define COMPILER_NAME "libnvrtc.so." TEXT(CUBLAS_VER_MAJOR)
#define COMPILER_PART "libnvrtc-builtins.so." TEXT(CUBLAS_VER_MAJOR) ".*"

/* Sets the members; 0 where the library lacks one, which text then names. */
static int fill(void *library, const call *calls, size_t n, char *text, size_t size) {
    for (size_t i = 0; i < n; i++) {
        void *function = dlsym(library, calls[i].name);
        if (!function) {
            snprintf(text, size, "has no %s", calls[i].name);
            return 0;
        }
        memcpy((char *)&real + calls[i].offset, &function, sizeof function);
    }
    return 1;
}

static int judge_blas(void *library, char *text, size_t size) {
    return fill(library, blas_calls, sizeof blas_calls / sizeof *blas_calls, text, size);
}

/* cuDNN 9 is made for CUDA 12 and for CUDA 13, under one name, and calls the cuBLASLt of its own. Its part
 * that knows is asked itself: libcudnn.so.9 would open it and never let go, and the parts of the next
 * candidate would not be opened beside it. */
static int judge_cudnn(void *library, char *text, size_t size) {
    static const char part_name[] = "libcudnn_graph.so." TEXT(CUDNN_MAJOR);
    if (!dlsym(library, "cudnnGetVersion")) return snprintf(text, size, "is no cuDNN"), 0;
    void *part = masconG_library_beside(library, "cudnnGetVersion", part_name);
    if (!part) return snprintf(text, size, "has no usable %s beside it", part_name), 0;
    size_t (*made_for)(void) = (size_t(*)(void))(uintptr_t)dlsym(part, "cudnnGetCudartVersion");
    const int found = made_for ? (int)(made_for() / 1000) : 0;
    if (found == CUDART_VERSION / 1000) {
        return fill(library, cudnn_calls, sizeof cudnn_calls / sizeof *cudnn_calls, text, size);
    }
    dlclose(part);
    snprintf(text, size, "is made for CUDA %d; this build needs cuDNN for CUDA %d", found,
             CUDART_VERSION / 1000);
    return 0;
}

static const char *open_libraries(void) {
    static char why[480];
    char ignored[480];
    if (!masconG_library_open(BLAS_NAME, judge_blas, why, sizeof why)) return why;
    /* cuDNN opens it by its bare name to compile kernels, and it its own second part, which is found only
     * where it is open. Without them other kernels are taken. */
    void *compiler = masconG_library_open(COMPILER_NAME, NULL, ignored, sizeof ignored);
    if (compiler) masconG_library_beside(compiler, "nvrtcVersion", COMPILER_PART);
    return masconG_library_open(CUDNN_NAME, judge_cudnn, why, sizeof why) ? NULL : why;
}

const cuda_api *const cuda = &real;

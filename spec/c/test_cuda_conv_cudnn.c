/* test_cuda_conv_cudnn.c: the plans of convolutions over cuDNN itself. cuDNN plans for a device that is
 * described by its properties and need not be there, so without a GPU this checks that cuDNN takes every
 * graph that conv_plan.c builds, has an engine for each under every setting, and gives back a plan from
 * its text. What is left for a GPU is running them.
 *
 * Exit status 77 (skipped) where this cuDNN cannot plan for a described device. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/blas.h"
#include "cuda/conv_plan.h"
#include "expect.h"

enum { SKIPPED = 77 };

/* ---- cuDNN alone behind the table, and what belongs to the core ---- */

static const cuda_api real = {
    .cudnn_get_version = cudnnGetVersion,
    .cudnn_get_error_string = cudnnGetErrorString,
    .cudnn_backend_create_descriptor = cudnnBackendCreateDescriptor,
    .cudnn_backend_destroy_descriptor = cudnnBackendDestroyDescriptor,
    .cudnn_backend_finalize = cudnnBackendFinalize,
    .cudnn_backend_set_attribute = cudnnBackendSetAttribute,
    .cudnn_backend_get_attribute = cudnnBackendGetAttribute,
};
const cuda_api *const cuda = &real;

static char last_text[1024];

mascon_status masconI_fail_at(const char *file, int line, mascon_status code, const char *format,
                              ...) {
    char text[400], detail[512] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cudnnGetLastErrorString(detail, sizeof detail);
    snprintf(last_text, sizeof last_text, "%s:%d: %s: %s", file, line, text, detail);
    return code;
}

/* What conv_plan.c needs for a device that is there, which none is. */
const mascon_host *masconG_host;
mascon_status masconG_check(cudaError_t error, const char *what) {
    return masconI_fail(MASCON_E_BACKEND, "%s: %d", what, (int)error);
}
mascon_status masconG_dnn_handle(int32_t device, cudnnHandle_t *out) {
    *out = NULL;
    return masconI_fail(MASCON_E_DEVICE, "no device %d", device);
}
mascon_status masconG_conv_fastest(const masconG_conv_key *key, const masconG_target *target,
                                   const masconG_conv_plan *plans, int n, int *fastest) {
    (void)key, (void)target, (void)plans, (void)n;
    *fastest = 0;
    return MASCON_OK;
}

/* A GPU of compute capability 9.0 with 132 multiprocessors. */
static const char properties[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"
    "\"regsPerBlock\":65536,\"multiProcessorCount\":132,\"warpSize\":32,"
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":232448,"
    "\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
    "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":9013,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":150000000000,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":3201000,\"l2CacheSize\":62914560,\"cudaDeviceId\":0,\"deviceVer\":900,"
    "\"driverVer\":13000,\"deviceName\":\"NVIDIA H200\"}";

static cudnnBackendDescriptor_t describe_device(void) {
    cudnnBackendDescriptor_t d = NULL;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d)) return NULL;
    if (cudnnBackendSetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                 (int64_t)strlen(properties), properties) ||
        cudnnBackendFinalize(d)) {
        cudnnBackendDestroyDescriptor(d);
        return NULL;
    }
    return d;
}

/* ---- Problems ---- */

typedef struct problem {
    const char *name;
    int64_t n, c, h, w, oc, kh, kw, stride, dilation, top, left, bottom, right, groups;
} problem;

static const problem problems[] = {
    {"3x3", 32, 64, 32, 32, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {"pictures", 32, 3, 32, 32, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {"odd channels", 2, 17, 9, 11, 19, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {"sizes of 1", 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {"first layer of a residual network", 32, 3, 224, 224, 64, 7, 7, 2, 1, 3, 3, 3, 3, 1},
    {"1x1 with a step", 32, 256, 56, 56, 512, 1, 1, 2, 1, 0, 0, 0, 0, 1},
    {"more zeros at the end", 2, 64, 9, 7, 64, 2, 4, 1, 1, 0, 1, 1, 2, 1},
    {"groups and dilation", 2, 6, 9, 7, 10, 3, 3, 1, 2, 2, 2, 2, 2, 2},
    {"depthwise", 2, 18, 9, 7, 18, 3, 3, 2, 1, 1, 1, 1, 1, 18},
    {"padding beyond the kernel", 1, 6, 5, 5, 4, 3, 3, 3, 1, 3, 3, 3, 3, 2},
};

static int64_t outputs(int64_t size, int64_t k, const problem *p, int64_t padding) {
    return (size + padding - p->dilation * (k - 1) - 1) / p->stride + 1;
}

static masconG_conv_key key_of(const problem *p, int kind, int32_t dtype) {
    return (masconG_conv_key){.n = p->n,
                              .c = p->c,
                              .h = p->h,
                              .w = p->w,
                              .oc = p->oc,
                              .oh = outputs(p->h, p->kh, p, p->top + p->bottom),
                              .ow = outputs(p->w, p->kw, p, p->left + p->right),
                              .kh = p->kh,
                              .kw = p->kw,
                              .sh = p->stride,
                              .sw = p->stride,
                              .dh = p->dilation,
                              .dw = p->dilation,
                              .top = p->top,
                              .left = p->left,
                              .bottom = p->bottom,
                              .right = p->right,
                              .groups = p->groups,
                              .kind = kind,
                              .dtype = dtype,
                              .alignment = 16};
}

/* Makes the plan, and again from its text. */
static int check_plan(const char *name, const masconG_conv_key *key, const masconG_target *target,
                      int32_t *tail) {
    masconG_conv_plan plan;
    if (masconG_conv_plan_make(key, target, &plan) != MASCON_OK) {
        fprintf(stderr, "%s, kind %d, dtype %d, tail %d, tf32 %d, deterministic %d: %s\n", name,
                key->kind, key->dtype, key->tail, key->tf32, key->deterministic, last_text);
        return 1;
    }
    char *text;
    size_t length, workspace;
    cudnnBackendDescriptor_t again;
    EXPECT(masconG_plan_text(plan.plan, &text, &length) == MASCON_OK && text && length > 100);
    EXPECT(masconG_plan_from_text(target, text, length, &again, &workspace) == MASCON_OK);
    EXPECT(workspace == plan.workspace);
    free(text);
    *tail = plan.tail;
    masconG_descriptor_free(again);
    masconG_descriptor_free(plan.plan);
    return 0;
}

static int check_problems(const masconG_target *target) {
    static const int32_t dtypes[] = {MASCON_DTYPE_F32, MASCON_DTYPE_BF16, MASCON_DTYPE_F16,
                                     MASCON_DTYPE_F64};
    int32_t tail;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        for (int d = 0; d < 4; d++) {
            for (int kind = MASCONG_CONV_FORWARD; kind <= MASCONG_CONV_WEIGHT; kind++) {
                masconG_conv_key key = key_of(&problems[i], kind, dtypes[d]);
                key.deterministic = 1; /* the strictest, then the loosest */
                if (check_plan(problems[i].name, &key, target, &tail)) return 1;
                key.deterministic = 0;
                key.tf32 = dtypes[d] == MASCON_DTYPE_F32;
                if (check_plan(problems[i].name, &key, target, &tail)) return 1;
            }
        }
    }
    return 0;
}

/* Addresses of views: less than 16 bytes. */
static int check_alignment(const masconG_target *target) {
    int32_t tail;
    masconG_conv_key key = key_of(&problems[0], MASCONG_CONV_FORWARD, MASCON_DTYPE_BF16);
    for (key.alignment = 2; key.alignment <= 16; key.alignment *= 2) {
        if (check_plan("alignment", &key, target, &tail)) return 1;
    }
    return 0;
}

/* A bias, and relu after it, are part of the plan in every dtype. (What has more parts is compiled when
 * it is planned, which cuDNN does with a driver only; without one the plain convolution is planned.) */
static int check_tails(const masconG_target *target) {
    static const int32_t dtypes[] = {MASCON_DTYPE_F32, MASCON_DTYPE_BF16, MASCON_DTYPE_F16};
    static const int32_t tails[] = {
        MASCONG_TAIL_BIAS, MASCONG_TAIL_BIAS | MASCONG_TAIL_RELU,
        MASCONG_TAIL_SCALE | MASCONG_TAIL_SHIFT | MASCONG_TAIL_RESIDUAL | MASCONG_TAIL_RELU,
        MASCONG_TAIL_RELU};
    for (int d = 0; d < 3; d++) {
        for (int t = 0; t < 4; t++) {
            masconG_conv_key key = key_of(&problems[0], MASCONG_CONV_FORWARD, dtypes[d]);
            key.tf32 = 1;
            key.tail = tails[t];
            int32_t tail;
            if (check_plan("with a tail", &key, target, &tail)) return 1;
            EXPECT(tail == key.tail || tail == 0);
            if (t < 2) EXPECT(tail == key.tail);
        }
    }
    return 0;
}

int main(void) {
    const masconG_target target = {.device = describe_device()};
    if (!target.device) {
        fprintf(stderr, "cuDNN %zu does not plan for this description of a device\n",
                cudnnGetVersion());
        return SKIPPED;
    }
    const int failed = check_problems(&target) || check_alignment(&target) || check_tails(&target);
    masconG_descriptor_free(target.device);
    return failed;
}

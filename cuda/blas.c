/* blas.c: matrix products through cuBLASLt, and the library handles of a thread. See blas.h.
 *
 * cuBLAS counts columns first: to it a row-major matrix {rows, columns} is its transpose. So for
 * d = op(a) op(b) it is asked for d^T = op(b)^T op(a)^T: b goes first, m and n change places, and the
 * transpositions stay as they are, for what is transposed to us lies untransposed to it on both sides
 * of the equation. This swap is made in describe and nowhere else.
 *
 * What the search for an algorithm promises may still be refused when it runs: the next algorithm runs
 * then, and where none does, a product with an epilogue counts as unsupported, as where the search found
 * none.
 *
 * float32 is multiplied in full: TF32 is for convolutions only. float64 is multiplied and added in float64.
 */
#include "cuda/blas.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- Handles ---- */

enum { MAX_DEVICES = 16 };

typedef struct handles {
    cublasLtHandle_t blas[MAX_DEVICES];
    cudnnHandle_t dnn[MAX_DEVICES];
    cudaStream_t dnn_stream[MAX_DEVICES]; /* that the handle works on */
    struct handles *next;                 /* while spare */
} handles;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_made;

/* Those of threads that ended. They serve the next threads: plans were made with them, making one takes
 * long, and destroying one waits for the device. */
static struct {
    pthread_mutex_t lock;
    handles *first;
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void thread_ends(void *value) {
    handles *h = value;
    pthread_mutex_lock(&spare.lock);
    h->next = spare.first;
    spare.first = h;
    pthread_mutex_unlock(&spare.lock);
}

static handles *take_spare(void) {
    pthread_mutex_lock(&spare.lock);
    handles *h = spare.first;
    if (h) spare.first = h->next;
    pthread_mutex_unlock(&spare.lock);
    return h;
}

static void make_key(void) { key_made = pthread_key_create(&key, thread_ends) == 0; }

static mascon_status own_handles(handles **out) {
    pthread_once(&key_once, make_key);
    if (!key_made) return masconI_fail(MASCON_E_LIMIT, "no thread-specific key is left");
    *out = pthread_getspecific(key);
    if (*out) return MASCON_OK;
    handles *h = take_spare();
    if (!h) h = calloc(1, sizeof *h);
    if (!h || pthread_setspecific(key, h) != 0) {
        if (h) thread_ends(h);
        return masconI_fail(MASCON_E_OOM, "no memory for library handles");
    }
    *out = h;
    return MASCON_OK;
}

static mascon_status blas_fail(const char *what, cublasStatus_t status) {
    mascon_status code = MASCON_E_BACKEND;
    if (status == CUBLAS_STATUS_NOT_SUPPORTED) code = MASCON_E_UNSUPPORTED;
    if (status == CUBLAS_STATUS_ALLOC_FAILED) code = MASCON_E_OOM;
    return masconI_fail(code, "cuBLAS: %s: %s", what, cuda->blas_get_status_string(status));
}

#define TRY_BLAS(what, expression)                                               \
    do {                                                                         \
        const cublasStatus_t try_blas = (expression);                            \
        if (try_blas != CUBLAS_STATUS_SUCCESS) return blas_fail(what, try_blas); \
    } while (0)

mascon_status masconG_blas_handle(int32_t device, cublasLtHandle_t *out) {
    handles *h;
    masconG_device *opened;
    MASCON_TRY(own_handles(&h));
    MASCON_TRY(masconG_open(device, &opened)); /* plans are made for the current device */
    cublasLtHandle_t *slot = &h->blas[device & (MAX_DEVICES - 1)];
    if (!*slot) TRY_BLAS("starting", cuda->blas_create(slot));
    *out = *slot;
    return MASCON_OK;
}

static mascon_status dnn_fail(const char *what, cudnnStatus_t status) {
    return masconI_fail(MASCON_E_BACKEND, "cuDNN: %s: %s", what,
                        cuda->cudnn_get_error_string(status));
}

mascon_status masconG_dnn_handle(int32_t device, cudnnHandle_t *out) {
    handles *h;
    masconG_device *opened;
    MASCON_TRY(own_handles(&h));
    MASCON_TRY(masconG_open(device, &opened));
    const int index = device & (MAX_DEVICES - 1);
    const cudaStream_t stream = masconG_stream_of(opened);
    if (!h->dnn[index]) {
        cudnnHandle_t made = NULL;
        const cudnnStatus_t status = cuda->cudnn_create(&made);
        if (status != CUDNN_STATUS_SUCCESS) return dnn_fail("starting", status);
        h->dnn[index] = made;
        h->dnn_stream[index] = NULL;
    }
    if (h->dnn_stream[index] != stream) { /* at first, and where a capture begins or has ended */
        const cudnnStatus_t status = cuda->cudnn_set_stream(h->dnn[index], stream);
        if (status != CUDNN_STATUS_SUCCESS) return dnn_fail("setting the stream", status);
        h->dnn_stream[index] = stream;
    }
    *out = h->dnn[index];
    return MASCON_OK;
}

/* ---- Plans of products ---- */

/* What PyTorch gives cuBLAS on such devices too; more brings nothing. */
static const uint64_t workspace_limit = (uint64_t)32 << 20;

enum { ALGORITHMS = 8 };

/* Descriptors with the algorithms that fit them. Where the one in use does not run, against its promise,
 * the next one is used from then on; all of them want no more workspace than the first. unsupported: there
 * is none, or none is left. */
typedef struct plan {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t first, second, result; /* b, a, d of the product */
    cublasLtMatmulAlgo_t algos[ALGORITHMS];
    int n, used; /* used: under the entry's lock */
    size_t workspace;
    size_t plain; /* workspace of the product without its epilogue, which may come to run instead */
    atomic_int unsupported;
} plan;

static void destroy_plan(void *value) {
    plan *p = value;
    if (p->desc) cuda->blas_matmul_desc_destroy(p->desc);
    if (p->first) cuda->blas_matrix_layout_destroy(p->first);
    if (p->second) cuda->blas_matrix_layout_destroy(p->second);
    if (p->result) cuda->blas_matrix_layout_destroy(p->result);
    free(p);
}

static cudaDataType_t type_of(int32_t dtype) {
    return dtype == MASCON_DTYPE_BF16  ? CUDA_R_16BF
           : dtype == MASCON_DTYPE_F16 ? CUDA_R_16F
           : dtype == MASCON_DTYPE_F64 ? CUDA_R_64F
                                       : CUDA_R_32F;
}

static cublasStatus_t make_layout(cublasLtMatrixLayout_t *out, int32_t dtype, int64_t rows,
                                  int64_t columns, int64_t ld, int64_t batch, int64_t step) {
    cublasStatus_t s =
        cuda->blas_matrix_layout_create(out, type_of(dtype), (uint64_t)rows, (uint64_t)columns, ld);
    if (s != CUBLAS_STATUS_SUCCESS || batch == 1) return s;
    const int32_t count = (int32_t)batch;
    s = cuda->blas_matrix_layout_set_attribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                               sizeof count);
    if (s != CUBLAS_STATUS_SUCCESS) return s;
    return cuda->blas_matrix_layout_set_attribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                  &step, sizeof step);
}

static cublasStatus_t make_desc(const masconG_product *p, plan *made) {
    const int wide = p->dtype == MASCON_DTYPE_F64;
    cublasStatus_t s =
        cuda->blas_matmul_desc_create(&made->desc, wide ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                      wide ? CUDA_R_64F : CUDA_R_32F);
    const int32_t first = p->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int32_t second = p->ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    const uint32_t epilogue = p->kind == MASCONG_PRODUCT_BIAS         ? CUBLASLT_EPILOGUE_BIAS
                              : p->kind == MASCONG_PRODUCT_COLUMN_SUM ? CUBLASLT_EPILOGUE_BGRADB
                                                                      : CUBLASLT_EPILOGUE_DEFAULT;
    /* Each run sets the vector's address. The search for an algorithm looks at its alignment, so it
     * gets an address of that alignment. */
    const uintptr_t address = (uintptr_t)p->align_vector;
    const struct {
        cublasLtMatmulDescAttributes_t name;
        const void *value;
        size_t bytes;
    } attributes[] = {
        {CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first},
        {CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second},
        {CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue},
        {CUBLASLT_MATMUL_DESC_BIAS_POINTER, &address, sizeof address},
    };
    const int n = p->kind == MASCONG_PRODUCT_PLAIN ? 3 : 4;
    for (int i = 0; i < n && s == CUBLAS_STATUS_SUCCESS; i++) {
        s = cuda->blas_matmul_desc_set_attribute(made->desc, attributes[i].name,
                                                 attributes[i].value, attributes[i].bytes);
    }
    return s;
}

/* The swap of the file comment: rows and columns below are cuBLAS's. */
static cublasStatus_t describe(const masconG_product *p, plan *made) {
    cublasStatus_t s = make_desc(p, made);
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = make_layout(&made->first, p->dtype, p->tb ? p->k : p->n, p->tb ? p->n : p->k, p->ldb,
                        p->batch, p->step_b);
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = make_layout(&made->second, p->dtype, p->ta ? p->m : p->k, p->ta ? p->k : p->m, p->lda,
                        p->batch, p->step_a);
    }
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = make_layout(&made->result, p->wide ? MASCON_DTYPE_F32 : p->dtype, p->n, p->m, p->ldd,
                        p->batch, p->step_d);
    }
    return s;
}

static cublasStatus_t choose(const masconG_product *p, cublasLtHandle_t handle, plan *made) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasStatus_t s = cuda->blas_preference_create(&preference);
    const uint32_t align[] = {(uint32_t)p->align_b, (uint32_t)p->align_a, (uint32_t)p->align_d};
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t bytes;
    } attributes[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_limit, sizeof workspace_limit},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align[0], sizeof align[0]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align[1], sizeof align[1]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align[2], sizeof align[2]},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align[2], sizeof align[2]},
    };
    for (int i = 0; i < 5 && s == CUBLAS_STATUS_SUCCESS; i++) {
        s = cuda->blas_preference_set_attribute(preference, attributes[i].name, attributes[i].value,
                                                attributes[i].bytes);
    }
    cublasLtMatmulHeuristicResult_t found[ALGORITHMS];
    int count = 0;
    if (s == CUBLAS_STATUS_SUCCESS) {
        s = cuda->blas_get_heuristic(handle, made->desc, made->first, made->second, made->result,
                                     made->result, preference, ALGORITHMS, found, &count);
    }
    if (preference) cuda->blas_preference_destroy(preference);
    if (s != CUBLAS_STATUS_SUCCESS) return s;
    for (int i = 0; i < count; i++) {
        if (found[i].state != CUBLAS_STATUS_SUCCESS) continue;
        if (made->n == 0) made->workspace = found[i].workspaceSize;
        if (found[i].workspaceSize <= made->workspace) made->algos[made->n++] = found[i].algo;
    }
    return made->n ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

/* A vector that this kind of product cannot have is an invalid value, too. */
static int is_refusal(const masconG_product *p, cublasStatus_t s) {
    return s == CUBLAS_STATUS_NOT_SUPPORTED ||
           (s == CUBLAS_STATUS_INVALID_VALUE && p->kind != MASCONG_PRODUCT_PLAIN);
}

masconG_product masconG_product_plain(const masconG_product *p) {
    masconG_product plain = *p;
    plain.kind = MASCONG_PRODUCT_PLAIN;
    plain.align_vector = 0;
    return plain;
}

static mascon_status make_plan(const void *bytes, void **value) {
    const masconG_product *p = bytes;
    cublasLtHandle_t handle;
    MASCON_TRY(masconG_blas_handle(p->device, &handle));
    plan *made = calloc(1, sizeof *made);
    if (!made) return masconI_fail(MASCON_E_OOM, "no memory for a plan of a matrix product");
    cublasStatus_t s = describe(p, made);
    if (s == CUBLAS_STATUS_SUCCESS) s = choose(p, handle, made);
    made->unsupported = is_refusal(p, s);
    if (s != CUBLAS_STATUS_SUCCESS && !made->unsupported) {
        destroy_plan(made);
        return blas_fail("planning a matrix product", s);
    }
    if (s == CUBLAS_STATUS_SUCCESS && p->kind != MASCONG_PRODUCT_PLAIN) {
        const masconG_product plain = masconG_product_plain(p);
        const mascon_status status = masconG_product_workspace(&plain, &made->plain);
        if (status != MASCON_OK && status != MASCON_E_UNSUPPORTED) {
            destroy_plan(made);
            return status;
        }
    }
    *value = made;
    return MASCON_OK;
}

static masconG_cache plans = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .limit = 1024, .make = make_plan, .destroy = destroy_plan};

static void put_plan(masconG_entry *entry) { masconG_cache_put(&plans, entry); }

static mascon_status get_plan(const masconG_product *p, masconG_entry **entry) {
    MASCON_TRY(masconG_cache_get(&plans, p, sizeof *p, entry));
    if (!((const plan *)(*entry)->value)->unsupported) return MASCON_OK;
    masconG_cache_put(&plans, *entry);
    *entry = NULL;
    return masconI_fail(MASCON_E_UNSUPPORTED,
                        "cuBLAS has no algorithm for a product {%lld, %lld} x {%lld, %lld} of %s",
                        (long long)p->m, (long long)p->k, (long long)p->k, (long long)p->n,
                        mascon_dtype_name(p->dtype));
}

int32_t masconG_alignment(const void *address) {
    const uintptr_t low = (uintptr_t)address & (~(uintptr_t)address + 1);
    return low == 0 || low > 256 ? 256 : (int32_t)low;
}

mascon_status masconG_product_workspace(const masconG_product *p, size_t *bytes) {
    masconG_entry *entry;
    *bytes = 0;
    MASCON_TRY(get_plan(p, &entry));
    const plan *made = entry->value;
    *bytes = made->workspace > made->plain ? made->workspace : made->plain;
    masconG_cache_put(&plans, entry);
    return MASCON_OK;
}

mascon_status masconG_product_run(const masconG_product *p, const void *a, const void *b, void *d,
                                  void *vector, void *workspace, cudaStream_t stream) {
    cublasLtHandle_t handle;
    MASCON_TRY(masconG_blas_handle(p->device, &handle));
    masconG_entry *entry;
    MASCON_TRY(get_plan(p, &entry));
    plan *made = entry->value;
    if (made->workspace && !workspace) {
        masconG_cache_put(&plans, entry);
        return masconI_fail(MASCON_E_BACKEND, "no plan was found for the workspace");
    }
    const float one = 1, zero = 0;
    const double one_wide = 1, zero_wide = 0;
    const int wide = p->dtype == MASCON_DTYPE_F64; /* factors have the type of the sums */
    const void *alpha = wide ? (const void *)&one_wide : &one;
    const void *beta = wide ? (const void *)&zero_wide : &zero;
    cublasStatus_t s = CUBLAS_STATUS_SUCCESS;
    pthread_mutex_lock(&entry->lock); /* the vector's address is written into the descriptor */
    if (p->kind != MASCONG_PRODUCT_PLAIN) {
        s = cuda->blas_matmul_desc_set_attribute(made->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                 &vector, sizeof vector);
    }
    while (s == CUBLAS_STATUS_SUCCESS) {
        s = cuda->blas_matmul(handle, made->desc, alpha, b, made->first, a, made->second, beta, d,
                              made->result, d, made->result, &made->algos[made->used], workspace,
                              made->workspace, stream);
        if (!is_refusal(p, s)) break;
        if (made->used + 1 == made->n) {
            made->unsupported = 1;
            break;
        }
        made->used++;
        s = CUBLAS_STATUS_SUCCESS;
    }
    pthread_mutex_unlock(&entry->lock);
    const mascon_status done = masconG_done_with(entry, put_plan);
    if (is_refusal(p, s)) return blas_fail("multiplying", CUBLAS_STATUS_NOT_SUPPORTED);
    return s == CUBLAS_STATUS_SUCCESS ? done : blas_fail("multiplying", s);
}

/* fake_cublas.cpp: cuBLASLt on the fake device: column-major products by plain loops.
 *
 * Descriptors hold what was set and are read when a product is asked for. What cuBLASLt refuses is
 * refused: shapes that do not agree, leading dimensions that are too small, an algorithm of another
 * problem, too little workspace, addresses less aligned than was promised or outside of device memory.
 * The best algorithm is at times marked unsupported, some want workspace, float32 has no bias
 * gradient and float64 neither that nor a bias, so that callers' other ways run as well.
 */
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/fake/fake_library.h"

namespace library {

std::atomic<int64_t> objects{0};

namespace {
std::mutex counter_lock;
std::map<std::string, int64_t> counters;
std::string refused;
}  // namespace

void count(const char *kind) {
    std::lock_guard<std::mutex> guard(counter_lock);
    counters[kind]++;
}

bool refuses(const char *kind) {
    std::lock_guard<std::mutex> guard(counter_lock);
    return refused == kind;
}

}  // namespace library

void masconF_refuse_runs(const char *kind) {
    std::lock_guard<std::mutex> guard(library::counter_lock);
    library::refused = kind ? kind : "";
}

int64_t masconF_objects(void) { return library::objects; }

int64_t masconF_executions(const char *kind) {
    std::lock_guard<std::mutex> guard(library::counter_lock);
    return library::counters[kind];
}

namespace {

using library::type;

enum magic : uint32_t { DESC = 0xb1a50001, LAYOUT, PREFERENCE, HANDLE, DEAD };

struct object {
    explicit object(magic m) : kind(m) { library::objects++; }
    ~object() {
        kind = DEAD;
        library::objects--;
    }
    uint32_t kind;
};

struct handle : object {
    handle() : object(HANDLE) {}
};

struct desc : object {
    desc() : object(DESC) {}
    bool wide = false; /* computes in double */
    int32_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    void *bias = nullptr;
};

struct layout : object {
    layout() : object(LAYOUT) {}
    cudaDataType_t type = CUDA_R_32F;
    uint64_t rows = 0, columns = 0;
    int64_t ld = 0, step = 0;
    int32_t batch = 1;
};

struct preference : object {
    preference() : object(PREFERENCE) {}
    uint64_t workspace = 0;
    uint32_t align[4] = {256, 256, 256, 256}; /* a b c d */
};

/* What lies in a cublasLtMatmulAlgo_t. */
struct algo {
    uint64_t problem, workspace;
    uint32_t align[4];
};
static_assert(sizeof(algo) <= sizeof(cublasLtMatmulAlgo_t), "fits");

#define ENTER(name)                                                      \
    do {                                                                 \
        int32_t error_;                                                  \
        if (fake_injected(name, &error_)) return (cublasStatus_t)error_; \
    } while (0)
#define REFUSE_IF(condition, status)  \
    do {                              \
        if (condition) return status; \
    } while (0)
#define INVALID_IF(condition) REFUSE_IF(condition, CUBLAS_STATUS_INVALID_VALUE)

template <class T, class P>
T *as(P p, magic kind) {
    T *object = reinterpret_cast<T *>(p);
    return object && object->kind == kind ? object : nullptr;
}

template <class T>
bool take(T *to, const void *value, size_t bytes) {
    if (!value || bytes != sizeof *to) return false;
    std::memcpy(to, value, sizeof *to);
    return true;
}

#define GIVEN(ok) return (ok) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE

cublasStatus_t create(cublasLtHandle_t *out) {
    ENTER("blas_create");
    INVALID_IF(!out);
    *out = reinterpret_cast<cublasLtHandle_t>(new handle);
    return CUBLAS_STATUS_SUCCESS;
}

template <class T, magic KIND, class P>
cublasStatus_t destroy(P p) {
    T *object = as<T>(p, KIND);
    INVALID_IF(!object);
    delete object;
    return CUBLAS_STATUS_SUCCESS;
}

const char *status_string(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS:
            return "CUBLAS_STATUS_SUCCESS";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "CUBLAS_STATUS_NOT_SUPPORTED";
        case CUBLAS_STATUS_ALLOC_FAILED:
            return "CUBLAS_STATUS_ALLOC_FAILED";
        default:
            return "CUBLAS_STATUS_EXECUTION_FAILED";
    }
}

size_t version(void) { return 130000; }

cublasStatus_t desc_create(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                           cudaDataType_t scale) {
    ENTER("blas_matmul_desc_create");
    INVALID_IF(!out);
    const bool wide = compute == CUBLAS_COMPUTE_64F && scale == CUDA_R_64F;
    REFUSE_IF(!wide && (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F),
              CUBLAS_STATUS_NOT_SUPPORTED);
    desc *made = new desc;
    made->wide = wide;
    *out = reinterpret_cast<cublasLtMatmulDesc_t>(made);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t desc_set(cublasLtMatmulDesc_t p, cublasLtMatmulDescAttributes_t which,
                        const void *value, size_t bytes) {
    ENTER("blas_matmul_desc_set_attribute");
    desc *d = as<desc>(p, DESC);
    INVALID_IF(!d);
    switch (which) {
        case CUBLASLT_MATMUL_DESC_TRANSA:
            GIVEN(take(&d->transa, value, bytes));
        case CUBLASLT_MATMUL_DESC_TRANSB:
            GIVEN(take(&d->transb, value, bytes));
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            GIVEN(take(&d->epilogue, value, bytes));
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            GIVEN(take(&d->bias, value, bytes));
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

cublasStatus_t layout_create(cublasLtMatrixLayout_t *out, cudaDataType type, uint64_t rows,
                             uint64_t columns, int64_t ld) {
    ENTER("blas_matrix_layout_create");
    INVALID_IF(!out);
    layout *l = new layout;
    l->type = type;
    l->rows = rows;
    l->columns = columns;
    l->ld = ld;
    *out = reinterpret_cast<cublasLtMatrixLayout_t>(l);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t layout_set(cublasLtMatrixLayout_t p, cublasLtMatrixLayoutAttribute_t which,
                          const void *value, size_t bytes) {
    ENTER("blas_matrix_layout_set_attribute");
    layout *l = as<layout>(p, LAYOUT);
    INVALID_IF(!l);
    if (which == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) GIVEN(take(&l->batch, value, bytes));
    if (which == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) GIVEN(take(&l->step, value, bytes));
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t preference_create(cublasLtMatmulPreference_t *out) {
    ENTER("blas_preference_create");
    INVALID_IF(!out);
    *out = reinterpret_cast<cublasLtMatmulPreference_t>(new preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t preference_set(cublasLtMatmulPreference_t p,
                              cublasLtMatmulPreferenceAttributes_t which, const void *value,
                              size_t bytes) {
    ENTER("blas_preference_set_attribute");
    preference *f = as<preference>(p, PREFERENCE);
    INVALID_IF(!f);
    switch (which) {
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            GIVEN(take(&f->workspace, value, bytes));
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
            GIVEN(take(&f->align[0], value, bytes));
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
            GIVEN(take(&f->align[1], value, bytes));
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
            GIVEN(take(&f->align[2], value, bytes));
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
            GIVEN(take(&f->align[3], value, bytes));
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

/* ---- Problems ---- */

/* A product by value: what the queued work needs when its descriptors may be gone. */
struct problem {
    type element, result;
    bool transa, transb;
    uint32_t epilogue;
    int64_t m, n, k, lda, ldb, ldd, step_a, step_b, step_d, batch;
    int64_t columns_a, columns_b;
    size_t bytes_of(type t, int64_t rows, int64_t columns, int64_t ld, int64_t step) const {
        return (size_t)((batch - 1) * step + (columns - 1) * ld + rows) * library::size_of(t);
    }
};

bool known(cudaDataType_t t, type *out) {
    *out = t == CUDA_R_16BF  ? library::BF16
           : t == CUDA_R_16F ? library::F16
           : t == CUDA_R_64F ? library::F64
                             : library::F32;
    return t == CUDA_R_32F || t == CUDA_R_16BF || t == CUDA_R_16F || t == CUDA_R_64F;
}

cublasStatus_t describe(const desc *d, const layout *a, const layout *b, const layout *c,
                        const layout *r, problem *p) {
    INVALID_IF(!d || !a || !b || !c || !r);
    REFUSE_IF(!known(a->type, &p->element), CUBLAS_STATUS_NOT_SUPPORTED);
    REFUSE_IF(d->wide != (p->element == library::F64), CUBLAS_STATUS_NOT_SUPPORTED);
    REFUSE_IF(a->type != b->type || c->type != r->type || !known(r->type, &p->result),
              CUBLAS_STATUS_NOT_SUPPORTED);
    /* a result of float32 beside 16 bits */
    REFUSE_IF(a->type != r->type && (d->wide || p->result != library::F32 ||
                                     d->epilogue != CUBLASLT_EPILOGUE_DEFAULT),
              CUBLAS_STATUS_NOT_SUPPORTED);
    const layout *all[] = {a, b, c, r};
    for (const layout *l : all) {
        INVALID_IF(l->rows == 0 || l->columns == 0 || l->ld < (int64_t)l->rows);
        INVALID_IF(l->batch != r->batch || l->batch < 1);
    }
    INVALID_IF(c->rows != r->rows || c->columns != r->columns);
    INVALID_IF(r->batch > 1 && r->step < r->ld * (int64_t)r->columns);
    p->transa = d->transa == CUBLAS_OP_T;
    p->transb = d->transb == CUBLAS_OP_T;
    p->m = (int64_t)(p->transa ? a->columns : a->rows);
    p->k = (int64_t)(p->transa ? a->rows : a->columns);
    p->n = (int64_t)(p->transb ? b->rows : b->columns);
    INVALID_IF((int64_t)(p->transb ? b->columns : b->rows) != p->k);
    INVALID_IF((int64_t)r->rows != p->m || (int64_t)r->columns != p->n);
    p->columns_a = (int64_t)a->columns;
    p->columns_b = (int64_t)b->columns;
    p->lda = a->ld;
    p->ldb = b->ld;
    p->ldd = r->ld;
    p->step_a = a->step;
    p->step_b = b->step;
    p->step_d = r->step;
    p->batch = r->batch;
    p->epilogue = d->epilogue;
    switch (d->epilogue) {
        case CUBLASLT_EPILOGUE_DEFAULT:
            return CUBLAS_STATUS_SUCCESS;
        case CUBLASLT_EPILOGUE_BIAS:
            INVALID_IF(!d->bias);
            return d->wide ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
        case CUBLASLT_EPILOGUE_BGRADB:
            INVALID_IF(!d->bias);
            return d->wide || p->element == library::F32 || p->batch > 1
                       ? CUBLAS_STATUS_NOT_SUPPORTED
                       : CUBLAS_STATUS_SUCCESS;
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

uint64_t number_of(const problem &p) {
    const int64_t parts[] = {p.element, p.result, p.transa, p.transb, p.epilogue,
                             p.m,       p.n,      p.k,      p.lda,    p.ldb,
                             p.ldd,     p.step_a, p.step_b, p.step_d, p.batch};
    uint64_t h = 17;
    for (int64_t v : parts) h = (h ^ (uint64_t)v) * 0x9e3779b97f4a7c15u;
    return h;
}

/* ---- Algorithms ---- */

cublasStatus_t heuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                         cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                         cublasLtMatrixLayout_t r, cublasLtMatmulPreference_t preferred,
                         int requested, cublasLtMatmulHeuristicResult_t results[], int *returned) {
    ENTER("blas_get_heuristic");
    preference *f = as<preference>(preferred, PREFERENCE);
    INVALID_IF(!as<handle>(h, HANDLE) || !f || requested < 1 || !results || !returned);
    *returned = 0;
    problem p;
    const cublasStatus_t status =
        describe(as<desc>(d, DESC), as<layout>(a, LAYOUT), as<layout>(b, LAYOUT),
                 as<layout>(c, LAYOUT), as<layout>(r, LAYOUT), &p);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    for (uint32_t align : f->align) INVALID_IF(align == 0 || (align & (align - 1)));
    algo found = {number_of(p), p.k > 16 && f->workspace >= 4096 ? 4096u : 0u, {}};
    std::memcpy(found.align, f->align, sizeof found.align);
    for (int i = 0; i < 2 && i < requested; i++) {
        cublasLtMatmulHeuristicResult_t *result = &results[(*returned)++];
        std::memset(result, 0, sizeof *result);
        std::memcpy(&result->algo, &found, sizeof found);
        result->workspaceSize = found.workspace;
        result->state = i == 0 && p.m % 2 ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
        if (result->state != CUBLAS_STATUS_SUCCESS) std::memset(&result->algo, 0xff, sizeof found);
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* One product; all pointers are device memory, which is open. */
void compute(const problem &p, const char *a, const char *b, char *d, void *vector) {
    const type t = p.element, result = p.result;
    const size_t size = library::size_of(t);
    for (int64_t i = 0; i < p.batch; i++) {
        const void *ai = a + (size_t)(i * p.step_a) * size, *bi = b + (size_t)(i * p.step_b) * size;
        void *di = d + (size_t)(i * p.step_d) * library::size_of(result);
        for (int64_t column = 0; column < p.n; column++) {
            for (int64_t row = 0; row < p.m; row++) {
                double sum = 0;
                for (int64_t k = 0; k < p.k; k++) {
                    const double left =
                        library::get(t, ai, p.transa ? row * p.lda + k : k * p.lda + row);
                    const double right =
                        library::get(t, bi, p.transb ? k * p.ldb + column : column * p.ldb + k);
                    sum = library::kept(t, sum + library::kept(t, left * right));
                }
                if (p.epilogue == CUBLASLT_EPILOGUE_BIAS)
                    sum = library::kept(t, sum + library::get(t, vector, row));
                library::set(result, di, column * p.ldd + row, sum);
            }
        }
    }
    if (p.epilogue != CUBLASLT_EPILOGUE_BGRADB) return;
    for (int64_t column = 0; column < p.n; column++) {
        double sum = 0;
        for (int64_t k = 0; k < p.k; k++) {
            sum = library::kept(
                t, sum + library::get(t, b, p.transb ? k * p.ldb + column : column * p.ldb + k));
        }
        library::set(t, vector, column, sum);
    }
}

bool misaligned(const void *p, uint32_t align) { return (uintptr_t)p % align != 0; }

cublasStatus_t matmul(cublasLtHandle_t h, cublasLtMatmulDesc_t desc_, const void *alpha,
                      const void *a, cublasLtMatrixLayout_t la, const void *b,
                      cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                      cublasLtMatrixLayout_t lc, void *d, cublasLtMatrixLayout_t ld,
                      const cublasLtMatmulAlgo_t *chosen, void *workspace, size_t workspace_bytes,
                      cudaStream_t stream) {
    ENTER("blas_matmul");
    INVALID_IF(!as<handle>(h, HANDLE) || !chosen || !alpha || !beta);
    problem p;
    const cublasStatus_t status =
        describe(as<desc>(desc_, DESC), as<layout>(la, LAYOUT), as<layout>(lb, LAYOUT),
                 as<layout>(lc, LAYOUT), as<layout>(ld, LAYOUT), &p);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    algo with;
    std::memcpy(&with, chosen, sizeof with);
    INVALID_IF(with.problem != number_of(p) || c != d);
    INVALID_IF(with.workspace > workspace_bytes);
    INVALID_IF(with.workspace && !fake_is_device(workspace, (size_t)with.workspace));
    INVALID_IF(misaligned(a, with.align[0]) || misaligned(b, with.align[1]) ||
               misaligned(d, with.align[3]));
    const bool plain =
        p.element == library::F64
            ? *static_cast<const double *>(alpha) == 1 && *static_cast<const double *>(beta) == 0
            : *static_cast<const float *>(alpha) == 1 && *static_cast<const float *>(beta) == 0;
    REFUSE_IF(!plain, CUBLAS_STATUS_NOT_SUPPORTED);
    void *vector = p.epilogue == CUBLASLT_EPILOGUE_DEFAULT ? nullptr : as<desc>(desc_, DESC)->bias;
    const int64_t length = p.epilogue == CUBLASLT_EPILOGUE_BIAS ? p.m : p.n;
    const size_t size = library::size_of(p.element);
    REFUSE_IF(!fake_is_device(
                  a, p.bytes_of(p.element, p.transa ? p.k : p.m, p.columns_a, p.lda, p.step_a)) ||
                  !fake_is_device(b, p.bytes_of(p.element, p.transb ? p.n : p.k, p.columns_b, p.ldb,
                                                p.step_b)) ||
                  !fake_is_device(d, p.bytes_of(p.result, p.m, p.n, p.ldd, p.step_d)) ||
                  (vector && !fake_is_device(vector, (size_t)length * size)),
              CUBLAS_STATUS_EXECUTION_FAILED);
    const char *kind = p.epilogue == CUBLASLT_EPILOGUE_BIAS     ? "gemm_bias"
                       : p.epilogue == CUBLASLT_EPILOGUE_BGRADB ? "gemm_column_sum"
                                                                : "gemm";
    REFUSE_IF(library::refuses(kind), CUBLAS_STATUS_NOT_SUPPORTED);
    library::count(kind);
    const size_t scratch = (size_t)with.workspace;
    auto work = [=]() {
        if (scratch) std::memset(workspace, 0xff, scratch);
        compute(p, static_cast<const char *>(a), static_cast<const char *>(b),
                static_cast<char *>(d), vector);
        return cudaSuccess;
    };
    const cudaError_t error =
        fake_enqueue(stream, work, {a, b, d, vector, scratch ? workspace : nullptr});
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // namespace

void fake_fill_blas(struct cuda_api *t) {
    t->blas_create = create;
    t->blas_destroy = destroy<handle, HANDLE, cublasLtHandle_t>;
    t->blas_get_status_string = status_string;
    t->blas_get_version = version;
    t->blas_matmul_desc_create = desc_create;
    t->blas_matmul_desc_destroy = destroy<desc, DESC, cublasLtMatmulDesc_t>;
    t->blas_matmul_desc_set_attribute = desc_set;
    t->blas_matrix_layout_create = layout_create;
    t->blas_matrix_layout_destroy = destroy<layout, LAYOUT, cublasLtMatrixLayout_t>;
    t->blas_matrix_layout_set_attribute = layout_set;
    t->blas_preference_create = preference_create;
    t->blas_preference_destroy = destroy<preference, PREFERENCE, cublasLtMatmulPreference_t>;
    t->blas_preference_set_attribute = preference_set;
    t->blas_get_heuristic = heuristic;
    t->blas_matmul = matmul;
}

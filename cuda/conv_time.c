/* conv_time.c: which of several plans of a convolution is the fastest, by the device's clock.
 *
 * Only with mascon.benchmark(true), once per problem: each plan runs on zeros in memory from the core's
 * allocator, first for nothing (it may load its kernel), then between two events.
 */
#include "cuda/blas.h"
#include "cuda/conv_plan.h"

enum { TENSORS = 7, RUNS = 3 };

typedef struct bench {
    int32_t device;
    int n;
    int64_t uids[TENSORS];
    void *pointers[TENSORS], *workspace;
    size_t bytes[TENSORS], workspace_bytes;
    cudaEvent_t from, to;
} bench;

static size_t bytes_of(int64_t elements, size_t size) { return (size_t)elements * size; }

/* The tensors of a problem: what add_tail in conv_plan.c gives numbers to. */
static void list_tensors(bench *b, const masconG_conv_key *k) {
    const size_t size = (size_t)mascon_dtype_size(k->dtype);
    const int64_t y = k->n * k->oc * k->oh * k->ow;
    const struct {
        int32_t bit, uid;
        size_t bytes;
    } all[TENSORS] = {
        {0, MASCONG_UID_X, bytes_of(k->n * k->c * k->h * k->w, size)},
        {0, MASCONG_UID_W, bytes_of(k->oc * (k->c / k->groups) * k->kh * k->kw, size)},
        {0, MASCONG_UID_Y, bytes_of(y, size)},
        {MASCONG_TAIL_SCALE, MASCONG_UID_SCALE, bytes_of(k->oc, sizeof(float))},
        {MASCONG_TAIL_SHIFT, MASCONG_UID_SHIFT, bytes_of(k->oc, sizeof(float))},
        {MASCONG_TAIL_BIAS, MASCONG_UID_BIAS, bytes_of(k->oc, size)},
        {MASCONG_TAIL_RESIDUAL, MASCONG_UID_RESIDUAL, bytes_of(y, size)},
    };
    for (int i = 0; i < TENSORS; i++) {
        if (all[i].bit && !(k->tail & all[i].bit)) continue;
        b->uids[b->n] = all[i].uid;
        b->bytes[b->n++] = all[i].bytes;
    }
}

static mascon_status prepare(bench *b, cudaStream_t stream) {
    for (int i = 0; i < b->n; i++) {
        MASCON_TRY(masconG_host->alloc(b->device, b->bytes[i], &b->pointers[i]));
        CUDA_TRY(memset_async(b->pointers[i], 0, b->bytes[i], stream));
    }
    if (b->workspace_bytes) {
        MASCON_TRY(masconG_host->alloc(b->device, b->workspace_bytes, &b->workspace));
    }
    CUDA_TRY(event_create_with_flags(&b->from, cudaEventDefault));
    CUDA_TRY(event_create_with_flags(&b->to, cudaEventDefault));
    return MASCON_OK;
}

static void clean(bench *b) {
    for (int i = 0; i < b->n; i++) {
        if (b->pointers[i]) masconG_host->free(b->device, b->pointers[i], b->bytes[i]);
    }
    if (b->workspace) masconG_host->free(b->device, b->workspace, b->workspace_bytes);
    if (b->from) cuda->event_destroy(b->from);
    if (b->to) cuda->event_destroy(b->to);
}

static mascon_status time_plan(const bench *b, cudnnHandle_t handle, const masconG_conv_plan *plan,
                               cudaStream_t stream, float *milliseconds) {
    for (int run = 0; run <= RUNS; run++) {
        MASCON_TRY(masconG_plan_run(handle, plan->plan, b->n, b->uids, b->pointers, b->workspace));
        if (run == 0) CUDA_TRY(event_record(b->from, stream));
    }
    CUDA_TRY(event_record(b->to, stream));
    CUDA_TRY(event_synchronize(b->to));
    CUDA_TRY(event_elapsed_time(milliseconds, b->from, b->to));
    return MASCON_OK;
}

mascon_status masconG_conv_fastest(const masconG_conv_key *key, const masconG_target *target,
                                   const masconG_conv_plan *plans, int n, int *fastest) {
    bench b = {.device = key->device};
    masconG_device *device;
    *fastest = 0;
    if (masconG_captures()) return MASCON_OK; /* nothing runs now that a clock could see */
    MASCON_TRY(masconG_open(key->device, &device));
    for (int i = 0; i < n; i++) {
        if (plans[i].workspace > b.workspace_bytes) b.workspace_bytes = plans[i].workspace;
    }
    list_tensors(&b, key);
    mascon_status status = prepare(&b, device->stream);
    float least = -1;
    for (int i = 0; i < n && status == MASCON_OK; i++) {
        float milliseconds = 0;
        /* one that does not run loses; where none does, the run after the search says why */
        if (time_plan(&b, target->handle, &plans[i], device->stream, &milliseconds) != MASCON_OK) {
            continue;
        }
        if (least >= 0 && milliseconds >= least) continue;
        least = milliseconds;
        *fastest = i;
    }
    clean(&b);
    /* no room to measure is no reason to fail: the heuristics' first choice */
    if (status == MASCON_E_OOM) {
        *fastest = 0;
        status = MASCON_OK;
    }
    return status;
}

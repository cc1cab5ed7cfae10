/* conv_plan.h: cuDNN plans of convolutions: which problem, which engine, found once and kept.
 */
#ifndef MASCON_CUDA_CONV_PLAN_H
#define MASCON_CUDA_CONV_PLAN_H

#include "cuda/cudnn_graph.h"
#include "cuda/plan_cache.h"

/* What may follow a forward convolution in one plan, in this order. */
enum {
    MASCONG_TAIL_SCALE = 1,    /* times scale {oc}, float32 */
    MASCONG_TAIL_SHIFT = 2,    /* plus shift {oc}, float32 */
    MASCONG_TAIL_BIAS = 4,     /* plus bias {oc}, dtype of x */
    MASCONG_TAIL_RESIDUAL = 8, /* plus residual, as y */
    MASCONG_TAIL_RELU = 16
};

/* A problem. Every byte counts and there is no padding: caches compare it with memcmp, and files are
 * named by its hash. All tensors lie channels-last. */
typedef struct masconG_conv_key {
    int64_t n, c, h, w, oc, oh, ow, kh, kw, sh, sw, dh, dw, top, left, bottom, right, groups;
    int32_t kind;          /* masconG_conv_kind */
    int32_t dtype;         /* MASCON_DTYPE_F32, BF16 or F16 */
    int32_t tail;          /* MASCONG_TAIL_*, forward only */
    int32_t tf32;          /* float32 factors may be rounded */
    int32_t deterministic; /* the same bits twice */
    int32_t alignment;     /* bytes: of every address */
    int32_t device;
    int32_t timed; /* the fastest of several plans, by a clock */
} masconG_conv_key;

/* ORDER: the uids of a plan's tensors. */
enum {
    MASCONG_UID_X = 1,
    MASCONG_UID_W,
    MASCONG_UID_Y,
    MASCONG_UID_SCALE,
    MASCONG_UID_SHIFT,
    MASCONG_UID_BIAS,
    MASCONG_UID_RESIDUAL,
    MASCONG_UID_BETWEEN /* and on: tensors that exist in the graph only */
};

typedef struct masconG_conv_plan {
    cudnnBackendDescriptor_t plan;
    size_t workspace;
    int32_t tail; /* what of the key's tail the plan does; the rest is the caller's */
    /* Of a plan with a tail that did not run: the plain plan that runs in its place, and memory for that
     * one's workspace. Under the entry's lock. */
    masconG_entry *instead;
    void *memory;
    int32_t device;
} masconG_conv_plan;

/* The plan of a problem, made on first use; its lock is to be held while it runs. Give it back with
 * masconG_conv_plan_put. */
mascon_status masconG_conv_plan_get(const masconG_conv_key *key, masconG_entry **out);
void masconG_conv_plan_put(masconG_entry *entry);
static inline const masconG_conv_plan *masconG_conv_plan_of(const masconG_entry *entry) {
    return entry->value;
}

/* The plain plan of a problem whose plan with a tail failed when it ran, for masconG_conv_replace; it fails
 * where there is none. The caller holds the entry's lock. */
mascon_status masconG_conv_spare(const masconG_entry *entry, masconG_conv_plan *spare);
/* Has the spare, which has run, serve in place of the entry's plan, now and in later processes. The caller
 * holds the entry's lock. */
void masconG_conv_replace(masconG_entry *entry, const masconG_conv_plan *spare);
/* Or gives it back. */
void masconG_conv_drop_spare(masconG_conv_plan *spare);

/* Builds and chooses without caches: for the above, and for tests that have a described device only. */
mascon_status masconG_conv_plan_make(const masconG_conv_key *key, const masconG_target *target,
                                     masconG_conv_plan *out);
/* Runs each of n plans on memory of its own and gives the number of the fastest (conv_time.c). Waits for
 * the device: for the search only. */
mascon_status masconG_conv_fastest(const masconG_conv_key *key, const masconG_target *target,
                                   const masconG_conv_plan *plans, int n, int *fastest);
/* Whether an engine with these notes may serve the problem. */
int masconG_conv_allows(const masconG_conv_key *key, const masconG_notes *notes);
/* Forgets all plans in memory that nobody holds. */
void masconG_conv_plans_clear(void);

#endif

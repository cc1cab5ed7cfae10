/* plan.h: what the cpu backend remembers between calls: ready convolutions and packed weights. */
#ifndef MASCON_CPU_PLAN_H
#define MASCON_CPU_PLAN_H

#include "cpu/dnnl.h"

typedef struct masconI_plan {
    masconI_conv key;
    masconI_dnnl *conv; /* NULL: oneDNN has nothing fast for these sizes */
    uint64_t serial;    /* never used twice in a process */
    /* owned by plan.c */
    uint64_t hash;
    int refs;
    struct masconI_plan *chain, *newer, *older;
} masconI_plan;

/* The plan of these sizes, made on first use. Give it back with masconI_plan_put. Any thread. */
mascon_status masconI_plan_get(const masconI_conv *key, masconI_plan **out);
void masconI_plan_put(masconI_plan *plan);

typedef struct masconI_packed masconI_packed;

/* The weights of a tensor in the packed form of plan, whose primitive packs: *data points into
 * `room` (packed for this call) or into the cache, then *held must be given back. Weights are put
 * into the cache when one version of them is asked for a second time, so training, where each
 * version serves one step, keeps no copies. */
mascon_status masconI_packed_get(const mascon_tensor *weight, masconI_plan *plan, void *room,
                                 const float **data, masconI_packed **held);
void masconI_packed_put(masconI_packed *held); /* NULL is allowed */

#endif

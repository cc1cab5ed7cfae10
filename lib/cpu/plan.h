/* plan.h: what the cpu backend remembers between calls: ready convolutions and packed weights. */
#ifndef MASCON_CPU_PLAN_H
#define MASCON_CPU_PLAN_H

#include "cpu/dnnl.h"

typedef struct masconI_plan {
    masconI_conv key;
    masconI_dnnl *conv; /* NULL: oneDNN has nothing fast for these sizes */
    uint64_t form;      /* the same for plans that take the same packed weights; never reused */
    /* owned by plan.c */
    uint64_t hash;
    int refs;
    struct masconI_plan *chain, *newer, *older;
} masconI_plan;

/* The plan of these sizes, made on first use. Give it back with masconI_plan_put. Any thread. */
mascon_status masconI_plan_get(const masconI_conv *key, masconI_plan **out);
void masconI_plan_put(masconI_plan *plan);

typedef struct masconI_packed masconI_packed;

/* A form that a kernel wants weights in. */
typedef struct masconI_form {
    uint64_t id; /* of kernel and sizes; even: a plan's form times 2, odd: Winograd */
    size_t bytes;
    mascon_status (*make)(const void *context, const float *plain, float *to);
    const void *context;
} masconI_form;

/* The weights of a tensor in this form: *data points into `room` (made for this call) or into the
 * cache, then *held must be given back. Weights are put into the cache when one version of them is
 * asked for a second time, so training, where each version serves one step, keeps no copies. */
mascon_status masconI_form_get(const mascon_tensor *weight, const masconI_form *form, void *room,
                               const float **data, masconI_packed **held);
/* The same for the packed form of plan, whose primitive packs. */
mascon_status masconI_packed_get(const mascon_tensor *weight, masconI_plan *plan, void *room,
                                 const float **data, masconI_packed **held);
void masconI_packed_put(masconI_packed *held); /* NULL is allowed */

#endif

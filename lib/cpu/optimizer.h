/* optimizer.h: one pass over all elements of a list of parameters, for the optimizers
 * and the norm of their gradients. */
#ifndef MASCON_CPU_OPTIMIZER_H
#define MASCON_CPU_OPTIMIZER_H

#include "core/op.h"

enum { MASCON_GROUPS = 5 };

typedef struct masconI_pass {
    const mascon_call *call;
    int64_t params; /* the list holds groups of so many tensors */
    int groups;
    /* Works on n elements that lie alike in each group's tensor; data[g] of group g. *sum is the
     * slice's; NULL without sums. */
    void (*work)(const void *options, float *const data[MASCON_GROUPS], int64_t n, double *sum);
    const void *options;
    double *sums; /* masconI_pass_slices of them, zeroed; NULL where the pass gives none */
} masconI_pass;

/* 1 where all tensors are float32 and each parameter's tensors lie dense in one order. */
int masconI_pass_fits(const mascon_call *call, int groups);
/* Depends on the sizes alone. */
int64_t masconI_pass_slices(const masconI_pass *pass);
/* Sliced over the elements of all parameters together, so many small ones cost as one large. */
void masconI_pass_run(const masconI_pass *pass);

#endif

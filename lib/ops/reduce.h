/* reduce.h: what the shape rules and the kernels of the reductions share: which dimensions are
 * reduced, and how many elements fall into one result.
 */
#ifndef MASCON_OPS_REDUCE_H
#define MASCON_OPS_REDUCE_H

#include "core/op.h"
#include "ops/support.h"

/* Slots. ORDER: the option tables in reduce.c and extreme.c. */
enum {
    REDUCE_DIMS = 0,
    REDUCE_DIMS_KEEPDIM = 9,
    VAR_CORRECTION = 10
}; /* sum mean var std logsumexp */
enum { NORM_P = 0, NORM_DIMS = 1, NORM_KEEPDIM = 10 };
enum { REDUCE_DIM = 0, REDUCE_DIM_KEEPDIM = 1, REDUCE_BASE = 2 }; /* prod any all max min arg... */
enum { CUMSUM_DIM = 0 };

typedef struct masconI_reduction {
    uint8_t reduce[MASCON_MAX_DIMS]; /* per dimension of x */
    int keepdim;
    int whole;     /* no dimension was named: the whole tensor */
    int64_t count; /* elements of x in one result */
} masconI_reduction;

/* Whether the option dim names dimensions; an empty list names none, as PyTorch's dim=(). */
static inline int masconI_names_dims(const mascon_call *call, int slot, int list) {
    return masconI_given(call, slot) && !(list && call->attr[slot] == 0);
}

/* Resolves the options of a reduction (any of the ops above but cumsum) over x. Fails as D34. */
mascon_status masconI_reduction_of(const mascon_call *call, const mascon_view *x,
                                   masconI_reduction *r);
/* The shape of the result. */
void masconI_reduction_meta(const masconI_reduction *r, const mascon_view *x, int32_t dtype,
                            mascon_meta *out);
/* The shape of the result with the reduced dimensions kept as 1; returns ndim. */
int32_t masconI_reduction_kept(const masconI_reduction *r, const mascon_view *x,
                               int64_t shape[MASCON_MAX_DIMS]);

/* n - correction, not below 0: what var divides by. */
static inline double masconI_freedom(int64_t count, double correction) {
    double n = (double)count - correction;
    return n > 0 ? n : 0;
}

#endif

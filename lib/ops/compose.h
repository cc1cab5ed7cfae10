/* compose.h: a gradient written as a short chain of calls.
 *
 * A chain owns every tensor its steps make. After the first failure the later steps do nothing, so
 * a gradient reads as one formula; masconI_chain_end hands out one result and releases the rest.
 */
#ifndef MASCON_OPS_COMPOSE_H
#define MASCON_OPS_COMPOSE_H

#include "core/op.h"

enum { MASCON_CHAIN_STEPS = 16 };

typedef struct masconI_chain {
    mascon_status status;
    int32_t n;
    mascon_tensor *made[MASCON_CHAIN_STEPS];
} masconI_chain;

/* op(a), op(a, b), op(a, number), op(number, b). All borrowed; NULL once the chain has failed. */
mascon_tensor *masconI_step(masconI_chain *c, int32_t op, mascon_tensor *a);
mascon_tensor *masconI_step2(masconI_chain *c, int32_t op, mascon_tensor *a, mascon_tensor *b);
mascon_tensor *masconI_step_number(masconI_chain *c, int32_t op, mascon_tensor *a, double number);
mascon_tensor *masconI_number_step(masconI_chain *c, int32_t op, double number, mascon_tensor *b);
/* a where condition does not hold, else 0. */
mascon_tensor *masconI_step_zero(masconI_chain *c, mascon_tensor *condition, mascon_tensor *a);
/* Runs a call that is filled but for its flags. */
mascon_tensor *masconI_step_call(masconI_chain *c, mascon_call *call);
/* a (all of it) in the dtype of like. */
mascon_tensor *masconI_step_cast(masconI_chain *c, mascon_tensor *a, int32_t dtype);

/* *out = result, owned; everything else is released. */
mascon_status masconI_chain_end(masconI_chain *c, mascon_tensor *result, mascon_tensor **out);
/* The same, summed down to the shape of like (the gradient of a broadcast). */
mascon_status masconI_chain_end_sum(masconI_chain *c, mascon_tensor *result,
                                    const mascon_view *like, mascon_tensor **out);

#endif

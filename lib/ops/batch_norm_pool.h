/* batch_norm_pool.h: what the ops batch_norm_pool and batch_norm_pool_bwd and their kernels share. */
#ifndef MASCON_OPS_BATCH_NORM_POOL_H
#define MASCON_OPS_BATCH_NORM_POOL_H

#include "ops/norm.h"

/* ORDER: the option tables. The first options are those of batch_norm and batch_norm_bwd, and so are
 * the forward op's inputs: NN_BATCH_NORM_* and NN_BATCH_NORM_BWD_* hold for both. */
enum { NN_BATCH_NORM_POOL_P = 4, NN_BATCH_NORM_POOL_BWD_P = 3 };

/* A code: the place i * 2 + j of the first largest element in its window, or that dropout took it. */
enum { BATCH_NORM_POOL_DROPPED = 255 };

#endif

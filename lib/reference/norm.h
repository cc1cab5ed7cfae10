/* norm.h: what the reference kernels of batch_norm and batch_norm_pool share. */
#ifndef MASCON_REFERENCE_NORM_H
#define MASCON_REFERENCE_NORM_H

#include "ops/norm.h"
#include "reference/reference.h"

/* The logical index of value i of channel c. */
int64_t masconR_norm_at(const masconI_channels *s, int64_t c, int64_t i);
/* Mean and 1 / sqrt(variance + eps) of channel c, as a call with batch_norm's inputs and first options
 * takes them; moves the running statistics. */
void masconR_norm_statistics(const mascon_call *call, int64_t c, double *mean, double *rstd);
/* Element c of input i, or what stands for it where it is absent. */
double masconR_norm_parameter(const mascon_call *call, int i, int64_t c, double absent);

#endif

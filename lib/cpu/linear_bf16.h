/* linear_bf16.h: linear and its backward ops for calls whose tensors are all bfloat16. */
#ifndef MASCON_CPU_LINEAR_BF16_H
#define MASCON_CPU_LINEAR_BF16_H

#include "mascon_backend.h"

/* 1 where this file serves the call. */
int masconI_linear_bf16_wish(const mascon_call *call, mascon_wish *w);
size_t masconI_linear_bf16_workspace(const mascon_call *call);
void masconI_linear_bf16_run(mascon_call *call, void *workspace);

#endif

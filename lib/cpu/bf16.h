/* bf16.h: bfloat16 on this processor: rows to float32 and back, and whether its arithmetic pays (bf16.c).
 */
#ifndef MASCON_CPU_BF16_H
#define MASCON_CPU_BF16_H

#include <stdint.h>

/* n elements, dense; the way back rounds to the nearest and to even. */
void masconI_bf16_widen(const uint16_t *from, float *to, int64_t n);
void masconI_bf16_narrow(const float *from, uint16_t *to, int64_t n);
/* The same on the pool's threads. */
void masconI_bf16_widen_all(const uint16_t *from, float *to, int64_t n);
void masconI_bf16_narrow_all(const float *from, uint16_t *to, int64_t n);

/* 1 where products of bfloat16 matrices are faster than those of float32: a committed rule by the
 * processor's class, explained in docs/precision.md. */
int masconI_bf16_is_fast(void);

#endif

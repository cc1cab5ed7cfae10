/* random.h: how random values come from the words of a stream, for all kernels on the CPU. */
#ifndef MASCON_REFERENCE_RANDOM_H
#define MASCON_REFERENCE_RANDOM_H

#include "core/internal.h"

/* Standard normal values of elements 4 * block .. 4 * block + 3: words 0 and 1 of the block give
 * the first two by the transformation of Box and Muller, words 2 and 3 the others. */
void masconR_normals(const uint64_t random[2], uint64_t block, double out[4]);

/* Uniform values of elements 4 * block .. 4 * block + 3, from 0 inclusive to 1 exclusive,
 * stretched to from..to and kept below to by every dtype's rounding. Element i takes 24 bits of
 * word i, or of float64 53 bits of words 2i and 2i + 1. */
void masconR_uniforms(const uint64_t random[2], int32_t dtype, uint64_t block, double from,
                      double to, double out[4]);

/* A whole number below n (1 or more) from words 2i and 2i + 1. */
uint64_t masconR_below(const uint64_t random[2], uint64_t i, uint64_t n);

#endif

/* elementwise.h: loops over one output and up to three inputs that broadcast to its shape.
 *
 * A kernel gives one function for a row. The walker drops sizes of 1, orders the dimensions by the
 * output's memory and merges neighbours that lie behind one another in every operand, so that dense
 * tensors of one layout (row-major or channels-last) become one row and a broadcast over rows or
 * channels an inner loop with a stride of 0. Work is cut into slices of fixed element counts.
 */
#ifndef MASCON_CPU_ELEMENTWISE_H
#define MASCON_CPU_ELEMENTWISE_H

#include "core/internal.h"
#include "core/simd.h"

/* Nobody reads the floating-point exception flags. Without this, gcc keeps the branches of a
 * selection such as x > 88 ? INFINITY : y and vectorises no loop over it. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-trapping-math")
#endif

enum { MASCON_WALK_OPERANDS = 4 };

/* One row of n elements: data[0] is the output, data[1..] the inputs, stride[k] in elements of
 * operand k. o: the numbers that the kernel handed to the walker. */
typedef void (*masconC_row_of)(int64_t n, void *const *data, const int64_t *stride, const void *o);

/* Runs row over y and n inputs that broadcast to its shape. An input may be y itself. */
void masconC_walk(const mascon_view *y, int n, const mascon_view *const *x, masconC_row_of row,
                  const void *o);

/* Tells the compiler that a loop's elements do not depend on one another: an output is either a
 * tensor of its own or the very elements of an input. */
#if defined(__clang__)
#define MASCON_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define MASCON_INDEPENDENT _Pragma("GCC ivdep")
#endif

/* static row function `name`: y[i] = expression over a (of x) and o.
 * setup declares what is read from o once. */
#define MASCON_ROW1(name, out_type, in_type, setup, expression)                         \
    MASCON_CLONES static void name(int64_t n, void *const *data, const int64_t *stride, \
                                   const void *o) {                                     \
        out_type *y = data[0];                                                          \
        const in_type *x = data[1];                                                     \
        (void)o;                                                                        \
        setup;                                                                          \
        if (stride[0] == 1 && stride[1] == 1) {                                         \
            MASCON_INDEPENDENT                                                          \
            for (int64_t i = 0; i < n; i++) {                                           \
                const in_type a = x[i];                                                 \
                y[i] = (out_type)(expression);                                          \
            }                                                                           \
        } else {                                                                        \
            for (int64_t i = 0; i < n; i++) {                                           \
                const in_type a = x[i * stride[1]];                                     \
                y[i * stride[0]] = (out_type)(expression);                              \
            }                                                                           \
        }                                                                               \
    }

/* The same of two inputs, a and b. */
#define MASCON_ROW2(name, out_type, in_type, setup, expression)                         \
    MASCON_CLONES static void name(int64_t n, void *const *data, const int64_t *stride, \
                                   const void *o) {                                     \
        out_type *y = data[0];                                                          \
        const in_type *x = data[1], *z = data[2];                                       \
        (void)o;                                                                        \
        setup;                                                                          \
        if (stride[0] == 1 && stride[1] == 1 && stride[2] == 1) {                       \
            MASCON_INDEPENDENT                                                          \
            for (int64_t i = 0; i < n; i++) {                                           \
                const in_type a = x[i], b = z[i];                                       \
                y[i] = (out_type)(expression);                                          \
            }                                                                           \
        } else if (stride[0] == 1 && stride[1] == 1 && stride[2] == 0) {                \
            const in_type b = *z;                                                       \
            MASCON_INDEPENDENT                                                          \
            for (int64_t i = 0; i < n; i++) {                                           \
                const in_type a = x[i];                                                 \
                y[i] = (out_type)(expression);                                          \
            }                                                                           \
        } else if (stride[0] == 1 && stride[1] == 0 && stride[2] == 1) {                \
            const in_type a = *x;                                                       \
            MASCON_INDEPENDENT                                                          \
            for (int64_t i = 0; i < n; i++) {                                           \
                const in_type b = z[i];                                                 \
                y[i] = (out_type)(expression);                                          \
            }                                                                           \
        } else {                                                                        \
            for (int64_t i = 0; i < n; i++) {                                           \
                const in_type a = x[i * stride[1]], b = z[i * stride[2]];               \
                y[i * stride[0]] = (out_type)(expression);                              \
            }                                                                           \
        }                                                                               \
    }

/* A view of one number, to be broadcast. */
static inline mascon_view masconC_number(void *value, int32_t dtype) {
    return (mascon_view){.data = value, .numel = 1, .dtype = (uint8_t)dtype, .contiguous = 1};
}

/* Whether the call's inputs and outputs all have this dtype (out_dtype for the outputs). */
static inline int masconC_dtypes(const mascon_call *call, int32_t in_dtype, int32_t out_dtype) {
    for (int i = 0; i < call->n_src; i++) {
        if (call->src[i] && SRC(call, i)->dtype != in_dtype) return 0;
    }
    for (int i = 0; i < call->n_dst; i++) {
        if (DST(call, i)->dtype != out_dtype) return 0;
    }
    return 1;
}

#endif

/* batch_norm_rows.c: batch norm's loops over rows of channels, for float32 and bfloat16. */
#include "core/simd.h"
#include "cpu/batch_norm.h"
#include "cpu/lanes.h"

enum { LANES = MASCON_LANES, WIDE = 4 }; /* vectors of channels worked on at a time */
enum { RESIDUAL = 1, RELU = 2 };         /* what follows the normalised value */

typedef masconC_lanes vector;
typedef masconC_mask mask_vector;
#define INLINE MASCON_INLINE
#define UNROLL _Pragma("GCC unroll 8")

/* block(V) over whole vectors of channels, WIDE, two or one at a time; the last channels are plain
 * loops. */
#define BLOCKS(c, count, block)                                       \
    for (; c + LANES * WIDE <= count; c += LANES * WIDE) block(WIDE); \
    for (; c + LANES * 2 <= count; c += LANES * 2) block(2);          \
    for (; c + LANES <= count; c += LANES) block(1)

#define SUFFIX f32
#define ELEMENT float
#include "cpu/batch_norm_body.h"
#define SUFFIX bf16
#define ELEMENT uint16_t
#include "cpu/batch_norm_body.h"

void masconC_norm_moments(const masconC_norm *j, int64_t first, int64_t n, double *mean,
                          double *squares) {
    (j->half ? moments_bf16 : moments_f32)(j, first, n, mean, squares);
}

void masconC_norm_products(const masconC_norm *j, int64_t first, int64_t n, double *sum,
                           double *product) {
    (j->half ? products_bf16 : products_f32)(j, first, n, sum, product);
}

void masconC_norm_normalise(const masconC_norm *j, int64_t first, int64_t n) {
    (j->half ? normalise_bf16 : normalise_f32)(j, first, n);
}

void masconC_norm_combine(const masconC_norm *j, int64_t first, int64_t n) {
    (j->half ? combine_bf16 : combine_f32)(j, first, n);
}

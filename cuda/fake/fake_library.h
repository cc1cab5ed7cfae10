/* fake_library.h: what the fakes of cuBLASLt and cuDNN share: elements of their dtypes, and a count of
 * the objects that they gave out.
 */
#ifndef MASCON_CUDA_FAKE_LIBRARY_H
#define MASCON_CUDA_FAKE_LIBRARY_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#include <atomic>
#include <cstring>

#include "cuda/api.h"
#include "cuda/fake/fake.h"

extern "C" {
/* Handles, descriptors, layouts and plans of both libraries that live. */
FAKE_API int64_t masconF_objects(void);
/* Executions of a kind so far: "gemm", "gemm_bias", "gemm_column_sum", "conv", "conv_fused",
 * "plan_from_text", "plan_from_config". */
FAKE_API int64_t masconF_executions(const char *kind);
/* From now on runs of this kind are refused as not supported, though plans of them are made; NULL: none. */
FAKE_API void masconF_refuse_runs(const char *kind);
}

namespace library {

extern std::atomic<int64_t> objects;
void count(const char *kind);
/* Whether a test wants runs of this kind to be refused. */
bool refuses(const char *kind);

enum type { F32, BF16, F16, F64 };

inline size_t size_of(type t) { return t == F64 ? 8 : t == F32 ? 4 : 2; }

/* Every value of every type is a double; a sum is rounded after each step where it is of floats. */
inline double get(type t, const void *p, int64_t i) {
    if (t == F64) return static_cast<const double *>(p)[i];
    if (t == F32) return static_cast<const float *>(p)[i];
    if (t == BF16) return __bfloat162float(static_cast<const __nv_bfloat16 *>(p)[i]);
    return __half2float(static_cast<const __half *>(p)[i]);
}

inline void set(type t, void *p, int64_t i, double exact) {
    const float v = static_cast<float>(exact);
    if (t == F64) {
        static_cast<double *>(p)[i] = exact;
    } else if (t == F32) {
        static_cast<float *>(p)[i] = v;
    } else if (t == BF16) {
        static_cast<__nv_bfloat16 *>(p)[i] = __float2bfloat16_rn(v);
    } else {
        static_cast<__half *>(p)[i] = __float2half_rn(v);
    }
}

/* A sum as the libraries keep it: in float, of float64 in double. */
inline double kept(type t, double v) {
    return t == F64 ? v : static_cast<double>(static_cast<float>(v));
}

/* v as a tensor core takes it in TF32: 10 bits of mantissa. */
inline float tf32(float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u) return v;
    bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;
    std::memcpy(&v, &bits, sizeof v);
    return v;
}

}  // namespace library

#endif

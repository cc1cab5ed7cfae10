/* element.cuh: elements of every dtype on the device, with the conversions of lib/core/dtype.c.
 *
 * Arithmetic is done in float (of float32, bfloat16 and float16), double (of float64) or int64_t (of
 * whole numbers and bool): take<C> makes such a value of an element, give stores one. Whole numbers
 * wrap around within a narrower dtype; floating values stay within the range of a whole-number dtype,
 * a fraction is cut off and NaN becomes 0.
 */
#ifndef MASCON_CUDA_ELEMENT_CUH
#define MASCON_CUDA_ELEMENT_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/device.cuh"

/* The value of an element as C. */
template <class C, class T>
__device__ __forceinline__ C take(T v) {
    return (C)v;
}
template <class C>
__device__ __forceinline__ C take(bfloat16 v) {
    return (C)__bfloat162float(v);
}
template <class C>
__device__ __forceinline__ C take(half v) {
    return (C)__half2float(v);
}

/* Whole part of v within lowest..highest, 0 for NaN. low and high are the same as v's type. */
template <class C>
__device__ __forceinline__ int64_t whole_within(C v, C low, C high, int64_t lowest,
                                                int64_t highest) {
    if (v != v) return 0;
    if (v <= low) return lowest;
    if (v >= high) return highest;
    return (int64_t)v;
}

/* Element of T from a computed value of any type. */
template <class T, class C>
struct giver {
    static __device__ __forceinline__ T of(C v) { return (T)v; } /* float, double */
};
template <class C>
struct giver<bfloat16, C> {
    static __device__ __forceinline__ bfloat16 of(C v) { return __float2bfloat16_rn((float)v); }
};
template <>
struct giver<bfloat16, int64_t> {
    static __device__ __forceinline__ bfloat16 of(int64_t v) {
        return __float2bfloat16_rn((float)(double)v);
    }
};
template <class C>
struct giver<half, C> {
    static __device__ __forceinline__ half of(C v) { return __float2half_rn((float)v); }
};
template <>
struct giver<half, int64_t> {
    static __device__ __forceinline__ half of(int64_t v) {
        return __float2half_rn((float)(double)v);
    }
};
template <class C>
struct giver<bool, C> {
    static __device__ __forceinline__ bool of(C v) { return v != 0; }
};
template <class C>
struct giver<int64_t, C> {
    static __device__ __forceinline__ int64_t of(C v) {
        return whole_within(v, (C)-9223372036854775808.0, (C)9223372036854775808.0, INT64_MIN,
                            INT64_MAX);
    }
};
template <>
struct giver<int64_t, int64_t> {
    static __device__ __forceinline__ int64_t of(int64_t v) { return v; }
};
template <class C>
struct giver<int32_t, C> {
    static __device__ __forceinline__ int32_t of(C v) {
        return (int32_t)whole_within(v, (C)-2147483648.0, (C)2147483647.0, INT32_MIN, INT32_MAX);
    }
};
template <>
struct giver<int32_t, int64_t> {
    static __device__ __forceinline__ int32_t of(int64_t v) { return (int32_t)(uint32_t)v; }
};
template <class C>
struct giver<uint8_t, C> {
    static __device__ __forceinline__ uint8_t of(C v) {
        return (uint8_t)whole_within(v, (C)0, (C)255, 0, 255);
    }
};
template <>
struct giver<uint8_t, int64_t> {
    static __device__ __forceinline__ uint8_t of(int64_t v) { return (uint8_t)v; }
};

template <class T, class C>
__device__ __forceinline__ T give(C v) {
    return giver<T, C>::of(v);
}

/* ---- Elements whose dtype is known at run time only: rare combinations ---- */

/* Memory of elements of a dtype. */
struct any_elements {
    void *data;
    int32_t dtype;
};

template <class C>
__device__ inline C take_any(const any_elements &x, int64_t i) {
    switch (x.dtype) {
        case MASCON_DTYPE_F32:
            return give<C>(((const float *)x.data)[i]);
        case MASCON_DTYPE_F64:
            return give<C>(((const double *)x.data)[i]);
        case MASCON_DTYPE_BF16:
            return give<C>(__bfloat162float(((const bfloat16 *)x.data)[i]));
        case MASCON_DTYPE_F16:
            return give<C>(__half2float(((const half *)x.data)[i]));
        case MASCON_DTYPE_I64:
            return (C)((const int64_t *)x.data)[i];
        case MASCON_DTYPE_I32:
            return (C)((const int32_t *)x.data)[i];
        default: /* uint8, bool */
            return (C)((const uint8_t *)x.data)[i];
    }
}

template <class C>
__device__ inline void give_any(const any_elements &y, int64_t i, C v) {
    switch (y.dtype) {
        case MASCON_DTYPE_F32:
            ((float *)y.data)[i] = give<float>(v);
            break;
        case MASCON_DTYPE_F64:
            ((double *)y.data)[i] = give<double>(v);
            break;
        case MASCON_DTYPE_BF16:
            ((bfloat16 *)y.data)[i] = give<bfloat16>(v);
            break;
        case MASCON_DTYPE_F16:
            ((half *)y.data)[i] = give<half>(v);
            break;
        case MASCON_DTYPE_I64:
            ((int64_t *)y.data)[i] = give<int64_t>(v);
            break;
        case MASCON_DTYPE_I32:
            ((int32_t *)y.data)[i] = give<int32_t>(v);
            break;
        case MASCON_DTYPE_U8:
            ((uint8_t *)y.data)[i] = give<uint8_t>(v);
            break;
        default:
            ((bool *)y.data)[i] = give<bool>(v);
            break;
    }
}

static inline any_elements any_of(const mascon_view *v) {
    any_elements all = {v->data, v->dtype};
    return all;
}

/* ---- On the host ---- */

/* The bits of an element of dtype holding value, as masconI_store writes it. */
static inline uint64_t element_bits(double value, int32_t dtype) {
    uint64_t bits = 0;
    masconI_store(&bits, dtype, 0, value);
    return bits;
}

#endif

/* attention.cuh: what the two ways of computing attention on a device share: what a call asks for, which of
 * its keys take part, what dropout makes of a weight, and the choice between the two. Shapes are in
 * ops/attention.h.
 */
#ifndef MASCON_CUDA_ATTENTION_CUH
#define MASCON_CUDA_ATTENTION_CUH

#include "cuda/group.cuh"
#include "ops/attention.h"
#include "ops/nn.h"

namespace mascon {

/* ---- The choice ---- */

/* Bytes of the sums of one row, or of a key's two rows backward, that lie in shared memory. */
inline int64_t attention_row_bytes(const mascon_attention &a, int back, int32_t dtype) {
    const int64_t size = dtype == MASCON_DTYPE_F64 ? 8 : 4;
    return size * (back ? a.e + a.width : a.width);
}

/* What a block has of shared memory without being asked. */
constexpr int64_t attention_shared = 48 * 1024;

/* Whether a call goes by matrix products (attention_products.cu): three launches forward and up to six
 * backward, where a warp per row (attention.cu) takes one and two. A warp walks through the other side's
 * rows one after the other, some hundreds of clocks for each, and an H200's warps together do some 2e10
 * scores a second; a launch costs some microseconds. So rows of 128 keys or more, or 2^18 scores, pay for
 * the additional launches. These figures are derived from instruction counts, not measured. */
inline bool attention_by_products(const mascon_call *call) {
    const int back = call->op == MASCON_OP_scaled_dot_product_attention_bwd;
    mascon_attention a;
    masconI_attention_of(call, &a);
    if (attention_row_bytes(a, back, a.q->dtype) > attention_shared) return true;
    const int64_t walk = back && a.l > a.s ? a.l : a.s;
    return a.matrices * a.l > 0 && (walk >= 128 || a.l * a.s >= ((int64_t)1 << 18) / a.matrices);
}

/* ---- A call ---- */

/* Where the matrices of an operand lie, in elements. */
struct attention_operand {
    const void *data;
    int64_t batch[MASCON_MAX_DIMS], row, column;
};

struct attention_problem {
    attention_operand q, k, v, mask;
    int64_t batch[MASCON_MAX_DIMS], matrices, l, s, e, width;
    int32_t dims, causal, mask_is_bool; /* mask.data may be NULL */
    double scale;
    int32_t drops;
    uint32_t threshold;
    double keep; /* 1 / (1 - p) */
    live<random_key> random;
};

__device__ inline int64_t attention_matrix_of(const attention_problem &p,
                                              const attention_operand &o, int64_t matrix) {
    int64_t offset = 0;
    for (int d = p.dims - 1; d >= 0; d--) {
        const int64_t rest = matrix / p.batch[d];
        offset += (matrix - rest * p.batch[d]) * o.batch[d];
        matrix = rest;
    }
    return offset;
}

/* Whether key j takes part in query i, and what the mask adds to their score. mask: where that of their
 * matrix begins. */
template <class T>
__device__ inline bool attention_takes(const attention_problem &p, int64_t mask, int64_t i,
                                       int64_t j, compute_of<T> *add) {
    *add = 0;
    if (p.causal && j > i) return false;
    if (!p.mask.data) return true;
    const int64_t m = mask + i * p.mask.row + j * p.mask.column;
    if (p.mask_is_bool) return ((const uint8_t *)p.mask.data)[m] != 0;
    *add = to_real(((const T *)p.mask.data)[m]);
    return true;
}

/* By what dropout multiplies weight {i, j} of a matrix. */
template <class C>
__device__ inline C attention_kept(const attention_problem &p, const random_key &key,
                                   int64_t matrix, int64_t i, int64_t j) {
    if (!p.drops) return 1;
    const uint32_t word = random_word(key, (uint64_t)((matrix * p.l + i) * p.s + j));
    return word >> 8 >= p.threshold ? (C)p.keep : 0;
}

/* ---- On the host ---- */

inline attention_operand attention_operand_of(const mascon_attention &a, const mascon_view *v) {
    attention_operand o;
    memset(&o, 0, sizeof o);
    if (!v) return o;
    o.data = v->data;
    for (int32_t d = a.dims - 1, at = v->ndim - 3; d >= 0 && at >= 0; d--, at--) {
        o.batch[d] = v->shape[at] != 1 ? v->stride[at] : 0;
    }
    o.row = masconI_attention_mask_stride(v, 2);
    o.column = masconI_attention_mask_stride(v, 1);
    return o;
}

inline attention_problem attention_problem_of(const mascon_call *call, const mascon_exec *exec,
                                              const mascon_attention &a) {
    attention_problem p;
    memset((void *)&p, 0, sizeof p);
    p.q = attention_operand_of(a, a.q);
    p.k = attention_operand_of(a, a.k);
    p.v = attention_operand_of(a, a.v);
    p.mask = attention_operand_of(a, a.mask);
    memcpy(p.batch, a.batch, sizeof p.batch);
    p.dims = a.dims;
    p.matrices = a.matrices;
    p.l = a.l, p.s = a.s, p.e = a.e, p.width = a.width;
    p.causal = a.causal;
    p.mask_is_bool = a.mask && a.mask->dtype == MASCON_DTYPE_BOOL;
    p.scale = a.scale;
    p.drops = a.dropout > 0;
    p.threshold = masconI_dropout_threshold(a.dropout);
    p.keep = a.dropout < 1 ? 1 / (1 - a.dropout) : 0;
    p.random = live_of(exec, random_of(call));
    return p;
}

/* ---- By products (attention_products.cu) ----
 * q, k, v and all else but the mask are row-major. */

size_t attention_products_workspace(const mascon_call *call);
mascon_status attention_products_run(const mascon_call *call, const mascon_exec *exec);

}  // namespace mascon

#endif

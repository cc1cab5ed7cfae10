/* attention.cu: scaled_dot_product_attention, with and without dropout, and their backward op. Shapes are
 * in ops/attention.h.
 *
 * A warp works on one row: of q forward and for dq, of k for dk and dv. It walks through the rows of the
 * other side, makes each score anew and adds to sums that lie in shared memory, lane c's every 32nd column.
 * So no scores are kept, sums have a fixed order, and rows may lie anywhere.
 */
#include "cuda/group.cuh"
#include "ops/attention.h"
#include "ops/nn.h"

namespace mascon {
namespace {

/* Where the matrices of an operand lie, in elements. */
struct operand {
    const void *data;
    int64_t batch[MASCON_MAX_DIMS], row, column;
};

struct problem {
    operand q, k, v, mask;
    int64_t batch[MASCON_MAX_DIMS], matrices, l, s, e, width;
    int32_t dims, causal, mask_is_bool; /* mask.data may be NULL */
    double scale;
    int32_t drops;
    uint32_t threshold;
    float keep; /* 1 / (1 - p) */
    live<random_key> random;
};

__device__ inline int64_t matrix_of(const problem &p, const operand &o, int64_t matrix) {
    int64_t offset = 0;
    for (int d = p.dims - 1; d >= 0; d--) {
        const int64_t rest = matrix / p.batch[d];
        offset += (matrix - rest * p.batch[d]) * o.batch[d];
        matrix = rest;
    }
    return offset;
}

/* One matrix of the batch. */
template <class T>
struct place {
    const T *q, *k, *v;
    int64_t mask, weight; /* the first element of the mask; the number of the first weight */
};

template <class T>
__device__ inline place<T> place_of(const problem &p, int64_t matrix) {
    place<T> at;
    at.q = (const T *)p.q.data + matrix_of(p, p.q, matrix);
    at.k = (const T *)p.k.data + matrix_of(p, p.k, matrix);
    at.v = (const T *)p.v.data + matrix_of(p, p.v, matrix);
    at.mask = p.mask.data ? matrix_of(p, p.mask, matrix) : 0;
    at.weight = matrix * p.l * p.s;
    return at;
}

/* The sum of a[c] b[c] in every lane. */
template <class T, class U>
__device__ inline compute_of<T> dot(int64_t n, const T *a, int64_t across_a, const U *b,
                                    int64_t across_b) {
    compute_of<T> sum = 0;
    for (int64_t c = threadIdx.x % 32; c < n; c += 32) {
        sum += to_real(a[c * across_a]) * to_real(b[c * across_b]);
    }
    return warp_reduce(sum, add_op());
}

/* The score of query i and key j; -inf where the key takes no part. */
template <class T>
__device__ inline compute_of<T> score(const problem &p, const place<T> &at, int64_t i, int64_t j) {
    typedef compute_of<T> C;
    if (p.causal && j > i) return -INFINITY;
    C add = 0;
    if (p.mask.data) {
        const int64_t m = at.mask + i * p.mask.row + j * p.mask.column;
        if (!p.mask_is_bool) {
            add = to_real(((const T *)p.mask.data)[m]);
        } else if (!((const uint8_t *)p.mask.data)[m]) {
            return -INFINITY;
        }
    }
    const C sum = dot(p.e, at.q + i * p.q.row, p.q.column, at.k + j * p.k.row, p.k.column);
    return sum * (C)p.scale + add;
}

/* By what dropout multiplies weight {i, j}. */
template <class T>
__device__ inline compute_of<T> kept(const problem &p, const place<T> &at, const random_key &key,
                                     int64_t i, int64_t j) {
    if (!p.drops) return 1;
    const uint32_t word = random_word(key, (uint64_t)(at.weight + i * p.s + j));
    return word >> 8 >= p.threshold ? (compute_of<T>)p.keep : 0;
}

/* This warp's row of all rows of all matrices, and its columns of sums in shared memory. */
template <class C>
__device__ inline int64_t row_of(int64_t columns, C **sums) {
    const int warps = (int)blockDim.x / 32, warp = (int)threadIdx.x / 32;
    *sums = dynamic_shared<C>() + warp * columns;
    for (int64_t c = threadIdx.x % 32; c < columns; c += 32) (*sums)[c] = 0;
    __syncwarp(); /* backward_keys adds to columns that another lane has cleared */
    return (int64_t)blockIdx.x * warps + warp;
}

/* y {matrices, L, V}, lse {matrices, L} */
template <class T>
__global__ void forward(const problem p, T *y, compute_of<T> *lse) {
    typedef compute_of<T> C;
    C *out, top = -INFINITY, sum = 0;
    const int64_t row = row_of(p.width, &out);
    if (row >= p.matrices * p.l) return;
    const int64_t i = row % p.l, end = p.causal && i + 1 < p.s ? i + 1 : p.s;
    const place<T> at = place_of<T>(p, row / p.l);
    const random_key key = p.random.now();
    for (int64_t j = 0; j < end; j++) {
        const C s = score(p, at, i, j);
        if (s == -(C)INFINITY) continue;
        const C above = s > top ? s : top, factor = above == top ? 1 : exp(top - above);
        const C w = exp(s - above);
        sum = sum * factor + w;
        top = above;
        const C share = w * kept(p, at, key, i, j);
        for (int64_t c = threadIdx.x % 32; c < p.width; c += 32) {
            out[c] = out[c] * factor + share * to_real(at.v[j * p.v.row + c * p.v.column]);
        }
    }
    for (int64_t c = threadIdx.x % 32; c < p.width; c += 32) {
        y[row * p.width + c] = from_real<T>(sum == 0 ? 0 : out[c] / sum);
    }
    if (threadIdx.x % 32 == 0) lse[row] = top + log(sum);
}

/* dq {matrices, L, E} and, where asked for, dscores {matrices, L, S}; inner {matrices, L}: dy . y */
template <class T>
__global__ void backward_rows(const problem p, const T *dy, const T *y, const compute_of<T> *lse,
                              compute_of<T> *inner, T *dq, T *dscores) {
    typedef compute_of<T> C;
    C *sums;
    const int64_t row = row_of(p.e, &sums);
    if (row >= p.matrices * p.l) return;
    const int64_t i = row % p.l;
    const place<T> at = place_of<T>(p, row / p.l);
    const random_key key = p.random.now();
    const T *d = dy + row * p.width;
    const C all = dot(p.width, d, 1, y + row * p.width, 1);
    for (int64_t j = 0; j < p.s; j++) {
        const C s = score(p, at, i, j);
        C change = 0;
        if (s != -(C)INFINITY) {
            const C dw = dot(p.width, d, 1, at.v + j * p.v.row, p.v.column);
            change = exp(s - lse[row]) * (dw * kept(p, at, key, i, j) - all);
        }
        if (dscores && threadIdx.x % 32 == 0) dscores[row * p.s + j] = from_real<T>(change);
        if (s == -(C)INFINITY) continue;
        for (int64_t c = threadIdx.x % 32; c < p.e; c += 32) {
            sums[c] += change * to_real(at.k[j * p.k.row + c * p.k.column]);
        }
    }
    for (int64_t c = threadIdx.x % 32; c < p.e; c += 32) {
        dq[row * p.e + c] = from_real<T>(sums[c] * (C)p.scale);
    }
    if (threadIdx.x % 32 == 0) inner[row] = all;
}

/* dk {matrices, S, E}, dv {matrices, S, V} */
template <class T>
__global__ void backward_keys(const problem p, const T *dy, const compute_of<T> *lse,
                              const compute_of<T> *inner, T *dk, T *dv) {
    typedef compute_of<T> C;
    C *sums;
    const int64_t row = row_of(p.e + p.width, &sums);
    if (row >= p.matrices * p.s) return;
    const int64_t matrix = row / p.s, j = row % p.s;
    const place<T> at = place_of<T>(p, matrix);
    const random_key key = p.random.now();
    for (int64_t i = p.causal ? j : 0; i < p.l; i++) {
        const C s = score(p, at, i, j);
        if (s == -(C)INFINITY) continue;
        const int64_t query = matrix * p.l + i;
        const T *d = dy + query * p.width;
        const C w = exp(s - lse[query]), keep = kept(p, at, key, i, j);
        const C dw = dot(p.width, d, 1, at.v + j * p.v.row, p.v.column);
        const C change = w * (dw * keep - inner[query]);
        for (int64_t c = threadIdx.x % 32; c < p.e; c += 32) {
            sums[c] += change * to_real(at.q[i * p.q.row + c * p.q.column]);
        }
        for (int64_t c = threadIdx.x % 32; c < p.width; c += 32) {
            sums[p.e + c] += w * keep * to_real(d[c]);
        }
    }
    for (int64_t c = threadIdx.x % 32; c < p.e; c += 32) {
        dk[row * p.e + c] = from_real<T>(sums[c] * (C)p.scale);
    }
    for (int64_t c = threadIdx.x % 32; c < p.width; c += 32) {
        dv[row * p.width + c] = from_real<T>(sums[p.e + c]);
    }
}

/* ---- On the host ---- */

operand operand_of(const mascon_attention &a, const mascon_view *v) {
    operand o;
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

problem problem_of(const mascon_call *call, const mascon_exec *exec) {
    mascon_attention a;
    masconI_attention_of(call, &a);
    problem p;
    memset((void *)&p, 0, sizeof p);
    p.q = operand_of(a, a.q);
    p.k = operand_of(a, a.k);
    p.v = operand_of(a, a.v);
    p.mask = operand_of(a, a.mask);
    memcpy(p.batch, a.batch, sizeof p.batch);
    p.dims = a.dims;
    p.matrices = a.matrices;
    p.l = a.l, p.s = a.s, p.e = a.e, p.width = a.width;
    p.causal = a.causal;
    p.mask_is_bool = a.mask && a.mask->dtype == MASCON_DTYPE_BOOL;
    p.scale = a.scale;
    p.drops = a.dropout > 0;
    p.threshold = masconI_dropout_threshold(a.dropout);
    p.keep = a.dropout < 1 ? (float)(1 / (1 - a.dropout)) : 0;
    p.random = live_of(exec, random_of(call));
    return p;
}

/* Threads of a block with this many sums for each warp; 0 where not even one warp's fit. */
int threads_for(int64_t sums, size_t size) {
    const int64_t most = 48 * 1024 / (int64_t)size;
    int warps = 4;
    while (warps && sums * warps > most) warps /= 2;
    return warps * 32;
}

mascon_status too_wide(const problem &p) {
    return masconI_fail(MASCON_E_UNSUPPORTED,
                        "%lld and %lld features are not supported on cuda; at most 48 KB of sums",
                        (long long)p.e, (long long)p.width);
}

template <class T>
mascon_status forward_of(const mascon_call *call, const mascon_exec *exec) {
    typedef compute_of<T> C;
    const problem p = problem_of(call, exec);
    const int threads = threads_for(p.width, sizeof(C));
    if (!threads) return too_wide(p);
    const dim3 grid((unsigned)divide_up(p.matrices * p.l, threads / 32));
    return launch(forward<T>, grid, dim3(threads), sizeof(C) * (size_t)(p.width * (threads / 32)),
                  exec->stream, p, (T *)DST(call, 0)->data, (C *)DST(call, 1)->data);
}

template <class T>
mascon_status backward_of(const mascon_call *call, const mascon_exec *exec) {
    typedef compute_of<T> C;
    const problem p = problem_of(call, exec);
    const T *dy = (const T *)SRC(call, NN_ATTENTION_BWD_DY)->data;
    const T *y = (const T *)SRC(call, NN_ATTENTION_BWD_Y)->data;
    const C *lse = (const C *)SRC(call, NN_ATTENTION_BWD_LSE)->data;
    C *inner = (C *)exec->workspace;
    T *dscores = call->n_dst > 3 ? (T *)DST(call, 3)->data : NULL;
    int threads = threads_for(p.e + p.width, sizeof(C));
    if (!threads) return too_wide(p);
    MASCON_TRY(launch(backward_rows<T>, dim3((unsigned)divide_up(p.matrices * p.l, threads / 32)),
                      dim3(threads), sizeof(C) * (size_t)(p.e * (threads / 32)), exec->stream, p,
                      dy, y, lse, inner, (T *)DST(call, 0)->data, dscores));
    return launch(backward_keys<T>, dim3((unsigned)divide_up(p.matrices * p.s, threads / 32)),
                  dim3(threads), sizeof(C) * (size_t)((p.e + p.width) * (threads / 32)),
                  exec->stream, p, dy, lse, inner, (T *)DST(call, 1)->data,
                  (T *)DST(call, 2)->data);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    return dispatch_float(SRC(call, 0)->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return forward_of<T>(call, exec);
    });
}

mascon_status run_bwd(mascon_call *call, mascon_exec *exec) {
    return dispatch_float(SRC(call, 0)->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return backward_of<T>(call, exec);
    });
}

size_t workspace(const mascon_call *call) {
    const mascon_view *lse = SRC(call, NN_ATTENTION_BWD_LSE);
    return sizeof(double) * (size_t)lse->numel;
}

/* q, k, v and the mask lie anywhere; the rest is row-major. */
int wish(const mascon_call *, mascon_wish *w) {
    w->dst[0] = w->dst[1] = MASCON_WISH_ROW;
    return 1;
}

int wish_bwd(const mascon_call *, mascon_wish *w) {
    w->src[NN_ATTENTION_BWD_DY] = w->src[NN_ATTENTION_BWD_Y] = MASCON_WISH_ROW;
    w->src[NN_ATTENTION_BWD_LSE] = MASCON_WISH_ROW;
    for (int i = 0; i < 4; i++) w->dst[i] = MASCON_WISH_ROW;
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(scaled_dot_product_attention, wish, NULL, run);
MASCON_KERNEL_LIVE(scaled_dot_product_attention_dropout, wish, NULL, run, random_of);
MASCON_KERNEL_LIVE(scaled_dot_product_attention_bwd, wish_bwd, workspace, run_bwd, random_of);

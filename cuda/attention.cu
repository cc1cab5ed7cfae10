/* attention.cu: scaled_dot_product_attention, with and without dropout, and their backward op. Shapes are
 * in ops/attention.h.
 *
 * Large calls go by matrix products (attention_products.cu; attention.cuh has the choice). In the others a
 * warp works on one row: of q forward and for dq, of k for dk and dv. It walks through the rows of the
 * other side, makes each score anew and adds to sums that lie in shared memory, lane c's every 32nd column.
 * So no scores are kept, sums have a fixed order, and rows may lie anywhere.
 */
#include "cuda/attention.cuh"

namespace mascon {
namespace {

typedef attention_problem problem;

/* One matrix of the batch. */
template <class T>
struct place {
    const T *q, *k, *v;
    int64_t mask, matrix; /* mask: its first element */
};

template <class T>
__device__ inline place<T> place_of(const problem &p, int64_t matrix) {
    place<T> at;
    at.q = (const T *)p.q.data + attention_matrix_of(p, p.q, matrix);
    at.k = (const T *)p.k.data + attention_matrix_of(p, p.k, matrix);
    at.v = (const T *)p.v.data + attention_matrix_of(p, p.v, matrix);
    at.mask = p.mask.data ? attention_matrix_of(p, p.mask, matrix) : 0;
    at.matrix = matrix;
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
    C add;
    if (!attention_takes<T>(p, at.mask, i, j, &add)) return -INFINITY;
    const C sum = dot(p.e, at.q + i * p.q.row, p.q.column, at.k + j * p.k.row, p.k.column);
    return sum * (C)p.scale + add;
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
        const C share = w * attention_kept<C>(p, key, at.matrix, i, j);
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
            change = exp(s - lse[row]) * (dw * attention_kept<C>(p, key, at.matrix, i, j) - all);
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
        const C w = exp(s - lse[query]), keep = attention_kept<C>(p, key, at.matrix, i, j);
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

/* Threads of a block with this many sums for each warp; one warp's fit (attention_by_products). */
int threads_for(int64_t sums, size_t size) {
    int warps = 4;
    while (warps > 1 && sums * warps * (int64_t)size > attention_shared) warps /= 2;
    return warps * 32;
}

problem problem_of(const mascon_call *call, const mascon_exec *exec) {
    mascon_attention a;
    masconI_attention_of(call, &a);
    return attention_problem_of(call, exec, a);
}

template <class T>
mascon_status forward_of(const mascon_call *call, const mascon_exec *exec) {
    typedef compute_of<T> C;
    const problem p = problem_of(call, exec);
    const int threads = threads_for(p.width, sizeof(C));
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
    const int threads = threads_for(p.e + p.width, sizeof(C));
    MASCON_TRY(launch(backward_rows<T>, dim3((unsigned)divide_up(p.matrices * p.l, threads / 32)),
                      dim3(threads), sizeof(C) * (size_t)(p.e * (threads / 32)), exec->stream, p,
                      dy, y, lse, inner, (T *)DST(call, 0)->data, dscores));
    return launch(backward_keys<T>, dim3((unsigned)divide_up(p.matrices * p.s, threads / 32)),
                  dim3(threads), sizeof(C) * (size_t)((p.e + p.width) * (threads / 32)),
                  exec->stream, p, dy, lse, inner, (T *)DST(call, 1)->data,
                  (T *)DST(call, 2)->data);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    if (attention_by_products(call)) return attention_products_run(call, exec);
    return dispatch_float(SRC(call, 0)->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return forward_of<T>(call, exec);
    });
}

mascon_status run_bwd(mascon_call *call, mascon_exec *exec) {
    if (attention_by_products(call)) return attention_products_run(call, exec);
    return dispatch_float(SRC(call, 0)->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return backward_of<T>(call, exec);
    });
}

size_t workspace(const mascon_call *call) {
    if (attention_by_products(call)) return attention_products_workspace(call);
    if (call->op != MASCON_OP_scaled_dot_product_attention_bwd) return 0;
    const mascon_view *lse = SRC(call, NN_ATTENTION_BWD_LSE);
    return sizeof(double) * (size_t)lse->numel;
}

/* The mask lies anywhere; q, k and v do where no library multiplies them; the rest is row-major. */
int wish(const mascon_call *call, mascon_wish *w) {
    const bool products = attention_by_products(call);
    w->dst[0] = w->dst[1] = MASCON_WISH_ROW;
    for (int i = 0; i < 3 && products; i++) w->src[i] = MASCON_WISH_ROW;
    w->kernel = products ? "cublaslt" : "rows";
    return 1;
}

int wish_bwd(const mascon_call *call, mascon_wish *w) {
    const bool products = attention_by_products(call);
    for (int i = 0; i < NN_ATTENTION_BWD_MASK; i++) {
        const bool operand = i >= NN_ATTENTION_BWD_Q && i <= NN_ATTENTION_BWD_V;
        w->src[i] = operand && !products ? MASCON_WISH_ANY : MASCON_WISH_ROW;
    }
    for (int i = 0; i < 4; i++) w->dst[i] = MASCON_WISH_ROW;
    w->kernel = products ? "cublaslt" : "rows";
    return 1;
}

}  // namespace
}  // namespace mascon

using namespace mascon;

MASCON_KERNEL(scaled_dot_product_attention, wish, workspace, run);
MASCON_KERNEL_LIVE(scaled_dot_product_attention_dropout, wish, workspace, run, random_of);
MASCON_KERNEL_LIVE(scaled_dot_product_attention_bwd, wish_bwd, workspace, run_bwd, random_of);

/* attention_products.cu: attention by matrix products of cuBLASLt, with kernels of our own between them.
 *
 * Forward: scores = q k^T; weights = softmax(scores * scale + mask), dropped; y = weights v. Backward:
 * scores = q k^T and changes = dy v^T; of both the dropped weights and the gradients of the scores; of
 * those dq = . k, dk = .^T q, dv = weights^T dy. Scores and changes are of what elements are computed in;
 * weights and gradients, which the next product takes, have the operands' dtype. Where both are the same,
 * one lies on the other.
 *
 * A pass works on a part of the scores that fits the room: some matrices of the batch, or of one that is too
 * large some queries. Backward such a matrix goes twice through its scores, by queries for dq and by keys
 * for dk and dv: so no result is a sum over passes, and none is rounded twice. Parts follow from the shapes
 * alone.
 */
#include "cuda/attention.cuh"
#include "cuda/blas.h"

namespace mascon {
namespace {

constexpr int threads = 256;

/* Bytes of scores, weights and their gradients together. The fake device has little room, so that small
 * shapes are cut, too. */
#ifdef MASCON_CUDA_EMULATE
constexpr int64_t room = (int64_t)64 << 10;
#else
constexpr int64_t room = (int64_t)64 << 20;
#endif

/* A part of the scores: queries row.. and keys key.. of matrices first.. */
struct part {
    int64_t first, matrices, row, rows, key, keys;
};

/* This thread's row of the part's; its `group` threads work on it together. */
struct line {
    int64_t at, matrix, i, mask; /* at: row of the part; mask: that of its matrix */
    int64_t keys;                /* 0: there is no such row */
    int thread;
};

__device__ inline line line_of(const attention_problem &p, const part &b, int group) {
    line l;
    l.at = (int64_t)blockIdx.x * (threads / group) + threadIdx.x / group;
    l.thread = (int)threadIdx.x % group;
    l.keys = l.at < b.matrices * b.rows ? b.keys : 0;
    l.matrix = b.first + l.at / b.rows;
    l.i = b.row + l.at % b.rows;
    l.mask = l.keys && p.mask.data ? attention_matrix_of(p, p.mask, l.matrix) : 0;
    return l;
}

/* The score of key j from its product; -inf where it takes no part. */
template <class T>
__device__ inline compute_of<T> score_of(const attention_problem &p, const line &l, int64_t j,
                                         compute_of<T> product) {
    compute_of<T> add;
    if (!attention_takes<T>(p, l.mask, l.i, j, &add)) return -INFINITY;
    return product * (compute_of<T>)p.scale + add;
}

/* scores {matrices, rows, S}: q k^T; weights, of the same shape, may lie on them. lse {matrices of the
 * call, L} */
template <class T>
__global__ void weigh(const attention_problem p, const part b, int group, compute_of<T> *scores,
                      T *weights, compute_of<T> *lse) {
    typedef compute_of<T> C;
    const line l = line_of(p, b, group);
    const random_key key = p.random.now();
    scores += l.at * b.keys;
    weights += l.at * b.keys;
    exponentials<C> s = {-INFINITY, 0};
    for (int64_t j = l.thread; j < l.keys; j += group) {
        const C v = score_of<T>(p, l, j, scores[j]);
        scores[j] = v;
        if (v != -(C)INFINITY) add_exponential(s, v);
    }
    s = group_reduce(s, group, join_exponentials_of());
    if (s.top == (C)INFINITY) s.sum = NAN;
    const C share = s.sum == 0 ? 0 : 1 / s.sum;
    for (int64_t j = l.thread; j < l.keys; j += group) {
        const C w = scores[j] == -(C)INFINITY ? 0 : exp(scores[j] - s.top) * share;
        weights[j] = from_real<T>(w * attention_kept<C>(p, key, l.matrix, l.i, j));
    }
    if (l.thread == 0 && l.at < b.matrices * b.rows) {
        lse[l.matrix * p.l + l.i] = s.top + log(s.sum);
    }
}

/* dy and y {matrices of the call, L, V}, lse {matrices of the call, L}; scores: q k^T, changes: dy v^T, both
 * {matrices, rows, keys}. weights: dropped, slopes: of the products that the scores are, may lie on them;
 * weights may be NULL. dscores {matrices of the call, L, S}: of the scores, or NULL. */
template <class T>
__global__ void slope(const attention_problem p, const part b, int group, const T *dy, const T *y,
                      const compute_of<T> *lse, const compute_of<T> *scores,
                      const compute_of<T> *changes, T *weights, T *slopes, T *dscores) {
    typedef compute_of<T> C;
    const line l = line_of(p, b, group);
    const random_key key = p.random.now();
    const int64_t query = l.matrix * p.l + l.i, first = l.at * b.keys;
    C inner = 0, whole = 0;
    if (l.keys) {
        whole = lse[query];
        for (int64_t c = l.thread; c < p.width; c += group) {
            inner += to_real(dy[query * p.width + c]) * to_real(y[query * p.width + c]);
        }
    }
    inner = group_reduce(inner, group, add_op());
    for (int64_t at = l.thread; at < l.keys; at += group) {
        const int64_t j = b.key + at;
        const C s = score_of<T>(p, l, j, scores[first + at]);
        C w = 0, d = 0;
        if (s != -(C)INFINITY) {
            const C keep = attention_kept<C>(p, key, l.matrix, l.i, j);
            w = exp(s - whole);
            d = w * (changes[first + at] * keep - inner);
            w *= keep;
        }
        if (weights) weights[first + at] = from_real<T>(w);
        slopes[first + at] = from_real<T>(d * (C)p.scale);
        if (dscores) dscores[query * p.s + j] = from_real<T>(d);
    }
}

/* ---- On the host ---- */

/* How matrices lie: the distance of their rows and, within a batch, of each other. */
struct side {
    char *data;
    int64_t ld, step;
    int32_t align;
};

struct work {
    const mascon_call *call;
    const mascon_exec *exec; /* NULL: nothing runs, only `bytes` is found */
    mascon_attention a;
    attention_problem p;
    int back;
    int32_t dtype, device;
    int64_t size, wide;           /* bytes of an element, and of what it is computed in */
    int64_t matrices, rows, keys; /* of a pass */
    char *scores, *changes, *weights, *slopes, *scratch;
    size_t bytes; /* of scratch memory for products */
};

/* The matrices of a dense tensor {..., columns}, from row `row` of the one at `matrix` elements on; every
 * such address is as aligned as the tensor and its rows. */
side tensor_side(const work &w, const mascon_view *v, int64_t matrix, int64_t row) {
    const int64_t columns = v->shape[v->ndim - 1];
    const int32_t of_row = masconG_alignment((const void *)(uintptr_t)(columns * w.size));
    const int32_t of_all = masconG_alignment(v->data);
    return {(char *)v->data + (matrix + row * columns) * w.size, columns, 0,
            of_row < of_all ? of_row : of_all};
}

/* Of the call's dense result or gradient, or what has its batch. */
side result_side(const work &w, const mascon_view *v, int64_t matrix, int64_t row) {
    const int64_t step = v->shape[v->ndim - 2] * v->shape[v->ndim - 1];
    side s = tensor_side(w, v, matrix * step, row);
    s.step = step;
    return s;
}

/* Of q, k or v, which may be broadcast over the batch. step: that of the pass. */
side operand_side(const work &w, const mascon_view *v, const part &b, int64_t row, int64_t step) {
    side s = tensor_side(w, v, masconI_attention_offset(&w.a, v, 2, b.first), row);
    s.step = step;
    return s;
}

/* Of the passes' own memory {matrices, rows, keys}. */
side room_side(const part &b, char *data, int64_t size) {
    const int32_t of_row = masconG_alignment((const void *)(uintptr_t)(b.keys * size));
    return {data, b.keys, b.rows * b.keys, of_row < 64 ? of_row : 64};
}

enum { AS_IT_IS = 0, LEFT_TURNED = 1, RIGHT_TURNED = 2, WIDE_RESULT = 4 };

/* d {batch, m, n} = left right, of which one may be turned; while nothing runs, finds what it needs. */
mascon_status multiply(work *w, int64_t batch, int64_t m, int64_t n, int64_t k, const side &left,
                       const side &right, const side &d, int how) {
    if (batch == 0 || m == 0 || n == 0) return MASCON_OK;
    const int64_t size = how & WIDE_RESULT ? w->wide : w->size;
    if (k == 0) { /* d is dense: what has no keys or no features is not cut */
        if (!w->exec) return MASCON_OK;
        return masconG_check(cuda->memset_async(d.data, 0, (size_t)(batch * m * n * size),
                                                (cudaStream_t)w->exec->stream),
                             "memset_async");
    }
    masconG_product p;
    memset(&p, 0, sizeof p);
    p.m = m, p.n = n, p.k = k;
    p.lda = left.ld, p.ldb = right.ld, p.ldd = d.ld;
    p.batch = batch;
    if (batch > 1) p.step_a = left.step, p.step_b = right.step, p.step_d = d.step;
    p.ta = (how & LEFT_TURNED) != 0, p.tb = (how & RIGHT_TURNED) != 0;
    p.dtype = w->dtype, p.device = w->device;
    p.align_a = left.align, p.align_b = right.align, p.align_d = d.align;
    p.wide = how & WIDE_RESULT && w->wide != w->size;
    if (w->exec) {
        return masconG_product_run(&p, left.data, right.data, d.data, NULL, w->scratch,
                                   (cudaStream_t)w->exec->stream);
    }
    size_t bytes;
    MASCON_TRY(masconG_product_workspace(&p, &bytes));
    if (bytes > w->bytes) w->bytes = bytes;
    return MASCON_OK;
}

/* Matrices one after the other that one step for each of q, k and v describes; steps get them. */
int64_t run_of(const mascon_attention &a, int64_t steps[3]) {
    const mascon_view *views[] = {a.q, a.k, a.v};
    int64_t size = 1;
    memset(steps, 0, 3 * sizeof *steps);
    for (int32_t d = a.dims - 1; d >= 0; d--) {
        int64_t next[3];
        bool joins = true;
        if (a.batch[d] == 1) continue;
        for (int i = 0; i < 3; i++) {
            const int32_t own = d - (a.dims - (views[i]->ndim - 2));
            next[i] = own >= 0 && views[i]->shape[own] != 1 ? views[i]->stride[own] : 0;
            joins = joins && next[i] == steps[i] * size;
        }
        if (size > 1 && !joins) break;
        if (size == 1) memcpy(steps, next, sizeof next);
        size *= a.batch[d];
    }
    return size;
}

int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* How many lines of `bytes` fit the room: whole 64s where they are many, and 1 at least. */
int64_t lines_for(int64_t bytes, int64_t wanted) {
    const int64_t fit = bytes > 0 ? room / bytes : wanted;
    return at_most(fit >= 64 ? fit / 64 * 64 : fit > 0 ? fit : 1, wanted);
}

/* The sizes of a pass, and where its memory lies behind `memory`; returns its bytes. */
size_t lay_out(work *w, char *memory) {
    const mascon_attention &a = w->a;
    const bool apart = w->wide != w->size;
    const int64_t one = (w->wide + (apart ? w->size : 0)) * (w->back ? 2 : 1);
    const int64_t matrix = a.l * a.s * one;
    w->matrices = w->rows = w->keys = 0;
    w->matrices = matrix > 0 && room / matrix < 1 ? 1 : lines_for(matrix, a.matrices);
    w->matrices = at_most(w->matrices, 32768);
    w->rows = matrix > room ? lines_for(a.s * one, a.l) : a.l;
    w->keys = matrix > room && w->back ? lines_for(a.l * one, a.s) : a.s;
    int64_t scores = w->matrices * w->rows * a.s;
    if (scores < w->matrices * a.l * w->keys && w->keys < a.s) scores = w->matrices * a.l * w->keys;
    char **const parts[] = {&w->scores, w->back ? &w->changes : NULL, apart ? &w->weights : NULL,
                            apart && w->back ? &w->slopes : NULL};
    size_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        if (!parts[i]) continue;
        *parts[i] = memory + bytes;
        bytes += ((size_t)(scores * (i < 2 ? w->wide : w->size)) + 255) & ~(size_t)255;
    }
    if (!apart) w->weights = w->scores, w->slopes = w->changes;
    w->scratch = memory + bytes;
    return bytes;
}

/* Threads for a row of n. */
int group_for(int64_t n) { return n > 2048 ? threads : power_between(n, 1, 32); }

dim3 grid_for(const part &b, int group) {
    return dim3((unsigned)divide_up(b.matrices * b.rows, threads / group));
}

/* ---- Passes ---- */

template <class T>
mascon_status forward_pass(work *w, const part &b, const int64_t steps[3]) {
    typedef compute_of<T> C;
    const mascon_attention &a = w->a;
    const side q = operand_side(*w, a.q, b, b.row, steps[0]);
    const side k = operand_side(*w, a.k, b, 0, steps[1]), v = operand_side(*w, a.v, b, 0, steps[2]);
    const side scores = room_side(b, w->scores, w->wide);
    const side weights = room_side(b, w->weights, w->size);
    const side y = result_side(*w, DST(w->call, 0), b.first, b.row);
    const int group = group_for(b.keys);
    MASCON_TRY(
        multiply(w, b.matrices, b.rows, b.keys, a.e, q, k, scores, RIGHT_TURNED | WIDE_RESULT));
    if (w->exec) {
        MASCON_TRY(launch(weigh<T>, grid_for(b, group), dim3(threads), 0, w->exec->stream, w->p, b,
                          group, (C *)w->scores, (T *)w->weights, (C *)DST(w->call, 1)->data));
    }
    return multiply(w, b.matrices, b.rows, a.width, b.keys, weights, v, y, AS_IT_IS);
}

/* for_q: dq and the gradient of the mask, which need all keys; for_k: dk and dv, which need all queries. */
template <class T>
mascon_status backward_pass(work *w, const part &b, const int64_t steps[3], bool for_q,
                            bool for_k) {
    typedef compute_of<T> C;
    const mascon_attention &a = w->a;
    const mascon_view *dy = SRC(w->call, NN_ATTENTION_BWD_DY);
    const side q = operand_side(*w, a.q, b, b.row, steps[0]);
    const side k = operand_side(*w, a.k, b, b.key, steps[1]);
    const side v = operand_side(*w, a.v, b, b.key, steps[2]);
    const side d = result_side(*w, dy, b.first, b.row);
    const side weights = room_side(b, w->weights, w->size);
    const side slopes = room_side(b, w->slopes, w->size);
    const int group = group_for(b.keys > a.width ? b.keys : a.width);
    MASCON_TRY(multiply(w, b.matrices, b.rows, b.keys, a.e, q, k, room_side(b, w->scores, w->wide),
                        RIGHT_TURNED | WIDE_RESULT));
    MASCON_TRY(multiply(w, b.matrices, b.rows, b.keys, a.width, d, v,
                        room_side(b, w->changes, w->wide), RIGHT_TURNED | WIDE_RESULT));
    if (w->exec) {
        T *dscores = for_q && w->call->n_dst > 3 ? (T *)DST(w->call, 3)->data : NULL;
        MASCON_TRY(
            launch(slope<T>, grid_for(b, group), dim3(threads), 0, w->exec->stream, w->p, b, group,
                   (const T *)dy->data, (const T *)SRC(w->call, NN_ATTENTION_BWD_Y)->data,
                   (const C *)SRC(w->call, NN_ATTENTION_BWD_LSE)->data, (const C *)w->scores,
                   (const C *)w->changes, for_k ? (T *)w->weights : NULL, (T *)w->slopes, dscores));
    }
    if (for_q) {
        MASCON_TRY(multiply(w, b.matrices, b.rows, a.e, b.keys, slopes, k,
                            result_side(*w, DST(w->call, 0), b.first, b.row), AS_IT_IS));
    }
    if (!for_k) return MASCON_OK;
    MASCON_TRY(multiply(w, b.matrices, b.keys, a.e, b.rows, slopes, q,
                        result_side(*w, DST(w->call, 1), b.first, b.key), LEFT_TURNED));
    return multiply(w, b.matrices, b.keys, a.width, b.rows, weights, d,
                    result_side(*w, DST(w->call, 2), b.first, b.key), LEFT_TURNED);
}

/* All passes over matrices first .. first + n - 1. */
template <class T>
mascon_status passes(work *w, int64_t first, int64_t n, const int64_t steps[3]) {
    const mascon_attention &a = w->a;
    const bool by_keys = w->back && (w->rows < a.l || w->keys < a.s);
    for (int64_t row = 0; row == 0 || row < a.l; row += w->rows ? w->rows : 1) {
        const part b = {first, n, row, at_most(w->rows, a.l - row), 0, a.s};
        if (!w->back) {
            MASCON_TRY(forward_pass<T>(w, b, steps));
        } else {
            MASCON_TRY(backward_pass<T>(w, b, steps, true, !by_keys));
        }
    }
    for (int64_t key = 0; by_keys && key < a.s; key += w->keys) {
        const part b = {first, n, 0, a.l, key, at_most(w->keys, a.s - key)};
        MASCON_TRY(backward_pass<T>(w, b, steps, false, true));
    }
    return MASCON_OK;
}

template <class T>
mascon_status walk(work *w) {
    int64_t steps[3];
    const int64_t run = run_of(w->a, steps);
    for (int64_t outer = 0; outer < w->a.matrices; outer += run) {
        for (int64_t i = 0; i < run; i += w->matrices) {
            MASCON_TRY(passes<T>(w, outer + i, at_most(w->matrices, run - i), steps));
        }
        if (!w->exec) break; /* the others ask for the same products */
    }
    return MASCON_OK;
}

work work_of(const mascon_call *call) {
    work w;
    memset((void *)&w, 0, sizeof w);
    masconI_attention_of(call, &w.a);
    w.call = call;
    w.back = call->op == MASCON_OP_scaled_dot_product_attention_bwd;
    w.dtype = w.a.q->dtype;
    w.device = w.a.q->device;
    w.size = mascon_dtype_size(w.dtype);
    w.wide = w.size < 4 ? 4 : w.size;
    return w;
}

mascon_status walk_all(work *w) {
    return dispatch_float(w->dtype, [&](auto tag) {
        using T = typename decltype(tag)::type;
        return walk<T>(w);
    });
}

}  // namespace

size_t attention_products_workspace(const mascon_call *call) {
    work w = work_of(call);
    const size_t bytes = lay_out(&w, NULL);
    walk_all(&w); /* run meets and reports the same failure */
    return bytes + w.bytes;
}

mascon_status attention_products_run(const mascon_call *call, const mascon_exec *exec) {
    work w = work_of(call);
    w.p = attention_problem_of(call, exec, w.a);
    w.exec = exec;
    lay_out(&w, (char *)exec->workspace);
    return walk_all(&w);
}

}  // namespace mascon

/* copy.c: copies between strided tensors, and the kernels that are one such copy.
 *
 * A copy is brought to its simplest form first: sizes of 1 dropped, dimensions in the order of
 * dst's memory, neighbours that lie behind one another in both tensors merged. What is left is
 * either rows (dst's innermost dimension at a time) or, where src is dense along another
 * dimension, a transpose by tiles that stay in the first-level cache. Row-major <-> channels-
 * last is the second kind. */
#include "cpu/copy.h"

#include <string.h>

enum { SLICE = 32768, TILE = 64, STRIP = 512 }; /* elements */

typedef struct plan {
    int32_t n; /* dimensions, 1 or more; the last is dst's innermost */
    int64_t shape[MASCON_MAX_DIMS], ds[MASCON_MAX_DIMS], ss[MASCON_MAX_DIMS];
    char *dst;
    const char *src;
    int64_t dst_size, src_size; /* bytes of an element */
    masconC_row row;
    /* rows: dimensions 0..n-2 are walked, the last is cut into strips.
     * transpose: dimension n-2 is the one along which src is dense; it is cut into tiles as well */
    int transposed;
    int64_t strip, strips, tiles;
    int64_t units, per_slice; /* unit: one strip of one row, or one block of one transpose */
} plan;

/* ---- Rows of one dtype ---- */

#define ROW(name, type)                                                               \
    static void name(int64_t n, void *dst, int64_t ds, const void *src, int64_t ss) { \
        type *d = dst;                                                                \
        const type *s = src;                                                          \
        if (ds == 1 && ss == 1) {                                                     \
            if (d != s) memcpy(d, s, (size_t)n * sizeof(type));                       \
        } else if (ds == 1 && ss == 0) {                                              \
            type value = *s;                                                          \
            for (int64_t i = 0; i < n; i++) d[i] = value;                             \
        } else {                                                                      \
            for (int64_t i = 0; i < n; i++) d[i * ds] = s[i * ss];                    \
        }                                                                             \
    }

ROW(row8, uint8_t)
ROW(row16, uint16_t)
ROW(row32, uint32_t)
ROW(row64, uint64_t)

static masconC_row row_of_size(int64_t size) {
    return size == 1 ? row8 : size == 2 ? row16 : size == 4 ? row32 : row64;
}

/* ---- Tiles: dst[i * ds + j] = src[i + j * ss], i < m, j < n ---- */

#define TRANSPOSE(name, type)                                                                    \
    static void name(int64_t m, int64_t n, type *dst, int64_t ds, const type *src, int64_t ss) { \
        for (int64_t i = 0; i < m; i++) {                                                        \
            for (int64_t j = 0; j < n; j++) dst[i * ds + j] = src[i + j * ss];                   \
        }                                                                                        \
    }

TRANSPOSE(transpose8, uint8_t)
TRANSPOSE(transpose16, uint16_t)
TRANSPOSE(transpose32_plain, uint32_t)
TRANSPOSE(transpose64, uint64_t)

typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));

/* Four rows of four at a time, through registers. */
static void transpose32(int64_t m, int64_t n, uint32_t *dst, int64_t ds, const uint32_t *src,
                        int64_t ss) {
    int64_t m4 = m & ~(int64_t)3, n4 = n & ~(int64_t)3;
    for (int64_t i = 0; i < m4; i += 4) {
        for (int64_t j = 0; j < n4; j += 4) {
            const uint32_t *s = src + i + j * ss;
            uint32_t *d = dst + i * ds + j;
            four a = *(const four *)(const void *)s;
            four b = *(const four *)(const void *)(s + ss);
            four c = *(const four *)(const void *)(s + 2 * ss);
            four e = *(const four *)(const void *)(s + 3 * ss);
            four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
            four ce = __builtin_shufflevector(c, e, 0, 4, 1, 5);
            four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            four ce2 = __builtin_shufflevector(c, e, 2, 6, 3, 7);
            *(four *)(void *)d = __builtin_shufflevector(ab, ce, 0, 1, 4, 5);
            *(four *)(void *)(d + ds) = __builtin_shufflevector(ab, ce, 2, 3, 6, 7);
            *(four *)(void *)(d + 2 * ds) = __builtin_shufflevector(ab2, ce2, 0, 1, 4, 5);
            *(four *)(void *)(d + 3 * ds) = __builtin_shufflevector(ab2, ce2, 2, 3, 6, 7);
        }
    }
    transpose32_plain(m4, n - n4, dst + n4, ds, src + n4 * ss, ss);
    transpose32_plain(m - m4, n, dst + m4 * ds, ds, src + m4, ss);
}

static void transpose(int64_t size, int64_t m, int64_t n, void *dst, int64_t ds, const void *src,
                      int64_t ss) {
    switch (size) {
        case 1:
            transpose8(m, n, dst, ds, src, ss);
            break;
        case 2:
            transpose16(m, n, dst, ds, src, ss);
            break;
        case 4:
            transpose32(m, n, dst, ds, src, ss);
            break;
        default:
            transpose64(m, n, dst, ds, src, ss);
            break;
    }
}

/* ---- The plan ---- */

static void swap(int64_t *a, int32_t i, int32_t j) {
    int64_t t = a[i];
    a[i] = a[j];
    a[j] = t;
}

static void swap_dims(plan *p, int32_t i, int32_t j) {
    swap(p->shape, i, j);
    swap(p->ds, i, j);
    swap(p->ss, i, j);
}

static void simplify(plan *p, const mascon_view *dst, const mascon_view *src) {
    p->n = 0;
    for (int32_t d = 0; d < dst->ndim; d++) {
        if (dst->shape[d] == 1) continue;
        p->shape[p->n] = dst->shape[d];
        p->ds[p->n] = dst->stride[d];
        p->ss[p->n] = src->stride[d];
        for (int32_t i = p->n; i > 0 && p->ds[i - 1] < p->ds[i]; i--) swap_dims(p, i - 1, i);
        p->n++;
    }
    int32_t last = 0;
    for (int32_t d = 1; d < p->n; d++) {
        if (p->ds[last] == p->ds[d] * p->shape[d] && p->ss[last] == p->ss[d] * p->shape[d]) {
            p->shape[last] *= p->shape[d];
        } else {
            last++;
            p->shape[last] = p->shape[d];
        }
        p->ds[last] = p->ds[d];
        p->ss[last] = p->ss[d];
    }
    if (p->n > 0) {
        p->n = last + 1;
    } else {
        p->n = 1;
        p->shape[0] = p->ds[0] = p->ss[0] = 1;
    }
}

static int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* Moves the dimension along which src is dense to place n - 2, where it pays to go by tiles. */
static int choose_transpose(plan *p) {
    int32_t inner = p->n - 1;
    if (inner == 0 || p->ds[inner] != 1 || p->ss[inner] == 1 || p->ss[inner] == 0) return 0;
    for (int32_t d = 0; d < inner; d++) {
        if (p->ss[d] != 1 || p->shape[d] < 2) continue;
        for (; d < inner - 1; d++) swap_dims(p, d, d + 1);
        return 1;
    }
    return 0;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void run_slice(void *context, int64_t slice, int thread) {
    (void)thread;
    const plan *p = context;
    int32_t inner = p->n - 1, outer = p->transposed ? inner - 1 : inner;
    int64_t unit = slice * p->per_slice, end = least(unit + p->per_slice, p->units);
    int64_t at[MASCON_MAX_DIMS], rest = unit / (p->strips * p->tiles), d0 = 0, s0 = 0;
    for (int32_t d = outer - 1; d >= 0; d--) {
        at[d] = rest % p->shape[d];
        rest /= p->shape[d];
        d0 += at[d] * p->ds[d];
        s0 += at[d] * p->ss[d];
    }
    for (; unit < end; unit++) {
        int64_t piece = unit % (p->strips * p->tiles);
        int64_t j = piece % p->strips * p->strip, n = least(p->strip, p->shape[inner] - j);
        int64_t to = d0 + j * p->ds[inner], from = s0 + j * p->ss[inner];
        if (p->transposed) {
            int64_t i = piece / p->strips * TILE, m = least(TILE, p->shape[outer] - i);
            for (int64_t k = 0; k < n; k += TILE) {
                transpose(p->dst_size, m, least(TILE, n - k),
                          p->dst + (to + i * p->ds[outer] + k) * p->dst_size, p->ds[outer],
                          p->src + (from + i + k * p->ss[inner]) * p->src_size, p->ss[inner]);
            }
        } else {
            p->row(n, p->dst + to * p->dst_size, p->ds[inner], p->src + from * p->src_size,
                   p->ss[inner]);
        }
        if (piece + 1 < p->strips * p->tiles) continue;
        for (int32_t d = outer - 1; d >= 0; d--) {
            d0 += p->ds[d];
            s0 += p->ss[d];
            if (++at[d] < p->shape[d]) break;
            d0 -= p->ds[d] * p->shape[d];
            s0 -= p->ss[d] * p->shape[d];
            at[d] = 0;
        }
    }
}

void masconC_copy_view(const mascon_view *dst, const mascon_view *src) {
    if (dst->numel == 0) return;
    plan p;
    simplify(&p, dst, src);
    p.dst = dst->data;
    p.src = src->data;
    p.dst_size = mascon_dtype_size(dst->dtype);
    p.src_size = mascon_dtype_size(src->dtype);
    int same = dst->dtype == src->dtype;
    p.row = same ? row_of_size(p.dst_size) : masconC_convert_row(dst->dtype, src->dtype);
    p.transposed = same && choose_transpose(&p);
    int32_t inner = p.n - 1, outer = p.transposed ? inner - 1 : inner;
    p.strip = p.transposed ? STRIP : SLICE;
    p.strips = pieces(p.shape[inner], p.strip);
    p.tiles = p.transposed ? pieces(p.shape[outer], TILE) : 1;
    p.units = p.strips * p.tiles;
    for (int32_t d = 0; d < outer; d++) p.units *= p.shape[d];
    int64_t size = least(p.shape[inner], p.strip);
    if (p.transposed) size *= least(p.shape[outer], TILE);
    p.per_slice = size < SLICE ? SLICE / size : 1;
    masconI_parallel(pieces(p.units, p.per_slice), run_slice, &p);
}

/* ---- Kernels ---- */

static mascon_status same(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    masconC_copy_view(DST(call, 0), SRC(call, 0));
    return MASCON_OK;
}

static int contiguous_wish(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->dst[0] = MASCON_WISH_ROW;
    return 1;
}

static int cast_wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return DST(call, 0)->dtype == SRC(call, 0)->dtype ||
           masconC_convert_row(DST(call, 0)->dtype, SRC(call, 0)->dtype) != NULL;
}

static int copy_wish(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return DST(call, 0)->dtype == SRC(call, 1)->dtype ||
           masconC_convert_row(DST(call, 0)->dtype, SRC(call, 1)->dtype) != NULL;
}

/* dst = source, broadcast to dst */
static mascon_status copy(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0), *source = SRC(call, 1);
    mascon_view wide = *source;
    for (int32_t d = 0; d < y->ndim; d++) {
        int32_t k = d - (y->ndim - source->ndim);
        wide.shape[d] = y->shape[d];
        wide.stride[d] = k < 0 || source->shape[k] != y->shape[d] ? 0 : source->stride[k];
    }
    wide.ndim = y->ndim;
    masconC_copy_view(y, &wide);
    return MASCON_OK;
}

/* One element, seen as a tensor of y's shape, is copied to all. */
static mascon_status set_all(const mascon_view *y, double value) {
    uint64_t element = 0;
    masconI_store(&element, y->dtype, 0, value);
    mascon_view one = *y;
    one.data = &element;
    for (int32_t d = 0; d < y->ndim; d++) one.stride[d] = 0;
    masconC_copy_view(y, &one);
    return MASCON_OK;
}

static mascon_status full(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return set_all(DST(call, 0), call->attr[9]);
}

static mascon_status fill(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    return set_all(DST(call, 0), call->attr[0]);
}

const mascon_kernel masconC_copy = {.wish = copy_wish, .run = copy};
const mascon_kernel masconC_cast = {.wish = cast_wish, .run = same};
const mascon_kernel masconC_clone = {.run = same};
const mascon_kernel masconC_contiguous = {.wish = contiguous_wish, .run = same};
const mascon_kernel masconC_full = {.run = full};
const mascon_kernel masconC_fill = {.run = fill};

/* ---- pad with a constant: the whole is filled, then x copied into the middle ---- */

static int pad_wish(const mascon_call *call, mascon_wish *w) {
    if (call->attr[9] != 0) return 0; /* the other modes repeat elements of x */
    w->dst[0] = SRC(call, 0)->layout == MASCON_LAYOUT_NHWC ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    return 1;
}

/* The middle of the padded tensor: the elements of x. */
static mascon_view middle(const mascon_call *call, const mascon_view *padded,
                          const int64_t *shape) {
    int64_t before[MASCON_MAX_DIMS];
    int32_t n = (int32_t)call->attr[0];
    for (int32_t d = 0; d < padded->ndim; d++) {
        int32_t i = 2 * (padded->ndim - 1 - d);
        before[d] = i < n ? (int64_t)call->attr[1 + i] : 0;
    }
    return masconC_region(padded, shape, before);
}

static mascon_status pad(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *y = DST(call, 0);
    mascon_view part = middle(call, y, x->shape);
    MASCON_TRY(set_all(y, call->attr[10]));
    masconC_copy_view(&part, x);
    return MASCON_OK;
}

static mascon_status pad_bwd(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dx = DST(call, 0);
    mascon_view part = middle(call, SRC(call, 0), dx->shape);
    masconC_copy_view(dx, &part);
    return MASCON_OK;
}

const mascon_kernel masconC_pad = {.wish = pad_wish, .run = pad};
const mascon_kernel masconC_pad_bwd = {.wish = pad_wish, .run = pad_bwd};

/* ---- cat ---- */

static int cat_wish(const mascon_call *call, mascon_wish *w) {
    int nhwc = 1;
    for (int64_t i = 0; i < call->n_list; i++) {
        nhwc = nhwc && mascon_see(call->list[i])->layout == MASCON_LAYOUT_NHWC;
    }
    w->dst[0] = nhwc ? MASCON_WISH_NHWC : MASCON_WISH_ROW;
    return 1;
}

static mascon_status cat(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    int64_t start[MASCON_MAX_DIMS] = {0};
    int32_t dim;
    MASCON_TRY(masconI_dim(call->attr[0], y->ndim, &dim));
    for (int64_t k = 0; k < call->n_list; k++) {
        const mascon_view *x = mascon_see(call->list[k]);
        mascon_view part = masconC_region(y, x->shape, start);
        masconC_copy_view(&part, x);
        start[dim] += x->shape[dim];
    }
    return MASCON_OK;
}

const mascon_kernel masconC_cat = {.wish = cat_wish, .run = cat};

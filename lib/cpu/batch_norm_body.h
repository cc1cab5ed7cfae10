/* batch_norm_body.h: batch_norm_rows.c's loops for one type of element: V vectors of channels over n
 * rows. Defines functions with the name's ending SUFFIX over ELEMENT, and takes both macros back. */
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)
#define LOAD NAME(masconC_load)
#define STORE NAME(masconC_store)
#define GET NAME(masconC_get)
#define PUT NAME(masconC_put)
#define ROUND NAME(masconC_round)

/* Means and squared deviations of one slice: a pass for the mean, a pass around it, and what the
 * rounding of the mean left over. */
INLINE void NAME(moments_block)(const ELEMENT *x, int64_t stride, int64_t n, int V, double *mean,
                                double *squares) {
    vector s[2 * WIDE] = {{0}}, q[WIDE] = {{0}}, m[WIDE], one, two;
    int64_t r = 0;
    for (; r + 2 <= n; r += 2) {
        UNROLL for (int v = 0; v < V; v++) {
            LOAD(x + r * stride + LANES * v, &one);
            LOAD(x + (r + 1) * stride + LANES * v, &two);
            s[v] += one;
            s[V + v] += two;
        }
    }
    if (r < n) {
        UNROLL for (int v = 0; v < V; v++) {
            LOAD(x + r * stride + LANES * v, &one);
            s[v] += one;
        }
    }
    UNROLL for (int v = 0; v < V; v++) {
        m[v] = (s[v] + s[V + v]) / (float)n;
        s[v] = (vector){0};
    }
    for (r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            LOAD(x + r * stride + LANES * v, &one);
            one -= m[v];
            s[v] += one;
            q[v] += one * one;
        }
    }
    for (int v = 0; v < V; v++) {
        for (int k = 0; k < LANES; k++) {
            const double rest = (double)s[v][k];
            mean[LANES * v + k] = (double)m[v][k] + rest / (double)n;
            squares[LANES * v + k] = (double)q[v][k] - rest * rest / (double)n;
        }
    }
}

/* Sums of dy and of dy * (x - mean) of one slice. */
INLINE void NAME(products_block)(const ELEMENT *dy, const ELEMENT *x, int64_t stride, int64_t n,
                                 int V, const float *mean, double *sum, double *product) {
    vector s[WIDE] = {{0}}, q[WIDE] = {{0}}, m[WIDE], d, value;
    UNROLL for (int v = 0; v < V; v++) m[v] = *(const vector *)(mean + LANES * v);
    for (int64_t r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            LOAD(dy + r * stride + LANES * v, &d);
            LOAD(x + r * stride + LANES * v, &value);
            s[v] += d;
            q[v] += d * (value - m[v]);
        }
    }
    for (int v = 0; v < V; v++) {
        for (int k = 0; k < LANES; k++) {
            sum[LANES * v + k] = (double)s[v][k];
            product[LANES * v + k] = (double)q[v][k];
        }
    }
}

/* tail: bit 0: + residual, bit 1: relu. y may be x. */
INLINE void NAME(normalise_block)(const ELEMENT *x, int64_t stride, int64_t n, int V,
                                  const masconC_norm_factors *f, int64_t c, int tail,
                                  const ELEMENT *residual, ELEMENT *y) {
    vector m[WIDE], a[WIDE], b[WIDE], value, more;
    UNROLL for (int v = 0; v < V; v++) {
        m[v] = *(const vector *)(f->mean + c + LANES * v);
        a[v] = *(const vector *)(f->a + c + LANES * v);
        b[v] = *(const vector *)(f->c + c + LANES * v);
    }
    for (int64_t r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            const int64_t at = r * stride + c + LANES * v;
            LOAD(x + at, &value);
            value = (value - m[v]) * a[v] + b[v];
            if (tail & RESIDUAL) {
                ROUND(&value);
                LOAD(residual + at, &more);
                value += more;
            }
            if (tail & RELU) value = (vector)((mask_vector)value & ~(mask_vector)(value < 0));
            STORE(y + at, &value);
        }
    }
}

INLINE void NAME(combine_block)(const ELEMENT *dy, const ELEMENT *x, int64_t stride, int64_t n,
                                int V, const masconC_norm_factors *f, int64_t c, int mask,
                                ELEMENT *dx) {
    vector m[WIDE], a[WIDE], b[WIDE], e[WIDE], value, d;
    UNROLL for (int v = 0; v < V; v++) {
        m[v] = *(const vector *)(f->mean + c + LANES * v);
        a[v] = *(const vector *)(f->a + c + LANES * v);
        b[v] = *(const vector *)(f->b + c + LANES * v);
        e[v] = *(const vector *)(f->c + c + LANES * v);
    }
    for (int64_t r = 0; r < n; r++) {
        UNROLL for (int v = 0; v < V; v++) {
            const int64_t at = r * stride + c + LANES * v;
            LOAD(x + at, &value);
            LOAD(dy + at, &d);
            d = a[v] * d + (b[v] * (value - m[v]) + e[v]);
            if (mask) d = (vector)((mask_vector)d & ~(mask_vector)(value <= 0));
            STORE(dx + at, &d);
        }
    }
}

MASCON_CLONES static void NAME(moments_rows)(const ELEMENT *x, int64_t channels, int64_t n,
                                             double *mean, double *squares) {
    int64_t c = 0;
#define BLOCK(V) NAME(moments_block)(x + c, channels, n, V, mean + c, squares + c)
    BLOCKS(c, channels, BLOCK);
#undef BLOCK
    for (; c < channels; c++) {
        double sum = 0, rest = 0, q = 0;
        for (int64_t r = 0; r < n; r++) sum += (double)GET(x + r * channels + c);
        const double m = sum / (double)n;
        for (int64_t r = 0; r < n; r++) {
            const double d = (double)GET(x + r * channels + c) - m;
            rest += d;
            q += d * d;
        }
        mean[c] = m + rest / (double)n;
        squares[c] = q;
    }
}

MASCON_CLONES static void NAME(products_rows)(const ELEMENT *dy, const ELEMENT *x, int64_t channels,
                                              int64_t n, const float *mean, double *sum,
                                              double *product) {
    int64_t c = 0;
#define BLOCK(V) NAME(products_block)(dy + c, x + c, channels, n, V, mean + c, sum + c, product + c)
    BLOCKS(c, channels, BLOCK);
#undef BLOCK
    for (; c < channels; c++) {
        sum[c] = product[c] = 0;
        for (int64_t r = 0; r < n; r++) {
            const double d = (double)GET(dy + r * channels + c);
            sum[c] += d;
            product[c] += d * ((double)GET(x + r * channels + c) - (double)mean[c]);
        }
    }
}

MASCON_CLONES static void NAME(normalise_rows)(const ELEMENT *x, int64_t channels, int64_t n,
                                               const masconC_norm_factors *f, int tail,
                                               const ELEMENT *residual, ELEMENT *y) {
    int64_t c = 0;
#define PLAIN(V) NAME(normalise_block)(x, channels, n, V, f, c, 0, residual, y)
#define ADDED(V) NAME(normalise_block)(x, channels, n, V, f, c, RESIDUAL, residual, y)
#define CUT(V) NAME(normalise_block)(x, channels, n, V, f, c, RELU, residual, y)
#define BOTH(V) NAME(normalise_block)(x, channels, n, V, f, c, RESIDUAL | RELU, residual, y)
    if (tail == (RESIDUAL | RELU)) {
        BLOCKS(c, channels, BOTH);
    } else if (tail == RESIDUAL) {
        BLOCKS(c, channels, ADDED);
    } else if (tail == RELU) {
        BLOCKS(c, channels, CUT);
    } else {
        BLOCKS(c, channels, PLAIN);
    }
#undef PLAIN
#undef ADDED
#undef CUT
#undef BOTH
    for (int64_t r = 0; r < n && c < channels; r++) {
        for (int64_t k = c; k < channels; k++) {
            const int64_t at = r * channels + k;
            PUT(y + at, (GET(x + at) - f->mean[k]) * f->a[k] + f->c[k]);
            if (tail & RESIDUAL) PUT(y + at, GET(y + at) + GET(residual + at));
            if (tail & RELU && GET(y + at) < 0) PUT(y + at, 0);
        }
    }
}

MASCON_CLONES static void NAME(combine_rows)(const ELEMENT *dy, const ELEMENT *x, int64_t channels,
                                             int64_t n, const masconC_norm_factors *f, int mask,
                                             ELEMENT *dx) {
    int64_t c = 0;
#define PLAIN(V) NAME(combine_block)(dy, x, channels, n, V, f, c, 0, dx)
#define MASKED(V) NAME(combine_block)(dy, x, channels, n, V, f, c, 1, dx)
    if (mask) {
        BLOCKS(c, channels, MASKED);
    } else {
        BLOCKS(c, channels, PLAIN);
    }
#undef PLAIN
#undef MASKED
    for (int64_t r = 0; r < n && c < channels; r++) {
        for (int64_t k = c; k < channels; k++) {
            const float v = GET(x + r * channels + k), g = GET(dy + r * channels + k);
            const float d = f->a[k] * g + (f->b[k] * (v - f->mean[k]) + f->c[k]);
            PUT(dx + r * channels + k, mask && v <= 0 ? 0 : d);
        }
    }
}

/* ---- Elements from row `first` on ---- */

static void NAME(moments)(const masconC_norm *j, int64_t first, int64_t n, double *mean,
                          double *squares) {
    const int64_t c = j->s.c;
    NAME(moments_rows)((const ELEMENT *)j->x + first * c, c, n, mean, squares);
}

static void NAME(products)(const masconC_norm *j, int64_t first, int64_t n, double *sum,
                           double *product) {
    const int64_t c = j->s.c;
    NAME(products_rows)
    ((const ELEMENT *)j->dy + first * c, (const ELEMENT *)j->x + first * c, c, n, j->f.mean, sum,
     product);
}

static void NAME(normalise)(const masconC_norm *j, int64_t first, int64_t n) {
    const int64_t at = first * j->s.c;
    const int tail = (j->residual ? RESIDUAL : 0) | (j->relu ? RELU : 0);
    const ELEMENT *residual = j->residual ? (const ELEMENT *)j->residual + at : NULL;
    NAME(normalise_rows)
    ((const ELEMENT *)j->x + at, j->s.c, n, &j->f, tail, residual, (ELEMENT *)j->y + at);
}

static void NAME(combine)(const masconC_norm *j, int64_t first, int64_t n) {
    const int64_t at = first * j->s.c;
    NAME(combine_rows)
    ((const ELEMENT *)j->dy + at, (const ELEMENT *)j->x + at, j->s.c, n, &j->f, j->mask,
     (ELEMENT *)j->y + at);
}

#undef LOAD
#undef STORE
#undef GET
#undef PUT
#undef ROUND
#undef NAME
#undef JOIN
#undef JOIN_
#undef SUFFIX
#undef ELEMENT

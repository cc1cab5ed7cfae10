/* depthwise_body.h: the loops of the depthwise convolution, written once for any vector length.
 *
 * NAME is the function to define; the other macros are those of vector512.h and vector256.h. Four
 * neighbouring outputs are computed at a time, so that each input and each weight is loaded once for
 * several sums. The taps are added row by row. */
#define INLINE TARGET static inline __attribute__((always_inline))

enum { SPAN = 4, TAPS = 9, MOST_COLUMNS = 2 * (SPAN - 1) + 3 };

/* What a tap meets outside of the picture. */
static const float nothing[MASCON_DEPTHWISE_CHANNELS + VECTOR];

/* `count` outputs of one vector of channels. Input (i, j) is at[i * MOST_COLUMNS + j] + channel at an
 * edge, else from[i * line + j * c]. count, step, edge and whole are constants wherever this is
 * called. */
INLINE void block(const float *const *at, const float *from, int64_t line, int64_t c,
                  int64_t channel, part m, const float *weight, int64_t row, vec bias, vec floor,
                  float *y, const int count, const int step, const int edge, const int whole) {
    vec sum[SPAN];
#pragma GCC unroll 4
    for (int o = 0; o < count; o++) sum[o] = bias;
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vec x[MOST_COLUMNS];
#pragma GCC unroll 9
        for (int j = 0; j < step * (count - 1) + 3; j++) {
            const float *p = (edge ? at[i * MOST_COLUMNS + j] : from + i * line + j * c) + channel;
            x[j] = whole ? LOAD(p) : LOAD_PART(p, m);
        }
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++) {
            const vec w = LOAD(weight + (i * 3 + k) * row + channel);
#pragma GCC unroll 4
            for (int o = 0; o < count; o++) sum[o] = FMA(x[o * step + k], w, sum[o]);
        }
    }
#pragma GCC unroll 4
    for (int o = 0; o < count; o++) {
        const vec r = MAX(floor, sum[o]);
        if (whole) {
            STORE(y + o * c + channel, r);
        } else {
            STORE_PART(y + o * c + channel, m, r);
        }
    }
}

/* All channels of `count` outputs. */
INLINE void outputs(const masconI_depthwise *g, const float *const *at, const float *from,
                    const float *weight, const float *bias, float *y, const int count,
                    const int step, const int edge) {
    const int64_t line = g->w * g->c;
    const vec floor = SET1(g->floor);
    int64_t c = 0;
    for (; c + VECTOR <= g->c; c += VECTOR) {
        const vec b = bias ? LOAD(bias + c) : ZERO();
        block(at, from, line, g->c, c, PART(0), weight, g->row, b, floor, y, count, step, edge, 1);
    }
    if (c < g->c) {
        const part m = PART(g->c - c);
        const vec b = bias ? LOAD_PART(bias + c, m) : ZERO();
        block(at, from, line, g->c, c, m, weight, g->row, b, floor, y, count, step, edge, 0);
    }
}

/* Outputs ox..ox+count-1 of a row. */
INLINE void some(const masconI_depthwise *g, const float *picture, int64_t top, int64_t ox,
                 const float *weight, const float *bias, float *y, const int count,
                 const int step) {
    const int64_t line = g->w * g->c, left = ox * step - g->left;
    const int columns = step * (count - 1) + 3;
    const float *at[3 * MOST_COLUMNS];
    if (top >= 0 && top + 3 <= g->h && left >= 0 && left + columns <= g->w) {
        const float *from = picture + top * line + left * g->c;
        outputs(g, at, from, weight, bias, y + ox * g->c, count, step, 0);
        return;
    }
    for (int64_t i = 0; i < 3; i++) {
        for (int64_t j = 0; j < columns; j++) {
            const int inside = top + i >= 0 && top + i < g->h && left + j >= 0 && left + j < g->w;
            at[i * MOST_COLUMNS + j] =
                inside ? picture + (top + i) * line + (left + j) * g->c : nothing;
        }
    }
    outputs(g, at, nothing, weight, bias, y + ox * g->c, count, step, 1);
}

INLINE void picture_row(const masconI_depthwise *g, const float *picture, int64_t oy,
                        const float *weight, const float *bias, float *y, const int step) {
    const int64_t top = oy * step - g->top;
    int64_t ox = 0;
    for (; ox + SPAN <= g->ow; ox += SPAN) {
        some(g, picture, top, ox, weight, bias, y, SPAN, step);
    }
    if (ox < g->ow && g->ow >= SPAN) { /* the last four, some of them once more */
        some(g, picture, top, g->ow - SPAN, weight, bias, y, SPAN, step);
    } else {
        for (; ox < g->ow; ox++) some(g, picture, top, ox, weight, bias, y, 1, step);
    }
}

TARGET void NAME(const masconI_depthwise *g, const float *x, const float *weight, const float *bias,
                 int64_t first, int64_t end, float *y) {
    for (int64_t r = first; r < end; r++) {
        const float *picture = x + r / g->oh * g->h * g->w * g->c;
        float *to = y + r * g->ow * g->c;
        if (g->step == 1) {
            picture_row(g, picture, r % g->oh, weight, bias, to, 1);
        } else {
            picture_row(g, picture, r % g->oh, weight, bias, to, 2);
        }
    }
}

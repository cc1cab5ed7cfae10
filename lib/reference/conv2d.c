/* conv2d.c: reference kernels of conv2d, conv2d_relu, conv2d_norm and the backward ops.
 *
 * x {n, c, h, w}, weight {oc, c / groups, kh, kw}, bias {oc}, y {n, oc, oh, ow}. An output element
 * (oc, oh, ow) meets input row oh * sh - top + i * dh with kernel row i, and so for columns. */
#include "ops/conv2d.h"
#include "core/cut.h"
#include "reference/norm.h"

static double at4(const mascon_view *v, int64_t a, int64_t b, int64_t c, int64_t d) {
    return masconI_load(v->data, v->dtype, masconR_position(v, (int64_t[]){a, b, c, d}));
}

static double one_output(const mascon_window2d *w, const mascon_view *x, const mascon_view *weight,
                         int64_t n, int64_t oc, int64_t oh, int64_t ow) {
    const int64_t per_group = w->c / w->groups, first = oc / (w->oc / w->groups) * per_group;
    double sum = 0;
    for (int64_t c = 0; c < per_group; c++) {
        for (int64_t i = 0; i < w->kh; i++) {
            const int64_t row = masconI_window_input(oh, i, w->sh, w->dh, w->top, w->h);
            if (row < 0) continue;
            for (int64_t j = 0; j < w->kw; j++) {
                const int64_t column = masconI_window_input(ow, j, w->sw, w->dw, w->left, w->w);
                if (column < 0) continue;
                sum += at4(x, n, first + c, row, column) * at4(weight, oc, c, i, j);
            }
        }
    }
    return sum;
}

static double channel(const mascon_call *call, int i, int64_t oc, double absent) {
    return masconI_src_given(call, i) ? masconR_get(SRC(call, i), oc) : absent;
}

/* What the op makes of a sum of its convolution, bias included; at: the element of y. */
static double finish(const mascon_call *call, double sum, int64_t oc, int64_t at) {
    if (call->op == MASCON_OP_conv2d) return sum;
    int relu = 1;
    if (call->op == MASCON_OP_conv2d_norm) {
        if (call->attr[NN_CONV2D_NORM_TRAINING] != 0)
            return sum; /* finish_training does the rest */
        relu = call->attr[NN_CONV2D_NORM_RELU] != 0;
        if (masconI_src_given(call, NN_CONV2D_NORM_MEAN)) {
            sum -= channel(call, NN_CONV2D_NORM_MEAN, oc, 0);
            sum /= sqrt(channel(call, NN_CONV2D_NORM_VAR, oc, 1) + call->attr[NN_CONV2D_NORM_EPS]);
        }
        sum = sum * channel(call, NN_CONV2D_NORM_WEIGHT, oc, 1) +
              channel(call, NN_CONV2D_NORM_BIAS, oc, 0);
        if (masconI_src_given(call, NN_CONV2D_NORM_RESIDUAL)) {
            sum += masconR_get(SRC(call, NN_CONV2D_NORM_RESIDUAL), at);
        }
    }
    return relu && sum < 0 ? 0 : sum;
}

/* conv2d_norm in training, over the finished convolution. */
static void finish_training(const mascon_call *call) {
    mascon_call norm;
    masconI_conv2d_norm_inner(call, &norm);
    const mascon_view *y = DST(call, 0);
    const masconI_channels s = masconI_channels_of(y);
    const int relu = call->attr[NN_CONV2D_NORM_RELU] != 0;
    const int residual = masconI_src_given(call, NN_CONV2D_NORM_RESIDUAL);
    for (int64_t c = 0; c < s.c; c++) {
        double mean, rstd;
        masconR_norm_statistics(&norm, c, &mean, &rstd);
        const double weight = channel(call, NN_CONV2D_NORM_WEIGHT, c, 1);
        const double bias = channel(call, NN_CONV2D_NORM_BIAS, c, 0);
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t at = masconR_norm_at(&s, c, i);
            masconR_set(y, at, (masconR_get(y, at) - mean) * rstd * weight + bias);
            if (residual) {
                masconR_set(
                    y, at,
                    masconR_get(y, at) + masconR_get(SRC(call, NN_CONV2D_NORM_RESIDUAL), at));
            }
            if (relu && masconR_get(y, at) < 0) masconR_set(y, at, 0);
        }
    }
}

static mascon_status conv2d(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    const mascon_view *bias = masconI_src_given(call, 2) ? SRC(call, 2) : NULL;
    mascon_window2d w;
    masconI_window2d(call, &w);
    int64_t at = 0;
    for (int64_t n = 0; n < w.n; n++) {
        for (int64_t oc = 0; oc < w.oc; oc++) {
            const double start = bias ? masconR_get(bias, oc) : 0;
            for (int64_t oh = 0; oh < w.oh && !masconI_cut_asked(); oh++) {
                for (int64_t ow = 0; ow < w.ow; ow++, at++) {
                    const double sum =
                        start + one_output(&w, SRC(call, 0), SRC(call, 1), n, oc, oh, ow);
                    masconR_set(y, at, finish(call, sum, oc, at));
                }
            }
        }
    }
    if (call->op == MASCON_OP_conv2d_norm && call->attr[NN_CONV2D_NORM_TRAINING] != 0) {
        finish_training(call);
    }
    return MASCON_OK;
}

/* dx[n, c, row, column] = the sum over oc, i, j of dy at the output that meets it, times weight */
static double one_input(const mascon_window2d *w, const mascon_view *dy, const mascon_view *weight,
                        int64_t n, int64_t c, int64_t row, int64_t column) {
    const int64_t in_group = w->c / w->groups, out_group = w->oc / w->groups;
    const int64_t first = c / in_group * out_group;
    double sum = 0;
    for (int64_t oc = first; oc < first + out_group; oc++) {
        for (int64_t i = 0; i < w->kh; i++) {
            const int64_t oh = masconI_window_output(row, i, w->sh, w->dh, w->top, w->oh);
            if (oh < 0) continue;
            for (int64_t j = 0; j < w->kw; j++) {
                const int64_t ow = masconI_window_output(column, j, w->sw, w->dw, w->left, w->ow);
                if (ow < 0) continue;
                sum += at4(dy, n, oc, oh, ow) * at4(weight, oc, c % in_group, i, j);
            }
        }
    }
    return sum;
}

static mascon_status conv2d_bwd_data(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *dx = DST(call, 0);
    mascon_window2d w;
    masconI_window2d(call, &w);
    int64_t at = 0;
    for (int64_t n = 0; n < w.n; n++) {
        for (int64_t c = 0; c < w.c; c++) {
            for (int64_t row = 0; row < w.h && !masconI_cut_asked(); row++) {
                for (int64_t column = 0; column < w.w; column++) {
                    masconR_set(dx, at++,
                                one_input(&w, SRC(call, 0), SRC(call, 1), n, c, row, column));
                }
            }
        }
    }
    return MASCON_OK;
}

/* dw[oc, c, i, j] = the sum over n, oh, ow of dy times the x it met; input is c with its group */
static double one_weight(const mascon_window2d *w, const mascon_view *x, const mascon_view *dy,
                         int64_t oc, int64_t input, int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t n = 0; n < w->n; n++) {
        for (int64_t oh = 0; oh < w->oh; oh++) {
            const int64_t row = masconI_window_input(oh, i, w->sh, w->dh, w->top, w->h);
            if (row < 0) continue;
            for (int64_t ow = 0; ow < w->ow; ow++) {
                const int64_t column = masconI_window_input(ow, j, w->sw, w->dw, w->left, w->w);
                if (column < 0) continue;
                sum += at4(x, n, input, row, column) * at4(dy, n, oc, oh, ow);
            }
        }
    }
    return sum;
}

static mascon_status conv2d_bwd_weight(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *x = SRC(call, 0), *dy = SRC(call, 1), *dw = DST(call, 0);
    mascon_window2d w;
    masconI_window2d(call, &w);
    const int64_t in_group = w.c / w.groups, out_group = w.oc / w.groups;
    int64_t at = 0;
    for (int64_t oc = 0; oc < w.oc; oc++) {
        for (int64_t c = 0; c < in_group; c++) {
            const int64_t input = oc / out_group * in_group + c;
            for (int64_t i = 0; i < w.kh; i++) {
                for (int64_t j = 0; j < w.kw && !masconI_cut_asked(); j++) {
                    masconR_set(dw, at++, one_weight(&w, x, dy, oc, input, i, j));
                }
            }
        }
    }
    if (call->n_dst < 2) return MASCON_OK;
    for (int64_t oc = 0; oc < w.oc; oc++) {
        double sum = 0;
        for (int64_t n = 0; n < w.n; n++) {
            for (int64_t i = 0; i < w.oh * w.ow; i++) sum += at4(dy, n, oc, i / w.ow, i % w.ow);
        }
        masconR_set(DST(call, 1), oc, sum);
    }
    return MASCON_OK;
}

/* A gradient takes the layout of its tensor, and weights lie channels-last. */
static int wish_bwd_weight(const mascon_call *call, mascon_wish *w) {
    (void)call;
    w->dst[0] = MASCON_WISH_NHWC;
    return 1;
}

const mascon_kernel masconR_conv2d = {.run = conv2d};
const mascon_kernel masconR_conv2d_relu = {.run = conv2d};
const mascon_kernel masconR_conv2d_norm = {.run = conv2d};
const mascon_kernel masconR_conv2d_bwd_data = {.run = conv2d_bwd_data};
const mascon_kernel masconR_conv2d_bwd_weight = {.wish = wish_bwd_weight, .run = conv2d_bwd_weight};

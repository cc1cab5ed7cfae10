/* conv_transpose2d.c: reference kernel of conv_transpose2d.
 *
 * x {n, c, h, w}, weight {c, oc / groups, kh, kw}, bias {oc}, y {n, oc, oh, ow}. Output row r meets
 * input row i with kernel row k where i * stride - padding + k * dilation == r. */
#include "ops/conv_transpose2d.h"
#include "reference/reference.h"

static double at4(const mascon_view *v, int64_t a, int64_t b, int64_t c, int64_t d) {
    return masconI_load(v->data, v->dtype, masconR_position(v, (int64_t[]){a, b, c, d}));
}

static double one_output(const mascon_call *call, int64_t n, int64_t oc, int64_t row,
                         int64_t column) {
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1);
    const int64_t groups = masconI_attr_int(call, NN_CONV2D_GROUPS);
    const int64_t per_group = x->shape[1] / groups, first = oc / weight->shape[1] * per_group;
    int64_t step[2], padding[2], dilation[2];
    for (int i = 0; i < 2; i++) {
        step[i] = masconI_attr_int(call, NN_CONV2D_STRIDE + i);
        padding[i] = masconI_attr_int(call, NN_CONV2D_PADDING + i);
        dilation[i] = masconI_attr_int(call, NN_CONV2D_DILATION + i);
    }
    double sum = 0;
    for (int64_t k = 0; k < weight->shape[2]; k++) {
        const int64_t i =
            masconI_window_output(row, k, step[0], dilation[0], padding[0], x->shape[2]);
        if (i < 0) continue;
        for (int64_t l = 0; l < weight->shape[3]; l++) {
            const int64_t j =
                masconI_window_output(column, l, step[1], dilation[1], padding[1], x->shape[3]);
            if (j < 0) continue;
            for (int64_t c = first; c < first + per_group; c++) {
                sum += at4(x, n, c, i, j) * at4(weight, c, oc % weight->shape[1], k, l);
            }
        }
    }
    return sum;
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *y = DST(call, 0);
    const mascon_view *bias = call->n_src > 2 && call->src[2] ? SRC(call, 2) : NULL;
    int64_t at = 0;
    for (int64_t n = 0; n < y->shape[0]; n++) {
        for (int64_t oc = 0; oc < y->shape[1]; oc++) {
            const double start = bias ? masconR_get(bias, oc) : 0;
            for (int64_t row = 0; row < y->shape[2]; row++) {
                for (int64_t column = 0; column < y->shape[3]; column++) {
                    masconR_set(y, at++, start + one_output(call, n, oc, row, column));
                }
            }
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_conv_transpose2d = {.run = run};

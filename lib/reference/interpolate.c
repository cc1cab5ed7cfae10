/* interpolate.c: reference kernels of interpolate and its backward op. x {n, c, h, w},
 * y {n, c, oh, ow}; the taps are those of resample.h. */
#include "ops/resample.h"
#include "reference/reference.h"

static void directions(const mascon_call *call, masconI_resample r[2]) {
    const int back = call->op == MASCON_OP_interpolate_bwd;
    const mascon_view *x = back ? DST(call, 0) : SRC(call, 0);
    const mascon_view *y = back ? SRC(call, 0) : DST(call, 0);
    for (int d = 0; d < 2; d++) {
        r[d] = masconI_resample_of(call, d, x->shape[2 + d], y->shape[2 + d]);
    }
}

static size_t workspace(const mascon_call *call) {
    masconI_resample r[2];
    directions(call, r);
    return masconI_taps_bytes(r);
}

static int64_t offset(const mascon_view *v, int64_t n, int64_t c, int64_t h, int64_t w) {
    return masconR_position(v, (int64_t[]){n, c, h, w});
}

/* y[n, c, row, column] = the sum over its taps */
static double gather(const mascon_view *x, const masconI_taps *t, int64_t n, int64_t c, int64_t row,
                     int64_t column) {
    double sum = 0;
    for (int64_t i = row * t[0].most; i < row * t[0].most + t[0].count[row]; i++) {
        for (int64_t j = column * t[1].most; j < column * t[1].most + t[1].count[column]; j++) {
            const int64_t at = offset(x, n, c, t[0].index[i], t[1].index[j]);
            sum += t[0].weight[i] * t[1].weight[j] * masconI_load(x->data, x->dtype, at);
        }
    }
    return sum;
}

static void scatter(const mascon_view *dx, const masconI_taps *t, int64_t n, int64_t c, int64_t row,
                    int64_t column, double dy) {
    for (int64_t i = row * t[0].most; i < row * t[0].most + t[0].count[row]; i++) {
        for (int64_t j = column * t[1].most; j < column * t[1].most + t[1].count[column]; j++) {
            const int64_t at = offset(dx, n, c, t[0].index[i], t[1].index[j]);
            masconI_store(
                dx->data, dx->dtype, at,
                masconI_load(dx->data, dx->dtype, at) + t[0].weight[i] * t[1].weight[j] * dy);
        }
    }
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    const int back = call->op == MASCON_OP_interpolate_bwd;
    const mascon_view *x = back ? DST(call, 0) : SRC(call, 0);
    const mascon_view *y = back ? SRC(call, 0) : DST(call, 0);
    masconI_resample r[2];
    masconI_taps taps[2];
    directions(call, r);
    masconI_taps_fill(r, exec->workspace, taps);
    for (int64_t i = 0; back && i < x->numel; i++) masconR_set(x, i, 0);
    int64_t at = 0;
    for (int64_t n = 0; n < y->shape[0]; n++) {
        for (int64_t c = 0; c < y->shape[1]; c++) {
            for (int64_t row = 0; row < y->shape[2]; row++) {
                for (int64_t column = 0; column < y->shape[3]; column++, at++) {
                    if (back) {
                        scatter(x, taps, n, c, row, column, masconR_get(y, at));
                    } else {
                        masconR_set(y, at, gather(x, taps, n, c, row, column));
                    }
                }
            }
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_interpolate = {.workspace = workspace, .run = run};
const mascon_kernel masconR_interpolate_bwd = {.workspace = workspace, .run = run};

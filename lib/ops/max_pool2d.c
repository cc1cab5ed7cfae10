/* max_pool2d.c: the largest element of each window, and its backward op.
 *
 * x {n, c, h, w}, y {n, c, oh, ow}. positions {n, c, oh, ow} says where in its window (i * kw + j)
 * the first largest element stood; it is made only for a call that will be recorded. */
#include "ops/nn.h"

/* ORDER: NN_POOL_* and NN_MAX_POOL2D_* in nn.h. The first FORWARD options are those of both ops. */
static const mascon_attr attrs[] = {
    {"kernel_size", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_REQUIRED, 1, 1e6, NULL,
     "size of the window, vertical and horizontal"},
    {"stride", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_ABSENT, 1, 1e6, NULL,
     "step; the kernel size where absent"},
    {"padding", MASCON_ATTR_PAIR, MASCON_KEY, 0, 0, 1e6, NULL,
     "border that never wins, at most half of the kernel"},
    {"dilation", MASCON_ATTR_PAIR, MASCON_KEY, 1, 1, 1e6, NULL, "distance of window elements"},
    {"ceil_mode", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "also take a last window that reaches over the end"},
    {"height", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 1e9, NULL, "rows of dx"},
    {"width", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 1e9, NULL, "columns of dx"},
};

enum { ALL = sizeof attrs / sizeof attrs[0], FORWARD = ALL - 2 };

/* The smallest dtype that counts the window's elements. */
static int32_t positions_dtype(const mascon_window2d *w) {
    return w->kh * w->kw <= 256 ? MASCON_DTYPE_U8 : MASCON_DTYPE_I32;
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(masconI_check_window2d(call, &w));
    if (w.kh * w.kw > INT32_MAX) {
        return masconI_fail(MASCON_E_UNSUPPORTED,
                            "kernel_size %lldx%lld has more than 2^31 elements", (long long)w.kh,
                            (long long)w.kw);
    }
    const int64_t shape[] = {w.n, w.c, w.oh, w.ow};
    masconI_meta(&out[0], SRC(call, 0)->dtype, 4, shape);
    masconI_meta(&out[1], positions_dtype(&w), 4, shape);
    call->n_dst = masconI_will_record(call) ? 2 : 1;
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(masconI_check_window2d(call, &w));
    const int64_t shape[] = {w.n, w.c, w.oh, w.ow};
    MASCON_TRY(masconI_check_shape(call, 0, "dy", 4, shape));
    MASCON_TRY(masconI_check_shape(call, 1, "positions", 4, shape));
    if (SRC(call, 1)->dtype != positions_dtype(&w)) {
        return masconI_fail(MASCON_E_DTYPE, "positions are %s; expected %s",
                            mascon_dtype_name(SRC(call, 1)->dtype),
                            mascon_dtype_name(positions_dtype(&w)));
    }
    masconI_meta(&out[0], SRC(call, 0)->dtype, 4, (int64_t[]){w.n, w.c, w.h, w.w});
    return MASCON_OK;
}

/* dx gets each dy at the element that won */
static mascon_status grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_max_pool2d_bwd);
    call.n_src = 2;
    call.src[0] = g->dy[0];
    call.src[1] = g->call->dst[1];
    masconI_call_copy_options(&call, g->call);
    masconI_call_set(&call, "height", (double)x->shape[2]);
    masconI_call_set(&call, "width", (double)x->shape[3]);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_max_pool2d = {
    .name = "max_pool2d",
    .inputs = "x",
    .outputs = "y (positions)",
    .attrs = attrs,
    .n_attrs = FORWARD,
    .dtypes = MASCON_T_NUMBER,
    .summary = "largest element of each window of a batch {n, c, h, w}; NaN counts as largest",
    .example = "mascon.max_pool2d(mascon.rand{1, 3, 8, 8}, 2)",
    .infer = infer,
    .grad = grad,
    .saves = "positions",
};

const mascon_op mascon_op_max_pool2d_bwd = {
    .name = "max_pool2d_bwd",
    .inputs = "dy positions",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = ALL,
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of max_pool2d: dy at the elements that won, else 0",
    .infer = infer_bwd,
};

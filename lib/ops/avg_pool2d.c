/* avg_pool2d.c: the mean of each window, and its backward op.
 *
 * x {n, c, h, w}, y {n, c, oh, ow}. */
#include "ops/nn.h"

/* ORDER: NN_POOL_* and NN_AVG_POOL2D_* in nn.h. The first FORWARD options are those of both ops. */
static const mascon_attr attrs[] = {
    {"kernel_size", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_REQUIRED, 1, 1e6, NULL,
     "size of the window, vertical and horizontal"},
    {"stride", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_ABSENT, 1, 1e6, NULL,
     "step; the kernel size where absent"},
    {"padding", MASCON_ATTR_PAIR, MASCON_KEY, 0, 0, 1e6, NULL,
     "zeros added on each side, at most half of the kernel"},
    {"ceil_mode", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL,
     "also take a last window that reaches over the end"},
    {"count_include_pad", MASCON_ATTR_BOOLEAN, MASCON_KEY, 1, 0, 1, NULL,
     "divide by the padding's elements too"},
    {"divisor_override", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_ABSENT, 1, 0x1p53, NULL,
     "divide by this instead"},
    {"height", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 1e9, NULL, "rows of dx"},
    {"width", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 1e9, NULL, "columns of dx"},
};

enum { ALL = sizeof attrs / sizeof attrs[0], FORWARD = ALL - 2 };

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(masconI_check_window2d(call, &w));
    masconI_meta(&out[0], SRC(call, 0)->dtype, 4, (int64_t[]){w.n, w.c, w.oh, w.ow});
    return MASCON_OK;
}

static mascon_status infer_bwd(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_image(call));
    mascon_window2d w;
    masconI_window2d(call, &w);
    MASCON_TRY(masconI_check_window2d(call, &w));
    MASCON_TRY(masconI_check_shape(call, 0, "dy", 4, (int64_t[]){w.n, w.c, w.oh, w.ow}));
    masconI_meta(&out[0], SRC(call, 0)->dtype, 4, (int64_t[]){w.n, w.c, w.h, w.w});
    return MASCON_OK;
}

/* dx gets each dy, divided as in the forward pass, at every element of the window */
static mascon_status grad(mascon_grad *g) {
    const mascon_view *x = SRC(g->call, 0);
    mascon_call call;
    masconI_call_init(&call, MASCON_OP_avg_pool2d_bwd);
    call.n_src = 1;
    call.src[0] = g->dy[0];
    masconI_call_copy_options(&call, g->call);
    masconI_call_set(&call, "height", (double)x->shape[2]);
    masconI_call_set(&call, "width", (double)x->shape[3]);
    MASCON_TRY(mascon_invoke(&call));
    g->dx[0] = call.dst[0];
    return MASCON_OK;
}

const mascon_op mascon_op_avg_pool2d = {
    .name = "avg_pool2d",
    .inputs = "x",
    .outputs = "y",
    .attrs = attrs,
    .n_attrs = FORWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "mean of each window of a batch {n, c, h, w}",
    .example = "mascon.avg_pool2d(mascon.rand{1, 3, 8, 8}, 2)",
    .infer = infer,
    .grad = grad,
};

const mascon_op mascon_op_avg_pool2d_bwd = {
    .name = "avg_pool2d_bwd",
    .inputs = "dy",
    .outputs = "dx",
    .attrs = attrs,
    .n_attrs = ALL,
    .flags = MASCON_OPF_BACKWARD,
    .dtypes = MASCON_T_FLOAT,
    .summary = "gradient of avg_pool2d: dy spread evenly over its window",
    .infer = infer_bwd,
};

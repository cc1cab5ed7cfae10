/* conv.c: convolutions, their gradients and what is fused with them, through cuDNN plans.
 *
 * x {n, c, h, w}, weight {oc, c / groups, kh, kw}, bias {oc}, y {n, oc, oh, ow}, all channels-last (the
 * weight lies O-H-W-I). A plan does the convolution and as much of what follows as one engine can; the
 * rest is done to y in place by masconG_epilogue_run. conv2d_norm turns its batch norm into one factor
 * and one term per channel first, in the workspace. In training its convolution goes to the workspace, and
 * batch norm from there to y.
 */
#include "cuda/blas.h"
#include "cuda/conv_kernels.h"
#include "cuda/conv_plan.h"
#include "ops/conv_transpose2d.h"
#include "ops/nn.h"

/* One call as a convolution: the tensors of the plan, and what follows. */
typedef struct work {
    masconG_conv_key key;
    const mascon_view *x, *w, *y; /* by their roles in the convolution, whichever is the result */
    const mascon_view *result;
    const mascon_view *bias, *residual;
    int norm;                  /* conv2d_norm with anything to norm by */
    int trains;                /* conv2d_norm by the statistics of the batch */
    size_t aside_at, norm_at;  /* then: its convolution, and batch norm's memory */
    size_t scale_at, shift_at; /* bytes into the workspace */
    size_t sum_at;             /* parts of the bias gradient */
} work;

static const mascon_view *given(const mascon_call *call, int i) {
    return i < call->n_src && call->src[i] ? SRC(call, i) : NULL;
}

/* ---- What a call means ---- */

static void set_window(masconG_conv_key *k, const mascon_window2d *w) {
    k->n = w->n;
    k->c = w->c;
    k->h = w->h;
    k->w = w->w;
    k->oc = w->oc;
    k->oh = w->oh;
    k->ow = w->ow;
    k->kh = w->kh;
    k->kw = w->kw;
    k->sh = w->sh;
    k->sw = w->sw;
    k->dh = w->dh;
    k->dw = w->dw;
    k->top = w->top;
    k->left = w->left;
    k->bottom = w->bottom;
    k->right = w->right;
    k->groups = w->groups;
}

/* A transposed convolution is the gradient of a convolution with respect to its input: to that, x is the
 * gradient that comes in and y the one that goes out. */
static void set_transposed(masconG_conv_key *k, const mascon_call *call) {
    const mascon_view *x = SRC(call, 0), *weight = SRC(call, 1), *y = DST(call, 0);
    const int64_t top = masconI_attr_int(call, NN_CONV2D_PADDING);
    const int64_t left = masconI_attr_int(call, NN_CONV2D_PADDING + 1);
    set_window(k, &(mascon_window2d){.n = x->shape[0],
                                     .c = y->shape[1],
                                     .h = y->shape[2],
                                     .w = y->shape[3],
                                     .oc = x->shape[1],
                                     .oh = x->shape[2],
                                     .ow = x->shape[3],
                                     .kh = weight->shape[2],
                                     .kw = weight->shape[3],
                                     .sh = masconI_attr_int(call, NN_CONV2D_STRIDE),
                                     .sw = masconI_attr_int(call, NN_CONV2D_STRIDE + 1),
                                     .dh = masconI_attr_int(call, NN_CONV2D_DILATION),
                                     .dw = masconI_attr_int(call, NN_CONV2D_DILATION + 1),
                                     .top = top,
                                     .left = left,
                                     .bottom = top,
                                     .right = left,
                                     .groups = masconI_attr_int(call, NN_CONV2D_GROUPS)});
}

static void set_norm(work *w, const mascon_call *call) {
    for (int i = NN_CONV2D_NORM_MEAN; i <= NN_CONV2D_NORM_BIAS; i++) {
        w->norm = w->norm || given(call, i);
    }
    w->residual = given(call, NN_CONV2D_NORM_RESIDUAL);
    w->trains = call->attr[NN_CONV2D_NORM_TRAINING] != 0;
    if (w->trains) { /* residual and relu come behind batch norm */
        w->norm = 0;
        return;
    }
    if (w->norm) {
        w->key.tail = MASCONG_TAIL_SCALE | MASCONG_TAIL_SHIFT;
    }
    if (w->residual) w->key.tail |= MASCONG_TAIL_RESIDUAL;
    if (call->attr[NN_CONV2D_NORM_RELU] != 0) w->key.tail |= MASCONG_TAIL_RELU;
}

static void set_roles(work *w, const mascon_call *call) {
    const mascon_view *first = SRC(call, 0), *second = SRC(call, 1);
    w->result = DST(call, 0);
    w->x = first;
    w->w = second;
    w->y = w->result;
    if (call->op == MASCON_OP_conv2d_bwd_data || call->op == MASCON_OP_conv_transpose2d) {
        w->key.kind = MASCONG_CONV_DATA;
        w->x = w->result;
        w->y = first;
    } else if (call->op == MASCON_OP_conv2d_bwd_weight) {
        w->key.kind = MASCONG_CONV_WEIGHT;
        w->w = w->result;
        w->y = second;
    }
    const int has_bias = call->op == MASCON_OP_conv2d || call->op == MASCON_OP_conv2d_relu ||
                         call->op == MASCON_OP_conv2d_norm ||
                         call->op == MASCON_OP_conv_transpose2d;
    if (has_bias) w->bias = given(call, 2);
}

static int32_t alignment(const work *w) {
    const mascon_view *const tensors[] = {w->x, w->w, w->y, w->bias, w->residual};
    int32_t least = 16; /* what one load takes; more is of no use */
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        if (!tensors[i]) continue;
        const int32_t a = masconG_alignment(tensors[i]->data);
        if (a < least) least = a;
    }
    return least;
}

static work describe(const mascon_call *call) {
    work w = {0};
    set_roles(&w, call);
    masconG_conv_key *k = &w.key;
    if (call->op == MASCON_OP_conv_transpose2d) {
        set_transposed(k, call);
    } else {
        mascon_window2d window;
        masconI_window2d(call, &window);
        set_window(k, &window);
    }
    if (call->op == MASCON_OP_conv2d_norm) set_norm(&w, call);
    if (call->op == MASCON_OP_conv2d_relu) k->tail |= MASCONG_TAIL_RELU;
    if (w.bias && !w.norm && k->kind == MASCONG_CONV_FORWARD) k->tail |= MASCONG_TAIL_BIAS;
    k->dtype = w.result->dtype;
    k->device = w.result->device;
    k->tf32 = k->dtype == MASCON_DTYPE_F32 && masconG_host->setting(MASCON_SETTING_TF32);
    k->deterministic = masconG_host->setting(MASCON_SETTING_DETERMINISTIC);
    k->timed = masconG_host->setting(MASCON_SETTING_BENCHMARK) && !k->deterministic;
    k->alignment = alignment(&w);
    return w;
}

/* Nothing to multiply: an empty batch, or no channels. */
static int is_empty(const work *w) {
    return w->x->numel == 0 || w->w->numel == 0 || w->y->numel == 0;
}

/* ---- The kernel's parts ---- */

static int wish(const mascon_call *call, mascon_wish *w) {
    if (!masconG_takes(SRC(call, 0)->dtype)) return 0;
    w->src[0] = w->src[1] = w->dst[0] = MASCON_WISH_NHWC;
    for (int i = 2; i < MASCON_MAX_SRC; i++) w->src[i] = MASCON_WISH_ROW;
    if (call->op == MASCON_OP_conv2d_norm) {
        const int trains = call->attr[NN_CONV2D_NORM_TRAINING] != 0;
        /* the running statistics are written as they lie */
        for (int i = NN_CONV2D_NORM_MEAN; trains && i <= NN_CONV2D_NORM_BIAS; i++) {
            w->src[i] = MASCON_WISH_ANY;
        }
        w->src[NN_CONV2D_NORM_RESIDUAL] = MASCON_WISH_NHWC;
    }
    w->dst[1] = MASCON_WISH_ROW;
    w->kernel = "cudnn";
    return 1;
}

static size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }

static int64_t rows_of(const mascon_view *v) { return v->shape[0] * v->shape[2] * v->shape[3]; }

/* Places what lies behind the plan's own workspace; returns the bytes of all. */
static size_t place(work *w, const mascon_call *call, size_t plan_bytes) {
    size_t end = rounded(plan_bytes);
    if (w->norm) {
        const int wide = w->result->dtype == MASCON_DTYPE_F64;
        const size_t vector = rounded((size_t)w->key.oc * (wide ? sizeof(double) : sizeof(float)));
        w->scale_at = end;
        w->shift_at = end + vector;
        end += 2 * vector;
    }
    if (w->trains) {
        const mascon_view *y = w->result;
        w->aside_at = end;
        w->norm_at = end + rounded((size_t)y->numel * (size_t)mascon_dtype_size(y->dtype));
        end = w->norm_at + masconG_norm_bytes(y);
    }
    if (call->op == MASCON_OP_conv2d_bwd_weight && call->n_dst > 1) {
        w->sum_at = end;
        end += masconG_column_sum_bytes(rows_of(w->y), w->key.oc, w->y->dtype);
    }
    return end;
}

static size_t workspace(const mascon_call *call) {
    work w = describe(call);
    size_t bytes = 0;
    if (!is_empty(&w)) {
        masconG_entry *entry;
        /* run meets and reports the same failure */
        if (masconG_conv_plan_get(&w.key, &entry) != MASCON_OK) return 0;
        bytes = masconG_conv_plan_of(entry)->workspace;
        masconG_conv_plan_put(entry);
    }
    return place(&w, call, bytes);
}

static mascon_status fold(const work *w, const mascon_call *call, const mascon_exec *exec) {
    char *memory = exec->workspace;
    masconG_fold f = {.scale = memory + w->scale_at,
                      .shift = memory + w->shift_at,
                      .channels = w->key.oc,
                      .eps = call->attr[NN_CONV2D_NORM_EPS],
                      .dtype = w->result->dtype};
    const struct {
        int input;
        const void **data;
        int32_t *dtype;
    } inputs[] = {{2, &f.bias, &f.bias_dtype},
                  {NN_CONV2D_NORM_MEAN, &f.mean, &f.mean_dtype},
                  {NN_CONV2D_NORM_VAR, &f.var, &f.var_dtype},
                  {NN_CONV2D_NORM_WEIGHT, &f.weight, &f.weight_dtype},
                  {NN_CONV2D_NORM_BIAS, &f.norm_bias, &f.norm_bias_dtype}};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        const mascon_view *v = given(call, inputs[i].input);
        if (!v) continue;
        *inputs[i].data = v->data;
        *inputs[i].dtype = v->dtype;
    }
    return masconG_fold_run(&f, exec->stream);
}

/* memory: the call's workspace; own: the plan's part of it. */
static mascon_status execute(const work *w, const masconG_conv_plan *plan, char *memory,
                             void *own) {
    int64_t uids[7] = {MASCONG_UID_X, MASCONG_UID_W, MASCONG_UID_Y};
    void *pointers[7] = {w->x->data, w->w->data, w->y->data};
    const struct {
        int32_t bit, uid;
        void *pointer;
    } operands[] = {
        {MASCONG_TAIL_SCALE, MASCONG_UID_SCALE, memory ? memory + w->scale_at : NULL},
        {MASCONG_TAIL_SHIFT, MASCONG_UID_SHIFT, memory ? memory + w->shift_at : NULL},
        {MASCONG_TAIL_BIAS, MASCONG_UID_BIAS, w->bias ? w->bias->data : NULL},
        {MASCONG_TAIL_RESIDUAL, MASCONG_UID_RESIDUAL, w->residual ? w->residual->data : NULL},
    };
    int n = 3;
    for (int i = 0; i < 4; i++) {
        if (!(plan->tail & operands[i].bit)) continue;
        uids[n] = operands[i].uid;
        pointers[n++] = operands[i].pointer;
    }
    cudnnHandle_t handle;
    MASCON_TRY(masconG_dnn_handle(w->key.device, &handle));
    return masconG_plan_run(handle, plan->plan, n, uids, pointers, plan->workspace ? own : NULL);
}

static mascon_status execute_spare(const work *w, const masconG_conv_plan *spare, char *memory) {
    masconG_entry *plain = spare->instead;
    pthread_mutex_lock(&plain->lock);
    const mascon_status status = execute(w, masconG_conv_plan_of(plain), memory, spare->memory);
    pthread_mutex_unlock(&plain->lock);
    return status;
}

/* A plan that was made may still not run: one with a tail then makes room for the plain one, but where the
 * failed run has spoilt a capture. *tail: what was done of the tail. */
static mascon_status run_plan(const work *w, masconG_entry *entry, char *memory, int32_t *tail) {
    pthread_mutex_lock(&entry->lock);
    const masconG_conv_plan *plan = masconG_conv_plan_of(entry);
    *tail = plan->instead ? 0 : plan->tail;
    mascon_status status =
        plan->instead ? execute_spare(w, plan, memory) : execute(w, plan, memory, memory);
    if (*tail && (status == MASCON_E_UNSUPPORTED || status == MASCON_E_BACKEND) &&
        !masconG_captures()) {
        masconG_conv_plan spare;
        *tail = 0;
        status = masconG_conv_spare(entry, &spare);
        if (status == MASCON_OK) {
            status = execute_spare(w, &spare, memory);
            if (status == MASCON_OK) {
                masconG_conv_replace(entry, &spare);
            } else {
                masconG_conv_drop_spare(&spare);
            }
        }
    }
    pthread_mutex_unlock(&entry->lock);
    return status;
}

/* What the plan left over, on the result in place. */
static mascon_status run_rest(const work *w, int32_t left, const mascon_exec *exec) {
    const mascon_view *y = w->result;
    char *memory = exec->workspace;
    masconG_epilogue e = {
        .y = y->data, .rows = rows_of(y), .channels = y->shape[1], .dtype = y->dtype};
    if (left & MASCONG_TAIL_SCALE) e.scale = memory + w->scale_at;
    if (left & MASCONG_TAIL_SHIFT) e.shift = memory + w->shift_at;
    if (left & MASCONG_TAIL_BIAS) e.bias = w->bias->data;
    if (left & MASCONG_TAIL_RESIDUAL) e.residual = w->residual->data;
    e.relu = (left & MASCONG_TAIL_RELU) != 0;
    return masconG_epilogue_run(&e, exec->stream);
}

static mascon_status sum_bias(const work *w, const mascon_call *call, const mascon_exec *exec) {
    char *memory = exec->workspace;
    const mascon_view *db = DST(call, 1);
    return masconG_column_sum(w->y->data, db->data, memory ? memory + w->sum_at : NULL,
                              rows_of(w->y), w->key.oc, db->dtype, exec->stream);
}

static mascon_status clear(const mascon_view *v, cudaStream_t stream) {
    const size_t bytes = (size_t)v->numel * (size_t)mascon_dtype_size(v->dtype);
    if (bytes) CUDA_TRY(memset_async(v->data, 0, bytes, stream));
    return MASCON_OK;
}

/* Batch norm of the convolution, which lies in x, and what follows it. */
static mascon_status finish_training(const work *w, const mascon_call *call, const mascon_view *x,
                                     const mascon_exec *exec) {
    const mascon_view *y = DST(call, 0);
    const masconG_norm norm = {.x = x,
                               .y = y,
                               .mean = given(call, NN_CONV2D_NORM_MEAN),
                               .var = given(call, NN_CONV2D_NORM_VAR),
                               .weight = given(call, NN_CONV2D_NORM_WEIGHT),
                               .bias = given(call, NN_CONV2D_NORM_BIAS),
                               .eps = call->attr[NN_CONV2D_NORM_EPS],
                               .momentum = call->attr[NN_CONV2D_NORM_MOMENTUM],
                               .memory = (char *)exec->workspace + w->norm_at};
    MASCON_TRY(masconG_norm_run(&norm, exec->stream));
    int32_t left = 0;
    if (w->residual) left |= MASCONG_TAIL_RESIDUAL;
    if (call->attr[NN_CONV2D_NORM_RELU] != 0) left |= MASCONG_TAIL_RELU;
    work behind = *w;
    behind.result = y;
    return left ? run_rest(&behind, left, exec) : MASCON_OK;
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    work w = describe(call);
    int32_t left = w.key.tail;
    mascon_view aside = *w.result; /* where the convolution goes in training */
    if (w.trains) {
        if (aside.numel == 0) return MASCON_OK;
        w.y = w.result = &aside;
    }
    if (is_empty(&w)) {
        place(&w, call, 0);
        if (w.trains) aside.data = (char *)exec->workspace + w.aside_at;
        if (w.norm) MASCON_TRY(fold(&w, call, exec));
        MASCON_TRY(clear(w.result, exec->stream));
    } else {
        masconG_entry *entry;
        MASCON_TRY(masconG_conv_plan_get(&w.key, &entry));
        mascon_status status = MASCON_OK;
        if (place(&w, call, masconG_conv_plan_of(entry)->workspace) && !exec->workspace) {
            status = masconI_fail(MASCON_E_BACKEND, "no plan was found for the workspace");
        }
        if (status == MASCON_OK && w.trains) aside.data = (char *)exec->workspace + w.aside_at;
        if (status == MASCON_OK && w.norm) status = fold(&w, call, exec);
        int32_t tail = 0;
        if (status == MASCON_OK) status = run_plan(&w, entry, exec->workspace, &tail);
        left &= ~tail;
        const mascon_status done = masconG_done_with(entry, masconG_conv_plan_put);
        MASCON_TRY(status);
        MASCON_TRY(done);
    }
    if (call->op == MASCON_OP_conv2d_bwd_weight && call->n_dst > 1) {
        return sum_bias(&w, call, exec);
    }
    if (w.key.kind == MASCONG_CONV_DATA && w.bias) left |= MASCONG_TAIL_BIAS;
    if (left) MASCON_TRY(run_rest(&w, left, exec));
    return w.trains ? finish_training(&w, call, &aside, exec) : MASCON_OK;
}

const mascon_kernel masconG_conv2d = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_conv2d_relu = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_conv2d_norm = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_conv2d_bwd_data = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_conv2d_bwd_weight = {.wish = wish, .workspace = workspace, .run = run};
const mascon_kernel masconG_conv_transpose2d = {.wish = wish, .workspace = workspace, .run = run};

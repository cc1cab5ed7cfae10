/* conv.c: conv2d and conv2d_bwd_data on channels-last float32.
 *
 * Few channels go to our own loops (conv_small.c); the rest to oneDNN, one primitive per slice of
 * the batch, made for one thread. Weights are O-H-W-I; what oneDNN wants instead is packed at the
 * call, or found in the cache of packed weights (plan.c).
 */
#include "cpu/conv.h"

masconI_cut masconI_cut_batch(int64_t n) {
    /* Eight pieces let up to eight threads share a batch of 32 and leave a busy machine something
     * to even out; a piece must stay long against the microsecond that a primitive costs to start.
     */
    const int64_t pieces = n <= 64 ? 8 : 16;
    masconI_cut cut = {.size = (n + pieces - 1) / pieces};
    cut.count = (n + cut.size - 1) / cut.size;
    return cut;
}

masconI_conv masconI_conv_key(const mascon_window2d *w, int kind, int bias, int64_t n) {
    return (masconI_conv){.kind = kind,
                          .bias = bias,
                          .n = n,
                          .c = w->c,
                          .h = w->h,
                          .w = w->w,
                          .oc = w->oc,
                          .oh = w->oh,
                          .ow = w->ow,
                          .kh = w->kh,
                          .kw = w->kw,
                          .sh = w->sh,
                          .sw = w->sw,
                          .dh = w->dh,
                          .dw = w->dw,
                          .top = w->top,
                          .left = w->left,
                          .bottom = w->bottom,
                          .right = w->right,
                          .groups = w->groups};
}

int masconI_conv_plain(const mascon_call *call) {
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        const mascon_view *v = SRC(call, i);
        if (v->dtype != MASCON_DTYPE_F32 || v->numel == 0) return 0;
    }
    for (int i = 0; i < call->n_dst; i++) {
        if (DST(call, i)->numel == 0) return 0;
    }
    return 1;
}

mascon_status masconI_slice_status(atomic_int *status) {
    const int code = atomic_load(status);
    if (code == MASCON_OK) return MASCON_OK;
    return masconI_fail(code, "a slice of the batch failed: %s",
                        code == MASCON_E_OOM ? "out of memory" : "oneDNN reported an error");
}

/* ---- Plans of a call: one for whole slices, one for a smaller last slice ---- */

typedef struct plans {
    mascon_window2d w;
    masconI_cut cut;
    masconI_plan *plan[2];
    int count;
} plans;

static void plans_put(plans *p) {
    for (int i = 0; i < p->count; i++) masconI_plan_put(p->plan[i]);
}

static int has_bias(const mascon_call *call) { return call->n_src > 2 && call->src[2]; }

static mascon_status plans_get(const mascon_call *call, int kind, plans *p) {
    *p = (plans){0};
    masconI_window2d(call, &p->w);
    p->cut = masconI_cut_batch(p->w.n);
    const int64_t rest = p->w.n % p->cut.size;
    const int64_t sizes[2] = {p->cut.size, rest};
    const int bias = kind == MASCON_CONV_FORWARD && has_bias(call);
    for (int i = 0; i < 1 + (rest != 0); i++) {
        const masconI_conv key = masconI_conv_key(&p->w, kind, bias, sizes[i]);
        const mascon_status status = masconI_plan_get(&key, &p->plan[i]);
        if (status != MASCON_OK) {
            plans_put(p);
            return status;
        }
        p->count++;
    }
    return MASCON_OK;
}

static int plans_ready(const plans *p) {
    for (int i = 0; i < p->count; i++) {
        if (!p->plan[i]->conv) return 0;
    }
    return 1;
}

/* ---- The kernel ---- */

static int wish(const mascon_call *call, mascon_wish *w, int kind) {
    if (!masconI_conv_plain(call)) return 0;
    w->src[0] = w->src[1] = w->dst[0] = MASCON_WISH_NHWC;
    w->src[2] = MASCON_WISH_ROW;
    mascon_window2d window;
    masconI_window2d(call, &window);
    if (masconI_conv_small_fits(&window, kind)) {
        w->kernel = "few channels";
        return 1;
    }
    plans p;
    if (plans_get(call, kind, &p) != MASCON_OK) return 0;
    const int ready = plans_ready(&p);
    plans_put(&p);
    w->kernel = "oneDNN";
    return ready;
}

/* packed weights of each plan, then scratch of each thread */
static size_t room(const plans *p, size_t packed[2], size_t *scratch) {
    size_t total = 0;
    *scratch = 0;
    for (int i = 0; i < p->count; i++) {
        const size_t one = masconI_line(masconI_dnnl_scratch(p->plan[i]->conv));
        if (one > *scratch) *scratch = one;
        packed[i] = masconI_line(masconI_dnnl_packed(p->plan[i]->conv));
        total += packed[i];
    }
    return total + *scratch * (size_t)mascon_num_threads();
}

static size_t workspace(const mascon_call *call, int kind) {
    plans p;
    mascon_window2d window;
    masconI_window2d(call, &window);
    if (masconI_conv_small_fits(&window, kind)) return masconI_conv_small_workspace(&window, kind);
    if (plans_get(call, kind, &p) != MASCON_OK) return 0;
    size_t packed[2], scratch;
    const size_t bytes = plans_ready(&p) ? room(&p, packed, &scratch) : 0;
    plans_put(&p);
    return bytes;
}

typedef struct job {
    const plans *p;
    float *x, *y;
    const float *weight[2], *bias;
    char *scratch;
    size_t scratch_size;
    atomic_int status;
} job;

static void slice(void *context, int64_t i, int thread) {
    job *j = context;
    const mascon_window2d *w = &j->p->w;
    const int64_t first = i * j->p->cut.size;
    const int last = first + j->p->cut.size > w->n; /* a smaller slice */
    const mascon_status status = masconI_dnnl_run(
        j->p->plan[last]->conv, j->x + first * w->c * w->h * w->w, j->weight[last], j->bias,
        j->y + first * w->oc * w->oh * w->ow, j->scratch + j->scratch_size * (size_t)thread);
    if (status != MASCON_OK) atomic_store(&j->status, status);
}

static mascon_status run_dnnl(const plans *p, const mascon_tensor *weight, const float *bias,
                              float *x, float *y, char *work) {
    job j = {.p = p, .x = x, .y = y, .bias = bias};
    size_t packed[2];
    masconI_packed *held[2] = {NULL, NULL};
    mascon_status status = MASCON_OK;
    room(p, packed, &j.scratch_size);
    for (int i = 0; i < p->count && status == MASCON_OK; i++) {
        if (packed[i]) {
            status = masconI_packed_get(weight, p->plan[i], work, &j.weight[i], &held[i]);
        } else {
            j.weight[i] = mascon_see(weight)->data;
        }
        work += packed[i];
    }
    j.scratch = work;
    if (status == MASCON_OK) {
        masconI_parallel(p->cut.count, slice, &j);
        status = masconI_slice_status(&j.status);
    }
    masconI_packed_put(held[0]);
    masconI_packed_put(held[1]);
    return status;
}

static mascon_status run(mascon_call *call, mascon_exec *exec, int kind) {
    const int forward = kind == MASCON_CONV_FORWARD;
    const mascon_view *src = SRC(call, 0), *dst = DST(call, 0);
    float *x = forward ? src->data : dst->data, *y = forward ? dst->data : src->data;
    float *bias = forward && has_bias(call) ? SRC(call, 2)->data : NULL;
    plans p;
    mascon_window2d window;
    masconI_window2d(call, &window);
    if (masconI_conv_small_fits(&window, kind)) {
        return masconI_conv_small_run(&window, kind, x, SRC(call, 1)->data, bias, y,
                                      exec->workspace);
    }
    MASCON_TRY(plans_get(call, kind, &p));
    const mascon_status status = run_dnnl(&p, call->src[1], bias, x, y, exec->workspace);
    plans_put(&p);
    return status;
}

static int wish_forward(const mascon_call *call, mascon_wish *w) {
    return wish(call, w, MASCON_CONV_FORWARD);
}
static size_t workspace_forward(const mascon_call *call) {
    return workspace(call, MASCON_CONV_FORWARD);
}
static mascon_status run_forward(mascon_call *call, mascon_exec *exec) {
    return run(call, exec, MASCON_CONV_FORWARD);
}

static int wish_data(const mascon_call *call, mascon_wish *w) {
    return wish(call, w, MASCON_CONV_BWD_DATA);
}
static size_t workspace_data(const mascon_call *call) {
    return workspace(call, MASCON_CONV_BWD_DATA);
}
static mascon_status run_data(mascon_call *call, mascon_exec *exec) {
    return run(call, exec, MASCON_CONV_BWD_DATA);
}

const mascon_kernel masconC_conv2d = {
    .wish = wish_forward, .workspace = workspace_forward, .run = run_forward};
const mascon_kernel masconC_conv2d_bwd_data = {
    .wish = wish_data, .workspace = workspace_data, .run = run_data};

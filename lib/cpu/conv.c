/* conv.c: conv2d and conv2d_bwd_data on channels-last float32.
 *
 * Few channels go to our own loops (conv_small.c), most 3x3 with step 1 to Winograd's method
 * (winograd.c), as conv_choice.c says; the rest to oneDNN, one primitive per slice of the batch,
 * made for one thread. Weights are O-H-W-I; what oneDNN wants instead is packed at the
 * call, or found in the cache of packed weights (plan.c).
 */
#include "cpu/conv.h"

#include <string.h>

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

/* ---- Plans of a call ---- */

enum { PARTS = 8, PLANS = PARTS };

/* Slices of the batch (one plan for whole slices, one for a smaller last one), or, forward with few
 * pictures, of the output rows of each picture: `parts` of them, each with its plan. */
typedef struct plans {
    mascon_window2d w;
    masconI_cut cut;
    int64_t parts; /* 0: slices of the batch */
    int of_part[PARTS];
    int64_t x_first[PARTS], y_first[PARTS]; /* first rows of a part */
    masconI_plan *plan[PLANS];
    int count;
} plans;

static void plans_put(plans *p) {
    for (int i = 0; i < p->count; i++) masconI_plan_put(p->plan[i]);
}

static int has_bias(const mascon_call *call) { return call->n_src > 2 && call->src[2]; }

/* Adds the plan of this key, unless it is there; *at is its number. */
static mascon_status add_plan(plans *p, const masconI_conv *key, int *at) {
    for (*at = 0; *at < p->count; ++*at) {
        if (memcmp(&p->plan[*at]->key, key, sizeof *key) == 0) return MASCON_OK;
    }
    MASCON_TRY(masconI_plan_get(key, &p->plan[p->count]));
    p->count++;
    return MASCON_OK;
}

/* How many parts a picture's output rows are cut into; 0: none. */
static int64_t count_parts(const mascon_window2d *w, int kind) {
    /* A part of fewer multiplications is not worth a call, one of few pixels leaves the vectors of
     * oneDNN's matrix products short. */
    const int64_t least_work = 400000, least_pixels = 24;
    if (kind != MASCON_CONV_FORWARD || w->n >= PARTS / 2 || w->oh < 2) return 0;
    const int64_t work = w->oh * w->ow * w->oc * w->kh * w->kw * w->c / w->groups;
    int64_t parts = PARTS / w->n;
    if (parts > w->oh) parts = w->oh;
    if (parts > work / least_work) parts = work / least_work;
    if (parts > w->oh * w->ow / least_pixels) parts = w->oh * w->ow / least_pixels;
    if (parts < 2) return 0;
    const int64_t size = (w->oh + parts - 1) / parts;
    return (w->oh + size - 1) / size;
}

static mascon_status plan_parts(plans *p, int kind, int bias) {
    const mascon_window2d *w = &p->w;
    const int64_t size = (w->oh + p->parts - 1) / p->parts;
    for (int64_t i = 0; i < p->parts; i++) {
        const int64_t first = i * size, end = first + size < w->oh ? first + size : w->oh;
        const int64_t above = first * w->sh - w->top; /* input rows, padding included */
        const int64_t below = (end - 1) * w->sh - w->top + (w->kh - 1) * w->dh + 1;
        masconI_conv key = masconI_conv_key(w, kind, bias, 1);
        key.oh = end - first;
        key.top = above < 0 ? -above : 0;
        key.bottom = below > w->h ? below - w->h : 0;
        key.h = below - above - key.top - key.bottom;
        if (key.h < 1) return MASCON_E_UNSUPPORTED; /* nothing but padding */
        p->x_first[i] = above < 0 ? 0 : above;
        p->y_first[i] = first;
        MASCON_TRY(add_plan(p, &key, &p->of_part[i]));
    }
    return MASCON_OK;
}

static mascon_status plan_batch(plans *p, int kind, int bias) {
    const int64_t rest = p->w.n % p->cut.size;
    const int64_t sizes[2] = {p->cut.size, rest};
    for (int i = 0; i < 1 + (rest != 0); i++) {
        const masconI_conv key = masconI_conv_key(&p->w, kind, bias, sizes[i]);
        int at;
        MASCON_TRY(add_plan(p, &key, &at));
    }
    return MASCON_OK;
}

static mascon_status plans_get(const mascon_call *call, int kind, plans *p) {
    *p = (plans){0};
    masconI_window2d(call, &p->w);
    p->cut = masconI_cut_batch(p->w.n);
    p->parts = count_parts(&p->w, kind);
    const int bias = kind == MASCON_CONV_FORWARD && has_bias(call);
    mascon_status status = MASCON_OK;
    if (p->parts) {
        status = plan_parts(p, kind, bias);
        if (status == MASCON_E_UNSUPPORTED) {
            plans_put(p);
            p->parts = p->count = 0;
        }
    }
    if (!p->parts) status = plan_batch(p, kind, bias);
    if (status != MASCON_OK) plans_put(p);
    return status;
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
    const int choice = masconI_conv_choice(&window, kind);
    w->kernel = masconI_conv_kernel_name(choice);
    if (choice != MASCON_CONV_ONEDNN) return 1;
    plans p;
    if (plans_get(call, kind, &p) != MASCON_OK) return 0;
    const int ready = plans_ready(&p);
    plans_put(&p);
    return ready;
}

/* The first plan whose packed weights plan i shares. */
static int same_form(const plans *p, int i) {
    int k = 0;
    while (p->plan[k]->form != p->plan[i]->form) k++;
    return k;
}

/* packed weights of each form, then scratch of each thread */
static size_t room(const plans *p, size_t packed[PLANS], size_t *scratch) {
    size_t total = 0;
    *scratch = 0;
    for (int i = 0; i < p->count; i++) {
        const size_t one = masconI_line(masconI_dnnl_scratch(p->plan[i]->conv));
        if (one > *scratch) *scratch = one;
        packed[i] = same_form(p, i) == i ? masconI_line(masconI_dnnl_packed(p->plan[i]->conv)) : 0;
        total += packed[i];
    }
    return total + *scratch * (size_t)mascon_num_threads();
}

static size_t workspace(const mascon_call *call, int kind) {
    plans p;
    mascon_window2d window;
    masconI_window2d(call, &window);
    const int choice = masconI_conv_choice(&window, kind);
    if (choice == MASCON_CONV_SMALL) return masconI_conv_small_workspace(&window, kind);
    if (choice == MASCON_CONV_WINOGRAD) return masconI_winograd_workspace(&window, kind);
    if (choice == MASCON_CONV_DEPTHWISE) return masconI_depthwise_workspace(&window);
    if (plans_get(call, kind, &p) != MASCON_OK) return 0;
    size_t packed[PLANS], scratch;
    const size_t bytes = plans_ready(&p) ? room(&p, packed, &scratch) : 0;
    plans_put(&p);
    return bytes;
}

typedef struct job {
    const plans *p;
    float *x, *y;
    const float *weight[PLANS], *bias;
    char *scratch;
    size_t scratch_size;
    atomic_int status;
} job;

static void slice(void *context, int64_t i, int thread) {
    job *j = context;
    const plans *p = j->p;
    const mascon_window2d *w = &p->w;
    const int64_t x_row = w->w * w->c, y_row = w->ow * w->oc;
    float *x = j->x, *y = j->y;
    int plan;
    if (p->parts) {
        const int64_t n = i / p->parts, part = i % p->parts;
        plan = p->of_part[part];
        x += (n * w->h + p->x_first[part]) * x_row;
        y += (n * w->oh + p->y_first[part]) * y_row;
    } else {
        const int64_t first = i * p->cut.size;
        plan = first + p->cut.size > w->n; /* a smaller slice */
        x += first * w->h * x_row;
        y += first * w->oh * y_row;
    }
    const mascon_status status = masconI_dnnl_run(p->plan[plan]->conv, x, j->weight[plan], j->bias,
                                                  y, j->scratch + j->scratch_size * (size_t)thread);
    if (status != MASCON_OK) atomic_store(&j->status, status);
}

static mascon_status run_dnnl(const plans *p, const mascon_tensor *weight, const float *bias,
                              float *x, float *y, char *work) {
    job j = {.p = p, .x = x, .y = y, .bias = bias};
    size_t packed[PLANS];
    masconI_packed *held[PLANS] = {NULL};
    mascon_status status = MASCON_OK;
    room(p, packed, &j.scratch_size);
    for (int i = 0; i < p->count && status == MASCON_OK; i++) {
        const int same = same_form(p, i);
        if (same < i) {
            j.weight[i] = j.weight[same];
        } else if (packed[i]) {
            status = masconI_packed_get(weight, p->plan[i], work, &j.weight[i], &held[i]);
        } else {
            j.weight[i] = mascon_see(weight)->data;
        }
        work += packed[i];
    }
    j.scratch = work;
    if (status == MASCON_OK) {
        masconI_parallel(p->parts ? p->parts * p->w.n : p->cut.count, slice, &j);
        status = masconI_slice_status(&j.status);
    }
    for (int i = 0; i < p->count; i++) masconI_packed_put(held[i]);
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
    const int choice = masconI_conv_choice(&window, kind);
    if (choice == MASCON_CONV_SMALL) {
        return masconI_conv_small_run(&window, kind, x, SRC(call, 1)->data, bias, y,
                                      exec->workspace);
    }
    if (choice == MASCON_CONV_WINOGRAD) {
        return masconI_winograd_run(&window, kind, x, call->src[1], bias, y, exec->workspace);
    }
    if (choice == MASCON_CONV_DEPTHWISE) {
        masconI_depthwise_run(&window, kind, x, SRC(call, 1)->data, bias, y, exec->workspace);
        return MASCON_OK;
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

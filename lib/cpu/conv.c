/* conv.c: conv2d, conv2d_relu, conv2d_norm and conv2d_bwd_data on channels-last float32.
 *
 * Few channels go to our own loops (conv_small.c), most 3x3 with step 1 to Winograd's method
 * (winograd.c), as conv_choice.c says; the rest to oneDNN, one primitive per slice of the batch,
 * made for one thread. Weights are O-H-W-I; what oneDNN wants instead is packed at the
 * call, or found in the cache of packed weights (plan.c). What follows the sums of conv2d_relu and
 * conv2d_norm is done before they are stored or, behind oneDNN, over each slice's results; batch norm
 * is a part of the weights (fold.c). In training conv2d_norm is the convolution alone here, and behind
 * oneDNN each slice's results are gathered for batch norm (conv_norm.c).
 */
#include "cpu/conv.h"

#include <string.h>

#include "cpu/bf16.h"

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
                          .groups = w->groups,
                          .bf16 = w->bf16};
}

int masconI_conv_plain(const mascon_call *call) {
    const int32_t dtype = SRC(call, 0)->dtype;
    const int half = dtype == MASCON_DTYPE_BF16, norm = call->op == MASCON_OP_conv2d_norm;
    const int fold = norm && call->attr[NN_CONV2D_NORM_TRAINING] == 0;
    if (dtype != MASCON_DTYPE_F32 && !half) return 0;
    if (half && fold && masconI_src_given(call, 2)) return 0; /* fold.c takes float32 alone */
    for (int i = 0; i < call->n_src; i++) {
        if (!call->src[i]) continue;
        const mascon_view *v = SRC(call, i);
        const int folds = norm && i >= NN_CONV2D_NORM_MEAN && i <= NN_CONV2D_NORM_BIAS;
        if (v->dtype != (folds ? MASCON_DTYPE_F32 : dtype) || v->numel == 0) return 0;
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

/* ---- What a call asks for beside the convolution ---- */

static int is_kind(const mascon_call *call) {
    return call->op == MASCON_OP_conv2d_bwd_data ? MASCON_CONV_BWD_DATA : MASCON_CONV_FORWARD;
}

typedef struct extras {
    masconI_finish finish; /* bias: the convolution's own */
    masconI_fold fold;
    const masconI_fold *folded; /* &fold, or NULL */
    int gathers;                /* batch norm follows, in training */
} extras;

static const void *data_of(const mascon_call *call, int i) {
    return masconI_src_given(call, i) ? SRC(call, i)->data : NULL;
}

/* A bfloat16 bias is widened into a room of its own, at the beginning of the workspace. */
static size_t bias_room(const mascon_call *call, const mascon_window2d *w) {
    const int given = call->op != MASCON_OP_conv2d_bwd_data && masconI_src_given(call, 2);
    return w->bf16 && given ? masconI_line(sizeof(float) * (size_t)w->oc) : 0;
}

static void extras_of(const mascon_call *call, const mascon_window2d *w, extras *e) {
    *e = (extras){0};
    if (call->op == MASCON_OP_conv2d_bwd_data) return;
    e->finish.bias = data_of(call, 2);
    e->finish.bf16 = w->bf16;
    e->finish.relu = call->op == MASCON_OP_conv2d_relu;
    if (call->op != MASCON_OP_conv2d_norm) return;
    e->gathers = call->attr[NN_CONV2D_NORM_TRAINING] != 0;
    if (e->gathers) return;
    e->finish.relu = call->attr[NN_CONV2D_NORM_RELU] != 0;
    e->finish.residual = data_of(call, NN_CONV2D_NORM_RESIDUAL);
    /* ORDER: MASCON_FOLD_* */
    static const int at[MASCON_FOLDED] = {2, NN_CONV2D_NORM_MEAN, NN_CONV2D_NORM_VAR,
                                          NN_CONV2D_NORM_WEIGHT, NN_CONV2D_NORM_BIAS};
    e->fold = (masconI_fold){.eps = call->attr[NN_CONV2D_NORM_EPS],
                             .oc = w->oc,
                             .each = w->kh * w->kw * w->c / w->groups};
    for (int i = 0; i < MASCON_FOLDED; i++) {
        if (!masconI_src_given(call, at[i])) continue;
        e->fold.of[i] = call->src[at[i]];
        if (i != MASCON_FOLD_BIAS) e->folded = &e->fold;
    }
}

/* ---- Plans of a call ---- */

enum { PARTS = 8, PLANS = PARTS };

/* Slices of the batch (one plan for whole slices, one for a smaller last one), or, forward with few
 * pictures, of the output rows of each picture: `parts` of them, each with its plan. */
typedef struct plans {
    mascon_window2d w;
    extras e;
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

/* Adds the plan of this key, unless it is there; *at is its number. */
static mascon_status add_plan(plans *p, const masconI_conv *key, int *at) {
    for (*at = 0; *at < p->count; ++*at) {
        if (memcmp(&p->plan[*at]->key, key, sizeof *key) == 0) return MASCON_OK;
    }
    MASCON_TRY(masconI_plan_get(key, &p->plan[p->count]));
    p->count++;
    return MASCON_OK;
}

/* Results that are read once more when a slice has made them shall still be in the second-level
 * cache, or near it. */
static const int64_t finish_floats = 192 * 1024;

static int has_pass(const plans *p) {
    return p->e.finish.relu || p->e.finish.residual || p->e.gathers;
}

/* How many parts a picture's output rows are cut into; 0: none. */
static int64_t count_parts(const plans *p, int kind) {
    const mascon_window2d *w = &p->w;
    /* A part of fewer multiplications is not worth a call, one of few pixels leaves the vectors of
     * oneDNN's matrix products short. */
    const int64_t least_work = 400000, least_pixels = 24;
    const int64_t floats = has_pass(p) ? w->oh * w->ow * w->oc : 0;
    if (kind != MASCON_CONV_FORWARD || w->oh < 2) return 0;
    if (w->n >= PARTS / 2 && floats <= finish_floats) return 0;
    const int64_t work = w->oh * w->ow * w->oc * w->kh * w->kw * w->c / w->groups;
    int64_t parts = PARTS / w->n, small = (floats + finish_floats - 1) / finish_floats;
    if (small > PARTS) small = PARTS;
    if (parts < small) parts = small;
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
    extras_of(call, &p->w, &p->e);
    p->cut = masconI_cut_batch(p->w.n);
    p->parts = count_parts(p, kind);
    const int64_t most = finish_floats / (p->w.oh * p->w.ow * p->w.oc + 1);
    if (has_pass(p) && p->cut.size > most) {
        p->cut.size = most > 0 ? most : 1;
        p->cut.count = (p->w.n + p->cut.size - 1) / p->cut.size;
    }
    const int bias = p->e.folded || p->e.finish.bias;
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

int masconI_conv_wish(const mascon_call *call, mascon_wish *w) {
    const int kind = is_kind(call);
    if (!masconI_conv_plain(call)) return 0;
    w->src[0] = w->src[1] = w->dst[0] = MASCON_WISH_NHWC;
    for (int i = 2; i < call->n_src; i++) w->src[i] = MASCON_WISH_ROW;
    if (call->op == MASCON_OP_conv2d_norm) w->src[NN_CONV2D_NORM_RESIDUAL] = MASCON_WISH_NHWC;
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
        const masconI_form form = masconI_packed_form(p->plan[i], p->e.folded);
        if (one > *scratch) *scratch = one;
        packed[i] = same_form(p, i) == i ? masconI_form_room(&form) : 0;
        total += packed[i];
    }
    return total + *scratch * (size_t)mascon_num_threads();
}

static size_t kernel_workspace(const mascon_call *call, const mascon_window2d *given) {
    const int kind = is_kind(call);
    plans p;
    extras e;
    const mascon_window2d window = *given;
    extras_of(call, &window, &e);
    const masconI_form plain = masconI_plain_form(&e.fold);
    const size_t folded = e.folded ? masconI_form_room(&plain) : 0;
    const int choice = masconI_conv_choice(&window, kind);
    if (choice == MASCON_CONV_SMALL) return folded + masconI_conv_small_workspace(&window, kind);
    if (choice == MASCON_CONV_DEPTHWISE) return folded + masconI_depthwise_workspace(&window);
    if (choice == MASCON_CONV_WINOGRAD) return masconI_winograd_workspace(&window, kind, e.folded);
    if (plans_get(call, kind, &p) != MASCON_OK) return 0;
    size_t packed[PLANS], scratch;
    const size_t bytes = plans_ready(&p) ? room(&p, packed, &scratch) : 0;
    plans_put(&p);
    return bytes;
}

size_t masconI_conv_workspace(const mascon_call *call) {
    mascon_window2d window;
    masconI_window2d(call, &window);
    return bias_room(call, &window) + kernel_workspace(call, &window);
}

typedef struct job {
    const plans *p;
    char *x, *y;
    int64_t size; /* bytes of an element */
    const float *weight[PLANS], *bias[PLANS];
    char *scratch;
    size_t scratch_size;
    atomic_int status;
} job;

static void slice(void *context, int64_t i, int thread) {
    job *j = context;
    const plans *p = j->p;
    const mascon_window2d *w = &p->w;
    int64_t x_row, y_row; /* the first rows, counted through the batch */
    int plan;
    if (p->parts) {
        const int64_t n = i / p->parts, part = i % p->parts;
        plan = p->of_part[part];
        x_row = n * w->h + p->x_first[part];
        y_row = n * w->oh + p->y_first[part];
    } else {
        const int64_t first = i * p->cut.size;
        plan = first + p->cut.size > w->n; /* a smaller slice */
        x_row = first * w->h;
        y_row = first * w->oh;
    }
    const int64_t line = w->ow * w->oc;
    const masconI_conv *key = &p->plan[plan]->key;
    const mascon_status status = masconI_dnnl_run(
        p->plan[plan]->conv, j->x + x_row * w->w * w->c * j->size, j->weight[plan], j->bias[plan],
        j->y + y_row * line * j->size, j->scratch + j->scratch_size * (size_t)thread);
    if (status != MASCON_OK) atomic_store(&j->status, status);
    if (has_pass(p)) {
        masconI_finish_run(&p->e.finish, j->y, y_row * line, key->n * key->oh * line);
    }
}

static mascon_status run_dnnl(const plans *p, const mascon_tensor *weight, void *x, void *y,
                              char *work) {
    job j = {.p = p, .x = x, .y = y, .size = p->w.bf16 ? 2 : 4};
    size_t packed[PLANS];
    masconI_packed *held[PLANS] = {NULL};
    mascon_status status = MASCON_OK;
    room(p, packed, &j.scratch_size);
    for (int i = 0; i < p->count && status == MASCON_OK; i++) {
        const int same = same_form(p, i);
        const masconI_form form = masconI_packed_form(p->plan[i], p->e.folded);
        j.weight[i] = mascon_see(weight)->data;
        if (same < i) {
            j.weight[i] = j.weight[same];
        } else if (form.bytes) {
            status = masconI_form_get(weight, &form, work, &j.weight[i], &held[i]);
        }
        j.bias[i] = p->e.folded ? masconI_form_bias(&form, j.weight[i]) : p->e.finish.bias;
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

/* The kernels that take plain weights, folded first where there is a fold. */
static mascon_status run_plain(const mascon_window2d *w, int kind, int choice,
                               const mascon_tensor *weight, extras *e, float *x, float *y,
                               char *work) {
    const float *plain = mascon_see(weight)->data;
    masconI_packed *held = NULL;
    mascon_status status = MASCON_OK;
    if (e->folded) {
        const masconI_form form = masconI_plain_form(e->folded);
        MASCON_TRY(masconI_form_get(weight, &form, work, &plain, &held));
        e->finish.bias = masconI_form_bias(&form, plain);
        work += masconI_form_room(&form);
    }
    if (choice == MASCON_CONV_SMALL) {
        status = masconI_conv_small_run(w, kind, x, plain, &e->finish, y, work);
    } else {
        masconI_depthwise_run(w, kind, x, plain, &e->finish, y, work);
    }
    masconI_packed_put(held);
    return status;
}

mascon_status masconI_conv_run(const mascon_call *call, void *workspace,
                               const struct masconC_norm *norm) {
    const int kind = is_kind(call), forward = kind == MASCON_CONV_FORWARD;
    const mascon_view *src = SRC(call, 0), *dst = DST(call, 0);
    float *x = forward ? src->data : dst->data, *y = forward ? dst->data : src->data;
    plans p;
    extras e;
    mascon_window2d window;
    masconI_window2d(call, &window);
    char *work = workspace;
    const size_t bias = bias_room(call, &window);
    float *wide = bias ? (float *)(void *)work : NULL;
    if (bias) masconI_bf16_widen(SRC(call, 2)->data, wide, window.oc);
    work += bias;
    const int choice = masconI_conv_choice(&window, kind);
    if (choice == MASCON_CONV_ONEDNN) {
        MASCON_TRY(plans_get(call, kind, &p));
        if (bias) p.e.finish.bias = wide;
        p.e.finish.norm = norm;
        const mascon_status status = run_dnnl(&p, call->src[1], x, y, work);
        plans_put(&p);
        return status;
    }
    extras_of(call, &window, &e);
    if (bias) e.finish.bias = wide;
    if (choice == MASCON_CONV_WINOGRAD) {
        return masconI_winograd_run(&window, kind, x, call->src[1], e.folded, &e.finish, y, work);
    }
    return run_plain(&window, kind, choice, call->src[1], &e, x, y, work);
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    return masconI_conv_run(call, exec->workspace, NULL);
}

#define KERNEL \
    { .wish = masconI_conv_wish, .workspace = masconI_conv_workspace, .run = run }
const mascon_kernel masconC_conv2d = KERNEL;
const mascon_kernel masconC_conv2d_relu = KERNEL;
const mascon_kernel masconC_conv2d_bwd_data = KERNEL;

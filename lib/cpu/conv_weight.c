/* conv_weight.c: conv2d_bwd_weight on channels-last float32 or bfloat16. The sums are float32 either way
 * and, for bfloat16 tensors, rounded once at the end.
 *
 * Where the weights are small, each slice of the batch makes its own sum and the sums are added in
 * the order of the slices. Where they are large, that traffic would cost more than the arithmetic:
 * then each slice makes the gradient of a block of output channels from the whole batch, of which
 * it copies its channels of dy. Either way the bits do not depend on the number of threads.
 */
#include <string.h>

#include "cpu/bf16.h"
#include "cpu/conv.h"

/* Weights of this size or more (in bytes) are cut by output channels, in blocks of BLOCK. */
enum { LARGE = 200 * 1024, BLOCK = 32 };

typedef struct scheme {
    mascon_window2d w;
    masconI_cut cut; /* pieces of the batch, or of the output channels */
    int channels;    /* cut by output channels */
    int bias, count; /* count: plans in use */
    masconI_plan *plan[2];
    size_t dw_bytes, packed, scratch, copy; /* of one slice; multiples of a cache line */
    size_t size;                            /* of an element of x and dy */
} scheme;

static void scheme_end(scheme *s) {
    for (int i = 0; i < s->count; i++) masconI_plan_put(s->plan[i]);
}

static void choose_cut(scheme *s) {
    const mascon_window2d *w = &s->w;
    const size_t bytes = sizeof(float) * (size_t)(w->oc * w->kh * w->kw * w->c / w->groups);
    s->channels = bytes >= LARGE && w->groups == 1 && w->oc % BLOCK == 0 && w->oc >= 4 * BLOCK;
    if (s->channels) {
        s->cut = (masconI_cut){.size = BLOCK, .count = w->oc / BLOCK};
    } else {
        s->cut = masconI_cut_batch(w->n);
    }
}

static mascon_status scheme_begin(const mascon_call *call, scheme *s) {
    *s = (scheme){.bias = call->n_dst > 1};
    masconI_window2d(call, &s->w);
    s->size = s->w.bf16 ? sizeof(uint16_t) : sizeof(float);
    choose_cut(s);
    const mascon_window2d *w = &s->w;
    const int64_t rest = s->channels ? 0 : w->n % s->cut.size;
    for (int i = 0; i < 1 + (rest != 0); i++) {
        masconI_conv key = masconI_conv_key(w, MASCON_CONV_BWD_WEIGHT, s->bias,
                                            s->channels ? w->n
                                            : i         ? rest
                                                        : s->cut.size);
        if (s->channels) key.oc = BLOCK;
        const mascon_status status = masconI_plan_get(&key, &s->plan[i]);
        if (status != MASCON_OK) {
            scheme_end(s);
            return status;
        }
        s->count++;
        if (!s->plan[i]->conv) continue;
        const size_t scratch = masconI_line(masconI_dnnl_scratch(s->plan[i]->conv));
        const size_t packed = masconI_line(masconI_dnnl_packed(s->plan[i]->conv));
        if (scratch > s->scratch) s->scratch = scratch;
        if (packed > s->packed) s->packed = packed;
    }
    if (s->channels) {
        s->copy = masconI_line(s->size * (size_t)(w->n * w->oh * w->ow * BLOCK));
    } else if (s->cut.count > 1) { /* a sum of each slice: dw, then db */
        s->dw_bytes = masconI_line(sizeof(float) *
                                   (size_t)(w->oc * w->kh * w->kw * w->c / w->groups + w->oc));
    }
    return MASCON_OK;
}

static int ready(const scheme *s) {
    for (int i = 0; i < s->count; i++) {
        if (!s->plan[i]->conv) return 0;
    }
    return 1;
}

static int wish(const mascon_call *call, mascon_wish *w) {
    if (!masconI_conv_plain(call)) return 0;
    w->src[0] = w->src[1] = w->dst[0] = MASCON_WISH_NHWC;
    w->dst[1] = MASCON_WISH_ROW;
    mascon_window2d window;
    masconI_window2d(call, &window);
    const int choice = masconI_conv_choice(&window, MASCON_CONV_BWD_WEIGHT);
    w->kernel = masconI_conv_kernel_name(choice);
    if (choice != MASCON_CONV_ONEDNN) return 1;
    scheme s;
    if (scheme_begin(call, &s) != MASCON_OK) return 0;
    const int is_ready = ready(&s);
    scheme_end(&s);
    return is_ready;
}

/* Beside bfloat16 outputs: their float32 sums, dw then db. */
static size_t wide_room(const mascon_call *call, const mascon_window2d *w) {
    if (!w->bf16) return 0;
    return masconI_line(sizeof(float) * (size_t)(DST(call, 0)->numel + w->oc));
}

static size_t kernel_workspace(const mascon_call *call, const mascon_window2d *given) {
    const mascon_window2d window = *given;
    const int choice = masconI_conv_choice(&window, MASCON_CONV_BWD_WEIGHT);
    if (choice == MASCON_CONV_SMALL) {
        return masconI_conv_small_workspace(&window, MASCON_CONV_BWD_WEIGHT);
    }
    if (choice == MASCON_CONV_WINOGRAD) return masconI_winograd_weight_workspace(&window);
    scheme s;
    if (scheme_begin(call, &s) != MASCON_OK) return 0;
    const size_t bytes = s.dw_bytes * (size_t)s.cut.count +
                         (s.packed + s.scratch + s.copy) * (size_t)mascon_num_threads();
    scheme_end(&s);
    return bytes;
}

static size_t workspace(const mascon_call *call) {
    mascon_window2d window;
    masconI_window2d(call, &window);
    return wide_room(call, &window) + kernel_workspace(call, &window);
}

typedef struct job {
    const scheme *s;
    const char *x, *dy;
    float *dw, *db;
    char *sums, *rooms; /* a sum of each slice; a room of each thread */
    atomic_int status;
} job;

static void slice(void *context, int64_t i, int thread) {
    job *j = context;
    const scheme *s = j->s;
    const mascon_window2d *w = &s->w;
    char *room = j->rooms + (s->packed + s->scratch + s->copy) * (size_t)thread;
    const int64_t area = w->kh * w->kw * w->c / w->groups;
    const char *x = j->x, *dy = j->dy;
    const int64_t size = (int64_t)s->size;
    float *dw = j->dw, *db = j->db;
    int which = 0;
    if (s->channels) {
        char *block = room + s->packed + s->scratch;
        const int64_t pixels = w->n * w->oh * w->ow;
        for (int64_t p = 0; p < pixels; p++) {
            memcpy(block + p * BLOCK * size, dy + (p * w->oc + i * BLOCK) * size, BLOCK * s->size);
        }
        dy = block;
        dw += i * BLOCK * area;
        if (db) db += i * BLOCK;
    } else {
        const int64_t first = i * s->cut.size;
        which = first + s->cut.size > w->n;
        x += first * w->h * w->w * w->c * size;
        dy += first * w->oh * w->ow * w->oc * size;
        if (s->cut.count > 1) {
            dw = (float *)(void *)(j->sums + s->dw_bytes * (size_t)i);
            if (db) db = dw + w->oc * area;
        }
    }
    masconI_dnnl *conv = s->plan[which]->conv;
    const int packs = masconI_dnnl_packed(conv) != 0;
    float *form = packs ? (float *)(void *)room : dw;
    mascon_status status = masconI_dnnl_run(conv, x, form, db, dy, room + s->packed);
    if (status == MASCON_OK && packs) status = masconI_dnnl_unpack(conv, form, dw);
    if (status != MASCON_OK) atomic_store(&j->status, status);
}

/* ---- The sum of the slices ---- */

enum { CHUNK = 4096 };

typedef struct summing {
    const float *sums;
    int64_t stride, count, dw_count, all; /* all: dw and db */
    float *dw, *db;
} summing;

static void sum_chunk(void *context, int64_t i, int thread) {
    (void)thread;
    const summing *j = context;
    const int64_t first = i * CHUNK, end = first + CHUNK < j->all ? first + CHUNK : j->all;
    float sum[CHUNK];
    memcpy(sum, j->sums + first, sizeof(float) * (size_t)(end - first));
    for (int64_t k = 1; k < j->count; k++) {
        const float *one = j->sums + k * j->stride + first;
        for (int64_t e = 0; e < end - first; e++) sum[e] += one[e];
    }
    const int64_t split = end < j->dw_count ? end : j->dw_count;
    for (int64_t e = first; e < split; e++) j->dw[e] = sum[e - first];
    for (int64_t e = first < j->dw_count ? j->dw_count : first; e < end; e++) {
        j->db[e - j->dw_count] = sum[e - first];
    }
}

void masconI_conv_sum(const float *sums, int64_t stride, int64_t count, float *dw, int64_t dw_count,
                      float *db, int64_t db_count) {
    summing j = {.sums = sums,
                 .stride = stride,
                 .count = count,
                 .dw_count = dw_count,
                 .dw = dw,
                 .db = db,
                 .all = dw_count + (db ? db_count : 0)};
    masconI_parallel((j.all + CHUNK - 1) / CHUNK, sum_chunk, &j);
}

/* dw and db in float32 */
static mascon_status run_wide(mascon_call *call, float *dw, float *db, void *workspace) {
    void *x = SRC(call, 0)->data, *dy = SRC(call, 1)->data;
    mascon_window2d window;
    masconI_window2d(call, &window);
    const int choice = masconI_conv_choice(&window, MASCON_CONV_BWD_WEIGHT);
    if (choice == MASCON_CONV_WINOGRAD) {
        masconI_winograd_weight_run(&window, x, dy, dw, db, workspace);
        return MASCON_OK;
    }
    if (choice == MASCON_CONV_SMALL) {
        return masconI_conv_small_weight_run(&window, x, dy, dw, db, workspace);
    }
    scheme s;
    MASCON_TRY(scheme_begin(call, &s));
    char *work = workspace;
    job j = {.s = &s, .x = x, .dy = dy, .dw = dw, .db = db, .sums = work};
    j.rooms = work + s.dw_bytes * (size_t)s.cut.count;
    masconI_parallel(s.cut.count, slice, &j);
    const mascon_status status = masconI_slice_status(&j.status);
    if (status == MASCON_OK && s.dw_bytes) {
        masconI_conv_sum((const float *)(void *)j.sums, (int64_t)(s.dw_bytes / sizeof(float)),
                         s.cut.count, dw, DST(call, 0)->numel, db, window.oc);
    }
    scheme_end(&s);
    return status;
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *dw = DST(call, 0), *db = call->n_dst > 1 ? DST(call, 1) : NULL;
    mascon_window2d window;
    masconI_window2d(call, &window);
    if (!window.bf16) return run_wide(call, dw->data, db ? db->data : NULL, exec->workspace);
    char *work = exec->workspace;
    float *wide = (float *)(void *)work, *bias = db ? wide + dw->numel : NULL;
    MASCON_TRY(run_wide(call, wide, bias, work + wide_room(call, &window)));
    masconI_bf16_narrow_all(wide, dw->data, dw->numel);
    if (db) masconI_bf16_narrow(bias, db->data, db->numel);
    return MASCON_OK;
}

const mascon_kernel masconC_conv2d_bwd_weight = {.wish = wish, .workspace = workspace, .run = run};

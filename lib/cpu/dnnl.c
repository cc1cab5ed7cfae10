/* dnnl.c: the shim over oneDNN's C API, release 2.6 or 3.x. See dnnl.h.
 *
 * One engine for the process, made on first use and never destroyed. A primitive keeps a few sets
 * of arguments (memory objects and a stream); a run takes a set out of its slot and puts it back,
 * so concurrent runs never share one.
 */
#include "cpu/dnnl.h"

#include <dnnl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/signals.h"
#include "cpu/bf16.h"

/* The OpenMP runtime that oneDNN brings; absent where it was built without threads. */
extern int omp_get_max_threads(void) __attribute__((weak));
extern void omp_set_num_threads(int n) __attribute__((weak));

/* ---- Calls of the library ----
 *
 * exit() runs oneDNN's destructors while other threads may be in it. So the end of the process waits for
 * them a moment, and whoever calls later gets an error.
 */

static _Atomic int inside, ending;

static void end(void) {
    ending = 1;
    for (int i = 0; i < 1000 && inside > 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void forget_threads(void) { inside = 0; }

/* Functions given to atexit run in the other order. So this one is given before oneDNN is first called, for
 * what was made when it was loaded, and again after its first primitive and its first product, for what
 * they made. */
static void end_before_library(void) { atexit(end); }

/* Begins a call, with OpenMP limited to one thread for the calling one. *before: what to give back. */
static mascon_status call_begin(int *before) {
    inside++;
    if (ending) {
        inside--;
        return masconI_fail(MASCON_E_BACKEND, "the process ends; oneDNN takes no more calls");
    }
    *before = 1;
    if (!omp_get_max_threads || !omp_set_num_threads) return MASCON_OK;
    *before = omp_get_max_threads();
    if (*before != 1) omp_set_num_threads(1);
    return MASCON_OK;
}

static void call_end(int before) {
    if (before != 1) omp_set_num_threads(before);
    inside--;
}

/* ---- The library ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static const char *refusal;

static void open_engine(void) {
    pthread_atfork(NULL, NULL, forget_threads);
    end_before_library();
    const dnnl_version_t *version = dnnl_version();
    if (version->cpu_runtime != DNNL_RUNTIME_OMP && version->cpu_runtime != DNNL_RUNTIME_SEQ) {
        refusal =
            "this oneDNN library was built for another thread runtime than OpenMP, which "
            "mascon cannot limit to one thread";
    } else if (version->cpu_runtime == DNNL_RUNTIME_OMP &&
               (!omp_get_max_threads || !omp_set_num_threads)) {
        refusal = "the OpenMP library of oneDNN is not visible";
    } else if (version->major != DNNL_VERSION_MAJOR) {
        refusal =
            "the oneDNN library is of another major release than the one mascon was built with";
    } else if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) {
        refusal = "oneDNN offers no engine for this processor";
    }
}

int masconI_dnnl_usable(const char **why) {
    pthread_once(&once, open_engine);
    if (why) *why = refusal;
    return refusal == NULL;
}

static mascon_status failed(dnnl_status_t status, const char *what) {
    if (status == dnnl_out_of_memory) return masconI_fail(MASCON_E_OOM, "no memory for oneDNN");
    return masconI_fail(MASCON_E_BACKEND, "oneDNN could not %s (its status %d)", what, (int)status);
}

/* ---- Memory descriptors: a struct in 2.x, an owned pointer in 3.x ---- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc;
#define REF(d) (d)
static void desc_free(desc *d) {
    if (*d) dnnl_memory_desc_destroy(*d);
    *d = NULL;
}
static int desc_exists(const desc *d) { return *d != NULL; }
static dnnl_status_t desc_strided(desc *d, int n, const dnnl_dims_t dims, const dnnl_dims_t strides,
                                  dnnl_data_type_t type) {
    return dnnl_memory_desc_create_with_strides(d, n, dims, type, strides);
}
static dnnl_status_t desc_any(desc *d, int n, const dnnl_dims_t dims, dnnl_data_type_t type) {
    return dnnl_memory_desc_create_with_tag(d, n, dims, type, dnnl_format_tag_any);
}
static dnnl_status_t desc_part(desc *d, const desc *whole, const dnnl_dims_t dims,
                               const dnnl_dims_t offsets) {
    return dnnl_memory_desc_create_submemory(d, *whole, dims, offsets);
}
static dnnl_status_t desc_query(desc *d, const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    const_dnnl_memory_desc_t found = dnnl_primitive_desc_query_md(pd, what, 0);
    return found ? dnnl_memory_desc_clone(d, found) : dnnl_runtime_error;
}
#else
typedef dnnl_memory_desc_t desc;
#define REF(d) (&(d))
static void desc_free(desc *d) { memset(d, 0, sizeof *d); }
static int desc_exists(const desc *d) { return d->ndims != 0; }
static dnnl_status_t desc_strided(desc *d, int n, const dnnl_dims_t dims, const dnnl_dims_t strides,
                                  dnnl_data_type_t type) {
    return dnnl_memory_desc_init_by_strides(d, n, dims, type, strides);
}
static dnnl_status_t desc_any(desc *d, int n, const dnnl_dims_t dims, dnnl_data_type_t type) {
    return dnnl_memory_desc_init_by_tag(d, n, dims, type, dnnl_format_tag_any);
}
static dnnl_status_t desc_part(desc *d, const desc *whole, const dnnl_dims_t dims,
                               const dnnl_dims_t offsets) {
    return dnnl_memory_desc_init_submemory(d, whole, dims, offsets);
}
static dnnl_status_t desc_query(desc *d, const_dnnl_primitive_desc_t pd, dnnl_query_t what) {
    const dnnl_memory_desc_t *found = dnnl_primitive_desc_query_md(pd, what, 0);
    if (!found) return dnnl_runtime_error;
    *d = *found;
    return dnnl_success;
}
#endif

/* ---- Primitives ---- */

enum { X = 0, WEIGHT, BIAS, Y, SCRATCH, PARTS };
enum { SLOTS = 8, PIECES = 4 };

typedef struct arguments {
    dnnl_stream_t stream;
    dnnl_memory_t memory[PARTS];
    dnnl_memory_t plain[PIECES], form[PIECES]; /* weights as O-H-W-I and packed, for packing */
} arguments;

struct masconI_dnnl {
    int64_t kind;
    dnnl_primitive_t run, reorder[PIECES]; /* reorder: none where plain weights are what it takes */
    desc part[PARTS], plain;
    desc plain_piece[PIECES], form_piece[PIECES]; /* of output channels each */
    int pieces;
    size_t scratch, packed;
    char name[48];
    _Atomic(arguments *) slot[SLOTS];
};

static void arguments_free(arguments *a) {
    if (!a) return;
    for (int i = 0; i < PARTS; i++) {
        if (a->memory[i]) dnnl_memory_destroy(a->memory[i]);
    }
    for (int i = 0; i < PIECES; i++) {
        if (a->plain[i]) dnnl_memory_destroy(a->plain[i]);
        if (a->form[i]) dnnl_memory_destroy(a->form[i]);
    }
    if (a->stream) dnnl_stream_destroy(a->stream);
    free(a);
}

static arguments *arguments_new(masconI_dnnl *d) {
    arguments *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    dnnl_status_t s = dnnl_stream_create(&a->stream, engine, dnnl_stream_default_flags);
    for (int i = 0; i < PARTS && s == dnnl_success; i++) {
        if (desc_exists(&d->part[i])) {
            s = dnnl_memory_create(&a->memory[i], REF(d->part[i]), engine, DNNL_MEMORY_NONE);
        }
    }
    for (int i = 0; i < d->pieces && s == dnnl_success; i++) {
        s = dnnl_memory_create(&a->plain[i], REF(d->plain_piece[i]), engine, DNNL_MEMORY_NONE);
        if (s == dnnl_success) {
            s = dnnl_memory_create(&a->form[i], REF(d->form_piece[i]), engine, DNNL_MEMORY_NONE);
        }
    }
    if (s != dnnl_success) {
        arguments_free(a);
        return NULL;
    }
    return a;
}

/* A set for this run: the first one found in a slot, else a new one. *at remembers the slot. */
static arguments *take(masconI_dnnl *d, int *at) {
    for (int i = 0; i < SLOTS; i++) {
        arguments *a = atomic_load_explicit(&d->slot[i], memory_order_relaxed);
        if (a && (a = atomic_exchange(&d->slot[i], NULL)) != NULL) {
            *at = i;
            return a;
        }
    }
    *at = 0;
    return arguments_new(d);
}

static void give(masconI_dnnl *d, arguments *a, int at) {
    for (int i = 0; i < SLOTS; i++) {
        arguments *none = NULL;
        if (atomic_compare_exchange_strong(&d->slot[(at + i) % SLOTS], &none, a)) return;
    }
    arguments_free(a);
}

static void drop_reorders(masconI_dnnl *d, int count) {
    for (int i = 0; i < count; i++) {
        if (d->reorder[i]) dnnl_primitive_destroy(d->reorder[i]);
        d->reorder[i] = NULL;
        desc_free(&d->plain_piece[i]);
        desc_free(&d->form_piece[i]);
    }
}

void masconI_dnnl_free(masconI_dnnl *d) {
    if (!d) return;
    for (int i = 0; i < SLOTS; i++) arguments_free(atomic_load(&d->slot[i]));
    if (d->run) dnnl_primitive_destroy(d->run);
    drop_reorders(d, PIECES);
    for (int i = 0; i < PARTS; i++) desc_free(&d->part[i]);
    desc_free(&d->plain);
    free(d);
}

/* What the caller's memory looks like, and what is left to oneDNN. */
typedef struct request {
    desc x, weight, bias, y;
    desc hint; /* the weights of the forward convolution that a gradient belongs to */
    dnnl_dims_t stride, dilation, before, after;
} request;

static void request_free(request *r) {
    desc_free(&r->x);
    desc_free(&r->weight);
    desc_free(&r->bias);
    desc_free(&r->y);
    desc_free(&r->hint);
}

static dnnl_data_type_t type_of(const masconI_conv *v) { return v->bf16 ? dnnl_bf16 : dnnl_f32; }

/* Gradients of weights are summed and given in float32. */
static dnnl_data_type_t weight_type(const masconI_conv *v) {
    return v->kind == MASCON_CONV_BWD_WEIGHT ? dnnl_f32 : type_of(v);
}

static dnnl_status_t channels_last(desc *d, int64_t n, int64_t c, int64_t h, int64_t w,
                                   dnnl_data_type_t type) {
    const dnnl_dims_t dims = {n, c, h, w}, strides = {h * w * c, 1, w * c, c};
    return desc_strided(d, 4, dims, strides, type);
}

static dnnl_status_t bias_desc(desc *d, int64_t oc) {
    const dnnl_dims_t dims = {oc}, strides = {1};
    return desc_strided(d, 1, dims, strides, dnnl_f32);
}

/* Weights {oc, c / groups, kh, kw} in O-H-W-I memory, with a group dimension in front where there
 * are groups. plain NULL: format left to oneDNN. */
static dnnl_status_t weight_desc(desc *d, const masconI_conv *v, int plain, dnnl_data_type_t type) {
    const int64_t g = v->groups, o = v->oc / g, i = v->c / g, a = v->kh * v->kw * i;
    const dnnl_dims_t grouped = {g, o, i, v->kh, v->kw};
    const dnnl_dims_t grouped_strides = {o * a, a, 1, v->kw * i, i};
    const dnnl_dims_t dims = {o, i, v->kh, v->kw}, strides = {a, 1, v->kw * i, i};
    if (g > 1) {
        return plain ? desc_strided(d, 5, grouped, grouped_strides, type)
                     : desc_any(d, 5, grouped, type);
    }
    return plain ? desc_strided(d, 4, dims, strides, type) : desc_any(d, 4, dims, type);
}

static dnnl_status_t request_fill(request *r, const masconI_conv *v) {
    *r = (request){.stride = {v->sh, v->sw},
                   .dilation = {v->dh - 1, v->dw - 1},
                   .before = {v->top, v->left},
                   .after = {v->bottom, v->right}};
    dnnl_status_t s = channels_last(&r->x, v->n, v->c, v->h, v->w, type_of(v));
    if (s == dnnl_success) s = channels_last(&r->y, v->n, v->oc, v->oh, v->ow, type_of(v));
    if (s == dnnl_success) s = weight_desc(&r->weight, v, 0, weight_type(v));
    if (s == dnnl_success) s = weight_desc(&r->hint, v, 0, type_of(v));
    if (s == dnnl_success && v->bias) s = bias_desc(&r->bias, v->oc);
    return s;
}

#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t describe(dnnl_primitive_desc_t *pd, int64_t kind, const request *r,
                              const_dnnl_primitive_attr_t attr) {
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t s = dnnl_convolution_forward_primitive_desc_create(
        &forward, engine, dnnl_forward_training, dnnl_convolution_direct, r->x, r->hint,
        kind == MASCON_CONV_BWD_DATA ? NULL : r->bias, r->y, r->stride, r->dilation, r->before,
        r->after, attr);
    if (s != dnnl_success || kind == MASCON_CONV_FORWARD) {
        *pd = forward;
        return s;
    }
    if (kind == MASCON_CONV_BWD_DATA) {
        s = dnnl_convolution_backward_data_primitive_desc_create(
            pd, engine, dnnl_convolution_direct, r->x, r->weight, r->y, r->stride, r->dilation,
            r->before, r->after, forward, attr);
    } else {
        s = dnnl_convolution_backward_weights_primitive_desc_create(
            pd, engine, dnnl_convolution_direct, r->x, r->weight, r->bias, r->y, r->stride,
            r->dilation, r->before, r->after, forward, attr);
    }
    dnnl_primitive_desc_destroy(forward);
    return s;
}
#else
static dnnl_status_t describe(dnnl_primitive_desc_t *pd, int64_t kind, const request *r,
                              const_dnnl_primitive_attr_t attr) {
    const desc *bias = desc_exists(&r->bias) && kind != MASCON_CONV_BWD_DATA ? &r->bias : NULL;
    dnnl_convolution_desc_t forward, backward;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_status_t s = dnnl_dilated_convolution_forward_desc_init(
        &forward, dnnl_forward_training, dnnl_convolution_direct, &r->x, &r->hint, bias, &r->y,
        r->stride, r->dilation, r->before, r->after);
    if (s == dnnl_success) s = dnnl_primitive_desc_create(&hint, &forward, attr, engine, NULL);
    if (s != dnnl_success || kind == MASCON_CONV_FORWARD) {
        *pd = hint;
        return s;
    }
    if (kind == MASCON_CONV_BWD_DATA) {
        s = dnnl_dilated_convolution_backward_data_desc_init(&backward, dnnl_convolution_direct,
                                                             &r->x, &r->weight, &r->y, r->stride,
                                                             r->dilation, r->before, r->after);
    } else {
        s = dnnl_dilated_convolution_backward_weights_desc_init(
            &backward, dnnl_convolution_direct, &r->x, &r->weight, bias, &r->y, r->stride,
            r->dilation, r->before, r->after);
    }
    if (s == dnnl_success) s = dnnl_primitive_desc_create(pd, &backward, attr, engine, hint);
    dnnl_primitive_desc_destroy(hint);
    return s;
}
#endif

/* Large weights are packed in pieces, which threads share; a gradient is unpacked by its slice. */
static int count_pieces(const masconI_conv *v) {
    const int large = v->oc * v->c * v->kh * v->kw >= 16 * 1024;
    return v->kind != MASCON_CONV_BWD_WEIGHT && v->groups == 1 && large &&
                   v->oc % (16 * PIECES) == 0
               ? PIECES
               : 1;
}

/* The primitive that brings piece i of count from O-H-W-I into packed form, or back for a gradient.
 */
static dnnl_status_t make_reorder(masconI_dnnl *d, const masconI_conv *v, int i, int count) {
    const int back = d->kind == MASCON_CONV_BWD_WEIGHT;
    const int64_t g = v->groups, o = v->oc / g / count;
    const dnnl_dims_t grouped = {g, o, v->c / g, v->kh, v->kw}, dims = {o, v->c, v->kh, v->kw};
    const dnnl_dims_t offsets = {g > 1 ? 0 : i * o};
    desc *plain = &d->plain_piece[i], *form = &d->form_piece[i];
    dnnl_status_t s = desc_part(plain, &d->plain, g > 1 ? grouped : dims, offsets);
    if (s == dnnl_success) s = desc_part(form, &d->part[WEIGHT], g > 1 ? grouped : dims, offsets);
    dnnl_primitive_desc_t pd = NULL;
    if (s == dnnl_success) {
        s = dnnl_reorder_primitive_desc_create(&pd, REF(*(back ? form : plain)), engine,
                                               REF(*(back ? plain : form)), engine, NULL);
    }
    if (s == dnnl_success) s = dnnl_primitive_create(&d->reorder[i], pd);
    if (pd) dnnl_primitive_desc_destroy(pd);
    return s;
}

/* A format that keeps blocks of channels together allows fewer pieces, at worst one: each must begin
 * at a block. */
static dnnl_status_t make_reorders(masconI_dnnl *d, const masconI_conv *v) {
    for (int count = count_pieces(v);; count /= 2) {
        dnnl_status_t s = dnnl_success;
        for (int i = count - 1; i >= 0 && s == dnnl_success; i--) s = make_reorder(d, v, i, count);
        d->pieces = count;
        if (s == dnnl_success || s == dnnl_out_of_memory || count == 1) return s;
        drop_reorders(d, count);
    }
}

/* Bytes that a primitive writes behind the scratch memory it asks for. oneDNN 2.6's 1x1 kernels for the
 * gradient of the weights gather the pixels that strides leave; they ask for as many floats of a pixel
 * as it has channels, but step by a vector, which is at most LANES. */
static size_t overrun(const char *name, const masconI_conv *v) {
    enum { LANES = 16 };
    if (v->kind != MASCON_CONV_BWD_WEIGHT || strncmp(name, "jit_1x1", 7) != 0) return 0;
    if ((v->sh == 1 && v->sw == 1) || v->c / v->groups >= LANES) return 0;
    return sizeof(float) * LANES * (size_t)(v->oh * v->ow);
}

static dnnl_status_t fill(masconI_dnnl *d, const masconI_conv *v, const_dnnl_primitive_desc_t pd) {
    const int data = v->kind == MASCON_CONV_BWD_DATA, back = v->kind == MASCON_CONV_BWD_WEIGHT;
    dnnl_status_t s =
        desc_query(&d->part[X], pd, data ? dnnl_query_diff_src_md : dnnl_query_src_md);
    if (s == dnnl_success) {
        s = desc_query(&d->part[WEIGHT], pd,
                       back ? dnnl_query_diff_weights_md : dnnl_query_weights_md);
    }
    if (s == dnnl_success) {
        s = desc_query(&d->part[Y], pd, data || back ? dnnl_query_diff_dst_md : dnnl_query_dst_md);
    }
    if (s == dnnl_success && v->bias && !data) s = bias_desc(&d->part[BIAS], v->oc);
    if (s == dnnl_success) s = desc_query(&d->part[SCRATCH], pd, dnnl_query_scratchpad_md);
    if (s == dnnl_success) s = weight_desc(&d->plain, v, 1, weight_type(v));
    if (s != dnnl_success) return s;
    d->scratch = dnnl_memory_desc_get_size(REF(d->part[SCRATCH]));
    if (!d->scratch) desc_free(&d->part[SCRATCH]);
    if (d->scratch) d->scratch += overrun(d->name, v);
    if (!dnnl_memory_desc_equal(REF(d->plain), REF(d->part[WEIGHT]))) {
        d->packed = dnnl_memory_desc_get_size(REF(d->part[WEIGHT]));
        s = make_reorders(d, v);
        if (s != dnnl_success) return s;
    }
    return dnnl_primitive_create(&d->run, pd);
}

/* oneDNN's plain loops: slower than ours would be. */
/* ... and its way over products of unpacked matrices, which it takes for some bfloat16 sizes. */
static int is_slow(const char *name, const masconI_conv *v) {
    return strncmp(name, "ref", 3) == 0 || (v->bf16 && strstr(name, "gemm"));
}

static dnnl_status_t build(masconI_dnnl *d, const masconI_conv *v, int *slow) {
    request r;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s = request_fill(&r, v);
    if (s == dnnl_success) s = dnnl_primitive_attr_create(&attr);
    if (s == dnnl_success) {
        s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    }
    if (s == dnnl_success) s = describe(&pd, v->kind, &r, attr);
    if (s == dnnl_success) {
        const char *name = "";
        s = dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
        strncpy(d->name, name, sizeof d->name - 1);
        *slow = is_slow(name, v);
        if (s == dnnl_success && !*slow) s = fill(d, v, pd);
    }
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    request_free(&r);
    return s;
}

mascon_status masconI_dnnl_new(const masconI_conv *conv, masconI_dnnl **out) {
    *out = NULL;
    if (!masconI_dnnl_usable(NULL)) return MASCON_OK;
    if (conv->bf16 && !masconI_bf16_is_fast()) return MASCON_OK;
    masconI_dnnl *d = calloc(1, sizeof *d);
    if (!d) return masconI_fail(MASCON_E_OOM, "no memory for a convolution plan");
    d->kind = conv->kind;
    int slow = 0, before;
    mascon_status status = call_begin(&before);
    if (status != MASCON_OK) {
        free(d);
        return status;
    }
    const dnnl_status_t s = build(d, conv, &slow);
    call_end(before);
    static pthread_once_t first = PTHREAD_ONCE_INIT;
    pthread_once(&first, end_before_library);
    if (s == dnnl_success && !slow) {
        *out = d;
        return MASCON_OK;
    }
    masconI_dnnl_free(d);
    /* What oneDNN does not offer is served by another kernel; only a full memory is an error. */
    return s == dnnl_out_of_memory ? failed(s, "plan a convolution") : MASCON_OK;
}

size_t masconI_dnnl_scratch(const masconI_dnnl *d) { return d->scratch; }
size_t masconI_dnnl_packed(const masconI_dnnl *d) { return d->packed; }
int masconI_dnnl_same_form(const masconI_dnnl *a, const masconI_dnnl *b) {
    return dnnl_memory_desc_equal(REF(a->part[WEIGHT]), REF(b->part[WEIGHT]));
}

/* ---- Running ---- */

static dnnl_status_t point(dnnl_memory_t memory, const void *data) {
    return dnnl_memory_set_data_handle(memory, (void *)(uintptr_t)data);
}

/* what: for the error, "run a convolution" */
static mascon_status execute(dnnl_primitive_t p, dnnl_stream_t stream, int n,
                             const dnnl_exec_arg_t *args, const char *what) {
    int before;
    MASCON_TRY(call_begin(&before));
    dnnl_status_t s = dnnl_primitive_execute(p, stream, n, args);
    if (s == dnnl_success) s = dnnl_stream_wait(stream);
    call_end(before);
    return s == dnnl_success ? MASCON_OK : failed(s, what);
}

static mascon_status move_weights(masconI_dnnl *d, const void *plain, const void *packed,
                                  int piece) {
    const int back = d->kind == MASCON_CONV_BWD_WEIGHT;
    int at;
    arguments *a = take(d, &at);
    if (!a) return masconI_fail(MASCON_E_OOM, "no memory for the arguments of a convolution");
    dnnl_memory_t from = back ? a->form[piece] : a->plain[piece];
    dnnl_memory_t to = back ? a->plain[piece] : a->form[piece];
    dnnl_status_t s = point(a->plain[piece], plain);
    if (s == dnnl_success) s = point(a->form[piece], packed);
    static const char what[] = "reorder weights";
    const mascon_status status =
        s != dnnl_success
            ? failed(s, what)
            : execute(d->reorder[piece], a->stream, 2,
                      (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}, what);
    give(d, a, at);
    return status;
}

int masconI_dnnl_pieces(const masconI_dnnl *d) { return d->pieces; }

mascon_status masconI_dnnl_pack(masconI_dnnl *d, const void *weight, void *packed, int piece) {
    return move_weights(d, weight, packed, piece);
}

mascon_status masconI_dnnl_unpack(masconI_dnnl *d, const float *packed, float *weight) {
    return move_weights(d, weight, packed, 0);
}

/* ORDER: rows as MASCON_CONV_*, columns as X, WEIGHT, BIAS, Y, SCRATCH. */
static const int roles[3][PARTS] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST, DNNL_ARG_SCRATCHPAD},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST,
     DNNL_ARG_SCRATCHPAD},
};

mascon_status masconI_dnnl_run(masconI_dnnl *d, const void *x, const void *weight,
                               const float *bias, const void *y, void *scratch) {
    const void *data[PARTS] = {x, weight, bias, y, scratch};
    dnnl_exec_arg_t args[PARTS];
    int n = 0, at;
    arguments *a = take(d, &at);
    if (!a) return masconI_fail(MASCON_E_OOM, "no memory for the arguments of a convolution");
    dnnl_status_t s = dnnl_success;
    for (int i = 0; i < PARTS && s == dnnl_success; i++) {
        if (!a->memory[i]) continue;
        s = point(a->memory[i], data[i]);
        args[n++] = (dnnl_exec_arg_t){roles[d->kind][i], a->memory[i]};
    }
    const int on_gemm = strstr(d->name, "gemm") != NULL;
    if (on_gemm) masconI_signals_hold();
    static const char what[] = "run a convolution";
    const mascon_status status =
        s != dnnl_success ? failed(s, what) : execute(d->run, a->stream, n, args, what);
    if (on_gemm) masconI_signals_release();
    give(d, a, at);
    return status;
}

mascon_status masconI_dnnl_gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a,
                                int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                                int64_t ldc) {
    if (!masconI_dnnl_usable(NULL)) return masconI_fail(MASCON_E_UNSUPPORTED, "%s", refusal);
    int before;
    MASCON_TRY(call_begin(&before));
    masconI_signals_hold();
    const dnnl_status_t s =
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
    masconI_signals_release();
    call_end(before);
    static pthread_once_t first = PTHREAD_ONCE_INIT;
    pthread_once(&first, end_before_library);
    return s == dnnl_success ? MASCON_OK : failed(s, "multiply matrices");
}

/* conv_plan.c: which engine of cuDNN serves which convolution. See conv_plan.h.
 *
 * The graph is the convolution, with what follows it where a fused engine exists; else the plain
 * convolution, and the rest is left to the caller. Engines are tried in the order of cuDNN's heuristics,
 * without those whose numerical notes the settings rule out: the last of them (FALLBACK) knows every
 * group count, dilation and padding in every dtype. A plan with a tail that was made but does not run gives
 * its place to the plain one. The text of the plan that was taken is kept on disk,
 * so that a later process neither searches nor compiles.
 */
#include "cuda/conv_plan.h"

#include <stdlib.h>
#include <string.h>

#include "cuda/blas.h"

_Static_assert(sizeof(masconG_conv_key) == 18 * 8 + 8 * 4, "a key has no padding");

/* Engines that want more are taken only where no other is left. */
static const size_t workspace_limit = (size_t)1 << 30;

enum { CANDIDATES = 64, TIMED = 8 };

/* ---- Graphs ---- */

static cudnnDataType_t type_of(int32_t dtype) {
    return dtype == MASCON_DTYPE_BF16  ? CUDNN_DATA_BFLOAT16
           : dtype == MASCON_DTYPE_F16 ? CUDNN_DATA_HALF
           : dtype == MASCON_DTYPE_F64 ? CUDNN_DATA_DOUBLE
                                       : CUDNN_DATA_FLOAT;
}

static masconG_tensor tensor(int64_t uid, cudnnDataType_t dtype, int64_t n, int64_t c, int64_t h,
                             int64_t w, int64_t alignment) {
    return (masconG_tensor){.uid = uid,
                            .shape = {n, c, h, w},
                            .stride = {h * w * c, 1, w * c, c},
                            .alignment = alignment,
                            .dtype = dtype};
}

/* The functions after the convolution, whose result is `last`; the last of them gives y. */
static mascon_status add_tail(masconG_graph *g, const masconG_conv_key *k,
                              cudnnBackendDescriptor_t last) {
    static const struct {
        int32_t bit, uid;
        cudnnPointwiseMode_t mode;
        int channels_only, in_float;
    } steps[] = {
        {MASCONG_TAIL_SCALE, MASCONG_UID_SCALE, CUDNN_POINTWISE_MUL, 1, 1},
        {MASCONG_TAIL_SHIFT, MASCONG_UID_SHIFT, CUDNN_POINTWISE_ADD, 1, 1},
        {MASCONG_TAIL_BIAS, MASCONG_UID_BIAS, CUDNN_POINTWISE_ADD, 1, 0},
        {MASCONG_TAIL_RESIDUAL, MASCONG_UID_RESIDUAL, CUDNN_POINTWISE_ADD, 0, 0},
        {MASCONG_TAIL_RELU, 0, CUDNN_POINTWISE_RELU_FWD, 0, 0},
    };
    const cudnnDataType_t type = type_of(k->dtype);
    int64_t between = MASCONG_UID_BETWEEN + 1;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (!(k->tail & steps[i].bit)) continue;
        cudnnBackendDescriptor_t operand = NULL, result;
        if (steps[i].uid) {
            const int64_t n = steps[i].channels_only ? 1 : k->n;
            const masconG_tensor b =
                tensor(steps[i].uid, steps[i].in_float ? CUDNN_DATA_FLOAT : type, n, k->oc,
                       steps[i].channels_only ? 1 : k->oh, steps[i].channels_only ? 1 : k->ow,
                       steps[i].in_float ? 16 : k->alignment); /* those lie in the workspace */
            MASCON_TRY(masconG_graph_tensor(g, &b, &operand));
        }
        const int is_last = k->tail < steps[i].bit * 2;
        masconG_tensor y =
            tensor(is_last ? MASCONG_UID_Y : between++, is_last ? type : CUDNN_DATA_FLOAT, k->n,
                   k->oc, k->oh, k->ow, k->alignment);
        y.is_virtual = !is_last;
        MASCON_TRY(masconG_graph_tensor(g, &y, &result));
        MASCON_TRY(masconG_graph_pointwise(g, steps[i].mode, last, operand, result));
        last = result;
    }
    return MASCON_OK;
}

static mascon_status build(masconG_graph *g, const masconG_conv_key *k,
                           const masconG_target *target) {
    const cudnnDataType_t type = type_of(k->dtype);
    const masconG_tensor x = tensor(MASCONG_UID_X, type, k->n, k->c, k->h, k->w, k->alignment);
    const masconG_tensor w =
        tensor(MASCONG_UID_W, type, k->oc, k->c / k->groups, k->kh, k->kw, k->alignment);
    masconG_tensor y =
        tensor(k->tail ? MASCONG_UID_BETWEEN : MASCONG_UID_Y, k->tail ? CUDNN_DATA_FLOAT : type,
               k->n, k->oc, k->oh, k->ow, k->alignment);
    y.is_virtual = k->tail != 0;
    const masconG_window window = {.stride = {k->sh, k->sw},
                                   .dilation = {k->dh, k->dw},
                                   .before = {k->top, k->left},
                                   .after = {k->bottom, k->right},
                                   .in_double = k->dtype == MASCON_DTYPE_F64};
    cudnnBackendDescriptor_t dx, dw, dy;
    MASCON_TRY(masconG_graph_tensor(g, &x, &dx));
    MASCON_TRY(masconG_graph_tensor(g, &w, &dw));
    MASCON_TRY(masconG_graph_tensor(g, &y, &dy));
    MASCON_TRY(masconG_graph_convolution(g, (masconG_conv_kind)k->kind, &window, dx, dw, dy));
    MASCON_TRY(add_tail(g, k, dy));
    return masconG_graph_finish(g, target);
}

/* ---- Engines ---- */

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)
#define BEHAVIOR(name) (1u << CUDNN_BEHAVIOR_NOTE_##name)

int masconG_conv_allows(const masconG_conv_key *key, const masconG_notes *notes) {
    /* sums in less than float, and float32 turned into 16 bits, nobody asked for */
    uint32_t refused = NOTE(REDUCED_PRECISION_REDUCTION) | NOTE(DOWN_CONVERT_INPUTS);
    if (key->deterministic) refused |= NOTE(NONDETERMINISTIC);
    if (key->dtype == MASCON_DTYPE_F32 && !key->tf32) {
        refused |=
            NOTE(TENSOR_CORE) | NOTE(FFT) | NOTE(WINOGRAD_TILE_6x6) | NOTE(WINOGRAD_TILE_13x13);
    }
    const uint32_t reordered =
        BEHAVIOR(REQUIRES_FILTER_INT8x32_REORDER) | BEHAVIOR(REQUIRES_BIAS_INT8x32_REORDER);
    return !(notes->numerical & refused) && !(notes->behavior & reordered);
}

/* Plans of the allowed candidates that can be made and keep the limit, up to max of them. */
static mascon_status make_plans(const masconG_conv_key *key, const masconG_target *target,
                                const cudnnBackendDescriptor_t *configs, int count, size_t limit,
                                int max, masconG_conv_plan *plans, int *made) {
    mascon_status status = MASCON_OK;
    for (int i = 0; i < count && status == MASCON_OK && *made < max; i++) {
        masconG_conv_plan *p = &plans[*made];
        masconG_notes notes;
        *p = (masconG_conv_plan){.tail = key->tail};
        status = masconG_config_notes(configs[i], &notes);
        if (status == MASCON_OK && !masconG_conv_allows(key, &notes)) continue;
        if (status == MASCON_OK) {
            status = masconG_plan_new(target, configs[i], &p->plan, &p->workspace);
        }
        if (status == MASCON_OK && p->workspace > limit) {
            masconG_descriptor_free(p->plan);
        } else if (status == MASCON_OK) {
            ++*made;
        }
        /* an engine may fail for reasons of its own (a compiler that is missing): the next one */
        if (status == MASCON_E_UNSUPPORTED || status == MASCON_E_BACKEND) status = MASCON_OK;
    }
    return status;
}

/* The first plan of a mode, or the fastest of the first ones; *out.plan stays NULL where there is
 * none. */
static mascon_status try_mode(const masconG_conv_key *key, const masconG_graph *g,
                              const masconG_target *target, cudnnBackendHeurMode_t mode,
                              size_t limit, masconG_conv_plan *out) {
    cudnnBackendDescriptor_t configs[CANDIDATES];
    masconG_conv_plan plans[TIMED];
    int count, made = 0, best = 0;
    MASCON_TRY(masconG_graph_candidates(g, target, mode, CANDIDATES, configs, &count));
    mascon_status status =
        make_plans(key, target, configs, count, limit, key->timed ? TIMED : 1, plans, &made);
    for (int i = 0; i < count; i++) masconG_descriptor_free(configs[i]);
    if (status == MASCON_OK && made > 1) {
        status = masconG_conv_fastest(key, target, plans, made, &best);
    }
    for (int i = 0; i < made; i++) {
        if (status == MASCON_OK && i == best) {
            *out = plans[i];
        } else {
            masconG_descriptor_free(plans[i].plan);
        }
    }
    return status;
}

/* Fused: the best engines only, for the slow ones that fuse anything lose against a fast convolution and
 * a kernel of our own. Plain: down to the last resort. */
static mascon_status try_engines(const masconG_conv_key *key, const masconG_graph *g,
                                 const masconG_target *target, masconG_conv_plan *out) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B,
                                                   CUDNN_HEUR_MODE_FALLBACK};
    const int n_modes = key->tail ? 1 : 3;
    for (int i = 0; i < n_modes && !out->plan; i++) {
        MASCON_TRY(try_mode(key, g, target, modes[i], workspace_limit, out));
    }
    for (int i = 0; i < n_modes && !out->plan; i++) {
        MASCON_TRY(try_mode(key, g, target, modes[i], SIZE_MAX, out));
    }
    return MASCON_OK;
}

static mascon_status make_graph_plan(const masconG_conv_key *key, const masconG_target *target,
                                     masconG_conv_plan *out) {
    masconG_graph g = {0};
    mascon_status status = build(&g, key, target);
    if (status == MASCON_OK) status = try_engines(key, &g, target, out);
    masconG_graph_free(&g);
    /* whatever is wrong with the fused graph: there is the plain one */
    return key->tail && status != MASCON_E_OOM ? MASCON_OK : status;
}

mascon_status masconG_conv_plan_make(const masconG_conv_key *key, const masconG_target *target,
                                     masconG_conv_plan *out) {
    *out = (masconG_conv_plan){.tail = key->tail};
    /* what follows a convolution of float64 is a kernel of ours */
    if (key->tail && key->dtype != MASCON_DTYPE_F64) {
        MASCON_TRY(make_graph_plan(key, target, out));
    }
    if (out->plan) return MASCON_OK;
    masconG_conv_key plain = *key;
    plain.tail = out->tail = 0;
    MASCON_TRY(make_graph_plan(&plain, target, out));
    if (out->plan) return MASCON_OK;
    static const char *const kinds[] = {"convolution", "gradient of the input",
                                        "gradient of the weight"};
    return masconI_fail(
        MASCON_E_UNSUPPORTED,
        "cuDNN has no engine for this %s of %s: input {%lld, %lld, %lld, %lld}, kernel %lldx%lld",
        kinds[key->kind], mascon_dtype_name(key->dtype), (long long)key->n, (long long)key->c,
        (long long)key->h, (long long)key->w, (long long)key->kh, (long long)key->kw);
}

/* ---- Kept on disk ---- */

/* The folder of plans for a device: they depend on the library's version and on the GPU. */
static mascon_status folder_of(int32_t device, char *buffer, size_t size) {
    struct cudaDeviceProp properties;
    CUDA_TRY(get_device_properties(&properties, device & 255));
    masconG_kept_folder(buffer, size, "cudnn", (int64_t)cuda->cudnn_get_version(), properties.name,
                        properties.multiProcessorCount);
    return MASCON_OK;
}

/* What the key of a file is: the problem, whichever device of this kind it is for. */
static masconG_conv_key file_key(const masconG_conv_key *key) {
    masconG_conv_key k = *key;
    k.device = 0;
    return k;
}

/* A file's text: a byte for every bit of the plan's tail, then cuDNN's text. A plan that cannot be
 * restored (another driver, say) is made again. */
static int restore(const char *folder, const masconG_conv_key *key, const masconG_target *target,
                   masconG_conv_plan *out) {
    const masconG_conv_key k = file_key(key);
    size_t length;
    char *text = masconG_kept_read(folder, &k, sizeof k, &length);
    if (!text) return 0;
    mascon_status status = MASCON_E_FORMAT;
    const int32_t tail = (unsigned char)text[0];
    if (length > 1 && (tail == key->tail || tail == 0)) {
        out->tail = tail;
        status = masconG_plan_from_text(target, text + 1, length - 1, &out->plan, &out->workspace);
    }
    free(text);
    return status == MASCON_OK;
}

static void keep(const char *folder, const masconG_conv_key *key, const masconG_conv_plan *plan) {
    char *text, *with_tail;
    size_t length;
    if (masconG_plan_text(plan->plan, &text, &length) != MASCON_OK || !text) return;
    with_tail = malloc(length + 1);
    if (with_tail) {
        const masconG_conv_key k = file_key(key);
        with_tail[0] = (char)plan->tail;
        memcpy(with_tail + 1, text, length);
        masconG_kept_write(folder, &k, sizeof k, with_tail, length + 1);
    }
    free(with_tail);
    free(text);
}

/* ---- Kept in memory ---- */

static void destroy_plan(void *value) {
    masconG_conv_plan *p = value;
    masconG_conv_drop_spare(p);
    masconG_descriptor_free(p->plan);
    free(p);
}

static mascon_status make_plan(const void *bytes, void **value) {
    const masconG_conv_key *key = bytes;
    masconG_target target = {0};
    MASCON_TRY(masconG_dnn_handle(key->device, &target.handle));
    char folder[256];
    MASCON_TRY(folder_of(key->device, folder, sizeof folder));
    masconG_conv_plan *made = calloc(1, sizeof *made);
    if (!made) return masconI_fail(MASCON_E_OOM, "no memory for a plan of a convolution");
    if (!restore(folder, key, &target, made)) {
        const mascon_status status = masconG_conv_plan_make(key, &target, made);
        if (status != MASCON_OK) {
            destroy_plan(made);
            return status;
        }
        keep(folder, key, made);
    }
    *value = made;
    return MASCON_OK;
}

static masconG_cache plans = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .limit = 1024, .make = make_plan, .destroy = destroy_plan};

mascon_status masconG_conv_plan_get(const masconG_conv_key *key, masconG_entry **out) {
    return masconG_cache_get(&plans, key, sizeof *key, out);
}

void masconG_conv_plan_put(masconG_entry *entry) { masconG_cache_put(&plans, entry); }

mascon_status masconG_conv_spare(const masconG_entry *entry, masconG_conv_plan *spare) {
    masconG_conv_key plain;
    memcpy(&plain, entry->key, sizeof plain);
    plain.tail = 0;
    *spare = (masconG_conv_plan){.device = plain.device};
    MASCON_TRY(masconG_conv_plan_get(&plain, &spare->instead));
    const size_t bytes = masconG_conv_plan_of(spare->instead)->workspace;
    /* not the call's: that is as large as the plan with the tail wants, in recordings, too */
    const mascon_status status =
        bytes ? masconG_host->alloc(spare->device, bytes, &spare->memory) : MASCON_OK;
    if (status != MASCON_OK) masconG_conv_drop_spare(spare);
    return status;
}

void masconG_conv_replace(masconG_entry *entry, const masconG_conv_plan *spare) {
    masconG_conv_plan *p = entry->value;
    masconG_conv_key key;
    char folder[256];
    p->instead = spare->instead;
    p->memory = spare->memory;
    p->device = spare->device;
    memcpy(&key, entry->key, sizeof key);
    if (folder_of(key.device, folder, sizeof folder) == MASCON_OK) {
        keep(folder, &key, masconG_conv_plan_of(p->instead));
    }
}

void masconG_conv_drop_spare(masconG_conv_plan *spare) {
    if (!spare->instead) return;
    const size_t bytes = masconG_conv_plan_of(spare->instead)->workspace;
    if (spare->memory) masconG_host->free(spare->device, spare->memory, bytes);
    masconG_conv_plan_put(spare->instead);
    spare->instead = NULL;
    spare->memory = NULL;
}

void masconG_conv_plans_clear(void) { masconG_cache_clear(&plans); }

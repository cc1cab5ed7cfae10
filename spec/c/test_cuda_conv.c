/* test_cuda_conv.c: plans of convolutions and products over the fake device: their keys, the bounded
 * cache, files, which engine is taken, and every call of a library failing once. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cuda/backend.h"
#include "cuda/blas.h"
#include "cuda/conv_kernels.h"
#include "cuda/conv_plan.h"
#include "cuda/fake/fake.h"
#include "expect.h"
#include "ops/nn.h"

/* of the fake libraries (fake_library.h is C++) */
int64_t masconF_objects(void);
int64_t masconF_executions(const char *kind);
void masconF_refuse_runs(const char *kind);

extern const mascon_kernel masconG_conv2d, masconG_conv2d_relu, masconG_conv2d_bwd_weight,
    masconG_linear, masconG_linear_bwd_weight, masconG_matmul;

/* ---- A host ---- */

static char last_text[1024];
static int settings[MASCON_SETTING_COUNT];

static mascon_status fail(const char *file, int line, mascon_status code, int32_t op,
                          int32_t native, const char *text) {
    (void)file, (void)line, (void)op, (void)native;
    snprintf(last_text, sizeof last_text, "%s", text);
    return code;
}
static mascon_status hint(const char *text) {
    (void)text;
    return MASCON_E_BACKEND;
}
static const char *op_name(int32_t op) {
    (void)op;
    return "op";
}
static void free_block(int32_t device, void *block, size_t bytes) {
    (void)bytes;
    masconG_memory_free(device, block);
}
static int32_t setting(int32_t which) { return settings[which]; }

static const mascon_host host = {.abi = MASCON_BACKEND_ABI,
                                 .size = sizeof host,
                                 .fail = fail,
                                 .hint = hint,
                                 .op_name = op_name,
                                 .alloc = masconG_memory_alloc,
                                 .free = free_block,
                                 .setting = setting};

/* ---- Tensors ---- */

static mascon_tensor *as_tensor(mascon_view *v) { return (mascon_tensor *)(void *)v; }

static int make(mascon_view *v, int32_t dtype, int32_t ndim, const int64_t *shape) {
    *v = (mascon_view){.ndim = ndim, .numel = 1, .device = MASCON_DEVICE_CUDA, .contiguous = 1};
    v->dtype = (uint8_t)dtype;
    for (int d = 0; d < ndim; d++) {
        v->shape[d] = shape[d];
        v->numel *= shape[d];
    }
    for (int64_t d = ndim - 1, step = 1; d >= 0; step *= shape[d--]) v->stride[d] = step;
    const size_t bytes = (size_t)v->numel * (size_t)mascon_dtype_size(dtype);
    if (masconG_memory_alloc(MASCON_DEVICE_CUDA, bytes, &v->data) != MASCON_OK) return 1;
    return cuda->memset_async(v->data, 0, bytes, NULL) != cudaSuccess;
}

static void drop(mascon_view *v) { masconG_memory_free(MASCON_DEVICE_CUDA, v->data); }

enum { SCRATCH = 1 << 20 };
static void *scratch; /* of all calls: what is live then never depends on a failing free */

/* Runs a kernel as the core does. */
static mascon_status run(const mascon_kernel *kernel, mascon_call *call) {
    masconG_device *device;
    mascon_wish wish = {0};
    MASCON_TRY(masconG_open(MASCON_DEVICE_CUDA, &device));
    if (!kernel->wish(call, &wish)) return MASCON_E_UNSUPPORTED;
    const size_t bytes = kernel->workspace(call);
    if (bytes > SCRATCH) return MASCON_E_LIMIT;
    mascon_exec exec = {.workspace = bytes ? scratch : NULL, .stream = device->stream};
    const mascon_status status = kernel->run(call, &exec);
    return status == MASCON_OK ? masconG_synchronize(MASCON_DEVICE_CUDA) : status;
}

typedef struct pictures {
    mascon_view x, w, b, y;
    mascon_call call;
} pictures;

/* x {2, c, 5, 6}, a 3x3 kernel with padding 1, y {2, oc, 5, 6} */
static int make_pictures(pictures *p, int32_t op, int32_t dtype, int64_t c, int64_t oc) {
    memset(p, 0, sizeof *p);
    if (make(&p->x, dtype, 4, (int64_t[]){2, c, 5, 6})) return 1;
    if (make(&p->w, dtype, 4, (int64_t[]){oc, c, 3, 3})) return 1;
    if (make(&p->b, dtype, 1, &oc)) return 1;
    if (make(&p->y, dtype, 4, (int64_t[]){2, oc, 5, 6})) return 1;
    p->call = (mascon_call){.op = op, .n_src = 3, .n_dst = 1};
    mascon_view *const sources[] = {&p->x, &p->w, &p->b};
    for (int i = 0; i < 3; i++) p->call.src[i] = as_tensor(sources[i]);
    p->call.dst[0] = as_tensor(&p->y);
    for (int i = 0; i <= NN_CONV2D_GROUPS; i++) p->call.attr[i] = 1; /* padding 1 among them */
    return 0;
}

static void drop_pictures(pictures *p) {
    drop(&p->x);
    drop(&p->w);
    drop(&p->b);
    drop(&p->y);
}

/* ---- Keys and the bounded cache ---- */

static int made, destroyed;

static mascon_status make_number(const void *key, void **value) {
    if (*(const int64_t *)key < 0) return masconI_fail(MASCON_E_OOM, "asked to fail");
    made++;
    *value = malloc(sizeof(int64_t));
    *(int64_t *)*value = *(const int64_t *)key;
    return MASCON_OK;
}

static void destroy_number(void *value) {
    destroyed++;
    free(value);
}

static int check_cache(void) {
    static masconG_cache cache = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                  .limit = 3,
                                  .make = make_number,
                                  .destroy = destroy_number};
    masconG_entry *e, *held;
    for (int64_t key = 1; key <= 3; key++) {
        EXPECT(masconG_cache_get(&cache, &key, sizeof key, &e) == MASCON_OK);
        EXPECT(*(int64_t *)e->value == key);
        masconG_cache_put(&cache, e);
    }
    int64_t key = 1;
    EXPECT(masconG_cache_get(&cache, &key, sizeof key, &held) == MASCON_OK && made == 3);
    for (key = 4; key <= 20; key++) {
        EXPECT(masconG_cache_get(&cache, &key, sizeof key, &e) == MASCON_OK);
        masconG_cache_put(&cache, e);
        EXPECT(cache.count == 3);
    }
    EXPECT(made == 20 && destroyed == 17);
    EXPECT(*(int64_t *)held->value == 1); /* held, so never dropped */
    masconG_cache_put(&cache, held);
    key = 20; /* the newest are there */
    EXPECT(masconG_cache_get(&cache, &key, sizeof key, &e) == MASCON_OK && made == 20);
    masconG_cache_put(&cache, e);
    key = -1;
    EXPECT(masconG_cache_get(&cache, &key, sizeof key, &e) == MASCON_E_OOM && e == NULL);
    masconG_cache_clear(&cache);
    EXPECT(cache.count == 0 && destroyed == 20 && !cache.newest && !cache.oldest);
    return 0;
}

static masconG_conv_key a_key(void) {
    return (masconG_conv_key){.n = 2,
                              .c = 16,
                              .h = 5,
                              .w = 6,
                              .oc = 8,
                              .oh = 5,
                              .ow = 6,
                              .kh = 3,
                              .kw = 3,
                              .sh = 1,
                              .sw = 1,
                              .dh = 1,
                              .dw = 1,
                              .top = 1,
                              .left = 1,
                              .bottom = 1,
                              .right = 1,
                              .groups = 1,
                              .kind = MASCONG_CONV_FORWARD,
                              .dtype = MASCON_DTYPE_F32,
                              .alignment = 16};
}

/* Every field tells problems apart, and equal problems are equal. */
static int check_keys(void) {
    masconG_conv_key a = a_key(), b = a_key();
    EXPECT(memcmp(&a, &b, sizeof a) == 0);
    for (size_t at = 0; at < sizeof a; at++) {
        unsigned char *byte = (unsigned char *)&b + at;
        *byte ^= 1;
        EXPECT(memcmp(&a, &b, sizeof a) != 0);
        *byte ^= 1;
    }
    masconG_entry *first, *second;
    EXPECT(masconG_conv_plan_get(&a, &first) == MASCON_OK);
    EXPECT(masconG_conv_plan_get(&b, &second) == MASCON_OK && second == first);
    masconG_conv_plan_put(second);
    b.deterministic = 1;
    EXPECT(masconG_conv_plan_get(&b, &second) == MASCON_OK && second != first);
    masconG_conv_plan_put(second);
    b = a;
    b.alignment = 8;
    EXPECT(masconG_conv_plan_get(&b, &second) == MASCON_OK && second != first);
    masconG_conv_plan_put(second);
    masconG_conv_plan_put(first);
    masconG_conv_plans_clear();
    return 0;
}

/* ---- Engines ---- */

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)

static int allows(int32_t dtype, int tf32, int deterministic, uint32_t notes) {
    masconG_conv_key key = a_key();
    key.dtype = dtype;
    key.tf32 = tf32;
    key.deterministic = deterministic;
    return masconG_conv_allows(&key, &(masconG_notes){.numerical = notes});
}

static int check_notes(void) {
    EXPECT(allows(MASCON_DTYPE_F32, 0, 0, 0));
    EXPECT(!allows(MASCON_DTYPE_F32, 0, 0, NOTE(TENSOR_CORE)));
    EXPECT(allows(MASCON_DTYPE_F32, 1, 0, NOTE(TENSOR_CORE)));
    EXPECT(allows(MASCON_DTYPE_BF16, 0, 0, NOTE(TENSOR_CORE)));
    EXPECT(allows(MASCON_DTYPE_F16, 0, 0, NOTE(NONDETERMINISTIC)));
    EXPECT(!allows(MASCON_DTYPE_F16, 0, 1, NOTE(NONDETERMINISTIC)));
    EXPECT(!allows(MASCON_DTYPE_F32, 1, 0, NOTE(DOWN_CONVERT_INPUTS)));
    EXPECT(!allows(MASCON_DTYPE_BF16, 0, 0, NOTE(REDUCED_PRECISION_REDUCTION)));
    masconG_conv_key key = a_key();
    const masconG_notes reordered = {.behavior =
                                         1u << CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER};
    EXPECT(!masconG_conv_allows(&key, &reordered));
    return 0;
}

/* Workspace tells the fake's engines apart. */
static size_t workspace_of(masconG_conv_key key) {
    masconG_entry *entry;
    if (masconG_conv_plan_get(&key, &entry) != MASCON_OK) return (size_t)-1;
    const size_t bytes = masconG_conv_plan_of(entry)->workspace;
    masconG_conv_plan_put(entry);
    return bytes;
}

static int32_t tail_of(masconG_conv_key key) {
    masconG_entry *entry;
    if (masconG_conv_plan_get(&key, &entry) != MASCON_OK) return -1;
    const int32_t tail = masconG_conv_plan_of(entry)->tail;
    masconG_conv_plan_put(entry);
    return tail;
}

static int check_choice(void) {
    masconG_conv_key key = a_key();
    EXPECT(workspace_of(key) == 8 * 16 + 8); /* no tensor cores: mode B has it */
    key.tf32 = 1;
    EXPECT(workspace_of(key) == 0);
    key.c = 12; /* tensor cores promise, and cannot: the next one */
    EXPECT(workspace_of(key) == 8 * 16 + 8);
    key.groups = 3;
    key.oc = 9;
    EXPECT(workspace_of(key) == 0); /* the last resort */
    key = a_key();
    key.kind = MASCONG_CONV_DATA;
    key.dtype = MASCON_DTYPE_BF16;
    EXPECT(workspace_of(key) == 4096); /* the order of sums may change */
    key.deterministic = 1;
    EXPECT(workspace_of(key) == 0);
    key = a_key();
    key.tail = MASCONG_TAIL_SCALE | MASCONG_TAIL_SHIFT | MASCONG_TAIL_RESIDUAL | MASCONG_TAIL_RELU;
    EXPECT(tail_of(key) == 0); /* float32 in full has no such engine: the plain convolution */
    key.dtype = MASCON_DTYPE_BF16;
    EXPECT(tail_of(key) == key.tail);
    key.tail = MASCONG_TAIL_BIAS | MASCONG_TAIL_RELU;
    key.dtype = MASCON_DTYPE_F32;
    EXPECT(tail_of(key) == key.tail);
    masconG_conv_plans_clear();
    return 0;
}

/* With a clock, the heuristics' second choice wins where it is faster. */
static int check_clock(void) {
    masconG_conv_key key = a_key();
    key.kind = MASCONG_CONV_DATA;
    key.dtype = MASCON_DTYPE_BF16;
    EXPECT(workspace_of(key) == 4096);
    int64_t live[4], now[4];
    masconF_live(live);
    key.timed = 1;
    EXPECT(workspace_of(key) == 0);
    masconF_live(now);
    EXPECT(memcmp(live, now, sizeof live) == 0);
    masconG_conv_plans_clear();
    masconF_fail("malloc", 1, cudaErrorMemoryAllocation);
    key.alignment = 8;                 /* another file */
    EXPECT(workspace_of(key) == 4096); /* no memory to measure in: as without a clock */
    masconF_fail(NULL, 0, 0);
    masconG_conv_plans_clear();
    return 0;
}

/* ---- Files ---- */

static char folder[256], file_path[512];

/* The one file below the cache's folder; 0 where there is none or more. */
static int find_file(void) {
    char place[300];
    snprintf(place, sizeof place, "%s/mascon", folder);
    int files = 0;
    DIR *outer = opendir(place);
    for (struct dirent *d; outer && (d = readdir(outer));) {
        if (d->d_name[0] == '.') continue;
        char inner_place[600];
        snprintf(inner_place, sizeof inner_place, "%s/%s", place, d->d_name);
        DIR *inner = opendir(inner_place);
        for (struct dirent *f; inner && (f = readdir(inner));) {
            if (f->d_name[0] == '.') continue;
            snprintf(file_path, sizeof file_path, "%.250s/%.250s", inner_place, f->d_name);
            files++;
        }
        if (inner) closedir(inner);
    }
    if (outer) closedir(outer);
    return files == 1;
}

/* How a plan of this key is made now: 't' from text, 'c' from a configuration. */
static char how_made(const masconG_conv_key *key) {
    const int64_t text = masconF_executions("plan_from_text");
    masconG_conv_plans_clear();
    if (workspace_of(*key) == (size_t)-1) return '?';
    return masconF_executions("plan_from_text") > text ? 't' : 'c';
}

static int change_byte(long at) {
    FILE *f = fopen(file_path, "r+b");
    if (!f) return 1;
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    const int c = fgetc(f);
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    fputc(c ^ 0x20, f);
    return fclose(f);
}

static int check_files(void) {
    const masconG_conv_key key = a_key();
    EXPECT(how_made(&key) == 'c'); /* nothing there yet, and now there is */
    EXPECT(find_file());
    EXPECT(how_made(&key) == 't');
    struct stat whole;
    EXPECT(stat(file_path, &whole) == 0);
    /* each damaged file counts as missing, and is written anew */
    const long places[] = {0, 8, 16, 24, 40, (long)(32 + sizeof key + 3), -1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        EXPECT(change_byte(places[i]) == 0);
        EXPECT(how_made(&key) == 'c');
        EXPECT(how_made(&key) == 't');
    }
    for (off_t size = 0; size < whole.st_size; size += 37) {
        EXPECT(truncate(file_path, size) == 0);
        EXPECT(how_made(&key) == 'c');
    }
    FILE *f = fopen(file_path, "ab");
    EXPECT(f && fputc('x', f) == 'x' && fclose(f) == 0);
    EXPECT(how_made(&key) == 'c');
    EXPECT(how_made(&key) == 't');
    EXPECT(find_file()); /* nothing was left beside it */
    /* a sound file whose text cuDNN does not take */
    size_t length;
    char name[256];
    struct cudaDeviceProp properties;
    EXPECT(cuda->get_device_properties(&properties, 0) == cudaSuccess);
    masconG_kept_folder(name, sizeof name, "cudnn", (int64_t)cuda->cudnn_get_version(),
                        properties.name, properties.multiProcessorCount);
    masconG_kept_write(name, &key, sizeof key, "\0of another version", 19);
    EXPECT(how_made(&key) == 'c');
    char *text = masconG_kept_read(name, &key, sizeof key, &length);
    EXPECT(text && length > 19);
    free(text);
    EXPECT(masconG_kept_read(name, &key, sizeof key - 1, &length) == NULL);
    /* no place for files is no error */
    EXPECT(unlink(file_path) == 0);
    setenv("XDG_CACHE_HOME", "/dev/null/nowhere", 1);
    EXPECT(how_made(&key) == 'c' && how_made(&key) == 'c');
    setenv("XDG_CACHE_HOME", folder, 1);
    return 0;
}

static int check_folder_name(void) {
    char name[64];
    masconG_kept_folder(name, sizeof name, "cudnn", 91900, "NVIDIA H200 / \"x\"", 132);
    EXPECT(strcmp(name, "cudnn-91900-NVIDIA_H200____x_-132") == 0);
    return 0;
}

/* ---- Failing calls ---- */

/* Each of the first calls of any library fails once: a status comes back, or another way was found;
 * nothing stays behind, and the same call then succeeds. */
static int fail_each(const mascon_kernel *kernel, mascon_call *call, int32_t error, int *failures) {
    *failures = 0;
    EXPECT(run(kernel, call) == MASCON_OK);
    masconG_conv_plans_clear();
    const int64_t objects = masconF_objects();
    int64_t live[4], now[4];
    masconF_live(live);
    for (int64_t n = 1; n < 400; n++) {
        masconF_fail(NULL, n, error);
        const mascon_status status = run(kernel, call);
        masconF_fail(NULL, 0, 0);
        masconF_revive();
        masconG_conv_plans_clear();
        masconF_live(now);
        EXPECT(masconF_objects() == objects);
        EXPECT(memcmp(live, now, sizeof live) == 0);
        *failures += status != MASCON_OK;
        EXPECT(run(kernel, call) == MASCON_OK);
        masconG_conv_plans_clear();
    }
    return 0;
}

static int check_failures(void) {
    pictures p;
    int failures;
    setenv("XDG_CACHE_HOME", "/dev/null/nowhere", 1);
    settings[MASCON_SETTING_TF32] = 1;
    EXPECT(make_pictures(&p, MASCON_OP_conv2d, MASCON_DTYPE_F32, 16, 8) == 0);
    EXPECT(fail_each(&masconG_conv2d, &p.call, CUDNN_STATUS_EXECUTION_FAILED, &failures) == 0);
    EXPECT(failures >
           2); /* few: where what is fused with the bias fails, there is the plain plan */
    p.call.n_src = 2;
    EXPECT(fail_each(&masconG_conv2d, &p.call, CUDNN_STATUS_EXECUTION_FAILED, &failures) == 0);
    EXPECT(failures > 5);
    p.call.n_src = 3;
    EXPECT(fail_each(&masconG_conv2d, &p.call, CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED,
                     &failures) == 0);
    EXPECT(failures > 5);
    drop_pictures(&p);
    settings[MASCON_SETTING_TF32] = 0;
    setenv("XDG_CACHE_HOME", folder, 1);
    return 0;
}

static int check_messages(void) {
    pictures p;
    EXPECT(make_pictures(&p, MASCON_OP_conv2d, MASCON_DTYPE_F32, 16, 8) == 0);
    p.call.n_src = 2; /* without a bias nothing is fused, and there is no other plan */
    masconF_fail("cudnn_backend_execute", 1, CUDNN_STATUS_EXECUTION_FAILED);
    EXPECT(run(&masconG_conv2d, &p.call) == MASCON_E_BACKEND);
    EXPECT(strstr(last_text, "cuDNN: running a convolution: CUDNN_STATUS_EXECUTION_FAILED"));
    drop_pictures(&p);
    mascon_view x, w, y;
    EXPECT(make(&x, MASCON_DTYPE_F32, 2, (int64_t[]){5, 3}) == 0);
    EXPECT(make(&w, MASCON_DTYPE_F32, 2, (int64_t[]){4, 3}) == 0);
    EXPECT(make(&y, MASCON_DTYPE_F32, 2, (int64_t[]){5, 4}) == 0);
    mascon_call call = {.op = MASCON_OP_linear, .n_src = 2, .n_dst = 1};
    call.src[0] = as_tensor(&x);
    call.src[1] = as_tensor(&w);
    call.dst[0] = as_tensor(&y);
    masconF_fail("blas_matmul", 1, CUBLAS_STATUS_ALLOC_FAILED);
    EXPECT(run(&masconG_linear, &call) == MASCON_E_OOM);
    EXPECT(strstr(last_text, "cuBLAS: multiplying: CUBLAS_STATUS_ALLOC_FAILED"));
    masconF_fail("blas_get_heuristic", 1, CUBLAS_STATUS_INVALID_VALUE);
    x.data = (char *)x.data + 4; /* another alignment: another plan */
    EXPECT(run(&masconG_linear, &call) == MASCON_E_BACKEND);
    x.data = (char *)x.data - 4;
    drop(&x);
    drop(&w);
    drop(&y);
    return 0;
}

/* ---- Which library calls an op makes ---- */

static int check_calls(void) {
    pictures p;
    settings[MASCON_SETTING_TF32] = 1;
    EXPECT(make_pictures(&p, MASCON_OP_conv2d_relu, MASCON_DTYPE_BF16, 16, 8) == 0);
    EXPECT(run(&masconG_conv2d_relu, &p.call) == MASCON_OK); /* the plan is made */
    const int64_t fused = masconF_executions("conv_fused");
    const int64_t launches = masconF_calls("launch_kernel");
    const int64_t calls = masconF_calls(NULL);
    EXPECT(run(&masconG_conv2d_relu, &p.call) == MASCON_OK);
    EXPECT(masconF_executions("conv_fused") == fused + 1);
    EXPECT(masconF_calls("launch_kernel") == launches); /* bias and relu are in the plan */
    EXPECT(masconF_calls(NULL) - calls < 20);           /* and nothing is searched again */
    drop_pictures(&p);
    settings[MASCON_SETTING_TF32] = 0;
    mascon_view x, dy, dw, db;
    for (int half = 0; half < 2; half++) {
        const int32_t dtype = half ? MASCON_DTYPE_BF16 : MASCON_DTYPE_F32;
        EXPECT(make(&x, dtype, 2, (int64_t[]){5, 3}) == 0);
        EXPECT(make(&dy, dtype, 2, (int64_t[]){5, 4}) == 0);
        EXPECT(make(&dw, dtype, 2, (int64_t[]){4, 3}) == 0);
        EXPECT(make(&db, dtype, 1, (int64_t[]){4}) == 0);
        mascon_call call = {.op = MASCON_OP_linear_bwd_weight, .n_src = 2, .n_dst = 2};
        call.src[0] = as_tensor(&x);
        call.src[1] = as_tensor(&dy);
        call.dst[0] = as_tensor(&dw);
        call.dst[1] = as_tensor(&db);
        const int64_t sums = masconF_executions("gemm_column_sum");
        const int64_t kernels = masconF_calls("launch_kernel");
        EXPECT(run(&masconG_linear_bwd_weight, &call) == MASCON_OK);
        EXPECT(masconF_executions("gemm_column_sum") == sums + half);
        EXPECT(masconF_calls("launch_kernel") == kernels + !half);
        drop(&x);
        drop(&dy);
        drop(&dw);
        drop(&db);
    }
    return 0;
}

/* ---- Plans that are made and do not run ---- */

/* y = x w^T + 1, or the gradients of w and the bias; x {5, 20}, y {5, 4}. */
static int check_refused_product(int32_t op, int32_t dtype, const char *kind) {
    mascon_view x, second, first_out, vector;
    const int forward = op == MASCON_OP_linear;
    const mascon_kernel *kernel = forward ? &masconG_linear : &masconG_linear_bwd_weight;
    EXPECT(make(&x, dtype, 2, (int64_t[]){5, 20}) == 0);
    EXPECT(make(&second, dtype, 2, (int64_t[]){forward ? 4 : 5, forward ? 20 : 4}) == 0);
    EXPECT(make(&first_out, dtype, 2, (int64_t[]){forward ? 5 : 4, forward ? 4 : 20}) == 0);
    EXPECT(make(&vector, dtype, 1, (int64_t[]){4}) == 0);
    mascon_view *const ones = forward ? &vector : &second;
    const size_t bytes = (size_t)ones->numel * (size_t)mascon_dtype_size(dtype);
    void *staged = calloc(1, 256);
    for (int64_t i = 0; staged && i < ones->numel; i++) {
        const uint16_t half = 0x3f80; /* 1 in bfloat16, and the upper half of 1 in float32 */
        const size_t size = (size_t)mascon_dtype_size(dtype);
        memcpy((char *)staged + (size_t)(i + 1) * size - sizeof half, &half, sizeof half);
    }
    EXPECT(cuda->stream_synchronize(NULL) == cudaSuccess); /* the zeros are there */
    EXPECT(staged && masconG_memory_copy(ones->data, MASCON_DEVICE_CUDA, staged, MASCON_DEVICE_CPU,
                                         bytes) == MASCON_OK);
    mascon_call call = {.op = op, .n_src = forward ? 3 : 2, .n_dst = forward ? 1 : 2};
    call.src[0] = as_tensor(&x);
    call.src[1] = as_tensor(&second);
    if (forward) call.src[2] = as_tensor(&vector);
    call.dst[0] = as_tensor(&first_out);
    if (!forward) call.dst[1] = as_tensor(&vector);
    const size_t before = kernel->workspace(&call);
    masconF_refuse_runs(kind);
    const int64_t plain = masconF_executions("gemm"), fused = masconF_executions(kind);
    EXPECT(run(kernel, &call) == MASCON_OK);
    EXPECT(masconF_executions("gemm") == plain + 1 && masconF_executions(kind) == fused);
    const mascon_view *result = forward ? &first_out : &vector;
    EXPECT(masconG_memory_copy(staged, MASCON_DEVICE_CPU, result->data, MASCON_DEVICE_CUDA,
                               4 * (size_t)mascon_dtype_size(dtype)) == MASCON_OK);
    uint16_t upper;
    memcpy(&upper, (char *)staged + mascon_dtype_size(dtype) - 2, sizeof upper);
    EXPECT(upper == (forward ? 0x3f80 : 0x40a0)); /* 1: the bias; 5: the column's sum */
    masconF_refuse_runs(NULL);
    /* remembered, and what was asked for before is still enough */
    EXPECT(run(kernel, &call) == MASCON_OK && masconF_executions(kind) == fused);
    EXPECT(kernel->workspace(&call) <= before);
    free(staged);
    drop(&x);
    drop(&second);
    drop(&first_out);
    drop(&vector);
    return 0;
}

/* One algorithm refused: the next one of the same product. */
static int check_next_algorithm(void) {
    mascon_view x, w, y;
    EXPECT(make(&x, MASCON_DTYPE_F32, 2, (int64_t[]){5, 6}) == 0);
    EXPECT(make(&w, MASCON_DTYPE_F32, 2, (int64_t[]){8, 6}) == 0);
    EXPECT(make(&y, MASCON_DTYPE_F32, 2, (int64_t[]){5, 8}) == 0);
    mascon_call call = {.op = MASCON_OP_linear, .n_src = 2, .n_dst = 1};
    call.src[0] = as_tensor(&x);
    call.src[1] = as_tensor(&w);
    call.dst[0] = as_tensor(&y);
    masconF_fail("blas_matmul", 1, CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT(run(&masconG_linear, &call) == MASCON_OK);
    masconF_refuse_runs("gemm");
    EXPECT(run(&masconG_linear, &call) == MASCON_E_UNSUPPORTED); /* no other way is left */
    masconF_refuse_runs(NULL);
    drop(&x);
    drop(&w);
    drop(&y);
    return 0;
}

static int check_refused_convolution(void) {
    pictures p;
    EXPECT(make_pictures(&p, MASCON_OP_conv2d_relu, MASCON_DTYPE_F32, 16, 8) == 0);
    masconG_conv_plans_clear();
    const int64_t objects = masconF_objects();
    int64_t live[4], now[4];
    masconF_live(live);
    masconF_refuse_runs("conv_fused");
    const int64_t plain = masconF_executions("conv"), fused = masconF_executions("conv_fused");
    EXPECT(run(&masconG_conv2d_relu, &p.call) == MASCON_OK);
    EXPECT(masconF_executions("conv") == plain + 1);
    masconF_refuse_runs(NULL);
    EXPECT(run(&masconG_conv2d_relu, &p.call) == MASCON_OK); /* remembered */
    EXPECT(masconF_executions("conv") == plain + 2 && masconF_executions("conv_fused") == fused);
    masconG_conv_plans_clear();
    EXPECT(run(&masconG_conv2d_relu, &p.call) == MASCON_OK); /* on disk, too */
    EXPECT(masconF_executions("conv") == plain + 3 && masconF_executions("conv_fused") == fused);
    masconG_conv_plans_clear();
    masconF_live(now);
    EXPECT(masconF_objects() == objects && memcmp(live, now, sizeof live) == 0);
    drop_pictures(&p);
    return 0;
}

static int check_refused(void) {
    return check_refused_product(MASCON_OP_linear, MASCON_DTYPE_F32, "gemm_bias") ||
           check_refused_product(MASCON_OP_linear, MASCON_DTYPE_BF16, "gemm_bias") ||
           check_refused_product(MASCON_OP_linear_bwd_weight, MASCON_DTYPE_BF16,
                                 "gemm_column_sum") ||
           check_next_algorithm() || check_refused_convolution();
}

/* A batch that broadcasts in two ways needs as many calls as its outer dimension is long; one that one
 * step describes needs one. */
static int check_batches(void) {
    mascon_view a, b, y;
    mascon_call call = {.op = MASCON_OP_matmul, .n_src = 2, .n_dst = 1};
    call.src[0] = as_tensor(&a);
    call.src[1] = as_tensor(&b);
    call.dst[0] = as_tensor(&y);
    EXPECT(make(&a, MASCON_DTYPE_F32, 4, (int64_t[]){5, 1, 2, 3}) == 0);
    EXPECT(make(&b, MASCON_DTYPE_F32, 3, (int64_t[]){6, 3, 4}) == 0);
    EXPECT(make(&y, MASCON_DTYPE_F32, 4, (int64_t[]){5, 6, 2, 4}) == 0);
    int64_t before = masconF_executions("gemm");
    EXPECT(run(&masconG_matmul, &call) == MASCON_OK);
    EXPECT(masconF_executions("gemm") == before + 5);
    drop(&a);
    drop(&b);
    EXPECT(make(&a, MASCON_DTYPE_F32, 4, (int64_t[]){5, 6, 2, 3}) == 0);
    EXPECT(make(&b, MASCON_DTYPE_F32, 4, (int64_t[]){5, 6, 3, 4}) == 0);
    before = masconF_executions("gemm");
    EXPECT(run(&masconG_matmul, &call) == MASCON_OK);
    EXPECT(masconF_executions("gemm") == before + 1);
    drop(&a);
    drop(&b);
    drop(&y);
    return 0;
}

typedef struct pass {
    const mascon_kernel *kernel;
    mascon_call *call;
} pass;

static mascon_status run_captured(void *context) {
    const pass *p = context;
    mascon_exec exec = {.workspace = scratch,
                        .stream = masconG_stream_of(masconG_of(MASCON_DEVICE_CUDA))};
    return p->kernel->run(p->call, &exec);
}

/* A graph holds the plans whose kernels are in it, and lets them go. */
static int check_graph(void) {
    pictures p;
    void *graph;
    settings[MASCON_SETTING_TF32] = 1;
    masconG_conv_plans_clear();
    const int64_t objects = masconF_objects();
    EXPECT(make_pictures(&p, MASCON_OP_conv2d, MASCON_DTYPE_F32, 16, 8) == 0);
    pass context = {&masconG_conv2d, &p.call};
    EXPECT(run(context.kernel, &p.call) == MASCON_OK);
    EXPECT(masconG_capture(MASCON_DEVICE_CUDA, run_captured, &context, &graph) == MASCON_OK);
    masconG_conv_plans_clear();
    EXPECT(masconF_objects() > objects);
    EXPECT(masconG_replay(MASCON_DEVICE_CUDA, graph, NULL, NULL, 0) == MASCON_OK);
    EXPECT(run(context.kernel, &p.call) == MASCON_OK); /* on the device's own stream again */
    masconG_forget(MASCON_DEVICE_CUDA, graph);
    masconG_conv_plans_clear();
    EXPECT(masconF_objects() == objects && masconF_graphs() == 0);
    /* the same of a plain plan that serves instead of a refused one, and of its memory */
    int64_t live[4], now[4];
    masconF_live(live);
    masconF_refuse_runs("conv_fused");
    EXPECT(masconG_capture(MASCON_DEVICE_CUDA, run_captured, &context, &graph) != MASCON_OK);
    EXPECT(run(context.kernel, &p.call) == MASCON_OK);
    const int64_t plain = masconF_executions("conv");
    EXPECT(masconG_capture(MASCON_DEVICE_CUDA, run_captured, &context, &graph) == MASCON_OK);
    EXPECT(masconF_executions("conv") == plain + 1);
    masconF_refuse_runs(NULL);
    masconG_conv_plans_clear();
    EXPECT(masconG_replay(MASCON_DEVICE_CUDA, graph, NULL, NULL, 0) == MASCON_OK);
    EXPECT(masconG_synchronize(MASCON_DEVICE_CUDA) == MASCON_OK);
    masconG_forget(MASCON_DEVICE_CUDA, graph);
    masconG_conv_plans_clear();
    masconF_live(now);
    EXPECT(masconF_objects() == objects && memcmp(live, now, sizeof live) == 0);
    /* no clock in a capture */
    settings[MASCON_SETTING_BENCHMARK] = 1;
    EXPECT(masconG_capture(MASCON_DEVICE_CUDA, run_captured, &context, &graph) == MASCON_OK);
    masconG_forget(MASCON_DEVICE_CUDA, graph);
    settings[MASCON_SETTING_BENCHMARK] = settings[MASCON_SETTING_TF32] = 0;
    masconG_conv_plans_clear();
    drop_pictures(&p);
    return 0;
}

static int check_alignment(void) {
    EXPECT(masconG_alignment((void *)(uintptr_t)0x1000) == 256);
    EXPECT(masconG_alignment((void *)(uintptr_t)0x1010) == 16);
    EXPECT(masconG_alignment((void *)(uintptr_t)0x1002) == 2);
    EXPECT(masconG_alignment(NULL) == 256);
    return 0;
}

int main(void) {
    snprintf(folder, sizeof folder, "%s/mascon-plans-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
    EXPECT(mkdtemp(folder) != NULL);
    setenv("XDG_CACHE_HOME", folder, 1);
    masconG_host = &host;
    masconG_device *device;
    EXPECT(masconG_open(MASCON_DEVICE_CUDA, &device) == MASCON_OK);
    EXPECT(masconG_memory_alloc(MASCON_DEVICE_CUDA, SCRATCH, &scratch) == MASCON_OK);
    int failed = check_cache() || check_alignment() || check_folder_name() || check_files() ||
                 check_keys() || check_notes() || check_choice() || check_clock() ||
                 check_calls() || check_refused() || check_batches() || check_messages() ||
                 check_graph() || check_failures();
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0 || failed;
}

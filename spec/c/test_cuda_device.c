/* test_cuda_device.c: the CUDA backend over the fake device, through the core: every call of the device
 * library is made to fail once, and each time there must be a sentence and nothing left behind; work is
 * queued and not waited for; uploads run beside it; memory is reused in the order of the stream. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/internal.h"
#include "mascon_data.h"

static int failures;

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
            failures++;                                                     \
        }                                                                   \
    } while (0)

enum { CUDA = MASCON_DEVICE_CUDA, ERROR_MEMORY = 2, ERROR_LAUNCH = 719 };

/* cuda/fake/fake.h */
static void (*fail_call)(const char *call, int64_t n, int32_t error);
static int64_t (*calls)(const char *call);
static int64_t (*pending)(void);
static void (*live)(int64_t out[4]);
static void (*revive)(void);

static void *find(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    if (!symbol) printf("%s is missing\n", name), exit(1);
    return symbol;
}

static void open_fake(void) {
    setenv("MASCON_BACKEND_PATH", FAKE_FOLDER, 1);
    void *library = dlopen(FAKE_FOLDER "/libmascon_cuda.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) printf("%s\n", dlerror()), exit(1);
    *(void **)&fail_call = find(library, "masconF_fail");
    *(void **)&calls = find(library, "masconF_calls");
    *(void **)&pending = find(library, "masconF_pending");
    *(void **)&live = find(library, "masconF_live");
    *(void **)&revive = find(library, "masconF_revive");
}

static int64_t device_bytes(void) {
    int64_t out[4];
    live(out);
    return out[0];
}

/* ---- A little of everything ---- */

static mascon_status to(mascon_tensor *x, int32_t device, mascon_tensor **out) {
    return masconI_emit(MASCON_OP_transfer, out, 1, &x, "device", (double)device, NULL);
}

typedef struct bag {
    mascon_tensor *t[16];
    int n;
    mascon_upload *upload;
} bag;

/* A place for one more owned tensor. */
static mascon_tensor **more(bag *b) { return &b->t[b->n++]; }

static mascon_status steps(bag *b) {
    double values[6] = {1, 2, 3, 4, 5, 6}, got[6], sum;
    const int64_t shape[2] = {2, 3};
    mascon_tensor *x, *y, *s, *back, *there[1];
    MASCON_TRY(mascon_tensor_new(more(b), MASCON_DTYPE_F32, 2, shape, MASCON_DEVICE_CPU));
    x = b->t[0];
    MASCON_TRY(mascon_tensor_write(x, values));
    MASCON_TRY(to(x, CUDA, more(b)));
    y = b->t[1];
    MASCON_TRY(mascon_tensor_write(y, values));
    MASCON_TRY(masconI_emit(MASCON_OP_add, more(b), 2, (mascon_tensor *[]){y, y}, NULL));
    MASCON_TRY(masconI_emit(MASCON_OP_sum, more(b), 1, &b->t[2], NULL));
    s = b->t[3];
    MASCON_TRY(mascon_tensor_item(s, &sum));
    CHECK(sum == 42);
    MASCON_TRY(to(b->t[2], MASCON_DEVICE_CPU, more(b)));
    back = b->t[4];
    MASCON_TRY(mascon_tensor_read(back, got));
    CHECK(got[5] == 12);
    MASCON_TRY(mascon_upload_new(&b->upload, &x, 1, CUDA, there));
    *more(b) = there[0];
    MASCON_TRY(mascon_upload_use(b->upload));
    MASCON_TRY(mascon_tensor_read(there[0], got));
    CHECK(got[0] == 1 && got[5] == 6);
    return mascon_synchronize(CUDA);
}

static mascon_status scenario(void) {
    bag b = {.n = 0};
    mascon_status status = steps(&b);
    mascon_upload_release(b.upload);
    for (int i = 0; i < b.n; i++) mascon_tensor_release(b.t[i]);
    return status;
}

/* ---- Tests ---- */

static void test_every_call_may_fail(void) {
    static const char *const names[] = {
        "malloc",
        "host_alloc",
        "memcpy_async",
        "launch_kernel",
        "event_record",
        "event_create_with_flags",
        "event_synchronize",
        "stream_synchronize",
        "stream_wait_event",
        NULL,
    };
    CHECK(scenario() == MASCON_OK);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        mascon_empty_cache(CUDA);
        mascon_empty_cache(MASCONI_DEVICE_PINNED);
        int64_t before = calls(names[k]);
        CHECK(scenario() == MASCON_OK);
        int64_t made = calls(names[k]) - before;
        CHECK(made > 0);
        for (int64_t n = 1; n <= made; n++) {
            mascon_empty_cache(CUDA);
            mascon_empty_cache(MASCONI_DEVICE_PINNED);
            fail_call(names[k], n, ERROR_MEMORY);
            mascon_status status = scenario();
            fail_call(NULL, 0, 0);
            if (status != MASCON_OK) CHECK(strlen(mascon_last_error()->message) > 8);
            int64_t figures[MASCON_MEMORY_COUNT];
            CHECK(mascon_memory(CUDA, figures) == MASCON_OK);
            if (figures[MASCON_MEMORY_LIVE] != 0 || figures[MASCON_MEMORY_TENSORS] != 0) {
                printf("%s, call %lld: %lld bytes, %lld tensors left\n",
                       names[k] ? names[k] : "any", (long long)n,
                       (long long)figures[MASCON_MEMORY_LIVE],
                       (long long)figures[MASCON_MEMORY_TENSORS]);
                failures++;
            }
            CHECK(scenario() == MASCON_OK); /* and the process goes on */
        }
    }
    mascon_empty_cache(CUDA);
    CHECK(device_bytes() == 0);
}

/* Work is queued; nothing waits until a value is read. */
static void test_nothing_waits(void) {
    const int64_t shape[1] = {1000};
    mascon_tensor *x, *y = NULL, *s;
    double value;
    CHECK(mascon_tensor_new(&x, MASCON_DTYPE_F32, 1, shape, CUDA) == MASCON_OK);
    CHECK(mascon_synchronize(CUDA) == MASCON_OK);
    CHECK(pending() == 0);
    mascon_call fill;
    masconI_call_init(&fill, MASCON_OP_fill);
    fill.n_src = 1;
    fill.src[0] = fill.dst[0] = x;
    masconI_call_set(&fill, "value", 2);
    CHECK(mascon_invoke(&fill) == MASCON_OK);
    CHECK(masconI_emit(MASCON_OP_sum, &s, 1, &x, NULL) == MASCON_OK);
    int64_t queued = pending();
    CHECK(queued > 0);
    for (int i = 0; i < 10; i++) {
        mascon_tensor *next;
        CHECK(masconI_emit(MASCON_OP_add, &next, 2, (mascon_tensor *[]){y ? y : x, x}, NULL) ==
              MASCON_OK);
        mascon_tensor_release(y);
        y = next;
    }
    CHECK(pending() >= queued + 10);
    /* the sum is there before what was given later has run */
    CHECK(mascon_tensor_item(s, &value) == MASCON_OK);
    CHECK(value == 2000);
    CHECK(pending() >= 10);
    mascon_tensor_release(x);
    mascon_tensor_release(y);
    mascon_tensor_release(s);
    CHECK(mascon_synchronize(CUDA) == MASCON_OK);
}

/* A block goes from tensor to tensor while the device is behind: values must not mix. */
static void test_reuse_in_order(void) {
    const int64_t shape[1] = {64};
    mascon_tensor *sums[50];
    for (int i = 0; i < 50; i++) {
        mascon_tensor *x;
        mascon_call full;
        masconI_call_init(&full, MASCON_OP_full);
        masconI_call_set_list(&full, "shape", 1, shape);
        masconI_call_set(&full, "value", i);
        masconI_call_set(&full, "device", CUDA);
        CHECK(mascon_invoke(&full) == MASCON_OK);
        x = full.dst[0];
        CHECK(masconI_emit(MASCON_OP_sum, &sums[i], 1, &x, NULL) == MASCON_OK);
        mascon_tensor_release(x);
    }
    for (int i = 49; i >= 0; i--) {
        double value;
        CHECK(mascon_tensor_item(sums[i], &value) == MASCON_OK);
        CHECK(value == 64 * i);
        mascon_tensor_release(sums[i]);
    }
}

/* An upload into memory that the device still computes on waits for it, and its source may go after. */
static void test_upload_order(void) {
    const int64_t shape[1] = {256};
    double values[256], got[256];
    for (int i = 0; i < 256; i++) values[i] = i;
    mascon_tensor *x, *sum, *batch, *there;
    mascon_upload *upload;
    mascon_call full;
    masconI_call_init(&full, MASCON_OP_full);
    masconI_call_set_list(&full, "shape", 1, shape);
    masconI_call_set(&full, "value", 3);
    masconI_call_set(&full, "device", CUDA);
    CHECK(mascon_invoke(&full) == MASCON_OK);
    x = full.dst[0];
    CHECK(masconI_emit(MASCON_OP_sum, &sum, 1, &x, NULL) == MASCON_OK);
    mascon_tensor_release(x); /* its block is the next one of this size */
    CHECK(mascon_tensor_new(&batch, MASCON_DTYPE_F32, 1, shape, MASCON_DEVICE_CPU) == MASCON_OK);
    CHECK(mascon_tensor_write(batch, values) == MASCON_OK);
    CHECK(mascon_upload_new(&upload, &batch, 1, CUDA, &there) == MASCON_OK);
    mascon_tensor_release(batch);
    CHECK(pending() > 0);
    CHECK(mascon_upload_use(upload) == MASCON_OK);
    CHECK(mascon_tensor_read(there, got) == MASCON_OK);
    CHECK(memcmp(values, got, sizeof got) == 0);
    double value;
    CHECK(mascon_tensor_item(sum, &value) == MASCON_OK);
    CHECK(value == 768);
    mascon_upload_release(upload);
    mascon_tensor_release(there);
    mascon_tensor_release(sum);
}

/* An error of a kernel that ran is told once it shows, with the way out. */
static void test_lost_device(void) {
    const int64_t shape[1] = {4};
    double values[4];
    mascon_tensor *x;
    CHECK(mascon_tensor_new(&x, MASCON_DTYPE_F32, 1, shape, CUDA) == MASCON_OK);
    fail_call("stream_synchronize", 1, ERROR_LAUNCH);
    CHECK(mascon_tensor_read(x, values) == MASCON_E_BACKEND);
    CHECK(strstr(mascon_last_error()->message, "unspecified launch failure"));
    CHECK(strstr(mascon_last_error()->hint, "MASCON_DEBUG=sync"));
    fail_call(NULL, 0, 0);
    revive();
    CHECK(mascon_set(MASCON_SETTING_SYNC, 1) == MASCON_OK);
    fail_call("stream_synchronize", 1, ERROR_LAUNCH);
    mascon_tensor *y = NULL;
    CHECK(masconI_emit(MASCON_OP_add, &y, 2, (mascon_tensor *[]){x, x}, NULL) == MASCON_E_BACKEND);
    CHECK(strcmp(mascon_last_error()->op, "add") == 0);
    fail_call(NULL, 0, 0);
    revive();
    CHECK(mascon_set(MASCON_SETTING_SYNC, 0) == MASCON_OK);
    mascon_tensor_release(x);
}

static void test_out_of_memory(void) {
    const int64_t shape[1] = {INT64_C(1) << 38};
    mascon_tensor *x;
    CHECK(mascon_tensor_new(&x, MASCON_DTYPE_F32, 1, shape, CUDA) == MASCON_E_OOM);
    CHECK(strstr(mascon_last_error()->message, "free on cuda:0"));
    /* the cache is given back before a request fails */
    const int64_t part[1] = {50 << 20}, most[1] = {220 << 20};
    CHECK(mascon_tensor_new(&x, MASCON_DTYPE_F32, 1, part, CUDA) == MASCON_OK);
    mascon_tensor_release(x);
    CHECK(mascon_tensor_new(&x, MASCON_DTYPE_F32, 1, most, CUDA) == MASCON_OK);
    mascon_tensor_release(x);
    mascon_empty_cache(CUDA);
    CHECK(device_bytes() == 0);
}

/* The driver does not live on in a child: there is a sentence, and the CPU still computes. */
static void test_fork(void) {
    const int64_t shape[1] = {4};
    const pid_t child = fork();
    if (child == 0) {
        mascon_tensor *x;
        int good = mascon_synchronize(CUDA) == MASCON_E_STATE &&
                   strstr(mascon_last_error()->message, "process was forked");
        good = good && mascon_tensor_new(&x, MASCON_DTYPE_F32, 1, shape, 0) == MASCON_OK;
        _exit(!good);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* The device reads page-locked memory when it comes to it: the copy is over before its owner can change
 * it. */
static void test_pinned_source(void) {
    double values[4] = {1, 2, 3, 4}, got[4];
    const mascon_meta meta = {.dtype = MASCON_DTYPE_F32, .ndim = 1, .shape = {4}};
    mascon_tensor *x, *y;
    CHECK(masconI_tensor_pinned(&x, &meta, MASCON_LAYOUT_STRIDED) == MASCON_OK);
    CHECK(mascon_tensor_write(x, values) == MASCON_OK);
    CHECK(to(x, CUDA, &y) == MASCON_OK);
    values[2] = 9;
    CHECK(mascon_tensor_write(x, values) == MASCON_OK);
    CHECK(mascon_tensor_read(y, got) == MASCON_OK);
    CHECK(got[2] == 3);
    mascon_tensor_release(x);
    mascon_tensor_release(y);
}

int main(void) {
    open_fake();
    const char *why;
    CHECK(mascon_device_count(CUDA, &why) == 1);
    test_every_call_may_fail();
    test_nothing_waits();
    test_reuse_in_order();
    test_upload_order();
    test_lost_device();
    test_out_of_memory();
    test_pinned_source();
    test_fork();
    printf("%d failures\n", failures);
    return failures != 0;
}

/* test_cuda_graph.c: graphs of the CUDA backend over the fake device, by the three functions of its table. A
 * step (dropout, a product, Adam) is captured by running its kernels in a capture's body, and each replay
 * must give the bits of the same calls made at once with the same words. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "ops/nn.h"

static int failures;

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
            failures++;                                                     \
        }                                                                   \
    } while (0)

enum { CUDA = MASCON_DEVICE_CUDA, ERROR_VALUE = 1, N = 12, STEPS = 3, ROOM = 64 };

/* cuda/fake/fake.h */
static void (*fail_call)(const char *call, int64_t n, int32_t error);
static int64_t (*calls)(const char *call);
static int64_t (*graphs)(void);
static int64_t (*pending)(void);
static void (*forbid)(int32_t on);
static const char *(*refused)(void);
static void (*revive)(void);

static const mascon_backend *backend;

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
    *(void **)&graphs = find(library, "masconF_graphs");
    *(void **)&pending = find(library, "masconF_pending");
    *(void **)&forbid = find(library, "masconF_capture");
    *(void **)&refused = find(library, "masconF_refused");
    *(void **)&revive = find(library, "masconF_revive");
}

/* ---- Tensors ---- */

static mascon_tensor *fresh(int64_t rows, int64_t columns, double first, double by) {
    double values[N * N];
    mascon_tensor *t;
    CHECK(mascon_tensor_new(&t, MASCON_DTYPE_F32, 2, (int64_t[]){rows, columns}, CUDA) ==
          MASCON_OK);
    for (int i = 0; i < rows * columns; i++) values[i] = first + by * (i % 17);
    CHECK(mascon_tensor_write(t, values) == MASCON_OK);
    return t;
}

/* What a step works on: x, dropped y {N, N}; weight w, product z = y w^T; mean and square of w. */
typedef struct state {
    mascon_tensor *x, *y, *w, *z, *mean, *square;
    mascon_tensor *list[4];
    mascon_call call[STEPS];
    void *workspace[STEPS];
    size_t bytes[STEPS];
    void *live; /* ROOM bytes of the device for each call; NULL: each call's own words */
} state;

static void make_calls(state *s) {
    mascon_call *drop = &s->call[0], *product = &s->call[1], *adam = &s->call[2];
    masconI_call_init(drop, MASCON_OP_dropout);
    drop->n_src = drop->n_dst = 1;
    drop->src[0] = s->x;
    drop->dst[0] = s->y;
    masconI_call_set(drop, "p", 0.5);
    masconI_call_set(drop, "training", 1);
    masconI_call_init(product, MASCON_OP_linear);
    product->n_src = 2;
    product->n_dst = 1;
    product->src[0] = s->y;
    product->src[1] = s->w;
    product->dst[0] = s->z;
    masconI_call_init(adam, MASCON_OP_adam);
    memcpy(s->list, (mascon_tensor *[]){s->w, s->z, s->mean, s->square}, sizeof s->list);
    adam->list = s->list;
    adam->n_list = 4;
    masconI_call_set(adam, "lr", 0.1);
    masconI_call_set(adam, "step", 1);
    for (int i = 0; i < STEPS; i++) CHECK(masconI_fill_options(&s->call[i]) == MASCON_OK);
}

static void begin(state *s) {
    memset(s, 0, sizeof *s);
    s->x = fresh(N, N, -1, 0.25);
    s->y = fresh(N, N, 7, 0);
    s->w = fresh(N, N, 0.5, -0.0625);
    s->z = fresh(N, N, 8, 0);
    s->mean = fresh(N, N, 0, 0);
    s->square = fresh(N, N, 0, 0);
    make_calls(s);
    for (int i = 0; i < STEPS; i++) {
        const mascon_kernel *kernel;
        mascon_wish wish;
        CHECK(masconI_kernel(CUDA, &s->call[i], &wish, &kernel) == MASCON_OK && kernel);
        s->bytes[i] = kernel->workspace ? kernel->workspace(&s->call[i]) : 0;
        if (s->bytes[i]) CHECK(masconI_alloc(CUDA, s->bytes[i], &s->workspace[i]) == MASCON_OK);
    }
}

static void end(state *s) {
    mascon_tensor *const all[] = {s->x, s->y, s->w, s->z, s->mean, s->square};
    for (int i = 0; i < 6; i++) mascon_tensor_release(all[i]);
    for (int i = 0; i < STEPS; i++) {
        if (s->bytes[i]) masconI_free(CUDA, s->workspace[i], s->bytes[i]);
    }
    if (s->live) masconI_free(CUDA, s->live, STEPS * ROOM);
}

/* What differs from step to step. */
static void set_words(state *s, int step) {
    s->call[0].random[0] = 1234;
    s->call[0].random[1] = (uint64_t)step * 77;
    masconI_call_set(&s->call[2], "lr", 0.1 / step);
    masconI_call_set(&s->call[2], "step", step);
}

/* ---- Running ---- */

static mascon_status run(state *s, int i) {
    const mascon_kernel *kernel = backend->kernels[s->call[i].op];
    mascon_exec exec = {.workspace = s->workspace[i]};
    if (s->live && kernel->live) exec.live = (char *)s->live + i * ROOM;
    MASCON_TRY(backend->begin(CUDA, &s->call[i], &exec));
    return backend->end(CUDA, &s->call[i], kernel->run(&s->call[i], &exec));
}

static mascon_status run_all(void *context) {
    for (int i = 0; i < STEPS; i++) MASCON_TRY(run(context, i));
    return MASCON_OK;
}

static void make_live(state *s) { CHECK(masconI_alloc(CUDA, STEPS * ROOM, &s->live) == MASCON_OK); }

static mascon_status capture(state *s, void **graph) {
    if (!s->live) make_live(s);
    return backend->capture(CUDA, run_all, s, graph);
}

static mascon_status replay(state *s, void *graph) {
    unsigned char words[STEPS * ROOM] = {0};
    for (int i = 0; i < STEPS; i++) {
        const mascon_kernel *kernel = backend->kernels[s->call[i].op];
        if (kernel->live) CHECK(kernel->live(&s->call[i], words + i * ROOM) <= MASCON_LIVE_BYTES);
    }
    return backend->replay(CUDA, graph, s->live, words, sizeof words);
}

static void read_all(state *s, double got[5][N * N]) {
    mascon_tensor *const all[] = {s->y, s->z, s->w, s->mean, s->square};
    for (int i = 0; i < 5; i++) CHECK(mascon_tensor_read(all[i], got[i]) == MASCON_OK);
}

static int same(state *a, state *b) {
    static double x[5][N * N], y[5][N * N];
    read_all(a, x);
    read_all(b, y);
    return memcmp(x, y, sizeof x) == 0;
}

/* ---- Tests ---- */

/* From the table of ops alone: whatever differs from replay to replay has words. */
static void test_every_op_has_words(void) {
    int n = 0;
    for (int i = 0; i < MASCON_OP_COUNT; i++) {
        const mascon_op *op = masconI_ops[i];
        int wants = (op->flags & MASCON_OPF_RANDOM) != 0;
        for (int a = 0; a < op->n_attrs; a++) wants |= op->attrs[a].kind == MASCON_LIVE;
        /* a backward op that gets its forward op's options draws the same numbers again */
        for (int k = 0; k < MASCON_OP_COUNT && op->flags & MASCON_OPF_BACKWARD; k++) {
            wants |= masconI_ops[k]->flags & MASCON_OPF_RANDOM && op->attrs &&
                     masconI_ops[k]->attrs == op->attrs;
        }
        if (!wants || !backend->kernels[i]) continue;
        n++;
        if (backend->kernels[i]->live) continue;
        printf("%s has no live words\n", op->name);
        failures++;
    }
    CHECK(n >= 12);
}

static void test_replays_equal_calls(void) {
    state a, b;
    void *graph;
    begin(&a);
    begin(&b);
    double before[5][N * N], after[5][N * N];
    CHECK(run_all(&b) == MASCON_OK); /* plans are made, kernels loaded */
    read_all(&a, before);
    make_live(&a);
    forbid(1);
    CHECK(capture(&a, &graph) == MASCON_OK);
    forbid(0);
    if (refused()) printf("refused: %s\n", refused()), failures++;
    read_all(&a, after);
    CHECK(memcmp(before, after, sizeof before) == 0); /* nothing was executed */
    end(&b);
    begin(&b);
    for (int step = 1; step <= 4; step++) {
        set_words(&a, step);
        set_words(&b, step);
        const int64_t waits = calls("stream_synchronize");
        CHECK(replay(&a, graph) == MASCON_OK);
        CHECK(calls("stream_synchronize") == waits && pending() > 0);
        CHECK(run_all(&b) == MASCON_OK);
        CHECK(same(&a, &b));
    }
    /* what lies outside may change in between, and the graph goes on with it */
    double ones[N * N];
    for (int i = 0; i < N * N; i++) ones[i] = 1 - 0.125 * (i % 5);
    CHECK(mascon_tensor_write(a.w, ones) == MASCON_OK);
    CHECK(mascon_tensor_write(b.w, ones) == MASCON_OK);
    CHECK(replay(&a, graph) == MASCON_OK && run_all(&b) == MASCON_OK && same(&a, &b));
    backend->forget(CUDA, graph);
    end(&a);
    end(&b);
    CHECK(graphs() == 0);
}

/* Graphs do not disturb each other, and a forgotten one still ends what was begun. */
static void test_two_graphs(void) {
    state s[2], plain[2];
    void *graph[2];
    for (int i = 0; i < 2; i++) {
        begin(&s[i]);
        begin(&plain[i]);
        CHECK(capture(&s[i], &graph[i]) == MASCON_OK);
    }
    CHECK(graphs() == 2);
    for (int step = 1; step <= 3; step++) {
        for (int i = 0; i < 2; i++) {
            set_words(&s[i], step + i);
            set_words(&plain[i], step + i);
            CHECK(replay(&s[i], graph[i]) == MASCON_OK);
            CHECK(run_all(&plain[i]) == MASCON_OK);
        }
    }
    backend->forget(CUDA, graph[0]); /* with its work still in the queue */
    CHECK(same(&s[0], &plain[0]) && same(&s[1], &plain[1]));
    /* its memory serves others now, and the other graph goes on */
    end(&s[0]);
    end(&plain[0]);
    begin(&s[0]);
    set_words(&s[1], 9);
    set_words(&plain[1], 9);
    CHECK(replay(&s[1], graph[1]) == MASCON_OK && run_all(&plain[1]) == MASCON_OK);
    CHECK(same(&s[1], &plain[1]));
    backend->forget(CUDA, graph[1]);
    end(&s[0]);
    end(&s[1]);
    end(&plain[1]);
    CHECK(graphs() == 0);
}

static mascon_status body_fails(void *context) {
    MASCON_TRY(run(context, 0));
    return masconI_fail(MASCON_E_LIMIT, "the body's own sentence");
}

static mascon_status body_reads(void *context) {
    state *s = context;
    double value[N * N];
    MASCON_TRY(run(s, 0));
    return mascon_tensor_read(s->y, value);
}

static mascon_status body_waits(void *context) {
    (void)context;
    return mascon_synchronize(CUDA);
}

static mascon_status body_captures(void *context) {
    void *graph;
    return backend->capture(CUDA, run_all, context, &graph);
}

static void test_failing_bodies(void) {
    static const struct {
        mascon_status (*body)(void *context);
        mascon_status status;
        const char *text;
    } cases[] = {
        {body_fails, MASCON_E_LIMIT, "the body's own sentence"},
        {body_reads, MASCON_E_STATE, "cannot be captured in a graph"},
        {body_waits, MASCON_E_STATE, "waiting for the device cannot be captured in a graph"},
        {body_captures, MASCON_E_STATE, "another capture cannot be captured in a graph"},
    };
    state s, plain;
    begin(&s);
    begin(&plain);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *graph = &graph;
        CHECK(backend->capture(CUDA, cases[i].body, &s, &graph) == cases[i].status);
        CHECK(graph == NULL && graphs() == 0);
        if (!strstr(mascon_last_error()->message, cases[i].text)) {
            printf("%s\n", mascon_last_error()->message);
            failures++;
        }
        CHECK(run_all(&s) == MASCON_OK && run_all(&plain) == MASCON_OK && same(&s, &plain));
    }
    end(&s);
    end(&plain);
}

static void test_every_call_may_fail(void) {
    static const char *const names[] = {"stream_begin_capture", "stream_end_capture",
                                        "graph_instantiate",    "graph_upload",
                                        "launch_kernel",        "blas_matmul"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        state s;
        void *graph;
        begin(&s);
        fail_call(names[i], 1, ERROR_VALUE);
        CHECK(capture(&s, &graph) != MASCON_OK);
        fail_call(NULL, 0, 0);
        CHECK(strlen(mascon_last_error()->message) > 8 && graphs() == 0);
        CHECK(capture(&s, &graph) == MASCON_OK);
        fail_call("graph_launch", 1, ERROR_VALUE);
        CHECK(replay(&s, graph) == MASCON_E_BACKEND);
        fail_call(NULL, 0, 0);
        CHECK(replay(&s, graph) == MASCON_OK && mascon_synchronize(CUDA) == MASCON_OK);
        backend->forget(CUDA, graph);
        end(&s);
    }
}

static void *work_elsewhere(void *context) {
    state *s = context;
    double sum;
    mascon_tensor *total;
    CHECK(run_all(s) == MASCON_OK);
    CHECK(masconI_emit(MASCON_OP_sum, &total, 1, &s->w, NULL) == MASCON_OK);
    CHECK(mascon_tensor_item(total, &sum) == MASCON_OK); /* and it may wait */
    mascon_tensor_release(total);
    return NULL;
}

static state *elsewhere;

static mascon_status body_beside(void *context) {
    pthread_t thread;
    MASCON_TRY(run(context, 0));
    CHECK(pthread_create(&thread, NULL, work_elsewhere, elsewhere) == 0);
    pthread_join(thread, NULL);
    MASCON_TRY(run(context, 1));
    return run(context, 2);
}

/* What another thread gives to the device meanwhile is executed, and is no part of the graph. */
static void test_other_threads(void) {
    state s, plain, other;
    void *graph;
    begin(&s);
    begin(&plain);
    begin(&other);
    elsewhere = &other;
    make_live(&s);
    CHECK(backend->capture(CUDA, body_beside, &s, &graph) == MASCON_OK);
    CHECK(run_all(&plain) == MASCON_OK && same(&other, &plain));
    CHECK(replay(&s, graph) == MASCON_OK && same(&s, &plain) && same(&other, &plain));
    backend->forget(CUDA, graph);
    end(&s);
    end(&plain);
    end(&other);
}

/* More words than one launch brings, and a length that is no multiple of four. */
static void test_many_words(void) {
    enum { MANY = 9001 };
    static unsigned char words[MANY];
    static double got[MANY + 3];
    mascon_tensor *t;
    const int64_t shape = MANY + 3;
    void *graph;
    state s;
    begin(&s);
    CHECK(capture(&s, &graph) == MASCON_OK);
    CHECK(mascon_tensor_new(&t, MASCON_DTYPE_U8, 1, &shape, CUDA) == MASCON_OK);
    for (int i = 0; i < MANY + 3; i++) got[i] = 3;
    CHECK(mascon_tensor_write(t, got) == MASCON_OK);
    for (int i = 0; i < MANY; i++) words[i] = (unsigned char)(i * 31 + i / 256);
    CHECK(backend->replay(CUDA, graph, mascon_see(t)->data, words, MANY) == MASCON_OK);
    memset(words, 0, sizeof words); /* they were taken */
    CHECK(mascon_tensor_read(t, got) == MASCON_OK);
    int wrong = 0;
    for (int i = 0; i < MANY; i++) wrong += got[i] != (unsigned char)(i * 31 + i / 256);
    CHECK(wrong == 0 && got[MANY] == 3 && got[MANY + 2] == 3);
    backend->forget(CUDA, graph);
    mascon_tensor_release(t);
    end(&s);
}

/* The fake device sees that memory which a graph needs was given back to the driver. */
static void test_lost_memory(void) {
    state s;
    void *graph;
    begin(&s);
    CHECK(capture(&s, &graph) == MASCON_OK);
    CHECK(replay(&s, graph) == MASCON_OK && mascon_synchronize(CUDA) == MASCON_OK);
    void *live = s.live;
    s.live = NULL;
    masconI_free(CUDA, live, STEPS * ROOM);
    end(&s);
    mascon_empty_cache(CUDA);
    CHECK(backend->replay(CUDA, graph, NULL, NULL, 0) == MASCON_OK);
    CHECK(mascon_synchronize(CUDA) == MASCON_E_BACKEND);
    revive();
    backend->forget(CUDA, graph);
    CHECK(graphs() == 0);
}

int main(void) {
    open_fake();
    const char *why;
    CHECK(mascon_device_count(CUDA, &why) == 1);
    CHECK(masconI_backend(CUDA, &backend) == MASCON_OK);
    test_every_op_has_words();
    test_replays_equal_calls();
    test_two_graphs();
    test_failing_bodies();
    test_every_call_may_fail();
    test_other_threads();
    test_many_words();
    test_lost_memory();
    printf("%d failures\n", failures);
    return failures != 0;
}

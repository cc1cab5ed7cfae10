/* test_host.c: what a C host brings: memory, a log function, threads; and the flags of typed calls. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mascon_ops.h"

static int failures;

#define EXPECT(condition)                                                       \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    mascon_last_error()->message);                              \
            failures++;                                                         \
        }                                                                       \
    } while (0)

static mascon_tensor *make(int64_t n) {
    mascon_tensor *t = NULL;
    mascon_full_options o = mascon_full_defaults();
    o.n_shape = 2;
    o.shape[0] = n;
    o.shape[1] = 64;
    o.value = 2;
    mascon_full(&t, &o);
    return t;
}

/* ---- Memory ---- */

static atomic_int held, given;

static void *host_alloc(void *user, size_t bytes, size_t alignment) {
    void *block = NULL;
    if (*(int *)user || posix_memalign(&block, alignment, bytes) != 0) return NULL;
    atomic_fetch_add(&held, 1);
    atomic_fetch_add(&given, 1);
    return block;
}

static void host_free(void *user, void *block) {
    (void)user;
    atomic_fetch_sub(&held, 1);
    free(block);
}

static void test_allocator(void) {
    int refuse = 0;
    EXPECT(mascon_set_allocator(host_alloc, NULL, &refuse) == MASCON_E_ARG);
    EXPECT(mascon_set_allocator(host_alloc, host_free, &refuse) == MASCON_OK);
    mascon_tensor *t = make(100), *y = NULL;
    EXPECT(t && mascon_exp(&y, t) == MASCON_OK);
    EXPECT(held >= 2);
    EXPECT(mascon_set_allocator(NULL, NULL, NULL) == MASCON_E_STATE);
    refuse = 1;
    mascon_tensor *big = make(5000);
    EXPECT(!big && mascon_last_error()->code == MASCON_E_OOM);
    refuse = 0;
    mascon_tensor_release(t);
    mascon_tensor_release(y);
    EXPECT(mascon_set_allocator(NULL, NULL, NULL) == MASCON_OK);
    EXPECT(held == 0 && given >= 2);
    mascon_tensor_release(make(10));
    EXPECT(held == 0);
}

/* ---- Messages ---- */

static char heard[4096];
static int32_t heard_level;

static void listen_to(void *user, int32_t level, const char *text) {
    heard_level = level;
    snprintf(heard, sizeof heard, "%s%s", (const char *)user, text);
    mascon_tensor_release(make(1)); /* the library may be used, and this is not heard */
}

static void test_log(void) {
    char mark[] = "> ";
    mascon_tensor *t = make(3), *y = NULL, *u = NULL;
    EXPECT(mascon_set_log(listen_to, mark, 9) == MASCON_E_ARG);
    EXPECT(mascon_set_log(listen_to, mark, MASCON_LOG_ERRORS) == MASCON_OK);
    EXPECT(mascon_matmul(&y, t, t) != MASCON_OK);
    EXPECT(heard_level == MASCON_LOG_ERRORS);
    EXPECT(strncmp(heard, "> matmul: inner sizes differ", 28) == 0 && strstr(heard, "{3, 64}"));
    heard[0] = 0;
    EXPECT(mascon_relu(&y, t) == MASCON_OK && !heard[0]);
    EXPECT(mascon_set_log(listen_to, mark, MASCON_LOG_CALLS) == MASCON_OK);
    EXPECT(mascon_relu(&u, t) == MASCON_OK);
    EXPECT(strcmp(heard, "> relu {3, 64} -> {3, 64}") == 0 && heard_level == MASCON_LOG_CALLS);
    EXPECT(mascon_set_log(NULL, NULL, MASCON_LOG_CALLS) == MASCON_OK);
    heard[0] = 0;
    mascon_tensor_release(u);
    EXPECT(mascon_relu(&u, t) == MASCON_OK && !heard[0]);
    mascon_tensor_release(t);
    mascon_tensor_release(y);
    mascon_tensor_release(u);
}

/* ---- Threads ---- */

typedef struct work {
    void (*slice)(void *, int64_t, int32_t);
    void *context;
    int64_t n;
    int32_t thread;
} work;

enum { HOST_THREADS = 3 };

static atomic_int jobs, other_threads;

/* Slice i belongs to thread i % HOST_THREADS. */
static void *run_slices(void *argument) {
    const work *w = argument;
    for (int64_t i = w->thread; i < w->n; i += HOST_THREADS) {
        if (w->thread) atomic_fetch_add(&other_threads, 1);
        w->slice(w->context, i, w->thread);
    }
    return NULL;
}

static void run(void *user, int64_t n, void (*slice)(void *, int64_t, int32_t), void *context) {
    (void)user;
    pthread_t thread[HOST_THREADS];
    work part[HOST_THREADS];
    atomic_fetch_add(&jobs, 1);
    for (int32_t i = 0; i < HOST_THREADS; i++) {
        part[i] = (work){slice, context, n, i};
        if (i) pthread_create(&thread[i], NULL, run_slices, &part[i]);
    }
    run_slices(&part[0]);
    for (int32_t i = 1; i < HOST_THREADS; i++) pthread_join(thread[i], NULL);
}

static double total(void) {
    mascon_tensor *a = make(20000), *y = NULL, *s = NULL;
    double value = 0;
    EXPECT(a && mascon_exp(&y, a) == MASCON_OK && mascon_sum(&s, y, NULL) == MASCON_OK);
    EXPECT(mascon_tensor_item(s, &value) == MASCON_OK);
    mascon_tensor_release(a);
    mascon_tensor_release(y);
    mascon_tensor_release(s);
    return value;
}

static void test_pool(void) {
    mascon_pool pool = {HOST_THREADS, run, NULL}, bad = {0, run, NULL};
    EXPECT(mascon_set_num_threads(2) == MASCON_OK);
    double want = total();
    EXPECT(mascon_set_pool(&bad) == MASCON_E_ARG);
    EXPECT(mascon_set_pool(&pool) == MASCON_OK);
    EXPECT(mascon_num_threads() == HOST_THREADS);
    EXPECT(mascon_set_num_threads(2) == MASCON_E_STATE);
    for (int i = 0; i < 20; i++) EXPECT(total() == want);
    EXPECT(jobs > 0 && other_threads > 0);
    EXPECT(mascon_set_pool(NULL) == MASCON_OK && mascon_num_threads() == 2);
    int before = jobs;
    EXPECT(total() == want && jobs == before);
}

/* ---- An interrupt inside a call ---- */

/* Runs half of the slices, asks to interrupt, and runs the others. */
static void run_and_interrupt(void *user, int64_t n,
                              void (*slice)(void *context, int64_t i, int32_t thread),
                              void *context) {
    (void)user;
    for (int64_t i = 0; i < n; i++) {
        if (i == n / 2) mascon_interrupt();
        slice(context, i, 0);
    }
}

static void test_interrupt(void) {
    mascon_pool pool = {2, run_and_interrupt, NULL};
    mascon_tensor *a = make(20000), *y = NULL;
    EXPECT(mascon_set_pool(&pool) == MASCON_OK);
    EXPECT(mascon_exp(&y, a) == MASCON_E_INTERRUPTED && !y);
    EXPECT(strcmp(mascon_last_error()->message, "interrupted") == 0);
    EXPECT(!mascon_interrupted()); /* who reports it takes it down */
    /* What is changed in place is changed whole; the next call notices. */
    EXPECT(mascon_exp_in_place(a) == MASCON_OK);
    double sum = 0;
    EXPECT(mascon_exp(&y, a) == MASCON_E_INTERRUPTED && !y);
    EXPECT(mascon_set_pool(NULL) == MASCON_OK);
    EXPECT(mascon_exp(&y, a) == MASCON_OK);
    mascon_tensor *s = NULL;
    EXPECT(mascon_sum(&s, a, NULL) == MASCON_OK && mascon_tensor_item(s, &sum) == MASCON_OK);
    EXPECT(sum > 7.38 * 20000 * 64 && sum < 7.4 * 20000 * 64); /* e^2 each */
    mascon_tensor_release(s);
    mascon_tensor_release(y);
    mascon_tensor_release(a);
}

/* ---- Typed calls ---- */

static void test_typed(void) {
    mascon_tensor *t = make(2), *y = NULL, *i = NULL;
    EXPECT(mascon_call_flags() == MASCON_CALL_GRAD);
    EXPECT(mascon_tensor_set_requires_grad(t, 1) == MASCON_OK);
    EXPECT(mascon_relu(&y, t) == MASCON_OK && mascon_tensor_requires_grad(y));
    mascon_tensor_release(y);
    EXPECT(mascon_set_call_flags(0) == MASCON_CALL_GRAD);
    EXPECT(mascon_relu(&y, t) == MASCON_OK && !mascon_tensor_requires_grad(y));
    mascon_tensor_release(y);
    /* several outputs, some not wanted */
    mascon_max_options o = mascon_max_defaults();
    o.dim = -1;
    EXPECT(mascon_max(&y, &i, t, &o) == MASCON_OK);
    double value[2];
    EXPECT(mascon_tensor_read(i, value) == MASCON_OK && value[0] == 0); /* from 0 */
    mascon_tensor_release(i);
    mascon_tensor_release(y);
    EXPECT(mascon_max(NULL, &i, t, &o) == MASCON_OK);
    mascon_tensor_release(i);
    /* what must be given, and what is missing */
    y = t;
    EXPECT(mascon_reshape(&y, t, NULL) == MASCON_E_ARG && !y);
    EXPECT(strstr(mascon_last_error()->message, "option shape is missing"));
    EXPECT(mascon_relu(&y, NULL) == MASCON_E_ARG && !y);
    EXPECT(mascon_cat(&y, NULL, 0, NULL) == MASCON_E_ARG);
    mascon_clamp_options c = mascon_clamp_defaults();
    c.max = 1; /* min stays not given */
    EXPECT(mascon_clamp(&y, t, &c) == MASCON_OK &&
           mascon_tensor_read(y, (double[128]){0}) == MASCON_OK);
    mascon_tensor_release(y);
    EXPECT(mascon_ops_check(MASCON_OPS_HASH) == MASCON_OK);
    EXPECT(mascon_ops_check(MASCON_OPS_HASH + 1) == MASCON_E_STATE);
    mascon_tensor_release(t);
}

int main(void) {
    test_allocator();
    test_log();
    test_pool();
    test_interrupt();
    test_typed();
    return failures != 0;
}

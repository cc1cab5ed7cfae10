/* test_threads.c: every slice runs once, whoever calls, however often, and across a fork. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/internal.h"
#include "expect.h"

enum { SLICES = 1000, CALLERS = 4, ROUNDS = 300 };

typedef struct job {
    int64_t n;
    int limit;
    atomic_int hits[SLICES];
    atomic_int running[64]; /* slices that run now, per thread index */
    atomic_int faults;
} job;

static void mark(void *context, int64_t i, int thread) {
    job *j = context;
    if (thread < 0 || thread >= j->limit || i < 0 || i >= j->n) {
        atomic_fetch_add(&j->faults, 1);
        return;
    }
    if (atomic_fetch_add(&j->running[thread], 1) != 0) atomic_fetch_add(&j->faults, 1);
    atomic_fetch_add(&j->hits[i], 1);
    atomic_fetch_sub(&j->running[thread], 1);
}

/* Runs n slices and returns the number of faults. */
static int run(int64_t n) {
    job j;
    memset(&j, 0, sizeof j);
    j.n = n;
    j.limit = mascon_num_threads();
    masconI_parallel(n, mark, &j);
    int faults = atomic_load(&j.faults);
    for (int i = 0; i < SLICES; i++) faults += atomic_load(&j.hits[i]) != (i < n);
    return faults;
}

static void nested(void *context, int64_t i, int thread) {
    (void)i;
    (void)thread;
    atomic_fetch_add((atomic_int *)context, run(17));
}

static void *caller(void *argument) {
    atomic_int *faults = argument;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(faults, run(i % SLICES));
        if (i % 50 == 0 && mascon_set_num_threads(1 + i / 50 % 5) != MASCON_OK) {
            atomic_fetch_add(faults, 1);
        }
    }
    return NULL;
}

static void set_inside(void *context, int64_t i, int thread) {
    (void)i;
    (void)thread;
    if (mascon_set_num_threads(2) != MASCON_E_STATE) atomic_fetch_add((atomic_int *)context, 1);
}

static atomic_int started;
static void count_start(void) { atomic_fetch_add(&started, 1); }

static void wait_for_start(void *context, int64_t i, int thread) {
    (void)i;
    (void)thread;
    for (int tries = 0; tries < 2000 && atomic_load(&started) < 3; tries++) usleep(1000);
    if (atomic_load(&started) < 3) atomic_fetch_add((atomic_int *)context, 1);
}

int main(void) {
    atomic_int faults = 0;
    EXPECT(mascon_num_threads() >= 1);
    EXPECT(mascon_set_num_threads(0) == MASCON_E_ARG);
    EXPECT(mascon_set_num_threads(1 << 20) == MASCON_E_ARG);
    EXPECT(masconI_threads_forked() == 0);

    masconI_thread_start_hook = count_start;
    EXPECT(mascon_set_num_threads(4) == MASCON_OK);
    EXPECT(mascon_num_threads() == 4);
    masconI_parallel(4, wait_for_start, &faults);
    EXPECT(faults == 0 && atomic_load(&started) == 3);

    for (int threads = 1; threads <= 5; threads++) {
        EXPECT(mascon_set_num_threads(threads) == MASCON_OK);
        for (int n = 0; n < 40; n++) EXPECT(run(n) == 0);
        EXPECT(run(SLICES) == 0);
    }
    masconI_parallel(50, nested, &faults);
    EXPECT(faults == 0);
    masconI_parallel(8, set_inside, &faults);
    EXPECT(faults == 0);

    pthread_t thread[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        EXPECT(pthread_create(&thread[i], NULL, caller, &faults) == 0);
    }
    for (int i = 0; i < CALLERS; i++) pthread_join(thread[i], NULL);
    EXPECT(faults == 0);

    mascon_set_num_threads(3);
    EXPECT(run(100) == 0);
    int parent = (int)getpid();
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        alarm(20); /* a hang is a failure */
        _exit(masconI_threads_forked() == parent && run(SLICES) == 0 ? 0 : 1);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT(masconI_threads_forked() == 0 && run(SLICES) == 0);
    return 0;
}

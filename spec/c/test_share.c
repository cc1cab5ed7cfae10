/* test_share.c: what several threads or Lua states of one process share, from C: tensors by number, values
 * made once, models that run beside the caller; and the same in a forked child, where an error takes the
 * place of waiting for threads that are not there. Then model files with every kind of damage. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"
#include "mascon_host.h"
#include "mascon_ops.h"

static char path[256];

static mascon_tensor *make(int64_t n) {
    mascon_full_options o = mascon_full_defaults();
    mascon_tensor *t = NULL;
    o.n_shape = 2;
    o.shape[0] = n;
    o.shape[1] = 64;
    o.value = 2;
    mascon_full(&t, &o);
    return t;
}

static int save_model(void) {
    mascon_tensor *x = make(2), *w = make(64), *h = NULL, *y = NULL;
    mascon_recorder *r = NULL;
    EXPECT(mascon_recorder_begin(&r) == MASCON_OK);
    EXPECT(mascon_recorder_input(r, "x", x) == MASCON_OK);
    EXPECT(mascon_matmul(&h, x, w) == MASCON_OK && mascon_relu(&y, h) == MASCON_OK);
    EXPECT(mascon_recorder_output(r, "y", y) == MASCON_OK);
    mascon_recorder_stop(r);
    EXPECT(mascon_recorder_save(r, NULL, path) == MASCON_OK);
    mascon_recorder_release(r);
    mascon_tensor_release(x);
    mascon_tensor_release(w);
    mascon_tensor_release(h);
    mascon_tensor_release(y);
    return 0;
}

static int test_numbers(void) {
    mascon_tensor *t = make(3), *u = NULL;
    int64_t number = 0;
    double value = 0;
    EXPECT(mascon_share(t, &number) == MASCON_OK && number > 0);
    mascon_tensor_release(t);
    EXPECT(mascon_shared_take(number, &u) == MASCON_OK);
    EXPECT(mascon_sum(&t, u, NULL) == MASCON_OK && mascon_tensor_item(t, &value) == MASCON_OK);
    EXPECT(value == 3 * 64 * 2);
    mascon_tensor_release(t);
    t = u;
    EXPECT(mascon_shared_take(number, &u) == MASCON_E_ARG && !u);
    EXPECT(strstr(mascon_last_error()->message, "was taken before"));
    EXPECT(mascon_shared_take(-1, &u) == MASCON_E_ARG && !u);
    mascon_tensor_release(t);
    return 0;
}

static int test_jobs(mascon_model *m) {
    mascon_tensor *x = make(2), *wrong = make(5), *y = NULL;
    mascon_job *job = NULL;
    EXPECT(mascon_job_start(&job, m, &x, 1) == MASCON_OK);
    EXPECT(mascon_job_result(job, &y, 2) == MASCON_E_ARG && !y);
    EXPECT(mascon_job_result(job, &y, 1) == MASCON_OK && mascon_tensor_numel(y) == 2 * 64);
    EXPECT(mascon_job_done(job) == 1);
    mascon_tensor_release(y);
    mascon_job_release(job);
    EXPECT(mascon_job_start(&job, m, &wrong, 1) == MASCON_OK);
    EXPECT(mascon_job_result(job, &y, 1) == MASCON_E_SHAPE && mascon_last_error()->message[0]);
    mascon_job_release(job);
    EXPECT(mascon_job_start(&job, m, &x, 2) == MASCON_E_ARG && !job);
    mascon_tensor_discard(wrong, NULL);
    EXPECT(mascon_job_start(&job, m, &wrong, 1) == MASCON_E_STATE && !job);
    mascon_tensor_release(x);
    mascon_tensor_release(wrong);
    return 0;
}

/* ---- A forked child --------------------------------------------------------------------------- */

static pthread_barrier_t begun, over;

static void *make_slowly(void *key) {
    int32_t what;
    mascon_cached *value;
    if (mascon_cached_begin(key, &what, &value) != MASCON_OK) return NULL;
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&over);
    mascon_cached_put(key, "done", NULL, 0, NULL, 0);
    return key;
}

/* In the child: a job of the parent's is an error, a value that another thread was making is made here,
 * one that this thread was making goes on. */
static int child(mascon_job *job, mascon_model *m, mascon_tensor *x) {
    mascon_tensor *y = NULL;
    mascon_job *own = NULL;
    mascon_cached *value = NULL;
    int32_t what = -1;
    alarm(20);
    if (!mascon_job_done(job)) return 2;
    if (mascon_job_result(job, &y, 1) == MASCON_OK) {
        mascon_tensor_release(y); /* it was done before the fork */
    } else {
        EXPECT(strstr(mascon_last_error()->message, "process was forked"));
    }
    EXPECT(mascon_job_start(&own, m, &x, 1) == MASCON_E_STATE);
    EXPECT(mascon_cached_begin("slow", &what, &value) == MASCON_OK);
    EXPECT(what == MASCON_CACHED_MAKE);
    EXPECT(mascon_cached_put("slow", "here", NULL, 0, NULL, 0) == MASCON_OK);
    EXPECT(mascon_cached_begin("slow", &what, &value) == MASCON_OK);
    EXPECT(what == MASCON_CACHED_READY && strcmp(mascon_cached_text(value), "here") == 0);
    EXPECT(mascon_cached_put("own", "mine", NULL, 0, NULL, 0) == MASCON_OK);
    return 0;
}

static int test_fork(mascon_model *m) {
    pthread_t thread;
    mascon_tensor *x = make(2), *y = NULL;
    mascon_job *job = NULL;
    mascon_cached *value;
    int32_t what;
    int ended = 0;
    void *made = NULL;
    EXPECT(pthread_barrier_init(&begun, NULL, 2) == 0 && pthread_barrier_init(&over, NULL, 2) == 0);
    EXPECT(pthread_create(&thread, NULL, make_slowly, "slow") == 0);
    pthread_barrier_wait(&begun);
    EXPECT(mascon_cached_begin("own", &what, &value) == MASCON_OK && what == MASCON_CACHED_MAKE);
    EXPECT(mascon_job_start(&job, m, &x, 1) == MASCON_OK);
    const pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) _exit(child(job, m, x));
    EXPECT(waitpid(pid, &ended, 0) == pid && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
    pthread_barrier_wait(&over); /* the parent goes on as if nothing had been */
    EXPECT(pthread_join(thread, &made) == 0 && made);
    EXPECT(mascon_cached_begin("slow", &what, &value) == MASCON_OK);
    EXPECT(what == MASCON_CACHED_READY && strcmp(mascon_cached_text(value), "done") == 0);
    EXPECT(mascon_cached_put("own", "mine", NULL, 0, NULL, 0) == MASCON_OK);
    EXPECT(mascon_job_result(job, &y, 1) == MASCON_OK);
    mascon_job_release(job);
    mascon_tensor_release(x);
    mascon_tensor_release(y);
    return 0;
}

/* ---- Damaged files ---------------------------------------------------------------------------- */

static int put(const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file) return 1;
    const int bad = fwrite(bytes, 1, size, file) != size;
    return fclose(file) != 0 || bad;
}

/* 1 where the file is refused with a sentence, 0 where it loads and runs, -1 for anything else. */
static int refused(void) {
    mascon_model *m = NULL;
    mascon_tensor *x = make(2), *y = NULL;
    int result = 0;
    if (mascon_model_load(&m, path) != MASCON_OK) {
        result = !m && mascon_last_error()->message[0] ? 1 : -1;
    } else if (mascon_model_run(m, &x, 1, &y, 1) != MASCON_OK) {
        result = !y && mascon_last_error()->message[0] ? 0 : -1;
    }
    mascon_tensor_release(x);
    mascon_tensor_release(y);
    mascon_model_release(m);
    return result;
}

static int test_damage(void) {
    static char bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    EXPECT(file);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    EXPECT(size > 64 * 64 * 4 && size < sizeof bytes && refused() == 0);
    int64_t before[MASCON_MEMORY_COUNT], after[MASCON_MEMORY_COUNT];
    mascon_memory(MASCON_DEVICE_CPU, before);
    for (size_t cut = 0; cut < size; cut += 97) EXPECT(put(bytes, cut) == 0 && refused() == 1);
    /* One bit: the header's bytes mostly break it, and the sums find it in the weights. */
    const size_t weights = size - 64 * 64 * 4;
    for (size_t at = 0; at < size; at += at < weights ? 1 : 211) {
        bytes[at] ^= (char)(1 << at % 8);
        EXPECT(put(bytes, size) == 0);
        const int result = refused();
        EXPECT(result >= 0 && (at < weights || result == 1));
        bytes[at] ^= (char)(1 << at % 8);
    }
    EXPECT(put(bytes, size) == 0 && refused() == 0);
    mascon_memory(MASCON_DEVICE_CPU, after);
    EXPECT(after[MASCON_MEMORY_TENSORS] == before[MASCON_MEMORY_TENSORS]);
    return 0;
}

int main(void) {
    mascon_model *m = NULL;
    snprintf(path, sizeof path, "/tmp/mascon_share_%d.safetensors", (int)getpid());
    int bad = save_model() || mascon_model_load(&m, path) != MASCON_OK;
    bad = bad || test_numbers() || test_jobs(m) || test_fork(m) || test_damage();
    mascon_model_release(m);
    remove(path);
    return bad;
}

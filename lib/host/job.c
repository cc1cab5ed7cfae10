/* job.c: models that run beside the caller, for hosts whose main thread must not wait (editors, games,
 * servers).
 *
 * Owns a queue and a few threads that serve it, oldest job first. The threads start with the first jobs
 * and stay, asleep without work. A job's computing uses the pool of threads.c like any other; where that
 * is busy, the job's own thread does the work.
 *
 * Invariants
 *   - a job has one reference of its handle and one of the queue or of the thread that runs it
 *   - what a job holds changes under its lock only; once done it never changes again
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/internal.h"
#include "host/wait.h"
#include "mascon_host.h"

enum { MAX_RUNNERS = 4 };

struct mascon_job {
    mascon_job *next;
    atomic_int refs;
    atomic_int done;
    mascon_model *model;
    mascon_tensor **inputs, **outputs;
    int32_t n_inputs, n_outputs;
    mascon_status status;
    mascon_error error; /* of the run, where status is not MASCON_OK */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    mascon_job *first, **end;
    int runners, idle, waiting; /* threads, those that sleep, jobs that nobody has taken */
    pid_t owner;                /* the process whose threads they are */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .work = PTHREAD_COND_INITIALIZER,
           .finished = PTHREAD_COND_INITIALIZER,
           .end = &queue.first};

/* A fork while another thread holds the lock would leave it locked in the child for ever. */
static void lock_queue(void) { pthread_mutex_lock(&queue.lock); }
static void unlock_queue(void) { pthread_mutex_unlock(&queue.lock); }
static void watch_forks(void) { pthread_atfork(lock_queue, unlock_queue, unlock_queue); }

/* Takes the lock. Fails, without it, in a child whose parent had the threads: no job ends here. */
static mascon_status enter(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&queue.lock);
    if (queue.runners == 0 || queue.owner == getpid()) return MASCON_OK;
    pthread_mutex_unlock(&queue.lock);
    return masconI_fail(MASCON_E_STATE,
                        "process was forked after jobs began (pid %d -> %d); load in the child "
                        "instead",
                        (int)queue.owner, (int)getpid());
}

static void release_all(mascon_tensor **list, int32_t n) {
    for (int32_t i = 0; list && i < n; i++) mascon_tensor_release(list[i]);
    free(list);
}

void mascon_job_release(mascon_job *job) {
    if (!job || atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) != 1) return;
    release_all(job->inputs, job->n_inputs);
    release_all(job->outputs, job->n_outputs);
    mascon_model_release(job->model);
    free(job);
}

static void run(mascon_job *job) {
    job->status =
        mascon_model_run(job->model, job->inputs, job->n_inputs, job->outputs, job->n_outputs);
    if (job->status != MASCON_OK) job->error = *mascon_last_error();
    pthread_mutex_lock(&queue.lock);
    atomic_store_explicit(&job->done, 1, memory_order_release);
    pthread_cond_broadcast(&queue.finished);
    pthread_mutex_unlock(&queue.lock);
    mascon_job_release(job);
}

static void *serve(void *unused) {
    (void)unused;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        while (!queue.first) {
            queue.idle++;
            pthread_cond_wait(&queue.work, &queue.lock);
            queue.idle--;
        }
        mascon_job *job = queue.first;
        queue.first = job->next;
        queue.waiting--;
        if (!queue.first) queue.end = &queue.first;
        pthread_mutex_unlock(&queue.lock);
        run(job);
        pthread_mutex_lock(&queue.lock);
    }
    return NULL;
}

/* A thread for the queue, where all there are have work; with the lock held. Signals stay with the
 * host's threads. */
static mascon_status start_runner(void) {
    if (queue.idle > queue.waiting || queue.runners == MAX_RUNNERS) return MASCON_OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, serve, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed && queue.runners == 0) {
        return masconI_fail(MASCON_E_STATE, "no thread can be started: %s", strerror(failed));
    }
    if (failed) return MASCON_OK;
    pthread_setname_np(thread, "mascon/job");
    pthread_detach(thread);
    queue.runners++;
    return MASCON_OK;
}

static mascon_status fill(mascon_job *job, mascon_model *m, mascon_tensor *const *inputs,
                          int32_t n) {
    job->n_outputs = mascon_model_count(m, MASCON_MODEL_OUTPUT);
    job->inputs = calloc((size_t)n + 1, sizeof(mascon_tensor *));
    job->outputs = calloc((size_t)job->n_outputs + 1, sizeof(mascon_tensor *));
    if (!job->inputs || !job->outputs) return masconI_fail(MASCON_E_OOM, "not enough memory");
    for (; job->n_inputs < n; job->n_inputs++) {
        /* a header of the job's own: what the caller does with its tensor does not reach the job */
        MASCON_TRY(masconI_tensor_alive(inputs[job->n_inputs]));
        MASCON_TRY(mascon_tensor_detach(inputs[job->n_inputs], &job->inputs[job->n_inputs]));
    }
    return MASCON_OK;
}

static mascon_status enqueue(mascon_job *job) {
    MASCON_TRY(enter());
    if (queue.runners == 0) queue.owner = getpid();
    const mascon_status status = start_runner();
    if (status == MASCON_OK) {
        atomic_fetch_add(&job->refs, 1);
        *queue.end = job;
        queue.end = &job->next;
        queue.waiting++;
        pthread_cond_signal(&queue.work);
    }
    pthread_mutex_unlock(&queue.lock);
    return status;
}

mascon_status mascon_job_start(mascon_job **out, mascon_model *m, mascon_tensor *const *inputs,
                               int32_t n_inputs) {
    if (out) *out = NULL;
    if (!out || !m || (n_inputs > 0 && !inputs)) {
        return masconI_fail(MASCON_E_ARG, "the %s is NULL",
                            !out ? "result"
                            : !m ? "model"
                                 : "input");
    }
    if (n_inputs != mascon_model_count(m, MASCON_MODEL_INPUT)) {
        return masconI_fail(MASCON_E_ARG, "%d input%s; the model takes %d", n_inputs,
                            n_inputs == 1 ? "" : "s", mascon_model_count(m, MASCON_MODEL_INPUT));
    }
    mascon_job *job = calloc(1, sizeof *job);
    if (!job) return masconI_fail(MASCON_E_OOM, "not enough memory");
    atomic_init(&job->refs, 1);
    mascon_status status = fill(job, m, inputs, n_inputs);
    if (status == MASCON_OK) {
        mascon_model_retain(job->model = m);
        status = enqueue(job);
    }
    if (status == MASCON_OK) {
        *out = job;
    } else {
        mascon_job_release(job);
    }
    return status;
}

static int is_done(const mascon_job *job) {
    return atomic_load_explicit(&job->done, memory_order_acquire) != 0;
}

/* In a forked child what was not done is lost: the error is there. */
int32_t mascon_job_done(const mascon_job *job) {
    return !job || is_done(job) || queue.owner != getpid();
}

static mascon_status wait_for(mascon_job *job) {
    mascon_status status = MASCON_OK;
    if (is_done(job)) return MASCON_OK;
    MASCON_TRY(enter());
    while (!is_done(job) && status == MASCON_OK) {
        masconI_wait_briefly(&queue.finished, &queue.lock);
        if (!is_done(job) && masconI_interrupt_pending()) {
            status = masconI_fail(MASCON_E_INTERRUPTED, "interrupted");
        }
    }
    pthread_mutex_unlock(&queue.lock);
    return status;
}

mascon_status mascon_job_result(mascon_job *job, mascon_tensor **outputs, int32_t n_outputs) {
    if (!job || !outputs) {
        return masconI_fail(MASCON_E_ARG, "the %s is NULL", job ? "result" : "job");
    }
    if (n_outputs != job->n_outputs) {
        return masconI_fail(MASCON_E_ARG, "room for %d output%s; the model has %d", n_outputs,
                            n_outputs == 1 ? "" : "s", job->n_outputs);
    }
    MASCON_TRY(wait_for(job));
    if (job->status != MASCON_OK) {
        *masconI_error() = job->error;
        return job->status;
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        mascon_tensor_retain(outputs[i] = job->outputs[i]);
    }
    return MASCON_OK;
}

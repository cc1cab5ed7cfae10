/* threads.c: the one pool of compute threads.
 *
 * Owns the worker threads and the setting of how many there are. Nothing starts when the library is
 * loaded: the first parallel call with more than one slice starts the workers.
 *
 * Protocol of a call. The caller holds `lock`, so there is one job at a time. It writes the job,
 * opens the gate and bumps `epoch`. A worker that sees a new epoch enters through the gate, takes
 * slices from `next` and leaves. The caller takes slices too; when none is left it closes the gate
 * and waits only for workers that are inside. A worker that got no processor in time never entered
 * and is not waited for: this is why a busy neighbour does not stall small calls.
 *
 * Invariants
 *   - the job's fields change only while the gate is closed and nobody is inside
 *   - worker k has thread index k; the caller has 0
 *   - worker threads block all signals and never run code of the host
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/cut.h"
#include "core/internal.h"
#include "core/signals.h"

enum { MAX_THREADS = 1024 };

/* The gate: how many workers are inside, and two flags. */
#define GATE_CLOSED 0x80000000u
#define GATE_WAITING 0x40000000u /* the caller sleeps until the last one leaves */
#define GATE_COUNT 0x3fffffffu

/* How long a worker looks for the next job, and the caller for the last slice, before it sleeps.
 * A wake-up through the kernel costs 5 to 50 microseconds, so waiting longer than that awake is a
 * loss; layers of a network follow one another within a few microseconds. */
#define SPIN_NANOSECONDS 50000
/* A gap this long between two looks at the clock means that the thread lost its processor. */
#define GAP_NANOSECONDS 200000
/* After such a gap this many waits go to sleep at once. */
#define CROWDED_WAITS 256

void (*masconI_thread_start_hook)(void) = NULL;

static struct {
    pthread_mutex_t lock;
    /* under lock */
    int started; /* workers that run: indices 1..started */
    pthread_t worker[MAX_THREADS];
    /* the job */
    void (*slice)(void *context, int64_t i, int thread);
    void *context;
    int64_t n;
    int limit;      /* thread indices below this may enter */
    int may_cut;    /* the rest is left out once an interrupt is asked for (core/cut.h) */
    atomic_int cut; /* something was */

    atomic_int threads; /* the setting; 0: not known yet */
    atomic_int keep;    /* workers with an index above this end */
    atomic_int crowded; /* waits that shall not spin, because processors are short */
    atomic_int processors;
    atomic_int caller;   /* the processor the caller was on when it posted the job */
    atomic_int computed; /* pid in which a parallel call ran */
    atomic_int forked;   /* pid of the parent that had computed */
    _Alignas(64) atomic_llong next;
    _Alignas(64) atomic_uint epoch; /* futex of idle workers */
    atomic_int sleepers;
    _Alignas(64) atomic_uint gate; /* futex of the caller */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .gate = GATE_CLOSED, .keep = MAX_THREADS};

static _Thread_local int inside; /* this thread runs a slice */
/* What this thread last heard from mascon_num_threads. A kernel sizes its scratch memory by it, so
 * its parallel call must not use more threads even if another host thread raises the number. */
static _Thread_local int promised;

/* ---- Signals ---- */

static _Thread_local int held; /* pairs that are open */
static _Thread_local sigset_t held_before;

void masconI_signals_hold(void) {
    if (held++) return;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &held_before);
}

void masconI_signals_release(void) {
    if (--held == 0) pthread_sigmask(SIG_SETMASK, &held_before, NULL);
}

/* ---- Interrupts inside a call ---- */

static _Thread_local int may_cut, was_cut;

int masconI_cut_allow(int on) {
    int before = may_cut;
    may_cut = on;
    return before;
}

/* A slice is done whole or not at all. */
int masconI_cut_asked(void) {
    if (!may_cut || inside) return 0;
    was_cut |= masconI_interrupt_pending();
    return was_cut;
}

int masconI_cut_happened(void) {
    int happened = was_cut;
    was_cut = 0;
    return happened;
}

static void futex_wait(atomic_uint *word, unsigned seen) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int usable_processors(void) {
    int n = atomic_load_explicit(&pool.processors, memory_order_relaxed);
    if (n > 0) return n;
    /* The kernel wants a mask for as many processors as it was built for, so try growing sizes. */
    for (int bits = 1024; n == 0 && bits <= 1 << 16; bits *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)bits);
        if (set == NULL) break;
        size_t size = CPU_ALLOC_SIZE((size_t)bits);
        int status = sched_getaffinity(0, size, set);
        if (status == 0) n = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (status != 0 && errno != EINVAL) break;
    }
    if (n <= 0) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (n <= 0) n = 1;
    if (n > MAX_THREADS) n = MAX_THREADS;
    atomic_store_explicit(&pool.processors, n, memory_order_relaxed);
    return n;
}

/* Waits awake until *word has (mask) bits other than seen. Returns 1 when it has, 0 when the time is
 * over or processors are short. */
static int spin(atomic_uint *word, unsigned mask, unsigned seen) {
    int crowded = atomic_load_explicit(&pool.crowded, memory_order_relaxed);
    if (crowded > 0) {
        /* lost updates among threads only change for how long spinning stays off */
        atomic_store_explicit(&pool.crowded, crowded - 1, memory_order_relaxed);
        return (atomic_load_explicit(word, memory_order_acquire) & mask) != seen;
    }
    int64_t begin = now(), last = begin;
    for (;;) {
        for (int i = 0; i < 16; i++) {
            if ((atomic_load_explicit(word, memory_order_acquire) & mask) != seen) return 1;
            pause_briefly();
        }
        int64_t t = now();
        if (t - last > GAP_NANOSECONDS) {
            atomic_store_explicit(&pool.crowded, CROWDED_WAITS, memory_order_relaxed);
            return 0;
        }
        if (t - begin > SPIN_NANOSECONDS) return 0;
        last = t;
    }
}

/* ---- A host's own threads ---- */

static mascon_pool host; /* under lock; run is NULL where there are none */
static atomic_int host_threads;

typedef struct host_job {
    void (*slice)(void *context, int64_t i, int thread);
    void *context;
    pthread_t caller;
    int may_cut;
    atomic_int cut;
} host_job;

static void host_slice(void *context, int64_t i, int32_t thread) {
    static _Thread_local int hooked;
    host_job *job = context;
    if (job->may_cut && masconI_interrupt_pending()) atomic_store(&job->cut, 1);
    if (atomic_load_explicit(&job->cut, memory_order_relaxed)) return;
    void (*hook)(void) = __atomic_load_n(&masconI_thread_start_hook, __ATOMIC_ACQUIRE);
    if (!hooked && hook != NULL && !pthread_equal(job->caller, pthread_self())) {
        hook();
        hooked = 1;
    }
    int before = inside;
    inside = 1;
    job->slice(job->context, i, thread);
    inside = before;
}

static void take_slices(int thread) {
    int64_t n = pool.n, i;
    void (*slice)(void *, int64_t, int) = pool.slice;
    void *context = pool.context;
    const int cut = pool.may_cut;
    while ((i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < n) {
        if (cut && masconI_interrupt_pending()) {
            atomic_store(&pool.cut, 1);
            return;
        }
        slice(context, i, thread);
    }
}

static int enter(void) {
    unsigned gate = atomic_load_explicit(&pool.gate, memory_order_relaxed);
    while (!(gate & GATE_CLOSED)) {
        if (atomic_compare_exchange_weak_explicit(&pool.gate, &gate, gate + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return 1;
        }
    }
    return 0;
}

static void leave(void) {
    unsigned before = atomic_fetch_sub_explicit(&pool.gate, 1, memory_order_release);
    if (before == (GATE_CLOSED | GATE_WAITING | 1)) futex_wake(&pool.gate, 1);
}

/* The kernel sometimes wakes a worker on the caller's own processor and leaves it there, where it
 * only takes the caller's time. Such a worker forbids itself that processor for a moment, which moves
 * it, and then restores its mask. At most once a millisecond, so that a full machine is not stirred. */
static void step_aside(int64_t *last) {
    int here = sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE) return;
    if (here != atomic_load_explicit(&pool.caller, memory_order_relaxed)) return;
    int64_t t = now();
    if (t - *last < 1000000) return;
    *last = t;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
    cpu_set_t others = allowed;
    CPU_CLR((size_t)here, &others);
    if (sched_setaffinity(0, sizeof others, &others) == 0) {
        sched_setaffinity(0, sizeof allowed, &allowed);
    }
}

static void *work(void *argument) {
    int index = (int)(intptr_t)argument, hooked = 0;
    int64_t moved = 0;
    unsigned seen = atomic_load_explicit(&pool.epoch, memory_order_acquire);
    inside = 1; /* whatever a worker runs is a slice */
    held = 1;   /* start_workers has blocked all signals */
    while (index <= atomic_load_explicit(&pool.keep, memory_order_acquire)) {
        step_aside(&moved);
        if (enter()) {
            if (index < pool.limit) {
                void (*hook)(void) = __atomic_load_n(&masconI_thread_start_hook, __ATOMIC_ACQUIRE);
                if (!hooked && hook != NULL) {
                    hook();
                    hooked = 1;
                }
                take_slices(index);
            }
            leave();
        }
        if (!spin(&pool.epoch, UINT_MAX, seen)) {
            /* seq_cst with run_job: either it sees this sleeper, or the kernel sees its epoch */
            atomic_fetch_add(&pool.sleepers, 1);
            while (atomic_load(&pool.epoch) == seen) futex_wait(&pool.epoch, seen);
            atomic_fetch_sub(&pool.sleepers, 1);
        }
        seen = atomic_load_explicit(&pool.epoch, memory_order_acquire);
    }
    return NULL;
}

/* The parent's workers do not exist in the child; start over. */
static void after_fork_in_child(void) {
    int parent = atomic_load(&pool.computed);
    pthread_mutex_init(&pool.lock, NULL);
    pool.started = 0;
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.gate, GATE_CLOSED);
    atomic_store(&pool.keep, MAX_THREADS);
    atomic_store(&pool.computed, 0);
    inside = 0;
    if (parent != 0) atomic_store(&pool.forked, parent);
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

int masconI_threads_forked(void) {
    return atomic_load_explicit(&pool.forked, memory_order_relaxed);
}

/* Starts missing workers; with the lock held. Fewer than asked for is no error: the slices are done
 * by those there are. */
static void start_workers(int wanted) {
    if (pool.started >= wanted) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.started < wanted) {
        int index = pool.started + 1;
        void *argument = (void *)(intptr_t)index;
        if (pthread_create(&pool.worker[index], NULL, work, argument) != 0) break;
        char name[16];
        snprintf(name, sizeof name, "mascon/%u", (unsigned)index % 10000u);
        pthread_setname_np(pool.worker[index], name);
        pool.started = index;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Ends workers above `keep`; with the lock held, so all of them are idle. */
static void stop_workers(int keep) {
    if (pool.started <= keep) return;
    atomic_store(&pool.keep, keep);
    atomic_fetch_add(&pool.epoch, 1);
    futex_wake(&pool.epoch, INT_MAX);
    for (int i = keep + 1; i <= pool.started; i++) pthread_join(pool.worker[i], NULL);
    pool.started = keep;
    atomic_store(&pool.keep, MAX_THREADS);
}

mascon_status mascon_set_pool(const mascon_pool *given) {
    if (given && (!given->run || given->threads < 1 || given->threads > MAX_THREADS)) {
        return masconI_fail(MASCON_E_ARG, "a pool needs a function `run` and 1 to %d threads",
                            (int)MAX_THREADS);
    }
    if (inside) {
        return masconI_fail(MASCON_E_STATE, "the pool cannot change inside a parallel operation");
    }
    pthread_mutex_lock(&pool.lock);
    if (given) stop_workers(0);
    host = given ? *given : (mascon_pool){0};
    atomic_store(&host_threads, given ? given->threads : 0);
    promised = 0;
    pthread_mutex_unlock(&pool.lock);
    return MASCON_OK;
}

static int setting(void) {
    int own = atomic_load_explicit(&host_threads, memory_order_relaxed);
    if (own > 0) return own;
    int n = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    if (n > 0) return n;
    const char *text = getenv("MASCON_THREADS");
    long given = 0;
    if (text != NULL) {
        char *end;
        given = strtol(text, &end, 10);
        if (end == text || *end != 0) given = 0;
    }
    n = given < 1 ? usable_processors() : given > MAX_THREADS ? MAX_THREADS : (int)given;
    int none = 0; /* a number set meanwhile by another thread wins */
    return atomic_compare_exchange_strong(&pool.threads, &none, n) ? n : none;
}

int32_t mascon_num_threads(void) {
    /* inside a slice nothing may change the promise made to the call that runs */
    int n = setting();
    if (!inside) promised = n;
    return n;
}

mascon_status mascon_set_num_threads(int32_t n) {
    if (n < 1 || n > MAX_THREADS) {
        return masconI_fail(MASCON_E_ARG, "number of threads is %d; must be in 1..%d", (int)n,
                            (int)MAX_THREADS);
    }
    if (atomic_load(&host_threads) > 0) {
        return masconI_fail(MASCON_E_STATE, "the host's own pool has %d threads",
                            atomic_load(&host_threads));
    }
    if (inside) {
        return masconI_fail(MASCON_E_STATE,
                            "the number of threads cannot change inside a parallel operation");
    }
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.threads, n);
    stop_workers(n - 1);
    promised = 0;
    pthread_mutex_unlock(&pool.lock);
    return MASCON_OK;
}

static void run_alone(int64_t n, void (*slice)(void *context, int64_t i, int thread),
                      void *context) {
    int before = inside;
    for (int64_t i = 0; i < n && !masconI_cut_asked(); i++) {
        inside = 1;
        slice(context, i, 0);
        inside = before;
    }
}

static void wait_for_workers(void) {
    unsigned gate = atomic_fetch_or_explicit(&pool.gate, GATE_CLOSED, memory_order_acq_rel);
    while ((gate & GATE_COUNT) != 0) {
        if (spin(&pool.gate, GATE_COUNT, gate & GATE_COUNT)) {
            gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
            continue;
        }
        gate = atomic_fetch_or_explicit(&pool.gate, GATE_WAITING, memory_order_acq_rel);
        while ((gate & GATE_COUNT) != 0) {
            gate |= GATE_WAITING;
            futex_wait(&pool.gate, gate);
            gate = atomic_load_explicit(&pool.gate, memory_order_acquire);
        }
    }
    atomic_store_explicit(&pool.gate, GATE_CLOSED, memory_order_relaxed);
}

void masconI_parallel(int64_t n, void (*slice)(void *context, int64_t i, int thread),
                      void *context) {
    if (n <= 0 || masconI_cut_asked()) return;
    if (atomic_load_explicit(&pool.computed, memory_order_relaxed) == 0) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, watch_forks);
        atomic_store(&pool.computed, (int)getpid());
    }
    if (n == 1) { /* a plain call: what it calls may use the pool, unless a slice runs around it */
        slice(context, 0, 0);
        return;
    }
    int threads = setting();
    if (promised > 0 && promised < threads) threads = promised;
    if (threads == 1 || inside || pthread_mutex_trylock(&pool.lock) != 0) {
        run_alone(n, slice, context);
        return;
    }
    if (host.run) {
        host_job job = {slice, context, pthread_self(), may_cut && !inside, 0};
        if (threads < host.threads) { /* promised before this pool came */
            run_alone(n, slice, context);
        } else {
            host.run(host.user, n, host_slice, &job);
            was_cut |= atomic_load(&job.cut);
        }
        pthread_mutex_unlock(&pool.lock);
        return;
    }
    /* The number may have been lowered before the lock was taken. */
    int most = setting();
    if (threads > most) threads = most;
    start_workers(threads - 1);
    if (threads > usable_processors()) {
        /* more threads than processors: whoever spins keeps another from working */
        atomic_store_explicit(&pool.crowded, CROWDED_WAITS, memory_order_relaxed);
    }
    atomic_store_explicit(&pool.caller, sched_getcpu(), memory_order_relaxed);
    pool.slice = slice;
    pool.context = context;
    pool.n = n;
    pool.limit = threads;
    pool.may_cut = may_cut;
    atomic_store_explicit(&pool.cut, 0, memory_order_relaxed);
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool.gate, 0, memory_order_release);
    atomic_fetch_add(&pool.epoch, 1);
    int sleepers = atomic_load(&pool.sleepers);
    if (sleepers > 0) futex_wake(&pool.epoch, n - 1 < sleepers ? (int)(n - 1) : sleepers);
    inside = 1;
    take_slices(0);
    inside = 0;
    wait_for_workers();
    was_cut |= atomic_load_explicit(&pool.cut, memory_order_relaxed);
    pthread_mutex_unlock(&pool.lock);
}

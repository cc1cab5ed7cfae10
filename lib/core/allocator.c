/* allocator.c: caching allocator over the raw blocks of a backend.
 *
 * Owns the free lists of every device, the counters behind mascon_memory, and the two test switches.
 * A request is rounded up to a size class; a freed block goes to its class's list and serves the next
 * request of that class. Classes are multiples of 64 bytes up to 1 KB and above that eight steps per
 * doubling, so at most an eighth is wasted.
 *
 * Invariants
 *   - a block's class follows from the requested size alone, so a block has no header (device memory
 *     could not be read here) and masconI_free must be told the same size
 *   - live_rounded + cached is exactly what was taken from the backend
 *   - that sum grows only on a raw allocation, and there it is held within a quarter more than the
 *     recent high-water mark of live memory (on a device within twice): what has gone out of use
 *     longest goes back first. Where blocks are asked for again that went back, as by a program that
 *     needs many sizes in turn, it may grow by as much, up to that mark once more
 *   - no lock is held while the backend allocates or frees
 *   - a device's blocks are reused in the order of its stream: who frees a block has given the device
 *     all work on it, and who gets it next gives it more. Copies beside that stream join it before their
 *     block is freed (core/upload.c)
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

enum {
    SMALL_STEP = 64,
    SMALL_LIMIT = 1024,
    SMALL_CLASSES = SMALL_LIMIT / SMALL_STEP,
    FIRST_DOUBLING = 10, /* 2^10 = SMALL_LIMIT */
    STEPS_PER_DOUBLING = 8,
    CLASSES = SMALL_CLASSES + (62 - FIRST_DOUBLING) * STEPS_PER_DOUBLING,
    DEVICE_TYPES = 3, /* the CPU, CUDA, page-locked memory of the host */
    DEVICE_INDICES = 16,
    POISON = 0xff /* a NaN in every floating type, -1 in the signed ones */
};

#define MAX_REQUEST ((size_t)1 << 61)
#define SLACK ((int64_t)32 << 20)
/* Giving a block back waits for everything that the device was given: there more is kept. */
#define SLACK_OF_DEVICE ((int64_t)1 << 30)
/* A collector's work shows beside a GPU's steps. A device of this size or less has the CPU's budget of
 * garbage, a larger one up to sixteen times as much. */
#define SMALL_DEVICE ((int64_t)2 << 30)
/* The high-water mark is that of the last two windows of this many requests, so memory that a
 * program needed once is given back while it goes on with less. */
#define WINDOW 32768

typedef struct bin {
    void **block; /* a stack */
    int32_t count, room;
    int64_t used; /* request number at the last hit or free */
    int64_t gone; /* request number when one was given back, 0: never */
} bin;

typedef struct arena {
    pthread_mutex_t lock;
    const mascon_backend *backend; /* set by the first raw allocation */
    int64_t live;                  /* bytes asked for and not freed */
    int64_t live_rounded, cached, peak;
    int64_t requests, raw_requests;
    int64_t high, high_before, window_end;
    int64_t regret,
        regret_before; /* bytes given back and asked for again, of this window, the last */
    /* What the system can still give: refreshed when little of the last answer is left. Memory that
     * is promised but not there would end the process later, without an error. */
    int64_t available;
    atomic_int debt_shift; /* of a device: its doublings above SMALL_DEVICE, 4 at most */
    bin bins[CLASSES];
} arena;

static arena arenas[DEVICE_TYPES][DEVICE_INDICES];
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static atomic_llong fail_countdown;
static atomic_int poison;

atomic_llong masconI_live_tensors, masconI_live_nodes;

/* ---- Setting up ---- */

/* A fork while another thread holds a lock would leave it locked in the child for ever. */
static void lock_all(void) {
    for (int t = 0; t < DEVICE_TYPES; t++) {
        for (int i = 0; i < DEVICE_INDICES; i++) pthread_mutex_lock(&arenas[t][i].lock);
    }
}

static void unlock_all(void) {
    for (int t = 0; t < DEVICE_TYPES; t++) {
        for (int i = 0; i < DEVICE_INDICES; i++) pthread_mutex_unlock(&arenas[t][i].lock);
    }
}

static void prepare(void) {
    for (int t = 0; t < DEVICE_TYPES; t++) {
        for (int i = 0; i < DEVICE_INDICES; i++) pthread_mutex_init(&arenas[t][i].lock, NULL);
    }
    pthread_atfork(lock_all, unlock_all, unlock_all);
}

/* NULL for a device number that cannot exist. */
static arena *arena_of(int32_t device) {
    int32_t type = device >> 8, index = device & 255;
    if (device < 0 || type >= DEVICE_TYPES || index >= DEVICE_INDICES) return NULL;
    pthread_once(&prepared, prepare);
    return &arenas[type][index];
}

/* ---- Size classes ---- */

/* The class of a request, and its size. bytes <= MAX_REQUEST. */
static int class_of(size_t bytes, size_t *size) {
    if (bytes <= SMALL_LIMIT) {
        size_t steps = bytes == 0 ? 1 : (bytes + SMALL_STEP - 1) / SMALL_STEP;
        *size = steps * SMALL_STEP;
        return (int)steps - 1;
    }
    int doubling = 63 - __builtin_clzll((unsigned long long)(bytes - 1));
    int shift = doubling - 3; /* a step is an eighth of the doubling: 128 bytes or more */
    size_t steps = (bytes - 1) >> shift; /* 8..15 */
    *size = (steps + 1) << shift;
    return SMALL_CLASSES + (doubling - FIRST_DOUBLING) * STEPS_PER_DOUBLING + (int)steps - 8;
}

static size_t size_of(int class) {
    if (class < SMALL_CLASSES) return (size_t)(class + 1) * SMALL_STEP;
    int doubling = FIRST_DOUBLING + (class - SMALL_CLASSES) / STEPS_PER_DOUBLING;
    size_t steps = (size_t)((class - SMALL_CLASSES) % STEPS_PER_DOUBLING) + 8;
    return (steps + 1) << (doubling - 3);
}

/* ---- Giving back ---- */

/* Takes one block of the class out of the cache. With the lock held. */
static void *take(arena *a, int class) {
    bin *b = &a->bins[class];
    if (b->count == 0) return NULL;
    a->cached -= (int64_t)size_of(class);
    return b->block[--b->count];
}

/* The class with blocks that was used longest ago, or -1. With the lock held. */
static int stalest(const arena *a) {
    int found = -1;
    for (int i = 0; i < CLASSES; i++) {
        if (a->bins[i].count > 0 && (found < 0 || a->bins[i].used < a->bins[found].used)) found = i;
    }
    return found;
}

/* Frees cached blocks until everything taken from the backend is at most `limit`, or nothing is
 * cached. Called and returns with the lock held; lets go of it meanwhile. */
static void trim(arena *a, int32_t device, int64_t limit) {
    while (a->cached > 0 && a->live_rounded + a->cached > limit) {
        int class = stalest(a);
        if (class < 0) return;
        void *block = take(a, class);
        a->bins[class].gone = a->requests;
        pthread_mutex_unlock(&a->lock);
        a->backend->free(device, block);
        pthread_mutex_lock(&a->lock);
    }
}

static int64_t cache_limit(const arena *a, int32_t device) {
    int64_t high = a->high > a->high_before ? a->high : a->high_before;
    if (high < a->live_rounded) high = a->live_rounded; /* with what is being asked for now */
    if (device != MASCON_DEVICE_CPU) return 2 * high + SLACK_OF_DEVICE;
    int64_t more = a->regret > a->regret_before ? a->regret : a->regret_before;
    if (more > high) more = high;
    return high + high / 4 + SLACK + more;
}

/* A block of this class comes from the backend: was one given back lately? Fresh memory costs a page
 * fault and a page of zeros for every page, so what goes back shall be what is not asked for again. */
static void count_regret(arena *a, int class, size_t size) {
    const int64_t gone = a->bins[class].gone;
    if (gone > 0 && a->requests - gone < WINDOW) a->regret += (int64_t)size;
    a->bins[class].gone = 0;
}

void mascon_empty_cache(int32_t device) {
    arena *a = arena_of(device);
    if (a == NULL) return;
    pthread_mutex_lock(&a->lock);
    trim(a, device, 0);
    a->high = a->high_before = a->live_rounded;
    a->regret = a->regret_before = 0;
    for (int i = 0; i < CLASSES; i++) {
        bin *b = &a->bins[i];
        b->gone = 0; /* it was wanted */
        if (b->count > 0) continue;
        free(b->block);
        b->block = NULL;
        b->room = 0;
    }
    pthread_mutex_unlock(&a->lock);
}

/* ---- Taking ---- */

const char *masconI_bytes_text(int64_t bytes, char buffer[32]) {
    double v = (double)bytes;
    if (bytes < 10000) {
        snprintf(buffer, 32, "%lld bytes", (long long)bytes);
    } else if (bytes < 1000000) {
        snprintf(buffer, 32, "%.1f KB", v * 1e-3);
    } else if (bytes < 1000000000) {
        snprintf(buffer, 32, "%.1f MB", v * 1e-6);
    } else {
        snprintf(buffer, 32, "%.1f GB", v * 1e-9);
    }
    return buffer;
}

static mascon_status out_of_memory(int32_t device, size_t bytes, int64_t available) {
    char needed[32], have[32], place[16];
    int64_t shown = bytes > (size_t)INT64_MAX ? INT64_MAX : (int64_t)bytes;
    const char *why = shown <= available ? ", but the request was refused; a limit of the process "
                                           "(ulimit -v) or of its group may be reached"
                                         : "";
    return masconI_fail(MASCON_E_OOM, "%s needed, %s free on %s%s",
                        masconI_bytes_text(shown, needed), masconI_bytes_text(available, have),
                        masconI_device_text(device, place), why);
}

/* Whether the system can give `size` bytes now; *available is its last answer. Lock held. */
static int can_give(arena *a, int32_t device, int64_t size, int64_t *available) {
    if (size <= a->available / 8) {
        a->available -= size;
        *available = a->available;
        return 1;
    }
    int64_t total = 0;
    *available = 0;
    const mascon_backend *backend = a->backend;
    pthread_mutex_unlock(&a->lock); /* reading the figures takes tens of microseconds */
    mascon_status status =
        backend->info ? backend->info(device, &total, available) : MASCON_E_UNSUPPORTED;
    pthread_mutex_lock(&a->lock);
    if (status != MASCON_OK || total <= 0) {
        a->available = 0;
        *available = 0;
        return 1; /* not known: let the system answer */
    }
    if (size > total || size > *available) return 0;
    a->available = *available - size;
    int shift = 0;
    while (device != MASCON_DEVICE_CPU && shift < 4 && total >> shift > SMALL_DEVICE) shift++;
    atomic_store_explicit(&a->debt_shift, shift, memory_order_relaxed);
    return 1;
}

/* A block from the backend. Called with the lock held and the size counted as live; lets go of the
 * lock meanwhile. */
static mascon_status raw_alloc(arena *a, int32_t device, size_t bytes, size_t size, void **out) {
    size_t of_class;
    count_regret(a, class_of(bytes, &of_class), size);
    trim(a, device, cache_limit(a, device));
    int64_t available = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (can_give(a, device, (int64_t)size, &available)) {
            a->raw_requests++;
            pthread_mutex_unlock(&a->lock);
            mascon_status status = a->backend->alloc(device, size, out);
            pthread_mutex_lock(&a->lock);
            if (status == MASCON_OK) return MASCON_OK;
            if (status != MASCON_E_OOM) return status;
        }
        if (attempt == 0) {
            if (a->cached == 0) break;
            trim(a, device, 0);
            a->available = 0; /* ask again */
        }
    }
    return out_of_memory(device, bytes, available);
}

/* Every WINDOW requests: forgets old high-water marks. With the lock held. */
static void next_window(arena *a, int32_t device) {
    a->window_end = a->requests + WINDOW;
    a->high_before = a->high;
    a->high = a->live_rounded;
    a->regret_before = a->regret;
    a->regret = 0;
    if (a->backend != NULL) trim(a, device, cache_limit(a, device));
}

/* Whether a test wants this request to fail: the n-th (n), or the n-th and all after it (-n). */
static int test_failure(void) {
    long long n = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (n == 0) return 0;
    if (n == -1) return 1;
    return n > 0 ? atomic_fetch_sub(&fail_countdown, 1) == 1
                 : (atomic_fetch_add(&fail_countdown, 1), 0);
}

mascon_status masconI_alloc(int32_t device, size_t bytes, void **out) {
    *out = NULL;
    if (test_failure()) {
        return masconI_fail(MASCON_E_OOM, "allocation of %zu bytes failed on request of a test",
                            bytes);
    }
    arena *a = arena_of(device);
    if (a == NULL) return masconI_fail(MASCON_E_DEVICE, "unknown device number %d", (int)device);
    if (bytes > MAX_REQUEST) return out_of_memory(device, bytes, a->available);
    size_t size;
    int class = class_of(bytes, &size);
    mascon_status status = MASCON_OK;

    pthread_mutex_lock(&a->lock);
    a->live += (int64_t)bytes;
    a->live_rounded += (int64_t)size;
    a->bins[class].used = ++a->requests;
    if (a->requests >= a->window_end) next_window(a, device);
    void *block = take(a, class);
    if (block == NULL) {
        if (a->backend == NULL) {
            /* opening a device may take long and allocate */
            const mascon_backend *backend = NULL;
            pthread_mutex_unlock(&a->lock);
            status = masconI_backend(device, &backend);
            pthread_mutex_lock(&a->lock);
            if (status == MASCON_OK) a->backend = backend;
        }
        if (status == MASCON_OK) status = raw_alloc(a, device, bytes, size, &block);
    }
    if (status != MASCON_OK) {
        a->live -= (int64_t)bytes;
        a->live_rounded -= (int64_t)size;
    } else {
        if (a->live > a->peak) a->peak = a->live;
        if (a->live_rounded > a->high) a->high = a->live_rounded;
    }
    pthread_mutex_unlock(&a->lock);
    *out = block;
    return status;
}

void masconI_free(int32_t device, void *block, size_t bytes) {
    arena *a = arena_of(device);
    if (a == NULL || block == NULL) return;
    size_t size;
    int class = class_of(bytes, &size);
    if (device == MASCON_DEVICE_CPU && atomic_load_explicit(&poison, memory_order_relaxed)) {
        memset(block, POISON, size);
    }
    pthread_mutex_lock(&a->lock);
    a->live -= (int64_t)bytes;
    a->live_rounded -= (int64_t)size;
    bin *b = &a->bins[class];
    if (b->count == b->room) {
        int32_t room = b->room ? b->room * 2 : 8;
        void **grown = realloc(b->block, (size_t)room * sizeof *grown);
        if (grown != NULL) {
            b->block = grown;
            b->room = room;
        }
    }
    b->used = a->requests;
    if (b->count < b->room) {
        b->block[b->count++] = block;
        a->cached += (int64_t)size;
        block = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    if (block != NULL) a->backend->free(device, block); /* no memory even for the list */
}

int64_t masconI_debt_of(int32_t device, int64_t bytes) {
    arena *a = arena_of(device);
    if (a == NULL || bytes <= 0) return bytes;
    const int shift = atomic_load_explicit(&a->debt_shift, memory_order_relaxed);
    return (bytes + ((int64_t)1 << shift) - 1) >> shift;
}

int masconI_alloc_held(int32_t device) {
    arena *a = arena_of(device);
    if (a == NULL) return 0;
    pthread_mutex_lock(&a->lock);
    int held = a->live_rounded + a->cached > 0;
    pthread_mutex_unlock(&a->lock);
    return held;
}

/* ---- Figures ---- */

mascon_status mascon_memory(int32_t device, int64_t *out) {
    MASCON_NEED(out);
    memset(out, 0, MASCON_MEMORY_COUNT * sizeof *out);
    const mascon_backend *backend;
    MASCON_TRY(masconI_backend(device, &backend));
    arena *a = arena_of(device);
    if (a == NULL) return masconI_fail(MASCON_E_DEVICE, "unknown device number %d", (int)device);
    pthread_mutex_lock(&a->lock);
    out[MASCON_MEMORY_LIVE] = a->live;
    out[MASCON_MEMORY_CACHED] = a->cached;
    out[MASCON_MEMORY_PEAK] = a->peak;
    out[MASCON_MEMORY_ALLOCATIONS] = a->requests;
    out[MASCON_MEMORY_RAW_ALLOCATIONS] = a->raw_requests;
    pthread_mutex_unlock(&a->lock);
    out[MASCON_MEMORY_TENSORS] = atomic_load(&masconI_live_tensors);
    out[MASCON_MEMORY_NODES] = atomic_load(&masconI_live_nodes);
    if (backend->info == NULL) return MASCON_OK;
    return backend->info(device, &out[MASCON_MEMORY_TOTAL], &out[MASCON_MEMORY_FREE]);
}

void mascon_reset_peak_memory(int32_t device) {
    arena *a = arena_of(device);
    if (a == NULL) return;
    pthread_mutex_lock(&a->lock);
    a->peak = a->live;
    pthread_mutex_unlock(&a->lock);
}

void mascon_memory_report(int32_t device, char *text, size_t size) {
    if (!text) return;
    masconI_storage_report(device, text, size);
}

void mascon_testing_fail_allocation(int64_t n) { atomic_store(&fail_countdown, n); }

void mascon_testing_poison(int32_t on) { atomic_store(&poison, on != 0); }

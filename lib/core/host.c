/* host.c: what a C host may bring of its own: memory for CPU tensors, and a function for messages; and
 * the flags of the calls that the typed functions of mascon_ops.h make.
 *
 * The allocator stands below the caching one and changes only while no block of the CPU exists, so every
 * block goes back to where it came from. The log function is called on the thread that has something to
 * say, one message at a time.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/internal.h"

/* ---- Memory ---- */

static struct {
    mascon_host_alloc alloc;
    mascon_host_free free;
    void *user;
} memory;

mascon_status mascon_set_allocator(mascon_host_alloc alloc, mascon_host_free free, void *user) {
    if (!alloc != !free) {
        return masconI_fail(MASCON_E_ARG, "%s is NULL; both functions or none are given",
                            alloc ? "free" : "alloc");
    }
    mascon_empty_cache(MASCON_DEVICE_CPU);
    if (masconI_alloc_held(MASCON_DEVICE_CPU)) {
        return masconI_fail(MASCON_E_STATE,
                            "tensors or workspaces of the CPU exist; the allocator is set before "
                            "the first one, or after the last one is released");
    }
    memory.alloc = alloc;
    memory.free = free;
    memory.user = user;
    return MASCON_OK;
}

int masconI_own_alloc(size_t bytes, void **out) {
    if (!memory.alloc) return 0;
    *out = memory.alloc(memory.user, bytes, 64);
    return 1;
}

int masconI_own_free(void *block) {
    if (!memory.free) return 0;
    memory.free(memory.user, block);
    return 1;
}

/* ---- Messages ---- */

static struct {
    pthread_mutex_t lock;
    mascon_log_function function;
    void *user;
} logging = {.lock = PTHREAD_MUTEX_INITIALIZER};

atomic_int masconI_log_level;

/* Calls are logged by the way that recorded ones take (record.c). */
mascon_status mascon_set_log(mascon_log_function function, void *user, int32_t level) {
    if (level < MASCON_LOG_NOTHING || level > MASCON_LOG_CALLS) {
        return masconI_fail(MASCON_E_ARG, "level is %d; must be in [%d, %d]", level,
                            MASCON_LOG_NOTHING, MASCON_LOG_CALLS);
    }
    if (!function) level = MASCON_LOG_NOTHING;
    pthread_mutex_lock(&logging.lock);
    logging.function = level ? function : NULL;
    logging.user = user;
    int before = atomic_exchange(&masconI_log_level, level);
    int calls = (level >= MASCON_LOG_CALLS) - (before >= MASCON_LOG_CALLS);
    atomic_fetch_add(&masconI_recordings, calls);
    pthread_mutex_unlock(&logging.lock);
    return MASCON_OK;
}

static _Thread_local int
    talking; /* the log function runs in this thread: what it does is not logged */

void masconI_log(int32_t level, const char *text) {
    if (talking || atomic_load_explicit(&masconI_log_level, memory_order_relaxed) < level) return;
    pthread_mutex_lock(&logging.lock);
    talking = 1;
    if (logging.function) logging.function(logging.user, level, text);
    talking = 0;
    pthread_mutex_unlock(&logging.lock);
}

void masconI_log_error(void) {
    if (atomic_load_explicit(&masconI_log_level, memory_order_relaxed) < MASCON_LOG_ERRORS) return;
    const mascon_error *e = mascon_last_error();
    char text[sizeof e->op + sizeof e->message + sizeof e->detail + 8];
    snprintf(text, sizeof text, "%s: %s%s%s", e->op, e->message, e->detail[0] ? "\n" : "",
             e->detail);
    masconI_log(MASCON_LOG_ERRORS, text);
}

/* "relu {2, 3} -> {2, 3}" */
void masconI_log_call(const mascon_call *call) {
    if (atomic_load_explicit(&masconI_log_level, memory_order_relaxed) < MASCON_LOG_CALLS) return;
    char text[1024], shape[160];
    int n = snprintf(text, sizeof text, "%s", masconI_ops[call->op]->name);
    for (int i = 0; i < call->n_src && n < 800; i++) {
        if (!call->src[i]) continue;
        n += snprintf(text + n, sizeof text - (size_t)n, " %s",
                      masconI_shape_text(SRC(call, i)->ndim, SRC(call, i)->shape, shape));
    }
    if (call->n_list) {
        n += snprintf(text + n, sizeof text - (size_t)n, " %lld tensors", (long long)call->n_list);
    }
    for (int i = 0; i < call->n_dst && n < 800; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%s %s", i ? "" : " ->",
                      masconI_shape_text(DST(call, i)->ndim, DST(call, i)->shape, shape));
    }
    masconI_log(MASCON_LOG_CALLS, text);
}

/* ---- Typed functions ---- */

static _Thread_local int32_t call_flags = MASCON_CALL_GRAD;

int32_t mascon_call_flags(void) { return call_flags; }

int32_t mascon_set_call_flags(int32_t flags) {
    int32_t before = call_flags;
    call_flags = flags;
    return before;
}

static uint64_t own_hash;
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;
static void make_hash(void) { own_hash = mascon_op_hash(); }

mascon_status mascon_ops_check(uint64_t hash) {
    pthread_once(&hash_once, make_hash);
    if (hash == own_hash) return MASCON_OK;
    masconI_fail(MASCON_E_STATE, "mascon_ops.h was made for another library than mascon %s",
                 mascon_version());
    return masconI_hint("compile the program again with the header that is installed beside it");
}

/* storage.c: counted blocks of memory, and the queue of released anchors.
 *
 * Owns the list of live storages (for the memory report) and the anchors that the host has to let go.
 * A storage is either a block of the allocator or foreign memory of the host; foreign memory is never
 * freed here, its anchor is queued when the last reference is gone.
 *
 * Releasing never allocates: a dead foreign storage is itself the entry of the queue.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

static struct {
    pthread_mutex_t lock;
    masconI_storage *first;             /* live storages of all devices, newest first */
    masconI_storage *queue, *queue_end; /* dead ones whose anchor waits, oldest first */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_ullong last_id;

static void lock_all(void) { pthread_mutex_lock(&all.lock); }
static void unlock_all(void) { pthread_mutex_unlock(&all.lock); }
static void watch_forks(void) { pthread_atfork(lock_all, unlock_all, unlock_all); }

static masconI_storage *storage_new(void *data, size_t bytes, int32_t device) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    masconI_storage *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    atomic_init(&s->refs, 1);
    s->data = data;
    s->bytes = bytes;
    s->device = device;
    s->id = (uint64_t)atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    if (masconI_program_now()) s->program = masconI_program_id();
    return s;
}

static void enlist(masconI_storage *s) {
    pthread_mutex_lock(&all.lock);
    s->next = all.first;
    if (s->next != NULL) s->next->previous = s;
    all.first = s;
    pthread_mutex_unlock(&all.lock);
}

/* With the lock held. */
static void delist(masconI_storage *s) {
    if (s->previous != NULL) s->previous->next = s->next;
    if (s->next != NULL) s->next->previous = s->previous;
    if (all.first == s) all.first = s->next;
}

/* With the lock held. */
static void enqueue(masconI_storage *s) {
    s->next = NULL;
    if (all.queue_end != NULL) {
        all.queue_end->next = s;
    } else {
        all.queue = s;
    }
    all.queue_end = s;
}

mascon_status masconI_storage_new(masconI_storage **out, size_t bytes, int32_t device) {
    *out = NULL;
    void *block;
    MASCON_TRY(masconI_alloc(device, bytes, &block));
    masconI_storage *s = storage_new(block, bytes, device);
    if (s == NULL) {
        masconI_free(device, block, bytes);
        return masconI_fail(MASCON_E_OOM, "no memory for a tensor's record");
    }
    enlist(s);
    *out = s;
    return MASCON_OK;
}

mascon_status masconI_storage_foreign(masconI_storage **out, void *data, size_t bytes,
                                      uint64_t anchor) {
    masconI_storage *s = *out = storage_new(data, bytes, MASCON_DEVICE_CPU);
    if (s == NULL) return masconI_fail(MASCON_E_OOM, "no memory for a tensor's record");
    s->foreign = 1;
    s->anchor = anchor;
    enlist(s);
    return MASCON_OK;
}

void masconI_storage_retain(masconI_storage *s) {
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void masconI_storage_release(masconI_storage *s) {
    if (s == NULL) return;
    const int recorded = atomic_load_explicit(&s->recorded, memory_order_relaxed);
    const int left = atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) - 1;
    if (left > 0) {
        if (recorded && left == recorded) masconI_program_shed(s);
        return;
    }
    masconI_twin_free(s->twin);
    int queued = s->foreign && s->anchor != 0;
    pthread_mutex_lock(&all.lock);
    delist(s);
    if (queued) enqueue(s);
    pthread_mutex_unlock(&all.lock);
    if (queued) return; /* mascon_anchor_next frees it */
    if (s->arena) {
        masconI_storage_release(s->arena);
    } else if (!s->foreign && s->data) {
        masconI_free(s->device, s->data, s->bytes);
    }
    if (s->release) s->release(s->owner);
    free(s);
}

mascon_status masconI_anchor_push(uint64_t anchor) {
    if (anchor == 0) return MASCON_OK;
    masconI_storage *s = storage_new(NULL, 0, MASCON_DEVICE_CPU);
    if (s == NULL) return masconI_fail(MASCON_E_OOM, "no memory to queue a released anchor");
    s->anchor = anchor;
    pthread_mutex_lock(&all.lock);
    enqueue(s);
    pthread_mutex_unlock(&all.lock);
    return MASCON_OK;
}

uint64_t mascon_anchor_next(void) {
    pthread_mutex_lock(&all.lock);
    masconI_storage *s = all.queue;
    if (s != NULL) {
        all.queue = s->next;
        if (all.queue == NULL) all.queue_end = NULL;
    }
    pthread_mutex_unlock(&all.lock);
    uint64_t anchor = s != NULL ? s->anchor : 0;
    free(s);
    return anchor;
}

void masconI_storage_report(int32_t device, char *text, size_t size) {
    enum { LINES = 10 };
    struct {
        size_t bytes;
        uint64_t id;
        int refs, foreign;
    } top[LINES];
    int n = 0;
    if (size == 0) return;
    text[0] = 0;
    pthread_mutex_lock(&all.lock);
    for (const masconI_storage *s = all.first; s != NULL; s = s->next) {
        if (s->device != device || (n == LINES && s->bytes <= top[n - 1].bytes)) continue;
        int i = n < LINES ? n++ : n - 1;
        for (; i > 0 && top[i - 1].bytes < s->bytes; i--) top[i] = top[i - 1];
        top[i].bytes = s->bytes;
        top[i].id = s->id;
        top[i].refs = atomic_load_explicit(&s->refs, memory_order_relaxed);
        top[i].foreign = s->foreign;
    }
    pthread_mutex_unlock(&all.lock);
    size_t used = 0;
    for (int i = 0; i < n && used < size; i++) {
        char bytes[32];
        int length = snprintf(text + used, size - used, "%s%12s  storage %llu, %d tensor%s%s",
                              i > 0 ? "\n" : "", masconI_bytes_text((int64_t)top[i].bytes, bytes),
                              (unsigned long long)top[i].id, top[i].refs,
                              top[i].refs == 1 ? "" : "s", top[i].foreign ? ", of the host" : "");
        if (length < 0) break;
        used += (size_t)length;
    }
}

/* plan_cache.h: what the CUDA backend remembers between calls: ready plans by the bytes of their key, and
 * on disk the text of a plan, so that another process need not look for it again.
 */
#ifndef MASCON_CUDA_PLAN_CACHE_H
#define MASCON_CUDA_PLAN_CACHE_H

#include <pthread.h>

#include "mascon_backend.h"

/* ---- In memory ---- */

/* One plan. `lock` is for whoever runs it: libraries do not promise that two threads may run one plan
 * at the same time. */
typedef struct masconG_entry {
    pthread_mutex_t lock;
    void *value;
    /* owned by plan_cache.c */
    struct masconG_entry *chain, *newer, *older;
    uint64_t hash;
    size_t key_bytes;
    int refs;
    unsigned char key[];
} masconG_entry;

enum { MASCONG_CACHE_BUCKETS = 1024 };

/* Bounded: the plan used longest ago makes room. Static storage, all other members zero. */
typedef struct masconG_cache {
    pthread_mutex_t mutex;
    int limit;
    mascon_status (*make)(const void *key, void **value);
    void (*destroy)(void *value);
    masconG_entry *bucket[MASCONG_CACHE_BUCKETS], *newest, *oldest;
    int count;
} masconG_cache;

/* The entry of this key, made on first use. Keys are compared byte by byte: they have no padding. Give
 * it back with masconG_cache_put. Any thread. */
mascon_status masconG_cache_get(masconG_cache *cache, const void *key, size_t key_bytes,
                                masconG_entry **out);
void masconG_cache_put(masconG_cache *cache, masconG_entry *entry); /* NULL is allowed */
/* Drops every entry that nobody holds. */
void masconG_cache_clear(masconG_cache *cache);

/* ---- On disk ---- */

/* One file per plan in $XDG_CACHE_HOME/mascon/<folder>/ (~/.cache where that is not set), written
 * beside and renamed, so that a reader sees a whole file or none. Losing one costs time only: what
 * cannot be read or written is no error, and a damaged file counts as missing. */

/* The text kept under this key, malloc'ed; NULL where there is none. */
char *masconG_kept_read(const char *folder, const void *key, size_t key_bytes, size_t *length);
void masconG_kept_write(const char *folder, const void *key, size_t key_bytes, const char *text,
                        size_t length);
/* The name of a folder from parts that may hold any character; returns buffer. */
const char *masconG_kept_folder(char *buffer, size_t size, const char *library, int64_t version,
                                const char *device, int processors);

#endif

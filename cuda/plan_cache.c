/* plan_cache.c: bounded caches of plans, in memory and on disk. See plan_cache.h.
 *
 * A cache's mutex is held for look-ups only: plans are made outside of it, so two threads may make the
 * same one, and the slower throws its own away. An entry that somebody holds is never dropped.
 */
#include "cuda/plan_cache.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t hash_bytes(const void *bytes, size_t n, uint64_t h) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return h;
}

static const uint64_t hash_start = 0xcbf29ce484222325u;

/* ---- In memory ---- */

/* Of a key in memory: every convolution of a step comes here twice, so eight bytes at a time. */
static uint64_t hash_key(const void *key, size_t n) {
    const unsigned char *p = key;
    uint64_t h = hash_start;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    return hash_bytes(p, n, h);
}

static void unlink_age(masconG_cache *c, masconG_entry *e) {
    if (e->newer) e->newer->older = e->older;
    if (e->older) e->older->newer = e->newer;
    if (c->newest == e) c->newest = e->older;
    if (c->oldest == e) c->oldest = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(masconG_cache *c, masconG_entry *e) {
    e->older = c->newest;
    if (c->newest) c->newest->newer = e;
    c->newest = e;
    if (!c->oldest) c->oldest = e;
}

static masconG_entry *find(masconG_cache *c, const void *key, size_t bytes, uint64_t hash) {
    for (masconG_entry *e = c->bucket[hash % MASCONG_CACHE_BUCKETS]; e; e = e->chain) {
        if (e->hash != hash || e->key_bytes != bytes || memcmp(e->key, key, bytes) != 0) continue;
        if (e != c->newest) {
            unlink_age(c, e);
            link_newest(c, e);
        }
        e->refs++;
        return e;
    }
    return NULL;
}

static void take_out(masconG_cache *c, masconG_entry *e) {
    unlink_age(c, e);
    masconG_entry **link = &c->bucket[e->hash % MASCONG_CACHE_BUCKETS];
    while (*link != e) link = &(*link)->chain;
    *link = e->chain;
    c->count--;
}

static void entry_free(masconG_cache *c, masconG_entry *e) {
    if (!e) return;
    c->destroy(e->value);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

/* The least used entry that nobody holds, taken out; NULL where all are held. */
static masconG_entry *take_oldest(masconG_cache *c) {
    masconG_entry *e = c->oldest;
    while (e && e->refs) e = e->newer;
    if (e) take_out(c, e);
    return e;
}

static mascon_status new_entry(masconG_cache *c, const void *key, size_t bytes, uint64_t hash,
                               masconG_entry **out) {
    masconG_entry *e = calloc(1, sizeof *e + bytes);
    if (!e) return masconI_fail(MASCON_E_OOM, "no memory for a plan");
    const mascon_status status = c->make(key, &e->value);
    if (status != MASCON_OK) {
        free(e);
        return status;
    }
    pthread_mutex_init(&e->lock, NULL);
    memcpy(e->key, key, bytes);
    e->key_bytes = bytes;
    e->hash = hash;
    e->refs = 1;
    *out = e;
    return MASCON_OK;
}

mascon_status masconG_cache_get(masconG_cache *c, const void *key, size_t key_bytes,
                                masconG_entry **out) {
    const uint64_t hash = hash_key(key, key_bytes);
    pthread_mutex_lock(&c->mutex);
    *out = find(c, key, key_bytes, hash);
    pthread_mutex_unlock(&c->mutex);
    if (*out) return MASCON_OK;

    masconG_entry *made = NULL, *extra = NULL;
    MASCON_TRY(new_entry(c, key, key_bytes, hash, &made));
    pthread_mutex_lock(&c->mutex);
    *out = find(c, key, key_bytes, hash); /* another thread may have been faster */
    if (*out) {
        extra = made;
    } else {
        if (c->count >= c->limit) extra = take_oldest(c);
        made->chain = c->bucket[hash % MASCONG_CACHE_BUCKETS];
        c->bucket[hash % MASCONG_CACHE_BUCKETS] = made;
        link_newest(c, made);
        c->count++;
        *out = made;
    }
    pthread_mutex_unlock(&c->mutex);
    entry_free(c, extra);
    return MASCON_OK;
}

void masconG_cache_put(masconG_cache *c, masconG_entry *entry) {
    if (!entry) return;
    pthread_mutex_lock(&c->mutex);
    entry->refs--;
    pthread_mutex_unlock(&c->mutex);
}

void masconG_cache_clear(masconG_cache *c) {
    for (;;) {
        pthread_mutex_lock(&c->mutex);
        masconG_entry *e = take_oldest(c);
        pthread_mutex_unlock(&c->mutex);
        if (!e) return;
        entry_free(c, e);
    }
}

/* ---- On disk ---- */

/* What a file begins with; key and text follow. */
typedef struct file_head {
    char magic[8];
    uint64_t key_bytes, text_bytes;
    uint64_t sum; /* of key and text */
} file_head;

static const char magic[8] = "mascplan";
enum { TEXT_MAX = 64 << 20 };

/* The path of a key's file, of its folder where key is NULL; 0 where there is no place for it. */
static int path_of(char path[PATH_MAX], const char *folder, const void *key, size_t bytes) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char name[32] = "";
    if (key) {
        snprintf(name, sizeof name, "/%016llx.plan",
                 (unsigned long long)hash_bytes(key, bytes, hash_start));
    }
    int n = -1;
    if (cache && cache[0] == '/') {
        n = snprintf(path, PATH_MAX, "%s/mascon/%s%s", cache, folder, name);
    } else if (home && home[0] == '/') {
        n = snprintf(path, PATH_MAX, "%s/.cache/mascon/%s%s", home, folder, name);
    }
    return n > 0 && n < PATH_MAX;
}

/* Makes a folder and those above it. */
static void make_folders(char *path) {
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(path, 0777);
        *p = '/';
    }
    mkdir(path, 0777);
}

static uint64_t sum_of(const void *key, size_t key_bytes, const char *text, size_t length) {
    return hash_bytes(text, length, hash_bytes(key, key_bytes, hash_start));
}

/* The rest of an open file after its head, checked; NULL where anything is off. */
static char *read_rest(FILE *file, const file_head *head, const void *key, size_t key_bytes) {
    char *found = malloc(key_bytes + (size_t)head->text_bytes + 1);
    if (!found) return NULL;
    char *text = found + key_bytes;
    const size_t length = (size_t)head->text_bytes;
    if (fread(found, 1, key_bytes + length, file) != key_bytes + length || fgetc(file) != EOF ||
        memcmp(found, key, key_bytes) != 0 || sum_of(key, key_bytes, text, length) != head->sum) {
        free(found);
        return NULL;
    }
    memmove(found, text, length);
    found[length] = 0;
    return found;
}

char *masconG_kept_read(const char *folder, const void *key, size_t key_bytes, size_t *length) {
    char path[PATH_MAX];
    *length = 0;
    if (!path_of(path, folder, key, key_bytes)) return NULL;
    FILE *file = fopen(path, "rbe");
    if (!file) return NULL;
    file_head head;
    char *text = NULL;
    if (fread(&head, sizeof head, 1, file) == 1 && memcmp(head.magic, magic, sizeof magic) == 0 &&
        head.key_bytes == key_bytes && head.text_bytes > 0 && head.text_bytes <= TEXT_MAX) {
        text = read_rest(file, &head, key, key_bytes);
        if (text) *length = (size_t)head.text_bytes;
    }
    fclose(file);
    return text;
}

void masconG_kept_write(const char *folder, const void *key, size_t key_bytes, const char *text,
                        size_t length) {
    char path[PATH_MAX], aside[PATH_MAX + 32];
    if (length == 0 || length > TEXT_MAX || !path_of(path, folder, NULL, 0)) return;
    make_folders(path);
    if (!path_of(path, folder, key, key_bytes)) return;
    snprintf(aside, sizeof aside, "%s.%ld.XXXXXX", path, (long)getpid());
    const int descriptor = mkostemp(aside, O_CLOEXEC);
    if (descriptor < 0) return;
    FILE *file = fdopen(descriptor, "wb");
    if (!file) {
        close(descriptor);
        unlink(aside);
        return;
    }
    file_head head = {.key_bytes = key_bytes, .text_bytes = length};
    memcpy(head.magic, magic, sizeof magic);
    head.sum = sum_of(key, key_bytes, text, length);
    int good = fwrite(&head, sizeof head, 1, file) == 1 &&
               fwrite(key, 1, key_bytes, file) == key_bytes &&
               fwrite(text, 1, length, file) == length;
    good = fclose(file) == 0 && good;
    if (!good || rename(aside, path) != 0) unlink(aside);
}

const char *masconG_kept_folder(char *buffer, size_t size, const char *library, int64_t version,
                                const char *device, int processors) {
    snprintf(buffer, size, "%s-%lld-%s-%d", library, (long long)version, device, processors);
    for (char *p = buffer; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '.') *p = '_';
    }
    return buffer;
}

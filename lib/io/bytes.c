/* bytes.c: UTF-8, sets of names, and arenas for the readers.
 *
 * Invariant: what a file can make these use is bounded: sets by the names that were read, arenas by
 * their limit.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "io/io.h"

/* ---- UTF-8 ---- */

int masconI_utf8_valid(const void *text, uint64_t size) {
    const unsigned char *p = text;
    for (uint64_t i = 0; i < size;) {
        unsigned char c = p[i++];
        if (c < 0x80) continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || size - i < (uint64_t)more) return 0;
        unsigned char low = 0x80, high = 0xbf;
        if (c == 0xe0) low = 0xa0;  /* overlong */
        if (c == 0xed) high = 0x9f; /* surrogates */
        if (c == 0xf0) low = 0x90;  /* overlong */
        if (c == 0xf4) high = 0x8f; /* above U+10FFFF */
        if (p[i] < low || p[i] > high) return 0;
        for (int k = 1; k < more; k++) {
            if ((p[i + (uint64_t)k] & 0xc0) != 0x80) return 0;
        }
        i += (uint64_t)more;
    }
    return 1;
}

/* ---- Sets of names ---- */

static uint64_t secret[2];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void make_secret(void) {
    if (getrandom(secret, sizeof secret, GRND_NONBLOCK) != (ssize_t)sizeof secret) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        secret[0] = (uint64_t)t.tv_nsec * 0x9e3779b97f4a7c15u;
        secret[1] = (uint64_t)t.tv_sec ^ (uint64_t)(uintptr_t)&t;
    }
}

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3: collisions cannot be computed without the secret. */
static uint64_t hash_of(const void *text, uint64_t size) {
    const unsigned char *p = text;
    uint64_t v[4] = {secret[0] ^ 0x736f6d6570736575u, secret[1] ^ 0x646f72616e646f6du,
                     secret[0] ^ 0x6c7967656e657261u, secret[1] ^ 0x7465646279746573u};
    uint64_t left = size;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = size << 56;
    for (uint64_t i = 0; i < left; i++) last |= (uint64_t)p[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Puts a name into a table that has room; 0 where it is there already. */
static int place(struct masconI_name *slot, uint64_t capacity, const struct masconI_name *name) {
    for (uint64_t i = name->hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        if (!slot[i].text) {
            slot[i] = *name;
            return 1;
        }
        if (slot[i].hash == name->hash && slot[i].size == name->size &&
            memcmp(slot[i].text, name->text, name->size) == 0) {
            return 0;
        }
    }
}

int masconI_names_add(masconI_names *set, const void *text, uint64_t size) {
    pthread_once(&secret_once, make_secret);
    if (set->count * 4 >= set->capacity * 3) {
        uint64_t capacity = set->capacity ? set->capacity * 2 : 16;
        struct masconI_name *slot = calloc(capacity, sizeof *slot);
        if (!slot) return -1;
        for (uint64_t i = 0; i < set->capacity; i++) {
            if (set->slot[i].text) place(slot, capacity, &set->slot[i]);
        }
        free(set->slot);
        set->slot = slot;
        set->capacity = capacity;
    }
    struct masconI_name name = {size ? text : "", size, hash_of(text, size), set->count};
    int added = place(set->slot, set->capacity, &name);
    set->count += (uint64_t)added;
    return added;
}

int64_t masconI_names_find(const masconI_names *set, const void *text, uint64_t size) {
    if (!set->count) return -1;
    uint64_t hash = hash_of(text, size);
    for (uint64_t i = hash & (set->capacity - 1); set->slot[i].text;
         i = (i + 1) & (set->capacity - 1)) {
        const struct masconI_name *s = &set->slot[i];
        if (s->hash == hash && s->size == size && (!size || memcmp(s->text, text, size) == 0)) {
            return (int64_t)s->index;
        }
    }
    return -1;
}

void masconI_names_free(masconI_names *set) {
    free(set->slot);
    *set = (masconI_names){0};
}

/* ---- Arenas ---- */

struct masconI_block {
    struct masconI_block *next;
    uint64_t used, size;
    _Alignas(16) unsigned char data[];
};

void *masconI_arena_get(masconI_arena *arena, uint64_t size) {
    if (size > arena->limit || arena->limit - size < arena->used) {
        masconI_limit_fail(arena->path, MASCON_IO_NOWHERE, "tables of the file", arena->used + size,
                           "meta_bytes", arena->limit);
        return NULL;
    }
    uint64_t rounded = (size + 7) & ~(uint64_t)7;
    struct masconI_block *block = arena->block;
    if (!block || block->size - block->used < rounded) {
        /* a big request gets a block of its own behind the current one, whose rest stays usable */
        uint64_t bytes = rounded > 16384 ? rounded : arena->used < 65536 ? 16384 : 262144;
        struct masconI_block *made = calloc(1, sizeof *made + bytes);
        if (!made) {
            masconI_oom(arena->path, bytes);
            return NULL;
        }
        made->size = bytes;
        if (block && rounded > 16384) {
            made->next = block->next;
            block->next = made;
        } else {
            made->next = block;
            arena->block = made;
        }
        block = made;
    }
    void *got = block->data + block->used;
    block->used += rounded;
    arena->used += rounded;
    return got;
}

void masconI_arena_free(masconI_arena *arena) {
    for (struct masconI_block *block = arena->block; block;) {
        struct masconI_block *next = block->next;
        free(block);
        block = next;
    }
    arena->block = NULL;
    arena->used = 0;
}

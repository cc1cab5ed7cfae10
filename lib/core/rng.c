/* rng.c: the counter-based generator Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
 *
 * Owns the generator object: a seed and the number of the next stream. Each random operation draws
 * one stream; within it, element i reads word i of the stream, so values depend on the logical index
 * alone and not on layouts, threads or devices.
 */
#include <pthread.h>
#include <stdlib.h>

#include "core/internal.h"

struct mascon_generator {
    pthread_mutex_t lock;
    uint64_t seed;    /* the key */
    uint64_t counter; /* the next stream */
};

/* key = random[0]; counter = (block, random[1]), least significant word first */
void masconI_philox(const uint64_t random[2], uint64_t block, uint32_t out[4]) {
    uint32_t k0 = (uint32_t)random[0], k1 = (uint32_t)(random[0] >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)random[1], c3 = (uint32_t)(random[1] >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint32_t masconI_random_word(const uint64_t random[2], uint64_t i) {
    uint32_t word[4];
    masconI_philox(random, i / 4, word);
    return word[i % 4];
}

mascon_status mascon_generator_new(mascon_generator **out, uint64_t seed) {
    MASCON_NEED(out);
    mascon_generator *g = malloc(sizeof *g);
    if (g == NULL) return masconI_fail(MASCON_E_OOM, "no memory for a generator");
    pthread_mutex_init(&g->lock, NULL);
    g->seed = seed;
    g->counter = 0;
    *out = g;
    return MASCON_OK;
}

void mascon_generator_release(mascon_generator *g) {
    if (g == NULL) return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

void mascon_generator_seed(mascon_generator *g, uint64_t seed) {
    if (!g) return;
    mascon_generator_set(g, seed, 0);
}

void mascon_generator_get(const mascon_generator *g, uint64_t *seed, uint64_t *counter) {
    if (!g) return;
    if (!seed) return;
    if (!counter) return;
    pthread_mutex_t *lock = (pthread_mutex_t *)&g->lock; /* the lock is not part of the value */
    pthread_mutex_lock(lock);
    if (seed != NULL) *seed = g->seed;
    if (counter != NULL) *counter = g->counter;
    pthread_mutex_unlock(lock);
}

void mascon_generator_set(mascon_generator *g, uint64_t seed, uint64_t counter) {
    if (!g) return;
    pthread_mutex_lock(&g->lock);
    g->seed = seed;
    g->counter = counter;
    pthread_mutex_unlock(&g->lock);
}

void mascon_generator_next(mascon_generator *g, uint64_t random[2]) {
    if (!g) return;
    if (!random) return;
    pthread_mutex_lock(&g->lock);
    random[0] = g->seed;
    random[1] = g->counter++;
    pthread_mutex_unlock(&g->lock);
    if (masconI_program_now()) masconI_program_draw(g, random);
}

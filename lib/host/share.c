/* share.c: what the Lua states of one process share: tensors handed over by a number, and values that are
 * made once under a key.
 *
 * Owns two lists under one lock. A Lua state never sees a tensor header of another: each gets a header of
 * its own over the same storage, so that gradients and modes of one state do not reach the other.
 *
 * Invariants
 *   - an entry of the cache that is READY never changes and never goes away
 *   - an entry that is being made has the mark of the thread that makes it
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"
#include "host/wait.h"
#include "mascon_host.h"

typedef struct ticket {
    struct ticket *next;
    int64_t number;
    mascon_tensor *tensor;
} ticket;

struct mascon_cached {
    mascon_cached *next;
    char *key;
    const void *maker; /* the thread that makes the value; NULL: it is there */
    char *text;
    mascon_tensor **tensors;
    mascon_model **models;
    int32_t n_tensors, n_models;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static ticket *tickets;
static int64_t last_number;
static mascon_cached *cache;

/* Its address is the mark of a thread: no other living one has it, and a forked child keeps it. */
static _Thread_local char mark;

static void remove_entry(mascon_cached **at) {
    mascon_cached *c = *at;
    *at = c->next;
    free(c->key);
    free(c);
}

/* A fork while another thread holds the lock would leave it locked in the child for ever. Nor would the
 * child ever see the values that other threads were making: it makes them itself. */
static void lock_all(void) { pthread_mutex_lock(&lock); }
static void unlock_all(void) { pthread_mutex_unlock(&lock); }
static void begin_child(void) {
    for (mascon_cached **at = &cache; *at;) {
        if ((*at)->maker && (*at)->maker != &mark) {
            remove_entry(at);
        } else {
            at = &(*at)->next;
        }
    }
    pthread_mutex_unlock(&lock);
}
static void watch_forks(void) { pthread_atfork(lock_all, unlock_all, begin_child); }

static void enter(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&lock);
}

/* ---- Handing over ---------------------------------------------------------------------------- */

mascon_status mascon_share(mascon_tensor *t, int64_t *number) {
    if (!number) return masconI_fail(MASCON_E_ARG, "the result is NULL");
    MASCON_TRY(masconI_tensor_alive(t));
    ticket *made = malloc(sizeof *made);
    if (!made) return masconI_fail(MASCON_E_OOM, "not enough memory");
    mascon_status status = mascon_tensor_detach(t, &made->tensor);
    if (status != MASCON_OK) {
        free(made);
        return status;
    }
    enter();
    made->number = *number = ++last_number;
    made->next = tickets;
    tickets = made;
    pthread_mutex_unlock(&lock);
    return MASCON_OK;
}

mascon_status mascon_shared_take(int64_t number, mascon_tensor **out) {
    if (!out) return masconI_fail(MASCON_E_ARG, "the result is NULL");
    *out = NULL;
    enter();
    ticket **at = &tickets;
    while (*at && (*at)->number != number) at = &(*at)->next;
    ticket *found = *at;
    if (found) *at = found->next;
    int used = !found && number >= 1 && number <= last_number;
    pthread_mutex_unlock(&lock);
    if (!found) {
        masconI_fail(MASCON_E_ARG, "number %lld %s", (long long)number,
                     used ? "was taken before" : "was not given by share in this process");
        return masconI_hint("each t:share() is for one from_shared");
    }
    *out = found->tensor;
    free(found);
    return MASCON_OK;
}

/* ---- Values made once -------------------------------------------------------------------------- */

static mascon_cached *find(const char *key) {
    mascon_cached *c = cache;
    while (c && strcmp(c->key, key) != 0) c = c->next;
    return c;
}

static mascon_status add(const char *key, mascon_cached **out) {
    mascon_cached *c = calloc(1, sizeof *c);
    char *copy = strdup(key);
    if (!c || !copy) {
        free(c);
        free(copy);
        return masconI_fail(MASCON_E_OOM, "not enough memory");
    }
    c->key = copy;
    c->next = cache;
    *out = cache = c;
    return MASCON_OK;
}

mascon_status mascon_cached_begin(const char *key, int32_t *what, mascon_cached **out) {
    if (!key || !what || !out) return masconI_fail(MASCON_E_ARG, "an argument is NULL");
    *out = NULL;
    mascon_status status = MASCON_OK;
    enter();
    mascon_cached *c;
    while ((c = find(key)) != NULL && c->maker && status == MASCON_OK) {
        if (c->maker == &mark) {
            status =
                masconI_fail(MASCON_E_STATE, "\"%s\" is being made by this very function", key);
        } else if (masconI_interrupt_pending()) {
            status = masconI_fail(MASCON_E_INTERRUPTED, "interrupted");
        } else {
            masconI_wait_briefly(&changed, &lock);
        }
    }
    if (status == MASCON_OK && c) {
        *what = MASCON_CACHED_READY;
        *out = c;
    } else if (status == MASCON_OK) {
        *what = MASCON_CACHED_MAKE;
        status = add(key, &c);
        if (status == MASCON_OK) c->maker = &mark;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* The references that a value holds; on failure it holds none. */
static mascon_status hold(mascon_cached *c, const char *text, mascon_tensor *const *tensors,
                          int32_t n_tensors, mascon_model *const *models, int32_t n_models) {
    c->text = strdup(text);
    c->tensors = calloc((size_t)n_tensors + 1, sizeof *c->tensors);
    c->models = calloc((size_t)n_models + 1, sizeof *c->models);
    mascon_status status = MASCON_OK;
    if (!c->text || !c->tensors || !c->models) {
        status = masconI_fail(MASCON_E_OOM, "not enough memory");
    }
    for (int32_t i = 0; i < n_models && status == MASCON_OK; i++) {
        if (!models[i]) status = masconI_fail(MASCON_E_ARG, "model %d is NULL", i);
    }
    for (int32_t i = 0; i < n_tensors && status == MASCON_OK; i++) {
        status = mascon_tensor_detach(tensors[i], &c->tensors[i]);
    }
    if (status == MASCON_OK) {
        for (int32_t i = 0; i < n_models; i++) mascon_model_retain(c->models[i] = models[i]);
        c->n_tensors = n_tensors;
        c->n_models = n_models;
        return MASCON_OK;
    }
    for (int32_t i = 0; c->tensors && i < n_tensors; i++) mascon_tensor_release(c->tensors[i]);
    free(c->text);
    free(c->tensors);
    free(c->models);
    c->text = NULL;
    c->tensors = NULL;
    c->models = NULL;
    return status;
}

mascon_status mascon_cached_put(const char *key, const char *text, mascon_tensor *const *tensors,
                                int32_t n_tensors, mascon_model *const *models, int32_t n_models) {
    if (!key || !text || n_tensors < 0 || n_models < 0 || (n_tensors > 0 && !tensors) ||
        (n_models > 0 && !models)) {
        return masconI_fail(MASCON_E_ARG, "an argument is NULL or negative");
    }
    enter();
    mascon_cached *c = find(key);
    mascon_status status;
    if (!c || c->maker != &mark) {
        status = masconI_fail(MASCON_E_STATE, "\"%s\" is not being made by this thread", key);
    } else {
        status = hold(c, text, tensors, n_tensors, models, n_models);
        if (status == MASCON_OK) c->maker = NULL;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return status;
}

void mascon_cached_fail(const char *key) {
    if (!key) return;
    enter();
    mascon_cached **at = &cache;
    while (*at && strcmp((*at)->key, key) != 0) at = &(*at)->next;
    if (*at && (*at)->maker == &mark) remove_entry(at);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

const char *mascon_cached_text(const mascon_cached *c) { return c && c->text ? c->text : ""; }

mascon_status mascon_cached_tensor(const mascon_cached *c, int32_t i, mascon_tensor **out) {
    if (!c || !out || i < 0 || i >= c->n_tensors) {
        return masconI_fail(MASCON_E_ARG, "there is no cached tensor %d", i);
    }
    return mascon_tensor_detach(c->tensors[i], out);
}

mascon_status mascon_cached_model(const mascon_cached *c, int32_t i, mascon_model **out) {
    if (!c || !out || i < 0 || i >= c->n_models) {
        return masconI_fail(MASCON_E_ARG, "there is no cached model %d", i);
    }
    mascon_model_retain(*out = c->models[i]);
    return MASCON_OK;
}

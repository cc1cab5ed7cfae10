/* plan.c: the cache of ready convolutions and the cache of packed weights.
 *
 * Both are bounded, drop what was used longest ago, and are guarded by one mutex each, which is
 * held for a look-up only: primitives are made and weights packed outside of it. An entry that a
 * running call holds (refs > 0) is never dropped.
 */
#include "cpu/plan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

/* ---- Plans ---- */

enum { PLANS = 512, BUCKETS = 1024 };

static pthread_mutex_t plan_lock = PTHREAD_MUTEX_INITIALIZER;
static masconI_plan *bucket[BUCKETS];
static masconI_plan *newest, *oldest;
static int plan_count;
static uint64_t next_form = 1;

_Static_assert(sizeof(masconI_conv) % sizeof(uint64_t) == 0, "a key is a row of words");

static uint64_t hash_key(const masconI_conv *key) {
    uint64_t words[sizeof *key / sizeof(uint64_t)], h = 0x9e3779b97f4a7c15u;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        h = (h ^ words[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static void unlink_age(masconI_plan *p) {
    if (p->newer) p->newer->older = p->older;
    if (p->older) p->older->newer = p->newer;
    if (newest == p) newest = p->older;
    if (oldest == p) oldest = p->newer;
    p->newer = p->older = NULL;
}

static void link_newest(masconI_plan *p) {
    p->older = newest;
    if (newest) newest->newer = p;
    newest = p;
    if (!oldest) oldest = p;
}

static masconI_plan *find(const masconI_conv *key, uint64_t hash) {
    for (masconI_plan *p = bucket[hash % BUCKETS]; p; p = p->chain) {
        if (p->hash == hash && memcmp(&p->key, key, sizeof *key) == 0) {
            if (p != newest) {
                unlink_age(p);
                link_newest(p);
            }
            p->refs++;
            return p;
        }
    }
    return NULL;
}

/* Takes the least used plan that nobody holds out of the table; NULL where all are held. */
static masconI_plan *drop_oldest(void) {
    masconI_plan *p = oldest;
    while (p && p->refs) p = p->newer;
    if (!p) return NULL;
    unlink_age(p);
    masconI_plan **link = &bucket[p->hash % BUCKETS];
    while (*link != p) link = &(*link)->chain;
    *link = p->chain;
    plan_count--;
    return p;
}

static void plan_free(masconI_plan *p) {
    if (!p) return;
    masconI_dnnl_free(p->conv);
    free(p);
}

/* The form of a plan in the table that packs the same weights in the same way, else a new one. */
static uint64_t find_form(const masconI_plan *made) {
    const masconI_conv *a = &made->key;
    for (const masconI_plan *p = newest; p && made->conv; p = p->older) {
        const masconI_conv *b = &p->key;
        if (p->conv && a->kind == b->kind && a->c == b->c && a->oc == b->oc && a->kh == b->kh &&
            a->kw == b->kw && a->groups == b->groups &&
            masconI_dnnl_same_form(p->conv, made->conv)) {
            return p->form;
        }
    }
    return next_form++;
}

mascon_status masconI_plan_get(const masconI_conv *key, masconI_plan **out) {
    const uint64_t hash = hash_key(key);
    pthread_mutex_lock(&plan_lock);
    *out = find(key, hash);
    pthread_mutex_unlock(&plan_lock);
    if (*out) return MASCON_OK;

    masconI_plan *made = calloc(1, sizeof *made), *extra = NULL;
    if (!made) return masconI_fail(MASCON_E_OOM, "no memory for a convolution plan");
    made->key = *key;
    made->hash = hash;
    made->refs = 1;
    mascon_status status = masconI_dnnl_new(key, &made->conv);
    if (status != MASCON_OK) {
        free(made);
        return status;
    }
    pthread_mutex_lock(&plan_lock);
    *out = find(key, hash); /* another thread may have been faster */
    if (*out) {
        extra = made;
    } else {
        if (plan_count >= PLANS) extra = drop_oldest();
        made->form = find_form(made);
        made->chain = bucket[hash % BUCKETS];
        bucket[hash % BUCKETS] = made;
        link_newest(made);
        plan_count++;
        *out = made;
    }
    pthread_mutex_unlock(&plan_lock);
    plan_free(extra);
    return MASCON_OK;
}

void masconI_plan_put(masconI_plan *plan) {
    if (!plan) return;
    pthread_mutex_lock(&plan_lock);
    plan->refs--;
    pthread_mutex_unlock(&plan_lock);
}

/* ---- Packed weights ---- */

/* A form may lie in one of WAYS places, chosen by its identity. */
enum { WAYS = 8, SETS = 64, PACKED = WAYS * SETS };
static const size_t packed_limit = (size_t)256 << 20;

/* One form of one tensor. data is NULL while a version was seen only once. */
struct masconI_packed {
    uint64_t storage, form;
    int64_t offset, version;
    float *data;
    size_t bytes;
    uint64_t used; /* clock of the last use */
    int refs;
};

static pthread_mutex_t packed_lock = PTHREAD_MUTEX_INITIALIZER;
static masconI_packed packed[PACKED];
static size_t packed_bytes;
static uint64_t packed_clock;

static void forget(masconI_packed *p) {
    free(p->data);
    packed_bytes -= p->bytes;
    *p = (masconI_packed){0};
}

/* The entry of this form, else a free or the least used one, emptied; NULL where all are held. */
static masconI_packed *entry(uint64_t storage, int64_t offset, uint64_t form) {
    masconI_packed *least = NULL;
    const uint64_t mixed = (storage ^ form << 20 ^ (uint64_t)offset << 40) * 0x9e3779b97f4a7c15u;
    masconI_packed *set = &packed[(mixed >> 40) % SETS * WAYS];
    for (int i = 0; i < WAYS; i++) {
        masconI_packed *p = &set[i];
        if (p->storage == storage && p->offset == offset && p->form == form) return p;
        if (p->refs == 0 && (!least || p->used < least->used)) least = p;
    }
    if (least) {
        forget(least);
        *least =
            (masconI_packed){.storage = storage, .form = form, .offset = offset, .version = -1};
    }
    return least;
}

static void make_room(size_t bytes) {
    while (packed_bytes + bytes > packed_limit) {
        masconI_packed *least = NULL;
        for (int i = 0; i < PACKED; i++) {
            masconI_packed *p = &packed[i];
            if (p->data && p->refs == 0 && (!least || p->used < least->used)) least = p;
        }
        if (!least) return;
        forget(least);
    }
}

/* Whether this version was asked for before and has no packed form yet. Where it has one, *held. */
static int worth_keeping(const mascon_tensor *weight, uint64_t form, int64_t version,
                         masconI_packed **held) {
    int keep = 0;
    pthread_mutex_lock(&packed_lock);
    masconI_packed *p = entry(weight->storage->id, weight->offset, form);
    if (p) {
        p->used = ++packed_clock;
        if (p->version == version && p->data) {
            p->refs++;
            *held = p;
        } else if (p->version == version) {
            keep = 1;
        } else if (p->refs == 0) {
            free(p->data);
            packed_bytes -= p->bytes;
            p->data = NULL;
            p->bytes = 0;
            p->version = version;
        }
    }
    pthread_mutex_unlock(&packed_lock);
    return keep;
}

/* Hands data over to the cache; *held where it was taken. */
static void keep(const mascon_tensor *weight, uint64_t form, int64_t version, float *data,
                 size_t bytes, masconI_packed **held) {
    pthread_mutex_lock(&packed_lock);
    make_room(bytes);
    masconI_packed *p = entry(weight->storage->id, weight->offset, form);
    if (p && p->version == version && !p->data && packed_bytes + bytes <= packed_limit) {
        p->data = data;
        p->bytes = bytes;
        p->refs = 1;
        p->used = ++packed_clock;
        packed_bytes += bytes;
        *held = p;
    }
    pthread_mutex_unlock(&packed_lock);
}

mascon_status masconI_form_get(const mascon_tensor *weight, const masconI_form *form, void *room,
                               const float **data, masconI_packed **held) {
    const float *plain = mascon_see(weight)->data;
    *held = NULL;
    /* Foreign memory may change without a new version, so its packed form would be stale. */
    if (weight->storage && !weight->storage->foreign) {
        const int64_t version = mascon_tensor_version(weight);
        void *block = NULL;
        if (worth_keeping(weight, form->id, version, held) &&
            posix_memalign(&block, 64, form->bytes) == 0) {
            const mascon_status status = form->make(form->context, plain, block);
            if (status == MASCON_OK) {
                keep(weight, form->id, version, block, form->bytes, held);
            }
            if (!*held) free(block);
            if (status != MASCON_OK) return status;
        }
        if (*held) {
            *data = (*held)->data;
            return MASCON_OK;
        }
    }
    *data = room;
    return form->make(form->context, plain, room);
}

typedef struct packing {
    masconI_dnnl *conv;
    const float *plain;
    float *packed;
    atomic_int status;
} packing;

static void pack_piece(void *context, int64_t i, int thread) {
    (void)thread;
    packing *p = context;
    const mascon_status status = masconI_dnnl_pack(p->conv, p->plain, p->packed, (int)i);
    if (status != MASCON_OK) atomic_store(&p->status, status);
}

static mascon_status pack(const void *context, const float *plain, float *to) {
    const masconI_plan *plan = context;
    packing p = {.conv = plan->conv, .plain = plain, .packed = to};
    masconI_parallel(masconI_dnnl_pieces(p.conv), pack_piece, &p);
    const int code = atomic_load(&p.status);
    return code == MASCON_OK ? MASCON_OK : masconI_fail(code, "weights could not be packed");
}

mascon_status masconI_packed_get(const mascon_tensor *weight, masconI_plan *plan, void *room,
                                 const float **data, masconI_packed **held) {
    const masconI_form form = {.id = plan->form * 2, /* even: see masconI_form */
                               .bytes = masconI_dnnl_packed(plan->conv),
                               .make = pack,
                               .context = plan};
    return masconI_form_get(weight, &form, room, data, held);
}

void masconI_packed_put(masconI_packed *held) {
    if (!held) return;
    pthread_mutex_lock(&packed_lock);
    held->refs--;
    pthread_mutex_unlock(&packed_lock);
}

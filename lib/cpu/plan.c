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

#include "core/cut.h"
#include "core/internal.h"
#include "cpu/bf16.h"

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
/* Forms with a fold are others than those without; plain_form is of no plan and no Winograd sizes. */
static const uint64_t folded = (uint64_t)1 << 63, plain_form = 3;

/* The tensors that a fold takes in, and their versions. */
typedef struct stamp {
    uint64_t storage[MASCON_FOLDED];
    int64_t offset[MASCON_FOLDED], version[MASCON_FOLDED];
    double eps;
} stamp;

/* One form of one tensor. data is NULL while a version was seen only once. */
struct masconI_packed {
    uint64_t storage, form;
    int64_t offset, version;
    stamp fold;
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

static int is_version(const masconI_packed *p, int64_t version, const stamp *fold) {
    return p->version == version && memcmp(&p->fold, fold, sizeof *fold) == 0;
}

/* Whether this version was asked for before and has no packed form yet. Where it has one, *held. */
static int worth_keeping(const mascon_tensor *weight, uint64_t form, int64_t version,
                         const stamp *fold, masconI_packed **held) {
    int keep = 0;
    pthread_mutex_lock(&packed_lock);
    masconI_packed *p = entry(weight->storage->id, weight->offset, form);
    if (p) {
        p->used = ++packed_clock;
        if (is_version(p, version, fold) && p->data) {
            p->refs++;
            *held = p;
        } else if (is_version(p, version, fold)) {
            keep = 1;
        } else if (p->refs == 0) {
            free(p->data);
            packed_bytes -= p->bytes;
            p->data = NULL;
            p->bytes = 0;
            p->version = version;
            p->fold = *fold;
        }
    }
    pthread_mutex_unlock(&packed_lock);
    return keep;
}

/* Hands data over to the cache; *held where it was taken. */
static void keep(const mascon_tensor *weight, uint64_t form, int64_t version, const stamp *fold,
                 float *data, size_t bytes, masconI_packed **held) {
    pthread_mutex_lock(&packed_lock);
    make_room(bytes);
    masconI_packed *p = entry(weight->storage->id, weight->offset, form);
    if (p && is_version(p, version, fold) && !p->data && packed_bytes + bytes <= packed_limit) {
        p->data = data;
        p->bytes = bytes;
        p->refs = 1;
        p->used = ++packed_clock;
        packed_bytes += bytes;
        *held = p;
    }
    pthread_mutex_unlock(&packed_lock);
}

/* Fills in what the fold takes in; 0 where some of it may change without a new version. */
static int stamp_of(const masconI_fold *fold, stamp *s) {
    memset(s, 0, sizeof *s); /* compared as bytes */
    if (!fold) return 1;
    for (int i = 0; i < MASCON_FOLDED; i++) {
        const mascon_tensor *t = fold->of[i];
        if (!t) continue;
        if (!t->storage || t->storage->foreign) return 0;
        s->storage[i] = t->storage->id;
        s->offset[i] = t->offset;
        s->version[i] = mascon_tensor_version(t);
    }
    s->eps = fold->eps;
    return 1;
}

static mascon_status make_wide_form(const masconI_form *form, const float *plain, float *to) {
    const masconI_fold *fold = form->fold;
    if (!fold) return form->make(form->context, plain, to);
    float *scaled = malloc(sizeof(float) * (size_t)(fold->oc * fold->each));
    if (!scaled) return masconI_fail(MASCON_E_OOM, "no memory to prepare weights");
    masconI_fold_run(fold, plain, scaled, (float *)(uintptr_t)masconI_form_bias(form, to));
    const mascon_status status = form->make(form->context, scaled, to);
    free(scaled);
    return status;
}

static mascon_status make_form(const masconI_form *form, const void *plain, float *to) {
    if (!form->half) return make_wide_form(form, plain, to);
    float *wide = malloc(sizeof(float) * (size_t)form->half);
    if (!wide) return masconI_fail(MASCON_E_OOM, "no memory to prepare weights");
    masconI_bf16_widen_all(plain, wide, form->half);
    const mascon_status status = make_wide_form(form, wide, to);
    free(wide);
    return status;
}

mascon_status masconI_form_get(const mascon_tensor *weight, const masconI_form *form, void *room,
                               const float **data, masconI_packed **held) {
    const float *plain = mascon_see(weight)->data;
    const size_t bytes = masconI_form_room(form);
    const uint64_t id = form->id | (form->fold ? folded : 0);
    stamp fold;
    *held = NULL;
    /* Foreign memory may change without a new version, so its packed form would be stale. */
    if (weight->storage && !weight->storage->foreign && stamp_of(form->fold, &fold)) {
        const int64_t version = mascon_tensor_version(weight);
        void *block = NULL;
        if (worth_keeping(weight, id, version, &fold, held) &&
            posix_memalign(&block, 64, bytes) == 0) {
            const int cut = masconI_cut_allow(0); /* what is kept must be whole */
            const mascon_status status = make_form(form, plain, block);
            masconI_cut_allow(cut);
            if (status == MASCON_OK) keep(weight, id, version, &fold, block, bytes, held);
            if (!*held) free(block);
            if (status != MASCON_OK) return status;
        }
        if (*held) {
            *data = (*held)->data;
            return MASCON_OK;
        }
    }
    *data = form->piecewise ? NULL : room;
    return form->piecewise ? MASCON_OK : make_form(form, plain, room);
}

static mascon_status copy_plain(const void *context, const float *plain, float *to) {
    const masconI_fold *fold = context;
    memcpy(to, plain, sizeof(float) * (size_t)(fold->oc * fold->each));
    return MASCON_OK;
}

masconI_form masconI_plain_form(const masconI_fold *fold) {
    return (masconI_form){.id = plain_form,
                          .bytes = sizeof(float) * (size_t)(fold->oc * fold->each),
                          .make = copy_plain,
                          .context = fold,
                          .fold = fold};
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

/* Folded weights for a primitive that takes bfloat16. */
static mascon_status pack_narrow(const void *context, const float *plain, float *to) {
    const masconI_plan *plan = context;
    const masconI_conv *v = &plan->key;
    const int64_t count = v->oc * (v->c / v->groups) * v->kh * v->kw;
    if (!masconI_dnnl_packed(plan->conv)) {
        masconI_bf16_narrow_all(plain, (uint16_t *)(void *)to, count);
        return MASCON_OK;
    }
    uint16_t *half = malloc(sizeof *half * (size_t)count);
    if (!half) return masconI_fail(MASCON_E_OOM, "no memory to prepare weights");
    masconI_bf16_narrow_all(plain, half, count);
    const mascon_status status = pack(context, (const float *)(const void *)half, to);
    free(half);
    return status;
}

static masconI_form folded_half_form(const masconI_plan *plan, const masconI_fold *fold) {
    const size_t form = masconI_dnnl_packed(plan->conv);
    const int64_t count = fold->oc * fold->each;
    return (masconI_form){.id = form ? plan->form * 2 : plain_form,
                          .bytes = form ? form : sizeof(uint16_t) * (size_t)count,
                          .make = pack_narrow,
                          .context = plan,
                          .half = count,
                          .fold = fold};
}

masconI_form masconI_packed_form(const masconI_plan *plan, const masconI_fold *fold) {
    const size_t bytes = masconI_dnnl_packed(plan->conv);
    if (fold && plan->key.bf16) return folded_half_form(plan, fold);
    if (!bytes && fold) return masconI_plain_form(fold);
    return (masconI_form){.id = plan->form * 2, /* even: see masconI_form */
                          .bytes = bytes,
                          .make = pack,
                          .context = plan,
                          .fold = fold};
}

void masconI_packed_put(masconI_packed *held) {
    if (!held) return;
    pthread_mutex_lock(&packed_lock);
    held->refs--;
    pthread_mutex_unlock(&packed_lock);
}

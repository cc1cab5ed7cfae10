/* loader.c: batches of a source, made ahead of their reader.
 *
 * One bounded queue: batch b is made into slot b % capacity by whichever worker claims it, and no
 * worker claims a batch that is capacity or more ahead of the reader. A batch depends on its number
 * alone, so neither workers nor their speed change it. Workers that find nothing to claim sleep;
 * they end with the epoch (its last batch read, stop, begin, release).
 *
 * Invariants (under lock): taken <= claimed <= taken + capacity; slots of batches in
 * [taken, claimed) belong to the queue, all others are empty.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data/picture.h"

enum { MAX_WORKERS = 256 };

/* How often a wait looks at the interrupt flag. */
static const int64_t glance = 50 * 1000 * 1000;

/* The order of an epoch is a stream of its own: it must not repeat a draw of the script's. */
static const uint64_t purpose_order = 0x6f72646572206f66u;

/* Rows that were left out, and why. */
typedef struct skips {
    struct skip {
        int64_t row;
        char *why;
    } * item;
    int64_t n, room;
} skips;

typedef struct slot {
    int ready;
    int told; /* the reader knows of the failure: its next call tries once more */
    mascon_status status;
    mascon_error error;                       /* where status is not MASCON_OK */
    mascon_tensor *fields[MASCON_MAX_FIELDS]; /* all NULL: every row was left out */
    skips skipped;
} slot;

struct mascon_loader {
    mascon_source *source;
    mascon_pipeline *pipeline; /* may be NULL */
    masconI_plan plan;         /* for field 0 where it is a picture */
    int picture, files;
    int skip;                /* leave out what cannot be read */
    int pin;                 /* batches lie in page-locked memory */
    uint64_t seed, epoch;    /* of the random stages */
    masconI_scratch scratch; /* of the reader; each worker has its own */
    skips skipped;           /* of the batches read in this epoch */
    int64_t batch_size;
    int drop_last;
    int32_t workers;

    int64_t *order; /* of this epoch */
    int64_t rows, batches;
    double waited;

    pthread_mutex_t lock;
    pthread_cond_t filled; /* a slot became ready */
    pthread_cond_t room;   /* a slot became empty, or the epoch ends */
    slot *slots;
    int64_t capacity;
    int64_t taken, claimed;
    int ending;
    pthread_t *threads;
    int32_t running;
    pid_t pid; /* whose threads they are: a forked child has none to wait for */
};

/* ---- Order ---- */

/* Uniform in 0..n-1 from 64 random bits; the bias is below n / 2^64. */
static int64_t below(uint64_t bits, int64_t n) {
    return (int64_t)(uint64_t)(((unsigned __int128)bits * (uint64_t)n) >> 64);
}

void mascon_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t *order) {
    if (!order) return;
    const uint64_t random[2] = {seed ^ purpose_order, epoch};
    uint32_t words[4] = {0};
    for (int64_t i = 0; i < n; i++) order[i] = i;
    int64_t drawn = 0;
    for (int64_t i = n - 1; i > 0; i--, drawn++) {
        if (drawn % 2 == 0) masconI_philox(random, (uint64_t)(drawn / 2), words);
        uint64_t low = words[drawn % 2 * 2], high = words[drawn % 2 * 2 + 1];
        int64_t j = below(high << 32 | low, i + 1);
        int64_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* ---- Rows that are left out ---- */

static void skips_clear(skips *s) {
    for (int64_t i = 0; i < s->n; i++) free(s->item[i].why);
    free(s->item);
    *s = (skips){0};
}

/* Takes over why. */
static mascon_status skips_add(skips *s, int64_t row, char *why) {
    if (s->n == s->room) {
        int64_t room = 2 * s->room + 8;
        struct skip *item = realloc(s->item, (size_t)room * sizeof *item);
        if (item) {
            s->item = item;
            s->room = room;
        }
    }
    if (!why || s->n == s->room) {
        free(why);
        return masconI_fail(MASCON_E_OOM, "no memory for the list of samples left out");
    }
    s->item[s->n++] = (struct skip){row, why};
    return MASCON_OK;
}

/* Moves what from holds to the end of to. */
static mascon_status skips_move(skips *to, skips *from) {
    mascon_status status = MASCON_OK;
    for (int64_t i = 0; i < from->n; i++) {
        if (status == MASCON_OK)
            status = skips_add(to, from->item[i].row, from->item[i].why);
        else
            free(from->item[i].why);
    }
    from->n = 0;
    skips_clear(from);
    return status;
}

/* ---- One batch ---- */

/* Who makes a batch, and for which rows. */
typedef struct work_place {
    masconI_scratch *scratch;
    skips *skipped;
    int64_t n;           /* rows of the batch, those left out not counted */
    const int64_t *rows; /* theirs */
    int64_t *kept;       /* owned: rows, where some may be left out */
} work_place;

static mascon_status run_plan(const mascon_loader *l, work_place *at, int64_t row,
                              const masconI_picture *p, char *dst, const int64_t stride[3]) {
    const masconI_draw draw = {.seed = l->seed, .epoch = l->epoch, .row = row};
    return masconI_plan_run(&l->plan, at->scratch, &draw, p, dst, stride);
}

static mascon_status new_tensor(const mascon_loader *l, const mascon_meta *meta, int32_t layout,
                                mascon_tensor **out) {
    return l->pin ? masconI_tensor_pinned(out, meta, layout)
                  : masconI_tensor_dense(out, meta, MASCON_DEVICE_CPU, layout);
}

/* Field f of the rows as one tensor {n, ...}. */
static mascon_status gather(const mascon_loader *l, int32_t f, work_place *at,
                            mascon_tensor **out) {
    const masconI_field *first = &l->source->blocks[0]->field[f];
    int picture = f == 0 && l->picture;
    int64_t shape[MASCON_MAX_DIMS] = {at->n};
    memcpy(shape + 1, picture ? l->plan.out_shape : first->shape,
           (size_t)first->ndim * sizeof(int64_t));
    mascon_meta meta;
    masconI_meta(&meta, picture ? l->plan.out_dtype : first->dtype, first->ndim + 1, shape);
    MASCON_TRY(new_tensor(l, &meta, picture ? MASCON_LAYOUT_NHWC : MASCON_LAYOUT_STRIDED, out));
    const mascon_view *y = mascon_see(*out);
    if (y->numel == 0) return MASCON_OK;
    size_t in = (size_t)mascon_dtype_size(first->dtype), to = (size_t)mascon_dtype_size(y->dtype);
    for (int64_t i = 0; i < at->n; i++) {
        int64_t row;
        const masconI_rows *b = masconI_source_locate(l->source, at->rows[i], &row);
        const masconI_field *field = &b->field[f];
        const char *src = field->data + row * field->row_stride * (int64_t)in;
        char *dst = (char *)y->data + i * y->stride[0] * (int64_t)to;
        if (picture) {
            masconI_picture p = masconI_picture_of((char *)(uintptr_t)src, field->dtype,
                                                   field->shape, field->stride);
            MASCON_TRY(run_plan(l, at, at->rows[i], &p, dst, y->stride + 1));
        } else {
            masconI_copy_strided(dst, y->stride + 1, src, field->stride, field->shape, field->ndim,
                                 in);
        }
        if (f == 1 && b->labelled) *(int64_t *)(void *)dst += b->label_base;
    }
    return MASCON_OK;
}

static void drop_fields(mascon_tensor **fields) {
    for (int f = 0; f < MASCON_MAX_FIELDS; f++) {
        mascon_tensor_release(fields[f]);
        fields[f] = NULL;
    }
}

/* A batch {n, ...} of pictures with this shape. */
static mascon_status new_batch(const mascon_loader *l, int64_t n, const int64_t shape[3],
                               mascon_tensor **out) {
    const int64_t all[4] = {n, shape[0], shape[1], shape[2]};
    mascon_meta meta;
    masconI_meta(&meta, l->plan.out_dtype, 4, all);
    return new_tensor(l, &meta, MASCON_LAYOUT_NHWC, out);
}

/* Decodes one row and puts it behind those that are there; the first one decides the shape. *differs
 * becomes 1 where it has another shape (D52). */
static mascon_status place_file(const mascon_loader *l, work_place *at, int64_t row, int64_t room,
                                mascon_tensor **out, int *differs) {
    int64_t r, shape[3];
    const masconI_rows *b = masconI_source_locate(l->source, row, &r);
    masconI_picture p;
    *differs = 0;
    MASCON_TRY(masconI_files_read(b->files, r, at->scratch, &p));
    MASCON_TRY(masconI_plan_shape(&l->plan, p.shape[1], p.shape[2], shape));
    if (at->n == 0 && !*out) MASCON_TRY(new_batch(l, room, shape, out));
    const mascon_view *y = mascon_see(*out);
    if (memcmp(shape, y->shape + 1, sizeof shape) != 0) {
        char found[160], first[160];
        *differs = 1;
        masconI_fail(MASCON_E_SHAPE, "sample %lld is %s, sample %lld was %s; cannot stack",
                     (long long)row + 1, masconI_shape_text(3, shape, found),
                     (long long)at->kept[0] + 1, masconI_shape_text(3, y->shape + 1, first));
        return masconI_hint("resize in the transform");
    }
    at->kept[at->n] = row;
    char *dst = (char *)y->data + at->n * y->stride[0] * (int64_t)mascon_dtype_size(y->dtype);
    MASCON_TRY(run_plan(l, at, row, &p, dst, y->stride + 1));
    at->n++;
    return MASCON_OK;
}

/* The pictures of rows[0..n-1] that can be read; at->rows and at->n become theirs. */
static mascon_status gather_files(const mascon_loader *l, work_place *at, mascon_tensor **out) {
    const int64_t *rows = at->rows, n = at->n;
    at->kept = malloc((size_t)n * sizeof *at->kept);
    if (!at->kept) return masconI_fail(MASCON_E_OOM, "no memory for a batch");
    at->rows = at->kept;
    at->n = 0;
    for (int64_t i = 0; i < n; i++) {
        int differs;
        mascon_status status = place_file(l, at, rows[i], n, out, &differs);
        if (status == MASCON_OK) continue;
        if (differs) return status;
        const char *name = mascon_source_file(l->source, rows[i]);
        if (status == MASCON_E_OOM || !l->skip) {
            masconI_blame(rows[i] + 1, name);
            if (status == MASCON_E_FORMAT) masconI_hint("on_error = \"skip\" leaves it out");
            return status;
        }
        masconI_blame(0, name);
        MASCON_TRY(skips_add(at->skipped, rows[i], strdup(masconI_error()->message)));
    }
    if (at->n == n) return MASCON_OK;
    mascon_tensor *whole = *out;
    *out = NULL;
    if (at->n == 0) {
        mascon_tensor_release(whole);
        return MASCON_OK;
    }
    const mascon_view *from = mascon_see(whole);
    mascon_status status = new_batch(l, at->n, from->shape + 1, out);
    if (status == MASCON_OK) {
        const mascon_view *to = mascon_see(*out);
        memcpy(to->data, from->data, (size_t)(to->numel * mascon_dtype_size(to->dtype)));
    }
    mascon_tensor_release(whole);
    return status;
}

/* Batch b into fields, which come empty and stay so on failure. Any thread. */
static mascon_status make_batch(const mascon_loader *l, int64_t b, masconI_scratch *scratch,
                                mascon_tensor **fields, skips *skipped) {
    int64_t first = b * l->batch_size;
    int64_t n = l->rows - first < l->batch_size ? l->rows - first : l->batch_size;
    work_place at = {.scratch = scratch, .skipped = skipped, .n = n, .rows = l->order + first};
    mascon_status status = MASCON_OK;
    for (int32_t f = 0; f < mascon_source_fields(l->source) && status == MASCON_OK; f++) {
        if (f == 0 && l->files)
            status = gather_files(l, &at, &fields[f]);
        else if (at.n > 0)
            status = gather(l, f, &at, &fields[f]);
    }
    free(at.kept);
    if (status == MASCON_OK) return MASCON_OK;
    drop_fields(fields);
    skips_clear(skipped);
    return status;
}

/* ---- Workers ---- */

static void *work(void *context) {
    mascon_loader *l = context;
    masconI_scratch scratch = {0};
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->ending && (l->claimed >= l->batches || l->claimed >= l->taken + l->capacity))
            pthread_cond_wait(&l->room, &l->lock);
        if (l->ending) break;
        int64_t b = l->claimed++;
        pthread_mutex_unlock(&l->lock);
        slot *s = &l->slots[b % l->capacity];
        s->status = make_batch(l, b, &scratch, s->fields, &s->skipped);
        if (s->status != MASCON_OK) s->error = *mascon_last_error();
        pthread_mutex_lock(&l->lock);
        s->ready = 1;
        pthread_cond_broadcast(&l->filled);
    }
    pthread_mutex_unlock(&l->lock);
    masconI_scratch_free(&scratch);
    return NULL;
}

static mascon_status start_workers(mascon_loader *l) {
    sigset_t all, before;
    sigfillset(&all);
    l->pid = getpid();
    l->ending = 0;
    /* signals belong to the threads of the host */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = 0;
    while (l->running < l->workers && code == 0) {
        code = pthread_create(&l->threads[l->running], NULL, work, l);
        if (code == 0) l->running++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0 || l->running > 0) return MASCON_OK; /* fewer workers, the same batches */
    return masconI_fail(MASCON_E_IO, "the system refuses a thread for a loader worker (%s)",
                        strerror(code));
}

void mascon_loader_stop(mascon_loader *l) {
    if (!l) return;
    if (l->running > 0 && l->pid == getpid()) {
        pthread_mutex_lock(&l->lock);
        l->ending = 1;
        pthread_cond_broadcast(&l->room);
        pthread_mutex_unlock(&l->lock);
        for (int32_t i = 0; i < l->running; i++) pthread_join(l->threads[i], NULL);
    }
    l->running = 0;
    for (int64_t i = 0; i < l->capacity; i++) {
        l->slots[i].ready = l->slots[i].told = 0;
        drop_fields(l->slots[i].fields);
        skips_clear(&l->slots[i].skipped);
    }
    l->batches = 0;
    l->taken = l->claimed = 0;
}

/* ---- Making and ending ---- */

mascon_status mascon_loader_new(mascon_loader **out, mascon_source *source,
                                mascon_pipeline *pipeline, int64_t batch_size, int32_t drop_last,
                                int32_t workers, int32_t prefetch) {
    MASCON_NEED(out);
    MASCON_NEED(source);
    *out = NULL;
    if (batch_size < 1 || workers < 0 || workers > MAX_WORKERS || prefetch < 1 || prefetch > 1024)
        return masconI_fail(MASCON_E_ARG,
                            "batch_size %lld, %d workers, prefetch %d; must be 1 or more, 0 to %d, "
                            "1 to 1024",
                            (long long)batch_size, workers, prefetch, MAX_WORKERS);
    const masconI_field *first = &source->blocks[0]->field[0];
    masconI_plan plan;
    MASCON_TRY(masconI_plan_make(&plan, pipeline, first->dtype, first->ndim, first->shape));
    mascon_loader *l = calloc(1, sizeof *l);
    int64_t capacity = (int64_t)workers * prefetch;
    slot *slots = calloc((size_t)(capacity > 0 ? capacity : 1), sizeof *slots);
    pthread_t *threads = calloc((size_t)(workers > 0 ? workers : 1), sizeof *threads);
    if (!l || !slots || !threads) {
        free(l);
        free(slots);
        free(threads);
        masconI_plan_free(&plan);
        return masconI_fail(MASCON_E_OOM, "no memory for a loader");
    }
    masconI_source_retain(source);
    if (pipeline) masconI_pipeline_retain(pipeline);
    l->source = source;
    l->pipeline = pipeline;
    l->plan = plan;
    l->picture = first->ndim == 3;
    l->files = source->blocks[0]->files != NULL;
    l->batch_size = batch_size;
    l->drop_last = drop_last;
    l->workers = workers;
    l->slots = slots;
    l->capacity = capacity;
    l->threads = threads;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, &monotonic);
    pthread_cond_init(&l->room, NULL);
    pthread_condattr_destroy(&monotonic);
    *out = l;
    return MASCON_OK;
}

void mascon_loader_release(mascon_loader *l) {
    if (!l) return;
    int ours = l->running == 0 || l->pid == getpid();
    mascon_loader_stop(l);
    if (ours) { /* in a forked child the lock may be held by a thread that is not there */
        pthread_cond_destroy(&l->room);
        pthread_cond_destroy(&l->filled);
        pthread_mutex_destroy(&l->lock);
    }
    masconI_plan_free(&l->plan);
    masconI_scratch_free(&l->scratch);
    skips_clear(&l->skipped);
    mascon_source_release(l->source);
    mascon_pipeline_release(l->pipeline);
    free(l->order);
    free(l->slots);
    free(l->threads);
    free(l);
}

void mascon_loader_seed(mascon_loader *loader, uint64_t seed, uint64_t epoch) {
    if (!loader) return;
    mascon_loader_stop(loader); /* its workers read these */
    loader->seed = seed;
    loader->epoch = epoch;
}

void mascon_loader_skip(mascon_loader *loader, int32_t skip) {
    if (!loader) return;
    mascon_loader_stop(loader);
    loader->skip = skip;
}

mascon_status mascon_loader_begin(mascon_loader *l, const int64_t *order, int64_t n,
                                  int64_t first) {
    MASCON_NEED(l);
    if (n > 0) MASCON_NEED(order);
    mascon_loader_stop(l);
    skips_clear(&l->skipped);
    l->waited = 0;
    for (int64_t i = 0; i < n; i++) {
        if (order[i] < 0 || order[i] >= l->source->rows)
            return masconI_fail(MASCON_E_INDEX, "sample %lld is out of range (1..%lld)",
                                (long long)order[i] + 1, (long long)l->source->rows);
    }
    int64_t *copy = malloc((n > 0 ? (size_t)n : 1) * sizeof *copy);
    if (!copy)
        return masconI_fail(MASCON_E_OOM, "no memory for the order of %lld samples", (long long)n);
    if (n > 0) memcpy(copy, order, (size_t)n * sizeof *copy);
    free(l->order);
    l->order = copy;
    l->rows = n;
    l->batches = n / l->batch_size + (!l->drop_last && n % l->batch_size != 0);
    l->taken = l->claimed = first < l->batches ? first : l->batches;
    return l->workers > 0 && l->taken < l->batches ? start_workers(l) : MASCON_OK;
}

/* ---- Reading ---- */

static mascon_status interrupted(void) { return masconI_fail(MASCON_E_INTERRUPTED, "interrupted"); }

static struct timespec in_a_glance(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += glance;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

/* Waits until the slot of the next batch is ready; holds the lock. */
static mascon_status await(mascon_loader *l, const slot *s, double timeout) {
    int64_t start = mascon_now();
    while (!s->ready) {
        if (masconI_interrupt_pending()) return interrupted();
        if (timeout > 0 && (double)(mascon_now() - start) * 1e-9 > timeout)
            return masconI_fail(MASCON_E_STATE, "no batch within the timeout of %g seconds",
                                timeout);
        struct timespec until = in_a_glance();
        pthread_cond_timedwait(&l->filled, &l->lock, &until);
    }
    return MASCON_OK;
}

/* The next batch from the queue. The error of its worker becomes ours; after that the batch stays
 * the next one, and a repeated call (once memory was freed) makes it in this thread. */
static mascon_status take(mascon_loader *l, double timeout, mascon_tensor **out) {
    slot *s = &l->slots[l->taken % l->capacity];
    pthread_mutex_lock(&l->lock);
    mascon_status status = await(l, s, timeout);
    pthread_mutex_unlock(&l->lock);
    MASCON_TRY(status);
    /* a ready slot is the reader's until taken moves on */
    if (s->status != MASCON_OK && s->told) {
        MASCON_TRY(make_batch(l, l->taken, &l->scratch, s->fields, &s->skipped));
        s->status = MASCON_OK;
    } else if (s->status != MASCON_OK) {
        s->told = 1;
        *masconI_error() = s->error;
        return s->status;
    }
    MASCON_TRY(skips_move(&l->skipped, &s->skipped));
    memcpy(out, s->fields, sizeof s->fields);
    memset(s->fields, 0, sizeof s->fields);
    pthread_mutex_lock(&l->lock);
    s->ready = s->told = 0;
    l->taken++;
    pthread_cond_signal(&l->room);
    pthread_mutex_unlock(&l->lock);
    return MASCON_OK;
}

/* The next batch, which is empty where all of its rows were left out. */
static mascon_status next_batch(mascon_loader *l, double timeout, mascon_tensor **out) {
    if (masconI_interrupt_pending()) return interrupted();
    if (l->running > 0 && l->pid != getpid())
        return masconI_fail(MASCON_E_STATE,
                            "the process was forked after the epoch began (pid %d -> %d); begin it "
                            "in the child",
                            (int)l->pid, (int)getpid());
    if (l->running > 0) return take(l, timeout, out);
    skips skipped = {0};
    MASCON_TRY(make_batch(l, l->taken, &l->scratch, out, &skipped));
    l->taken++;
    mascon_status status = skips_move(&l->skipped, &skipped);
    if (status != MASCON_OK) drop_fields(out);
    return status;
}

mascon_status mascon_loader_next(mascon_loader *l, double timeout, mascon_tensor **out,
                                 int32_t *n) {
    MASCON_NEED(l);
    MASCON_NEED(out);
    MASCON_NEED(n);
    *n = 0;
    memset(out, 0, MASCON_MAX_FIELDS * sizeof *out);
    int64_t start = mascon_now();
    mascon_status status = MASCON_OK;
    while (status == MASCON_OK && !out[0] && l->taken < l->batches)
        status = next_batch(l, timeout, out);
    l->waited += (double)(mascon_now() - start) * 1e-9;
    if (status != MASCON_OK) return status;
    if (out[0])
        *n = mascon_source_fields(l->source);
    else
        mascon_loader_stop(l);
    return MASCON_OK;
}

void mascon_loader_pin(mascon_loader *loader, int32_t pin) {
    if (!loader) return;
    loader->pin = pin && mascon_device_count(MASCON_DEVICE_CUDA, NULL) > 0;
}

double mascon_loader_waited(const mascon_loader *loader) {
    if (!loader) return 0;
    return loader->waited;
}

int64_t mascon_loader_position(const mascon_loader *loader) {
    if (!loader) return 0;
    return loader->taken;
}

const char *mascon_loader_skipped(const mascon_loader *loader, int64_t i, int64_t *row) {
    if (!loader) return NULL;
    if (i < 0 || i >= loader->skipped.n) return NULL;
    *row = loader->skipped.item[i].row;
    return loader->skipped.item[i].why;
}

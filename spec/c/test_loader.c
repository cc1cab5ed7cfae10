/* test_loader.c: the loader's threads: the same batches for any number of them, ends at any moment,
 * and a forked child. Made to be run under the thread sanitizer, too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/data.h"

static int failures;

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
            failures++;                                                     \
        }                                                                   \
    } while (0)

enum { ROWS = 103, BATCH = 8, BATCHES = 13 };

static int64_t order[ROWS];

/* A number that changes with any byte of any batch, and the count of batches. */
static uint64_t digest(mascon_loader *l, int *batches) {
    uint64_t h = 1469598103934665603u;
    for (*batches = 0;; ++*batches) {
        mascon_tensor *fields[8];
        int32_t n;
        CHECK(mascon_loader_next(l, 0, fields, &n) == MASCON_OK);
        if (n == 0) return h;
        for (int32_t f = 0; f < n; f++) {
            const mascon_view *v = mascon_see(fields[f]);
            const uint8_t *bytes = v->data;
            int64_t size = v->numel * mascon_dtype_size(v->dtype);
            for (int64_t i = 0; i < size; i++) h = (h ^ bytes[i]) * 1099511628211u;
            mascon_tensor_release(fields[f]);
        }
    }
}

static void test_workers(mascon_source *source, mascon_pipeline *pipeline) {
    uint64_t expected = 0;
    for (int32_t workers = 0; workers <= 4; workers++) {
        mascon_loader *l;
        CHECK(mascon_loader_new(&l, source, pipeline, BATCH, 0, workers, 1) == MASCON_OK);
        for (int pass = 0; pass < 2; pass++) {
            int batches;
            CHECK(mascon_loader_begin(l, order, ROWS, 0) == MASCON_OK);
            uint64_t h = digest(l, &batches);
            CHECK(batches == BATCHES);
            if (workers == 0 && pass == 0) expected = h;
            CHECK(h == expected);
        }
        mascon_loader_release(l);
    }
}

/* Ends after `taken` batches in each of the three ways. */
static void test_early_end(mascon_source *source, mascon_pipeline *pipeline) {
    for (int taken = 0; taken < 6; taken++) {
        mascon_loader *l;
        CHECK(mascon_loader_new(&l, source, pipeline, BATCH, 0, 3, 2) == MASCON_OK);
        for (int way = 0; way < 3; way++) {
            CHECK(mascon_loader_begin(l, order, ROWS, 0) == MASCON_OK);
            for (int i = 0; i < taken; i++) {
                mascon_tensor *fields[8];
                int32_t n;
                CHECK(mascon_loader_next(l, 0, fields, &n) == MASCON_OK && n == 2);
                for (int32_t f = 0; f < n; f++) mascon_tensor_release(fields[f]);
            }
            if (way == 0) mascon_loader_stop(l);
        }
        mascon_loader_release(l);
    }
}

static void test_position(mascon_source *source) {
    mascon_loader *l;
    int batches;
    CHECK(mascon_loader_new(&l, source, NULL, BATCH, 1, 2, 2) == MASCON_OK);
    CHECK(mascon_loader_begin(l, order, ROWS, 9) == MASCON_OK);
    digest(l, &batches);
    CHECK(batches == 3); /* 12 whole ones, 9 of them skipped */
    CHECK(mascon_loader_begin(l, order, ROWS, 99) == MASCON_OK);
    digest(l, &batches);
    CHECK(batches == 0);
    mascon_loader_release(l);
}

static void test_fork(mascon_source *source) {
    mascon_loader *l;
    CHECK(mascon_loader_new(&l, source, NULL, BATCH, 0, 2, 2) == MASCON_OK);
    CHECK(mascon_loader_begin(l, order, ROWS, 0) == MASCON_OK);
    pid_t child = fork();
    if (child == 0) {
        mascon_tensor *fields[8];
        int32_t n;
        int right = mascon_loader_next(l, 0, fields, &n) == MASCON_E_STATE;
        mascon_loader_release(l); /* must not wait for threads that are not there */
        _exit(right ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mascon_loader_release(l);
}

static void test_shuffle(void) {
    int64_t a[ROWS], b[ROWS], seen[ROWS] = {0};
    mascon_shuffle(7, 1, ROWS, a);
    mascon_shuffle(7, 1, ROWS, b);
    CHECK(memcmp(a, b, sizeof a) == 0);
    mascon_shuffle(7, 2, ROWS, b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    for (int i = 0; i < ROWS; i++) seen[a[i]]++;
    for (int i = 0; i < ROWS; i++) CHECK(seen[i] == 1);
    /* every place is as likely for every row: 6,000 orders of 4, 1,500 expected for each pair */
    int counts[4][4] = {{0}};
    for (uint64_t epoch = 0; epoch < 6000; epoch++) {
        mascon_shuffle(3, epoch, 4, a);
        for (int i = 0; i < 4; i++) counts[i][a[i]]++;
    }
    for (int i = 0; i < 16; i++) CHECK(abs(counts[i / 4][i % 4] - 1500) < 150);
}

int main(void) {
    mascon_source *source;
    mascon_pipeline *pipeline;
    CHECK(mascon_source_fake(&source, ROWS, 10, 9, 11, 0) == MASCON_OK);
    mascon_source_set_label_base(source, 1);
    CHECK(mascon_pipeline_new(&pipeline) == MASCON_OK);
    CHECK(mascon_pipeline_add(pipeline, "to_tensor", NULL, 0) == MASCON_OK);
    mascon_shuffle(1, 1, ROWS, order);
    test_workers(source, pipeline);
    test_early_end(source, pipeline);
    test_position(source);
    test_fork(source);
    test_shuffle();
    mascon_pipeline_release(pipeline);
    mascon_source_release(source);
    if (failures == 0) puts("ok");
    return failures != 0;
}

/* test_allocator.c: the cache, its counters, refusals, the test switches; storages and anchors. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/internal.h"
#include "expect.h"

static int64_t figure(int which) {
    int64_t out[MASCON_MEMORY_COUNT];
    return mascon_memory(MASCON_DEVICE_CPU, out) == MASCON_OK ? out[which] : -1;
}

static int check_cache(void) {
    int64_t live = figure(MASCON_MEMORY_LIVE);
    void *a, *b;
    EXPECT(masconI_alloc(0, 1000, &a) == MASCON_OK && (uintptr_t)a % 64 == 0);
    EXPECT(figure(MASCON_MEMORY_LIVE) == live + 1000);
    int64_t raw = figure(MASCON_MEMORY_RAW_ALLOCATIONS);
    masconI_free(0, a, 1000);
    EXPECT(masconI_alloc(0, 990, &b) == MASCON_OK && b == a); /* the same class */
    EXPECT(figure(MASCON_MEMORY_RAW_ALLOCATIONS) == raw);
    masconI_free(0, b, 990);
    EXPECT(masconI_alloc(0, 0, &a) == MASCON_OK && a != NULL); /* empty tensors have an address */
    masconI_free(0, a, 0);
    EXPECT(figure(MASCON_MEMORY_LIVE) == live && figure(MASCON_MEMORY_CACHED) > 0);
    mascon_empty_cache(0);
    EXPECT(figure(MASCON_MEMORY_CACHED) == 0);

    /* at most an eighth is lost, and every byte may be written */
    mascon_testing_poison(1);
    for (size_t bytes = 1; bytes < (size_t)3 << 20; bytes += bytes / 7 + 1) {
        EXPECT(masconI_alloc(0, bytes, &a) == MASCON_OK);
        memset(a, 1, bytes);
        masconI_free(0, a, bytes);
        EXPECT(((unsigned char *)a)[bytes - 1] == 0xff); /* still ours: it lies in the cache */
        int64_t cached = figure(MASCON_MEMORY_CACHED);
        EXPECT(cached >= (int64_t)bytes && cached <= (int64_t)(bytes + bytes / 8 + 64));
        mascon_empty_cache(0);
    }
    mascon_testing_poison(0);
    return 0;
}

static int check_peak(void) {
    void *a;
    mascon_reset_peak_memory(0);
    int64_t live = figure(MASCON_MEMORY_LIVE);
    EXPECT(figure(MASCON_MEMORY_PEAK) == live);
    EXPECT(masconI_alloc(0, 5000000, &a) == MASCON_OK);
    masconI_free(0, a, 5000000);
    EXPECT(figure(MASCON_MEMORY_PEAK) == live + 5000000);
    return 0;
}

/* A program that goes through many sizes does not pile up blocks. */
static int check_hoarding(void) {
    void *a;
    for (size_t mb = 1; mb < 200; mb++) {
        EXPECT(masconI_alloc(0, mb << 20, &a) == MASCON_OK);
        masconI_free(0, a, mb << 20);
    }
    /* a quarter more than the largest and the slack, where no bound would leave gigabytes */
    EXPECT(figure(MASCON_MEMORY_CACHED) < (int64_t)320 << 20);
    /* and after a while with less memory the rest goes back */
    for (int i = 0; i < 70000; i++) {
        EXPECT(masconI_alloc(0, 4096, &a) == MASCON_OK);
        masconI_free(0, a, 4096);
    }
    EXPECT(figure(MASCON_MEMORY_CACHED) < (int64_t)40 << 20);
    mascon_empty_cache(0);
    return 0;
}

/* A program that goes through the same sizes again and again gets no fresh memory for ever, though all
 * of them together are more than the cache holds at first. */
static int check_rounds(void) {
    void *a;
    int64_t raw = 0;
    mascon_empty_cache(0);
    for (int round = 0; round < 12; round++) {
        if (round == 8) raw = figure(MASCON_MEMORY_RAW_ALLOCATIONS);
        for (size_t mb = 16; mb <= 22; mb += 2) {
            EXPECT(masconI_alloc(0, mb << 20, &a) == MASCON_OK);
            masconI_free(0, a, mb << 20);
        }
    }
    EXPECT(figure(MASCON_MEMORY_RAW_ALLOCATIONS) == raw);
    mascon_empty_cache(0);
    return 0;
}

static int check_refusals(void) {
    void *a = &a;
    int64_t live = figure(MASCON_MEMORY_LIVE), total = figure(MASCON_MEMORY_TOTAL);
    EXPECT(total > 0 && figure(MASCON_MEMORY_FREE) > 0);
    EXPECT(masconI_alloc(0, (size_t)total * 2, &a) == MASCON_E_OOM && a == NULL);
    EXPECT(strstr(mascon_last_error()->message, "GB needed, ") != NULL);
    EXPECT(strstr(mascon_last_error()->message, " free on cpu") != NULL);
    EXPECT(masconI_alloc(0, (size_t)1 << 60, &a) == MASCON_E_OOM);
    EXPECT(masconI_alloc(0, SIZE_MAX, &a) == MASCON_E_OOM);
    EXPECT(masconI_alloc(12345, 64, &a) == MASCON_E_DEVICE);
    mascon_testing_fail_allocation(2);
    EXPECT(masconI_alloc(0, 64, &a) == MASCON_OK);
    masconI_free(0, a, 64);
    EXPECT(masconI_alloc(0, 64, &a) == MASCON_E_OOM && a == NULL);
    EXPECT(masconI_alloc(0, 64, &a) == MASCON_OK);
    masconI_free(0, a, 64);
    mascon_testing_fail_allocation(1);
    mascon_testing_fail_allocation(0);
    EXPECT(masconI_alloc(0, 64, &a) == MASCON_OK);
    masconI_free(0, a, 64);
    EXPECT(figure(MASCON_MEMORY_LIVE) == live);
    return 0;
}

static int check_storages(void) {
    masconI_storage *s, *f;
    int value = 5;
    char report[512], small[8];
    EXPECT(masconI_storage_new(&s, 3000000, 0) == MASCON_OK && s->data != NULL &&
           s->bytes == 3000000);
    EXPECT(masconI_storage_foreign(&f, &value, sizeof value, 77) == MASCON_OK);
    EXPECT(f->data == &value && f->foreign && f->id != s->id);
    mascon_memory_report(0, report, sizeof report);
    const char *large = strstr(report, "3.0 MB"), *host = strstr(report, "of the host");
    EXPECT(large != NULL && host != NULL && large < host);
    mascon_memory_report(0, small, sizeof small);
    EXPECT(strlen(small) == sizeof small - 1);
    masconI_storage_retain(f);
    masconI_storage_release(f);
    EXPECT(mascon_anchor_next() == 0);
    masconI_storage_release(f);
    EXPECT(masconI_anchor_push(78) == MASCON_OK);
    EXPECT(mascon_anchor_next() == 77 && mascon_anchor_next() == 78 && mascon_anchor_next() == 0);
    EXPECT(value == 5);
    masconI_storage_release(s);
    mascon_memory_report(0, report, sizeof report);
    EXPECT(report[0] == 0);
    return 0;
}

static void *churn(void *argument) {
    enum { HELD = 16 };
    masconI_storage *held[HELD] = {0};
    unsigned state = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < 20000; i++) {
        state = state * 1664525u + 1013904223u;
        masconI_storage **place = &held[state >> 28];
        masconI_storage_release(*place);
        size_t bytes = 1 + (state >> 8) % 20000;
        if (masconI_storage_new(place, bytes, 0) != MASCON_OK) return argument;
        ((char *)(*place)->data)[bytes - 1] = 1;
        if (i % 5000 == 0) mascon_empty_cache(0);
    }
    for (int i = 0; i < HELD; i++) masconI_storage_release(held[i]);
    return NULL;
}

static int check_threads(void) {
    int64_t live = figure(MASCON_MEMORY_LIVE);
    pthread_t thread[3];
    for (int i = 0; i < 3; i++) {
        EXPECT(pthread_create(&thread[i], NULL, churn, (void *)(intptr_t)(i + 1)) == 0);
    }
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        EXPECT(failed == NULL);
    }
    EXPECT(figure(MASCON_MEMORY_LIVE) == live);
    return 0;
}

int main(void) {
    return check_cache() || check_peak() || check_hoarding() || check_rounds() ||
           check_refusals() || check_storages() || check_threads();
}

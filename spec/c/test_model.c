/* test_model.c: saved models from C alone: recording, saving, loading, running in several threads, and
 * what an allocation failure at any point leaves behind. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mascon_model.h"
#include "mascon_ops.h"

static int failures;
static char path[256];

#define EXPECT(condition)                                                           \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: %s (%s: %s)\n", __FILE__, __LINE__, #condition, \
                    mascon_last_error()->op, mascon_last_error()->message);         \
            failures++;                                                             \
        }                                                                           \
    } while (0)

enum { FEATURES = 6, CLASSES = 3 };

static mascon_tensor *make(int64_t rows, int64_t columns, double scale) {
    mascon_tensor *t = NULL;
    double values[512];
    if (mascon_tensor_new(&t, MASCON_DTYPE_F32, 2, (int64_t[]){rows, columns}, 0) != MASCON_OK) {
        return NULL;
    }
    for (int64_t i = 0; i < rows * columns; i++) values[i] = scale * (double)(i % 7 - 3);
    mascon_tensor_write(t, values);
    return t;
}

/* relu(x w) + x's sums, in two outputs */
static mascon_status network(mascon_tensor *x, mascon_tensor *w, mascon_tensor **scores,
                             mascon_tensor **sums) {
    mascon_tensor *product = NULL;
    mascon_sum_options along = mascon_sum_defaults();
    along.n_dim = 1;
    along.dim[0] = 1;
    mascon_status status = mascon_matmul(&product, x, w);
    if (status == MASCON_OK) status = mascon_relu(scores, product);
    if (status == MASCON_OK) status = mascon_sum(sums, x, &along);
    mascon_tensor_release(product);
    return status;
}

static mascon_status record(mascon_recorder **r, int64_t rows, mascon_tensor *w) {
    mascon_tensor *x = make(rows, FEATURES, 0.5), *scores = NULL, *sums = NULL;
    mascon_status status = x ? mascon_recorder_begin(r) : MASCON_E_OOM;
    if (status == MASCON_OK) status = mascon_recorder_input(*r, "x", x);
    if (status == MASCON_OK) status = mascon_recorder_constant(*r, "w", w);
    mascon_recorder_path(*r, "net");
    if (status == MASCON_OK) status = network(x, w, &scores, &sums);
    if (status == MASCON_OK) status = mascon_recorder_output(*r, "scores", scores);
    if (status == MASCON_OK) status = mascon_recorder_output(*r, "sums", sums);
    mascon_recorder_stop(*r);
    mascon_tensor_release(x);
    mascon_tensor_release(scores);
    mascon_tensor_release(sums);
    return status;
}

static mascon_status save(mascon_tensor *w) {
    mascon_recorder *one = NULL, *two = NULL;
    mascon_status status = record(&one, 2, w);
    if (status == MASCON_OK) status = record(&two, 3, w);
    if (status == MASCON_OK) status = mascon_recorder_save(one, two, path);
    mascon_recorder_release(one);
    mascon_recorder_release(two);
    return status;
}

/* Runs the model on `rows` rows and compares with the network itself. */
static int agrees(const mascon_model *m, mascon_tensor *w, int64_t rows) {
    mascon_tensor *x = make(rows, FEATURES, 0.25), *got[2] = {NULL, NULL}, *want[2] = {NULL, NULL};
    double a[512], b[512];
    int good = mascon_model_run(m, &x, 1, got, 2) == MASCON_OK &&
               network(x, w, &want[0], &want[1]) == MASCON_OK;
    for (int i = 0; i < 2 && good; i++) {
        good = mascon_tensor_numel(got[i]) == mascon_tensor_numel(want[i]) &&
               mascon_tensor_read(got[i], a) == MASCON_OK &&
               mascon_tensor_read(want[i], b) == MASCON_OK &&
               memcmp(a, b, (size_t)mascon_tensor_numel(got[i]) * sizeof *a) == 0;
    }
    for (int i = 0; i < 2; i++) {
        mascon_tensor_release(got[i]);
        mascon_tensor_release(want[i]);
    }
    mascon_tensor_release(x);
    return good;
}

/* ---- Threads ---- */

typedef struct job {
    const mascon_model *m;
    mascon_tensor *w;
    int64_t rows;
    int bad;
} job;

static void *work(void *argument) {
    job *j = argument;
    for (int i = 0; i < 200; i++) j->bad += !agrees(j->m, j->w, j->rows);
    return NULL;
}

static void test_threads(const mascon_model *m, mascon_tensor *w) {
    pthread_t thread[4];
    job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (job){m, w, i + 1, 0};
        EXPECT(pthread_create(&thread[i], NULL, work, &jobs[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        EXPECT(jobs[i].bad == 0);
    }
}

/* ---- Ports ---- */

static void test_ports(mascon_model *m) {
    const int64_t *shape;
    EXPECT(mascon_model_count(m, MASCON_MODEL_INPUT) == 1);
    EXPECT(mascon_model_count(m, MASCON_MODEL_OUTPUT) == 2 && mascon_model_count(m, 7) == 0);
    EXPECT(strcmp(mascon_model_name(m, MASCON_MODEL_OUTPUT, 1), "sums") == 0);
    EXPECT(mascon_model_name(m, MASCON_MODEL_OUTPUT, 2) == NULL);
    EXPECT(mascon_model_find(m, MASCON_MODEL_INPUT, "x") == 0);
    EXPECT(mascon_model_find(m, MASCON_MODEL_INPUT, "y") == -1);
    EXPECT(mascon_model_dtype(m, MASCON_MODEL_INPUT, 0) == MASCON_DTYPE_F32);
    EXPECT(mascon_model_shape(m, MASCON_MODEL_OUTPUT, 0, &shape) == 2);
    EXPECT(shape[0] == -1 && shape[1] == CLASSES);
    EXPECT(mascon_model_shape(m, MASCON_MODEL_OUTPUT, 9, &shape) == -1 && !shape);
    EXPECT(mascon_model_calls(m) == 3 && mascon_model_device(m) == MASCON_DEVICE_CPU);
    EXPECT(mascon_model_to(m, MASCON_DEVICE_CPU) == MASCON_OK);
    EXPECT(mascon_model_to(m, 77777) == MASCON_E_DEVICE);
}

static void test_wrong_inputs(const mascon_model *m) {
    mascon_tensor *x = make(2, FEATURES + 1, 1), *out[2] = {NULL, NULL}, *none = NULL;
    EXPECT(mascon_model_run(m, &x, 1, out, 2) == MASCON_E_SHAPE);
    EXPECT(strstr(mascon_last_error()->message, "the model takes {batch, 6}"));
    EXPECT(mascon_model_run(m, &x, 2, out, 2) == MASCON_E_ARG);
    EXPECT(mascon_model_run(m, &x, 1, out, 1) == MASCON_E_ARG);
    EXPECT(mascon_model_run(m, &none, 1, out, 2) == MASCON_E_ARG);
    EXPECT(mascon_model_run(m, NULL, 1, out, 2) == MASCON_E_ARG);
    EXPECT(mascon_model_run(m, &x, 1, NULL, 2) == MASCON_E_ARG);
    EXPECT(mascon_model_run(NULL, &x, 1, out, 2) == MASCON_E_ARG);
    EXPECT(out[0] == NULL && out[1] == NULL);
    mascon_tensor_release(x);
}

/* ---- Failures ---- */

static int64_t live(void) {
    int64_t numbers[MASCON_MEMORY_COUNT];
    mascon_memory(MASCON_DEVICE_CPU, numbers);
    return numbers[MASCON_MEMORY_TENSORS];
}

static void test_allocation_failures(mascon_tensor *w) {
    int64_t before = live();
    int n = 1, done = 0;
    for (; n < 60 && !done; n++) {
        mascon_model *m = NULL;
        mascon_testing_fail_allocation(n);
        mascon_status status = save(w);
        if (status == MASCON_OK) status = mascon_model_load(&m, path);
        int good = status == MASCON_OK && agrees(m, w, 2);
        mascon_testing_fail_allocation(0);
        EXPECT(status == MASCON_OK || status == MASCON_E_OOM);
        EXPECT(status == MASCON_OK || !m);
        mascon_model_release(m);
        EXPECT(live() == before);
        done = good;
    }
    EXPECT(done && n > 8);
}

static void test_recorder(mascon_tensor *w) {
    mascon_recorder *r = NULL, *second = NULL;
    mascon_tensor *x = make(2, FEATURES, 1), *y = NULL;
    double value[64];
    EXPECT(mascon_recorder_begin(NULL) == MASCON_E_ARG);
    EXPECT(mascon_recorder_begin(&r) == MASCON_OK);
    EXPECT(mascon_recorder_begin(&second) == MASCON_E_STATE && !second);
    EXPECT(mascon_recorder_input(r, "x", x) == MASCON_OK);
    EXPECT(mascon_recorder_input(r, "x", w) == MASCON_E_ARG);
    EXPECT(mascon_recorder_input(r, "again", x) == MASCON_E_ARG);
    EXPECT(mascon_recorder_input(r, "", w) == MASCON_E_ARG);
    EXPECT(mascon_recorder_input(NULL, "y", w) == MASCON_E_ARG);
    EXPECT(mascon_recorder_constant(r, "x", x) == MASCON_E_ARG);
    EXPECT(mascon_relu(&y, x) == MASCON_OK);
    EXPECT(mascon_tensor_read(y, value) == MASCON_E_STATE);
    EXPECT(mascon_relu_in_place(x) == MASCON_E_STATE);
    EXPECT(mascon_recorder_input(r, "late", w) == MASCON_E_STATE);
    EXPECT(mascon_recorder_save(r, NULL, path) == MASCON_E_STATE);
    mascon_recorder_stop(r);
    EXPECT(mascon_tensor_read(y, value) == MASCON_OK);
    EXPECT(mascon_recorder_output(r, "y", y) == MASCON_E_STATE);
    EXPECT(mascon_recorder_save(r, NULL, path) == MASCON_E_STATE);
    EXPECT(mascon_recorder_calls(r) == 1);
    mascon_recorder_release(r);
    mascon_recorder_release(NULL);
    mascon_tensor_release(x);
    mascon_tensor_release(y);
}

int main(void) {
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/mascon_model_XXXXXX", folder ? folder : P_tmpdir);
    close(mkstemp(path));
    mascon_set_call_flags(0);
    mascon_tensor *w = make(FEATURES, CLASSES, 0.125);
    mascon_model *m = NULL;
    test_recorder(w);
    EXPECT(save(w) == MASCON_OK);
    EXPECT(mascon_model_load(&m, path) == MASCON_OK);
    if (m) {
        for (int64_t rows = 1; rows < 20; rows += 6) EXPECT(agrees(m, w, rows));
        test_ports(m);
        test_wrong_inputs(m);
        test_threads(m, w);
    }
    mascon_model_retain(m);
    mascon_model_release(m);
    mascon_model_release(m);
    test_allocation_failures(w);
    EXPECT(mascon_model_load(&m, NULL) == MASCON_E_ARG &&
           mascon_model_load(NULL, path) == MASCON_E_ARG);
    mascon_tensor_release(w);
    EXPECT(live() == 0);
    remove(path);
    return failures != 0;
}

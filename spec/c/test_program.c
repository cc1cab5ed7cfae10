/* test_program.c: programs from C alone: a step with a gradient recorded and replayed with other inputs, what
 * does not fit, random numbers, and what an allocation failure at any point leaves behind. */
#include <stdio.h>
#include <string.h>

#include "mascon_ops.h"
#include "mascon_program.h"

static int failures;

#define EXPECT(condition)                                                           \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: %s (%s: %s)\n", __FILE__, __LINE__, #condition, \
                    mascon_last_error()->op, mascon_last_error()->message);         \
            failures++;                                                             \
        }                                                                           \
    } while (0)

enum { ROWS = 3, COLUMNS = 4 };

static mascon_tensor *make(int64_t rows, int64_t columns, double first) {
    mascon_tensor *t = NULL;
    double values[64];
    if (mascon_tensor_new(&t, MASCON_DTYPE_F32, 2, (int64_t[]){rows, columns}, 0) != MASCON_OK) {
        return NULL;
    }
    for (int64_t i = 0; i < rows * columns; i++) values[i] = first + (double)i;
    mascon_tensor_write(t, values);
    return t;
}

/* sum(relu(x w)), its gradient into w, and w -= 0.5 dw */
static mascon_status step(mascon_tensor *x, mascon_tensor *w, mascon_tensor **loss) {
    mascon_tensor *product = NULL, *positive = NULL, *dw = NULL;
    mascon_backward *pass = NULL;
    int32_t what;
    uint64_t id;
    *loss = NULL;
    mascon_status status = mascon_tensor_set_grad(w, NULL);
    if (status == MASCON_OK) status = mascon_matmul(&product, x, w);
    if (status == MASCON_OK) status = mascon_relu(&positive, product);
    if (status == MASCON_OK) status = mascon_sum(loss, positive, NULL);
    if (status == MASCON_OK) status = mascon_backward_begin(&pass, *loss, NULL, NULL, 0, 0);
    if (status == MASCON_OK) status = mascon_backward_next(pass, &what, &id);
    mascon_backward_end(pass);
    if (status == MASCON_OK) status = mascon_tensor_grad(w, &dw);
    if (status == MASCON_OK) {
        mascon_call call;
        mascon_tensor *list[] = {w, dw};
        memset(&call, 0, sizeof call);
        call.op = mascon_op_find("sgd");
        call.list = list;
        call.n_list = 2;
        call.attr[0] = 0.5; /* lr, the first option */
        call.attr_set = 1;
        status = mascon_invoke(&call);
    }
    mascon_tensor_release(product);
    mascon_tensor_release(positive);
    mascon_tensor_release(dw);
    return status;
}

static mascon_status record(mascon_program **p, mascon_tensor *x, mascon_tensor *w,
                            mascon_tensor **result) {
    mascon_tensor *own = NULL, *loss = NULL;
    *result = NULL;
    mascon_status status = mascon_program_begin(p);
    if (status == MASCON_OK) status = mascon_program_input(*p, x, &own);
    if (status == MASCON_OK) status = step(own, w, &loss);
    if (status == MASCON_OK) status = mascon_program_output(*p, loss, result);
    mascon_tensor_release(loss);
    mascon_tensor_release(own);
    if (status == MASCON_OK) status = mascon_program_end(*p);
    return status;
}

static double sum_of(mascon_tensor *t) {
    double values[64] = {0}, sum = 0;
    mascon_tensor_read(t, values);
    for (int64_t i = 0; i < mascon_tensor_numel(t); i++) sum += values[i] * (double)(i + 1);
    return sum;
}

static void replays(void) {
    mascon_program *p = NULL;
    mascon_tensor *x = make(ROWS, COLUMNS, -3), *w = make(COLUMNS, 2, -2),
                  *v = make(COLUMNS, 2, -2);
    mascon_tensor *got = NULL, *want = NULL, *other = make(ROWS + 1, COLUMNS, 0);
    int64_t counts[MASCON_PROGRAM_COUNTS];
    EXPECT(mascon_tensor_set_requires_grad(w, 1) == MASCON_OK);
    EXPECT(mascon_tensor_set_requires_grad(v, 1) == MASCON_OK);
    EXPECT(record(&p, x, w, &got) == MASCON_OK);
    EXPECT(step(x, v, &want) == MASCON_OK);
    EXPECT(sum_of(got) == sum_of(want));
    for (int i = 0; i < 4; i++) {
        mascon_tensor *input = make(ROWS, COLUMNS, i - 4);
        mascon_tensor_release(got);
        mascon_tensor_release(want);
        got = NULL;
        EXPECT(mascon_program_fits(p, &input, 1) == MASCON_PROGRAM_FITS);
        EXPECT(mascon_program_run(p, &input, 1, &got, 1) == MASCON_OK);
        EXPECT(step(input, v, &want) == MASCON_OK);
        EXPECT(sum_of(got) == sum_of(want));
        EXPECT(sum_of(w) == sum_of(v));
        mascon_tensor_release(input);
    }
    EXPECT(mascon_program_fits(p, &other, 1) == MASCON_PROGRAM_INPUTS);
    EXPECT(mascon_program_run(p, &other, 1, &got, 1) == MASCON_E_STATE);
    EXPECT(mascon_program_set(p, 0, mascon_program_steps(p), mascon_op_find("sgd"), "lr", 0) ==
           MASCON_OK);
    const double before = sum_of(w);
    mascon_tensor_release(got);
    got = NULL;
    EXPECT(mascon_program_run(p, &x, 1, &got, 1) == MASCON_OK);
    EXPECT(sum_of(w) == before);
    mascon_tensor_set_requires_grad(w, 0);
    EXPECT(mascon_program_fits(p, &x, 1) == MASCON_PROGRAM_TRAINED);
    mascon_tensor_set_requires_grad(w, 1);
    EXPECT(mascon_set_num_threads(mascon_num_threads() + 1) == MASCON_OK);
    EXPECT(mascon_program_fits(p, &x, 1) == MASCON_PROGRAM_SETTINGS);
    mascon_program_counts(p, counts);
    EXPECT(counts[MASCON_PROGRAM_COUNT_STEPS] > 4);
    EXPECT(counts[MASCON_PROGRAM_COUNT_GRAPH] == 0);
    EXPECT(mascon_program_compare(p, p) == MASCON_OK);
    mascon_program_release(p);
    mascon_tensor *all[] = {x, w, v, got, want, other};
    for (int i = 0; i < 6; i++) mascon_tensor_release(all[i]);
}

static void recordings_exclude_each_other(void) {
    mascon_program *p = NULL, *q = NULL;
    EXPECT(!mascon_program_active());
    EXPECT(mascon_program_begin(&p) == MASCON_OK);
    EXPECT(mascon_program_active());
    EXPECT(mascon_program_begin(&q) == MASCON_E_STATE);
    mascon_program_release(p);
    EXPECT(!mascon_program_active());
}

static void live(int64_t *out) {
    int64_t memory[MASCON_MEMORY_COUNT];
    mascon_memory(0, memory);
    out[0] = memory[MASCON_MEMORY_LIVE];
    out[1] = memory[MASCON_MEMORY_TENSORS];
    out[2] = memory[MASCON_MEMORY_NODES];
}

/* Each allocation fails once, while recording and while replaying; nothing is lost. */
static void failing_allocations(void) {
    mascon_tensor *x = make(ROWS, COLUMNS, -3), *w = make(COLUMNS, 2, -2);
    mascon_tensor_set_requires_grad(w, 1);
    int64_t before[3], after[3];
    live(before);
    for (int n = 1; n < 200; n++) {
        mascon_program *p = NULL;
        mascon_tensor *first = NULL, *second = NULL;
        mascon_testing_fail_allocation(n);
        mascon_status status = record(&p, x, w, &first);
        if (status == MASCON_OK) status = mascon_program_run(p, &x, 1, &second, 1);
        mascon_testing_fail_allocation(0);
        mascon_tensor_release(first);
        mascon_tensor_release(second);
        mascon_program_release(p);
        mascon_tensor_set_grad(w, NULL);
        live(after);
        EXPECT(memcmp(before, after, sizeof before) == 0);
        EXPECT(status == MASCON_OK || status == MASCON_E_OOM);
        if (status == MASCON_OK) break;
        EXPECT(n < 199);
    }
    mascon_tensor_release(x);
    mascon_tensor_release(w);
}

int main(void) {
    replays();
    recordings_exclude_each_other();
    failing_allocations();
    if (failures == 0) printf("test_program: ok\n");
    return failures != 0;
}

/* test_invoke_misuse.c: mascon_invoke with drawn calls for every op of the table: too few and too many
 * inputs, any shapes, types, layouts and options, released tensors, given outputs, and a backward pass over
 * what was recorded. A call succeeds, or it is refused by a status and a sentence; it never crashes (nor,
 * under the sanitizers, touches foreign memory) and keeps no tensor. Each op has a process of its own.
 *
 *   test_invoke_misuse [ROUNDS [SEED]] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mascon.h"

enum { MAX_OWN = 20, MAX_LIST = 9, MAX_NUMEL = 4096 };

/* What the calls of one round draw from. */
typedef struct scene {
    mascon_tensor *own[MAX_OWN];
    int n_own;
    int tame;        /* shapes and types that often fit together */
    int batch, size; /* of a tame round's tensors */
} scene;

static uint64_t state = 1;

static int draw(int n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)((state >> 20) % (uint64_t)n);
}

static double odd(void) {
    static const double values[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 0x1p53, 1e15,
                                    -3,  -1,       0,         0.5,   1,      2,      9};
    return values[draw(sizeof values / sizeof values[0])];
}

static void fill(mascon_tensor *t) {
    double values[MAX_NUMEL];
    const int64_t n = mascon_tensor_numel(t);
    for (int64_t i = 0; i < n; i++) values[i] = draw(20) ? draw(4) : odd();
    if (mascon_tensor_write(t, values) == MASCON_OK) return;
    for (int64_t i = 0; i < n; i++) values[i] = draw(2); /* not all types hold odd numbers */
    mascon_tensor_write(t, values);
}

static mascon_tensor *tensor(scene *r) {
    int64_t shape[6];
    const int ndim = draw(4) ? 4 : draw(6);
    int32_t dtype = draw(2) ? MASCON_DTYPE_F32 : draw(MASCON_DTYPE_COUNT);
    if (r->tame && draw(4)) dtype = draw(3) ? MASCON_DTYPE_F32 : MASCON_DTYPE_I64;
    for (int d = 0; d < ndim; d++) {
        shape[d] = !r->tame || draw(8) == 0 ? draw(5) : d == 0 ? r->batch : d == 1 ? r->size : 3;
    }
    mascon_tensor *t = NULL;
    if (ndim == 4 && draw(2)) {
        mascon_tensor_new_nhwc(&t, dtype, shape, MASCON_DEVICE_CPU);
    } else {
        mascon_tensor_new(&t, dtype, ndim, shape, MASCON_DEVICE_CPU);
    }
    if (!t || r->n_own == MAX_OWN) abort();
    r->own[r->n_own++] = t;
    fill(t);
    if (draw(16) == 0) mascon_tensor_discard(t, "drawn");
    if (draw(6) == 0) mascon_tensor_set_requires_grad(t, 1);
    return t;
}

/* How many inputs the op's row of the table names. */
static int inputs_of(int32_t op) {
    const char *row = strstr(mascon_op_describe(op), "inputs\t");
    int n = 0;
    for (row = row ? row + 7 : ""; *row && *row != '\n'; row++) {
        n += *row != ' ' && (row[1] == ' ' || row[1] == '\n' || row[1] == 0);
    }
    return n;
}

static void make_call(scene *r, mascon_call *call, int32_t op, mascon_tensor **list) {
    memset(call, 0, sizeof *call);
    call->op = op;
    call->flags = draw(10) ? draw(2) : draw(16);
    call->n_src = draw(8) ? inputs_of(op) : draw(11) - 1;
    for (int i = 0; i < call->n_src && i < MASCON_MAX_SRC; i++) {
        if (draw(12)) call->src[i] = tensor(r);
    }
    if (draw(3) == 0) {
        call->n_list = draw(MAX_LIST);
        call->list = list;
        for (int i = 0; i < call->n_list; i++) list[i] = draw(20) ? tensor(r) : NULL;
        if (draw(4)) call->n_src = 0;
    }
    for (int i = 0; i < MASCON_MAX_ATTRS; i++) {
        if (draw(r->tame ? 12 : 3)) continue;
        call->attr[i] = draw(3) ? draw(5) : odd();
        call->attr_set |= (uint32_t)1 << i;
    }
    if (draw(8) == 0) call->n_dst = draw(7) - 1;
    if (draw(8) == 0) call->dst[0] = draw(2) && call->n_src > 0 ? call->src[0] : tensor(r);
}

static void go_back(mascon_tensor *y) {
    mascon_backward *pass = NULL;
    mascon_tensor *dy = NULL;
    int32_t what;
    uint64_t id;
    if (!mascon_tensor_requires_grad(y)) return;
    if (mascon_tensor_new(&dy, mascon_tensor_dtype(y), mascon_tensor_ndim(y),
                          mascon_tensor_shape(y), MASCON_DEVICE_CPU) != MASCON_OK ||
        mascon_tensor_numel(y) > MAX_NUMEL) {
        mascon_tensor_release(dy);
        return;
    }
    fill(dy);
    if (mascon_backward_begin(&pass, y, dy, NULL, 0, 0) == MASCON_OK) {
        mascon_backward_next(pass, &what, &id);
    }
    mascon_backward_end(pass);
    mascon_tensor_release(dy);
}

/* 1 where a refusal came without its sentence. */
static int try_call(int32_t op, mascon_generator *generator) {
    scene r = {.n_own = 0, .tame = draw(3) != 0, .batch = 1 + draw(3), .size = 1 + draw(4)};
    mascon_tensor *list[MAX_LIST], *given[MASCON_MAX_DST];
    mascon_call call;
    int fault = 0;
    make_call(&r, &call, op, list);
    call.generator = draw(4) ? generator : NULL;
    memcpy(given, call.dst, sizeof given);
    const mascon_status status = mascon_invoke(&call);
    if (status != MASCON_OK) {
        fault = mascon_last_error()->code != status || !mascon_last_error()->message[0];
        fault |= memcmp(given, call.dst, sizeof given) != 0;
    } else if (call.dst[0]) {
        go_back(call.dst[0]);
    }
    for (int i = 0; i < MASCON_MAX_DST; i++) {
        if (call.dst[i] != given[i]) mascon_tensor_release(call.dst[i]);
    }
    for (int i = 0; i < r.n_own; i++) mascon_tensor_release(r.own[i]);
    if (fault) fprintf(stderr, "%s: refused without a sentence\n", mascon_op_name(op));
    return fault;
}

static int try_op(int32_t op, int rounds) {
    mascon_generator *generator = NULL;
    int64_t memory[MASCON_MEMORY_COUNT];
    int faults = 0;
    alarm(60);
    mascon_set_num_threads(1);
    mascon_generator_new(&generator, 1);
    state += (uint64_t)op + 88172645463325252u;
    for (int i = 0; i < rounds && faults == 0; i++) faults += try_call(op, generator);
    mascon_generator_release(generator);
    mascon_memory(MASCON_DEVICE_CPU, memory);
    if (memory[MASCON_MEMORY_TENSORS] == 0) return faults;
    fprintf(stderr, "%s: %d tensors remain\n", mascon_op_name(op),
            (int)memory[MASCON_MEMORY_TENSORS]);
    return 1;
}

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 200;
    int failures = 0;
    if (argc > 2) state = (uint64_t)atoll(argv[2]);
    for (int32_t op = 0; op < mascon_op_count(); op++) {
        int ended = 0;
        const pid_t child = fork();
        if (child == 0) _exit(try_op(op, rounds));
        if (child < 0 || waitpid(child, &ended, 0) != child) return 1;
        if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) continue;
        failures++;
        fprintf(stderr, "%s: %s\n", mascon_op_name(op), WIFEXITED(ended) ? "failed" : "crashed");
    }
    return failures != 0;
}

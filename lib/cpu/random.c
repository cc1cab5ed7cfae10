/* random.c: uniform and normal on several threads. Element i draws the words of its index, so
 * slices change no value. */
#include "reference/random.h"
#include "reference/reference.h"

enum { SLICE = 4096 }; /* elements, a multiple of the 4 of a block */

typedef struct job {
    const mascon_call *call;
    const mascon_view *y;
} job;

static void uniform_slice(void *context, int64_t slice, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_view *y = j->y;
    double from = j->call->attr[0], to = j->call->attr[1], v[4];
    int64_t end = (slice + 1) * SLICE < y->numel ? (slice + 1) * SLICE : y->numel;
    for (int64_t i = slice * SLICE; i < end; i++) {
        if (i % 4 == 0) {
            masconR_uniforms(j->call->random, y->dtype, (uint64_t)i / 4, from, to, v);
        }
        masconR_set(y, i, v[i % 4]);
    }
}

static void normal_slice(void *context, int64_t slice, int thread) {
    (void)thread;
    const job *j = context;
    const mascon_view *y = j->y;
    double mean = j->call->attr[0], std = j->call->attr[1], z[4];
    int64_t end = (slice + 1) * SLICE < y->numel ? (slice + 1) * SLICE : y->numel;
    for (int64_t i = slice * SLICE; i < end; i++) {
        if (i % 4 == 0) masconR_normals(j->call->random, (uint64_t)i / 4, z);
        masconR_set(y, i, mean + std * z[i % 4]);
    }
}

static mascon_status uniform(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {call, DST(call, 0)};
    masconI_parallel((j.y->numel + SLICE - 1) / SLICE, uniform_slice, &j);
    return MASCON_OK;
}

static mascon_status normal(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    job j = {call, DST(call, 0)};
    masconI_parallel((j.y->numel + SLICE - 1) / SLICE, normal_slice, &j);
    return MASCON_OK;
}

const mascon_kernel masconC_uniform = {.run = uniform};
const mascon_kernel masconC_normal = {.run = normal};

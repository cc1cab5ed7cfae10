/* onednn_winograd.c: oneDNN's own Winograd convolution as a library, for scripts/bench_op conv2d.
 *
 * 3x3, step 1, padding 1, float32. A job is one of three passes in one of two manners:
 *   own     in oneDNN's own memory formats. Nothing is converted: what a network would need that held
 *           all its tensors in these formats.
 *   same    the job that mascon's kernels do: pictures channels-last, weights plain, both ways. The
 *           reorders into and out of oneDNN's formats belong to the job.
 * oneDNN works with its own threads (OpenMP). It has no Winograd from release 3.2 on, nor without
 * AVX-512; then there is no job.
 */
#include <dnnl.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>

enum { FORWARD = 0, DATA, WEIGHT, PASSES };
enum { X = 0, W, B, Y, SCRATCH, PARTS };
enum { MOST_STEPS = PARTS + 1 };

typedef struct step {
    dnnl_primitive_t run;
    int n;
    dnnl_exec_arg_t args[PARTS];
} step;

typedef struct job {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t pd;
    int threads, pass, same, n, held;
    step steps[MOST_STEPS];
    dnnl_memory_t memory[2 * PARTS];
    void *data[2 * PARTS];
} job;

/* What mascon_bench_onednn_open gives is closed by mascon_bench_onednn_close. NULL: there is none. */
void *mascon_bench_onednn_open(int64_t n, int64_t c, int64_t side, int64_t oc, int pass, int same,
                               int threads);
int mascon_bench_onednn_run(void *opened); /* 0, or oneDNN's status */
void mascon_bench_onednn_close(void *opened);

#if DNNL_VERSION_MAJOR < 3

static const dnnl_query_t queries[PASSES][PARTS] = {
    {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_weights_md, dnnl_query_dst_md,
     dnnl_query_scratchpad_md},
    {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_weights_md, dnnl_query_diff_dst_md,
     dnnl_query_scratchpad_md},
    {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_weights_md,
     dnnl_query_diff_dst_md, dnnl_query_scratchpad_md},
};
static const int roles[PASSES][PARTS] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_DST, DNNL_ARG_SCRATCHPAD},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST,
     DNNL_ARG_SCRATCHPAD},
};
/* Which part each pass makes. */
static const int made[PASSES] = {Y, X, W};

static dnnl_status_t describe(job *j, const dnnl_memory_desc_t d[PARTS]) {
    const dnnl_alg_kind_t method = dnnl_convolution_winograd;
    const dnnl_dims_t one = {1, 1};
    dnnl_convolution_desc_t forward, backward;
    dnnl_primitive_desc_t hint;
    dnnl_status_t s = dnnl_convolution_forward_desc_init(&forward, dnnl_forward_training, method,
                                                         &d[X], &d[W], &d[B], &d[Y], one, one, one);
    if (s == dnnl_success) s = dnnl_primitive_desc_create(&hint, &forward, NULL, j->engine, NULL);
    if (s != dnnl_success) return s;
    if (j->pass == FORWARD) {
        j->pd = hint;
        return s;
    }
    if (j->pass == DATA) {
        s = dnnl_convolution_backward_data_desc_init(&backward, method, &d[X], &d[W], &d[Y], one,
                                                     one, one);
    } else {
        s = dnnl_convolution_backward_weights_desc_init(&backward, method, &d[X], &d[W], &d[B],
                                                        &d[Y], one, one, one);
    }
    if (s == dnnl_success) s = dnnl_primitive_desc_create(&j->pd, &backward, NULL, j->engine, hint);
    dnnl_primitive_desc_destroy(hint);
    return s;
}

/* Memory of this description, filled with ones. NULL: there is none to be had. */
static dnnl_memory_t hold(job *j, const dnnl_memory_desc_t *md) {
    const size_t bytes = dnnl_memory_desc_get_size(md);
    float *data = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!data) return NULL;
    for (size_t k = 0; k < bytes / sizeof *data; k++) data[k] = 1;
    j->data[j->held] = data;
    if (dnnl_memory_create(&j->memory[j->held], md, j->engine, data) != dnnl_success) return NULL;
    return j->memory[j->held++];
}

static dnnl_status_t add_reorder(job *j, dnnl_memory_t from, const dnnl_memory_desc_t *from_md,
                                 dnnl_memory_t to, const dnnl_memory_desc_t *to_md) {
    dnnl_primitive_desc_t pd;
    dnnl_status_t s =
        dnnl_reorder_primitive_desc_create(&pd, from_md, j->engine, to_md, j->engine, NULL);
    if (s != dnnl_success) return s;
    step *to_do = &j->steps[j->n];
    s = dnnl_primitive_create(&to_do->run, pd);
    dnnl_primitive_desc_destroy(pd);
    if (s != dnnl_success) return s;
    to_do->n = 2;
    to_do->args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, from};
    to_do->args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, to};
    j->n++;
    return s;
}

/* The steps of the job: reorders of what goes in, the convolution, a reorder of what comes out. */
static dnnl_status_t prepare(job *j, const dnnl_memory_desc_t plain[PARTS]) {
    dnnl_status_t s = dnnl_success;
    dnnl_memory_t own_made = NULL, plain_made = NULL;
    const dnnl_memory_desc_t *made_md = NULL;
    step convolution = {.n = 0};
    for (int i = 0; i < PARTS; i++) {
        if (j->pass == DATA && i == B) continue;
        const dnnl_memory_desc_t *md =
            dnnl_primitive_desc_query_md(j->pd, queries[j->pass][i], i == B);
        if (!md || !dnnl_memory_desc_get_size(md)) continue;
        dnnl_memory_t own = hold(j, md);
        if (!own) return dnnl_out_of_memory;
        convolution.args[convolution.n++] = (dnnl_exec_arg_t){roles[j->pass][i], own};
        if (!j->same || i == B || i == SCRATCH || dnnl_memory_desc_equal(md, &plain[i])) continue;
        dnnl_memory_t other = hold(j, &plain[i]);
        if (!other) return dnnl_out_of_memory;
        if (i == made[j->pass]) {
            own_made = own;
            plain_made = other;
            made_md = md;
        } else {
            s = add_reorder(j, other, &plain[i], own, md);
            if (s != dnnl_success) return s;
        }
    }
    s = dnnl_primitive_create(&convolution.run, j->pd);
    if (s != dnnl_success) return s;
    j->steps[j->n++] = convolution;
    if (own_made) s = add_reorder(j, own_made, made_md, plain_made, &plain[made[j->pass]]);
    return s;
}

static dnnl_status_t set_up(job *j, int64_t n, int64_t c, int64_t side, int64_t oc) {
    const dnnl_dims_t dims[SCRATCH] = {
        {n, c, side, side}, {oc, c, 3, 3}, {oc}, {n, oc, side, side}};
    const dnnl_format_tag_t tags[SCRATCH] = {dnnl_nhwc, dnnl_oihw, dnnl_a, dnnl_nhwc};
    dnnl_memory_desc_t any[PARTS], plain[PARTS];
    for (int i = 0; i < SCRATCH; i++) {
        const int rank = i == B ? 1 : 4;
        dnnl_memory_desc_init_by_tag(&any[i], rank, dims[i], dnnl_f32, dnnl_format_tag_any);
        dnnl_memory_desc_init_by_tag(&plain[i], rank, dims[i], dnnl_f32, tags[i]);
    }
    dnnl_status_t s = dnnl_engine_create(&j->engine, dnnl_cpu, 0);
    if (s == dnnl_success) s = dnnl_stream_create(&j->stream, j->engine, dnnl_stream_default_flags);
    if (s == dnnl_success) s = describe(j, any);
    if (s == dnnl_success) s = prepare(j, plain);
    return s;
}

void *mascon_bench_onednn_open(int64_t n, int64_t c, int64_t side, int64_t oc, int pass, int same,
                               int threads) {
    job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    j->pass = pass;
    j->same = same;
    j->threads = threads;
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    const dnnl_status_t s = set_up(j, n, c, side, oc);
    omp_set_num_threads(before);
    if (s == dnnl_success) return j;
    mascon_bench_onednn_close(j);
    return NULL;
}

int mascon_bench_onednn_run(void *opened) {
    job *j = opened;
    const int before = omp_get_max_threads();
    dnnl_status_t s = dnnl_success;
    omp_set_num_threads(j->threads);
    for (int i = 0; i < j->n && s == dnnl_success; i++) {
        s = dnnl_primitive_execute(j->steps[i].run, j->stream, j->steps[i].n, j->steps[i].args);
    }
    if (s == dnnl_success) s = dnnl_stream_wait(j->stream);
    omp_set_num_threads(before);
    return (int)s;
}

void mascon_bench_onednn_close(void *opened) {
    job *j = opened;
    for (int i = 0; i < MOST_STEPS; i++) {
        if (j->steps[i].run) dnnl_primitive_destroy(j->steps[i].run);
    }
    for (int i = 0; i < 2 * PARTS; i++) {
        if (j->memory[i]) dnnl_memory_destroy(j->memory[i]);
        free(j->data[i]);
    }
    if (j->pd) dnnl_primitive_desc_destroy(j->pd);
    if (j->stream) dnnl_stream_destroy(j->stream);
    if (j->engine) dnnl_engine_destroy(j->engine);
    free(j);
}

#else

void *mascon_bench_onednn_open(int64_t n, int64_t c, int64_t side, int64_t oc, int pass, int same,
                               int threads) {
    (void)n, (void)c, (void)side, (void)oc, (void)pass, (void)same, (void)threads;
    return NULL;
}
int mascon_bench_onednn_run(void *opened) { return opened != NULL; }
void mascon_bench_onednn_close(void *opened) { (void)opened; }

#endif

/* onednn_winograd.c: times oneDNN's own Winograd convolution, for scripts/bench_op conv2d.
 *
 *   onednn_winograd N C SIDE OC SECONDS     3x3, step 1, padding 1; threads by OMP_NUM_THREADS
 *
 * Prints the best time in microseconds of forward, gradient of x and gradient of the weights; 0 where
 * oneDNN has none (from release 3 on, and without AVX-512). Everything is in its favour: memory in its
 * own blocked formats, weights transformed in advance, its own threads.
 */
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if DNNL_VERSION_MAJOR < 3

enum { FORWARD = 0, DATA, WEIGHT, PASSES };
enum { X = 0, W, B, Y, SCRATCH, PARTS };

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

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static dnnl_status_t describe(int pass, const dnnl_memory_desc_t d[PARTS], dnnl_engine_t engine,
                              dnnl_primitive_desc_t *pd) {
    const dnnl_dims_t one = {1, 1};
    dnnl_convolution_desc_t forward, backward;
    dnnl_primitive_desc_t hint;
    dnnl_status_t s = dnnl_convolution_forward_desc_init(&forward, dnnl_forward_training,
                                                         dnnl_convolution_winograd, &d[X], &d[W],
                                                         &d[B], &d[Y], one, one, one);
    if (s == dnnl_success) s = dnnl_primitive_desc_create(&hint, &forward, NULL, engine, NULL);
    if (s != dnnl_success) return s;
    if (pass == FORWARD) {
        *pd = hint;
        return s;
    }
    if (pass == DATA) {
        s = dnnl_convolution_backward_data_desc_init(&backward, dnnl_convolution_winograd, &d[X],
                                                     &d[W], &d[Y], one, one, one);
    } else {
        s = dnnl_convolution_backward_weights_desc_init(&backward, dnnl_convolution_winograd, &d[X],
                                                        &d[W], &d[B], &d[Y], one, one, one);
    }
    if (s == dnnl_success) s = dnnl_primitive_desc_create(pd, &backward, NULL, engine, hint);
    dnnl_primitive_desc_destroy(hint);
    return s;
}

/* Memory of each part, filled with ones. */
static int arguments(int pass, dnnl_primitive_desc_t pd, dnnl_engine_t engine,
                     dnnl_exec_arg_t args[PARTS]) {
    int n = 0;
    for (int i = 0; i < PARTS; i++) {
        const int index = i == B;
        if (pass == DATA && i == B) continue;
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, queries[pass][i], index);
        const size_t bytes = md ? dnnl_memory_desc_get_size(md) : 0;
        if (!bytes) continue;
        float *data = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
        if (!data) return -1;
        for (size_t k = 0; k < bytes / sizeof *data; k++) data[k] = 1;
        args[n].arg = roles[pass][i];
        if (dnnl_memory_create(&args[n].memory, md, engine, data) != dnnl_success) return -1;
        n++;
    }
    return n;
}

static double best_of(int pass, const dnnl_memory_desc_t d[PARTS], dnnl_engine_t engine,
                      dnnl_stream_t stream, double seconds) {
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t run;
    dnnl_exec_arg_t args[PARTS];
    if (describe(pass, d, engine, &pd) != dnnl_success) return 0;
    if (dnnl_primitive_create(&run, pd) != dnnl_success) return 0;
    const int n = arguments(pass, pd, engine, args);
    if (n < 0) return 0;
    double best = 1e9;
    const double end = now() + seconds;
    for (int i = 0; i < 3 || now() < end; i++) {
        const double begun = now();
        if (dnnl_primitive_execute(run, stream, n, args) != dnnl_success) return 0;
        dnnl_stream_wait(stream);
        const double t = now() - begun;
        if (i > 0 && t < best) best = t;
    }
    return best * 1e6; /* the process ends soon: nothing is freed */
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    const long n = atol(argv[1]), c = atol(argv[2]), side = atol(argv[3]), oc = atol(argv[4]);
    const dnnl_dims_t x = {n, c, side, side}, w = {oc, c, 3, 3}, b = {oc}, y = {n, oc, side, side};
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t d[PARTS];
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) return 1;
    if (dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) return 1;
    dnnl_memory_desc_init_by_tag(&d[X], 4, x, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&d[W], 4, w, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&d[B], 1, b, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&d[Y], 4, y, dnnl_f32, dnnl_format_tag_any);
    for (int pass = 0; pass < PASSES; pass++) {
        printf("%.1f\n", best_of(pass, d, engine, stream, atof(argv[5])));
    }
    return 0;
}

#else

int main(void) {
    puts("0\n0\n0");
    return 0;
}

#endif

/* graph.c: work of a device captured as a graph, to be given to it again as one.
 *
 * A capture has a stream of its own, on which nothing is executed: what other threads give to the device
 * meanwhile goes on, and none of it comes into the graph. Captures of one device follow one another. The
 * mode is "relaxed", in which no thread is kept from any call, for the libraries load kernels when they are
 * first used. What has no meaning in a graph (waits, copies from or to the host) is refused here.
 *
 * A graph owns the executable graph of the runtime, and holds the plans of the libraries whose kernels
 * are in it: a plan may own the code that its kernels run. An executable graph that still runs may be
 * destroyed; the runtime frees it at its end.
 */
#include <pthread.h>
#include <stdlib.h>

#include "cuda/backend.h"
#include "cuda/plan_cache.h"

enum { MAX_DEVICES = 16 };

typedef struct held {
    masconG_entry *entry;
    void (*put)(masconG_entry *);
} held;

typedef struct graph {
    int32_t device; /* its index */
    cudaGraphExec_t exec;
    held *plans;
    int n_plans, room;
} graph;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t locks[MAX_DEVICES]; /* of the devices' capture streams */
/* The graph that this thread captures. */
static _Thread_local graph *current;

static void make_locks(void) {
    for (int i = 0; i < MAX_DEVICES; i++) pthread_mutex_init(&locks[i], NULL);
}

/* ---- While a thread captures ---- */

int masconG_captures(void) { return current != NULL; }

cudaStream_t masconG_stream_of(const masconG_device *d) {
    return current ? d->captures : d->stream;
}

mascon_status masconG_refuse_capture(const char *what) {
    if (!current) return MASCON_OK;
    return masconI_fail(MASCON_E_STATE, "%s cannot be captured in a graph", what);
}

mascon_status masconG_captures_on(int32_t device) {
    if (!current || current->device == (device & 255)) return MASCON_OK;
    return masconI_fail(MASCON_E_DEVICE, "work of cuda:%d cannot be captured in a graph of cuda:%d",
                        device & 255, current->device);
}

mascon_status masconG_done_with(masconG_entry *entry, void (*put)(masconG_entry *)) {
    graph *g = current;
    if (!g) {
        put(entry);
        return MASCON_OK;
    }
    if (g->n_plans == g->room) {
        const int room = g->room ? 2 * g->room : 32;
        held *plans = realloc(g->plans, (size_t)room * sizeof *plans);
        if (!plans) {
            put(entry);
            return masconI_fail(MASCON_E_OOM, "no memory for the plans of a graph");
        }
        g->plans = plans;
        g->room = room;
    }
    g->plans[g->n_plans++] = (held){entry, put};
    return MASCON_OK;
}

/* ---- The backend's three functions ---- */

static void destroy(graph *g) {
    if (g->exec) cuda->graph_exec_destroy(g->exec);
    for (int i = 0; i < g->n_plans; i++) g->plans[i].put(g->plans[i].entry);
    free(g->plans);
    free(g);
}

/* Runs body between the beginning and the end of a capture, whatever it answers. */
static mascon_status record(const masconG_device *d, graph *g, mascon_status (*body)(void *context),
                            void *context, cudaGraph_t *out) {
    CUDA_TRY(stream_begin_capture(d->captures, cudaStreamCaptureModeRelaxed));
    current = g;
    const mascon_status status = body(context);
    current = NULL;
    const cudaError_t error = cuda->stream_end_capture(d->captures, out);
    if (status == MASCON_OK) return masconG_check(error, "stream_end_capture");
    if (error != cudaSuccess) cuda->get_last_error(); /* the body's own error is the one to tell */
    return status;
}

static mascon_status make(const masconG_device *d, graph *g, mascon_status (*body)(void *context),
                          void *context) {
    cudaGraph_t captured = NULL;
    mascon_status status = record(d, g, body, context, &captured);
    if (status == MASCON_OK) {
        status = masconG_check(cuda->graph_instantiate(&g->exec, captured, 0), "graph_instantiate");
    }
    if (captured) cuda->graph_destroy(captured);
    if (status != MASCON_OK) return status;
    CUDA_TRY(graph_upload(g->exec, d->stream)); /* else the first replay does it */
    return MASCON_OK;
}

mascon_status masconG_capture(int32_t device, mascon_status (*body)(void *context), void *context,
                              void **out) {
    masconG_device *d;
    *out = NULL;
    MASCON_TRY(masconG_refuse_capture("another capture"));
    MASCON_TRY(masconG_open(device, &d));
    graph *g = calloc(1, sizeof *g);
    if (!g) return masconI_fail(MASCON_E_OOM, "no memory for a graph");
    g->device = device & 255;
    pthread_once(&once, make_locks);
    pthread_mutex_lock(&locks[g->device & (MAX_DEVICES - 1)]);
    const mascon_status status = make(d, g, body, context);
    pthread_mutex_unlock(&locks[g->device & (MAX_DEVICES - 1)]);
    if (status != MASCON_OK) {
        destroy(g);
        return status;
    }
    *out = g;
    return MASCON_OK;
}

mascon_status masconG_replay(int32_t device, void *captured, void *live, const void *words,
                             size_t bytes) {
    const graph *g = captured;
    masconG_device *d;
    MASCON_TRY(masconG_refuse_capture("a replay"));
    MASCON_TRY(masconG_open(device, &d));
    if (bytes) MASCON_TRY(masconG_write_words(live, words, bytes, d->stream));
    CUDA_TRY(graph_launch(g->exec, d->stream));
    if (!masconG_host->setting(MASCON_SETTING_SYNC)) return MASCON_OK;
    return masconG_synchronize(device);
}

void masconG_forget(int32_t device, void *captured) {
    masconG_device *d;
    (void)masconG_open(device, &d); /* what cannot be opened is lost, and the rest is freed */
    destroy(captured);
}

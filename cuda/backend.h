/* backend.h: what the host files of the CUDA backend share with each other and with the kernels' files.
 *
 * stream.c owns the devices (streams, limits), memory.c blocks and copies, graph.c captured work, error.c
 * how a failed call or a bad value found by a kernel becomes a sentence, backend.c the table that the core
 * gets.
 */
#ifndef MASCON_CUDA_BACKEND_H
#define MASCON_CUDA_BACKEND_H

#include <stdint.h>

#include "cuda/api.h"
#include "mascon_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the core offers; set once, by mascon_backend_entry. */
extern const mascon_host *masconG_host;

/* ---- Errors (error.c) ---- */

/* MASCON_OK for cudaSuccess; else fails: what names the call that failed. Running out of memory is
 * MASCON_E_OOM, everything else MASCON_E_BACKEND. */
mascon_status masconG_check(cudaError_t error, const char *what);
/* As MASCON_TRY, for a call of the runtime: CUDA_TRY(memset_async(p, 0, n, stream)). */
#define CUDA_TRY(call) MASCON_TRY(masconG_check(cuda->call, #call))

/* One bad index that a kernel met. It lies in page-locked memory that kernels write through. */
typedef struct masconG_report {
    int32_t taken;   /* 0: nothing found since the last look */
    int32_t op;      /* MASCON_OP_* */
    int32_t written; /* 1 once the rest is there */
    int32_t reserved;
    const char *words; /* NULL: "target", a class label. Else "index", and what the values number */
    int64_t position, total, value, base, size;
} masconG_report;

/* Fails with the sentence of the oldest bad index found on this device, and forgets it. To be called
 * only when the device has done its work. */
mascon_status masconG_take_report(int32_t device);

/* ---- Devices (stream.c) ---- */

typedef struct masconG_device {
    cudaStream_t stream;   /* all kernels, in the order of the calls */
    cudaStream_t copies;   /* uploads ahead of their use */
    cudaStream_t reads;    /* values that were computed a while ago */
    cudaStream_t captures; /* what is captured and not executed */
    masconG_report *report;
    void *bounce; /* MASCONG_BOUNCE bytes of page-locked memory that reads end in */
    int32_t multiprocessors;
    int32_t capability; /* 90 for 9.0 */
    int32_t max_shared; /* bytes of shared memory that a block may opt in to */
    int32_t host_pages; /* 1: it can read ordinary memory of the host, and copies may do so late */
} masconG_device;

enum { MASCONG_BOUNCE = 4096 };

int32_t masconG_count(const char **why);
/* The device's state, made on first use; also makes it this thread's current device. */
mascon_status masconG_open(int32_t device, masconG_device **out);
/* Makes some device current in a thread that has none: one that was opened already, where there is one.
 * (The runtime would take the first, and make a context there.) */
mascon_status masconG_open_any(void);
/* The state of a device that a running kernel uses: it was opened before. */
masconG_device *masconG_of(int32_t device);
mascon_status masconG_synchronize(int32_t device);
/* Makes later work of `stream` wait for what `after` was given so far. */
mascon_status masconG_follow(cudaStream_t stream, cudaStream_t after);
/* Notes when the single value that a call has computed will be there, so that reading it need not wait
 * for more. */
mascon_status masconG_mark_values(int32_t device, const mascon_call *call);
/* As mascon_backend's read. */
mascon_status masconG_read(int32_t device, const mascon_tensor *t, void *out, size_t bytes);

/* ---- Graphs (graph.c) ---- */

/* As mascon_backend's capture, replay and forget. */
mascon_status masconG_capture(int32_t device, mascon_status (*body)(void *context), void *context,
                              void **graph);
mascon_status masconG_replay(int32_t device, void *graph, void *live, const void *words,
                             size_t bytes);
void masconG_forget(int32_t device, void *graph);
/* Whether this thread is in a capture's body. */
int masconG_captures(void);
/* Where this thread's work on the device goes: its stream, or that of the capture. */
cudaStream_t masconG_stream_of(const masconG_device *d);
/* Fails in a capture's body: "<what> cannot be captured in a graph". */
mascon_status masconG_refuse_capture(const char *what);
/* Fails in the body of another device's capture. */
mascon_status masconG_captures_on(int32_t device);
/* Ends the use of a plan after it ran: gives it back to its cache by put, or in a capture's body leaves it
 * to the graph, which does so when it is forgotten. */
struct masconG_entry;
mascon_status masconG_done_with(struct masconG_entry *entry, void (*put)(struct masconG_entry *));
/* Copies bytes to the device's memory in the stream's order (graph_words.cu). */
mascon_status masconG_write_words(void *to, const void *from, size_t bytes, cudaStream_t stream);

/* ---- Memory (memory.c) ---- */

mascon_status masconG_memory_alloc(int32_t device, size_t bytes, void **out);
void masconG_memory_free(int32_t device, void *block);
mascon_status masconG_memory_info(int32_t device, int64_t *total, int64_t *available);
mascon_status masconG_memory_copy(void *dst, int32_t dst_device, const void *src,
                                  int32_t src_device, size_t bytes);
/* As mascon_backend's pin, unpin, upload, join and finish. */
mascon_status masconG_pin(size_t bytes, void **out);
void masconG_unpin(void *block);
mascon_status masconG_upload(int32_t device, int32_t n, void *const *dst, const void *const *src,
                             const size_t *bytes, void **ticket);
mascon_status masconG_join(int32_t device, void *ticket);
void masconG_finish(int32_t device, void *ticket);

#ifdef __cplusplus
}
#endif

#endif

/* mascon_backend.h: what a backend fills in, and what a kernel may see.
 *
 * A backend is a table of kernels, one per op id, plus memory functions. The core calls `wish` to
 * learn whether a kernel can serve a call and in which layouts it wants the tensors, converts what
 * differs, and calls `run`. A kernel never allocates tensors, never converts, never calls another op.
 */
#ifndef MASCON_BACKEND_H
#define MASCON_BACKEND_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The op ids. ORDER: the order of ops.def; ids never appear in files. */
enum {
#define OP(name) MASCON_OP_##name,
#include "ops/ops.def"
#undef OP
    MASCON_OP_COUNT
};

/* The visible head of every mascon_tensor. Strides are in elements and may be 0 (expanded). */
typedef struct mascon_view {
    void *data; /* the first element, offset included */
    int64_t numel;
    int64_t shape[MASCON_MAX_DIMS];
    int64_t stride[MASCON_MAX_DIMS];
    int32_t ndim;
    int32_t device;
    uint8_t dtype;
    uint8_t layout;     /* MASCON_LAYOUT_* */
    uint8_t contiguous; /* dense row-major (an nhwc tensor may be both, where C = 1 or H = W = 1) */
} mascon_view;

static inline const mascon_view *mascon_see(const mascon_tensor *t) {
    return (const mascon_view *)(const void *)t;
}

/* ---- Kernels ---- */

/* In which memory a kernel wants a tensor. */
enum {
    MASCON_WISH_ANY = 0, /* as it is: any strides. For a dst: the layout of src[0] where the shapes
                            are equal, else row-major */
    MASCON_WISH_ROW,     /* dense row-major */
    MASCON_WISH_NHWC     /* four dimensions, dense channels-last */
};

typedef struct mascon_wish {
    uint8_t src[MASCON_MAX_SRC], dst[MASCON_MAX_DST];
    const char *kernel; /* name for the profile, static; may stay NULL */
} mascon_wish;

/* What a running kernel gets besides the call. */
typedef struct mascon_exec {
    void *workspace; /* as many bytes as workspace() asked for, 64-byte aligned, uninitialised */
    void *stream;    /* the device's current stream; NULL on the CPU */
    /* While a device's work is captured to be replayed: where in the device's memory the words lie that
     * the kernel's `live` names; they are read when the kernel runs there. NULL: they are the call's. */
    const void *live;
} mascon_exec;

typedef struct mascon_kernel {
    /* 1 where the kernel serves this call (src filled, dst shapes known through dst's views, whose
     * data is NULL); fills w, which comes zeroed. NULL: serves every call, any strides. */
    int (*wish)(const mascon_call *call, mascon_wish *w);
    /* Bytes of scratch memory; NULL: none. */
    size_t (*workspace)(const mascon_call *call);
    /* Computes dst from src. Writes every element of dst. Returns a status; on failure it has
     * called masconI_fail with what is wrong. */
    mascon_status (*run)(mascon_call *call, mascon_exec *exec);
    /* Of a kernel with words that differ each time a recorded call is replayed (random state, options of
     * kind LIVE): writes them as `run` wants them at exec->live, MASCON_LIVE_BYTES at most, and returns
     * their number of bytes. NULL: it has none, or takes them from the call alone (the CPU's). */
    size_t (*live)(const mascon_call *call, void *words);
} mascon_kernel;

enum { MASCON_LIVE_BYTES = 32 };

#define MASCON_BACKEND_ABI 3

typedef struct mascon_backend {
    uint32_t abi;  /* MASCON_BACKEND_ABI */
    uint32_t size; /* sizeof(mascon_backend) */
    uint64_t ops_hash;
    const char *name; /* "cpu", "reference", "cuda" */
    /* Number of usable devices; *why (static) says why there is none. NULL: one, always. */
    int32_t (*count)(const char **why);
    /* memory: raw blocks, below the caching allocator */
    mascon_status (*alloc)(int32_t device, size_t bytes, void **out);
    void (*free)(int32_t device, void *block);
    mascon_status (*info)(int32_t device, int64_t *total, int64_t *available);
    /* copies between this device and the host, or within the device */
    mascon_status (*copy)(void *dst, int32_t dst_device, const void *src, int32_t src_device,
                          size_t bytes);
    mascon_status (*synchronize)(int32_t device);
    /* Around each kernel. begin makes the device this thread's current one and fills exec->stream; end
     * gets what run returned and gives the status of the call. Both may be NULL. */
    mascon_status (*begin)(int32_t device, const mascon_call *call, mascon_exec *exec);
    mascon_status (*end)(int32_t device, const mascon_call *call, mascon_status status);
    /* Reads the value of a tensor with one element, which lies at src, as soon as it is computed: work
     * given to the device later is not waited for. NULL: copy. */
    mascon_status (*read)(int32_t device, const mascon_tensor *t, void *out, size_t bytes);
    /* Page-locked memory of the host; NULL: there is none. */
    mascon_status (*pin)(size_t bytes, void **out);
    void (*unpin)(void *block);
    /* Begins to copy from page-locked memory beside the device's computing, and after all work that it
     * was given before. *ticket stands for these copies: after join, later work waits for them; finish
     * waits here and ends the ticket. */
    mascon_status (*upload)(int32_t device, int32_t n, void *const *dst, const void *const *src,
                            const size_t *bytes, void **ticket);
    mascon_status (*join)(int32_t device, void *ticket);
    void (*finish)(int32_t device, void *ticket);
    /* Graphs. capture runs body, whose kernels the device does not execute but keeps in order as *graph;
     * where body fails, nothing is kept. replay copies the words to `live` (memory of the device) and
     * gives the graph to the device, without waiting. forget ends a graph that may still run. Tensors,
     * workspaces and `live` must stay where they are until then. NULL: there are no graphs. */
    mascon_status (*capture)(int32_t device, mascon_status (*body)(void *context), void *context,
                             void **graph);
    mascon_status (*replay)(int32_t device, void *graph, void *live, const void *words,
                            size_t bytes);
    void (*forget)(int32_t device, void *graph);
    /* A kernel's dtypes (bit per MASCON_DTYPE of src[0]), for the support table; NULL: as the op's. */
    uint32_t (*dtypes)(int32_t op);
    const mascon_kernel *const *kernels; /* MASCON_OP_COUNT of them; NULL: not offered */
} mascon_backend;

/* What a backend in a library of its own may call. */
typedef struct mascon_host {
    uint32_t abi;  /* MASCON_BACKEND_ABI */
    uint32_t size; /* sizeof(mascon_host) */
    uint64_t ops_hash;
    /* masconI_fail_at and masconI_hint with finished texts; op < 0: none yet */
    mascon_status (*fail)(const char *file, int line, mascon_status code, int32_t op,
                          int32_t native, const char *text);
    mascon_status (*hint)(const char *text);
    const char *(*op_name)(int32_t op);
    /* The core's caching allocator: blocks of a device, in the order of its stream. */
    mascon_status (*alloc)(int32_t device, size_t bytes, void **out);
    void (*free)(int32_t device, void *block, size_t bytes);
    int32_t (*setting)(int32_t which); /* mascon_setting */
    /* The tensor's storage and how often it was written: equal answers, equal values. */
    void (*identity)(const mascon_tensor *t, uint64_t *storage, int64_t *version);
} mascon_host;

/* The one function that such a library exports, under the name mascon_backend_entry. host stays valid.
 * NULL where the two do not fit together. */
typedef const mascon_backend *mascon_backend_opener(const mascon_host *host);

/* ---- Errors, for kernels and shape rules ---- */

/* Fills this thread's error record and returns code. The first sentence of the message names the
 * argument and the found and the allowed value; mascon_invoke adds op, shapes and options. */
mascon_status masconI_fail_at(const char *file, int line, mascon_status code, const char *format,
                              ...) __attribute__((format(printf, 4, 5)));
#define masconI_fail(code, ...) masconI_fail_at(__FILE__, __LINE__, code, __VA_ARGS__)
/* Adds the hint to the record just filled; returns its code. */
mascon_status masconI_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns from the function with a sentence where an argument that must be there is NULL. */
#define MASCON_NEED(argument)                                                        \
    do {                                                                             \
        if (!(argument)) return masconI_fail(MASCON_E_ARG, "%s is NULL", #argument); \
    } while (0)

/* Returns from the function with the status where it is not MASCON_OK. */
#define MASCON_TRY(expression)                          \
    do {                                                \
        mascon_status try_status = (expression);        \
        if (try_status != MASCON_OK) return try_status; \
    } while (0)

/* ---- Work in parallel (core/threads.c) ---- */

/* Runs slice(context, i, thread) for every i in 0..n-1, each exactly once, on the pool's threads and the
 * caller's; returns when all are done. thread is in 0..mascon_num_threads()-1 and unique among the
 * slices that run at the same time in this call. Which thread runs a slice is not fixed: a result
 * must depend on i alone. A nested call, or one that finds the pool busy, runs its slices itself. */
void masconI_parallel(int64_t n, void (*slice)(void *context, int64_t i, int thread),
                      void *context);

#ifdef __cplusplus
}
#endif

#endif

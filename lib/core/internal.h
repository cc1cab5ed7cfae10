/* internal.h: what the files of lib/ share and nobody else sees.
 *
 * Ownership: storage (one block of memory, counted, with a version that every write bumps) <- tensor
 * (header over a storage, counted) <- node (one recorded call; owns what it saved, never an output
 * handle, so there are no cycles).
 */
#ifndef MASCON_CORE_INTERNAL_H
#define MASCON_CORE_INTERNAL_H

#include <stdatomic.h>

#include "core/op.h"
#include "mascon.h"
#include "mascon_backend.h"

typedef struct masconI_storage masconI_storage;
typedef struct masconI_node masconI_node;

/* ---- Signatures (core/registry.c): the word lists of op.h, parsed once ---- */

typedef struct masconI_signature {
    int32_t n_inputs, n_outputs; /* of a list op: groups */
    uint32_t required;           /* bit per input */
    uint32_t hidden;             /* bit per output that Lua does not return */
    uint32_t weights;            /* bit per input named weight or bias */
    uint32_t save_src, save_dst; /* bits of what grad needs; bit 0 of save_src for a whole list */
} masconI_signature;

/* Valid after masconI_registry_check. */
extern masconI_signature masconI_signatures[MASCON_OP_COUNT];
/* Copies the name of input i into buffer; "" past the end. */
const char *masconI_input_name(int32_t op, int i, char buffer[32]);

/* ---- Storage (core/storage.c) ---- */

struct masconI_storage {
    atomic_int refs;
    atomic_llong version;
    void *data;
    size_t bytes;
    uint64_t anchor; /* foreign memory: queued when the storage dies; 0: the allocator's block */
    int32_t device;
    int32_t writer;               /* the op that wrote last, for messages */
    uint8_t foreign;              /* from_blob: never freed here, never packed into a cache */
    uint64_t id;                  /* unique for the process: caches are keyed by it */
    struct masconI_twin *twin;    /* its copy for autocast (core/autocast.c), or NULL */
    void (*release)(void *owner); /* foreign memory that knows whom to tell (core/dlpack.c) */
    void *owner;
    masconI_storage *next, *previous; /* list of live storages of a device, for the report */
    /* of programs (core/program.c, core/replay.c) */
    uint64_t program;       /* the recording in which it was made; 0: none */
    uint64_t written_in;    /* the recording that wrote it last */
    atomic_int recorded;    /* references that this recording holds */
    uint8_t made;           /* its first values come from a recorded run */
    masconI_storage *arena; /* retained: data is a part of its block */
};

mascon_status masconI_storage_new(masconI_storage **out, size_t bytes, int32_t device);
/* Over memory of the host; anchor (if not 0) is queued when the last reference is gone. */
mascon_status masconI_storage_foreign(masconI_storage **out, void *data, size_t bytes,
                                      uint64_t anchor);
void masconI_storage_retain(masconI_storage *s);
void masconI_storage_release(masconI_storage *s);
/* Puts an anchor into the queue that mascon_anchor_next reads. */
mascon_status masconI_anchor_push(uint64_t anchor);
/* Lines of the largest live storages of a device; text may be cut at size bytes. */
void masconI_storage_report(int32_t device, char *text, size_t size);

/* A storage in page-locked memory of the host has this device; its tensors are on the CPU. */
enum { MASCONI_DEVICE_PINNED = 512 };
/* As masconI_tensor_dense on the CPU, in page-locked memory (core/upload.c). */
mascon_status masconI_tensor_pinned(mascon_tensor **out, const struct mascon_meta *meta,
                                    int32_t layout);

/* ---- Allocator (core/allocator.c): caching, size bins, over a backend's raw blocks ---- */

mascon_status masconI_alloc(int32_t device, size_t bytes, void **out);
void masconI_free(int32_t device, void *block, size_t bytes);
/* What so many bytes count for the collector of a host language: less where a device has much memory. */
int64_t masconI_debt_of(int32_t device, int64_t bytes);
/* "34.4 GB", "512 bytes", for messages; returns buffer. */
const char *masconI_bytes_text(int64_t bytes, char buffer[32]);
/* Live objects, for mascon_memory: counted by tensor.c and autograd.c. */
extern atomic_llong masconI_live_tensors, masconI_live_nodes;

/* ---- Threads (core/threads.c) ---- */

/* Run once by each worker of the pool before its first slice; NULL: nothing. */
extern void (*masconI_thread_start_hook)(void);
/* The parent's pid in a process forked after its parent had computed; else 0. */
int masconI_threads_forked(void);

/* ---- Tensors (core/tensor.c) ---- */

struct mascon_tensor {
    mascon_view view; /* first: mascon_see casts */
    atomic_int refs;
    uint8_t requires_grad; /* leaf flag; for the rest: has a node */
    uint8_t released;      /* 1: no storage any more. 2: a saved tensor that was changed; `why` is
                              the whole sentence */
    uint8_t alias;         /* made by a view op */
    uint8_t inference;     /* made under inference_mode */
    int32_t output;        /* which output of node */
    int64_t offset;        /* of view.data in the storage, in elements */
    uint8_t host_shared;   /* a host holds this header too (mascon_push_tensor) */
    masconI_storage *storage; /* NULL: meta (shape only) or released */
    masconI_node *node;       /* who made it; NULL for leaves */
    mascon_tensor *grad;      /* leaves only */
    char *why;                /* of a released tensor */
    char *origin;             /* see mascon_tensor_set_origin, under anomaly detection */
};

/* A header over a storage (retained), or over none where storage is NULL. */
mascon_status masconI_tensor_header(mascon_tensor **out, masconI_storage *storage,
                                    const mascon_meta *meta, int32_t device, int32_t layout,
                                    const int64_t *stride, int64_t offset);
/* A dense tensor in the given layout. */
mascon_status masconI_tensor_dense(mascon_tensor **out, const mascon_meta *meta, int32_t device,
                                   int32_t layout);
/* Another header over the same storage, outside of any graph. */
mascon_status masconI_tensor_alias(mascon_tensor **out, const mascon_tensor *t);
/* A header of the given shape without memory: its values may not be used. */
mascon_status masconI_tensor_meta(mascon_tensor **out, const mascon_meta *meta, int32_t device);
/* Gives a meta header dense memory in the given layout. */
mascon_status masconI_tensor_materialise(mascon_tensor *t, int32_t layout);
/* Fails where the tensor was released. */
mascon_status masconI_tensor_alive(const mascon_tensor *t);
/* Notes a write by op. */
void masconI_tensor_written(mascon_tensor *t, int32_t op);
/* 1 when nobody else can see this tensor's memory. */
int masconI_tensor_is_unique(const mascon_tensor *t);
/* Recomputes view.contiguous after a change of shape or strides. */
void masconI_view_update(mascon_view *v);

/* ---- Layout (core/layout.c): the only converter ---- */

/* Whether the tensor already satisfies a MASCON_WISH_*. */
int masconI_layout_fits(const mascon_view *v, int wish);
/* *out is an owned reference to t itself or to a converted copy (counted). */
mascon_status masconI_layout_fix(mascon_tensor *t, int wish, int32_t op, int input,
                                 mascon_tensor **out);
/* Dense channels-last strides of an NCHW shape. */
void masconI_nhwc_strides(const int64_t *shape, int64_t *stride);

/* ---- Autograd (core/autograd.c, core/backward.c) ---- */

/* One recorded call. */
struct masconI_node {
    atomic_int refs;
    uint64_t sequence;   /* order of recording; a node's inputs have smaller numbers */
    const mascon_op *op; /* NULL: a host function */
    uint64_t host;       /* id of the host function, queued as an anchor when the node dies */
    mascon_call call;    /* src, dst, list hold saved or meta tensors */
    int32_t n_inputs;
    struct masconI_edge {
        masconI_node *node;  /* who made the input, or NULL */
        mascon_tensor *leaf; /* the input itself where it is a leaf that wants a gradient */
        int32_t output;
    } * edges;
    uint8_t *need; /* per input */
    struct masconI_saved {
        mascon_tensor **slot; /* into call.src, call.dst or call.list */
        int64_t version;
        int32_t is_output;
    } * saved;
    int32_t n_saved;
    uint8_t freed;      /* an earlier backward took what was saved */
    uint8_t not_finite; /* under anomaly detection: an output has such values */
    char *origin;
    /* during a backward pass */
    mascon_backward *pass;
    mascon_tensor *grads[MASCON_MAX_DST];
    mascon_meta outputs[MASCON_MAX_DST];
};

/* How many values of t are not finite (core/backward.c). */
mascon_status masconI_count_not_finite(mascon_tensor *t, double *count);

/* What recording needs to know from before the kernel ran: versions of the inputs. */
typedef struct masconI_before {
    int64_t versions[MASCON_MAX_SRC];
    masconI_node *node; /* of dst[0] for an in-place call; owned */
    int32_t output;
    int32_t was_leaf;        /* dst[0] was a leaf that requires a gradient */
    mascon_tensor *original; /* in place, where the gradient reads it: a copy of src[0]; owned */
} masconI_before;

/* Records the finished call on its outputs. */
mascon_status masconI_record(const mascon_op *op, const mascon_call *call,
                             const masconI_before *before);
/* Whether gradients flow to the tensor. */
static inline int masconI_needs_grad(const mascon_tensor *t) {
    return t && (t->requires_grad || t->node);
}
/* Whether invoke will record this call (some input needs a gradient and recording is on). */
int masconI_will_record(const mascon_call *call);
void masconI_node_release(masconI_node *node);
/* Frees what a node saved and its edges. */
void masconI_node_clear(masconI_node *node);
/* A new reference to a running number for nodes and storages' ids. */
uint64_t masconI_next_id(void);

/* ---- Backends (core/device.c) ---- */

/* The backend of a device, opened on first use. Fails as D11, D12. */
mascon_status masconI_backend(int32_t device, const mascon_backend **out);
/* The kernel that serves this call on the device (dst views hold the inferred shapes); NULL in *out
 * where masconI_widen must. */
mascon_status masconI_kernel(int32_t device, const mascon_call *call, mascon_wish *wish,
                             const mascon_kernel **out);
extern const mascon_backend masconI_backend_cpu, masconI_backend_reference;
/* "cpu", "cuda:1" */
const char *masconI_device_text(int32_t device, char buffer[16]);

/* ---- 16-bit floats over float32 (core/widen.c) ---- */

/* Whether a call that no kernel of the CPU serves is to run on float32 copies of its 16-bit inputs. */
int masconI_widens(const mascon_call *call);
/* Runs it so: fills dst (metas, or given tensors) and writes back the inputs named by the bits of
 * `writes`. *used names the kernel, for the profile. */
mascon_status masconI_widen(mascon_call *call, uint32_t writes, const char **used);
/* A flag of its float32 call where the call itself will be recorded: shape rules see a call that is
 * (max_pool2d then has one output more), yet nothing is. */
enum { MASCON_CALL_WIDE = 1 << 30 };
/* mascon_invoke without its profile row and without decorating errors. */
mascon_status masconI_perform(mascon_call *call, const char **kernel);

/* ---- What a host brings (core/host.c) ---- */

/* Where the host has an allocator: 1 and a block (or NULL), or 1 and the block given back. Else 0. */
int masconI_own_alloc(size_t bytes, void **out);
int masconI_own_free(void *block);
/* Whether blocks of the device are live (core/allocator.c). */
int masconI_alloc_held(int32_t device);
/* Hands the last error, and a call that has succeeded, to the host's log function. */
void masconI_log_error(void);
void masconI_log_call(const mascon_call *call);
void masconI_log(int32_t level, const char *text);
extern atomic_int masconI_log_level;

/* ---- Recording (core/record.c) ---- */

/* Recorders that are active, of all threads, and whether calls are logged. */
extern atomic_int masconI_recordings;
/* mascon_invoke while there are some, and without them. */
mascon_status masconI_recorder_invoke(mascon_call *call);
mascon_status masconI_invoke_now(mascon_call *call);
/* Whether this thread records calls. */
int masconI_recorder_active(void);
/* Fails where this thread records and the values of t were given or made in the recording (NULL: in any
 * case): "reading its values cannot be recorded". */
mascon_status masconI_recorder_refuse(const mascon_tensor *t, const char *what);
static inline mascon_status masconI_check_recording(const mascon_tensor *t, const char *what) {
    return atomic_load_explicit(&masconI_recordings, memory_order_relaxed)
               ? masconI_recorder_refuse(t, what)
               : MASCON_OK;
}
/* Makes room for one more element of `size` bytes in a table of n; `table` points to its pointer. */
mascon_status masconI_grow(void *table, int32_t n, int32_t *room, size_t size);

/* ---- Programs (core/program.c): recording kernel runs; counted in masconI_recordings too ---- */

typedef struct mascon_program mascon_program;
/* The recording of this thread that is not paused, or NULL; and its number, or 0. */
mascon_program *masconI_program_find(void);
static inline mascon_program *masconI_program_now(void) {
    return atomic_load_explicit(&masconI_recordings, memory_order_relaxed) ? masconI_program_find()
                                                                           : NULL;
}
uint64_t masconI_program_id(void);
/* Before a kernel run, which may be refused, and after it. writes: bit per src; lists: the list, too. */
mascon_status masconI_program_before(mascon_program *p, const mascon_call *call, uint32_t writes);
mascon_status masconI_program_append(mascon_program *p, const mascon_kernel *kernel,
                                     const mascon_call *call, uint32_t writes, size_t workspace,
                                     const char *name);
/* Notes what a generator gave. */
void masconI_program_draw(mascon_generator *g, const uint64_t random[2]);
/* Notes that a leaf's gradient is about to be used (reads) or replaced. */
mascon_status masconI_program_leaf(mascon_tensor *leaf, int reads);
/* Refuses a backward through nodes from before the recording. */
mascon_status masconI_program_node(const masconI_node *node);
/* As masconI_recorder_refuse, for the host's reading, and for its writing. */
mascon_status masconI_program_refuse(const mascon_tensor *t, const char *what, int writing);
/* A storage that only a recording holds now: gives its block back. */
void masconI_program_shed(masconI_storage *s);
static inline mascon_status masconI_check_host_write(const mascon_tensor *t, const char *what) {
    return masconI_program_now() ? masconI_program_refuse(t, what, 1) : MASCON_OK;
}

/* Checks the given options of a call against its op's row and fills in the others. */
mascon_status masconI_fill_options(mascon_call *call);

/* ---- Autocast (core/autocast.c) ---- */

/* The type that a call under autocast wants its float32 and 16-bit inputs in; -1: leave them. */
int32_t masconI_autocast_dtype(const mascon_call *call);
/* Whether this input is one of those and is not in that type. */
int masconI_autocast_changes(const mascon_tensor *t, int32_t dtype);
/* The kept 16-bit copy of a weight, recorded as its cast; NULL in *out where it can have none. */
mascon_status masconI_autocast_weight(mascon_tensor *t, int32_t dtype, int32_t flags,
                                      mascon_tensor **out);
void masconI_twin_free(struct masconI_twin *twin);

/* ---- Errors (core/error.c) ---- */

mascon_error *masconI_error(void);
/* Adds op, inputs and options of a call to the record, if it has no op yet. */
void masconI_error_decorate(const mascon_call *call);

/* ---- Profile (core/profile.c) ---- */

extern atomic_int masconI_profiling;
/* Looks at the request to interrupt without clearing it: who raises clears (mascon_interrupted). */
int masconI_interrupt_pending(void);
void masconI_profile_add(int32_t op, int64_t nanoseconds, int64_t bytes, const char *kernel);
void masconI_profile_conversion(int32_t op, int input);

/* ---- Random numbers (core/rng.c) ---- */

/* The four 32-bit words of Philox4x32-10 for a key and a 128-bit counter (block, stream). */
void masconI_philox(const uint64_t random[2], uint64_t block, uint32_t out[4]);
/* Word i of the stream of one random operation: word i % 4 of block i / 4. */
uint32_t masconI_random_word(const uint64_t random[2], uint64_t i);
/* Uniform in [0, 1) with 24 bits. */
static inline float masconI_uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

/* ---- Elements of any dtype (core/dtype.c) ---- */

double masconI_load(const void *data, int32_t dtype, int64_t i);
void masconI_store(void *data, int32_t dtype, int64_t i, double value);
int64_t masconI_load_int(const void *data, int32_t dtype, int64_t i);
void masconI_store_int(void *data, int32_t dtype, int64_t i, int64_t value);

float masconI_bf16_to_f32(uint16_t h);
uint16_t masconI_f32_to_bf16(float f);
float masconI_f16_to_f32(uint16_t h);
uint16_t masconI_f32_to_f16(float f);

#endif

/* mascon.h: the public C interface of mascon.
 *
 * Conventions
 *   - Every function that can fail returns a mascon_status; the sentence that explains a failure is
 *     in mascon_last_error() of the calling thread until that thread's next failure.
 *   - Constructors return an owned reference through their first parameter; give it back with the
 *     matching _release. Getters borrow: what they return lives as long as the object.
 *   - Dimensions, indices and class labels count from 0 in C (from 1 in Lua).
 *   - No function prints, exits, aborts or calls back into Lua.
 *   - A tensor may be read from several threads at once; a tensor that one thread writes must not be
 *     used by another at the same time. Reference counts are atomic.
 *
 * The part between [ffi] and [/ffi] is plain C99 without macros but MASCON_API. It is the very text
 * that lua/mascon/ffi.lua gives to ffi.cdef, so the two cannot differ.
 */
#ifndef MASCON_H
#define MASCON_H

#include <stddef.h>
#include <stdint.h>

#define MASCON_VERSION_MAJOR 0
#define MASCON_VERSION_MINOR 1
#define MASCON_VERSION_PATCH 0

#define MASCON_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* [ffi] */

/* ---- Status and errors ------------------------------------------------------------------- */

typedef int32_t mascon_status;

enum {
    MASCON_OK = 0,
    MASCON_E_ARG,         /* an argument is not of the allowed kind or range */
    MASCON_E_SHAPE,       /* sizes do not fit together */
    MASCON_E_DTYPE,       /* element types do not fit together */
    MASCON_E_DEVICE,      /* tensors on different devices, or no such device */
    MASCON_E_LAYOUT,      /* the memory layout does not allow the operation */
    MASCON_E_OOM,         /* out of memory */
    MASCON_E_STATE,       /* right call, wrong moment (graph freed, tensor released) */
    MASCON_E_UNSUPPORTED, /* not built or not offered for this device or type */
    MASCON_E_BACKEND,     /* a library below failed */
    MASCON_E_INDEX,       /* an index or a label out of range */
    MASCON_E_IO,          /* the operating system refused */
    MASCON_E_FORMAT,      /* a file is damaged or of another kind */
    MASCON_E_LIMIT,       /* a limit of a reader was passed */
    MASCON_E_INTERRUPTED, /* mascon_interrupt() was called */
    MASCON_STATUS_COUNT
};

/* The last failure of a thread. All strings end with a zero byte. */
typedef struct mascon_error {
    int32_t code;       /* mascon_status */
    int32_t native;     /* code of the operating system or device library, or 0 */
    char op[48];        /* name of the operation, or "" */
    char message[1024]; /* what is wrong, one sentence without the operation's name */
    char detail[1024];  /* one line per input and the options, or "" */
    char hint[512];     /* what usually mends it, or "" */
    char site[64];      /* C file and line that noticed it */
} mascon_error;

/* The record of this thread's last failure (never NULL). Borrowed; overwritten by the next one. */
MASCON_API const mascon_error *mascon_last_error(void);
/* "MASCON_E_SHAPE" and so on; "?" for an unknown code. */
MASCON_API const char *mascon_status_name(mascon_status status);

/* ---- Types and limits -------------------------------------------------------------------- */

enum {
    MASCON_DTYPE_F32 = 0,
    MASCON_DTYPE_F64,
    MASCON_DTYPE_BF16,
    MASCON_DTYPE_F16,
    MASCON_DTYPE_I64,
    MASCON_DTYPE_I32,
    MASCON_DTYPE_U8,
    MASCON_DTYPE_BOOL,
    MASCON_DTYPE_COUNT
};

enum { MASCON_MAX_DIMS = 8, MASCON_MAX_SRC = 8, MASCON_MAX_DST = 4, MASCON_MAX_ATTRS = 24 };

/* A device is type * 256 + index. */
enum { MASCON_DEVICE_CPU = 0, MASCON_DEVICE_CUDA = 256 };

/* Memory layout, stored with a tensor and never guessed from its strides. */
enum { MASCON_LAYOUT_STRIDED = 0, MASCON_LAYOUT_NHWC = 1 };

typedef struct mascon_tensor mascon_tensor;
typedef struct mascon_generator mascon_generator;
typedef struct mascon_backward mascon_backward;

/* What a Lua tensor is: a counted reference. */
typedef struct mascon_ref {
    mascon_tensor *h;
} mascon_ref;

/* "float32" and so on; NULL for an unknown number. */
MASCON_API const char *mascon_dtype_name(int32_t dtype);
/* The number of a dtype name, or -1. */
MASCON_API int32_t mascon_dtype_find(const char *name);
/* Bytes of one element; 0 for an unknown number. */
MASCON_API int32_t mascon_dtype_size(int32_t dtype);

/* ---- The call record --------------------------------------------------------------------- */

enum {
    MASCON_CALL_GRAD = 1,      /* record for backward where an input requires a gradient */
    MASCON_CALL_INFERENCE = 2, /* results may never take part in a graph */
    MASCON_CALL_ANOMALY = 4,   /* look for NaN and remember where nodes were born */
    MASCON_CALL_AUTOCAST = 8   /* bring float32 and bfloat16 inputs to the type that suits the op */
};

/* One operation with everything it needs. Unused tensor slots are NULL.
 * src      inputs in the order of the op's signature; an optional one may be NULL
 * dst      outputs. NULL on entry: allocated, and owned by the caller afterwards.
 *          Not NULL: written there (src[0] itself for an in-place operation)
 * list     inputs of a list operation (cat, adam): borrowed
 * attr     options, each in the slots its op declares; attr_set has a bit for each slot given
 * random   counter-based random state; drawn by mascon_invoke from generator for a random op
 * gc_debt  out: bytes of storage allocated by this call, for the host's collector; a share of them where
 *          a device has much memory */
typedef struct mascon_call {
    int32_t op;
    int32_t n_src;
    int32_t n_dst;
    int32_t flags;
    mascon_tensor *src[8];
    mascon_tensor *dst[4];
    mascon_tensor **list;
    int64_t n_list;
    double attr[24];
    uint32_t attr_set;
    uint32_t reserved;
    mascon_generator *generator;
    uint64_t random[2];
    int64_t gc_debt;
} mascon_call;

/* Runs one call: checks it, infers shapes, converts layouts, runs the kernel of the tensors' device
 * and, with MASCON_CALL_GRAD, records it. On failure nothing is changed and no output is made.
 * Any thread. */
MASCON_API mascon_status mascon_invoke(mascon_call *call);

/* ---- The op table ------------------------------------------------------------------------ */

MASCON_API int32_t mascon_op_count(void);
/* The number of the op with this name, or -1. */
MASCON_API int32_t mascon_op_find(const char *name);
/* The op's name; NULL out of range. */
MASCON_API const char *mascon_op_name(int32_t op);
/* The op's row of the table as lines of text: "name", "inputs", "outputs", "flags", "dtypes",
 * "summary" and one "attr" line per option, fields separated by tabs. Borrowed, static. */
MASCON_API const char *mascon_op_describe(int32_t op);
/* The dtypes (bit per MASCON_DTYPE) for which backend has a kernel of this op; 0 where none. backend
 * is "reference", "cpu" or "cuda". */
MASCON_API int32_t mascon_op_support(int32_t op, const char *backend);
/* Changes with every op, input, output and option of the table. */
MASCON_API uint64_t mascon_op_hash(void);
/* What must be equal between a header and a library: sizes of the visible structs. */
MASCON_API int32_t mascon_abi(int32_t *size_call, int32_t *size_error, int32_t *size_ref);
/* "0.1.0" */
MASCON_API const char *mascon_version(void);
/* Lines "name<tab>value" about the processor, the kernels chosen for it, and the versions of the
 * libraries in use; cut at size bytes. */
MASCON_API void mascon_config_text(char *text, size_t size);
/* The [ffi] parts of the public headers, as given to ffi.cdef. Borrowed, static. */
MASCON_API const char *mascon_interface_text(void);

/* ---- Tensors ----------------------------------------------------------------------------- */

/* A new row-major tensor of uninitialised elements. shape has ndim sizes of 0 or more. */
MASCON_API mascon_status mascon_tensor_new(mascon_tensor **out, int32_t dtype, int32_t ndim,
                                           const int64_t *shape, int32_t device);
/* A new uninitialised tensor {n, c, h, w} in dense channels-last memory. */
MASCON_API mascon_status mascon_tensor_new_nhwc(mascon_tensor **out, int32_t dtype,
                                                const int64_t *shape, int32_t device);
/* A row-major CPU tensor over memory of the caller, who calls nothing: when the last tensor over it
 * is gone, anchor (if not 0) is put into the queue that mascon_anchor_next reads. */
MASCON_API mascon_status mascon_tensor_from_blob(mascon_tensor **out, void *data, int32_t dtype,
                                                 int32_t ndim, const int64_t *shape,
                                                 uint64_t anchor);
/* The next released anchor, or 0. */
MASCON_API uint64_t mascon_anchor_next(void);
MASCON_API void mascon_tensor_retain(mascon_tensor *t);
/* Gives one reference back; NULL is allowed. Never blocks. */
MASCON_API void mascon_tensor_release(mascon_tensor *t);
/* Drops the storage now, whoever still holds the header: later uses are MASCON_E_STATE errors that
 * say why ("released at the end of scope (train.lua:52)"). why is copied; NULL is allowed. Gives 0;
 * or 1 where a C host got the tensor into Lua by mascon_push_tensor and still holds it: then only the
 * caller's reference is given back. */
MASCON_API int32_t mascon_tensor_discard(mascon_tensor *t, const char *why);
MASCON_API int32_t mascon_tensor_is_released(const mascon_tensor *t);

MASCON_API int32_t mascon_tensor_ndim(const mascon_tensor *t);
MASCON_API const int64_t *mascon_tensor_shape(const mascon_tensor *t);
/* In elements. */
MASCON_API const int64_t *mascon_tensor_strides(const mascon_tensor *t);
MASCON_API int64_t mascon_tensor_numel(const mascon_tensor *t);
MASCON_API int32_t mascon_tensor_dtype(const mascon_tensor *t);
MASCON_API int32_t mascon_tensor_device(const mascon_tensor *t);
MASCON_API int32_t mascon_tensor_layout(const mascon_tensor *t);
/* 1 when the elements lie dense in row-major order. */
MASCON_API int32_t mascon_tensor_is_contiguous(const mascon_tensor *t);
/* An identity of the storage, equal for all tensors that alias; 0 once released. */
MASCON_API uint64_t mascon_tensor_storage_id(const mascon_tensor *t);
/* Counts the writes to the storage. */
MASCON_API int64_t mascon_tensor_version(const mascon_tensor *t);
/* Declares a write through a raw pointer. */
MASCON_API void mascon_tensor_mark_changed(mascon_tensor *t);
/* The first element of row-major CPU memory; counts as a write. MASCON_E_LAYOUT otherwise. */
MASCON_API mascon_status mascon_tensor_data(mascon_tensor *t, void **data);
/* Copies all elements in logical order into numel doubles. NaN is made canonical. MASCON_E_ARG for
 * an int64 beyond 2^53. */
MASCON_API mascon_status mascon_tensor_read(const mascon_tensor *t, double *out);
/* Copies numel doubles in logical order into the tensor, converting. */
MASCON_API mascon_status mascon_tensor_write(mascon_tensor *t, const double *values);
/* The value of a tensor with one element, as mascon_tensor_read. */
MASCON_API mascon_status mascon_tensor_item(const mascon_tensor *t, double *out);

/* ---- Gradients --------------------------------------------------------------------------- */

MASCON_API int32_t mascon_tensor_requires_grad(const mascon_tensor *t);
/* Only leaves (tensors that no recorded operation made) of a floating type. */
MASCON_API mascon_status mascon_tensor_set_requires_grad(mascon_tensor *t, int32_t on);
/* 1 when no recorded operation made this tensor. */
MASCON_API int32_t mascon_tensor_is_leaf(const mascon_tensor *t);
/* An owned reference to the gradient, or NULL in *out. */
MASCON_API mascon_status mascon_tensor_grad(mascon_tensor *t, mascon_tensor **out);
/* Replaces the gradient (NULL: none). The tensor takes a reference of its own. */
MASCON_API mascon_status mascon_tensor_set_grad(mascon_tensor *t, mascon_tensor *grad);
/* A tensor over the same storage outside of any graph. */
MASCON_API mascon_status mascon_tensor_detach(mascon_tensor *t, mascon_tensor **out);

enum {
    MASCON_BACKWARD_RETAIN = 1, /* keep the graph for another backward */
    MASCON_BACKWARD_ANOMALY = 2 /* stop at the first gradient that is not finite */
};
enum { MASCON_BACKWARD_DONE = 0, MASCON_BACKWARD_CALL_HOST = 1 };

/* Begins a backward pass from root with gradient grad (NULL: root is a scalar, gradient 1).
 * Where inputs is not NULL, gradients are not added to leaves but kept for these n_inputs tensors,
 * to be read with mascon_backward_result. Adds into the .grad of leaves as it goes. */
MASCON_API mascon_status mascon_backward_begin(mascon_backward **out, mascon_tensor *root,
                                               mascon_tensor *grad, mascon_tensor **inputs,
                                               int32_t n_inputs, int32_t flags);
/* Runs until the pass is done or a host function (mascon_node_new) must run: *what is then
 * MASCON_BACKWARD_CALL_HOST and *id its number. */
MASCON_API mascon_status mascon_backward_next(mascon_backward *b, int32_t *what, uint64_t *id);
/* The gradient of output index of the host function that must run; *out is NULL where nothing
 * flowed there. Owned. */
MASCON_API mascon_status mascon_backward_host_grad(mascon_backward *b, int32_t index,
                                                   mascon_tensor **out);
/* Gives the gradient of input index of the host function; NULL for none. */
MASCON_API mascon_status mascon_backward_host_give(mascon_backward *b, int32_t index,
                                                   mascon_tensor *grad);
/* The gradient of inputs[index]; *out is NULL where none flowed. Owned. */
MASCON_API mascon_status mascon_backward_result(mascon_backward *b, int32_t index,
                                                mascon_tensor **out);
/* Ends the pass, finished or not. NULL is allowed. */
MASCON_API void mascon_backward_end(mascon_backward *b);
/* Makes outputs the results of a differentiable function whose backward the host computes: id comes
 * back from mascon_backward_next, and in the released-anchor queue once the graph is freed. */
MASCON_API mascon_status mascon_node_new(uint64_t id, mascon_tensor **inputs, int32_t n_inputs,
                                         mascon_tensor **outputs, int32_t n_outputs);
/* Remembers text (a line of the script; below it, a module) for t's node; anomaly errors show it. */
MASCON_API void mascon_tensor_set_origin(mascon_tensor *t, const char *text);

/* ---- Random numbers ---------------------------------------------------------------------- */

/* A counter-based generator (Philox4x32-10) with the given seed. */
MASCON_API mascon_status mascon_generator_new(mascon_generator **out, uint64_t seed);
MASCON_API void mascon_generator_release(mascon_generator *g);
/* Restarts it. */
MASCON_API void mascon_generator_seed(mascon_generator *g, uint64_t seed);
/* Its whole state is two numbers. */
MASCON_API void mascon_generator_get(const mascon_generator *g, uint64_t *seed, uint64_t *counter);
MASCON_API void mascon_generator_set(mascon_generator *g, uint64_t seed, uint64_t counter);
/* Draws the next stream: a key and a counter for one random operation. */
MASCON_API void mascon_generator_next(mascon_generator *g, uint64_t random[2]);

/* ---- The machine ------------------------------------------------------------------------- */

/* Threads for kernels and loaders of this process; 1 or more. */
MASCON_API mascon_status mascon_set_num_threads(int32_t n);
MASCON_API int32_t mascon_num_threads(void);

enum {
    MASCON_MEMORY_LIVE = 0,
    MASCON_MEMORY_CACHED,
    MASCON_MEMORY_PEAK,
    MASCON_MEMORY_ALLOCATIONS,
    MASCON_MEMORY_RAW_ALLOCATIONS,
    MASCON_MEMORY_TENSORS,
    MASCON_MEMORY_NODES,
    MASCON_MEMORY_TOTAL,
    MASCON_MEMORY_FREE,
    MASCON_MEMORY_COUNT
};
/* Fills MASCON_MEMORY_COUNT numbers: bytes in live storages, bytes cached for reuse, the peak of
 * live, requests served so far, requests that went to the system, live tensors and live graph
 * nodes (of all devices), and the device's total and free bytes. */
MASCON_API mascon_status mascon_memory(int32_t device, int64_t *out);
/* Gives cached blocks back to the system. */
MASCON_API void mascon_empty_cache(int32_t device);

/* Memory for CPU tensors and workspaces comes from alloc, which returns `bytes` bytes aligned to
 * `alignment` (64) or NULL, and goes back to free. Both are called from any thread that runs operations,
 * several at a time, and stand below a cache: a block is asked for once and used many times. NULL, NULL:
 * the system's own. MASCON_E_STATE while memory of the CPU is in use. Not while another thread uses the
 * library. */
typedef void *(*mascon_host_alloc)(void *user, size_t bytes, size_t alignment);
typedef void (*mascon_host_free)(void *user, void *block);
MASCON_API mascon_status mascon_set_allocator(mascon_host_alloc alloc, mascon_host_free free,
                                              void *user);

enum {
    MASCON_LOG_NOTHING = 0,
    MASCON_LOG_ERRORS, /* every operation that fails, with its inputs and options */
    MASCON_LOG_CALLS   /* every operation that succeeds, too, with its shapes */
};
/* Messages up to level go to function (NULL: nowhere, as at the start), on the thread that they come
 * from, one at a time. It may use the library; what it does is not logged. It must not call
 * mascon_set_log. text is borrowed for the call. Any thread. */
typedef void (*mascon_log_function)(void *user, int32_t level, const char *text);
MASCON_API mascon_status mascon_set_log(mascon_log_function function, void *user, int32_t level);

/* A host's own threads in the place of the library's. run calls slice(context, i, thread) once for each
 * i of 0..n-1, on any threads, thread being in 0..threads-1 and unique among the slices that run at one
 * time, and returns when all are done. The library runs one such job at a time and may call run from any
 * thread that runs operations. */
typedef struct mascon_pool {
    int32_t threads;
    void (*run)(void *user, int64_t n, void (*slice)(void *context, int64_t i, int32_t thread),
                void *context);
    void *user;
} mascon_pool;
/* Copies *pool; its function and user must last. NULL: the library's own threads again. Waits for a job
 * that runs. */
MASCON_API mascon_status mascon_set_pool(const mascon_pool *pool);

/* Flags (MASCON_CALL_*) for the calls that the functions of mascon_ops.h make in this thread; at first
 * MASCON_CALL_GRAD. Setting returns those before. */
MASCON_API int32_t mascon_call_flags(void);
MASCON_API int32_t mascon_set_call_flags(int32_t flags);
/* For mascon_ops.h: whether the op table is that of the header. */
MASCON_API mascon_status mascon_ops_check(uint64_t hash);

MASCON_API void mascon_reset_peak_memory(int32_t device);
/* The largest live storages: fills up to max tensors' shapes into text of size bytes. */
MASCON_API void mascon_memory_report(int32_t device, char *text, size_t size);
/* Tests only: the n-th allocation from now on fails (-n: that and all later ones; 0: none). */
MASCON_API void mascon_testing_fail_allocation(int64_t n);
/* Tests only: fill freed blocks with a pattern. */
MASCON_API void mascon_testing_poison(int32_t on);
/* Tests only: serve the CPU by the reference kernels alone. */
MASCON_API void mascon_testing_reference(int32_t on);
/* Tests and measurements only: the cpu's convolutions by this kernel wherever it can serve them
 * (0 oneDNN, 1 few channels, 2 Winograd, 3 depthwise; -1: the committed choice), and without
 * AVX-512 where no_avx512 is not 0. */
MASCON_API void mascon_testing_conv(int32_t kernel, int32_t no_avx512);

/* Number of devices of a type; *why says why there is none. */
MASCON_API int32_t mascon_device_count(int32_t type, const char **why);
/* Waits until the device has done all it was given. */
MASCON_API mascon_status mascon_synchronize(int32_t device);

/* What holds for the whole process and backends look at. */
enum {
    MASCON_SETTING_TF32 = 0, /* 1 (as it begins): float32 convolutions may round their factors */
    MASCON_SETTING_DETERMINISTIC, /* 1: the same bits twice */
    MASCON_SETTING_BENCHMARK,     /* 1: time a library's algorithms and keep the fastest */
    MASCON_SETTING_SYNC,          /* 1: each call waits for its kernel; from MASCON_DEBUG=sync */
    MASCON_SETTING_COUNT
};
/* mascon_error.native of what an earlier call on a device had found, and a later one only noticed: the
 * record's op is the earlier one. */
enum { MASCON_NATIVE_LATE = -1 };
MASCON_API mascon_status mascon_set(int32_t setting, int32_t value);
MASCON_API int32_t mascon_setting(int32_t setting);

/* Asks long operations and waits to end with MASCON_E_INTERRUPTED. Safe in a signal handler. */
MASCON_API void mascon_interrupt(void);
/* Reads and clears the request. */
MASCON_API int32_t mascon_interrupted(void);

/* Nanoseconds of a steady clock. */
MASCON_API int64_t mascon_now(void);
/* 1 when a file descriptor is a terminal. */
MASCON_API int32_t mascon_is_terminal(int32_t descriptor);

/* ---- Profile ----------------------------------------------------------------------------- */

/* Starts (1) or stops (0) counting; starting clears the counters. */
MASCON_API void mascon_profile(int32_t on);
enum {
    MASCON_PROFILE_CALLS = 0,
    MASCON_PROFILE_NANOSECONDS,
    MASCON_PROFILE_BYTES,
    MASCON_PROFILE_CONVERSIONS,
    MASCON_PROFILE_COUNT
};
/* Fills MASCON_PROFILE_COUNT numbers for an op; *kernel names the last kernel used, or is NULL. */
MASCON_API void mascon_profile_row(int32_t op, int64_t *out, const char **kernel);
/* Layout conversions since the profile began, and the op and input of each of the first of them:
 * the name of input k of conversion i. */
MASCON_API int64_t mascon_conversions(void);
MASCON_API const char *mascon_conversion_site(int64_t i);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

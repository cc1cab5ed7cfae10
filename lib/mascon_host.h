/* mascon_host.h: tensors that several Lua states of one process share. The conventions are those of
 * mascon.h; any thread.
 *
 * The part between [ffi] and [/ffi] is given to ffi.cdef after that of mascon.h.
 */
#ifndef MASCON_HOST_H
#define MASCON_HOST_H

#include "mascon.h"
#include "mascon_model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* [ffi] */

/* ---- Handing a tensor to another Lua state or thread -------------------------------------- */

/* Keeps a tensor over t's storage in this process, under a number that one mascon_shared_take uses up. */
MASCON_API mascon_status mascon_share(mascon_tensor *t, int64_t *number);
/* *out = a tensor over that storage, owned, outside of any graph. MASCON_E_ARG where the number was
 * never given or was used before. */
MASCON_API mascon_status mascon_shared_take(int64_t number, mascon_tensor **out);

/* ---- Values made once in a process --------------------------------------------------------- */

/* A cached value: text that describes it, and the tensors and models that the text names. */
typedef struct mascon_cached mascon_cached;

enum { MASCON_CACHED_READY = 0, MASCON_CACHED_MAKE = 1 };

/* Looks a key up. *what is MASCON_CACHED_READY and *out the value (borrowed, for ever); or
 * MASCON_CACHED_MAKE, and this thread now makes the value and ends with mascon_cached_put or
 * mascon_cached_fail. While another thread makes it, waits. MASCON_E_STATE where this thread itself is
 * making it, MASCON_E_INTERRUPTED on a request to stop. */
MASCON_API mascon_status mascon_cached_begin(const char *key, int32_t *what, mascon_cached **out);
/* Stores the value of a key that this thread is making. text is copied, tensors and models are retained. */
MASCON_API mascon_status mascon_cached_put(const char *key, const char *text,
                                           mascon_tensor *const *tensors, int32_t n_tensors,
                                           mascon_model *const *models, int32_t n_models);
/* Gives the making up: the next one that asks for the key makes it. */
MASCON_API void mascon_cached_fail(const char *key);
MASCON_API const char *mascon_cached_text(const mascon_cached *c);
/* A new tensor over the storage of tensor i, owned. */
MASCON_API mascon_status mascon_cached_tensor(const mascon_cached *c, int32_t i,
                                              mascon_tensor **out);
/* Model i, retained. */
MASCON_API mascon_status mascon_cached_model(const mascon_cached *c, int32_t i, mascon_model **out);

/* ---- Models that run beside the caller ------------------------------------------------------ */

/* One run of a model in a thread of its own. */
typedef struct mascon_job mascon_job;

/* Starts mascon_model_run(m, inputs, ...) in the background; returns at once. Inputs and model are
 * retained. The inputs must not be written before the job is done. */
MASCON_API mascon_status mascon_job_start(mascon_job **out, mascon_model *m,
                                          mascon_tensor *const *inputs, int32_t n_inputs);
/* 1 once the result or the error is there. Never waits. */
MASCON_API int32_t mascon_job_done(const mascon_job *job);
/* Waits, then stores owned tensors, or fails as the run did. */
MASCON_API mascon_status mascon_job_result(mascon_job *job, mascon_tensor **outputs,
                                           int32_t n_outputs);
/* Gives the handle back, without waiting; a run that has begun ends by itself. NULL is allowed. */
MASCON_API void mascon_job_release(mascon_job *job);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

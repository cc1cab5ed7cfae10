/* mascon_model.h: saved models: a recorded list of calls with its weights, in one file. Running one
 * needs no Lua. The conventions are those of mascon.h.
 *
 * A model is not changed by running it: several threads may run one model at the same time. Moving it
 * to another device needs it for itself. A recorder belongs to the thread that
 * began it.
 *
 * The part between [ffi] and [/ffi] is given to ffi.cdef after that of mascon.h.
 */
#ifndef MASCON_MODEL_H
#define MASCON_MODEL_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* [ffi] */

/* ---- Running a saved model --------------------------------------------------------------- */

typedef struct mascon_model mascon_model;

/* Reads and checks a file of mascon_recorder_save (or mascon.save_model in Lua); nothing of it runs.
 * Its weights are on the CPU. */
MASCON_API mascon_status mascon_model_load(mascon_model **out, const char *path);
/* One more reference, for another holder. */
MASCON_API void mascon_model_retain(mascon_model *m);
/* Gives a reference back; NULL is allowed. */
MASCON_API void mascon_model_release(mascon_model *m);
/* Runs the model on n_inputs tensors, which are borrowed and not changed, and stores n_outputs owned
 * tensors into outputs. Both numbers must be those of the model. The inputs are on its device. */
MASCON_API mascon_status mascon_model_run(const mascon_model *m, mascon_tensor *const *inputs,
                                          int32_t n_inputs, mascon_tensor **outputs,
                                          int32_t n_outputs);
/* Moves the weights to a device (MASCON_DEVICE_CUDA + index ...). On failure all stay. */
MASCON_API mascon_status mascon_model_to(mascon_model *m, int32_t device);
MASCON_API int32_t mascon_model_device(const mascon_model *m);

enum { MASCON_MODEL_INPUT = 0, MASCON_MODEL_OUTPUT };

/* How many inputs or outputs there are; 0 for another kind. */
MASCON_API int32_t mascon_model_count(const mascon_model *m, int32_t kind);
/* The name of input or output i; NULL out of range. Borrowed, like the shape. */
MASCON_API const char *mascon_model_name(const mascon_model *m, int32_t kind, int32_t i);
/* The position of a name, or -1. */
MASCON_API int32_t mascon_model_find(const mascon_model *m, int32_t kind, const char *name);
/* A MASCON_DTYPE_*, or -1 out of range. */
MASCON_API int32_t mascon_model_dtype(const mascon_model *m, int32_t kind, int32_t i);
/* The number of dimensions, or -1 out of range; *shape gets the sizes: -1 for the batch, which may
 * have any size from 1 (the same for all inputs), and for an output's sizes that follow from it. */
MASCON_API int32_t mascon_model_shape(const mascon_model *m, int32_t kind, int32_t i,
                                      const int64_t **shape);
/* How many calls the model makes. */
MASCON_API int32_t mascon_model_calls(const mascon_model *m);

/* ---- Recording --------------------------------------------------------------------------- */

typedef struct mascon_recorder mascon_recorder;

/* From now on the calls of this thread are recorded, while they run as always. One recorder at a time
 * in a thread. What cannot be recorded fails: reading values, random operations, gradients. */
MASCON_API mascon_status mascon_recorder_begin(mascon_recorder **out);
/* Ends recording where it has not ended, and frees everything. NULL is allowed. */
MASCON_API void mascon_recorder_release(mascon_recorder *r);
/* Declares an input, before the first call that uses it. All tensors are retained. */
MASCON_API mascon_status mascon_recorder_input(mascon_recorder *r, const char *name,
                                               mascon_tensor *t);
/* Gives a parameter the name under which it is saved. Others are called "constant.1" and so on. */
MASCON_API mascon_status mascon_recorder_constant(mascon_recorder *r, const char *name,
                                                  mascon_tensor *t);
/* Declares an output, after the last call. */
MASCON_API mascon_status mascon_recorder_output(mascon_recorder *r, const char *name,
                                                mascon_tensor *t);
/* The calls that follow belong to this part of the model ("Net.layer1.0"), for messages. Copied. */
MASCON_API void mascon_recorder_path(mascon_recorder *r, const char *path);
/* Ends recording; what was recorded stays. */
MASCON_API void mascon_recorder_stop(mascon_recorder *r);
/* How many calls were recorded so far. */
MASCON_API int32_t mascon_recorder_calls(const mascon_recorder *r);
/* Writes what was recorded to a file, whole or not at all. other is NULL, and all sizes are fixed; or a
 * recording of the same model with another size of the batch (the first dimension of its inputs), and
 * the batch of the saved model is free. Where the two do not allow that, fails with a sentence that
 * names the call. */
MASCON_API mascon_status mascon_recorder_save(const mascon_recorder *r,
                                              const mascon_recorder *other, const char *path);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

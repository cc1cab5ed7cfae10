/* mascon_program.h: programs: the kernel runs of a piece of work, recorded while it runs once and
 * replayed any number of times. The conventions are those of mascon.h.
 *
 *   mascon_program_begin(&p);
 *   mascon_program_input(p, x, &own);           work with own from here on, not with x
 *   ... operations, backward, an optimizer's step ...
 *   mascon_program_output(p, y, &result);       result is the caller's
 *   mascon_program_end(p);
 *   ... later, as often as wanted:
 *   if (mascon_program_fits(p, &x, 1) == MASCON_PROGRAM_FITS) mascon_program_run(p, &x, 1, &y, 1);
 *
 * A replay checks nothing again, infers no shapes and allocates nothing but its outputs. It reads and
 * writes the tensors that were there before the recording (parameters, statistics, state of an
 * optimizer) and draws from the same generators in the same order. Everything else is as it was when
 * recorded: numbers that the caller computed are constants.
 *
 * A program belongs to the thread that began it. The generators of its random operations must outlive
 * it.
 *
 * The part between [ffi] and [/ffi] is given to ffi.cdef after that of mascon.h.
 */
#ifndef MASCON_PROGRAM_H
#define MASCON_PROGRAM_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* [ffi] */

typedef struct mascon_program mascon_program;

/* ---- Recording --------------------------------------------------------------------------- */

/* From now on the kernel runs of this thread are recorded, while they run as always. One recording at
 * a time in a thread. What cannot be recorded fails: reading values that an input or a recorded
 * operation gave, host functions with a backward, moves to another device, results whose size
 * depends on values. */
MASCON_API mascon_status mascon_program_begin(mascon_program **out);
/* 1 while this thread records a program, or calls for a saved model. */
MASCON_API int32_t mascon_program_active(void);
/* *own, owned, stands for t in the recording; each replay gets another tensor for it. Neither it nor the
 * memory of t may be changed in place. Before the first operation. */
MASCON_API mascon_status mascon_program_input(mascon_program *p, mascon_tensor *t,
                                              mascon_tensor **own);
/* Declares the next output; *copy, owned, holds its values and takes part in no graph. MASCON_E_STATE
 * where t takes part in a graph whose backward has not run. */
MASCON_API mascon_status mascon_program_output(mascon_program *p, mascon_tensor *t,
                                               mascon_tensor **copy);
/* Stops recording (1) and goes on (0): what is made in between counts as there before. */
MASCON_API void mascon_program_pause(mascon_program *p, int32_t on);
/* How many kernel runs were recorded so far. */
MASCON_API int32_t mascon_program_steps(const mascon_program *p);
/* 1 where a recorded run works with the memory of t, which was there before the recording: every replay
 * works with that very memory. */
MASCON_API int32_t mascon_program_uses(const mascon_program *p, const mascon_tensor *t);
/* Ends recording and prepares replays. To be called when all handles of temporary tensors were given
 * back: memory of a tensor that somebody still holds is kept, and every replay writes into it. */
MASCON_API mascon_status mascon_program_end(mascon_program *p);
/* Ends recording where it has not ended, and frees everything. NULL is allowed. */
MASCON_API void mascon_program_release(mascon_program *p);

/* ---- Replaying --------------------------------------------------------------------------- */

/* Why a program does not fit the moment. */
enum {
    MASCON_PROGRAM_FITS = 0,
    MASCON_PROGRAM_INPUTS,    /* shape, dtype, layout or device of an input; or a step writes it */
    MASCON_PROGRAM_GRADIENTS, /* a gradient that it adds to or reads is another one, or is there */
    MASCON_PROGRAM_TRAINED,   /* another tensor requires a gradient than before */
    MASCON_PROGRAM_SETTINGS,  /* threads, precision, deterministic algorithms */
    MASCON_PROGRAM_RECORDING  /* this thread records */
};
MASCON_API int32_t mascon_program_fits(const mascon_program *p, mascon_tensor *const *inputs,
                                       int32_t n_inputs);
/* Replays the program, which must fit, and stores n_outputs owned tensors into outputs. Gradients of
 * leaves are afterwards the tensors that they were after the recording. On failure the steps before
 * the one that failed have run. */
MASCON_API mascon_status mascon_program_run(mascon_program *p, mascon_tensor *const *inputs,
                                            int32_t n_inputs, mascon_tensor **outputs,
                                            int32_t n_outputs);
/* Sets an option of the recorded runs of op in first..last-1 (mascon_program_steps): one of kind LIVE or,
 * where the program is no graph of a device, VALUE. */
MASCON_API mascon_status mascon_program_set(mascon_program *p, int32_t first, int32_t last,
                                            int32_t op, const char *option, double value);
/* MASCON_E_STATE with the first difference where two programs do not make the same runs: op, shapes,
 * options that are not LIVE ("option p of dropout was 0.1 when recorded, is 0.2 now"). */
MASCON_API mascon_status mascon_program_compare(const mascon_program *before,
                                                const mascon_program *now);

enum {
    MASCON_PROGRAM_COUNT_STEPS = 0, /* kernel runs of a replay */
    MASCON_PROGRAM_COUNT_DROPPED,   /* recorded runs whose results nobody used */
    MASCON_PROGRAM_COUNT_ARENA,     /* bytes of the one block for all temporary tensors */
    MASCON_PROGRAM_COUNT_TENSORS,   /* bytes of the temporary tensors, each for itself */
    MASCON_PROGRAM_COUNT_GRAPH,     /* 1: a graph of the device */
    MASCON_PROGRAM_COUNTS
};
/* Fills MASCON_PROGRAM_COUNTS numbers. */
MASCON_API void mascon_program_counts(const mascon_program *p, int64_t *out);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

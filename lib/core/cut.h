/* cut.h: a request to interrupt (mascon_interrupt) inside one long operation.
 *
 * The dispatcher allows it around a kernel whose call writes only tensors that it has made itself.
 * There masconI_parallel looks at the request before each slice: once it stands, the slices that have
 * not begun are left out, in this and in every later parallel call of that kernel. The kernel goes on
 * with what memory happens to hold, and the dispatcher drops its results and returns
 * MASCON_E_INTERRUPTED. So a kernel must not take sizes or positions in memory from what its slices
 * computed, and what outlives the call is made with the permission taken away. */
#ifndef MASCON_CORE_CUT_H
#define MASCON_CORE_CUT_H

/* Whether kernels that this thread runs may be cut short. Returns what held before. */
int masconI_cut_allow(int on);
/* For long loops without slices: 1 where the kernel shall return, whatever it has. */
int masconI_cut_asked(void);
/* 1 when something was left out since this was last asked. */
int masconI_cut_happened(void);

#endif

/* signals.h: code that no signal handler may interrupt.
 *
 * oneDNN's matrix products (seen in 2.6, AVX-512) use the stack pointer as one more register. A handler
 * that runs on the thread's stack meanwhile, of the host or of a debugger's timer, writes its frame into
 * whatever memory that register points to. Threads of the pool block all signals anyway. */
#ifndef MASCON_CORE_SIGNALS_H
#define MASCON_CORE_SIGNALS_H

/* Blocks this thread's signals until the release; pairs nest. */
void masconI_signals_hold(void);
void masconI_signals_release(void);

#endif

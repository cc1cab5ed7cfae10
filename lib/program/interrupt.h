/* interrupt.h: what Ctrl-C does while the program runs Lua. See interrupt.c. */
#ifndef MASCON_PROGRAM_INTERRUPT_H
#define MASCON_PROGRAM_INTERRUPT_H

#include <lua.h>

/* How the program ends. */
enum { EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* Installs the handler for this state; the caller's thread is the one that runs Lua. */
void interrupt_catch(lua_State *L);
/* Before the state is closed: from here on Ctrl-C ends the process. */
void interrupt_release(void);
/* Whether there was a Ctrl-C at all. */
int interrupt_seen(void);
/* In a session the second Ctrl-C only warns and the third ends the process. */
void interrupt_session(void);
/* Forgets a request that nothing answered: before a new computation and after it. */
void interrupt_forget(lua_State *L);
/* Puts print, io.write, file:write and os.exit behind forms that look at the request. */
void interrupt_guard_output(lua_State *L);

#endif

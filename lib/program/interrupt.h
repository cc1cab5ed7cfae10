/* interrupt.h: what Ctrl-C does while the program runs Lua. See interrupt.c. */
#ifndef MASCON_PROGRAM_INTERRUPT_H
#define MASCON_PROGRAM_INTERRUPT_H

#include <lua.h>

/* Installs the handler for this state; the caller's thread is the one that runs Lua. */
void interrupt_catch(lua_State *L);
/* Before the state is closed: from here on Ctrl-C ends the process. */
void interrupt_release(void);
/* Whether there was a Ctrl-C at all. */
int interrupt_seen(void);
/* In a session Ctrl-C counts between interrupt_arm(L, 1) and interrupt_arm(L, 0) only; there the second
 * one warns and the third ends the process. */
void interrupt_session(void);
/* Before a computation of the session and after it. Forgets a request that nothing answered. */
void interrupt_arm(lua_State *L, int on);
/* Puts print, io.write, file:write and os.exit behind forms that look at the request. */
void interrupt_guard_output(lua_State *L);

#endif

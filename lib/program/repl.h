/* repl.h: the terminal side of the interactive session. See repl.c. */
#ifndef MASCON_PROGRAM_REPL_H
#define MASCON_PROGRAM_REPL_H

#include <lua.h>

/* Pushes the table of functions that lua/mascon/repl/init.lua works with. */
void repl_push_terminal(lua_State *L);
/* Gives the terminal back; before the state is closed. */
void repl_close(void);

#endif

/* terminal.h: questions to the terminal itself. See terminal.c. */
#ifndef MASCON_PROGRAM_TERMINAL_H
#define MASCON_PROGRAM_TERMINAL_H

#include <lua.h>

/* ask(text, milliseconds): sends the text and gives what came back up to the answer to a request for
 * device attributes (ESC [ c), "" where none came in time or there is no terminal. */
int terminal_ask(lua_State *L);
/* size() gives columns, rows, and the pixels of the whole width and height (0: not told). */
int terminal_size(lua_State *L);
/* The next key that was typed while an answer was awaited; -1 where there is none. */
int terminal_typed(void);

#endif

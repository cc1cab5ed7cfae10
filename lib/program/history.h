/* history.h: the file of lines typed in earlier sessions. See history.c. */
#ifndef MASCON_PROGRAM_HISTORY_H
#define MASCON_PROGRAM_HISTORY_H

#include <lua.h>

/* keep(path, line): appends the line; nil and the reason where that fails. Makes missing folders. */
int history_keep(lua_State *L);
/* trim(path, most, kept): leaves the last `kept` lines of a file that has more than `most`. Returns false
 * where the path is no plain file: reading it may never end. */
int history_trim(lua_State *L);

#endif

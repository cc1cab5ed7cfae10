/* program.h: what the files of the program share. */
#ifndef MASCON_PROGRAM_PROGRAM_H
#define MASCON_PROGRAM_PROGRAM_H

#include <lua.h>

/* How the program ends. */
enum { EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* 1 for a frame that says nothing about the script: C functions and mascon's own Lua files. *ar has been
 * asked for "S". */
int program_is_noise(lua_State *L, const lua_Debug *ar);
/* Pushes the frames of the script as text. Where there are none: all frames with or_all, else "". */
void program_push_traceback(lua_State *L, int or_all);

#endif

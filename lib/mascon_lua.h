/* mascon_lua.h: mascon inside a host that has a LuaJIT state of its own.
 *
 * The Lua sources and the interface text are inside the library, so a host needs no files:
 *
 *     lua_getglobal(L, "package");
 *     lua_getfield(L, -1, "preload");
 *     lua_pushcfunction(L, luaopen_mascon);
 *     lua_setfield(L, -2, "mascon");           then, in Lua, require "mascon"
 *
 * The Lua functions are found in the process when the library is loaded: the host is linked with
 * LuaJIT, or LuaJIT's library was opened with RTLD_GLOBAL. A host that links mascon statically is
 * linked with -rdynamic.
 *
 * Every function here is to be called from the thread that runs L at that moment. Any number of states
 * may use mascon in any number of threads; a state may be closed at any time.
 */
#ifndef MASCON_LUA_H
#define MASCON_LUA_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

/* The loader of the module "mascon", for package.preload or lua_call: leaves the module on the stack and
 * returns 1. May raise a Lua error, as loaders do: call it from Lua or under lua_pcall. */
MASCON_API int luaopen_mascon(struct lua_State *L);

/* Pushes a Lua tensor that is t itself, not a copy. The Lua tensor holds a reference of its own, so the
 * caller keeps the one it has. Needs one free stack slot. Never raises: on failure nothing is pushed.
 * MASCON_E_STATE where mascon is not loaded in L, MASCON_E_ARG for NULL, MASCON_E_OOM. */
MASCON_API mascon_status mascon_push_tensor(struct lua_State *L, mascon_tensor *t);

/* *out = the tensor at a stack index, borrowed: it lives as long as the Lua value does, or longer after
 * mascon_tensor_retain. Never raises; *out is NULL on failure. MASCON_E_ARG where the value is no
 * tensor, MASCON_E_STATE where mascon is not loaded in L or the tensor was released. */
MASCON_API mascon_status mascon_check_tensor(struct lua_State *L, int index, mascon_tensor **out);

#ifdef __cplusplus
}
#endif

#endif

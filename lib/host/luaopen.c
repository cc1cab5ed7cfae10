/* luaopen.c: mascon inside a Lua state of a host: its loader, and tensors across the border.
 *
 * The library is not linked with LuaJIT, since C hosts without Lua use it too: Lua's functions are weak
 * references, resolved when a process that has them loads this library. Only this file calls them.
 *
 * Invariants
 *   - mascon_push_tensor and mascon_check_tensor never raise: whatever may allocate Lua memory runs
 *     under a protected call
 *   - what they need of the Lua side is two functions that ffi.lua leaves in the registry
 */
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#include "core/internal.h"
#include "host/sources.h"
#include "mascon_lua.h"

#pragma weak luaL_loadbuffer
#pragma weak lua_call
#pragma weak lua_checkstack
#pragma weak lua_cpcall
#pragma weak lua_getfield
#pragma weak lua_insert
#pragma weak lua_error
#pragma weak lua_pcall
#pragma weak lua_pushboolean
#pragma weak lua_pushcclosure
#pragma weak lua_pushinteger
#pragma weak lua_pushlightuserdata
#pragma weak lua_pushstring
#pragma weak lua_pushvalue
#pragma weak lua_rawget
#pragma weak lua_rawset
#pragma weak lua_setfield
#pragma weak lua_settop
#pragma weak lua_toboolean
#pragma weak lua_tointeger
#pragma weak lua_topointer
#pragma weak lua_touserdata
#pragma weak lua_type
#pragma weak lua_typename

/* Registry keys. */
static char key_push, key_check, key_result;

static void registry_get(lua_State *L, char *key) {
    lua_pushlightuserdata(L, key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Pops the value. */
static void registry_set(lua_State *L, char *key) {
    lua_pushlightuserdata(L, key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* ---- The loader --------------------------------------------------------------------------- */

/* Runs source file number upvalue 1 as the loader of its module. */
static int load_source(lua_State *L) {
    const masconI_source_file *s = &masconI_sources[lua_tointeger(L, lua_upvalueindex(1))];
    if (luaL_loadbuffer(L, s->begin, (size_t)(s->end - s->begin), s->chunk) != 0) {
        return lua_error(L);
    }
    lua_pushstring(L, s->module);
    lua_call(L, 1, 1);
    return 1;
}

/* Where ffi.lua finds the library's functions: a file name, or true for the program itself. */
static void set_library(lua_State *L) {
    Dl_info own, program;
    const void *head = (const void *)(uintptr_t)getauxval(AT_PHDR);
    int known = dladdr((const void *)(uintptr_t)&luaopen_mascon, &own) != 0;
    if (known && dladdr(head, &program) && own.dli_fbase == program.dli_fbase) {
        lua_pushboolean(L, 1);
    } else {
        lua_pushstring(L, known && own.dli_fname ? own.dli_fname : "mascon");
    }
    lua_setfield(L, LUA_REGISTRYINDEX, "mascon.path");
}

/* package.preload of every module but "mascon" itself; what a host has put there stays. */
static void fill_preload(lua_State *L) {
    lua_getfield(L, LUA_GLOBALSINDEX, "package");
    lua_getfield(L, -1, "preload");
    for (size_t i = 0; i < masconI_source_count; i++) {
        lua_getfield(L, -1, masconI_sources[i].module);
        int there = lua_type(L, -1) != LUA_TNIL;
        lua_settop(L, -2);
        if (there) continue;
        lua_pushinteger(L, (lua_Integer)i);
        lua_pushcclosure(L, load_source, 1);
        lua_setfield(L, -2, masconI_sources[i].module);
    }
    lua_settop(L, -3);
}

int luaopen_mascon(lua_State *L) {
    static const char *const name = "mascon";
    if (!lua_getfield) return 0; /* no Lua in this process: then nobody has a state either */
    lua_getfield(L, LUA_GLOBALSINDEX, "package");
    if (lua_type(L, -1) != LUA_TTABLE) {
        lua_pushstring(L, "mascon needs Lua's library \"package\" in this state (luaL_openlibs)");
        return lua_error(L);
    }
    lua_getfield(L, -1, "loaded");
    lua_getfield(L, -1, name);
    if (lua_type(L, -1) == LUA_TTABLE) return 1; /* while require loads it, it is no table yet */
    lua_settop(L, -4);
    set_library(L);
    fill_preload(L);
    for (size_t i = 0; i < masconI_source_count; i++) {
        if (strcmp(masconI_sources[i].module, name) != 0) continue;
        lua_pushinteger(L, (lua_Integer)i);
        lua_pushcclosure(L, load_source, 1);
        lua_call(L, 0, 1);
        return 1;
    }
    lua_pushstring(L, "this build of mascon carries no Lua sources");
    return lua_error(L);
}

/* ---- Tensors ------------------------------------------------------------------------------- */

/* Protected: leaves the Lua tensor of a handle in the registry, which needs no memory to be read. */
static int make_tensor(lua_State *L) {
    void *t = lua_touserdata(L, 1);
    registry_get(L, &key_push);
    lua_pushlightuserdata(L, t);
    lua_call(L, 1, 1);
    ((mascon_tensor *)t)->host_shared = 1;
    mascon_tensor_retain(t); /* the Lua tensor has it now; nothing can fail any more */
    registry_set(L, &key_result);
    return 0;
}

/* Protected: takes the two functions that ffi.lua keeps for us, whichever way mascon was loaded. */
static int find_functions(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, "mascon.library");
    if (lua_type(L, -1) != LUA_TTABLE) return 0;
    lua_getfield(L, -1, "from_pointer");
    registry_set(L, &key_push);
    lua_pushboolean(L, 0);
    registry_set(L, &key_result); /* the slot exists from now on, so filling it allocates nothing */
    lua_getfield(L, -1, "is_tensor");
    registry_set(L, &key_check);
    return 0;
}

/* Fails where mascon is not loaded in L. Nothing is left on the stack. */
static mascon_status check_loaded(lua_State *L) {
    if (!lua_checkstack || !lua_checkstack(L, 4)) {
        return masconI_fail(MASCON_E_OOM, "the Lua stack cannot grow");
    }
    for (int tries = 0; tries < 2; tries++) {
        registry_get(L, &key_check);
        int there = lua_type(L, -1) == LUA_TFUNCTION;
        lua_settop(L, -2);
        if (there) return MASCON_OK;
        if (tries == 0 && lua_cpcall(L, find_functions, NULL) != 0) {
            lua_settop(L, -2);
            return masconI_fail(MASCON_E_OOM, "not enough memory in the Lua state");
        }
    }
    masconI_fail(MASCON_E_STATE, "mascon is not loaded in this Lua state");
    return masconI_hint("require \"mascon\" there first, or call luaopen_mascon");
}

mascon_status mascon_push_tensor(lua_State *L, mascon_tensor *t) {
    if (!L || !t) return masconI_fail(MASCON_E_ARG, "the %s is NULL", L ? "tensor" : "Lua state");
    MASCON_TRY(check_loaded(L));
    if (lua_cpcall(L, make_tensor, t) != 0) {
        lua_settop(L, -2);
        return masconI_fail(MASCON_E_OOM, "not enough memory for a Lua tensor");
    }
    registry_get(L, &key_result);
    lua_pushboolean(L, 0);
    registry_set(L, &key_result);
    return MASCON_OK;
}

mascon_status mascon_check_tensor(lua_State *L, int index, mascon_tensor **out) {
    if (out) *out = NULL;
    if (!L || !out) return masconI_fail(MASCON_E_ARG, "the %s is NULL", L ? "result" : "Lua state");
    MASCON_TRY(check_loaded(L));
    lua_pushvalue(L, index);
    registry_get(L, &key_check);
    lua_pushvalue(L, -2);
    int tensor = lua_pcall(L, 1, 1, 0) == 0 && lua_toboolean(L, -1);
    lua_settop(L, -2);
    /* A cdata's pointer is its content, here one mascon_ref. */
    mascon_tensor *t = tensor ? ((const mascon_ref *)lua_topointer(L, -1))->h : NULL;
    const char *type = lua_typename(L, lua_type(L, -1));
    lua_settop(L, -2);
    if (!tensor) {
        return masconI_fail(MASCON_E_ARG, "the value at index %d is a %s; expected a tensor", index,
                            type);
    }
    if (!t) return masconI_fail(MASCON_E_STATE, "the tensor at index %d was released", index);
    MASCON_TRY(masconI_tensor_alive(t));
    *out = t;
    return MASCON_OK;
}

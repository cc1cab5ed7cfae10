/* mascon.c: the program `mascon`, which runs Lua scripts with mascon at hand, and the interactive session.
 *
 * It owns one Lua state, always closed at the end so that finalisers run. Ctrl-C is interrupt.c, the
 * terminal repl.c; what the session says and does is lua/mascon/repl.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>

#include "mascon_lua.h"
#include "program/interrupt.h"
#include "program/program.h"
#include "program/repl.h"

/* What main hands to the protected part, and what comes back. */
typedef struct program {
    int argc;
    char **argv;
    int status;
} program;

static const char usage_text[] =
    "usage: mascon                       an interactive session (a script, where input is no "
    "terminal)\n"
    "       mascon [OPTION]... [script.lua [ARGS]]   run a script (its arguments: `...` and "
    "`arg`)\n"
    "       mascon [OPTION]... - [ARGS]  run a script that is read from standard input\n"
    "       mascon info                  versions, devices, processor features, libraries\n"
    "options:\n"
    "  -e CODE     run CODE first\n"
    "  -l MODULE   require MODULE first\n"
    "  -i          an interactive session after the script and CODE\n"
    "  --version   --help\n";

/* ---- Where things are -------------------------------------------------------------------- */

/* The folder of this program, "" when the system does not say. */
static void program_folder(char *folder, size_t size) {
    ssize_t n = readlink("/proc/self/exe", folder, size - 1);
    folder[n > 0 ? n : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
}

/* 1 and *out = the real path of folder/tail when that exists. */
static int find(const char *folder, const char *tail, char out[PATH_MAX]) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, tail);
    return n > 0 && (size_t)n < sizeof path && realpath(path, out) != NULL;
}

/* Adds "folder/?.lua;" and, with packages, "folder/?/init.lua;" to the buffer. */
static void add_folder(luaL_Buffer *b, const char *folder, int packages) {
    if (strpbrk(folder, ";?")) {
        fprintf(stderr, "mascon: no module is found in %s: its name has a ; or ?\n", folder);
        return;
    }
    luaL_addstring(b, folder);
    luaL_addstring(b, "/?.lua;");
    if (!packages) return;
    luaL_addstring(b, folder);
    luaL_addstring(b, "/?/init.lua;");
}

/* Puts mascon's Lua files, the script's folder and the examples in front of package.path, and tells
 * the Lua side which library this program is linked with (the variable MASCON_LIBRARY; one that is
 * set already stays). Keeps mascon's Lua folder in the registry for tracebacks. */
static void set_paths(lua_State *L, const char *script) {
    char exe[PATH_MAX], lua[PATH_MAX], folder[PATH_MAX];
    luaL_Buffer b;
    program_folder(exe, sizeof exe);
    luaL_buffinit(L, &b);
    if (find(exe, "../lua/mascon/init.lua", lua) ||
        find(exe, "../share/lua/5.1/mascon/init.lua", lua)) {
        lua[strlen(lua) - strlen("/mascon/init.lua")] = 0;
        add_folder(&b, lua, 1);
    } else { /* the files that the library carries */
        snprintf(lua, sizeof lua, "mascon/");
        lua_getglobal(L, "package");
        lua_getfield(L, -1, "preload");
        lua_pushcfunction(L, luaopen_mascon);
        lua_setfield(L, -2, "mascon");
        lua_pop(L, 2);
        lua_getglobal(L, "require"); /* which also makes mascon.repl and the others known */
        lua_pushliteral(L, "mascon");
        lua_call(L, 1, 0);
    }
    if (script) {
        const char *slash = strrchr(script, '/');
        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - script) : 1,
                 slash ? script : ".");
        add_folder(&b, slash == script ? "" : folder, 1);
    }
    if (find(exe, "../examples", folder)) add_folder(&b, folder, 0);
    luaL_pushresult(&b);
    lua_getglobal(L, "package");
    lua_pushvalue(L, -2);
    lua_getfield(L, -2, "path");
    lua_concat(L, 2);
    lua_setfield(L, -2, "path");
    lua_pop(L, 2);

    lua_pushstring(L, lua);
    lua_setfield(L, LUA_REGISTRYINDEX, "mascon.lua");
    Dl_info info;
    if (dladdr((const void *)(uintptr_t)&mascon_version, &info) && info.dli_fname &&
        realpath(info.dli_fname, folder)) {
        setenv("MASCON_LIBRARY", folder, 0);
    }
}

/* ---- Errors ------------------------------------------------------------------------------ */

int program_is_noise(lua_State *L, const lua_Debug *ar) {
    lua_getfield(L, LUA_REGISTRYINDEX, "mascon.lua");
    const char *folder = lua_tostring(L, -1);
    size_t n = folder ? strlen(folder) : 0;
    int own = n > 0 && ar->source[0] == '@' && strncmp(ar->source + 1, folder, n) == 0;
    lua_pop(L, 1);
    return own || strcmp(ar->what, "C") == 0 || strncmp(ar->source, "=mascon", 7) == 0;
}

static void add_frame(lua_State *L, luaL_Buffer *b, const lua_Debug *ar) {
    if (ar->currentline > 0) {
        lua_pushfstring(L, "\n\t%s:%d: in ", ar->short_src, ar->currentline);
    } else {
        lua_pushfstring(L, "\n\t%s: in ", ar->short_src);
    }
    luaL_addvalue(b);
    if (strcmp(ar->what, "main") == 0) {
        luaL_addstring(b, "main chunk");
        return;
    }
    if (ar->name && ar->name[0]) {
        lua_pushfstring(L, "function '%s'", ar->name);
    } else {
        lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
    }
    luaL_addvalue(b);
}

/* All frames are shown with MASCON_DEBUG set. */
void program_push_traceback(lua_State *L, int or_all) {
    enum { MAX_FRAMES = 40 };
    lua_Debug ar;
    luaL_Buffer b;
    const char *debug = getenv("MASCON_DEBUG");
    int all = debug && *debug && strcmp(debug, "0") != 0;
    int shown = 0, own = 0, level;
    for (level = 1; !all && lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "S", &ar);
        own += !program_is_noise(L, &ar);
    }
    if (own == 0 && or_all) all = 1;
    luaL_buffinit(L, &b);
    for (level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Snl", &ar);
        if (all ? strcmp(ar.what, "C") == 0 && !(debug && *debug) : program_is_noise(L, &ar)) {
            continue;
        }
        if (shown == 0) luaL_addstring(&b, "\nstack traceback:");
        if (shown++ == MAX_FRAMES) {
            luaL_addstring(&b, "\n\t...");
            break;
        }
        add_frame(L, &b, &ar);
    }
    luaL_pushresult(&b);
}

/* Message handler: the message, then the frames of the script. */
static int explain(lua_State *L) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_isstring(L, -1)) {
        lua_replace(L, 1);
    } else if (!lua_isstring(L, 1)) {
        lua_settop(L, 1);
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
        lua_replace(L, 1);
    }
    lua_settop(L, 1);
    program_push_traceback(L, 1);
    lua_concat(L, 2);
    return 1;
}

/* Prints the message at the top and gives the exit status that fits. */
static int report(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fflush(stdout);
    fprintf(stderr, "mascon: %s\n", message ? message : "(error without a message)");
    int interrupted = interrupt_seen() && message && strstr(message, "interrupted") != NULL;
    lua_pop(L, 1);
    return interrupted ? EXIT_INTERRUPTED : EXIT_ERROR;
}

/* ---- Running ----------------------------------------------------------------------------- */

/* Calls the function below n arguments. */
static int call(lua_State *L, int n) {
    int base = lua_gettop(L) - n;
    lua_pushcfunction(L, explain);
    lua_insert(L, base);
    int failed = lua_pcall(L, n, 0, base);
    int status = failed ? report(L) : 0;
    lua_remove(L, base);
    return status;
}

static int run_code(lua_State *L, const char *code) {
    if (luaL_loadbuffer(L, code, strlen(code), "=(command line)")) return report(L);
    return call(L, 0);
}

/* Runs argv[script] ("-": standard input) with what follows it as arguments. */
static int run_script(lua_State *L, const char *name, int argc, char **argv, int script) {
    if (luaL_loadfile(L, name)) return report(L);
    int n = argc - script - 1;
    if (n < 0) n = 0;
    luaL_checkstack(L, n + 2, "too many arguments");
    for (int i = 0; i < n; i++) lua_pushstring(L, argv[script + 1 + i]);
    return call(L, n);
}

/* The global arg: [0] the script, positive its arguments, negative what stands before. */
static void set_arg(lua_State *L, int argc, char **argv, int script) {
    int zero = script < argc ? script : 0;
    lua_createtable(L, argc - zero, zero + 1);
    for (int i = 0; i < argc; i++) {
        if (script >= argc && i > 0) break; /* -e CODE alone: only the program's name */
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - zero);
    }
    lua_setglobal(L, "arg");
}

static int run_require(lua_State *L, const char *name) {
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    return call(L, 1);
}

/* Calls field of the Lua module with the terminal's functions. */
static int run_session(lua_State *L, const char *module, const char *field) {
    static const char code[] =
        "local module, field, terminal = ... require(module)[field](terminal)";
    if (luaL_loadbuffer(L, code, sizeof code - 1, "=mascon")) return report(L);
    lua_pushstring(L, module);
    lua_pushstring(L, field);
    repl_push_terminal(L);
    return call(L, 3);
}

static int usage_error(const char *format, const char *what) {
    fprintf(stderr, format, what);
    fputs(usage_text, stderr);
    return EXIT_USAGE;
}

/* 1 where an option takes the next word. main has checked that the word follows. */
static int takes_word(const char *option) {
    return strcmp(option, "-e") == 0 || strcmp(option, "-l") == 0;
}

/* Protected: runs everything that the command line asks for. */
static int run(lua_State *L) {
    program *p = lua_touserdata(L, 1);
    int argc = p->argc, i = 1, codes = 0, session = 0;
    char **argv = p->argv;
    lua_settop(L, 0);
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (takes_word(argv[i])) {
            codes += argv[i][1] == 'e';
            i++;
        } else if (strcmp(argv[i], "-i") == 0) {
            session = 1;
        } else if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
    }
    /* Nothing to run opens a session on a terminal; elsewhere standard input is the script. */
    if (i >= argc && codes == 0 && isatty(STDIN_FILENO)) session = 1;
    int from_input = i < argc ? strcmp(argv[i], "-") == 0 : codes == 0 && !session;
    int info = i < argc && i == argc - 1 && strcmp(argv[i], "info") == 0;
    const char *script = i < argc && !from_input && !info ? argv[i] : NULL;

    /* The collector rests while the libraries are opened. */
    lua_gc(L, LUA_GCSTOP, 0);
    luaL_openlibs(L);
    lua_gc(L, LUA_GCRESTART, 0);
    set_paths(L, script);
    interrupt_guard_output(L);
    set_arg(L, argc, argv, i);
    interrupt_catch(L);
    for (int k = 1; k < i && p->status == 0; k++) {
        if (strcmp(argv[k], "-e") == 0)
            p->status = run_code(L, argv[++k]);
        else if (strcmp(argv[k], "-l") == 0)
            p->status = run_require(L, argv[++k]);
    }
    if (p->status == 0 && (script || from_input)) {
        p->status = run_script(L, script, argc, argv, i);
    } else if (p->status == 0 && info) {
        p->status = run_session(L, "mascon.repl.info", "print");
    }
    if (session) {
        interrupt_session();
        p->status = run_session(L, "mascon.repl", "start");
    }
    return 0;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage_text, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-v") == 0) {
            printf("mascon %s, %s\n", mascon_version(), LUAJIT_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--") == 0) break;
        if (strcmp(argv[i], "-i") == 0) continue;
        if (!takes_word(argv[i])) return usage_error("mascon: unknown option %s\n", argv[i]);
        if (++i == argc) return usage_error("mascon: %s needs a word after it\n", argv[i - 1]);
    }
    /* A line of output appears when it is written, also in a log or a pipe. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("mascon: not enough memory for a Lua state\n", stderr);
        return EXIT_ERROR;
    }
    program p = {argc, argv, 0};
    if (lua_cpcall(L, run, &p)) p.status = report(L);
    interrupt_release();
    repl_close();
    lua_close(L);
    return p.status;
}

/* interrupt.c: the process's SIGINT handler, which the library never installs, and the functions of
 * Lua's library that look at its request.
 *
 * The handler throws nothing. The first Ctrl-C sets the library's flag (every mascon operation, loader
 * wait and progress line looks at it) and a hook that interpreted code of the script meets at its next
 * instruction. Compiled loops meet no hook; if they call mascon or print they meet the flag. Who raises
 * the error takes the flag down, so a script that caught it can be interrupted again. A second Ctrl-C
 * that finds the flag still up ends the process at once. In a session, where variables would be lost, it
 * warns, and the third one ends it; between computations none does anything.
 */
#include "program/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "mascon.h"
#include "program/program.h"

static lua_State *main_state; /* NULL while no script runs */
static pthread_t main_thread;
static volatile sig_atomic_t seen, in_session, armed, warned, presses;

/* Runs at each interpreted instruction after a Ctrl-C, until it meets the script's code: an error between
 * the parts of one of mascon's operations would leave half of it behind. */
static void raise_interrupt(lua_State *L, lua_Debug *ar) {
    lua_getinfo(L, "Sl", ar);
    if (program_is_noise(L, ar)) return;
    /* A loop around pcall has caught the first one: the second ends that loop too. */
    int insist = in_session && presses > 1;
    if (!insist) lua_sethook(L, NULL, 0, 0);
    if (!mascon_interrupted() && !insist) return;
    if (ar->currentline > 0) luaL_error(L, "%s:%d: interrupted", ar->short_src, ar->currentline);
    luaL_error(L, "interrupted");
}

static void say(const char *text) {
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void on_sigint(int signal_number) {
    int saved = errno;
    if (!pthread_equal(pthread_self(), main_thread)) {
        /* A worker thread must not touch the Lua state. */
        pthread_kill(main_thread, signal_number);
    } else if (in_session && !armed) {
        /* Nothing runs that could be stopped. */
    } else if (!mascon_interrupted()) {
        seen = 1;
        warned = 0;
        presses++;
        mascon_interrupt();
        if (main_state) {
            lua_sethook(main_state, raise_interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
        }
    } else if (in_session && !warned) {
        warned = 1;
        mascon_interrupt();
        say("\nstill running; the next Ctrl-C ends the session and loses its variables\n");
    } else {
        say(in_session ? "\ninterrupted: the session was ended\n"
                       : "\ninterrupted: the script did not stop at the first Ctrl-C\n");
        _exit(EXIT_INTERRUPTED);
    }
    errno = saved;
}

void interrupt_catch(lua_State *L) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_sigint;
    action.sa_flags = SA_RESTART; /* a write or read of the script goes on */
    sigemptyset(&action.sa_mask);
    main_thread = pthread_self();
    main_state = L;
    sigaction(SIGINT, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow: its write fails, with a sentence */
}

void interrupt_release(void) {
    signal(SIGINT, SIG_DFL);
    main_state = NULL;
}

int interrupt_seen(void) { return seen; }

void interrupt_session(void) { in_session = 1; }

void interrupt_arm(lua_State *L, int on) {
    armed = on;
    mascon_interrupted();
    warned = 0;
    presses = 0;
    if (lua_gethook(L) == raise_interrupt) lua_sethook(L, NULL, 0, 0);
}

/* ---- print, io.write, file:write and os.exit --------------------------------------------- */

/* A loop that only prints must end at Ctrl-C too, also when it is compiled. Each function below
 * stands in front of the original, its upvalue 1, and changes nothing of the output. */

static int forward(lua_State *L) {
    int n = lua_gettop(L);
    if (mascon_interrupted()) return luaL_error(L, "interrupted");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

/* A bad argument is found here and not in the original, which would not know its name and position:
 * those come from the Lua code that calls. */
static int forward_write(lua_State *L) {
    int first = lua_isuserdata(L, 1) ? 2 : 1;
    for (int i = first; i <= lua_gettop(L); i++) luaL_checklstring(L, i, NULL);
    return forward(L);
}

/* os.exit with the state closed, whatever its second argument. */
static int close_and_exit(lua_State *L) {
    int n = lua_gettop(L);
    interrupt_release();
    lua_pushvalue(L, lua_upvalueindex(1));
    if (n > 0) {
        lua_pushvalue(L, 1);
    } else {
        lua_pushnil(L);
    }
    lua_pushboolean(L, 1);
    lua_call(L, 2, 0);
    return 0;
}

/* Replaces field name of the table at the top. */
static void stand_before(lua_State *L, const char *name, lua_CFunction function) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void interrupt_guard_output(lua_State *L) {
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    stand_before(L, "print", forward);
    lua_getfield(L, -1, "os");
    stand_before(L, "exit", close_and_exit);
    lua_pop(L, 1);
    lua_getfield(L, -1, "io");
    stand_before(L, "write", forward_write);
    lua_getfield(L, -1, "stdout");
    if (lua_getmetatable(L, -1)) {
        lua_getfield(L, -1, "__index");
        stand_before(L, "write", forward_write);
        lua_pop(L, 2);
    }
    lua_pop(L, 3);
}

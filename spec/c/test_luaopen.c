/* test_luaopen.c: mascon inside Lua states of a C program, from the sources that the library carries.
 *
 *   test_luaopen [THREADS ROUNDS]   the last test with other numbers (8 1000 takes a minute) */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"
#include "mascon_lua.h"

/* A state with mascon in package.preload and no folder to load Lua files from. */
static lua_State *open_state(void) {
    lua_State *L = luaL_newstate();
    if (!L) return NULL;
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "path");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_mascon);
    lua_setfield(L, -2, "mascon");
    lua_pop(L, 2);
    return L;
}

/* Runs code; says what went wrong. */
static int run(lua_State *L, const char *code) {
    if (luaL_dostring(L, code) == 0) return 1;
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
    return 0;
}

static mascon_tensor *new_tensor(double first) {
    mascon_tensor *t = NULL;
    const int64_t shape[] = {2, 2};
    if (mascon_tensor_new(&t, MASCON_DTYPE_F32, 2, shape, MASCON_DEVICE_CPU) != MASCON_OK)
        return NULL;
    const double values[] = {first, 2, 3, 4};
    mascon_tensor_write(t, values);
    return t;
}

static int test_before_require(void) {
    lua_State *L = open_state();
    EXPECT(L);
    mascon_tensor *t = new_tensor(1), *out = t;
    EXPECT(mascon_push_tensor(L, t) == MASCON_E_STATE);
    EXPECT(strstr(mascon_last_error()->message, "not loaded in this Lua state"));
    EXPECT(mascon_check_tensor(L, 1, &out) == MASCON_E_STATE && out == NULL);
    EXPECT(lua_gettop(L) == 0);
    mascon_tensor_release(t);
    lua_close(L);
    return 0;
}

static int test_both_ways(void) {
    lua_State *L = open_state();
    EXPECT(L && run(L, "mascon = require 'mascon'"));
    mascon_tensor *t = new_tensor(7), *same = NULL, *made = NULL;
    EXPECT(mascon_push_tensor(L, t) == MASCON_OK && lua_gettop(L) == 1);
    EXPECT(mascon_check_tensor(L, 1, &same) == MASCON_OK && same == t);
    EXPECT(mascon_check_tensor(L, -1, &same) == MASCON_OK && same == t);
    lua_setglobal(L, "t");
    EXPECT(run(L, "assert(t[1][1]:item() == 7 and t.dtype == 'float32'); t[1][1] = 5"));
    double values[4];
    EXPECT(mascon_tensor_read(t, values) == MASCON_OK && values[0] == 5);
    /* released in Lua: the caller's reference stays good */
    EXPECT(run(L, "t:release()"));
    lua_getglobal(L, "t");
    EXPECT(mascon_check_tensor(L, 1, &same) == MASCON_E_STATE && same == NULL);
    lua_settop(L, 0);
    EXPECT(mascon_tensor_read(t, values) == MASCON_OK && values[3] == 4);
    /* inside a scope: what C gave does not belong to it */
    EXPECT(mascon_push_tensor(L, t) == MASCON_OK);
    lua_setglobal(L, "t");
    EXPECT(run(L, "mascon.scope(function() local y = t + 1 end)"));
    EXPECT(mascon_tensor_read(t, values) == MASCON_OK);
    /* what Lua made outlives its state once C holds a reference */
    EXPECT(run(L, "u = mascon.ones{3} * 2"));
    lua_getglobal(L, "u");
    EXPECT(mascon_check_tensor(L, 1, &made) == MASCON_OK);
    mascon_tensor_retain(made);
    lua_close(L);
    EXPECT(mascon_tensor_read(made, values) == MASCON_OK && values[2] == 2);
    mascon_tensor_release(made);
    mascon_tensor_release(t);
    return 0;
}

static int test_bad_arguments(void) {
    lua_State *L = open_state();
    EXPECT(L && run(L, "require 'mascon'"));
    mascon_tensor *out = NULL;
    EXPECT(mascon_push_tensor(L, NULL) == MASCON_E_ARG);
    EXPECT(mascon_push_tensor(NULL, NULL) == MASCON_E_ARG);
    EXPECT(mascon_check_tensor(NULL, 1, &out) == MASCON_E_ARG);
    EXPECT(mascon_check_tensor(L, 1, NULL) == MASCON_E_ARG);
    lua_pushliteral(L, "no tensor");
    EXPECT(mascon_check_tensor(L, 1, &out) == MASCON_E_ARG);
    EXPECT(strcmp(mascon_last_error()->message,
                  "the value at index 1 is a string; expected a tensor") == 0);
    EXPECT(run(L, "other = require('ffi').new('int[4]')"));
    lua_getglobal(L, "other");
    EXPECT(mascon_check_tensor(L, -1, &out) == MASCON_E_ARG && lua_gettop(L) == 2);
    lua_close(L);
    return 0;
}

/* A second require, and one after package.loaded was cleared, work with the tensors of the first. */
static int test_again(void) {
    lua_State *L = open_state();
    EXPECT(L && run(L, "first = require 'mascon'; x = first.ones{2}"));
    EXPECT(run(L, "assert(require 'mascon' == first)"));
    EXPECT(run(L,
               "for name in pairs(package.loaded) do\n"
               "  if name:match('^mascon') then package.loaded[name] = nil end\n"
               "end\n"
               "local second = require 'mascon'\n"
               "assert(second ~= first and (second.ones{2} + x):sum():item() == 4)"));
    mascon_tensor *t = new_tensor(1);
    EXPECT(mascon_push_tensor(L, t) == MASCON_OK);
    mascon_tensor_release(t);
    lua_close(L);
    return 0;
}

static int test_without_package(void) {
    lua_State *L = luaL_newstate();
    EXPECT(L);
    lua_pushcfunction(L, luaopen_mascon);
    EXPECT(lua_pcall(L, 0, 1, 0) != 0);
    EXPECT(strstr(lua_tostring(L, -1), "library \"package\""));
    lua_close(L);
    return 0;
}

/* ---- What states share ------------------------------------------------------------------------ */

static const char sharing[] =
    "local mascon = require 'mascon'\n"
    "local value = mascon.cached('weights', function()\n"
    "  made = true\n"
    "  local t = mascon.zeros{1000}\n"
    "  for i = 1, 20 do t:add_(1) end -- long enough for the others to come\n"
    "  return {t = t}\n"
    "end)\n"
    "assert(value.t:sum():item() == 20000)\n"
    "return made and 1 or 0, (value.t * 2):share()";

typedef struct sharer {
    int faults, made;
    int64_t number;
} sharer;

static void *share(void *argument) {
    sharer *s = argument;
    lua_State *L = open_state();
    if (!L || luaL_loadstring(L, sharing) != 0 || lua_pcall(L, 0, 2, 0) != 0) {
        s->faults++;
    } else {
        s->made = (int)lua_tointeger(L, -2);
        s->number = (int64_t)lua_tointeger(L, -1);
    }
    if (L) lua_close(L);
    return NULL;
}

/* Four states ask for a value: one makes it. What each shares outlives its state. */
static int test_sharing(void) {
    enum { STATES = 4 };
    pthread_t id[STATES];
    sharer s[STATES] = {{0, 0, 0}};
    for (int i = 0; i < STATES; i++) EXPECT(pthread_create(&id[i], NULL, share, &s[i]) == 0);
    int made = 0;
    for (int i = 0; i < STATES; i++) {
        pthread_join(id[i], NULL);
        EXPECT(s[i].faults == 0);
        made += s[i].made;
    }
    EXPECT(made == 1);
    lua_State *L = open_state();
    EXPECT(L && run(L, "mascon = require 'mascon'"));
    for (int i = 0; i < STATES; i++) {
        lua_pushinteger(L, (lua_Integer)s[i].number);
        lua_setglobal(L, "number");
        EXPECT(run(L, "assert(mascon.from_shared(number):sum():item() == 40000)"));
        EXPECT(run(L, "assert(not pcall(mascon.from_shared, number))"));
    }
    lua_close(L);
    return 0;
}

/* ---- A forked process -------------------------------------------------------------------------- */

static int test_fork(void) {
    lua_State *L = open_state();
    EXPECT(L && run(L, "mascon = require 'mascon'; x = mascon.ones{100, 100}; x = x:matmul(x)"));
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        int good = run(L,
                       "local good, message = pcall(x.matmul, x, x)\n"
                       "assert(not good and message:find('matmul: process was forked after compute "
                       "began %(pid %d+ %-> %d+%); load in the child instead'), message)");
        _exit(good ? 0 : 1);
    }
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    lua_close(L);
    return 0;
}

/* ---- Many states in many threads ------------------------------------------------------------ */

static const char train[] =
    "local mascon = require 'mascon'\n"
    "local nn, optim = mascon.nn, mascon.optim\n"
    "mascon.manual_seed(...)\n"
    "local net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),\n"
    "  nn.Linear(18, 3))\n"
    "local optimizer = optim.Adam(net:parameters(), {lr = 0.01})\n"
    "local x, y = mascon.randn{4, 1, 8, 8}, mascon.tensor({1, 2, 3, 1}, {dtype = 'int64'})\n"
    "local loss\n"
    "for step = 1, 5 do\n"
    "  optimizer:zero_grad()\n"
    "  loss = nn.functional.cross_entropy(net(x), y)\n"
    "  loss:backward()\n"
    "  optimizer:step()\n"
    "end\n"
    "local good, message = pcall(net, mascon.randn{4, 2, 8, 8})\n"
    "assert(not good and message:find('the layer takes 1'), message)\n"
    "return loss:item()";

typedef struct worker {
    int rounds, faults;
    double loss;
} worker;

static void *work(void *argument) {
    worker *w = argument;
    for (int i = 0; i < w->rounds; i++) {
        lua_State *L = open_state();
        if (!L || luaL_loadstring(L, train) != 0) {
            w->faults++;
            break;
        }
        lua_pushinteger(L, 42);
        if (lua_pcall(L, 1, 1, 0) != 0) {
            fprintf(stderr, "%s\n", lua_tostring(L, -1));
            w->faults++;
        } else if (i > 0 && lua_tonumber(L, -1) != w->loss) {
            w->faults++;
        } else {
            w->loss = lua_tonumber(L, -1);
        }
        lua_close(L);
    }
    return NULL;
}

static int test_threads(int threads, int rounds) {
    enum { MOST = 64 };
    if (threads < 1 || threads > MOST) return 1;
    pthread_t id[MOST];
    worker w[MOST];
    int64_t before[MASCON_MEMORY_COUNT], after[MASCON_MEMORY_COUNT];
    mascon_memory(MASCON_DEVICE_CPU, before);
    for (int i = 0; i < threads; i++) {
        w[i] = (worker){rounds, 0, 0};
        EXPECT(pthread_create(&id[i], NULL, work, &w[i]) == 0);
    }
    int faults = 0;
    for (int i = 0; i < threads; i++) {
        pthread_join(id[i], NULL);
        faults += w[i].faults + (w[i].loss != w[0].loss);
    }
    EXPECT(faults == 0);
    mascon_memory(MASCON_DEVICE_CPU, after);
    EXPECT(after[MASCON_MEMORY_TENSORS] == before[MASCON_MEMORY_TENSORS]);
    EXPECT(after[MASCON_MEMORY_NODES] == before[MASCON_MEMORY_NODES]);
    EXPECT(after[MASCON_MEMORY_LIVE] == before[MASCON_MEMORY_LIVE]);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3) return test_threads(atoi(argv[1]), atoi(argv[2]));
    if (test_before_require() || test_both_ways() || test_bad_arguments() || test_again() ||
        test_without_package() || test_sharing() || test_threads(4, 5) || test_fork()) {
        return 1;
    }
    return 0;
}

/* repl.c: what the interactive session needs of the system: lines with editing and history (libedit),
 * the TAB key, and calls that Ctrl-C can end. All that is said and decided is in lua/mascon/repl.
 *
 * libedit is opened at the first line that is read from a terminal; anything else is read as it comes.
 * While a line is read, SIGINT, SIGWINCH and SIGCONT are blocked but for the moment of waiting for a key,
 * so that none is lost between a look at its flag and the wait. Their handlers only set flags.
 */
#include "program/repl.h"

#include <dirent.h>
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include <lauxlib.h>

#include "mascon.h"
#include "program/history.h"
#include "program/interrupt.h"
#include "program/program.h"
#include "program/terminal.h"

enum { HISTORY_LINES = 2000, PROMPT_BYTES = 64 };

static EditLine *editor;
static History *history_lines;
static lua_State *session; /* the state whose completion function TAB calls */
static int complete_ref = LUA_NOREF;
static char prompt_text[PROMPT_BYTES];
static sigset_t key_mask; /* the signals blocked while a key is awaited */
static volatile sig_atomic_t got_interrupt, got_resize, got_continue;

static void on_signal(int signal_number) {
    if (signal_number == SIGINT) got_interrupt = 1;
    if (signal_number == SIGWINCH) got_resize = 1;
    if (signal_number == SIGCONT) got_continue = 1;
}

/* ---- Keys -------------------------------------------------------------------------------- */

/* One byte of standard input: 1, 0 at its end, -1 after Ctrl-C. */
static int read_byte(EditLine *el, char *byte) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    for (;;) {
        if (got_interrupt) {
            errno = EINTR;
            return -1;
        }
        if (got_continue) { /* the shell has had the terminal in between */
            got_continue = 0;
            el_set(el, EL_PREP_TERM, 0);
            el_set(el, EL_PREP_TERM, 1);
            el_set(el, EL_REFRESH);
        }
        if (got_resize) {
            got_resize = 0;
            el_resize(el);
            el_set(el, EL_REFRESH);
        }
        const int typed = terminal_typed();
        if (typed >= 0) {
            *byte = (char)typed;
            return 1;
        }
        if (ppoll(&input, 1, NULL, &key_mask) < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        /* Where a key is there, ppoll leaves a signal pending that may have come before it. */
        const struct timespec none = {0, 0};
        if (ppoll(NULL, 0, &none, &key_mask) < 0 && errno == EINTR) continue;
        ssize_t n = read(STDIN_FILENO, byte, 1);
        if (n >= 0) return (int)n;
        if (errno != EINTR && errno != EAGAIN) return errno == EIO ? 0 : -1;
    }
}

/* One character, for libedit. Bytes that are no character are left out. */
static int read_key(EditLine *el, wchar_t *key) {
    mbstate_t state;
    memset(&state, 0, sizeof state);
    for (;;) {
        char byte;
        int n = read_byte(el, &byte);
        if (n <= 0) return n;
        size_t used = mbrtowc(key, &byte, 1, &state);
        if (used == (size_t)-2) continue;
        if (used != (size_t)-1) return 1;
        memset(&state, 0, sizeof state);
    }
}

static char *give_prompt(EditLine *el) {
    (void)el;
    return prompt_text;
}

/* The TAB key: asks Lua what to insert at the cursor and what to show below the line. */
static unsigned char complete_key(EditLine *el, int key) {
    (void)key;
    const LineInfo *line = el_line(el);
    lua_State *L = session;
    int top = lua_gettop(L);
    unsigned char result = CC_ERROR;
    if (complete_ref == LUA_NOREF) return result;
    lua_rawgeti(L, LUA_REGISTRYINDEX, complete_ref);
    lua_pushlstring(L, line->buffer, (size_t)(line->cursor - line->buffer));
    if (lua_pcall(L, 1, 2, 0) == 0) {
        const char *text = lua_tostring(L, -2), *list = lua_tostring(L, -1);
        if (list) {
            printf("\n%s\n", list);
            fflush(stdout);
            result = CC_REDISPLAY;
        }
        if (text && *text && el_insertstr(el, text) == 0) {
            result = list ? CC_REDISPLAY : CC_REFRESH;
        }
    }
    lua_settop(L, top);
    return result;
}

/* ---- Lines ------------------------------------------------------------------------------- */

static int open_editor(lua_State *L) {
    static const char *const keys[][2] = {
        {"^I", "mascon-complete"},          {"\\e[3~", "ed-delete-next-char"},
        {"\\e[H", "ed-move-to-beg"},        {"\\e[F", "ed-move-to-end"},
        {"\\e[1~", "ed-move-to-beg"},       {"\\e[4~", "ed-move-to-end"},
        {"\\e[1;5C", "em-next-word"},       {"\\e[1;5D", "ed-prev-word"},
        {"^R", "em-inc-search-prev"},       {"\\e[A", "ed-search-prev-history"},
        {"\\e[B", "ed-search-next-history"}};
    HistEvent event;
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    editor = el_init("mascon", stdin, stdout, stderr);
    if (!editor) return 0;
    session = L;
    history_lines = history_init();
    if (history_lines) {
        history(history_lines, &event, H_SETSIZE, HISTORY_LINES);
        history(history_lines, &event, H_SETUNIQUE, 1);
        el_set(editor, EL_HIST, history, history_lines);
    }
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_PROMPT_ESC, give_prompt, '\1');
    el_set(editor, EL_GETCFN, read_key);
    el_set(editor, EL_ADDFN, "mascon-complete", "completes the word at the cursor", complete_key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        el_set(editor, EL_BIND, keys[i][0], keys[i][1], NULL);
    }
    el_source(editor, NULL);
    return 1;
}

/* Reads a line with the editor; *length < 0 at the end of the input and after Ctrl-C. */
static const char *edit_line(int *length) {
    static const int caught[] = {SIGINT, SIGWINCH, SIGCONT};
    enum { CAUGHT = sizeof caught / sizeof caught[0] };
    struct sigaction action, before[CAUGHT];
    sigset_t blocked, mask;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    for (int i = 0; i < CAUGHT; i++) sigaddset(&blocked, caught[i]);
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    key_mask = mask;
    for (int i = 0; i < CAUGHT; i++) sigdelset(&key_mask, caught[i]);
    got_interrupt = got_resize = got_continue = 0;
    for (int i = 0; i < CAUGHT; i++) sigaction(caught[i], &action, &before[i]);
    el_set(editor, EL_PREP_TERM,
           1); /* before the prompt is seen: keys that answer it are read raw */
    const char *line = el_gets(editor, length);
    el_set(editor, EL_PREP_TERM, 0);
    if (!line) *length = -1;
    for (int i = 0; i < CAUGHT; i++) sigaction(caught[i], &before[i], NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return line;
}

/* A line of an input that is no terminal. Ctrl-C ends the process here, as it ends any filter. */
static int read_plain(lua_State *L) {
    struct sigaction standard, before;
    char *text = NULL;
    size_t size = 0;
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    sigemptyset(&standard.sa_mask);
    sigaction(SIGINT, &standard, &before);
    ssize_t n = getline(&text, &size, stdin);
    sigaction(SIGINT, &before, NULL);
    if (n < 0) {
        free(text);
        lua_pushnil(L);
        lua_pushstring(L, "end");
        return 2;
    }
    lua_pushlstring(L, text, (size_t)(n > 0 && text[n - 1] == '\n' ? n - 1 : n));
    free(text);
    return 1;
}

/* read(prompt) gives a line without its end, or nil and "interrupted" or "end". Between characters of
 * code 1 the prompt holds what has no width. */
static int read_line(lua_State *L) {
    const char *prompt = luaL_checkstring(L, 1);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return read_plain(L);
    if (!editor && !open_editor(L)) return luaL_error(L, "the terminal could not be set up");
    snprintf(prompt_text, sizeof prompt_text, "%s", prompt);
    int length = 0;
    fflush(stdout);
    const char *line = edit_line(&length);
    if (!line || length < 0) {
        fputc('\n', stdout);
        lua_pushnil(L);
        lua_pushstring(L, got_interrupt ? "interrupted" : "end");
        return 2;
    }
    lua_pushlstring(L, line,
                    (size_t)(length > 0 && line[length - 1] == '\n' ? length - 1 : length));
    return 1;
}

/* remember(line): the arrow keys find it. */
static int remember(lua_State *L) {
    HistEvent event;
    const char *line = luaL_checkstring(L, 1);
    if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !editor) open_editor(L);
    if (history_lines && *line) history(history_lines, &event, H_ENTER, line);
    return 0;
}

/* on_complete(fn): fn(text before the cursor) gives the text to insert or nil, and the text to show. */
static int on_complete(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, complete_ref);
    complete_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* files(folder) gives the names in it, those of folders with a / behind; nothing where it cannot be read. */
static int files(lua_State *L) {
    DIR *folder = opendir(luaL_checkstring(L, 1));
    lua_newtable(L);
    for (int n = 1; folder;) {
        const struct dirent *entry = readdir(folder);
        if (!entry) break;
        int is_folder = entry->d_type == DT_DIR;
        struct stat about;
        if ((entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) &&
            fstatat(dirfd(folder), entry->d_name, &about, 0) == 0) {
            is_folder = S_ISDIR(about.st_mode);
        }
        lua_pushfstring(L, is_folder ? "%s/" : "%s", entry->d_name);
        lua_rawseti(L, -2, n++);
    }
    if (folder) closedir(folder);
    return 1;
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* Message handler: keeps the traceback for later and leaves the message as it is. */
static int keep_traceback(lua_State *L) {
    lua_settop(L, 1);
    program_push_traceback(L, 0);
    lua_setfield(L, LUA_REGISTRYINDEX, "mascon.traceback");
    return 1;
}

/* run(fn, ...) gives true and the results, or false, the message and the traceback. */
static int run(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    lua_pushcfunction(L, keep_traceback);
    lua_insert(L, 1); /* handler, true, fn, arguments */
    interrupt_arm(L, 1);
    int failed = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 1);
    interrupt_arm(L, 0);
    fflush(stdout);
    if (!failed) return lua_gettop(L) - 1;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    lua_getfield(L, LUA_REGISTRYINDEX, "mascon.traceback");
    return 3;
}

void repl_push_terminal(lua_State *L) {
    static const luaL_Reg functions[] = {{"read", read_line},
                                         {"remember", remember},
                                         {"on_complete", on_complete},
                                         {"size", terminal_size},
                                         {"ask", terminal_ask},
                                         {"keep", history_keep},
                                         {"trim", history_trim},
                                         {"files", files},
                                         {"run", run},
                                         {NULL, NULL}};
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
}

void repl_close(void) {
    if (history_lines) history_end(history_lines);
    if (editor) el_end(editor);
    history_lines = NULL;
    editor = NULL;
}

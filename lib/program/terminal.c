/* terminal.c: questions to the terminal itself: what it can draw (an escape sequence and its answer) and
 * its size.
 *
 * The answer comes as input. While it is awaited the terminal is raw, so that it is neither shown nor kept
 * back for a line's end, and signals wait, so that nothing leaves it so. Keys that were typed ahead come
 * between; they are kept and given to the line editor (terminal_typed).
 */
#include "program/terminal.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

enum { ANSWER_BYTES = 1024, TYPED_BYTES = 1024, ESCAPE = 27 };

static char typed[TYPED_BYTES];
static size_t typed_first, typed_last;

int terminal_typed(void) {
    if (typed_first == typed_last) return -1;
    return (unsigned char)typed[typed_first++];
}

static void keep_typed(char byte) {
    if (typed_first == typed_last) typed_first = typed_last = 0;
    if (typed_last < sizeof typed) typed[typed_last++] = byte;
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Bytes of the escape sequence that the n bytes begin with, -1 where it is not complete, 0 where they
 * begin with none that answers: ESC [ ? .. c, or ESC _ .. ESC \ */
static int sequence_length(const char *s, size_t n) {
    if (s[0] != ESCAPE) return 0;
    if (n < 2) return -1;
    if (s[1] == '_') {
        for (size_t i = 2; i + 1 < n; i++) {
            if (s[i] == ESCAPE && s[i + 1] == '\\') return (int)i + 2;
        }
        return -1;
    }
    if (s[1] != '[') return 0;
    if (n < 3) return -1;
    if (s[2] != '?') return 0;
    for (size_t i = 3; i < n; i++) {
        if (s[i] >= '@' && s[i] <= '~') return (int)i + 1;
    }
    return -1;
}

/* The input as far as it has come: answers go to `answer`, the rest to what was typed. Returns 1 after
 * the last answer. */
static int sort_input(char *input, size_t *n, char *answer, size_t *length) {
    size_t at = 0;
    int last = 0;
    while (at < *n && !last) {
        const int known = sequence_length(input + at, *n - at);
        if (known < 0) break;
        if (known == 0) {
            keep_typed(input[at++]);
            continue;
        }
        if (*length + (size_t)known <= ANSWER_BYTES) {
            memcpy(answer + *length, input + at, (size_t)known);
            *length += (size_t)known;
        }
        last = input[at + 1] == '[' && input[at + (size_t)known - 1] == 'c';
        at += (size_t)known;
    }
    memmove(input, input + at, *n - at);
    *n -= at;
    return last;
}

/* Reads until the last answer or the time is over; what is left in between was typed. */
static size_t read_answer(char *answer, long milliseconds) {
    char input[ANSWER_BYTES];
    size_t n = 0, length = 0;
    const long end = now_ms() + milliseconds;
    for (int last = 0; !last;) {
        struct pollfd p = {STDIN_FILENO, POLLIN, 0};
        const long left = end - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0) break;
        const ssize_t got = read(STDIN_FILENO, input + n, sizeof input - n);
        if (got <= 0) break;
        n += (size_t)got;
        last = sort_input(input, &n, answer, &length);
        if (n == sizeof input) break;
    }
    for (size_t i = 0; i < n; i++) keep_typed(input[i]);
    return length;
}

static void send(const char *text, size_t n) {
    while (n > 0) {
        const ssize_t sent = write(STDOUT_FILENO, text, n);
        if (sent <= 0) return;
        text += sent;
        n -= (size_t)sent;
    }
}

int terminal_ask(lua_State *L) {
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    const long milliseconds = (long)luaL_checkinteger(L, 2);
    char answer[ANSWER_BYTES];
    size_t length = 0;
    struct termios before, raw;
    sigset_t all, mask;
    const int terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
                         tcgetpgrp(STDIN_FILENO) == getpgrp() &&
                         tcgetattr(STDIN_FILENO, &before) == 0;
    if (!terminal) {
        lua_pushliteral(L, "");
        return 1;
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IGNCR | ISTRIP);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &mask);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0) {
        send(text, n);
        length = read_answer(answer, milliseconds);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    lua_pushlstring(L, answer, length);
    return 1;
}

int terminal_size(lua_State *L) {
    struct winsize size;
    const int known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    lua_pushinteger(L, known && size.ws_col > 0 ? size.ws_col : 80);
    lua_pushinteger(L, known && size.ws_row > 0 ? size.ws_row : 24);
    lua_pushinteger(L, known ? size.ws_xpixel : 0);
    lua_pushinteger(L, known ? size.ws_ypixel : 0);
    return 4;
}

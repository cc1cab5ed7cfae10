/* history.c: the file of lines typed in earlier sessions.
 *
 * It may hold secrets, so only its owner reads it (0600, its folder 0700). Sessions side by side append
 * under a lock; whoever shortens the file writes a new one and renames it, and an appender that waited for
 * the lock meanwhile sees that the name means another file now and opens that.
 */
#include "program/history.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lauxlib.h>

enum { MOST_BYTES = 16 << 20 }; /* a larger file is none of ours */

/* Makes the folders before the last slash. */
static void make_folders(const char *path) {
    char folder[PATH_MAX];
    if (strlen(path) >= sizeof folder) return;
    strcpy(folder, path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(folder, 0700);
        *slash = '/';
    }
}

/* The file, locked; -1 with errno. With create a missing one is made. */
static int open_locked(const char *path, int create) {
    for (;;) {
        int file = open(path, O_RDWR | O_APPEND | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
        if (file < 0 && errno == ENOENT && create) {
            make_folders(path);
            file = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_CREAT, 0600);
        }
        if (file < 0) return -1;
        struct stat here, named;
        if (fstat(file, &here) != 0 || !S_ISREG(here.st_mode)) {
            close(file);
            errno = EINVAL;
            return -1;
        }
        /* Without locks (some network file systems) sessions still append whole lines. */
        flock(file, LOCK_EX);
        if (stat(path, &named) == 0 && named.st_ino == here.st_ino && named.st_dev == here.st_dev) {
            if ((here.st_mode & 077) && here.st_uid == geteuid()) fchmod(file, 0600);
            return file;
        }
        close(file);
    }
}

static int fail(lua_State *L) {
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
}

int history_keep(lua_State *L) {
    size_t n;
    const char *path = luaL_checkstring(L, 1);
    luaL_checklstring(L, 2, NULL);
    lua_pushvalue(L, 2);
    lua_pushliteral(L, "\n");
    lua_concat(L, 2);
    const char *line = lua_tolstring(L, -1, &n);
    const int file = open_locked(path, 1);
    if (file < 0) return fail(L);
    const ssize_t written = write(file, line, n);
    const int error = errno;
    close(file);
    errno = error;
    if (written < 0) return fail(L);
    lua_pushboolean(L, 1);
    return 1;
}

/* The whole file as a block to be freed, or NULL. */
static char *read_all(int file, size_t *n) {
    struct stat about;
    if (fstat(file, &about) != 0 || about.st_size <= 0 || about.st_size > MOST_BYTES) return NULL;
    char *text = malloc((size_t)about.st_size);
    const ssize_t got = text ? pread(file, text, (size_t)about.st_size, 0) : -1;
    *n = got > 0 ? (size_t)got : 0;
    return text;
}

/* Where the last `kept` lines of the text begin; 0 where it has no more than `most`. */
static size_t begin_of_last(const char *text, size_t n, long most, long kept) {
    long lines = 0;
    for (size_t i = 0; i < n; i++) lines += text[i] == '\n';
    if (lines <= most) return 0;
    size_t at = 0;
    for (long drop = lines - kept; drop > 0; at++) drop -= text[at] == '\n';
    return at;
}

/* Puts a new file with this text in the place of the old one; a failure leaves that as it is. */
static void replace(const char *path, const char *text, size_t n) {
    char aside[PATH_MAX];
    const int length = snprintf(aside, sizeof aside, "%s.XXXXXX", path);
    const int file = length > 0 && (size_t)length < sizeof aside ? mkostemp(aside, O_CLOEXEC) : -1;
    if (file < 0) return;
    const int good = write(file, text, n) == (ssize_t)n && fsync(file) == 0;
    close(file);
    if (!good || rename(aside, path) != 0) unlink(aside);
}

int history_trim(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const long most = (long)luaL_checkinteger(L, 2), kept = (long)luaL_checkinteger(L, 3);
    const int file = open_locked(path, 0);
    lua_pushboolean(L, file >= 0 || errno != EINVAL);
    if (file < 0) return 1;
    size_t n = 0;
    char *text = read_all(file, &n);
    const size_t from = text ? begin_of_last(text, n, most, kept) : 0;
    if (from > 0) replace(path, text + from, n - from);
    free(text);
    close(file);
    return 1;
}

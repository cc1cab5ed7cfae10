/* injector.c: stands between a program and the system calls with which a file is written, so that
 * spec/checkpoint_spec.lua can end the program after each of them or make each of them fail.
 *
 * Built by the spec as a shared library and loaded with LD_PRELOAD. Calls are counted from
 * injector_arm on; the n-th of them is hit.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

enum {
    AFTER = 0,
    HALF = 1,
    FAIL = 2
}; /* die after it, after half of a write, fail instead of it */

static long hit, count;
static int way, armed, failure;

void injector_arm(long n, int how, int code);
long injector_disarm(void);

void injector_arm(long n, int how, int code) {
    hit = n;
    way = how;
    failure = code;
    count = 0;
    armed = 1;
}

long injector_disarm(void) {
    armed = 0;
    return count;
}

/* 1 where this call must fail instead of being made. */
static int before(void) {
    if (!armed) return 0;
    count++;
    if (count != hit || way != FAIL) return 0;
    errno = failure;
    return 1;
}

static void after(void) {
    if (armed && count == hit && way != FAIL) kill(getpid(), SIGKILL);
}

/* The size of a write that the program does not survive. */
static size_t part(size_t size) { return armed && count == hit && way == HALF ? size / 2 : size; }

#define REAL(type, name, ...)         \
    static type (*real)(__VA_ARGS__); \
    if (!real) *(void **)(void *)&real = dlsym(RTLD_NEXT, #name)

#define FORWARD(name, parameters, arguments)                          \
    int name parameters {                                             \
        static int(*real) parameters;                                 \
        if (!real) *(void **)(void *)&real = dlsym(RTLD_NEXT, #name); \
        if (before()) return -1;                                      \
        int result = real arguments;                                  \
        after();                                                      \
        return result;                                                \
    }

FORWARD(fchmod, (int fd, mode_t mode), (fd, mode))
FORWARD(fsync, (int fd), (fd))
FORWARD(fdatasync, (int fd), (fd))
FORWARD(ftruncate, (int fd, off_t size), (fd, size))
FORWARD(rename, (const char *from, const char *to), (from, to))
FORWARD(link, (const char *from, const char *to), (from, to))
FORWARD(unlink, (const char *path), (path))

/* A failing close closes all the same, as on Linux. */
int close(int fd) {
    REAL(int, close, int);
    int failed = before(), code = errno, result = real(fd);
    after();
    if (failed) errno = code;
    return failed ? -1 : result;
}

static int open_mode(int flags, va_list list) { return flags & O_CREAT ? va_arg(list, int) : 0; }

int open(const char *path, int flags, ...) {
    REAL(int, open, const char *, int, ...);
    va_list list;
    va_start(list, flags);
    int mode = open_mode(flags, list);
    va_end(list);
    if (before()) return -1;
    int result = real(path, flags, mode);
    after();
    return result;
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (before()) return -1;
    ssize_t result = real(fd, data, part(size));
    after();
    return result;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
    if (before()) return -1;
    ssize_t result = real(fd, data, part(size), at);
    after();
    return result;
}

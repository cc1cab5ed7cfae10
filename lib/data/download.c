/* download.c: fetching a file with the program curl.
 *
 * The file appears under its name only when it is whole and its checksum is right: curl writes to a
 * temporary name beside it, which is renamed last. curl is started without a shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/data.h"
#include "mascon_io.h"

extern char **environ;

/* Starts curl; *complaints is the reading end of its standard error. Returns an errno or 0. */
static int start_curl(const char *url, const char *path, pid_t *pid, int *complaints) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    /* posix_spawn does not write to the strings */
    char *argv[] = {(char *)"curl",
                    (char *)"--fail",
                    (char *)"--location",
                    (char *)"--silent",
                    (char *)"--show-error",
                    (char *)"--proto",
                    (char *)"=https",
                    (char *)"--connect-timeout",
                    (char *)"20",
                    (char *)"--output",
                    (char *)(uintptr_t)path,
                    (char *)(uintptr_t)url,
                    NULL};
    int code = posix_spawnp(pid, "curl", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (code != 0)
        close(ends[0]);
    else
        *complaints = ends[0];
    return code;
}

/* Waits for the end of curl; its first line of complaint goes to text. Returns its exit status, or -1
 * where the wait was interrupted. */
static int await_curl(pid_t pid, int complaints, char *text, size_t size) {
    size_t used = 0;
    int stopped = 0;
    for (;;) {
        struct pollfd p = {.fd = complaints, .events = POLLIN};
        int ready = poll(&p, 1, 100);
        if (masconI_interrupt_pending() && !stopped) {
            stopped = 1;
            kill(pid, SIGTERM);
        }
        if (ready <= 0) continue;
        char piece[256];
        ssize_t n = read(complaints, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break; /* curl closed it: it has ended */
        for (ssize_t i = 0; i < n && used + 1 < size; i++) text[used++] = piece[i];
    }
    text[used] = 0;
    text[strcspn(text, "\r\n")] = 0;
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (stopped) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static mascon_status fetch(const char *url, const char *path) {
    pid_t pid;
    int complaints = -1;
    int code = start_curl(url, path, &pid, &complaints);
    if (code == ENOENT)
        return masconI_fail(MASCON_E_IO, "downloading needs the program curl, which is not there");
    if (code != 0) return masconI_fail(MASCON_E_IO, "cannot start curl: %s", strerror(code));
    char text[256];
    int status = await_curl(pid, complaints, text, sizeof text);
    close(complaints);
    if (status < 0) return masconI_fail(MASCON_E_INTERRUPTED, "download interrupted");
    if (status == 0) return MASCON_OK;
    if (!text[0]) snprintf(text, sizeof text, "curl ended with status %d", status);
    masconI_fail(MASCON_E_IO, "cannot download %s: %s", url, text);
    return masconI_hint("without a network, put the file there by other means");
}

/* The last two folders of path (root/MNIST/raw), where they are missing: more is likely a mistake. */
static mascon_status make_folder_of(const char *path) {
    char folder[4096];
    int n = snprintf(folder, sizeof folder, "%s", path);
    if (n >= (int)sizeof folder) return masconI_fail(MASCON_E_ARG, "path is too long");
    char *end[2] = {NULL, NULL};
    for (int i = 0; i < 3; i++) { /* the file's name, then up to two folders */
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder) break;
        *slash = 0;
        if (i < 2) end[i] = slash;
    }
    snprintf(folder, sizeof folder, "%s", path);
    for (int i = 1; i >= 0; i--) {
        if (!end[i]) continue;
        *end[i] = 0;
        int code = mkdir(folder, 0777) == 0 ? 0 : errno;
        if (code != 0 && code != EEXIST)
            return masconI_fail(MASCON_E_IO, "cannot create folder %s: %s", folder, strerror(code));
        *end[i] = '/';
    }
    return MASCON_OK;
}

/* Fetches url to path where its checksum begins with `expected`: `sum` makes it, `kind` names it. */
static mascon_status download(const char *url, const char *path, const char *expected,
                              const char *kind,
                              mascon_status (*sum)(const char *path, char text[65])) {
    char temporary[4096], found[65];
    int n = snprintf(temporary, sizeof temporary, "%s.%d.part", path, (int)getpid());
    if (n >= (int)sizeof temporary) return masconI_fail(MASCON_E_ARG, "path is too long");
    MASCON_TRY(make_folder_of(path));
    mascon_status status = fetch(url, temporary);
    if (status == MASCON_OK) status = sum(temporary, found);
    if (status == MASCON_OK && strncmp(found, expected, strlen(expected)) != 0) {
        masconI_fail(MASCON_E_FORMAT, "%s has %s %.*s; expected %s", url, kind,
                     (int)strlen(expected), found, expected);
        status = masconI_hint("the download was cut off or changed on its way; try again");
    }
    if (status == MASCON_OK && rename(temporary, path) != 0)
        status = masconI_fail(MASCON_E_IO, "cannot create %s: %s", path, strerror(errno));
    if (status != MASCON_OK) unlink(temporary);
    return status;
}

mascon_status mascon_download(const char *url, const char *path, const char *md5) {
    MASCON_NEED(url);
    MASCON_NEED(path);
    return download(url, path, md5, "MD5", mascon_file_md5);
}

mascon_status mascon_download_sha256(const char *url, const char *path, const char *prefix) {
    MASCON_NEED(url);
    MASCON_NEED(path);
    MASCON_NEED(prefix);
    return download(url, path, prefix, "SHA-256", mascon_file_sha256);
}

/* checkpoint.c: the files beside a checkpoint: its numbered predecessors and what killed saves left.
 *
 * Invariant: nothing here removes or changes the file at the checkpoint's own path. A predecessor is a
 * second name of a file that was complete under that path, so there is no moment at which a name
 * leads to a part of a checkpoint.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/io.h"

enum { STALE_SECONDS = 3600, RANDOM_DIGITS = 16 };

/* ---- Numbers ---- */

typedef struct numbered {
    char folder[PATH_MAX]; /* where the checkpoint lies, links resolved, with a slash at its end */
    char name[NAME_MAX + 1];
    int64_t *numbers; /* of its predecessors, rising; from free_numbers */
    int64_t count;
} numbered;

static void free_numbers(numbered *n) {
    free(n->numbers);
    n->numbers = NULL;
    n->count = 0;
}

static int rising(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The number of "name.0012", at least four digits; -1 where the entry is something else. */
static int64_t number_of(const char *entry, const char *name) {
    const size_t length = strlen(name);
    if (strncmp(entry, name, length) != 0 || entry[length] != '.') return -1;
    const char *digits = entry + length + 1;
    const size_t n = strlen(digits);
    if (n < 4 || n > 15 || strspn(digits, "0123456789") != n || (n > 4 && digits[0] == '0')) {
        return -1;
    }
    return strtoll(digits, NULL, 10);
}

static mascon_status folder_fail(const char *folder, int code) {
    if (code == ENOENT) return masconI_fail(MASCON_E_IO, "directory %.256s does not exist", folder);
    return masconI_fail(MASCON_E_IO, "directory %.256s: %s", folder, strerror(code));
}

static mascon_status collect_numbers(numbered *n) {
    DIR *folder = opendir(n->folder);
    if (!folder) return folder_fail(n->folder, errno);
    mascon_status status = MASCON_OK;
    int64_t capacity = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno) status = folder_fail(n->folder, errno);
            break;
        }
        const int64_t number = number_of(entry->d_name, n->name);
        if (number < 0) continue;
        if (n->count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            int64_t *grown = realloc(n->numbers, (size_t)capacity * sizeof *grown);
            if (!grown) {
                status = masconI_oom(n->folder, (uint64_t)capacity * sizeof *grown);
                break;
            }
            n->numbers = grown;
        }
        n->numbers[n->count++] = number;
    }
    closedir(folder);
    if (status == MASCON_OK && n->count) {
        qsort(n->numbers, (size_t)n->count, sizeof *n->numbers, rising);
    }
    return status;
}

/* Finds the real file and its predecessors; *exists is 0 where there is no file at path. */
static mascon_status find(numbered *n, const char *path, int *exists) {
    *n = (numbered){0};
    *exists = 0;
    if (!realpath(path, n->folder)) {
        if (errno == ENOENT) return MASCON_OK;
        return masconI_fail(MASCON_E_IO, "%.256s: %s", path, strerror(errno));
    }
    char *slash = strrchr(n->folder, '/');
    if (strlen(slash + 1) > NAME_MAX - 16) {
        return masconI_fail(MASCON_E_IO, "%.256s: the name is too long to add a number", path);
    }
    strcpy(n->name, slash + 1);
    slash[1] = 0;
    *exists = 1;
    const mascon_status status = collect_numbers(n);
    if (status != MASCON_OK) free_numbers(n);
    return status;
}

/* The path of number i; 0 where it is too long. */
static int numbered_path(const numbered *n, int64_t number, char path[PATH_MAX]) {
    const int length = snprintf(path, PATH_MAX, "%s%s.%04" PRId64, n->folder, n->name, number);
    return length > 0 && length < PATH_MAX;
}

static mascon_status give_number(const numbered *n, const char *path) {
    char from[PATH_MAX], to[PATH_MAX];
    struct stat mine, newest;
    const int64_t last = n->count ? n->numbers[n->count - 1] : 0;
    const int length = snprintf(from, sizeof from, "%s%s", n->folder, n->name);
    if (length <= 0 || length >= PATH_MAX || !numbered_path(n, last, to)) {
        return masconI_fail(MASCON_E_IO, "%.256s: the path is too long", path);
    }
    if (stat(from, &mine) != 0) {
        return masconI_fail(MASCON_E_IO, "%.256s: %s", path, strerror(errno));
    }
    /* A save that ended between this step and the replacement has left the number behind. */
    if (n->count && stat(to, &newest) == 0 && mine.st_dev == newest.st_dev &&
        mine.st_ino == newest.st_ino) {
        return MASCON_OK;
    }
    if (!numbered_path(n, last + 1, to)) {
        return masconI_fail(MASCON_E_IO, "%.256s: the path is too long", path);
    }
    if (link(from, to) == 0) return MASCON_OK;
    const int code = errno;
    if (code == EPERM || code == EOPNOTSUPP || code == ENOSYS) {
        masconI_fail(MASCON_E_IO, "%.256s: this file system has no hard links, which keep needs",
                     path);
        return masconI_hint("save under a path of its own each time");
    }
    return masconI_fail(MASCON_E_IO, "%.256s: cannot be kept as %.256s: %s", path, to,
                        strerror(code));
}

mascon_status mascon_checkpoint_number(const char *path) {
    MASCON_NEED(path);
    numbered n;
    int exists;
    MASCON_TRY(find(&n, path, &exists));
    const mascon_status status = exists ? give_number(&n, path) : MASCON_OK;
    free_numbers(&n);
    return status;
}

mascon_status mascon_checkpoint_prune(const char *path, int64_t keep) {
    MASCON_NEED(path);
    numbered n;
    int exists;
    if (keep < 0) return masconI_fail(MASCON_E_ARG, "keep is %" PRId64 "; must be 0 or more", keep);
    MASCON_TRY(find(&n, path, &exists));
    mascon_status status = MASCON_OK;
    for (int64_t i = 0; i < n.count - keep; i++) {
        char old[PATH_MAX];
        if (!numbered_path(&n, n.numbers[i], old)) continue; /* opendir showed it: cannot happen */
        if (unlink(old) != 0 && errno != ENOENT) {
            status =
                masconI_fail(MASCON_E_IO, "%.256s: cannot be removed: %s", old, strerror(errno));
            break;
        }
    }
    free_numbers(&n);
    return status;
}

/* ---- What killed saves left ---- */

/* The process in the name of a writer's temporary file, ".name.<process>.<16 digits>.tmp"; 0 where
 * the entry is something else. */
static int64_t process_of(const char *entry) {
    const size_t length = strlen(entry);
    if (entry[0] != '.' || length < RANDOM_DIGITS + 8 || strcmp(entry + length - 4, ".tmp") != 0) {
        return 0;
    }
    const char *digits = entry + length - 4 - RANDOM_DIGITS;
    if (digits[-1] != '.' || strspn(digits, "0123456789abcdef") != RANDOM_DIGITS) return 0;
    const char *process = digits - 1;
    while (process > entry && process[-1] >= '0' && process[-1] <= '9') process--;
    if (process == digits - 1 || digits - process > 12 || process < entry + 3 ||
        process[-1] != '.') {
        return 0;
    }
    return strtoll(process, NULL, 10);
}

static int is_stale(int folder, const char *entry, int64_t process) {
    struct stat st;
    if (fstatat(folder, entry, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) return 0;
    if (time(NULL) - st.st_mtime < STALE_SECONDS) return 0;
    return kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

mascon_status mascon_checkpoint_clean(const char *folder, int64_t *removed) {
    MASCON_NEED(folder);
    MASCON_NEED(removed);
    *removed = 0;
    DIR *entries = opendir(folder);
    if (!entries) return folder_fail(folder, errno);
    mascon_status status = MASCON_OK;
    while (status == MASCON_OK) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (!entry) {
            if (errno) status = folder_fail(folder, errno);
            break;
        }
        const int64_t process = process_of(entry->d_name);
        if (process < 1 || !is_stale(dirfd(entries), entry->d_name, process)) continue;
        if (unlinkat(dirfd(entries), entry->d_name, 0) == 0) {
            ++*removed;
        } else if (errno != ENOENT) {
            status = masconI_fail(MASCON_E_IO, "%.256s in %.256s: cannot be removed: %s",
                                  entry->d_name, folder, strerror(errno));
        }
    }
    closedir(entries);
    return status;
}

/* file.c: files open for reading, limits of readers, and the sentences that readers fail with.
 *
 * Invariants: only regular files are opened; all reads are pread on one descriptor, so a reader has
 * no position and a file that shrinks ends in an error, never in a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

/* ---- Limits ---- */

struct mascon_limits {
    masconI_limits values;
};

static const masconI_limits limits_default = {
    .total_bytes = 0,
    .meta_bytes = (uint64_t)64 << 20,
    .header_bytes = 100000000,
    .metadata_bytes = (uint64_t)1 << 20,
    .tensors = 1048576,
    .entries = 65536,
    .string_bytes = (uint64_t)1 << 20,
    .pickle_bytes = (uint64_t)64 << 20,
    .opcodes = 20000000,
    .stack = 1000000,
    .marks = 256,
    .memo = 4000000,
    .archive_bytes = (uint64_t)256 << 20,
};

static const struct {
    const char *name;
    size_t at;
} limit_names[] = {
#define LIMIT(field) \
    { #field, offsetof(masconI_limits, field) }
    LIMIT(total_bytes),    LIMIT(meta_bytes),   LIMIT(header_bytes), LIMIT(tensors),
    LIMIT(entries),        LIMIT(string_bytes), LIMIT(pickle_bytes), LIMIT(opcodes),
    LIMIT(stack),          LIMIT(marks),        LIMIT(memo),         LIMIT(archive_bytes),
    LIMIT(metadata_bytes),
#undef LIMIT
};

const masconI_limits *masconI_limits_default(void) { return &limits_default; }

const masconI_limits *masconI_limits_of(const mascon_limits *limits) {
    return limits ? &limits->values : &limits_default;
}

mascon_status mascon_limits_new(mascon_limits **out) {
    MASCON_NEED(out);
    *out = malloc(sizeof **out);
    if (!*out) return masconI_fail(MASCON_E_OOM, "no memory for the limits of a reader");
    (*out)->values = limits_default;
    return MASCON_OK;
}

mascon_status mascon_limits_set(mascon_limits *limits, const char *name, double value) {
    MASCON_NEED(limits);
    MASCON_NEED(name);
    for (size_t i = 0; i < sizeof limit_names / sizeof limit_names[0]; i++) {
        if (strcmp(limit_names[i].name, name) != 0) continue;
        if (!(value >= 0 && value <= 0x1p53) || value != (double)(uint64_t)value) {
            return masconI_fail(MASCON_E_ARG, "limit %s is %g; expected a whole number from 0",
                                name, value);
        }
        uint64_t whole = (uint64_t)value;
        memcpy((char *)&limits->values + limit_names[i].at, &whole, sizeof whole);
        return MASCON_OK;
    }
    masconI_fail(MASCON_E_ARG, "unknown limit \"%.64s\"", name);
    return masconI_hint(
        "limits: archive_bytes, entries, header_bytes, marks, memo, meta_bytes, "
        "metadata_bytes, opcodes, pickle_bytes, stack, string_bytes, tensors, total_bytes");
}

void mascon_limits_release(mascon_limits *limits) {
    if (!limits) return;
    free(limits);
}

/* ---- Sentences ---- */

mascon_status masconI_io_fail_at(const char *file, int line, mascon_status code, const char *path,
                                 uint64_t offset, const char *format, ...) {
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (offset == MASCON_IO_NOWHERE) {
        return masconI_fail_at(file, line, code, "%.256s: %s", path, text);
    }
    return masconI_fail_at(file, line, code, "%.256s: %s (at byte %" PRIu64 ")", path, text,
                           offset);
}

mascon_status masconI_limit_fail(const char *path, uint64_t offset, const char *what,
                                 uint64_t found, const char *name, uint64_t limit) {
    char a[32], b[32];
    return masconI_io_fail(MASCON_E_LIMIT, path, offset, "%s: %s passes the limit %s = %s", what,
                           masconI_count(a, found), name, masconI_count(b, limit));
}

mascon_status masconI_oom(const char *path, uint64_t bytes) {
    char a[32];
    return masconI_io_fail(MASCON_E_OOM, path, MASCON_IO_NOWHERE, "no memory for %s bytes",
                           masconI_count(a, bytes));
}

const char *masconI_quote(char out[MASCON_IO_QUOTE], const void *text, uint64_t size) {
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = text;
    uint64_t n = size < 64 ? size : 64;
    char *to = out;
    *to++ = '"';
    for (uint64_t i = 0; i < n; i++) {
        if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
            *to++ = (char)p[i];
        } else {
            *to++ = '\\';
            *to++ = 'x';
            *to++ = hex[p[i] >> 4];
            *to++ = hex[p[i] & 15];
        }
    }
    if (n < size) {
        memcpy(to, "...", 3);
        to += 3;
    }
    *to++ = '"';
    *to = 0;
    return out;
}

const char *masconI_count(char out[32], uint64_t n) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *to = out;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return out;
}

/* ---- Files ---- */

/* Says where a missing file was looked for. */
static mascon_status missing(const char *path) {
    char copy[PATH_MAX], folder[PATH_MAX];
    if (strlen(path) < sizeof copy) {
        memcpy(copy, path, strlen(path) + 1);
        if (realpath(dirname(copy), folder)) {
            return masconI_io_fail(MASCON_E_IO, path, MASCON_IO_NOWHERE, "no such file (in %.300s)",
                                   folder);
        }
    }
    return masconI_io_fail(MASCON_E_IO, path, MASCON_IO_NOWHERE,
                           "no such file (its folder does not exist)");
}

mascon_status masconI_file_open(masconI_file **out, const char *path) {
    *out = NULL;
    /* O_NONBLOCK: opening a pipe must not wait for somebody to write into it */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int code = errno;
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n > 0 && (code == ENOENT || code == ENOTDIR)) {
            target[n] = 0;
            masconI_io_fail(MASCON_E_IO, path, MASCON_IO_NOWHERE,
                            "a symbolic link to %.200s, which does not exist", target);
            if (!strstr(target, ".git/annex/objects")) return MASCON_E_IO;
            return masconI_hint("git annex get");
        }
        if (code == ENOENT || code == ENOTDIR) return missing(path);
        return masconI_io_fail(MASCON_E_IO, path, MASCON_IO_NOWHERE, "cannot be opened: %s",
                               strerror(code));
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0) {
        int folder = S_ISDIR(st.st_mode);
        close(fd);
        return masconI_fail(MASCON_E_IO, "%.256s is %s", path,
                            folder ? "a folder; expected a file" : "not a regular file");
    }
    masconI_file *f = malloc(sizeof *f);
    char *copy = strdup(path);
    if (!f || !copy) {
        free(f);
        free(copy);
        close(fd);
        return masconI_oom(path, sizeof *f);
    }
    *f = (masconI_file){.path = copy, .size = (uint64_t)st.st_size, .fd = fd};
    *out = f;
    return MASCON_OK;
}

mascon_status masconI_file_read(const masconI_file *f, uint64_t offset, void *to, size_t size) {
    char *p = to;
    size_t done = 0;
    if (offset > f->size || size > f->size - offset) {
        return masconI_io_fail(MASCON_E_FORMAT, f->path, offset,
                               "%zu bytes expected, the file ends after %" PRIu64, size, f->size);
    }
    while (done < size) {
        size_t step = size - done < ((size_t)1 << 30) ? size - done : (size_t)1 << 30;
        ssize_t n = pread(f->fd, p + done, step, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            return masconI_io_fail(MASCON_E_IO, f->path, offset + done, "cannot be read: %s",
                                   strerror(errno));
        }
        if (n == 0) {
            return masconI_io_fail(MASCON_E_IO, f->path, offset + done,
                                   "the file became shorter while it was read");
        }
        done += (size_t)n;
    }
    return MASCON_OK;
}

mascon_status masconI_file_read_all(const masconI_file *f, uint64_t limit, unsigned char **out) {
    *out = NULL;
    if (f->size > limit) {
        char a[32], b[32];
        return masconI_io_fail(MASCON_E_LIMIT, f->path, MASCON_IO_NOWHERE,
                               "has %s bytes; at most %s are read", masconI_count(a, f->size),
                               masconI_count(b, limit));
    }
    unsigned char *data = malloc((size_t)f->size + 1);
    if (!data) return masconI_oom(f->path, f->size + 1);
    mascon_status status = masconI_file_read(f, 0, data, (size_t)f->size);
    if (status != MASCON_OK) {
        free(data);
        return status;
    }
    data[f->size] = 0;
    *out = data;
    return MASCON_OK;
}

void masconI_file_close(masconI_file *f) {
    if (!f) return;
    close(f->fd);
    free(f->path);
    free(f);
}

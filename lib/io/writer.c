/* writer.c: the writer of safetensors files.
 *
 * Invariant: the target is always the old file or the complete new one. Everything is written to a
 * temporary file in the same folder, brought to the disk, and renamed over the target; whatever
 * fails before the rename removes the temporary file and leaves the target alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/io.h"

enum { CHUNK = 1 << 20 };

typedef struct item {
    char *name;
    mascon_tensor *tensor; /* retained; NULL: bytes */
    mascon_tensor *origin; /* retained: what tensor is a copy of, or tensor itself */
    char *bytes;
    int32_t dtype, ndim;
    int64_t size; /* itemsize */
    int64_t shape[MASCON_MAX_DIMS];
    uint64_t length; /* bytes in the file */
    uint32_t sum;    /* CRC-32C of these, known once they are written */
} item;

struct mascon_writer {
    char *path;   /* as the user wrote it */
    char *target; /* the real file, links resolved */
    char *folder; /* of target */
    mode_t mode;  /* of the old file */
    int exists;
    item *items;
    uint64_t count, capacity;
    masconI_names names, keys;
    masconI_text metadata; /* JSON, without the braces */
    char **key_copies;     /* what the set of keys points to */
    uint64_t n_keys, metadata_bytes;
    int finished;
};

/* ---- Begin ---- */

static mascon_status find_target(mascon_writer *w) {
    struct stat st;
    char real[PATH_MAX];
    const char *slash = strrchr(w->path, '/');
    if (realpath(w->path, real)) {
        w->target = strdup(real);
        if (!w->target) return masconI_oom(w->path, strlen(real));
        if (stat(real, &st) != 0 || !S_ISREG(st.st_mode)) {
            return masconI_fail(MASCON_E_IO, "%.256s is %s; expected a file or nothing", w->path,
                                S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
        }
        w->exists = 1;
        w->mode = st.st_mode & 07777;
    } else if (lstat(w->path, &st) == 0 && S_ISLNK(st.st_mode)) {
        return masconI_fail(MASCON_E_IO, "%.256s is a symbolic link that leads nowhere", w->path);
    } else {
        int length = slash ? (int)(slash - w->path + 1) : 0;
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%.*s", length, w->path);
        if (!realpath(length ? folder : ".", real) || stat(real, &st) != 0) {
            int code = errno;
            if (code == ENOENT || code == ENOTDIR) {
                return masconI_fail(MASCON_E_IO, "directory %.256s does not exist", folder);
            }
            return masconI_fail(MASCON_E_IO, "directory %.256s: %s", folder, strerror(code));
        }
        if (!S_ISDIR(st.st_mode)) {
            return masconI_fail(MASCON_E_IO, "%.256s is not a directory", folder);
        }
        const char *name = slash ? slash + 1 : w->path;
        if (!*name) return masconI_fail(MASCON_E_ARG, "%.256s names no file", w->path);
        if (asprintf(&w->target, "%s/%s", strcmp(real, "/") ? real : "", name) < 0) {
            w->target = NULL;
            return masconI_oom(w->path, PATH_MAX);
        }
    }
    w->folder = strndup(w->target, (size_t)(strrchr(w->target, '/') - w->target + 1));
    return w->folder ? MASCON_OK : masconI_oom(w->path, PATH_MAX);
}

mascon_status mascon_writer_begin(mascon_writer **out, const char *path) {
    MASCON_NEED(out);
    MASCON_NEED(path);
    *out = NULL;
    mascon_writer *w = calloc(1, sizeof *w);
    if (!w) return masconI_oom(path, sizeof *w);
    w->path = strdup(path);
    mascon_status status = w->path ? find_target(w) : masconI_oom(path, strlen(path));
    if (status != MASCON_OK) {
        mascon_writer_release(w);
        return status;
    }
    *out = w;
    return MASCON_OK;
}

void mascon_writer_release(mascon_writer *w) {
    if (!w) return;
    for (uint64_t i = 0; i < w->count; i++) {
        mascon_tensor_release(w->items[i].tensor);
        mascon_tensor_release(w->items[i].origin);
        free(w->items[i].name);
        free(w->items[i].bytes);
    }
    for (uint64_t i = 0; i < w->n_keys; i++) free(w->key_copies[i]);
    free(w->key_copies);
    free(w->items);
    free(w->path);
    free(w->target);
    free(w->folder);
    masconI_names_free(&w->names);
    masconI_names_free(&w->keys);
    masconI_text_free(&w->metadata);
    free(w);
}

/* ---- Collecting ---- */

mascon_status mascon_writer_metadata(mascon_writer *w, const char *key, const char *text,
                                     int64_t size) {
    MASCON_NEED(w);
    MASCON_NEED(key);
    if (size > 0) MASCON_NEED(text);
    size_t key_size = strlen(key);
    char quote[MASCON_IO_QUOTE];
    masconI_quote(quote, key, key_size);
    if (size < 0 || !masconI_utf8_valid(key, key_size) ||
        !masconI_utf8_valid(text, (uint64_t)size)) {
        return masconI_fail(MASCON_E_ARG, "metadata %s is not valid UTF-8", quote);
    }
    if (strcmp(key, MASCON_IO_SUMS) == 0) {
        return masconI_fail(MASCON_E_ARG, "metadata %s is the writer's own", quote);
    }
    uint64_t limit = masconI_limits_default()->metadata_bytes;
    uint64_t total = w->metadata_bytes + key_size + (uint64_t)size;
    if (total > limit) {
        char a[32], b[32];
        return masconI_fail(MASCON_E_LIMIT, "metadata of %s bytes; at most %s fit into the header",
                            masconI_count(a, total), masconI_count(b, limit));
    }
    char **grown = realloc(w->key_copies, (w->n_keys + 1) * sizeof *grown);
    if (!grown) return masconI_oom(w->path, (w->n_keys + 1) * sizeof *grown);
    w->key_copies = grown;
    char *copy = strdup(key);
    int added = copy ? masconI_names_add(&w->keys, copy, key_size) : -1;
    if (added < 1) {
        free(copy);
        if (added < 0) return masconI_oom(w->path, key_size);
        return masconI_fail(MASCON_E_ARG, "metadata %s is given twice", quote);
    }
    w->key_copies[w->n_keys++] = copy;
    if (w->n_keys > 1) masconI_text_add(&w->metadata, ",", 1);
    masconI_text_json(&w->metadata, key, key_size);
    masconI_text_add(&w->metadata, ":", 1);
    masconI_text_json(&w->metadata, text, (uint64_t)size);
    w->metadata_bytes = total;
    return w->metadata.failed ? masconI_oom(w->path, w->metadata.size) : MASCON_OK;
}

/* A new item under a checked name; the caller fills the rest. */
static mascon_status add_item(mascon_writer *w, const char *name, item **out) {
    size_t size = strlen(name);
    char quote[MASCON_IO_QUOTE];
    if (!masconI_safetensors_name_ok(name, size) || strcmp(name, "__metadata__") == 0) {
        return masconI_fail(MASCON_E_ARG,
                            "%s cannot name a tensor; 1 to 512 bytes of UTF-8 without control "
                            "characters, not \"__metadata__\"",
                            masconI_quote(quote, name, size));
    }
    if (w->count == w->capacity) {
        uint64_t capacity = w->capacity ? w->capacity * 2 : 64;
        item *grown = realloc(w->items, capacity * sizeof *grown);
        if (!grown) return masconI_oom(w->path, capacity * sizeof *grown);
        w->items = grown;
        w->capacity = capacity;
    }
    char *copy = strdup(name);
    int added = copy ? masconI_names_add(&w->names, copy, size) : -1;
    if (added < 1) {
        free(copy);
        if (added < 0) return masconI_oom(w->path, size);
        return masconI_fail(MASCON_E_ARG, "two tensors have the name %s",
                            masconI_quote(quote, name, size));
    }
    *out = &w->items[w->count++];
    **out = (item){.name = copy};
    return MASCON_OK;
}

mascon_status mascon_writer_add(mascon_writer *w, const char *name, mascon_tensor *t,
                                mascon_tensor *origin) {
    MASCON_NEED(w);
    MASCON_NEED(name);
    MASCON_NEED(t);
    char quote[MASCON_IO_QUOTE];
    if (mascon_tensor_is_released(t)) {
        return masconI_fail(MASCON_E_STATE, "tensor %s was released",
                            masconI_quote(quote, name, strlen(name)));
    }
    const mascon_view *v = mascon_see(t);
    if (v->device != MASCON_DEVICE_CPU) {
        return masconI_fail(MASCON_E_DEVICE, "tensor %s is not in CPU memory",
                            masconI_quote(quote, name, strlen(name)));
    }
    item *e = NULL;
    MASCON_TRY(add_item(w, name, &e));
    mascon_tensor_retain(t);
    e->tensor = t;
    e->origin = origin ? origin : t;
    mascon_tensor_retain(e->origin);
    e->dtype = v->dtype;
    e->ndim = v->ndim;
    memcpy(e->shape, v->shape, sizeof e->shape);
    e->size = mascon_dtype_size(v->dtype);
    e->length = (uint64_t)v->numel * (uint64_t)e->size;
    return MASCON_OK;
}

mascon_status mascon_writer_add_bytes(mascon_writer *w, const char *name, const char *data,
                                      int64_t size) {
    MASCON_NEED(w);
    MASCON_NEED(name);
    if (size < 0) return masconI_fail(MASCON_E_ARG, "size is %" PRId64, size);
    if (size > 0) MASCON_NEED(data);
    char *copy = malloc((size_t)size + 1);
    if (!copy) return masconI_oom(w->path, (uint64_t)size + 1);
    if (size) memcpy(copy, data, (size_t)size);
    item *e = NULL;
    mascon_status status = add_item(w, name, &e);
    if (status != MASCON_OK) {
        free(copy);
        return status;
    }
    e->bytes = copy;
    e->dtype = MASCON_DTYPE_U8;
    e->size = 1;
    e->ndim = 1;
    e->shape[0] = size;
    e->length = (uint64_t)size;
    return MASCON_OK;
}

const char *mascon_writer_find(const mascon_writer *w, const mascon_tensor *t) {
    if (!w || !t) return NULL;
    const mascon_view *v = mascon_see(t);
    if (mascon_tensor_is_released(t) || !v->numel) return NULL;
    size_t dims = (size_t)v->ndim * sizeof v->shape[0];
    for (uint64_t i = 0; i < w->count; i++) {
        if (!w->items[i].tensor) continue;
        const mascon_view *o = mascon_see(w->items[i].origin);
        if (o->data == v->data && o->device == v->device && o->dtype == v->dtype &&
            o->ndim == v->ndim && memcmp(o->shape, v->shape, dims) == 0 &&
            memcmp(o->stride, v->stride, dims) == 0) {
            return w->items[i].name;
        }
    }
    return NULL;
}

/* ---- The header ---- */

typedef struct span {
    const char *first, *end; /* memory between the lowest and behind the highest element */
    const item *of;
} span;

static int by_memory(const void *a, const void *b) {
    const span *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Two names over the same memory would come back as two tensors: refused. */
static mascon_status check_shared(const mascon_writer *w) {
    uint64_t n = 0;
    span *spans = malloc((w->count ? w->count : 1) * sizeof *spans);
    if (!spans) return masconI_oom(w->path, w->count * sizeof *spans);
    for (uint64_t i = 0; i < w->count; i++) {
        if (!w->items[i].tensor || !w->items[i].length) continue;
        const mascon_view *v = mascon_see(w->items[i].tensor);
        int64_t low = 0, high = 0;
        for (int d = 0; d < v->ndim; d++) {
            int64_t reach = (v->shape[d] - 1) * v->stride[d];
            *(reach < 0 ? &low : &high) += reach;
        }
        const char *data = v->data;
        spans[n++] = (span){data + low * w->items[i].size, data + (high + 1) * w->items[i].size,
                            &w->items[i]};
    }
    if (n) qsort(spans, n, sizeof *spans, by_memory);
    mascon_status status = MASCON_OK;
    for (uint64_t i = 1, last = 0; i < n && status == MASCON_OK; i++) {
        if (spans[i].first < spans[last].end) {
            char a[MASCON_IO_QUOTE], b[MASCON_IO_QUOTE];
            const char *x = spans[last].of->name, *y = spans[i].of->name;
            masconI_fail(MASCON_E_ARG, "tensors %s and %s share memory",
                         masconI_quote(a, x, strlen(x)), masconI_quote(b, y, strlen(y)));
            status = masconI_hint("clone() one of them");
            if (status == MASCON_OK) status = MASCON_E_ARG;
        }
        if (spans[i].end > spans[last].end) last = i;
    }
    free(spans);
    return status;
}

static int by_size_and_name(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Fills text with the 8 bytes of its length and the header; *data gets the bytes of all tensors, *sums
 * the place of their check sums in text, which are zeros so far, or 0 where they do not fit. */
static mascon_status make_header(const mascon_writer *w, masconI_text *text, uint64_t *data,
                                 uint64_t *sums) {
    uint64_t at = 0, length = 0;
    uint64_t room = masconI_limits_default()->metadata_bytes - w->metadata_bytes;
    int summed = w->count && room >= 8 * w->count + sizeof MASCON_IO_SUMS - 1;
    masconI_text_add(text, &length, sizeof length);
    masconI_text_format(text, "{");
    *sums = 0;
    if (w->n_keys || summed) masconI_text_format(text, "\"__metadata__\":{");
    if (summed) {
        masconI_text_format(text, "\"" MASCON_IO_SUMS "\":\"");
        *sums = text->size;
        for (uint64_t i = 0; i < w->count; i++) masconI_text_add(text, "00000000", 8);
        masconI_text_format(text, w->n_keys ? "\"," : "\"");
    }
    masconI_text_add(text, w->metadata.data, w->metadata.size);
    if (w->n_keys || summed) masconI_text_format(text, "}");
    for (uint64_t i = 0; i < w->count; i++) {
        const item *e = &w->items[i];
        if (i || w->n_keys || summed) masconI_text_add(text, ",", 1);
        masconI_text_json(text, e->name, strlen(e->name));
        masconI_text_format(text, ":{\"dtype\":\"%s\",\"shape\":[",
                            masconI_safetensors_dtype(e->dtype));
        for (int d = 0; d < e->ndim; d++) {
            masconI_text_format(text, d ? ",%" PRId64 : "%" PRId64, e->shape[d]);
        }
        uint64_t end;
        if (__builtin_add_overflow(at, e->length, &end)) {
            return masconI_fail(MASCON_E_LIMIT, "the tensors have more than 2^64 bytes");
        }
        masconI_text_format(text, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, end);
        at = end;
    }
    masconI_text_format(text, "}");
    while (!text->failed && text->size % 8) masconI_text_add(text, " ", 1);
    if (text->failed) return masconI_oom(w->path, text->capacity * 2);
    length = text->size - 8;
    uint64_t limit = masconI_limits_default()->header_bytes;
    if (length > limit) {
        char a[32], b[32];
        return masconI_fail(MASCON_E_LIMIT, "header of %s bytes; at most %s can be read back",
                            masconI_count(a, length), masconI_count(b, limit));
    }
    memcpy(text->data, &length, sizeof length);
    *data = at;
    return MASCON_OK;
}

/* ---- The file ---- */

typedef struct output {
    const mascon_writer *w;
    int fd;
    uint64_t total;   /* bytes the file will have, for messages */
    double available; /* bytes free before it was written: a hint, others write too */
    char *buffer;     /* of CHUNK bytes, for gathered elements */
} output;

static mascon_status write_failed(const output *o, int code) {
    const char *kept = o->w->exists ? "; the previous checkpoint is unchanged" : "";
    if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
        return masconI_fail(MASCON_E_IO, "%.256s: %s (%.1f MB needed, %.1f MB free)%s", o->w->path,
                            code == ENOSPC ? "no space left on device"
                            : code == EDQUOT
                                ? "disk quota exceeded"
                                : "file too large for the file system or the limit (ulimit -f)",
                            (double)o->total / 1e6, o->available / 1e6, kept);
    }
    return masconI_fail(MASCON_E_IO, "%.256s: cannot be written: %s%s", o->w->path, strerror(code),
                        kept);
}

static mascon_status put(const output *o, const void *data, uint64_t size) {
    const char *p = data;
    while (size) {
        size_t step = size < (uint64_t)16 * CHUNK ? (size_t)size : (size_t)16 * CHUNK;
        ssize_t n = write(o->fd, p, step);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return write_failed(o, n < 0 ? errno : EIO);
        p += n;
        size -= (uint64_t)n;
    }
    return MASCON_OK;
}

/* In pieces, so that the check sum is made while they are in the cache. */
static mascon_status put_summed(const output *o, const void *data, uint64_t size, uint32_t *sum) {
    const char *p = data;
    while (size) {
        uint64_t step = size < CHUNK ? size : CHUNK;
        *sum = masconI_crc_extend(MASCON_CRC32C, *sum, p, step);
        MASCON_TRY(put(o, p, step));
        p += step;
        size -= step;
    }
    return MASCON_OK;
}

/* Writes a tensor of any strides in row-major order. */
static mascon_status put_gathered(const output *o, const mascon_view *v, size_t size,
                                  uint32_t *sum) {
    int64_t index[MASCON_MAX_DIMS] = {0};
    const char *from = v->data;
    size_t used = 0;
    for (int64_t k = 0; k < v->numel; k++) {
        memcpy(o->buffer + used, from, size);
        used += size;
        if (used == CHUNK) {
            MASCON_TRY(put_summed(o, o->buffer, used, sum));
            used = 0;
        }
        for (int d = v->ndim - 1; d >= 0; d--) {
            from += v->stride[d] * (int64_t)size;
            if (++index[d] < v->shape[d]) break;
            from -= v->stride[d] * v->shape[d] * (int64_t)size;
            index[d] = 0;
        }
    }
    return put_summed(o, o->buffer, used, sum);
}

/* The check sums, now known, over the zeros that hold their place in the header. */
static mascon_status put_sums(const output *o, uint64_t at) {
    uint64_t size = 8 * o->w->count, done = 0;
    char *text = malloc(size + 1);
    if (!text) return masconI_oom(o->w->path, size);
    for (uint64_t i = 0; i < o->w->count; i++) {
        snprintf(text + 8 * i, 9, "%08" PRIx32, o->w->items[i].sum);
    }
    mascon_status status = MASCON_OK;
    while (done < size && status == MASCON_OK) {
        ssize_t n = pwrite(o->fd, text + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) status = write_failed(o, n < 0 ? errno : EIO);
        if (n > 0) done += (uint64_t)n;
    }
    free(text);
    return status;
}

static mascon_status put_all(const output *o, const masconI_text *header) {
    MASCON_TRY(put(o, header->data, header->size));
    for (uint64_t i = 0; i < o->w->count; i++) {
        item *e = &o->w->items[i];
        e->sum = 0;
        if (!e->length) continue;
        if (!e->tensor) {
            MASCON_TRY(put_summed(o, e->bytes, e->length, &e->sum));
            continue;
        }
        if (mascon_tensor_is_released(e->tensor)) {
            return masconI_fail(MASCON_E_STATE, "tensor %.256s was released", e->name);
        }
        const mascon_view *v = mascon_see(e->tensor);
        if (v->contiguous) {
            MASCON_TRY(put_summed(o, v->data, e->length, &e->sum));
        } else {
            MASCON_TRY(put_gathered(o, v, (size_t)e->size, &e->sum));
        }
    }
    return MASCON_OK;
}

/* Opens the temporary file; its path is allocated into *path. */
static mascon_status open_temporary(output *o, char **path) {
    const mascon_writer *w = o->w;
    for (int attempt = 0; attempt < 16; attempt++) {
        uint64_t number = 0;
        if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number) {
            number = (uint64_t)(uintptr_t)o * 0x9e3779b97f4a7c15u + (uint64_t)attempt;
        }
        if (asprintf(path, "%s.%.180s.%ld.%016" PRIx64 ".tmp", w->folder,
                     w->target + strlen(w->folder), (long)getpid(), number) < 0) {
            *path = NULL;
            return masconI_oom(w->path, PATH_MAX);
        }
        o->fd = open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0) {
            struct statvfs st;
            if (fstatvfs(o->fd, &st) == 0) {
                o->available = (double)st.f_bavail * (double)st.f_frsize;
            }
            return MASCON_OK;
        }
        int code = errno;
        free(*path);
        *path = NULL;
        if (code != EEXIST) {
            return masconI_fail(MASCON_E_IO, "%.256s: cannot be written: %s", w->path,
                                strerror(code));
        }
    }
    return masconI_fail(MASCON_E_IO, "%.256s: no free name for a temporary file", w->path);
}

/* Brings the renamed entry to the disk. A folder or a file system that does not allow it is no failure;
 * a disk that fails is: nothing may then rely on the new file. */
static mascon_status sync_folder(const mascon_writer *w) {
    int fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0) close(fd);
    if (code == 0 || code == EINVAL || code == ENOTSUP || code == ENOSYS || code == EACCES) {
        return MASCON_OK;
    }
    return masconI_fail(MASCON_E_IO,
                        "%.256s: was written, but a power failure could still undo it: directory "
                        "%.256s: %s",
                        w->path, w->folder, strerror(code));
}

static mascon_status verify(const char *path) {
    mascon_reader *r = NULL;
    MASCON_TRY(mascon_reader_open(&r, path, NULL));
    mascon_reader_close(r);
    return MASCON_OK;
}

mascon_status mascon_writer_finish(mascon_writer *w, int32_t flags) {
    MASCON_NEED(w);
    if (w->finished) {
        return masconI_fail(MASCON_E_STATE, "%.256s: the file was finished already", w->path);
    }
    masconI_text header = {0};
    output o = {.w = w, .fd = -1, .buffer = malloc(CHUNK)};
    char *path = NULL;
    uint64_t data = 0, sums = 0;
    mascon_status status = o.buffer ? check_shared(w) : masconI_oom(w->path, CHUNK);
    if (status != MASCON_OK) goto done;
    if (w->count) qsort(w->items, w->count, sizeof *w->items, by_size_and_name);
    status = make_header(w, &header, &data, &sums);
    if (status != MASCON_OK) goto done;
    o.total = header.size + data;
    status = open_temporary(&o, &path);
    if (status != MASCON_OK) goto done;
    if (w->exists && fchmod(o.fd, w->mode) != 0) status = write_failed(&o, errno);
    if (status == MASCON_OK) status = put_all(&o, &header);
    if (status == MASCON_OK && sums) status = put_sums(&o, sums);
    if (status == MASCON_OK && fsync(o.fd) != 0) status = write_failed(&o, errno);
    if (close(o.fd) != 0 && status == MASCON_OK) {
        status =
            masconI_fail(MASCON_E_IO, "%.256s: cannot be closed: %s", w->path, strerror(errno));
    }
    if (status == MASCON_OK && flags & MASCON_WRITER_VERIFY) status = verify(path);
    if (status == MASCON_OK && rename(path, w->target) != 0) {
        status = masconI_fail(MASCON_E_IO, "%.256s: cannot be put in place: %s", w->path,
                              strerror(errno));
    }
    if (status == MASCON_OK) {
        w->finished = 1;
        status = sync_folder(w);
    } else {
        unlink(path);
    }
done:
    free(path);
    free(o.buffer);
    masconI_text_free(&header);
    return status;
}

/* tar.c: reads the members of a .tar or .tar.gz one after the other. Nothing is extracted.
 *
 * Invariants
 *   - a forward stream: plain bytes of the file, or what zlib makes of them; the position in the
 *     unpacked stream is what messages name;
 *   - unpacked bytes are limited in number and in proportion to the packed ones, so a small file
 *     cannot keep a reader busy;
 *   - only plain members and folders, whose names stay inside of the archive.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "io/io.h"

enum { BLOCK = 512, CHUNK = 1 << 16, RATIO = 4, PAX_MOST = 65536 };

struct masconI_tar {
    masconI_file *file;
    masconI_limits limits;
    z_stream z;
    int packed, ended; /* ended: the gzip stream came to its end, check sum included */
    uint64_t file_at;  /* next byte of the file */
    uint64_t at;       /* next byte of the unpacked stream */
    uint64_t left;     /* of the current member */
    uint64_t padding;  /* behind it */
    uint64_t members;
    masconI_names names;
    masconI_arena arena; /* copies of the names */
    unsigned char input[CHUNK];
};

#define FAIL(t, ...) masconI_io_fail(MASCON_E_FORMAT, (t)->file->path, (t)->at, __VA_ARGS__)

/* ---- The stream ---- */

/* Up to size bytes; *got is smaller only at the end of the stream. */
static mascon_status read_plain(masconI_tar *t, void *to, uint64_t size, uint64_t *got) {
    uint64_t left = t->file->size - t->file_at;
    *got = size < left ? size : left;
    MASCON_TRY(masconI_file_read(t->file, t->file_at, to, *got));
    t->file_at += *got;
    return MASCON_OK;
}

static mascon_status read_packed(masconI_tar *t, void *to, uint64_t size, uint64_t *got) {
    *got = 0;
    while (*got < size && !t->ended) {
        if (!t->z.avail_in) {
            uint64_t n = 0;
            MASCON_TRY(read_plain(t, t->input, CHUNK, &n));
            if (!n) return FAIL(t, "the compressed data ends early; the file is cut off");
            t->z.next_in = t->input;
            t->z.avail_in = (uInt)n;
        }
        uint64_t step = size - *got < CHUNK ? size - *got : CHUNK;
        t->z.next_out = (unsigned char *)to + *got;
        t->z.avail_out = (uInt)step;
        int code = inflate(&t->z, Z_NO_FLUSH);
        uint64_t made = step - t->z.avail_out;
        *got += made;
        if (code == Z_STREAM_END) {
            t->ended = 1;
        } else if (code == Z_MEM_ERROR) {
            return masconI_oom(t->file->path, CHUNK);
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            return FAIL(t, "the compressed data is damaged (%s)", t->z.msg ? t->z.msg : "zlib");
        }
        uint64_t total = t->at + *got;
        if (total > t->limits.archive_bytes) {
            return masconI_limit_fail(t->file->path, t->at, "unpacked archive", total,
                                      "archive_bytes", t->limits.archive_bytes);
        }
        if (total > t->file->size * RATIO + CHUNK) {
            return masconI_io_fail(MASCON_E_LIMIT, t->file->path, t->at,
                                   "unpacks to more than %d times its size", RATIO);
        }
    }
    return MASCON_OK;
}

static mascon_status read_some(masconI_tar *t, void *to, uint64_t size, uint64_t *got) {
    MASCON_TRY(t->packed ? read_packed(t, to, size, got) : read_plain(t, to, size, got));
    t->at += *got;
    return MASCON_OK;
}

static mascon_status read_exactly(masconI_tar *t, void *to, uint64_t size) {
    uint64_t got = 0;
    MASCON_TRY(read_some(t, to, size, &got));
    if (got == size) return MASCON_OK;
    return FAIL(t, "the archive is cut off: %" PRIu64 " more bytes expected", size - got);
}

static mascon_status skip(masconI_tar *t, uint64_t size) {
    unsigned char waste[4096];
    if (!t->packed && size <= t->file->size - t->file_at) { /* else the loop says what is missing */
        t->file_at += size;
        t->at += size;
        return MASCON_OK;
    }
    while (size) {
        uint64_t step = size < sizeof waste ? size : sizeof waste;
        MASCON_TRY(read_exactly(t, waste, step));
        size -= step;
    }
    return MASCON_OK;
}

/* ---- Headers ---- */

/* An octal field: digits, then spaces or zero bytes. */
static int octal(const unsigned char *field, int size, uint64_t *out) {
    int i = 0;
    *out = 0;
    while (i < size && field[i] == ' ') i++;
    int first = i;
    for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) *out = *out * 8 + (field[i] - '0');
    if (i == first) return 0;
    for (; i < size; i++) {
        if (field[i] != ' ' && field[i] != 0) return 0;
    }
    return 1;
}

static int all_zero(const unsigned char *block) {
    for (int i = 0; i < BLOCK; i++) {
        if (block[i]) return 0;
    }
    return 1;
}

static mascon_status check_header(masconI_tar *t, const unsigned char *h, uint64_t *size) {
    uint64_t sum = 0, stated = 0;
    for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : h[i];
    if (memcmp(h + 257,
               "ustar\0"
               "00",
               8) != 0 &&
        memcmp(h + 257, "ustar  \0", 8) != 0) {
        return FAIL(t, "no tar header");
    }
    if (!octal(h + 148, 8, &stated) || stated != sum) {
        return FAIL(t, "the check sum of a tar header is wrong");
    }
    if (!octal(h + 124, 12, size)) return FAIL(t, "the size in a tar header is not octal");
    return MASCON_OK;
}

/* The name in a header: prefix and name, without "./" in front and "/" behind. */
static mascon_status read_name(masconI_tar *t, const unsigned char *h, masconI_tar_member *out) {
    char name[BLOCK];
    uint64_t n = 0;
    if (memcmp(h + 257, "ustar\0", 6) == 0 && h[345]) { /* GNU keeps other things there */
        n = strnlen((const char *)h + 345, 155);
        memcpy(name, h + 345, n);
        name[n++] = '/';
    }
    uint64_t length = strnlen((const char *)h, 100);
    memcpy(name + n, h, length);
    n += length;
    uint64_t from = 0;
    while (n - from >= 2 && name[from] == '.' && name[from + 1] == '/') from += 2;
    while (out->folder && n > from && name[n - 1] == '/') n--;
    if (out->folder && n - from == 1 && name[from] == '.') from = n;
    memcpy(out->name, name + from, n - from);
    out->name[n - from] = 0;
    if (n == from) {
        return out->folder ? MASCON_OK : FAIL(t, "a member has no name");
    }
    char quote[MASCON_IO_QUOTE];
    int ok = masconI_safetensors_name_ok(out->name, n - from) && !strchr(out->name, '\\');
    for (const char *part = out->name; ok && part;) {
        const char *end = strchr(part, '/');
        uint64_t size = end ? (uint64_t)(end - part) : strlen(part);
        ok = size && !(part[0] == '.' && (size == 1 || (size == 2 && part[1] == '.')));
        part = end ? end + 1 : NULL;
    }
    if (!ok) {
        return FAIL(t, "the member name %s is not allowed",
                    masconI_quote(quote, out->name, n - from));
    }
    char *copy = masconI_arena_get(&t->arena, n - from + 1);
    if (!copy) return mascon_last_error()->code;
    memcpy(copy, out->name, n - from + 1);
    int added = masconI_names_add(&t->names, copy, n - from);
    if (added < 0) return masconI_oom(t->file->path, n);
    if (!added)
        return FAIL(t, "two members have the name %s", masconI_quote(quote, copy, n - from));
    return MASCON_OK;
}

/* Extended headers may say times; what would change a name or a size is refused. */
static mascon_status check_pax(masconI_tar *t, uint64_t size) {
    if (size > PAX_MOST) return FAIL(t, "an extended header of %" PRIu64 " bytes", size);
    char *text = malloc(size + 1);
    if (!text) return masconI_oom(t->file->path, size + 1);
    mascon_status status = read_exactly(t, text, size);
    uint64_t at = 0;
    while (status == MASCON_OK && at < size) {
        uint64_t length = 0, digits = 0;
        while (at + digits < size && digits < 6 && text[at + digits] >= '0' &&
               text[at + digits] <= '9') {
            length = length * 10 + (uint64_t)(text[at + digits++] - '0');
        }
        const char *record = text + at + digits;
        if (!digits || length < digits + 3 || length > size - at || *record != ' ' ||
            text[at + length - 1] != '\n' || !memchr(record, '=', length - digits)) {
            status = FAIL(t, "a record of an extended header is damaged");
        } else if (length < digits + 7 ||
                   (memcmp(record, " mtime=", 7) != 0 && memcmp(record, " atime=", 7) != 0 &&
                    memcmp(record, " ctime=", 7) != 0)) {
            char quote[MASCON_IO_QUOTE];
            status = FAIL(t, "an extended header sets %s; only times are allowed",
                          masconI_quote(quote, record + 1, length - digits - 2));
        }
        at += length;
    }
    free(text);
    return status == MASCON_OK ? skip(t, (BLOCK - size % BLOCK) % BLOCK) : status;
}

/* After the first zero block: a second one, and nothing but zeros up to the end. */
static mascon_status check_end(masconI_tar *t) {
    unsigned char block[BLOCK];
    uint64_t got = BLOCK;
    MASCON_TRY(read_exactly(t, block, BLOCK));
    while (got) {
        if (!all_zero(block)) return FAIL(t, "data follows the end of the archive");
        MASCON_TRY(read_some(t, block, BLOCK, &got));
        memset(block + got, 0, BLOCK - got);
    }
    if (t->packed && (t->z.avail_in || t->file_at != t->file->size)) {
        return FAIL(t, "data follows the compressed archive");
    }
    return MASCON_OK;
}

/* ---- The interface ---- */

mascon_status masconI_tar_open(masconI_tar **out, const char *path, const masconI_limits *limits) {
    *out = NULL;
    masconI_tar *t = calloc(1, sizeof *t);
    if (!t) return masconI_oom(path, sizeof *t);
    t->limits = limits ? *limits : *masconI_limits_default();
    unsigned char head[2] = {0};
    mascon_status status = masconI_file_open(&t->file, path);
    if (status == MASCON_OK && t->file->size >= 2) status = masconI_file_read(t->file, 0, head, 2);
    if (status == MASCON_OK) {
        t->arena = (masconI_arena){.limit = t->limits.meta_bytes, .path = t->file->path};
        if (head[0] == 0x1f && head[1] == 0x8b) {
            if (inflateInit2(&t->z, 15 + 16) != Z_OK) {
                status = masconI_oom(path, CHUNK);
            } else {
                t->packed = 1;
            }
        }
    }
    if (status != MASCON_OK) {
        masconI_tar_close(t);
        return status;
    }
    *out = t;
    return MASCON_OK;
}

mascon_status masconI_tar_next(masconI_tar *t, masconI_tar_member *out, int *more) {
    unsigned char h[BLOCK];
    *more = 0;
    for (;;) {
        uint64_t size = 0;
        MASCON_TRY(skip(t, t->left + t->padding));
        t->left = t->padding = 0;
        MASCON_TRY(read_exactly(t, h, BLOCK));
        if (all_zero(h)) return check_end(t);
        MASCON_TRY(check_header(t, h, &size));
        if (t->members++ >= t->limits.entries) {
            return masconI_limit_fail(t->file->path, t->at, "members", t->members, "entries",
                                      t->limits.entries);
        }
        char type = (char)h[156];
        if (type == 'x') {
            MASCON_TRY(check_pax(t, size));
            continue;
        }
        if (type != '0' && type != 0 && type != '5') {
            char quote[MASCON_IO_QUOTE];
            return FAIL(t, "a member of type %s; only plain files and folders are read",
                        masconI_quote(quote, &type, 1));
        }
        *out = (masconI_tar_member){.size = size, .folder = type == '5'};
        if (out->folder && size) return FAIL(t, "a folder has a size");
        MASCON_TRY(read_name(t, h, out));
        if (!*out->name) continue; /* the root itself */
        out->at = t->at;
        out->posix = memcmp(h + 257, "ustar\0", 6) == 0;
        t->left = size;
        t->padding = (BLOCK - size % BLOCK) % BLOCK;
        *more = 1;
        return MASCON_OK;
    }
}

mascon_status masconI_tar_read(masconI_tar *t, void *to, uint64_t size) {
    if (size > t->left) {
        return FAIL(t, "%" PRIu64 " bytes wanted of a member with %" PRIu64 " left", size, t->left);
    }
    MASCON_TRY(read_exactly(t, to, size));
    t->left -= size;
    return MASCON_OK;
}

void masconI_tar_close(masconI_tar *t) {
    if (!t) return;
    if (t->packed) inflateEnd(&t->z);
    masconI_file_close(t->file);
    masconI_names_free(&t->names);
    masconI_arena_free(&t->arena);
    free(t);
}

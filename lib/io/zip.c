/* zip.c: the directory of the zip archives that PyTorch writes, checked whole.
 *
 * Invariants after opening: all members are stored, none compressed or encrypted; their spans (local
 * header, data, descriptor) tile the file from its first byte to the directory, so no byte belongs to
 * two members or to none; local headers say what the directory says; names share one prefix, are
 * unique, valid UTF-8 and stay inside of the archive.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

enum {
    END = 22,     /* bytes of the end record */
    LOCATOR = 20, /* of the locator of the 64-bit end record */
    END64 = 56,   /* of that record */
    CENTRAL = 46, /* of an entry of the directory, without its texts */
    LOCAL = 30,   /* of a local header, likewise */
    NAME_MOST = 512
};
enum { HAS_DESCRIPTOR = 1 << 3, IS_UTF8 = 1 << 11, ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13 };

#define MAX16 0xffffu
#define MAX32 0xffffffffu

struct masconI_zip {
    const masconI_file *file;
    const masconI_limits *limits;
    unsigned char *directory;
    uint64_t directory_at, directory_size;
    masconI_zip_entry *entries; /* in the order of the directory */
    uint64_t count;
    uint64_t prefix; /* bytes of it, without the slash */
    masconI_names names;
    masconI_arena arena;
};

static uint64_t get(const unsigned char *p, int size) {
    uint64_t v = 0;
    for (int i = size - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

#define FAIL(z, at, ...) masconI_io_fail(MASCON_E_FORMAT, (z)->file->path, at, __VA_ARGS__)

static mascon_status bad_entry(const masconI_zip *z, const masconI_zip_entry *e, uint64_t at,
                               const char *what) {
    char quote[MASCON_IO_QUOTE];
    return FAIL(z, at, "zip member %s %s", masconI_quote(quote, e->name, e->name_size), what);
}

/* ---- The end of the file ---- */

typedef struct ending {
    uint64_t entries, directory_at, directory_size;
    uint64_t begin; /* where the directory must end */
} ending;

static mascon_status no_end(const masconI_zip *z) {
    char count[32];
    masconI_fail(MASCON_E_FORMAT,
                 "%.256s: no zip end record in %s bytes; the file is cut off or damaged",
                 z->file->path, masconI_count(count, z->file->size));
    masconI_hint("download again");
    return MASCON_E_FORMAT;
}

static mascon_status find_end(const masconI_zip *z, int lenient, uint64_t *at) {
    unsigned char end[END];
    uint64_t size = z->file->size;
    if (size < END) return no_end(z);
    if (!lenient) {
        *at = size - END;
        MASCON_TRY(masconI_file_read(z->file, *at, end, END));
        return memcmp(end, "PK\5\6", 4) == 0 && get(end + 20, 2) == 0 ? MASCON_OK : no_end(z);
    }
    uint64_t window = size < END + MAX16 ? size : END + MAX16, found = 0;
    unsigned char *tail = malloc(window);
    if (!tail) return masconI_oom(z->file->path, window);
    mascon_status status = masconI_file_read(z->file, size - window, tail, window);
    for (uint64_t i = 0; status == MASCON_OK && i + END <= window; i++) {
        if (memcmp(tail + i, "PK\5\6", 4) == 0 && i + END + get(tail + i + 20, 2) == window) {
            *at = size - window + i;
            found++;
        }
    }
    free(tail);
    if (status == MASCON_OK && found > 1) {
        return FAIL(z, *at, "%" PRIu64 " zip end records", found);
    }
    return status == MASCON_OK && !found ? no_end(z) : status;
}

/* A field of the classic end record is the value of the 64-bit one, or all ones. */
static int agrees(uint64_t classic, uint64_t most, uint64_t value) {
    return classic == value || classic == most;
}

static mascon_status read_end(const masconI_zip *z, int lenient, ending *out) {
    unsigned char end[END], locator[LOCATOR], end64[END64];
    uint64_t at = 0;
    MASCON_TRY(find_end(z, lenient, &at));
    MASCON_TRY(masconI_file_read(z->file, at, end, END));
    uint64_t entries = get(end + 10, 2), size = get(end + 12, 4), begin = get(end + 16, 4);
    if (get(end + 4, 2) || get(end + 6, 2)) return FAIL(z, at, "a zip archive in several parts");
    if (get(end + 8, 2) != entries) return FAIL(z, at, "zip end record: entry counts differ");
    *out = (ending){entries, begin, size, at};
    if (at >= LOCATOR) {
        MASCON_TRY(masconI_file_read(z->file, at - LOCATOR, locator, LOCATOR));
    }
    if (at >= LOCATOR && memcmp(locator, "PK\6\7", 4) == 0) {
        uint64_t record = get(locator + 8, 8);
        if (get(locator + 4, 4) != 0 || get(locator + 16, 4) != 1) {
            return FAIL(z, at - LOCATOR, "a zip archive in several parts");
        }
        if (at - LOCATOR < END64 || record != at - LOCATOR - END64) {
            return FAIL(z, at - LOCATOR, "the zip64 end record is not before its locator");
        }
        MASCON_TRY(masconI_file_read(z->file, record, end64, END64));
        if (memcmp(end64, "PK\6\6", 4) != 0 || get(end64 + 4, 8) != END64 - 12) {
            return FAIL(z, record, "no zip64 end record of 56 bytes");
        }
        if (get(end64 + 16, 4) || get(end64 + 20, 4) || get(end64 + 24, 8) != get(end64 + 32, 8)) {
            return FAIL(z, record, "a zip archive in several parts");
        }
        *out = (ending){get(end64 + 32, 8), get(end64 + 48, 8), get(end64 + 40, 8), record};
        if (!agrees(entries, MAX16, out->entries) || !agrees(size, MAX32, out->directory_size) ||
            !agrees(begin, MAX32, out->directory_at)) {
            return FAIL(z, at, "the two zip end records differ");
        }
    } else if (entries == MAX16 || size == MAX32 || begin == MAX32) {
        return FAIL(z, at, "the zip64 end record is missing");
    }
    uint64_t stop;
    if (!out->entries) return FAIL(z, at, "a zip archive without members");
    if (out->entries > z->limits->entries) {
        return masconI_limit_fail(z->file->path, at, "zip members", out->entries, "entries",
                                  z->limits->entries);
    }
    if (__builtin_add_overflow(out->directory_at, out->directory_size, &stop) ||
        stop != out->begin || out->directory_size < CENTRAL * out->entries) {
        return FAIL(z, at,
                    "the zip directory (%" PRIu64 " entries, %" PRIu64 " bytes at %" PRIu64
                    ") does not end at %" PRIu64,
                    out->entries, out->directory_size, out->directory_at, out->begin);
    }
    if (out->directory_size > z->limits->meta_bytes) {
        return masconI_limit_fail(z->file->path, at, "zip directory", out->directory_size,
                                  "meta_bytes", z->limits->meta_bytes);
    }
    return MASCON_OK;
}

/* ---- Entries ---- */

static mascon_status check_name(masconI_zip *z, masconI_zip_entry *e, uint64_t at) {
    int ok = e->name_size <= NAME_MOST && masconI_safetensors_name_ok(e->name, e->name_size) &&
             !memchr(e->name, '\\', e->name_size) && !memchr(e->name, ':', e->name_size);
    const char *end = e->name + e->name_size;
    for (const char *part = e->name; ok && part;) {
        const char *slash = memchr(part, '/', (size_t)(end - part));
        size_t n = (size_t)((slash ? slash : end) - part);
        ok = n && !(part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.')));
        part = slash ? slash + 1 : NULL;
    }
    if (!ok) return bad_entry(z, e, at, "has a name that is not allowed");
    const char *slash = memchr(e->name, '/', e->name_size);
    uint64_t prefix = slash ? (uint64_t)(slash - e->name) : 0;
    if (!prefix) return bad_entry(z, e, at, "lies in no folder");
    if (e == z->entries) z->prefix = prefix;
    if (prefix != z->prefix || memcmp(e->name, z->entries->name, prefix) != 0) {
        return bad_entry(z, e, at, "lies in another folder than the first");
    }
    e->rest = prefix + 1;
    int added = masconI_names_add(&z->names, e->name + e->rest, e->name_size - e->rest);
    if (added < 0) return masconI_oom(z->file->path, e->name_size);
    return added ? MASCON_OK : bad_entry(z, e, at, "is there twice");
}

/* Replaces saturated numbers by those of the 64-bit extra field, which must be there exactly then. */
static mascon_status read_extra(const masconI_zip *z, const masconI_zip_entry *e, uint64_t at,
                                const unsigned char *extra, uint64_t size, uint64_t **values,
                                int n) {
    uint64_t wanted = 0, seen = 0;
    for (int i = 0; i < n; i++) wanted += *values[i] == MAX32;
    for (uint64_t i = 0; i < size;) {
        if (size - i < 4 || get(extra + i + 2, 2) > size - i - 4) {
            return bad_entry(z, e, at, "has a damaged extra field");
        }
        uint64_t length = get(extra + i + 2, 2);
        if (get(extra + i, 2) == 1) {
            if (seen++ || !wanted || length != 8 * wanted) {
                return bad_entry(z, e, at, "has a zip64 field that does not fit its numbers");
            }
            const unsigned char *p = extra + i + 4;
            for (int k = 0; k < n; k++) {
                if (*values[k] != MAX32) continue;
                *values[k] = get(p, 8);
                p += 8;
            }
        }
        i += 4 + length;
    }
    return wanted && !seen ? bad_entry(z, e, at, "has no zip64 field for its numbers") : MASCON_OK;
}

static mascon_status read_entry(masconI_zip *z, uint64_t *at, masconI_zip_entry *e) {
    const unsigned char *p = z->directory + *at;
    uint64_t left = z->directory_size - *at, where = z->directory_at + *at;
    if (left < CENTRAL || memcmp(p, "PK\1\2", 4) != 0) {
        return FAIL(z, where, "no entry of the zip directory");
    }
    uint64_t name = get(p + 28, 2), extra = get(p + 30, 2), comment = get(p + 32, 2);
    if (CENTRAL + name + extra + comment > left) {
        return FAIL(z, where, "an entry of the zip directory is longer than it");
    }
    char *copy = masconI_arena_get(&z->arena, name + 1);
    if (!copy) return mascon_last_error()->code;
    memcpy(copy, p + CENTRAL, name);
    uint64_t packed = get(p + 20, 4);
    *e = (masconI_zip_entry){
        .name = copy,
        .name_size = name,
        .flags = (int32_t)get(p + 8, 2),
        .sum = (uint32_t)get(p + 16, 4),
        .size = get(p + 24, 4),
        .header = get(p + 42, 4),
    };
    MASCON_TRY(check_name(z, e, where));
    if (strncmp(e->name + e->rest, "code/", 5) == 0 ||
        strcmp(e->name + e->rest, "constants.pkl") == 0) {
        masconI_fail(MASCON_E_UNSUPPORTED, "%.256s is a TorchScript program; code is not loaded",
                     z->file->path);
        masconI_hint("save the state_dict instead");
        return MASCON_E_UNSUPPORTED;
    }
    if (e->flags & ENCRYPTED) return bad_entry(z, e, where, "is encrypted");
    if (get(p + 10, 2) != 0) {
        return bad_entry(z, e, where, "is compressed; PyTorch stores its members as they are");
    }
    if (e->flags & ~(HAS_DESCRIPTOR | IS_UTF8)) return bad_entry(z, e, where, "has unknown flags");
    if (comment || get(p + 34, 2)) return bad_entry(z, e, where, "has a comment or another disk");
    uint64_t *values[3] = {&e->size, &packed, &e->header};
    MASCON_TRY(read_extra(z, e, where, p + CENTRAL + name, extra, values, 3));
    if (packed != e->size) return bad_entry(z, e, where, "has two different sizes");
    *at += CENTRAL + name + extra;
    return MASCON_OK;
}

/* Whether there is a 64-bit extra field, damaged or not. */
static int has_wide(const unsigned char *extra, uint64_t size) {
    for (uint64_t i = 0; i + 4 <= size; i += 4 + get(extra + i + 2, 2)) {
        if (get(extra + i, 2) == 1) return 1;
    }
    return 0;
}

/* Reads the local header of e and finds its data; limit: the first byte behind it all. */
static mascon_status read_local(masconI_zip *z, masconI_zip_entry *e, uint64_t limit) {
    unsigned char h[LOCAL], *texts = NULL;
    if (limit - e->header < LOCAL) return bad_entry(z, e, e->header, "has no room for its header");
    MASCON_TRY(masconI_file_read(z->file, e->header, h, LOCAL));
    uint64_t name = get(h + 26, 2), extra = get(h + 28, 2);
    if (memcmp(h, "PK\3\4", 4) != 0) return bad_entry(z, e, e->header, "has no local header");
    uint64_t texts_size = name + extra, end;
    e->at = e->header + LOCAL + texts_size;
    if (limit - e->header - LOCAL < texts_size || __builtin_add_overflow(e->at, e->size, &end) ||
        end > limit) {
        return bad_entry(z, e, e->header, "is longer than the room up to the next");
    }
    texts = malloc(texts_size + 1);
    if (!texts) return masconI_oom(z->file->path, texts_size);
    mascon_status status = masconI_file_read(z->file, e->header + LOCAL, texts, texts_size);
    uint64_t packed = get(h + 18, 4), size = get(h + 22, 4), sum = get(h + 14, 4);
    if (status == MASCON_OK && (name != e->name_size || memcmp(texts, e->name, name) != 0 ||
                                get(h + 8, 2) != 0 || (int32_t)get(h + 6, 2) != e->flags)) {
        status = bad_entry(z, e, e->header, "has a local header that differs from the directory");
    }
    if (status == MASCON_OK) {
        /* PyTorch leaves the numbers out, and yet repeats the directory's 64-bit field */
        uint64_t header = 0, *values[3] = {&size, &packed, &header};
        if (e->flags & HAS_DESCRIPTOR && !packed && !size && has_wide(texts + name, extra)) {
            if (e->size >= MAX32) packed = size = MAX32;
            if (e->header >= MAX32) header = MAX32;
        }
        status = read_extra(z, e, e->header, texts + name, extra, values, 3);
        if (status == MASCON_OK && header && header != e->header) {
            status = bad_entry(z, e, e->header, "has a local header of another place");
        }
    }
    free(texts);
    MASCON_TRY(status);
    int later = e->flags & HAS_DESCRIPTOR; /* the numbers follow the data */
    if (later && !packed) packed = e->size;
    if (later && !size) size = e->size;
    if (packed != e->size || size != e->size || sum != (later ? 0 : e->sum)) {
        return bad_entry(z, e, e->header, "has a local header that differs from the directory");
    }
    if (!later) {
        return end == limit ? MASCON_OK : bad_entry(z, e, end, "is followed by bytes of no member");
    }
    unsigned char d[24];
    uint64_t length = limit - end;
    if (length != 12 && length != 16 && length != 20 && length != 24) {
        return bad_entry(z, e, end, "is followed by bytes of no member");
    }
    MASCON_TRY(masconI_file_read(z->file, end, d, length));
    const unsigned char *p = d;
    int wide = length >= 20 ? 8 : 4;
    int ok = 1;
    if (length == 16 || length == 24) {
        ok = memcmp(p, "PK\7\10", 4) == 0;
        p += 4;
    }
    ok = ok && get(p, 4) == e->sum && get(p + 4, wide) == e->size &&
         get(p + 4 + wide, wide) == e->size;
    return ok ? MASCON_OK
              : bad_entry(z, e, end, "has a descriptor that differs from the directory");
}

static int by_header(const void *a, const void *b) {
    const masconI_zip_entry *x = *(masconI_zip_entry *const *)a,
                            *y = *(masconI_zip_entry *const *)b;
    return x->header < y->header ? -1 : x->header > y->header;
}

static mascon_status check_spans(masconI_zip *z) {
    masconI_zip_entry **sorted = malloc(z->count * sizeof(masconI_zip_entry *));
    if (!sorted) return masconI_oom(z->file->path, z->count * sizeof(masconI_zip_entry *));
    for (uint64_t i = 0; i < z->count; i++) sorted[i] = &z->entries[i];
    qsort(sorted, z->count, sizeof(masconI_zip_entry *), by_header);
    mascon_status status = MASCON_OK;
    if (sorted[0]->header != 0) {
        status = FAIL(z, 0, "the first zip member begins at byte %" PRIu64, sorted[0]->header);
    }
    for (uint64_t i = 0; i < z->count && status == MASCON_OK; i++) {
        uint64_t limit = i + 1 < z->count ? sorted[i + 1]->header : z->directory_at;
        if (limit > z->directory_at || limit <= sorted[i]->header) {
            status = bad_entry(z, sorted[i], sorted[i]->header, "overlaps another");
        } else {
            status = read_local(z, sorted[i], limit);
        }
    }
    free(sorted);
    return status;
}

static mascon_status open_checked(masconI_zip *z, int lenient) {
    ending e = {0};
    MASCON_TRY(read_end(z, lenient, &e));
    z->directory_at = e.directory_at;
    z->directory_size = e.directory_size;
    z->directory = masconI_arena_get(&z->arena, e.directory_size);
    z->entries = z->directory ? masconI_arena_get(&z->arena, e.entries * sizeof *z->entries) : NULL;
    if (!z->entries) return mascon_last_error()->code;
    MASCON_TRY(masconI_file_read(z->file, e.directory_at, z->directory, e.directory_size));
    uint64_t at = 0;
    for (; z->count < e.entries; z->count++) {
        MASCON_TRY(read_entry(z, &at, &z->entries[z->count]));
    }
    if (at != z->directory_size) {
        return FAIL(z, z->directory_at + at, "bytes follow the last entry of the zip directory");
    }
    return check_spans(z);
}

/* ---- The interface ---- */

mascon_status masconI_zip_open(masconI_zip **out, const masconI_file *f,
                               const masconI_limits *limits, int lenient) {
    *out = NULL;
    masconI_zip *z = calloc(1, sizeof *z);
    if (!z) return masconI_oom(f->path, sizeof *z);
    z->file = f;
    z->limits = limits;
    z->arena = (masconI_arena){.limit = limits->meta_bytes, .path = f->path};
    mascon_status status = open_checked(z, lenient);
    if (status != MASCON_OK) {
        masconI_zip_free(z);
        return status;
    }
    *out = z;
    return MASCON_OK;
}

masconI_zip_entry *masconI_zip_find(masconI_zip *z, const char *name, uint64_t size) {
    int64_t i = masconI_names_find(&z->names, name, size);
    return i < 0 ? NULL : &z->entries[i];
}

uint64_t masconI_zip_count(const masconI_zip *z) { return z->count; }

masconI_zip_entry *masconI_zip_entry_at(masconI_zip *z, uint64_t i) { return &z->entries[i]; }

void masconI_zip_free(masconI_zip *z) {
    if (!z) return;
    masconI_names_free(&z->names);
    masconI_arena_free(&z->arena);
    free(z);
}

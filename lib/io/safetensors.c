/* safetensors.c: the reader. Opening reads the header and checks all of it: every name, shape and
 * range, before any tensor exists. Reading a tensor afterwards can only fail on memory, on the
 * device below the file, or because mascon has no such type.
 *
 * Invariants after opening: ranges tile the data part exactly; a range has the bytes that shape and
 * type need; names are unique, valid UTF-8 and free of control characters. All texts point into the
 * header, which the reader owns.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the data part is little-endian");

typedef struct entry {
    const char *name;
    uint64_t name_size;
    int64_t shape[MASCON_MAX_DIMS];
    uint64_t numel, begin, end; /* begin and end in the data part */
    uint64_t offset;            /* of the name in the file, for messages */
    int32_t type;               /* position in types */
    int32_t ndim;
    char *bytes;  /* read by mascon_reader_bytes */
    uint32_t sum; /* CRC-32C of its bytes, where the file has sums */
} entry;

typedef struct pair {
    const char *key, *text;
    uint64_t key_size, text_size;
} pair;

struct mascon_reader {
    masconI_file *file;
    unsigned char *header;
    uint64_t header_size;
    entry *entries;
    uint64_t count, capacity;
    pair *metadata;
    uint64_t n_metadata, metadata_capacity;
    const masconI_limits *limits; /* only while opening */
    uint64_t table_bytes;
    int has_sums, verify;
};

/* Types of the format; those with dtype -1 are listed but cannot be read. */
static const struct {
    const char *name;
    int32_t bits, dtype;
} types[] = {
    {"F32", 32, MASCON_DTYPE_F32},
    {"F64", 64, MASCON_DTYPE_F64},
    {"BF16", 16, MASCON_DTYPE_BF16},
    {"F16", 16, MASCON_DTYPE_F16},
    {"I64", 64, MASCON_DTYPE_I64},
    {"I32", 32, MASCON_DTYPE_I32},
    {"U8", 8, MASCON_DTYPE_U8},
    {"BOOL", 8, MASCON_DTYPE_BOOL},
    {"I8", 8, -1},
    {"I16", 16, -1},
    {"U16", 16, -1},
    {"U32", 32, -1},
    {"U64", 64, -1},
    {"F8_E4M3", 8, -1},
    {"F8_E5M2", 8, -1},
    {"F8_E8M0", 8, -1},
    {"F8_E4M3FNUZ", 8, -1},
    {"F8_E5M2FNUZ", 8, -1},
    {"F6_E2M3", 6, -1},
    {"F6_E3M2", 6, -1},
    {"F4", 4, -1},
    {"C64", 64, -1},
};

enum { TYPE_COUNT = (int)(sizeof types / sizeof types[0]) };

const char *masconI_safetensors_dtype(int32_t dtype) {
    for (int i = 0; i < TYPE_COUNT; i++) {
        if (types[i].dtype == dtype) return types[i].name;
    }
    return NULL;
}

int masconI_safetensors_name_ok(const char *name, uint64_t size) {
    if (size < 1 || size > 512 || !masconI_utf8_valid(name, size)) return 0;
    for (uint64_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < 0x20 || c == 0x7f) return 0;
        if (c == 0xc2 && (unsigned char)name[i + 1] < 0xa0) return 0; /* U+0080 .. U+009F */
    }
    return 1;
}

static mascon_status bad(const mascon_reader *r, uint64_t offset, const char *what,
                         const char *name, uint64_t size) {
    char quote[MASCON_IO_QUOTE];
    return masconI_io_fail(MASCON_E_FORMAT, r->file->path, offset, "%s %s", what,
                           masconI_quote(quote, name, size));
}

/* Makes room for one more of size bytes in a table of the reader. */
static mascon_status grow(mascon_reader *r, void *table, uint64_t count, uint64_t *capacity,
                          uint64_t size) {
    if (count < *capacity) return MASCON_OK;
    uint64_t more = *capacity ? *capacity : 16;
    if (r->table_bytes + more * size > r->limits->meta_bytes) {
        return masconI_limit_fail(r->file->path, MASCON_IO_NOWHERE, "tables of the header",
                                  r->table_bytes + more * size, "meta_bytes",
                                  r->limits->meta_bytes);
    }
    void *old;
    memcpy(&old, table, sizeof old);
    void *grown = realloc(old, (*capacity + more) * size);
    if (!grown) return masconI_oom(r->file->path, (*capacity + more) * size);
    memcpy(table, &grown, sizeof grown);
    *capacity += more;
    r->table_bytes += more * size;
    return MASCON_OK;
}

static mascon_status add_name(const mascon_reader *r, masconI_names *names, uint64_t offset,
                              const char *text, uint64_t size) {
    int added = masconI_names_add(names, text, size);
    if (added < 0) return masconI_oom(r->file->path, names->capacity * 2 * sizeof *names->slot);
    return added ? MASCON_OK : bad(r, offset, "header: duplicate name", text, size);
}

/* ---- Phase 1: the header ---- */

static mascon_status parse_metadata(mascon_reader *r, masconI_json *j) {
    masconI_names names = {0};
    uint64_t total = 0;
    mascon_status status = masconI_json_take(j, '{');
    int more = 1;
    if (status == MASCON_OK && masconI_json_peek(j) == '}') {
        j->at++;
        more = 0;
    }
    while (status == MASCON_OK && more) {
        pair p;
        uint64_t at = j->base + j->at;
        status = masconI_json_string(j, &p.key, &p.key_size);
        if (status == MASCON_OK) status = add_name(r, &names, at, p.key, p.key_size);
        if (status == MASCON_OK) status = masconI_json_take(j, ':');
        if (status == MASCON_OK) status = masconI_json_string(j, &p.text, &p.text_size);
        if (status != MASCON_OK) break;
        total += p.key_size + p.text_size;
        if (total > r->limits->metadata_bytes) {
            status = masconI_limit_fail(r->file->path, at, "__metadata__", total, "metadata_bytes",
                                        r->limits->metadata_bytes);
            break;
        }
        status = grow(r, &r->metadata, r->n_metadata, &r->metadata_capacity, sizeof p);
        if (status != MASCON_OK) break;
        r->metadata[r->n_metadata++] = p;
        status = masconI_json_more(j, '}', &more);
    }
    masconI_names_free(&names);
    return status;
}

static mascon_status parse_shape(mascon_reader *r, masconI_json *j, entry *e) {
    int more = 1;
    MASCON_TRY(masconI_json_take(j, '['));
    if (masconI_json_peek(j) == ']') {
        j->at++;
        return MASCON_OK;
    }
    while (more) {
        uint64_t size = 0;
        if (e->ndim == MASCON_MAX_DIMS) {
            return bad(r, j->base + j->at, "more than 8 dimensions in tensor", e->name,
                       e->name_size);
        }
        MASCON_TRY(masconI_json_number(j, &size));
        e->shape[e->ndim++] = (int64_t)size;
        MASCON_TRY(masconI_json_more(j, ']', &more));
    }
    return MASCON_OK;
}

static mascon_status parse_type(mascon_reader *r, masconI_json *j, entry *e) {
    const char *text = NULL;
    uint64_t size = 0, at = j->base + j->at;
    MASCON_TRY(masconI_json_string(j, &text, &size));
    for (e->type = 0; e->type < TYPE_COUNT; e->type++) {
        const char *name = types[e->type].name;
        if (strlen(name) == size && memcmp(name, text, size) == 0) return MASCON_OK;
    }
    char a[MASCON_IO_QUOTE], b[MASCON_IO_QUOTE];
    return masconI_io_fail(MASCON_E_UNSUPPORTED, r->file->path, at,
                           "tensor %s has the unknown dtype %s",
                           masconI_quote(a, e->name, e->name_size), masconI_quote(b, text, size));
}

/* Checks that shape and type need exactly the bytes of the range. */
static mascon_status check_size(const mascon_reader *r, entry *e) {
    uint64_t product = 1, bits;
    e->numel = 1;
    for (int i = 0; i < e->ndim; i++) {
        uint64_t size = (uint64_t)e->shape[i];
        /* zeros are left out of the product, so that one cannot hide an overflow */
        if (__builtin_mul_overflow(product, size ? size : 1, &product) || product >> 62) {
            return bad(r, e->offset, "more than 2^62 elements in tensor", e->name, e->name_size);
        }
        if (!size) e->numel = 0;
    }
    if (e->numel) e->numel = product;
    if (__builtin_mul_overflow(e->numel, (uint64_t)types[e->type].bits, &bits) || bits % 8) {
        return bad(r, e->offset, "no whole number of bytes in tensor", e->name, e->name_size);
    }
    uint64_t data = r->file->size - 8 - r->header_size;
    char a[MASCON_IO_QUOTE];
    masconI_quote(a, e->name, e->name_size);
    if (e->begin > e->end || e->end > data) {
        return masconI_io_fail(MASCON_E_FORMAT, r->file->path, e->offset,
                               "tensor %s has data_offsets %" PRIu64 "..%" PRIu64
                               ", the file holds 0..%" PRIu64,
                               a, e->begin, e->end, data);
    }
    if (e->end - e->begin != bits / 8) {
        return masconI_io_fail(MASCON_E_FORMAT, r->file->path, e->offset,
                               "tensor %s needs %" PRIu64 " bytes, data_offsets give %" PRIu64, a,
                               bits / 8, e->end - e->begin);
    }
    return MASCON_OK;
}

static mascon_status parse_tensor(mascon_reader *r, masconI_json *j, entry *e) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    int seen = 0, more = 1;
    MASCON_TRY(masconI_json_take(j, '{'));
    while (more) {
        const char *key = NULL;
        uint64_t size = 0, at = j->base + j->at;
        MASCON_TRY(masconI_json_string(j, &key, &size));
        MASCON_TRY(masconI_json_take(j, ':'));
        int field = size == 5 && !memcmp(key, "dtype", 5)            ? DTYPE
                    : size == 5 && !memcmp(key, "shape", 5)          ? SHAPE
                    : size == 12 && !memcmp(key, "data_offsets", 12) ? OFFSETS
                                                                     : 0;
        if (!field) return bad(r, at, "header: unknown field of a tensor", key, size);
        if (seen & field) return bad(r, at, "header: duplicate name", key, size);
        seen |= field;
        if (field == DTYPE) {
            MASCON_TRY(parse_type(r, j, e));
        } else if (field == SHAPE) {
            MASCON_TRY(parse_shape(r, j, e));
        } else {
            MASCON_TRY(masconI_json_take(j, '['));
            MASCON_TRY(masconI_json_number(j, &e->begin));
            MASCON_TRY(masconI_json_take(j, ','));
            MASCON_TRY(masconI_json_number(j, &e->end));
            MASCON_TRY(masconI_json_take(j, ']'));
        }
        MASCON_TRY(masconI_json_more(j, '}', &more));
    }
    if (seen != (DTYPE | SHAPE | OFFSETS)) {
        return bad(r, e->offset, "dtype, shape or data_offsets missing in tensor", e->name,
                   e->name_size);
    }
    return check_size(r, e);
}

static mascon_status parse_header(mascon_reader *r, masconI_json *j, masconI_names *names) {
    int more = 1;
    MASCON_TRY(masconI_json_take(j, '{'));
    if (masconI_json_peek(j) == '}') {
        j->at++;
        more = 0;
    }
    while (more) {
        entry e = {0};
        masconI_json_peek(j);
        e.offset = j->base + j->at;
        MASCON_TRY(masconI_json_string(j, &e.name, &e.name_size));
        MASCON_TRY(add_name(r, names, e.offset, e.name, e.name_size));
        MASCON_TRY(masconI_json_take(j, ':'));
        if (e.name_size == 12 && memcmp(e.name, "__metadata__", 12) == 0) {
            MASCON_TRY(parse_metadata(r, j));
        } else {
            if (!masconI_safetensors_name_ok(e.name, e.name_size)) {
                return bad(r, e.offset,
                           "a tensor's name has 1 to 512 bytes and no control characters; found",
                           e.name, e.name_size);
            }
            MASCON_TRY(parse_tensor(r, j, &e));
            if (r->count >= r->limits->tensors) {
                return masconI_limit_fail(r->file->path, e.offset, "tensors", r->count + 1,
                                          "tensors", r->limits->tensors);
            }
            MASCON_TRY(grow(r, &r->entries, r->count, &r->capacity, sizeof e));
            r->entries[r->count++] = e;
        }
        MASCON_TRY(masconI_json_more(j, '}', &more));
    }
    for (; j->at < j->size; j->at++) {
        if (j->text[j->at] != ' ') {
            return masconI_io_fail(MASCON_E_FORMAT, j->path, j->base + j->at,
                                   "header: only spaces may follow its closing brace");
        }
    }
    return MASCON_OK;
}

/* The check sums that our writer leaves: 8 hexadecimal digits for each tensor, in their order. */
static mascon_status parse_sums(mascon_reader *r) {
    int64_t size = 0;
    const char *text = mascon_reader_metadata(r, MASCON_IO_SUMS, &size);
    if (!text) return MASCON_OK;
    int ok = (uint64_t)size == 8 * r->count;
    for (uint64_t i = 0; ok && i < 8 * r->count; i++) {
        char c = text[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)(c - 'a') + 10;
        ok = digit < 16;
        r->entries[i / 8].sum = r->entries[i / 8].sum << 4 | digit;
    }
    r->has_sums = ok;
    return ok ? MASCON_OK
              : masconI_io_fail(MASCON_E_FORMAT, r->file->path, 8,
                                "the check sums in __metadata__ are not those of %" PRIu64
                                " tensors",
                                r->count);
}

static int by_range(const void *a, const void *b) {
    const entry *x = *(const entry *const *)a, *y = *(const entry *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The ranges must tile the data part: no hole, no overlap, nothing behind the last. */
static mascon_status check_ranges(mascon_reader *r) {
    uint64_t data = r->file->size - 8 - r->header_size, at = 0;
    const entry **sorted = malloc((r->count ? r->count : 1) * sizeof(const entry *));
    if (!sorted) return masconI_oom(r->file->path, r->count * sizeof(const entry *));
    for (uint64_t i = 0; i < r->count; i++) sorted[i] = &r->entries[i];
    qsort(sorted, r->count, sizeof(const entry *), by_range);
    mascon_status status = MASCON_OK;
    char a[MASCON_IO_QUOTE] = "the header", b[MASCON_IO_QUOTE];
    for (uint64_t i = 0; i < r->count && status == MASCON_OK; i++) {
        const entry *e = sorted[i];
        if (e->begin != at) {
            if (i) masconI_quote(a, sorted[i - 1]->name, sorted[i - 1]->name_size);
            status = masconI_io_fail(
                MASCON_E_FORMAT, r->file->path, 8 + r->header_size + e->begin,
                "%s ends at byte %" PRIu64 ", %s begins at %" PRIu64 "; %s", a, at,
                masconI_quote(b, e->name, e->name_size), e->begin,
                e->begin < at ? "ranges overlap" : "the bytes between belong to no tensor");
        }
        at = e->end;
    }
    free(sorted);
    if (status == MASCON_OK && at != data) {
        status = masconI_io_fail(MASCON_E_FORMAT, r->file->path, 8 + r->header_size + at,
                                 "tensors end at byte %" PRIu64 " of the data, which has %" PRIu64,
                                 at, data);
    }
    return status;
}

static mascon_status open_checked(mascon_reader *r) {
    const masconI_file *f = r->file;
    unsigned char head[8];
    char a[32], b[32];
    if (f->size < 10) {
        return masconI_io_fail(MASCON_E_FORMAT, f->path, 0,
                               "has %s bytes; a safetensors file has 10 or more",
                               masconI_count(a, f->size));
    }
    MASCON_TRY(masconI_file_read(f, 0, head, sizeof head));
    uint64_t n;
    memcpy(&n, head, sizeof n);
    if (n < 2) {
        return masconI_io_fail(MASCON_E_FORMAT, f->path, 0,
                               "header of %s bytes; expected 2 or more", masconI_count(a, n));
    }
    if (n > r->limits->header_bytes) {
        return masconI_limit_fail(f->path, 0, "header", n, "header_bytes", r->limits->header_bytes);
    }
    if (n > f->size - 8) {
        return masconI_io_fail(MASCON_E_FORMAT, f->path, 0,
                               "header of %s bytes in a file of %s bytes; the file is cut off or "
                               "damaged",
                               masconI_count(a, n), masconI_count(b, f->size));
    }
    r->header_size = n;
    uint64_t total = r->limits->total_bytes ? r->limits->total_bytes : f->size;
    if (f->size - 8 - n > total) {
        return masconI_limit_fail(f->path, 8 + n, "bytes of tensors", f->size - 8 - n,
                                  "total_bytes", total);
    }
    r->header = malloc(n + 1);
    if (!r->header) return masconI_oom(f->path, n + 1);
    MASCON_TRY(masconI_file_read(f, 8, r->header, n));
    r->header[n] = 0;
    if (r->header[0] != '{') {
        return masconI_io_fail(MASCON_E_FORMAT, f->path, 8, "header: '{' expected as first byte");
    }
    if (memchr(r->header, 0, n) || !masconI_utf8_valid(r->header, n)) {
        return masconI_io_fail(MASCON_E_FORMAT, f->path, 8,
                               "header: not valid UTF-8, or holds a zero byte");
    }
    masconI_json j = {.text = r->header, .size = n, .base = 8, .path = f->path};
    masconI_names names = {0};
    mascon_status status = parse_header(r, &j, &names);
    masconI_names_free(&names);
    MASCON_TRY(status);
    MASCON_TRY(check_ranges(r));
    return parse_sums(r);
}

mascon_status mascon_reader_open(mascon_reader **out, const char *path,
                                 const mascon_limits *limits) {
    MASCON_NEED(out);
    MASCON_NEED(path);
    *out = NULL;
    mascon_reader *r = calloc(1, sizeof *r);
    if (!r) return masconI_oom(path, sizeof *r);
    r->limits = masconI_limits_of(limits);
    r->verify = 1;
    mascon_status status = masconI_file_open(&r->file, path);
    if (status == MASCON_OK) status = open_checked(r);
    r->limits = NULL;
    if (status != MASCON_OK) {
        mascon_reader_close(r);
        return status;
    }
    *out = r;
    return MASCON_OK;
}

void mascon_reader_close(mascon_reader *r) {
    if (!r) return;
    for (uint64_t i = 0; i < r->count; i++) free(r->entries[i].bytes);
    masconI_file_close(r->file);
    free(r->header);
    free(r->entries);
    free(r->metadata);
    free(r);
}

/* ---- What was found ---- */

static const entry *get(const mascon_reader *r, int64_t i) {
    return i >= 0 && (uint64_t)i < r->count ? &r->entries[i] : NULL;
}

int64_t mascon_reader_count(const mascon_reader *r) {
    if (!r) return 0;
    return (int64_t)r->count;
}

const char *mascon_reader_name(const mascon_reader *r, int64_t i) {
    if (!r) return NULL;
    const entry *e = get(r, i);
    return e ? e->name : NULL;
}

int64_t mascon_reader_find(const mascon_reader *r, const char *name) {
    if (!r) return -1;
    if (!name) return -1;
    for (uint64_t i = 0; i < r->count; i++) {
        if (strcmp(r->entries[i].name, name) == 0) return (int64_t)i;
    }
    return -1;
}

const char *mascon_reader_dtype_text(const mascon_reader *r, int64_t i) {
    if (!r) return NULL;
    const entry *e = get(r, i);
    return e ? types[e->type].name : NULL;
}

int32_t mascon_reader_dtype(const mascon_reader *r, int64_t i) {
    if (!r) return -1;
    const entry *e = get(r, i);
    return e ? types[e->type].dtype : -1;
}

int32_t mascon_reader_ndim(const mascon_reader *r, int64_t i) {
    if (!r) return 0;
    const entry *e = get(r, i);
    return e ? e->ndim : 0;
}

const int64_t *mascon_reader_shape(const mascon_reader *r, int64_t i) {
    if (!r) return NULL;
    const entry *e = get(r, i);
    return e ? e->shape : NULL;
}

int64_t mascon_reader_metadata_count(const mascon_reader *r) {
    if (!r) return 0;
    return (int64_t)r->n_metadata;
}

const char *mascon_reader_metadata_key(const mascon_reader *r, int64_t i, int64_t *size) {
    if (!r) return NULL;
    if (i < 0 || (uint64_t)i >= r->n_metadata) return NULL;
    if (size) *size = (int64_t)r->metadata[i].key_size;
    return r->metadata[i].key;
}

const char *mascon_reader_metadata_text(const mascon_reader *r, int64_t i, int64_t *size) {
    if (!r) return NULL;
    if (i < 0 || (uint64_t)i >= r->n_metadata) return NULL;
    if (size) *size = (int64_t)r->metadata[i].text_size;
    return r->metadata[i].text;
}

const char *mascon_reader_metadata(const mascon_reader *r, const char *key, int64_t *size) {
    if (!r) return NULL;
    if (!key) return NULL;
    size_t n = strlen(key);
    for (uint64_t i = 0; i < r->n_metadata; i++) {
        const pair *p = &r->metadata[i];
        if (p->key_size == n && memcmp(p->key, key, n) == 0) {
            return mascon_reader_metadata_text(r, (int64_t)i, size);
        }
    }
    return NULL;
}

/* ---- Phase 2: tensors ---- */

static mascon_status no_tensor(const mascon_reader *r, int64_t i) {
    return masconI_fail(MASCON_E_INDEX, "%.256s: tensor %" PRId64 " of %" PRIu64, r->file->path, i,
                        r->count);
}

void mascon_reader_verify(mascon_reader *r, int32_t on) {
    if (!r) return;
    r->verify = on;
}

int32_t mascon_reader_has_sums(const mascon_reader *r) {
    if (!r) return 0;
    return r->has_sums;
}

/* The bytes of a tensor, compared with their check sum on the way. */
static mascon_status read_range(const mascon_reader *r, const entry *e, void *to) {
    uint64_t at = 8 + r->header_size + e->begin;
    uint32_t sum = 0;
    if (!r->has_sums || !r->verify) return masconI_file_read(r->file, at, to, e->end - e->begin);
    MASCON_TRY(masconI_file_read_sum(r->file, at, to, e->end - e->begin, MASCON_CRC32C, &sum));
    if (sum == e->sum) return MASCON_OK;
    char quote[MASCON_IO_QUOTE];
    masconI_io_fail(MASCON_E_FORMAT, r->file->path, at,
                    "tensor %s has the check sum %08" PRIx32 ", the file says %08" PRIx32
                    "; it is damaged, or was changed by another program",
                    masconI_quote(quote, e->name, e->name_size), sum, e->sum);
    masconI_hint("verify = false reads it as it is");
    return MASCON_E_FORMAT;
}

mascon_status mascon_reader_tensor(mascon_reader *r, int64_t i, mascon_tensor **out) {
    MASCON_NEED(r);
    MASCON_NEED(out);
    const entry *e = get(r, i);
    *out = NULL;
    if (!e) return no_tensor(r, i);
    int32_t dtype = types[e->type].dtype;
    if (dtype < 0) {
        char quote[MASCON_IO_QUOTE];
        return masconI_io_fail(MASCON_E_UNSUPPORTED, r->file->path, MASCON_IO_NOWHERE,
                               "tensor %s has dtype %s, which mascon cannot hold",
                               masconI_quote(quote, e->name, e->name_size), types[e->type].name);
    }
    mascon_tensor *t = NULL;
    void *data = NULL;
    MASCON_TRY(mascon_tensor_new(&t, dtype, e->ndim, e->shape, MASCON_DEVICE_CPU));
    mascon_status status = MASCON_OK;
    if (e->numel) {
        status = mascon_tensor_data(t, &data);
        if (status == MASCON_OK) status = read_range(r, e, data);
        if (status == MASCON_OK && dtype == MASCON_DTYPE_BOOL) {
            unsigned char *p = data;
            for (uint64_t k = 0; k < e->numel; k++) p[k] = p[k] != 0;
        }
    }
    if (status != MASCON_OK) {
        mascon_tensor_release(t);
        return status;
    }
    *out = t;
    return MASCON_OK;
}

mascon_status mascon_reader_bytes(mascon_reader *r, int64_t i, const char **data, int64_t *size) {
    MASCON_NEED(r);
    MASCON_NEED(data);
    MASCON_NEED(size);
    *data = NULL;
    *size = 0;
    if (!get(r, i)) return no_tensor(r, i);
    entry *e = &r->entries[i];
    if (types[e->type].dtype != MASCON_DTYPE_U8) {
        char quote[MASCON_IO_QUOTE];
        return masconI_io_fail(MASCON_E_FORMAT, r->file->path, e->offset,
                               "tensor %s is %s; expected U8",
                               masconI_quote(quote, e->name, e->name_size), types[e->type].name);
    }
    if (!e->bytes) {
        char *bytes = malloc(e->numel + 1);
        if (!bytes) return masconI_oom(r->file->path, e->numel + 1);
        mascon_status status = read_range(r, e, bytes);
        if (status != MASCON_OK) {
            free(bytes);
            return status;
        }
        bytes[e->numel] = 0;
        e->bytes = bytes;
    }
    *data = e->bytes;
    *size = (int64_t)e->numel;
    return MASCON_OK;
}

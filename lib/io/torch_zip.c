/* torch_zip.c: files of torch.save since 1.6: a zip archive with the members data.pkl (the pickle),
 * version, byteorder and data/KEY (a storage each). */
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

static masconI_zip_entry *find(mascon_torch *t, const char *name) {
    return masconI_zip_find(t->zip, name, strlen(name));
}

#define FAIL(t, e, ...) masconI_io_fail(MASCON_E_FORMAT, (t)->file->path, (e)->at, __VA_ARGS__)

/* A small member in memory that the caller frees, with a zero byte behind it. */
static mascon_status read_member(mascon_torch *t, masconI_zip_entry *e, uint64_t most,
                                 unsigned char **out) {
    uint32_t sum = 0;
    e->used = 1;
    if (e->size > most) {
        char a[32], b[32];
        return FAIL(t, e, "zip member \"%s\" has %s bytes; at most %s are read", e->name,
                    masconI_count(a, e->size), masconI_count(b, most));
    }
    unsigned char *data = malloc(e->size + 1);
    if (!data) return masconI_oom(t->file->path, e->size);
    mascon_status status = masconI_file_read_sum(t->file, e->at, data, e->size, MASCON_CRC32, &sum);
    if (status == MASCON_OK && sum != e->sum && !(t->flags & MASCON_TORCH_NO_VERIFY)) {
        FAIL(t, e,
             "zip member \"%s\" has another check sum than the archive says; the file is damaged",
             e->name);
        masconI_hint("download again; verify = false reads files written without check sums");
        status = MASCON_E_FORMAT;
    }
    if (status != MASCON_OK) {
        free(data);
        return status;
    }
    data[e->size] = 0;
    *out = data;
    return MASCON_OK;
}

/* "3" or "3\n" */
static mascon_status check_version(mascon_torch *t) {
    masconI_zip_entry *e = find(t, "version");
    unsigned char *text = NULL;
    if (!e) {
        return masconI_io_fail(
            MASCON_E_FORMAT, t->file->path, MASCON_IO_NOWHERE,
            "a zip archive without a member \"version\"; not written by PyTorch");
    }
    MASCON_TRY(read_member(t, e, 16, &text));
    uint64_t n = e->size;
    if (n && text[n - 1] == '\n') n--;
    uint64_t version = 0;
    int ok = n >= 1 && n <= 2;
    for (uint64_t i = 0; ok && i < n; i++) {
        ok = text[i] >= '0' && text[i] <= '9';
        version = version * 10 + (uint64_t)(text[i] - '0');
    }
    free(text);
    if (!ok || version < 1 || version > 10) {
        return FAIL(t, e, "the version of the archive is none that is read (1 to 10)");
    }
    return MASCON_OK;
}

static mascon_status check_byte_order(mascon_torch *t) {
    masconI_zip_entry *e = find(t, "byteorder");
    unsigned char *text = NULL;
    if (!e) return MASCON_OK;
    MASCON_TRY(read_member(t, e, 16, &text));
    int little = strcmp((char *)text, "little") == 0, big = strcmp((char *)text, "big") == 0;
    free(text);
    if (big) {
        return masconI_io_fail(MASCON_E_UNSUPPORTED, t->file->path, e->at,
                               "was written on a big-endian machine; such files are not read");
    }
    return little ? MASCON_OK : FAIL(t, e, "the byte order is neither little nor big");
}

static mascon_status list_unused(mascon_torch *t) {
    static const char *const known[] = {".format_version", ".storage_alignment",
                                        ".data/serialization_id"};
    uint64_t capacity = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        masconI_zip_entry *e = find(t, known[i]);
        if (e) e->used = 1;
    }
    for (uint64_t i = 0; i < masconI_zip_count(t->zip); i++) {
        const masconI_zip_entry *e = masconI_zip_entry_at(t->zip, i);
        if (e->used) continue;
        MASCON_TRY(masconI_torch_grow(t, &t->unused, t->n_unused, &capacity));
        t->unused[t->n_unused++] = e->name + e->rest;
    }
    return MASCON_OK;
}

mascon_status masconI_torch_open_zip(mascon_torch *t) {
    MASCON_TRY(masconI_zip_open(&t->zip, t->file, &t->limits,
                                (t->flags & MASCON_TORCH_LENIENT_TAIL) != 0));
    masconI_zip_entry *e = find(t, "data.pkl");
    if (!e) {
        return masconI_io_fail(
            MASCON_E_FORMAT, t->file->path, MASCON_IO_NOWHERE,
            "a zip archive without a member \"data.pkl\"; not written by PyTorch");
    }
    MASCON_TRY(check_version(t));
    MASCON_TRY(check_byte_order(t));
    if (e->size > t->limits.pickle_bytes) {
        return masconI_limit_fail(t->file->path, e->at, "pickle", e->size, "pickle_bytes",
                                  t->limits.pickle_bytes);
    }
    MASCON_TRY(read_member(t, e, t->limits.pickle_bytes, &t->buffer));
    masconI_pickle_options options = {.path = t->file->path,
                                      .base = e->at,
                                      .limits = &t->limits,
                                      .skip_unknown = t->flags & MASCON_TORCH_SKIP_UNKNOWN,
                                      .context = t};
    MASCON_TRY(masconI_pickle_parse(&t->pickle, &masconI_pickle_torch, t->buffer, e->size, &options,
                                    NULL));
    return list_unused(t);
}

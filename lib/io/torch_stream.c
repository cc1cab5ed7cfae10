/* torch_stream.c: files of torch.save from 0.2 to 1.5 (and of later ones when asked): a magic number,
 * two small pickles about the writer, the pickle, a pickle with the list of storages, and these: a
 * count of elements and the elements of each. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

enum { MAGIC = 15, SMALL = 4096, KEYS_MOST = 16 << 20, PROTOCOL = 1001 };

#define FAIL(t, at, ...) masconI_io_fail(MASCON_E_FORMAT, (t)->file->path, at, __VA_ARGS__)

/* The integer 1001, and what the writer says of its machine. */
static mascon_status check_head(mascon_torch *t, uint64_t *at) {
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = *at;
    MASCON_TRY(masconI_torch_pickle(t, &masconI_pickle_plain, from, SMALL, &p, &buffer, at));
    const masconI_pickle_value *v = masconI_pickle_top(p);
    int ok = v->kind == MASCON_PICKLE_INT && v->as.integer == PROTOCOL;
    masconI_pickle_free(p);
    free(buffer);
    if (!ok) return FAIL(t, from, "the protocol of the file is not %d", PROTOCOL);
    from = *at;
    MASCON_TRY(masconI_torch_pickle(t, &masconI_pickle_plain, from, SMALL, &p, &buffer, at));
    v = masconI_pickle_top(p);
    const masconI_pickle_value *version = masconI_pickle_get(v, "protocol_version");
    const masconI_pickle_value *little = masconI_pickle_get(v, "little_endian");
    ok = version && version->kind == MASCON_PICKLE_INT && version->as.integer == PROTOCOL &&
         little && little->kind == MASCON_PICKLE_BOOL;
    int big = ok && !little->as.integer;
    masconI_pickle_free(p);
    free(buffer);
    if (big) {
        return masconI_io_fail(MASCON_E_UNSUPPORTED, t->file->path, from,
                               "was written on a big-endian machine; such files are not read");
    }
    return ok ? MASCON_OK : FAIL(t, from, "the description of the writer is damaged");
}

/* "storage 45 of 97 ("94020255...")" */
static const char *describe(char out[128], const masconI_torch_storage *s, uint64_t i, uint64_t n) {
    snprintf(out, 128, "storage %" PRIu64 " of %" PRIu64 " (\"%.*s%s\")", i + 1, n,
             (int)(s->key_size < 8 ? s->key_size : 8), (const char *)s->key,
             s->key_size > 8 ? "..." : "");
    return out;
}

/* Finds one storage behind its count of elements; *at moves behind it. */
static mascon_status place(mascon_torch *t, masconI_torch_storage *s, uint64_t i, uint64_t n,
                           uint64_t *at) {
    char what[128], a[32], b[32], c[32];
    uint64_t size = t->file->size, begin = *at + 8;
    if (*at > size || size - *at < 8 || size - begin < s->bytes) {
        return masconI_fail(MASCON_E_FORMAT, "%.256s: %s needs bytes %s..%s; file ends at %s",
                            t->file->path, describe(what, s, i, n), masconI_count(a, begin),
                            masconI_count(b, begin + s->bytes), masconI_count(c, size));
    }
    unsigned char head[8];
    int64_t numel;
    MASCON_TRY(masconI_file_read(t->file, *at, head, sizeof head));
    memcpy(&numel, head, sizeof numel);
    if (numel < 0 || (uint64_t)numel != s->numel) {
        return masconI_fail(MASCON_E_FORMAT,
                            "%.256s: %s: storage header damaged at offset %" PRIu64
                            " (expected %" PRIu64 ", got %" PRId64 ")",
                            t->file->path, describe(what, s, i, n), *at, s->numel, numel);
    }
    s->at = begin;
    s->placed = 1;
    *at = begin + s->bytes;
    return MASCON_OK;
}

static mascon_status place_all(mascon_torch *t, const masconI_pickle_value *keys, uint64_t from,
                               uint64_t at) {
    char quote[MASCON_IO_QUOTE];
    if (keys->kind != MASCON_PICKLE_LIST) return FAIL(t, from, "no list of storages");
    uint64_t n = keys->as.list.count;
    for (uint64_t i = 0; i < n; i++) {
        const masconI_pickle_value *key = keys->as.list.item[i];
        if (key->kind != MASCON_PICKLE_STR && key->kind != MASCON_PICKLE_BYTES) {
            return FAIL(t, key->offset, "the list of storages holds %s",
                        masconI_pickle_kind_name(key->kind));
        }
        masconI_quote(quote, key->as.text.data, key->as.text.size);
        int64_t k = masconI_names_find(&t->keys, key->as.text.data, key->as.text.size);
        if (k < 0) return FAIL(t, key->offset, "storage %s belongs to no tensor", quote);
        if (t->storages[k]->placed)
            return FAIL(t, key->offset, "storage %s is listed twice", quote);
        MASCON_TRY(place(t, t->storages[k], i, n, &at));
    }
    if (n != t->n_storages) {
        return FAIL(t, from, "%" PRIu64 " storages are listed, %" PRIu64 " are used", n,
                    t->n_storages);
    }
    if (at != t->file->size && !(t->flags & MASCON_TORCH_LENIENT_TAIL)) {
        return FAIL(t, at, "%" PRIu64 " bytes follow the last storage", t->file->size - at);
    }
    return MASCON_OK;
}

mascon_status masconI_torch_open_stream(mascon_torch *t) {
    uint64_t at = MAGIC;
    MASCON_TRY(check_head(t, &at));
    MASCON_TRY(masconI_torch_pickle(t, &masconI_pickle_torch, at, t->limits.pickle_bytes,
                                    &t->pickle, &t->buffer, &at));
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = at;
    MASCON_TRY(masconI_torch_pickle(t, &masconI_pickle_plain, from, KEYS_MOST, &p, &buffer, &at));
    mascon_status status = place_all(t, masconI_pickle_top(p), from, at);
    masconI_pickle_free(p);
    free(buffer);
    return status;
}

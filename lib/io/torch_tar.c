/* torch_tar.c: files of torch.save 0.1: a tar archive of four members: sys_info, storages, tensors
 * (which view them) and pickle (which names tensors by number). Parsed in place; nothing is extracted.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

enum { SYS_INFO, PICKLE, TENSORS, STORAGES, MEMBERS };
enum { SMALL = 4096, PROTOCOL = 1000 };

static const char *const names[MEMBERS] = {"sys_info", "pickle", "tensors", "storages"};

typedef struct member {
    uint64_t at, end;
    int seen;
} member;

#define FAIL(t, at, ...) masconI_io_fail(MASCON_E_FORMAT, (t)->file->path, at, __VA_ARGS__)

static mascon_status find_members(mascon_torch *t, member *m) {
    masconI_tar *tar = NULL;
    masconI_tar_member e;
    int more = 1;
    mascon_status status = masconI_tar_open(&tar, t->file->path, &t->limits);
    while (status == MASCON_OK) {
        status = masconI_tar_next(tar, &e, &more);
        if (status != MASCON_OK || !more) break;
        int i = 0;
        while (i < MEMBERS && strcmp(e.name, names[i]) != 0) i++;
        if (i == MEMBERS || e.folder || !e.posix) {
            char quote[MASCON_IO_QUOTE];
            status = FAIL(t, e.at, "the archive has the member %s; not written by PyTorch",
                          masconI_quote(quote, e.name, strlen(e.name)));
        } else {
            m[i] = (member){e.at, e.at + e.size, 1};
        }
    }
    masconI_tar_close(tar);
    MASCON_TRY(status);
    for (int i = 0; i < MEMBERS; i++) {
        if (!m[i].seen) {
            return FAIL(t, 0, "the archive has no member \"%s\"; not written by PyTorch", names[i]);
        }
    }
    return MASCON_OK;
}

/* ---- Pieces of a member ---- */

/* A small pickle at m->at, which moves behind it. */
static mascon_status next_pickle(mascon_torch *t, member *m, uint64_t most, masconI_pickle **p,
                                 unsigned char **buffer) {
    uint64_t left = m->end - m->at;
    return masconI_torch_pickle(t, &masconI_pickle_torch, m->at, most < left ? most : left, p,
                                buffer, &m->at);
}

static mascon_status next_count(mascon_torch *t, member *m, uint64_t *out) {
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = m->at, most = (m->end - m->at) / 8;
    MASCON_TRY(next_pickle(t, m, SMALL, &p, &buffer));
    const masconI_pickle_value *v = masconI_pickle_top(p);
    int ok = v->kind == MASCON_PICKLE_INT && v->as.integer >= 0 && (uint64_t)v->as.integer <= most;
    *out = ok ? (uint64_t)v->as.integer : 0;
    masconI_pickle_free(p);
    free(buffer);
    if (!ok) return FAIL(t, from, "no count that the member could hold");
    if (*out > t->limits.tensors) {
        return masconI_limit_fail(t->file->path, from, "entries", *out, "tensors",
                                  t->limits.tensors);
    }
    return MASCON_OK;
}

static mascon_status next_number(mascon_torch *t, member *m, uint64_t size, int64_t *out) {
    unsigned char bytes[8] = {0};
    if (m->end - m->at < size) return FAIL(t, m->at, "the member ends inside of an entry");
    MASCON_TRY(masconI_file_read(t->file, m->at, bytes, size));
    memcpy(out, bytes, sizeof *out);
    if (size == 4) *out = (int32_t)*out;
    m->at += size;
    return MASCON_OK;
}

static int is_int(const masconI_pickle_value *v) { return v->kind == MASCON_PICKLE_INT; }

/* The entries of a TUPLE of n values, or NULL. */
static masconI_pickle_value *const *tuple(const masconI_pickle_value *v, uint64_t n) {
    return v->kind == MASCON_PICKLE_TUPLE && v->as.list.count == n ? v->as.list.item : NULL;
}

/* ---- Members ---- */

static mascon_status check_sys_info(mascon_torch *t, member *m) {
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = m->at;
    MASCON_TRY(next_pickle(t, m, SMALL, &p, &buffer));
    const masconI_pickle_value *v = masconI_pickle_top(p);
    const masconI_pickle_value *version = masconI_pickle_get(v, "protocol_version");
    const masconI_pickle_value *little = masconI_pickle_get(v, "little_endian");
    int ok = version && is_int(version) && version->as.integer == PROTOCOL && little &&
             little->kind == MASCON_PICKLE_BOOL && little->as.integer && m->at == m->end;
    masconI_pickle_free(p);
    free(buffer);
    return ok ? MASCON_OK
              : FAIL(t, from, "sys_info is not that of a little-endian file of protocol %d",
                     PROTOCOL);
}

static mascon_status read_storage(mascon_torch *t, member *m) {
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = m->at;
    int64_t key = 0, numel = 0;
    MASCON_TRY(next_pickle(t, m, SMALL, &p, &buffer));
    masconI_pickle_value *const *v = tuple(masconI_pickle_top(p), 3);
    int32_t type = v ? masconI_torch_type_of(v[2], MASCON_TORCH_STORAGE) : -1;
    int ok = type >= 0 && is_int(v[0]) &&
             (v[1]->kind == MASCON_PICKLE_STR || v[1]->kind == MASCON_PICKLE_BYTES);
    if (ok) key = v[0]->as.integer;
    masconI_pickle_free(p);
    free(buffer);
    if (!ok) return FAIL(t, from, "a storage is not described by key, place and type");
    MASCON_TRY(next_number(t, m, 8, &numel));
    if (numel < 0) return FAIL(t, m->at - 8, "a storage of %" PRId64 " elements", numel);
    masconI_torch_storage *s = NULL;
    int is_new = 0;
    MASCON_TRY(
        masconI_torch_storage_get(t, &key, sizeof key, type, (uint64_t)numel, from, &s, &is_new));
    if (!is_new) return FAIL(t, from, "storage %" PRId64 " is there twice", key);
    if (m->end - m->at < s->bytes) {
        return FAIL(t, m->at,
                    "storage %" PRId64 " needs %" PRIu64 " bytes, the member has %" PRIu64, key,
                    s->bytes, m->end - m->at);
    }
    s->at = m->at;
    s->placed = 1;
    m->at += s->bytes;
    return MASCON_OK;
}

/* Parts of storages under keys of their own. */
typedef struct view_list {
    masconI_torch_part *parts;
    uint64_t count;
    masconI_names keys;
} view_list;

/* One (target, root, offset, numel). */
static mascon_status read_view(mascon_torch *t, const masconI_pickle_value *entry,
                               view_list *views) {
    masconI_pickle_value *const *v = tuple(entry, 4);
    if (!v || !is_int(v[0]) || !is_int(v[1]) || !is_int(v[2]) || !is_int(v[3])) {
        return FAIL(t, entry->offset, "a view of a storage is not four numbers");
    }
    int64_t root = v[1]->as.integer, offset = v[2]->as.integer, numel = v[3]->as.integer;
    int64_t k = masconI_names_find(&t->keys, &root, sizeof root);
    if (k < 0 || offset < 0 || numel < 0 || (uint64_t)offset > t->storages[k]->numel ||
        (uint64_t)numel > t->storages[k]->numel - (uint64_t)offset) {
        return FAIL(t, entry->offset,
                    "a view of elements %" PRId64 ", %" PRId64 " more, leaves storage %" PRId64,
                    offset, numel, root);
    }
    int64_t *key = masconI_arena_get(&t->arena, sizeof *key);
    if (!key) return mascon_last_error()->code;
    *key = v[0]->as.integer;
    int added = masconI_names_find(&t->keys, key, sizeof *key) >= 0
                    ? 0
                    : masconI_names_add(&views->keys, key, sizeof *key);
    if (added < 0) return masconI_oom(t->file->path, sizeof *key);
    if (!added) return FAIL(t, entry->offset, "storage %" PRId64 " is there twice", *key);
    views->parts[views->count++] =
        (masconI_torch_part){t->storages[k], (uint64_t)offset, (uint64_t)numel};
    return MASCON_OK;
}

static mascon_status read_storages(mascon_torch *t, member *m, view_list *views) {
    uint64_t n = 0;
    MASCON_TRY(next_count(t, m, &n));
    for (uint64_t i = 0; i < n; i++) MASCON_TRY(read_storage(t, m));
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = m->at;
    MASCON_TRY(next_pickle(t, m, t->limits.pickle_bytes, &p, &buffer));
    const masconI_pickle_value *list = masconI_pickle_top(p);
    mascon_status status = MASCON_OK;
    if (list->kind != MASCON_PICKLE_LIST || m->at != m->end) {
        status = FAIL(t, from, "the list of views does not end the member \"storages\"");
    } else {
        views->parts =
            masconI_arena_get(&t->arena, (list->as.list.count + 1) * sizeof *views->parts);
        if (!views->parts) status = mascon_last_error()->code;
        for (uint64_t i = 0; i < list->as.list.count && status == MASCON_OK; i++) {
            status = read_view(t, list->as.list.item[i], views);
        }
    }
    masconI_pickle_free(p);
    free(buffer);
    return status;
}

/* One (key, storage, type) with its numbers. */
static mascon_status read_tensor(mascon_torch *t, member *m, const view_list *views, uint64_t i) {
    masconI_pickle *p = NULL;
    unsigned char *buffer = NULL;
    uint64_t from = m->at;
    int64_t storage = 0, ndim = 0, unused, offset = 0;
    int64_t shape[MASCON_MAX_DIMS], stride[MASCON_MAX_DIMS];
    int64_t *key = masconI_arena_get(&t->arena, sizeof *key);
    if (!key) return mascon_last_error()->code;
    MASCON_TRY(next_pickle(t, m, SMALL, &p, &buffer));
    masconI_pickle_value *const *v = tuple(masconI_pickle_top(p), 3);
    int32_t type = v ? masconI_torch_type_of(v[2], MASCON_TORCH_TENSOR) : -1;
    int ok = type >= 0 && is_int(v[0]) && is_int(v[1]);
    if (ok) {
        *key = v[0]->as.integer;
        storage = v[1]->as.integer;
    }
    masconI_pickle_free(p);
    free(buffer);
    if (!ok) return FAIL(t, from, "a tensor is not described by key, storage and type");
    MASCON_TRY(next_number(t, m, 4, &ndim));
    MASCON_TRY(next_number(t, m, 4, &unused));
    if (ndim < 0 || ndim > MASCON_MAX_DIMS) {
        return FAIL(t, m->at - 8, "a tensor with %" PRId64 " dimensions; at most %d", ndim,
                    MASCON_MAX_DIMS);
    }
    for (int d = 0; d < ndim; d++) MASCON_TRY(next_number(t, m, 8, &shape[d]));
    for (int d = 0; d < ndim; d++) MASCON_TRY(next_number(t, m, 8, &stride[d]));
    MASCON_TRY(next_number(t, m, 8, &offset));
    masconI_torch_part whole, *part = &whole;
    int64_t k = masconI_names_find(&t->keys, &storage, sizeof storage);
    if (k >= 0) {
        whole = (masconI_torch_part){t->storages[k], 0, t->storages[k]->numel};
    } else {
        k = masconI_names_find(&views->keys, &storage, sizeof storage);
        if (k < 0) return FAIL(t, from, "storage %" PRId64 " is not in the file", storage);
        part = &views->parts[k];
    }
    if (part->of->type != type) return FAIL(t, from, "a tensor over a storage of another type");
    MASCON_TRY(masconI_torch_tensor_new(t, part, type, offset, (int32_t)ndim, shape, stride, "",
                                        from, &t->tar_tensors[i]));
    int added = masconI_names_find(&t->keys, key, sizeof *key) >= 0 ||
                        masconI_names_find(&views->keys, key, sizeof *key) >= 0
                    ? 0
                    : masconI_names_add(&t->tensor_keys, key, sizeof *key);
    if (added < 0) return masconI_oom(t->file->path, sizeof *key);
    return added ? MASCON_OK : FAIL(t, from, "tensor %" PRId64 " is there twice", *key);
}

static mascon_status read_tensors(mascon_torch *t, member *m, const view_list *views) {
    MASCON_TRY(next_count(t, m, &t->n_tar_tensors));
    t->tar_tensors = calloc(t->n_tar_tensors + 1, sizeof(masconI_torch_tensor *));
    if (!t->tar_tensors) return masconI_oom(t->file->path, t->n_tar_tensors * 8);
    for (uint64_t i = 0; i < t->n_tar_tensors; i++) MASCON_TRY(read_tensor(t, m, views, i));
    return m->at == m->end ? MASCON_OK
                           : FAIL(t, m->at, "bytes follow the last entry of \"tensors\"");
}

mascon_status masconI_torch_open_tar(mascon_torch *t) {
    member m[MEMBERS] = {{0}};
    view_list views = {0};
    MASCON_TRY(find_members(t, m));
    MASCON_TRY(check_sys_info(t, &m[SYS_INFO]));
    mascon_status status = read_storages(t, &m[STORAGES], &views);
    if (status == MASCON_OK) status = read_tensors(t, &m[TENSORS], &views);
    masconI_names_free(&views.keys);
    MASCON_TRY(status);
    uint64_t from = m[PICKLE].at;
    MASCON_TRY(next_pickle(t, &m[PICKLE], t->limits.pickle_bytes, &t->pickle, &t->buffer));
    if (m[PICKLE].at != m[PICKLE].end)
        return FAIL(t, from, "bytes follow the pickle in its member");
    return MASCON_OK;
}

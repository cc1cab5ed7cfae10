/* torch.c: the reader of PyTorch's files, whatever their container: opens them, checks tensors against
 * storages, hands out the value piece by piece, and reads tensors.
 *
 * Phase 1 is mascon_torch_open: it reads and checks everything but the contents of storages. Phase 2
 * reads one tensor at a time; it can still fail on memory, on a check sum and on the device below.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

/* The numbers are also those of pickle_torch.c. */
const masconI_torch_type masconI_torch_types[MASCON_TORCH_TYPE_COUNT] = {
    {"uint8", MASCON_DTYPE_U8, 1},
    {"float32", MASCON_DTYPE_F32, 4},
    {"float64", MASCON_DTYPE_F64, 8},
    {"float16", MASCON_DTYPE_F16, 2},
    {"bfloat16", MASCON_DTYPE_BF16, 2},
    {"int64", MASCON_DTYPE_I64, 8},
    {"int32", MASCON_DTYPE_I32, 4},
    {"bool", MASCON_DTYPE_BOOL, 1},
    {"int16", -1, 2},
    {"int8", -1, 1},
    {"uint16", -1, 2},
    {"uint32", -1, 4},
    {"uint64", -1, 8},
    {"complex32", -1, 4},
    {"complex64", -1, 8},
    {"complex128", -1, 16},
    {"float8_e4m3fn", -1, 1},
    {"float8_e4m3fnuz", -1, 1},
    {"float8_e5m2", -1, 1},
    {"float8_e5m2fnuz", -1, 1},
    {"float8_e8m0fnu", -1, 1},
    {"qint8", -1, 1},
    {"quint8", -1, 1},
    {"qint32", -1, 4},
};

/* ---- Services for the containers ---- */

mascon_status masconI_torch_grow(mascon_torch *t, void *array, uint64_t count, uint64_t *capacity) {
    if (count < *capacity) return MASCON_OK;
    uint64_t more = *capacity ? *capacity * 2 : 64;
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, more * 8);
    if (!grown) return masconI_oom(t->file->path, more * 8);
    memcpy(array, &grown, sizeof grown);
    *capacity = more;
    return MASCON_OK;
}

void masconI_torch_reset(mascon_torch *t) {
    masconI_names_free(&t->keys);
    masconI_arena_free(&t->arena);
    t->n_storages = t->n_tensors = 0;
}

mascon_status masconI_torch_pickle(mascon_torch *t, const masconI_pickle_profile *profile,
                                   uint64_t offset, uint64_t most, masconI_pickle **out,
                                   unsigned char **buffer, uint64_t *end) {
    int32_t ran_out = 0;
    masconI_pickle_options options = {.path = t->file->path,
                                      .base = offset,
                                      .limits = &t->limits,
                                      .skip_unknown = t->flags & MASCON_TORCH_SKIP_UNKNOWN,
                                      .partial = 1,
                                      .ran_out = &ran_out,
                                      .context = t};
    *out = NULL;
    *buffer = NULL;
    if (offset > t->file->size) offset = t->file->size;
    if (most > t->file->size - offset) most = t->file->size - offset;
    if (most > t->limits.pickle_bytes) most = t->limits.pickle_bytes;
    for (uint64_t window = 4096;; window *= 8) {
        uint64_t size = window < most ? window : most, used = 0;
        unsigned char *data = malloc(size ? size : 1);
        if (!data) return masconI_oom(t->file->path, size);
        mascon_status status = masconI_file_read(t->file, offset, data, size);
        ran_out = 0;
        if (status == MASCON_OK) {
            status = masconI_pickle_parse(out, profile, data, size, &options, &used);
        }
        if (status == MASCON_OK) {
            *buffer = data;
            *end = offset + used;
            return MASCON_OK;
        }
        free(data);
        if (ran_out && size == t->limits.pickle_bytes && size < t->file->size - offset) {
            return masconI_limit_fail(t->file->path, offset, "pickle", size + 1, "pickle_bytes",
                                      t->limits.pickle_bytes);
        }
        if (!ran_out || size == most) return status;
        if (profile == &masconI_pickle_torch && t->format == MASCON_FILE_PYTORCH_STREAM) {
            masconI_torch_reset(t); /* what the shorter window gave */
        }
    }
}

mascon_status masconI_torch_storage_get(mascon_torch *t, const void *key, uint64_t key_size,
                                        int32_t type, uint64_t numel, uint64_t where,
                                        masconI_torch_storage **out, int *is_new) {
    char quote[MASCON_IO_QUOTE];
    int64_t i = masconI_names_find(&t->keys, key, key_size);
    *is_new = i < 0;
    if (i >= 0) {
        *out = t->storages[i];
        if ((*out)->type == type && (*out)->numel == numel) return MASCON_OK;
        return masconI_io_fail(MASCON_E_FORMAT, t->file->path, where,
                               "storage %s comes with two types or sizes",
                               masconI_quote(quote, key, key_size));
    }
    if (t->n_storages >= t->limits.tensors) {
        return masconI_limit_fail(t->file->path, where, "storages", t->n_storages + 1, "tensors",
                                  t->limits.tensors);
    }
    masconI_torch_storage *s = masconI_arena_get(&t->arena, sizeof *s + key_size);
    if (!s) return mascon_last_error()->code;
    memcpy(s + 1, key, key_size);
    s->key = (unsigned char *)(s + 1);
    s->key_size = key_size;
    s->type = type;
    s->numel = numel;
    if (__builtin_mul_overflow(numel, (uint64_t)masconI_torch_types[type].size, &s->bytes) ||
        s->bytes > t->file->size) {
        char count[32];
        return masconI_io_fail(MASCON_E_FORMAT, t->file->path, where,
                               "storage %s has %s elements, more than the file can hold",
                               masconI_quote(quote, key, key_size), masconI_count(count, numel));
    }
    MASCON_TRY(masconI_torch_grow(t, &t->storages, t->n_storages, &t->storages_capacity));
    if (masconI_names_add(&t->keys, s->key, key_size) < 0) return masconI_oom(t->file->path, 64);
    t->storages[t->n_storages++] = *out = s;
    return MASCON_OK;
}

/* "tensor "fc.weight"" or "a tensor". */
#define NAMED(name) (*(name) ? "tensor " : "a tensor"), (name)

mascon_status masconI_torch_tensor_new(mascon_torch *t, const masconI_torch_part *part,
                                       int32_t type, int64_t offset, int32_t ndim,
                                       const int64_t *shape, const int64_t *stride,
                                       const char *name, uint64_t where,
                                       masconI_torch_tensor **out) {
    char a[32], b[32];
    uint64_t product = 1, reach = (uint64_t)offset, numel = 1, dense = 1;
    uint64_t size = masconI_torch_types[type].size;
    uint64_t unit = masconI_torch_types[part->of->type].size; /* differs for untyped storages */
    uint64_t room = part->numel * unit / size;
    int overflow = 0, contiguous = 1;
    if (offset < 0) {
        return masconI_io_fail(MASCON_E_FORMAT, t->file->path, where,
                               "%s%s begins at element %" PRId64, NAMED(name), offset);
    }
    for (int i = ndim - 1; i >= 0; i--) {
        if (shape[i] < 0 || stride[i] < 0) {
            return masconI_io_fail(MASCON_E_FORMAT, t->file->path, where,
                                   "%s%s has a negative size or stride", NAMED(name));
        }
        uint64_t n = (uint64_t)shape[i], step = (uint64_t)stride[i], far;
        /* a size of 0 must not hide what the others overflow */
        overflow |= __builtin_mul_overflow(product, n ? n : 1, &product) || product >> 62 != 0;
        if (n > 1 && !overflow) {
            contiguous &= step == dense;
            dense *= n;
        }
        if (!n) numel = 0;
        if (n > 1) {
            overflow |= __builtin_mul_overflow(n - 1, step, &far) ||
                        __builtin_add_overflow(reach, far, &reach) || reach >> 62 != 0;
        }
        if (overflow) {
            return masconI_io_fail(MASCON_E_FORMAT, t->file->path, where,
                                   "%s%s has more than 2^62 elements, or reaches that far",
                                   NAMED(name));
        }
    }
    if (numel) numel = product;
    if (numel ? reach >= room : (uint64_t)offset > room) {
        return masconI_fail(MASCON_E_FORMAT,
                            "%.256s: %s%s reaches element %s of a storage with %s; file is damaged "
                            "or hostile",
                            t->file->path, NAMED(name),
                            masconI_count(a, numel ? reach + 1 : (uint64_t)offset),
                            masconI_count(b, room));
    }
    if (numel > room && !(t->flags & MASCON_TORCH_ALLOW_EXPANDED)) {
        masconI_io_fail(MASCON_E_LIMIT, t->file->path, where,
                        "%s%s has %s elements over a storage with %s", NAMED(name),
                        masconI_count(a, numel), masconI_count(b, room));
        masconI_hint("allow_expanded = true reads tensors that were expanded");
        return MASCON_E_LIMIT;
    }
    if (t->n_tensors >= t->limits.tensors) {
        return masconI_limit_fail(t->file->path, where, "tensors", t->n_tensors + 1, "tensors",
                                  t->limits.tensors);
    }
    masconI_torch_tensor *made =
        masconI_arena_get(&t->arena, sizeof *made + 2 * (uint64_t)ndim * sizeof(int64_t));
    if (!made) return mascon_last_error()->code;
    int64_t *sizes = (int64_t *)(void *)(made + 1);
    for (int i = 0; i < ndim; i++) {
        sizes[i] = shape[i];
        sizes[ndim + i] = stride[i];
    }
    uint64_t before = part->offset * unit;
    if (before % size) {
        return masconI_io_fail(MASCON_E_FORMAT, t->file->path, where,
                               "%s%s begins inside of an element", NAMED(name));
    }
    *made = (masconI_torch_tensor){.of = part->of,
                                   .offset = before / size + (uint64_t)offset,
                                   .last = before / size + reach,
                                   .numel = numel,
                                   .type = type,
                                   .ndim = ndim,
                                   .contiguous = contiguous,
                                   .index = (int64_t)t->n_tensors,
                                   .shape = sizes};
    MASCON_TRY(masconI_torch_grow(t, &t->tensors, t->n_tensors, &t->tensors_capacity));
    t->tensors[t->n_tensors++] = *out = made;
    return MASCON_OK;
}

/* ---- Phase 1 ---- */

/* Equal for tensors that are the same contiguous view. */
static int by_view(const void *a, const void *b) {
    const masconI_torch_tensor *x = *(masconI_torch_tensor *const *)a;
    const masconI_torch_tensor *y = *(masconI_torch_tensor *const *)b;
    if (x->of != y->of)
        return x->of->at < y->of->at ? -1 : x->of->at > y->of->at ? 1 : x->of < y->of ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->type != y->type) return x->type < y->type ? -1 : 1;
    if (x->ndim != y->ndim) return x->ndim < y->ndim ? -1 : 1;
    for (int i = 0; i < x->ndim; i++) {
        if (x->shape[i] != y->shape[i]) return x->shape[i] < y->shape[i] ? -1 : 1;
    }
    return y->contiguous - x->contiguous;
}

static int by_view_and_order(const void *a, const void *b) {
    int order = by_view(a, b);
    if (order) return order;
    const masconI_torch_tensor *x = *(masconI_torch_tensor *const *)a;
    const masconI_torch_tensor *y = *(masconI_torch_tensor *const *)b;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Finds the tensors that are the same contiguous view and counts the bytes that all others need. */
static mascon_status share_and_count(mascon_torch *t) {
    uint64_t total = 0, limit = t->limits.total_bytes ? t->limits.total_bytes : t->file->size;
    uint64_t n = t->n_tensors;
    masconI_torch_tensor **sorted = malloc((n ? n : 1) * sizeof(masconI_torch_tensor *));
    if (!sorted) return masconI_oom(t->file->path, n * sizeof(masconI_torch_tensor *));
    if (n) memcpy(sorted, t->tensors, n * sizeof(masconI_torch_tensor *));
    qsort(sorted, n, sizeof(masconI_torch_tensor *), by_view_and_order);
    int overflow = 0;
    for (uint64_t i = 0; i < n; i++) {
        masconI_torch_tensor *e = sorted[i];
        uint64_t bytes;
        if (i && e->contiguous && e->numel && by_view(&sorted[i - 1], &sorted[i]) == 0) {
            e->index = sorted[i - 1]->index;
            continue;
        }
        overflow |=
            __builtin_mul_overflow(e->numel, (uint64_t)masconI_torch_types[e->type].size, &bytes) ||
            __builtin_add_overflow(total, bytes, &total);
    }
    free(sorted);
    if (!overflow && total <= limit) return MASCON_OK;
    return masconI_limit_fail(t->file->path, MASCON_IO_NOWHERE, "bytes of all tensors",
                              overflow ? UINT64_MAX : total, "total_bytes", limit);
}

static mascon_status open_checked(mascon_torch *t, const char *path) {
    MASCON_TRY(mascon_file_detect(path, &t->format));
    MASCON_TRY(masconI_file_open(&t->file, path));
    t->arena = (masconI_arena){.limit = t->limits.meta_bytes, .path = t->file->path};
    switch (t->format) {
        case MASCON_FILE_PYTORCH_ZIP:
            MASCON_TRY(masconI_torch_open_zip(t));
            break;
        case MASCON_FILE_PYTORCH_STREAM:
            MASCON_TRY(masconI_torch_open_stream(t));
            break;
        case MASCON_FILE_PYTORCH_TAR:
            MASCON_TRY(masconI_torch_open_tar(t));
            break;
        default:
            return masconI_fail(MASCON_E_FORMAT, "%.256s is not a PyTorch file", path);
    }
    const masconI_pickle_value *top = masconI_pickle_top(t->pickle);
    if (top->kind == MASCON_PICKLE_OPAQUE) {
        return masconI_pickle_model(t->file->path, top->as.text.data, top->as.text.size);
    }
    return share_and_count(t);
}

mascon_status mascon_torch_open(mascon_torch **out, const char *path, const mascon_limits *limits,
                                int32_t flags) {
    MASCON_NEED(out);
    MASCON_NEED(path);
    *out = NULL;
    mascon_torch *t = calloc(1, sizeof *t);
    if (!t) return masconI_oom(path, sizeof *t);
    t->limits = *masconI_limits_of(limits);
    t->flags = flags;
    mascon_status status = open_checked(t, path);
    if (status != MASCON_OK) {
        mascon_torch_close(t);
        return status;
    }
    *out = t;
    return MASCON_OK;
}

void mascon_torch_close(mascon_torch *t) {
    if (!t) return;
    masconI_pickle_free(t->pickle);
    free(t->buffer);
    masconI_torch_reset(t);
    masconI_names_free(&t->tensor_keys);
    masconI_zip_free(t->zip);
    masconI_file_close(t->file);
    free(t->storages);
    free(t->tensors);
    free(t->tar_tensors);
    free(t->unused);
    free(t->walk);
    free(t);
}

int32_t mascon_torch_format(const mascon_torch *t) {
    if (!t) return 0;
    return t->format;
}

const char *mascon_torch_unused(const mascon_torch *t, int64_t i) {
    return t && i >= 0 && (uint64_t)i < t->n_unused ? t->unused[i] : NULL;
}

/* ---- Phase 2: tensors ---- */

static mascon_status check_sum(const mascon_torch *t, masconI_torch_storage *s, uint32_t sum) {
    char quote[MASCON_IO_QUOTE];
    if (sum == s->sum) {
        s->checked = 1;
        return MASCON_OK;
    }
    masconI_io_fail(MASCON_E_FORMAT, t->file->path, s->at,
                    "storage %s has the check sum %08" PRIx32 ", the archive says %08" PRIx32
                    "; the file is damaged",
                    masconI_quote(quote, s->key, s->key_size), sum, s->sum);
    masconI_hint("download again; verify = false reads files that were written without check sums");
    return MASCON_E_FORMAT;
}

/* How a tensor of any strides is copied: rows of neighbouring elements, placed by the outer
 * dimensions. */
typedef struct gather {
    int32_t ndim; /* outer dimensions */
    uint64_t row; /* bytes of a row */
    uint64_t rows;
} gather;

static gather plan_gather(const masconI_torch_tensor *e) {
    const int64_t *stride = e->shape + e->ndim;
    int64_t dense = 1;
    gather g = {.ndim = e->ndim};
    while (g.ndim > 0 && (e->shape[g.ndim - 1] == 1 || stride[g.ndim - 1] == dense)) {
        dense *= e->shape[--g.ndim];
    }
    g.row = (uint64_t)dense * masconI_torch_types[e->type].size;
    g.rows = e->numel / (uint64_t)dense;
    return g;
}

/* Copies the rows to `to`, from span (the storage from the tensor's first element on), or from the
 * file where span is NULL. */
static mascon_status run_gather(const mascon_torch *t, const masconI_torch_tensor *e, gather g,
                                const unsigned char *span, unsigned char *to) {
    const int64_t *stride = e->shape + e->ndim;
    uint64_t size = masconI_torch_types[e->type].size, at = 0; /* at: in elements */
    int64_t index[MASCON_MAX_DIMS] = {0};
    for (uint64_t r = 0; r < g.rows; r++, to += g.row) {
        if (span) {
            memcpy(to, span + at * size, g.row);
        } else {
            MASCON_TRY(masconI_file_read(t->file, e->of->at + (e->offset + at) * size, to, g.row));
        }
        for (int d = g.ndim - 1; d >= 0; d--) {
            at += (uint64_t)stride[d];
            if (++index[d] < e->shape[d]) break;
            at -= (uint64_t)stride[d] * (uint64_t)e->shape[d];
            index[d] = 0;
        }
    }
    return MASCON_OK;
}

static mascon_status read_gathered(const mascon_torch *t, const masconI_torch_tensor *e, void *to) {
    enum { SPARSE = 2048 }; /* bytes whose copying takes as long as a read of its own */
    uint64_t size = masconI_torch_types[e->type].size;
    uint64_t span = (e->last - e->offset + 1) * size;
    gather g = plan_gather(e);
    if (span / SPARSE > g.rows) return run_gather(t, e, g, NULL, to);
    unsigned char *bytes = malloc(span);
    if (!bytes) return masconI_oom(t->file->path, span);
    mascon_status status = masconI_file_read(t->file, e->of->at + e->offset * size, bytes, span);
    if (status == MASCON_OK) status = run_gather(t, e, g, bytes, to);
    free(bytes);
    return status;
}

static mascon_status read_elements(const mascon_torch *t, const masconI_torch_tensor *e, void *to) {
    masconI_torch_storage *s = e->of;
    uint64_t size = masconI_torch_types[e->type].size, bytes = e->numel * size;
    int verify = s->has_sum && !s->checked && !(t->flags & MASCON_TORCH_NO_VERIFY);
    uint32_t sum = 0;
    if (verify && e->contiguous && bytes == s->bytes) {
        MASCON_TRY(masconI_file_read_sum(t->file, s->at, to, bytes, MASCON_CRC32, &sum));
        return check_sum(t, s, sum);
    }
    if (verify) {
        MASCON_TRY(masconI_file_sum(t->file, s->at, s->bytes, MASCON_CRC32, &sum));
        MASCON_TRY(check_sum(t, s, sum));
    }
    if (!e->contiguous) return read_gathered(t, e, to);
    return masconI_file_read(t->file, s->at + e->offset * size, to, bytes);
}

mascon_status mascon_torch_tensor(mascon_torch *t, int64_t i, mascon_tensor **out) {
    MASCON_NEED(t);
    MASCON_NEED(out);
    *out = NULL;
    if (i < 0 || (uint64_t)i >= t->n_tensors) {
        return masconI_fail(MASCON_E_INDEX, "%.256s: tensor %" PRId64 " of %" PRIu64, t->file->path,
                            i, t->n_tensors);
    }
    const masconI_torch_tensor *e = t->tensors[i];
    int32_t dtype = masconI_torch_types[e->type].dtype;
    if (dtype < 0) {
        return masconI_io_fail(MASCON_E_UNSUPPORTED, t->file->path, MASCON_IO_NOWHERE,
                               "a tensor has dtype %s, which mascon cannot hold",
                               masconI_torch_types[e->type].name);
    }
    mascon_tensor *made = NULL;
    void *data = NULL;
    MASCON_TRY(mascon_tensor_new(&made, dtype, e->ndim, e->shape, MASCON_DEVICE_CPU));
    mascon_status status = MASCON_OK;
    if (e->numel) {
        status = mascon_tensor_data(made, &data);
        if (status == MASCON_OK) status = read_elements(t, e, data);
        if (status == MASCON_OK && dtype == MASCON_DTYPE_BOOL) {
            unsigned char *p = data;
            for (uint64_t k = 0; k < e->numel; k++) p[k] = p[k] != 0;
        }
    }
    if (status != MASCON_OK) {
        mascon_tensor_release(made);
        return status;
    }
    *out = made;
    return MASCON_OK;
}

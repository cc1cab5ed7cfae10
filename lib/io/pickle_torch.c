/* pickle_torch.c: what the pickles of PyTorch may name: tensors, their storages, and the plain values
 * that state dicts and training checkpoints consist of. Nothing here is looked up in a running Python;
 * a pair of names selects a function below or is refused.
 *
 * Two levels: what every state dict needs, and what checkpoints of a training add (sizes, devices,
 * dtypes, numpy's numbers). Anything else is refused, or skipped where the caller asked for that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/torch.h"

typedef masconI_pickle_value value;

enum { STORAGES = 100, TENSORS = 200, DTYPES = 300, OTHERS = 0, FACTORY, PARAMETER };

static mascon_status no_value(void) { return mascon_last_error()->code; }

static const value *item(const value *list, uint64_t i) { return list->as.list.item[i]; }
static uint64_t count_of(const value *list) { return list->as.list.count; }

static int is_tuple(const value *v, uint64_t count) {
    return v->kind == MASCON_PICKLE_TUPLE && count_of(v) == count;
}

static int is_text(const value *v) {
    return v->kind == MASCON_PICKLE_STR || v->kind == MASCON_PICKLE_BYTES;
}

static int is_empty_dict(const value *v) {
    return v->kind == MASCON_PICKLE_DICT && count_of(v) == 0;
}

/* An INT, or a BOOL where Python 2 or 3 writes one for the same field. */
static int is_number(const value *v, int64_t number) {
    return (v->kind == MASCON_PICKLE_INT || v->kind == MASCON_PICKLE_BOOL) &&
           v->as.integer == number;
}

/* Something that was skipped: what is made of it is skipped too. */
static int has_opaque(const value *args, value **out) {
    for (uint64_t i = 0; i < count_of(args) && i < 8; i++) {
        if (item(args, i)->kind == MASCON_PICKLE_OPAQUE) {
            *out = args->as.list.item[i];
            return 1;
        }
    }
    return 0;
}

static mascon_status made(masconI_pickle *p, masconI_pickle_kind kind, value **out) {
    *out = masconI_pickle_new(p, kind);
    return *out ? MASCON_OK : no_value();
}

int32_t masconI_torch_type_of(const value *v, masconI_torch_class class) {
    if (v->kind != MASCON_PICKLE_GLOBAL) return -1;
    int32_t base = class == MASCON_TORCH_STORAGE  ? STORAGES
                   : class == MASCON_TORCH_TENSOR ? TENSORS
                                                  : DTYPES;
    int32_t type = v->as.global->id - base;
    return type >= 0 && type < MASCON_TORCH_TYPE_COUNT ? type : -1;
}

/* ---- Tensors ---- */

static mascon_status bad_arguments(masconI_pickle *p, const char *name) {
    return masconI_pickle_bad(p, "the arguments of %s are not those that PyTorch writes", name);
}

/* A tuple of at most 8 integers. */
static int read_sizes(const value *v, int64_t *out) {
    if (v->kind != MASCON_PICKLE_TUPLE || count_of(v) > MASCON_MAX_DIMS) return 0;
    for (uint64_t i = 0; i < count_of(v); i++) {
        if (item(v, i)->kind != MASCON_PICKLE_INT) return 0;
        out[i] = item(v, i)->as.integer;
    }
    return 1;
}

/* (storage, offset, size, stride, ...) */
static mascon_status make_tensor(masconI_pickle *p, const value *args, int32_t type, value **out) {
    int64_t shape[MASCON_MAX_DIMS], stride[MASCON_MAX_DIMS];
    char name[MASCON_IO_QUOTE];
    mascon_torch *t = masconI_pickle_context(p);
    masconI_pickle_key(p, name);
    const value *size = item(args, 2);
    if (size->kind == MASCON_PICKLE_TUPLE && count_of(size) > MASCON_MAX_DIMS) {
        return masconI_pickle_bad(p, "%s%s has %" PRIu64 " dimensions; at most %d are supported",
                                  *name ? "tensor " : "a tensor", name, count_of(size),
                                  MASCON_MAX_DIMS);
    }
    if (item(args, 0)->kind != MASCON_PICKLE_STORAGE || item(args, 1)->kind != MASCON_PICKLE_INT ||
        !read_sizes(size, shape) || !read_sizes(item(args, 3), stride) ||
        count_of(size) != count_of(item(args, 3))) {
        return bad_arguments(p, "_rebuild_tensor");
    }
    const masconI_torch_part *part = item(args, 0)->as.object;
    if (type < 0) type = part->of->type;
    /* only an untyped storage leaves its type to the tensor */
    if (type != part->of->type && part->of->type != MASCON_TORCH_UINT8) {
        return masconI_pickle_bad(p, "a tensor of %s over a storage of %s",
                                  masconI_torch_types[type].name,
                                  masconI_torch_types[part->of->type].name);
    }
    MASCON_TRY(made(p, MASCON_PICKLE_TENSOR, out));
    masconI_torch_tensor *record = NULL;
    MASCON_TRY(masconI_torch_tensor_new(t, part, type, item(args, 1)->as.integer,
                                        (int32_t)count_of(size), shape, stride, name,
                                        (*out)->offset, &record));
    (*out)->as.object = record;
    return MASCON_OK;
}

static mascon_status rebuild_tensor(masconI_pickle *p, const value *args, value **out) {
    if (has_opaque(args, out)) return MASCON_OK;
    if (count_of(args) != 4) return bad_arguments(p, "_rebuild_tensor");
    return make_tensor(p, args, -1, out);
}

/* requires_grad, no hooks, and at the end perhaps what PyTorch says about lazily conjugated and
 * negated tensors */
static mascon_status check_rest(masconI_pickle *p, const value *args, uint64_t metadata) {
    if (item(args, 4)->kind != MASCON_PICKLE_BOOL || !is_empty_dict(item(args, 5))) {
        return bad_arguments(p, "_rebuild_tensor");
    }
    if (count_of(args) <= metadata) return MASCON_OK;
    const value *m = item(args, metadata);
    if (m->kind != MASCON_PICKLE_DICT && m->kind != MASCON_PICKLE_NONE) {
        return bad_arguments(p, "_rebuild_tensor");
    }
    const value *conj = masconI_pickle_get(m, "conj"), *neg = masconI_pickle_get(m, "neg");
    if ((conj && !is_number(conj, 0)) || (neg && !is_number(neg, 0))) {
        return masconI_pickle_bad(p, "a tensor that is conjugated or negated only when it is read");
    }
    return MASCON_OK;
}

static mascon_status rebuild_tensor_v2(masconI_pickle *p, const value *args, value **out) {
    if (has_opaque(args, out)) return MASCON_OK;
    if (count_of(args) != 6 && count_of(args) != 7) return bad_arguments(p, "_rebuild_tensor_v2");
    MASCON_TRY(check_rest(p, args, 6));
    return make_tensor(p, args, -1, out);
}

static mascon_status rebuild_tensor_v3(masconI_pickle *p, const value *args, value **out) {
    if (has_opaque(args, out)) return MASCON_OK;
    if (count_of(args) != 7 && count_of(args) != 8) return bad_arguments(p, "_rebuild_tensor_v3");
    int32_t type = masconI_torch_type_of(item(args, 6), MASCON_TORCH_DTYPE);
    if (type < 0) return bad_arguments(p, "_rebuild_tensor_v3");
    MASCON_TRY(check_rest(p, args, 7));
    return make_tensor(p, args, type, out);
}

static mascon_status rebuild_parameter(masconI_pickle *p, const value *args, value **out) {
    if (has_opaque(args, out)) return MASCON_OK;
    if (!is_tuple(args, 3) || item(args, 0)->kind != MASCON_PICKLE_TENSOR ||
        item(args, 1)->kind != MASCON_PICKLE_BOOL || !is_empty_dict(item(args, 2))) {
        return bad_arguments(p, "_rebuild_parameter");
    }
    *out = args->as.list.item[0];
    return MASCON_OK;
}

/* Of tar files: a parameter whose tensor follows by BUILD. */
static mascon_status new_parameter(masconI_pickle *p, const value *args, value **out) {
    const mascon_torch *t = masconI_pickle_context(p);
    if (count_of(args) || t->format != MASCON_FILE_PYTORCH_TAR)
        return bad_arguments(p, "Parameter");
    return made(p, MASCON_PICKLE_TENSOR, out);
}

/* ---- Persistent ids: storages, and the tensors of tar files ---- */

/* "cpu", "cuda:0": read and ignored, since all tensors arrive on the CPU. */
static int is_location(const value *v) {
    if (!is_text(v)) return 0;
    const unsigned char *c = v->as.text.data;
    uint64_t n = v->as.text.size, i = 0;
    while (i < n && c[i] >= 'a' && c[i] <= 'z') i++;
    if (!i || i > 16) return 0;
    if (i == n) return 1;
    if (c[i++] != ':' || i == n || n - i > 4) return 0;
    for (; i < n; i++) {
        if (c[i] < '0' || c[i] > '9') return 0;
    }
    return 1;
}

static int is_key(const value *v) {
    if (!is_text(v) || !v->as.text.size || v->as.text.size > 64) return 0;
    for (uint64_t i = 0; i < v->as.text.size; i++) {
        unsigned char c = v->as.text.data[i];
        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_') {
            return 0;
        }
    }
    return 1;
}

static mascon_status bad_id(masconI_pickle *p) {
    return masconI_pickle_bad(p, "a persistent id is not one that PyTorch writes");
}

/* The data of a storage of a zip file: the member of its key. */
static mascon_status place_in_zip(masconI_pickle *p, mascon_torch *t, masconI_torch_storage *s) {
    char name[80], quote[MASCON_IO_QUOTE];
    int n = snprintf(name, sizeof name, "data/%.*s", (int)s->key_size, (const char *)s->key);
    masconI_zip_entry *e = masconI_zip_find(t->zip, name, (uint64_t)n);
    masconI_quote(quote, s->key, s->key_size);
    if (!e) return masconI_pickle_bad(p, "storage %s is not in the archive", quote);
    if (e->size != s->bytes) {
        return masconI_pickle_bad(p, "storage %s needs %" PRIu64 " bytes, its member has %" PRIu64,
                                  quote, s->bytes, e->size);
    }
    e->used = 1;
    s->at = e->at;
    s->placed = 1;
    s->sum = e->sum;
    s->has_sum = 1;
    return MASCON_OK;
}

/* None, or (key of the view, offset, numel) */
static mascon_status read_view(masconI_pickle *p, const value *view, masconI_torch_part *part) {
    if (view->kind == MASCON_PICKLE_NONE) return MASCON_OK;
    if (!is_tuple(view, 3) || !is_text(item(view, 0)) || item(view, 1)->kind != MASCON_PICKLE_INT ||
        item(view, 2)->kind != MASCON_PICKLE_INT) {
        return bad_id(p);
    }
    int64_t offset = item(view, 1)->as.integer, numel = item(view, 2)->as.integer;
    if (offset < 0 || numel < 0 || (uint64_t)offset > part->numel ||
        (uint64_t)numel > part->numel - (uint64_t)offset) {
        return masconI_pickle_bad(
            p, "a view of elements %" PRId64 "..%" PRId64 " in a storage of %" PRIu64, offset,
            numel, part->numel);
    }
    part->offset = (uint64_t)offset;
    part->numel = (uint64_t)numel;
    return MASCON_OK;
}

static mascon_status tensor_of_tar(masconI_pickle *p, const value *id, value **out) {
    const mascon_torch *t = masconI_pickle_context(p);
    if (id->kind == MASCON_PICKLE_TUPLE) return masconI_pickle_model(t->file->path, NULL, 0);
    if (!is_text(id) || !id->as.text.size || id->as.text.size > 18) return bad_id(p);
    int64_t number = 0;
    for (uint64_t i = 0; i < id->as.text.size; i++) {
        unsigned char c = id->as.text.data[i];
        if (c < '0' || c > '9') return bad_id(p);
        number = number * 10 + (c - '0');
    }
    int64_t at = masconI_names_find(&t->tensor_keys, &number, sizeof number);
    if (at < 0) return masconI_pickle_bad(p, "tensor %" PRId64 " is not in the file", number);
    MASCON_TRY(made(p, MASCON_PICKLE_TENSOR, out));
    (*out)->as.object = t->tar_tensors[at];
    return MASCON_OK;
}

static mascon_status persistent(masconI_pickle *p, const value *id, value **out) {
    mascon_torch *t = masconI_pickle_context(p);
    if (t->format == MASCON_FILE_PYTORCH_TAR) return tensor_of_tar(p, id, out);
    int stream = t->format == MASCON_FILE_PYTORCH_STREAM;
    if (id->kind == MASCON_PICKLE_TUPLE && count_of(id) &&
        masconI_pickle_is(item(id, 0), "module")) {
        const value *class = count_of(id) > 1 ? item(id, 1) : item(id, 0);
        int known = class->kind == MASCON_PICKLE_OPAQUE;
        return masconI_pickle_model(t->file->path, known ? class->as.text.data : NULL,
                                    known ? class->as.text.size : 0);
    }
    if (!is_tuple(id, stream ? 6 : 5) || !masconI_pickle_is(item(id, 0), "storage")) {
        return bad_id(p);
    }
    if (item(id, 1)->kind == MASCON_PICKLE_OPAQUE && !stream) {
        *out = id->as.list.item[1];
        return MASCON_OK;
    }
    int32_t type = masconI_torch_type_of(item(id, 1), MASCON_TORCH_STORAGE);
    if (type < 0 || !is_key(item(id, 2)) || !is_location(item(id, 3)) ||
        item(id, 4)->kind != MASCON_PICKLE_INT || item(id, 4)->as.integer < 0) {
        return bad_id(p);
    }
    masconI_torch_part *part = masconI_pickle_alloc(p, sizeof *part);
    if (!part) return no_value();
    MASCON_TRY(made(p, MASCON_PICKLE_STORAGE, out));
    (*out)->as.object = part;
    part->numel = (uint64_t)item(id, 4)->as.integer;
    int is_new = 0;
    MASCON_TRY(masconI_torch_storage_get(t, item(id, 2)->as.text.data, item(id, 2)->as.text.size,
                                         type, part->numel, (*out)->offset, &part->of, &is_new));
    if (is_new && !stream) MASCON_TRY(place_in_zip(p, t, part->of));
    return stream ? read_view(p, item(id, 5), part) : MASCON_OK;
}

/* ---- Plain values ---- */

/* OrderedDict(), or of Python 2 OrderedDict([[key, value], ...]) */
static mascon_status ordered_dict(masconI_pickle *p, const value *args, value **out) {
    if (has_opaque(args, out)) return MASCON_OK;
    MASCON_TRY(made(p, MASCON_PICKLE_DICT, out));
    if (count_of(args) == 0) return MASCON_OK;
    if (count_of(args) != 1 || item(args, 0)->kind != MASCON_PICKLE_LIST) {
        return bad_arguments(p, "OrderedDict");
    }
    const value *pairs = item(args, 0);
    for (uint64_t i = 0; i < count_of(pairs); i++) {
        const value *pair = item(pairs, i);
        if ((pair->kind != MASCON_PICKLE_LIST && pair->kind != MASCON_PICKLE_TUPLE) ||
            count_of(pair) != 2) {
            return bad_arguments(p, "OrderedDict");
        }
        MASCON_TRY(masconI_pickle_set(p, *out, pair->as.list.item[0], pair->as.list.item[1]));
    }
    return MASCON_OK;
}

/* defaultdict(), defaultdict(class) */
static mascon_status default_dict(masconI_pickle *p, const value *args, value **out) {
    int ok = count_of(args) == 0 ||
             (count_of(args) == 1 && (item(args, 0)->kind == MASCON_PICKLE_GLOBAL ||
                                      item(args, 0)->kind == MASCON_PICKLE_OPAQUE ||
                                      item(args, 0)->kind == MASCON_PICKLE_NONE));
    return ok ? made(p, MASCON_PICKLE_DICT, out) : bad_arguments(p, "defaultdict");
}

static mascon_status counter(masconI_pickle *p, const value *args, value **out) {
    if (count_of(args) == 0) return made(p, MASCON_PICKLE_DICT, out);
    if (has_opaque(args, out)) return MASCON_OK;
    if (count_of(args) != 1 || item(args, 0)->kind != MASCON_PICKLE_DICT) {
        return bad_arguments(p, "Counter");
    }
    *out = args->as.list.item[0];
    return MASCON_OK;
}

static mascon_status torch_size(masconI_pickle *p, const value *args, value **out) {
    if (count_of(args) != 1 || item(args, 0)->kind != MASCON_PICKLE_TUPLE) {
        return bad_arguments(p, "Size");
    }
    *out = args->as.list.item[0];
    return MASCON_OK;
}

/* device("cuda", 1) is the text "cuda:1" */
static mascon_status torch_device(masconI_pickle *p, const value *args, value **out) {
    enum { MOST = 40 };
    if (count_of(args) < 1 || count_of(args) > 2 || !is_location(item(args, 0)) ||
        (count_of(args) == 2 &&
         (item(args, 1)->kind != MASCON_PICKLE_INT || item(args, 1)->as.integer < 0 ||
          item(args, 1)->as.integer > 9999))) {
        return bad_arguments(p, "device");
    }
    char *text = masconI_pickle_alloc(p, MOST);
    if (!text) return no_value();
    int n = snprintf(text, MOST, "%.*s", (int)item(args, 0)->as.text.size,
                     (const char *)item(args, 0)->as.text.data);
    if (count_of(args) == 2) {
        n += snprintf(text + n, (size_t)(MOST - n), ":%d", (int)item(args, 1)->as.integer);
    }
    MASCON_TRY(made(p, MASCON_PICKLE_STR, out));
    (*out)->as.text.data = (unsigned char *)text;
    (*out)->as.text.size = (uint64_t)n;
    return MASCON_OK;
}

/* encode(text, "latin1"): how Python 3 writes bytes in this protocol */
static mascon_status encode(masconI_pickle *p, const value *args, value **out) {
    if (!is_tuple(args, 2) || item(args, 0)->kind != MASCON_PICKLE_STR ||
        !masconI_pickle_is(item(args, 1), "latin1")) {
        return bad_arguments(p, "encode");
    }
    const unsigned char *from = item(args, 0)->as.text.data;
    uint64_t size = item(args, 0)->as.text.size, n = 0;
    unsigned char *to = masconI_pickle_alloc(p, size ? size : 1);
    if (!to) return no_value();
    for (uint64_t i = 0; i < size; i++) {
        unsigned char c = from[i];
        if (c >= 0x80) { /* the text is valid UTF-8, so a second byte is there */
            if (c > 0xc3) return masconI_pickle_bad(p, "a byte string has a character over 255");
            c = (unsigned char)(c << 6 | (from[++i] & 0x3f));
        }
        to[n++] = c;
    }
    MASCON_TRY(made(p, MASCON_PICKLE_BYTES, out));
    (*out)->as.text.data = to;
    (*out)->as.text.size = n;
    return MASCON_OK;
}

/* ---- numpy's numbers ---- */

static const struct {
    char name[3];
} numpy_types[] = {{"f8"}, {"f4"}, {"i8"}, {"i4"}, {"i2"}, {"i1"},
                   {"u8"}, {"u4"}, {"u2"}, {"u1"}, {"b1"}};
enum { NUMPY_TYPES = sizeof numpy_types / sizeof numpy_types[0], NUMPY_BUILT = 0x100 };

/* dtype("f8", False, True) */
static mascon_status numpy_dtype(masconI_pickle *p, const value *args, value **out) {
    if (!is_tuple(args, 3) || !is_text(item(args, 0)) || !is_number(item(args, 1), 0) ||
        !is_number(item(args, 2), 1)) {
        return bad_arguments(p, "dtype");
    }
    for (int i = 0; i < NUMPY_TYPES; i++) {
        if (!masconI_pickle_is(item(args, 0), numpy_types[i].name)) continue;
        MASCON_TRY(made(p, MASCON_PICKLE_DTYPE, out));
        (*out)->as.integer = i;
        return MASCON_OK;
    }
    char quote[MASCON_IO_QUOTE];
    return masconI_pickle_bad(
        p, "numpy's type %s is not read",
        masconI_quote(quote, item(args, 0)->as.text.data, item(args, 0)->as.text.size));
}

/* (3, "<", None, None, None, -1, -1, 0) */
static mascon_status build_dtype(masconI_pickle *p, value *target, const value *state) {
    int ok = is_tuple(state, 8) && is_number(item(state, 0), 3) &&
             (masconI_pickle_is(item(state, 1), "<") || masconI_pickle_is(item(state, 1), "|") ||
              masconI_pickle_is(item(state, 1), "=")) &&
             is_number(item(state, 5), -1) && is_number(item(state, 6), -1) &&
             is_number(item(state, 7), 0);
    for (uint64_t i = 2; ok && i < 5; i++) ok = item(state, i)->kind == MASCON_PICKLE_NONE;
    if (!ok) return masconI_pickle_bad(p, "the state of a dtype is not that of a number");
    target->as.integer |= NUMPY_BUILT;
    return MASCON_OK;
}

/* scalar(dtype, bytes) */
static mascon_status numpy_scalar(masconI_pickle *p, const value *args, value **out) {
    if (has_opaque(args, out)) return MASCON_OK;
    if (!is_tuple(args, 2) || item(args, 0)->kind != MASCON_PICKLE_DTYPE ||
        !(item(args, 0)->as.integer & NUMPY_BUILT) || item(args, 1)->kind != MASCON_PICKLE_BYTES) {
        return bad_arguments(p, "scalar");
    }
    const char *name = numpy_types[item(args, 0)->as.integer & ~NUMPY_BUILT].name;
    uint64_t size = (uint64_t)(name[1] - '0'), bits = 0;
    if (item(args, 1)->as.text.size != size) {
        return masconI_pickle_bad(p, "a number of type %s has %" PRIu64 " bytes", name,
                                  item(args, 1)->as.text.size);
    }
    memcpy(&bits, item(args, 1)->as.text.data, size);
    if (name[0] == 'f') {
        MASCON_TRY(made(p, MASCON_PICKLE_FLOAT, out));
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        memcpy(&(*out)->as.real, &bits, sizeof bits);
        if (size == 4) (*out)->as.real = (double)narrow;
        return MASCON_OK;
    }
    if (name[0] == 'b') {
        MASCON_TRY(made(p, MASCON_PICKLE_BOOL, out));
        (*out)->as.integer = bits != 0;
        return MASCON_OK;
    }
    if (name[0] == 'i' && size < 8 && bits >> (8 * size - 1)) bits |= ~(uint64_t)0 << (8 * size);
    if (name[0] == 'u' && bits >> 63) return masconI_pickle_bad(p, "a number over 2^63");
    MASCON_TRY(made(p, MASCON_PICKLE_INT, out));
    memcpy(&(*out)->as.integer, &bits, sizeof bits);
    return MASCON_OK;
}

/* ---- BUILD ---- */

/* (tensor, None, None or no hooks, requires_grad, volatile) */
static mascon_status build_parameter(masconI_pickle *p, value *target, const value *state) {
    const mascon_torch *t = masconI_pickle_context(p);
    if (target->as.object || t->format != MASCON_FILE_PYTORCH_TAR) {
        return masconI_pickle_bad(p, "a tensor has no state");
    }
    if (!is_tuple(state, 5) || item(state, 0)->kind != MASCON_PICKLE_TENSOR ||
        !item(state, 0)->as.object || item(state, 1)->kind != MASCON_PICKLE_NONE ||
        (item(state, 2)->kind != MASCON_PICKLE_NONE && !is_empty_dict(item(state, 2))) ||
        item(state, 3)->kind != MASCON_PICKLE_BOOL || item(state, 4)->kind != MASCON_PICKLE_BOOL) {
        return masconI_pickle_bad(p, "the state of a parameter is not one that PyTorch writes");
    }
    target->as.object = item(state, 0)->as.object;
    return MASCON_OK;
}

static mascon_status build(masconI_pickle *p, value *target, const value *state) {
    switch (target->kind) {
        case MASCON_PICKLE_DICT: /* attributes of an OrderedDict: _metadata, versions of modules */
            if (state->kind == MASCON_PICKLE_DICT || state->kind == MASCON_PICKLE_OPAQUE) {
                return MASCON_OK;
            }
            break;
        case MASCON_PICKLE_TENSOR:
            return build_parameter(p, target, state);
        case MASCON_PICKLE_DTYPE:
            return build_dtype(p, target, state);
        default:
            break;
    }
    return masconI_pickle_bad(p, "%s with %s as its state", masconI_pickle_kind_name(target->kind),
                              masconI_pickle_kind_name(state->kind));
}

/* ---- The table ---- */

/* A row of masconI_torch_types: its classes by number. */
#define STORAGE(name, type) \
    { "torch", name, STORAGES + (type), NULL, NULL }
#define TENSOR(name, type) \
    { "torch", name, TENSORS + (type), NULL, NULL }
#define DTYPE(name, type) \
    { "torch", name, DTYPES + (type), NULL, NULL }

static const masconI_pickle_global globals[] = {
    {"torch._utils", "_rebuild_tensor_v2", OTHERS, rebuild_tensor_v2, NULL},
    {"collections", "OrderedDict", OTHERS, ordered_dict, NULL},
    {"torch._utils", "_rebuild_tensor", OTHERS, rebuild_tensor, NULL},
    {"torch._utils", "_rebuild_parameter", OTHERS, rebuild_parameter, NULL},
    {"torch.nn.parameter", "Parameter", PARAMETER, NULL, new_parameter},
    STORAGE("ByteStorage", 0),
    STORAGE("FloatStorage", 1),
    STORAGE("DoubleStorage", 2),
    STORAGE("HalfStorage", 3),
    STORAGE("BFloat16Storage", 4),
    STORAGE("LongStorage", 5),
    STORAGE("IntStorage", 6),
    STORAGE("BoolStorage", 7),
    STORAGE("ShortStorage", 8),
    STORAGE("CharStorage", 9),
    /* what no tensor here holds: known, so that the dtype is named, and skipped in a stream */
    STORAGE("ComplexFloatStorage", 14),
    STORAGE("ComplexDoubleStorage", 15),
    STORAGE("QInt8Storage", 21),
    STORAGE("QUInt8Storage", 22),
    STORAGE("QInt32Storage", 23),
    TENSOR("ByteTensor", 0),
    TENSOR("FloatTensor", 1),
    TENSOR("DoubleTensor", 2),
    TENSOR("HalfTensor", 3),
    TENSOR("LongTensor", 5),
    TENSOR("IntTensor", 6),
    TENSOR("ShortTensor", 8),
    TENSOR("CharTensor", 9),
    /* training checkpoints */
    {"torch", "Size", OTHERS, torch_size, NULL},
    {"torch", "device", OTHERS, torch_device, NULL},
    {"torch.storage", "UntypedStorage", STORAGES + MASCON_TORCH_UINT8, NULL, NULL},
    {"torch._utils", "_rebuild_tensor_v3", OTHERS, rebuild_tensor_v3, NULL},
    {"collections", "defaultdict", OTHERS, default_dict, NULL},
    {"collections", "Counter", OTHERS, counter, NULL},
    {"__builtin__", "list", FACTORY, NULL, NULL}, /* of defaultdict: named, never called */
    {"__builtin__", "dict", FACTORY, NULL, NULL},
    {"__builtin__", "int", FACTORY, NULL, NULL},
    {"__builtin__", "float", FACTORY, NULL, NULL},
    {"numpy.core.multiarray", "scalar", OTHERS, numpy_scalar, NULL},
    {"numpy._core.multiarray", "scalar", OTHERS, numpy_scalar, NULL},
    {"numpy", "dtype", OTHERS, numpy_dtype, NULL},
    {"_codecs", "encode", OTHERS, encode, NULL},
    DTYPE("uint8", 0),
    DTYPE("float32", 1),
    DTYPE("float64", 2),
    DTYPE("float16", 3),
    DTYPE("bfloat16", 4),
    DTYPE("int64", 5),
    DTYPE("int32", 6),
    DTYPE("bool", 7),
    DTYPE("int16", 8),
    DTYPE("int8", 9),
    DTYPE("uint16", 10),
    DTYPE("uint32", 11),
    DTYPE("uint64", 12),
    DTYPE("complex32", 13),
    DTYPE("complex64", 14),
    DTYPE("complex128", 15),
    DTYPE("float8_e4m3fn", 16),
    DTYPE("float8_e4m3fnuz", 17),
    DTYPE("float8_e5m2", 18),
    DTYPE("float8_e5m2fnuz", 19),
    DTYPE("float8_e8m0fnu", 20),
};

const masconI_pickle_profile masconI_pickle_torch = {
    .name = "torch",
    .globals = globals,
    .n_globals = (int32_t)(sizeof globals / sizeof globals[0]),
    .byte_strings = 1,
    .models = 1,
    .unknown_hint = "skip_unknown = true, or save state_dict()",
    .build = build,
    .persistent = persistent,
};

/* pickle.c: the machine that runs pickles, for every container that holds one.
 *
 * It builds values (io.h) and nothing else: no import, no call but the functions of the profile's
 * table. Invariants
 *   - an opcode takes operands only from above the last open MARK and looks at their kind first;
 *   - all values live in one arena with a limit; strings and arrays point into the caller's buffer;
 *   - the memo is dense, so its size follows the number of opcodes, not the numbers in the file;
 *   - the loop does not recurse, and a value may contain itself: walkers must guard against that.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

typedef masconI_pickle_value value;

/* The set of keys of a big DICT, chained so that it can be freed. */
typedef struct key_set {
    masconI_names names;
    struct key_set *next;
} key_set;

struct masconI_pickle {
    const masconI_pickle_profile *profile;
    masconI_pickle_options options;
    const masconI_limits *limits;
    const unsigned char *data;
    uint64_t size, at, op_at; /* op_at: of the running opcode */
    masconI_arena arena;
    value **stack;
    uint64_t depth, stack_capacity;
    uint64_t *marks; /* depths of the stack */
    uint64_t n_marks, marks_capacity;
    value **memo;
    uint64_t n_memo, memo_capacity; /* distinct indices; capacity is at least n_memo + 2 */
    key_set *key_sets;
    value *small[256]; /* INT 0..255: labels come ten thousand at a time */
    value *none, *boolean[2];
    int stopped;
};

static const char *const kind_names[MASCON_PICKLE_KIND_COUNT] = {
    [MASCON_PICKLE_NONE] = "None",
    [MASCON_PICKLE_BOOL] = "a boolean",
    [MASCON_PICKLE_INT] = "an integer",
    [MASCON_PICKLE_FLOAT] = "a float",
    [MASCON_PICKLE_STR] = "a string",
    [MASCON_PICKLE_BYTES] = "a byte string",
    [MASCON_PICKLE_TUPLE] = "a tuple",
    [MASCON_PICKLE_LIST] = "a list",
    [MASCON_PICKLE_DICT] = "a dict",
    [MASCON_PICKLE_GLOBAL] = "a class",
    [MASCON_PICKLE_STORAGE] = "a storage",
    [MASCON_PICKLE_TENSOR] = "a tensor",
    [MASCON_PICKLE_DTYPE] = "a dtype",
    [MASCON_PICKLE_NDARRAY] = "an array",
    [MASCON_PICKLE_OPAQUE] = "an unknown object",
};

const char *masconI_pickle_kind_name(masconI_pickle_kind kind) {
    return (unsigned)kind < MASCON_PICKLE_KIND_COUNT ? kind_names[kind] : "?";
}

mascon_status masconI_pickle_bad(masconI_pickle *p, const char *format, ...) {
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return masconI_io_fail(MASCON_E_FORMAT, p->options.path, p->options.base + p->op_at,
                           "pickle: %s", text);
}

void *masconI_pickle_alloc(masconI_pickle *p, uint64_t size) {
    return masconI_arena_get(&p->arena, size);
}

void *masconI_pickle_context(const masconI_pickle *p) { return p->options.context; }

value *masconI_pickle_new(masconI_pickle *p, masconI_pickle_kind kind) {
    value *v = masconI_arena_get(&p->arena, sizeof *v);
    if (v) {
        v->kind = kind;
        v->offset = p->options.base + p->op_at;
    }
    return v;
}

/* The status of an allocation that failed: the record was filled by the arena. */
static mascon_status no_value(void) { return mascon_last_error()->code; }

/* ---- Stack, marks, memo ---- */

/* Doubles a malloc'd array of 8-byte elements up to most. */
static mascon_status widen(masconI_pickle *p, void *array, uint64_t *capacity, uint64_t most,
                           const char *name) {
    uint64_t more = *capacity ? *capacity * 2 : 64;
    if (*capacity >= most) {
        return masconI_limit_fail(p->options.path, p->options.base + p->op_at, "pickle",
                                  *capacity + 1, name, most);
    }
    if (more > most) more = most;
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, more * 8);
    if (!grown) return masconI_oom(p->options.path, more * 8);
    memcpy(array, &grown, sizeof grown);
    *capacity = more;
    return MASCON_OK;
}

static mascon_status push(masconI_pickle *p, value *v) {
    if (!v) return no_value();
    if (p->depth == p->stack_capacity) {
        MASCON_TRY(widen(p, &p->stack, &p->stack_capacity, p->limits->stack, "stack"));
    }
    p->stack[p->depth++] = v;
    return MASCON_OK;
}

static uint64_t floor_of(const masconI_pickle *p) {
    return p->n_marks ? p->marks[p->n_marks - 1] : 0;
}

static mascon_status pop(masconI_pickle *p, value **out) {
    if (p->depth <= floor_of(p)) return masconI_pickle_bad(p, "the stack is empty");
    *out = p->stack[--p->depth];
    return MASCON_OK;
}

/* The value on top, which stays. */
static mascon_status top(masconI_pickle *p, value **out) {
    if (p->depth <= floor_of(p)) return masconI_pickle_bad(p, "the stack is empty");
    *out = p->stack[p->depth - 1];
    return MASCON_OK;
}

/* Closes the last MARK: the values above it are items[0..count-1], off the stack but still there
 * until the next push. */
static mascon_status pop_mark(masconI_pickle *p, value ***items, uint64_t *count) {
    if (!p->n_marks) return masconI_pickle_bad(p, "no open MARK");
    uint64_t from = p->marks[--p->n_marks];
    *count = p->depth - from;
    *items = p->stack ? p->stack + from : NULL;
    p->depth = from;
    return MASCON_OK;
}

static mascon_status need(masconI_pickle *p, uint64_t n) {
    if (p->size - p->at >= n) return MASCON_OK;
    if (p->options.ran_out) *p->options.ran_out = 1;
    return masconI_pickle_bad(p, "needs %" PRIu64 " more bytes, %" PRIu64 " are left", n,
                              p->size - p->at);
}

/* An unsigned little-endian argument of n <= 8 bytes. */
static mascon_status argument(masconI_pickle *p, uint64_t n, uint64_t *out) {
    MASCON_TRY(need(p, n));
    *out = 0;
    for (uint64_t i = 0; i < n; i++) *out |= (uint64_t)p->data[p->at + i] << (8 * i);
    p->at += n;
    return MASCON_OK;
}

static mascon_status put(masconI_pickle *p, uint64_t index) {
    value *v = NULL;
    MASCON_TRY(top(p, &v));
    if (index > p->n_memo + 1) {
        return masconI_pickle_bad(p, "memo index %" PRIu64 " after %" PRIu64 " entries", index,
                                  p->n_memo);
    }
    while (index >= p->memo_capacity) {
        uint64_t before = p->memo_capacity;
        MASCON_TRY(widen(p, &p->memo, &p->memo_capacity, p->limits->memo, "memo"));
        memset(p->memo + before, 0, (p->memo_capacity - before) * sizeof *p->memo);
    }
    if (!p->memo[index]) p->n_memo++;
    p->memo[index] = v;
    return MASCON_OK;
}

static mascon_status get(masconI_pickle *p, uint64_t index) {
    if (index >= p->memo_capacity || !p->memo[index]) {
        return masconI_pickle_bad(p, "memo entry %" PRIu64 " does not exist", index);
    }
    return push(p, p->memo[index]);
}

/* ---- Containers ---- */

/* Room for count more items of a LIST, TUPLE or DICT. */
static mascon_status reserve(masconI_pickle *p, value *v, uint64_t count) {
    uint64_t wanted = v->as.list.count + count;
    if (wanted <= v->as.list.capacity) return MASCON_OK;
    uint64_t capacity = v->as.list.capacity * 2 > wanted ? v->as.list.capacity * 2 : wanted;
    value **item = masconI_arena_get(&p->arena, capacity * sizeof(value *));
    if (!item) return no_value();
    if (v->as.list.count) memcpy(item, v->as.list.item, v->as.list.count * sizeof(value *));
    v->as.list.item = item;
    v->as.list.capacity = capacity;
    return MASCON_OK;
}

static mascon_status extend(masconI_pickle *p, value *v, value *const *items, uint64_t count) {
    MASCON_TRY(reserve(p, v, count));
    if (count) memcpy(v->as.list.item + v->as.list.count, items, count * sizeof(value *));
    v->as.list.count += count;
    return MASCON_OK;
}

static int is_text(const value *v) {
    return v->kind == MASCON_PICKLE_STR || v->kind == MASCON_PICKLE_BYTES;
}

/* Two keys that a Lua table could not hold side by side. */
static int same_key(const value *a, const value *b) {
    if (is_text(a) != is_text(b)) return 0;
    if (!is_text(a)) return a->as.integer == b->as.integer;
    return a->as.text.size == b->as.text.size &&
           (a->as.text.size == 0 || memcmp(a->as.text.data, b->as.text.data, a->as.text.size) == 0);
}

static mascon_status duplicate(masconI_pickle *p, const value *key) {
    char quote[MASCON_IO_QUOTE];
    if (key->kind == MASCON_PICKLE_INT) {
        return masconI_pickle_bad(p, "duplicate key %" PRId64, key->as.integer);
    }
    masconI_quote(quote, key->as.text.data, key->as.text.size);
    return masconI_pickle_bad(p, "duplicate key %s", quote);
}

/* Adds a key to the set of a big DICT. An INT is told from a text by a byte that UTF-8 never has. */
static mascon_status add_key(masconI_pickle *p, masconI_names *names, const value *key) {
    const unsigned char *text = key->as.text.data;
    uint64_t size = key->as.text.size;
    if (key->kind == MASCON_PICKLE_INT) {
        unsigned char *made = masconI_arena_get(&p->arena, 9);
        if (!made) return no_value();
        made[0] = 0xff;
        memcpy(made + 1, &key->as.integer, 8);
        text = made;
        size = 9;
    }
    int added = masconI_names_add(names, text, size);
    if (added < 0) return masconI_oom(p->options.path, names->capacity * 2 * sizeof *names->slot);
    return added ? MASCON_OK : duplicate(p, key);
}

enum { SMALL_DICT = 8 };     /* entries that are compared one by one */
enum { KEY_MOST = 1 << 12 }; /* bytes: a key can be used often, and each use compares it */

mascon_status masconI_pickle_set(masconI_pickle *p, value *dict, value *key, value *item) {
    if (key->kind != MASCON_PICKLE_INT && !is_text(key)) {
        return masconI_pickle_bad(p, "a dict key is %s; expected a string or an integer",
                                  kind_names[key->kind]);
    }
    if (is_text(key) && key->as.text.size > KEY_MOST) {
        return masconI_pickle_bad(p, "a dict key of %" PRIu64 " bytes; at most %d",
                                  key->as.text.size, KEY_MOST);
    }
    uint64_t count = dict->as.list.count;
    if (!dict->as.list.keys && count < 2 * SMALL_DICT) {
        for (uint64_t i = 0; i < count; i += 2) {
            if (same_key(dict->as.list.item[i], key)) return duplicate(p, key);
        }
    } else {
        if (!dict->as.list.keys) {
            key_set *made = masconI_arena_get(&p->arena, sizeof *made);
            if (!made) return no_value();
            made->next = p->key_sets;
            p->key_sets = made;
            dict->as.list.keys = &made->names;
            for (uint64_t i = 0; i < count; i += 2) {
                MASCON_TRY(add_key(p, &made->names, dict->as.list.item[i]));
            }
        }
        MASCON_TRY(add_key(p, dict->as.list.keys, key));
    }
    value *pair[2] = {key, item};
    return extend(p, dict, pair, 2);
}

static mascon_status wrong_target(masconI_pickle *p, const value *v, const char *expected) {
    return masconI_pickle_bad(p, "the target is %s; expected %s", kind_names[v->kind], expected);
}

/* ---- Opcodes ---- */

static mascon_status op_proto(masconI_pickle *p) {
    uint64_t version = 0;
    if (p->op_at != 0) return masconI_pickle_bad(p, "PROTO is not the first opcode");
    MASCON_TRY(argument(p, 1, &version));
    if (version == 2 || version == 3) return MASCON_OK;
    masconI_io_fail(MASCON_E_UNSUPPORTED, p->options.path, p->options.base + p->op_at,
                    "pickle protocol %" PRIu64 "; 2 and 3 are read", version);
    masconI_hint("save again with pickle_protocol=2");
    return MASCON_E_UNSUPPORTED;
}

static mascon_status op_stop(masconI_pickle *p) {
    if (p->n_marks) return masconI_pickle_bad(p, "STOP inside an open MARK");
    if (p->depth != 1) {
        return masconI_pickle_bad(p, "STOP with %" PRIu64 " values; expected 1", p->depth);
    }
    if (!p->options.partial && p->at != p->size) {
        return masconI_pickle_bad(p, "%" PRIu64 " bytes follow STOP", p->size - p->at);
    }
    p->stopped = 1;
    return MASCON_OK;
}

static mascon_status op_mark(masconI_pickle *p) {
    if (p->n_marks == p->marks_capacity) {
        MASCON_TRY(widen(p, &p->marks, &p->marks_capacity, p->limits->marks, "marks"));
    }
    p->marks[p->n_marks++] = p->depth;
    return MASCON_OK;
}

static mascon_status op_none(masconI_pickle *p) {
    if (!p->none) p->none = masconI_pickle_new(p, MASCON_PICKLE_NONE);
    return push(p, p->none);
}

static mascon_status push_bool(masconI_pickle *p, int on) {
    if (!p->boolean[on]) {
        p->boolean[on] = masconI_pickle_new(p, MASCON_PICKLE_BOOL);
        if (p->boolean[on]) p->boolean[on]->as.integer = on;
    }
    return push(p, p->boolean[on]);
}

static mascon_status op_true(masconI_pickle *p) { return push_bool(p, 1); }
static mascon_status op_false(masconI_pickle *p) { return push_bool(p, 0); }

static mascon_status push_int(masconI_pickle *p, int64_t number) {
    int small = number >= 0 && number < 256;
    if (small && p->small[number]) return push(p, p->small[number]);
    value *v = masconI_pickle_new(p, MASCON_PICKLE_INT);
    if (v) v->as.integer = number;
    if (small) p->small[number] = v;
    return push(p, v);
}

static mascon_status op_binint(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 4, &n));
    return push_int(p, (int32_t)(uint32_t)n);
}

static mascon_status op_binint1(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 1, &n));
    return push_int(p, (int64_t)n);
}

static mascon_status op_binint2(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 2, &n));
    return push_int(p, (int64_t)n);
}

static mascon_status op_long1(masconI_pickle *p) {
    uint64_t n = 0, bits = 0;
    MASCON_TRY(argument(p, 1, &n));
    if (n > 8) return masconI_pickle_bad(p, "an integer of %" PRIu64 " bytes; at most 8", n);
    MASCON_TRY(argument(p, n, &bits));
    if (n && n < 8 && bits >> (8 * n - 1)) bits |= ~(uint64_t)0 << (8 * n);
    int64_t number;
    memcpy(&number, &bits, sizeof number);
    return push_int(p, number);
}

static mascon_status op_binfloat(masconI_pickle *p) {
    uint64_t bits = 0;
    MASCON_TRY(argument(p, 8, &bits));
    bits = __builtin_bswap64(bits);
    value *v = masconI_pickle_new(p, MASCON_PICKLE_FLOAT);
    if (v) memcpy(&v->as.real, &bits, sizeof bits);
    return push(p, v);
}

static mascon_status push_text(masconI_pickle *p, masconI_pickle_kind kind, uint64_t n,
                               int limited) {
    MASCON_TRY(need(p, n));
    if (limited && n > p->limits->string_bytes) {
        return masconI_limit_fail(p->options.path, p->options.base + p->op_at, "string", n,
                                  "string_bytes", p->limits->string_bytes);
    }
    const unsigned char *text = p->data + p->at;
    if (kind == MASCON_PICKLE_STR && !masconI_utf8_valid(text, n)) {
        return masconI_pickle_bad(p, "a string is not valid UTF-8");
    }
    value *v = masconI_pickle_new(p, kind);
    if (v) {
        v->as.text.data = text;
        v->as.text.size = n;
    }
    p->at += n;
    return push(p, v);
}

static mascon_status op_binunicode(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 4, &n));
    return push_text(p, MASCON_PICKLE_STR, n, 1);
}

static mascon_status byte_strings(masconI_pickle *p) {
    if (p->profile->byte_strings) return MASCON_OK;
    return masconI_pickle_bad(p, "a Python 2 string is not expected in this file");
}

static mascon_status op_short_binstring(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(byte_strings(p));
    MASCON_TRY(argument(p, 1, &n));
    return push_text(p, MASCON_PICKLE_BYTES, n, 0);
}

static mascon_status op_binstring(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(byte_strings(p));
    MASCON_TRY(argument(p, 4, &n));
    if (n > INT32_MAX) return masconI_pickle_bad(p, "a string of negative length");
    return push_text(p, MASCON_PICKLE_BYTES, n, !p->profile->long_strings);
}

static mascon_status push_tuple(masconI_pickle *p, uint64_t count) {
    if (p->depth - floor_of(p) < count) return masconI_pickle_bad(p, "the stack is empty");
    value *v = masconI_pickle_new(p, MASCON_PICKLE_TUPLE);
    if (!v) return no_value();
    p->depth -= count;
    MASCON_TRY(extend(p, v, p->stack ? p->stack + p->depth : NULL, count));
    return push(p, v);
}

static mascon_status op_empty_tuple(masconI_pickle *p) { return push_tuple(p, 0); }
static mascon_status op_tuple1(masconI_pickle *p) { return push_tuple(p, 1); }
static mascon_status op_tuple2(masconI_pickle *p) { return push_tuple(p, 2); }
static mascon_status op_tuple3(masconI_pickle *p) { return push_tuple(p, 3); }

static mascon_status op_tuple(masconI_pickle *p) {
    value **items = NULL;
    uint64_t count = 0;
    MASCON_TRY(pop_mark(p, &items, &count));
    value *v = masconI_pickle_new(p, MASCON_PICKLE_TUPLE);
    if (!v) return no_value();
    MASCON_TRY(extend(p, v, items, count));
    return push(p, v);
}

static mascon_status op_empty_list(masconI_pickle *p) {
    return push(p, masconI_pickle_new(p, MASCON_PICKLE_LIST));
}

static mascon_status op_empty_dict(masconI_pickle *p) {
    return push(p, masconI_pickle_new(p, MASCON_PICKLE_DICT));
}

static mascon_status append(masconI_pickle *p, value *const *items, uint64_t count) {
    value *list = NULL;
    MASCON_TRY(top(p, &list));
    if (list->kind == MASCON_PICKLE_OPAQUE) return MASCON_OK;
    if (list->kind != MASCON_PICKLE_LIST) return wrong_target(p, list, "a list");
    return extend(p, list, items, count);
}

static mascon_status op_append(masconI_pickle *p) {
    value *item = NULL;
    MASCON_TRY(pop(p, &item));
    return append(p, &item, 1);
}

static mascon_status op_appends(masconI_pickle *p) {
    value **items = NULL;
    uint64_t count = 0;
    MASCON_TRY(pop_mark(p, &items, &count));
    return append(p, items, count);
}

static mascon_status set_items(masconI_pickle *p, value *const *items, uint64_t count) {
    value *dict = NULL;
    MASCON_TRY(top(p, &dict));
    if (dict->kind == MASCON_PICKLE_OPAQUE) return MASCON_OK;
    if (dict->kind != MASCON_PICKLE_DICT) return wrong_target(p, dict, "a dict");
    if (count % 2) return masconI_pickle_bad(p, "a dict key has no value");
    MASCON_TRY(reserve(p, dict, count));
    for (uint64_t i = 0; i < count; i += 2) {
        MASCON_TRY(masconI_pickle_set(p, dict, items[i], items[i + 1]));
    }
    return MASCON_OK;
}

static mascon_status op_setitem(masconI_pickle *p) {
    value *pair[2] = {NULL, NULL};
    MASCON_TRY(pop(p, &pair[1]));
    MASCON_TRY(pop(p, &pair[0]));
    return set_items(p, pair, 2);
}

static mascon_status op_setitems(masconI_pickle *p) {
    value **items = NULL;
    uint64_t count = 0;
    MASCON_TRY(pop_mark(p, &items, &count));
    return set_items(p, items, count);
}

static mascon_status op_binput(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 1, &n));
    return put(p, n);
}

static mascon_status op_long_binput(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 4, &n));
    return put(p, n);
}

static mascon_status op_binget(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 1, &n));
    return get(p, n);
}

static mascon_status op_long_binget(masconI_pickle *p) {
    uint64_t n = 0;
    MASCON_TRY(argument(p, 4, &n));
    return get(p, n);
}

/* One line of GLOBAL, without its newline. */
static mascon_status line(masconI_pickle *p, const unsigned char **text, uint64_t *size) {
    uint64_t left = p->size - p->at, n = 0;
    const unsigned char *from = p->data + p->at;
    while (n < left && n <= 128 && from[n] != '\n') {
        unsigned char c = from[n++];
        if ((c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' &&
            c != '.') {
            return masconI_pickle_bad(p, "the name of a class has the byte 0x%02x", c);
        }
    }
    if (n == left || n == 0 || n > 128) {
        if (n == left && n <= 128 && p->options.ran_out) *p->options.ran_out = 1;
        return masconI_pickle_bad(p, "the name of a class has 1 to 128 bytes and a newline");
    }
    *text = from;
    *size = n;
    p->at += n + 1;
    return MASCON_OK;
}

static int equal(const unsigned char *text, uint64_t size, const char *name) {
    return strlen(name) == size && memcmp(text, name, size) == 0;
}

const char *masconI_pickle_key(const masconI_pickle *p, char out[MASCON_IO_QUOTE]) {
    *out = 0;
    for (uint64_t i = p->depth; i > 0; i--) {
        const value *v = p->stack[i - 1];
        if (is_text(v)) return masconI_quote(out, v->as.text.data, v->as.text.size);
    }
    return out;
}

mascon_status masconI_pickle_model(const char *path, const void *class_name, uint64_t size) {
    char class[272];
    uint64_t n = size < sizeof class ? size : sizeof class - 1;
    memcpy(class, class_name ? class_name : "", n);
    class[n] = 0;
    for (char *c = class; *c; c++) {
        if (*c == '\n') *c = '.';
    }
    masconI_fail(MASCON_E_UNSUPPORTED, "%.256s holds a whole Python model%s%s%s, not a state_dict",
                 path, n ? " (class " : "", class, n ? ")" : "");
    masconI_hint("in Python: torch.save(model.state_dict(), ...)");
    return MASCON_E_UNSUPPORTED;
}

/* A model is pickled as the top value, whose class is called at once, or as a persistent id, a tuple
 * that begins with "module" (and is no key: no dict lies right below its mark). */
static int is_model(const masconI_pickle *p) {
    if (!p->profile->models) return 0;
    if (p->depth) {
        return masconI_pickle_is(p->stack[p->depth - 1], "module") && floor_of(p) == p->depth - 1 &&
               (p->depth == 1 || p->stack[p->depth - 2]->kind != MASCON_PICKLE_DICT);
    }
    uint64_t at = p->at;
    if (p->size - at > 2 && p->data[at] == 0x71) at += 2; /* BINPUT */
    return p->size - at > 2 && p->data[at] == 0x29 && p->data[at + 1] == 0x81;
}

static mascon_status unknown_global(masconI_pickle *p, const unsigned char *class, uint64_t m,
                                    uint64_t n) {
    char key[MASCON_IO_QUOTE];
    if (is_model(p)) return masconI_pickle_model(p->options.path, class, m + 1 + n);
    masconI_pickle_key(p, key);
    masconI_fail(MASCON_E_UNSUPPORTED,
                 "%.256s uses Python object %.*s.%.*s (%s%s%soffset %" PRIu64
                 "); only tensors and plain values are read",
                 p->options.path, (int)m, (const char *)class, (int)n, (const char *)class + m + 1,
                 *key ? "key " : "", key, *key ? ", " : "", p->options.base + p->op_at);
    if (p->profile->unknown_hint) masconI_hint("%s", p->profile->unknown_hint);
    return MASCON_E_UNSUPPORTED;
}

static mascon_status op_global(masconI_pickle *p) {
    const unsigned char *module = NULL, *name = NULL;
    uint64_t m = 0, n = 0;
    MASCON_TRY(line(p, &module, &m));
    MASCON_TRY(line(p, &name, &n));
    for (int32_t i = 0; i < p->profile->n_globals; i++) {
        const masconI_pickle_global *g = &p->profile->globals[i];
        if (!equal(module, m, g->module) || !equal(name, n, g->name)) continue;
        value *v = masconI_pickle_new(p, MASCON_PICKLE_GLOBAL);
        if (v) v->as.global = g;
        return push(p, v);
    }
    if (!p->options.skip_unknown) return unknown_global(p, module, m, n);
    value *v = masconI_pickle_new(p, MASCON_PICKLE_OPAQUE);
    if (v) {
        v->as.text.data = module; /* the name follows it, behind a newline */
        v->as.text.size = m + 1 + n;
    }
    return push(p, v);
}

/* REDUCE and NEWOBJ: a class and a tuple of arguments become what the profile makes of them. */
static mascon_status construct(masconI_pickle *p, int newobj) {
    value *args = NULL, *callee = NULL, *made = NULL;
    MASCON_TRY(pop(p, &args));
    MASCON_TRY(pop(p, &callee));
    if (callee->kind == MASCON_PICKLE_OPAQUE) return push(p, callee);
    if (callee->kind != MASCON_PICKLE_GLOBAL) return wrong_target(p, callee, "a class");
    if (args->kind != MASCON_PICKLE_TUPLE) return wrong_target(p, args, "a tuple of arguments");
    const masconI_pickle_global *g = callee->as.global;
    mascon_status (*make)(masconI_pickle *, const value *, value **) =
        newobj ? g->newobj : g->reduce;
    if (!make) return masconI_pickle_bad(p, "%s.%s may not be called", g->module, g->name);
    MASCON_TRY(make(p, args, &made));
    return push(p, made);
}

static mascon_status op_reduce(masconI_pickle *p) { return construct(p, 0); }
static mascon_status op_newobj(masconI_pickle *p) { return construct(p, 1); }

static mascon_status op_build(masconI_pickle *p) {
    value *state = NULL, *target = NULL;
    MASCON_TRY(pop(p, &state));
    MASCON_TRY(top(p, &target));
    if (target->kind == MASCON_PICKLE_OPAQUE) return MASCON_OK;
    if (!p->profile->build) return wrong_target(p, target, "nothing that has a state");
    return p->profile->build(p, target, state);
}

static mascon_status op_binpersid(masconI_pickle *p) {
    value *id = NULL, *made = NULL;
    MASCON_TRY(pop(p, &id));
    if (!p->profile->persistent) {
        return masconI_pickle_bad(p, "a persistent id is not expected in this file");
    }
    MASCON_TRY(p->profile->persistent(p, id, &made));
    return push(p, made);
}

/* What is not in this table is refused. */
static mascon_status (*const opcodes[256])(masconI_pickle *) = {
    [0x80] = op_proto,
    [0x2e] = op_stop,
    [0x28] = op_mark,
    [0x4e] = op_none,
    [0x88] = op_true,
    [0x89] = op_false,
    [0x4a] = op_binint,
    [0x4b] = op_binint1,
    [0x4d] = op_binint2,
    [0x8a] = op_long1,
    [0x47] = op_binfloat,
    [0x58] = op_binunicode,
    [0x55] = op_short_binstring,
    [0x54] = op_binstring,
    [0x29] = op_empty_tuple,
    [0x85] = op_tuple1,
    [0x86] = op_tuple2,
    [0x87] = op_tuple3,
    [0x74] = op_tuple,
    [0x5d] = op_empty_list,
    [0x61] = op_append,
    [0x65] = op_appends,
    [0x7d] = op_empty_dict,
    [0x73] = op_setitem,
    [0x75] = op_setitems,
    [0x71] = op_binput,
    [0x72] = op_long_binput,
    [0x68] = op_binget,
    [0x6a] = op_long_binget,
    [0x63] = op_global,
    [0x52] = op_reduce,
    [0x81] = op_newobj,
    [0x62] = op_build,
    [0x51] = op_binpersid,
};

static mascon_status execute(masconI_pickle *p) {
    if (p->size > p->limits->pickle_bytes) {
        return masconI_limit_fail(p->options.path, p->options.base, "pickle", p->size,
                                  "pickle_bytes", p->limits->pickle_bytes);
    }
    if (p->size < 2 && p->options.ran_out) *p->options.ran_out = 1;
    if (p->size < 2 || p->data[0] != 0x80) {
        return masconI_pickle_bad(p, "does not begin with PROTO");
    }
    for (uint64_t count = 1; !p->stopped; count++) {
        p->op_at = p->at;
        if (p->at == p->size) {
            if (p->options.ran_out) *p->options.ran_out = 1;
            return masconI_pickle_bad(p, "ends without STOP");
        }
        if (count > p->limits->opcodes) {
            return masconI_limit_fail(p->options.path, p->options.base + p->at, "pickle", count,
                                      "opcodes", p->limits->opcodes);
        }
        unsigned char code = p->data[p->at++];
        if (!opcodes[code]) {
            return masconI_io_fail(MASCON_E_UNSUPPORTED, p->options.path,
                                   p->options.base + p->op_at,
                                   "pickle opcode 0x%02x at offset %" PRIu64, code, p->op_at);
        }
        MASCON_TRY(opcodes[code](p));
    }
    return MASCON_OK;
}

/* ---- The interface ---- */

const masconI_pickle_profile masconI_pickle_plain = {.name = "plain"};

mascon_status masconI_pickle_parse(masconI_pickle **out, const masconI_pickle_profile *profile,
                                   const void *data, uint64_t size,
                                   const masconI_pickle_options *options, uint64_t *used) {
    *out = NULL;
    masconI_pickle *p = calloc(1, sizeof *p);
    if (!p) return masconI_oom(options->path, sizeof *p);
    p->profile = profile;
    p->options = *options;
    p->limits = options->limits ? options->limits : masconI_limits_default();
    p->data = data;
    p->size = size;
    p->arena = (masconI_arena){.limit = p->limits->meta_bytes, .path = options->path};
    mascon_status status = execute(p);
    if (status != MASCON_OK) {
        masconI_pickle_free(p);
        return status;
    }
    if (used) *used = p->at;
    *out = p;
    return MASCON_OK;
}

const value *masconI_pickle_top(const masconI_pickle *p) { return p->stack[0]; }

int masconI_pickle_is(const value *v, const char *text) {
    return v && is_text(v) && equal(v->as.text.data, v->as.text.size, text);
}

const value *masconI_pickle_get(const value *dict, const char *key) {
    if (!dict || dict->kind != MASCON_PICKLE_DICT) return NULL;
    for (uint64_t i = 0; i < dict->as.list.count; i += 2) {
        if (masconI_pickle_is(dict->as.list.item[i], key)) return dict->as.list.item[i + 1];
    }
    return NULL;
}

void masconI_pickle_free(masconI_pickle *p) {
    if (!p) return;
    for (key_set *k = p->key_sets; k; k = k->next) masconI_names_free(&k->names);
    masconI_arena_free(&p->arena);
    free(p->stack);
    free(p->marks);
    free(p->memo);
    free(p);
}

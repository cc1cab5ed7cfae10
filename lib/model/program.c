/* program.c: reading the program of a saved model.
 *
 * Invariants after parsing: every buffer number is below n_buffers, which is at most the size of the
 * text; ops exist in this version; options are in the slots of their ops, whose ranges the check looks
 * at. What needs the order of the calls is left to check.c.
 */
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

enum { MAX_PORTS = 256, MAX_LIST = 4096 };

typedef struct parser {
    masconI_json j;
    mascon_model *m;
    int32_t steps_room, weights_room;
} parser;

static mascon_status wrong(const parser *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static mascon_status wrong(const parser *p, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return masconI_io_fail(MASCON_E_FORMAT, p->m->file, MASCON_IO_NOWHERE,
                           "saved model: %s (at byte %" PRIu64 " of the program)", text, p->j.at);
}

/* ---- Numbers, in any locale of the host ---- */

static locale_t plain;
static pthread_once_t plain_once = PTHREAD_ONCE_INIT;
static void make_plain(void) { plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

double masconI_program_number(const char *text, char **end) {
    pthread_once(&plain_once, make_plain);
    return plain ? strtod_l(text, end, plain) : strtod(text, end);
}

void masconI_program_put_number(masconI_text *t, double v) {
    char text[64];
    if (v != v || v - v != 0) {
        masconI_text_format(t, "\"%s\"", v != v ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    snprintf(text, sizeof text, "%.17g", v);
    for (char *c = text; *c; c++) {
        if (*c == ',') *c = '.';
    }
    masconI_text_add(t, text, strlen(text));
}

static mascon_status read_number(parser *p, double *out) {
    masconI_json_peek(&p->j);
    const char *begin = (const char *)p->j.text + p->j.at;
    size_t n = strspn(begin, "+-.0123456789eE");
    char *end = NULL;
    char text[64];
    if (n > 0 && n < sizeof text && *begin != '+' && *begin != '.') {
        memcpy(text, begin, n);
        text[n] = 0;
        *out = masconI_program_number(text, &end);
    }
    if (!end || *end || *out - *out != 0) return wrong(p, "expected a number");
    p->j.at += n;
    return MASCON_OK;
}

/* A whole number in 0 .. most. */
static mascon_status read_count(parser *p, uint64_t most, const char *what, int32_t *out) {
    uint64_t n = 0;
    MASCON_TRY(masconI_json_number(&p->j, &n));
    if (n > most || n > INT32_MAX) {
        return wrong(p, "%s is %" PRIu64 "; at most %" PRIu64 " is possible", what, n, most);
    }
    *out = (int32_t)n;
    return MASCON_OK;
}

/* ---- Texts ---- */

static mascon_status read_text(parser *p, const char **out) {
    uint64_t size = 0;
    MASCON_TRY(masconI_json_string(&p->j, out, &size));
    if (strlen(*out) != size) return wrong(p, "a text has a zero byte");
    return MASCON_OK;
}

static mascon_status read_name(parser *p, const char **out) {
    char quote[MASCON_IO_QUOTE];
    MASCON_TRY(read_text(p, out));
    if (masconI_safetensors_name_ok(*out, strlen(*out))) return MASCON_OK;
    return wrong(p, "%s cannot be a name", masconI_quote(quote, *out, strlen(*out)));
}

/* The key of the next field of an object; *found gets its position among names, which must not have
 * come before. */
static mascon_status read_key(parser *p, const char *const *names, uint32_t *seen, int *found) {
    const char *key = NULL;
    char quote[MASCON_IO_QUOTE];
    MASCON_TRY(read_text(p, &key));
    for (*found = 0; names[*found]; (*found)++) {
        if (strcmp(names[*found], key) == 0) break;
    }
    masconI_quote(quote, key, strlen(key));
    if (!names[*found]) return wrong(p, "unknown field %s", quote);
    if (*seen >> *found & 1) return wrong(p, "field %s comes twice", quote);
    *seen |= 1u << *found;
    return masconI_json_take(&p->j, ':');
}

/* Begins an object or an array: *more is 0 where it is empty. */
static mascon_status begin(parser *p, char open, char close, int *more) {
    MASCON_TRY(masconI_json_take(&p->j, open));
    *more = masconI_json_peek(&p->j) != close;
    if (!*more) p->j.at++;
    return MASCON_OK;
}

static mascon_status need(const parser *p, uint32_t seen, uint32_t fields,
                          const char *const *names) {
    for (int i = 0; names[i]; i++) {
        if ((fields & ~seen) >> i & 1) return wrong(p, "field \"%s\" is missing", names[i]);
    }
    return MASCON_OK;
}

/* Makes room for one more element of a table on the heap. */
static mascon_status grow(parser *p, void *table, int32_t n, int32_t *room, size_t size) {
    if (n < *room) return MASCON_OK;
    void *old, *grown;
    int32_t more = *room ? *room * 2 : 32;
    if ((uint64_t)more * size > masconI_limits_default()->meta_bytes) {
        return masconI_limit_fail(p->m->file, MASCON_IO_NOWHERE, "tables of the saved model",
                                  (uint64_t)more * size, "meta_bytes",
                                  masconI_limits_default()->meta_bytes);
    }
    memcpy(&old, table, sizeof old);
    grown = realloc(old, (size_t)more * size);
    if (!grown) return masconI_oom(p->m->file, (uint64_t)more * size);
    memcpy(table, &grown, sizeof grown);
    *room = more;
    return MASCON_OK;
}

/* ---- Ports and weights ---- */

static mascon_status read_buffer(parser *p, int32_t *out) {
    int32_t n = p->m->n_buffers;
    return read_count(p, n > 0 ? (uint64_t)n - 1 : 0, "a buffer's number", out);
}

static mascon_status read_dtype(parser *p, int32_t *out) {
    const char *name = NULL;
    char quote[MASCON_IO_QUOTE];
    MASCON_TRY(read_text(p, &name));
    *out = mascon_dtype_find(name);
    if (*out >= 0) return MASCON_OK;
    return wrong(p, "unknown dtype %s", masconI_quote(quote, name, strlen(name)));
}

static mascon_status read_sizes(parser *p, masconI_port *port) {
    int more;
    const char *text = NULL;
    MASCON_TRY(begin(p, '[', ']', &more));
    while (more) {
        uint64_t size = 0;
        if (port->ndim == MASCON_MAX_DIMS) return wrong(p, "more than 8 dimensions");
        if (masconI_json_peek(&p->j) == '"') {
            MASCON_TRY(read_text(p, &text));
            if (strcmp(text, "batch") != 0) return wrong(p, "a size is a number or \"batch\"");
            port->shape[port->ndim++] = MASCON_MODEL_BATCH;
        } else {
            MASCON_TRY(masconI_json_number(&p->j, &size));
            port->shape[port->ndim++] = (int64_t)size;
        }
        MASCON_TRY(masconI_json_more(&p->j, ']', &more));
    }
    return MASCON_OK;
}

static mascon_status read_port(parser *p, masconI_port *port) {
    static const char *const names[] = {"name", "buffer", "dtype", "shape", NULL};
    uint32_t seen = 0;
    int more, field;
    MASCON_TRY(begin(p, '{', '}', &more));
    while (more) {
        MASCON_TRY(read_key(p, names, &seen, &field));
        if (field == 0) MASCON_TRY(read_name(p, &port->name));
        if (field == 1) MASCON_TRY(read_buffer(p, &port->buffer));
        if (field == 2) MASCON_TRY(read_dtype(p, &port->dtype));
        if (field == 3) MASCON_TRY(read_sizes(p, port));
        MASCON_TRY(masconI_json_more(&p->j, '}', &more));
    }
    return need(p, seen, 15, names);
}

static mascon_status read_ports(parser *p, int kind) {
    mascon_model *m = p->m;
    int more;
    masconI_port *ports = masconI_arena_get(&m->arena, MAX_PORTS * sizeof *ports);
    if (!ports) return mascon_last_error()->code;
    m->ports[kind] = ports;
    MASCON_TRY(begin(p, '[', ']', &more));
    while (more) {
        if (m->n_ports[kind] == MAX_PORTS)
            return wrong(p, "more than %d inputs or outputs", MAX_PORTS);
        MASCON_TRY(read_port(p, &ports[m->n_ports[kind]]));
        for (int32_t i = 0; i < m->n_ports[kind]; i++) {
            if (strcmp(ports[i].name, ports[m->n_ports[kind]].name) == 0) {
                return wrong(p, "two inputs or two outputs have one name");
            }
        }
        m->n_ports[kind]++;
        MASCON_TRY(masconI_json_more(&p->j, ']', &more));
    }
    return m->n_ports[kind] ? MASCON_OK : wrong(p, "there are no inputs or no outputs");
}

static mascon_status read_weights(parser *p) {
    static const char *const names[] = {"name", "buffer", "layout", NULL};
    mascon_model *m = p->m;
    int more, inner, field;
    MASCON_TRY(begin(p, '[', ']', &more));
    while (more) {
        masconI_weight w = {0};
        uint32_t seen = 0;
        const char *layout = NULL;
        MASCON_TRY(begin(p, '{', '}', &inner));
        while (inner) {
            MASCON_TRY(read_key(p, names, &seen, &field));
            if (field == 0) MASCON_TRY(read_name(p, &w.name));
            if (field == 1) MASCON_TRY(read_buffer(p, &w.buffer));
            if (field == 2) {
                MASCON_TRY(read_text(p, &layout));
                if (strcmp(layout, "nhwc") != 0) return wrong(p, "unknown layout");
                w.layout = MASCON_LAYOUT_NHWC;
            }
            MASCON_TRY(masconI_json_more(&p->j, '}', &inner));
        }
        MASCON_TRY(need(p, seen, 3, names));
        MASCON_TRY(grow(p, &m->weights, m->n_weights, &p->weights_room, sizeof w));
        m->weights[m->n_weights++] = w;
        MASCON_TRY(masconI_json_more(&p->j, ']', &more));
    }
    return MASCON_OK;
}

/* ---- Calls ---- */

static mascon_status read_op(parser *p, masconI_step *s) {
    const char *name = NULL, *writer = p->m->writer;
    char quote[MASCON_IO_QUOTE], by[MASCON_IO_QUOTE];
    MASCON_TRY(read_text(p, &name));
    s->op = mascon_op_find(name);
    if (s->op >= 0) return MASCON_OK;
    masconI_quote(quote, name, strlen(name));
    masconI_quote(by, writer ? writer : "?", strlen(writer ? writer : "?"));
    return masconI_io_fail(
        MASCON_E_UNSUPPORTED, p->m->file, MASCON_IO_NOWHERE,
        "saved model: there is no operation %s in mascon %s; the file was written "
        "by %s",
        quote, mascon_version(), by);
}

static mascon_status read_version(parser *p, const masconI_step *s) {
    int32_t version, known = masconI_ops[s->op]->version + 1;
    MASCON_TRY(read_count(p, 1000000, "a version", &version));
    if (version == known) return MASCON_OK;
    return masconI_io_fail(MASCON_E_UNSUPPORTED, p->m->file, MASCON_IO_NOWHERE,
                           "saved model: operation %s has version %d; mascon %s knows version %d",
                           masconI_ops[s->op]->name, version, mascon_version(), known);
}

/* One number of an option: a number, "inf" and its like, or "batch" or "batch*3". */
static mascon_status read_value(parser *p, masconI_step *s, int slot) {
    const char *text = NULL;
    char quote[MASCON_IO_QUOTE];
    double v = 0;
    if (masconI_json_peek(&p->j) != '"') {
        MASCON_TRY(read_number(p, &v));
    } else {
        MASCON_TRY(read_text(p, &text));
        char *end = NULL;
        if (strncmp(text, "batch", 5) == 0) {
            v = text[5] == '*' ? masconI_program_number(text + 6, &end) : 1;
            if ((end ? *end : text[5]) || !(v >= 1 && v <= 0x1p31)) v = 0;
            s->scaled |= 1u << slot;
        } else if (strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0 ||
                   strcmp(text, "nan") == 0) {
            v = masconI_program_number(text, &end);
        }
        if (v == 0) {
            return wrong(p, "%s is no value of an option",
                         masconI_quote(quote, text, strlen(text)));
        }
    }
    s->attr[slot] = v;
    s->attr_set |= 1u << slot;
    return MASCON_OK;
}

static mascon_status read_word(parser *p, masconI_step *s, const mascon_attr *a, int slot) {
    const char *text = NULL;
    char quote[MASCON_IO_QUOTE];
    MASCON_TRY(read_text(p, &text));
    int value = -1, i = 0;
    if (a->type == MASCON_ATTR_DTYPE) {
        value = mascon_dtype_find(text);
    } else {
        for (const char *c = a->choices; *c && value < 0; i++) {
            size_t n = strcspn(c, " ");
            if (strlen(text) == n && memcmp(c, text, n) == 0) value = i;
            c += n;
            c += strspn(c, " ");
        }
    }
    if (value < 0) {
        return wrong(p, "option %s of %s cannot be %s", a->name, masconI_ops[s->op]->name,
                     masconI_quote(quote, text, strlen(text)));
    }
    s->attr[slot] = value;
    s->attr_set |= 1u << slot;
    return MASCON_OK;
}

static mascon_status read_flag(parser *p, int *on) {
    masconI_json_peek(&p->j);
    const char *at = (const char *)p->j.text + p->j.at;
    *on = strncmp(at, "true", 4) == 0;
    if (!*on && strncmp(at, "false", 5) != 0) return wrong(p, "expected true or false");
    p->j.at += *on ? 4 : 5;
    return MASCON_OK;
}

/* The numbers of an array: exactly `exact`, or up to 8 behind their count. */
static mascon_status read_values(parser *p, masconI_step *s, const mascon_attr *a, int slot,
                                 int exact) {
    int more, n = 0, first = exact ? slot : slot + 1, most = exact ? exact : MASCON_MAX_DIMS;
    MASCON_TRY(begin(p, '[', ']', &more));
    while (more) {
        if (n == most) return wrong(p, "option %s has more than %d values", a->name, most);
        MASCON_TRY(read_value(p, s, first + n++));
        MASCON_TRY(masconI_json_more(&p->j, ']', &more));
    }
    if (exact)
        return n == exact ? MASCON_OK : wrong(p, "option %s needs %d values", a->name, exact);
    s->attr[slot] = n;
    s->attr_set |= 1u << slot;
    return MASCON_OK;
}

static mascon_status read_option(parser *p, masconI_step *s, const mascon_attr *a, int slot) {
    switch (a->type) {
        case MASCON_ATTR_BOOLEAN: {
            int on = 0;
            MASCON_TRY(read_flag(p, &on));
            s->attr[slot] = on;
            s->attr_set |= 1u << slot;
            return MASCON_OK;
        }
        case MASCON_ATTR_PADDING:
            if (masconI_json_peek(&p->j) == '"') {
                const char *text = NULL;
                MASCON_TRY(read_text(p, &text));
                if (strcmp(text, "same") != 0) return wrong(p, "padding is a pair or \"same\"");
                s->attr[slot] = s->attr[slot + 1] = -1;
                s->attr_set |= 3u << slot;
                return MASCON_OK;
            }
            return read_values(p, s, a, slot, 2);
        case MASCON_ATTR_PAIR:
            return read_values(p, s, a, slot, 2);
        case MASCON_ATTR_DIMS:
        case MASCON_ATTR_SIZES:
            return read_values(p, s, a, slot, 0);
        case MASCON_ATTR_CHOICE:
        case MASCON_ATTR_DTYPE:
            return read_word(p, s, a, slot);
        case MASCON_ATTR_DEVICE:
            return wrong(p, "option %s is no part of a saved model", a->name);
        case MASCON_ATTR_NUMBER:
        case MASCON_ATTR_INTEGER:
        case MASCON_ATTR_DIM:
        case MASCON_ATTR_INDEX:
        case MASCON_ATTR_BASE:
            break;
    }
    return read_value(p, s, slot);
}

static mascon_status read_options(parser *p, masconI_step *s) {
    const mascon_op *op = masconI_ops[s->op];
    char quote[MASCON_IO_QUOTE];
    int more;
    MASCON_TRY(begin(p, '{', '}', &more));
    while (more) {
        const char *name = NULL;
        MASCON_TRY(read_text(p, &name));
        MASCON_TRY(masconI_json_take(&p->j, ':'));
        int slot = 0, i = 0;
        for (; i < op->n_attrs && strcmp(op->attrs[i].name, name) != 0; i++) {
            slot += masconI_attr_slots(op->attrs[i].type);
        }
        masconI_quote(quote, name, strlen(name));
        if (i == op->n_attrs) return wrong(p, "operation %s has no option %s", op->name, quote);
        if (s->attr_set >> slot & 1) return wrong(p, "option %s comes twice", quote);
        MASCON_TRY(read_option(p, s, &op->attrs[i], slot));
        MASCON_TRY(masconI_json_more(&p->j, '}', &more));
    }
    return MASCON_OK;
}

/* Buffers of an array into to; null where hole allows it (-1). */
static mascon_status read_buffers(parser *p, int32_t *to, int32_t most, int hole, int32_t *n) {
    int more;
    MASCON_TRY(begin(p, '[', ']', &more));
    while (more) {
        if (*n == most) return wrong(p, "more than %d inputs or outputs of a call", most);
        if (hole && masconI_json_peek(&p->j) == 'n') {
            if (strncmp((const char *)p->j.text + p->j.at, "null", 4) != 0) {
                return wrong(p, "expected a buffer's number or null");
            }
            p->j.at += 4;
            to[(*n)++] = -1;
        } else {
            MASCON_TRY(read_buffer(p, &to[(*n)++]));
        }
        MASCON_TRY(masconI_json_more(&p->j, ']', &more));
    }
    return MASCON_OK;
}

static mascon_status read_inputs(parser *p, masconI_step *s) {
    if (!(masconI_ops[s->op]->flags & MASCON_OPF_LIST)) {
        return read_buffers(p, s->src, MASCON_MAX_SRC, 1, &s->n_src);
    }
    int32_t all[MAX_LIST];
    MASCON_TRY(read_buffers(p, all, MAX_LIST, 0, &s->n_list));
    if (!s->n_list) return MASCON_OK;
    s->list = masconI_arena_get(&p->m->arena, (uint64_t)s->n_list * sizeof *all);
    if (!s->list) return mascon_last_error()->code;
    memcpy(s->list, all, (size_t)s->n_list * sizeof *all);
    return MASCON_OK;
}

static mascon_status read_step(parser *p, masconI_step *s) {
    static const char *const names[] = {"op",      "version", "in",       "out",
                                        "options", "path",    "autocast", NULL};
    uint32_t seen = 0;
    int more, field;
    for (int i = 0; i < MASCON_MAX_SRC; i++) s->src[i] = -1;
    MASCON_TRY(begin(p, '{', '}', &more));
    while (more) {
        MASCON_TRY(read_key(p, names, &seen, &field));
        if (!(seen & 1)) return wrong(p, "the fields of a call begin with \"op\"");
        if (field == 0) MASCON_TRY(read_op(p, s));
        if (field == 1) MASCON_TRY(read_version(p, s));
        if (field == 2) MASCON_TRY(read_inputs(p, s));
        if (field == 3) MASCON_TRY(read_buffers(p, s->dst, MASCON_MAX_DST, 0, &s->n_dst));
        if (field == 4) MASCON_TRY(read_options(p, s));
        if (field == 5) MASCON_TRY(read_text(p, &s->path));
        if (field == 6) {
            int on = 0;
            MASCON_TRY(read_flag(p, &on));
            s->flags = on ? MASCON_CALL_AUTOCAST : 0;
        }
        MASCON_TRY(masconI_json_more(&p->j, '}', &more));
    }
    return need(p, seen, 15, names);
}

static mascon_status read_steps(parser *p) {
    mascon_model *m = p->m;
    int more;
    MASCON_TRY(begin(p, '[', ']', &more));
    while (more) {
        MASCON_TRY(grow(p, &m->steps, m->n_steps, &p->steps_room, sizeof *m->steps));
        m->steps[m->n_steps] = (masconI_step){0};
        MASCON_TRY(read_step(p, &m->steps[m->n_steps]));
        m->n_steps++;
        MASCON_TRY(masconI_json_more(&p->j, ']', &more));
    }
    return MASCON_OK;
}

/* ---- The whole ---- */

static mascon_status read_program(parser *p) {
    static const char *const names[] = {"schema",  "writer", "buffers", "inputs",
                                        "weights", "calls",  "outputs", NULL};
    mascon_model *m = p->m;
    uint32_t seen = 0;
    int more, field;
    int32_t schema = 0;
    MASCON_TRY(begin(p, '{', '}', &more));
    while (more) {
        MASCON_TRY(read_key(p, names, &seen, &field));
        if (field > 2 && (seen & 7) != 7) {
            return wrong(p, "schema, writer and buffers come first");
        }
        if (field == 0) {
            MASCON_TRY(read_count(p, INT32_MAX, "the schema", &schema));
            if (schema != MASCON_MODEL_SCHEMA) {
                return masconI_io_fail(MASCON_E_UNSUPPORTED, m->file, MASCON_IO_NOWHERE,
                                       "saved model of schema %d; mascon %s reads schema %d",
                                       schema, mascon_version(), MASCON_MODEL_SCHEMA);
            }
        }
        if (field == 1) MASCON_TRY(read_text(p, &m->writer));
        if (field == 2)
            MASCON_TRY(read_count(p, p->j.size, "the number of buffers", &m->n_buffers));
        if (field == 3) MASCON_TRY(read_ports(p, MASCON_MODEL_INPUT));
        if (field == 4) MASCON_TRY(read_weights(p));
        if (field == 5) MASCON_TRY(read_steps(p));
        if (field == 6) MASCON_TRY(read_ports(p, MASCON_MODEL_OUTPUT));
        MASCON_TRY(masconI_json_more(&p->j, '}', &more));
    }
    masconI_json_peek(&p->j);
    if (p->j.at < p->j.size) return wrong(p, "something follows the program");
    return need(p, seen, 127, names);
}

mascon_status masconI_model_parse(mascon_model *m, char *text, uint64_t size, const char *path) {
    m->text = text;
    m->file = masconI_arena_get(&m->arena, strlen(path) + 1);
    if (!m->file) return mascon_last_error()->code;
    memcpy((char *)(uintptr_t)m->file, path, strlen(path) + 1);
    if (strlen(text) != size) {
        return masconI_io_fail(MASCON_E_FORMAT, path, MASCON_IO_NOWHERE,
                               "saved model: the program has a zero byte");
    }
    if (!masconI_utf8_valid(text, size)) {
        return masconI_io_fail(MASCON_E_FORMAT, path, MASCON_IO_NOWHERE,
                               "saved model: the program is not valid UTF-8");
    }
    MASCON_TRY(masconI_registry_check());
    parser p = {.j = {.text = (unsigned char *)text, .size = size, .path = m->file}, .m = m};
    return read_program(&p);
}

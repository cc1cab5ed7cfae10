/* ops_header.c: prints mascon_ops.h, the typed functions for C hosts, by walking the op table of the
 * library it is linked with. Run by the build; the header is the one generated file.
 *
 * An op becomes a struct of its options with its defaults, and a static inline function that fills a
 * mascon_call. What may be left out has a value that means so.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mascon.h"

enum { MAX_WORDS = 16, MAX_OPTIONS = 24 };

/* ORDER: the flags of lib/core/op.h */
enum { BACKWARD = 2, LIST = 8, RANDOM = 16, IN_PLACE = 128 };

typedef struct word {
    char name[48];
    char mark; /* '?' optional, '*' a list, '(' hidden, ' ' */
} word;

typedef struct option {
    char *name, *type, *standard, *min, *max, *choices, *help;
    int slot, slots;
} option;

typedef struct row {
    char *text; /* what the fields point into */
    char *name, *summary;
    word inputs[MAX_WORDS], outputs[MAX_WORDS];
    option options[MAX_OPTIONS];
    int n_inputs, n_outputs, n_options;
    unsigned flags;
} row;

/* ---- Reading a row ---- */

static int read_words(char *text, word *to) {
    int n = 0;
    for (char *w = strtok(text, " "); w && n < MAX_WORDS; w = strtok(NULL, " "), n++) {
        size_t length = strcspn(w + (*w == '('), "?*)");
        to[n].mark = *w == '(' ? '(' : w[length] ? w[length] : ' ';
        snprintf(to[n].name, sizeof to[n].name, "%.*s", (int)length, w + (*w == '('));
    }
    return n;
}

static int slots_of(const char *type) {
    if (!strcmp(type, "pair") || !strcmp(type, "padding")) return 2;
    return !strcmp(type, "dims") || !strcmp(type, "sizes") ? 1 + MASCON_MAX_DIMS : 1;
}

/* The fields of a line, separated by tabs; a missing one is "". */
static void split(char *line, char *fields[8]) {
    static char none[1];
    for (int i = 0; i < 8; i++) {
        fields[i] = line ? line : none;
        char *tab = line ? strchr(line, '\t') : NULL;
        if (tab) *tab = 0;
        line = tab ? tab + 1 : NULL;
    }
}

static void read_row(int32_t op, row *r) {
    memset(r, 0, sizeof *r);
    r->text = strdup(mascon_op_describe(op));
    int slot = 0;
    for (char *line = r->text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        char *f[8];
        split(line, f);
        if (!strcmp(f[0], "name")) r->name = f[1];
        if (!strcmp(f[0], "summary")) r->summary = f[1];
        if (!strcmp(f[0], "inputs")) r->n_inputs = read_words(f[1], r->inputs);
        if (!strcmp(f[0], "outputs")) r->n_outputs = read_words(f[1], r->outputs);
        if (!strcmp(f[0], "flags")) r->flags = (unsigned)strtoul(f[1], NULL, 10);
        if (!strcmp(f[0], "attr") && r->n_options < MAX_OPTIONS) {
            option *o = &r->options[r->n_options];
            *o = (option){f[1], f[2], f[3], f[4], f[5], f[6], f[7], slot, slots_of(f[2])};
            slot += o->slots;
            /* what index values count from is 0 in C */
            if (strcmp(o->type, "base") != 0) r->n_options++;
        }
    }
}

/* ---- Options ---- */

static int is(const option *o, const char *type) { return !strcmp(o->type, type); }
static int is_list(const option *o) { return is(o, "dims") || is(o, "sizes"); }
static int is_pair(const option *o) { return is(o, "pair") || is(o, "padding"); }

static void upper(const char *text, char *to) {
    for (; *text; text++) *to++ = *text == '-' ? '_' : (char)toupper((unsigned char)*text);
    *to = 0;
}

/* The value that says "not given" of an option that must be given or may be absent. */
static const char *not_given(const option *o) {
    if (is_list(o)) return "-1";
    return is(o, "number") ? "MASCON_NO_NUMBER" : "MASCON_NO_INTEGER";
}

static int has_standard(const option *o) { return *o->standard && strcmp(o->standard, "-") != 0; }

static void print_limits(const option *o) {
    double low = strtod(o->min, NULL), high = strtod(o->max, NULL);
    if (!strcmp(o->standard, "-")) printf("; must be given");
    if (!*o->standard) printf("; may be left out");
    if (is(o, "boolean") || *o->choices || is(o, "dtype") || is(o, "device")) return;
    if (low > -1e6 && high < 1e6) {
        printf("; %g to %g", low, high);
    } else if (low > -1e6) {
        printf("; %g or more", low);
    }
}

static void print_field(const row *r, const option *o) {
    char op[64], name[64], choice[64];
    if (is_list(o)) {
        printf("    int32_t n_%s; /* how many; -1: not given */\n    int64_t %s[MASCON_MAX_DIMS];",
               o->name, o->name);
    } else if (is_pair(o)) {
        printf("    int64_t %s[2];", o->name);
    } else if (is(o, "number")) {
        printf("    double %s;", o->name);
    } else {
        printf("    int64_t %s;", o->name);
    }
    printf(" /* %s", o->help);
    if (is(o, "padding")) printf(" (-1, -1: \"same\")");
    if (is(o, "dim") || is(o, "index") || is(o, "dims"))
        printf("; counts from 0, or from -1 backwards");
    if (is(o, "dtype")) printf("; a MASCON_DTYPE_*");
    if (is(o, "device")) printf("; a MASCON_DEVICE_*");
    print_limits(o);
    if (*o->choices) {
        char *copy = strdup(o->choices), *save = NULL;
        upper(r->name, op);
        upper(o->name, name);
        printf(":");
        for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
            upper(w, choice);
            printf(" MASCON_%s_%s_%s", op, name, choice);
        }
        free(copy);
    }
    printf(" */\n");
}

static void print_choices(const row *r) {
    char op[64], name[64], choice[64];
    upper(r->name, op);
    for (int i = 0; i < r->n_options; i++) {
        const option *o = &r->options[i];
        if (!*o->choices) continue;
        char *copy = strdup(o->choices), *save = NULL;
        int n = 0;
        upper(o->name, name);
        printf("enum {");
        for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save), n++) {
            upper(w, choice);
            printf("%s MASCON_%s_%s_%s = %d", n ? "," : "", op, name, choice, n);
        }
        printf(" };\n");
        free(copy);
    }
}

static void print_defaults(const row *r) {
    printf(
        "static inline mascon_%s_options mascon_%s_defaults(void) {\n    mascon_%s_options o;\n"
        "    memset(&o, 0, sizeof o);\n",
        r->name, r->name, r->name);
    for (int i = 0; i < r->n_options; i++) {
        const option *o = &r->options[i];
        const char *value = has_standard(o) ? o->standard : not_given(o);
        char number[64];
        if (has_standard(o) && !is(o, "number")) {
            snprintf(number, sizeof number, "%.0f", strtod(o->standard, NULL));
            value = number;
        }
        if (is_list(o)) {
            printf("    o.n_%s = -1;\n", o->name);
        } else if (is_pair(o)) {
            printf("    o.%s[0] = o.%s[1] = %s;\n", o->name, o->name, value);
        } else {
            printf("    o.%s = %s;\n", o->name, value);
        }
    }
    printf("    return o;\n}\n");
}

static void print_options(const row *r) {
    if (!r->n_options) return;
    print_choices(r);
    printf("typedef struct mascon_%s_options {\n", r->name);
    for (int i = 0; i < r->n_options; i++) print_field(r, &r->options[i]);
    printf("} mascon_%s_options;\n", r->name);
    print_defaults(r);
    printf(
        "static inline void mascon_%s_fill(mascon_call *call, const mascon_%s_options *given) {\n"
        "    mascon_%s_options o;\n    if (given) o = *given; else o = mascon_%s_defaults();\n",
        r->name, r->name, r->name, r->name);
    for (int i = 0; i < r->n_options; i++) {
        const option *o = &r->options[i];
        if (is_list(o)) {
            printf("    mascon_ops_list(call, %d, o.n_%s, o.%s);\n", o->slot, o->name, o->name);
        } else if (is_pair(o)) {
            printf("    mascon_ops_integer(call, %d, o.%s[0]);\n", o->slot, o->name);
            printf("    mascon_ops_integer(call, %d, o.%s[1]);\n", o->slot + 1, o->name);
        } else {
            printf("    mascon_ops_%s(call, %d, o.%s);\n", is(o, "number") ? "number" : "integer",
                   o->slot, o->name);
        }
    }
    printf("}\n");
}

/* ---- Functions ---- */

static int is_group(const row *r) { return (r->flags & LIST) != 0; }

static void print_comment(const row *r, int in_place) {
    printf("/* %s%s.", r->summary, in_place ? ", written over x" : "");
    int optional = 0;
    for (int i = 0; i < r->n_inputs; i++) optional += r->inputs[i].mark == '?';
    if (optional) {
        printf("\n * NULL is allowed for");
        for (int i = 0; i < r->n_inputs; i++) {
            if (r->inputs[i].mark == '?') printf(" %s", r->inputs[i].name);
        }
        printf(".");
    }
    if (is_group(r) && r->n_inputs > 1) {
        printf("\n * list holds groups of equal length, one after the other:");
        for (int i = 0; i < r->n_inputs; i++) printf(" %s", r->inputs[i].name);
        printf(".");
    }
    if (!in_place && r->n_outputs > 1) printf("\n * An output that is not wanted may be NULL.");
    printf(" */\n");
}

static void print_function(const row *r, int32_t op, int in_place) {
    int n = 0;
    print_comment(r, in_place);
    printf("static inline mascon_status mascon_%s%s(", r->name, in_place ? "_in_place" : "");
    for (int i = 0; i < r->n_outputs && !in_place; i++) {
        printf("%smascon_tensor **%s%s", n++ ? ", " : "", "out_", r->outputs[i].name);
    }
    for (int i = 0; i < r->n_inputs && !is_group(r); i++) {
        printf("%smascon_tensor *%s", n++ ? ", " : "", r->inputs[i].name);
    }
    if (is_group(r)) printf("%smascon_tensor *const *list, int64_t n_list", n++ ? ", " : "");
    if (r->flags & RANDOM) printf("%smascon_generator *generator", n++ ? ", " : "");
    if (r->n_options) {
        printf("%sconst mascon_%s_options *options", n++ ? ", " : "", r->name);
    }
    printf("%s) {\n    mascon_call call;\n    mascon_ops_begin(&call, %d);\n", n ? "" : "void", op);
    for (int i = 0; i < r->n_inputs && !is_group(r); i++) {
        printf("    call.src[%d] = %s;\n", i, r->inputs[i].name);
    }
    if (is_group(r)) {
        printf("    call.list = (mascon_tensor **)(uintptr_t)list;\n    call.n_list = n_list;\n");
    } else {
        printf("    call.n_src = %d;\n", r->n_inputs);
    }
    if (r->flags & RANDOM) {
        printf(
            "    call.generator = generator;\n"
            "");
    }
    if (r->n_options) printf("    mascon_%s_fill(&call, options);\n", r->name);
    if (in_place) {
        printf("    call.dst[0] = %s;\n", r->inputs[0].name);
        printf("    return mascon_ops_over(&call);\n}\n\n");
        return;
    }
    if (!r->n_outputs) {
        printf("    return mascon_ops_run(&call, NULL, 0);\n}\n\n");
        return;
    }
    printf("    mascon_tensor **to[%d];\n", r->n_outputs);
    for (int i = 0; i < r->n_outputs; i++) printf("    to[%d] = out_%s;\n", i, r->outputs[i].name);
    printf("    return mascon_ops_run(&call, to, %d);\n}\n\n", r->n_outputs);
}

/* ---- The header ---- */

static const char head[] =
    "/* mascon_ops.h: a typed function for every operation. Made from the op table by the build; "
    "valid\n"
    " * for the library that it was made with, which every call checks.\n"
    " *\n"
    " *   - outputs come first: each becomes an owned reference, or NULL where the call fails\n"
    " *   - inputs are borrowed; an optional one may be NULL\n"
    " *   - options: NULL for the defaults, or a struct that begins as mascon_<op>_defaults()\n"
    " *   - dimensions, indices and class labels count from 0\n"
    " *   - what is differentiable is recorded for backward where an input requires a gradient, "
    "unless\n"
    " *     mascon_set_call_flags(0) switched that off for the calling thread\n"
    " */\n"
    "#ifndef MASCON_OPS_H\n#define MASCON_OPS_H\n\n#include <stdint.h>\n#include <string.h>\n\n"
    "#include \"mascon.h\"\n\n"
    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
    "/* Values of options that are not given. */\n"
    "#define MASCON_NO_NUMBER 1.7976931348623157e308\n#define MASCON_NO_INTEGER INT64_MIN\n\n";

static const char helpers[] =
    "static inline void mascon_ops_begin(mascon_call *call, int32_t op) {\n"
    "    memset(call, 0, sizeof *call);\n    call->op = op;\n    call->flags = "
    "mascon_call_flags();\n}\n"
    "static inline void mascon_ops_number(mascon_call *call, int slot, double v) {\n"
    "    if (v == MASCON_NO_NUMBER) return;\n    call->attr[slot] = v;\n"
    "    call->attr_set |= (uint32_t)1 << slot;\n}\n"
    "static inline void mascon_ops_integer(mascon_call *call, int slot, int64_t v) {\n"
    "    if (v != MASCON_NO_INTEGER) mascon_ops_number(call, slot, (double)v);\n}\n"
    "static inline void mascon_ops_list(mascon_call *call, int slot, int32_t n, const int64_t *v) "
    "{\n"
    "    if (n < 0) return;\n    mascon_ops_number(call, slot, n);\n"
    "    for (int32_t i = 0; i < n && i < MASCON_MAX_DIMS; i++) {\n"
    "        mascon_ops_number(call, slot + 1 + i, (double)v[i]);\n    }\n}\n"
    "static inline mascon_status mascon_ops_run(mascon_call *call, mascon_tensor ***to, int n) {\n"
    "    mascon_status status = mascon_ops_check(MASCON_OPS_HASH);\n"
    "    for (int i = 0; i < n; i++) {\n        if (to[i]) *to[i] = NULL;\n    }\n"
    "    if (status == MASCON_OK) status = mascon_invoke(call);\n"
    "    if (status != MASCON_OK) return status;\n"
    "    for (int i = 0; i < call->n_dst && i < n; i++) {\n"
    "        if (to[i]) *to[i] = call->dst[i]; else mascon_tensor_release(call->dst[i]);\n    }\n"
    "    return MASCON_OK;\n}\n"
    "static inline mascon_status mascon_ops_over(mascon_call *call) {\n"
    "    mascon_status status = mascon_ops_check(MASCON_OPS_HASH);\n"
    "    return status == MASCON_OK ? mascon_invoke(call) : status;\n}\n\n";

int main(void) {
    printf("%s#define MASCON_OPS_HASH UINT64_C(0x%llx)\n\n%s", head,
           (unsigned long long)mascon_op_hash(), helpers);
    for (int32_t op = 0; op < mascon_op_count(); op++) {
        row r;
        read_row(op, &r);
        if (!(r.flags & BACKWARD)) {
            printf("/* ---- %s ---- */\n\n", r.name);
            print_options(&r);
            print_function(&r, op, 0);
            if (r.flags & IN_PLACE && !is_group(&r)) print_function(&r, op, 1);
        }
        free(r.text);
    }
    printf("#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    return ferror(stdout) ? 1 : 0;
}

/* registry.c: the table of operations, its check, and what others may ask of it.
 *
 * The table is built from ops.def at compile time and never changes. It is checked once, at the first
 * call; a broken row makes every call fail with a sentence that names it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

#define OP(name) extern const mascon_op mascon_op_##name;
#include "ops/ops.def"
#undef OP

const mascon_op *const masconI_ops[MASCON_OP_COUNT] = {
#define OP(name) [MASCON_OP_##name] = &mascon_op_##name,
#include "ops/ops.def"
#undef OP
};

/* ---- Options ---- */

int masconI_attr_slots(mascon_attr_type type) {
    switch (type) {
        case MASCON_ATTR_PAIR:
        case MASCON_ATTR_PADDING:
            return 2;
        case MASCON_ATTR_DIMS:
        case MASCON_ATTR_SIZES:
            return 1 + MASCON_MAX_DIMS;
        default:
            return 1;
    }
}

int masconI_attr_slot(int32_t op, int index) {
    int slot = 0;
    for (int i = 0; i < index; i++) slot += masconI_attr_slots(masconI_ops[op]->attrs[i].type);
    return slot;
}

int masconI_attr_find(int32_t op, const char *name) {
    const mascon_op *row = masconI_ops[op];
    for (int i = 0, slot = 0; i < row->n_attrs; i++) {
        if (strcmp(row->attrs[i].name, name) == 0) return slot;
        slot += masconI_attr_slots(row->attrs[i].type);
    }
    return -1;
}

/* ---- The check ---- */

/* Whether word stands in a list of words with marks ("x weight? tensors* (positions)"). */
static int has_word(const char *list, const char *word, size_t length) {
    for (const char *p = list; *p;) {
        while (*p == ' ' || *p == '(') p++;
        size_t n = strcspn(p, " ?*)");
        if (n == length && strncmp(p, word, n) == 0) return 1;
        p += n;
        p += strcspn(p, " ");
    }
    return 0;
}

static mascon_status check_row(const mascon_op *op) {
    if (!op->name || !op->inputs || !op->outputs || !op->summary || !op->infer) {
        return masconI_fail(MASCON_E_STATE,
                            "op table: a row lacks name, inputs, outputs, summary "
                            "or shape rule: %s",
                            op->name ? op->name : "?");
    }
    if (!op->grad && !(op->flags & (MASCON_OPF_NO_GRAD | MASCON_OPF_BACKWARD))) {
        return masconI_fail(MASCON_E_STATE, "op table: %s has neither a gradient nor NO_GRAD",
                            op->name);
    }
    for (const char *p = op->saves ? op->saves : ""; *p;) {
        size_t n = strcspn(p, " ");
        if (!has_word(op->inputs, p, n) && !has_word(op->outputs, p, n)) {
            return masconI_fail(MASCON_E_STATE,
                                "op table: %s saves \"%.*s\", which is no input or "
                                "output",
                                op->name, (int)n, p);
        }
        p += n;
        p += strspn(p, " ");
    }
    int slots = 0;
    for (int i = 0; i < op->n_attrs; i++) slots += masconI_attr_slots(op->attrs[i].type);
    if (slots > MASCON_MAX_ATTRS) {
        return masconI_fail(MASCON_E_STATE, "op table: options of %s need %d slots, there are %d",
                            op->name, slots, MASCON_MAX_ATTRS);
    }
    return MASCON_OK;
}

/* ---- Signatures ---- */

masconI_signature masconI_signatures[MASCON_OP_COUNT];

/* The next word of a list in *p with its length; NULL at the end. *p moves behind it and its mark. */
static const char *next_word(const char **p, size_t *length, char *mark) {
    while (**p == ' ') (*p)++;
    if (!**p) return NULL;
    *mark = **p == '(' ? '(' : ' ';
    if (**p == '(') (*p)++;
    const char *word = *p;
    *length = strcspn(word, " ?*)");
    *p += *length;
    if (**p == '?' || **p == '*') *mark = **p;
    *p += strcspn(*p, " ");
    return word;
}

static void parse_row(int32_t i) {
    const mascon_op *op = masconI_ops[i];
    masconI_signature *s = &masconI_signatures[i];
    size_t length;
    char mark;
    const char *p = op->inputs, *word;
    for (; (word = next_word(&p, &length, &mark)); s->n_inputs++) {
        if (mark == ' ') s->required |= 1u << s->n_inputs;
        if ((length == 6 && memcmp(word, "weight", 6) == 0) ||
            (length == 4 && memcmp(word, "bias", 4) == 0)) {
            s->weights |= 1u << s->n_inputs;
        }
        if (op->saves && has_word(op->saves, word, length)) s->save_src |= 1u << s->n_inputs;
    }
    for (p = op->outputs; (word = next_word(&p, &length, &mark)); s->n_outputs++) {
        if (mark == '(') s->hidden |= 1u << s->n_outputs;
        if (op->saves && has_word(op->saves, word, length)) s->save_dst |= 1u << s->n_outputs;
    }
}

const char *masconI_input_name(int32_t op, int i, char buffer[32]) {
    const char *p = masconI_ops[op]->inputs, *word;
    size_t length;
    char mark;
    while ((word = next_word(&p, &length, &mark))) {
        if (i-- == 0) {
            snprintf(buffer, 32, "%.*s", (int)length, word);
            return buffer;
        }
    }
    return "";
}

static pthread_once_t check_once = PTHREAD_ONCE_INIT;
static mascon_status check_result;
static mascon_error check_error;

static void check_table(void) {
    for (int32_t i = 0; i < MASCON_OP_COUNT && check_result == MASCON_OK; i++) {
        check_result = check_row(masconI_ops[i]);
        if (check_result == MASCON_OK) parse_row(i);
        for (int32_t j = 0; j < i && check_result == MASCON_OK; j++) {
            if (strcmp(masconI_ops[i]->name, masconI_ops[j]->name) == 0) {
                check_result = masconI_fail(MASCON_E_STATE, "op table: two ops are named %s",
                                            masconI_ops[i]->name);
            }
        }
    }
    if (check_result != MASCON_OK) check_error = *masconI_error();
}

mascon_status masconI_registry_check(void) {
    pthread_once(&check_once, check_table);
    if (check_result != MASCON_OK) *masconI_error() = check_error;
    return check_result;
}

/* ---- Public ---- */

int32_t mascon_op_count(void) { return MASCON_OP_COUNT; }

int32_t mascon_op_find(const char *name) {
    if (!name) return -1;
    for (int32_t i = 0; i < MASCON_OP_COUNT; i++) {
        if (strcmp(masconI_ops[i]->name, name) == 0) return i;
    }
    return -1;
}

const char *mascon_op_name(int32_t op) {
    return op >= 0 && op < MASCON_OP_COUNT ? masconI_ops[op]->name : NULL;
}

static const char *const type_names[] = {
    [MASCON_ATTR_NUMBER] = "number",   [MASCON_ATTR_INTEGER] = "integer",
    [MASCON_ATTR_BOOLEAN] = "boolean", [MASCON_ATTR_PAIR] = "pair",
    [MASCON_ATTR_PADDING] = "padding", [MASCON_ATTR_DIM] = "dim",
    [MASCON_ATTR_INDEX] = "index",     [MASCON_ATTR_BASE] = "base",
    [MASCON_ATTR_DIMS] = "dims",       [MASCON_ATTR_SIZES] = "sizes",
    [MASCON_ATTR_CHOICE] = "choice",   [MASCON_ATTR_DTYPE] = "dtype",
    [MASCON_ATTR_DEVICE] = "device",
};

/* A default as text: "-" required, "" absent. */
static const char *standard_text(const mascon_attr *a, char buffer[32]) {
    if (a->standard == MASCON_REQUIRED) return "-";
    if (a->standard == MASCON_ABSENT) return "";
    snprintf(buffer, 32, "%.17g", a->standard);
    return buffer;
}

static char *descriptions[MASCON_OP_COUNT];
static pthread_mutex_t description_lock = PTHREAD_MUTEX_INITIALIZER;

static char *describe(const mascon_op *op) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fprintf(out, "name\t%s\ninputs\t%s\noutputs\t%s\nflags\t%u\ndtypes\t%u\nsummary\t%s\n",
            op->name, op->inputs, op->outputs, op->flags, op->dtypes, op->summary);
    if (op->example) fprintf(out, "example\t%s\n", op->example);
    for (int i = 0; i < op->n_attrs; i++) {
        const mascon_attr *a = &op->attrs[i];
        char buffer[32];
        fprintf(out, "attr\t%s\t%s\t%s\t%.17g\t%.17g\t%s\t%s\n", a->name, type_names[a->type],
                standard_text(a, buffer), a->min, a->max, a->choices ? a->choices : "",
                a->help ? a->help : "");
    }
    return fclose(out) == 0 ? text : NULL;
}

const char *mascon_op_describe(int32_t op) {
    if (op < 0 || op >= MASCON_OP_COUNT) return "";
    pthread_mutex_lock(&description_lock);
    if (!descriptions[op]) descriptions[op] = describe(masconI_ops[op]);
    pthread_mutex_unlock(&description_lock);
    return descriptions[op] ? descriptions[op] : "";
}

static uint64_t hash_text(uint64_t h, const char *text) { /* FNV-1a */
    for (const char *p = text ? text : ""; *p; p++) h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

uint64_t mascon_op_hash(void) {
    uint64_t h = 0xcbf29ce484222325u;
    for (int32_t i = 0; i < MASCON_OP_COUNT; i++) {
        const mascon_op *op = masconI_ops[i];
        h = hash_text(hash_text(hash_text(h, op->name), op->inputs), op->outputs);
        for (int a = 0; a < op->n_attrs; a++) {
            h = hash_text(h, op->attrs[a].name) ^ (uint64_t)op->attrs[a].type;
        }
    }
    return h;
}

int32_t mascon_abi(int32_t *size_call, int32_t *size_error, int32_t *size_ref) {
    if (!size_call) return 0;
    if (!size_error) return 0;
    if (!size_ref) return 0;
    *size_call = (int32_t)sizeof(mascon_call);
    *size_error = (int32_t)sizeof(mascon_error);
    *size_ref = (int32_t)sizeof(mascon_ref);
    return MASCON_VERSION_MAJOR * 10000 + MASCON_VERSION_MINOR * 100 + MASCON_VERSION_PATCH;
}

/* error.c: the error record of each thread and the text that describes a call.
 *
 * A kernel or a shape rule says only what is wrong. The dispatcher then adds which operation it was,
 * its inputs and its options; the record keeps the first operation that was added, so a failure deep
 * inside is reported once.
 *
 * Nothing here allocates: reporting that memory is short must not need any.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

static _Thread_local mascon_error record;

mascon_error *masconI_error(void) { return &record; }

const mascon_error *mascon_last_error(void) { return &record; }

/* ORDER: MASCON_OK, MASCON_E_* */
static const char *const status_names[MASCON_STATUS_COUNT] = {
    "MASCON_OK",        "MASCON_E_ARG",    "MASCON_E_SHAPE",
    "MASCON_E_DTYPE",   "MASCON_E_DEVICE", "MASCON_E_LAYOUT",
    "MASCON_E_OOM",     "MASCON_E_STATE",  "MASCON_E_UNSUPPORTED",
    "MASCON_E_BACKEND", "MASCON_E_INDEX",  "MASCON_E_IO",
    "MASCON_E_FORMAT",  "MASCON_E_LIMIT",  "MASCON_E_INTERRUPTED",
};

const char *mascon_status_name(mascon_status status) {
    return status >= 0 && status < MASCON_STATUS_COUNT ? status_names[status] : "?";
}

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)

const char *mascon_version(void) {
    return TEXT(MASCON_VERSION_MAJOR) "." TEXT(MASCON_VERSION_MINOR) "." TEXT(MASCON_VERSION_PATCH);
}

mascon_status masconI_fail_at(const char *file, int line, mascon_status code, const char *format,
                              ...) {
    /* Format first: an argument may point into the record. */
    char message[sizeof record.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *slash = strrchr(file, '/');
    record.code = code;
    record.native = 0;
    record.op[0] = record.detail[0] = record.hint[0] = 0;
    memcpy(record.message, message, strlen(message) + 1);
    snprintf(record.site, sizeof record.site, "%s:%d", slash != NULL ? slash + 1 : file, line);
    return code;
}

mascon_status masconI_hint(const char *format, ...) {
    char hint[sizeof record.hint];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(hint, sizeof hint, format, arguments);
    va_end(arguments);
    memcpy(record.hint, hint, strlen(hint) + 1);
    return record.code;
}

/* ---- A text of limited size ---- */

typedef struct text {
    char *at;
    size_t size, used; /* used < size */
} text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(text *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(t->at + t->used, t->size - t->used, format, arguments);
    va_end(arguments);
    if (n < 0) return;
    t->used += (size_t)n;
    if (t->used >= t->size) t->used = t->size - 1;
}

/* The shortest of three precisions that gives the number back. */
static void put_number(text *t, double v) {
    char buffer[32];
    if (v == floor(v) && fabs(v) < 1e15) {
        put(t, "%.0f", v);
        return;
    }
    static const int digits[] = {6, 9, 17};
    for (int i = 0; i < 3; i++) {
        snprintf(buffer, sizeof buffer, "%.*g", digits[i], v);
        if (strtod(buffer, NULL) == v) break;
    }
    put(t, "%s", buffer);
}

/* ---- Inputs ---- */

typedef struct input {
    const char *name;
    int name_length;
    int64_t number; /* of a list: counted from 1; 0: none */
    const mascon_tensor *tensor;
} input;

enum { MAX_INPUTS = 12, MAX_GROUPS = 8 };

/* The words of a signature such as "x weight bias?" or "params* grads*", without their marks. */
static int split_names(const char *list, const char *name[MAX_GROUPS], int length[MAX_GROUPS]) {
    int n = 0;
    for (const char *p = list != NULL ? list : ""; n < MAX_GROUPS;) {
        p += strspn(p, " ()");
        if (*p == 0) break;
        name[n] = p;
        length[n++] = (int)strcspn(p, " ?*()");
        p += strcspn(p, " ");
    }
    return n;
}

/* The tensors to show: the sources, then the beginning of each group of a list. */
static int collect(const mascon_op *op, const mascon_call *call, input found[MAX_INPUTS]) {
    const char *name[MAX_GROUPS];
    int length[MAX_GROUPS], n = 0, single = 0, groups = 0;
    int names = split_names(op->inputs, name, length);
    int starred[MAX_GROUPS];
    for (int i = 0; i < names; i++) {
        if (name[i][length[i]] == '*') starred[groups++] = i;
    }
    for (int i = 0; i < call->n_src && i < MASCON_MAX_SRC && n < MAX_INPUTS; i++) {
        while (single < names && name[single][length[single]] == '*') single++;
        int known = single < names;
        if (call->src[i] != NULL) {
            found[n++] = (input){known ? name[single] : "input", known ? length[single] : 5,
                                 known ? 0 : i + 1, call->src[i]};
        }
        if (known) single++;
    }
    if (call->list == NULL || call->n_list <= 0) return n;
    if (groups == 0) {
        starred[groups++] = 0;
        name[0] = "input";
        length[0] = 5;
    }
    int64_t each = call->n_list / groups, shown = groups > 2 ? 1 : 4 / groups;
    for (int g = 0; g < groups; g++) {
        for (int64_t i = 0; i < each && i < shown && n < MAX_INPUTS; i++) {
            const mascon_tensor *tensor = call->list[g * each + i];
            if (tensor == NULL) continue;
            found[n++] = (input){name[starred[g]], length[starred[g]], i + 1, tensor};
        }
    }
    return n;
}

static void input_label(const input *in, char buffer[64]) {
    if (in->number > 0) {
        snprintf(buffer, 64, "%.*s[%lld]", in->name_length, in->name, (long long)in->number);
    } else {
        snprintf(buffer, 64, "%.*s", in->name_length, in->name);
    }
}

static const char *dtype_text(const mascon_tensor *t) {
    const char *name = mascon_dtype_name(t->view.dtype);
    return name != NULL ? name : "?";
}

static int longer(int a, const char *b) {
    int n = (int)strlen(b);
    return a > n ? a : n;
}

static void put_inputs(text *t, const input *in, int n, int label_width) {
    char label[64], shape[160], device[16];
    int dtype_width = 0, shape_width = 0;
    for (int i = 0; i < n; i++) {
        const mascon_view *v = &in[i].tensor->view;
        dtype_width = longer(dtype_width, dtype_text(in[i].tensor));
        shape_width = longer(shape_width, masconI_shape_text(v->ndim, v->shape, shape));
    }
    for (int i = 0; i < n; i++) {
        const mascon_tensor *tensor = in[i].tensor;
        const mascon_view *v = &tensor->view;
        input_label(&in[i], label);
        masconI_shape_text(v->ndim, v->shape, shape);
        put(t, "%s  %-*s %-*s %-*s %s", t->used > 0 ? "\n" : "", label_width, label, dtype_width,
            dtype_text(tensor), shape_width, shape,
            tensor->released ? "released" : masconI_device_text(v->device, device));
    }
}

/* ---- Options ---- */

static void put_choice(text *t, const char *choices, double v) {
    const char *p = choices != NULL ? choices : "";
    for (int i = 0; i < v && *p != 0; i++) {
        p += strcspn(p, " ");
        p += strspn(p, " ");
    }
    put(t, "%.*s", (int)strcspn(p, " "), p);
}

/* Dimensions and positions are shown counting from 1, as scripts write them; a C host, which counts
 * from 0, reads these lines too. Negative ones count from the end in both. */
static void put_position(text *t, double v) { put_number(t, v >= 0 ? v + 1 : v); }

static void put_list(text *t, const double *v, int positions) {
    int n = v[0] >= 0 && v[0] <= MASCON_MAX_DIMS ? (int)v[0] : 0;
    put(t, "{");
    for (int i = 0; i < n; i++) {
        if (i > 0) put(t, ", ");
        if (positions) {
            put_position(t, v[1 + i]);
        } else {
            put_number(t, v[1 + i]);
        }
    }
    put(t, "}");
}

static void put_pair(text *t, const double *v) {
    if (v[0] == v[1]) {
        put_number(t, v[0]);
        return;
    }
    put(t, "{");
    put_number(t, v[0]);
    put(t, ", ");
    put_number(t, v[1]);
    put(t, "}");
}

static void put_value(text *t, const mascon_attr *a, const double *v) {
    char device[16];
    const char *name;
    switch (a->type) {
        case MASCON_ATTR_BOOLEAN:
            put(t, "%s", v[0] != 0 ? "true" : "false");
            break;
        case MASCON_ATTR_PAIR:
            put_pair(t, v);
            break;
        case MASCON_ATTR_PADDING:
            if (v[0] == -1 && v[1] == -1) {
                put(t, "same");
            } else {
                put_pair(t, v);
            }
            break;
        case MASCON_ATTR_DIM:
        case MASCON_ATTR_INDEX:
            put_position(t, v[0]);
            break;
        case MASCON_ATTR_DIMS:
            put_list(t, v, 1);
            break;
        case MASCON_ATTR_SIZES:
            put_list(t, v, 0);
            break;
        case MASCON_ATTR_CHOICE:
            put_choice(t, a->choices, v[0]);
            break;
        case MASCON_ATTR_DTYPE:
            name = mascon_dtype_name(v[0] >= 0 && v[0] < MASCON_DTYPE_COUNT ? (int32_t)v[0] : -1);
            put(t, "%s", name != NULL ? name : "?");
            break;
        case MASCON_ATTR_DEVICE:
            put(t, "%s",
                masconI_device_text(v[0] >= 0 && v[0] < 65536 ? (int32_t)v[0] : 0, device));
            break;
        case MASCON_ATTR_NUMBER:
        case MASCON_ATTR_INTEGER:
        case MASCON_ATTR_BASE:
            put_number(t, v[0]);
            break;
    }
}

/* What the user wrote and would not have happened anyway. What index values count from is set by the
 * binding and not by the user. */
static int worth_showing(const mascon_attr *a, const mascon_call *call, int slot) {
    if (a->type == MASCON_ATTR_BASE || !(call->attr_set >> slot & 1u)) return 0;
    int scalars = a->type == MASCON_ATTR_DIMS || a->type == MASCON_ATTR_SIZES
                      ? 0
                      : masconI_attr_slots(a->type);
    for (int i = 0; i < scalars; i++) {
        if (call->attr[slot + i] != a->standard) return 1; /* true for NaN too */
    }
    return scalars == 0;
}

static void put_options(text *t, const mascon_op *op, const mascon_call *call, int label_width) {
    int shown = 0, slot = 0;
    for (int i = 0; i < op->n_attrs; i++) {
        const mascon_attr *a = &op->attrs[i];
        int slots = masconI_attr_slots(a->type);
        if (slot + slots > MASCON_MAX_ATTRS) return;
        if (worth_showing(a, call, slot)) {
            if (shown++ == 0) put(t, "%s  %-*s", t->used > 0 ? "\n" : "", label_width, "options");
            put(t, " %s=", a->name);
            put_value(t, a, &call->attr[slot]);
        }
        slot += slots;
    }
}

static int has_options(const mascon_op *op, const mascon_call *call) {
    for (int i = 0, slot = 0; i < op->n_attrs; i++) {
        int slots = masconI_attr_slots(op->attrs[i].type);
        if (slot + slots > MASCON_MAX_ATTRS) return 0;
        if (worth_showing(&op->attrs[i], call, slot)) return 1;
        slot += slots;
    }
    return 0;
}

void masconI_error_decorate(const mascon_call *call) {
    if (record.op[0] != 0 || call->op < 0 || call->op >= MASCON_OP_COUNT) return;
    const mascon_op *op = masconI_ops[call->op];
    snprintf(record.op, sizeof record.op, "%s", op->name);
    record.detail[0] = 0;
    text t = {record.detail, sizeof record.detail, 0};
    input in[MAX_INPUTS];
    char label[64];
    int n = collect(op, call, in), options = has_options(op, call);
    int width = options ? (int)strlen("options") : 0;
    for (int i = 0; i < n; i++) {
        input_label(&in[i], label);
        width = longer(width, label);
    }
    put_inputs(&t, in, n, width);
    if (options) put_options(&t, op, call, width);
    masconI_log_error();
}

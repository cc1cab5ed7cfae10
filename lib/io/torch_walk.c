/* torch_walk.c: hands out the value of a PyTorch file piece by piece, outside before inside.
 *
 * A pickle can name a value any number of times, so that a small file has a value of 2^60 pieces, or
 * one that contains itself. Invariants: a container and a long text are handed out once and named by
 * their number afterwards; depth and number of pieces are limited; nothing recurses.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/torch.h"

typedef masconI_pickle_value value;

enum { DEPTH_MOST = 32, LONG_TEXT = 64 };
static const uint64_t node_most = 4000000;

typedef struct masconI_torch_walk {
    struct {
        value *of;
        uint64_t next;
    } open[DEPTH_MOST]; /* containers from the outermost in */
    int depth;
    int started;
    uint32_t numbered;
    uint64_t nodes;
    char text[256]; /* of SKIPPED */
} masconI_torch_walk;

static int is_container(const value *v) {
    return v->kind == MASCON_PICKLE_LIST || v->kind == MASCON_PICKLE_TUPLE ||
           v->kind == MASCON_PICKLE_DICT;
}

#define FAIL(t, v, code, ...) masconI_io_fail(code, (t)->file->path, (v)->offset, __VA_ARGS__)

static mascon_status enter(mascon_torch *t, value *v, mascon_node *out) {
    masconI_torch_walk *w = t->walk;
    if (w->depth == DEPTH_MOST) {
        return FAIL(t, v, MASCON_E_LIMIT, "values are nested deeper than %d", DEPTH_MOST);
    }
    w->open[w->depth].of = v;
    w->open[w->depth++].next = 0;
    int dict = v->kind == MASCON_PICKLE_DICT;
    out->kind = dict ? MASCON_NODE_DICT : MASCON_NODE_LIST;
    out->count = (int64_t)(dict ? v->as.list.count / 2 : v->as.list.count);
    return MASCON_OK;
}

static void skipped(masconI_torch_walk *w, mascon_node *out) {
    out->kind = MASCON_NODE_SKIPPED;
    out->text = w->text;
    out->size = (int64_t)strlen(w->text);
}

static mascon_status give(mascon_torch *t, value *v, mascon_node *out) {
    masconI_torch_walk *w = t->walk;
    if (++w->nodes > node_most) {
        return FAIL(t, v, MASCON_E_LIMIT, "the value has more than %" PRIu64 " pieces", node_most);
    }
    int text = v->kind == MASCON_PICKLE_STR || v->kind == MASCON_PICKLE_BYTES;
    if (v->mark) {
        for (int i = 0; i < w->depth; i++) {
            if (w->open[i].of == v) {
                return FAIL(t, v, MASCON_E_FORMAT, "%s contains itself",
                            masconI_pickle_kind_name(v->kind));
            }
        }
        out->kind = MASCON_NODE_SAME;
        out->count = v->mark;
        return MASCON_OK;
    }
    if (is_container(v) || (text && v->as.text.size > LONG_TEXT)) {
        v->mark = ++w->numbered;
        out->numbered = (int32_t)v->mark;
    }
    if (is_container(v)) return enter(t, v, out);
    switch (v->kind) {
        case MASCON_PICKLE_NONE:
            out->kind = MASCON_NODE_NONE;
            break;
        case MASCON_PICKLE_BOOL:
            out->kind = MASCON_NODE_BOOL;
            out->number = (double)v->as.integer;
            break;
        case MASCON_PICKLE_INT:
            out->kind = MASCON_NODE_NUMBER;
            out->number = (double)v->as.integer;
            if (v->as.integer > (int64_t)1 << 53 || v->as.integer < -((int64_t)1 << 53)) {
                snprintf(w->text, sizeof w->text,
                         "is the integer %" PRId64 ", which no Lua number equals", v->as.integer);
                skipped(w, out);
            }
            break;
        case MASCON_PICKLE_FLOAT:
            out->kind = MASCON_NODE_NUMBER;
            out->number = isnan(v->as.real) ? (double)NAN : v->as.real;
            break;
        case MASCON_PICKLE_STR:
        case MASCON_PICKLE_BYTES:
            out->kind = MASCON_NODE_TEXT;
            out->text = (const char *)v->as.text.data;
            out->size = (int64_t)v->as.text.size;
            break;
        case MASCON_PICKLE_TENSOR: {
            const masconI_torch_tensor *e = v->as.object;
            if (!e) return FAIL(t, v, MASCON_E_FORMAT, "a parameter without a tensor");
            out->kind = MASCON_NODE_TENSOR;
            out->count = e->index;
            if (masconI_torch_types[e->type].dtype < 0) {
                snprintf(w->text, sizeof w->text, "has dtype %s, which mascon cannot hold",
                         masconI_torch_types[e->type].name);
                skipped(w, out);
            }
            break;
        }
        case MASCON_PICKLE_GLOBAL:
            if (masconI_torch_type_of(v, MASCON_TORCH_DTYPE) >= 0) {
                out->kind = MASCON_NODE_TEXT;
                out->text = v->as.global->name;
                out->size = (int64_t)strlen(out->text);
                break;
            }
            snprintf(w->text, sizeof w->text, "is the class %s.%s", v->as.global->module,
                     v->as.global->name);
            skipped(w, out);
            break;
        default: {
            const char *class =
                v->kind == MASCON_PICKLE_OPAQUE ? (const char *)v->as.text.data : "";
            uint64_t size = v->kind == MASCON_PICKLE_OPAQUE ? v->as.text.size : 0;
            const char *name = memchr(class, '\n', size);
            size_t module = name ? (size_t)(name - class) : 0;
            if (name) {
                snprintf(w->text, sizeof w->text, "is the Python object %.*s.%.*s", (int)module,
                         class, (int)(size - module - 1), name + 1);
            } else {
                snprintf(w->text, sizeof w->text, "is %s", masconI_pickle_kind_name(v->kind));
            }
            skipped(w, out);
        }
    }
    return MASCON_OK;
}

mascon_status mascon_torch_next(mascon_torch *t, mascon_node *out) {
    MASCON_NEED(t);
    MASCON_NEED(out);
    *out = (mascon_node){.kind = MASCON_NODE_END};
    masconI_torch_walk *w = t->walk;
    if (!w) {
        w = t->walk = calloc(1, sizeof *w);
        if (!w) return masconI_oom(t->file->path, sizeof *w);
    }
    /* The marks are in the values: those are this walk's alone, although the machine lends them out
     * unchanged. */
    if (!w->started) {
        w->started = 1;
        return give(t, (value *)(uintptr_t)masconI_pickle_top(t->pickle), out);
    }
    while (w->depth) {
        value *v = w->open[w->depth - 1].of;
        uint64_t *next = &w->open[w->depth - 1].next;
        if (*next == v->as.list.count) {
            w->depth--;
            continue;
        }
        value *item = v->as.list.item[*next];
        int key = v->kind == MASCON_PICKLE_DICT && *next % 2 == 0;
        ++*next;
        MASCON_TRY(give(t, item, out));
        if (key && out->kind == MASCON_NODE_SKIPPED) {
            return FAIL(t, item, MASCON_E_FORMAT, "a dict key %s", out->text);
        }
        return MASCON_OK;
    }
    return MASCON_OK;
}

int64_t mascon_tensor_find_nonfinite(const mascon_tensor *tensor) {
    if (!tensor) return -1;
    const mascon_view *v = mascon_see(tensor);
    if (mascon_tensor_is_released(tensor) || v->device != MASCON_DEVICE_CPU) return -1;
    uint64_t exponent; /* all of its bits are set in NaN and infinity */
    switch (v->dtype) {
        case MASCON_DTYPE_F32:
            exponent = 0x7f800000u;
            break;
        case MASCON_DTYPE_F64:
            exponent = 0x7ff0000000000000u;
            break;
        case MASCON_DTYPE_BF16:
            exponent = 0x7f80u;
            break;
        case MASCON_DTYPE_F16:
            exponent = 0x7c00u;
            break;
        default:
            return -1;
    }
    int64_t size = mascon_dtype_size(v->dtype), index[MASCON_MAX_DIMS] = {0};
    const char *at = v->data;
    for (int64_t k = 0; k < v->numel; k++) {
        uint64_t bits = 0;
        memcpy(&bits, at, (size_t)size);
        if ((bits & exponent) == exponent) return k;
        if (v->contiguous) {
            at += size;
            continue;
        }
        for (int d = v->ndim - 1; d >= 0; d--) {
            at += v->stride[d] * size;
            if (++index[d] < v->shape[d]) break;
            at -= v->stride[d] * v->shape[d] * size;
            index[d] = 0;
        }
    }
    return -1;
}

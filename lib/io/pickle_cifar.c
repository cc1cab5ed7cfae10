/* pickle_cifar.c: what the Python files of CIFAR-10 and CIFAR-100 may name: a numpy array of uint8
 * with 3,072 columns, and nothing else. The state of array and dtype is checked field by field. */
#include <inttypes.h>

#include "io/io.h"

typedef masconI_pickle_value value;

enum { RECONSTRUCT, NDARRAY, DTYPE };
enum { COLUMNS = 3072, MAX_ROWS = 60000 };

static const value *item(const value *tuple, uint64_t i) { return tuple->as.list.item[i]; }

static int is_tuple(const value *v, uint64_t count) {
    return v->kind == MASCON_PICKLE_TUPLE && v->as.list.count == count;
}

/* An INT, or a BOOL where Python writes one for the same field. */
static int is_number(const value *v, int64_t number) {
    return (v->kind == MASCON_PICKLE_INT || v->kind == MASCON_PICKLE_BOOL) &&
           v->as.integer == number;
}

/* _reconstruct(ndarray, (0,), 'b'): an array whose content follows by BUILD */
static mascon_status reconstruct(masconI_pickle *p, const value *args, value **out) {
    if (!is_tuple(args, 3) || item(args, 0)->kind != MASCON_PICKLE_GLOBAL ||
        item(args, 0)->as.global->id != NDARRAY || !is_tuple(item(args, 1), 1) ||
        !is_number(item(item(args, 1), 0), 0) || !masconI_pickle_is(item(args, 2), "b")) {
        return masconI_pickle_bad(p, "the arguments of _reconstruct are not (ndarray, (0,), 'b')");
    }
    *out = masconI_pickle_new(p, MASCON_PICKLE_NDARRAY);
    return *out ? MASCON_OK : mascon_last_error()->code;
}

/* dtype('u1', 0, 1) */
static mascon_status dtype(masconI_pickle *p, const value *args, value **out) {
    if (!is_tuple(args, 3) || !is_number(item(args, 1), 0) || !is_number(item(args, 2), 1)) {
        return masconI_pickle_bad(p, "the arguments of dtype are not ('u1', 0, 1)");
    }
    if (!masconI_pickle_is(item(args, 0), "u1") && !masconI_pickle_is(item(args, 0), "|u1")) {
        return masconI_pickle_bad(p, "the array is not of uint8");
    }
    *out = masconI_pickle_new(p, MASCON_PICKLE_DTYPE);
    if (!*out) return mascon_last_error()->code;
    (*out)->as.integer = -1;
    return MASCON_OK;
}

/* (3, '|', None, None, None, -1, -1, 0) */
static mascon_status build_dtype(masconI_pickle *p, value *target, const value *state) {
    int ok = is_tuple(state, 8) && is_number(item(state, 0), 3) &&
             masconI_pickle_is(item(state, 1), "|") && is_number(item(state, 5), -1) &&
             is_number(item(state, 6), -1) && is_number(item(state, 7), 0);
    for (uint64_t i = 2; ok && i < 5; i++) ok = item(state, i)->kind == MASCON_PICKLE_NONE;
    if (!ok) return masconI_pickle_bad(p, "the state of a dtype is not that of uint8");
    target->as.integer = MASCON_DTYPE_U8;
    return MASCON_OK;
}

/* (1, (n, 3072), dtype, False, bytes) */
static mascon_status build_array(masconI_pickle *p, value *target, const value *state) {
    if (target->as.array.rows) return masconI_pickle_bad(p, "an array is given twice");
    if (!is_tuple(state, 5) || !is_number(item(state, 0), 1) ||
        item(state, 2)->kind != MASCON_PICKLE_DTYPE ||
        item(state, 2)->as.integer != MASCON_DTYPE_U8) {
        return masconI_pickle_bad(p, "the state of an array is not that of uint8");
    }
    const value *shape = item(state, 1), *bytes = item(state, 4);
    if (!is_tuple(shape, 2) || item(shape, 0)->kind != MASCON_PICKLE_INT ||
        item(shape, 1)->kind != MASCON_PICKLE_INT) {
        return masconI_pickle_bad(p, "an array has not two dimensions");
    }
    int64_t rows = item(shape, 0)->as.integer, columns = item(shape, 1)->as.integer;
    if (rows < 1 || rows > MAX_ROWS || columns != COLUMNS) {
        return masconI_pickle_bad(
            p, "an array is {%" PRId64 ", %" PRId64 "}; expected {1..60000, 3072}", rows, columns);
    }
    if (!is_number(item(state, 3), 0)) {
        return masconI_pickle_bad(p, "an array is in Fortran order");
    }
    if (bytes->kind != MASCON_PICKLE_BYTES || bytes->as.text.size != (uint64_t)rows * COLUMNS) {
        return masconI_pickle_bad(
            p, "an array {%" PRId64 ", 3072} has %" PRIu64 " bytes", rows,
            bytes->kind == MASCON_PICKLE_BYTES ? bytes->as.text.size : (uint64_t)0);
    }
    target->as.array.data = bytes->as.text.data;
    target->as.array.rows = (uint64_t)rows;
    target->as.array.columns = COLUMNS;
    return MASCON_OK;
}

static mascon_status build(masconI_pickle *p, value *target, const value *state) {
    if (target->kind == MASCON_PICKLE_DTYPE) return build_dtype(p, target, state);
    if (target->kind == MASCON_PICKLE_NDARRAY) return build_array(p, target, state);
    return masconI_pickle_bad(p, "%s has no state", masconI_pickle_kind_name(target->kind));
}

static const masconI_pickle_global globals[] = {
    {"numpy.core.multiarray", "_reconstruct", RECONSTRUCT, reconstruct, NULL},
    {"numpy._core.multiarray", "_reconstruct", RECONSTRUCT, reconstruct, NULL},
    {"numpy", "ndarray", NDARRAY, NULL, NULL},
    {"numpy", "dtype", DTYPE, dtype, NULL},
};

const masconI_pickle_profile masconI_pickle_cifar = {
    .name = "cifar",
    .globals = globals,
    .n_globals = (int32_t)(sizeof globals / sizeof globals[0]),
    .byte_strings = 1,
    .long_strings = 1,
    .build = build,
};

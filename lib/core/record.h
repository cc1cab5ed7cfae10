/* record.h: a recording of calls, as the recorder leaves it to those who save or replay it.
 *
 * Tensors become numbered buffers. A buffer is an input, a constant (a parameter, or whatever was not
 * made by a recorded call) or made by a call. Every tensor that was seen is retained, so that a handle
 * means the same buffer for as long as the recorder lives; the storage may be gone before.
 */
#ifndef MASCON_CORE_RECORD_H
#define MASCON_CORE_RECORD_H

#include "core/internal.h"
#include "mascon_model.h"

enum { MASCON_BUFFER_INPUT, MASCON_BUFFER_CONSTANT, MASCON_BUFFER_MADE };

typedef struct masconI_buffer {
    mascon_tensor *tensor; /* retained */
    uint64_t storage;      /* id; the tensor may have been released since */
    int32_t kind;
    int32_t root; /* the buffer whose memory this one looks at; itself */
    char *name;   /* of an input or a named constant, else NULL */
    mascon_meta meta;
} masconI_buffer;

/* One recorded call. An output that an earlier call has made is written in place. */
typedef struct masconI_entry {
    int32_t op, n_src, n_dst;
    int32_t src[MASCON_MAX_SRC]; /* buffers; -1: none */
    int32_t dst[MASCON_MAX_DST];
    int32_t *list;
    int64_t n_list;
    double attr[MASCON_MAX_ATTRS];
    uint32_t attr_set;
    int32_t flags; /* MASCON_CALL_AUTOCAST, where it was set */
    char *path;    /* of the module that ran, or NULL */
} masconI_entry;

typedef struct masconI_result {
    char *name;
    int32_t buffer;
} masconI_result;

struct mascon_recorder {
    masconI_buffer *buffers;
    int32_t n_buffers, buffers_room;
    masconI_entry *entries;
    int32_t n_entries, entries_room;
    masconI_result *results;
    int32_t n_results, results_room;
    int32_t *slots; /* open addressing by handle: buffer + 1, 0 where empty */
    int32_t n_slots;
    uint64_t first_storage; /* storages made while recording have larger ids */
    int32_t active;         /* this recorder is the one of its thread */
    char path[256];         /* of the module that runs now */
};

#endif

/* model.h: what the files of lib/model share.
 *
 * A program is a text (JSON, in the metadata of the file): inputs, weights and calls over numbered
 * buffers. It is hostile until masconI_model_check has passed: everything that the parser keeps is in
 * range as far as the text alone can show, and the check walks the calls by the ops' own rules.
 */
#ifndef MASCON_MODEL_MODEL_H
#define MASCON_MODEL_MODEL_H

#include "core/record.h"
#include "io/io.h"
#include "mascon_model.h"

/* The keys of the file's metadata; a longer program lies in a U8 tensor of this name. */
#define MASCON_MODEL_PROGRAM "mascon.program"
#define MASCON_MODEL_LONG_PROGRAM "__mascon__.mascon.program"

enum { MASCON_MODEL_SCHEMA = 1 };

/* A size that is the batch of the run. */
enum { MASCON_MODEL_BATCH = -1 };

typedef struct masconI_port {
    const char *name;
    int32_t buffer, dtype, ndim;
    int64_t shape[MASCON_MAX_DIMS]; /* MASCON_MODEL_BATCH: any size */
} masconI_port;

typedef struct masconI_weight {
    const char *name; /* of the tensor in the file */
    int32_t buffer;
    int32_t layout; /* MASCON_LAYOUT_* it is to have in memory */
    mascon_tensor *tensor;
} masconI_weight;

typedef struct masconI_step {
    int32_t op, n_src, n_dst;
    int32_t src[MASCON_MAX_SRC]; /* buffers; -1: none */
    int32_t dst[MASCON_MAX_DST];
    int32_t *list;
    int32_t n_list;
    double attr[MASCON_MAX_ATTRS];
    uint32_t attr_set;
    int32_t flags;    /* of the call: MASCON_CALL_AUTOCAST or 0 */
    uint32_t scaled;  /* bit per slot: attr is to be multiplied by the batch of the run */
    uint32_t written; /* bit per dst: an earlier step made it, and this one writes into it */
    int32_t *last;    /* buffers that nobody needs after this step */
    int32_t n_last;
    int32_t device_slot; /* of the option that takes the model's device; -1: none */
    const char *path;
} masconI_step;

struct mascon_model {
    atomic_int refs;     /* besides the first one */
    atomic_int others;   /* references beside the first */
    masconI_arena arena; /* all tables */
    char *text;          /* of the program; names point into it */
    const char *file;
    const char *writer; /* the version of mascon that wrote the file */
    masconI_port *ports[2];
    int32_t n_ports[2];
    masconI_weight *weights;
    int32_t n_weights;
    masconI_step *steps;
    int32_t n_steps;
    int32_t n_buffers;
    int32_t free_batch; /* some size of an input is MASCON_MODEL_BATCH */
    int32_t device;
};

/* Reads a program. text (zero-terminated, size bytes) is taken over in any case. m comes zeroed but for
 * the arena; on failure the caller releases it. */
mascon_status masconI_model_parse(mascon_model *m, char *text, uint64_t size, const char *path);
/* Walks the calls with shapes alone, and fills in which buffers are released when. The weights are
 * there, as values or as shapes. */
mascon_status masconI_model_check(mascon_model *m);
/* "layer1.0.conv1: call 3 (conv2d)" of a step, for messages; returns buffer. */
const char *masconI_step_text(const mascon_model *m, int32_t step, char buffer[192]);

/* A number of a program: strtod and printf of the C locale, whatever the host has set. */
double masconI_program_number(const char *text, char **end);
void masconI_program_put_number(masconI_text *t, double v);

#endif

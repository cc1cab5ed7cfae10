/* program.h: what the two halves of programs share: recording (program.c) and replay (replay.c). */
#ifndef MASCON_CORE_PROGRAM_H
#define MASCON_CORE_PROGRAM_H

#include "core/internal.h"
#include "mascon_program.h"

/* One kernel run. Tensors in call are headers of the program's own. */
typedef struct masconI_step {
    const mascon_kernel *kernel;
    const char *name; /* for the profile */
    mascon_call call;
    size_t workspace;
    uint32_t writes; /* bit per src that the kernel writes */
    int32_t draw;    /* its random state is that of this draw; -1: none */
    uint8_t early;   /* restores a constant: comes before all others */
    uint8_t needed;
    uint32_t live_at, live_bytes; /* on a device: its words */
} masconI_step;

/* A storage that steps use. */
typedef struct masconI_place {
    masconI_storage *storage; /* retained */
    int32_t input;            /* stands for this input; -1 */
    uint64_t source;          /* number of the storage that this input was copied from */
    int32_t first, last;      /* positions of a temporary one, in the order of running */
    uint8_t temporary;        /* lives in the arena */
    uint8_t wanted;
    uint8_t written; /* by a step */
    size_t offset;
} masconI_place;

/* A header of the program's own over a place. */
typedef struct masconI_header {
    mascon_tensor *t;
    int32_t place;
} masconI_header;

typedef struct masconI_draw {
    mascon_generator *generator;
    uint64_t random[2];
} masconI_draw;

/* A leaf whose gradient was looked at or set. */
typedef struct masconI_leaf {
    mascon_tensor *leaf;
    mascon_tensor *start, *end; /* the gradient before, where it matters, and afterwards */
    uint8_t matters;
} masconI_leaf;

/* A tensor from before the recording: whether it requires a gradient decides what was recorded. */
typedef struct masconI_watch {
    mascon_tensor *t;
    uint8_t requires_grad;
} masconI_watch;

#define MASCON_TABLE(type) \
    struct {               \
        type *at;          \
        int32_t n, room;   \
    }

struct mascon_program {
    uint64_t id, first_node;
    int32_t device; /* -1: no step yet */
    uint8_t active, paused, ended;
    uint8_t broken; /* a draw could not be noted */
    MASCON_TABLE(masconI_step) steps;
    MASCON_TABLE(masconI_place) places;
    MASCON_TABLE(masconI_header) headers;
    MASCON_TABLE(masconI_draw) draws;
    MASCON_TABLE(masconI_leaf) leaves;
    MASCON_TABLE(masconI_watch) watched;
    MASCON_TABLE(mascon_tensor *) inputs; /* the program's own, owned */
    MASCON_TABLE(int32_t) outputs;        /* headers */
    int32_t *slots, *watch_slots;         /* hash tables: place or watched number + 1 */
    int32_t n_slots, n_watch_slots;
    /* replay */
    int32_t *order, n_order; /* needed steps */
    masconI_storage *arena;
    size_t arena_bytes, temporary_bytes, workspace_at;
    int32_t settings[MASCON_SETTING_COUNT], threads;
    const mascon_backend *backend;
    void *graph; /* of the device; NULL: steps are run one by one */
    masconI_storage *live;
    unsigned char *words;
    uint32_t words_bytes;
};

/* Ends recording; what was recorded stays. */
void masconI_program_stop(mascon_program *p);
/* The bytes by which a tensor's first element misses the alignment of the widest loads. */
enum { MASCON_SHIFTS = 16 };
int masconI_program_shift(const mascon_view *v);
/* Copies the memory of `from` to that of `to`, which has the same strides. */
mascon_status masconI_program_copy_span(mascon_tensor *to, const mascon_tensor *from);
/* The place of a storage, or -1. */
int32_t masconI_program_place(const mascon_program *p, const masconI_storage *s);

#endif

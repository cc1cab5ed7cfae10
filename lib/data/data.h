/* data.h: what the files of lib/data share.
 *
 * Ownership: block (rows of one data set in memory, counted, constant once made) <- source (rows of
 * one or more blocks in some order, counted). Stages and loaders only ever read blocks.
 */
#ifndef MASCON_DATA_DATA_H
#define MASCON_DATA_DATA_H

#include <stdatomic.h>

#include "core/internal.h"
#include "mascon_data.h"

enum { MASCON_MAX_FIELDS = 8 };

/* ---- Rows in memory (data/source.c) ---- */

/* One column. Row i begins i * row_stride elements after data. */
typedef struct masconI_field {
    const char *data;
    int32_t dtype;
    int32_t ndim; /* of one row */
    int64_t shape[MASCON_MAX_DIMS];
    int64_t stride[MASCON_MAX_DIMS]; /* elements */
    int64_t row_stride;
    void *memory;         /* owned by malloc, or NULL */
    mascon_tensor *owner; /* an owned header over the memory, or NULL */
} masconI_field;

typedef struct masconI_files masconI_files;

typedef struct masconI_rows {
    atomic_int refs;
    int64_t rows;
    int32_t n_fields;
    int32_t labelled;     /* field 1 holds int64 class labels from 0 */
    int64_t label_base;   /* what to add to them */
    masconI_files *files; /* owned: field 0 is decoded from these; NULL: it is in memory */
    masconI_field field[MASCON_MAX_FIELDS];
} masconI_rows;

struct mascon_source {
    atomic_int refs;
    int64_t rows;
    int32_t n_blocks;
    masconI_rows **blocks;
    int32_t *which; /* block of each row; NULL: rows of blocks[0] in their order */
    int64_t *row;   /* and row in it; NULL with which */
    char **classes;
    int32_t n_classes;
    char warning[256];
};

/* A source of one block of labelled pictures: uint8 {c, h, w} in channels-last memory, all zero, and
 * labels, all zero, to be filled by the caller. */
mascon_status masconI_source_pictures(mascon_source **out, int64_t rows, int64_t c, int64_t h,
                                      int64_t w, uint8_t **pixels, int64_t **labels);
/* A source of one block of labelled pictures in files (taken over, also on failure), labels all zero,
 * to be filled by the caller. */
mascon_status masconI_source_files(mascon_source **out, int64_t rows, masconI_files *files,
                                   int64_t **labels);
mascon_status masconI_source_add_class(mascon_source *source, const char *name);
void masconI_source_retain(mascon_source *source);
/* Where row i lies: its block and number there. */
static inline const masconI_rows *masconI_source_locate(const mascon_source *source, int64_t i,
                                                        int64_t *row) {
    *row = source->which ? source->row[i] : i;
    return source->blocks[source->which ? source->which[i] : 0];
}
/* Copies elements of size bytes between strided places. Shapes and strides in elements. */
void masconI_copy_strided(char *dst, const int64_t *dst_stride, const char *src,
                          const int64_t *src_stride, const int64_t *shape, int32_t ndim,
                          size_t size);

/* ---- Pictures in files (data/folder.c) ---- */

struct masconI_picture;
struct masconI_scratch;

/* Decodes picture i; its pixels lie in scratch memory. The sentence of a failure does not name the
 * file. */
mascon_status masconI_files_read(const masconI_files *files, int64_t i,
                                 struct masconI_scratch *scratch, struct masconI_picture *out);
/* Relative to the root. */
const char *masconI_files_name(const masconI_files *files, int64_t i);
/* Puts "sample 17 (name): " before the sentence of the failure that was just noted, or "name: " where
 * sample is 0. name may be NULL. Returns its status. */
mascon_status masconI_blame(int64_t sample, const char *name);
void masconI_files_free(masconI_files *files);

/* ---- Stages (data/pipeline.c) ---- */

enum { MASCON_MAX_STAGES = 32 };

/* What the random numbers of one sample depend on, besides the number of the random stage. */
typedef struct masconI_draw {
    uint64_t seed, epoch;
    int64_t row;
    int32_t stage; /* random stages that the sample passed before this pipeline */
} masconI_draw;

/* Stages [from, to) of a pipeline: one that moves pixels, or several that map single values. */
typedef struct masconI_step {
    int32_t from, to;
    int32_t map;
    int32_t in_dtype, out_dtype;
    int64_t channels;
    void *table; /* of a map of uint8: result for [channel][value]; else NULL */
} masconI_step;

/* A pipeline made ready for pictures of one dtype and number of channels. Constant once made: many
 * threads may run it, each with scratch memory of its own. */
typedef struct masconI_plan {
    const mascon_pipeline *pipeline; /* NULL: copy */
    int32_t dtype, out_dtype;
    int64_t shape[3];     /* c h w of the input; -1: not the same for all pictures */
    int64_t out_shape[3]; /* and of the result */
    int32_t n;
    masconI_step steps[MASCON_MAX_STAGES];
    int32_t tail; /* steps from here write to the result */
} masconI_plan;

mascon_status masconI_plan_make(masconI_plan *plan, const mascon_pipeline *pipeline, int32_t dtype,
                                int32_t ndim, const int64_t *shape);
/* The shape of the result for a picture of this height and width. */
mascon_status masconI_plan_shape(const masconI_plan *plan, int64_t h, int64_t w, int64_t out[3]);
/* dst: first element of the result, with strides (in elements) for c h w. */
mascon_status masconI_plan_run(const masconI_plan *plan, struct masconI_scratch *scratch,
                               const masconI_draw *draw, const struct masconI_picture *src,
                               void *dst, const int64_t dst_stride[3]);
void masconI_plan_free(masconI_plan *plan);
/* For pictures whose pixels stay where they are (data/resident.c). Fails where a stage of the plan does
 * more than to crop, flip and border uint8 pictures and map their values. */
mascon_status masconI_plan_check_views(const masconI_plan *plan);
/* The picture as the plan's moving stages leave it: a view, with a border perhaps. */
mascon_status masconI_plan_view(const masconI_plan *plan, struct masconI_scratch *scratch,
                                const masconI_draw *draw, struct masconI_picture *p);
/* values[0..255] become what the plan makes of a channel's 256 values, values[256] of its border. */
void masconI_plan_values(const masconI_plan *plan, int64_t channel, float values[257]);
int masconI_pipeline_empty(const mascon_pipeline *pipeline);
void masconI_pipeline_retain(mascon_pipeline *pipeline);

/* ---- Checksums (data/md5.c) ---- */

typedef struct masconI_md5 {
    uint32_t state[4];
    uint64_t length; /* bytes so far */
    uint8_t pending[64];
    uint32_t sines[64];
} masconI_md5;

void masconI_md5_begin(masconI_md5 *m);
void masconI_md5_add(masconI_md5 *m, const void *data, size_t bytes);
/* Ends and writes 32 hexadecimal digits and a zero byte. */
void masconI_md5_end(masconI_md5 *m, char text[33]);

#endif

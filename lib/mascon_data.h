/* mascon_data.h: data sets in memory, picture stages and batches.
 *
 * A source is a table of rows: field 0 is the picture (or the first tensor of a tensor data set),
 * field 1 the label, more fields are allowed. A pipeline is a list of stages that a picture passes.
 * A loader puts rows through a pipeline into batches, in threads of its own, ahead of its reader.
 *
 * Rows count from 0. A source and a pipeline may be read from several threads once they are made;
 * one loader belongs to one thread at a time. All three are counted: a loader keeps what it uses.
 *
 * The part between [ffi] and [/ffi] follows the rules of mascon.h.
 */
#ifndef MASCON_DATA_H
#define MASCON_DATA_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* [ffi] */

typedef struct mascon_source mascon_source;
typedef struct mascon_pipeline mascon_pipeline;
typedef struct mascon_loader mascon_loader;

/* ---- Sources ----------------------------------------------------------------------------- */

/* The training (or test) pictures of CIFAR-10. root is the folder cifar-10-batches-bin or
 * cifar-10-batches-py, or the folder that holds one of them or an official archive of one. With
 * partial, files may be missing or hold fewer pictures. Labels are 0..9. */
MASCON_API mascon_status mascon_source_cifar10(mascon_source **out, const char *root, int32_t train,
                                               int32_t partial);
/* Drawn pictures {3, height, width} of `classes` (1..10) kinds of figures; row i is the same for
 * equal offset + i, whatever size is. */
MASCON_API mascon_status mascon_source_fake(mascon_source **out, int64_t size, int32_t classes,
                                            int64_t height, int64_t width, uint64_t offset);
/* Rows of n (1..8) CPU tensors with equal first sizes. Shares their memory. */
MASCON_API mascon_status mascon_source_tensors(mascon_source **out, mascon_tensor *const *tensors,
                                               int32_t n);
/* The given rows of another source, in the given order. Shares its memory. */
MASCON_API mascon_status mascon_source_select(mascon_source **out, const mascon_source *source,
                                              const int64_t *rows, int64_t n);
/* One source after the other. MASCON_E_SHAPE where their rows differ in shape or dtype. */
MASCON_API mascon_status mascon_source_concat(mascon_source **out, mascon_source *const *sources,
                                              int32_t n);
MASCON_API void mascon_source_release(mascon_source *source);

MASCON_API int64_t mascon_source_len(const mascon_source *source);
MASCON_API int32_t mascon_source_fields(const mascon_source *source);
/* From now on class labels are given as base + 0..9. For sources of labelled pictures, before they
 * are selected from, concatenated or loaded. */
MASCON_API void mascon_source_set_label_base(mascon_source *source, int64_t base);
/* The name of class i, counted from 0; NULL past the last one. Borrowed. */
MASCON_API const char *mascon_source_class(const mascon_source *source, int32_t i);
/* A sentence about something odd that is not an error, or NULL. Borrowed. */
MASCON_API const char *mascon_source_warning(const mascon_source *source);
/* A field of one row as a fresh row-major tensor. */
MASCON_API mascon_status mascon_source_get(const mascon_source *source, int64_t row, int32_t field,
                                           mascon_tensor **out);
/* The class label of a row. */
MASCON_API mascon_status mascon_source_label(const mascon_source *source, int64_t row,
                                             int64_t *label);

/* ---- Pipelines --------------------------------------------------------------------------- */

MASCON_API mascon_status mascon_pipeline_new(mascon_pipeline **out);
MASCON_API void mascon_pipeline_release(mascon_pipeline *pipeline);
/* Appends a stage; not while a loader uses the pipeline.
 *   "to_tensor"  uint8 0..255 becomes float32 0..1; float32 stays
 *   "normalize"  values: the means of all channels (or one for all), then as many deviations
 *   "convert"    values: a MASCON_DTYPE_*, float32 or uint8 */
MASCON_API mascon_status mascon_pipeline_add(mascon_pipeline *pipeline, const char *stage,
                                             const double *values, int32_t n);
/* Puts a CPU picture {c, h, w} (the result is row-major) or a batch {n, c, h, w} (the result is
 * channels-last) through all stages. */
MASCON_API mascon_status mascon_pipeline_apply(const mascon_pipeline *pipeline,
                                               const mascon_tensor *x, mascon_tensor **out);

/* ---- Loaders ----------------------------------------------------------------------------- */

/* order becomes a permutation of 0..n-1 that depends on seed, epoch and n alone. */
MASCON_API void mascon_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t *order);

/* Batches of batch_size rows. pipeline may be NULL. workers threads make batches ahead of the
 * reader, at most workers * prefetch of them; with 0 the reader makes each batch itself. Batches do
 * not depend on either number. */
MASCON_API mascon_status mascon_loader_new(mascon_loader **out, mascon_source *source,
                                           mascon_pipeline *pipeline, int64_t batch_size,
                                           int32_t drop_last, int32_t workers, int32_t prefetch);
/* Ends the epoch in progress and begins one over the n rows in order (copied) with batch number
 * first (counted from 0). */
MASCON_API mascon_status mascon_loader_begin(mascon_loader *loader, const int64_t *order, int64_t n,
                                             int64_t first);
/* The next batch: one owned tensor per field in out (room for 8) and their number in *n; *n is 0 at
 * the end of the epoch. Pictures {n, c, h, w} are channels-last. timeout in seconds, 0: none.
 * MASCON_E_INTERRUPTED within 100 ms of mascon_interrupt(); the call may then be repeated. */
MASCON_API mascon_status mascon_loader_next(mascon_loader *loader, double timeout,
                                            mascon_tensor **out, int32_t *n);
/* Ends the epoch and its threads. */
MASCON_API void mascon_loader_stop(mascon_loader *loader);
/* Seconds that mascon_loader_next took in this epoch. */
MASCON_API double mascon_loader_waited(const mascon_loader *loader);
/* Ends the threads, too. NULL is allowed. */
MASCON_API void mascon_loader_release(mascon_loader *loader);

/* ---- Files ------------------------------------------------------------------------------- */

/* The MD5 of a file as 32 hexadecimal digits and a zero byte. */
MASCON_API mascon_status mascon_file_md5(const char *path, char text[33]);
/* Fetches url with the program curl to path (by a temporary name beside it) where its MD5 is md5.
 * Makes the last folder of path where it is missing. */
MASCON_API mascon_status mascon_download(const char *url, const char *path, const char *md5);
/* Unpacks the data files of an official CIFAR-10 archive into its folder below root. */
MASCON_API mascon_status mascon_cifar10_unpack(const char *archive, const char *root);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

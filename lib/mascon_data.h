/* mascon_data.h: data sets in memory and in files, picture stages, batches, and pictures as files.
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

/* ---- Pictures in files ------------------------------------------------------------------- */

/* JPEG and PNG, told apart by content. Gray pictures have one channel, colours three, and PNG may
 * add one for alpha; 16 bits become 8. The orientation that a camera notes is not applied unless it
 * is asked for (JPEG only). */
typedef struct mascon_image_options {
    int64_t max_pixels;  /* width * height may not be more; checked before memory is taken */
    int32_t channels;    /* 0: as in the file; 3: gray is repeated, alpha is dropped */
    int32_t lenient;     /* a JPEG with missing or wrong data is read as far as it goes */
    int32_t orientation; /* apply the orientation of EXIF */
} mascon_image_options;

enum { MASCON_IMAGE_JPEG = 0, MASCON_IMAGE_PNG };

/* A fresh uint8 tensor {c, h, w}. *damaged becomes 1 where data was missing or wrong (lenient). */
MASCON_API mascon_status mascon_image_decode(const void *data, int64_t size,
                                             const mascon_image_options *options,
                                             mascon_tensor **out, int32_t *damaged);
MASCON_API mascon_status mascon_image_read(const char *path, const mascon_image_options *options,
                                           mascon_tensor **out, int32_t *damaged);
/* Writes a uint8 tensor {c, h, w}; quality (1..100) is for JPEG. */
MASCON_API mascon_status mascon_image_write(const char *path, const mascon_tensor *x,
                                            int32_t format, int32_t quality);
/* The name and version of the library behind a MASCON_IMAGE_* format. */
MASCON_API const char *mascon_image_library(int32_t format);

/* ---- Types ------------------------------------------------------------------------------- */

typedef struct mascon_source mascon_source;
typedef struct mascon_pipeline mascon_pipeline;
typedef struct mascon_loader mascon_loader;
typedef struct mascon_upload mascon_upload;
typedef struct mascon_resident mascon_resident;

/* ---- Sources ----------------------------------------------------------------------------- */

/* The training (or test) pictures of CIFAR-10. root is the folder cifar-10-batches-bin or
 * cifar-10-batches-py, or the folder that holds one of them or an official archive of one. With
 * partial, files may be missing or hold fewer pictures. Labels are 0..9. */
MASCON_API mascon_status mascon_source_cifar10(mascon_source **out, const char *root, int32_t train,
                                               int32_t partial);
/* As above for CIFAR-100: folders cifar-100-binary or cifar-100-python. Labels are the fine ones,
 * 0..99. */
MASCON_API mascon_status mascon_source_cifar100(mascon_source **out, const char *root,
                                                int32_t train, int32_t partial);
/* Pictures {1, height, width} and labels 0..9 of idx files named as those of MNIST, plain or as .gz,
 * in one of root, root/raw, root/<name>/raw. */
MASCON_API mascon_status mascon_source_mnist(mascon_source **out, const char *root,
                                             const char *name, int32_t train);
/* Pictures in files: one folder below root for each class, in the order of their names. Files whose
 * names end in .jpg, .jpeg or .png are decoded when they are asked for, to three channels. */
MASCON_API mascon_status mascon_source_folder(mascon_source **out, const char *root,
                                              const mascon_image_options *options);
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
/* The name of the file that row i is read from, relative to the root; NULL where rows are in memory.
 * Borrowed. */
MASCON_API const char *mascon_source_file(const mascon_source *source, int64_t row);
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
 *   "convert"    values: a MASCON_DTYPE_*, float32 or uint8
 * The rest does with uint8 pictures what torchvision does with those of Pillow. Pixels that pad, crop,
 * flip or erase touch may be float32, too. A colour is one value for all channels or one for each.
 *   "resize"     height, width (or the shorter side and -1), interpolation (0 nearest, 1 bilinear,
 *                2 bicubic), antialias, longest allowed side (0: any)
 *   "pad"        left, top, right, bottom, mode (0 constant, 1 edge, 2 reflect, 3 symmetric), colour
 *   "center_crop"  height, width
 *   "grayscale"  channels of the result
 * These draw random numbers:
 *   "random_crop"  height, width, the values of "pad" up to mode, whether to pad what is too small,
 *                colour
 *   "hflip", "vflip"  probability
 *   "random_resized_crop"  height, width, interpolation, antialias, scale (2), ratio (2)
 *   "rotation"   degrees (2), interpolation (0 or 1), colour
 *   "color_jitter"  ranges (2 each) of brightness, contrast, saturation and hue
 *   "erasing"    probability, scale (2), ratio (2), whether values are normal numbers, colour */
MASCON_API mascon_status mascon_pipeline_add(mascon_pipeline *pipeline, const char *stage,
                                             const double *values, int32_t n);
/* The number of its stages that draw random numbers. */
MASCON_API int32_t mascon_pipeline_random(const mascon_pipeline *pipeline);

/* What random numbers depend on: equal values give equal pictures. */
typedef struct mascon_draw {
    uint64_t seed, epoch;
    const int64_t *rows; /* the number of each picture of a batch; NULL: 0, 1, 2 ... */
    int32_t stage;       /* random stages that the pictures passed before */
} mascon_draw;

/* Puts a CPU picture {c, h, w} (the result is row-major) or a batch {n, c, h, w} (the result is
 * channels-last) through all stages. */
MASCON_API mascon_status mascon_pipeline_apply(const mascon_pipeline *pipeline,
                                               const mascon_tensor *x, mascon_tensor **out);
/* As above with random numbers from draw (mascon_pipeline_apply takes zeros). */
MASCON_API mascon_status mascon_pipeline_draw(const mascon_pipeline *pipeline,
                                              const mascon_tensor *x, const mascon_draw *draw,
                                              mascon_tensor **out);

/* ---- Loaders ----------------------------------------------------------------------------- */

/* order becomes a permutation of 0..n-1 that depends on seed, epoch and n alone. */
MASCON_API void mascon_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t *order);

/* Batches of batch_size rows. pipeline may be NULL. workers threads make batches ahead of the
 * reader, at most workers * prefetch of them; with 0 the reader makes each batch itself. Batches do
 * not depend on either number. */
MASCON_API mascon_status mascon_loader_new(mascon_loader **out, mascon_source *source,
                                           mascon_pipeline *pipeline, int64_t batch_size,
                                           int32_t drop_last, int32_t workers, int32_t prefetch);
/* Random stages draw from these from the next epoch on (0 and 0 before): the numbers of a row depend
 * on seed, epoch and the row. */
MASCON_API void mascon_loader_seed(mascon_loader *loader, uint64_t seed, uint64_t epoch);
/* Whether a row whose file cannot be read is left out of its batch instead of failing it. */
MASCON_API void mascon_loader_skip(mascon_loader *loader, int32_t skip);
/* Whether batches lie in page-locked memory, which a GPU copies from beside its computing. Ignored where
 * there is no CUDA device. */
MASCON_API void mascon_loader_pin(mascon_loader *loader, int32_t pin);
/* The number of the next batch of the epoch. */
MASCON_API int64_t mascon_loader_position(const mascon_loader *loader);
/* The rows that were left out of the batches read so far in this epoch, and why. Borrowed until the
 * next call. NULL past the last one. */
MASCON_API const char *mascon_loader_skipped(const mascon_loader *loader, int64_t i, int64_t *row);
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

/* ---- Uploads ----------------------------------------------------------------------------- */

/* A copy of a CPU tensor in page-locked memory; where there is no CUDA device, t itself (retained). */
MASCON_API mascon_status mascon_tensor_pin(mascon_tensor *t, mascon_tensor **out);
/* Begins to copy n (1..8) CPU tensors to a CUDA device while it computes on: dst are the tensors there,
 * owned, which must not be used before mascon_upload_use. Sources should be page-locked; others are
 * copied to such memory first. */
MASCON_API mascon_status mascon_upload_new(mascon_upload **out, mascon_tensor *const *src,
                                           int32_t n, int32_t device, mascon_tensor **dst);
/* What the device is given from now on waits for the copies; the caller does not. */
MASCON_API mascon_status mascon_upload_use(mascon_upload *upload);
/* Waits until the copies are done and lets their sources go. NULL is allowed. */
MASCON_API void mascon_upload_release(mascon_upload *upload);

/* ---- Pictures on a device ---------------------------------------------------------------- */

/* Batches of uint8 pictures and int64 labels that lie on a device and are gathered, cropped, flipped and
 * mapped there, in one kernel for a batch. They have the values of a loader's batches. */
/* Copies the source's pictures and labels to the device. Fails where its rows are something else, or lie
 * in files. */
MASCON_API mascon_status mascon_resident_new(mascon_resident **out, mascon_source *source,
                                             int32_t device);
/* Begins an epoch: as mascon_loader_begin with mascon_loader_seed. pipeline may be NULL; it may crop, flip
 * and border by one colour before it maps values, and do nothing else. */
MASCON_API mascon_status mascon_resident_begin(mascon_resident *resident, mascon_pipeline *pipeline,
                                               uint64_t seed, uint64_t epoch, const int64_t *order,
                                               int64_t n);
/* The pictures and labels of rows first.. of the epoch, at most count; out has room for 2. Fails where
 * there is none. */
MASCON_API mascon_status mascon_resident_batch(mascon_resident *resident, int64_t first,
                                               int64_t count, mascon_tensor **out);
/* NULL is allowed. */
MASCON_API void mascon_resident_release(mascon_resident *resident);

/* ---- Files ------------------------------------------------------------------------------- */

/* The MD5 of a file as 32 hexadecimal digits and a zero byte. */
MASCON_API mascon_status mascon_file_md5(const char *path, char text[33]);
/* Fetches url with the program curl to path (by a temporary name beside it) where its MD5 is md5.
 * Makes the last folder of path where it is missing. */
MASCON_API mascon_status mascon_download(const char *url, const char *path, const char *md5);
/* The same for a file whose SHA-256 begins with these hexadecimal digits. */
MASCON_API mascon_status mascon_download_sha256(const char *url, const char *path,
                                                const char *prefix);
/* Unpacks the data files of an official CIFAR-10 (CIFAR-100) archive into its folder below root. */
MASCON_API mascon_status mascon_cifar10_unpack(const char *archive, const char *root);
MASCON_API mascon_status mascon_cifar100_unpack(const char *archive, const char *root);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

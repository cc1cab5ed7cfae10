/* mascon_io.h: reading and writing tensor files from C. The conventions are those of mascon.h.
 *
 * A reader checks a whole file when it is opened (names, shapes, ranges) and reads tensors one by one
 * afterwards. A writer collects tensors and texts and makes the file in one step: a temporary file
 * beside the target that is renamed over it once it is on the disk, so that the target is always
 * either the old file or the new one.
 * Neither may be used by two threads at once.
 *
 * The part between [ffi] and [/ffi] is given to ffi.cdef after that of mascon.h.
 */
#ifndef MASCON_IO_H
#define MASCON_IO_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* [ffi] */

/* ---- Limits ------------------------------------------------------------------------------ */

typedef struct mascon_limits mascon_limits;

/* The default limits of the readers, to be changed one by one. */
MASCON_API mascon_status mascon_limits_new(mascon_limits **out);
/* name is "total_bytes", "meta_bytes", "header_bytes", "tensors" and so on (the message about a
 * passed limit names it); value a whole number from 0 to 2^53. */
MASCON_API mascon_status mascon_limits_set(mascon_limits *limits, const char *name, double value);
/* NULL is allowed. */
MASCON_API void mascon_limits_release(mascon_limits *limits);

/* ---- What a file is ---------------------------------------------------------------------- */

enum {
    MASCON_FILE_SAFETENSORS = 0,
    MASCON_FILE_PYTORCH_ZIP,    /* torch.save since 1.6 */
    MASCON_FILE_PYTORCH_STREAM, /* 0.2 to 1.5 */
    MASCON_FILE_PYTORCH_TAR     /* 0.1 */
};

/* Tells the format by the first bytes, never by the name. Fails with a sentence and a hint where it
 * is none of them (a pointer of git-lfs, a page saved by a browser, an empty file ...). */
MASCON_API mascon_status mascon_file_detect(const char *path, int32_t *format);

/* ---- Reading safetensors ----------------------------------------------------------------- */

typedef struct mascon_reader mascon_reader;

/* Opens and checks a safetensors file. limits may be NULL. */
MASCON_API mascon_status mascon_reader_open(mascon_reader **out, const char *path,
                                            const mascon_limits *limits);
/* Closes the file. NULL is allowed. */
MASCON_API void mascon_reader_close(mascon_reader *r);
/* Tensors, in the order of the header. */
MASCON_API int64_t mascon_reader_count(const mascon_reader *r);
/* Borrowed, like all texts of a reader; NULL out of range. */
MASCON_API const char *mascon_reader_name(const mascon_reader *r, int64_t i);
/* The position of a name, or -1. */
MASCON_API int64_t mascon_reader_find(const mascon_reader *r, const char *name);
/* As the file calls it: "F32", "BF16" ...; NULL out of range. */
MASCON_API const char *mascon_reader_dtype_text(const mascon_reader *r, int64_t i);
/* The MASCON_DTYPE_*, or -1 for a type that mascon cannot hold. */
MASCON_API int32_t mascon_reader_dtype(const mascon_reader *r, int64_t i);
MASCON_API int32_t mascon_reader_ndim(const mascon_reader *r, int64_t i);
MASCON_API const int64_t *mascon_reader_shape(const mascon_reader *r, int64_t i);
/* Reads one tensor into new row-major CPU memory. MASCON_E_UNSUPPORTED, naming tensor and type,
 * where mascon_reader_dtype is -1. */
MASCON_API mascon_status mascon_reader_tensor(mascon_reader *r, int64_t i, mascon_tensor **out);
/* The bytes of a U8 tensor, read once and kept until the reader is closed. */
MASCON_API mascon_status mascon_reader_bytes(mascon_reader *r, int64_t i, const char **data,
                                             int64_t *size);
/* The entries of __metadata__, in the order of the file. */
MASCON_API int64_t mascon_reader_metadata_count(const mascon_reader *r);
/* NULL out of range; *size (NULL: not wanted) gets the length in bytes. */
MASCON_API const char *mascon_reader_metadata_key(const mascon_reader *r, int64_t i, int64_t *size);
MASCON_API const char *mascon_reader_metadata_text(const mascon_reader *r, int64_t i,
                                                   int64_t *size);
/* The text of a key; NULL where there is none. */
MASCON_API const char *mascon_reader_metadata(const mascon_reader *r, const char *key,
                                              int64_t *size);

/* Check sums that mascon wrote beside the tensors are compared while these are read, unless on is 0. */
MASCON_API void mascon_reader_verify(mascon_reader *r, int32_t on);
/* 1 where the file carries check sums. */
MASCON_API int32_t mascon_reader_has_sums(const mascon_reader *r);

/* ---- Reading PyTorch's files ------------------------------------------------------------- */

typedef struct mascon_torch mascon_torch;

enum {
    MASCON_TORCH_SKIP_UNKNOWN = 1,   /* Python objects become MASCON_NODE_SKIPPED, not an error */
    MASCON_TORCH_NO_VERIFY = 2,      /* check sums are not looked at */
    MASCON_TORCH_ALLOW_EXPANDED = 4, /* tensors with more elements than their storage */
    MASCON_TORCH_LENIENT_TAIL = 8    /* bytes behind the end of the file's contents */
};

/* Opens and checks a file of torch.save, in any of its three formats. limits may be NULL. No code of
 * the file runs. */
MASCON_API mascon_status mascon_torch_open(mascon_torch **out, const char *path,
                                           const mascon_limits *limits, int32_t flags);
/* Closes the file. NULL is allowed. */
MASCON_API void mascon_torch_close(mascon_torch *t);
/* A MASCON_FILE_PYTORCH_*. */
MASCON_API int32_t mascon_torch_format(const mascon_torch *t);

enum {
    MASCON_NODE_END = 0, /* the value is complete */
    MASCON_NODE_NONE,
    MASCON_NODE_BOOL,   /* number */
    MASCON_NODE_NUMBER, /* number */
    MASCON_NODE_TEXT,   /* text, size */
    MASCON_NODE_TENSOR, /* count: its number for mascon_torch_tensor */
    MASCON_NODE_LIST,   /* count nodes follow */
    MASCON_NODE_DICT,   /* count pairs of nodes follow; a key is TEXT, NUMBER or SAME */
    MASCON_NODE_SAME,   /* count: which of the numbered nodes this is again */
    MASCON_NODE_SKIPPED /* text, size: what it is, as part of a sentence */
};

/* A piece of the file's value. LIST, DICT and long TEXT nodes are numbered from 1 as they come
 * (numbered is that number, else 0), so that shared ones stay shared. */
typedef struct mascon_node {
    int32_t kind;
    int32_t numbered;
    int64_t count;
    double number;
    const char *text;
    int64_t size;
} mascon_node;

/* The next piece of the value, outside before inside. Borrowed texts live as long as t. */
MASCON_API mascon_status mascon_torch_next(mascon_torch *t, mascon_node *out);
/* Reads a tensor into new row-major CPU memory. */
MASCON_API mascon_status mascon_torch_tensor(mascon_torch *t, int64_t i, mascon_tensor **out);
/* Members of the file that its value does not use; NULL out of range. Borrowed. */
MASCON_API const char *mascon_torch_unused(const mascon_torch *t, int64_t i);

/* The row-major position (from 0) of the first element of a CPU tensor that is NaN or infinite; -1
 * where there is none. */
MASCON_API int64_t mascon_tensor_find_nonfinite(const mascon_tensor *t);

/* ---- Writing safetensors ----------------------------------------------------------------- */

typedef struct mascon_writer mascon_writer;

enum { MASCON_WRITER_VERIFY = 1 /* read the header back and check it before the rename */ };

/* Begins a file. Nothing is written yet, but fails where the folder does not exist or the target is
 * no regular file. */
MASCON_API mascon_status mascon_writer_begin(mascon_writer **out, const char *path);
/* Ends without a file. After mascon_writer_finish too: frees the writer. NULL is allowed. */
MASCON_API void mascon_writer_release(mascon_writer *w);
/* Adds an entry of __metadata__. Both are copied; valid UTF-8, each key once. */
MASCON_API mascon_status mascon_writer_metadata(mascon_writer *w, const char *key, const char *text,
                                                int64_t size);
/* Adds a CPU tensor with any strides; it is retained and must not be changed before the end. name is
 * copied: 1 to 512 bytes of UTF-8 without control characters, each once. Where t is a copy of a
 * tensor elsewhere, origin is that one (retained), for mascon_writer_find; else NULL. Two tensors
 * that share memory are refused by mascon_writer_finish. */
MASCON_API mascon_status mascon_writer_add(mascon_writer *w, const char *name, mascon_tensor *t,
                                           mascon_tensor *origin);
/* Adds a U8 tensor with these bytes, which are copied. */
MASCON_API mascon_status mascon_writer_add_bytes(mascon_writer *w, const char *name,
                                                 const char *data, int64_t size);
/* The name under which the very same elements (memory, type, shape, strides) were added, or NULL.
 * Borrowed until the next add. */
MASCON_API const char *mascon_writer_find(const mascon_writer *w, const mascon_tensor *t);
/* Writes the file and puts it in place of the old one. A check sum of each tensor goes into the
 * metadata, under "mascon.crc32c", where it fits. */
MASCON_API mascon_status mascon_writer_finish(mascon_writer *w, int32_t flags);

/* ---- Older files beside a checkpoint ----------------------------------------------------- */

/* Gives the file at path a second name, "path.0001" with the next free number, under which it stays
 * when path is replaced. Nothing where there is no file or its newest number is that of this file. */
MASCON_API mascon_status mascon_checkpoint_number(const char *path);
/* Removes the numbered files of path but for the `keep` newest. */
MASCON_API mascon_status mascon_checkpoint_prune(const char *path, int64_t keep);
/* Removes temporary files of writers from a folder: those of processes that are gone and older than
 * an hour. *removed gets their number. */
MASCON_API mascon_status mascon_checkpoint_clean(const char *folder, int64_t *removed);

/* ---- Digests ----------------------------------------------------------------------------- */

/* The SHA-256 of bytes and tensors, added one after the other. */
typedef struct mascon_digest mascon_digest;

MASCON_API mascon_status mascon_digest_new(mascon_digest **out);
/* NULL is allowed. */
MASCON_API void mascon_digest_release(mascon_digest *d);
MASCON_API void mascon_digest_add(mascon_digest *d, const void *data, int64_t size);
/* Adds dtype, shape and elements of a row-major CPU tensor (MASCON_E_LAYOUT for others). */
MASCON_API mascon_status mascon_digest_tensor(mascon_digest *d, const mascon_tensor *t);
/* 64 hexadecimal digits and a zero byte, of what was added so far. */
MASCON_API void mascon_digest_text(const mascon_digest *d, char text[65]);
/* The SHA-256 of a file. */
MASCON_API mascon_status mascon_file_sha256(const char *path, char text[65]);

/* [/ffi] */

#ifdef __cplusplus
}
#endif

#endif

/* torch.h: what the reader of PyTorch's three containers is made of. torch.c opens a file, hands out
 * its value and reads its tensors; torch_zip.c, torch_stream.c and torch_tar.c take the containers
 * apart; pickle_torch.c is the profile of the pickle inside.
 *
 * Invariants after opening: every tensor lies inside of its storage, and every storage inside of the
 * file; the bytes of all tensors are within limits.total_bytes. Storages and tensors live in the
 * reader's arena, the value in the pickle's.
 */
#ifndef MASCON_IO_TORCH_H
#define MASCON_IO_TORCH_H

#include "io/io.h"

/* PyTorch's element types, in the order of its names here. */
typedef struct masconI_torch_type {
    const char *name; /* "float32" */
    int32_t dtype;    /* MASCON_DTYPE_*, or -1: cannot be held */
    uint32_t size;    /* of an element */
} masconI_torch_type;

extern const masconI_torch_type masconI_torch_types[];
enum { MASCON_TORCH_UINT8 = 0, MASCON_TORCH_TYPE_COUNT = 24 }; /* uint8: untyped storages too */

typedef struct masconI_torch_storage {
    const unsigned char *key; /* of tar: the 8 bytes of a number */
    uint64_t key_size;
    uint64_t numel, bytes;
    uint64_t at; /* of its data in the file */
    int32_t type;
    int32_t placed;  /* at is known */
    int32_t has_sum; /* sum is the check sum it must have */
    int32_t checked; /* and had */
    uint32_t sum;
} masconI_torch_storage;

/* What a persistent id stands for: a storage or a part of one. */
typedef struct masconI_torch_part {
    masconI_torch_storage *of;
    uint64_t offset, numel; /* in elements of the storage's type */
} masconI_torch_part;

typedef struct masconI_torch_tensor {
    masconI_torch_storage *of;
    uint64_t offset, numel, last; /* elements of type from the storage's begin; last: the highest */
    int32_t type, ndim;
    int32_t contiguous;
    int64_t index;        /* of the tensor that stands for this one, in the reader's list */
    const int64_t *shape; /* the strides follow */
} masconI_torch_tensor;

typedef struct masconI_zip masconI_zip;

struct mascon_torch {
    masconI_file *file;
    masconI_limits limits;
    int32_t format, flags;
    masconI_arena arena;
    masconI_names keys; /* of storages, in the order of the list */
    masconI_torch_storage **storages;
    uint64_t n_storages, storages_capacity;
    masconI_torch_tensor **tensors; /* in the order of the pickle */
    uint64_t n_tensors, tensors_capacity;
    masconI_names tensor_keys;          /* of tar: numbers, in the order of the list */
    masconI_torch_tensor **tar_tensors; /* the tensors by these */
    uint64_t n_tar_tensors;
    const char **unused; /* members that nothing refers to */
    uint64_t n_unused;
    masconI_zip *zip;
    unsigned char *buffer; /* the pickle runs in it, and its strings point there */
    masconI_pickle *pickle;
    struct masconI_torch_walk *walk;
};

/* ---- Containers: each fills storages, buffer and pickle ---- */

mascon_status masconI_torch_open_zip(mascon_torch *t);
mascon_status masconI_torch_open_stream(mascon_torch *t);
mascon_status masconI_torch_open_tar(mascon_torch *t);

/* torch_zip.c: the directory of a zip archive. */
typedef struct masconI_zip_entry {
    const char *name;         /* whole, zero-terminated */
    uint64_t name_size, rest; /* rest: where the name goes on behind the prefix and its slash */
    uint64_t header, at, size;
    uint32_t sum;
    int32_t flags, used;
} masconI_zip_entry;

mascon_status masconI_zip_open(masconI_zip **out, const masconI_file *f,
                               const masconI_limits *limits, int lenient);
/* The entry "prefix/name", or NULL. */
masconI_zip_entry *masconI_zip_find(masconI_zip *z, const char *name, uint64_t size);
uint64_t masconI_zip_count(const masconI_zip *z);
masconI_zip_entry *masconI_zip_entry_at(masconI_zip *z, uint64_t i);
void masconI_zip_free(masconI_zip *z);

/* ---- Services (torch.c) ---- */

/* Parses the pickle at offset, which has at most `most` bytes; the window that is read grows until it
 * holds the pickle. *buffer is freed by the caller after the machine. *end: behind STOP. */
mascon_status masconI_torch_pickle(mascon_torch *t, const masconI_pickle_profile *profile,
                                   uint64_t offset, uint64_t most, masconI_pickle **out,
                                   unsigned char **buffer, uint64_t *end);
/* The storage of a key, made where it is new (then *is_new is 1 and the key is copied). The same key
 * must come with the same type and size. where: offset for messages. */
mascon_status masconI_torch_storage_get(mascon_torch *t, const void *key, uint64_t key_size,
                                        int32_t type, uint64_t numel, uint64_t where,
                                        masconI_torch_storage **out, int *is_new);
/* A checked tensor over part, or a failure of rules T1 to T7; name is for messages, in quotes or "".
 * shape and stride have ndim numbers each. */
mascon_status masconI_torch_tensor_new(mascon_torch *t, const masconI_torch_part *part,
                                       int32_t type, int64_t offset, int32_t ndim,
                                       const int64_t *shape, const int64_t *stride,
                                       const char *name, uint64_t where,
                                       masconI_torch_tensor **out);
/* Doubles an array of 8-byte elements where count fills it. */
mascon_status masconI_torch_grow(mascon_torch *t, void *array, uint64_t count, uint64_t *capacity);
/* Forgets storages and tensors. */
void masconI_torch_reset(mascon_torch *t);

extern const masconI_pickle_profile masconI_pickle_torch;
typedef enum masconI_torch_class {
    MASCON_TORCH_STORAGE = 0, /* torch.FloatStorage */
    MASCON_TORCH_TENSOR,      /* torch.FloatTensor */
    MASCON_TORCH_DTYPE        /* torch.float32 */
} masconI_torch_class;

/* The element type that a GLOBAL names; -1 for other values and classes. */
int32_t masconI_torch_type_of(const masconI_pickle_value *v, masconI_torch_class class);

#endif

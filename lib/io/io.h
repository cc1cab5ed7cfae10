/* io.h: what the files of lib/io offer each other and lib/data. Nobody else includes it.
 *
 * Rules that hold for every reader here
 *   - A file is hostile until checked: no code from it runs, no second file is opened, nothing is
 *     written, memory is in proportion to its size, and the end is a value or a sentence.
 *   - Every number from a file is uint64_t and goes through checked arithmetic before it is used.
 *   - A failure has called masconI_fail; the sentence begins with the path and names the offset.
 *   - No recursion over what a file nests.
 */
#ifndef MASCON_IO_IO_H
#define MASCON_IO_IO_H

#include <stddef.h>
#include <stdint.h>

#include "mascon.h"
#include "mascon_backend.h"
#include "mascon_io.h"

/* ---- Limits (file.c): one field per limit, named in the message when it is passed ---- */

typedef struct masconI_limits {
    uint64_t total_bytes;    /* tensors of one load; 0: the size of the file */
    uint64_t meta_bytes;     /* tables made while a file is checked */
    uint64_t header_bytes;   /* safetensors header */
    uint64_t metadata_bytes; /* keys and texts of __metadata__ */
    uint64_t tensors;        /* tensors of one file */
    uint64_t entries;        /* members of an archive */
    uint64_t string_bytes;   /* one string */
    uint64_t pickle_bytes;   /* one pickle */
    uint64_t opcodes;        /* opcodes of one pickle */
    uint64_t stack;          /* values on the pickle stack */
    uint64_t marks;          /* open marks of a pickle */
    uint64_t memo;           /* memo slots of a pickle */
    uint64_t archive_bytes;  /* an unpacked archive */
} masconI_limits;

/* The defaults. Never NULL. */
const masconI_limits *masconI_limits_default(void);
/* The struct inside of the public object; the defaults for NULL. */
const masconI_limits *masconI_limits_of(const mascon_limits *limits);

/* ---- Sentences (file.c) ---- */

#define MASCON_IO_NOWHERE UINT64_MAX /* as offset: the sentence names none */

/* "path: what (at byte offset)". Returns code. */
mascon_status masconI_io_fail_at(const char *file, int line, mascon_status code, const char *path,
                                 uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
#define masconI_io_fail(code, path, offset, ...) \
    masconI_io_fail_at(__FILE__, __LINE__, code, path, offset, __VA_ARGS__)
/* "path: ... exceeds the limit <name> (<value>)". Returns MASCON_E_LIMIT. */
mascon_status masconI_limit_fail(const char *path, uint64_t offset, const char *what,
                                 uint64_t found, const char *name, uint64_t limit);
mascon_status masconI_oom(const char *path, uint64_t bytes);

enum { MASCON_IO_QUOTE = 272 };
/* Text of a file for a message: in quotes, bytes that are not printable ASCII as \xNN, cut at 64
 * bytes. Returns out. */
const char *masconI_quote(char out[MASCON_IO_QUOTE], const void *text, uint64_t size);
/* 30730000 -> "30,730,000". Returns out. */
const char *masconI_count(char out[32], uint64_t n);

/* ---- Files (file.c) ---- */

/* A regular file open for reading. Its size is the one it had when opened. */
typedef struct masconI_file {
    char *path; /* as the user wrote it */
    uint64_t size;
    int fd;
} masconI_file;

mascon_status masconI_file_open(masconI_file **out, const char *path);
/* Exactly size bytes at offset. MASCON_E_FORMAT where the file ends before. */
mascon_status masconI_file_read(const masconI_file *f, uint64_t offset, void *to, size_t size);
/* The whole file in memory that the caller frees; MASCON_E_LIMIT where it has more than limit bytes.
 * The block has one zero byte behind its end. */
mascon_status masconI_file_read_all(const masconI_file *f, uint64_t limit, unsigned char **out);
void masconI_file_close(masconI_file *f);

/* ---- Check sums (crc.c) ---- */

typedef enum masconI_crc {
    MASCON_CRC32 = 0, /* of zip */
    MASCON_CRC32C     /* of our checkpoints */
} masconI_crc;

/* The sum of what sum was made of, followed by data. It begins with 0. */
uint32_t masconI_crc_extend(masconI_crc kind, uint32_t sum, const void *data, uint64_t size);
/* The same with vectors of at most width bytes (0: none), for tests. */
uint32_t masconI_crc_extend_width(masconI_crc kind, uint32_t sum, const void *data, uint64_t size,
                                  int width);
/* masconI_file_read that extends *sum on the way, and the same without keeping the bytes. */
mascon_status masconI_file_read_sum(const masconI_file *f, uint64_t offset, void *to, uint64_t size,
                                    masconI_crc kind, uint32_t *sum);
mascon_status masconI_file_sum(const masconI_file *f, uint64_t offset, uint64_t size,
                               masconI_crc kind, uint32_t *sum);

/* ---- Digests (sha256.c) ---- */

/* Tests only: without the processor's instructions where on is not 0. */
void masconI_sha256_plain(int on);

/* ---- Bytes (bytes.c) ---- */

/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
int masconI_utf8_valid(const void *text, uint64_t size);

/* A set of byte strings, borrowed, for duplicate checks. Hashed with a secret of the process, so a
 * file cannot choose colliding names. Zeroed is empty. */
typedef struct masconI_names {
    struct masconI_name {
        const void *text;
        uint64_t size;
        uint64_t hash;
        uint64_t index; /* how many were there before */
    } * slot;
    uint64_t capacity, count;
} masconI_names;

/* 1: added; 0: was there; -1: out of memory. */
int masconI_names_add(masconI_names *set, const void *text, uint64_t size);
/* How many names were added before this one, or -1 where it is not in the set. */
int64_t masconI_names_find(const masconI_names *set, const void *text, uint64_t size);
void masconI_names_free(masconI_names *set);

/* Memory that is freed all at once, up to a limit (meta_bytes). Zeroed blocks, 8-byte aligned. */
typedef struct masconI_arena {
    struct masconI_block *block;
    uint64_t used, limit;
    const char *path; /* for messages */
} masconI_arena;

/* NULL after masconI_fail: the limit, or out of memory. */
void *masconI_arena_get(masconI_arena *arena, uint64_t size);
void masconI_arena_free(masconI_arena *arena);

/* ---- safetensors (safetensors.c) ---- */

/* The key of __metadata__ under which our writer leaves check sums. */
#define MASCON_IO_SUMS "mascon.crc32c"

/* The name that the format has for a MASCON_DTYPE_*. */
const char *masconI_safetensors_dtype(int32_t dtype);
/* 1 where a tensor may have this name: 1 to 512 bytes of UTF-8 without control characters. */
int masconI_safetensors_name_ok(const char *name, uint64_t size);

/* ---- JSON (json.c): the strings, whole numbers, objects and arrays that safetensors needs ---- */

/* A cursor over text that strings are decoded into (in place, decoded is never longer). */
typedef struct masconI_json {
    unsigned char *text;
    uint64_t size, at;
    uint64_t base;    /* offset of text in the file */
    const char *path; /* for messages */
} masconI_json;

/* The next byte that is not a space, or 0 at the end; moves there. */
int masconI_json_peek(masconI_json *j);
/* Takes the next byte, which must be this one. */
mascon_status masconI_json_take(masconI_json *j, char expected);
/* After a value: 1 for ',', 0 for the closing byte; anything else fails. */
mascon_status masconI_json_more(masconI_json *j, char closing, int *more);
mascon_status masconI_json_string(masconI_json *j, const char **text, uint64_t *size);
/* 0 .. 2^63-1, no sign, fraction, exponent or leading zero. */
mascon_status masconI_json_number(masconI_json *j, uint64_t *out);

/* Text that grows. failed stays 1 after an allocation failure; ask once at the end. */
typedef struct masconI_text {
    char *data; /* zero-terminated once something was added */
    uint64_t size, capacity;
    int failed;
} masconI_text;

void masconI_text_add(masconI_text *t, const void *data, uint64_t size);
void masconI_text_format(masconI_text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds a JSON string with its quotes; text is valid UTF-8. */
void masconI_text_json(masconI_text *t, const void *text, uint64_t size);
void masconI_text_free(masconI_text *t);

/* ---- Pickles (pickle.c; profiles in pickle_cifar.c) ---- */

typedef enum masconI_pickle_kind {
    MASCON_PICKLE_NONE = 0,
    MASCON_PICKLE_BOOL,    /* integer */
    MASCON_PICKLE_INT,     /* integer */
    MASCON_PICKLE_FLOAT,   /* real */
    MASCON_PICKLE_STR,     /* text, UTF-8 */
    MASCON_PICKLE_BYTES,   /* text: also every string of a Python 2 file */
    MASCON_PICKLE_TUPLE,   /* list */
    MASCON_PICKLE_LIST,    /* list */
    MASCON_PICKLE_DICT,    /* list: key, value, key, value ... in order of insertion */
    MASCON_PICKLE_GLOBAL,  /* global */
    MASCON_PICKLE_STORAGE, /* object, made by the profile's persistent hook */
    MASCON_PICKLE_TENSOR,  /* object */
    MASCON_PICKLE_DTYPE,   /* integer: a MASCON_DTYPE_*, -1 until its state was set */
    MASCON_PICKLE_NDARRAY, /* array; rows is 0 where its content was never set */
    MASCON_PICKLE_OPAQUE,  /* something skipped; text: "module\nname" of its class */
    MASCON_PICKLE_KIND_COUNT
} masconI_pickle_kind;

typedef struct masconI_pickle masconI_pickle;
typedef struct masconI_pickle_value masconI_pickle_value;
typedef struct masconI_pickle_global masconI_pickle_global;
typedef struct masconI_pickle_profile masconI_pickle_profile;

/* Lives in the machine's arena. Read it directly after looking at kind. */
struct masconI_pickle_value {
    masconI_pickle_kind kind;
    uint32_t mark;   /* for walkers: 0 after parsing */
    uint64_t offset; /* in the file, of the opcode that made it */
    union {
        int64_t integer;
        double real;
        struct {
            const unsigned char *data; /* into the buffer that was parsed */
            uint64_t size;
        } text;
        struct {
            masconI_pickle_value **item;
            uint64_t count, capacity; /* of a DICT: keys plus values */
            masconI_names *keys;      /* of a DICT */
        } list;
        const masconI_pickle_global *global;
        struct {
            const unsigned char *data; /* into the buffer that was parsed */
            uint64_t rows, columns;    /* C order, uint8 */
        } array;
        void *object; /* of the container's reader */
    } as;
};

/* What a profile lets a pickle name. Nothing is imported: the pair selects these functions. */
struct masconI_pickle_global {
    const char *module, *name;
    int32_t id; /* the profile's own number */
    /* REDUCE with a TUPLE of arguments, and NEWOBJ likewise; NULL: may not be called */
    mascon_status (*reduce)(masconI_pickle *p, const masconI_pickle_value *args,
                            masconI_pickle_value **out);
    mascon_status (*newobj)(masconI_pickle *p, const masconI_pickle_value *args,
                            masconI_pickle_value **out);
};

struct masconI_pickle_profile {
    const char *name;
    const masconI_pickle_global *globals;
    int32_t n_globals;
    int32_t byte_strings;     /* SHORT_BINSTRING and BINSTRING are allowed */
    int32_t long_strings;     /* and are not held to string_bytes */
    int32_t models;           /* says where the pickle is a whole model */
    const char *unknown_hint; /* for the error about a global that is not in the table, or NULL */
    /* BUILD: changes target by state; NULL: not allowed */
    mascon_status (*build)(masconI_pickle *p, masconI_pickle_value *target,
                           const masconI_pickle_value *state);
    /* BINPERSID; NULL: not allowed */
    mascon_status (*persistent)(masconI_pickle *p, const masconI_pickle_value *id,
                                masconI_pickle_value **out);
};

/* No classes at all. */
extern const masconI_pickle_profile masconI_pickle_plain;
/* CIFAR's Python files: dict of byte strings, lists, and numpy uint8 arrays of two dimensions. */
extern const masconI_pickle_profile masconI_pickle_cifar;

typedef struct masconI_pickle_options {
    const char *path;             /* for messages; must outlive the machine */
    uint64_t base;                /* offset of the buffer in that file */
    const masconI_limits *limits; /* NULL: defaults */
    int32_t skip_unknown;         /* unknown globals become OPAQUE instead of an error */
    int32_t partial;              /* bytes after STOP are allowed; *used says where it ended */
    int32_t *ran_out; /* or NULL: set to 1 where it fails because data ends before the pickle */
    void *context;    /* for the profile's functions */
} masconI_pickle_options;

/* Runs the pickle in data, which must outlive *out (strings and arrays point into it). used may be
 * NULL. On failure *out is NULL. */
mascon_status masconI_pickle_parse(masconI_pickle **out, const masconI_pickle_profile *profile,
                                   const void *data, uint64_t size,
                                   const masconI_pickle_options *options, uint64_t *used);
/* The value left at STOP. */
const masconI_pickle_value *masconI_pickle_top(const masconI_pickle *p);
/* The value of a STR or BYTES key of a DICT, or NULL (also where dict is NULL or no DICT). */
const masconI_pickle_value *masconI_pickle_get(const masconI_pickle_value *dict, const char *key);
/* 1 where v is a STR or BYTES equal to text. */
int masconI_pickle_is(const masconI_pickle_value *v, const char *text);
/* "a list" and so on. */
const char *masconI_pickle_kind_name(masconI_pickle_kind kind);
void masconI_pickle_free(masconI_pickle *p);

/* For profiles. */
void *masconI_pickle_context(const masconI_pickle *p);
/* A value in the arena, or NULL after masconI_fail. */
masconI_pickle_value *masconI_pickle_new(masconI_pickle *p, masconI_pickle_kind kind);
/* Zeroed memory in the arena, or NULL after masconI_fail. */
void *masconI_pickle_alloc(masconI_pickle *p, uint64_t size);
/* The dict key that waits for the value being made, in quotes; "" where there is none. Returns out. */
const char *masconI_pickle_key(const masconI_pickle *p, char out[MASCON_IO_QUOTE]);
/* Adds an entry to a DICT; fails on a duplicate key and on one that is no string or integer. */
mascon_status masconI_pickle_set(masconI_pickle *p, masconI_pickle_value *dict,
                                 masconI_pickle_value *key, masconI_pickle_value *item);
/* Fails: the file holds a model, of the class "module\nname" or of an unknown one (NULL). */
mascon_status masconI_pickle_model(const char *path, const void *class_name, uint64_t size);
/* Fails with MASCON_E_FORMAT at the current opcode. */
mascon_status masconI_pickle_bad(masconI_pickle *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- Archives (tar.c): the members of a .tar, or of a .tar.gz, told apart by content ---- */

/* Strict: ustar headers, pax records without overrides of name or size, plain files and folders.
 * gzip: unpacked size <= limits->archive_bytes and <= 4 times the packed one (plus 64 KiB).
 * A stream: forward only. */
typedef struct masconI_tar masconI_tar;

typedef struct masconI_tar_member {
    char name[512]; /* relative, no "." or ".." component, valid UTF-8 */
    uint64_t size;
    uint64_t at; /* of its data in the unpacked archive */
    int32_t folder;
    int32_t posix; /* its header is in the POSIX form, not in GNU's older one */
} masconI_tar_member;

/* limits may be NULL. */
mascon_status masconI_tar_open(masconI_tar **out, const char *path, const masconI_limits *limits);
/* The next member, after skipping what was not read of the last; *more is 0 after the last one (the
 * end blocks and, for gzip, the check sum were right). */
mascon_status masconI_tar_next(masconI_tar *t, masconI_tar_member *out, int *more);
/* Exactly size further bytes of the current member. */
mascon_status masconI_tar_read(masconI_tar *t, void *to, uint64_t size);
void masconI_tar_close(masconI_tar *t);

#endif

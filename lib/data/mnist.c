/* mnist.c: the idx files of MNIST and of the sets that follow it, plain or packed by gzip. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>

#include "data/data.h"
#include "io/io.h"

enum { PATH_SIZE = 4096, CLASSES = 10, MAX_SIDE = 4096 };
static const uint64_t max_bytes = (uint64_t)1 << 30;

typedef struct idx {
    gzFile file; /* reads plain files as they are */
    const char *name;
    char path[PATH_SIZE];
    uint64_t size[3];
} idx;

static mascon_status short_file(const idx *f) {
    int code;
    const char *text = gzerror(f->file, &code);
    if (code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR)
        return masconI_fail(MASCON_E_FORMAT, "%s ends early", f->name);
    return masconI_fail(MASCON_E_FORMAT, "%s is damaged: %s", f->name, text);
}

static mascon_status read_all(const idx *f, void *to, uint64_t size) {
    uint8_t *at = to;
    while (size > 0) {
        unsigned piece = size < 1 << 20 ? (unsigned)size : 1 << 20;
        int n = gzread(f->file, at, piece);
        if (n <= 0) return short_file(f);
        at += n;
        size -= (uint64_t)n;
    }
    return MASCON_OK;
}

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The first of the folders that has the file, plain or packed. */
static mascon_status open_idx(idx *f, const char *root, const char *set, const char *name) {
    char folders[3][PATH_SIZE];
    *f = (idx){.name = name};
    int a = snprintf(folders[0], PATH_SIZE, "%s/%s/raw", root, set);
    snprintf(folders[1], PATH_SIZE, "%s/raw", root);
    snprintf(folders[2], PATH_SIZE, "%s", root);
    if (a >= PATH_SIZE - 64) return masconI_fail(MASCON_E_ARG, "the path of root is too long");
    for (int i = 0; i < 6; i++) {
        struct stat st;
        int n = snprintf(f->path, PATH_SIZE, "%s/%s%s", folders[i / 2], name, i % 2 ? ".gz" : "");
        if (n >= PATH_SIZE || stat(f->path, &st) != 0 || !S_ISREG(st.st_mode)) continue;
        f->file = gzopen(f->path, "rbe");
        if (f->file) return MASCON_OK;
        return masconI_fail(MASCON_E_IO, "cannot read %s", f->path);
    }
    masconI_fail(MASCON_E_IO, "no %s or %s.gz in %s/%s/raw, %s/raw or %s", name, name, root, set,
                 root, root);
    return masconI_hint("download = true fetches it; root = or MASCON_DATA names another folder");
}

/* The head of a file of bytes with this many dimensions. */
static mascon_status read_head(idx *f, int dims) {
    uint8_t head[16];
    MASCON_TRY(read_all(f, head, 4 + 4 * (uint64_t)dims));
    if (big_endian(head) != 0x800u + (uint32_t)dims)
        return masconI_fail(MASCON_E_FORMAT, "%s begins with %08x; expected %08x", f->name,
                            big_endian(head), 0x800u + (uint32_t)dims);
    uint64_t bytes = 1;
    for (int i = 0; i < dims; i++) {
        f->size[i] = big_endian(head + 4 + 4 * i);
        if (f->size[i] < 1 || (i > 0 && f->size[i] > MAX_SIDE))
            return masconI_fail(MASCON_E_FORMAT, "%s: size of dimension %d is %llu", f->name, i + 1,
                                (unsigned long long)f->size[i]);
        bytes *= f->size[i];
    }
    if (bytes <= max_bytes) return MASCON_OK;
    char found[32];
    return masconI_fail(MASCON_E_LIMIT, "%s: %s bytes of values; at most 1,073,741,824 are read",
                        f->name, masconI_count(found, bytes));
}

/* Nothing may follow, and the checksum of a packed file must be right. */
static mascon_status check_end(const idx *f) {
    uint8_t more;
    int n = gzread(f->file, &more, 1);
    if (n == 0) {
        int code;
        gzerror(f->file, &code);
        if (code == Z_OK || code == Z_STREAM_END) return MASCON_OK;
    }
    if (n > 0)
        return masconI_fail(MASCON_E_FORMAT, "%s has more bytes than its head says", f->name);
    return short_file(f);
}

static mascon_status read_images(const idx *f, uint64_t rows, uint8_t *pixels) {
    MASCON_TRY(read_all(f, pixels, rows * f->size[1] * f->size[2]));
    return check_end(f);
}

static mascon_status read_labels(const idx *f, uint64_t rows, int64_t *labels) {
    uint8_t *bytes = malloc((size_t)rows);
    if (!bytes) return masconI_oom(f->name, rows);
    mascon_status status = read_all(f, bytes, rows);
    for (uint64_t i = 0; i < rows && status == MASCON_OK; i++) {
        labels[i] = bytes[i];
        if (bytes[i] >= CLASSES)
            status = masconI_fail(MASCON_E_FORMAT, "%s: label %llu is %d; expected 0..9", f->name,
                                  (unsigned long long)i + 1, bytes[i]);
    }
    free(bytes);
    return status == MASCON_OK ? check_end(f) : status;
}

static mascon_status read_set(mascon_source **out, idx *images, idx *labels) {
    MASCON_TRY(read_head(images, 3));
    MASCON_TRY(read_head(labels, 1));
    uint64_t rows = images->size[0];
    if (labels->size[0] != rows)
        return masconI_fail(MASCON_E_FORMAT, "%s has %llu labels, %s has %llu pictures",
                            labels->name, (unsigned long long)labels->size[0], images->name,
                            (unsigned long long)rows);
    uint8_t *pixels;
    int64_t *classes;
    MASCON_TRY(masconI_source_pictures(out, (int64_t)rows, 1, (int64_t)images->size[1],
                                       (int64_t)images->size[2], &pixels, &classes));
    mascon_status status = read_images(images, rows, pixels);
    if (status == MASCON_OK) status = read_labels(labels, rows, classes);
    if (status == MASCON_OK) return MASCON_OK;
    mascon_source_release(*out);
    *out = NULL;
    return status;
}

mascon_status mascon_source_mnist(mascon_source **out, const char *root, const char *name,
                                  int32_t train) {
    MASCON_NEED(out);
    MASCON_NEED(root);
    MASCON_NEED(name);
    *out = NULL;
    idx images, labels = {0};
    mascon_status status =
        open_idx(&images, root, name, train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte");
    if (status == MASCON_OK)
        status = open_idx(&labels, root, name,
                          train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte");
    if (status == MASCON_OK) status = read_set(out, &images, &labels);
    if (images.file) gzclose(images.file);
    if (labels.file) gzclose(labels.file);
    return status;
}

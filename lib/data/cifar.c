/* cifar.c: the readers of CIFAR-10 and CIFAR-100: binary and Python layouts, as folders or official
 * archives. What differs between the two sets is in a table.
 *
 * Every file is hostile until checked. One file becomes one block of rows, so nothing is copied twice
 * and pictures keep the order of the file numbers, whatever order an archive has. Planes of a record
 * become channels-last memory here, once. Labels count from 0; those of CIFAR-100 are the fine ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/data.h"
#include "io/io.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE };
enum { MAX_PER_FILE = 60000, MAX_PARTS = 6, MAX_CLASSES = 100 };

typedef struct family {
    const char *name;
    int classes, parts;             /* the last part is the test set */
    int label_bytes;                /* of a binary record: [coarse] fine */
    const char *part[2][MAX_PARTS]; /* file names: binary, Python */
    int64_t rows[MAX_PARTS];
    const char *folder[2], *archive[2];
    const char *names;  /* file of class names, binary layout */
    const char *meta;   /* and of the Python layout */
    const char *labels; /* keys of its dicts */
    const char *label_names;
    const char *others[3]; /* further files of archives */
} family;

static const family cifar10 = {
    .name = "CIFAR-10",
    .classes = 10,
    .parts = 6,
    .label_bytes = 1,
    .part = {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin", "test_batch.bin"},
             {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5",
              "test_batch"}},
    .rows = {10000, 10000, 10000, 10000, 10000, 10000},
    .folder = {"cifar-10-batches-bin", "cifar-10-batches-py"},
    .archive = {"cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"},
    .names = "batches.meta.txt",
    .meta = "batches.meta",
    .labels = "labels",
    .label_names = "label_names",
    .others = {"readme.html"},
};
static const family cifar100 = {
    .name = "CIFAR-100",
    .classes = 100,
    .parts = 2,
    .label_bytes = 2,
    .part = {{"train.bin", "test.bin"}, {"train", "test"}},
    .rows = {50000, 10000},
    .folder = {"cifar-100-binary", "cifar-100-python"},
    .archive = {"cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"},
    .names = "fine_label_names.txt",
    .meta = "meta",
    .labels = "fine_labels",
    .label_names = "fine_label_names",
    .others = {"coarse_label_names.txt", "file.txt~"},
};

static const char *const class_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                            "dog",      "frog",       "horse", "ship", "truck"};

/* What is read, and what was found so far. */
typedef struct set {
    const family *f;
    int train, partial, python;
    mascon_source *parts[MAX_PARTS]; /* NULL: not read */
    char classes[MAX_CLASSES][64];   /* "": not given */
} set;

/* Bytes of a binary record. */
static int64_t record_size(const family *f) { return f->label_bytes + PIXELS; }

static int wanted(const set *s, int part) {
    int test = s->f->parts - 1;
    return s->train ? part < test : part == test;
}

/* ---- Where bytes come from: a file, or the current member of an archive ---- */

typedef struct input {
    char name[64]; /* for messages: "data_batch_3.bin" */
    uint64_t size, at;
    masconI_file *file; /* or */
    masconI_tar *tar;
} input;

static mascon_status input_read(input *in, void *to, uint64_t size) {
    if (in->tar) return masconI_tar_read(in->tar, to, size);
    MASCON_TRY(masconI_file_read(in->file, in->at, to, (size_t)size));
    in->at += size;
    return MASCON_OK;
}

/* All of it, on the heap. */
static mascon_status input_all(input *in, uint64_t limit, unsigned char **out) {
    *out = NULL;
    if (in->size > limit)
        return masconI_fail(MASCON_E_LIMIT, "%s is %llu bytes; at most %llu are read", in->name,
                            (unsigned long long)in->size, (unsigned long long)limit);
    unsigned char *all = malloc((size_t)in->size + 1);
    if (!all) return masconI_oom(in->name, in->size);
    mascon_status status = input_read(in, all, in->size);
    all[in->size] = 0;
    if (status == MASCON_OK)
        *out = all;
    else
        free(all);
    return status;
}

/* ---- Pictures ---- */

static void planes_to_pixels(const uint8_t *planes, uint8_t *pixels) {
    const uint8_t *r = planes, *g = planes + PLANE, *b = planes + 2 * PLANE;
    for (int i = 0; i < PLANE; i++) {
        pixels[3 * i] = r[i];
        pixels[3 * i + 1] = g[i];
        pixels[3 * i + 2] = b[i];
    }
}

static mascon_status bad_label(const family *f, const char *name, int64_t record, int64_t label) {
    return masconI_fail(MASCON_E_FORMAT, "%s: record %lld has label %lld; expected 0..%d", name,
                        (long long)record + 1, (long long)label, f->classes - 1);
}

static mascon_status is_cifar100(const char *name, uint64_t size) {
    char bytes[32], records[32];
    return masconI_fail(MASCON_E_FORMAT, "%s is %s bytes = %s x 3,074: this is CIFAR-100", name,
                        masconI_count(bytes, size), masconI_count(records, size / 3074));
}

static mascon_status check_size(const set *s, const input *in, int64_t rows) {
    const char *record = s->f->label_bytes == 1 ? "3,073" : "3,074";
    char bytes[32], expected[32], count[32];
    uint64_t size = in->size, one = (uint64_t)record_size(s->f);
    if (s->f == &cifar10 && size > 0 && size % one != 0 && size % (one + 1) == 0)
        return is_cifar100(in->name, size);
    if (!s->partial && size != (uint64_t)rows * one) {
        masconI_fail(MASCON_E_FORMAT, "%s is %s bytes; expected %s (%s x %s)", in->name,
                     masconI_count(bytes, size), masconI_count(expected, (uint64_t)rows * one),
                     masconI_count(count, (uint64_t)rows), record);
        return size > 0 && size % one == 0 ? masconI_hint("partial = true for a cut-down file")
                                           : MASCON_E_FORMAT;
    }
    if (size == 0 || size % one != 0 || size > (uint64_t)1 << 31)
        return masconI_fail(MASCON_E_FORMAT,
                            "%s is %s bytes; expected a multiple of %s, at most 2^31", in->name,
                            masconI_count(bytes, size), record);
    return MASCON_OK;
}

static mascon_status read_binary(const set *s, input *in, int64_t expected, mascon_source **out) {
    enum { PIECE = 64 };
    MASCON_TRY(check_size(s, in, expected));
    int64_t one = record_size(s->f), rows = (int64_t)in->size / one;
    uint8_t *pixels;
    int64_t *labels;
    uint8_t *piece = malloc((size_t)(PIECE * one));
    if (!piece) return masconI_oom(in->name, (uint64_t)(PIECE * one));
    mascon_status status = masconI_source_pictures(out, rows, 3, SIDE, SIDE, &pixels, &labels);
    for (int64_t first = 0; status == MASCON_OK && first < rows; first += PIECE) {
        int64_t n = rows - first < PIECE ? rows - first : PIECE;
        status = input_read(in, piece, (uint64_t)(n * one));
        for (int64_t i = 0; status == MASCON_OK && i < n; i++) {
            const uint8_t *planes = piece + i * one + s->f->label_bytes;
            int64_t label = labels[first + i] = planes[-1];
            planes_to_pixels(planes, pixels + (first + i) * PIXELS);
            if (label >= s->f->classes) status = bad_label(s->f, in->name, first + i, label);
        }
    }
    free(piece);
    if (status != MASCON_OK) {
        mascon_source_release(*out);
        *out = NULL;
    }
    return status;
}

/* P1 and P2: *data and *labels become the two values of the dict. */
static mascon_status check_dict(const set *s, const char *name, int64_t expected,
                                const masconI_pickle_value *top, const masconI_pickle_value **data,
                                const masconI_pickle_value **labels) {
    if (top->kind != MASCON_PICKLE_DICT)
        return masconI_fail(MASCON_E_FORMAT, "%s holds %s; expected a dict with data and labels",
                            name, masconI_pickle_kind_name(top->kind));
    if (s->f == &cifar10 && masconI_pickle_get(top, "fine_labels"))
        return masconI_fail(MASCON_E_FORMAT, "%s has fine_labels: this is CIFAR-100", name);
    *data = masconI_pickle_get(top, "data");
    *labels = masconI_pickle_get(top, s->f->labels);
    if (!*data || !*labels)
        return masconI_fail(MASCON_E_FORMAT, "%s has no key \"%s\"", name,
                            *data ? s->f->labels : "data");
    if ((*data)->kind != MASCON_PICKLE_NDARRAY || !(*data)->as.array.data ||
        (*data)->as.array.columns != PIXELS)
        return masconI_fail(MASCON_E_FORMAT, "%s: data is not a uint8 array of rows of 3,072",
                            name);
    uint64_t rows = (*data)->as.array.rows;
    char found[32], wanted_rows[32];
    if (rows < 1 || rows > MAX_PER_FILE || (!s->partial && rows != (uint64_t)expected))
        return masconI_fail(
            MASCON_E_FORMAT, "%s has %s pictures; expected %s", name, masconI_count(found, rows),
            s->partial ? "1 to 60,000" : masconI_count(wanted_rows, (uint64_t)expected));
    if ((*labels)->kind != MASCON_PICKLE_LIST || (*labels)->as.list.count != rows)
        return masconI_fail(MASCON_E_FORMAT, "%s: %s is not a list of %s numbers", name,
                            s->f->labels, masconI_count(found, rows));
    const masconI_pickle_value *files = masconI_pickle_get(top, "filenames");
    if (files && (files->kind != MASCON_PICKLE_LIST || files->as.list.count != rows))
        return masconI_fail(MASCON_E_FORMAT, "%s: filenames is not a list of %s strings", name,
                            masconI_count(found, rows));
    for (uint64_t i = 0; files && i < rows; i++) {
        masconI_pickle_kind kind = files->as.list.item[i]->kind;
        if (kind != MASCON_PICKLE_STR && kind != MASCON_PICKLE_BYTES)
            return masconI_fail(MASCON_E_FORMAT, "%s: file name %llu is %s", name,
                                (unsigned long long)i + 1, masconI_pickle_kind_name(kind));
    }
    return MASCON_OK;
}

static mascon_status read_dict(const set *s, const char *name, int64_t expected,
                               const masconI_pickle_value *top, mascon_source **out) {
    const masconI_pickle_value *data = NULL, *list = NULL;
    MASCON_TRY(check_dict(s, name, expected, top, &data, &list));
    int64_t rows = (int64_t)data->as.array.rows;
    for (int64_t i = 0; i < rows; i++) {
        const masconI_pickle_value *label = list->as.list.item[i];
        if (label->kind != MASCON_PICKLE_INT)
            return masconI_fail(MASCON_E_FORMAT, "%s: label %lld is %s", name, (long long)i + 1,
                                masconI_pickle_kind_name(label->kind));
        if (label->as.integer < 0 || label->as.integer >= s->f->classes)
            return bad_label(s->f, name, i, label->as.integer);
    }
    uint8_t *pixels;
    int64_t *labels;
    MASCON_TRY(masconI_source_pictures(out, rows, 3, SIDE, SIDE, &pixels, &labels));
    for (int64_t i = 0; i < rows; i++) {
        labels[i] = list->as.list.item[i]->as.integer;
        planes_to_pixels(data->as.array.data + i * PIXELS, pixels + i * PIXELS);
    }
    return MASCON_OK;
}

/* The pickle of a file; *bytes, of malloc, must outlive *p. Both NULL on failure. */
static mascon_status parse_input(input *in, uint64_t limit, unsigned char **bytes,
                                 masconI_pickle **p) {
    *p = NULL;
    MASCON_TRY(input_all(in, limit, bytes));
    masconI_limits limits = *masconI_limits_default();
    limits.pickle_bytes = in->size > limits.pickle_bytes ? in->size : limits.pickle_bytes;
    masconI_pickle_options options = {.path = in->name, .limits = &limits};
    mascon_status status =
        masconI_pickle_parse(p, &masconI_pickle_cifar, *bytes, in->size, &options, NULL);
    if (status == MASCON_OK) return MASCON_OK;
    free(*bytes);
    *bytes = NULL;
    return status;
}

static mascon_status read_python(const set *s, input *in, int64_t expected, mascon_source **out) {
    unsigned char *bytes;
    masconI_pickle *p;
    /* 60,000 pictures, and 128 bytes for each one's label and file name */
    MASCON_TRY(parse_input(in, (uint64_t)MAX_PER_FILE * (PIXELS + 128), &bytes, &p));
    mascon_status status = read_dict(s, in->name, expected, masconI_pickle_top(p), out);
    masconI_pickle_free(p);
    free(bytes);
    return status;
}

/* The class names of the Python layout. */
static mascon_status read_meta(input *in, set *s) {
    unsigned char *bytes;
    masconI_pickle *p;
    MASCON_TRY(parse_input(in, 1 << 16, &bytes, &p));
    const masconI_pickle_value *top = masconI_pickle_top(p);
    const masconI_pickle_value *names =
        top->kind == MASCON_PICKLE_DICT ? masconI_pickle_get(top, s->f->label_names) : NULL;
    int n = 0;
    if (names && names->kind == MASCON_PICKLE_LIST &&
        names->as.list.count == (uint64_t)s->f->classes) {
        for (; n < s->f->classes; n++) {
            const masconI_pickle_value *v = names->as.list.item[n];
            int text = v->kind == MASCON_PICKLE_STR || v->kind == MASCON_PICKLE_BYTES;
            if (!text || v->as.text.size >= sizeof s->classes[0] ||
                !masconI_utf8_valid(v->as.text.data, v->as.text.size))
                break;
            memcpy(s->classes[n], v->as.text.data, (size_t)v->as.text.size);
            s->classes[n][v->as.text.size] = 0;
        }
    }
    mascon_status status = MASCON_OK;
    if (n < s->f->classes)
        status = masconI_fail(MASCON_E_FORMAT, "%s: %s is not a list of %d names", in->name,
                              s->f->label_names, s->f->classes);
    masconI_pickle_free(p);
    free(bytes);
    return status;
}

/* One name a line, of less than 64 bytes. */
static mascon_status read_names(input *in, set *s) {
    unsigned char *text;
    MASCON_TRY(input_all(in, 4096, &text));
    mascon_status status = MASCON_OK;
    int n = 0;
    char *rest = NULL;
    for (char *line = strtok_r((char *)text, "\r\n", &rest); line && n < s->f->classes;
         line = strtok_r(NULL, "\r\n", &rest)) {
        size_t length = strlen(line);
        if (length >= sizeof s->classes[0] || !masconI_utf8_valid(line, length)) break;
        memcpy(s->classes[n++], line, length + 1);
    }
    if (n < s->f->classes)
        status = masconI_fail(MASCON_E_FORMAT, "%s has %d names of classes; expected %d", in->name,
                              n, s->f->classes);
    free(text);
    return status;
}

/* Reads one part into the set, unless it is not wanted. */
static mascon_status read_part(set *s, int part, input *in) {
    if (!wanted(s, part)) return MASCON_OK;
    if (s->parts[part])
        return masconI_fail(MASCON_E_FORMAT, "%s occurs twice in the archive", in->name);
    int64_t rows = s->f->rows[part];
    return s->python ? read_python(s, in, rows, &s->parts[part])
                     : read_binary(s, in, rows, &s->parts[part]);
}

/* ---- Folders ---- */

enum { PATH_SIZE = 4096 };

/* path = folder/name. */
static mascon_status join(char path[PATH_SIZE], const char *folder, const char *name) {
    int n = snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    if (n < PATH_SIZE) return MASCON_OK;
    return masconI_fail(MASCON_E_ARG, "the path of %s has %d bytes; at most %d", name, n,
                        PATH_SIZE - 1);
}

static int file_exists(const char *folder, const char *name) {
    char path[PATH_SIZE];
    struct stat st;
    return join(path, folder, name) == MASCON_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Whether the folder holds any file of this layout. */
static int folder_has(const family *f, const char *folder, int python) {
    for (int part = 0; part < f->parts; part++)
        if (file_exists(folder, f->part[python][part])) return 1;
    return 0;
}

/* Opens folder/name where it is there; in->file is NULL where not. */
static mascon_status open_in(input *in, const char *folder, const char *name) {
    *in = (input){0};
    snprintf(in->name, sizeof in->name, "%s", name);
    if (!file_exists(folder, name)) return MASCON_OK;
    char path[PATH_SIZE];
    MASCON_TRY(join(path, folder, name));
    MASCON_TRY(masconI_file_open(&in->file, path));
    in->size = in->file->size;
    return MASCON_OK;
}

static mascon_status read_folder(set *s, const char *folder) {
    input in;
    for (int part = 0; part < s->f->parts; part++) {
        if (!wanted(s, part)) continue;
        const char *name = s->f->part[s->python][part];
        MASCON_TRY(open_in(&in, folder, name));
        if (!in.file) {
            if (s->partial) continue;
            masconI_fail(MASCON_E_FORMAT, "%s is missing in %s", name, folder);
            return masconI_hint("partial = true reads what is there");
        }
        mascon_status status = read_part(s, part, &in);
        masconI_file_close(in.file);
        MASCON_TRY(status);
    }
    if (s->python && s->f == &cifar10) return MASCON_OK; /* its names are known */
    MASCON_TRY(open_in(&in, folder, s->python ? s->f->meta : s->f->names));
    if (!in.file) return MASCON_OK;
    mascon_status status = s->python ? read_meta(&in, s) : read_names(&in, s);
    masconI_file_close(in.file);
    return status;
}

/* ---- Archives ---- */

typedef struct member {
    int python, part; /* part -1: not pictures */
    int names, meta;  /* class names, in either layout */
    char file[64];    /* without the folder */
} member;

static int same(const char *a, const char *b) { return b && strcmp(a, b) == 0; }

/* Recognises an expected name; anything else fails. */
static mascon_status expect(const family *f, const char *archive, const masconI_tar_member *entry,
                            member *out) {
    *out = (member){.part = -1};
    const char *slash = strchr(entry->name, '/');
    size_t length = slash ? (size_t)(slash - entry->name) : strlen(entry->name);
    int known = 0;
    for (int python = 0; python < 2; python++) {
        if (length != strlen(f->folder[python]) ||
            memcmp(entry->name, f->folder[python], length) != 0)
            continue;
        known = 1;
        out->python = python;
    }
    const char *file = slash ? slash + 1 : "";
    if (known && entry->folder && *file == 0) return MASCON_OK;
    snprintf(out->file, sizeof out->file, "%s", file);
    for (int part = 0; part < f->parts; part++)
        if (same(file, f->part[out->python][part])) out->part = part;
    out->names = !out->python && same(file, f->names);
    out->meta = out->python && same(file, f->meta);
    int other = out->names || out->meta;
    for (size_t i = 0; i < sizeof f->others / sizeof *f->others; i++)
        other |= same(file, f->others[i]);
    if (known && !entry->folder && (out->part >= 0 || other)) return MASCON_OK;
    char quoted[MASCON_IO_QUOTE];
    return masconI_fail(MASCON_E_FORMAT, "%s holds %s, which is no file of %s", archive,
                        masconI_quote(quoted, entry->name, strlen(entry->name)), f->name);
}

static mascon_status read_member(set *s, masconI_tar *tar, const char *archive,
                                 const masconI_tar_member *entry) {
    member m;
    MASCON_TRY(expect(s->f, archive, entry, &m));
    input in = {.size = entry->size, .tar = tar};
    memcpy(in.name, m.file, sizeof in.name);
    if (m.names) return read_names(&in, s);
    if (m.meta && s->f != &cifar10) return read_meta(&in, s);
    if (m.part < 0) return MASCON_OK;
    s->python = m.python;
    return read_part(s, m.part, &in);
}

static mascon_status read_archive(set *s, const char *path) {
    masconI_tar *tar;
    masconI_tar_member entry;
    MASCON_TRY(masconI_tar_open(&tar, path, NULL));
    int more = 0;
    mascon_status status = masconI_tar_next(tar, &entry, &more);
    while (status == MASCON_OK && more) {
        status = read_member(s, tar, path, &entry);
        if (status == MASCON_OK) status = masconI_tar_next(tar, &entry, &more);
    }
    masconI_tar_close(tar);
    MASCON_TRY(status);
    for (int part = 0; part < s->f->parts && !s->partial; part++) {
        if (wanted(s, part) && !s->parts[part])
            return masconI_fail(MASCON_E_FORMAT, "%s does not hold %s", path, s->f->part[1][part]);
    }
    return MASCON_OK;
}

/* ---- The whole set ---- */

/* Maybe a folder of CIFAR-100 where CIFAR-10 was expected. */
static mascon_status nothing_found(const family *wants, const char *root) {
    static const char *const folders[] = {".", "cifar-10-batches-bin", "cifar-100-binary"};
    static const char *const files[] = {"train.bin", "test.bin"};
    for (size_t d = 0; d < 3 && wants == &cifar10; d++) {
        for (size_t f = 0; f < 2; f++) {
            char folder[PATH_SIZE];
            input in;
            MASCON_TRY(join(folder, root, folders[d]));
            if (open_in(&in, folder, files[f]) != MASCON_OK || !in.file) continue;
            uint64_t size = in.size;
            masconI_file_close(in.file);
            if (size > 0 && size % 3074 == 0) return is_cifar100(files[f], size);
        }
    }
    masconI_fail(MASCON_E_IO, "no %s, %s or archive of one in %s", wants->folder[0],
                 wants->folder[1], root);
    return masconI_hint("download = true fetches it; root = or MASCON_DATA names another folder");
}

static mascon_status read_set(set *s, const char *root) {
    char path[PATH_SIZE];
    for (int i = 0; i < 4; i++) {
        const char *folder = root;
        if (i < 2) {
            MASCON_TRY(join(path, root, s->f->folder[i]));
            folder = path;
        }
        if (!folder_has(s->f, folder, i % 2)) continue;
        s->python = i % 2;
        return read_folder(s, folder);
    }
    for (int i = 0; i < 2; i++) {
        const char *name = s->f->archive[i];
        if (!file_exists(root, name)) continue;
        MASCON_TRY(join(path, root, name));
        return read_archive(s, path);
    }
    return nothing_found(s->f, root);
}

/* F4: says where a full set has unusual numbers of pictures per class. */
static void count_classes(mascon_source *source, const set *s) {
    int64_t count[MAX_CLASSES] = {0};
    int64_t expected = (s->train ? 50000 : 10000) / s->f->classes;
    for (int64_t i = 0; i < source->rows; i++) {
        int64_t label;
        if (mascon_source_label(source, i, &label) == MASCON_OK) count[label]++;
    }
    for (int c = 0; c < s->f->classes; c++) {
        if (count[c] == expected) continue;
        snprintf(source->warning, sizeof source->warning,
                 "%lld pictures of class %s; the official set has %lld", (long long)count[c],
                 source->classes[c], (long long)expected);
        return;
    }
}

static mascon_status name_classes(mascon_source *source, const set *s) {
    for (int c = 0; c < s->f->classes; c++) {
        char number[32];
        const char *name = s->classes[c];
        if (!*name && s->f == &cifar10) name = class_names[c];
        if (!*name) { /* a cut-down set without its file of names */
            snprintf(number, sizeof number, "class %d", c + 1);
            name = number;
        }
        MASCON_TRY(masconI_source_add_class(source, name));
    }
    return MASCON_OK;
}

static mascon_status open_set(mascon_source **out, const family *f, const char *root, int32_t train,
                              int32_t partial) {
    *out = NULL;
    set *s = calloc(1, sizeof *s);
    if (!s) return masconI_fail(MASCON_E_OOM, "no memory for a data set");
    *s = (set){.f = f, .train = train, .partial = partial};
    mascon_status status = read_set(s, root);
    mascon_source *parts[MAX_PARTS];
    int32_t n = 0;
    for (int part = 0; part < f->parts; part++)
        if (s->parts[part]) parts[n++] = s->parts[part];
    if (status == MASCON_OK && n == 0)
        status =
            masconI_fail(MASCON_E_IO, "no %s pictures in %s", train ? "training" : "test", root);
    if (status == MASCON_OK) status = mascon_source_concat(out, parts, n);
    for (int32_t i = 0; i < n; i++) mascon_source_release(parts[i]);
    if (status == MASCON_OK) status = name_classes(*out, s);
    if (status == MASCON_OK && !partial) count_classes(*out, s);
    free(s);
    if (status == MASCON_OK) return MASCON_OK;
    mascon_source_release(*out);
    *out = NULL;
    return status;
}

mascon_status mascon_source_cifar10(mascon_source **out, const char *root, int32_t train,
                                    int32_t partial) {
    MASCON_NEED(out);
    MASCON_NEED(root);
    return open_set(out, &cifar10, root, train, partial);
}

mascon_status mascon_source_cifar100(mascon_source **out, const char *root, int32_t train,
                                     int32_t partial) {
    MASCON_NEED(out);
    MASCON_NEED(root);
    return open_set(out, &cifar100, root, train, partial);
}

/* ---- Unpacking ---- */

static mascon_status system_fail(const char *what, const char *path) {
    int code = errno;
    masconI_fail(MASCON_E_IO, "cannot %s %s: %s", what, path, strerror(code));
    masconI_error()->native = code;
    return MASCON_E_IO;
}

static mascon_status copy_member(masconI_tar *tar, uint64_t size, const char *path) {
    enum { PIECE = 1 << 18 };
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return system_fail("create", path);
    char *piece = malloc(PIECE);
    mascon_status status = piece ? MASCON_OK : masconI_oom(path, PIECE);
    while (status == MASCON_OK && size > 0) {
        size_t n = size < PIECE ? (size_t)size : PIECE;
        status = masconI_tar_read(tar, piece, n);
        for (size_t done = 0; status == MASCON_OK && done < n;) {
            ssize_t k = write(fd, piece + done, n - done);
            if (k >= 0)
                done += (size_t)k;
            else if (errno != EINTR)
                status = system_fail("write", path);
        }
        size -= n;
    }
    free(piece);
    if (close(fd) != 0 && status == MASCON_OK) status = system_fail("write", path);
    return status;
}

/* Removes the files that unpacking may have made, and their folder. */
static void remove_unpacked(const family *f, const char *folder) {
    const char *const more[] = {f->names, f->meta, f->others[0], f->others[1], f->others[2]};
    char path[PATH_SIZE];
    for (int i = 0; i < 2 * f->parts; i++)
        if (join(path, folder, f->part[i % 2][i / 2]) == MASCON_OK) unlink(path);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i] && join(path, folder, more[i]) == MASCON_OK) unlink(path);
    rmdir(folder);
}

static mascon_status unpack_to(const family *f, const char *archive, const char *folder,
                               int *python) {
    masconI_tar *tar;
    masconI_tar_member entry;
    MASCON_TRY(masconI_tar_open(&tar, archive, NULL));
    int more = 0;
    mascon_status status = masconI_tar_next(tar, &entry, &more);
    while (status == MASCON_OK && more) {
        member m;
        char path[PATH_SIZE];
        status = expect(f, archive, &entry, &m);
        if (status == MASCON_OK) status = join(path, folder, m.file);
        *python = m.python;
        if (status == MASCON_OK && !entry.folder) status = copy_member(tar, entry.size, path);
        if (status == MASCON_OK) status = masconI_tar_next(tar, &entry, &more);
    }
    masconI_tar_close(tar);
    return status;
}

static mascon_status unpack(const family *f, const char *archive, const char *root) {
    /* into a folder of another name first: a half unpacked set never looks like a whole one */
    char folder[PATH_SIZE], target[PATH_SIZE], name[64];
    snprintf(name, sizeof name, ".cifar.%d.tmp", (int)getpid());
    MASCON_TRY(join(folder, root, name));
    if (mkdir(folder, 0777) != 0) return system_fail("create", folder);
    int python = 0;
    mascon_status status = unpack_to(f, archive, folder, &python);
    if (status == MASCON_OK) status = join(target, root, f->folder[python]);
    if (status == MASCON_OK && rename(folder, target) != 0) status = system_fail("create", target);
    if (status != MASCON_OK) remove_unpacked(f, folder);
    return status;
}

mascon_status mascon_cifar10_unpack(const char *archive, const char *root) {
    MASCON_NEED(archive);
    MASCON_NEED(root);
    return unpack(&cifar10, archive, root);
}

mascon_status mascon_cifar100_unpack(const char *archive, const char *root) {
    MASCON_NEED(archive);
    MASCON_NEED(root);
    return unpack(&cifar100, archive, root);
}

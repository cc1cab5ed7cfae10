/* cifar.c: the CIFAR-10 reader: binary and Python layouts, as folders or official archives.
 *
 * Every file is hostile until checked. One file becomes one block of rows, so nothing is copied twice
 * and pictures keep the order of the file numbers, whatever order an archive has. Planes of a record
 * become channels-last memory here, once. Labels stay 0..9.
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

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, RECORD = 1 + PIXELS, CLASSES = 10 };
enum { PER_FILE = 10000, MAX_PER_FILE = 60000, N_PARTS = 6, TEST_PART = 5 };

static const char *const part_names[N_PARTS] = {"data_batch_1", "data_batch_2", "data_batch_3",
                                                "data_batch_4", "data_batch_5", "test_batch"};
static const char *const class_names[CLASSES] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
static const char folder_bin[] = "cifar-10-batches-bin", folder_py[] = "cifar-10-batches-py";

/* What is read, and what was found so far. */
typedef struct set {
    int train, partial, python;
    mascon_source *parts[N_PARTS]; /* NULL: not read */
    char classes[CLASSES][64];     /* "": not given */
} set;

static int wanted(const set *s, int part) {
    return s->train ? part < TEST_PART : part == TEST_PART;
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

static mascon_status bad_label(const char *name, int64_t record, int64_t label) {
    return masconI_fail(MASCON_E_FORMAT, "%s: record %lld has label %lld; expected 0..9", name,
                        (long long)record + 1, (long long)label);
}

static mascon_status is_cifar100(const char *name, uint64_t size) {
    char bytes[32], records[32];
    return masconI_fail(MASCON_E_FORMAT, "%s is %s bytes = %s x 3,074: this is CIFAR-100", name,
                        masconI_count(bytes, size), masconI_count(records, size / (RECORD + 1)));
}

static mascon_status check_size(const input *in, int partial) {
    char bytes[32];
    uint64_t size = in->size;
    if (size > 0 && size % RECORD != 0 && size % (RECORD + 1) == 0)
        return is_cifar100(in->name, size);
    if (!partial && size != (uint64_t)PER_FILE * RECORD) {
        masconI_fail(MASCON_E_FORMAT, "%s is %s bytes; expected 30,730,000 (10,000 x 3,073)",
                     in->name, masconI_count(bytes, size));
        return size > 0 && size % RECORD == 0 ? masconI_hint("partial = true for a cut-down file")
                                              : MASCON_E_FORMAT;
    }
    if (size == 0 || size % RECORD != 0 || size > (uint64_t)1 << 31)
        return masconI_fail(MASCON_E_FORMAT,
                            "%s is %s bytes; expected a multiple of 3,073, at most 2^31", in->name,
                            masconI_count(bytes, size));
    return MASCON_OK;
}

static mascon_status read_binary(input *in, int partial, mascon_source **out) {
    enum { PIECE = 64 };
    MASCON_TRY(check_size(in, partial));
    int64_t rows = (int64_t)(in->size / RECORD);
    uint8_t *pixels;
    int64_t *labels;
    uint8_t *piece = malloc(PIECE * RECORD);
    if (!piece) return masconI_oom(in->name, PIECE * RECORD);
    mascon_status status = masconI_source_pictures(out, rows, 3, SIDE, SIDE, &pixels, &labels);
    for (int64_t first = 0; status == MASCON_OK && first < rows; first += PIECE) {
        int64_t n = rows - first < PIECE ? rows - first : PIECE;
        status = input_read(in, piece, (uint64_t)n * RECORD);
        for (int64_t i = 0; status == MASCON_OK && i < n; i++) {
            const uint8_t *record = piece + i * RECORD;
            labels[first + i] = record[0];
            planes_to_pixels(record + 1, pixels + (first + i) * PIXELS);
            if (record[0] >= CLASSES) status = bad_label(in->name, first + i, record[0]);
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
static mascon_status check_dict(const char *name, const masconI_pickle_value *top, int partial,
                                const masconI_pickle_value **data,
                                const masconI_pickle_value **labels) {
    if (top->kind != MASCON_PICKLE_DICT)
        return masconI_fail(MASCON_E_FORMAT, "%s holds %s; expected a dict with data and labels",
                            name, masconI_pickle_kind_name(top->kind));
    if (masconI_pickle_get(top, "fine_labels"))
        return masconI_fail(MASCON_E_FORMAT, "%s has fine_labels: this is CIFAR-100", name);
    *data = masconI_pickle_get(top, "data");
    *labels = masconI_pickle_get(top, "labels");
    if (!*data || !*labels)
        return masconI_fail(MASCON_E_FORMAT, "%s has no key \"%s\"", name,
                            *data ? "labels" : "data");
    if ((*data)->kind != MASCON_PICKLE_NDARRAY || !(*data)->as.array.data ||
        (*data)->as.array.columns != PIXELS)
        return masconI_fail(MASCON_E_FORMAT, "%s: data is not a uint8 array of rows of 3,072",
                            name);
    uint64_t rows = (*data)->as.array.rows;
    char found[32];
    if (rows < 1 || rows > MAX_PER_FILE || (!partial && rows != PER_FILE))
        return masconI_fail(MASCON_E_FORMAT, "%s has %s pictures; expected %s", name,
                            masconI_count(found, rows), partial ? "1 to 60,000" : "10,000");
    if ((*labels)->kind != MASCON_PICKLE_LIST || (*labels)->as.list.count != rows)
        return masconI_fail(MASCON_E_FORMAT, "%s: labels is not a list of %s numbers", name,
                            masconI_count(found, rows));
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

static mascon_status read_dict(const char *name, const masconI_pickle_value *top, int partial,
                               mascon_source **out) {
    const masconI_pickle_value *data = NULL, *list = NULL;
    MASCON_TRY(check_dict(name, top, partial, &data, &list));
    int64_t rows = (int64_t)data->as.array.rows;
    for (int64_t i = 0; i < rows; i++) {
        const masconI_pickle_value *label = list->as.list.item[i];
        if (label->kind != MASCON_PICKLE_INT)
            return masconI_fail(MASCON_E_FORMAT, "%s: label %lld is %s", name, (long long)i + 1,
                                masconI_pickle_kind_name(label->kind));
        if (label->as.integer < 0 || label->as.integer >= CLASSES)
            return bad_label(name, i, label->as.integer);
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

static mascon_status read_python(input *in, int partial, mascon_source **out) {
    unsigned char *bytes;
    /* 60,000 pictures, and 128 bytes for each one's label and file name */
    MASCON_TRY(input_all(in, (uint64_t)MAX_PER_FILE * (PIXELS + 128), &bytes));
    masconI_limits limits = *masconI_limits_default();
    limits.pickle_bytes = in->size > limits.pickle_bytes ? in->size : limits.pickle_bytes;
    masconI_pickle_options options = {.path = in->name, .limits = &limits};
    masconI_pickle *p = NULL;
    mascon_status status =
        masconI_pickle_parse(&p, &masconI_pickle_cifar, bytes, in->size, &options, NULL);
    if (status == MASCON_OK) status = read_dict(in->name, masconI_pickle_top(p), partial, out);
    masconI_pickle_free(p);
    free(bytes);
    return status;
}

/* batches.meta.txt: at least ten lines of at most 64 bytes. */
static mascon_status read_names(input *in, set *s) {
    unsigned char *text;
    MASCON_TRY(input_all(in, 4096, &text));
    mascon_status status = MASCON_OK;
    int n = 0;
    char *rest = NULL;
    for (char *line = strtok_r((char *)text, "\r\n", &rest); line && n < CLASSES;
         line = strtok_r(NULL, "\r\n", &rest)) {
        size_t length = strlen(line);
        if (length >= sizeof s->classes[0] || !masconI_utf8_valid(line, length)) break;
        memcpy(s->classes[n++], line, length + 1);
    }
    if (n < CLASSES)
        status =
            masconI_fail(MASCON_E_FORMAT, "%s has %d names of classes; expected 10", in->name, n);
    free(text);
    return status;
}

/* Reads one part into the set, unless it is not wanted. */
static mascon_status read_part(set *s, int part, input *in) {
    if (!wanted(s, part)) return MASCON_OK;
    if (s->parts[part])
        return masconI_fail(MASCON_E_FORMAT, "%s occurs twice in the archive", in->name);
    return s->python ? read_python(in, s->partial, &s->parts[part])
                     : read_binary(in, s->partial, &s->parts[part]);
}

/* ---- Folders ---- */

static void part_file(char out[64], int part, int python) {
    snprintf(out, 64, "%s%s", part_names[part], python ? "" : ".bin");
}

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
static int folder_has(const char *folder, int python) {
    char name[64];
    for (int part = 0; part < N_PARTS; part++) {
        part_file(name, part, python);
        if (file_exists(folder, name)) return 1;
    }
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
    for (int part = 0; part < N_PARTS; part++) {
        if (!wanted(s, part)) continue;
        char name[64];
        part_file(name, part, s->python);
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
    if (s->python) return MASCON_OK;
    MASCON_TRY(open_in(&in, folder, "batches.meta.txt"));
    if (!in.file) return MASCON_OK;
    mascon_status status = read_names(&in, s);
    masconI_file_close(in.file);
    return status;
}

/* ---- Archives ---- */

typedef struct member {
    int python, part; /* part -1: not pictures */
    int names;        /* batches.meta.txt */
    char file[64];    /* without the folder */
} member;

/* Recognises an expected name; anything else fails. */
static mascon_status expect(const char *archive, const masconI_tar_member *entry, member *out) {
    *out = (member){.part = -1};
    const char *slash = strchr(entry->name, '/');
    size_t length = slash ? (size_t)(slash - entry->name) : strlen(entry->name);
    out->python = length == strlen(folder_py) && memcmp(entry->name, folder_py, length) == 0;
    int known = out->python ||
                (length == strlen(folder_bin) && memcmp(entry->name, folder_bin, length) == 0);
    const char *file = slash ? slash + 1 : "";
    if (known && entry->folder && *file == 0) return MASCON_OK;
    snprintf(out->file, sizeof out->file, "%s", file);
    for (int part = 0; part < N_PARTS; part++) {
        char name[64];
        part_file(name, part, out->python);
        if (strcmp(name, file) == 0) out->part = part;
    }
    out->names = !out->python && strcmp(file, "batches.meta.txt") == 0;
    int other = out->names || strcmp(file, "readme.html") == 0 ||
                (out->python && strcmp(file, "batches.meta") == 0);
    if (known && !entry->folder && (out->part >= 0 || other)) return MASCON_OK;
    char quoted[MASCON_IO_QUOTE];
    return masconI_fail(MASCON_E_FORMAT, "%s holds %s, which is no file of CIFAR-10", archive,
                        masconI_quote(quoted, entry->name, strlen(entry->name)));
}

static mascon_status read_member(set *s, masconI_tar *tar, const char *archive,
                                 const masconI_tar_member *entry) {
    member m;
    MASCON_TRY(expect(archive, entry, &m));
    input in = {.size = entry->size, .tar = tar};
    memcpy(in.name, m.file, sizeof in.name);
    if (m.names) return read_names(&in, s);
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
    for (int part = 0; part < N_PARTS && !s->partial; part++) {
        if (wanted(s, part) && !s->parts[part])
            return masconI_fail(MASCON_E_FORMAT, "%s does not hold %s", path, part_names[part]);
    }
    return MASCON_OK;
}

/* ---- The whole set ---- */

/* A folder or an archive of CIFAR-100 where CIFAR-10 was expected. */
static mascon_status nothing_found(const char *root) {
    static const char *const folders[] = {".", "cifar-10-batches-bin", "cifar-100-binary"};
    static const char *const files[] = {"train.bin", "test.bin"};
    for (size_t d = 0; d < 3; d++) {
        for (size_t f = 0; f < 2; f++) {
            char folder[PATH_SIZE];
            input in;
            MASCON_TRY(join(folder, root, folders[d]));
            if (open_in(&in, folder, files[f]) != MASCON_OK || !in.file) continue;
            uint64_t size = in.size;
            masconI_file_close(in.file);
            if (size > 0 && size % (RECORD + 1) == 0) return is_cifar100(files[f], size);
        }
    }
    masconI_fail(MASCON_E_IO,
                 "no cifar-10-batches-bin, cifar-10-batches-py or archive of one in %s", root);
    return masconI_hint("download = true fetches it; root = or MASCON_DATA names another folder");
}

static mascon_status read_set(set *s, const char *root) {
    char path[PATH_SIZE];
    for (int i = 0; i < 4; i++) {
        const char *folder = root;
        if (i < 2) {
            MASCON_TRY(join(path, root, i ? folder_py : folder_bin));
            folder = path;
        }
        if (!folder_has(folder, i % 2)) continue;
        s->python = i % 2;
        return read_folder(s, folder);
    }
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "cifar-10-python.tar.gz" : "cifar-10-binary.tar.gz";
        if (!file_exists(root, name)) continue;
        MASCON_TRY(join(path, root, name));
        return read_archive(s, path);
    }
    return nothing_found(root);
}

/* F4: says where a full set has unusual numbers of pictures per class. */
static void count_classes(mascon_source *source, const set *s) {
    int64_t count[CLASSES] = {0}, expected = s->train ? 5000 : 1000;
    for (int64_t i = 0; i < source->rows; i++) {
        int64_t label;
        if (mascon_source_label(source, i, &label) == MASCON_OK) count[label]++;
    }
    for (int c = 0; c < CLASSES; c++) {
        if (count[c] == expected) continue;
        snprintf(source->warning, sizeof source->warning,
                 "%lld pictures of class %s; the official set has %lld", (long long)count[c],
                 source->classes[c], (long long)expected);
        return;
    }
}

mascon_status mascon_source_cifar10(mascon_source **out, const char *root, int32_t train,
                                    int32_t partial) {
    *out = NULL;
    set s = {.train = train, .partial = partial};
    mascon_status status = read_set(&s, root);
    mascon_source *parts[N_PARTS];
    int32_t n = 0;
    for (int part = 0; part < N_PARTS; part++)
        if (s.parts[part]) parts[n++] = s.parts[part];
    if (status == MASCON_OK && n == 0)
        status =
            masconI_fail(MASCON_E_IO, "no %s pictures in %s", train ? "training" : "test", root);
    if (status == MASCON_OK) status = mascon_source_concat(out, parts, n);
    for (int32_t i = 0; i < n; i++) mascon_source_release(parts[i]);
    MASCON_TRY(status);
    for (int c = 0; c < CLASSES; c++)
        masconI_source_add_class(*out, s.classes[c][0] ? s.classes[c] : class_names[c]);
    if (!partial) count_classes(*out, &s);
    return MASCON_OK;
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
static void remove_unpacked(const char *folder) {
    static const char *const more[] = {"batches.meta.txt", "batches.meta", "readme.html"};
    char path[PATH_SIZE], name[64];
    for (int i = 0; i < 2 * N_PARTS + 3; i++) {
        if (i < 2 * N_PARTS)
            part_file(name, i / 2, i % 2);
        else
            snprintf(name, sizeof name, "%s", more[i - 2 * N_PARTS]);
        if (join(path, folder, name) == MASCON_OK) unlink(path);
    }
    rmdir(folder);
}

static mascon_status unpack_to(const char *archive, const char *folder, int *python) {
    masconI_tar *tar;
    masconI_tar_member entry;
    MASCON_TRY(masconI_tar_open(&tar, archive, NULL));
    int more = 0;
    mascon_status status = masconI_tar_next(tar, &entry, &more);
    while (status == MASCON_OK && more) {
        member m;
        char path[PATH_SIZE];
        status = expect(archive, &entry, &m);
        if (status == MASCON_OK) status = join(path, folder, m.file);
        *python = m.python;
        if (status == MASCON_OK && !entry.folder) status = copy_member(tar, entry.size, path);
        if (status == MASCON_OK) status = masconI_tar_next(tar, &entry, &more);
    }
    masconI_tar_close(tar);
    return status;
}

mascon_status mascon_cifar10_unpack(const char *archive, const char *root) {
    /* into a folder of another name first: a half unpacked set never looks like a whole one */
    char folder[PATH_SIZE], target[PATH_SIZE], name[64];
    snprintf(name, sizeof name, ".cifar-10.%d.tmp", (int)getpid());
    MASCON_TRY(join(folder, root, name));
    if (mkdir(folder, 0777) != 0) return system_fail("create", folder);
    int python = 0;
    mascon_status status = unpack_to(archive, folder, &python);
    if (status == MASCON_OK) status = join(target, root, python ? folder_py : folder_bin);
    if (status == MASCON_OK && rename(folder, target) != 0) status = system_fail("create", target);
    if (status != MASCON_OK) remove_unpacked(folder);
    return status;
}

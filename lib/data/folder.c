/* folder.c: pictures in files, one folder for each class.
 *
 * Only names are kept; a picture is read and decoded when it is asked for, by any thread. The order
 * is torchvision's: classes by name, then folders by path, then files by name, all by their bytes.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data/image.h"
#include "io/io.h"

enum { PATH_SIZE = 4096, MAX_DEPTH = 32 };

struct masconI_files {
    char *root;
    char **names; /* relative to root */
    int64_t n, room;
    mascon_image_options options;
};

void masconI_files_free(masconI_files *files) {
    if (!files) return;
    for (int64_t i = 0; i < files->n; i++) free(files->names[i]);
    free(files->names);
    free(files->root);
    free(files);
}

const char *masconI_files_name(const masconI_files *files, int64_t i) { return files->names[i]; }

mascon_status masconI_blame(int64_t sample, const char *name) {
    mascon_error *e = masconI_error();
    mascon_status status = e->code;
    char hint[sizeof e->hint];
    memcpy(hint, e->hint, sizeof hint);
    if (sample == 0)
        masconI_fail(status, "%.512s: %s", name ? name : "?", e->message);
    else if (name)
        masconI_fail(status, "sample %lld (%.512s): %s", (long long)sample, name, e->message);
    else
        masconI_fail(status, "sample %lld: %s", (long long)sample, e->message);
    memcpy(e->hint, hint, sizeof hint);
    return status;
}

mascon_status masconI_files_read(const masconI_files *files, int64_t i, masconI_scratch *scratch,
                                 masconI_picture *out) {
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%s", files->root, files->names[i]);
    if (n >= PATH_SIZE) return masconI_fail(MASCON_E_ARG, "the path has %d bytes", n);
    masconI_file *file;
    MASCON_TRY(masconI_file_open(&file, path));
    uint64_t size = file->size;
    mascon_status status = MASCON_OK;
    void *bytes = NULL;
    if (size > MASCON_IMAGE_BYTES) {
        char found[32];
        status = masconI_fail(MASCON_E_LIMIT, "%s bytes; at most 268,435,456 are read",
                              masconI_count(found, size));
    } else {
        bytes = masconI_scratch_get(scratch, MASCON_SCRATCH_FILE, (int64_t)size);
        status = bytes ? masconI_file_read(file, 0, bytes, (size_t)size) : MASCON_E_OOM;
    }
    masconI_file_close(file);
    MASCON_TRY(status);
    masconI_image image;
    MASCON_TRY(masconI_image_decode(&image, scratch, bytes, size, &files->options));
    *out = masconI_picture_of(image.pixels, MASCON_DTYPE_U8,
                              (const int64_t[3]){image.c, image.h, image.w},
                              (const int64_t[3]){1, image.w * image.c, image.c});
    return MASCON_OK;
}

/* ---- Listing ---- */

/* Names that grow. Zeroed is empty. */
typedef struct list {
    char **item;
    int64_t n, room;
} list;

static mascon_status list_add(list *l, const char *a, const char *b) {
    if (l->n == l->room) {
        int64_t room = 2 * l->room + 64;
        char **item = realloc(l->item, (size_t)room * sizeof *item);
        if (!item) return masconI_fail(MASCON_E_OOM, "no memory for %lld names", (long long)room);
        l->item = item;
        l->room = room;
    }
    size_t size = strlen(a) + strlen(b) + 2;
    char *text = malloc(size);
    if (!text) return masconI_fail(MASCON_E_OOM, "no memory for the name of a file");
    snprintf(text, size, "%s%s%s", a, *a ? "/" : "", b);
    l->item[l->n++] = text;
    return MASCON_OK;
}

static void list_free(list *l) {
    for (int64_t i = 0; i < l->n; i++) free(l->item[i]);
    free(l->item);
    *l = (list){0};
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_sort(list *l) {
    if (l->n > 1) qsort(l->item, (size_t)l->n, sizeof *l->item, by_bytes);
}

/* Adds folders and files of root/below to the lists, each as below/name (as its name where below is
 * ""). Links are followed. */
static mascon_status list_folder(const char *root, const char *below, list *folders, list *files) {
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s%s%s", root, *below ? "/" : "", below);
    if (n >= PATH_SIZE) return masconI_fail(MASCON_E_ARG, "the path of %.64s is too long", below);
    DIR *dir = opendir(path);
    if (!dir)
        return masconI_fail(MASCON_E_IO, "cannot read folder %.512s: %s", path, strerror(errno));
    mascon_status status = MASCON_OK;
    const struct dirent *entry;
    while (status == MASCON_OK && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        int folder = entry->d_type == DT_DIR, file = entry->d_type == DT_REG;
        if (!folder && !file) { /* a link, or a file system that does not say */
            char name[PATH_SIZE + 512];
            struct stat st;
            snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            if (stat(name, &st) != 0) continue;
            folder = S_ISDIR(st.st_mode);
            file = S_ISREG(st.st_mode);
        }
        if (folder && folders) status = list_add(folders, below, entry->d_name);
        if (file && files) status = list_add(files, below, entry->d_name);
    }
    closedir(dir);
    return status;
}

/* "jpg" of "a.JPG"; "" where there is none. */
static const char *extension(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && !strchr(dot, '/') ? dot + 1 : "";
}

static int is_picture(const char *name) {
    const char *e = extension(name);
    return strcasecmp(e, "jpg") == 0 || strcasecmp(e, "jpeg") == 0 || strcasecmp(e, "png") == 0;
}

/* Formats that torchvision would read and we do not. */
static int is_other_picture(const char *name) {
    static const char *const others[] = {"ppm", "bmp", "pgm", "tif", "tiff", "webp", "gif"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcasecmp(extension(name), others[i]) == 0) return 1;
    return 0;
}

/* Everything that is found on the way. */
typedef struct search {
    const char *root;
    list pictures;
    int64_t others; /* pictures of types that are not read */
    char other[256];
} search;

/* All folders from `folder` down, itself first, sorted by path. */
static mascon_status list_below(const char *root, const char *folder, list *all) {
    MASCON_TRY(list_add(all, "", folder));
    int64_t begin = 0;
    for (int depth = 0; begin < all->n; depth++) {
        int64_t end = all->n;
        if (depth == MAX_DEPTH) {
            masconI_fail(MASCON_E_LIMIT, "folders %d deep in %.512s", MAX_DEPTH, folder);
            return masconI_hint("is there a link that leads back?");
        }
        for (; begin < end; begin++) MASCON_TRY(list_folder(root, all->item[begin], all, NULL));
    }
    list_sort(all);
    return MASCON_OK;
}

static mascon_status find_class(search *s, const char *name, const list *folders) {
    int64_t before = s->pictures.n;
    for (int64_t i = 0; i < folders->n; i++) {
        list files = {0};
        mascon_status status = list_folder(s->root, folders->item[i], NULL, &files);
        list_sort(&files);
        for (int64_t k = 0; k < files.n && status == MASCON_OK; k++) {
            if (is_picture(files.item[k])) {
                status = list_add(&s->pictures, "", files.item[k]);
            } else if (is_other_picture(files.item[k])) {
                if (s->others++ == 0) snprintf(s->other, sizeof s->other, "%s", files.item[k]);
            }
        }
        list_free(&files);
        MASCON_TRY(status);
    }
    if (s->pictures.n > before) return MASCON_OK;
    masconI_fail(MASCON_E_FORMAT, "class %.128s has no pictures in %.512s/%.128s", name, s->root,
                 name);
    return masconI_hint("files that end in .jpg, .jpeg or .png are read");
}

/* Class numbers of the pictures; *labels is of malloc. */
static mascon_status find_pictures(search *s, const list *classes, int64_t **labels) {
    int64_t *first = calloc((size_t)classes->n + 1, sizeof *first);
    if (!first) return masconI_fail(MASCON_E_OOM, "no memory for the classes");
    mascon_status status = MASCON_OK;
    for (int64_t c = 0; c < classes->n && status == MASCON_OK; c++) {
        list folders = {0};
        first[c] = s->pictures.n;
        status = list_below(s->root, classes->item[c], &folders);
        if (status == MASCON_OK) status = find_class(s, classes->item[c], &folders);
        list_free(&folders);
    }
    first[classes->n] = s->pictures.n;
    *labels = status == MASCON_OK ? calloc((size_t)s->pictures.n + 1, sizeof **labels) : NULL;
    if (status == MASCON_OK && !*labels)
        status = masconI_fail(MASCON_E_OOM, "no memory for the labels");
    for (int64_t c = 0; c < classes->n && status == MASCON_OK; c++)
        for (int64_t i = first[c]; i < first[c + 1]; i++) (*labels)[i] = c;
    free(first);
    return status;
}

/* Takes over the pictures that were found. */
static mascon_status make_source(mascon_source **out, search *s, const list *classes,
                                 const int64_t *labels, const mascon_image_options *options) {
    masconI_files *files = calloc(1, sizeof *files);
    if (files) files->root = strdup(s->root);
    if (!files || !files->root) {
        masconI_files_free(files);
        return masconI_fail(MASCON_E_OOM, "no memory for a data set");
    }
    files->options = *options;
    files->names = s->pictures.item;
    files->n = s->pictures.n;
    s->pictures = (list){0};
    int64_t *to, n = files->n;
    MASCON_TRY(masconI_source_files(out, n, files, &to));
    memcpy(to, labels, (size_t)n * sizeof *to);
    mascon_status status = MASCON_OK;
    for (int64_t c = 0; c < classes->n && status == MASCON_OK; c++)
        status = masconI_source_add_class(*out, classes->item[c]);
    if (s->others > 0)
        snprintf((*out)->warning, sizeof(*out)->warning,
                 "%lld pictures are neither JPEG nor PNG and are left out (%.128s)",
                 (long long)s->others, s->other);
    if (status == MASCON_OK) return MASCON_OK;
    mascon_source_release(*out);
    *out = NULL;
    return status;
}

mascon_status mascon_source_folder(mascon_source **out, const char *root,
                                   const mascon_image_options *options) {
    MASCON_NEED(out);
    MASCON_NEED(root);
    MASCON_NEED(options);
    *out = NULL;
    search s = {.root = root};
    list classes = {0};
    int64_t *labels = NULL;
    mascon_image_options three = *options;
    three.channels = 3;
    mascon_status status = list_folder(root, "", &classes, NULL);
    list_sort(&classes);
    if (status == MASCON_OK && classes.n == 0) {
        masconI_fail(MASCON_E_FORMAT, "no folders of classes in %.512s", root);
        status = masconI_hint("root/cat/1.jpg, root/dog/2.jpg ...");
    }
    if (status == MASCON_OK) status = find_pictures(&s, &classes, &labels);
    if (status == MASCON_OK) status = make_source(out, &s, &classes, labels, &three);
    free(labels);
    list_free(&classes);
    list_free(&s.pictures);
    return status;
}

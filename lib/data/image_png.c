/* image_png.c: PNG through libpng's low-level functions.
 *
 * As in image_jpeg.c, errors jump back to a frame whose state lies in a struct of the caller.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "data/image.h"
#include "io/io.h"

enum { MAX_SIDE = 1000000, CHUNK_BYTES = 8 << 20 };

typedef struct job {
    png_structp png;
    png_infop info;
    jmp_buf back;
    const uint8_t *data;
    uint64_t size, at;
    const mascon_image_options *options;
    masconI_scratch *scratch;
    masconI_image *out;
    png_bytep *rows;
    mascon_status status; /* set where the sentence is written already */
    int done;
    uint8_t *made; /* encoding: the file, room for `room` bytes, `size` used */
    uint64_t room;
    char message[160];
} job;

static void on_error(png_structp png, png_const_charp text) {
    job *j = png_get_error_ptr(png);
    if (j->status == MASCON_OK) snprintf(j->message, sizeof j->message, "%s", text);
    longjmp(j->back, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void stop(job *j, mascon_status status) {
    j->status = status;
    longjmp(j->back, 1);
}

static void read_bytes(png_structp png, png_bytep to, size_t n) {
    job *j = png_get_io_ptr(png);
    if (n > j->size - j->at) stop(j, masconI_image_short("PNG", j->size, j->size));
    memcpy(to, j->data + j->at, n);
    j->at += n;
}

/* Asks for 8 bits, no palette, and three channels where they are wanted. */
static void set_transforms(job *j) {
    png_set_strip_16(j->png);
    png_set_expand(j->png); /* palette and 1, 2, 4 bits; tRNS becomes alpha */
    if (j->options->channels == 3) {
        png_set_gray_to_rgb(j->png);
        png_set_strip_alpha(j->png);
    }
    png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
}

static void decode(job *j) {
    if (setjmp(j->back)) return;
    j->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, j, on_error, on_warning);
    if (j->png) j->info = png_create_info_struct(j->png);
    if (!j->info) stop(j, masconI_fail(MASCON_E_OOM, "no memory to decode a PNG"));
    png_set_user_limits(j->png, MAX_SIDE, MAX_SIDE);
    png_set_chunk_cache_max(j->png, 128);
    png_set_chunk_malloc_max(j->png, CHUNK_BYTES);
    png_set_read_fn(j->png, j, read_bytes);
    png_read_info(j->png, j->info);
    uint64_t w = png_get_image_width(j->png, j->info), h = png_get_image_height(j->png, j->info);
    /* four channels at most; what they really are is known after the transforms */
    mascon_status status = masconI_image_room(j->out, j->scratch, j->options, w, h, 0);
    if (status != MASCON_OK) stop(j, status);
    set_transforms(j);
    int64_t c = png_get_channels(j->png, j->info);
    size_t row = png_get_rowbytes(j->png, j->info);
    if (c < 1 || c > 4 || png_get_bit_depth(j->png, j->info) != 8 || row != w * (uint64_t)c)
        stop(j, masconI_fail(MASCON_E_UNSUPPORTED, "PNG with %d channels in rows of %zu bytes",
                             (int)c, row));
    status = masconI_image_room(j->out, j->scratch, j->options, w, h, c);
    if (status != MASCON_OK) stop(j, status);
    j->rows = malloc((size_t)h * sizeof *j->rows);
    if (!j->rows) stop(j, masconI_fail(MASCON_E_OOM, "no memory to decode a PNG"));
    for (uint64_t y = 0; y < h; y++) j->rows[y] = j->out->pixels + y * row;
    png_read_image(j->png, j->rows);
    j->done = 1; /* what follows the pixels does not matter */
}

mascon_status masconI_png_decode(masconI_image *out, masconI_scratch *scratch, const uint8_t *data,
                                 uint64_t size, const mascon_image_options *options) {
    job j;
    memset(&j, 0, sizeof j);
    j.data = data;
    j.size = size;
    j.options = options;
    j.scratch = scratch;
    j.out = out;
    decode(&j);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    free(j.rows);
    if (j.done) return MASCON_OK;
    if (j.status != MASCON_OK) return j.status;
    char at[32];
    return masconI_fail(MASCON_E_FORMAT, "PNG is damaged at byte %s: %s", masconI_count(at, j.at),
                        j.message);
}

/* ---- Encoding ---- */

static void write_bytes(png_structp png, png_bytep from, size_t n) {
    job *j = png_get_io_ptr(png);
    if (n > j->room - j->size) {
        uint64_t room = 2 * j->room + n + 4096;
        uint8_t *made = realloc(j->made, room);
        if (!made) stop(j, masconI_fail(MASCON_E_OOM, "no memory to encode a PNG"));
        j->made = made;
        j->room = room;
    }
    memcpy(j->made + j->size, from, n);
    j->size += n;
}

static void write_nothing(png_structp png) { (void)png; }

static void encode(job *j, const masconI_image *image) {
    static const int colours[5] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                   PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(j->back)) return;
    j->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, j, on_error, on_warning);
    if (j->png) j->info = png_create_info_struct(j->png);
    if (!j->info) stop(j, masconI_fail(MASCON_E_OOM, "no memory to encode a PNG"));
    png_set_user_limits(j->png, MAX_SIDE, MAX_SIDE);
    png_set_write_fn(j->png, j, write_bytes, write_nothing);
    png_set_IHDR(j->png, j->info, (png_uint_32)image->w, (png_uint_32)image->h, 8,
                 colours[image->c], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(j->png, j->info);
    for (int64_t y = 0; y < image->h; y++)
        png_write_row(j->png, image->pixels + y * image->w * image->c);
    png_write_end(j->png, NULL);
    j->done = 1;
}

mascon_status masconI_png_encode(const masconI_image *image, uint8_t **data, uint64_t *size) {
    job j;
    memset(&j, 0, sizeof j);
    encode(&j, image);
    png_destroy_write_struct(&j.png, &j.info);
    *data = NULL;
    *size = 0;
    if (j.done) {
        *data = j.made;
        *size = j.size;
        return MASCON_OK;
    }
    free(j.made);
    if (j.status != MASCON_OK) return j.status;
    return masconI_fail(MASCON_E_IO, "cannot encode as PNG: %s", j.message);
}

const char *masconI_png_version(void) { return "libpng " PNG_LIBPNG_VER_STRING; }

/* image_jpeg.c: JPEG through libjpeg-turbo.
 *
 * The library reports errors by a function that must not return. Ours jumps back to decode() or
 * encode(), whose state all lies in a struct of the caller: no local variable is alive across the
 * jump. Settings are the library's own (exact integer DCT, smooth chroma), as Pillow's.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "data/image.h"
#include "io/io.h"

enum { MAX_SCANS = 500, ROWS = 16 };

typedef struct job {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr error;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    const uint8_t *data;
    uint64_t size;
    const mascon_image_options *options;
    masconI_scratch *scratch;
    masconI_image *out;
    mascon_status status; /* set where the sentence is written already */
    int ended;            /* the decoder asked for bytes behind the end */
    int warning;          /* the first one, 0: none */
    uint64_t warned_at;
    char message[JMSG_LENGTH_MAX];
} job;

static const JOCTET end_of_image[2] = {0xff, JPEG_EOI};

static void on_error(j_common_ptr c) {
    job *j = c->client_data;
    if (j->status == MASCON_OK) c->err->format_message(c, j->message);
    longjmp(j->back, 1);
}

/* About where the decoder stands: it tells its place after each block only. A marker that stopped it
 * is looked for from there. */
static uint64_t position(const job *j) {
    if (j->ended) return j->size;
    uint64_t at = j->size - j->source.bytes_in_buffer;
    if (j->c.unread_marker == 0) return at;
    for (uint64_t i = at; i + 1 < j->size; i++)
        if (j->data[i] == 0xff && j->data[i + 1] == j->c.unread_marker) return i;
    return at;
}

static void on_message(j_common_ptr c, int level) {
    job *j = c->client_data;
    if (level >= 0) return; /* a trace */
    c->err->num_warnings++;
    int code = c->err->msg_code;
    /* harmless: stray bytes between segments, unknown versions and transforms */
    if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM) return;
    if (j->warning) return;
    j->warning = code;
    j->warned_at = position(j);
    c->err->format_message(c, j->message);
}

static void on_progress(j_common_ptr c) {
    job *j = c->client_data;
    if (j->c.input_scan_number <= MAX_SCANS) return;
    j->status = masconI_fail(MASCON_E_LIMIT, "JPEG with more than %d scans", MAX_SCANS);
    on_error(c);
}

static void source_nothing(j_decompress_ptr c) { (void)c; }

static boolean source_fill(j_decompress_ptr c) {
    job *j = c->client_data;
    j->ended = 1;
    c->src->next_input_byte = end_of_image;
    c->src->bytes_in_buffer = sizeof end_of_image;
    return TRUE;
}

static void source_skip(j_decompress_ptr c, long n) {
    if (n <= 0) return;
    if ((size_t)n > c->src->bytes_in_buffer) {
        source_fill(c);
        return;
    }
    c->src->next_input_byte += n;
    c->src->bytes_in_buffer -= (size_t)n;
}

static uint32_t exif_number(const uint8_t *p, int bytes, int big) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return v;
}

/* Tag 0x0112 of the first directory of an EXIF segment, 1 where it is not there. */
static int32_t exif_orientation(const uint8_t *p, uint32_t n) {
    if (n < 14 || memcmp(p, "Exif\0\0", 6) != 0) return 1;
    p += 6;
    n -= 6;
    int big = p[0] == 'M';
    uint32_t at = exif_number(p + 4, 4, big);
    if (at > n - 2) return 1;
    uint32_t entries = exif_number(p + at, 2, big);
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t entry = (uint64_t)at + 2 + 12 * (uint64_t)i;
        if (entry + 12 > n) return 1;
        if (exif_number(p + entry, 2, big) != 0x0112) continue;
        uint32_t v = exif_number(p + entry + 8, 2, big);
        return v >= 1 && v <= 8 ? (int32_t)v : 1;
    }
    return 1;
}

static mascon_status check_colours(const job *j) {
    switch (j->c.jpeg_color_space) {
        case JCS_GRAYSCALE:
        case JCS_YCbCr:
        case JCS_RGB:
            return MASCON_OK;
        case JCS_CMYK:
        case JCS_YCCK:
            masconI_fail(MASCON_E_UNSUPPORTED, "JPEG in CMYK colours; gray and RGB are read");
            return masconI_hint("convert the file to RGB");
        default:
            return masconI_fail(MASCON_E_UNSUPPORTED,
                                "JPEG with %d components; gray and RGB are read",
                                j->c.num_components);
    }
}

static void stop(job *j, mascon_status status) {
    j->status = status;
    longjmp(j->back, 1);
}

static void prepare(job *j) {
    struct jpeg_decompress_struct *c = &j->c;
    j->source = (struct jpeg_source_mgr){.next_input_byte = j->data,
                                         .bytes_in_buffer = (size_t)j->size,
                                         .init_source = source_nothing,
                                         .fill_input_buffer = source_fill,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_nothing};
    c->src = &j->source;
    j->progress.progress_monitor = on_progress;
    c->progress = &j->progress;
    if (j->options->orientation) jpeg_save_markers(c, JPEG_APP0 + 1, 65535);
}

static void decode(job *j) {
    struct jpeg_decompress_struct *c = &j->c;
    if (setjmp(j->back)) return;
    jpeg_create_decompress(c);
    prepare(j);
    jpeg_read_header(c, TRUE);
    mascon_status status = check_colours(j);
    if (status != MASCON_OK) stop(j, status);
    int gray = c->jpeg_color_space == JCS_GRAYSCALE && j->options->channels != 3;
    c->out_color_space = gray ? JCS_GRAYSCALE : JCS_RGB;
    status = masconI_image_room(j->out, j->scratch, j->options, c->image_width, c->image_height,
                                gray ? 1 : 3);
    if (status != MASCON_OK) stop(j, status);
    /* a progressive picture keeps its coefficients: at most 4 components of 2 bytes */
    int64_t pixels = j->out->h * j->out->w;
    c->mem->max_memory_to_use = (long)(pixels * 16 + (64 << 20));
    for (jpeg_saved_marker_ptr m = c->marker_list; m; m = m->next)
        if (j->out->orientation == 1)
            j->out->orientation = exif_orientation(m->data, m->data_length);
    jpeg_start_decompress(c);
    size_t row = (size_t)(j->out->w * j->out->c);
    while (c->output_scanline < c->output_height) {
        JSAMPROW rows[ROWS];
        for (JDIMENSION i = 0; i < ROWS; i++) {
            JDIMENSION y = c->output_scanline + i;
            rows[i] = j->out->pixels + (y < c->output_height ? y : c->output_height - 1) * row;
        }
        JDIMENSION left = c->output_height - c->output_scanline;
        jpeg_read_scanlines(c, rows, left < ROWS ? left : ROWS);
    }
    /* all scans of a progressive picture must be there: nothing warns of one that is missing */
    if (jpeg_has_multiple_scans(c) && j->ended && !j->warning) {
        j->warning = JWRN_HIT_MARKER;
        j->warned_at = j->size;
    }
    j->out->damaged = j->warning != 0;
}

/* The sentence for what stopped decode(), if anything did. */
static mascon_status judge(const job *j, int finished) {
    if (j->status != MASCON_OK) return j->status;
    if (!finished && j->ended) return masconI_image_short("JPEG", j->size, j->size);
    if (!finished) return masconI_fail(MASCON_E_FORMAT, "JPEG is damaged: %s", j->message);
    if (!j->out->damaged || j->options->lenient) return MASCON_OK;
    if (j->warning == JWRN_HIT_MARKER || j->warning == JWRN_JPEG_EOF)
        return masconI_image_short("JPEG", j->warned_at, j->size);
    char at[32];
    return masconI_fail(MASCON_E_FORMAT, "JPEG is damaged at byte %s: %s",
                        masconI_count(at, j->warned_at), j->message);
}

mascon_status masconI_jpeg_decode(masconI_image *out, masconI_scratch *scratch, const uint8_t *data,
                                  uint64_t size, const mascon_image_options *options) {
    job j;
    memset(&j, 0, sizeof j);
    j.data = data;
    j.size = size;
    j.options = options;
    j.scratch = scratch;
    j.out = out;
    j.out->damaged = -1; /* until the end was reached */
    j.c.err = jpeg_std_error(&j.error);
    j.error.error_exit = on_error;
    j.error.emit_message = on_message;
    j.c.client_data = &j;
    decode(&j);
    mascon_status status = judge(&j, out->damaged >= 0);
    jpeg_destroy_decompress(&j.c);
    return status;
}

/* ---- Encoding ---- */

typedef struct encoder {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr error;
    jmp_buf back;
    unsigned char *data; /* the library's, by malloc */
    unsigned long size;
    int failed;
    char message[JMSG_LENGTH_MAX];
} encoder;

static void on_encode_error(j_common_ptr c) {
    encoder *e = c->client_data;
    c->err->format_message(c, e->message);
    e->failed = 1;
    longjmp(e->back, 1);
}

static void on_encode_message(j_common_ptr c, int level) {
    (void)c;
    (void)level;
}

static void encode(encoder *e, const masconI_image *image, int32_t quality) {
    if (setjmp(e->back)) return;
    jpeg_create_compress(&e->c);
    jpeg_mem_dest(&e->c, &e->data, &e->size);
    e->c.image_width = (JDIMENSION)image->w;
    e->c.image_height = (JDIMENSION)image->h;
    e->c.input_components = (int)image->c;
    e->c.in_color_space = image->c == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&e->c);
    jpeg_set_quality(&e->c, quality, TRUE);
    jpeg_start_compress(&e->c, TRUE);
    while (e->c.next_scanline < e->c.image_height) {
        JSAMPROW row = image->pixels + (int64_t)e->c.next_scanline * image->w * image->c;
        jpeg_write_scanlines(&e->c, &row, 1);
    }
    jpeg_finish_compress(&e->c);
}

mascon_status masconI_jpeg_encode(const masconI_image *image, int32_t quality, uint8_t **data,
                                  uint64_t *size) {
    encoder e;
    memset(&e, 0, sizeof e);
    e.c.err = jpeg_std_error(&e.error);
    e.error.error_exit = on_encode_error;
    e.error.emit_message = on_encode_message;
    e.c.client_data = &e;
    encode(&e, image, quality);
    jpeg_destroy_compress(&e.c);
    *data = e.data;
    *size = e.size;
    if (!e.failed) return MASCON_OK;
    free(e.data);
    *data = NULL;
    return masconI_fail(MASCON_E_IO, "cannot encode as JPEG: %s", e.message);
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *masconI_jpeg_version(void) {
#ifdef LIBJPEG_TURBO_VERSION
    return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION);
#else
    return "libjpeg " TEXT(JPEG_LIB_VERSION);
#endif
}

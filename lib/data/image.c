/* image.c: pictures of files and strings as tensors, and back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/simd.h"
#include "data/image.h"
#include "io/io.h"

/* ---- Decoding ---- */

/* As masconI_count, with a comma in numbers of four digits, too. */
static const char *grouped(char text[32], uint64_t n) {
    if (n < 1000 || n > 9999) return masconI_count(text, n);
    snprintf(text, 32, "%d,%03d", (int)(n / 1000), (int)(n % 1000));
    return text;
}

mascon_status masconI_image_short(const char *format, uint64_t at, uint64_t size) {
    char a[32], b[32];
    return masconI_fail(MASCON_E_FORMAT, "%s data ends early at %s of %s bytes", format,
                        grouped(a, at), grouped(b, size));
}

/* 3600000000 -> "3,600 MP", 2500000 -> "2.5 MP", 900 -> "900 pixels". */
static const char *megapixels(char text[48], uint64_t n) {
    char count[32];
    if (n < 1000000)
        snprintf(text, 48, "%llu pixels", (unsigned long long)n);
    else if (n % 1000000 == 0 || n > 100000000)
        snprintf(text, 48, "%s MP", grouped(count, (n + 500000) / 1000000));
    else
        snprintf(text, 48, "%.1f MP", (double)n * 1e-6);
    return text;
}

mascon_status masconI_image_room(masconI_image *out, masconI_scratch *scratch,
                                 const mascon_image_options *options, uint64_t w, uint64_t h,
                                 int64_t c) {
    if (w < 1 || h < 1 || w > 1000000 || h > 1000000)
        return masconI_fail(MASCON_E_FORMAT, "a picture of %llux%llu", (unsigned long long)w,
                            (unsigned long long)h);
    if (w * h > (uint64_t)options->max_pixels) {
        char found[48], most[48];
        masconI_fail(MASCON_E_LIMIT, "%llux%llu = %s exceeds max_pixels (%s)",
                     (unsigned long long)w, (unsigned long long)h, megapixels(found, w * h),
                     megapixels(most, (uint64_t)options->max_pixels));
        return MASCON_E_LIMIT;
    }
    out->c = c;
    out->h = (int64_t)h;
    out->w = (int64_t)w;
    if (c == 0) return MASCON_OK; /* only the check was wanted */
    out->pixels = masconI_scratch_get(scratch, MASCON_SCRATCH_DECODED, out->h * out->w * c);
    return out->pixels ? MASCON_OK : MASCON_E_OOM;
}

mascon_status masconI_image_decode(masconI_image *out, masconI_scratch *scratch, const void *data,
                                   uint64_t size, const mascon_image_options *options) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
    *out = (masconI_image){.orientation = 1};
    if (options->channels != 0 && options->channels != 3)
        return masconI_fail(MASCON_E_ARG, "channels is %d; must be 0 (as in the file) or 3",
                            options->channels);
    char found[32], quoted[MASCON_IO_QUOTE];
    if (size > MASCON_IMAGE_BYTES)
        return masconI_fail(MASCON_E_LIMIT, "%s bytes; at most 268,435,456 are read",
                            masconI_count(found, size));
    if (size == 0) return masconI_fail(MASCON_E_FORMAT, "no bytes at all; expected a JPEG or PNG");
    size_t n = size < 8 ? (size_t)size : 8;
    if (memcmp(data, png, n) == 0 && n > 3)
        return n == 8 ? masconI_png_decode(out, scratch, data, size, options)
                      : masconI_image_short("PNG", size, size);
    if (memcmp(data, jpeg, n < 3 ? n : 3) == 0)
        return n > 3 ? masconI_jpeg_decode(out, scratch, data, size, options)
                     : masconI_image_short("JPEG", size, size);
    masconI_fail(MASCON_E_FORMAT, "neither JPEG nor PNG: begins with %s",
                 masconI_quote(quoted, data, n));
    return MASCON_E_FORMAT;
}

/* Turns the picture as its EXIF orientation asks: strides (h, w) and the first element. */
static void orient(const masconI_image *m, int64_t shape[3], int64_t stride[3], int64_t *first) {
    int64_t sy = m->w * m->c, sx = m->c;
    int o = m->orientation - 1; /* bit 0 and 1 by way of a table, bit 2: transposed */
    static const struct {
        int8_t flip_y, flip_x;
    } turns[8] = {{0, 0}, {0, 1}, {1, 1}, {1, 0}, {0, 0}, {1, 0}, {1, 1}, {0, 1}};
    *first = (turns[o].flip_y ? (m->h - 1) * sy : 0) + (turns[o].flip_x ? (m->w - 1) * sx : 0);
    if (turns[o].flip_y) sy = -sy;
    if (turns[o].flip_x) sx = -sx;
    int swap = o >= 4;
    shape[0] = m->c;
    shape[1] = swap ? m->w : m->h;
    shape[2] = swap ? m->h : m->w;
    stride[0] = 1;
    stride[1] = swap ? sx : sy;
    stride[2] = swap ? sy : sx;
}

/* to[0], to[plane] and to[2 * plane] = the three bytes of each of n pixels side by side. */
MASCON_CLONES static void split_pixels(const uint8_t *restrict from, uint8_t *restrict to,
                                       int64_t plane, int64_t n) {
    uint8_t *restrict second = to + plane, *restrict third = second + plane;
    for (int64_t x = 0; x < n; x++) {
        to[x] = from[3 * x];
        second[x] = from[3 * x + 1];
        third[x] = from[3 * x + 2];
    }
}

/* A fresh row-major tensor {c, h, w}. */
static mascon_status to_tensor(const masconI_image *m, mascon_tensor **out) {
    int64_t shape[3], stride[3], first;
    orient(m, shape, stride, &first);
    mascon_meta meta;
    masconI_meta(&meta, MASCON_DTYPE_U8, 3, shape);
    MASCON_TRY(masconI_tensor_dense(out, &meta, MASCON_DEVICE_CPU, MASCON_LAYOUT_STRIDED));
    uint8_t *to = mascon_see(*out)->data;
    if (shape[0] == 3 && stride[2] == 3) {
        for (int64_t y = 0; y < shape[1]; y++) {
            split_pixels(m->pixels + first + y * stride[1], to + y * shape[2], shape[1] * shape[2],
                         shape[2]);
        }
        return MASCON_OK;
    }
    for (int64_t c = 0; c < shape[0]; c++) {
        for (int64_t y = 0; y < shape[1]; y++, to += shape[2]) {
            const uint8_t *from = m->pixels + first + c + y * stride[1];
            for (int64_t x = 0; x < shape[2]; x++) to[x] = from[x * stride[2]];
        }
    }
    return MASCON_OK;
}

mascon_status mascon_image_decode(const void *data, int64_t size,
                                  const mascon_image_options *options, mascon_tensor **out,
                                  int32_t *damaged) {
    MASCON_NEED(data);
    MASCON_NEED(out);
    MASCON_NEED(options);
    int32_t ignored;
    if (!damaged) damaged = &ignored;
    *out = NULL;
    *damaged = 0;
    masconI_scratch scratch = {0};
    masconI_image image;
    mascon_status status = masconI_image_decode(&image, &scratch, data, (uint64_t)size, options);
    if (status == MASCON_OK) status = to_tensor(&image, out);
    if (status == MASCON_OK) *damaged = image.damaged;
    masconI_scratch_free(&scratch);
    return status;
}

mascon_status mascon_image_read(const char *path, const mascon_image_options *options,
                                mascon_tensor **out, int32_t *damaged) {
    MASCON_NEED(path);
    MASCON_NEED(out);
    MASCON_NEED(options);
    int32_t ignored;
    if (!damaged) damaged = &ignored;
    *out = NULL;
    *damaged = 0;
    masconI_file *file;
    unsigned char *bytes = NULL;
    MASCON_TRY(masconI_file_open(&file, path));
    uint64_t size = file->size;
    mascon_status status = masconI_file_read_all(file, MASCON_IMAGE_BYTES, &bytes);
    masconI_file_close(file);
    MASCON_TRY(status);
    status = mascon_image_decode(bytes, (int64_t)size, options, out, damaged);
    free(bytes);
    return status;
}

/* ---- Writing ---- */

/* The pixels of a tensor {c, h, w} side by side. */
static mascon_status from_tensor(const mascon_tensor *x, masconI_image *m,
                                 masconI_scratch *scratch) {
    MASCON_TRY(masconI_tensor_alive(x));
    const mascon_view *v = mascon_see(x);
    char text[160];
    if (v->device != MASCON_DEVICE_CPU) {
        masconI_fail(MASCON_E_DEVICE, "picture is on %s", masconI_device_text(v->device, text));
        return masconI_hint("x:cpu()");
    }
    if (v->dtype != MASCON_DTYPE_U8) {
        masconI_fail(MASCON_E_DTYPE, "picture is %s; expected uint8", mascon_dtype_name(v->dtype));
        return masconI_hint("transforms.ConvertImageDtype \"uint8\"");
    }
    if (v->ndim != 3 || v->shape[0] < 1 || v->shape[0] > 4 || v->numel == 0)
        return masconI_fail(
            MASCON_E_SHAPE,
            "picture is %s; expected {channels, height, width} with 1 to 4 channels",
            masconI_shape_text(v->ndim, v->shape, text));
    *m = (masconI_image){.c = v->shape[0], .h = v->shape[1], .w = v->shape[2]};
    if (m->h > 65500 || m->w > 65500)
        return masconI_fail(MASCON_E_SHAPE, "picture is %lldx%lld; sides may have 65,500 pixels",
                            (long long)m->h, (long long)m->w);
    m->pixels = masconI_scratch_get(scratch, MASCON_SCRATCH_DECODED, v->numel);
    if (!m->pixels) return MASCON_E_OOM;
    masconI_copy_strided((char *)m->pixels, (const int64_t[3]){1, m->w * m->c, m->c}, v->data,
                         v->stride, v->shape, 3, 1);
    return MASCON_OK;
}

static mascon_status system_fail(const char *what, const char *path, int code) {
    return masconI_fail(MASCON_E_IO, "cannot %s %.256s: %s", what, path, strerror(code));
}

/* By a temporary file beside it: path is never half written. */
static mascon_status write_file(const char *path, const uint8_t *data, uint64_t size) {
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.%d.part", path, (int)getpid());
    if (n >= (int)sizeof temporary) return masconI_fail(MASCON_E_ARG, "path is too long");
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return system_fail("write", path, errno);
    int code = 0;
    for (uint64_t done = 0; done < size && code == 0;) {
        ssize_t k = write(fd, data + done, (size_t)(size - done));
        if (k >= 0)
            done += (uint64_t)k;
        else if (errno != EINTR)
            code = errno;
    }
    if (close(fd) != 0 && code == 0) code = errno;
    if (code == 0 && rename(temporary, path) != 0) code = errno;
    if (code == 0) return MASCON_OK;
    unlink(temporary);
    return system_fail("write", path, code);
}

mascon_status mascon_image_write(const char *path, const mascon_tensor *x, int32_t format,
                                 int32_t quality) {
    MASCON_NEED(path);
    MASCON_NEED(x);
    masconI_scratch scratch = {0};
    masconI_image image = {0};
    uint8_t *data = NULL;
    uint64_t size = 0;
    mascon_status status = from_tensor(x, &image, &scratch);
    if (status == MASCON_OK && format == MASCON_IMAGE_JPEG && image.c != 1 && image.c != 3)
        status = masconI_fail(MASCON_E_SHAPE, "picture has %lld channels; a JPEG has 1 or 3",
                              (long long)image.c);
    if (status == MASCON_OK)
        status = format == MASCON_IMAGE_JPEG ? masconI_jpeg_encode(&image, quality, &data, &size)
                                             : masconI_png_encode(&image, &data, &size);
    if (status == MASCON_OK) status = write_file(path, data, size);
    free(data);
    masconI_scratch_free(&scratch);
    return status;
}

const char *mascon_image_library(int32_t format) {
    return format == MASCON_IMAGE_JPEG ? masconI_jpeg_version() : masconI_png_version();
}

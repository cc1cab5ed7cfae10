/* image.h: decoding and encoding JPEG and PNG.
 *
 * Rules for hostile files: the format is told by its first bytes; sizes are checked before any
 * memory for pixels; no library ever ends the process; nothing is kept between two pictures, so any
 * number of threads may decode.
 */
#ifndef MASCON_DATA_IMAGE_H
#define MASCON_DATA_IMAGE_H

#include "data/picture.h"

/* Files above this size are not read. */
#define MASCON_IMAGE_BYTES ((uint64_t)256 << 20)

/* Pixels {h, w, c} in the block MASCON_SCRATCH_DECODED. */
typedef struct masconI_image {
    uint8_t *pixels;
    int64_t c, h, w;
    int32_t damaged;     /* lenient: data was missing or wrong */
    int32_t orientation; /* of EXIF, 1..8; 1 where nothing is said */
} masconI_image;

/* Fails with a sentence about the bytes; the caller says whose they are. */
mascon_status masconI_image_decode(masconI_image *out, masconI_scratch *scratch, const void *data,
                                   uint64_t size, const mascon_image_options *options);

/* For the decoders: checks the sizes and gets memory for pixels of c channels. */
mascon_status masconI_image_room(masconI_image *out, masconI_scratch *scratch,
                                 const mascon_image_options *options, uint64_t w, uint64_t h,
                                 int64_t c);
/* "JPEG data ends early at 812 of 2,294 bytes". */
mascon_status masconI_image_short(const char *format, uint64_t at, uint64_t size);

/* image_jpeg.c, image_png.c */
mascon_status masconI_jpeg_decode(masconI_image *out, masconI_scratch *scratch, const uint8_t *data,
                                  uint64_t size, const mascon_image_options *options);
mascon_status masconI_png_decode(masconI_image *out, masconI_scratch *scratch, const uint8_t *data,
                                 uint64_t size, const mascon_image_options *options);
/* *data: memory of malloc with the file. */
mascon_status masconI_jpeg_encode(const masconI_image *image, int32_t quality, uint8_t **data,
                                  uint64_t *size);
mascon_status masconI_png_encode(const masconI_image *image, uint8_t **data, uint64_t *size);
/* "libjpeg-turbo 2.1.5", "libpng 1.6.39" */
const char *masconI_jpeg_version(void);
const char *masconI_png_version(void);

#endif

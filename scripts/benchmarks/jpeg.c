/* jpeg.c: how fast libjpeg(-turbo) itself decodes a JPEG file to RGB, memory to memory, on one core;
 * what scripts/benchmarks/jpeg.lua is compared with.
 *
 *     cc -O2 scripts/benchmarks/jpeg.c -ljpeg -o jpeg_plain && ./jpeg_plain picture.jpg 2
 *
 * Prints the milliseconds of a picture: best and median. An error of the library ends the program. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>

enum { MOST = 1000000 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void decode(const unsigned char *data, unsigned long size) {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr error;
    c.err = jpeg_std_error(&error);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, data, size);
    jpeg_read_header(&c, TRUE);
    c.out_color_space = JCS_RGB;
    jpeg_start_decompress(&c);
    const size_t row = (size_t)c.output_width * 3;
    unsigned char *pixels = malloc(row * c.output_height);
    while (pixels && c.output_scanline < c.output_height) {
        JSAMPROW rows[16];
        for (JDIMENSION i = 0; i < 16; i++) {
            const JDIMENSION y = c.output_scanline + i;
            rows[i] = pixels + (y < c.output_height ? y : c.output_height - 1) * row;
        }
        const JDIMENSION left = c.output_height - c.output_scanline;
        jpeg_read_scanlines(&c, rows, left < 16 ? left : 16);
    }
    free(pixels);
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
}

int main(int argc, char **argv) {
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    static unsigned char data[64 << 20];
    static double times[MOST];
    if (!file) {
        fprintf(stderr, "usage: jpeg_plain FILE SECONDS\n");
        return 1;
    }
    const unsigned long size = (unsigned long)fread(data, 1, sizeof data, file);
    fclose(file);
    decode(data, size);
    int n = 0;
    for (const double stop = now() + atof(argv[2]); now() < stop && n < MOST; n++) {
        const double begun = now();
        decode(data, size);
        times[n] = (now() - begun) * 1e3;
    }
    qsort(times, (size_t)n, sizeof *times, by_size);
    printf("ms %.6f %.6f %d\n", times[0], times[n / 2], n);
    return 0;
}

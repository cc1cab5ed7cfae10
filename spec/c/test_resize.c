/* test_resize.c: every kernel of the resize gives the same bytes, at any size and number of channels,
 * and touches nothing around its pictures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/picture.h"

#define CHECK(what)                                                    \
    do {                                                               \
        if (!(what)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
            exit(1);                                                   \
        }                                                              \
    } while (0)

static uint32_t state = 1;

static int64_t below(int64_t n) {
    state = state * 1664525u + 1013904223u;
    return (int64_t)(state >> 8) % n;
}

/* The picture {h, w, c} resized by one kernel; pixels lie in a block of exactly their size. */
static uint8_t *resized(int most, const uint8_t *pixels, int64_t c, int64_t h, int64_t w,
                        int64_t to_h, int64_t to_w, int32_t filter, int32_t antialias) {
    size_t bytes = (size_t)(c * h * w), result = (size_t)(c * to_h * to_w);
    uint8_t *block = malloc(bytes), *copy = malloc(result);
    CHECK(block && copy);
    memcpy(block, pixels, bytes);
    masconI_scratch scratch = {0};
    masconI_picture p = masconI_picture_of(block, MASCON_DTYPE_U8, (const int64_t[3]){c, h, w},
                                           (const int64_t[3]){1, w * c, c});
    masconI_resize_most = most;
    CHECK(masconI_resize(&p, &scratch, to_h, to_w, filter, antialias) == MASCON_OK);
    CHECK(p.shape[0] == c && p.shape[1] == to_h && p.shape[2] == to_w);
    CHECK(p.stride[0] == 1 && p.stride[1] == c * to_w && p.stride[2] == c);
    memcpy(copy, p.data, result);
    masconI_scratch_free(&scratch);
    free(block);
    return copy;
}

static void test_kernels(void) {
    static uint8_t pixels[4 * 90 * 90];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)below(256);
    for (int i = 0; i < 400; i++) {
        int64_t c = 1 + below(4), h = 1 + below(90), w = 1 + below(90);
        int64_t to_h = 1 + below(i % 5 ? 90 : 300), to_w = 1 + below(i % 7 ? 90 : 300);
        int32_t filter = i % 2 ? MASCON_BILINEAR : MASCON_BICUBIC, antialias = i % 3 != 0;
        uint8_t *expected = NULL;
        for (int most = MASCON_RESIZE_PLAIN; most <= MASCON_RESIZE_VNNI; most++) {
            uint8_t *found = resized(most, pixels, c, h, w, to_h, to_w, filter, antialias);
            if (!expected) {
                expected = found;
                continue;
            }
            CHECK(memcmp(expected, found, (size_t)(c * to_h * to_w)) == 0);
            free(found);
        }
        free(expected);
    }
}

/* A picture of one colour stays one, whatever the weights. */
static void test_flat(void) {
    static uint8_t pixels[3 * 40 * 40];
    for (int value = 0; value < 256; value += 15) {
        memset(pixels, value, sizeof pixels);
        for (int32_t filter = MASCON_NEAREST; filter <= MASCON_BICUBIC; filter++) {
            uint8_t *found = resized(MASCON_RESIZE_VNNI, pixels, 3, 40, 40, 23, 91, filter, 1);
            for (int64_t i = 0; i < 3 * 23 * 91; i++) CHECK(found[i] == value);
            free(found);
        }
    }
}

int main(void) {
    test_kernels();
    test_flat();
    puts("ok");
    return 0;
}

/* test_crc.c: check sums against known values, against a bit-by-bit sum, and over every way of
 * computing and splitting them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

static int failures;

#define EXPECT(condition)                                                   \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                     \
        }                                                                   \
    } while (0)

static uint32_t bit_by_bit(uint32_t polynomial, const unsigned char *p, size_t size) {
    uint32_t v = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        v ^= p[i];
        for (int bit = 0; bit < 8; bit++) v = v >> 1 ^ (v & 1 ? polynomial : 0);
    }
    return ~v;
}

static void test_known(void) {
    EXPECT(masconI_crc_extend(MASCON_CRC32, 0, "123456789", 9) == 0xcbf43926u);
    EXPECT(masconI_crc_extend(MASCON_CRC32C, 0, "123456789", 9) == 0xe3069283u);
    EXPECT(masconI_crc_extend(MASCON_CRC32, 0, "", 0) == 0);
    unsigned char zeros[32] = {0};
    EXPECT(masconI_crc_extend(MASCON_CRC32C, 0, zeros, 32) == 0x8a9136aau); /* RFC 3720 */
    memset(zeros, 0xff, sizeof zeros);
    EXPECT(masconI_crc_extend(MASCON_CRC32C, 0, zeros, 32) == 0x62a8ab43u);
}

static void test_widths(void) {
    static const uint32_t polynomials[2] = {0xedb88320u, 0x82f63b78u};
    static const int widths[3] = {0, 16, 64};
    enum { MOST = 1400 };
    unsigned char *data = malloc(MOST + 3);
    if (!data) abort();
    uint32_t seed = 1;
    for (int i = 0; i < MOST + 3; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (unsigned char)(seed >> 24);
    }
    for (int kind = 0; kind < 2; kind++) {
        for (size_t size = 0; size <= MOST; size += size < 600 ? 1 : 37) {
            const unsigned char *p = data + size % 3;
            uint32_t right = bit_by_bit(polynomials[kind], p, size);
            for (int w = 0; w < 3; w++) {
                uint32_t sum = masconI_crc_extend_width((masconI_crc)kind, 0, p, size, widths[w]);
                EXPECT(sum == right);
                size_t cut = size * 5 / 7;
                sum = masconI_crc_extend_width((masconI_crc)kind, 0, p, cut, widths[w]);
                sum = masconI_crc_extend_width((masconI_crc)kind, sum, p + cut, size - cut,
                                               widths[w]);
                EXPECT(sum == right);
            }
        }
    }
    free(data);
}

int main(void) {
    test_known();
    test_widths();
    if (failures) fprintf(stderr, "%d failures\n", failures);
    return failures != 0;
}

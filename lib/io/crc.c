/* crc.c: check sums of file contents: CRC-32 (zip) and CRC-32C (our checkpoints).
 *
 * Long runs are folded with carry-less multiplication where the processor has it: 256 bytes a step in
 * 512-bit registers, else 64 bytes in 128-bit ones. The remainder of a fold is 16 bytes whose check
 * sum is that of the whole run, so it goes through the table like a short run, and there is no second
 * reduction to get wrong. All constants are computed from the polynomial.
 *
 * Invariants: any split of the data gives the same sum; no alignment is asked for.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SLICES = 8 };

typedef struct code {
    uint32_t polynomial; /* bits reversed, as is usual */
    uint32_t table[SLICES][256];
    uint64_t fold[3][2]; /* multipliers that move 16 bytes by 128, 512 and 2048 bits */
} code;

enum { BY_128, BY_512, BY_2048 };

static code codes[2] = {{.polynomial = 0xedb88320u}, {.polynomial = 0x82f63b78u}};

/* x^n modulo the polynomial, in the 33-bit form that a product of reversed numbers needs. */
static uint64_t power(uint32_t polynomial, int n) {
    uint32_t v = 0x80000000u; /* 1 */
    for (int i = 0; i < n; i++) v = v >> 1 ^ (v & 1 ? polynomial : 0);
    return (uint64_t)v << 1;
}

#if defined(__x86_64__)
static int vector_width; /* bytes of the widest registers that can fold; 0: none */
#endif

static void prepare(void) {
    for (int c = 0; c < 2; c++) {
        code *k = &codes[c];
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t v = i;
            for (int bit = 0; bit < 8; bit++) v = v >> 1 ^ (v & 1 ? k->polynomial : 0);
            k->table[0][i] = v;
        }
        for (int s = 1; s < SLICES; s++) {
            for (uint32_t i = 0; i < 256; i++) {
                uint32_t v = k->table[s - 1][i];
                k->table[s][i] = v >> 8 ^ k->table[0][v & 255];
            }
        }
        for (int f = 0; f < 3; f++) {
            int bits = f == BY_128 ? 128 : f == BY_512 ? 512 : 2048;
            k->fold[f][0] = power(k->polynomial, bits + 32);
            k->fold[f][1] = power(k->polynomial, bits - 32);
        }
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) vector_width = 16;
    if (vector_width && __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq")) {
        vector_width = 64;
    }
#endif
}

static uint32_t by_table(const code *k, uint32_t sum, const unsigned char *p, uint64_t size) {
    for (; size >= 8; size -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word ^= sum;
        sum = 0;
        for (int i = 0; i < 8; i++) sum ^= k->table[7 - i][word >> (8 * i) & 255];
    }
    for (; size; size--) sum = sum >> 8 ^ k->table[0][(sum ^ *p++) & 255];
    return sum;
}

#if defined(__x86_64__)

#define WITH_128 __attribute__((target("pclmul,sse4.1")))
#define WITH_512 __attribute__((target("pclmul,sse4.1,avx512f,avx512dq,vpclmulqdq")))

WITH_128 static __m128i constants_128(const code *k, int by) {
    return _mm_set_epi64x((long long)k->fold[by][1], (long long)k->fold[by][0]);
}

/* Moves a by the distance of k and adds it to b. */
WITH_128 static __m128i fold_128(__m128i a, __m128i k, __m128i b) {
    __m128i low = _mm_clmulepi64_si128(a, k, 0x00), high = _mm_clmulepi64_si128(a, k, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), b);
}

WITH_128 static __m128i load_128(const unsigned char *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Four neighbouring pieces, the first first, and what follows them in steps of 16 bytes. */
WITH_128 static uint32_t finish_128(const code *c, const __m128i v[4], const unsigned char *p,
                                    uint64_t size) {
    unsigned char rest[16];
    __m128i k = constants_128(c, BY_128), sum = v[0];
    for (int i = 1; i < 4; i++) sum = fold_128(sum, k, v[i]);
    for (; size >= 16; size -= 16, p += 16) sum = fold_128(sum, k, load_128(p));
    _mm_storeu_si128((__m128i *)(void *)rest, sum);
    return by_table(c, by_table(c, 0, rest, sizeof rest), p, size);
}

/* size is 64 or more. */
WITH_128 static uint32_t by_128(const code *c, uint32_t sum, const unsigned char *p,
                                uint64_t size) {
    __m128i k = constants_128(c, BY_512), v[4];
    for (int i = 0; i < 4; i++) v[i] = load_128(p + 16 * i);
    v[0] = _mm_xor_si128(v[0], _mm_cvtsi32_si128((int)sum));
    for (p += 64, size -= 64; size >= 64; p += 64, size -= 64) {
        for (int i = 0; i < 4; i++) v[i] = fold_128(v[i], k, load_128(p + 16 * i));
    }
    return finish_128(c, v, p, size);
}

WITH_512 static __m512i fold_512(__m512i a, __m512i k, __m512i b) {
    __m512i low = _mm512_clmulepi64_epi128(a, k, 0x00);
    __m512i high = _mm512_clmulepi64_epi128(a, k, 0x11);
    return _mm512_ternarylogic_epi64(low, high, b, 0x96);
}

/* size is 256 or more. */
WITH_512 static uint32_t by_512(const code *c, uint32_t sum, const unsigned char *p,
                                uint64_t size) {
    __m512i k = _mm512_broadcast_i32x4(constants_128(c, BY_2048)), v[4];
    for (int i = 0; i < 4; i++) v[i] = _mm512_loadu_si512(p + 64 * i);
    v[0] = _mm512_xor_si512(v[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)sum)));
    for (p += 256, size -= 256; size >= 256; p += 256, size -= 256) {
        for (int i = 0; i < 4; i++) v[i] = fold_512(v[i], k, _mm512_loadu_si512(p + 64 * i));
    }
    k = _mm512_broadcast_i32x4(constants_128(c, BY_512));
    for (int i = 1; i < 4; i++) v[i] = fold_512(v[i - 1], k, v[i]);
    for (; size >= 64; p += 64, size -= 64) v[3] = fold_512(v[3], k, _mm512_loadu_si512(p));
    __m128i lane[4];
    _mm512_storeu_si512(lane, v[3]);
    return finish_128(c, lane, p, size);
}

#endif

static uint32_t extend(masconI_crc kind, uint32_t sum, const void *data, uint64_t size, int width) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    const code *c = &codes[kind];
    sum = ~sum;
#if defined(__x86_64__)
    if (width > vector_width) width = vector_width;
    if (width >= 64 && size >= 256) return ~by_512(c, sum, data, size);
    if (width >= 16 && size >= 64) return ~by_128(c, sum, data, size);
#else
    (void)width;
#endif
    return ~by_table(c, sum, data, size);
}

uint32_t masconI_crc_extend(masconI_crc kind, uint32_t sum, const void *data, uint64_t size) {
    return extend(kind, sum, data, size, 64);
}

uint32_t masconI_crc_extend_width(masconI_crc kind, uint32_t sum, const void *data, uint64_t size,
                                  int width) {
    return extend(kind, sum, data, size, width);
}

enum { CHUNK = 1 << 18 }; /* read, and summed while it is in the cache */

mascon_status masconI_file_read_sum(const masconI_file *f, uint64_t offset, void *to, uint64_t size,
                                    masconI_crc kind, uint32_t *sum) {
    unsigned char *p = to;
    while (size) {
        uint64_t step = size < CHUNK ? size : CHUNK;
        MASCON_TRY(masconI_file_read(f, offset, p, step));
        *sum = masconI_crc_extend(kind, *sum, p, step);
        p += step;
        offset += step;
        size -= step;
    }
    return MASCON_OK;
}

mascon_status masconI_file_sum(const masconI_file *f, uint64_t offset, uint64_t size,
                               masconI_crc kind, uint32_t *sum) {
    uint64_t most = size < CHUNK ? size : CHUNK;
    void *buffer = malloc(most ? most : 1);
    if (!buffer) return masconI_oom(f->path, most);
    mascon_status status = MASCON_OK;
    while (size && status == MASCON_OK) {
        uint64_t step = size < most ? size : most;
        status = masconI_file_read_sum(f, offset, buffer, step, kind, sum);
        offset += step;
        size -= step;
    }
    free(buffer);
    return status;
}

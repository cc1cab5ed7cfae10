/* sha256.c: SHA-256 (FIPS 180-4), to recognise files and tensors by their contents. Uses the
 * processor's instructions for it where there are some. Not for secrets.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "mascon_backend.h"
#include "mascon_io.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

struct mascon_digest {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t pending[64];
};

/* ---- Constants ---- */

/* 32 bits behind the point of the square roots of the first 8 primes and of the cube roots of the
 * first 64: doubles hold them exactly enough (no root is within 2^-40 of a step). */
static uint32_t first[8];
static _Alignas(16) uint32_t round_constant[64];
static int plain; /* a test asks for the plain loops */
#if defined(__x86_64__)
static int has_instructions;
#endif

void masconI_sha256_plain(int on) { plain = on; }

static uint32_t behind_point(double root) {
    return (uint32_t)((root - floor(root)) * 4294967296.0);
}

static void prepare(void) {
    int n = 0;
    for (int candidate = 2; n < 64; candidate++) {
        int prime = 1;
        for (int d = 2; d * d <= candidate; d++) prime = prime && candidate % d != 0;
        if (!prime) continue;
        if (n < 8) first[n] = behind_point(sqrt(candidate));
        round_constant[n++] = behind_point(cbrt(candidate));
    }
#if defined(__x86_64__)
    unsigned a, b, c, d;
    has_instructions = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) &&
                       __builtin_cpu_supports("sse4.1");
#endif
}

/* ---- Blocks of 64 bytes ---- */

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void blocks_plain(uint32_t state[8], const uint8_t *p, size_t count) {
    for (; count > 0; count--, p += 64) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++) {
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
                   (uint32_t)p[4 * i + 2] << 8 | (uint32_t)p[4 * i + 3];
        }
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
                   (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
        }
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i++) {
            uint32_t a = s[0], e = s[4];
            uint32_t t = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                         ((e & s[5]) ^ (~e & s[6])) + round_constant[i] + w[i];
            uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                         ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof s[0]);
            s[4] += t;
            s[0] = t + u;
        }
        for (int i = 0; i < 8; i++) state[i] += s[i];
    }
}

#if defined(__x86_64__)
/* The instructions hold the eight words as (a b e f) and (c d g h), highest first. */
__attribute__((target("sha,sse4.1"))) static void blocks_fast(uint32_t state[8], const uint8_t *p,
                                                              size_t count) {
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
    for (; count > 0; count--, p += 64) {
        __m128i before_abef = abef, before_cdgh = cdgh, w[4];
        for (int i = 0; i < 16; i++) {
            __m128i now;
            if (i < 4) {
                now = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
                now = _mm_shuffle_epi8(now, big_endian);
            } else {
                __m128i last = w[(i - 1) & 3];
                now = _mm_sha256msg1_epu32(w[i & 3], w[(i - 3) & 3]);
                now = _mm_add_epi32(now, _mm_alignr_epi8(last, w[(i - 2) & 3], 4));
                now = _mm_sha256msg2_epu32(now, last);
            }
            w[i & 3] = now;
            now = _mm_add_epi32(
                now, _mm_load_si128((const __m128i *)(const void *)(round_constant + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, now);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(now, 0x0e));
        }
        abef = _mm_add_epi32(abef, before_abef);
        cdgh = _mm_add_epi32(cdgh, before_cdgh);
    }
    uint32_t x[4], y[4];
    _mm_storeu_si128((__m128i *)(void *)x, abef);
    _mm_storeu_si128((__m128i *)(void *)y, cdgh);
    uint32_t words[8] = {x[3], x[2], y[3], y[2], x[1], x[0], y[1], y[0]};
    memcpy(state, words, sizeof words);
}
#endif

static void add_blocks(uint32_t state[8], const uint8_t *p, size_t count) {
#if defined(__x86_64__)
    if (has_instructions && !plain) {
        blocks_fast(state, p, count);
        return;
    }
#endif
    blocks_plain(state, p, count);
}

/* ---- Digests ---- */

static void begin(mascon_digest *d) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    memset(d, 0, sizeof *d);
    memcpy(d->state, first, sizeof first);
}

mascon_status mascon_digest_new(mascon_digest **out) {
    MASCON_NEED(out);
    *out = malloc(sizeof **out);
    if (!*out) return masconI_fail(MASCON_E_OOM, "no memory for a digest");
    begin(*out);
    return MASCON_OK;
}

void mascon_digest_release(mascon_digest *d) {
    if (!d) return;
    free(d);
}

void mascon_digest_add(mascon_digest *d, const void *data, int64_t size) {
    if (!d || !data) return;
    const uint8_t *p = data;
    size_t bytes = size > 0 ? (size_t)size : 0;
    size_t have = (size_t)(d->length % 64);
    d->length += bytes;
    if (have > 0) {
        size_t part = 64 - have < bytes ? 64 - have : bytes;
        memcpy(d->pending + have, p, part);
        if (have + part < 64) return;
        add_blocks(d->state, d->pending, 1);
        p += part;
        bytes -= part;
    }
    add_blocks(d->state, p, bytes / 64);
    if (bytes % 64 > 0) memcpy(d->pending, p + bytes / 64 * 64, bytes % 64);
}

mascon_status mascon_digest_tensor(mascon_digest *d, const mascon_tensor *t) {
    MASCON_NEED(d);
    MASCON_NEED(t);
    if (mascon_tensor_is_released(t)) return masconI_fail(MASCON_E_STATE, "tensor was released");
    const mascon_view *v = mascon_see(t);
    if (v->device != MASCON_DEVICE_CPU || !mascon_tensor_is_contiguous(t)) {
        return masconI_fail(MASCON_E_LAYOUT, "digest of a tensor that is not row-major on the CPU");
    }
    int64_t head[2 + MASCON_MAX_DIMS] = {v->dtype, v->ndim};
    for (int i = 0; i < v->ndim; i++) head[2 + i] = v->shape[i];
    mascon_digest_add(d, head, (2 + v->ndim) * (int64_t)sizeof head[0]);
    mascon_digest_add(d, v->data, v->numel * mascon_dtype_size(v->dtype));
    return MASCON_OK;
}

void mascon_digest_text(const mascon_digest *d, char text[65]) {
    if (!d) return;
    if (!text) return;
    mascon_digest end = *d;
    uint64_t bits = end.length * 8;
    uint8_t tail[72] = {0x80};
    size_t zeros = (size_t)((55 - end.length % 64 + 64) % 64);
    for (int i = 0; i < 8; i++) tail[1 + zeros + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    mascon_digest_add(&end, tail, 9 + (int64_t)zeros);
    for (int i = 0; i < 8; i++) snprintf(text + 8 * i, 9, "%08x", (unsigned)end.state[i]);
}

mascon_status mascon_file_sha256(const char *path, char text[65]) {
    MASCON_NEED(path);
    MASCON_NEED(text);
    enum { PIECE = 1 << 18 };
    text[0] = 0;
    masconI_file *file;
    MASCON_TRY(masconI_file_open(&file, path));
    void *piece = malloc(PIECE);
    mascon_status status = piece ? MASCON_OK : masconI_oom(path, PIECE);
    mascon_digest d;
    begin(&d);
    for (uint64_t at = 0; status == MASCON_OK && at < file->size; at += PIECE) {
        size_t n = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
        status = masconI_file_read(file, at, piece, n);
        if (status == MASCON_OK) mascon_digest_add(&d, piece, (int64_t)n);
    }
    if (status == MASCON_OK) mascon_digest_text(&d, text);
    free(piece);
    masconI_file_close(file);
    return status;
}

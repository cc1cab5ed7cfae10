/* md5.c: the MD5 checksum (RFC 1321), to recognise a downloaded archive. Not for secrets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "io/io.h"

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* One block of 64 bytes. The RFC's constants are floor(2^32 |sin(i + 1)|). */
static void md5_block(uint32_t state[4], const uint8_t *p, const uint32_t sines[64]) {
    static const int turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t words[16];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 | (uint32_t)p[4 * i + 2] << 16 |
                   (uint32_t)p[4 * i + 3] << 24;
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
        uint32_t f;
        int word;
        switch (i / 16) {
            case 0:
                f = (b & c) | (~b & d);
                word = i;
                break;
            case 1:
                f = (d & b) | (~d & c);
                word = (5 * i + 1) % 16;
                break;
            case 2:
                f = b ^ c ^ d;
                word = (3 * i + 5) % 16;
                break;
            default:
                f = c ^ (b | ~d);
                word = 7 * i % 16;
        }
        f += a + sines[i] + words[word];
        a = d;
        d = c;
        c = b;
        b += rotate(f, turns[i / 16][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void masconI_md5_begin(masconI_md5 *m) {
    *m = (masconI_md5){.state = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u}};
    for (int i = 0; i < 64; i++) m->sines[i] = (uint32_t)(fabs(sin(i + 1.0)) * 4294967296.0);
}

void masconI_md5_add(masconI_md5 *m, const void *data, size_t bytes) {
    const uint8_t *p = data;
    size_t have = (size_t)(m->length % 64);
    m->length += bytes;
    if (have > 0) {
        size_t part = 64 - have < bytes ? 64 - have : bytes;
        memcpy(m->pending + have, p, part);
        if (have + part < 64) return;
        md5_block(m->state, m->pending, m->sines);
        p += part;
        bytes -= part;
    }
    for (; bytes >= 64; p += 64, bytes -= 64) md5_block(m->state, p, m->sines);
    if (bytes > 0) memcpy(m->pending, p, bytes);
}

void masconI_md5_end(masconI_md5 *m, char text[33]) {
    uint64_t bits = m->length * 8;
    uint8_t tail[72] = {0x80};
    size_t zeros = (size_t)((55 - m->length % 64 + 64) % 64);
    for (int i = 0; i < 8; i++) tail[1 + zeros + (size_t)i] = (uint8_t)(bits >> (8 * i));
    masconI_md5_add(m, tail, 9 + zeros);
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned)(m->state[i / 4] >> (8 * (i % 4)) & 255));
}

mascon_status mascon_file_md5(const char *path, char text[33]) {
    MASCON_NEED(path);
    MASCON_NEED(text);
    enum { PIECE = 1 << 18 };
    text[0] = 0;
    masconI_file *file;
    MASCON_TRY(masconI_file_open(&file, path));
    void *piece = malloc(PIECE);
    mascon_status status = piece ? MASCON_OK : masconI_oom(path, PIECE);
    masconI_md5 m;
    masconI_md5_begin(&m);
    for (uint64_t at = 0; status == MASCON_OK && at < file->size; at += PIECE) {
        size_t n = file->size - at < PIECE ? (size_t)(file->size - at) : PIECE;
        status = masconI_file_read(file, at, piece, n);
        if (status == MASCON_OK) masconI_md5_add(&m, piece, n);
    }
    if (status == MASCON_OK) masconI_md5_end(&m, text);
    free(piece);
    masconI_file_close(file);
    return status;
}

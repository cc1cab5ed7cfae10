/* test_tar.c: archives made by hand: what a member may be, and what ends in an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "io/io.h"

static int failures;
static char path[64];

#define EXPECT(condition)                                                   \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                     \
        }                                                                   \
    } while (0)

static unsigned char archive[1 << 16];
static size_t length;

static void set_sum(unsigned char *h) {
    unsigned sum = 0;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++) sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
}

/* A member of size bytes 'a', 'b', ...; body: its content instead. Returns its header. */
static unsigned char *member(const char *name, char type, size_t size, const char *body) {
    unsigned char *h = archive + length;
    memset(h, 0, 512 + size + 512);
    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 124, 12, "%011o", (unsigned)size);
    h[156] = (unsigned char)type;
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < size; i++) {
        h[512 + i] = body ? (unsigned char)body[i] : (unsigned char)('a' + i % 26);
    }
    set_sum(h);
    length += 512 + (size + 511) / 512 * 512;
    return h;
}

static void finish(void) {
    memset(archive + length, 0, 2048);
    length += 2048;
}

/* Writes the archive, packed or not. */
static void store(int packed) {
    if (packed) {
        gzFile f = gzopen(path, "wb");
        EXPECT(f && gzwrite(f, archive, (unsigned)length) == (int)length && gzclose(f) == Z_OK);
    } else {
        FILE *f = fopen(path, "wb");
        EXPECT(f && fwrite(archive, 1, length, f) == length && fclose(f) == 0);
    }
}

/* Reads all members; the names of those read into names. */
static mascon_status walk(char *names, const masconI_limits *limits) {
    masconI_tar *t = NULL;
    masconI_tar_member m;
    int more = 1;
    *names = 0;
    mascon_status status = masconI_tar_open(&t, path, limits);
    while (status == MASCON_OK && more) {
        status = masconI_tar_next(t, &m, &more);
        if (status != MASCON_OK || !more) break;
        strcat(strcat(names, m.name), m.folder ? "/ " : " ");
        unsigned char text[8] = {0};
        if (m.size >= 2) { /* the rest is skipped */
            status = masconI_tar_read(t, text, 2);
            if (status != MASCON_OK) break;
            if (m.size < 1000) EXPECT(text[0] == 'a' && text[1] == 'b'); /* bombs hold zeros */
        }
    }
    masconI_tar_close(t);
    return status;
}

static void refuse(int line, const char *words) {
    char names[4096];
    finish();
    store(0);
    mascon_status status = walk(names, NULL);
    if (status == MASCON_OK || !strstr(mascon_last_error()->message, words)) {
        fprintf(stderr, "line %d: status %d: %s\n", line, status,
                status ? mascon_last_error()->message : names);
        failures++;
    }
    length = 0;
}

#define REFUSE(words) refuse(__LINE__, words)

static void test_good(void) {
    char names[4096];
    for (int packed = 0; packed < 2; packed++) {
        length = 0;
        member("./", '5', 0, NULL);
        member("./data/", '5', 0, NULL);
        member("x", 'x', 13, "13 mtime=1.5\n");
        member("./data/one", '0', 700, NULL);
        memcpy(member("data/two", 0, 512, NULL) + 257, "ustar  \0", 8);
        set_sum(archive + length - 1024);
        unsigned char *h = member("three", '0', 0, NULL);
        memcpy(h + 345, "deep/er", 7);
        set_sum(h);
        finish();
        store(packed);
        EXPECT(walk(names, NULL) == MASCON_OK);
        EXPECT(strcmp(names, "data/ data/one data/two deep/er/three ") == 0);
        masconI_limits limits = *masconI_limits_default();
        limits.entries = 3;
        EXPECT(walk(names, &limits) == MASCON_E_LIMIT);
        limits = *masconI_limits_default();
        limits.archive_bytes = 1000;
        EXPECT(walk(names, &limits) == (packed ? MASCON_E_LIMIT : MASCON_OK));
    }
    size_t whole = length;
    for (length = 0; length < whole - 1024; length += 301) { /* cut short anywhere: an error */
        store(0);
        EXPECT(walk(names, NULL) != MASCON_OK);
    }
    length = 0;
}

static void test_read_too_much(void) {
    masconI_tar *t = NULL;
    masconI_tar_member m;
    unsigned char text[20];
    int more = 0;
    member("a", '0', 10, NULL);
    finish();
    store(0);
    EXPECT(masconI_tar_open(&t, path, NULL) == MASCON_OK);
    EXPECT(masconI_tar_read(t, text, 1) == MASCON_E_FORMAT); /* no member yet */
    EXPECT(masconI_tar_next(t, &m, &more) == MASCON_OK && more && m.size == 10);
    EXPECT(masconI_tar_read(t, text, 11) == MASCON_E_FORMAT);
    EXPECT(masconI_tar_read(t, text, 10) == MASCON_OK && text[9] == 'j');
    masconI_tar_close(t);
    length = 0;
}

static void test_bad(void) {
    member("../a", '0', 1, NULL), REFUSE("member name \"../a\" is not allowed");
    member("/etc/a", '0', 1, NULL), REFUSE("is not allowed");
    member("a/../../b", '0', 1, NULL), REFUSE("is not allowed");
    member("a//b", '0', 1, NULL), REFUSE("is not allowed");
    member("a\\b", '0', 1, NULL), REFUSE("is not allowed");
    member("a\nb", '0', 1, NULL), REFUSE("is not allowed");
    member("", '0', 1, NULL), REFUSE("no name");
    member("a", '0', 1, NULL), member("./a", '0', 1, NULL), REFUSE("two members have the name");
    member("a", '2', 0, NULL), REFUSE("a member of type \"2\"");
    member("a", 'L', 4, "abc"), REFUSE("a member of type \"L\"");
    member("a", '5', 1, NULL), REFUSE("a folder has a size");
    member("a", '0', 1, NULL)[0] = 'b', REFUSE("check sum");
    unsigned char *h = member("a", '0', 1, NULL);
    h[257] = 'v', set_sum(h), REFUSE("no tar header");
    h = member("a", '0', 1, NULL);
    h[124] = 0x80, set_sum(h), REFUSE("not octal");
    h = member("a", '0', 1, NULL);
    memset(h + 124, '7', 11), set_sum(h), REFUSE("cut off");
    member("x", 'x', 12, "12 path=abc\n"), REFUSE("extended header sets \"path=abc\"");
    member("x", 'x', 12, "99 mtime=12\n"), REFUSE("damaged");
    member("x", 'x', 12, "12 mtime=123"), REFUSE("damaged");
    finish(), member("a", '0', 1, NULL), REFUSE("data follows the end");
}

static void test_gzip(void) {
    char names[4096];
    length = 0;
    finish();
    store(1);
    FILE *f = fopen(path, "ab");
    EXPECT(f && fputc('x', f) == 'x' && fclose(f) == 0);
    EXPECT(walk(names, NULL) == MASCON_E_FORMAT);
    EXPECT(strstr(mascon_last_error()->message, "follows the compressed archive"));
    static unsigned char zeros[1 << 20];
    unsigned char *h;
    length = 0;
    h = member("bomb", '0', 0, NULL);
    snprintf((char *)h + 124, 12, "%011o", (unsigned)sizeof zeros);
    set_sum(h);
    gzFile z = gzopen(path, "wb9");
    EXPECT(z && gzwrite(z, archive, 512) == 512 &&
           gzwrite(z, zeros, sizeof zeros) == (int)sizeof zeros && gzclose(z) == Z_OK);
    EXPECT(walk(names, NULL) != MASCON_OK);
    f = fopen(path, "r+b");
    EXPECT(f && truncate(path, 20) == 0 && fclose(f) == 0);
    EXPECT(walk(names, NULL) == MASCON_E_FORMAT);
}

int main(void) {
    snprintf(path, sizeof path, "%s/mascon-tar-XXXXXX", P_tmpdir);
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    test_good();
    test_read_too_much();
    test_bad();
    test_gzip();
    unlink(path);
    if (!failures) printf("tar: ok\n");
    return failures != 0;
}

/* test_sha256.c: digests against known values, with and without the processor's instructions, and over
 * every way of splitting the data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "mascon_io.h"

static int failures;

#define EXPECT(condition)                                                   \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                     \
        }                                                                   \
    } while (0)

/* The digest of size bytes, added in pieces of `piece`. */
static void digest(char text[65], const char *data, size_t size, size_t piece) {
    mascon_digest *d = NULL;
    EXPECT(mascon_digest_new(&d) == MASCON_OK);
    for (size_t at = 0; at < size; at += piece) {
        mascon_digest_add(d, data + at, (int64_t)(size - at < piece ? size - at : piece));
    }
    mascon_digest_text(d, text);
    mascon_digest_release(d);
}

/* The examples of FIPS 180-4. */
static void test_known(void) {
    char text[65], *many = malloc(1000000);
    memset(many, 'a', 1000000);
    digest(text, "", 0, 1);
    EXPECT(!strcmp(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    digest(text, "abc", 3, 3);
    EXPECT(!strcmp(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    digest(text, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 56);
    EXPECT(!strcmp(text, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    digest(text, many, 1000000, 4096);
    EXPECT(!strcmp(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
    free(many);
}

static void test_splits(void) {
    char data[400], whole[65], pieces[65];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 31 + 7);
    for (size_t size = 0; size <= sizeof data; size += 13) {
        digest(whole, data, size, sizeof data);
        for (size_t piece = 1; piece <= 130; piece += 3) {
            digest(pieces, data, size, piece);
            EXPECT(!strcmp(whole, pieces));
        }
    }
}

/* Neither the text of a digest nor reading a tensor changes anything; shapes and types count. */
static void test_tensors(void) {
    mascon_tensor *t = NULL, *flat = NULL;
    int64_t shape[2] = {2, 3}, six[1] = {6};
    double values[6] = {1, 2, 3, 4, 5, 6};
    EXPECT(mascon_tensor_new(&t, MASCON_DTYPE_F32, 2, shape, 0) == MASCON_OK);
    EXPECT(mascon_tensor_new(&flat, MASCON_DTYPE_F32, 1, six, 0) == MASCON_OK);
    EXPECT(mascon_tensor_write(t, values) == MASCON_OK);
    EXPECT(mascon_tensor_write(flat, values) == MASCON_OK);
    int64_t version = mascon_tensor_version(t);
    char a[65], b[65];
    mascon_digest *d = NULL, *e = NULL;
    EXPECT(mascon_digest_new(&d) == MASCON_OK && mascon_digest_new(&e) == MASCON_OK);
    EXPECT(mascon_digest_tensor(d, t) == MASCON_OK);
    EXPECT(mascon_digest_tensor(e, flat) == MASCON_OK);
    mascon_digest_text(d, a);
    mascon_digest_text(d, b);
    EXPECT(!strcmp(a, b));
    mascon_digest_text(e, b);
    EXPECT(strcmp(a, b) != 0);
    EXPECT(mascon_tensor_version(t) == version);
    mascon_tensor_discard(t, "test");
    EXPECT(mascon_digest_tensor(d, t) == MASCON_E_STATE);
    mascon_digest_release(d);
    mascon_digest_release(e);
    mascon_tensor_release(t);
    mascon_tensor_release(flat);
}

int main(void) {
    for (int plain = 0; plain < 2; plain++) {
        masconI_sha256_plain(plain);
        test_known();
        test_splits();
    }
    test_tensors();
    if (failures == 0) printf("ok\n");
    return failures != 0;
}

/* test_pickle.c: the pickle machine on bytes written by hand, most of them wrong on purpose. */
#include <math.h>
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

static masconI_limits limits;
static masconI_pickle_options options;

static mascon_status run(masconI_pickle **out, const masconI_pickle_profile *profile,
                         const void *data, uint64_t size) {
    /* a copy without a byte to spare: a sanitizer sees any read behind it */
    static void *copy;
    free(copy);
    copy = malloc(size ? size : 1);
    if (!copy) abort();
    memcpy(copy, data, size);
    return masconI_pickle_parse(out, profile, copy, size, &options, NULL);
}

/* A profile with a hook, for what CIFAR does not use. */
static mascon_status persistent(masconI_pickle *p, const masconI_pickle_value *id,
                                masconI_pickle_value **out) {
    if (id->kind != MASCON_PICKLE_STR) return masconI_pickle_bad(p, "the id is no string");
    *out = masconI_pickle_new(p, MASCON_PICKLE_STORAGE);
    if (!*out) return mascon_last_error()->code;
    (*out)->as.object = masconI_pickle_context(p);
    return MASCON_OK;
}

static mascon_status make_dict(masconI_pickle *p, const masconI_pickle_value *args,
                               masconI_pickle_value **out) {
    if (args->as.list.count) return masconI_pickle_bad(p, "arguments");
    *out = masconI_pickle_new(p, MASCON_PICKLE_DICT);
    return *out ? MASCON_OK : mascon_last_error()->code;
}

static const masconI_pickle_global hooked_globals[] = {
    {"collections", "OrderedDict", 0, make_dict, NULL}, {"a.b", "Only_new", 1, NULL, make_dict}};
static const masconI_pickle_profile hooked = {.name = "hooked",
                                              .globals = hooked_globals,
                                              .n_globals = 2,
                                              .unknown_hint = "skip_unknown = true",
                                              .persistent = persistent};

/* The body, between PROTO 2 and STOP, must fail with this code and these words. */
static void refuse(int line, const masconI_pickle_profile *profile, const char *body, size_t size,
                   mascon_status code, const char *words) {
    unsigned char text[4096] = {0x80, 2};
    masconI_pickle *p = NULL;
    memcpy(text + 2, body, size);
    text[size + 2] = '.';
    mascon_status status = run(&p, profile, text, size + 3);
    if (status != code || p || !strstr(mascon_last_error()->message, words) ||
        strncmp(mascon_last_error()->message, "file.pkl", 8) != 0) {
        fprintf(stderr, "line %d: status %d, message: %s\n", line, status,
                status ? mascon_last_error()->message : "none");
        failures++;
        masconI_pickle_free(p);
    }
}

#define REFUSE(body, words) \
    refuse(__LINE__, &masconI_pickle_cifar, body, sizeof(body) - 1, MASCON_E_FORMAT, words)
#define REFUSE_AS(profile, code, body, words) \
    refuse(__LINE__, &(profile), body, sizeof(body) - 1, code, words)

static masconI_pickle *accept(int line, const masconI_pickle_profile *profile, const char *body,
                              size_t size) {
    unsigned char text[4096] = {0x80, 2};
    masconI_pickle *p = NULL;
    memcpy(text + 2, body, size);
    text[size + 2] = '.';
    if (run(&p, profile, text, size + 3) != MASCON_OK) {
        fprintf(stderr, "line %d: refused: %s\n", line, mascon_last_error()->message);
        failures++;
    }
    return p;
}

#define ACCEPT(profile, body) accept(__LINE__, &(profile), body, sizeof(body) - 1)

static void test_values(void) {
    masconI_pickle *p = ACCEPT(hooked,
                               "(N\x88\x89J\xff\xff\xff\xffK\xffM\xff\xff\x8a\x01\x80\x8a\x00"
                               "\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"
                               "G\xbf\xf8\x00\x00\x00\x00\x00\x00X\x02\x00\x00\x00\xc3\xa9"
                               ")K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87](K\x01K\x02"
                               "e}(K\x05K\x06X\x01\x00\x00\x00kNut");
    if (!p) return;
    const masconI_pickle_value *top = masconI_pickle_top(p);
    masconI_pickle_value *const *v = top->as.list.item;
    EXPECT(top->kind == MASCON_PICKLE_TUPLE && top->as.list.count == 17);
    EXPECT(v[0]->kind == MASCON_PICKLE_NONE);
    EXPECT(v[1]->kind == MASCON_PICKLE_BOOL && v[1]->as.integer == 1 && v[2]->as.integer == 0);
    EXPECT(v[3]->as.integer == -1 && v[4]->as.integer == 255 && v[5]->as.integer == 65535);
    EXPECT(v[6]->as.integer == -128 && v[7]->as.integer == 0 && v[8]->as.integer == INT64_MIN);
    EXPECT(v[9]->kind == MASCON_PICKLE_FLOAT && v[9]->as.real == -1.5);
    EXPECT(v[10]->kind == MASCON_PICKLE_STR && v[10]->as.text.size == 2);
    for (uint64_t i = 0; i < 4; i++) EXPECT(v[11 + i]->as.list.count == i);
    EXPECT(v[15]->kind == MASCON_PICKLE_LIST && v[15]->as.list.item[1]->as.integer == 2);
    EXPECT(v[16]->kind == MASCON_PICKLE_DICT && v[16]->as.list.count == 4);
    EXPECT(masconI_pickle_get(v[16], "k") == v[0]);
    EXPECT(v[3]->offset == 6);
    masconI_pickle_free(p);
}

static void test_structure(void) {
    unsigned char proto4[] = {0x80, 4, 'N', '.'}, nothing[] = {'N', '.'}, open[] = {0x80, 2, 'N'};
    masconI_pickle *p = NULL;
    EXPECT(run(&p, &hooked, proto4, 4) == MASCON_E_UNSUPPORTED);
    EXPECT(strstr(mascon_last_error()->message, "protocol 4"));
    EXPECT(run(&p, &hooked, nothing, 2) == MASCON_E_FORMAT);
    EXPECT(run(&p, &hooked, open, 3) == MASCON_E_FORMAT);
    EXPECT(run(&p, &hooked, open, 0) == MASCON_E_FORMAT);
    REFUSE("N\x80\x02", "PROTO is not the first");
    REFUSE("", "STOP with 0 values");
    REFUSE("NN", "STOP with 2 values");
    REFUSE("(N", "STOP inside an open MARK");
    REFUSE("N.N", "bytes follow STOP");
    REFUSE("t", "no open MARK");
    REFUSE("a", "the stack is empty");
    REFUSE("](Na", "the stack is empty"); /* the list lies below the MARK */
    REFUSE("N(\x85", "the stack is empty");
    REFUSE("NNa", "expected a list");
    REFUSE("](Nu", "expected a dict");
    REFUSE("}(Nu", "no value");
    REFUSE("}(NNu", "dict key is None");
    REFUSE("}(K\x01NK\x01Nu", "duplicate key 1");
    REFUSE("}(U\x01kNX\x01\x00\x00\x00kNu", "duplicate key \"k\"");
    REFUSE("q\x00", "the stack is empty");
    REFUSE("Nq\x02", "memo index 2 after 0");
    REFUSE("Nr\xff\xff\xff\xff", "memo index 4294967295");
    REFUSE("h\x00", "memo entry 0 does not exist");
    REFUSE("Nq\x01h\x00\x86", "memo entry 0 does not exist");
    REFUSE("Nj\x00\x00\x00\x00", "memo entry 0 does not exist");
    REFUSE("\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01", "integer of 9 bytes");
    REFUSE("X\x02\x00\x00\x00\xc0\x80", "not valid UTF-8");
    REFUSE("X\x03\x00\x00\x00\xed\xa0\x80", "not valid UTF-8");
    REFUSE("X\xff\xff\xff\xff", "more bytes");
    REFUSE("T\xff\xff\xff\xff", "negative length");
    REFUSE("U\x09z", "more bytes");
    REFUSE("cos\nsys tem\n", "has the byte 0x20");
    REFUSE("c\nsystem\n", "1 to 128 bytes");
    REFUSE("Q", "the stack is empty");
    REFUSE("NQ", "persistent id");
    REFUSE_AS(hooked, MASCON_E_FORMAT, "U\x01k", "Python 2 string");
    REFUSE_AS(hooked, MASCON_E_UNSUPPORTED, "\x93", "pickle opcode 0x93 at offset 2");
    REFUSE_AS(hooked, MASCON_E_UNSUPPORTED, "cos\nsystem\n", "Python object os.system");
    REFUSE_AS(hooked, MASCON_E_UNSUPPORTED,
              "}X\x04\x00\x00\x00"
              "argscargparse\nNamespace\n",
              "argparse.Namespace (key \"args\", offset 12)");
    EXPECT(strcmp(mascon_last_error()->hint, "skip_unknown = true") == 0);
    REFUSE_AS(hooked, MASCON_E_FORMAT, "NQ", "the id is no string");
    REFUSE_AS(hooked, MASCON_E_FORMAT, "NNR", "expected a class");
    REFUSE_AS(hooked, MASCON_E_FORMAT, "ccollections\nOrderedDict\nNR", "expected a tuple");
    REFUSE_AS(hooked, MASCON_E_FORMAT, "ccollections\nOrderedDict\n)\x81", "may not be called");
    REFUSE_AS(hooked, MASCON_E_FORMAT, "NNb", "nothing that has a state");
    /* a list may contain itself; the machine only has to survive it */
    masconI_pickle_free(ACCEPT(hooked,
                               "]q\x00h\x00"
                               "ah\x00"
                               "a"));
}

static void test_hooks(void) {
    int context = 0;
    options.context = &context;
    masconI_pickle *p = ACCEPT(hooked,
                               "ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00wX\x01\x00"
                               "\x00\x00"
                               "0Qu");
    if (p) {
        const masconI_pickle_value *w = masconI_pickle_get(masconI_pickle_top(p), "w");
        EXPECT(w && w->kind == MASCON_PICKLE_STORAGE && w->as.object == &context);
    }
    masconI_pickle_free(p);
    options.skip_unknown = 1;
    p = ACCEPT(hooked,
               "}(X\x01\x00\x00\x00"
               "acargparse\nNamespace\n)\x81}(X\x01\x00\x00\x00xK"
               "\x01ubX\x01\x00\x00\x00"
               "bcx\ny\nN\x85R(NNu(NeNaX\x01\x00\x00\x00z"
               "K\x07u");
    if (p) {
        const masconI_pickle_value *top = masconI_pickle_top(p);
        EXPECT(masconI_pickle_get(top, "a")->kind == MASCON_PICKLE_OPAQUE);
        EXPECT(masconI_pickle_get(top, "b")->kind == MASCON_PICKLE_OPAQUE);
        EXPECT(masconI_pickle_get(top, "z")->as.integer == 7);
    }
    masconI_pickle_free(p);
    options.skip_unknown = 0;
    options.context = NULL;
}

static void test_limits(void) {
    masconI_limits standard = limits;
    limits.marks = 2;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "(((", "marks = 2");
    limits.stack = 3;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "NNNN", "stack = 3");
    limits.opcodes = 3;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "NNN", "opcodes = 3");
    limits = standard;
    limits.memo = 2;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "Nq\x00q\x01q\x02", "memo = 2");
    limits.string_bytes = 1;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "X\x02\x00\x00\x00zz", "string_bytes = 1");
    limits.pickle_bytes = 3;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "NN", "pickle_bytes = 3");
    limits = standard;
    limits.meta_bytes = 100;
    REFUSE_AS(hooked, MASCON_E_LIMIT, "]]]", "meta_bytes = 100");
    limits = standard;
}

/* A dict that is big enough for the set of keys. */
static void test_big_dict(int twice) {
    unsigned char text[2048] = {0x80, 2, '}', '('};
    size_t n = 4;
    for (int i = 0; i < 200; i++) { /* i: None, "k<i>": None */
        unsigned char item[8] = {'K', (unsigned char)i, 'N', 'U', 2, 'k', (unsigned char)i, 'N'};
        memcpy(text + n, item, 8);
        n += 8;
    }
    if (twice) {
        memcpy(text + n, "U\x02kdN", 5);
        n += 5;
    }
    memcpy(text + n, "u.", 2);
    masconI_pickle *p = NULL;
    mascon_status status = run(&p, &masconI_pickle_cifar, text, n + 2);
    EXPECT(status == (twice ? MASCON_E_FORMAT : MASCON_OK));
    if (p) EXPECT(masconI_pickle_top(p)->as.list.count == 800);
    masconI_pickle_free(p);
}

/* ---- CIFAR: a batch as Python 2 wrote it ---- */

enum { ROWS = 2, BATCH = 12000 };

typedef struct batch {
    unsigned char text[BATCH];
    size_t n;
} batch;

static void add(batch *b, const void *text, size_t size) {
    memcpy(b->text + b->n, text, size);
    b->n += size;
}

#define ADD(b, literal) add(b, literal, sizeof(literal) - 1)

/* Replaceable parts; the shape is "M lo hi M lo hi". */
static void make_batch(batch *b, const char *reconstruct, const char *shape, size_t shape_size,
                       const char *dtype, size_t dtype_size, const char *order, size_t bytes) {
    static unsigned char pixels[BATCH];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (unsigned char)(i * 7);
    b->n = 0;
    ADD(b,
        "\x80\x02}q\x01(U\x0b"
        "batch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04"
        "]q\x05(K\x06K\x09"
        "eU\x04"
        "dataq\x06");
    add(b, reconstruct, strlen(reconstruct));
    ADD(b,
        "q\x07"
        "cnumpy\nndarray\nq\x08K\x00\x85U\x01"
        "b\x87Rq\x09(K\x01");
    add(b, shape, shape_size);
    ADD(b, "\x86q\x0a");
    add(b, dtype, dtype_size);
    add(b, order, strlen(order));
    unsigned char head[5] = {'T', (unsigned char)bytes, (unsigned char)(bytes >> 8), 0, 0};
    add(b, head, 5);
    add(b, pixels, bytes);
    ADD(b,
        "tbU\x09"
        "filenamesq\x0d]q\x0e(U\x05x.pngq\x0fU\x05y.pngq\x10"
        "eu.");
}

#define NUMPY "cnumpy.core.multiarray\n_reconstruct\n"
#define SHAPE "K\x02M\x00\x0c"
#define STATE "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
#define UINT8 "cnumpy\ndtype\nq\x0bU\x02u1K\x00K\x01\x87Rq\x0c(K\x03U\x01|" STATE
#define BATCH_OF(b, reconstruct, shape, dtype, order, bytes) \
    make_batch(b, reconstruct, shape, sizeof(shape) - 1, dtype, sizeof(dtype) - 1, order, bytes)

static void refuse_batch(int line, batch *b, const char *words) {
    masconI_pickle *p = NULL;
    mascon_status status = run(&p, &masconI_pickle_cifar, b->text, b->n);
    if (status == MASCON_OK || !strstr(mascon_last_error()->message, words)) {
        fprintf(stderr, "line %d: status %d, message: %s\n", line, status,
                status ? mascon_last_error()->message : "none");
        failures++;
    }
    masconI_pickle_free(p);
}

static void test_cifar(void) {
    static batch b;
    masconI_pickle *p = NULL;
    BATCH_OF(&b, NUMPY, SHAPE, UINT8, "\x89", ROWS * 3072);
    mascon_status status = run(&p, &masconI_pickle_cifar, b.text, b.n);
    EXPECT(status == MASCON_OK);
    if (p) {
        const masconI_pickle_value *top = masconI_pickle_top(p),
                                   *data = masconI_pickle_get(top, "data"),
                                   *labels = masconI_pickle_get(top, "labels");
        EXPECT(data && data->kind == MASCON_PICKLE_NDARRAY && data->as.array.rows == ROWS);
        EXPECT(data->as.array.columns == 3072 && data->as.array.data[5] == 35);
        EXPECT(labels->as.list.count == 2 && labels->as.list.item[1]->as.integer == 9);
        EXPECT(masconI_pickle_is(masconI_pickle_get(top, "filenames")->as.list.item[1], "y.png"));
        EXPECT(!masconI_pickle_get(top, "fine_labels"));
    }
    masconI_pickle_free(p);
    for (size_t n = 0; n < b.n; n += n < 250 || n + 80 > b.n ? 1 : 97) {
        EXPECT(run(&p, &masconI_pickle_cifar, b.text, n) != MASCON_OK && !p);
    }
    BATCH_OF(&b, "cnumpy._core.multiarray\n_reconstruct\n", SHAPE, UINT8, "\x89", ROWS * 3072);
    status = run(&p, &masconI_pickle_cifar, b.text, b.n);
    EXPECT(status == MASCON_OK);
    masconI_pickle_free(p);
    BATCH_OF(&b, "cos\nsystem\n", SHAPE, UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "Python object os.system (key \"data\", offset 73)");
    BATCH_OF(&b, "cnumpy\nndarray\n", SHAPE, UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "may not be called");
    BATCH_OF(&b, "cnumpy\ndtype\n", SHAPE, UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "arguments of dtype");
    BATCH_OF(&b, NUMPY, SHAPE, UINT8, "\x88", ROWS * 3072);
    refuse_batch(__LINE__, &b, "Fortran order");
    BATCH_OF(&b, NUMPY, SHAPE, UINT8, "\x89", ROWS * 3072 - 1);
    refuse_batch(__LINE__, &b, "has 6143 bytes");
    BATCH_OF(&b, NUMPY, "K\x03M\x00\x0c", UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "has 6144 bytes");
    BATCH_OF(&b, NUMPY, "K\x04M\x00\x06", UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "expected {1..60000, 3072}");
    BATCH_OF(&b, NUMPY, "J\xff\xff\xff\xffM\x00\x0c", UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "expected {1..60000, 3072}");
    BATCH_OF(&b, NUMPY, "NN", UINT8, "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "two dimensions");
    BATCH_OF(&b, NUMPY, SHAPE, "cnumpy\ndtype\nU\x02i4K\x00K\x01\x87R(K\x03U\x01|" STATE, "\x89",
             ROWS * 3072);
    refuse_batch(__LINE__, &b, "not of uint8");
    BATCH_OF(&b, NUMPY, SHAPE, "cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R", "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "state of an array");
    BATCH_OF(&b, NUMPY, SHAPE, "cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01<" STATE, "\x89",
             ROWS * 3072);
    refuse_batch(__LINE__, &b, "state of a dtype");
    BATCH_OF(&b, NUMPY, SHAPE, "N", "\x89", ROWS * 3072);
    refuse_batch(__LINE__, &b, "state of an array");
}

int main(void) {
    limits = *masconI_limits_default();
    options = (masconI_pickle_options){.path = "file.pkl", .limits = &limits};
    test_values();
    test_structure();
    test_hooks();
    test_limits();
    test_big_dict(0);
    test_big_dict(1);
    test_cifar();
    if (!failures) printf("pickle: ok\n");
    return failures != 0;
}

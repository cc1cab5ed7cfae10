/* cifar.c: fuzz target: the pickles of CIFAR's Python files, and the archives they come in. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void read_archive(const uint8_t *data, size_t size) {
    masconI_tar *t = NULL;
    masconI_tar_member m;
    unsigned char piece[64];
    int more = 1;
    if (!fuzz_check(masconI_tar_open(&t, fuzz_file(data, size), NULL))) return;
    while (fuzz_check(masconI_tar_next(t, &m, &more)) && more) {
        uint64_t n = m.size < sizeof piece ? m.size : sizeof piece;
        if (!fuzz_check(masconI_tar_read(t, piece, n))) break;
    }
    masconI_tar_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    masconI_pickle *p = NULL;
    masconI_pickle_options options = {.path = "cifar", .partial = size & 1};
    void *copy = malloc(size ? size : 1); /* without a byte to spare */
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    if (fuzz_check(masconI_pickle_parse(&p, &masconI_pickle_cifar, copy, size, &options, NULL))) {
        masconI_pickle_get(masconI_pickle_top(p), "data");
        masconI_pickle_free(p);
    }
    free(copy);
    read_archive(data, size);
    return 0;
}

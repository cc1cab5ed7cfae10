/* pickle.c: fuzz target: the pickle machine with the profile of PyTorch, without a container. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "io/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static masconI_file file = {.path = (char *)(uintptr_t) "pickle", .size = 1 << 20, .fd = -1};
    /* streams have storages without members, so any storage is believed here */
    mascon_torch *t = calloc(1, sizeof *t);
    void *copy = malloc(size ? size : 1);
    if (!t || !copy) abort();
    if (size) memcpy(copy, data, size);
    t->file = &file;
    t->format = MASCON_FILE_PYTORCH_STREAM;
    t->limits = *masconI_limits_default();
    t->arena = (masconI_arena){.limit = t->limits.meta_bytes, .path = file.path};
    t->buffer = copy;
    masconI_pickle_options options = {.path = file.path,
                                      .limits = &t->limits,
                                      .skip_unknown = size & 1,
                                      .partial = 1,
                                      .context = t};
    mascon_node node = {.kind = MASCON_NODE_NONE};
    if (fuzz_check(
            masconI_pickle_parse(&t->pickle, &masconI_pickle_torch, copy, size, &options, NULL))) {
        while (node.kind != MASCON_NODE_END && fuzz_check(mascon_torch_next(t, &node))) continue;
    }
    t->file = NULL;
    mascon_torch_close(t);
    return 0;
}

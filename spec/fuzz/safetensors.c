/* safetensors.c: fuzz target: the reader of safetensors files. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mascon_reader *r = NULL;
    if (!fuzz_check(mascon_reader_open(&r, fuzz_file(data, size), NULL))) return 0;
    mascon_reader_verify(r, size & 1);
    for (int64_t i = 0; i < mascon_reader_count(r); i++) {
        mascon_tensor *t = NULL;
        const char *bytes;
        int64_t n;
        if (fuzz_check(mascon_reader_tensor(r, i, &t))) mascon_tensor_release(t);
        fuzz_check(mascon_reader_bytes(r, i, &bytes, &n));
    }
    for (int64_t i = 0; i < mascon_reader_metadata_count(r); i++) {
        int64_t n;
        mascon_reader_metadata(r, mascon_reader_metadata_key(r, i, &n), &n);
    }
    mascon_reader_close(r);
    return 0;
}

/* zip.c: fuzz target: PyTorch's zip archives (torch.save since 1.6). */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_torch(data, size);
    return 0;
}

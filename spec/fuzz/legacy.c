/* legacy.c: fuzz target: PyTorch's streams (torch.save from 0.2 to 1.5). */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_torch(data, size);
    return 0;
}

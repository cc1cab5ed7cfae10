/* tar.c: fuzz target: PyTorch's tar archives (torch.save 0.1). */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_torch(data, size);
    return 0;
}

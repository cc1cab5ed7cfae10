/* fuzz.h: what the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; scripts/fuzz
 * builds it with lib/io, with core.c in place of the core, and with libFuzzer or driver.c.
 */
#ifndef MASCON_FUZZ_H
#define MASCON_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file in memory with these bytes; valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* Ends the process where a failure came without a sentence. Returns status == MASCON_OK. */
int fuzz_check(mascon_status status);
/* Opens a PyTorch file, walks its value and reads its tensors. */
void fuzz_torch(const uint8_t *data, size_t size);

#endif

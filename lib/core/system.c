/* system.c: small questions to the operating system. */
#include <time.h>
#include <unistd.h>

#include "mascon.h"

int64_t mascon_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int32_t mascon_is_terminal(int32_t descriptor) { return isatty(descriptor) == 1; }

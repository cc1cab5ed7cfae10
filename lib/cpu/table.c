/* table.c: the cpu backend: its table of kernels and its memory functions.
 *
 * A kernel is found by its name: masconC_<op>, a weak reference here, so an op without one simply
 * has a NULL entry and the core takes the reference kernel. (A static link must therefore take the
 * objects themselves: weak references pull nothing out of an archive.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/internal.h"
#include "cpu/host.h"

#define VIEW_OP(name)
#define OP(name) extern const mascon_kernel masconC_##name __attribute__((weak));
#include "ops/ops.def"
#undef OP
#undef VIEW_OP

#define VIEW_OP(name) NULL,
#define OP(name) &masconC_##name,
static const mascon_kernel *const kernels[] = {
#include "ops/ops.def"
};
#undef OP
#undef VIEW_OP

_Static_assert(sizeof kernels / sizeof kernels[0] == MASCON_OP_COUNT, "one entry per op");

enum { LINE = 64 };
static const size_t huge_page = (size_t)2 << 20;
static const size_t huge_from = (size_t)1 << 20;

/* Blocks of a megabyte or more begin at a huge page and ask for huge pages: fewer page faults and
 * fewer misses of the address cache. */
mascon_status masconI_host_alloc(int32_t device, size_t bytes, void **out) {
    (void)device;
    const int huge = bytes >= huge_from;
    void *block = NULL;
    *out = NULL;
    if (masconI_own_alloc(bytes, out)) {
        return *out ? MASCON_OK
                    : masconI_fail(MASCON_E_OOM, "the host gave no memory for %zu bytes", bytes);
    }
    if (posix_memalign(&block, huge ? huge_page : LINE, bytes ? bytes : 1) != 0) {
        return masconI_fail(MASCON_E_OOM, "no memory for %zu bytes", bytes);
    }
    if (huge)
        (void)madvise(block, bytes, MADV_HUGEPAGE); /* advice only: refusal changes no result */
    *out = block;
    return MASCON_OK;
}

void masconI_host_free(int32_t device, void *block) {
    (void)device;
    if (!masconI_own_free(block)) free(block);
}

/* What the kernel says can be had without swapping. */
mascon_status masconI_host_info(int32_t device, int64_t *total, int64_t *available) {
    (void)device;
    *total = *available = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) return masconI_fail(MASCON_E_IO, "/proc/meminfo cannot be read");
    char line[128];
    while (fgets(line, sizeof line, file)) {
        long long kib;
        if (sscanf(line, "MemTotal: %lld kB", &kib) == 1) *total = (int64_t)kib * 1024;
        if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1) *available = (int64_t)kib * 1024;
    }
    fclose(file);
    return MASCON_OK;
}

mascon_status masconI_host_copy(void *dst, int32_t dst_device, const void *src, int32_t src_device,
                                size_t bytes) {
    (void)dst_device;
    (void)src_device;
    if (bytes) memcpy(dst, src, bytes);
    return MASCON_OK;
}

mascon_status masconI_host_synchronize(int32_t device) {
    (void)device; /* a call ends before it returns */
    return MASCON_OK;
}

/* ops_hash stays 0: it is compared for backends loaded from another file only. */
const mascon_backend masconI_backend_cpu = {
    .abi = MASCON_BACKEND_ABI,
    .size = sizeof(mascon_backend),
    .name = "cpu",
    .alloc = masconI_host_alloc,
    .free = masconI_host_free,
    .info = masconI_host_info,
    .copy = masconI_host_copy,
    .synchronize = masconI_host_synchronize,
    .kernels = kernels,
};

/* table.c: the reference backend. Every op with kernels must have one here: a missing one is an
 * error when the library is linked. Memory is the cpu backend's. */
#include "core/internal.h"
#include "cpu/host.h"

#define VIEW_OP(name)
#define OP(name) extern const mascon_kernel masconR_##name;
#include "ops/ops.def"
#undef OP
#undef VIEW_OP

#define VIEW_OP(name) NULL,
#define OP(name) &masconR_##name,
static const mascon_kernel *const kernels[] = {
#include "ops/ops.def"
};
#undef OP
#undef VIEW_OP

_Static_assert(sizeof kernels / sizeof kernels[0] == MASCON_OP_COUNT, "one entry per op");

const mascon_backend masconI_backend_reference = {
    .abi = MASCON_BACKEND_ABI,
    .size = sizeof(mascon_backend),
    .name = "reference",
    .alloc = masconI_host_alloc,
    .free = masconI_host_free,
    .info = masconI_host_info,
    .copy = masconI_host_copy,
    .synchronize = masconI_host_synchronize,
    .kernels = kernels,
};

/* backend.c: the table of the CUDA backend, and its handshake with the core.
 *
 * A kernel is found by its name: masconG_<op>, a weak reference here, so an op without one has a NULL
 * entry and the core says "not supported on cuda".
 */
#include "cuda/backend.h"

#include "core/op.h"

#define VIEW_OP(name)
#define OP(name) extern const mascon_kernel masconG_##name __attribute__((weak));
#include "ops/ops.def"
#undef OP
#undef VIEW_OP

#define VIEW_OP(name) NULL,
#define OP(name) &masconG_##name,
static const mascon_kernel *const kernels[] = {
#include "ops/ops.def"
};
#undef OP
#undef VIEW_OP

_Static_assert(sizeof kernels / sizeof kernels[0] == MASCON_OP_COUNT, "one entry per op");

static mascon_status begin(int32_t device, const mascon_call *call, mascon_exec *exec) {
    (void)call;
    masconG_device *d;
    MASCON_TRY(masconG_captures_on(device));
    MASCON_TRY(masconG_open(device, &d));
    exec->stream = masconG_stream_of(d);
    return MASCON_OK;
}

static mascon_status end(int32_t device, const mascon_call *call, mascon_status status) {
    MASCON_TRY(status);
    if (masconG_captures()) return MASCON_OK; /* nothing was executed */
    MASCON_TRY(masconG_mark_values(device, call));
    if (!masconG_host->setting(MASCON_SETTING_SYNC)) return MASCON_OK;
    return masconG_synchronize(device);
}

static mascon_backend backend = {
    .abi = MASCON_BACKEND_ABI,
    .size = sizeof backend,
    .name = "cuda",
    .count = masconG_count,
    .alloc = masconG_memory_alloc,
    .free = masconG_memory_free,
    .info = masconG_memory_info,
    .copy = masconG_memory_copy,
    .synchronize = masconG_synchronize,
    .read = masconG_read,
    .pin = masconG_pin,
    .unpin = masconG_unpin,
    .upload = masconG_upload,
    .join = masconG_join,
    .finish = masconG_finish,
    .capture = masconG_capture,
    .replay = masconG_replay,
    .forget = masconG_forget,
    .begin = begin,
    .end = end,
    .kernels = kernels,
};

__attribute__((visibility("default"))) const mascon_backend *mascon_backend_entry(
    const mascon_host *host);

const mascon_backend *mascon_backend_entry(const mascon_host *host) {
    if (host->abi != MASCON_BACKEND_ABI || host->size != sizeof *host) return NULL;
    masconG_host = host;
    backend.ops_hash = host->ops_hash;
    return &backend;
}

/* ---- What the shared files of the core need besides ---- */

const char *masconI_device_text(int32_t device, char buffer[16]);
const char *masconI_device_text(int32_t device, char buffer[16]) {
    if (device == MASCON_DEVICE_CPU) return "cpu";
    int index = device & 255, n = 0;
    for (const char *p = "cuda:"; *p; p++) buffer[n++] = *p;
    if (index >= 100) buffer[n++] = (char)('0' + index / 100);
    if (index >= 10) buffer[n++] = (char)('0' + index / 10 % 10);
    buffer[n++] = (char)('0' + index % 10);
    buffer[n] = 0;
    return buffer;
}

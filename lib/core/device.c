/* device.c: which backend serves a device, and which kernel serves a call.
 *
 * The CPU is always there: its kernels first, the reference kernels on the same memory where those
 * decline (float64, rare cases). Another device is a plug-in library that is opened when such a device
 * is first asked for; a failure is remembered. Nothing ever falls back to another device.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

const char *masconI_device_text(int32_t device, char buffer[16]) {
    if (device == MASCON_DEVICE_CPU) return "cpu";
    snprintf(buffer, 16, "cuda:%d", device & 255);
    return buffer;
}

/* ---- The CUDA plug-in ---- */

typedef const mascon_backend *backend_entry(uint32_t abi, uint64_t ops_hash);
typedef int32_t device_counter(void);

static struct {
    pthread_once_t once;
    const mascon_backend *backend;
    int32_t count;
    char why[512];
} cuda = {.once = PTHREAD_ONCE_INIT};

static void *open_beside(const char *folder, char *tried, size_t size) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/libmascon_cuda.so", folder);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    size_t used = strlen(tried);
    if (!library && used < size) {
        snprintf(tried + used, size - used, "%s%s", used ? ", " : "", folder);
    }
    return library;
}

static void open_cuda(void) {
    char tried[320] = "", folder[PATH_MAX] = ".";
    Dl_info info;
    if (dladdr((void *)(uintptr_t)&open_cuda, &info) && info.dli_fname) {
        snprintf(folder, sizeof folder, "%s", info.dli_fname);
        char *slash = strrchr(folder, '/');
        snprintf(slash ? slash : folder, slash ? 1 : 2, "%s", slash ? "" : ".");
    }
    void *library = open_beside(folder, tried, sizeof tried);
    const char *path = getenv("MASCON_BACKEND_PATH");
    if (!library && path) library = open_beside(path, tried, sizeof tried);
    if (!library) {
        snprintf(cuda.why, sizeof cuda.why, "libmascon_cuda.so not found; searched %s", tried);
        return;
    }
    backend_entry *entry = (backend_entry *)(uintptr_t)dlsym(library, "mascon_backend_entry");
    device_counter *count = (device_counter *)(uintptr_t)dlsym(library, "mascon_backend_devices");
    const mascon_backend *b = entry ? entry(MASCON_BACKEND_ABI, mascon_op_hash()) : NULL;
    if (!b || !count || b->abi != MASCON_BACKEND_ABI || b->size != sizeof *b ||
        b->ops_hash != mascon_op_hash()) {
        snprintf(cuda.why, sizeof cuda.why,
                 "libmascon_cuda.so belongs to another version of mascon");
        return;
    }
    cuda.count = count();
    cuda.backend = b;
    if (cuda.count == 0) snprintf(cuda.why, sizeof cuda.why, "no CUDA device found");
}

int32_t mascon_device_count(int32_t type, const char **why) {
    if (why) *why = NULL;
    if (type == MASCON_DEVICE_CPU) return 1;
    pthread_once(&cuda.once, open_cuda);
    if (why && cuda.count == 0) *why = cuda.why;
    return cuda.count;
}

mascon_status masconI_backend(int32_t device, const mascon_backend **out) {
    if (device == MASCON_DEVICE_CPU) {
        *out = &masconI_backend_cpu;
        return MASCON_OK;
    }
    int32_t index = device & 255;
    if ((device & ~255) != MASCON_DEVICE_CUDA) {
        return masconI_fail(MASCON_E_DEVICE, "unknown device number %d", device);
    }
    int32_t count = mascon_device_count(MASCON_DEVICE_CUDA, NULL);
    if (!cuda.backend) {
        masconI_fail(MASCON_E_DEVICE, "this build has no CUDA backend");
        return masconI_hint("%s", cuda.why);
    }
    if (index >= count) {
        return masconI_fail(MASCON_E_DEVICE, "device cuda:%d does not exist; this machine has %s%d",
                            index, count ? "cuda:0..cuda:" : "no CUDA device, count ",
                            count ? count - 1 : 0);
    }
    *out = cuda.backend;
    return MASCON_OK;
}

/* ---- The kernel of a call ---- */

static atomic_int force_reference;

void mascon_testing_reference(int32_t on) { atomic_store(&force_reference, on); }

static int serves(const mascon_backend *backend, const mascon_call *call, mascon_wish *wish,
                  const mascon_kernel **out) {
    const mascon_kernel *kernel = backend->kernels[call->op];
    if (!kernel) return 0;
    memset(wish, 0, sizeof *wish);
    if (kernel->wish && !kernel->wish(call, wish)) return 0;
    if (!wish->kernel) wish->kernel = backend->name;
    *out = kernel;
    return 1;
}

mascon_status masconI_kernel(int32_t device, const mascon_call *call, mascon_wish *wish,
                             const mascon_kernel **out) {
    const mascon_backend *backend;
    MASCON_TRY(masconI_backend(device, &backend));
    if (device == MASCON_DEVICE_CPU) {
        if (!atomic_load_explicit(&force_reference, memory_order_relaxed) &&
            serves(backend, call, wish, out)) {
            return MASCON_OK;
        }
        if (serves(&masconI_backend_reference, call, wish, out)) return MASCON_OK;
    } else if (serves(backend, call, wish, out)) {
        return MASCON_OK;
    }
    char text[16];
    const mascon_tensor *first = call->n_src ? call->src[0] : call->n_list ? call->list[0] : NULL;
    return masconI_fail(MASCON_E_UNSUPPORTED, "not supported on %s for %s",
                        masconI_device_text(device, text),
                        first ? mascon_dtype_name(first->view.dtype) : "this dtype");
}

int32_t mascon_op_support(int32_t op, const char *name) {
    if (op < 0 || op >= MASCON_OP_COUNT) return 0;
    if (masconI_ops[op]->flags & MASCON_OPF_VIEW) return (int32_t)masconI_ops[op]->dtypes;
    if (strcmp(name, "reference") == 0) {
        return masconI_backend_reference.kernels[op] ? (int32_t)masconI_ops[op]->dtypes : 0;
    }
    if (strcmp(name, "cpu") == 0) {
        /* our fast kernels are float32 unless they copy or convert */
        return masconI_backend_cpu.kernels[op] ? (int32_t)masconI_ops[op]->dtypes & MASCON_T_F32
                                               : 0;
    }
    if (strcmp(name, "cuda") == 0) {
        mascon_device_count(MASCON_DEVICE_CUDA, NULL);
        return cuda.backend && cuda.backend->kernels[op] ? (int32_t)masconI_ops[op]->dtypes : 0;
    }
    return 0;
}

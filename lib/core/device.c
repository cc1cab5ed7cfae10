/* device.c: which backend serves a device, and which kernel serves a call.
 *
 * The CPU is always there: its kernels first, then for 16-bit floats the way over float32 (widen.c),
 * then the reference kernels on the same memory (float64, rare cases). Another device is a plug-in
 * library that is opened when such a device is first asked for; a failure is remembered. Nothing
 * ever falls back to another device.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/internal.h"

const char *masconI_device_text(int32_t device, char buffer[16]) {
    if (device == MASCON_DEVICE_CPU || device == MASCONI_DEVICE_PINNED) return "cpu";
    snprintf(buffer, 16, "cuda:%d", device & 255);
    return buffer;
}

/* ---- Settings ---- */

static atomic_int settings[MASCON_SETTING_COUNT] = {[MASCON_SETTING_TF32] = 1};
static pthread_once_t settings_read = PTHREAD_ONCE_INIT;

static void read_settings(void) {
    const char *debug = getenv("MASCON_DEBUG");
    atomic_store(&settings[MASCON_SETTING_SYNC], debug && strstr(debug, "sync") != NULL);
}

mascon_status mascon_set(int32_t setting, int32_t value) {
    if (setting < 0 || setting >= MASCON_SETTING_COUNT) {
        return masconI_fail(MASCON_E_ARG, "no such setting: %d", setting);
    }
    pthread_once(&settings_read, read_settings);
    atomic_store(&settings[setting], value);
    return MASCON_OK;
}

int32_t mascon_setting(int32_t setting) {
    if (setting < 0 || setting >= MASCON_SETTING_COUNT) return 0;
    pthread_once(&settings_read, read_settings);
    return atomic_load_explicit(&settings[setting], memory_order_relaxed);
}

/* ---- What a plug-in may call ---- */

static mascon_status host_fail(const char *file, int line, mascon_status code, int32_t op,
                               int32_t native, const char *text) {
    masconI_fail_at(file, line, code, "%s", text);
    mascon_error *e = masconI_error();
    e->native = native;
    if (op >= 0 && op < MASCON_OP_COUNT) {
        snprintf(e->op, sizeof e->op, "%s", masconI_ops[op]->name);
    }
    return code;
}

static mascon_status host_hint(const char *text) { return masconI_hint("%s", text); }

static void host_identity(const mascon_tensor *t, uint64_t *storage, int64_t *version) {
    *storage = mascon_tensor_storage_id(t);
    *version = mascon_tensor_version(t);
}

static mascon_host host = {
    .abi = MASCON_BACKEND_ABI,
    .size = sizeof host,
    .fail = host_fail,
    .hint = host_hint,
    .op_name = mascon_op_name,
    .alloc = masconI_alloc,
    .free = masconI_free,
    .setting = mascon_setting,
    .identity = host_identity,
};

/* ---- The CUDA plug-in ---- */

static struct {
    pthread_once_t once;
    const mascon_backend *backend;
    int32_t count;
    char why[512];
} cuda = {.once = PTHREAD_ONCE_INIT};

/* Opens the library in a folder. Where the file is there but cannot be used, *why is the linker's
 * sentence ("libcudnn.so.9: cannot open shared object file ..."). */
static void *open_in(const char *folder, char *tried, size_t size, char *why, size_t why_size) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/libmascon_cuda.so", folder);
    int there = access(path, F_OK) == 0;
    void *library = there ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library) return library;
    if (there) {
        const char *text = dlerror();
        snprintf(why, why_size, "%s", text ? text : "libmascon_cuda.so cannot be opened");
    }
    size_t used = strlen(tried);
    if (used < size) snprintf(tried + used, size - used, "%s%s", used ? ", " : "", folder);
    return NULL;
}

/* The folder of libmascon.so; "." where it is not known. */
static void own_folder(char folder[PATH_MAX]) {
    Dl_info info;
    snprintf(folder, PATH_MAX, ".");
    if (!dladdr((void *)(uintptr_t)&own_folder, &info) || !info.dli_fname) return;
    const char *slash = strrchr(info.dli_fname, '/');
    if (slash) snprintf(folder, PATH_MAX, "%.*s", (int)(slash - info.dli_fname), info.dli_fname);
}

/* In MASCON_BACKEND_PATH where that is set, then beside libmascon.so. */
static void *find_library(void) {
    char tried[320] = "", folder[PATH_MAX];
    const char *path = getenv("MASCON_BACKEND_PATH");
    void *library = NULL;
    if (path && *path) {
        library = open_in(path, tried, sizeof tried, cuda.why, sizeof cuda.why);
        if (library || cuda.why[0]) return library;
    }
    own_folder(folder);
    library = open_in(folder, tried, sizeof tried, cuda.why, sizeof cuda.why);
    if (!library && !cuda.why[0]) {
        snprintf(cuda.why, sizeof cuda.why, "libmascon_cuda.so not found; searched %s", tried);
    }
    return library;
}

/* The pid in which the devices were opened. A child of that process has the driver's memory, but no
 * driver: calls would fail without a reason, or hang. */
static int cuda_owner;
static atomic_int cuda_lost; /* in such a child: the parent's pid */

static void after_fork_in_child(void) { atomic_store(&cuda_lost, cuda_owner); }

static void open_cuda(void) {
    void *library = find_library();
    if (!library) return;
    mascon_backend_opener *entry =
        (mascon_backend_opener *)(uintptr_t)dlsym(library, "mascon_backend_entry");
    host.ops_hash = mascon_op_hash();
    const mascon_backend *b = entry ? entry(&host) : NULL;
    if (!b || b->abi != MASCON_BACKEND_ABI || b->size != sizeof *b ||
        b->ops_hash != host.ops_hash) {
        snprintf(cuda.why, sizeof cuda.why,
                 "libmascon_cuda.so belongs to another version of mascon");
        return;
    }
    const char *why = NULL;
    cuda.count = b->count(&why);
    cuda.backend = b;
    if (cuda.count == 0) {
        snprintf(cuda.why, sizeof cuda.why, "%s", why ? why : "no CUDA device");
        return;
    }
    cuda_owner = (int)getpid();
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

static mascon_status check_owner(void) {
    const int parent = atomic_load_explicit(&cuda_lost, memory_order_relaxed);
    if (!parent) return MASCON_OK;
    return masconI_fail(MASCON_E_STATE,
                        "process was forked after compute began (pid %d -> %d); load "
                        "in the child instead",
                        parent, (int)getpid());
}

int32_t mascon_device_count(int32_t type, const char **why) {
    if (why) *why = NULL;
    if (type == MASCON_DEVICE_CPU) return 1;
    pthread_once(&cuda.once, open_cuda);
    if (why && cuda.count == 0) *why = cuda.why;
    return cuda.count;
}

static mascon_status no_such_device(int32_t index) {
    if (cuda.count == 0) {
        int missing = strstr(cuda.why, "libmascon_cuda.so not found") != NULL;
        masconI_fail(MASCON_E_DEVICE, "%s",
                     missing ? "this build has no CUDA backend" : "CUDA cannot be used here");
        return masconI_hint("%s", cuda.why);
    }
    if (cuda.count == 1) {
        return masconI_fail(MASCON_E_DEVICE,
                            "device cuda:%d does not exist; this machine has cuda:0", index);
    }
    return masconI_fail(MASCON_E_DEVICE,
                        "device cuda:%d does not exist; this machine has cuda:0..cuda:%d", index,
                        cuda.count - 1);
}

/* Page-locked memory: the host's, so it has no kernels, but blocks of its own. */
static mascon_status pinned_alloc(int32_t device, size_t bytes, void **out) {
    (void)device;
    return cuda.backend->pin(bytes, out);
}

static void pinned_free(int32_t device, void *block) {
    (void)device;
    cuda.backend->unpin(block);
}

static const mascon_backend pinned = {
    .abi = MASCON_BACKEND_ABI,
    .size = sizeof(mascon_backend),
    .name = "pinned",
    .alloc = pinned_alloc,
    .free = pinned_free,
};

mascon_status masconI_backend(int32_t device, const mascon_backend **out) {
    if (device == MASCON_DEVICE_CPU) {
        *out = &masconI_backend_cpu;
        return MASCON_OK;
    }
    if (device == MASCONI_DEVICE_PINNED) {
        pthread_once(&cuda.once, open_cuda);
        if (cuda.count == 0) return no_such_device(0);
        MASCON_TRY(check_owner());
        *out = &pinned;
        return MASCON_OK;
    }
    int32_t index = device & 255;
    if ((device & ~255) != MASCON_DEVICE_CUDA) {
        return masconI_fail(MASCON_E_DEVICE, "unknown device number %d", device);
    }
    pthread_once(&cuda.once, open_cuda);
    if (index >= cuda.count) return no_such_device(index);
    MASCON_TRY(check_owner());
    *out = cuda.backend;
    return MASCON_OK;
}

mascon_status mascon_synchronize(int32_t device) {
    const mascon_backend *backend;
    MASCON_TRY(masconI_backend(device, &backend));
    return backend->synchronize ? backend->synchronize(device) : MASCON_OK;
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

static int rounds_steps(const mascon_call *call) {
    return masconI_ops[call->op]->flags & MASCON_OPF_STEPS &&
           call->attr[masconI_attr_find(call->op, "training")] != 0;
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
        const int widens = masconI_widens(call);
        if (widens && !rounds_steps(call)) {
            *out = NULL;
            return MASCON_OK;
        }
        if (!widens && serves(&masconI_backend_reference, call, wish, out)) return MASCON_OK;
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
    if (!name) return 0;
    if (op < 0 || op >= MASCON_OP_COUNT) return 0;
    if (masconI_ops[op]->flags & MASCON_OPF_VIEW) return (int32_t)masconI_ops[op]->dtypes;
    if (strcmp(name, "reference") == 0) {
        return masconI_backend_reference.kernels[op] ? (int32_t)masconI_ops[op]->dtypes : 0;
    }
    if (strcmp(name, "cpu") == 0) {
        /* our fast kernels are float32, and 16-bit floats by themselves or widened to it */
        return masconI_backend_cpu.kernels[op]
                   ? (int32_t)masconI_ops[op]->dtypes & (MASCON_T_F32 | MASCON_T_HALF)
                   : 0;
    }
    if (strcmp(name, "cuda") == 0) {
        mascon_device_count(MASCON_DEVICE_CUDA, NULL);
        if (!cuda.backend || !cuda.backend->kernels[op]) return 0;
        uint32_t dtypes = cuda.backend->dtypes ? cuda.backend->dtypes(op) : MASCON_T_ALL;
        return (int32_t)(masconI_ops[op]->dtypes & dtypes);
    }
    return 0;
}

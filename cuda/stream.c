/* stream.c: the devices: their streams, limits and state.
 *
 * Each device has one stream for kernels, one for copies ahead of their use, one for reading values and one
 * for captures (graph.c). A device's state is made when it is first used and lives as long as the process:
 * the driver may be gone before the last tensor.
 *
 * Reading a value (a loss) must not wait for what was given to the device after it (its backward pass).
 * So behind each call that computes a single value an event is recorded, and the last few are kept: the
 * value is then copied on a stream that waits for this event alone. What is not among them is read in
 * the order of the kernels' stream.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cuda/backend.h"

enum { MAX_DEVICES = 16 };

static struct {
    pthread_once_t once;
    int32_t count;
    char why[480];
} found = {.once = PTHREAD_ONCE_INIT};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static masconG_device devices[MAX_DEVICES];
static atomic_int ready[MAX_DEVICES];
/* The device that this thread has made its current one; every call of an operation asks. */
static _Thread_local int current = -1;

/* The last values: storages, their versions, and when they are computed. */
enum { MARKS = 16 };
typedef struct mark {
    uint64_t storage;
    int64_t version;
    cudaEvent_t event; /* made once */
} mark;
static struct {
    pthread_mutex_t lock; /* also of the device's bounce memory */
    mark ring[MARKS];
    int next;
} values[MAX_DEVICES];

/* Why there is no device, where the driver is what is missing. */
static void tell_driver(char *text, size_t size) {
    int driver = 0, runtime = 0;
    if (cuda->driver_get_version(&driver) != cudaSuccess || driver == 0) {
        snprintf(text, size, "no NVIDIA driver found (libcuda.so.1)");
        return;
    }
    cuda->runtime_get_version(&runtime);
    snprintf(text, size, "the NVIDIA driver is for CUDA %d.%d; this build needs %d.%d or later",
             driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}

static void look(void) {
    int count = 0;
    cudaError_t error = cuda->get_device_count(&count);
    if (error != cudaSuccess) {
        cuda->get_last_error();
        count = 0;
        snprintf(found.why, sizeof found.why, "%s", cuda->get_error_string(error));
        if (error == cudaErrorInsufficientDriver) tell_driver(found.why, sizeof found.why);
    } else if (count == 0) {
        strcpy(found.why, "no CUDA device found");
    }
    if (count > 0) {
        const char *why = cuda->open_libraries();
        if (why) {
            snprintf(found.why, sizeof found.why, "%s", why);
            count = 0;
        }
    }
    found.count = count < MAX_DEVICES ? count : MAX_DEVICES;
}

int32_t masconG_count(const char **why) {
    pthread_once(&found.once, look);
    if (why) *why = found.count ? NULL : found.why;
    return found.count;
}

masconG_device *masconG_of(int32_t device) { return &devices[device & (MAX_DEVICES - 1)]; }

static mascon_status ask(int *value, enum cudaDeviceAttr which, int index) {
    CUDA_TRY(device_get_attribute(value, which, index));
    return MASCON_OK;
}

static void close_half(masconG_device *d) {
    if (d->bounce) cuda->free_host(d->bounce);
    if (d->report) cuda->free_host(d->report);
    if (d->captures) cuda->stream_destroy(d->captures);
    if (d->reads) cuda->stream_destroy(d->reads);
    if (d->copies) cuda->stream_destroy(d->copies);
    if (d->stream) cuda->stream_destroy(d->stream);
    memset(d, 0, sizeof *d);
}

static mascon_status open_device(masconG_device *d, int index) {
    int major, minor, processors, shared, host_pages;
    MASCON_TRY(ask(&major, cudaDevAttrComputeCapabilityMajor, index));
    MASCON_TRY(ask(&minor, cudaDevAttrComputeCapabilityMinor, index));
    MASCON_TRY(ask(&processors, cudaDevAttrMultiProcessorCount, index));
    MASCON_TRY(ask(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, index));
    MASCON_TRY(ask(&host_pages, cudaDevAttrPageableMemoryAccess, index));
    CUDA_TRY(stream_create_with_flags(&d->stream, cudaStreamNonBlocking));
    CUDA_TRY(stream_create_with_flags(&d->copies, cudaStreamNonBlocking));
    CUDA_TRY(stream_create_with_flags(&d->reads, cudaStreamNonBlocking));
    CUDA_TRY(stream_create_with_flags(&d->captures, cudaStreamNonBlocking));
    CUDA_TRY(host_alloc(&d->bounce, MASCONG_BOUNCE, cudaHostAllocPortable));
    void *report;
    CUDA_TRY(
        host_alloc(&report, sizeof(masconG_report), cudaHostAllocPortable | cudaHostAllocMapped));
    memset(report, 0, sizeof(masconG_report));
    d->report = report;
    d->capability = major * 10 + minor;
    d->multiprocessors = processors;
    d->max_shared = shared;
    d->host_pages = host_pages;
    pthread_mutex_init(&values[index].lock, NULL);
    return MASCON_OK;
}

mascon_status masconG_open(int32_t device, masconG_device **out) {
    int index = device & 255;
    *out = masconG_of(index);
    if (current == index && atomic_load_explicit(&ready[index], memory_order_acquire)) {
        return MASCON_OK;
    }
    current = -1;
    CUDA_TRY(set_device(index));
    pthread_mutex_lock(&lock);
    mascon_status status = MASCON_OK;
    if (!atomic_load_explicit(&ready[index], memory_order_relaxed)) {
        status = open_device(*out, index);
        if (status == MASCON_OK) {
            atomic_store_explicit(&ready[index], 1, memory_order_release);
        } else {
            close_half(*out);
        }
    }
    if (status == MASCON_OK) current = index;
    pthread_mutex_unlock(&lock);
    return status;
}

mascon_status masconG_open_any(void) {
    masconG_device *d;
    if (current >= 0) return MASCON_OK;
    for (int i = 0; i < MAX_DEVICES; i++) {
        if (atomic_load_explicit(&ready[i], memory_order_acquire)) return masconG_open(i, &d);
    }
    return masconG_open(0, &d);
}

/* ---- Order ---- */

mascon_status masconG_follow(cudaStream_t stream, cudaStream_t after) {
    cudaEvent_t event;
    CUDA_TRY(event_create_with_flags(&event, cudaEventDisableTiming));
    mascon_status status = masconG_check(cuda->event_record(event, after), "event_record");
    if (status == MASCON_OK) {
        status = masconG_check(cuda->stream_wait_event(stream, event, 0), "stream_wait_event");
    }
    cuda->event_destroy(event); /* the wait keeps what it needs of it */
    return status;
}

/* ---- Values ---- */

static mascon_status record_mark(mark *m, const mascon_tensor *t, cudaStream_t stream) {
    m->storage = 0;
    if (!m->event) CUDA_TRY(event_create_with_flags(&m->event, cudaEventDisableTiming));
    CUDA_TRY(event_record(m->event, stream));
    masconG_host->identity(t, &m->storage, &m->version);
    return MASCON_OK;
}

mascon_status masconG_mark_values(int32_t device, const mascon_call *call) {
    int index = device & (MAX_DEVICES - 1);
    mascon_status status = MASCON_OK;
    for (int i = 0; i < call->n_dst && status == MASCON_OK; i++) {
        if (!call->dst[i] || mascon_see(call->dst[i])->numel != 1) continue;
        /* what is changed in place gets its new version after this: nobody could find the mark */
        if (call->n_src > 0 && call->dst[i] == call->src[0]) continue;
        pthread_mutex_lock(&values[index].lock);
        mark *m = &values[index].ring[values[index].next];
        values[index].next = (values[index].next + 1) % MARKS;
        status = record_mark(m, call->dst[i], devices[index].stream);
        pthread_mutex_unlock(&values[index].lock);
    }
    return status;
}

/* The event behind the call that computed t's value; NULL where it is not known any more. Locked. */
static cudaEvent_t find_mark(int index, const mascon_tensor *t) {
    uint64_t storage;
    int64_t version;
    masconG_host->identity(t, &storage, &version);
    for (int i = 0; i < MARKS; i++) {
        const mark *m = &values[index].ring[i];
        if (m->storage == storage && storage && m->version == version) return m->event;
    }
    return NULL;
}

static mascon_status read_through(masconG_device *d, cudaEvent_t event, const void *src, void *out,
                                  size_t bytes) {
    cudaStream_t stream = event ? d->reads : d->stream;
    if (event) CUDA_TRY(stream_wait_event(stream, event, 0));
    CUDA_TRY(memcpy_async(d->bounce, src, bytes, cudaMemcpyDeviceToHost, stream));
    CUDA_TRY(stream_synchronize(stream));
    memcpy(out, d->bounce, bytes);
    return MASCON_OK;
}

mascon_status masconG_read(int32_t device, const mascon_tensor *t, void *out, size_t bytes) {
    masconG_device *d;
    int index = device & (MAX_DEVICES - 1);
    MASCON_TRY(masconG_refuse_capture("reading a value"));
    MASCON_TRY(masconG_open(device, &d));
    if (bytes > MASCONG_BOUNCE) {
        return masconG_memory_copy(out, MASCON_DEVICE_CPU, mascon_see(t)->data, device, bytes);
    }
    pthread_mutex_lock(&values[index].lock);
    mascon_status status = read_through(d, find_mark(index, t), mascon_see(t)->data, out, bytes);
    pthread_mutex_unlock(&values[index].lock);
    MASCON_TRY(status);
    return masconG_take_report(device);
}

mascon_status masconG_synchronize(int32_t device) {
    masconG_device *d;
    MASCON_TRY(masconG_refuse_capture("waiting for the device"));
    MASCON_TRY(masconG_open(device, &d));
    CUDA_TRY(stream_synchronize(d->copies));
    CUDA_TRY(stream_synchronize(d->reads));
    CUDA_TRY(stream_synchronize(d->stream));
    return masconG_take_report(device);
}

/* api_fake.cpp: the table of api.h over the fake device.
 *
 * Owns the blocks, streams, events and queues of the fake; one lock guards all of it and is held while
 * queued work runs. What the real libraries refuse is refused here with the same error.
 */
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cuda/api.h"
#include "cuda/fake/emulate.h"
#include "cuda/fake/fake.h"
#include "cuda/fake/fake_state.h"

std::recursive_mutex fake_lock;

namespace {

enum { MAX_DEVICES = 8, QUEUE_LIMIT = 512, MULTIPROCESSORS = 4 };
constexpr size_t UNIT = 512; /* what cudaMalloc aligns to, or more */
constexpr size_t HUGE_PAGE = 2 << 20;
constexpr size_t SHARED_LIMIT = 48 << 10, SHARED_OPT_IN = 227 << 10;

struct device {
    char *base = nullptr; /* its memory */
    size_t size = 0, used = 0, top = 0;
    std::map<size_t, size_t> blocks;    /* offset, bytes asked for */
    std::map<size_t, uint64_t> numbers; /* offset, number of all blocks that ever were */
    fake_stream legacy;
    cudaError_t lost = cudaSuccess;
};

std::recursive_mutex &lock = fake_lock;
device devices[MAX_DEVICES];
int n_devices = -1;
bool guard = true, late_pages;
int open_depth;
std::map<char *, size_t> pinned;
std::set<fake_stream *> streams;
std::set<fake_event *> events;
std::map<const void *, size_t> opted_in;
std::map<std::string, int64_t> calls;
int64_t all_calls, fail_in;
std::string fail_call, refused_call;
cudaError_t fail_error;
bool capturing;
thread_local int current_device;
thread_local cudaError_t last_error;

size_t number(const char *name, size_t standard) {
    const char *text = std::getenv(name);
    return text && *text ? std::strtoull(text, nullptr, 10) : standard;
}

size_t rounded(size_t bytes) { return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; }

void prepare() {
    if (n_devices >= 0) return;
    n_devices = (int)std::min<size_t>(number("MASCON_FAKE_DEVICES", 1), MAX_DEVICES);
    guard = number("MASCON_FAKE_GUARD", 1) != 0;
    emulate::skips = number("MASCON_FAKE_SKIP", 0) != 0;
    late_pages = number("MASCON_FAKE_PAGEABLE", 0) != 0;
    emulate::backwards = number("MASCON_FAKE_BACKWARDS", 0) != 0;
    for (int i = 0; i < n_devices; i++) {
        device *d = &devices[i];
        d->size = number("MASCON_FAKE_MEMORY", size_t(1) << 30) / 4096 * 4096;
        size_t bytes = rounded(d->size) + HUGE_PAGE;
        void *base = mmap(nullptr, bytes, guard ? PROT_NONE : PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base == MAP_FAILED) {
            n_devices = i;
            return;
        }
        /* protect() is called twice a launch, and takes as long as there are pages */
        madvise(base, bytes, MADV_HUGEPAGE);
        d->base = static_cast<char *>(base) + (rounded((size_t)base) - (size_t)base);
        d->legacy.device = i;
    }
}

void protect(int rights) {
    if (!guard) return;
    for (int i = 0; i < n_devices; i++) {
        size_t bytes = rounded(devices[i].top);
        if (bytes) mprotect(devices[i].base, bytes, rights);
    }
}

/* Device memory is there for as long as one of these lives. */
struct opening {
    opening() {
        if (open_depth++ == 0) protect(PROT_READ | PROT_WRITE);
    }
    ~opening() {
        if (--open_depth == 0) protect(PROT_NONE);
    }
};

cudaError_t fail(cudaError_t error) {
    last_error = error;
    return error;
}

/* Whether a test wants this call to fail; counts it. */
bool injected(const char *name, int64_t &count, int32_t *error) {
    count++;
    all_calls++;
    if (fail_in == 0 || (!fail_call.empty() && fail_call != name)) return false;
    if (--fail_in > 0) return false;
    *error = fail_error;
    return true;
}

/* Begins every call: counts it, and answers what a test or a lost device wants it to answer. */
cudaError_t enter(const char *name, int64_t &count) {
    prepare();
    int32_t error;
    if (injected(name, count, &error)) return fail((cudaError_t)error);
    if (n_devices == 0) return fail(cudaErrorNoDevice);
    return devices[current_device].lost;
}

#define ENTER(name)                                     \
    std::lock_guard<std::recursive_mutex> guard_(lock); \
    static int64_t &count_ = calls[name];               \
    if (cudaError_t error_ = enter(name, count_)) return error_

/* For calls that a capture forbids, or whose effect a replay would not repeat. */
cudaError_t refuse(const char *name) {
    refused_call = name;
    fake_spoil();
    return fail(cudaErrorStreamCaptureUnsupported);
}

#define ENTER_UNCAPTURED(name) \
    ENTER(name);               \
    if (capturing || fake_forbids()) return refuse(name)

/* ---- Memory ---- */

/* The device whose block holds the range; -1 where none does. */
int device_of(const void *p, size_t bytes) {
    const char *c = static_cast<const char *>(p);
    for (int i = 0; i < n_devices; i++) {
        device *d = &devices[i];
        if (c < d->base || c >= d->base + d->size) continue;
        size_t offset = (size_t)(c - d->base);
        auto after = d->blocks.upper_bound(offset);
        if (after == d->blocks.begin()) return -1;
        --after;
        return offset + bytes <= after->first + after->second ? i : -1;
    }
    return -1;
}

bool in_arena(const void *p) {
    const char *c = static_cast<const char *>(p);
    for (int i = 0; i < n_devices; i++) {
        if (c >= devices[i].base && c < devices[i].base + devices[i].size) return true;
    }
    return false;
}

bool is_pinned(const void *p, size_t bytes) {
    char *c = const_cast<char *>(static_cast<const char *>(p));
    auto after = pinned.upper_bound(c);
    if (after == pinned.begin()) return false;
    --after;
    return c + bytes <= after->first + after->second;
}

size_t padded(size_t bytes) { return (bytes + UNIT - 1) / UNIT * UNIT; }

cudaError_t fake_malloc(void **out, size_t bytes) {
    ENTER_UNCAPTURED("malloc");
    device *d = &devices[current_device];
    *out = nullptr;
    if (bytes == 0) return cudaSuccess;
    size_t at = 0;
    for (auto &b : d->blocks) {
        if (b.first - at >= padded(bytes)) break;
        at = b.first + padded(b.second);
    }
    if (at > d->size || d->size - at < padded(bytes)) return fail(cudaErrorMemoryAllocation);
    static uint64_t made;
    d->blocks[at] = bytes;
    d->numbers[at] = ++made;
    d->used += padded(bytes);
    if (at + padded(bytes) > d->top) d->top = at + padded(bytes);
    opening open;
    std::memset(d->base + at, 0xff, bytes < (1 << 20) ? bytes : 1 << 20);
    *out = d->base + at;
    return cudaSuccess;
}

cudaError_t drain_all();

cudaError_t fake_free(void *block) {
    ENTER_UNCAPTURED("free");
    if (!block) return cudaSuccess;
    cudaError_t error = drain_all(); /* as the driver does */
    for (int i = 0; i < n_devices; i++) {
        device *d = &devices[i];
        char *c = static_cast<char *>(block);
        if (c < d->base || c >= d->base + d->size) continue;
        auto at = d->blocks.find((size_t)(c - d->base));
        if (at == d->blocks.end()) break;
        d->used -= padded(at->second);
        d->numbers.erase(at->first);
        d->blocks.erase(at);
        return error;
    }
    return fail(cudaErrorInvalidValue);
}

cudaError_t fake_host_alloc(void **out, size_t bytes, unsigned) {
    ENTER_UNCAPTURED("host_alloc");
    *out = nullptr;
    if (posix_memalign(out, 4096, bytes ? bytes : 1) != 0) return fail(cudaErrorMemoryAllocation);
    std::memset(*out, 0xff, bytes);
    pinned[static_cast<char *>(*out)] = bytes;
    return cudaSuccess;
}

cudaError_t fake_free_host(void *block) {
    ENTER_UNCAPTURED("free_host");
    if (!block) return cudaSuccess;
    if (!pinned.erase(static_cast<char *>(block))) return fail(cudaErrorInvalidValue);
    std::free(block);
    return cudaSuccess;
}

cudaError_t fake_pointer_get_attributes(cudaPointerAttributes *out, const void *p) {
    ENTER("pointer_get_attributes");
    std::memset(out, 0, sizeof *out);
    out->type = device_of(p, 1) >= 0 ? cudaMemoryTypeDevice
                : is_pinned(p, 1)    ? cudaMemoryTypeHost
                                     : cudaMemoryTypeUnregistered;
    return cudaSuccess;
}

cudaError_t fake_mem_get_info(size_t *available, size_t *total) {
    ENTER_UNCAPTURED("mem_get_info");
    device *d = &devices[current_device];
    *available = d->size - d->used;
    *total = d->size;
    return cudaSuccess;
}

/* ---- Queues ---- */

fake_stream *stream_of(cudaStream_t stream) {
    return stream ? reinterpret_cast<fake_stream *>(stream) : &devices[current_device].legacy;
}

bool known(fake_stream *s) { return s == &devices[current_device].legacy || streams.count(s) != 0; }

cudaError_t run_first(fake_stream *s) {
    std::function<cudaError_t()> task = std::move(s->queue.front());
    s->queue.pop_front();
    device *d = &devices[s->device];
    if (d->lost == cudaSuccess) {
        cudaError_t error = task();
        if (error != cudaSuccess) d->lost = error;
    }
    return d->lost;
}

cudaError_t drain(fake_stream *s) {
    if (s->queue.empty()) return devices[s->device].lost;
    opening open;
    while (!s->queue.empty()) run_first(s);
    return devices[s->device].lost;
}

cudaError_t drain_device(int index) {
    cudaError_t error = drain(&devices[index].legacy);
    for (fake_stream *s : streams) {
        if (s->device == index) error = drain(s);
    }
    return error;
}

cudaError_t drain_all() {
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < n_devices; i++) {
        cudaError_t one = drain_device(i);
        if (one != cudaSuccess) error = one;
    }
    return error;
}

cudaError_t reach(fake_event *e, uint64_t times) {
    opening open;
    while (e->done < times && e->stream && !e->stream->queue.empty()) run_first(e->stream);
    return e->stream ? devices[e->stream->device].lost : cudaSuccess;
}

bool is_event(fake_event *e, uint64_t number) { return events.count(e) && e->number == number; }

cudaError_t enqueue(cudaStream_t stream, fake_task work, fake_needs needs = {nullptr, 0}) {
    fake_stream *s = stream_of(stream);
    if (!known(s) || s->device != current_device) return fail(cudaErrorInvalidResourceHandle);
    if (s->capture) return fake_capture_task(s, std::move(work), needs);
    return fake_queue(s, std::move(work));
}

cudaError_t fake_memcpy_async(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind,
                              cudaStream_t stream) {
    ENTER("memcpy_async");
    if (bytes == 0) return cudaSuccess;
    bool to = in_arena(dst), from = in_arena(src);
    if ((to && device_of(dst, bytes) < 0) || (from && device_of(src, bytes) < 0) ||
        (kind == cudaMemcpyHostToDevice && (from || !to)) ||
        (kind == cudaMemcpyDeviceToHost && (!from || to)) ||
        (kind == cudaMemcpyDeviceToDevice && !(from && to)) ||
        (kind == cudaMemcpyHostToHost && (from || to))) {
        return fail(cudaErrorInvalidValue);
    }
    if (capturing && (!from || !to)) return refuse("memcpy_async");
    fake_stream *s = stream_of(stream);
    if (known(s) && s->capture && (!from || !to)) {
        return fake_spoil(s, "memcpy_async", cudaErrorStreamCaptureUnsupported);
    }
    const void *const both[] = {dst, src};
    if (!from && !late_pages &&
        !is_pinned(src, bytes)) { /* what is not page-locked is read before the call ends */
        auto staged = std::make_shared<std::vector<char>>(static_cast<const char *>(src),
                                                          static_cast<const char *>(src) + bytes);
        return enqueue(stream, [dst, staged]() {
            std::memcpy(dst, staged->data(), staged->size());
            return cudaSuccess;
        });
    }
    auto move = [dst, src, bytes]() {
        std::memmove(dst, src, bytes);
        return cudaSuccess;
    };
    cudaError_t error = enqueue(stream, move, {both, 2});
    /* and written before the call ends */
    if (error == cudaSuccess && !to && !is_pinned(dst, bytes)) return drain(stream_of(stream));
    return error;
}

cudaError_t fake_memset_async(void *dst, int byte, size_t bytes, cudaStream_t stream) {
    ENTER("memset_async");
    if (bytes == 0) return cudaSuccess;
    if (device_of(dst, bytes) < 0) return fail(cudaErrorInvalidValue);
    auto set = [dst, byte, bytes]() {
        std::memset(dst, byte, bytes);
        return cudaSuccess;
    };
    const void *const one[] = {dst};
    return enqueue(stream, set, {one, 1});
}

/* ---- Streams and events ---- */

cudaError_t fake_stream_create_with_flags(cudaStream_t *out, unsigned) {
    ENTER_UNCAPTURED("stream_create_with_flags");
    fake_stream *s = new fake_stream;
    s->device = current_device;
    streams.insert(s);
    *out = reinterpret_cast<cudaStream_t>(s);
    return cudaSuccess;
}

cudaError_t fake_stream_destroy(cudaStream_t stream) {
    ENTER_UNCAPTURED("stream_destroy");
    fake_stream *s = reinterpret_cast<fake_stream *>(stream);
    if (!streams.count(s)) return fail(cudaErrorInvalidResourceHandle);
    if (s->capture) return fake_spoil(s, "stream_destroy", cudaErrorStreamCaptureUnsupported);
    drain(s);
    for (fake_event *e : events) {
        if (e->stream == s) e->stream = nullptr;
    }
    streams.erase(s);
    delete s;
    return cudaSuccess;
}

cudaError_t fake_stream_synchronize(cudaStream_t stream) {
    ENTER_UNCAPTURED("stream_synchronize");
    fake_stream *s = stream_of(stream);
    if (!known(s)) return fail(cudaErrorInvalidResourceHandle);
    if (s->capture) return fake_spoil(s, "stream_synchronize", cudaErrorStreamCaptureUnsupported);
    return drain(s);
}

cudaError_t fake_device_synchronize() {
    ENTER_UNCAPTURED("device_synchronize");
    if (fake_captures_on(current_device)) return refuse("device_synchronize");
    return drain_device(current_device);
}

cudaError_t fake_stream_wait_event(cudaStream_t stream, cudaEvent_t event, unsigned) {
    ENTER("stream_wait_event");
    fake_event *e = reinterpret_cast<fake_event *>(event);
    if (!events.count(e)) return fail(cudaErrorInvalidResourceHandle);
    fake_stream *s = stream_of(stream);
    if (known(s) && s->capture) {
        if (e->captured == fake_capture_number(s)) return cudaSuccess; /* in its order anyway */
        return fake_spoil(s, "stream_wait_event", cudaErrorStreamCaptureIsolation);
    }
    /* the stream would join the capture: legal, and nothing here does it */
    if (e->captured) return fail(cudaErrorNotSupported);
    uint64_t times = e->asked, number = e->number;
    return enqueue(stream, [e, times, number]() {
        return is_event(e, number) ? reach(e, times) : cudaSuccess;
    });
}

cudaError_t fake_event_create_with_flags(cudaEvent_t *out, unsigned) {
    ENTER("event_create_with_flags");
    static uint64_t made;
    fake_event *e = new fake_event;
    e->number = ++made;
    events.insert(e);
    *out = reinterpret_cast<cudaEvent_t>(e);
    return cudaSuccess;
}

cudaError_t fake_event_destroy(cudaEvent_t event) {
    ENTER("event_destroy");
    fake_event *e = reinterpret_cast<fake_event *>(event);
    if (!events.count(e)) return fail(cudaErrorInvalidResourceHandle);
    reach(e, e->asked); /* what waits for it keeps its meaning */
    events.erase(e);
    delete e;
    return cudaSuccess;
}

cudaError_t fake_event_record(cudaEvent_t event, cudaStream_t stream) {
    ENTER("event_record");
    fake_event *e = reinterpret_cast<fake_event *>(event);
    if (!events.count(e)) return fail(cudaErrorInvalidResourceHandle);
    fake_stream *s = stream_of(stream);
    if (!known(s)) return fail(cudaErrorInvalidResourceHandle);
    e->captured = fake_capture_number(s);
    if (e->captured) return cudaSuccess;
    if (e->stream && e->stream != s) reach(e, e->asked);
    uint64_t times = ++e->asked, number = e->number;
    e->stream = s;
    return enqueue(stream, [e, times, number]() {
        if (is_event(e, number) && e->done < times) e->done = times;
        return cudaSuccess;
    });
}

cudaError_t fake_event_query(cudaEvent_t event) {
    ENTER_UNCAPTURED("event_query");
    fake_event *e = reinterpret_cast<fake_event *>(event);
    if (!events.count(e)) return fail(cudaErrorInvalidResourceHandle);
    if (e->captured) return fail(cudaErrorCapturedEvent);
    return e->done == e->asked ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t fake_event_synchronize(cudaEvent_t event) {
    ENTER_UNCAPTURED("event_synchronize");
    fake_event *e = reinterpret_cast<fake_event *>(event);
    if (!events.count(e)) return fail(cudaErrorInvalidResourceHandle);
    if (e->captured) return fail(cudaErrorCapturedEvent);
    return reach(e, e->asked);
}

/* ---- Kernels ---- */

/* Kernels come through emulate::launch, which knows how to call them. */
cudaError_t fake_launch_kernel(const void *, dim3, dim3, void **, size_t, cudaStream_t) {
    ENTER("launch_kernel");
    return fail(cudaErrorInvalidDeviceFunction);
}

cudaError_t fake_func_set_attribute(const void *kernel, cudaFuncAttribute which, int value) {
    ENTER("func_set_attribute");
    if (which != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || (size_t)value > SHARED_OPT_IN) return fail(cudaErrorInvalidValue);
    opted_in[kernel] = (size_t)value;
    return cudaSuccess;
}

/* ---- Devices ---- */

cudaError_t fake_get_device_count(int *count) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    prepare();
    int32_t error;
    *count = 0;
    if (fake_injected("get_device_count", &error)) return fail((cudaError_t)error);
    if (n_devices == 0) return fail(cudaErrorNoDevice);
    *count = n_devices;
    return cudaSuccess;
}

cudaError_t fake_set_device(int index) {
    ENTER("set_device");
    if (index < 0 || index >= n_devices) return fail(cudaErrorInvalidDevice);
    current_device = index;
    return devices[index].lost;
}

cudaError_t fake_get_device(int *index) {
    ENTER("get_device");
    *index = current_device;
    return cudaSuccess;
}

cudaError_t fake_device_get_attribute(int *value, cudaDeviceAttr which, int index) {
    ENTER("device_get_attribute");
    if (index < 0 || index >= n_devices) return fail(cudaErrorInvalidDevice);
    switch (which) {
        case cudaDevAttrComputeCapabilityMajor:
            *value = 9;
            return cudaSuccess;
        case cudaDevAttrComputeCapabilityMinor:
            *value = 0;
            return cudaSuccess;
        case cudaDevAttrMultiProcessorCount:
            *value = MULTIPROCESSORS;
            return cudaSuccess;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = (int)SHARED_OPT_IN;
            return cudaSuccess;
        case cudaDevAttrPageableMemoryAccess:
            *value = late_pages;
            return cudaSuccess;
        case cudaDevAttrMaxThreadsPerMultiProcessor:
            *value = 2048;
            return cudaSuccess;
        default:
            return fail(cudaErrorInvalidValue);
    }
}

cudaError_t fake_get_device_properties(cudaDeviceProp *out, int index) {
    ENTER("get_device_properties");
    if (index < 0 || index >= n_devices) return fail(cudaErrorInvalidDevice);
    std::memset(out, 0, sizeof *out);
    std::strcpy(out->name, "fake device");
    out->totalGlobalMem = devices[index].size;
    out->major = 9;
    out->multiProcessorCount = MULTIPROCESSORS;
    out->warpSize = 32;
    out->maxThreadsPerBlock = 1024;
    out->sharedMemPerBlock = SHARED_LIMIT;
    out->sharedMemPerBlockOptin = SHARED_OPT_IN;
    return cudaSuccess;
}

const char *fake_get_error_name(cudaError_t error) {
    return error == cudaSuccess ? "cudaSuccess" : "cudaError";
}

const char *fake_get_error_string(cudaError_t error) {
    switch (error) {
        case cudaSuccess:
            return "no error";
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorNoDevice:
            return "no CUDA-capable device is detected";
        case cudaErrorInsufficientDriver:
            return "CUDA driver version is insufficient for CUDA runtime version";
        case cudaErrorInvalidConfiguration:
            return "invalid configuration argument";
        case cudaErrorInvalidValue:
            return "invalid argument";
        case cudaErrorInvalidResourceHandle:
            return "invalid resource handle";
        case cudaErrorLaunchTimeout:
            return "the launch timed out and was terminated";
        case cudaErrorLaunchFailure:
            return "unspecified launch failure";
        case cudaErrorStreamCaptureUnsupported:
            return "operation not permitted when stream is capturing";
        default:
            return "fake error";
    }
}

cudaError_t fake_get_last_error() {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t fake_version(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cuda_api make_table() {
    cuda_api a;
    std::memset(&a, 0, sizeof a);
    a.open_libraries = [] { return (const char *)nullptr; };
    a.get_device_count = fake_get_device_count;
    a.set_device = fake_set_device;
    a.get_device = fake_get_device;
    a.get_device_properties = fake_get_device_properties;
    a.device_get_attribute = fake_device_get_attribute;
    a.device_synchronize = fake_device_synchronize;
    a.mem_get_info = fake_mem_get_info;
    a.get_error_string = fake_get_error_string;
    a.get_error_name = fake_get_error_name;
    a.get_last_error = fake_get_last_error;
    a.driver_get_version = fake_version;
    a.runtime_get_version = fake_version;
    a.malloc = fake_malloc;
    a.free = fake_free;
    a.host_alloc = fake_host_alloc;
    a.free_host = fake_free_host;
    a.pointer_get_attributes = fake_pointer_get_attributes;
    a.memcpy_async = fake_memcpy_async;
    a.memset_async = fake_memset_async;
    a.stream_create_with_flags = fake_stream_create_with_flags;
    a.stream_destroy = fake_stream_destroy;
    a.stream_synchronize = fake_stream_synchronize;
    a.stream_wait_event = fake_stream_wait_event;
    a.event_create_with_flags = fake_event_create_with_flags;
    a.event_destroy = fake_event_destroy;
    a.event_record = fake_event_record;
    a.event_query = fake_event_query;
    a.event_synchronize = fake_event_synchronize;
    a.launch_kernel = fake_launch_kernel;
    a.func_set_attribute = fake_func_set_attribute;
    fake_fill_graphs(&a);
    if (fake_fill_blas) fake_fill_blas(&a);
    if (fake_fill_cudnn) fake_fill_cudnn(&a);
    return a;
}

const cuda_api fake = make_table();

}  // namespace

extern "C" {
extern const cuda_api *const cuda;
const cuda_api *const cuda = &fake;
}

namespace emulate {

cudaError_t launch(const void *kernel, dim3 grid, dim3 block, size_t shared, void *stream,
                   std::function<void()> thread, const void *const *pointers, int n_pointers) {
    ENTER("launch_kernel");
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (threads == 0 || threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64 ||
        grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
        grid.z > 65535) {
        return fail(cudaErrorInvalidConfiguration);
    }
    auto allowed = opted_in.find(kernel);
    if (shared > (allowed != opted_in.end() ? allowed->second : SHARED_LIMIT)) {
        return fail(cudaErrorInvalidValue);
    }
    if (skips) return cudaSuccess;
    return enqueue(static_cast<cudaStream_t>(stream),
                   [=]() { return run_grid(grid, block, shared, thread); }, {pointers, n_pointers});
}

}  // namespace emulate

cudaError_t fake_enqueue(cudaStream_t stream, std::function<cudaError_t()> work,
                         const std::vector<const void *> &needs) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    if (emulate::skips) return cudaSuccess;
    return enqueue(stream, std::move(work), {needs.data(), (int)needs.size()});
}

bool fake_is_captured(cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    return known(stream_of(stream)) && stream_of(stream)->capture;
}

/* ---- For fake_graph.cpp ---- */

cudaError_t fake_enter(const char *name) { return enter(name, calls[name]); }

cudaError_t fake_fail(cudaError_t error) { return fail(error); }

cudaError_t fake_refuse(const char *name) { return refuse(name); }

fake_stream *fake_find_stream(cudaStream_t stream) {
    fake_stream *s = stream_of(stream);
    return known(s) && s->device == current_device ? s : nullptr;
}

cudaError_t fake_queue(fake_stream *s, fake_task task) {
    s->queue.push_back(std::move(task));
    if (s->queue.size() > QUEUE_LIMIT) return drain(s);
    return cudaSuccess;
}

uint64_t fake_block_number(const void *p) {
    const int index = device_of(p, 1);
    if (index < 0) return 0;
    const device *d = &devices[index];
    auto after = d->numbers.upper_bound((size_t)(static_cast<const char *>(p) - d->base));
    return (--after)->second;
}

/* ---- For tests and the fakes of other libraries ---- */

int fake_injected(const char *call, int32_t *error) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    return injected(call, calls[call], error);
}

int fake_is_device(const void *p, size_t bytes) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    return device_of(p, bytes) >= 0;
}

void masconF_fail(const char *call, int64_t n, int32_t error) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    fail_call = call ? call : "";
    fail_in = n;
    fail_error = (cudaError_t)error;
}

int64_t masconF_calls(const char *call) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    return call ? calls[call] : all_calls;
}

const char *masconF_name(int32_t i) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    for (auto &c : calls) {
        if (i-- == 0) return c.first.c_str();
    }
    return nullptr;
}

void masconF_skip(int32_t on) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    prepare();
    emulate::skips = on != 0;
}

void masconF_capture(int32_t on) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    if (on) refused_call.clear();
    capturing = on != 0;
}

const char *masconF_refused() {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    return refused_call.empty() ? nullptr : refused_call.c_str();
}

int64_t masconF_pending() {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    size_t n = 0;
    for (fake_stream *s : streams) n += s->queue.size();
    for (int i = 0; i < n_devices; i++) n += devices[i].legacy.queue.size();
    return (int64_t)n;
}

void masconF_live(int64_t out[4]) {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    out[0] = out[1] = 0;
    for (int i = 0; i < n_devices; i++) out[0] += (int64_t)devices[i].used;
    for (auto &p : pinned) out[1] += (int64_t)p.second;
    out[2] = (int64_t)streams.size();
    out[3] = (int64_t)events.size();
}

void masconF_revive() {
    std::lock_guard<std::recursive_mutex> guard_(lock);
    for (device &d : devices) d.lost = cudaSuccess;
}

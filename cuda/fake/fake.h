/* fake.h: the fake device, for the files of this folder and for tests.
 *
 * Work is queued per stream and runs when somebody waits for it (or the queue is long), so a missing
 * wait shows. Device memory cannot be touched while host code runs, so a host that reads it faults.
 * Copies are checked against the blocks that were given out. A captured stream keeps its work, and graphs
 * run it again (fake_graph.cpp).
 *
 * Environment: MASCON_FAKE_DEVICES (1), MASCON_FAKE_MEMORY (bytes of each device, 1073741824),
 * MASCON_FAKE_GUARD (1; 0 leaves device memory open to the host, for a debugger), MASCON_FAKE_SKIP (0; 1:
 * kernels and the libraries' runs are checked and counted, but compute nothing, for measuring what a
 * step costs the host: scripts/benchmarks/host.lua), MASCON_FAKE_BACKWARDS (0; 1: blocks and threads run
 * from the last to the first: what forgets a barrier gives other values in one of both orders),
 * MASCON_FAKE_PAGEABLE (0; 1: the device reads ordinary memory of the host when a copy comes to it).
 */
#ifndef MASCON_CUDA_FAKE_H
#define MASCON_CUDA_FAKE_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAKE_API __attribute__((visibility("default")))

/* The n-th call from now on of the member of cuda_api with this name ("malloc", "launch_kernel"; NULL:
 * of any) fails with this error; n = 0: none. */
FAKE_API void masconF_fail(const char *call, int64_t n, int32_t error);
/* Calls of a member so far (NULL: of all). */
FAKE_API int64_t masconF_calls(const char *call);
/* The name of member i of those called so far, NULL past the last one. Borrowed until the next call. */
FAKE_API const char *masconF_name(int32_t i);
/* As MASCON_FAKE_SKIP, from now on. */
FAKE_API void masconF_skip(int32_t on);
/* While on, calls fail that may not be made while a stream is captured into a graph, or whose effect a
 * replay would not repeat: allocations, waits, queries, copies from or to the host. */
FAKE_API void masconF_capture(int32_t on);
/* The last call that failed so since capturing was turned on; NULL: none. */
FAKE_API const char *masconF_refused(void);
/* Captures, graphs and executable graphs that live. */
FAKE_API int64_t masconF_graphs(void);
/* Queued tasks that have not run. */
FAKE_API int64_t masconF_pending(void);
/* Device bytes, page-locked bytes, streams and events that were not given back. */
FAKE_API void masconF_live(int64_t out[4]);
/* Forgets a sticky error, as a new process would. */
FAKE_API void masconF_revive(void);

/* For the fakes of other libraries: whether a test wants this call to fail (then *error), and a look
 * whether a range lies within one block of device memory. */
int fake_injected(const char *call, int32_t *error);
int fake_is_device(const void *p, size_t bytes);
/* Fill their members of the table. */
struct cuda_api;
void fake_fill_blas(struct cuda_api *table) __attribute__((weak));
void fake_fill_cudnn(struct cuda_api *table) __attribute__((weak));

#ifdef __cplusplus
}

#include <functional>
#include <vector>

/* Queues work that computes on device memory, that of `needs` among it; in a capture it is kept. */
cudaError_t fake_enqueue(cudaStream_t stream, std::function<cudaError_t()> work,
                         const std::vector<const void *> &needs);
/* Whether work of this stream is captured. */
bool fake_is_captured(cudaStream_t stream);

namespace emulate {
cudaError_t run_grid(dim3 grid, dim3 block, size_t shared, const std::function<void()> &thread);
}
#endif

#endif

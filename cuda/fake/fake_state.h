/* fake_state.h: the streams of the fake device, for the files that queue and capture work.
 *
 * api_fake.cpp owns all of it and its lock, which is held in every function below.
 */
#ifndef MASCON_CUDA_FAKE_STATE_H
#define MASCON_CUDA_FAKE_STATE_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#include <deque>
#include <functional>
#include <mutex>

struct cuda_api;

typedef std::function<cudaError_t()> fake_task;

/* Device memory that a task needs, as far as it is known. */
struct fake_needs {
    const void *const *pointers;
    int n;
};

struct fake_capture;

struct fake_stream {
    int device = 0;
    std::deque<fake_task> queue;
    fake_capture *capture = nullptr; /* NULL: work is executed */
};

struct fake_event {
    uint64_t number; /* of all events: an address serves several, one after the other */
    uint64_t asked = 0, done = 0; /* how often it was recorded, and how often that was reached */
    fake_stream *stream = nullptr;
    uint64_t captured = 0; /* of the capture that it was last recorded in */
};

/* ---- api_fake.cpp ---- */

extern std::recursive_mutex fake_lock;

/* Begins a call: counts it, and answers what a test or a lost device wants it to answer. */
cudaError_t fake_enter(const char *name);
/* What a call fails with. */
cudaError_t fake_fail(cudaError_t error);
/* Fails a call that a capture forbids. */
cudaError_t fake_refuse(const char *name);
/* NULL: none of the current device. */
fake_stream *fake_find_stream(cudaStream_t stream);
cudaError_t fake_queue(fake_stream *stream, fake_task task);
/* Number of the block of device memory at p, of all that were given out; 0: there is none. */
uint64_t fake_block_number(const void *p);

/* ---- fake_graph.cpp ---- */

/* Whether a capture forbids this thread what may have an effect on it. */
bool fake_forbids();
/* The captures that forbid it end badly. */
void fake_spoil();
/* A call on the stream that a capture of it cannot have; the capture ends badly. */
cudaError_t fake_spoil(fake_stream *stream, const char *name, cudaError_t error);
uint64_t fake_capture_number(const fake_stream *stream);
/* Whether work of a stream of the device is captured. */
bool fake_captures_on(int device);
cudaError_t fake_capture_task(fake_stream *stream, fake_task task, fake_needs needs);
void fake_fill_graphs(struct cuda_api *table);

#endif

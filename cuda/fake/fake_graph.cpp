/* fake_graph.cpp: captures of streams and graphs of the fake device.
 *
 * A capture keeps the tasks that its stream would have queued; a graph runs them again, in their order,
 * with the arguments of then. What the runtime refuses in a capture is refused here: waiting for the
 * stream, order between captured and other work, and, where the mode says so, calls that could disturb
 * it. A launched graph fails like a kernel that touches freed memory where a block that a task was seen to
 * need is gone, though another may lie in its place.
 */
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "cuda/api.h"
#include "cuda/fake/fake.h"
#include "cuda/fake/fake_state.h"

namespace {

struct node {
    fake_task task;
    std::vector<std::pair<const void *, uint64_t>> blocks; /* a pointer, and its block's number */
};

typedef std::shared_ptr<std::vector<node>> nodes;

struct graph {
    int device;
    nodes list;
};

}  // namespace

struct fake_capture {
    uint64_t number;
    cudaStreamCaptureMode mode;
    const void *thread;
    fake_stream *stream;
    cudaError_t broken = cudaSuccess;
    nodes list = std::make_shared<std::vector<node>>();
};

namespace {

std::set<fake_capture *> captures;
std::set<graph *> graphs, executables;
/* Its address tells threads apart. */
thread_local char this_thread;

bool forbids(const fake_capture *c) {
    if (c->mode == cudaStreamCaptureModeRelaxed) return false;
    return c->mode == cudaStreamCaptureModeGlobal || c->thread == &this_thread;
}

#define ENTER(name)                                          \
    std::lock_guard<std::recursive_mutex> guard_(fake_lock); \
    if (cudaError_t error_ = fake_enter(name)) return error_

cudaError_t begin_capture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    ENTER("stream_begin_capture");
    fake_stream *s = fake_find_stream(stream);
    if (!s) return fake_fail(cudaErrorInvalidResourceHandle);
    if (!stream) return fake_fail(cudaErrorStreamCaptureUnsupported);
    if (s->capture) return fake_spoil(s, "stream_begin_capture", cudaErrorIllegalState);
    static uint64_t made;
    fake_capture *c = new fake_capture;
    c->number = ++made;
    c->mode = mode;
    c->thread = &this_thread;
    c->stream = s;
    captures.insert(c);
    s->capture = c;
    return cudaSuccess;
}

cudaError_t end_capture(cudaStream_t stream, cudaGraph_t *out) {
    std::lock_guard<std::recursive_mutex> guard_(fake_lock);
    const cudaError_t failed = fake_enter("stream_end_capture");
    *out = nullptr;
    fake_stream *s = fake_find_stream(stream);
    if (!s || !s->capture) return fake_fail(cudaErrorIllegalState);
    fake_capture *c = s->capture;
    if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != &this_thread) {
        return fake_fail(cudaErrorStreamCaptureWrongThread);
    }
    const cudaError_t broken = failed != cudaSuccess ? failed : c->broken;
    if (broken == cudaSuccess) {
        graph *g = new graph{s->device, c->list};
        graphs.insert(g);
        *out = reinterpret_cast<cudaGraph_t>(g);
    }
    captures.erase(c);
    s->capture = nullptr;
    delete c;
    return broken == cudaSuccess ? cudaSuccess : fake_fail(broken);
}

cudaError_t instantiate(cudaGraphExec_t *out, cudaGraph_t from, unsigned long long) {
    ENTER("graph_instantiate");
    *out = nullptr;
    graph *g = reinterpret_cast<graph *>(from);
    if (!graphs.count(g)) return fake_fail(cudaErrorInvalidValue);
    graph *made = new graph(*g);
    executables.insert(made);
    *out = reinterpret_cast<cudaGraphExec_t>(made);
    return cudaSuccess;
}

/* Of a graph or an executable one. */
cudaError_t destroy(std::set<graph *> &from, void *handle) {
    graph *g = static_cast<graph *>(handle);
    if (!from.erase(g)) return fake_fail(cudaErrorInvalidValue);
    delete g; /* a launch that has not run keeps its nodes */
    return cudaSuccess;
}

cudaError_t graph_destroy(cudaGraph_t handle) {
    ENTER("graph_destroy");
    return destroy(graphs, handle);
}

cudaError_t exec_destroy(cudaGraphExec_t handle) {
    ENTER("graph_exec_destroy");
    return destroy(executables, handle);
}

/* An executable graph and a stream that may run it. */
cudaError_t find(cudaGraphExec_t handle, cudaStream_t stream, graph **g, fake_stream **s) {
    *g = reinterpret_cast<graph *>(handle);
    *s = fake_find_stream(stream);
    if (!*s) return fake_fail(cudaErrorInvalidResourceHandle);
    if (!executables.count(*g) || (*g)->device != (*s)->device) {
        return fake_fail(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t upload(cudaGraphExec_t handle, cudaStream_t stream) {
    ENTER("graph_upload");
    graph *g;
    fake_stream *s;
    if (cudaError_t error = find(handle, stream, &g, &s)) return error;
    return s->capture ? fake_spoil(s, "graph_upload", cudaErrorStreamCaptureUnsupported)
                      : cudaSuccess;
}

cudaError_t run_nodes(const nodes &list) {
    for (const node &n : *list) {
        for (const auto &b : n.blocks) {
            if (fake_block_number(b.first) != b.second) return cudaErrorIllegalAddress;
        }
        if (cudaError_t error = n.task()) return error;
    }
    return cudaSuccess;
}

cudaError_t launch(cudaGraphExec_t handle, cudaStream_t stream) {
    ENTER("graph_launch");
    graph *g;
    fake_stream *s;
    if (cudaError_t error = find(handle, stream, &g, &s)) return error;
    /* a graph in a graph is legal, and nothing here does it */
    if (s->capture) return fake_spoil(s, "graph_launch", cudaErrorNotSupported);
    nodes list = g->list;
    return fake_queue(s, [list]() { return run_nodes(list); });
}

}  // namespace

bool fake_forbids() {
    for (const fake_capture *c : captures) {
        if (forbids(c)) return true;
    }
    return false;
}

void fake_spoil() {
    for (fake_capture *c : captures) {
        if (forbids(c)) c->broken = cudaErrorStreamCaptureInvalidated;
    }
}

cudaError_t fake_spoil(fake_stream *stream, const char *name, cudaError_t error) {
    stream->capture->broken = cudaErrorStreamCaptureInvalidated;
    fake_refuse(name);
    return fake_fail(error);
}

uint64_t fake_capture_number(const fake_stream *stream) {
    return stream->capture ? stream->capture->number : 0;
}

bool fake_captures_on(int device) {
    for (const fake_capture *c : captures) {
        if (c->stream->device == device) return true;
    }
    return false;
}

cudaError_t fake_capture_task(fake_stream *stream, fake_task task, fake_needs needs) {
    fake_capture *c = stream->capture;
    if (c->broken != cudaSuccess) return fake_fail(cudaErrorStreamCaptureInvalidated);
    node made;
    made.task = std::move(task);
    for (int i = 0; i < needs.n; i++) {
        const uint64_t number = fake_block_number(needs.pointers[i]);
        if (number) made.blocks.emplace_back(needs.pointers[i], number);
    }
    c->list->push_back(std::move(made));
    return cudaSuccess;
}

void fake_fill_graphs(struct cuda_api *t) {
    t->stream_begin_capture = begin_capture;
    t->stream_end_capture = end_capture;
    t->graph_instantiate = instantiate;
    t->graph_destroy = graph_destroy;
    t->graph_upload = upload;
    t->graph_launch = launch;
    t->graph_exec_destroy = exec_destroy;
}

int64_t masconF_graphs() {
    std::lock_guard<std::recursive_mutex> guard_(fake_lock);
    return (int64_t)(captures.size() + graphs.size() + executables.size());
}

/* emulate.cpp: runs a grid of a kernel on the host.
 *
 * Owns the fibers: stacks that are reused from block to block. run_grid is called with the fake's lock
 * held, so all state here is plain.
 *
 * A block goes on in rounds. Each fiber runs until it must wait or its thread ends; when none can go on,
 * the warps whose lanes have all come to one point are released, and where there is none, the block's
 * barrier. When nothing can be released the threads wait for each other for ever: the launch fails.
 */
#include "cuda/fake/emulate.h"

#include <sys/mman.h>

#include <vector>

#include "cuda/fake/fake.h"
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulate {

place now;
void *dynamic;
bool skips, backwards;

namespace {

enum { MAX_THREADS = 1024, STACK = 128 << 10 };
enum state { READY, AT_BLOCK, AT_WARP, DONE };

struct fiber {
    void *sp = nullptr;
    char *stack = nullptr;
    int thread = -1;
#if !defined(__x86_64__)
    ucontext_t context;
#endif
};

struct thread_state {
    state at;
    unsigned mask; /* of the warp barrier it waits at */
    fiber *on;
};

fiber scheduler;
std::vector<fiber *> idle;
fiber *current;
thread_state threads[MAX_THREADS];
unsigned char slots[MAX_THREADS][16];
int started, total, running_thread;
int counted[2], count_round; /* of __syncthreads_count */
const std::function<void()> *body;

void set_thread(int t) {
    running_thread = t;
    unsigned x = now.block_dim.x, y = now.block_dim.y;
    now.thread = make_uint3((unsigned)t % x, (unsigned)t / x % y, (unsigned)t / (x * y));
}

/* ---- Switching ---- */

void set_current(fiber *f) {
    current = f;
#ifdef MASCON_CUDA_WATCH
    stack_low = f->stack;
#endif
}

void fiber_main();

#if defined(__x86_64__)
extern "C" void masconF_switch(void **save, void *to);
asm(".text\n"
    ".hidden masconF_switch\n"
    ".globl masconF_switch\n"
    ".type masconF_switch,@function\n"
    "masconF_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp,(%rdi)\n"
    "  movq %rsi,%rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size masconF_switch,.-masconF_switch\n");

void prepare(fiber *f) {
    void **top = reinterpret_cast<void **>(f->stack + STACK);
    *--top = nullptr; /* where fiber_main would return to: it never does */
    *--top = reinterpret_cast<void *>(&fiber_main);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f->sp = top;
}

void switch_to(fiber *from, fiber *to) {
    set_current(to);
    masconF_switch(&from->sp, to->sp);
}
#else
void prepare(fiber *f) {
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
}

void switch_to(fiber *from, fiber *to) {
    set_current(to);
    swapcontext(&from->context, &to->context);
}
#endif

fiber *take_fiber() {
    if (!idle.empty()) {
        fiber *f = idle.back();
        idle.pop_back();
        return f;
    }
    fiber *f = new fiber;
    void *stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) {
        delete f;
        return nullptr;
    }
    f->stack = static_cast<char *>(stack);
    prepare(f);
    return f;
}

/* A fiber runs one thread after the other for as long as none has to wait. */
void fiber_main() {
    for (;;) {
        while (started < total) {
            int t = backwards ? total - 1 - started : started;
            started++;
            fiber *me = current;
            me->thread = t;
            threads[t].on = me;
            threads[t].at = READY;
            set_thread(t);
            (*body)();
            threads[me->thread].at = DONE;
            threads[me->thread].on = nullptr;
        }
        fiber *me = current;
        idle.push_back(me);
        switch_to(me, &scheduler);
    }
}

void wait(state at, unsigned mask) {
    fiber *me = current;
    threads[me->thread].at = at;
    threads[me->thread].mask = mask;
    switch_to(me, &scheduler);
    set_thread(me->thread);
}

/* ---- One block ---- */

unsigned live_of(int warp) {
    unsigned bits = 0;
    for (int i = 0; i < 32 && warp * 32 + i < total; i++) {
        if (threads[warp * 32 + i].at != DONE) bits |= 1u << i;
    }
    return bits;
}

/* Lets go the lanes of a warp that have all come to one barrier; 1 where there were any. */
int release_warp(int warp) {
    unsigned live = live_of(warp), released = 0;
    for (int i = 0; i < 32 && warp * 32 + i < total; i++) {
        thread_state *t = &threads[warp * 32 + i];
        if (t->at != AT_WARP || released >> i & 1) continue;
        unsigned wanted = t->mask & live;
        int all = wanted >> i & 1; /* a lane must name itself */
        for (int k = 0; k < 32 && all; k++) {
            if (!(wanted >> k & 1)) continue;
            thread_state *other = &threads[warp * 32 + k];
            all = other->at == AT_WARP && other->mask == t->mask;
        }
        if (all) released |= wanted;
    }
    for (int i = 0; i < 32; i++) {
        if (released >> i & 1) threads[warp * 32 + i].at = READY;
    }
    if (released) watch_warp(warp);
    return released != 0;
}

int release_block() {
    int waiting = 0;
    for (int i = 0; i < total; i++) {
        if (threads[i].at == AT_WARP) return 0;
        waiting += threads[i].at == AT_BLOCK;
    }
    for (int i = 0; i < total; i++) {
        if (threads[i].at == AT_BLOCK) threads[i].at = READY;
    }
    watch_round();
    count_round ^= 1;
    counted[count_round] = 0;
    return waiting;
}

/* After a failed block: fibers in the middle of a thread are not used again. */
void abandon() {
    for (int i = 0; i < total; i++) {
        if (threads[i].at == DONE || !threads[i].on) continue;
        prepare(threads[i].on);
        idle.push_back(threads[i].on);
    }
}

cudaError_t run_block() {
    started = 0;
    counted[0] = counted[1] = count_round = 0;
    watch_block();
    while (started < total) {
        fiber *f = take_fiber();
        if (!f) return cudaErrorLaunchOutOfResources;
        switch_to(&scheduler, f);
    }
    for (;;) {
        int left = 0;
        for (int i = 0; i < total; i++) {
            thread_state *t = &threads[backwards ? total - 1 - i : i];
            if (t->at == READY) switch_to(&scheduler, t->on);
            left += t->at != DONE;
        }
        if (!left) return cudaSuccess;
        int released = 0;
        for (int w = 0; w * 32 < total; w++) released |= release_warp(w);
        if (!released && !release_block()) {
            abandon();
            return cudaErrorLaunchTimeout;
        }
    }
}

}  // namespace

void block_barrier(const source_line &at) {
    watch_arrival(at);
    wait(AT_BLOCK, 0);
}
void warp_barrier(unsigned mask) { wait(AT_WARP, mask); }
unsigned lane() { return (unsigned)running_thread & 31; }
void *lane_slot(unsigned i) { return slots[(running_thread & ~31) + (int)i]; }
unsigned live_lanes() { return live_of(running_thread / 32); }

int block_count(int value, const source_line &at) {
    int round = count_round;
    counted[round] += value;
    block_barrier(at);
    return counted[round];
}

cudaError_t run_grid(dim3 grid, dim3 block, size_t shared, const std::function<void()> &thread) {
    static std::vector<unsigned char> memory;
    /* aligned as on a device, and full of what an earlier block could have left */
    memory.resize(shared + 1024);
    uintptr_t at = (reinterpret_cast<uintptr_t>(memory.data()) + 1023) & ~uintptr_t(1023);
    dynamic = reinterpret_cast<void *>(at);
    now.grid_dim = grid;
    now.block_dim = block;
    total = (int)(block.x * block.y * block.z);
    body = &thread;
    watch_launch(dynamic, shared);
    for (unsigned z = 0; z < grid.z; z++) {
        for (unsigned y = 0; y < grid.y; y++) {
            for (unsigned x = 0; x < grid.x; x++) {
                now.block = backwards ? make_uint3(grid.x - 1 - x, grid.y - 1 - y, grid.z - 1 - z)
                                      : make_uint3(x, y, z);
                if (shared) std::memset(dynamic, 0xff, shared);
                cudaError_t error = run_block();
                if (error != cudaSuccess) {
                    watch_end();
                    return error;
                }
            }
        }
    }
    return watch_end() ? cudaSuccess : cudaErrorLaunchFailure;
}

}  // namespace emulate

/* watch.cpp: finds races of kernels. Only in the library of cuda-watched/ (target mascon_cuda_watched), whose
 * kernels are compiled with -fsanitize=thread: the compiler then calls a function before each access to
 * memory, and those functions are here in place of the sanitizer's own.
 *
 * The threads of the fake device run one after the other, so a race is found by what orders two
 * accesses, not by what happens:
 *   - two of one block by a barrier of the block between them, or, in one warp, by one of the warp;
 *   - two of different blocks of one launch by nothing but the meeting of a reduction: the writer's
 *     __threadfence, then an atomic change of one word by both blocks, then a __threadfence of the
 *     reader's block;
 *   - launches are in the order of their stream.
 * Atomic changes do not race with each other. Also found: accesses that the device would refuse as misaligned,
 * shared memory that is read before its block wrote it, and barriers of a block that its threads meet
 * in different places. What is found is told on stderr, and the launch fails.
 */
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cuda/fake/emulate.h"
#include "cuda/fake/fake.h"

/* Where the library's static memory lies, and in it the kernels' static shared memory. */
extern "C" {
extern char __bss_start __attribute__((visibility("hidden")));
extern char _end __attribute__((visibility("hidden")));
}

namespace emulate {

char *stack_low;

namespace {

enum : uint32_t { NOBODY = ~0u, SEVERAL = 1u << 16, SEVERAL_WARPS = 1u << 17, ATOMIC = 1u << 18 };
enum { STACK = 128 << 10, PAGE = 4096, MOST_TOLD = 20 };

/* The last write of a byte, and the reads since. `who`: a thread of the block, with the bits above. */
struct access {
    uint32_t launch, block, round, warp_round, who;
};
struct cell {
    access write, read;
};
struct page {
    cell cells[PAGE];
};

/* What blocks have let others see by an atomic change of a word. */
typedef std::unordered_set<uint32_t> blocks;

bool running;
uint32_t launch_number, round_number, warp_rounds[1024];
const char *shared_at;
size_t shared_bytes;
int found, told;
std::unordered_map<uintptr_t, page *> pages;
uintptr_t last_number;
page *last_page;
std::unordered_map<uintptr_t, blocks> met; /* by the word's address */
blocks seen, offered;                      /* by this block: for good; until its next fence */
std::unordered_set<uint32_t> unfenced;     /* threads that wrote since their last fence */
std::set<const void *> reported;
source_line barrier_at; /* of this round; line 0: nobody is there yet */

uint32_t block_number() {
    return (now.block.z * now.grid_dim.y + now.block.y) * now.grid_dim.x + now.block.x;
}

uint32_t thread_number() {
    return (now.thread.z * now.block_dim.y + now.thread.y) * now.block_dim.x + now.thread.x;
}

cell *cell_of(uintptr_t at) {
    const uintptr_t number = at / PAGE;
    if (number != last_number || !last_page) {
        page *&p = pages[number];
        if (!p) p = new page();
        last_number = number;
        last_page = p;
    }
    return &last_page->cells[at % PAGE];
}

void tell(const char *what, uintptr_t at, size_t bytes, const access *other, const void *place) {
    found++;
    if (!reported.insert(place).second || told++ >= MOST_TOLD) return;
    Dl_info where = {};
    dladdr(place, &where);
    const uint32_t nobody = NOBODY;
    std::fprintf(stderr, "watch: %s: %zu bytes at %p by thread %u of block %u (%s+0x%zx)", what,
                 bytes, (void *)at, thread_number(), block_number(),
                 where.dli_fname ? where.dli_fname : "?",
                 (size_t)((const char *)place - (const char *)where.dli_fbase));
    if (other && other->who != nobody) {
        std::fprintf(stderr, ", after %s %u of block %u",
                     other->who & (SEVERAL | SEVERAL_WARPS) ? "threads such as" : "thread",
                     other->who & 1023, other->block);
    }
    std::fputc('\n', stderr);
}

bool is_dynamic(uintptr_t at) { return at - (uintptr_t)shared_at < shared_bytes; }

bool is_shared(uintptr_t at) {
    return is_dynamic(at) || (at >= (uintptr_t)&__bss_start && at < (uintptr_t)&_end);
}

/* Whether an earlier access of this launch comes before this one on a device, too. */
bool ordered(const access &a, uint32_t block, uint32_t me, bool atomic) {
    if (a.launch != launch_number) return true;
    if (atomic && a.who & ATOMIC) return true;
    if (a.block != block) return seen.count(a.block) != 0;
    if (a.round != round_number) return true;
    if (a.who & SEVERAL_WARPS) return false;
    const uint32_t who = a.who & 1023;
    if (a.who & SEVERAL || who != me) {
        return who / 32 == me / 32 && a.warp_round != warp_rounds[me / 32];
    }
    return true;
}

void look(uintptr_t at, size_t bytes, bool writes, bool atomic, const void *place) {
    const uint32_t block = block_number(), me = thread_number();
    const uint32_t who = me | (atomic ? (uint32_t)ATOMIC : 0u);
    const bool shared = is_shared(at);
    bool bad = false, stale = false;
    access other = {};
    for (size_t i = 0; i < bytes; i++) {
        cell *c = cell_of(at + i);
        const bool fresh = c->write.launch == launch_number;
        /* another block's shared memory is not this one */
        const bool foreign = shared && fresh && c->write.block != block;
        if (shared && !writes && (!fresh || foreign) && (c->write.launch || is_dynamic(at))) {
            stale = true; /* (what no kernel ever wrote is the emulator's own) */
        }
        if (!foreign && fresh && !ordered(c->write, block, me, atomic))
            bad = true, other = c->write;
        const access own = {launch_number, block, round_number, warp_rounds[me / 32], who};
        access &r = c->read;
        if (writes) {
            if (r.launch == launch_number && (!shared || r.block == block) &&
                !ordered(r, block, me, atomic)) {
                bad = true, other = r;
            }
            c->write = own;
            if (atomic) r = own;
        } else if (r.launch == launch_number && r.block == block && r.round == round_number) {
            /* one more reader of this round */
            if ((r.who & 1023) / 32 != me / 32) r.who |= SEVERAL_WARPS;
            if ((r.who & 1023) != me) r.who |= SEVERAL;
            r.warp_round = warp_rounds[me / 32];
            if (!atomic) r.who &= ~(uint32_t)ATOMIC;
        } else {
            r = own;
        }
    }
    if (writes && !shared && !atomic) unfenced.insert(me);
    if (stale) tell("shared memory is read before it is written", at, bytes, nullptr, place);
    if (bad) tell(writes ? "a write races" : "a read races", at, bytes, &other, place);
}

inline void watch(const void *p, size_t bytes, bool writes, bool aligned, const void *place) {
    if (!running) return;
    const uintptr_t at = (uintptr_t)p;
    if (at - (uintptr_t)stack_low < STACK) return;
    if (at - (uintptr_t)&now < sizeof now) return;
    if (aligned && at % bytes != 0) tell("misaligned", at, bytes, nullptr, place);
    look(at, bytes, writes, false, place);
}

}  // namespace

/* ---- From the emulator ---- */

void watch_launch(const void *memory, size_t bytes) {
    running = true;
    launch_number++;
    shared_at = (const char *)memory;
    shared_bytes = bytes;
    found = 0;
    met.clear();
}

bool watch_end() {
    running = false;
    return found == 0;
}

void watch_block() {
    round_number++;
    seen.clear();
    offered.clear();
    unfenced.clear();
    barrier_at.line = 0;
}

void watch_arrival(const source_line &at) {
    const bool same = barrier_at.line == at.line && !std::strcmp(barrier_at.file, at.file);
    if (barrier_at.line && !same) {
        found++;
        if (told++ >= MOST_TOLD) return;
        std::fprintf(stderr, "watch: thread %u of block %u waits at %s:%d, another one at %s:%d\n",
                     thread_number(), block_number(), at.file, at.line, barrier_at.file,
                     barrier_at.line);
    }
    barrier_at = at;
}

void watch_round() {
    round_number++;
    barrier_at.line = 0;
}

void watch_warp(int warp) { warp_rounds[warp]++; }

/* ---- From kernels ---- */

void watch_atomic(const void *p, size_t bytes) {
    if (!running) return;
    look((uintptr_t)p, bytes, true, true, __builtin_return_address(0));
    blocks &others = met[(uintptr_t)p];
    for (uint32_t b : others) offered.insert(b);
    if (unfenced.empty()) others.insert(block_number());
}

void watch_fence() {
    if (!running) return;
    unfenced.erase(thread_number());
    for (uint32_t b : offered) seen.insert(b);
    offered.clear();
}

}  // namespace emulate

/* ---- What the compiler calls ---- */

#define PLACE __builtin_return_address(0)
#define WATCHED(name, bytes, writes, aligned) \
    extern "C" void __tsan_##name(void *p);   \
    extern "C" void __tsan_##name(void *p) { emulate::watch(p, bytes, writes, aligned, PLACE); }
#define WATCHED_SIZE(n)                         \
    WATCHED(read##n, n, false, true)            \
    WATCHED(write##n, n, true, true)            \
    WATCHED(unaligned_read##n, n, false, false) \
    WATCHED(unaligned_write##n, n, true, false)
WATCHED_SIZE(1)
WATCHED_SIZE(2)
WATCHED_SIZE(4)
WATCHED_SIZE(8)
WATCHED_SIZE(16)

#define RANGE(name, writes)                                               \
    extern "C" void __tsan_##name##_range(void *p, unsigned long bytes);  \
    extern "C" void __tsan_##name##_range(void *p, unsigned long bytes) { \
        emulate::watch(p, bytes, writes, false, PLACE);                   \
    }
RANGE(read, false)
RANGE(write, true)

extern "C" void __tsan_init();
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void *);
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit(void *);
extern "C" void __tsan_func_exit(void *) {}
extern "C" void __tsan_vptr_update(void **, void *);
extern "C" void __tsan_vptr_update(void **, void *) {}
extern "C" void __tsan_vptr_read(void **);
extern "C" void __tsan_vptr_read(void **) {}

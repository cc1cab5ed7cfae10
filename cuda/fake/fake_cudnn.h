/* fake_cudnn.h: the two halves of the fake cuDNN: descriptors and their rules (fake_cudnn.cpp), and what
 * a finished graph computes (fake_cudnn_run.cpp).
 */
#ifndef MASCON_CUDA_FAKE_CUDNN_H
#define MASCON_CUDA_FAKE_CUDNN_H

#include <string>
#include <vector>

#include "cuda/fake/fake_library.h"

namespace fake_cudnn {

struct tensor {
    int64_t uid = 0, alignment = 0;
    library::type type = library::F32;
    bool is_virtual = false;
    int64_t shape[4] = {}, stride[4] = {};
};

enum kind { FORWARD, DATA, WEIGHT };

struct window {
    int64_t before[2], after[2], dilation[2], stride[2];
};

struct step { /* y = mode(x of the step before, b) */
    int64_t mode = 0;
    bool has_b = false, keeps_nan = false;
    tensor b, y;
};

/* A graph as numbers: one convolution and what follows it. */
struct program {
    kind what = FORWARD;
    window w = {};
    tensor x, filter, y; /* y is virtual where steps follow */
    std::vector<step> steps;
};

/* The engines of the fake. */
enum engine : int64_t {
    LAST_RESORT = 0, /* anything; the only one that keeps NaN strictly */
    PLAIN = 1,       /* one group, wants workspace */
    ROUNDED = 3,     /* turns float32 into 16 bits: wrong digits on purpose */
    UNORDERED = 5,   /* gradients, tensor cores, wants workspace, another order each time */
    TENSOR_CORE = 7, /* channels in multiples of 8; float32 in TF32 */
    HALF_SUMS = 9,   /* sums in half: wrong digits on purpose */
    FUSED = 11,      /* any steps; as TENSOR_CORE, compiled at run time */
    FUSED_PLAIN = 12 /* a bias, and relu */
};

struct engine_facts {
    uint32_t numerical, behavior;
};
engine_facts facts_of(int64_t engine);
/* Whether finalising an engine's plan succeeds: heuristics promise more than that. */
bool can_serve(int64_t engine, const program &p);
/* The engines that a mode of the heuristics names for a program. */
std::vector<int64_t> candidates(int mode, const program &p);
size_t workspace_of(int64_t engine, const program &p);

/* The shape that the convolution's y must have. */
bool window_fits(const program &p);

std::string to_text(int64_t engine, const program &p);
bool from_text(const std::string &text, int64_t *engine, program *p);

/* Computes on open device memory; at(uid) gives an address. */
struct addresses {
    std::vector<int64_t> uids;
    std::vector<char *> pointers;
    char *at(int64_t uid) const;
};
void run(int64_t engine, const program &p, const addresses &where, void *workspace);

/* What all runs since the last call cost: tensor cores 1 each, other engines 2, the first of the
 * heuristics' gradients (UNORDERED) 3. */
int64_t cost_since_last();
/* Bytes from the first to the last element. */
size_t extent(const tensor &t);

}  // namespace fake_cudnn

#endif

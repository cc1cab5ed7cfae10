/* plan.h: what the cpu backend remembers between calls: ready convolutions and packed weights. */
#ifndef MASCON_CPU_PLAN_H
#define MASCON_CPU_PLAN_H

#include "cpu/dnnl.h"

typedef struct masconI_plan {
    masconI_conv key;
    masconI_dnnl *conv; /* NULL: oneDNN has nothing fast for these sizes */
    uint64_t form;      /* the same for plans that take the same packed weights; never reused */
    /* owned by plan.c */
    uint64_t hash;
    int refs;
    struct masconI_plan *chain, *newer, *older;
} masconI_plan;

/* The plan of these sizes, made on first use. Give it back with masconI_plan_put. Any thread. */
mascon_status masconI_plan_get(const masconI_conv *key, masconI_plan **out);
void masconI_plan_put(masconI_plan *plan);

static inline size_t masconI_line(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

typedef struct masconI_packed masconI_packed;

/* Batch norm by running statistics behind a convolution, which becomes part of its weights and bias
 * (fold.c): all of length oc, dense float32, or NULL. */
enum {
    MASCON_FOLD_BIAS = 0,
    MASCON_FOLD_MEAN,
    MASCON_FOLD_VAR,
    MASCON_FOLD_SCALE,
    MASCON_FOLD_SHIFT,
    MASCON_FOLDED
};
typedef struct masconI_fold {
    const mascon_tensor *of[MASCON_FOLDED];
    double eps;
    int64_t oc, each; /* each: weights of an output channel */
} masconI_fold;

/* scaled {oc, each} and bias {oc} of plain {oc, each}; scaled NULL: the bias alone */
void masconI_fold_run(const masconI_fold *fold, const float *plain, float *scaled, float *bias);

/* A form that a kernel wants weights in. */
typedef struct masconI_form {
    uint64_t id; /* of kernel and sizes; even: a plan's form times 2, odd: ours */
    size_t bytes;
    mascon_status (*make)(const void *context, const float *plain, float *to);
    const void *context;
    int piecewise; /* 1: where the form is not kept, it is not made, and *data is NULL */
    int64_t
        half; /* not 0: the plain weights are so many bfloat16 numbers, and make gets them as float32 */
    const masconI_fold
        *fold; /* NULL, or what the weights take in: then a bias {oc} lies behind them,
                                 at masconI_form_bias */
} masconI_form;

static inline size_t masconI_form_room(const masconI_form *f) {
    return masconI_line(f->bytes) +
           (f->fold ? masconI_line(sizeof(float) * (size_t)f->fold->oc) : 0);
}
static inline const float *masconI_form_bias(const masconI_form *f, const float *data) {
    return (const float *)(const void *)((const char *)data + masconI_line(f->bytes));
}

/* The weights of a tensor in this form: *data points into `room` (made for this call) or into the
 * cache, then *held must be given back. Weights are put into the cache when one version of them is
 * asked for a second time (with a fold: of all its tensors), so training, where each version serves one step, keeps no copies. */
mascon_status masconI_form_get(const mascon_tensor *weight, const masconI_form *form, void *room,
                               const float **data, masconI_packed **held);
/* The packed form of a plan, whose primitive packs; bytes is 0 where it takes plain weights and there
 * is no fold: then there is nothing to get. */
masconI_form masconI_packed_form(const masconI_plan *plan, const masconI_fold *fold);
/* Plain O-H-W-I weights as a form, for kernels that fold and order them themselves. */
masconI_form masconI_plain_form(const masconI_fold *fold);
void masconI_packed_put(masconI_packed *held); /* NULL is allowed */

#endif

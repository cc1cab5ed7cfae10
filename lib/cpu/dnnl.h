/* dnnl.h: the shim over oneDNN. dnnl.c is the only file that sees its C API, so that releases 2.6
 * and 3.x differ in one place.
 *
 * A masconI_dnnl is one ready convolution over channels-last pictures with O-H-W-I weights, made
 * for one thread. Any number of threads may run the same one at the same time. oneDNN's own threads
 * stay unused: primitives are made and run under an OpenMP limit of 1, and mascon's pool runs the
 * slices.
 */
#ifndef MASCON_CPU_DNNL_H
#define MASCON_CPU_DNNL_H

#include "mascon_backend.h"

enum { MASCON_CONV_FORWARD = 0, MASCON_CONV_BWD_DATA, MASCON_CONV_BWD_WEIGHT };

/* Sizes of one convolution. Also the key of the plan cache, so it has no unnamed bytes. */
typedef struct masconI_conv {
    int64_t kind, bias;
    int64_t n, c, h, w, oc, oh, ow;
    int64_t kh, kw, sh, sw, dh, dw, top, left, bottom, right, groups;
    int64_t bf16; /* x, y and weights are bfloat16; bias, dw and db are float32 all the same */
} masconI_conv;

typedef struct masconI_dnnl masconI_dnnl;

/* 1 where the library that was found can be used from mascon's threads; else 0 and *why (may be
 * NULL) a static sentence. */
int masconI_dnnl_usable(const char **why);

/* The primitive for these sizes; *out is NULL where oneDNN has no fast one. */
mascon_status masconI_dnnl_new(const masconI_conv *conv, masconI_dnnl **out);
void masconI_dnnl_free(masconI_dnnl *d);

/* Scratch bytes of one run. */
size_t masconI_dnnl_scratch(const masconI_dnnl *d);
/* Bytes of the weights as the primitive holds them; 0 where that is plain O-H-W-I. */
size_t masconI_dnnl_packed(const masconI_dnnl *d);
/* Whether two convolutions with equal kernels take the same packed weights. */
int masconI_dnnl_same_form(const masconI_dnnl *a, const masconI_dnnl *b);

/* weights {oc, kh, kw, c / groups} to the primitive's packed form (FORWARD, BWD_DATA) and back
 * (BWD_WEIGHT). Packing may be cut into pieces 0..masconI_dnnl_pieces()-1, for several threads;
 * weight and packed are the whole blocks all the same. */
int masconI_dnnl_pieces(const masconI_dnnl *d);
mascon_status masconI_dnnl_pack(masconI_dnnl *d, const void *weight, void *packed, int piece);
mascon_status masconI_dnnl_unpack(masconI_dnnl *d, const float *packed, float *weight);

/* FORWARD:    x, weight, bias in; y out
 * BWD_DATA:   y is dy and weight in; x is dx out; bias NULL
 * BWD_WEIGHT: x and y = dy in; weight = dw and bias = db (NULL without) out
 * weight is packed where masconI_dnnl_packed is not 0. Without bias option, bias is NULL. */
mascon_status masconI_dnnl_run(masconI_dnnl *d, const void *x, const void *weight,
                               const float *bias, const void *y, void *scratch);

/* c {m, n} = a {m, k} b {k, n} + beta c, all row-major; ta: a is stored as {k, m}, tb: b as {n, k}.
 * lda, ldb, ldc: distance between stored rows. One thread. */
mascon_status masconI_dnnl_gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a,
                                int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                                int64_t ldc);

#endif

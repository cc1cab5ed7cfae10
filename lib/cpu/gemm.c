/* gemm.c: one matrix product in parallel. The result is cut by its longer side, by the sizes alone;
 * the inner dimension is never cut, so every element is one sum of one thread. */
#include "cpu/gemm.h"

#include <stdatomic.h>

enum { PIECES = 8, GRAIN = 8 };
/* A piece of fewer multiplications costs more to hand over than to do. */
static const double piece_work = 1e5;

typedef struct job {
    const masconI_product *p;
    const float *a, *b;
    float *c;
    int64_t block;
    int by_rows, dot;
    atomic_int status;
} job;

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    job *j = context;
    const masconI_product *p = j->p;
    const int64_t first = i * j->block;
    const float *a = j->a, *b = j->b;
    float *c = j->c;
    int64_t m = p->m, n = p->n;
    if (j->by_rows) {
        m = m - first < j->block ? m - first : j->block;
        a += p->ta ? first : first * p->lda;
        c += first * p->ldc;
    } else {
        n = n - first < j->block ? n - first : j->block;
        b += p->tb ? first * p->ldb : first;
        c += first;
    }
    if (j->dot) {
        masconI_gemm_dot(p, m, n, a, b, c);
        return;
    }
    const mascon_status status =
        masconI_dnnl_gemm(p->ta, p->tb, m, n, p->k, a, p->lda, b, p->ldb, p->beta, c, p->ldc);
    if (status != MASCON_OK) atomic_store(&j->status, status);
}

mascon_status masconI_gemm(const masconI_product *p, const float *a, const float *b, float *c) {
    job j = {
        .p = p, .a = a, .b = b, .c = c, .by_rows = p->m > p->n, .dot = masconI_gemm_dot_fits(p)};
    const int64_t side = j.by_rows ? p->m : p->n;
    const double work = (double)p->m * (double)p->n * (double)p->k;
    double pieces = work / piece_work;
    if (pieces > PIECES) pieces = PIECES;
    if (pieces < 1) pieces = 1;
    int64_t block = (side + (int64_t)pieces - 1) / (int64_t)pieces;
    j.block = (block + GRAIN - 1) / GRAIN * GRAIN;
    masconI_parallel((side + j.block - 1) / j.block, slice, &j);
    const int code = atomic_load(&j.status);
    if (code == MASCON_OK) return MASCON_OK;
    return masconI_fail(code, "a block of a matrix product failed");
}

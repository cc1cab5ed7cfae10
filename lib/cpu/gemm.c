/* gemm.c: one matrix product in parallel. The result is cut by its longer side, a very large one by
 * both, by the sizes alone; the inner dimension is never cut, so every element is one sum of one
 * thread. */
#include "cpu/gemm.h"

#include "core/signals.h"

#include <stdatomic.h>

enum { PIECES = 8, GRAIN = 8 };
/* A piece of fewer multiplications costs more to hand over than to do. */
static const double piece_work = 1e5;
/* One of more is cut again: an interrupt waits for the piece that runs (core/cut.h). */
static const double large_work = 2e9;
/* A product of less is over before a waiting signal is late. */
static const double brief_work = 1e8;

typedef struct job {
    const masconI_product *p;
    const float *a, *b;
    float *c;
    int64_t block, strip; /* of the longer and of the other side */
    int64_t strips;
    int by_rows, dot;
    atomic_int status;
} job;

static void slice(void *context, int64_t i, int thread) {
    (void)thread;
    job *j = context;
    const masconI_product *p = j->p;
    const int64_t along = i / j->strips * j->block, across = i % j->strips * j->strip;
    const int64_t row = j->by_rows ? along : across, column = j->by_rows ? across : along;
    const int64_t rows = j->by_rows ? j->block : j->strip;
    const int64_t columns = j->by_rows ? j->strip : j->block;
    const int64_t m = p->m - row < rows ? p->m - row : rows;
    const int64_t n = p->n - column < columns ? p->n - column : columns;
    const float *a = j->a + (p->ta ? row : row * p->lda);
    const float *b = j->b + (p->tb ? column * p->ldb : column);
    float *c = j->c + row * p->ldc + column;
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
    const int64_t side = j.by_rows ? p->m : p->n, other = j.by_rows ? p->n : p->m;
    const double work = (double)p->m * (double)p->n * (double)p->k;
    double pieces = work / piece_work;
    if (pieces > PIECES) pieces = PIECES;
    if (pieces < 1) pieces = 1;
    int64_t block = (side + (int64_t)pieces - 1) / (int64_t)pieces;
    j.block = (block + GRAIN - 1) / GRAIN * GRAIN;
    j.strip = other;
    const double over = (double)j.block * (double)other * (double)p->k / large_work;
    if (over > 1 && !j.dot) {
        const int64_t strip = (int64_t)((double)other / over) / GRAIN * GRAIN;
        j.strip = strip > GRAIN ? strip : GRAIN;
    }
    j.strips = (other + j.strip - 1) / j.strip;
    const int brief = work < brief_work;
    if (brief) masconI_signals_hold(); /* once for all pieces */
    masconI_parallel((side + j.block - 1) / j.block * j.strips, slice, &j);
    if (brief) masconI_signals_release();
    const int code = atomic_load(&j.status);
    if (code == MASCON_OK) return MASCON_OK;
    return masconI_fail(code, "a block of a matrix product failed");
}

/* gemm_bf16.c: matrix products by the instruction that adds the products of two pairs of bfloat16
 * numbers to a float32 sum.
 *
 * Pairs run along the inner dimension. b is brought into panels {k / 2, WIDTH} of pairs, a is read as pairs
 * of a row. A block of ROWS rows and one panel keeps its sums in registers; the inner dimension is never
 * cut, so every element is one sum in one order.
 */
#include "cpu/gemm_bf16.h"

#include <string.h>

#include "cpu/bf16.h"
#include "cpu/lanes.h"
#include "cpu/plan.h"

#if MASCON_HAS_AVX512_CODE && (!defined(__clang__) || __clang_major__ >= 9)
#define HAS_CODE 1
#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma")))
#else
#define HAS_CODE 0
#endif

enum { ROWS = 6, VECTORS = 4, WIDTH = VECTORS * MASCON_LANES, GROUP = 8 * ROWS };

int masconI_gemm_bf16_fits(void) {
#if HAS_CODE
    return masconI_has_avx512() && __builtin_cpu_supports("avx512bf16") && masconI_bf16_is_fast();
#else
    return 0;
#endif
}

static int64_t pairs_of(const masconI_half_product *p) { return (p->k + 1) / 2; }
static int64_t panels_of(const masconI_half_product *p) { return (p->n + WIDTH - 1) / WIDTH; }
static int packs_a(const masconI_half_product *p) { return p->a.column_step != 1 || p->k % 2 != 0; }

static size_t bytes_of_b(const masconI_half_product *p) {
    return sizeof(uint32_t) * (size_t)(panels_of(p) * pairs_of(p) * WIDTH);
}

size_t masconI_gemm_bf16_workspace(const masconI_half_product *p) {
    return bytes_of_b(p) + (packs_a(p) ? sizeof(uint32_t) * (size_t)(p->m * pairs_of(p)) : 0);
}

#if HAS_CODE

typedef struct job {
    const masconI_half_product *p;
    uint32_t *b, *a; /* packed; a: NULL where it is read in place */
    int64_t groups;
} job;

/* The pair of rows 2 i and 2 i + 1 of b, columns first..first+count-1. */
MASCON_CLONES static void join_rows(const uint16_t *low, const uint16_t *high, int64_t step,
                                    int64_t count, uint32_t *to) {
    if (step == 1 && high) {
        for (int64_t j = 0; j < count; j++) to[j] = low[j] | (uint32_t)high[j] << 16;
        return;
    }
    for (int64_t j = 0; j < count; j++) {
        to[j] = low[j * step] | (high ? (uint32_t)high[j * step] << 16 : 0);
    }
}

static void pack_b(void *context, int64_t panel, int thread) {
    (void)thread;
    const job *j = context;
    const masconI_half_product *p = j->p;
    const int64_t first = panel * WIDTH, pairs = pairs_of(p);
    const int64_t count = p->n - first < WIDTH ? p->n - first : WIDTH;
    const uint16_t *from = p->b.data + first * p->b.column_step;
    uint32_t *to = j->b + panel * pairs * WIDTH;
    for (int64_t i = 0; i < pairs; i++, to += WIDTH, from += 2 * p->b.row_step) {
        join_rows(from, 2 * i + 1 < p->k ? from + p->b.row_step : NULL, p->b.column_step, count,
                  to);
        if (count < WIDTH) memset(to + count, 0, sizeof *to * (size_t)(WIDTH - count));
    }
}

static void pack_a(void *context, int64_t group, int thread) {
    (void)thread;
    const job *j = context;
    const masconI_half_product *p = j->p;
    const int64_t pairs = pairs_of(p), step = p->a.column_step;
    const int64_t end = (group + 1) * GROUP < p->m ? (group + 1) * GROUP : p->m;
    for (int64_t i = group * GROUP; i < end; i++) {
        const uint16_t *from = p->a.data + i * p->a.row_step;
        uint32_t *to = j->a + i * pairs;
        for (int64_t q = 0; q < pairs; q++, from += 2 * step) {
            to[q] = from[0] | (2 * q + 1 < p->k ? (uint32_t)from[step] << 16 : 0);
        }
    }
}

/* sum += the products of pairs. As an instruction of its own: gcc 12 copies and spills the sums of the
 * intrinsic function. */
#define DOT(sum, x, y) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))

/* sums {ROWS, WIDTH} of `rows` rows of pairs, `a_row` bytes apart; rows is a constant where this is
 * called */
TARGET MASCON_INLINE void block(const char *a, int64_t a_row, const uint32_t *b, int64_t pairs,
                                const int rows, float (*sums)[WIDTH]) {
    __m512 s[ROWS][VECTORS];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) s[i][v] = _mm512_setzero_ps();
    }
    for (int64_t q = 0; q < pairs; q++, b += WIDTH, a += sizeof(uint32_t)) {
        __m512bh y[VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) {
            y[v] = (__m512bh)_mm512_loadu_si512(b + v * MASCON_LANES);
        }
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            int32_t pair;
            memcpy(&pair, a + i * a_row, sizeof pair);
            const __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; v++) DOT(s[i][v], x, y[v]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) _mm512_storeu_ps(&sums[i][v * MASCON_LANES], s[i][v]);
    }
}

#define BLOCK(rows)                                                                  \
    TARGET static void block_##rows(const char *a, int64_t a_row, const uint32_t *b, \
                                    int64_t pairs, float(*sums)[WIDTH]) {            \
        block(a, a_row, b, pairs, rows, sums);                                       \
    }
BLOCK(1)
BLOCK(2)
BLOCK(3)
BLOCK(4)
BLOCK(5)
BLOCK(6)

typedef void block_function(const char *, int64_t, const uint32_t *, int64_t, float (*)[WIDTH]);
static block_function *const blocks[ROWS] = {block_1, block_2, block_3, block_4, block_5, block_6};

/* Rows row..row+rows-1, columns column..column+columns-1 of c. */
static void store(const masconI_half_product *p, float (*sums)[WIDTH], int64_t row, int64_t rows,
                  int64_t column, int64_t columns) {
    for (int64_t i = 0; i < rows; i++) {
        float *from = sums[i];
        uint16_t *to = p->c.data + (row + i) * p->c.row_step + column * p->c.column_step;
        const float all = p->row_bias ? masconC_get_bf16(p->row_bias + row + i) : 0;
        for (int64_t j = 0; p->row_bias && j < columns; j++) from[j] += all;
        for (int64_t j = 0; p->column_bias && j < columns; j++) {
            from[j] += masconC_get_bf16(p->column_bias + column + j);
        }
        if (p->c.column_step == 1) {
            masconI_bf16_narrow(from, to, columns);
        } else {
            for (int64_t j = 0; j < columns; j++) {
                masconC_put_bf16(to + j * p->c.column_step, from[j]);
            }
        }
    }
}

static void multiply(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const masconI_half_product *p = j->p;
    const int64_t panel = i / j->groups, group = i % j->groups, pairs = pairs_of(p);
    const int64_t column = panel * WIDTH;
    const int64_t columns = p->n - column < WIDTH ? p->n - column : WIDTH;
    const int64_t end = (group + 1) * GROUP < p->m ? (group + 1) * GROUP : p->m;
    const int64_t a_row = j->a ? pairs * 4 : p->a.row_step * 2;
    const char *a = j->a ? (const char *)j->a : (const char *)p->a.data;
    float sums[ROWS][WIDTH];
    for (int64_t row = group * GROUP; row < end; row += ROWS) {
        const int64_t rows = end - row < ROWS ? end - row : ROWS;
        blocks[rows - 1](a + row * a_row, a_row, j->b + panel * pairs * WIDTH, pairs, sums);
        store(p, sums, row, rows, column, columns);
    }
}

void masconI_gemm_bf16(const masconI_half_product *p, void *workspace) {
    job j = {.p = p, .b = workspace, .groups = (p->m + GROUP - 1) / GROUP};
    if (packs_a(p)) {
        j.a = (uint32_t *)(void *)((char *)workspace + bytes_of_b(p));
        masconI_parallel(j.groups, pack_a, &j);
    }
    masconI_parallel(panels_of(p), pack_b, &j);
    masconI_parallel(panels_of(p) * j.groups, multiply, &j);
}

#else

void masconI_gemm_bf16(const masconI_half_product *p, void *workspace) {
    (void)p; /* never called: masconI_gemm_bf16_fits says no */
    (void)workspace;
}

#endif

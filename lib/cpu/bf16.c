/* bf16.c: see bf16.h.
 *
 * The rule: a processor with AMX multiplies bfloat16 about eight times as fast as float32; AMD's cores
 * with AVX-512 (Zen 4 and later) twice as fast; Intel's without AMX half as fast, because one of their two
 * units for it is missing; all others only emulate it.
 */
#include "cpu/bf16.h"

#include <string.h>

#include "core/simd.h"
#include "cpu/dense.h"
#include "cpu/lanes.h"

MASCON_CLONES void masconI_bf16_widen(const uint16_t *from, float *to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = masconC_get_bf16(from + i);
}

MASCON_CLONES void masconI_bf16_narrow(const float *from, uint16_t *to, int64_t n) {
    for (int64_t i = 0; i < n; i++) masconC_put_bf16(to + i, from[i]);
}

typedef struct job {
    const void *from;
    void *to;
    int64_t n;
} job;

static int64_t chunk(const job *j, int64_t i) {
    const int64_t rest = j->n - i * MASCON_DENSE_CHUNK;
    return rest < MASCON_DENSE_CHUNK ? rest : MASCON_DENSE_CHUNK;
}

static void widen_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t first = i * MASCON_DENSE_CHUNK;
    masconI_bf16_widen((const uint16_t *)j->from + first, (float *)j->to + first, chunk(j, i));
}

static void narrow_slice(void *context, int64_t i, int thread) {
    (void)thread;
    const job *j = context;
    const int64_t first = i * MASCON_DENSE_CHUNK;
    masconI_bf16_narrow((const float *)j->from + first, (uint16_t *)j->to + first, chunk(j, i));
}

void masconI_bf16_widen_all(const uint16_t *from, float *to, int64_t n) {
    job j = {from, to, n};
    masconI_parallel(masconI_dense_chunks(n), widen_slice, &j);
}

void masconI_bf16_narrow_all(const float *from, uint16_t *to, int64_t n) {
    job j = {from, to, n};
    masconI_parallel(masconI_dense_chunks(n), narrow_slice, &j);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

/* AMX-BF16: leaf 7, edx bit 22; the system must have switched its tiles on (xcr0 bits 17 and 18), which
 * a hypervisor that hides AMX has not. */
static int has_amx(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* osxsave */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1)) return 0;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low >> 17 & 3) == 3;
}

int masconI_bf16_is_fast(void) {
    if (has_amx()) return 1;
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
}
#else
int masconI_bf16_is_fast(void) { return 0; }
#endif

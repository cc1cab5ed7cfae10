/* profile.c: counters per op, layout conversions, and the request to interrupt.
 *
 * All counters are atomic and relaxed: they are figures for a reader, nothing is ordered by them.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/internal.h"

enum { SITES = 256, SITE_LENGTH = 96 };

typedef struct row {
    atomic_llong count[MASCON_PROFILE_COUNT];
    _Atomic(const char *) kernel;
} row;

atomic_int masconI_profiling;

static row rows[MASCON_OP_COUNT];
static atomic_llong conversions;
/* The first conversions. A text is written once per profile, before its flag is set. */
static char sites[SITES][SITE_LENGTH];
static atomic_int site_written[SITES];

static atomic_int interrupt;

void mascon_profile(int32_t on) {
    if (on) {
        for (int i = 0; i < MASCON_OP_COUNT; i++) {
            for (int k = 0; k < MASCON_PROFILE_COUNT; k++) {
                atomic_store_explicit(&rows[i].count[k], 0, memory_order_relaxed);
            }
            atomic_store_explicit(&rows[i].kernel, NULL, memory_order_relaxed);
        }
        for (int i = 0; i < SITES; i++) {
            atomic_store_explicit(&site_written[i], 0, memory_order_relaxed);
        }
        atomic_store(&conversions, 0);
    }
    atomic_store(&masconI_profiling, on != 0);
}

void masconI_profile_add(int32_t op, int64_t nanoseconds, int64_t bytes, const char *kernel) {
    if (op < 0 || op >= MASCON_OP_COUNT) return;
    row *r = &rows[op];
    atomic_fetch_add_explicit(&r->count[MASCON_PROFILE_CALLS], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->count[MASCON_PROFILE_NANOSECONDS], nanoseconds,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&r->count[MASCON_PROFILE_BYTES], bytes, memory_order_relaxed);
    if (kernel != NULL) atomic_store_explicit(&r->kernel, kernel, memory_order_relaxed);
}

/* The name of input k in a list such as "x weight bias?" or "tensors*"; the last one where the list
 * is shorter. */
static int input_name(const char *list, int k, const char **name) {
    const char *p = list;
    int length = 0;
    for (int i = 0; *p != 0 && i <= k; i++) {
        *name = p;
        length = (int)strcspn(p, " ?*");
        p += strcspn(p, " ");
        p += strspn(p, " ");
    }
    return length;
}

void masconI_profile_conversion(int32_t op, int input) {
    int64_t i = atomic_fetch_add_explicit(&conversions, 1, memory_order_relaxed);
    if (op < 0 || op >= MASCON_OP_COUNT) return;
    atomic_fetch_add_explicit(&rows[op].count[MASCON_PROFILE_CONVERSIONS], 1, memory_order_relaxed);
    if (i >= SITES) return;
    const char *name = "";
    int length = input_name(masconI_ops[op]->inputs, input, &name);
    snprintf(sites[i], SITE_LENGTH, "%s %.*s", masconI_ops[op]->name, length, name);
    atomic_store_explicit(&site_written[i], 1, memory_order_release);
}

void mascon_profile_row(int32_t op, int64_t *out, const char **kernel) {
    if (!out) return;
    memset(out, 0, MASCON_PROFILE_COUNT * sizeof *out);
    if (kernel != NULL) *kernel = NULL;
    if (op < 0 || op >= MASCON_OP_COUNT) return;
    for (int k = 0; k < MASCON_PROFILE_COUNT; k++) {
        out[k] = atomic_load_explicit(&rows[op].count[k], memory_order_relaxed);
    }
    if (kernel != NULL) *kernel = atomic_load_explicit(&rows[op].kernel, memory_order_relaxed);
}

int64_t mascon_conversions(void) { return atomic_load(&conversions); }

const char *mascon_conversion_site(int64_t i) {
    if (i < 0 || i >= SITES) return NULL;
    return atomic_load_explicit(&site_written[i], memory_order_acquire) ? sites[i] : NULL;
}

/* ---- Interrupt ---- */

void mascon_interrupt(void) { atomic_store(&interrupt, 1); }

int masconI_interrupt_pending(void) {
    return atomic_load_explicit(&interrupt, memory_order_relaxed);
}

int32_t mascon_interrupted(void) {
    if (atomic_load_explicit(&interrupt, memory_order_relaxed) == 0) return 0;
    return atomic_exchange(&interrupt, 0);
}

/* conv_choice.c: which kernel serves a convolution: the one place that decides it.
 *
 * The choice depends on the sizes and the processor (its instruction set and its maker) alone, never
 * on a clock, so that a script gives the same bits in every run. The numbers below come from
 * `scripts/bench_op conv2d --table` on a Zen 4 core pair, once with AVX-512 and once with both sides
 * held to AVX2; docs/performance.md has the table. oneDNN always means one primitive per slice on
 * channels-last memory.
 *
 *   few channels  1.3 to 2.3 times as fast as oneDNN with 1 to 12 channels on both sides and a width
 *                 of whole vectors (by AVX2 1.0 to 1.5 times). For the gradient of the weights
 *                 Winograd is faster still from 8 input channels on.
 *   Winograd      1.6 to 3 times as fast from 16 channels on, in all three passes, by AVX-512 and by
 *                 AVX2; with 8 channels 1.2 to 2 times; with 4 and fewer it loses: transforming
 *                 takes longer than multiplying would. Outputs that fill their tiles badly waste
 *                 what the method saves: at 7x7 and 3x3 (three quarters and half filled) it wins, at
 *                 5x5 it loses, but for the gradient of the weights, where oneDNN is slow.
 *   depthwise     1.1 to 1.5 times as fast with up to 128 channels, forward and for the gradient of
 *                 x; with 512 it is slower, since its rows no longer stay in the first-level cache.
 *   oneDNN        the rest: steps, 1x1, groups, first layers with 16 and more output channels.
 */
#include "core/simd.h"
#include "cpu/conv.h"
#include "cpu/winograd.h"

/* Classes of processors, each with its row of the table. */
enum { PLAIN = 0, WIDE, CLASSES };

typedef struct rule {
    int winograd_channels; /* the fewest that go in: of x, or of dy for the gradient of x */
    /* the least part of their tiles that the outputs fill; for the gradient of the weights */
    double winograd_fill, winograd_weight_fill;
} rule;

/* PLAIN: AMD's processors and whatever runs AVX2: measured, as told above.
 * WIDE:  Intel's with AVX-512, which multiply 32 floats in a cycle where Zen 4 multiplies 16, from
 *        caches that are not twice as fast. Derived, not measured: what Winograd's method saves,
 *        multiplications, costs half as much there, and its transforms cost the same. So it needs
 *        twice the channels to pay for them, and tiles that are better filled. */
static const rule rules[CLASSES] = {[PLAIN] = {8, 0.5, 0.25}, [WIDE] = {16, 0.6, 0.35}};
/* Transformed weights are four times as large; from this number of floats on they come from main
 * memory (512 to 512 channels), and only this many tiles are worth reading them for. */
static const int64_t winograd_far = 4 * 1024 * 1024, winograd_far_tiles = 16;

/* Depthwise: the fewest and the most channels. */
enum { DEPTHWISE_LEAST = 8, DEPTHWISE_MOST = 192 };

static atomic_int forced = -1, without_avx512;

void mascon_testing_conv(int32_t kernel, int32_t no_avx512) {
    atomic_store(&forced, kernel);
    atomic_store(&without_avx512, no_avx512);
}

int masconI_conv_avx512(void) {
#if MASCON_HAS_AVX512_CODE
    return masconI_has_avx512() && !atomic_load_explicit(&without_avx512, memory_order_relaxed);
#else
    return 0;
#endif
}

int masconI_conv_avx2(void) {
#if MASCON_HAS_AVX512_CODE
    return masconI_has_avx2();
#else
    return 0;
#endif
}

static const rule *rule_here(void) {
#if MASCON_HAS_AVX512_CODE
    return &rules[masconI_conv_avx512() && __builtin_cpu_is("intel") ? WIDE : PLAIN];
#else
    return &rules[PLAIN];
#endif
}

static int winograd_wins(const mascon_window2d *w, int kind) {
    const rule *r = rule_here();
    const int weight = kind == MASCON_CONV_BWD_WEIGHT;
    const masconI_tiling g = masconI_tiling_of(w, kind == MASCON_CONV_BWD_DATA);
    if (g.c < r->winograd_channels) return 0;
    const double pixels = (double)(g.n * g.oh * g.ow);
    const double room = (double)(g.tiles * MASCON_WINOGRAD_TILE * MASCON_WINOGRAD_TILE);
    if (pixels < room * (weight ? r->winograd_weight_fill : r->winograd_fill)) return 0;
    const int64_t floats = MASCON_WINOGRAD_POSITIONS * g.c * g.oc;
    return floats < winograd_far || g.tiles >= winograd_far_tiles;
}

int masconI_conv_choice(const mascon_window2d *w, int kind) {
    const int want = atomic_load_explicit(&forced, memory_order_relaxed);
    const int winograd = masconI_winograd_fits(w);
    const int small = !w->bf16 && masconI_conv_small_fits(w, kind);
    if (want == MASCON_CONV_ONEDNN) return want;
    if (want == MASCON_CONV_SMALL && small) return want;
    if (want == MASCON_CONV_WINOGRAD && winograd) return want;
    const int depthwise = !w->bf16 && masconI_depthwise_fits(w, kind);
    if (want == MASCON_CONV_DEPTHWISE && depthwise) return want;
    const int wins = winograd && winograd_wins(w, kind);
    if (small && !(wins && kind == MASCON_CONV_BWD_WEIGHT)) return MASCON_CONV_SMALL;
    if (wins) return MASCON_CONV_WINOGRAD;
    if (depthwise && w->c >= DEPTHWISE_LEAST && w->c <= DEPTHWISE_MOST)
        return MASCON_CONV_DEPTHWISE;
    return MASCON_CONV_ONEDNN;
}

const char *masconI_conv_kernel_name(int choice) {
    /* ORDER: MASCON_CONV_* in conv.h */
    static const char *const names[] = {"oneDNN", "few channels", "Winograd", "depthwise"};
    return names[choice];
}

/* keep_bits.h: which elements dropout keeps, as bits.
 *
 * Element i in logical order is kept where word i of the call's random stream is at least a threshold
 * (masconI_dropout_threshold). Channels-last memory needs the bits of 16 channels of a pixel at once,
 * which lie far apart in the stream: masconC_keep_tile gives each channel of a tile one word of bits.
 */
#ifndef MASCON_CPU_KEEP_BITS_H
#define MASCON_CPU_KEEP_BITS_H

#include <stdint.h>

#include "core/simd.h"

enum {
    MASCON_KEEP_PIXELS = 60,   /* pixels of a tile that one draw covers from any start */
    MASCON_KEEP_ALIGNED = 64,  /* and where every start is a multiple of 4 */
    MASCON_KEEP_CHANNELS = 256 /* channels of a tile, at most */
};

/* The part of a picture that one slice works on. */
typedef struct masconC_tile {
    int64_t picture, pixel, pixels; /* pixels..: `pixels` of them from `pixel` on */
    int64_t channel, channels;
} masconC_tile;

/* How pictures {c, area} are cut into tiles. */
typedef struct masconC_tiling {
    int64_t c, area;
    int64_t step, across; /* pixels of a tile; tiles of a picture */
} masconC_tiling;

masconC_tiling masconC_tiling_of(int64_t c, int64_t area);
/* Tile number index, with its channels from `channel` on. */
masconC_tile masconC_tile_at(const masconC_tiling *t, int64_t index, int64_t channel);

/* Bit i % 64 of bits[i / 64]: whether word first + i reaches the threshold, for i < count. first is a
 * multiple of 4. Whole words of bits are written; what lies behind the last one is not specified. */
void masconC_keep_bits(const uint64_t random[2], uint64_t first, int64_t count, uint32_t threshold,
                       uint64_t *bits);

/* kept {channels}: bit p tells of pixel p of the tile. */
void masconC_keep_tile(const masconC_tiling *t, const masconC_tile *tile, const uint64_t random[2],
                       uint32_t threshold, uint64_t *kept);

#if MASCON_HAS_AVX512_CODE
/* Of 16 channels of a tile: which keep the pixel that `bit` has set in each of its lanes. */
MASCON_AVX512 static inline __attribute__((always_inline)) __mmask16 masconC_keep_mask(
    const uint64_t *kept, __m512i bit) {
    const __m512i low = _mm512_loadu_si512(kept), high = _mm512_loadu_si512(kept + 8);
    return (__mmask16)(_mm512_test_epi64_mask(low, bit) |
                       (unsigned)_mm512_test_epi64_mask(high, bit) << 8);
}
#endif

#endif

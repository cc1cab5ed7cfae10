/* test_rng.c: the published known answers of Philox4x32-10, and the generator object. */
#include <stdio.h>
#include <string.h>

#include "core/internal.h"
#include "expect.h"

/* counter words 0..3, key words 0..1, answer: from the kat_vectors file of Random123 */
static const uint32_t known[][10] = {
    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
     0xa20bc7c6, 0x6d5451fd},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
     0x5001e420, 0x24126ea1},
};

static uint64_t join(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

int main(void) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const uint32_t *k = known[i];
        uint64_t random[2] = {join(k[4], k[5]), join(k[2], k[3])};
        uint32_t out[4];
        masconI_philox(random, join(k[0], k[1]), out);
        EXPECT(memcmp(out, k + 6, sizeof out) == 0);
    }

    mascon_generator *g;
    EXPECT(mascon_generator_new(&g, 42) == MASCON_OK);
    uint64_t a[2], b[2], seed, counter;
    mascon_generator_next(g, a);
    mascon_generator_next(g, b);
    EXPECT(a[0] == 42 && a[1] == 0 && b[0] == 42 && b[1] == 1);
    mascon_generator_get(g, &seed, &counter);
    EXPECT(seed == 42 && counter == 2);
    mascon_generator_seed(g, 7);
    mascon_generator_set(g, seed, counter);
    mascon_generator_next(g, a);
    EXPECT(a[0] == 42 && a[1] == 2);

    double sum = 0;
    uint32_t block[4];
    for (uint64_t i = 0; i < 40000; i++) {
        if (i % 4 == 0) masconI_philox(a, i / 4, block);
        uint32_t word = masconI_random_word(a, i);
        EXPECT(word == block[i % 4]);
        float u = masconI_uniform(word);
        EXPECT(u >= 0 && u < 1);
        sum += (double)u;
    }
    EXPECT(sum > 19700 && sum < 20300); /* mean 20000, standard deviation 58 */
    EXPECT(masconI_uniform(UINT32_MAX) < 1);
    mascon_generator_release(g);
    mascon_generator_release(NULL);
    return 0;
}

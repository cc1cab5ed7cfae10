/* driver.c: runs a fuzz target without libFuzzer: changes its seeds at random until the time is over.
 *   TARGET SECONDS CRASH-FILE SEED...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

void __sanitizer_set_death_callback(void (*callback)(void));

enum { MOST = 1 << 17 };

static unsigned char input[MOST];
static size_t input_size;
static const char *crash_file;
static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : 0;
}

static void keep_input(void) {
    FILE *f = fopen(crash_file, "wb");
    if (!f) return;
    fwrite(input, 1, input_size, f);
    fclose(f);
    fprintf(stderr, "the input is in %s\n", crash_file);
}

typedef struct seed {
    unsigned char *data;
    size_t size;
} seed;

static seed load(const char *path) {
    seed s = {malloc(MOST), 0};
    FILE *f = fopen(path, "rb");
    if (!f || !s.data) {
        perror(path);
        exit(2);
    }
    s.size = fread(s.data, 1, MOST, f);
    fclose(f);
    return s;
}

/* One change: a byte, a number, a piece taken out, doubled, or taken from another seed. */
static void change(const seed *other) {
    static const uint64_t numbers[] = {0,
                                       1,
                                       127,
                                       128,
                                       255,
                                       256,
                                       65535,
                                       65536,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       0xffffffffffffffff};
    if (!input_size) return;
    size_t at = draw(input_size), left = input_size - at, n = draw(left < 64 ? left : 64) + 1;
    if (n > left) n = left;
    switch (draw(6)) {
        case 0:
            input[at] = (unsigned char)draw(256);
            break;
        case 1:
            input[at] ^= (unsigned char)(1 << draw(8));
            break;
        case 2: {
            uint64_t v = numbers[draw(sizeof numbers / sizeof numbers[0])];
            memcpy(input + at, &v, left < 8 ? left : (size_t)1 << draw(4));
            break;
        }
        case 3:
            memmove(input + at, input + at + n, left - n);
            input_size -= n;
            break;
        case 4:
            if (input_size + n > MOST) break;
            memmove(input + at + n, input + at, left);
            input_size += n;
            break;
        default:
            if (!other->size) break;
            size_t from = draw(other->size);
            if (n > other->size - from) n = other->size - from;
            memcpy(input + at, other->data + from, n);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    double seconds = atof(argv[1]);
    crash_file = argv[2];
    int n_seeds = argc - 3;
    seed *seeds = calloc((size_t)n_seeds, sizeof *seeds);
    if (!seeds) return 2;
    for (int i = 0; i < n_seeds; i++) seeds[i] = load(argv[3 + i]);
    __sanitizer_set_death_callback(keep_input);
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    state ^= (uint64_t)begin.tv_nsec << 20;
    uint64_t runs = 0;
    do {
        const seed *s = &seeds[draw((uint64_t)n_seeds)];
        memcpy(input, s->data, s->size);
        input_size = s->size;
        for (uint64_t i = runs < (uint64_t)n_seeds ? 0 : 1 + draw(6); i; i--) {
            change(&seeds[draw((uint64_t)n_seeds)]);
        }
        LLVMFuzzerTestOneInput(input, input_size);
        runs++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) * 1e-9 <
             seconds);
    printf("%llu runs\n", (unsigned long long)runs);
    for (int i = 0; i < n_seeds; i++) free(seeds[i].data);
    free(seeds);
    return 0;
}

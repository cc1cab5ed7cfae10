/* fake.c: drawn pictures of ten kinds of figures, to train on where no data set is at hand.
 *
 * Picture i of a source with some offset is drawn from the random stream offset + i alone: colours,
 * place, size, tilt and noise, in whole numbers and plain float arithmetic, so that every machine
 * draws the same bytes. Classes take turns: picture i shows figure (offset + i) % classes.
 */
#include <stdlib.h>

#include "data/data.h"

enum { SLICE = 64 };

/* Keeps these draws apart from those of scripts. */
static const uint64_t purpose_fake = 0x66696775726573u;

/* ORDER: the cases of inside(). */
static const char *const figures[] = {"circle", "square",      "triangle", "cross",
                                      "ring",   "horizontal",  "vertical", "diagonal",
                                      "star",   "checkerboard"};
enum { FIGURES = sizeof figures / sizeof *figures };

typedef struct job {
    uint8_t *pixels;
    int64_t *labels;
    int64_t rows, h, w;
    int32_t classes;
    uint64_t offset;
} job;

static int in_square(float u, float v, float half) {
    return u > -half && u < half && v > -half && v < half;
}

/* Odd or even stripe of position t; stripes are 0.5 wide. */
static int stripe(float t) { return (int)(t * 2 + 64) & 1; }

/* A pentagram is what lies behind at least four of its five lines. */
static int in_star(float u, float v) {
    static const float normals[5][2] = {{0.0f, 1.0f},
                                        {-0.95105652f, 0.30901699f},
                                        {-0.58778525f, -0.80901699f},
                                        {0.58778525f, -0.80901699f},
                                        {0.95105652f, 0.30901699f}};
    int behind = 0;
    for (int i = 0; i < 5; i++) behind += u * normals[i][0] + v * normals[i][1] < 0.38f;
    return behind >= 4;
}

/* Whether figure k covers (u, v), in units of its radius from its centre. */
static int inside(int32_t k, float u, float v) {
    float d = u * u + v * v;
    switch (k) {
        case 0:
            return d < 1;
        case 1:
            return in_square(u, v, 0.85f);
        case 2:
            return v < 0.8f && v > -0.9f + 2 * (u < 0 ? -u : u);
        case 3:
            return in_square(u, v, 1) && ((u > -0.3f && u < 0.3f) || (v > -0.3f && v < 0.3f));
        case 4:
            return d < 1 && d > 0.4f;
        case 5:
            return in_square(u, v, 1) && stripe(v);
        case 6:
            return in_square(u, v, 1) && stripe(u);
        case 7:
            return in_square(u, v, 1) && stripe((u + v) * 0.75f);
        case 8:
            return in_star(u, v);
        default:
            return in_square(u, v, 1) && (stripe(u) ^ stripe(v));
    }
}

/* A whole number in low..high from a random word. */
static int between(uint32_t word, int low, int high) {
    return low + (int)((uint64_t)word * (uint64_t)(high - low + 1) >> 32);
}

static uint8_t clamp(int v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

/* One picture {h, w, 3}. */
static void draw(uint8_t *pixels, int64_t h, int64_t w, int32_t figure, const uint64_t random[2]) {
    uint32_t a[4], b[4], c[4], noise[4];
    masconI_philox(random, 0, a);
    masconI_philox(random, 1, b);
    masconI_philox(random, 2, c);
    int side = (int)(h < w ? h : w);
    float radius = (float)between(a[0], 22, 40) * 0.01f * (float)side;
    float cx = (float)between(a[1], 35, 65) * 0.01f * (float)w;
    float cy = (float)between(a[2], 35, 65) * 0.01f * (float)h;
    float tilt = (float)between(a[3], -20, 20) * 0.01f;
    int loud = between(c[0], 10, 60), front[3], back[3];
    for (int i = 0; i < 3; i++) {
        front[i] = between(b[i], 0, 255);
        back[i] = (front[i] + 80 + between(c[i + 1], 0, 95)) % 256;
    }
    for (int64_t i = 0; i < h * w; i++) {
        float x = ((float)(i % w) + 0.5f - cx) / radius, y = ((float)(i / w) + 0.5f - cy) / radius;
        const int *colour = inside(figure, x + tilt * y, y - tilt * x) ? front : back;
        for (int k = 0; k < 3; k++) {
            int64_t at = 3 * i + k; /* each word of noise serves four values */
            if (at % 16 == 0) masconI_philox(random, (uint64_t)(3 + at / 16), noise);
            int byte = (int)(noise[at / 4 % 4] >> (8 * (at % 4)) & 255) - 128;
            pixels[at] = clamp(colour[k] + byte * loud / 128);
        }
    }
}

static void draw_slice(void *context, int64_t slice, int thread) {
    (void)thread;
    const job *j = context;
    int64_t end = (slice + 1) * SLICE < j->rows ? (slice + 1) * SLICE : j->rows;
    for (int64_t i = slice * SLICE; i < end; i++) {
        uint64_t number = j->offset + (uint64_t)i;
        const uint64_t random[2] = {purpose_fake, number};
        j->labels[i] = (int64_t)(number % (uint64_t)j->classes);
        draw(j->pixels + i * j->h * j->w * 3, j->h, j->w, (int32_t)j->labels[i], random);
    }
}

mascon_status mascon_source_fake(mascon_source **out, int64_t size, int32_t classes, int64_t height,
                                 int64_t width, uint64_t offset) {
    MASCON_NEED(out);
    *out = NULL;
    if (size < 0 || size > (int64_t)1 << 32)
        return masconI_fail(MASCON_E_ARG, "size is %lld; must be 0 or more", (long long)size);
    if (classes < 1 || classes > FIGURES)
        return masconI_fail(MASCON_E_ARG, "num_classes is %d; must be in [1, %d]", classes,
                            FIGURES);
    if (height < 8 || width < 8 || height > 4096 || width > 4096)
        return masconI_fail(MASCON_E_ARG, "image_size is %lld x %lld; sides must be in [8, 4096]",
                            (long long)height, (long long)width);
    job j = {.rows = size, .h = height, .w = width, .classes = classes, .offset = offset};
    MASCON_TRY(masconI_source_pictures(out, size, 3, height, width, &j.pixels, &j.labels));
    for (int32_t k = 0; k < classes; k++) {
        mascon_status status = masconI_source_add_class(*out, figures[k]);
        if (status == MASCON_OK) continue;
        mascon_source_release(*out);
        *out = NULL;
        return status;
    }
    masconI_parallel((size + SLICE - 1) / SLICE, draw_slice, &j);
    return MASCON_OK;
}

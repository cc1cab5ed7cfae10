/* picture.h: a picture on its way through the stages of a pipeline.
 *
 * A picture is a view: an inner rectangle of pixels somewhere in memory (any strides, so a flip or a
 * crop moves no byte) inside a border of one colour (so neither does padding). A stage that needs its
 * pixels side by side asks for that. Pixels that a stage makes lie in one of two scratch blocks,
 * never in the one its input lies in.
 */
#ifndef MASCON_DATA_PICTURE_H
#define MASCON_DATA_PICTURE_H

#include "data/data.h"

enum { MASCON_MAX_CHANNELS = 64, MASCON_STAGE_VALUES = 10 };

/* ---- Scratch memory of one thread ---- */

enum {
    MASCON_SCRATCH_A = 0,   /* pixels */
    MASCON_SCRATCH_B,       /* and the other ones */
    MASCON_SCRATCH_TILE,    /* of a horizontal pass */
    MASCON_SCRATCH_ROWS,    /* between two passes */
    MASCON_SCRATCH_FILE,    /* bytes of a file */
    MASCON_SCRATCH_DECODED, /* and its pixels */
    MASCON_SCRATCH_COUNT
};

/* Weights of one direction of a resize, kept for the next picture of the same size. */
typedef struct masconI_taps {
    int64_t in, out;
    int32_t filter, antialias;
    int32_t groups;  /* of four weights per output position */
    int32_t *first;  /* [out] */
    int32_t *count;  /* [out] */
    int32_t *packed; /* [out][groups][4] as the kernel wants them */
} masconI_taps;

/* Zeroed is empty. */
typedef struct masconI_scratch {
    void *block[MASCON_SCRATCH_COUNT];
    size_t size[MASCON_SCRATCH_COUNT];
    masconI_taps taps[2]; /* horizontal, vertical */
} masconI_scratch;

/* Room for bytes in a block, what was in it is lost; NULL after masconI_fail. */
void *masconI_scratch_get(masconI_scratch *scratch, int block, int64_t bytes);
void masconI_scratch_free(masconI_scratch *scratch);

/* ---- Random numbers of one stage for one sample ---- */

typedef struct masconI_random {
    uint64_t key[2];
    uint64_t block;
    uint32_t words[4];
    int used;
} masconI_random;

void masconI_random_begin(masconI_random *r, const masconI_draw *draw, int32_t stage);
/* Uniform in [0, 1), [low, high) and 0..n-1. */
double masconI_random_unit(masconI_random *r);
double masconI_random_between(masconI_random *r, double low, double high);
int64_t masconI_random_below(masconI_random *r, int64_t n);

/* ---- Pictures ---- */

enum {
    MASCON_PICTURE_GIVEN = -1, /* somebody else's pixels, constant */
    MASCON_PICTURE_RESULT = -2 /* where the result belongs */
};

typedef struct masconI_picture {
    char *data;        /* of the inner rectangle's first pixel */
    int64_t stride[3]; /* elements, c h w */
    int32_t dtype;
    int32_t slot; /* MASCON_SCRATCH_A or _B where data lies there, or one of those below */
    int64_t shape[3];
    int64_t top, left, height, width; /* the inner rectangle in the whole */
    const float *fill;                /* of the border: n_fill values, 1 or one per channel */
    int32_t n_fill;
} masconI_picture;

static inline int masconI_picture_bordered(const masconI_picture *p) {
    return p->height != p->shape[1] || p->width != p->shape[2];
}
/* A picture without border over these elements. */
masconI_picture masconI_picture_of(void *data, int32_t dtype, const int64_t shape[3],
                                   const int64_t stride[3]);
/* out becomes an unwritten dense picture {c, h, w}, channels last, in the scratch block that `busy`
 * does not use. */
mascon_status masconI_picture_new(masconI_picture *out, const masconI_picture *busy,
                                  masconI_scratch *scratch, int32_t dtype, int64_t c, int64_t h,
                                  int64_t w);
/* No border, and the channels and pixels of a row side by side (rows may lie apart). */
mascon_status masconI_picture_gather(masconI_picture *p, masconI_scratch *scratch);
/* As above, in scratch memory that may be written. */
mascon_status masconI_picture_own(masconI_picture *p, masconI_scratch *scratch);
/* Copies n pixels of `bytes` bytes each, from places `step` bytes apart. */
void masconI_copy_pixels(char *dst, const char *src, int64_t step, int64_t n, int64_t bytes);
/* The rectangle at (y, x) of size h x w; it lies inside. */
void masconI_picture_crop(masconI_picture *p, int64_t y, int64_t x, int64_t h, int64_t w);
/* Adds a border. */
mascon_status masconI_picture_pad(masconI_picture *p, masconI_scratch *scratch,
                                  const int64_t ltrb[4], const float *fill, int32_t n_fill);

/* ---- Stages ---- */

typedef struct masconI_stage masconI_stage;

typedef struct masconI_stage_kind {
    const char *name;  /* in mascon_pipeline_add */
    const char *shown; /* in messages */
    int32_t n_values;  /* plain numbers; values behind them are the fill */
    int32_t fills;     /* a fill may follow */
    int32_t random;    /* draws numbers */
    int32_t bytes;     /* wants uint8 pictures */
    /* Fails where the values make no sense; NULL: all do. */
    mascon_status (*check)(const masconI_stage *s);
    /* shape becomes that of the result; sizes of -1 are not known yet and stay so where the result
     * depends on them. NULL: as it is. */
    mascon_status (*shape)(const masconI_stage *s, int64_t shape[3]);
    /* NULL: a stage of single values. */
    mascon_status (*run)(const masconI_stage *s, masconI_random *r, masconI_scratch *scratch,
                         masconI_picture *p);
} masconI_stage_kind;

struct masconI_stage {
    const masconI_stage_kind *kind;
    double v[MASCON_STAGE_VALUES];
    int32_t ordinal; /* of a random stage among those of its pipeline */
    int32_t dtype;   /* ConvertImageDtype */
    int32_t n_fill;  /* for Normalize: means */
    float fill[MASCON_MAX_CHANNELS];
    float std[MASCON_MAX_CHANNELS]; /* Normalize */
};

/* geometry.c */
extern const masconI_stage_kind masconI_stage_pad, masconI_stage_center_crop,
    masconI_stage_random_crop, masconI_stage_hflip, masconI_stage_vflip, masconI_stage_erasing;
/* resize.c */
extern const masconI_stage_kind masconI_stage_resize, masconI_stage_resized_crop;
/* rotate.c */
extern const masconI_stage_kind masconI_stage_rotation;
/* colour.c */
extern const masconI_stage_kind masconI_stage_jitter, masconI_stage_grayscale;

/* ORDER: Lua's list of interpolations. */
enum { MASCON_NEAREST = 0, MASCON_BILINEAR, MASCON_BICUBIC };

/* The picture resized to h x w as Pillow does it. uint8. */
mascon_status masconI_resize(masconI_picture *p, masconI_scratch *scratch, int64_t h, int64_t w,
                             int32_t filter, int32_t antialias);
/* The best kernel that may be chosen; for tests, which compare them. */
enum { MASCON_RESIZE_PLAIN = 0, MASCON_RESIZE_AVX2, MASCON_RESIZE_VNNI };
extern int masconI_resize_most;
/* Sizes of pictures that a stage makes: 1 to 65,500. */
mascon_status masconI_size_ok(double h, double w);
/* x rounded to the nearest whole number, halves to the even one. */
double masconI_round_even(double x);

#endif

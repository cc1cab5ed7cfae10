/* picture_batch.c: reference kernel of picture_batch; shapes and views as in ops/picture_batch.c. */
#include "reference/reference.h"

/* The value under pixel (y, x) and channel c of a picture by its view; 256: border. */
static int64_t value_at(const mascon_view *pictures, const int64_t view[8], int64_t c, int64_t y,
                        int64_t x) {
    const int64_t channels = pictures->shape[1], w = pictures->shape[3];
    const int64_t p = y - view[4], q = x - view[5];
    if (p < 0 || q < 0 || p >= view[6] || q >= view[7]) return 256;
    const int64_t at = view[1] + p * view[2] + q * view[3];
    if (view[0] < 0 || view[0] >= pictures->shape[0] || at < 0 ||
        at + channels > channels * pictures->shape[2] * w) {
        return 256;
    }
    const int64_t place = at + c, pixel = place / channels;
    const int64_t from[4] = {view[0], place % channels, pixel / w, pixel % w};
    return masconI_load_int(pictures->data, MASCON_DTYPE_U8, masconR_position(pictures, from));
}

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *pictures = SRC(call, 0), *labels = SRC(call, 1), *views = SRC(call, 2),
                      *table = SRC(call, 3), *y = DST(call, 0), *target = DST(call, 1);
    for (int64_t i = 0; i < y->shape[0]; i++) {
        int64_t view[8];
        for (int k = 0; k < 8; k++) {
            view[k] = masconR_get_int(views, ((int64_t)call->attr[0] + i) * 8 + k);
        }
        const int known = view[0] >= 0 && view[0] < labels->numel;
        masconR_set_int(target, i, known ? masconR_get_int(labels, view[0]) : 0);
        const int64_t size = y->numel / y->shape[0], area = y->shape[2] * y->shape[3];
        for (int64_t k = 0; k < size; k++) {
            const int64_t c = k / area, row = k % area / y->shape[3], column = k % y->shape[3];
            const int64_t v = value_at(pictures, view, c, row, column);
            masconR_set(y, i * size + k, masconR_get(table, c * 257 + v));
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_picture_batch = {.run = run};

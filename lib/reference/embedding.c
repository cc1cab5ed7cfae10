/* embedding.c: reference kernel of embedding, which serves every dtype. index {...}, weight
 * {rows, size}, y {..., size}. Rows that lie dense are copied whole. */
#include <string.h>

#include "reference/move.h"

static mascon_status run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *index = SRC(call, 0), *weight = SRC(call, 1), *y = DST(call, 0);
    const int64_t size = weight->shape[1], base = (int64_t)call->attr[0];
    const size_t bytes = (size_t)size * (size_t)mascon_dtype_size(weight->dtype);
    const int dense = weight->contiguous && y->contiguous && bytes;
    MASCON_TRY(masconR_check_range(index, weight->shape[0], call->attr[0], "rows of weight"));
    for (int64_t i = 0; i < index->numel; i++) {
        const int64_t row = masconR_get_int(index, i) - base;
        if (dense) {
            memcpy((char *)y->data + (size_t)i * bytes,
                   (const char *)weight->data + (size_t)row * bytes, bytes);
            continue;
        }
        for (int64_t k = 0; k < size; k++) {
            masconR_move(y, masconR_offset(y, i * size + k), weight,
                         masconR_position(weight, (int64_t[]){row, k}));
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_embedding = {.run = run};

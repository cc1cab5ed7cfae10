/* wrap.h: storing the results of whole-number arithmetic.
 *
 * They wrap around within the dtype, as in C's unsigned types and as in PyTorch, where a conversion
 * from a floating value (masconR_set) stays within the range.
 */
#ifndef MASCON_REFERENCE_WRAP_H
#define MASCON_REFERENCE_WRAP_H

#include "reference/reference.h"

static inline void masconR_set_wrapped(const mascon_view *v, int64_t i, int64_t value) {
    int64_t at = masconR_offset(v, i);
    switch (v->dtype) {
        case MASCON_DTYPE_I64:
            ((int64_t *)v->data)[at] = value;
            break;
        case MASCON_DTYPE_I32:
            ((int32_t *)v->data)[at] = (int32_t)(uint32_t)value;
            break;
        case MASCON_DTYPE_U8:
            ((uint8_t *)v->data)[at] = (uint8_t)value;
            break;
        default:
            masconI_store_int(v->data, v->dtype, at, value);
            break;
    }
}

#endif

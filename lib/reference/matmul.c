/* matmul.c: reference kernel of matmul.
 *
 * y {batch, m, n} = a {batch, m, k} * b {batch, k, n}; a vector lacks its dimension of size 1, and a
 * batch dimension of size 1 is used for all. Whole numbers are added without rounding. */
#include "core/cut.h"
#include "reference/reference.h"

/* An input with its matrix dimensions apart from those of the batch. */
typedef struct operand {
    const mascon_view *view;
    int32_t batch;        /* batch dimensions */
    int64_t outer, inner; /* strides along m or n, and along k */
} operand;

/* Offset of the matrix that belongs to the batch position in at[0..batch-1]. */
static int64_t matrix_offset(const operand *o, int32_t batch, const int64_t *at) {
    int64_t offset = 0;
    for (int32_t d = 0; d < o->batch; d++) {
        if (o->view->shape[d] > 1) offset += at[batch - o->batch + d] * o->view->stride[d];
    }
    return offset;
}

static mascon_status matmul(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    const mascon_view *a = SRC(call, 0), *b = SRC(call, 1), *y = DST(call, 0);
    const int32_t da = a->ndim, db = b->ndim;
    const int64_t m = da > 1 ? a->shape[da - 2] : 1, n = db > 1 ? b->shape[db - 1] : 1;
    const int64_t k = a->shape[da - 1];
    const operand left = {a, da > 2 ? da - 2 : 0, da > 1 ? a->stride[da - 2] : 0,
                          a->stride[da - 1]};
    const operand right = {b, db > 2 ? db - 2 : 0, db > 1 ? b->stride[db - 1] : 0,
                           b->stride[db > 1 ? db - 2 : 0]};
    const int32_t batch = y->ndim - (da > 1) - (db > 1);
    for (int64_t i = 0; i < y->numel && !masconI_cut_asked(); i++) {
        int64_t at[MASCON_MAX_DIMS], matrix = i / (m * n);
        for (int32_t d = batch - 1; d >= 0; d--) {
            at[d] = matrix % y->shape[d];
            matrix /= y->shape[d];
        }
        int64_t pa = matrix_offset(&left, batch, at) + i / n % m * left.outer;
        int64_t pb = matrix_offset(&right, batch, at) + i % n * right.outer;
        double sum = 0;
        uint64_t whole = 0;
        for (int64_t j = 0; j < k; j++, pa += left.inner, pb += right.inner) {
            if (masconI_is_float(y->dtype)) {
                sum += masconI_load(a->data, a->dtype, pa) * masconI_load(b->data, b->dtype, pb);
            } else {
                whole += (uint64_t)masconI_load_int(a->data, a->dtype, pa) *
                         (uint64_t)masconI_load_int(b->data, b->dtype, pb);
            }
        }
        if (masconI_is_float(y->dtype)) {
            masconR_set(y, i, sum);
        } else {
            masconR_set_int(y, i, (int64_t)whole);
        }
    }
    return MASCON_OK;
}

const mascon_kernel masconR_matmul = {.run = matmul};

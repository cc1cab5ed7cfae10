/* matrix.h: how the operands of matmul lie in memory, for the backends whose products take a matrix and its
 * transpose with a distance between rows. */
#ifndef MASCON_OPS_MATRIX_H
#define MASCON_OPS_MATRIX_H

#include "mascon_backend.h"

/* One operand as a batch of matrices {rows, columns}. A vector is a row (a) or a column (b). */
typedef struct masconI_operand {
    int64_t rows, columns, row_stride, column_stride;
    int batch_dims;
    int transposed; /* set by masconI_operand_fits, with ld, the distance between rows */
    int64_t ld;
} masconI_operand;

static inline masconI_operand masconI_operand_see(const mascon_view *v, int is_b) {
    masconI_operand o = {0};
    const int n = v->ndim;
    if (n == 1) {
        o.rows = is_b ? v->shape[0] : 1;
        o.columns = is_b ? 1 : v->shape[0];
        o.row_stride = is_b ? v->stride[0] : v->shape[0] * v->stride[0];
        o.column_stride = is_b ? 1 : v->stride[0];
    } else {
        o.rows = v->shape[n - 2];
        o.columns = v->shape[n - 1];
        o.row_stride = v->stride[n - 2];
        o.column_stride = v->stride[n - 1];
        o.batch_dims = n - 2;
    }
    return o;
}

/* Whether the rows or the columns lie dense; else the matrix must be made row-major first. */
static inline int masconI_operand_fits(masconI_operand *o) {
    /* the stride of a side of length 1 is free */
    const int64_t down = o->rows == 1 ? o->columns : o->row_stride;
    const int64_t across = o->columns == 1 ? 1 : o->column_stride;
    if (across == 1 && down >= o->columns) {
        o->transposed = 0;
        o->ld = down;
        return 1;
    }
    const int64_t step = o->columns == 1 ? o->rows : o->column_stride;
    if ((o->rows == 1 || o->row_stride == 1) && step >= o->rows) {
        o->transposed = 1;
        o->ld = step;
        return 1;
    }
    return 0;
}

#endif

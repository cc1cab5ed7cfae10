/* binary.c: functions of two float32 inputs, comparisons of int64 labels, and where. */
#include "cpu/elementwise.h"
#include "cpu/vector_math.h"
#include "ops/elementwise.h"

static int wish_float(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return masconC_dtypes(call, MASCON_DTYPE_F32, MASCON_DTYPE_F32);
}

/* float32, or int64 without a fractional number */
static int wish_comparison(const mascon_call *call, mascon_wish *w) {
    (void)w;
    if (masconC_dtypes(call, MASCON_DTYPE_F32, MASCON_DTYPE_BOOL)) return 1;
    int number = call->n_src < 2 || !call->src[1];
    return masconC_dtypes(call, MASCON_DTYPE_I64, MASCON_DTYPE_BOOL) &&
           (!number || masconI_is_whole(call->attr[BINARY_OTHER]));
}

static int wish_bool(const mascon_call *call, mascon_wish *w) {
    (void)w;
    return call->n_src > 1 && call->src[1] &&
           masconC_dtypes(call, MASCON_DTYPE_BOOL, MASCON_DTYPE_BOOL);
}

/* Runs row over both operands; a number becomes a tensor of one element. */
static mascon_status two(const mascon_call *call, masconC_row_of row) {
    const mascon_view *x = SRC(call, 0), *z = DST(call, 0);
    const double other = call->attr[BINARY_OTHER];
    float real = (float)other;
    int64_t whole = x->dtype == MASCON_DTYPE_I64 ? (int64_t)other : 0;
    mascon_view number = x->dtype == MASCON_DTYPE_I64 ? masconC_number(&whole, MASCON_DTYPE_I64)
                                                      : masconC_number(&real, MASCON_DTYPE_F32);
    const mascon_view *operand[2] = {x, &number};
    if (call->n_src > 1 && call->src[1]) {
        operand[1] = SRC(call, 1);
    } else if (call->attr[BINARY_SWAP] != 0) {
        operand[0] = &number;
        operand[1] = x;
    }
    masconC_walk(z, 2, operand, row, NULL);
    return MASCON_OK;
}

/* ---- Arithmetic ---- */

#define ARITHMETIC(op, expression)                                        \
    MASCON_ROW2(op##_row, float, float, , expression)                     \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return two(call, op##_row);                                       \
    }                                                                     \
    const mascon_kernel masconC_##op = {.wish = wish_float, .run = op##_run};

/* NaN where either is. */
MASCON_INLINE float larger(float a, float b) {
    float v = a > b ? a : b;
    return a != a ? a : v;
}

MASCON_INLINE float smaller(float a, float b) {
    float v = a < b ? a : b;
    return a != a ? a : v;
}

ARITHMETIC(add, a + b)
ARITHMETIC(sub, a - b)
ARITHMETIC(mul, (a) * (b))
ARITHMETIC(div, a / b)
ARITHMETIC(maximum, larger(a, b))
ARITHMETIC(minimum, smaller(a, b))

MASCON_ROW2(pow_row, float, float, , powf(a, b))
MASCON_ROW1(square_row, float, float, , (a) * (a))
MASCON_ROW1(cube_row, float, float, , (a) * (a) * (a))

/* The small powers that scripts write are products. */
static mascon_status pow_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    int number = (call->n_src < 2 || !call->src[1]) && call->attr[BINARY_SWAP] == 0;
    double power = call->attr[BINARY_OTHER];
    if (!number || (power != 2 && power != 3)) return two(call, pow_row);
    masconC_walk(DST(call, 0), 1, (const mascon_view *[]){SRC(call, 0)},
                 power == 2 ? square_row : cube_row, NULL);
    return MASCON_OK;
}

const mascon_kernel masconC_pow = {.wish = wish_float, .run = pow_run};

/* ---- Comparisons ---- */

#define COMPARISON(op, expression)                                        \
    MASCON_ROW2(op##_real_row, uint8_t, float, , expression)              \
    MASCON_ROW2(op##_whole_row, uint8_t, int64_t, , expression)           \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        int whole = SRC(call, 0)->dtype == MASCON_DTYPE_I64;              \
        return two(call, whole ? op##_whole_row : op##_real_row);         \
    }                                                                     \
    const mascon_kernel masconC_##op = {.wish = wish_comparison, .run = op##_run};

COMPARISON(eq, a == b)
COMPARISON(ne, a != b)
COMPARISON(lt, a < b)
COMPARISON(le, a <= b)
COMPARISON(gt, a > b)
COMPARISON(ge, a >= b)

#define LOGICAL(op, expression)                                           \
    MASCON_ROW2(op##_row, uint8_t, uint8_t, , expression)                 \
    static mascon_status op##_run(mascon_call *call, mascon_exec *exec) { \
        (void)exec;                                                       \
        return two(call, op##_row);                                       \
    }                                                                     \
    const mascon_kernel masconC_##op = {.wish = wish_bool, .run = op##_run};

LOGICAL(logical_and, (a != 0) & (b != 0))
LOGICAL(logical_or, (a | b) != 0)

/* ---- where: condition, x, y ---- */

#define WHERE_LOOP(x_element, y_element)          \
    MASCON_INDEPENDENT                            \
    for (int64_t i = 0; i < n; i++) {             \
        const float a = x_element, b = y_element; \
        z[i] = condition[i] ? a : b;              \
    }

MASCON_CLONES static void where_row(int64_t n, void *const *data, const int64_t *stride,
                                    const void *o) {
    float *z = data[0];
    const uint8_t *condition = data[1];
    const float *x = data[2], *y = data[3];
    const int dense = stride[0] == 1 && stride[1] == 1;
    (void)o;
    if (dense && stride[2] == 1 && stride[3] == 1) {
        WHERE_LOOP(x[i], y[i])
    } else if (dense && stride[2] == 1 && stride[3] == 0) {
        const float number = *y;
        WHERE_LOOP(x[i], number)
    } else if (dense && stride[2] == 0 && stride[3] == 1) {
        const float number = *x;
        WHERE_LOOP(number, y[i])
    } else {
        for (int64_t i = 0; i < n; i++) {
            z[i * stride[0]] = condition[i * stride[1]] ? x[i * stride[2]] : y[i * stride[3]];
        }
    }
}

static int wish_where(const mascon_call *call, mascon_wish *w) {
    (void)w;
    for (int i = 1; i < call->n_src; i++) {
        if (call->src[i] && SRC(call, i)->dtype != MASCON_DTYPE_F32) return 0;
    }
    return DST(call, 0)->dtype == MASCON_DTYPE_F32;
}

static mascon_status where_run(mascon_call *call, mascon_exec *exec) {
    (void)exec;
    float value = (float)call->attr[WHERE_VALUE];
    mascon_view number = masconC_number(&value, MASCON_DTYPE_F32);
    const mascon_view *operand[3] = {SRC(call, 0), SRC(call, 1), &number};
    if (call->n_src > 2 && call->src[2]) {
        operand[2] = SRC(call, 2);
    } else if (call->attr[WHERE_SWAP] != 0) {
        operand[1] = &number;
        operand[2] = SRC(call, 1);
    }
    masconC_walk(DST(call, 0), 3, operand, where_row, NULL);
    return MASCON_OK;
}

const mascon_kernel masconC_where = {.wish = wish_where, .run = where_run};

/* create.c: tensors made from options alone, and fill. */
#include <math.h>

#include "ops/support.h"

#define LIMIT MASCON_NOLIMIT
#define DTYPE_OPTION(standard_dtype)                                                             \
    {                                                                                            \
        "dtype", MASCON_ATTR_DTYPE, MASCON_KEY, standard_dtype, 0, MASCON_DTYPE_COUNT - 1, NULL, \
            "type of the elements"                                                               \
    }
#define DEVICE_OPTION                                                                \
    {                                                                                \
        "device", MASCON_ATTR_DEVICE, MASCON_KEY, MASCON_DEVICE_CPU, 0, LIMIT, NULL, \
            "where the tensor lives"                                                 \
    }

static int whole(double value) { return isfinite(value) && value == floor(value); }

/* ---- full ---- */

enum { FULL_SHAPE = 0, FULL_VALUE = 9, FULL_DTYPE = 10 };

static const mascon_attr full_attrs[] = {
    {"shape", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "sizes"},
    {"value", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, -LIMIT, LIMIT, NULL, "value of every element"},
    DTYPE_OPTION(MASCON_DTYPE_F32),
    DEVICE_OPTION,
};

static mascon_status full_infer(mascon_call *call, mascon_meta *out) {
    int32_t ndim, dtype = (int32_t)call->attr[FULL_DTYPE];
    int64_t shape[MASCON_MAX_DIMS], numel;
    MASCON_TRY(masconI_shape_option(call, FULL_SHAPE, 0, &ndim, shape));
    MASCON_TRY(masconI_numel(ndim, shape, &numel));
    MASCON_TRY(masconI_check_value("value", call->attr[FULL_VALUE], dtype));
    masconI_meta(&out[0], dtype, ndim, shape);
    return MASCON_OK;
}

const mascon_op mascon_op_full = {
    .name = "full",
    .inputs = "",
    .outputs = "y",
    .attrs = full_attrs,
    .n_attrs = 4,
    .flags = MASCON_OPF_CREATES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_ALL,
    .summary = "a tensor with one value everywhere",
    .example = "mascon.full({2, 3}, 7)",
    .infer = full_infer,
};

/* ---- arange ---- */

enum { ARANGE_START, ARANGE_END, ARANGE_STEP, ARANGE_INCLUSIVE, ARANGE_DTYPE };

static const mascon_attr arange_attrs[] = {
    {"start", MASCON_ATTR_NUMBER, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "first value"},
    {"end", MASCON_ATTR_NUMBER, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "end, itself left out unless inclusive"},
    {"step", MASCON_ATTR_NUMBER, MASCON_KEY, 1, -LIMIT, LIMIT, NULL, "difference of neighbours"},
    {"inclusive", MASCON_ATTR_BOOLEAN, MASCON_KEY, 0, 0, 1, NULL, "let end belong to it"},
    DTYPE_OPTION(MASCON_DTYPE_F32),
    DEVICE_OPTION,
};

static mascon_status arange_infer(mascon_call *call, mascon_meta *out) {
    double start = call->attr[ARANGE_START], end = call->attr[ARANGE_END];
    double step = call->attr[ARANGE_STEP];
    int inclusive = call->attr[ARANGE_INCLUSIVE] != 0;
    int32_t dtype = (int32_t)call->attr[ARANGE_DTYPE];
    if (!isfinite(start)) return masconI_fail(MASCON_E_ARG, "start is %g", start);
    if (!isfinite(end)) return masconI_fail(MASCON_E_ARG, "end is %g", end);
    if (step == 0 || !isfinite(step)) {
        return masconI_fail(MASCON_E_ARG, "step is %g; must not be 0", step);
    }
    /* as Lua's for, a range that is over before it begins is empty; arange refuses it as PyTorch */
    double steps = (end - start) / step;
    if (steps < 0 && !inclusive) {
        return masconI_fail(MASCON_E_ARG, "from %g to %g does not go in steps of %g", start, end,
                            step);
    }
    double count = inclusive ? floor(steps) + 1 : ceil(steps);
    if (count < 0) count = 0;
    if (count >= 0x1p62) return masconI_fail(MASCON_E_ARG, "%g values are too many", count);
    if (!masconI_is_float(dtype) && !(whole(start) && whole(step))) {
        return masconI_fail(MASCON_E_ARG, "%s is %g; %s takes whole numbers",
                            whole(start) ? "step" : "start", whole(start) ? step : start,
                            mascon_dtype_name(dtype));
    }
    if (count > 0) {
        MASCON_TRY(masconI_check_value("start", start, dtype));
        MASCON_TRY(masconI_check_value("the last value", start + (count - 1) * step, dtype));
    }
    int64_t shape = (int64_t)count;
    masconI_meta(&out[0], dtype, 1, &shape);
    return MASCON_OK;
}

const mascon_op mascon_op_arange = {
    .name = "arange",
    .inputs = "",
    .outputs = "y",
    .attrs = arange_attrs,
    .n_attrs = 6,
    .flags = MASCON_OPF_CREATES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_ALL,
    .summary = "start, start + step, ... up to end",
    .example = "mascon.arange(0, 5)",
    .infer = arange_infer,
};

/* ---- linspace ---- */

enum { LINSPACE_START, LINSPACE_END, LINSPACE_STEPS, LINSPACE_DTYPE };

static const mascon_attr linspace_attrs[] = {
    {"start", MASCON_ATTR_NUMBER, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "first value"},
    {"end", MASCON_ATTR_NUMBER, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "last value"},
    {"steps", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL,
     "number of values"},
    DTYPE_OPTION(MASCON_DTYPE_F32),
    DEVICE_OPTION,
};

static mascon_status linspace_infer(mascon_call *call, mascon_meta *out) {
    int64_t steps = (int64_t)call->attr[LINSPACE_STEPS];
    masconI_meta(&out[0], (int32_t)call->attr[LINSPACE_DTYPE], 1, &steps);
    return MASCON_OK;
}

const mascon_op mascon_op_linspace = {
    .name = "linspace",
    .inputs = "",
    .outputs = "y",
    .attrs = linspace_attrs,
    .n_attrs = 5,
    .flags = MASCON_OPF_CREATES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_ALL,
    .summary = "values at equal distances from start to end, both included",
    .example = "mascon.linspace(0, 1, 5)",
    .infer = linspace_infer,
};

/* ---- eye ---- */

enum { EYE_N, EYE_M, EYE_DTYPE };

static const mascon_attr eye_attrs[] = {
    {"n", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL, "rows"},
    {"m", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_ABSENT, 0, 0x1p53, NULL,
     "columns; left out: as many as rows"},
    DTYPE_OPTION(MASCON_DTYPE_F32),
    DEVICE_OPTION,
};

static mascon_status eye_infer(mascon_call *call, mascon_meta *out) {
    int64_t n = (int64_t)call->attr[EYE_N], numel;
    int64_t shape[2] = {n, masconI_given(call, EYE_M) ? (int64_t)call->attr[EYE_M] : n};
    MASCON_TRY(masconI_numel(2, shape, &numel));
    masconI_meta(&out[0], (int32_t)call->attr[EYE_DTYPE], 2, shape);
    return MASCON_OK;
}

const mascon_op mascon_op_eye = {
    .name = "eye",
    .inputs = "",
    .outputs = "y",
    .attrs = eye_attrs,
    .n_attrs = 4,
    .flags = MASCON_OPF_CREATES | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_ALL,
    .summary = "ones on the main diagonal, zeros elsewhere",
    .example = "mascon.eye(3)",
    .infer = eye_infer,
};

/* ---- fill ---- */

static const mascon_attr fill_attrs[] = {
    {"value", MASCON_ATTR_NUMBER, MASCON_VALUE, MASCON_REQUIRED, -LIMIT, LIMIT, NULL,
     "value of every element"},
};

static mascon_status fill_infer(mascon_call *call, mascon_meta *out) {
    MASCON_TRY(masconI_check_value("value", call->attr[0], SRC(call, 0)->dtype));
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

const mascon_op mascon_op_fill = {
    .name = "fill",
    .inputs = "x",
    .outputs = "y",
    .attrs = fill_attrs,
    .n_attrs = 1,
    .flags = MASCON_OPF_IN_PLACE,
    .dtypes = MASCON_T_ALL,
    .summary = "sets every element of x to a value",
    .example = "mascon.zeros{2, 3}:fill_(7)",
    .infer = fill_infer,
    .grad = masconI_grad_none,
};

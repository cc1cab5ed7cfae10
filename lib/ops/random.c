/* random.c: random tensors. Element i in logical row-major order draws from fixed words of the
 * call's Philox stream, so that neither layout nor threads change a value. */
#include <math.h>

#include "ops/support.h"

#define LIMIT MASCON_NOLIMIT
#define DEVICE_OPTION                                                                \
    {                                                                                \
        "device", MASCON_ATTR_DEVICE, MASCON_KEY, MASCON_DEVICE_CPU, 0, LIMIT, NULL, \
            "where the tensor lives"                                                 \
    }

/* ---- randint ---- */

enum { RANDINT_LOW = 0, RANDINT_HIGH = 1, RANDINT_SHAPE = 2, RANDINT_DTYPE = 11 };

static const mascon_attr randint_attrs[] = {
    {"low", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, -0x1p53, 0x1p53, NULL,
     "smallest value"},
    {"high", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, -0x1p53, 0x1p53, NULL,
     "largest value, itself possible"},
    {"shape", MASCON_ATTR_SIZES, MASCON_KEY, MASCON_REQUIRED, -LIMIT, LIMIT, NULL, "sizes"},
    {"dtype", MASCON_ATTR_DTYPE, MASCON_KEY, MASCON_DTYPE_I64, 0, MASCON_DTYPE_COUNT - 1, NULL,
     "type of the elements"},
    DEVICE_OPTION,
};

static mascon_status randint_infer(mascon_call *call, mascon_meta *out) {
    double low = call->attr[RANDINT_LOW], high = call->attr[RANDINT_HIGH];
    int32_t ndim, dtype = (int32_t)call->attr[RANDINT_DTYPE];
    int64_t shape[MASCON_MAX_DIMS], numel;
    MASCON_TRY(masconI_shape_option(call, RANDINT_SHAPE, 0, &ndim, shape));
    MASCON_TRY(masconI_numel(ndim, shape, &numel));
    if (low > high) {
        return masconI_fail(MASCON_E_ARG, "low is %.0f and high is %.0f; low must not be larger",
                            low, high);
    }
    MASCON_TRY(masconI_check_value("low", low, dtype));
    MASCON_TRY(masconI_check_value("high", high, dtype));
    masconI_meta(&out[0], dtype, ndim, shape);
    return MASCON_OK;
}

const mascon_op mascon_op_randint = {
    .name = "randint",
    .inputs = "",
    .outputs = "y",
    .attrs = randint_attrs,
    .n_attrs = 5,
    .flags = MASCON_OPF_CREATES | MASCON_OPF_RANDOM | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_ALL,
    .summary = "whole numbers drawn evenly from low to high, both included",
    .example = "mascon.randint(1, 10, {5})",
    .infer = randint_infer,
};

/* ---- randperm ---- */

static const mascon_attr randperm_attrs[] = {
    {"n", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, 0x1p53, NULL, "how many numbers"},
    {"base", MASCON_ATTR_BASE, MASCON_KEY, 0, 0, 1, NULL, "the first number"},
    DEVICE_OPTION,
};

static mascon_status randperm_infer(mascon_call *call, mascon_meta *out) {
    int64_t n = (int64_t)call->attr[0];
    masconI_meta(&out[0], MASCON_DTYPE_I64, 1, &n);
    return MASCON_OK;
}

const mascon_op mascon_op_randperm = {
    .name = "randperm",
    .inputs = "",
    .outputs = "y",
    .attrs = randperm_attrs,
    .n_attrs = 3,
    .flags = MASCON_OPF_CREATES | MASCON_OPF_RANDOM | MASCON_OPF_NO_GRAD,
    .dtypes = MASCON_T_ALL,
    .summary = "the first n positions in random order",
    .example = "mascon.randperm(5)",
    .infer = randperm_infer,
};

/* ---- uniform ---- */

static const mascon_attr uniform_attrs[] = {
    {"from", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, -LIMIT, LIMIT, NULL, "smallest value"},
    {"to", MASCON_ATTR_NUMBER, MASCON_VALUE, 1, -LIMIT, LIMIT, NULL,
     "end of the values, itself left out"},
};

static mascon_status uniform_infer(mascon_call *call, mascon_meta *out) {
    double from = call->attr[0], to = call->attr[1];
    if (!isfinite(from)) return masconI_fail(MASCON_E_ARG, "from is %g", from);
    if (!isfinite(to)) return masconI_fail(MASCON_E_ARG, "to is %g", to);
    if (from > to) {
        return masconI_fail(MASCON_E_ARG, "from is %g and to is %g; from must not be larger", from,
                            to);
    }
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

const mascon_op mascon_op_uniform = {
    .name = "uniform",
    .inputs = "x",
    .outputs = "y",
    .attrs = uniform_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_IN_PLACE | MASCON_OPF_RANDOM | MASCON_OPF_EXACT,
    .dtypes = MASCON_T_FLOAT,
    .summary = "sets the elements of x to values drawn evenly from [from, to)",
    .example = "mascon.zeros{2, 3}:uniform_(-1, 1)",
    .infer = uniform_infer,
    .grad = masconI_grad_none,
};

/* ---- normal ---- */

static const mascon_attr normal_attrs[] = {
    {"mean", MASCON_ATTR_NUMBER, MASCON_VALUE, 0, -LIMIT, LIMIT, NULL, "mean"},
    {"std", MASCON_ATTR_NUMBER, MASCON_VALUE, 1, 0, LIMIT, NULL, "standard deviation"},
};

static mascon_status normal_infer(mascon_call *call, mascon_meta *out) {
    masconI_like(&out[0], SRC(call, 0));
    return MASCON_OK;
}

const mascon_op mascon_op_normal = {
    .name = "normal",
    .inputs = "x",
    .outputs = "y",
    .attrs = normal_attrs,
    .n_attrs = 2,
    .flags = MASCON_OPF_IN_PLACE | MASCON_OPF_RANDOM | MASCON_OPF_EXACT,
    .dtypes = MASCON_T_FLOAT,
    .summary = "sets the elements of x to values of the normal distribution",
    .example = "mascon.zeros{2, 3}:normal_(0, 0.02)",
    .infer = normal_infer,
    .grad = masconI_grad_none,
};

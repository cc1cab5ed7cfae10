/* picture_batch.c: a batch of pictures that lie in memory side by side, each cropped, flipped and bordered
 * in its own way, its values replaced by those of a table; and their labels.
 *
 * pictures uint8 {n, c, h, w}, labels int64 {n}, views int32 {m, 8}, table {c, 257};
 * y {count, c, height, width} of the table's dtype, target int64 {count}. Picture i of the batch is made
 * as row first + i of views says: {row, offset, down, right, top, left, rows, columns}. Its pixel (p, q)
 * of rows x columns is that of the picture `row` whose first channel lies offset + p * down + q * right
 * elements behind the picture's first one, where pictures are dense and channels-last; it stands at
 * (top + p, left + q) of y. What is around them, or lies outside of the picture, is border. y is
 * table[channel][value], of the border table[channel][256]. */
#include "core/internal.h"
#include "ops/support.h"

static const mascon_attr attrs[] = {
    {"first", MASCON_ATTR_INTEGER, MASCON_VALUE, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "the row of views that the batch begins with, counted from 0"},
    {"count", MASCON_ATTR_INTEGER, MASCON_KEY, MASCON_REQUIRED, 0, MASCON_NOLIMIT, NULL,
     "pictures of the batch"},
    {"size", MASCON_ATTR_PAIR, MASCON_KEY, MASCON_REQUIRED, 1, 65500, NULL,
     "height and width of the batch"},
};

static mascon_status check(const mascon_call *call, int i, const char *name, int32_t dtype,
                           int32_t ndim, int64_t last, const char *expected) {
    const mascon_view *v = SRC(call, i);
    char text[160];
    if (v->dtype != dtype) {
        return masconI_fail(MASCON_E_DTYPE, "%s is %s; expected %s", name,
                            mascon_dtype_name(v->dtype), mascon_dtype_name(dtype));
    }
    if (v->ndim == ndim && (last < 0 || v->shape[ndim - 1] == last)) return MASCON_OK;
    return masconI_fail(MASCON_E_SHAPE, "%s is %s; expected %s", name,
                        masconI_shape_text(v->ndim, v->shape, text), expected);
}

static mascon_status infer(mascon_call *call, mascon_meta *out) {
    const mascon_view *pictures = SRC(call, 0), *views = SRC(call, 2), *table = SRC(call, 3);
    const int64_t first = (int64_t)call->attr[0], count = (int64_t)call->attr[1];
    MASCON_TRY(check(call, 0, "pictures", MASCON_DTYPE_U8, 4, -1, "{n, channels, height, width}"));
    MASCON_TRY(check(call, 1, "labels", MASCON_DTYPE_I64, 1, pictures->shape[0],
                     "a label for each picture"));
    MASCON_TRY(check(call, 2, "views", MASCON_DTYPE_I32, 2, 8, "{m, 8}"));
    MASCON_TRY(check(call, 3, "table", table->dtype, 2, 257, "{channels, 257}"));
    if (table->shape[0] != pictures->shape[1]) {
        return masconI_fail(MASCON_E_SHAPE, "table has %lld rows, the pictures %lld channels",
                            (long long)table->shape[0], (long long)pictures->shape[1]);
    }
    if (first > views->shape[0] || count > views->shape[0] - first) {
        return masconI_fail(MASCON_E_INDEX, "pictures %lld..%lld of %lld", (long long)first + 1,
                            (long long)(first + count), (long long)views->shape[0]);
    }
    masconI_meta(
        &out[0], table->dtype, 4,
        (int64_t[]){count, pictures->shape[1], (int64_t)call->attr[2], (int64_t)call->attr[3]});
    masconI_meta(&out[1], MASCON_DTYPE_I64, 1, &count);
    return MASCON_OK;
}

const mascon_op mascon_op_picture_batch = {
    .name = "picture_batch",
    .inputs = "pictures labels views table",
    .outputs = "y target",
    .attrs = attrs,
    .n_attrs = sizeof attrs / sizeof attrs[0],
    .flags = MASCON_OPF_HIDDEN | MASCON_OPF_NO_GRAD | MASCON_OPF_EXACT,
    .dtypes = MASCON_T_U8,
    .summary = "pictures gathered, cropped, flipped and mapped",
    .infer = infer,
};

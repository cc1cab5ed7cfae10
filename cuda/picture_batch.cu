/* picture_batch.cu: kernel of picture_batch; shapes and views as in ops/picture_batch.c. */
#include "cuda/device.cuh"

namespace {

struct work {
    const uint8_t *pictures; /* {n, h, w, c} as they lie */
    const int64_t *labels;
    const int32_t *views; /* of the batch's first picture on */
    int64_t *target;
    int64_t n, elements; /* pictures; elements of one */
    int64_t items;       /* elements of the batch */
    divider by_channels, by_width, by_height;
};

struct view {
    int32_t row, offset, down, right, top, left, rows, columns;
};

/* y {count, height, width, c} as it lies; one element per thread. */
template <class T>
__global__ void picture_kernel(work w, const T *table, T *y) {
    for (int64_t i = first_index(); i < w.items; i += grid_step()) {
        const uint32_t pixel = divide((uint32_t)i, w.by_channels);
        const uint32_t line = divide(pixel, w.by_width), picture = divide(line, w.by_height);
        const int c = (int)((uint32_t)i - pixel * w.by_channels.by);
        const int column = (int)(pixel - line * w.by_width.by);
        const int row = (int)(line - picture * w.by_height.by);
        const view v = ((const view *)w.views)[picture];
        const bool known = v.row >= 0 && v.row < w.n;
        const int64_t p = row - v.top, q = column - v.left;
        const int64_t at = v.offset + p * v.down + q * v.right;
        int value = 256;
        if (known && p >= 0 && q >= 0 && p < v.rows && q < v.columns && at >= 0 &&
            at + w.by_channels.by <= w.elements) {
            value = w.pictures[v.row * w.elements + at + c];
        }
        y[i] = table[c * 257 + value];
        if (row == 0 && column == 0 && c == 0) w.target[picture] = known ? w.labels[v.row] : 0;
    }
}

template <class T>
mascon_status run_as(const work &w, mascon_call *call, void *stream) {
    return launch(picture_kernel<T>, blocks_for(w.items, THREADS, DST(call, 0)->device), THREADS, 0,
                  stream, w, (const T *)SRC(call, 3)->data, (T *)DST(call, 0)->data);
}

mascon_status run(mascon_call *call, mascon_exec *exec) {
    const mascon_view *pictures = SRC(call, 0), *y = DST(call, 0);
    if (y->numel == 0) return MASCON_OK;
    work w = {};
    w.pictures = (const uint8_t *)pictures->data;
    w.labels = (const int64_t *)SRC(call, 1)->data;
    w.views = (const int32_t *)SRC(call, 2)->data + 8 * (int64_t)call->attr[0];
    w.target = (int64_t *)DST(call, 1)->data;
    w.n = pictures->shape[0];
    w.elements = pictures->shape[1] * pictures->shape[2] * pictures->shape[3];
    w.items = y->numel;
    w.by_channels = make_divider((uint32_t)y->shape[1]);
    w.by_width = make_divider((uint32_t)y->shape[3]);
    w.by_height = make_divider((uint32_t)y->shape[2]);
    if (y->dtype == MASCON_DTYPE_U8) return run_as<uint8_t>(w, call, exec->stream);
    if (y->dtype == MASCON_DTYPE_F64) return run_as<double>(w, call, exec->stream);
    return run_as<float>(w, call, exec->stream);
}

int wish(const mascon_call *call, mascon_wish *w) {
    const mascon_view *y = DST(call, 0);
    w->src[0] = w->dst[0] = MASCON_WISH_NHWC;
    for (int i = 1; i < 4; i++) w->src[i] = MASCON_WISH_ROW;
    w->dst[1] = MASCON_WISH_ROW;
    const int takes =
        y->dtype == MASCON_DTYPE_F32 || y->dtype == MASCON_DTYPE_F64 || y->dtype == MASCON_DTYPE_U8;
    return takes && y->numel <= INT32_MAX;
}

}  // namespace

MASCON_KERNEL(picture_batch, wish, nullptr, run);

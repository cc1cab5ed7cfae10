/* test_dlpack.c: memory that goes between mascon and others by DLPack: who frees it, and what is
 * refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mascon_dlpack.h"
#include "mascon_ops.h"

static int failures;

#define EXPECT(condition)                                                       \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    mascon_last_error()->message);                              \
            failures++;                                                         \
        }                                                                       \
    } while (0)

/* A producer whose deleter counts. */
typedef struct producer {
    mascon_dlpack managed;
    int64_t shape[10], strides[10];
    float values[24];
    int deleted;
} producer;

static void count_deletion(mascon_dlpack *m) { ((producer *)m->manager_ctx)->deleted++; }

static producer *make(producer *p) {
    memset(p, 0, sizeof *p);
    for (int i = 0; i < 24; i++) p->values[i] = (float)i;
    p->shape[0] = 2;
    p->shape[1] = 3;
    p->strides[0] = 1; /* a transposed {3, 2} */
    p->strides[1] = 2;
    p->managed.manager_ctx = p;
    p->managed.deleter = count_deletion;
    p->managed.dl_tensor.data = p->values;
    p->managed.dl_tensor.device.device_type = 1;
    p->managed.dl_tensor.ndim = 2;
    p->managed.dl_tensor.dtype.code = 2;
    p->managed.dl_tensor.dtype.bits = 32;
    p->managed.dl_tensor.dtype.lanes = 1;
    p->managed.dl_tensor.shape = p->shape;
    p->managed.dl_tensor.strides = p->strides;
    p->managed.dl_tensor.byte_offset = 4;
    return p;
}

static void test_in(void) {
    producer p;
    mascon_tensor *t = NULL, *row = NULL;
    double v[6];
    EXPECT(mascon_tensor_from_dlpack(&t, &make(&p)->managed) == MASCON_OK);
    EXPECT(mascon_tensor_read(t, v) == MASCON_OK);
    EXPECT(v[0] == 1 && v[1] == 3 && v[2] == 5 && v[3] == 2 && v[5] == 6);
    EXPECT(!mascon_tensor_is_contiguous(t));
    /* a view keeps the memory */
    mascon_select_options o = mascon_select_defaults();
    o.dim = 0;
    o.index = 1;
    EXPECT(mascon_select(&row, t, &o) == MASCON_OK);
    mascon_tensor_release(t);
    EXPECT(p.deleted == 0);
    EXPECT(mascon_tensor_read(row, v) == MASCON_OK && v[0] == 2 && v[2] == 6);
    mascon_tensor_release(row);
    EXPECT(p.deleted == 1);
    /* no strides: row-major; no deleter is allowed */
    make(&p);
    p.managed.dl_tensor.strides = NULL;
    p.managed.deleter = NULL;
    EXPECT(mascon_tensor_from_dlpack(&t, &p.managed) == MASCON_OK);
    EXPECT(mascon_tensor_is_contiguous(t));
    mascon_tensor_release(t);
    /* writes go both ways */
    EXPECT(mascon_tensor_from_dlpack(&t, &make(&p)->managed) == MASCON_OK);
    mascon_relu_in_place(t);
    mascon_fill_options f = mascon_fill_defaults();
    f.value = 9;
    EXPECT(mascon_fill_in_place(t, &f) == MASCON_OK);
    EXPECT(p.values[1] == 9 && p.values[6] == 9 && p.values[0] == 0 && p.values[7] == 7);
    mascon_tensor_release(t);
    EXPECT(p.deleted == 1);
    /* an empty one needs no memory */
    make(&p)->shape[0] = 0;
    p.managed.dl_tensor.data = NULL;
    EXPECT(mascon_tensor_from_dlpack(&t, &p.managed) == MASCON_OK && mascon_tensor_numel(t) == 0);
    mascon_tensor_release(t);
}

static void refused(producer *p, mascon_status code) {
    mascon_tensor *t = (mascon_tensor *)p;
    EXPECT(mascon_tensor_from_dlpack(&t, &p->managed) == code && t == NULL);
    EXPECT(mascon_last_error()->message[0] && p->deleted == 0);
}

static void test_refused(void) {
    producer p;
    mascon_tensor *t;
    EXPECT(mascon_tensor_from_dlpack(&t, NULL) == MASCON_E_ARG);
    EXPECT(mascon_tensor_from_dlpack(NULL, &make(&p)->managed) == MASCON_E_ARG);
    make(&p)->managed.dl_tensor.dtype.code = 5; /* complex */
    refused(&p, MASCON_E_DTYPE);
    make(&p)->managed.dl_tensor.dtype.bits = 8;
    refused(&p, MASCON_E_DTYPE);
    make(&p)->managed.dl_tensor.dtype.lanes = 4;
    refused(&p, MASCON_E_DTYPE);
    make(&p)->managed.dl_tensor.device.device_type = 7;
    refused(&p, MASCON_E_DEVICE);
    make(&p)->managed.dl_tensor.ndim = 9;
    refused(&p, MASCON_E_SHAPE);
    make(&p)->managed.dl_tensor.ndim = -1;
    refused(&p, MASCON_E_SHAPE);
    make(&p)->managed.dl_tensor.shape = NULL;
    refused(&p, MASCON_E_ARG);
    make(&p)->managed.dl_tensor.data = NULL;
    refused(&p, MASCON_E_ARG);
    make(&p)->managed.dl_tensor.byte_offset = 2;
    refused(&p, MASCON_E_LAYOUT);
    make(&p)->strides[1] = -2;
    refused(&p, MASCON_E_LAYOUT);
    make(&p)->strides[1] = INT64_MAX / 2;
    refused(&p, MASCON_E_SHAPE);
    make(&p)->shape[1] = -3;
    refused(&p, MASCON_E_ARG);
    make(&p)->shape[1] = INT64_MAX;
    refused(&p, MASCON_E_SHAPE);
}

static void test_out(void) {
    mascon_tensor *t = NULL, *back = NULL;
    mascon_dlpack *m = NULL;
    mascon_dlpack_versioned *n = NULL;
    int64_t shape[] = {2, 3, 4, 5}, before[MASCON_MEMORY_COUNT], after[MASCON_MEMORY_COUNT];
    mascon_memory(MASCON_DEVICE_CPU, before);
    EXPECT(mascon_tensor_new_nhwc(&t, MASCON_DTYPE_F32, shape, MASCON_DEVICE_CPU) == MASCON_OK);
    EXPECT(mascon_tensor_to_dlpack(&m, t) == MASCON_OK);
    EXPECT(m->dl_tensor.ndim == 4 && m->dl_tensor.shape[3] == 5 && m->dl_tensor.strides[1] == 1);
    EXPECT(m->dl_tensor.dtype.code == 2 && m->dl_tensor.device.device_type == 1);
    /* home again: the same memory, and channels-last as before */
    EXPECT(mascon_tensor_from_dlpack(&back, m) == MASCON_OK);
    EXPECT(mascon_tensor_layout(back) == MASCON_LAYOUT_NHWC);
    mascon_tensor_release(t);
    mascon_fill_options f = mascon_fill_defaults();
    f.value = 3;
    EXPECT(mascon_fill_in_place(back, &f) == MASCON_OK);
    mascon_tensor_release(back);
    EXPECT(mascon_tensor_new(&t, MASCON_DTYPE_BOOL, 1, shape, MASCON_DEVICE_CPU) == MASCON_OK);
    EXPECT(mascon_tensor_to_dlpack_versioned(&n, t) == MASCON_OK);
    EXPECT(n->version.major == 1 && n->dl_tensor.dtype.code == 6 && n->dl_tensor.dtype.bits == 8);
    n->flags = 1;
    EXPECT(mascon_tensor_from_dlpack_versioned(&back, n) == MASCON_E_UNSUPPORTED && !back);
    n->flags = 0;
    n->version.major = 2;
    EXPECT(mascon_tensor_from_dlpack_versioned(&back, n) == MASCON_E_UNSUPPORTED);
    n->version.major = 1;
    EXPECT(mascon_tensor_from_dlpack_versioned(&back, n) == MASCON_OK);
    mascon_tensor_release(back);
    /* given away and not taken */
    EXPECT(mascon_tensor_to_dlpack(&m, t) == MASCON_OK);
    m->deleter(m);
    mascon_tensor_release(t);
    EXPECT(mascon_tensor_new(&t, MASCON_DTYPE_F32, 1, shape, MASCON_DEVICE_CPU) == MASCON_OK);
    EXPECT(mascon_tensor_set_requires_grad(t, 1) == MASCON_OK);
    EXPECT(mascon_tensor_to_dlpack(&m, t) == MASCON_E_STATE && !m);
    EXPECT(mascon_tensor_to_dlpack(&m, NULL) == MASCON_E_ARG);
    mascon_tensor_release(t);
    mascon_memory(MASCON_DEVICE_CPU, after);
    EXPECT(after[MASCON_MEMORY_TENSORS] == before[MASCON_MEMORY_TENSORS]);
    EXPECT(after[MASCON_MEMORY_LIVE] == before[MASCON_MEMORY_LIVE]);
}

int main(void) {
    test_in();
    test_refused();
    test_out();
    return failures != 0;
}

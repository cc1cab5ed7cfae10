/* mascon_dlpack.h: tensors of other libraries without a copy, by DLPack's memory layout (version 1).
 *
 * A managed tensor has one owner, who calls its deleter once. mascon_tensor_from_dlpack takes that over
 * when it succeeds: the deleter runs when the last tensor over the memory is gone, on whatever thread
 * released it. mascon_tensor_to_dlpack gives a managed tensor whose deleter returns a reference.
 *
 * The structs below are those of dlpack.h, under names of our own; where dlpack.h is included first,
 * its types are used.
 */
#ifndef MASCON_DLPACK_H
#define MASCON_DLPACK_H

#include "mascon.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef DLPACK_DLPACK_H_
typedef DLManagedTensor mascon_dlpack;
typedef DLManagedTensorVersioned mascon_dlpack_versioned;
#else

typedef struct mascon_dlpack_tensor {
    void *data;
    struct {
        int32_t device_type; /* 1 CPU, 2 CUDA, 3 CUDA's pinned memory of the CPU */
        int32_t device_id;
    } device;
    int32_t ndim;
    struct {
        uint8_t code; /* 0 int, 1 uint, 2 float, 4 bfloat, 6 bool */
        uint8_t bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: row-major */
    uint64_t byte_offset;
} mascon_dlpack_tensor;

typedef struct mascon_dlpack {
    mascon_dlpack_tensor dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct mascon_dlpack *self);
} mascon_dlpack;

typedef struct mascon_dlpack_versioned {
    struct {
        uint32_t major;
        uint32_t minor;
    } version;
    void *manager_ctx;
    void (*deleter)(struct mascon_dlpack_versioned *self);
    uint64_t flags; /* 1: read-only; 2: a copy was made */
    mascon_dlpack_tensor dl_tensor;
} mascon_dlpack_versioned;

#endif

/* A tensor over the memory of a managed tensor, which must be as large as its shape and strides say.
 * On failure the managed tensor still belongs to the caller. Negative strides and types that mascon does
 * not have are refused. What is read-only must not be written through mascon: MASCON_E_UNSUPPORTED for a
 * versioned one that says so. Work on a CUDA device is not ordered across libraries: what the device was
 * given must be over (mascon_synchronize) when a tensor is handed on, in either direction, and when the
 * last one over foreign memory is released. */
MASCON_API mascon_status mascon_tensor_from_dlpack(mascon_tensor **out, mascon_dlpack *managed);
MASCON_API mascon_status mascon_tensor_from_dlpack_versioned(mascon_tensor **out,
                                                             mascon_dlpack_versioned *managed);
/* A managed tensor that shares t's memory and holds a reference to it. The caller calls its deleter, or
 * hands it on. Tensors that require a gradient are refused: x:detach(). */
MASCON_API mascon_status mascon_tensor_to_dlpack(mascon_dlpack **out, mascon_tensor *t);
MASCON_API mascon_status mascon_tensor_to_dlpack_versioned(mascon_dlpack_versioned **out,
                                                           mascon_tensor *t);

#ifdef __cplusplus
}
#endif

#endif

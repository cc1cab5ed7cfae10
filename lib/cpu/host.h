/* host.h: the memory functions that the cpu and the reference backend share (table.c). */
#ifndef MASCON_CPU_HOST_H
#define MASCON_CPU_HOST_H

#include "mascon_backend.h"

mascon_status masconI_host_alloc(int32_t device, size_t bytes, void **out);
void masconI_host_free(int32_t device, void *block);
mascon_status masconI_host_info(int32_t device, int64_t *total, int64_t *available);
mascon_status masconI_host_copy(void *dst, int32_t dst_device, const void *src, int32_t src_device,
                                size_t bytes);
mascon_status masconI_host_synchronize(int32_t device);

#endif

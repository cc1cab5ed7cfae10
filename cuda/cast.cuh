/* cast.cuh: conversion between dtypes. */
#ifndef MASCON_CUDA_CAST_CUH
#define MASCON_CUDA_CAST_CUH

#include "cuda/device.cuh"

/* y = x, broadcast to y and converted as lib/core/dtype.c does. */
mascon_status masconG_convert_elements(const mascon_view *y, const mascon_view *x, void *stream);

#endif

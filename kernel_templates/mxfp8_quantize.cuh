// mxfp8_quantize: see fourge/mx_quantize.hpp for the contract.
#pragma once

#include "device/mx_rows.cuh"
#include "device/mxfp8_format.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void mxfp8_quantize_kernel(const void* x, uint8* data, uint8* scales, int64 rows,
                                         int64 cols, int64 padded_cols) {
  quantize_mx_rows<Config, Mxfp8Format<Config>>(x, data, scales, rows, cols, padded_cols);
}

}  // namespace fourge_device

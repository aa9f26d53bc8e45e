// mxfp8_dequantize: see fourge/dequantize.hpp for the contract.
#pragma once

#include "device/dequantize_formats.cuh"
#include "device/dequantize_rows.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void mxfp8_dequantize_kernel(const uint8* data, const uint8* scales, void* out,
                                           int64 rows, int64 cols, int64 padded_cols) {
  wait_for_predecessor<Config>();
  dequantize_rows<Config, E4m3Codes<Config, 32>>(data, scales, out, {rows, cols, padded_cols, 1},
                                                 Ue8m0Factor{});
}

}  // namespace fourge_device

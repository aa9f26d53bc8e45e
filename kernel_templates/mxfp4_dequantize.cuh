// mxfp4_dequantize: see fourge/dequantize.hpp for the contract.
#pragma once

#include "device/dequantize_formats.cuh"
#include "device/dequantize_rows.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void mxfp4_dequantize_kernel(const uint8* codes, const uint8* scales, void* out,
                                           int64 rows, int64 cols) {
  wait_for_predecessor<Config>();
  dequantize_rows<Config, E2m1Codes<32>>(codes, scales, out, {rows, cols, cols, 1}, Ue8m0Factor{});
}

}  // namespace fourge_device

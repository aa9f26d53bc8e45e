// silu_and_mul_nvfp4_quantize: see fourge/nvfp4_activation_quantize.hpp for the contract.
// A thread takes one block of a row; grid x runs over the columns, y strides over the rows.
#pragma once

#include "device/activation_block.cuh"
#include "device/nvfp4_block.cuh"
#include "device/scale_layout.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void silu_and_mul_nvfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales,
                                                      const float* global_scale,
                                                      float global_scale_value, int64 rows,
                                                      int64 cols) {
  constexpr ScaleLayout kLayout = Config::kLayout;
  const int64 columns = cols / 16;
  const int64 all_columns = padded_columns<kLayout>(columns);
  const int64 all_rows = padded_rows<kLayout>(rows);
  const int64 column = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= all_columns) {
    return;
  }

  wait_for_predecessor<Config>();
  const Nvfp4Factors<Config> factors(global_scale != nullptr ? load(global_scale)
                                                             : global_scale_value);
  for (int64 row = blockIdx.y; row < all_rows; row += gridDim.y) {
    uint32 scale = 0;
    if (column < columns && row < rows) {
      const Words8 block = load_activation_block<Config>(x, row, column, columns);
      const Nvfp4Block result = quantize_nvfp4_block<Config>(block, factors);
      store(reinterpret_cast<uint64*>(codes) + row * columns + column,
            result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
      scale = result.scale;
    }
    store_scales<kLayout, 1>(scales, scale, row, rows, column, all_columns);
  }
}

}  // namespace fourge_device

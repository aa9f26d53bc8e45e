// silu_and_mul_nvfp4_quantize: see fourge/nvfp4_activation_quantize.hpp for the contract.
// A thread takes one block of a row; grid x runs over the columns, y and z over the rows.
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
  const uint32 columns = static_cast<uint32>(cols >> 4);
  const uint32 all_columns = static_cast<uint32>(padded_columns<kLayout>(columns));
  const uint32 column = blockIdx.x * blockDim.x + threadIdx.x;
  const uint32 row = blockIdx.z * gridDim.y + blockIdx.y;  // less than 2^32
  if (column >= all_columns || row >= padded_rows<kLayout>(rows)) {
    return;
  }

  wait_for_predecessor<Config>();
  uint32 scale = 0;
  if (column < columns && row < rows) {
    Words8 block[1] = {load_activation_block<Config>(x, row, column, columns)};
    const Nvfp4Factors<Config> factors(global_scale != nullptr ? load(global_scale)
                                                               : global_scale_value);
    const auto put = [&](int, const Nvfp4Block& result) {
      store(reinterpret_cast<uint64*>(codes) + row * columns + column,
            result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
      return result.scale;
    };
    if constexpr (Config::kFourOverSix == FourOverSix::off) {
      scale = quantize_nvfp4_blocks<Config>(
          block, [&](int) { return factors; }, put);
    } else {
      scale = put(0, quantize_nvfp4_block<Config>(block[0], factors));
    }
  }
  store_scales<kLayout, 1>(scales, scale, row, rows, column, all_columns);
}

}  // namespace fourge_device

// nvfp4_quantize_grouped: see fourge/nvfp4_activation_quantize.hpp for the contract.
// A thread takes one block of a row; grid x runs over the columns, y strides over all experts' rows.
#pragma once

#include "device/activation_block.cuh"
#include "device/nvfp4_block.cuh"
#include "device/scale_layout.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void nvfp4_quantize_grouped_kernel(const void* x, uint8* codes, uint8* scales,
                                                 const float* global_scales, const int* valid_rows,
                                                 int64 experts, int64 rows, int64 cols) {
  constexpr ScaleLayout kLayout = ScaleLayout::tiled_128x4;
  const int64 columns = cols / 16;
  const int64 all_columns = padded_columns<kLayout>(columns);
  const int64 expert_scales = padded_rows<kLayout>(rows) * all_columns;
  const int64 column = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= columns) {
    return;
  }

  wait_for_predecessor<Config>();
  for (int64 row = blockIdx.y; row < experts * rows; row += gridDim.y) {
    const int64 expert = row / rows;
    const int64 row_of_expert = row - expert * rows;
    if (row_of_expert >= load(valid_rows + expert)) {
      continue;
    }
    const Nvfp4Factors<Config> factors(load(global_scales + expert));
    const Words8 block = load_activation_block<Config>(x, row, column, columns);
    const Nvfp4Block result = quantize_nvfp4_block<Config>(block, factors);
    store(reinterpret_cast<uint64*>(codes) + row * columns + column,
          result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
    store(
        scales + expert * expert_scales + scale_offset<kLayout>(row_of_expert, column, all_columns),
        static_cast<uint8>(result.scale));
  }
}

}  // namespace fourge_device

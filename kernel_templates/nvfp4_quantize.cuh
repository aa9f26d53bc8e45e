// nvfp4_quantize: see fourge/nvfp4_quantize.hpp for the contract.
//
// A CTA takes kTokensPerCta neighbouring rows at a time; a thread takes the same block column of
// each, so that its loads are independent of one another. Grid x runs over the columns, y strides
// over rows.
#pragma once

#include "device/global_memory.cuh"
#include "device/nvfp4_block.cuh"
#include "device/scale_layout.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void nvfp4_quantize_kernel(const void* x, uint8* codes, uint8* scales,
                                         const float* global_scale, float global_scale_value,
                                         int64 rows, int64 cols) {
  constexpr int kRows = Config::kTokensPerCta;
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
  const bool real_column = column < columns;
  const int64 stride = static_cast<int64>(gridDim.y) * kRows;
  for (int64 first = static_cast<int64>(blockIdx.y) * kRows; first < all_rows; first += stride) {
    Words8 block[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      block[i] = Words8{};
      if (real_column && first + i < rows) {
        block[i] = load_words8<Config::kLoad256>(static_cast<const char*>(x) +
                                                 ((first + i) * columns + column) * 32);
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64 row = first + i;
      if (row >= all_rows) {
        continue;
      }
      uint8* scale = scales + scale_offset<kLayout>(row, column, all_columns);
      if (real_column && row < rows) {
        const Nvfp4Block result = quantize_nvfp4_block<Config>(block[i], factors);
        store(reinterpret_cast<uint64*>(codes) + row * columns + column,
              result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
        store(scale, static_cast<uint8>(result.scale));
      } else {
        store(scale, static_cast<uint8>(0));
      }
    }
  }
}

}  // namespace fourge_device

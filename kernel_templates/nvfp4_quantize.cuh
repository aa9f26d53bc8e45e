// nvfp4_quantize: see fourge/nvfp4_quantize.hpp for the contract.
//
// A CTA takes a group of kTokensPerCta rows at a time; a thread takes the same block column of
// each, so that its loads are independent of one another. Grid x runs over the columns, y strides
// over the groups. Tiled layouts have a multiple of kTokensPerCta rows, so no group reaches past
// them.
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
  constexpr int64 kDistance = kRowDistance<kLayout>;
  const int64 columns = cols / 16;
  const int64 all_columns = padded_columns<kLayout>(columns);
  const int64 column = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= all_columns) {
    return;
  }

  wait_for_predecessor<Config>();
  const Nvfp4Factors<Config> factors(global_scale != nullptr ? load(global_scale)
                                                             : global_scale_value);
  const bool real_column = column < columns;
  const int64 groups = (padded_rows<kLayout>(rows) + kRows - 1) / kRows;
  for (int64 group = blockIdx.y; group < groups; group += gridDim.y) {
    const int64 first = first_row_of_group<kLayout, kRows>(group);
    Words8 block[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64 row = first + i * kDistance;
      block[i] = Words8{};
      if (real_column && row < rows) {
        block[i] = load_words8<Config::kLoad256>(static_cast<const char*>(x) +
                                                 (row * columns + column) * 32);
      }
    }
    uint32 scale_bytes = 0;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64 row = first + i * kDistance;
      if (real_column && row < rows) {
        const Nvfp4Block result = quantize_nvfp4_block<Config>(block[i], factors);
        store(reinterpret_cast<uint64*>(codes) + row * columns + column,
              result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
        scale_bytes |= result.scale << (8 * i);
      }
    }
    store_scales<kLayout, kRows>(scales, scale_bytes, first, rows, column, all_columns);
  }
}

}  // namespace fourge_device

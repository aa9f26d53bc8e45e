// silu_and_mul_nvfp4_quantize: see fourge/nvfp4_activation_quantize.hpp for the contract.
// A thread takes a block of a row, or several that lie a grid apart; grid x runs over the columns, y and z over the
// rows. What does not change from block to block is computed while the first block's loads are on their way.
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
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr bool kLinear = kLayout == ScaleLayout::linear;
  const uint32 columns = static_cast<uint32>(cols >> 4);
  const uint32 all_columns = static_cast<uint32>(padded_columns<kLayout>(columns));
  uint32 column = blockIdx.x * blockDim.x + threadIdx.x;
  const uint32 row = blockIdx.z * gridDim.y + blockIdx.y;  // less than 2^32
  wait_for_predecessor<Config>();
  if (column >= all_columns || row >= padded_rows<kLayout>(rows)) {
    return;
  }

  constexpr bool kLong =
      Config::kMath() == MathMode::exact || Config::kFourOverSix() != FourOverSix::off;
  constexpr int kAtOnce = kLong ? 2 : 1;
  // From a block to this thread's next: a multiple of 32 columns.
  const uint32 step = gridDim.x * blockDim.x;
  constexpr uint32 kScaleStep = kLinear ? 1 : kLayout == ScaleLayout::tiled_128x4 ? 128 : 8;
  const int64 distance = static_cast<int64>(columns) * 32;
  const char* from = static_cast<const char*>(x) + (row * distance + column * 16ull) * 2;
  uint8* to = codes + row * (distance / 4) + column * 8ull;
  uint8* scale_to = scales + scale_offset<kLayout>(row, column, all_columns);
  bool inside = column < columns && row < rows;
  GatedWords words = {};
  if (inside) {
    words = load_gated<Config>(from, distance);
  }
  const Nvfp4Factors<Config> factors(global_scale != nullptr ? load(global_scale)
                                                             : global_scale_value);
#pragma unroll 1
  while (true) {
    uint32 scale = 0;
    if (inside) {
      Words8 block[1] = {silu_and_mul_words<Config, kAtOnce>(words, from, distance)};
      const auto put = [&](int, const Nvfp4Block& result) {
        store(reinterpret_cast<uint64*>(to),
              result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
        return result.scale;
      };
      if constexpr (Config::kFourOverSix() == FourOverSix::off) {
        scale = quantize_nvfp4_blocks<Config>(
            block, [&](int) { return factors; }, put);
      } else {
        scale = put(0, quantize_nvfp4_block<Config>(block[0], factors));
      }
    }
    store(scale_to, static_cast<uint8>(scale));
    column += step;
    if (column >= all_columns) {
      break;
    }
    from += step * 32ull;
    to += step * 8ull;
    scale_to += step * static_cast<uint64>(kScaleStep);
    inside = column < columns && row < rows;
    if (inside) {
      words = load_gated<Config>(from, distance);
    }
  }
}

}  // namespace fourge_device

// fp8_quantize_128x128: see fourge/fp8_quantize.hpp for the contract.
//
// A CTA of 256 threads takes a tile of 128 rows and 128 columns and keeps it in registers: an octet of
// lanes a row, each thread 16 columns of four rows that are 32 apart. Grid x runs over the columns of
// tiles, y strides over their rows.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/fp8_block.cuh"
#include "device/reduce.cuh"
#include "device/store_words.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void fp8_quantize_128x128_kernel(const void* x, uint8* data, float* scales,
                                               int64 rows, int64 cols, float eps) {
  constexpr int kPasses = 4;
  constexpr int64 kRowsPerPass = 32;
  __shared__ SharedArray<uint32, 32> scratch;
  const int64 units = cols / 16;
  const int64 unit = static_cast<int64>(blockIdx.x) * 8 + (threadIdx.x & 7u);
  const int64 row_tiles = (rows + 127) / 128;

  wait_for_predecessor<Config>();
  for (int64 tile = blockIdx.y; tile < row_tiles; tile += gridDim.y) {
    const int64 first = tile * 128 + (threadIdx.x >> 3);
    Words8 block[kPasses];
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      const int64 row = first + i * kRowsPerPass;
      block[i] = Words8{};
      if (unit < units && row < rows) {
        block[i] = load_words8<Config::kLoad256()>(static_cast<const char*>(x) +
                                                   (row * units + unit) * 32);
      }
    }
    const uint32 max_bits = cta_max(maximum_of<Config::kInput()>(block).bits, scratch);
    const auto factors = fp8_factors<Config>(value_of_bits<Config::kInput()>(max_bits), eps);
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      const int64 row = first + i * kRowsPerPass;
      if (unit < units && row < rows) {
        uint32 codes[4];
        encode_e4m3x16<Config, E4m3Nan::nan>(block[i], factors.reciprocal, codes);
        store_words(data + (row * units + unit) * 16, codes);
      }
    }
    if (threadIdx.x == 0) {
      store(scales + tile * gridDim.x + blockIdx.x, factors.scale);
    }
  }
}

}  // namespace fourge_device

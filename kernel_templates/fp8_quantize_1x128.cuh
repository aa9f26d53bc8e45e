// fp8_quantize_1x128: see fourge/fp8_quantize.hpp for the contract.
//
// A thread takes 16 elements of each of kTokensPerCta rows, an octet of lanes a block of 128 of each.
// Lane i of an octet computes the scale of the i-th row's block for all. Grid x runs over the columns,
// y strides over the groups of rows.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/fp8_block.cuh"
#include "device/octet.cuh"
#include "device/store_words.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void fp8_quantize_1x128_kernel(const void* x, uint8* data, float* scales, int64 rows,
                                             int64 cols, float eps) {
  constexpr int kRows = Config::kTokensPerCta;
  constexpr Fp8Storage kStorage = Config::kStorage;
  const int64 units = cols / 16;
  const int64 columns = (units + 7) / 8;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= columns * 8) {
    return;  // whole octets
  }

  wait_for_predecessor<Config>();
  const int lane = static_cast<int>(threadIdx.x & 7u);
  const int64 all_rows = fp8_scale_rows<kStorage>(rows);
  const int64 groups = (all_rows + kRows - 1) / kRows;
  for (int64 group = blockIdx.y; group < groups; group += gridDim.y) {
    const int64 first = group * kRows;
    Words8 block[kRows][1];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      block[i][0] = Words8{};
      if (unit < units && first + i < rows) {
        block[i][0] = load_words8<Config::kLoad256>(static_cast<const char*>(x) +
                                                    ((first + i) * units + unit) * 32);
      }
    }
    uint32 max_bits = 0;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const uint32 of_row = octet_max(maximum_of<Config::kInput>(block[i]).bits);
      max_bits = lane % kRows == i ? of_row : max_bits;
    }
    const auto factors = fp8_factors<Config>(value_of_bits<Config::kInput>(max_bits), eps);
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const float reciprocal = octet_broadcast(factors.reciprocal, i);
      if (unit < units && first + i < rows) {
        uint32 codes[4];
        encode_e4m3x16<Config, E4m3Nan::nan>(block[i][0], reciprocal, codes);
        store_words(data + ((first + i) * units + unit) * 16, codes);
      }
    }
    if (lane < kRows && first + lane < all_rows) {
      store(scales + fp8_scale_offset<kStorage>(first + lane, all_rows, unit / 8, columns),
            first + lane < rows ? factors.scale : 0.0f);
    }
  }
}

}  // namespace fourge_device

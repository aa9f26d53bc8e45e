// The scale of a block-FP8 block, and where 1x128 scales lie.
#pragma once

#include "device/store_words.cuh"
#include "device/ue8m0.cuh"

namespace fourge_device {

enum class Fp8Scale { f32, pow2 };
enum class Fp8Storage { row_major, transposed };

struct Fp8Factors {
  float scale;
  float reciprocal;  // elements are multiplied by it
};

// eps is large enough for a scale that is not subnormal. An infinite amax gives reciprocal 0.
template <class Config>
FOURGE_INLINE Fp8Factors fp8_factors(float amax, float eps) {
  const float scale = div_rn(max_num(amax, eps), 448.0f);
  if constexpr (Config::kScale == Fp8Scale::pow2) {
    const uint32 code = encode_ue8m0_up<Config>(scale);
    return {float_from_bits(code << 23), ue8m0_reciprocal(code)};
  } else {
    return {scale, rcp_rn(scale)};
  }
}

template <Fp8Storage kStorage>
FOURGE_INLINE int64 fp8_scale_rows(int64 rows) {
  return kStorage == Fp8Storage::transposed ? (rows + 3) / 4 * 4 : rows;
}

// Stores the scales of one column of blocks and the rows first to first + kRows - 1. All lanes of an
// octet, which the block belongs to, call with the same bits. Transposed, all_rows (padding included)
// is a multiple of kRows, and one lane stores them at once; otherwise each lane stores one.
template <Fp8Storage kStorage, int kRows>
FOURGE_INLINE void store_fp8_scales(float* scales, const uint32 (&bits)[kRows], int64 first,
                                    int64 all_rows, int64 column, int64 columns) {
  const uint32 lane = threadIdx.x & 7u;
  if constexpr (kStorage == Fp8Storage::transposed) {
    if (lane == 0) {
      store_words(scales + column * all_rows + first, bits);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (lane == static_cast<uint32>(i) && first + i < all_rows) {
        store(scales + (first + i) * columns + column, float_from_bits(bits[i]));
      }
    }
  }
}

}  // namespace fourge_device

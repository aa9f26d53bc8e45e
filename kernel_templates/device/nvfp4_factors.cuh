// What the quantization of an NVFP4 block gives, and what it needs besides the block.
#pragma once

#include "device/four_over_six.cuh"

namespace fourge_device {

__device__ constexpr float kOneSixth() { return 0.16666667163372040f; }

struct Nvfp4Block {
  uint32 codes[2];
  uint32 scale;
};

// What depends on the encode scale G alone: t = G / 6 (exact mode multiplies block maxima by it) and
// d = 1 / G. With kOwnRow, G was computed from the row's largest magnitude, which 4over6 then takes
// for its strict error; construct with both.
template <class Config, bool kOwnRow = false>
struct Nvfp4Factors {
  float g;
  float sixth;
  float decode;
  float row_maximum;
  // Whether decode is right, and neither a product with a finite element nor a reciprocal leaves the
  // normal range. What is not, is left to code that hardly ever runs and calls make_exact() first.
  // 4over6 by the strict error of a row besides needs G * row_maximum to be the divisor, nearly.
  bool ordinary;
  // The same for blocks: their largest magnitude is at most `most`, and below `below` when scaled.
  float most;
  float below;

  FOURGE_INLINE explicit Nvfp4Factors(float global_scale, float largest_of_row = 0.0f)
      : g(global_scale), row_maximum(largest_of_row) {
    sixth = Config::kMath() == MathMode::exact ? mul_rn(g, kOneSixth()) : kOneSixth();
    ordinary = g > 0x1p-100f && g < 0x1p100f;
    decode = Config::kMath() == MathMode::exact ? rcp_rn_normal(g) : rcp_approx(g);
    if constexpr (kRowError<Config, kOwnRow>) {
      constexpr float kDivisor = row_error_divisor(kFourOverSixOf<Config>);
      const float off = absolute(sub_rn(mul_rn(g, row_maximum), kDivisor));
      ordinary = ordinary && row_maximum > 0x1p-60f && off <= kDivisor * 0x1p-21f;
    }
    most = ordinary ? float_from_bits(0x7F7FFFFFu) : -1.0f;
    below = ordinary ? 7.0f : 0.0f;
  }

  FOURGE_INLINE void make_exact() { decode = reciprocal<Config>(g); }
};

}  // namespace fourge_device

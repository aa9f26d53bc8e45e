// The scale of a row (token), from its largest magnitude.
#pragma once

#include "device/nvfp4_block.cuh"

namespace fourge_device {

struct TokenScale {
  float encode;  // G: multiplies block maxima
  float decode;  // what is stored
};

// given: 1 / (448 * 6) or 1 / (256 * 6), of which token_scale_given() is what all rows have in common. A row of zeros
// (subnormals count as zero) has token scale 0 in every mode; its G only keeps block scales at zero. In fast mode so has
// one whose scale is flushed to zero: with the reciprocal of that, which is infinite, its block scales would be NaN.
template <class Config>
FOURGE_INLINE float token_scale_given(float given) {
  return Config::kMath() == MathMode::exact ? rcp_rn(given) : given;
}
template <class Config>
FOURGE_INLINE TokenScale token_scale_of(float row_maximum, float given) {
  TokenScale scale;
  if constexpr (Config::kMath() == MathMode::exact) {
    const float ratio = min_num(div_rn(given, row_maximum), kFloatMax());
    scale.encode = is_zero(ratio) ? 1.0f : ratio;
    scale.decode = rcp_rn(scale.encode);
  } else {
    scale.decode = mul_rn(row_maximum, given);
    scale.encode = rcp_approx(scale.decode);
  }
  const bool zero = is_zero(Config::kMath() == MathMode::exact ? row_maximum : scale.decode);
  if (zero) {
    scale.encode = kFourOverSixOf<Config> == FourOverSix::off ? kFloatMax() : 0.0f;
    scale.decode = 0.0f;
  }
  return scale;
}
template <class Config>
FOURGE_INLINE TokenScale token_scale(float row_maximum, float given) {
  return token_scale_of<Config>(row_maximum, token_scale_given<Config>(given));
}

}  // namespace fourge_device

// The scale of a block-FP8 block, and where 1x128 scales lie.
#pragma once

#include "device/float_math.cuh"
#include "device/ue8m0.cuh"

namespace fourge_device {

enum class Fp8Scale { f32, pow2 };
enum class Fp8Storage { row_major, transposed };

struct Fp8Factors {
  float scale;
  float reciprocal;  // elements are multiplied by it
};

// RN(a / 448), a not NaN, if that is a normal number. Instructions for division would bring a call.
FOURGE_INLINE float divide_by_448(float a) {
  const bool tiny = a < 8.6736174e-19f;  // 2^-60
  const float up = tiny ? 18446744073709551616.0f : 1.0f;
  const float down = tiny ? 5.4210108624275222e-20f : 1.0f;
  constexpr float kInverse = 0.0022321429569274187f;
  const float quotient = mul_rn(divide_by_constant(mul_rn(a, up), 448.0f, kInverse), down);
  return a > kFloatMax() ? a : quotient;
}

// eps is large enough for a scale that is not subnormal. An infinite amax gives reciprocal 0.
template <class Config>
FOURGE_INLINE Fp8Factors fp8_factors(float amax, float eps) {
  const float scale = divide_by_448(max_num(amax, eps));
  if constexpr (Config::kScale() == Fp8Scale::pow2) {
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

// Where the scale of a row's block lies; all_rows includes the padding.
template <Fp8Storage kStorage>
FOURGE_INLINE int64 fp8_scale_offset(int64 row, int64 all_rows, int64 column, int64 columns) {
  return kStorage == Fp8Storage::transposed ? column * all_rows + row : row * columns + column;
}

}  // namespace fourge_device

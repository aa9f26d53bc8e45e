// 2^z of exact mode, by single-rounding operations, so that every target and the CPU give the same bits.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

// p * 2^n in two factors, since n may lie beyond the range of exponents.
FOURGE_INLINE float times_power_of_two(float p, int n) {
  const int half = n >> 1;
  const float a = float_from_bits(static_cast<uint32>(half + 127) << 23);
  const float b = float_from_bits(static_cast<uint32>(n - half + 127) << 23);
  return mul_rn(mul_rn(p, a), b);
}

// 2^f of |f| <= 0.5.
FOURGE_INLINE float exp2_of_fraction(float f) {
  float p = float_from_bits(0x3922363Fu);
  p = fma_rn(p, f, float_from_bits(0x3AAFA464u));
  p = fma_rn(p, f, float_from_bits(0x3C1D94ECu));
  p = fma_rn(p, f, float_from_bits(0x3D635766u));
  p = fma_rn(p, f, float_from_bits(0x3E75FDF0u));
  p = fma_rn(p, f, float_from_bits(0x3F317218u));
  return fma_rn(p, f, 1.0f);
}

// 1.5 * 2^23: adding it leaves the nearest integer
__device__ constexpr float kExp2Shift() { return 12582912.0f; }

// 2^z with an error below one unit in the last place; overflows to infinity, underflows to 0. NaN gives
// what the smallest argument gives: 0.
FOURGE_INLINE float exp2_polynomial(float z) {
  const float bounded = min_num(max_num(z, -200.0f), 200.0f);
  const float shifted = add_rn(bounded, kExp2Shift());
  const float f = sub_rn(bounded, sub_rn(shifted, kExp2Shift()));  // in [-0.5, 0.5], exact
  return times_power_of_two(exp2_of_fraction(f),
                            static_cast<int>(float_bits(shifted) - 0x4B400000u));
}

// The same for |z| <= 120: the power of two goes into the exponent directly.
FOURGE_INLINE float exp2_polynomial_normal(float z) {
  const float shifted = add_rn(z, kExp2Shift());
  const float f = sub_rn(z, sub_rn(shifted, kExp2Shift()));
  return float_from_bits(float_bits(exp2_of_fraction(f)) + (float_bits(shifted) << 23));
}

}  // namespace fourge_device

// SiLU, as numerics.md 10.4 writes it: silu(g) = g / (1 + 2^(-g log2 e)).
//
// In exact mode the exponential is a fixed polynomial in single-rounding operations and the division is
// correctly rounded, so that every target and the CPU give the same bits; in fast mode both are the
// approximate instructions.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

// 2^z with an error below one unit in the last place; overflows to infinity, underflows to 0. NaN gives
// what the smallest argument gives: 0.
FOURGE_INLINE float exp2_polynomial(float z) {
  const float bounded = min_num(max_num(z, -200.0f), 200.0f);
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer
  const float shifted = add_rn(bounded, kRound);
  const float f = sub_rn(bounded, sub_rn(shifted, kRound));  // in [-0.5, 0.5], exact
  float p = float_from_bits(0x3922363Fu);
  p = fma_rn(p, f, float_from_bits(0x3AAFA464u));
  p = fma_rn(p, f, float_from_bits(0x3C1D94ECu));
  p = fma_rn(p, f, float_from_bits(0x3D635766u));
  p = fma_rn(p, f, float_from_bits(0x3E75FDF0u));
  p = fma_rn(p, f, float_from_bits(0x3F317218u));
  p = fma_rn(p, f, 1.0f);
  // 2^n in two factors, since n may lie beyond the range of exponents.
  const int n = static_cast<int>(float_bits(shifted) - 0x4B400000u);
  const int half = n >> 1;
  const float a = float_from_bits(static_cast<uint32>(half + 127) << 23);
  const float b = float_from_bits(static_cast<uint32>(n - half + 127) << 23);
  return mul_rn(mul_rn(p, a), b);
}

template <MathMode kMath>
FOURGE_INLINE float silu(float g) {
  const float z = mul_rn(g, float_from_bits(0xBFB8AA3Bu));
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (kMath == MathMode::fast) {
    float e;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(z));
    float s;
    asm("div.approx.ftz.f32 %0, %1, %2;" : "=f"(s) : "f"(g), "f"(add_rn(1.0f, e)));
    return s;
  }
#endif
  return div_rn(g, add_rn(1.0f, exp2_polynomial(z)));
}

}  // namespace fourge_device

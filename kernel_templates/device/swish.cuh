// g * sigmoid(t) = g / (1 + 2^(-t log2 e)): SiLU for t = g, and the form with a slope for t = alpha * g.
// In exact mode the same bits as silu() for t = g.
#pragma once

#include "device/activation.cuh"

namespace fourge_device {

// NaN if a is; b is a number.
FOURGE_INLINE float min_or_nan(float a, float b) {
#if defined(FOURGE_HOST_EXECUTION)
  return is_nan(a) ? a : min_num(a, b);
#else
  float r;
  asm("min.NaN.ftz.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
#endif
}
FOURGE_INLINE float max_or_nan(float a, float b) {
#if defined(FOURGE_HOST_EXECUTION)
  return is_nan(a) ? a : max_num(a, b);
#else
  float r;
  asm("max.NaN.ftz.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
  return r;
#endif
}

template <MathMode kMath>
FOURGE_INLINE float swish(float g, float t) {
  const float z = mul_rn(t, float_from_bits(0xBFB8AA3Bu));
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

// swish<exact> with fewer operations, for |t| <= kBoundedSwish and t no more than 32 times as large
// as g; NaN of g too. The power of two goes into the exponent directly: below 2^-126 the sum is 1
// whatever becomes of it. With that denominator, between 1 and 2^126, the quotient needs no care for
// the range.
inline constexpr float kBoundedSwish = 87.0f;

FOURGE_INLINE float swish_bounded(float g, float t) {
  const float z = mul_rn(t, float_from_bits(0xBFB8AA3Bu));
  constexpr float kRound = 12582912.0f;  // as in exp2_polynomial()
  const float shifted = add_rn(z, kRound);
  const float f = sub_rn(z, sub_rn(shifted, kRound));
  float p = float_from_bits(0x3922363Fu);
  p = fma_rn(p, f, float_from_bits(0x3AAFA464u));
  p = fma_rn(p, f, float_from_bits(0x3C1D94ECu));
  p = fma_rn(p, f, float_from_bits(0x3D635766u));
  p = fma_rn(p, f, float_from_bits(0x3E75FDF0u));
  p = fma_rn(p, f, float_from_bits(0x3F317218u));
  p = fma_rn(p, f, 1.0f);
  const float d = add_rn(1.0f, float_from_bits(float_bits(p) + (float_bits(shifted) << 23)));
#if defined(FOURGE_HOST_EXECUTION)
  return div_rn(g, d);
#else
  // Newton's step on the reciprocal, then two on the quotient, whose remainders are exact; their signs
  // are such that -0 stays -0.
  float r = rcp_approx(d);
  r = fma_rn(r, fma_rn(-d, r, 1.0f), r);
  float q = mul_rn(g, r);
  q = fma_rn(fma_rn(d, q, -g), -r, q);
  return fma_rn(fma_rn(d, q, -g), -r, q);
#endif
}

}  // namespace fourge_device

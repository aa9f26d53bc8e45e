// g * sigmoid(t), sigmoid(t) = 1 / (1 + 2^(-t log2 e)): SiLU for t = g, and the form with a slope for
// t = alpha * g. docs/numerics.md defines the steps of exact mode; in fast mode exponential and division
// are the approximate instructions.
#pragma once

#include "device/exp2.cuh"

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

// 2^f * 2^n = 2^(-t log2 e): n an integer (shifted: plus kSigmoidShift), |f| at most about a half.
struct SigmoidPower {
  float shifted;
  float power_of_f;
};

// 1.5 * 2^23: adding it leaves the nearest integer
__device__ constexpr float kSigmoidShift() { return 12582912.0f; }

FOURGE_INLINE SigmoidPower sigmoid_power(float t) {
  const float factor = float_from_bits(0xBFB8AA3Bu);
  SigmoidPower e;
  e.shifted = fma_rn(t, factor, kSigmoidShift());
  const float f = fma_rn(t, factor, sub_rn(kSigmoidShift(), e.shifted));
  float p = float_from_bits(0x3AADED3Du);
  p = fma_rn(p, f, float_from_bits(0x3C1E7458u));
  p = fma_rn(p, f, float_from_bits(0x3D635B6Cu));
  p = fma_rn(p, f, float_from_bits(0x3E75FCE1u));
  p = fma_rn(p, f, float_from_bits(0x3F317215u));
  e.power_of_f = fma_rn(p, f, 1.0f);
  return e;
}

// Of any t; NaN gives what infinity gives: 1.
FOURGE_INLINE float sigmoid_any(float t) {
  const SigmoidPower e = sigmoid_power(max_num(min_num(t, 128.0f), -128.0f));
  const int n = static_cast<int>(float_bits(e.shifted) - float_bits(kSigmoidShift()));
  return rcp_rn(add_rn(1.0f, times_power_of_two(e.power_of_f, n)));
}

// The same for |t| <= kBoundedSwish, with fewer operations: the power of two goes into the exponent
// directly (below 2^-126 the sum is 1 whatever becomes of it), and the reciprocal is of an ordinary
// number.
__device__ constexpr float kBoundedSwish() { return 86.0f; }

FOURGE_INLINE float sigmoid_bounded(float t) {
  const SigmoidPower e = sigmoid_power(t);
  return rcp_rn_normal(
      add_rn(1.0f, float_from_bits(float_bits(e.power_of_f) + (float_bits(e.shifted) << 23))));
}

// kBounded: the caller knows that |t| <= kBoundedSwish (NaN only if g is).
template <MathMode kMath, bool kBounded = false>
FOURGE_INLINE float swish(float g, float t) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (kMath == MathMode::fast) {
    const float z = mul_rn(t, float_from_bits(0xBFB8AA3Bu));
    float e;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(z));
    float s;
    asm("div.approx.ftz.f32 %0, %1, %2;" : "=f"(s) : "f"(g), "f"(add_rn(1.0f, e)));
    return s;
  }
#endif
  return mul_rn(g, kBounded ? sigmoid_bounded(t) : sigmoid_any(t));
}

// g * sigmoid(t) for z = -t log2 e and |t| <= kBoundedSwish, by the approximate instructions.
FOURGE_INLINE float swish_near(float g, float z) {
#if defined(FOURGE_HOST_EXECUTION)
  // About as far off as it may be for small z, up or down by what the bits happen to be.
  const float near = mul_rn(g, sigmoid_bounded(mul_rn(z, -0.69314718f)));
  const uint32 bits = float_bits(near);
  const bool ordinary = absolute(near) > 1e-30f && absolute(near) < 1e30f;
  return ordinary ? float_from_bits(bits + (bits * 0x9E3779B1u >> 29) - 4u) : near;
#else
  float e;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(z));
  return mul_rn(g, rcp_approx(add_rn(1.0f, e)));
#endif
}

}  // namespace fourge_device

// SwiGLU by approximate instructions, with a bound on how far it is from exact arithmetic.
#pragma once

#include "device/swiglu.cuh"

namespace fourge_device {

// What swiglu() gives, nearly and but for a factor that a block has in common: the scales, in the plain form.
template <class Config>
struct NearSwiglu {
  float linear_scale;
  float gate_scale;
  SwigluFactors factors;
  float z_factor;   // z = code * z_factor
  float largest_t;  // no |t| is larger, whatever the code, which is at most 448

  FOURGE_INLINE NearSwiglu(float of_linear, float of_gate, const SwigluFactors& f) : factors(f) {
    constexpr float kMinusLog2E = -1.44269502f;
    linear_scale = of_linear;
    gate_scale = of_gate;
    largest_t = mul_rn(absolute(gate_scale), 448.0f);
    if constexpr (Config::kForm() == SwigluForm::clamped) {
      const float slope = absolute(factors.alpha);
      largest_t = slope <= 32.0f ? mul_rn(slope, largest_t) : kFloatMax();
    }
    z_factor = mul_rn(gate_scale, kMinusLog2E);
  }
  FOURGE_INLINE float value(float l, float g) const {
    if constexpr (Config::kForm() == SwigluForm::clamped) {
      constexpr float kMinusLog2E = -1.44269502f;
      const float gate = min_or_nan(mul_rn(gate_scale, g), factors.limit);
      const float linear =
          max_or_nan(min_or_nan(mul_rn(linear_scale, l), factors.limit), -factors.limit);
      return mul_rn(add_rn(linear, factors.beta),
                    swish_near(gate, mul_rn(mul_rn(factors.alpha, gate), kMinusLog2E)));
    } else {
      return mul_rn(l, swish_near(g, mul_rn(g, z_factor)));
    }
  }
  // The sign of the common factor, as a bit.
  FOURGE_INLINE uint32 sign() const {
    if constexpr (Config::kForm() == SwigluForm::clamped) {
      return 0;
    } else {
      return (float_bits(linear_scale) ^ float_bits(gate_scale)) & 0x80000000u;
    }
  }
  // Whether value() of a block with this maximum is within off() of what exact arithmetic gives,
  // except where both are less than a 2^-20th of the maximum's last place: nothing that matters may
  // be subnormal, in either arithmetic.
  FOURGE_INLINE bool holds(float near_max) const {
    // 2^-30 <= |v| < 2^30, all without a branch.
    const auto within = [](float v) { return float_bits(v) * 2 - (97u << 24) < 60u << 24; };
    bool all = within(linear_scale) & within(near_max);
    if constexpr (Config::kForm() == SwigluForm::clamped) {
      all = all & (absolute(factors.beta) < 1e18f);
    }
    return all & (absolute(gate_scale) >= 9.3132257e-10f) & (largest_t <= kBoundedSwish());
  }
  // As a part of the quotient of a value and the maximum, with all roundings until it is a code. In units of
  // 2^-24: three roundings of z, times ln 2, make at most 3.1 |t| of the exponential, which has 2 units in
  // the last place (4) beside, exact mode's 4; sums, reciprocals, products and scales 10 more. All
  // that twice, for the value and the maximum, and 10 for the quotients: 46 + 6.2 |t|.
  FOURGE_INLINE float off() const {
    return fma_rn(largest_t, 8.0f * 5.9604645e-8f, 64.0f * 5.9604645e-8f);
  }
};

}  // namespace fourge_device

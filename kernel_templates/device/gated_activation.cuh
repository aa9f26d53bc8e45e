// Activations of exact mode: single-rounding operations throughout, the same bits on every target and
// the CPU.
#pragma once

#include "device/swish.cuh"

namespace fourge_device {

enum class ActivationKind { swiglu, geglu, geglu_tanh, clamped, relu2, silu, gelu, identity };

template <ActivationKind kKind>
constexpr bool kIsGated = kKind == ActivationKind::swiglu || kKind == ActivationKind::geglu ||
                          kKind == ActivationKind::geglu_tanh || kKind == ActivationKind::clamped;

struct ActivationFactors {
  float limit;
  float alpha;
  float beta;
};

// Within 2 units in the last place. Below 0.9 x + x * p(x^2); above, 1 - 2^r(|x|), r fitted to log2 of
// the complement, which is nothing from 4 on. NaN gives 1.
FOURGE_INLINE float erf_polynomial(float x) {
  const float t = min_num(absolute(x), 4.0f);
  const float s = mul_rn(t, t);
  float p = float_from_bits(0xBA1F8E1Bu);
  p = fma_rn(p, s, float_from_bits(0x3BA43935u));
  p = fma_rn(p, s, float_from_bits(0xBCDB5FD7u));
  p = fma_rn(p, s, float_from_bits(0x3DE70EFFu));
  p = fma_rn(p, s, float_from_bits(0xBEC0937Eu));
  p = fma_rn(p, s, float_from_bits(0x3E0375D3u));
  const float small = fma_rn(p, t, t);
  float r = float_from_bits(0xB7F9AA43u);
  r = fma_rn(r, t, float_from_bits(0x3A224781u));
  r = fma_rn(r, t, float_from_bits(0xBBC3F4B2u));
  r = fma_rn(r, t, float_from_bits(0x3D1408DFu));
  r = fma_rn(r, t, float_from_bits(0xBE1FCF1Eu));
  r = fma_rn(r, t, float_from_bits(0xBF69F2F7u));
  r = fma_rn(r, t, float_from_bits(0xBFD092BDu));
  r = fma_rn(r, t, float_from_bits(0x3979A12Bu));
  const float large = sub_rn(1.0f, exp2_polynomial_normal(r));  // -26 < r < 1
  return float_from_bits(float_bits(t < 0.9f ? small : large) | (float_bits(x) & 0x80000000u));
}

// 0.5 g (1 + erf(g / sqrt 2)).
FOURGE_INLINE float gelu_erf(float g) {
  const float e = erf_polynomial(mul_rn(g, float_from_bits(0x3F3504F3u)));
  return mul_rn(mul_rn(0.5f, g), add_rn(1.0f, e));
}

// 0.5 g (1 + tanh u) = g sigmoid(2 u), u = sqrt(2 / pi) (g + 0.044715 g^3).
template <bool kBounded>
FOURGE_INLINE float gelu_tanh(float g) {
  const float factor =
      fma_rn(mul_rn(g, g), float_from_bits(0x3D922279u), float_from_bits(0x3FCC422Au));
  return swish<MathMode::exact, kBounded>(g, mul_rn(g, factor));
}

// Activations with a sigmoid have a form for gates that are not large, with fewer operations.
template <ActivationKind kKind>
constexpr bool kHasBoundedForm =
    kKind == ActivationKind::swiglu || kKind == ActivationKind::silu ||
    kKind == ActivationKind::geglu_tanh || kKind == ActivationKind::clamped;

// Whether that form serves for gates up to a magnitude; false if it is NaN. 2 u is 76.4 at 9.5.
template <ActivationKind kKind>
FOURGE_INLINE bool is_bounded(float largest, const ActivationFactors& factors) {
  if constexpr (kKind == ActivationKind::geglu_tanh) {
    return largest <= 9.5f;
  } else if constexpr (kKind == ActivationKind::clamped) {
    return largest <= kFloatMax() && mul_rn(absolute(factors.alpha), largest) <= kBoundedSwish();
  } else {
    return largest <= kBoundedSwish();
  }
}

// g: what goes through the nonlinearity; l: the other half, for gated ones. kBounded: the caller knows that
// is_bounded() holds.
template <ActivationKind kKind, bool kBounded = false>
FOURGE_INLINE float activate(float g, float l, const ActivationFactors& factors) {
  if constexpr (kKind == ActivationKind::swiglu) {
    return mul_rn(swish<MathMode::exact, kBounded>(g, g), l);
  } else if constexpr (kKind == ActivationKind::geglu) {
    return mul_rn(gelu_erf(g), l);
  } else if constexpr (kKind == ActivationKind::geglu_tanh) {
    return mul_rn(gelu_tanh<kBounded>(g), l);
  } else if constexpr (kKind == ActivationKind::clamped) {
    const float bounded = min_or_nan(g, factors.limit);
    const float linear = max_or_nan(min_or_nan(l, factors.limit), -factors.limit);
    return mul_rn(swish<MathMode::exact, kBounded>(bounded, mul_rn(factors.alpha, bounded)),
                  add_rn(linear, factors.beta));
  } else if constexpr (kKind == ActivationKind::relu2) {
    const float positive = max_or_nan(g, 0.0f);
    return mul_rn(positive, positive);
  } else if constexpr (kKind == ActivationKind::silu) {
    return swish<MathMode::exact, kBounded>(g, g);
  } else if constexpr (kKind == ActivationKind::gelu) {
    return gelu_erf(g);
  } else {
    return g;
  }
}

}  // namespace fourge_device

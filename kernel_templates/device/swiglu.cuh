// SwiGLU of E4M3 numbers with a scale for each half, a thread's share of a row at a time.
#pragma once

#include "device/e4m3_decode.cuh"
#include "device/swish.cuh"

namespace fourge_device {

enum class SwigluForm { plain, clamped };

struct SwigluFactors {
  float limit;
  float alpha;
  float beta;
};

// Codes, four a word, and their scales.
template <int kWords>
struct SwigluRow {
  uint32 linear[kWords];
  uint32 gate[kWords];
  float linear_scale;
  float gate_scale;
};

// kBounded: the caller knows that |t| and alpha are small enough for it.
template <class Config, bool kBounded>
FOURGE_INLINE float swiglu(float linear, float gate, const SwigluFactors& factors) {
  float t = gate;
  if constexpr (Config::kForm() == SwigluForm::clamped) {
    gate = min_or_nan(gate, factors.limit);
    linear = add_rn(max_or_nan(min_or_nan(linear, factors.limit), -factors.limit), factors.beta);
    t = mul_rn(factors.alpha, gate);
  }
  return mul_rn(linear, swish<Config::kMath(), kBounded>(gate, t));
}

template <class Config>
FOURGE_INLINE void swiglu_word(uint32 linear, uint32 gate, float linear_scale, float gate_scale,
                               const SwigluFactors& factors, float (&out)[4]) {
  const Floats4 l = decode_e4m3x4<Config>(linear);
  const Floats4 g = decode_e4m3x4<Config>(gate);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[i] =
        swiglu<Config, false>(mul_rn(linear_scale, l.v[i]), mul_rn(gate_scale, g.v[i]), factors);
  }
}

}  // namespace fourge_device

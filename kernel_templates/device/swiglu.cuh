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
  if constexpr (Config::kForm == SwigluForm::clamped) {
    gate = min_or_nan(gate, factors.limit);
    linear = add_rn(max_or_nan(min_or_nan(linear, factors.limit), -factors.limit), factors.beta);
    t = mul_rn(factors.alpha, gate);
  }
  return mul_rn(linear, swish<Config::kMath, kBounded>(gate, t));
}

template <class Config>
FOURGE_INLINE void swiglu_word(uint32 linear, uint32 gate, float linear_scale, float gate_scale,
                               const SwigluFactors& factors, float* out) {
  const Floats4 l = decode_e4m3x4<Config>(linear);
  const Floats4 g = decode_e4m3x4<Config>(gate);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[i] = swiglu<Config, false>(mul_rn(linear_scale, l.v[i]), mul_rn(gate_scale, g.v[i]), factors);
  }
}

template <class Config, int kWords>
FOURGE_INLINE void swiglu_values(SwigluRow<kWords> row, const SwigluFactors& factors,
                                 float (&o)[4 * kWords]) {
  if constexpr (Config::kMath == MathMode::fast) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      swiglu_word<Config>(row.linear[i], row.gate[i], row.linear_scale, row.gate_scale, factors,
                          o + 4 * i);
    }
  } else {
    // Rare, so one copy of it: words and results move through the first and the last place.
#pragma unroll 1
    for (int i = 0; i < kWords; ++i) {
#pragma unroll
      for (int k = 0; k < 4 * kWords - 4; ++k) {
        o[k] = o[k + 4];
      }
      swiglu_word<Config>(row.linear[0], row.gate[0], row.linear_scale, row.gate_scale, factors,
                          o + 4 * kWords - 4);
#pragma unroll
      for (int k = 0; k + 1 < kWords; ++k) {
        row.linear[k] = row.linear[k + 1];
        row.gate[k] = row.gate[k + 1];
      }
    }
  }
}

}  // namespace fourge_device

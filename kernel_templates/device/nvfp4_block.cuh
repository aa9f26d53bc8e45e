// One NVFP4 block: 16 elements to 16 E2M1 codes and an E4M3 block scale, for an encode scale G.
#pragma once

#include "device/e2m1.cuh"
#include "device/e4m3.cuh"

namespace fourge_device {

struct Nvfp4Block {
  uint32 codes[2];
  uint32 scale;
};

// What depends on G alone: t = G / 6 (exact mode multiplies block maxima by it) and d = 1 / G.
template <class Config>
struct Nvfp4Factors {
  float g;
  float sixth;
  float decode;

  FOURGE_INLINE explicit Nvfp4Factors(float global_scale) : g(global_scale) {
    constexpr float kOneSixth = 0.16666667163372040f;
    sixth = Config::kMath == MathMode::exact ? mul_rn(g, kOneSixth) : kOneSixth;
    decode = Config::kMath == MathMode::exact ? rcp_rn(g) : rcp_approx(g);
  }
};

// The factor o that elements are multiplied by. A zero block gets 0. Exact mode caps the reciprocal
// of an underflowed scale at the largest float; fast mode takes 0 there.
template <class Config>
FOURGE_INLINE float nvfp4_output_scale(float amax, float scale, const Nvfp4Factors<Config>& f) {
  const float p = mul_rn(scale, f.decode);
  if constexpr (Config::kMath == MathMode::exact) {
    return is_zero(amax) ? 0.0f : min_num(rcp_rn(p), kFloatMax);
  } else {
    return is_zero(amax) || scale == 0.0f ? 0.0f : rcp_approx(p);
  }
}

template <class Config>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block(const Words8& x, const Nvfp4Factors<Config>& f) {
  using P = Packed16<Config::kInput>;
  uint32 max_bits = block_max_bits<Config::kInput>(x.w);
  const bool unusual = max_bits >= P::kInfinity;
  if (max_bits > P::kInfinity) {
    max_bits = block_max_bits_skip_nan<Config::kInput>(x.w);
  }
  const float amax = value_of_bits<Config::kInput>(max_bits);

  float s;
  if constexpr (Config::kMath == MathMode::exact) {
    s = is_zero(amax) ? 0.0f : mul_rn(amax, f.sixth);
  } else {
    s = mul_rn(f.g, mul_rn(amax, f.sixth));
  }
  Nvfp4Block block;
  block.scale = encode_e4m3<Config>(s);
  const float o = nvfp4_output_scale<Config>(amax, decode_e4m3_magnitude(block.scale), f);

  block.codes[0] = encode_e2m1x8<Config>(x.w[0], x.w[1], x.w[2], x.w[3], o);
  block.codes[1] = encode_e2m1x8<Config>(x.w[4], x.w[5], x.w[6], x.w[7], o);
  if constexpr (!Config::kCvtE2m1) {
    if (unusual || o > kFloatMax) {
      block.codes[0] = repair_nan_codes<Config>(block.codes[0], x.w, 0, o);
      block.codes[1] = repair_nan_codes<Config>(block.codes[1], x.w, 4, o);
    }
  }
  return block;
}

}  // namespace fourge_device

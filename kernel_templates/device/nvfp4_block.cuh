// One NVFP4 block: 16 elements to 16 E2M1 codes and an E4M3 block scale, for an encode scale G.
#pragma once

#include "device/e2m1.cuh"
#include "device/e4m3.cuh"
#include "device/nvfp4_4over6.cuh"
#include "device/nvfp4_factors.cuh"

namespace fourge_device {

// Config::kFourOverSix, or off for an op without that axis.
template <class Config, class = int>
constexpr FourOverSix kFourOverSixOf = FourOverSix::off;
template <class Config>
constexpr FourOverSix kFourOverSixOf<Config, decltype(static_cast<int>(Config::kFourOverSix))> =
    Config::kFourOverSix;

// The factor o that elements are multiplied by. A zero block gets 0. Exact mode caps the reciprocal
// of an underflowed scale at the largest float; fast mode takes 0 there.
template <class Config>
FOURGE_INLINE float nvfp4_output_scale(float amax, float scale, float decode) {
  const float p = mul_rn(scale, decode);
  if constexpr (Config::kMath == MathMode::exact) {
    return is_zero(amax) ? 0.0f : min_num(rcp_rn(p), kFloatMax);
  } else {
    return is_zero(amax) || scale == 0.0f ? 0.0f : rcp_approx(p);
  }
}

struct BlockMaximum {
  float value;   // NaN skipped
  bool unusual;  // there is a NaN or an infinity
};

// kFinite: the caller knows that there is neither.
template <class Config, bool kFinite = false>
FOURGE_INLINE BlockMaximum block_maximum(const Words8& x) {
  using P = Packed16<Config::kInput>;
  uint32 max_bits = block_max_bits<Config::kInput>(x.w);
  if constexpr (kFinite) {
    return {value_of_bits<Config::kInput>(max_bits), false};
  }
  const bool unusual = max_bits >= P::kInfinity;
  if (max_bits > P::kInfinity) {
    max_bits = block_max_bits_skip_nan<Config::kInput>(x.w);
  }
  return {value_of_bits<Config::kInput>(max_bits), unusual};
}

// kFinite: the caller knows that o is finite too.
template <class Config, bool kFinite = false>
FOURGE_INLINE void encode_block(const Words8& x, float o, bool unusual, Nvfp4Block& block) {
  block.codes[0] = encode_e2m1x8<Config>(x.w[0], x.w[1], x.w[2], x.w[3], o);
  block.codes[1] = encode_e2m1x8<Config>(x.w[4], x.w[5], x.w[6], x.w[7], o);
  if constexpr (!Config::kCvtE2m1 && !kFinite) {
    if (unusual || o > kFloatMax) {
      block.codes[0] = repair_nan_codes<Config>(block.codes[0], x.w, 0, o);
      block.codes[1] = repair_nan_codes<Config>(block.codes[1], x.w, 4, o);
    }
  }
}

template <class Config, bool kFinite = false, bool kOwnRow = false>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_plain(const Words8& x,
                                                    const Nvfp4Factors<Config, kOwnRow>& f) {
  const BlockMaximum maximum = block_maximum<Config, kFinite>(x);
  const float amax = maximum.value;
  float s;
  if constexpr (Config::kMath == MathMode::exact) {
    s = is_zero(amax) ? 0.0f : mul_rn(amax, f.sixth);
  } else {
    s = mul_rn(f.g, mul_rn(amax, f.sixth));
  }
  Nvfp4Block block;
  block.scale = encode_e4m3<Config>(s);
  const float o = nvfp4_output_scale<Config>(amax, decode_e4m3_magnitude(block.scale), f.decode);
  encode_block<Config, kFinite>(x, o, maximum.unusual, block);
  return block;
}

// The entry for every op: with 4over6 or without, as the variant has it.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block(const Words8& x,
                                              const Nvfp4Factors<Config, kOwnRow>& f) {
  if constexpr (kFourOverSixOf<Config> != FourOverSix::off) {
    return quantize_nvfp4_block_4over6<Config>(x, f);
  } else {
    return quantize_nvfp4_block_plain<Config>(x, f);
  }
}

}  // namespace fourge_device

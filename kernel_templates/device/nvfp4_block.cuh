// One NVFP4 block: 16 elements to 16 E2M1 codes and an E4M3 block scale, for an encode scale G.
#pragma once

#include "device/e2m1.cuh"
#include "device/e2m1_value.cuh"
#include "device/e4m3.cuh"
#include "device/nvfp4_4over6.cuh"
#include "device/nvfp4_factors.cuh"

namespace fourge_device {

// The factor o that elements are multiplied by. A zero block gets 0. Exact mode caps the reciprocal
// of an underflowed scale at the largest float; fast mode takes 0 there.
template <class Config>
FOURGE_INLINE float nvfp4_output_scale(float amax, float scale, float decode) {
  const float p = mul_rn(scale, decode);
  if constexpr (Config::kMath() == MathMode::exact) {
    return is_zero(amax) ? 0.0f : min_num(rcp_rn(p), kFloatMax());
  } else {
    return is_zero(amax) || scale == 0.0f ? 0.0f : rcp_approx(p);
  }
}

struct BlockMaximum {
  float value;   // NaN skipped
  bool unusual;  // there is a NaN or an infinity
};

template <class Config>
FOURGE_INLINE BlockMaximum block_maximum(const Words8& x) {
  using P = Packed16<Config::kInput()>;
  uint32 max_bits = block_max_bits<Config::kInput()>(x.w);
  const bool unusual = max_bits >= P::kInfinity;
  if (unlikely(max_bits > P::kInfinity)) {
    max_bits = block_max_bits_skip_nan<Config::kInput()>(x.w);
  }
  return {value_of_bits<Config::kInput()>(max_bits), unusual};
}

// Of any block. One copy of the encoding's code: the second half moves up.
template <class Config>
FOURGE_INLINE void encode_block(const Words8& x, float o, bool unusual, Nvfp4Block& block) {
  Words8 rest = x;
#pragma unroll 1
  for (int i = 0; i < 2; ++i) {
    block.codes[0] = block.codes[1];
    block.codes[1] = encode_e2m1x8<Config>(rest.w[0], rest.w[1], rest.w[2], rest.w[3], o);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      rest.w[k] = rest.w[k + 4];
    }
  }
  if constexpr (!Config::kCvtE2m1()) {
    if (unlikely(unusual || !(o <= kFloatMax()))) {
      repair_nan_codes<Config>(block.codes, x.w, o);
    }
  }
}

// s, the block scale before its rounding.
template <class Config, bool kOwnRow>
FOURGE_INLINE float nvfp4_scale_of(float amax, const Nvfp4Factors<Config, kOwnRow>& f) {
  if constexpr (Config::kMath() == MathMode::exact) {
    return mul_rn(amax, f.sixth);
  } else {
    return mul_rn(f.g, mul_rn(amax, kOneSixth()));
  }
}

// Any block, any factors.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_any(const Words8& x,
                                                  const Nvfp4Factors<Config, kOwnRow>& f) {
  const BlockMaximum maximum = block_maximum<Config>(x);
  const float amax = maximum.value;
  const float s =
      Config::kMath() == MathMode::exact && is_zero(amax) ? 0.0f : nvfp4_scale_of(amax, f);
  Nvfp4Block block = {};
  block.scale = encode_e4m3<Config>(s);
  const float scale = decode_e4m3_magnitude<Config>(block.scale);
  encode_block<Config>(x, nvfp4_output_scale<Config>(amax, scale, f.decode), maximum.unusual,
                       block);
  return block;
}

// A block of finite elements with ordinary factors, none of them scaled to 7 or beyond: the same bits
// with fewer operations. Nothing overflows, becomes NaN or needs the reciprocal's slow path, and rounding
// alone ends at 6. In a block of zeros o does not matter. For any other block `ordinary` becomes false.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_ordinary(const Words8& x,
                                                       const Nvfp4Factors<Config, kOwnRow>& f,
                                                       bool& ordinary) {
  const float amax = value_of_packed_nan<Config::kInput()>(block_max_packed<Config::kInput()>(x.w));
  Nvfp4Block block;
  block.scale = encode_e4m3<Config>(nvfp4_scale_of(amax, f));
  const float p = mul_rn(decode_e4m3_magnitudes<Config>(block.scale).first, f.decode);
  float o;
  if constexpr (Config::kMath() == MathMode::exact) {
    o = min_num(rcp_rn_normal(p), kFloatMax());
  } else {
    o = p == 0.0f ? 0.0f : rcp_approx(p);
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32* const w = x.w + 4 * i;
    if constexpr (Config::kCvtE2m1()) {
      block.codes[i] = encode_e2m1x8<Config>(w[0], w[1], w[2], w[3], o);
    } else {
      block.codes[i] = encode_e2m1x8_below_7<Config>(w[0], w[1], w[2], w[3], o);
    }
  }
  if constexpr (Config::kCvtE2m1()) {
    ordinary = ordinary && amax <= f.most;
  } else {
    ordinary = ordinary && mul_rn(amax, o) < f.below;
  }
  return block;
}

// One block, as the variant has it: with 4over6 or without. For ops that take blocks one by one.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block(const Words8& x,
                                              const Nvfp4Factors<Config, kOwnRow>& f) {
  if constexpr (kFourOverSixOf<Config> != FourOverSix::off) {
    return quantize_nvfp4_block_4over6<Config>(x, f);
  } else {
    bool ordinary = true;
    Nvfp4Block block = quantize_nvfp4_block_ordinary<Config>(x, f, ordinary);
    if (unlikely(!ordinary)) {
      Nvfp4Factors<Config, kOwnRow> exact = f;
      exact.make_exact();
      block = quantize_nvfp4_block_any<Config>(x, exact);
    }
    return block;
  }
}

// The kCount blocks of a thread; returns their scales, the i-th in byte i. factors(i) are those of the i-th,
// put(i, block) stores it and returns its scale. If something is out of the ordinary, all is done and stored
// once more, one block after another: so the code that hardly ever runs lies behind the rest, and is
// there once. The words of the blocks are used up.
template <class Config, int kCount, class FactorsOf, class Put>
FOURGE_INLINE uint32 quantize_nvfp4_blocks(Words8 (&x)[kCount], const FactorsOf& factors,
                                           const Put& put) {
  uint32 scales = 0;
  bool ordinary = true;
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    scales |= put(i, quantize_nvfp4_block_ordinary<Config>(x[i], factors(i), ordinary)) << (8 * i);
  }
  if (unlikely(!ordinary)) {
    scales = 0;
#pragma unroll 1
    for (int i = 0; i < kCount; ++i) {
      auto f = factors(i);
      f.make_exact();
      scales |= put(i, quantize_nvfp4_block_any<Config>(x[0], f)) << (8 * i);
#pragma unroll
      for (int k = 0; k + 1 < kCount; ++k) {
        x[k] = x[k + 1];
      }
    }
  }
  return scales;
}

}  // namespace fourge_device

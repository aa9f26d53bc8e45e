// What operations share that quantize what they compute: to NVFP4, MXFP8 or FP8 with a given scale. Values of the
// 16-bit type take the ways of the other operations; others are encoded from binary32 by the same formulas.
#pragma once

#include "device/convert16.cuh"
#include "device/e4m3.cuh"
#include "device/nvfp4_block.cuh"
#include "device/scale_layout.cuh"
#include "device/store_words.cuh"
#include "device/token_scale.cuh"
#include "device/ue8m0.cuh"

namespace fourge_device {

enum class QuantizedFormat { none, nvfp4, mxfp8, fp8 };
enum class Rounding { rounded, unrounded };  // to the 16-bit type, before quantization
enum class Scaling { tensor, token, expert };

// What a row or the tensor gives: G for NVFP4, what elements are multiplied by for FP8.
template <class Config>
struct UnitFactors {
  enum : bool { kOwnRow = Config::kScaling() == Scaling::token };
  Nvfp4Factors<Config, kOwnRow> nvfp4;
  float fp8;
};

// For a scale that is given: the encode scale of NVFP4, the decode scale of FP8.
template <class Config>
FOURGE_INLINE UnitFactors<Config> given_factors(float scale) {
  constexpr bool kFp8 = Config::kFormat() == QuantizedFormat::fp8;
  return {Nvfp4Factors<Config, UnitFactors<Config>::kOwnRow>(kFp8 ? 1.0f : scale),
          kFp8 ? rcp_rn(scale) : 1.0f};
}

// For a row's largest magnitude. NVFP4: given is 1 / (448 * 6) or 1 / (256 * 6). FP8: the row's scale
// is max(maximum / 448, 1 / (512 * 448)).
template <class Config>
FOURGE_INLINE UnitFactors<Config> token_factors(float maximum, float given, float& decode) {
  using Factors = Nvfp4Factors<Config, UnitFactors<Config>::kOwnRow>;
  if constexpr (Config::kFormat() == QuantizedFormat::fp8) {
    decode = max_num(div_rn(maximum, 448.0f), float_from_bits(0x36924925u));  // RN(1 / 229376)
    return {Factors(1.0f), rcp_rn(decode)};
  } else {
    const TokenScale scale = token_scale<Config>(maximum, given);
    decode = scale.decode;
    return {Factors(scale.encode, maximum), 1.0f};
  }
}

// Eight E2M1 codes of v * o.
template <class Config>
FOURGE_INLINE uint32 encode_e2m1_floats(const float* v, float o) {
  uint32 codes = 0;
  if constexpr (Config::kCvtE2m1()) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      codes |= encode_e2m1_pair_instruction(mul_rn(v[2 * i], o), mul_rn(v[2 * i + 1], o))
               << (8 * i);
    }
  } else {
    float lower = 8388608.0f;
    float upper = 8388608.0f;
#pragma unroll
    for (int i = 3; i >= 0; --i) {
      lower = append_code(lower, v[i], o);
      upper = append_code(upper, v[i + 4], o);
    }
    codes = byte_permute(float_bits(lower), float_bits(upper), 0x5410u);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float y = mul_rn(v[i], o);
      codes |= (float_bits(v[i]) >> 31) << (4 * i + 3);
      codes = is_nan(y) ? (codes & ~(15u << (4 * i))) | (7u << (4 * i)) : codes;
    }
  }
  return codes;
}

template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_floats(const float* v,
                                               const Nvfp4Factors<Config, kOwnRow>& f) {
  float amax = 0.0f;
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    amax = max_num(amax, absolute(v[i]));
  }
  Nvfp4Block block;
  block.scale = encode_e4m3<Config>(is_zero(amax) ? 0.0f : nvfp4_scale_of(amax, f));
  const float o = nvfp4_output_scale<Config>(amax, decode_e4m3_magnitude<Config>(block.scale),
                                             reciprocal<Config>(f.g));
  block.codes[0] = encode_e2m1_floats<Config>(v, o);
  block.codes[1] = encode_e2m1_floats<Config>(v + 8, o);
  return block;
}

// Scale columns of a row, without and with the layout's padding.
template <class Config>
FOURGE_INLINE int64 unit_scale_columns(int64 cols) {
  return cols / (Config::kFormat() == QuantizedFormat::nvfp4 ? 16 : 32);
}

}  // namespace fourge_device

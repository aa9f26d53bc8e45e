// Quantization of a unit of 32 values: two NVFP4 blocks, one MXFP8 block, or FP8 with a given scale.
// Values of the 16-bit type take the ways of the other operations; others are encoded from binary32 by
// the same formulas.
#pragma once

#include "device/e4m3.cuh"
#include "device/nvfp4_block.cuh"
#include "device/scale_layout.cuh"
#include "device/token_scale.cuh"
#include "device/ue8m0.cuh"
#include "device/unit32.cuh"

namespace fourge_device {

enum class QuantizedFormat { none, nvfp4, mxfp8, fp8 };
enum class Rounding { rounded, unrounded };  // to the 16-bit type, before quantization
enum class Scaling { tensor, token, expert };

struct QuantizedUnit {
  uint32 w[8];    // NVFP4 has four
  uint32 scales;  // NVFP4: two bytes, MXFP8: one
};

// What a unit's row or tensor gives: G for NVFP4, what elements are multiplied by for FP8.
template <class Config>
struct UnitFactors {
  static constexpr bool kOwnRow = Config::kScaling == Scaling::token;
  Nvfp4Factors<Config, kOwnRow> nvfp4;
  float fp8;
};

// For a scale that is given: the encode scale of NVFP4, the decode scale of FP8.
template <class Config>
FOURGE_INLINE UnitFactors<Config> given_factors(float scale) {
  constexpr bool kFp8 = Config::kFormat == QuantizedFormat::fp8;
  return {Nvfp4Factors<Config, UnitFactors<Config>::kOwnRow>(kFp8 ? 1.0f : scale),
          kFp8 ? rcp_rn(scale) : 1.0f};
}

// For a row's largest magnitude. NVFP4: given is 1 / (448 * 6) or 1 / (256 * 6). FP8: the row's scale
// is max(maximum / 448, 1 / (512 * 448)).
template <class Config>
FOURGE_INLINE UnitFactors<Config> token_factors(float maximum, float given, float& decode) {
  using Factors = Nvfp4Factors<Config, UnitFactors<Config>::kOwnRow>;
  if constexpr (Config::kFormat == QuantizedFormat::fp8) {
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
  if constexpr (Config::kCvtE2m1) {
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

template <class Config>
FOURGE_INLINE QuantizedUnit quantize_unit(const float (&v)[32], const UnitFactors<Config>& f) {
  QuantizedUnit unit = {};
  if constexpr (Config::kFormat == QuantizedFormat::nvfp4) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Nvfp4Block block;
      if constexpr (Config::kRounding == Rounding::rounded) {
        block = quantize_nvfp4_block<Config>(pack_words<Config::kInput>(v + 16 * half), f.nvfp4);
      } else {
        block = quantize_nvfp4_floats<Config>(v + 16 * half, f.nvfp4);
      }
      unit.w[2 * half] = block.codes[0];
      unit.w[2 * half + 1] = block.codes[1];
      unit.scales |= block.scale << (8 * half);
    }
  } else {
    constexpr bool kMx = Config::kFormat == QuantizedFormat::mxfp8;
    float o = f.fp8;
    if constexpr (kMx) {
      const float amax = float_from_bits(unit_magnitude(v));
      unit.scales = encode_ue8m0_up<Config>(mul_rn(amax, 0.0022321429569274187f));  // RN(1/448)
      o = unit.scales == 0 ? 0.0f : ue8m0_reciprocal(unit.scales);
    }
    // In MXFP8 a NaN becomes the largest number.
    const auto scaled = [o](float value) {
      const float y = mul_rn(value, o);
      return kMx ? min_num(y, 448.0f) : y;
    };
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      unit.w[i] = encode_e4m3_pair<Config>(scaled(v[4 * i]), scaled(v[4 * i + 1])) |
                  (encode_e4m3_pair<Config>(scaled(v[4 * i + 2]), scaled(v[4 * i + 3])) << 16);
    }
  }
  return unit;
}

// The two NVFP4 blocks of a packed unit, which starts at a column of the row that starts at `row`, both in
// elements. Stores their codes; returns their scales.
template <class Config, bool kOwnRow, class Index>
FOURGE_INLINE uint32 quantize_unit_words(const UnitWords& unit, uint8* q, int64 row, Index column,
                                         Index cols, const Nvfp4Factors<Config, kOwnRow>& factors) {
  uint64* const to = reinterpret_cast<uint64*>(q + (row + column) / 2);
  const bool whole = column + 16 < cols;
  const auto put = [&](int i, const Nvfp4Block& block) {
    if (i == 0 || whole) {
      store(to + i, block.codes[0] | (static_cast<uint64>(block.codes[1]) << 32));
    }
    return block.scale;
  };
  Words8 words[2] = {unit.half[0], unit.half[1]};
  if constexpr (Config::kFourOverSix == FourOverSix::off) {
    return quantize_nvfp4_blocks<Config>(
        words, [&](int) { return factors; }, put);
  } else {
    uint32 bytes = 0;
#pragma unroll 1
    for (int i = 0; i < 2; ++i) {
      bytes |= put(i, quantize_nvfp4_block<Config>(words[0], factors)) << (8 * i);
      words[0] = words[1];
    }
    return bytes;
  }
}

// Codes of the unit that starts at a column of the row that starts at `row`, both in elements.
template <class Config>
FOURGE_INLINE void store_unit_codes(uint8* q, int64 row, int64 column, int64 cols,
                                    const QuantizedUnit& unit) {
  if constexpr (Config::kFormat == QuantizedFormat::nvfp4) {
    uint64* to = reinterpret_cast<uint64*>(q + (row + column) / 2);
    if (column < cols) {
      store(to, unit.w[0] | (static_cast<uint64>(unit.w[1]) << 32));
    }
    if (column + 16 < cols) {
      store(to + 1, unit.w[2] | (static_cast<uint64>(unit.w[3]) << 32));
    }
  } else {
    const uint32 lower[4] = {unit.w[0], unit.w[1], unit.w[2], unit.w[3]};
    const uint32 upper[4] = {unit.w[4], unit.w[5], unit.w[6], unit.w[7]};
    if (column < cols) {
      store_words(q + row + column, lower);
    }
    if (column + 16 < cols) {
      store_words(q + row + column + 16, upper);
    }
  }
}

// Scale columns of a row, without and with the layout's padding.
template <class Config>
FOURGE_INLINE int64 unit_scale_columns(int64 cols) {
  return cols / (Config::kFormat == QuantizedFormat::nvfp4 ? 16 : 32);
}

// Scales of a row's unit-th unit; the scales of units beyond the row are zero and are stored in the
// padding of tiled layouts. columns: with padding.
template <class Config>
FOURGE_INLINE void store_unit_scales(uint8* scales, int64 row, int64 unit, int64 columns,
                                     uint32 bytes) {
  constexpr ScaleLayout kLayout = Config::kLayout;
  if constexpr (Config::kFormat == QuantizedFormat::mxfp8) {
    if (unit < columns) {
      store(scales + scale_offset<kLayout>(row, unit, columns), static_cast<uint8>(bytes));
    }
  } else if constexpr (Config::kFormat == QuantizedFormat::nvfp4) {
    const int64 column = 2 * unit;
    if (column >= columns) {
      return;
    }
    uint8* to = scales + scale_offset<kLayout>(row, column, columns);
    if (kLayout != ScaleLayout::linear || (columns & 1) == 0) {
      store(reinterpret_cast<uint16*>(to), static_cast<uint16>(bytes));
    } else {
      store(to, static_cast<uint8>(bytes));
      if (column + 1 < columns) {
        store(to + 1, static_cast<uint8>(bytes >> 8));
      }
    }
  }
}

// A whole row of zero scales, by the blockDim.x threads of a row. Tiled layouts only.
template <class Config>
FOURGE_INLINE void store_zero_scales(uint8* scales, int64 row, int64 columns) {
  for (int64 column = threadIdx.x * 4; column < columns; column += blockDim.x * 4) {
    store(reinterpret_cast<uint32*>(scales + scale_offset<Config::kLayout>(row, column, columns)),
          0u);
  }
}

}  // namespace fourge_device

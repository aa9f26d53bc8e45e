// One NVFP4 block with 4over6: encoded with its maximum at 6 (the ordinary way) and with its maximum at
// 4 (a block scale 1.5 times as large); the encoding with the smaller error is kept, 6 if neither is.
//
// Errors are computed on magnitudes, since a code has its element's sign, and summed strictly in the
// order of elements. The ordinary path takes blocks in which no element is scaled to 7 or beyond, so
// that rounding alone ends at 6; the others (NaN, infinities, saturated or subnormal block scales) go
// through a short loop that clamps.
#pragma once

#include "device/e2m1.cuh"
#include "device/e2m1_value.cuh"
#include "device/e4m3.cuh"
#include "device/global_memory.cuh"
#include "device/nvfp4_factors.cuh"

namespace fourge_device {

FOURGE_INLINE constexpr bool uses_squares(FourOverSix choice) {
  return choice == FourOverSix::mse448 || choice == FourOverSix::mse256 ||
         choice == FourOverSix::mse448fast || choice == FourOverSix::mse256fast;
}
FOURGE_INLINE constexpr bool uses_256(FourOverSix choice) {
  return choice == FourOverSix::mae256 || choice == FourOverSix::mse256 ||
         choice == FourOverSix::mae256fast || choice == FourOverSix::mse256fast;
}
FOURGE_INLINE constexpr bool uses_fast_error(FourOverSix choice) {
  return choice == FourOverSix::mae448fast || choice == FourOverSix::mse448fast ||
         choice == FourOverSix::mae256fast || choice == FourOverSix::mse256fast;
}

constexpr float kTinyMaximum = 8.6736174e-19f;  // 2^-60

// RN(amax / 6), any magnitude.
FOURGE_INLINE float sixth_of(float amax) {
  const bool tiny = amax < kTinyMaximum;
  const float up = tiny ? 18446744073709551616.0f : 1.0f;
  const float down = tiny ? 5.4210108624275222e-20f : 1.0f;
  const float sixth = mul_rn(divide_by_constant(mul_rn(amax, up), 6.0f, kOneSixth), down);
  return amax > kFloatMax ? amax : sixth;
}

// The block scale at 6, before its rounding. kOrdinary: amax is finite and not tiny.
template <class Config, bool kOrdinary = false, bool kOwnRow>
FOURGE_INLINE float four_over_six_scale(float amax, const Nvfp4Factors<Config, kOwnRow>& f) {
  if constexpr (Config::kMath == MathMode::exact) {
    return mul_rn(kOrdinary ? divide_by_constant(amax, 6.0f, kOneSixth) : sixth_of(amax), f.g);
  } else {
    return mul_rn(f.g, mul_rn(amax, kOneSixth));
  }
}

// One of the two encodings.
template <class Config, bool kOwnRow>
struct FourOverSixCandidate {
  static constexpr FourOverSix kChoice = Config::kFourOverSix;
  static constexpr bool kRowError = kOwnRow && !uses_fast_error(kChoice);
  static constexpr float kDivisor = uses_256(kChoice) ? 1536.0f : 2688.0f;
  static constexpr float kInverseDivisor =
      uses_256(kChoice) ? 6.5104168606922030e-04f : 3.7202381645329297e-04f;

  uint32 byte;  // E4M3
  float scale;  // its value
  float o;      // elements are multiplied by it
  float unit;   // scale * row maximum / divisor, as the sum of two floats
  float unit_low;
  float error;

  // ordinary: f is.
  FOURGE_INLINE FourOverSixCandidate(uint32 scale_byte, const Nvfp4Factors<Config, kOwnRow>& f,
                                     bool ordinary)
      : byte(scale_byte), scale(decode_e4m3_magnitude<Config>(scale_byte)), error(0.0f) {
    const float p = mul_rn(scale, f.decode);
    const float r =
        Config::kMath == MathMode::exact && ordinary ? rcp_rn_normal(p) : reciprocal<Config>(p);
    if constexpr (Config::kMath == MathMode::exact) {
      o = min_num(r, kFloatMax);
    } else {
      o = scale == 0.0f ? 0.0f : r;
    }
    if constexpr (kRowError) {
      const float product = mul_rn(scale, f.row_maximum);
      unit = divide_by_constant(product, kDivisor, kInverseDivisor);
      unit_low = mul_rn(fma_rn(unit, -kDivisor, product), kInverseDivisor);
    }
  }

  FOURGE_INLINE void add_error(float difference) {
    error = add_rn(error,
                   uses_squares(kChoice) ? mul_rn(difference, difference) : absolute(difference));
  }

  // An element's magnitude x (scaled_x = x * G) that is encoded with magnitude q; only if
  // within_range().
  FOURGE_INLINE void add_ordinary(float q, float x, float scaled_x,
                                  const Nvfp4Factors<Config, kOwnRow>& f) {
    if constexpr (uses_fast_error(kChoice)) {
      add_error(fma_rn(q, scale, -scaled_x));  // q * scale is exact
    } else if constexpr (kRowError) {
      add_error(sub_rn(fma_rn(q, unit, mul_rn(q, unit_low)), x));
    } else {
      add_error(sub_rn(mul_rn(mul_rn(q, scale), f.decode), x));
    }
  }

  // The same for any element and any factors.
  FOURGE_INLINE void add_any(float x, float scaled_x, const Nvfp4Factors<Config, kOwnRow>& f) {
    const float q = round_to_e2m1(min_num(mul_rn(x, o), 6.0f));
    if constexpr (kRowError) {
      add_error(sub_rn(div_rn(mul_rn(mul_rn(q, scale), f.row_maximum), kDivisor), x));
    } else {
      add_ordinary(q, x, scaled_x, f);
    }
  }
};

// Whether two floats hold scale * row maximum / divisor well enough, whatever the scale.
template <class Config, bool kOwnRow>
FOURGE_INLINE bool row_is_ordinary(const Nvfp4Factors<Config, kOwnRow>& f) {
  if constexpr (FourOverSixCandidate<Config, kOwnRow>::kRowError) {
    return f.row_maximum > 8.6736174e-19f && f.row_maximum < 1.2676506e30f;  // 2^-60, 2^100
  } else {
    return true;
  }
}

template <class Config, bool kOwnRow>
FOURGE_INLINE float scaled_magnitude(float x, const Nvfp4Factors<Config, kOwnRow>& f) {
  return uses_fast_error(Config::kFourOverSix) ? mul_rn(x, f.g) : 0.0f;
}

// Adds up the errors of a block that is out of the ordinary. Rolled: the words move up to the first.
template <class Config, bool kOwnRow>
FOURGE_INLINE void sum_any_errors(Words8 x, const Nvfp4Factors<Config, kOwnRow>& f,
                                  FourOverSixCandidate<Config, kOwnRow>& four,
                                  FourOverSixCandidate<Config, kOwnRow>& six) {
  using P = Packed16<Config::kInput>;
#pragma unroll 1
  for (int i = 0; i < 8; ++i) {
    const float values[2] = {absolute(P::low(x.w[0])), absolute(P::high(x.w[0]))};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const float scaled = scaled_magnitude<Config>(values[k], f);
      four.add_any(values[k], scaled, f);
      six.add_any(values[k], scaled, f);
    }
#pragma unroll
    for (int k = 0; k < 7; ++k) {
      x.w[k] = x.w[k + 1];
    }
  }
}

// Adds up the errors of an ordinary block and gives the magnitude codes of the better encoding
// (without the conversion instruction; with it, encoding once more is cheaper than keeping values).
template <class Config, bool kOwnRow>
FOURGE_INLINE void sum_ordinary_errors(const Words8& x, const Nvfp4Factors<Config, kOwnRow>& f,
                                       FourOverSixCandidate<Config, kOwnRow>& four,
                                       FourOverSixCandidate<Config, kOwnRow>& six,
                                       uint32 (&magnitudes)[2]) {
  using P = Packed16<Config::kInput>;
  uint32 with_four[8];
  uint32 with_six[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float values[2] = {absolute(P::low(x.w[i])), absolute(P::high(x.w[i]))};
    float in_four[2];
    float in_six[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const float scaled = scaled_magnitude<Config>(values[k], f);
      in_four[k] = round_to_e2m1(mul_rn(values[k], four.o));
      in_six[k] = round_to_e2m1(mul_rn(values[k], six.o));
      four.add_ordinary(in_four[k], values[k], scaled, f);
      six.add_ordinary(in_six[k], values[k], scaled, f);
    }
    with_four[i] = pack_e2m1_values(in_four[0], in_four[1]);
    with_six[i] = pack_e2m1_values(in_six[0], in_six[1]);
  }
  if constexpr (!Config::kCvtE2m1) {
    const bool take_four = four.error < six.error;
    uint32 best[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      best[i] = take_four ? with_four[i] : with_six[i];
    }
    magnitudes[0] = codes_of_e2m1_values(best[0], best[1], best[2], best[3]);
    magnitudes[1] = codes_of_e2m1_values(best[4], best[5], best[6], best[7]);
  }
}

// Any block, any factors; f.decode must be exact. Rolled: it hardly ever runs.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_4over6_any(const Words8& x, uint32 max_bits,
                                                         const Nvfp4Factors<Config, kOwnRow>& f) {
  if (max_bits > Packed16<Config::kInput>::kInfinity) {
    max_bits = block_max_bits_skip_nan<Config::kInput>(x.w);
  }
  const float amax = value_of_bits<Config::kInput>(max_bits);
  const float h6 = four_over_six_scale<Config>(amax, f);
  const uint32 bytes = encode_e4m3_pair<Config>(mul_rn(h6, 1.5f), h6);
  FourOverSixCandidate<Config, kOwnRow> four(bytes & 0xFFu, f, false);
  FourOverSixCandidate<Config, kOwnRow> six(bytes >> 8, f, false);
  sum_any_errors<Config>(x, f, four, six);
  const bool take_four = four.error < six.error;
  Nvfp4Block block = {};
  block.scale = take_four ? four.byte : six.byte;
  const float o = take_four ? four.o : six.o;
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
  if constexpr (!Config::kCvtE2m1) {
    repair_nan_codes<Config>(block.codes, x.w, o);
  }
  return is_zero(amax) ? Nvfp4Block{} : block;
}

// Straight through for an ordinary block; any other is done again, behind the rest.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_4over6(const Words8& x,
                                                     const Nvfp4Factors<Config, kOwnRow>& f) {
  const uint32 packed_max = block_max_packed<Config::kInput>(x.w);
  const float amax = value_of_packed<Config::kInput>(packed_max);
  const float h6 = four_over_six_scale<Config, true>(amax, f);
  const uint32 bytes = encode_e4m3_pair<Config>(mul_rn(h6, 1.5f), h6);
  FourOverSixCandidate<Config, kOwnRow> four(bytes & 0xFFu, f, true);
  FourOverSixCandidate<Config, kOwnRow> six(bytes >> 8, f, true);
  Nvfp4Block block;
  sum_ordinary_errors<Config>(x, f, four, six, block.codes);
  const bool take_four = four.error < six.error;
  if constexpr (Config::kCvtE2m1) {
    const float o = take_four ? four.o : six.o;
    block.codes[0] = encode_e2m1x8<Config>(x.w[0], x.w[1], x.w[2], x.w[3], o);
    block.codes[1] = encode_e2m1x8<Config>(x.w[4], x.w[5], x.w[6], x.w[7], o);
  } else {
    block.codes[0] |= collect_signs(x.w[0], x.w[1], x.w[2], x.w[3]);
    block.codes[1] |= collect_signs(x.w[4], x.w[5], x.w[6], x.w[7]);
  }
  block.scale = take_four ? four.byte : six.byte;
  if (is_zero(amax)) {
    block = {};
  }
  // The encoding at 4 scales by less, or to 3 at most where the other's block scale underflowed. Tiny
  // maxima are left out for the division by 6.
  const uint32 max_bits = bits_of_packed(packed_max);
  const float scaled = mul_rn(amax, six.o);
  const bool ordinary = f.ordinary && (amax >= kTinyMaximum || is_zero(amax)) && scaled < 7.0f &&
                        max_bits < Packed16<Config::kInput>::kInfinity &&
                        row_is_ordinary<Config>(f);
  if (unlikely(!ordinary)) {
    Nvfp4Factors<Config, kOwnRow> exact = f;
    exact.make_exact();
    block = quantize_nvfp4_block_4over6_any<Config>(x, max_bits, exact);
  }
  return block;
}

}  // namespace fourge_device

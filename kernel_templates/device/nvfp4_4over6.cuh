// One NVFP4 block with 4over6: encoded with its maximum at 6 (the ordinary way) and with its maximum at
// 4 (a block scale 1.5 times as large); the encoding with the smaller error is kept, 6 if neither is.
//
// What counts are the errors as the formulas say, each operation rounded, summed in the order of the
// elements: sum_any_errors(). The ordinary path sums the same errors with fewer operations, in units of
// the scaled elements, and takes that for an answer if the two sums are further apart than rounding can
// have moved them. Otherwise, and where an element is scaled to 7 or beyond (so that rounding alone
// would not end at 6: NaN, infinities, saturated or subnormal block scales), the block goes through the
// formulas in a short loop.
#pragma once

#include "device/e2m1.cuh"
#include "device/e2m1_value.cuh"
#include "device/e4m3.cuh"
#include "device/global_memory.cuh"
#include "device/nvfp4_factors.cuh"

namespace fourge_device {

__device__ constexpr float kTinyMaximum() { return 0x1p-50f; }

// RN(amax / 6), any magnitude.
FOURGE_INLINE float sixth_of(float amax) {
  const bool tiny = amax < kTinyMaximum();
  const float up = tiny ? 18446744073709551616.0f : 1.0f;
  const float down = tiny ? 5.4210108624275222e-20f : 1.0f;
  const float sixth = mul_rn(divide_by_constant(mul_rn(amax, up), 6.0f, kOneSixth()), down);
  return amax > kFloatMax() ? amax : sixth;
}

// The block scale at 6, before its rounding. kOrdinary: amax is finite and not tiny.
template <class Config, bool kOrdinary = false, bool kOwnRow>
FOURGE_INLINE float four_over_six_scale(float amax, const Nvfp4Factors<Config, kOwnRow>& f) {
  if constexpr (Config::kMath() == MathMode::exact) {
    return mul_rn(kOrdinary ? divide_by_constant(amax, 6.0f, kOneSixth()) : sixth_of(amax), f.g);
  } else {
    return mul_rn(f.g, mul_rn(amax, kOneSixth()));
  }
}

// The bytes of both block scales: at 4 the low one, at 6 the next.
template <class Config>
FOURGE_INLINE uint32 four_over_six_bytes(float at_six) {
  return encode_e4m3_pair<Config>(mul_rn(at_six, 1.5f), at_six);
}

// The error of one of the two encodings as the formulas say.
template <class Config, bool kOwnRow>
struct FormulaError {
  __device__ static constexpr FourOverSix kChoice() { return Config::kFourOverSix(); }

  float scale;  // the block's, decoded
  float o;      // elements are multiplied by it
  float unit;   // scale * row maximum / divisor, as the sum of two floats; for ordinary factors
  float unit_low;
  float sum;

  FOURGE_INLINE FormulaError(float of_block, float multiplier,
                             const Nvfp4Factors<Config, kOwnRow>& f)
      : scale(of_block), o(multiplier), unit(0.0f), unit_low(0.0f), sum(0.0f) {
    if constexpr (kRowError<Config, kOwnRow>) {
      constexpr float kInverse =
          uses_256(kChoice()) ? 6.5104168606922030e-04f : 3.7202381645329297e-04f;
      const float product = mul_rn(scale, f.row_maximum);  // exact
      unit = divide_by_constant(product, row_error_divisor(kChoice()), kInverse);
      unit_low = mul_rn(fma_rn(unit, -row_error_divisor(kChoice()), product), kInverse);
    }
  }

  // What value q of a code stands for, without the tensor's scale in fast error arithmetic. kOrdinary: the factors are.
  template <bool kOrdinary>
  FOURGE_INLINE float decoded(float q, const Nvfp4Factors<Config, kOwnRow>& f) const {
    const float in_steps = mul_rn(q, scale);  // exact
    if constexpr (uses_fast_error(kChoice())) {
      return in_steps;
    } else if constexpr (kRowError<Config, kOwnRow>) {
      return kOrdinary || f.ordinary
                 ? fma_rn(q, unit, mul_rn(q, unit_low))
                 : div_rn(mul_rn(in_steps, f.row_maximum), row_error_divisor(kChoice()));
    } else {
      return mul_rn(in_steps, f.decode);
    }
  }

  // x: an element's magnitude. A code has its element's sign, so magnitudes do.
  template <bool kOrdinary>
  FOURGE_INLINE void add(float x, const Nvfp4Factors<Config, kOwnRow>& f) {
    const float y = mul_rn(x, o);
    const float q = round_to_e2m1(kOrdinary ? y : min_num(y, 6.0f));
    const float difference =
        sub_rn(decoded<kOrdinary>(q, f), uses_fast_error(kChoice()) ? mul_rn(x, f.g) : x);
    sum = add_rn(sum,
                 uses_squares(kChoice()) ? mul_rn(difference, difference) : absolute(difference));
  }
};

// Rolled: the words turn once around.
template <class Config, bool kOrdinary, bool kOwnRow>
FOURGE_INLINE void sum_by_formulas(Words8& x, const Nvfp4Factors<Config, kOwnRow>& f,
                                   FormulaError<Config, kOwnRow>& four,
                                   FormulaError<Config, kOwnRow>& six) {
  using P = Packed16<Config::kInput()>;
#pragma unroll 1
  for (int i = 0; i < 8; ++i) {
    const uint32 word = x.w[0];
    const float values[2] = {absolute(P::low(word)), absolute(P::high(word))};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      four.template add<kOrdinary>(values[k], f);
      six.template add<kOrdinary>(values[k], f);
    }
#pragma unroll
    for (int k = 0; k < 7; ++k) {
      x.w[k] = x.w[k + 1];
    }
    x.w[7] = word;
  }
}

// What elements of any block are multiplied by.
template <class Config, bool kOwnRow>
FOURGE_INLINE float any_multiplier(float scale, const Nvfp4Factors<Config, kOwnRow>& f) {
  const float r = reciprocal<Config>(mul_rn(scale, f.decode));
  if constexpr (Config::kMath() == MathMode::exact) {
    return min_num(r, kFloatMax());
  } else {
    return scale == 0.0f ? 0.0f : r;
  }
}

// Any block, any factors; f.decode must be exact. Rolled: it hardly ever runs.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_4over6_any(const Words8& x, uint32 packed_max,
                                                         const Nvfp4Factors<Config, kOwnRow>& f) {
  uint32 max_bits = bits_of_packed(packed_max);
  if (max_bits > Packed16<Config::kInput()>::kInfinity) {
    max_bits = block_max_bits_skip_nan<Config::kInput()>(x.w);
  }
  const float amax = value_of_bits<Config::kInput()>(max_bits);
  Nvfp4Block block = {};
  if (!is_zero(amax)) {
    const uint32 bytes = four_over_six_bytes<Config>(four_over_six_scale<Config>(amax, f));
    const float scale_four = decode_e4m3_magnitude<Config>(bytes & 0xFFu);
    const float scale_six = decode_e4m3_magnitude<Config>(bytes >> 8);
    FormulaError<Config, kOwnRow> four(scale_four, any_multiplier<Config>(scale_four, f), f);
    FormulaError<Config, kOwnRow> six(scale_six, any_multiplier<Config>(scale_six, f), f);
    Words8 rest = x;
    sum_by_formulas<Config, false>(rest, f, four, six);
    const bool take_four = four.sum < six.sum;
    block.scale = take_four ? bytes & 0xFFu : bytes >> 8;
    const float o = take_four ? four.o : six.o;
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
      if (bits_of_packed(packed_max) >= Packed16<Config::kInput()>::kInfinity ||
          !(o <= kFloatMax())) {
        repair_nan_codes<Config>(block.codes, x.w, o);
      }
    }
  }
  return block;
}

// One of the two encodings of an ordinary block.
template <class Config>
struct OrdinaryCandidate {
  enum : bool { kSquares = uses_squares(Config::kFourOverSix()) };

  float unit;  // what an element of 1 stands for, once scaled
  float o;     // elements are multiplied by it
  float sum;   // of the errors' magnitudes or squares, in units

  // Without a unit o is no number, and the block not ordinary.
  FOURGE_INLINE OrdinaryCandidate(float scale, float decode)
      : unit(mul_rn(scale, decode)),
        o(Config::kMath() == MathMode::exact ? rcp_rn_normal(unit) : rcp_approx(unit)),
        sum(0.0f) {}

  // The value of x's code.
  FOURGE_INLINE float add(float x) {
    const float y = mul_rn(absolute(x), o);
    const float q = round_to_e2m1(y);
    const float difference = sub_rn(q, y);
    sum = kSquares ? fma_rn(difference, difference, sum) : add_rn(sum, absolute(difference));
    return q;
  }

  FOURGE_INLINE float error() const { return mul_rn(kSquares ? mul_rn(unit, unit) : unit, sum); }
};

// Adds up the errors of eight elements; pair k has the values of elements k and k + 4.
template <class Config>
FOURGE_INLINE void add_eight(const uint32* w, OrdinaryCandidate<Config>& four,
                             OrdinaryCandidate<Config>& six, uint32* with_four, uint32* with_six) {
  using P = Packed16<Config::kInput()>;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float x[4] = {P::low(w[i]), P::high(w[i]), P::low(w[i + 2]), P::high(w[i + 2])};
    float in_four[4];
    float in_six[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      in_four[k] = four.add(x[k]);
      in_six[k] = six.add(x[k]);
    }
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      with_four[2 * i + k] = pack_e2m1_values(in_four[k], in_four[k + 2]);
      with_six[2 * i + k] = pack_e2m1_values(in_six[k], in_six[k + 2]);
    }
  }
}

// How far rounding can have moved the difference of the two errors, here and in the formulas together,
// 2^-24 at each operation: with values v, a difference moves by at most 8 (for a row's error 17)
// roundings of |x| + |difference|, a sum by 16 of its own, and 4 amax sqrt(sum of squares) is at most
// amax^2 / 4 + 16 times the sum of squares. Rounded up.
template <class Config, bool kOwnRow>
FOURGE_INLINE float doubtful_distance(float amax, float errors) {
  constexpr bool kRow = kRowError<Config, kOwnRow>;
  constexpr float kRounding = 0x1p-24f;
  if constexpr (uses_squares(Config::kFourOverSix())) {
    return fma_rn(mul_rn(amax, amax), (kRow ? 32.0f : 16.0f) * kRounding,
                  mul_rn(errors, (kRow ? 672.0f : 352.0f) * kRounding));
  } else {
    return fma_rn(amax, (kRow ? 576.0f : 256.0f) * kRounding, mul_rn(errors, 64.0f * kRounding));
  }
}

// An ordinary block whose choice is not clear: the formulas' sums say it. A warp waits for its one such block, so these are
// short loops. What is known already is computed again, from the maximum, rather than kept in registers by every block.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block choose_by_formulas(Words8 x, uint32 packed_max,
                                            const Nvfp4Factors<Config, kOwnRow>& f) {
  const float amax = value_of_packed_nan<Config::kInput()>(kept(packed_max));
  const uint32 bytes = four_over_six_bytes<Config>(four_over_six_scale<Config, true>(amax, f));
  const FloatPair scales = decode_e4m3_magnitudes<Config>(bytes);
  const float o_four = OrdinaryCandidate<Config>(scales.first, f.decode).o;
  const float o_six = OrdinaryCandidate<Config>(scales.second, f.decode).o;
  FormulaError<Config, kOwnRow> four(scales.first, o_four, f);
  FormulaError<Config, kOwnRow> six(scales.second, o_six, f);
  sum_by_formulas<Config, true>(x, f, four, six);
  const bool take_four = four.sum < six.sum;
  const float o = take_four ? o_four : o_six;
  Nvfp4Block block = {};
  block.scale = take_four ? bytes & 0xFFu : bytes >> 8;
#pragma unroll 1
  for (int i = 0; i < 2; ++i) {
    block.codes[0] = block.codes[1];
    if constexpr (Config::kCvtE2m1()) {
      block.codes[1] = encode_e2m1x8<Config>(x.w[0], x.w[1], x.w[2], x.w[3], o);
    } else {
      block.codes[1] = encode_e2m1x8_below_7<Config>(x.w[0], x.w[1], x.w[2], x.w[3], o);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      x.w[k] = x.w[k + 4];
    }
  }
  return block;
}

// Straight through for an ordinary block whose choice is clear; any other is done again, behind the rest.
template <class Config, bool kOwnRow>
FOURGE_INLINE Nvfp4Block quantize_nvfp4_block_4over6(const Words8& x,
                                                     const Nvfp4Factors<Config, kOwnRow>& f) {
  const uint32 packed_max = block_max_packed<Config::kInput()>(x.w);
  const float amax = value_of_packed_nan<Config::kInput()>(packed_max);
  const uint32 bytes = four_over_six_bytes<Config>(four_over_six_scale<Config, true>(amax, f));
  const FloatPair scales = decode_e4m3_magnitudes<Config>(bytes);
  OrdinaryCandidate<Config> four(scales.first, f.decode);
  OrdinaryCandidate<Config> six(scales.second, f.decode);
  uint32 with_four[8];
  uint32 with_six[8];
#pragma unroll
  for (int i = 0; i < 8; i += 4) {
    add_eight<Config>(x.w + i, four, six, with_four + i, with_six + i);
  }
  const float error_four = four.error();
  const float error_six = six.error();
  const bool take_four = error_four < error_six;
  Nvfp4Block block;
  block.scale = take_four ? bytes & 0xFFu : bytes >> 8;
  const float o = take_four ? four.o : six.o;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32* const w = x.w + 4 * i;
    if constexpr (Config::kCvtE2m1()) {
      block.codes[i] = encode_e2m1x8<Config>(w[0], w[1], w[2], w[3], o);
    } else {
      uint32 best[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        best[k] = take_four ? with_four[4 * i + k] : with_six[4 * i + k];
      }
      block.codes[i] = codes_of_e2m1_values(best[0], best[1], best[2], best[3]) |
                       collect_signs(w[0], w[1], w[2], w[3]);
    }
  }
  // With the same scale twice there is nothing to choose. The encoding at 4 scales by no more than the other. A NaN fails
  // every comparison, and amax is one if there is one.
  const float distance = absolute(sub_rn(error_four, error_six));
  const bool clear =
      distance > doubtful_distance<Config, kOwnRow>(amax, add_rn(error_four, error_six)) ||
      (scales.first == scales.second && distance == 0.0f);
  const bool ordinary = f.ordinary && amax >= kTinyMaximum() && mul_rn(amax, six.o) < 7.0f;
  if (unlikely(!(ordinary && clear))) {
    if (ordinary) {
      block = choose_by_formulas<Config>(x, packed_max, f);
    } else {
      Nvfp4Factors<Config, kOwnRow> exact = f;
      exact.make_exact();
      block = quantize_nvfp4_block_4over6_any<Config>(x, packed_max, exact);
    }
  }
  return block;
}

}  // namespace fourge_device

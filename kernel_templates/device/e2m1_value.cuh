// E2M1 values as floats, for those who need the value of a code and not only the code.
#pragma once

#include "device/e2m1.cuh"
#include "device/e4m3.cuh"

namespace fourge_device {

// The magnitude that 0 <= y < 7 rounds to. Its step is half its power of two, and at least 0.5. Taking
// away 2^22 times y itself, or a little more than 1 if y is smaller, leaves a number whose last bit is
// worth that step; what was taken away is an even multiple of the step wherever y is a tie. The difference
// falls below the binade only where y is next to a power of two, which it then rounds to all the same.
// In multiples of unit, a power of two.
FOURGE_INLINE float round_to_e2m1(float y, float unit = 1.0f) {
  const float base = max_num(y, 1.0000005f * unit);
  constexpr float kShift = 4194304.0f;
  return fma_rn(base, kShift, fma_rn(base, -kShift, y));
}

// The upper halves of two floats, which hold an E2M1 value completely; the first in the low half.
FOURGE_INLINE uint32 pack_e2m1_values(float first, float second) {
  return byte_permute(float_bits(first), float_bits(second), 0x7632u);
}

// Both bf16 of a * b + c, rounded once.
FOURGE_INLINE uint32 fma_bf16_pair(uint32 a, uint32 b, uint32 c) {
#if defined(FOURGE_HOST_EXECUTION)
  return fourge_host::fma_bf16_pair(a, b, c);
#else
  uint32 r;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
#endif
}
FOURGE_INLINE uint32 max_bf16_pair(uint32 a, uint32 b) {
#if defined(FOURGE_HOST_EXECUTION)
  return max_u32(a & 0xFFFFu, b & 0xFFFFu) | max_u32(a & 0xFFFF0000u, b & 0xFFFF0000u);
#else
  uint32 r;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
#endif
}

// The magnitude codes of a packed pair, at bits 6 and 22: a bf16 whose exponent is 126 lower has the
// code's exponent and mantissa, as a subnormal where the code is one.
FOURGE_INLINE uint32 shifted_codes_of_pair(uint32 pair) {
  return fma_bf16_pair(pair, 0x00800080u, 0x80008000u);
}

// Eight magnitude codes, one a nibble, of packed pairs: the k-th holds the values of elements k and k + 4.
FOURGE_INLINE uint32 codes_of_e2m1_values(uint32 p0, uint32 p1, uint32 p2, uint32 p3) {
  const uint32 a = shifted_codes_of_pair(p0) + shifted_codes_of_pair(p1) * 16u;
  const uint32 b = shifted_codes_of_pair(p2) + shifted_codes_of_pair(p3) * 16u;
  return (a >> 6) + (b << 2);
}

// The codes of a pair of values and of the elements' signs (at bits 3 and 7), the first in the low nibble.
FOURGE_INLINE uint32 codes_of_pair(float first, float second, uint32 signs) {
  const uint32 codes = shifted_codes_of_pair(pack_e2m1_values(first, second));
  return ((codes >> 6) & 0x07u) | ((codes >> 18) & 0x70u) | signs;
}

// The signs of two scaled elements, at bits 3 and 7. The code of a NaN has none.
FOURGE_INLINE uint32 signs_of_pair(float first, float second) {
  return (is_nan(first) ? 0u : (float_bits(first) >> 28) & 0x08u) |
         (is_nan(second) ? 0u : (float_bits(second) >> 24) & 0x80u);
}

// Codes that come two at a time: the earlier ones move down.
FOURGE_INLINE void append_pair(uint32 (&codes)[2], uint32 pair) {
  codes[0] = (codes[0] >> 8) | (codes[1] << 24);
  codes[1] = (codes[1] >> 8) | (pair << 24);
}

// The 16 codes of any elements and any factor that is not negative; NaN becomes 7. For what hardly ever runs: a loop over
// the words, which move up to the first.
template <class Config>
FOURGE_INLINE void encode_any_elements(const uint32 (&w)[8], float o, uint32 (&codes)[2]) {
  using P = Packed16<Config::kInput()>;
  uint32 rest[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    rest[i] = w[i];
  }
#pragma unroll 1
  for (int i = 0; i < 8; ++i) {
    const float low = mul_rn(P::low(rest[0]), o);
    const float high = mul_rn(P::high(rest[0]), o);
    if constexpr (Config::kCvtE2m1()) {
      append_pair(codes, encode_e2m1_pair_instruction(low, high));
    } else {
      append_pair(codes, codes_of_pair(round_to_e2m1(min_num(absolute(low), 6.0f)),
                                       round_to_e2m1(min_num(absolute(high), 6.0f)),
                                       signs_of_pair(low, high)));
    }
#pragma unroll
    for (int k = 0; k < 7; ++k) {
      rest[k] = rest[k + 1];
    }
  }
}

// round_to_e2m1() of two elements at once, scaled by a power of two, which leaves their eight bits as they are. 64 times
// takes the place of 2^22 times, so that the difference falls below the binade a little further from powers of two.
FOURGE_INLINE uint32 round_pair_to_e2m1(uint32 magnitudes, uint32 power) {
  const uint32 y = fma_bf16_pair(magnitudes, power, 0x80008000u);
  const uint32 base = max_bf16_pair(y, 0x3F823F82u);  // 65 / 64
  return fma_bf16_pair(base, 0x42804280u, fma_bf16_pair(base, 0xC280C280u, y));
}

// Eight codes of bf16 elements that are scaled by a power of two to below 7; 0 stands for one that is too small.
FOURGE_INLINE uint32 encode_e2m1x8_by_power(uint32 w0, uint32 w1, uint32 w2, uint32 w3, float o) {
  const uint32 power = byte_permute(float_bits(o), 0, 0x3232u);
  // Of the four elements of two words, a byte each: first those in the low halves.
  const auto codes = [power](uint32 first, uint32 second) {
    return (shifted_codes_of_pair(round_pair_to_e2m1(first & 0x7FFF7FFFu, power)) >> 6) +
           (shifted_codes_of_pair(round_pair_to_e2m1(second & 0x7FFF7FFFu, power)) << 2);
  };
  const uint32 a = codes(w0, w1);
  const uint32 b = codes(w2, w3);
  const SignBytes signs(w0, w1, w2, w3);
  return (byte_permute(a, b, 0x5410u) | (signs.even & 0x08080808u) | (signs.odd & 0x80808080u)) +
         (byte_permute(a, b, 0x7632u) << 4);
}

// Eight codes of the elements in four packed words, scaled by o, by way of their values: fewer operations
// than encode_e2m1x8 has without the instruction, but every |element| * o must be below 7.
template <class Config>
FOURGE_INLINE uint32 encode_e2m1x8_below_7(uint32 w0, uint32 w1, uint32 w2, uint32 w3, float o) {
  using P = Packed16<Config::kInput()>;
  if constexpr (Config::kCvtE4m3()) {
    // The E4M3 code of a value 2^6 times smaller has E2M1's exponent and mantissa two places further left,
    // subnormals included. The sum at the end keeps the compiler from collecting the signs first.
    const float unit = mul_rn(o, 0x1p-6f);
    const auto value = [unit](float x) {
      return round_to_e2m1(mul_rn(absolute(x), unit), 0x1p-6f);
    };
    const uint32 even = encode_e4m3x4<Config>(value(P::low(w0)), value(P::low(w1)),
                                              value(P::low(w2)), value(P::low(w3)));
    const uint32 odd = encode_e4m3x4<Config>(value(P::high(w0)), value(P::high(w1)),
                                             value(P::high(w2)), value(P::high(w3)));
    const SignBytes signs(w0, w1, w2, w3);
    return ((even >> 2) | (signs.even & 0x08080808u) | (signs.odd & 0x80808080u)) + (odd << 2);
  } else {
    const auto value = [o](float x) { return round_to_e2m1(mul_rn(absolute(x), o)); };
    return codes_of_e2m1_values(pack_e2m1_values(value(P::low(w0)), value(P::low(w2))),
                                pack_e2m1_values(value(P::high(w0)), value(P::high(w2))),
                                pack_e2m1_values(value(P::low(w1)), value(P::low(w3))),
                                pack_e2m1_values(value(P::high(w1)), value(P::high(w3)))) |
           collect_signs(w0, w1, w2, w3);
  }
}

}  // namespace fourge_device

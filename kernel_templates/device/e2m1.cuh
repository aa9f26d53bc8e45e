// E2M1 encoding: round to nearest, ties to the even code, saturating at 6; the sign is kept, NaN
// -> 7.
#pragma once

#include "device/bits.cuh"
#include "device/packed16.cuh"

namespace fourge_device {

// Two codes from two floats, the first in the low nibble.
FOURGE_INLINE uint32 encode_e2m1_pair_instruction(float first, float second) {
#if defined(FOURGE_HOST_EXECUTION)
  uint32 pair = 0;
  const float values[2] = {first, second};
  for (int i = 0; i < 2; ++i) {
    const float v = values[i];
    const float a = v < 0.0f ? -v : v;
    uint32 code = 0;
    code += a > 0.25f ? 1u : 0u;
    code += a >= 0.75f ? 1u : 0u;
    code += a > 1.25f ? 1u : 0u;
    code += a >= 1.75f ? 1u : 0u;
    code += a > 2.5f ? 1u : 0u;
    code += a >= 3.5f ? 1u : 0u;
    code += a > 5.0f ? 1u : 0u;
    code |= (float_bits(v) >> 28) & 8u;
    pair |= (is_nan(v) ? 7u : code) << (4 * i);
  }
  return pair;
#else
  uint32 r;
  asm("{.reg .b8 t; cvt.rn.satfinite.e2m1x2.f32 t, %2, %1; cvt.u32.u8 %0, t;}"
      : "=r"(r)
      : "f"(first), "f"(second));
  return r;
#endif
}

// Adds the magnitude code of |x| * o to 16 times what the accumulator holds above 2^23.
// With y = |x| * o the code is RN(2 min(y, 2)) + RN(clamp(y - 2, 0, 2)) + RN(clamp((y - 4) / 2, 0,
// 1)). Each term starts at an even code, so adding them one after another to an integer of 2^23's
// binade rounds ties as E2M1 does; saturation supplies the clamps.
FOURGE_INLINE float append_code(float accumulator, float x, float o) {
  const float y = mul_rn(absolute(x), o);
  float a = fma_rn(accumulator, 16.0f, -15.0f * 8388608.0f);
  a = fma_rn(mul_sat(y, 0.5f), 4.0f, a);
  a = fma_rn(fma_sat(y, 0.5f, -1.0f), 2.0f, a);
  return add_rn(fma_sat(y, 0.5f, -2.0f), a);
}

// Bytes of all ones or zeros: the signs of elements 0, 2, 4, 6, and of the others.
struct SignBytes {
  uint32 even;
  uint32 odd;

  FOURGE_INLINE SignBytes(uint32 w0, uint32 w1, uint32 w2, uint32 w3) {
    const uint32 t0 = byte_permute(w0, w1, 0xFDB9u);  // elements 0 to 3
    const uint32 t1 = byte_permute(w2, w3, 0xFDB9u);  // 4 to 7
    even = byte_permute(t0, t1, 0x6420u);
    odd = byte_permute(t0, t1, 0x7531u);
  }
};

// Signs of eight elements, at bit 3 of their nibbles.
FOURGE_INLINE uint32 collect_signs(uint32 w0, uint32 w1, uint32 w2, uint32 w3) {
  const SignBytes signs(w0, w1, w2, w3);
  return (signs.even & 0x08080808u) | (signs.odd & 0x80808080u);
}

// Eight codes of the elements in four packed words, scaled by o. Without the instruction, an
// element whose scaled value is NaN gets magnitude code 0: see repair_nan_codes.
template <class Config>
FOURGE_INLINE uint32 encode_e2m1x8(uint32 w0, uint32 w1, uint32 w2, uint32 w3, float o) {
  using P = Packed16<Config::kInput()>;
  if constexpr (Config::kCvtE2m1()) {
    const uint32 b0 = encode_e2m1_pair_instruction(mul_rn(P::low(w0), o), mul_rn(P::high(w0), o));
    const uint32 b1 = encode_e2m1_pair_instruction(mul_rn(P::low(w1), o), mul_rn(P::high(w1), o));
    const uint32 b2 = encode_e2m1_pair_instruction(mul_rn(P::low(w2), o), mul_rn(P::high(w2), o));
    const uint32 b3 = encode_e2m1_pair_instruction(mul_rn(P::low(w3), o), mul_rn(P::high(w3), o));
    return b0 | (b1 << 8) | (b2 << 16) | (b3 << 24);
  } else {
    float lower = 8388608.0f;
    lower = append_code(lower, P::high(w1), o);
    lower = append_code(lower, P::low(w1), o);
    lower = append_code(lower, P::high(w0), o);
    lower = append_code(lower, P::low(w0), o);
    float upper = 8388608.0f;
    upper = append_code(upper, P::high(w3), o);
    upper = append_code(upper, P::low(w3), o);
    upper = append_code(upper, P::high(w2), o);
    upper = append_code(upper, P::low(w2), o);
    const uint32 magnitudes = byte_permute(float_bits(lower), float_bits(upper), 0x5410u);
    return magnitudes | collect_signs(w0, w1, w2, w3);
  }
}

// Sets the code of every element whose scaled value is NaN to 7. Only for blocks with a NaN, an
// infinity or an infinite factor, so rolled: words and codes move by one word a step.
template <class Config>
FOURGE_INLINE void repair_nan_codes(uint32 (&codes)[2], const uint32 (&w)[8], float o) {
  using P = Packed16<Config::kInput()>;
  uint32 rest[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    rest[i] = w[i];
  }
#pragma unroll 1
  for (int i = 0; i < 8; ++i) {
    uint32 pair = codes[0] & 0xFFu;
    pair = is_nan(mul_rn(P::low(rest[0]), o)) ? (pair & 0xF0u) | 7u : pair;
    pair = is_nan(mul_rn(P::high(rest[0]), o)) ? (pair & 0x0Fu) | 0x70u : pair;
    codes[0] = (codes[0] >> 8) | (codes[1] << 24);
    codes[1] = (codes[1] >> 8) | (pair << 24);
#pragma unroll
    for (int k = 0; k < 7; ++k) {
      rest[k] = rest[k + 1];
    }
  }
}

}  // namespace fourge_device

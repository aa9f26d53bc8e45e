// UE8M0 block scales: the power of two 2^(code - 127), rounded up from a non-negative value; NaN is
// 255.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

// Rounds toward +infinity and saturates at 254; 0 and everything up to 2^-127 is code 0.
FOURGE_INLINE uint32 encode_ue8m0_up_software(float v) {
  const uint32 bits = float_bits(v) & 0x7FFFFFFFu;
  if (bits > 0x7F800000u) {
    return 255u;
  }
  const uint32 exponent = bits >> 23;
  const uint32 significand = bits & 0x7FFFFFu;
  const bool up = exponent == 0 ? significand > 0x400000u : significand != 0;
  const uint32 code = exponent + (up ? 1u : 0u);
  return code > 254u ? 254u : code;
}

template <class Config>
FOURGE_INLINE uint32 encode_ue8m0_up(float v) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtUe8m0()) {
    uint16 pair;
    asm("cvt.rp.satfinite.ue8m0x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(v));
    return pair & 0xFFu;
  }
#endif
  return encode_ue8m0_up_software(v);
}

// 2^(127 - code) for codes 0 to 253; 254 and 255, whose reciprocals are subnormal or NaN, give 0.
FOURGE_INLINE float ue8m0_reciprocal(uint32 code) {
  return code >= 254u ? 0.0f : float_from_bits((254u - code) << 23);
}

// Exact: 2^-127, a subnormal, for 0; NaN for 255.
FOURGE_INLINE float decode_ue8m0(uint32 code) {
  const uint32 bits = code == 0 ? 0x00400000u : code << 23;
  return float_from_bits(code == 255u ? 0x7FFFFFFFu : bits);
}

}  // namespace fourge_device

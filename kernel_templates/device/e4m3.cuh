// E4M3 encoding, satfinite, round to nearest even, subnormals kept (no flush): NaN -> 0x7F.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

// Without the instruction. The significand is rounded by integer addition; below 2^-6 the code
// counts steps of 2^-9, which adding 2^14 leaves in the low bits.
FOURGE_INLINE uint32 encode_e4m3_software(float v) {
  const uint32 bits = float_bits(v);
  const uint32 magnitude = bits & 0x7FFFFFFFu;
  uint32 code;
  if (magnitude > 0x7F800000u) {
    return 0x7Fu;  // NaN of either sign
  }
  if (magnitude >= 0x43E00000u) {  // 448 and above
    code = 0x7Eu;
  } else if (magnitude < 0x3C800000u) {  // below 2^-6
    code = float_bits(add_rn(float_from_bits(magnitude), 16384.0f)) & 0xFu;
  } else {
    const uint32 rounded = magnitude + 0x7FFFFu + ((magnitude >> 20) & 1u);
    code = (rounded >> 20) - (120u << 3);
    code = code > 0x7Eu ? 0x7Eu : code;
  }
  return code | ((bits >> 24) & 0x80u);
}

template <class Config>
FOURGE_INLINE uint32 encode_e4m3(float v) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    uint16 pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(v));
    return pair & 0xFFu;
  }
#endif
  return encode_e4m3_software(v);
}

// Two codes, the first in the low byte.
template <class Config>
FOURGE_INLINE uint32 encode_e4m3_pair(float first, float second) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    uint16 pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(second), "f"(first));
    return pair;
  }
#endif
  return encode_e4m3_software(first) | (encode_e4m3_software(second) << 8);
}

// Four, in the order of their bytes.
template <class Config>
FOURGE_INLINE uint32 encode_e4m3x4(float a, float b, float c, float d) {
  return encode_e4m3_pair<Config>(a, b) | (encode_e4m3_pair<Config>(c, d) << 16);
}

// Exact. An E4M3 magnitude shifted by 7 is a half 2^8 times smaller, subnormals included.
FOURGE_INLINE float decode_e4m3_magnitude(uint32 code) {
  const float scaled = mul_rn(half_to_float(static_cast<uint16>((code & 0x7Fu) << 7)), 256.0f);
  return (code & 0x7Fu) == 0x7Fu ? float_from_bits(0x7FC00000u) : scaled;
}

// The same, by the instruction where the target has it.
template <class Config>
FOURGE_INLINE float decode_e4m3_magnitude(uint32 code) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    uint32 pair;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(static_cast<uint16>(code & 0x7Fu)));
    return half_to_float(static_cast<uint16>(pair));
  }
#endif
  return decode_e4m3_magnitude(code);
}

struct FloatPair {
  float first;
  float second;
};

// Of the low byte and the next; nothing else may be set. Exact.
template <class Config>
FOURGE_INLINE FloatPair decode_e4m3_magnitudes(uint32 codes) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    uint32 pair;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(static_cast<uint16>(codes)));
    return {half_to_float(static_cast<uint16>(pair)),
            half_to_float(static_cast<uint16>(pair >> 16))};
  }
#endif
  return {decode_e4m3_magnitude(codes & 0xFFu), decode_e4m3_magnitude(codes >> 8)};
}

// Exact, with the sign.
FOURGE_INLINE float decode_e4m3(uint32 code) {
  return float_from_bits(float_bits(decode_e4m3_magnitude(code)) | ((code & 0x80u) << 24));
}

}  // namespace fourge_device

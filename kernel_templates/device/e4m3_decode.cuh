// Four E4M3 codes of a word as floats: exact, with the sign; NaN stays NaN.
#pragma once

#include "device/e4m3.cuh"

namespace fourge_device {

struct Floats4 {
  float v[4];
};

FOURGE_INLINE Floats4 decode_e4m3x4_software(uint32 codes) {
  Floats4 result;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    result.v[i] = decode_e4m3((codes >> (8 * i)) & 0xFFu);
  }
  return result;
}

template <class Config>
FOURGE_INLINE Floats4 decode_e4m3x4(uint32 codes) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    Floats4 result;
    uint32 low;
    uint32 high;
    // The halves of a register by name: shifted down, the upper one would cost an operation.
    asm("{ .reg .b16 l, h; mov.b32 {l, h}, %2;\n"
        "cvt.rn.f16x2.e4m3x2 %0, l; cvt.rn.f16x2.e4m3x2 %1, h; }"
        : "=r"(low), "=r"(high)
        : "r"(codes));
    result.v[0] = half_to_float(static_cast<uint16>(low));
    result.v[1] = half_to_float(static_cast<uint16>(low >> 16));
    result.v[2] = half_to_float(static_cast<uint16>(high));
    result.v[3] = half_to_float(static_cast<uint16>(high >> 16));
    return result;
  }
#endif
  return decode_e4m3x4_software(codes);
}

// One code; nothing else may be set.
template <class Config>
FOURGE_INLINE float decode_e4m3_code(uint32 code) {
#if !defined(FOURGE_HOST_EXECUTION)
  if constexpr (Config::kCvtE4m3()) {
    uint32 pair;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(static_cast<uint16>(code)));
    return half_to_float(static_cast<uint16>(pair));
  }
#endif
  return decode_e4m3(code);
}

}  // namespace fourge_device

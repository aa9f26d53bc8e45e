// Rounding of floats to 16-bit types: nearest, ties to even, overflow to infinity, subnormals kept.
#pragma once

#include "device/float_math.cuh"

namespace fourge_device {

#if defined(FOURGE_HOST_EXECUTION)

FOURGE_INLINE uint32 round_to_bf16(float v) {
  const uint32 bits = float_bits(v);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
    return 0x7FFFu;
  }
  return (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
}

FOURGE_INLINE uint32 round_to_f16(float v) {
  const uint32 bits = float_bits(v);
  const uint32 sign = (bits >> 16) & 0x8000u;
  const uint32 magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {
    return 0x7FFFu;
  }
  if (magnitude >= 0x477FF000u) {  // 65520 and above
    return sign | 0x7C00u;
  }
  if (magnitude < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, counted by adding 2^-1
    return sign | (float_bits(add_rn(float_from_bits(magnitude), 0.5f)) - 0x3F000000u);
  }
  return sign | ((magnitude + 0xFFFu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13);
}

#endif

// Two values in one word, the first in the low half.
template <ElementType kType>
FOURGE_INLINE uint32 pack_pair(float first, float second) {
  static_assert(kType == ElementType::bf16 || kType == ElementType::f16);
#if defined(FOURGE_HOST_EXECUTION)
  if constexpr (kType == ElementType::bf16) {
    return round_to_bf16(first) | (round_to_bf16(second) << 16);
  } else {
    return round_to_f16(first) | (round_to_f16(second) << 16);
  }
#else
  uint32 r;
  if constexpr (kType == ElementType::bf16) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  }
  return r;
#endif
}

}  // namespace fourge_device

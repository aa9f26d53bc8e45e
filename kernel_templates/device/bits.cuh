// Byte permutation, the PTX instruction prmt.b32: result byte i is the byte of {b, a} that nibble i
// of the selector names; with the nibble's high bit set, that byte's sign bit replicated eight
// times.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

FOURGE_INLINE uint32 byte_permute(uint32 a, uint32 b, uint32 selector) {
#if defined(FOURGE_HOST_EXECUTION)
  const uint64 bytes = (static_cast<uint64>(b) << 32) | a;
  uint32 result = 0;
  for (uint32 i = 0; i < 4; ++i) {
    const uint32 nibble = (selector >> (4 * i)) & 15u;
    uint32 byte = static_cast<uint32>(bytes >> (8 * (nibble & 7u))) & 255u;
    if ((nibble & 8u) != 0) {
      byte = (byte & 128u) != 0 ? 255u : 0u;
    }
    result |= byte << (8 * i);
  }
  return result;
#else
  uint32 r;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
  return r;
#endif
}

}  // namespace fourge_device

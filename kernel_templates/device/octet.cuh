// Maxima over eight neighbouring lanes.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

// All eight lanes of an aligned octet call; each gets the result.
FOURGE_INLINE uint32 octet_max(uint32 value) {
  const uint32 mask = 0xFFu << (threadIdx.x & 24u);
#pragma unroll
  for (int distance = 1; distance < 8; distance *= 2) {
    const uint32 other = __shfl_xor_sync(mask, value, distance);
    value = value > other ? value : other;
  }
  return value;
}

}  // namespace fourge_device

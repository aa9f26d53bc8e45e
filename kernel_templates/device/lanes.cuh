// What an aligned group of neighbouring lanes shares.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

// Every lane gets the maximum of its group of kLanes; the lanes of the mask call.
template <int kLanes>
FOURGE_INLINE uint32 lanes_max(uint32 value, uint32 mask) {
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2) {
    const uint32 other = __shfl_xor_sync(mask, value, distance);
    value = value > other ? value : other;
  }
  return value;
}

}  // namespace fourge_device

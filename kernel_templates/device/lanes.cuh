// What an aligned group of neighbouring lanes shares.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

// Every lane gets the maximum of its group of kLanes. All lanes of the warp call but those that have exited.
template <int kLanes>
FOURGE_INLINE uint32 lanes_max(uint32 value) {
#pragma unroll
  for (int distance = 1; distance < kLanes; distance *= 2) {
    const uint32 other = __shfl_xor_sync(0xFFFFFFFFu, value, distance);
    value = value > other ? value : other;
  }
  return value;
}

}  // namespace fourge_device

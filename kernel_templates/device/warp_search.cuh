// A search in ascending numbers by a whole warp: each round of loads divides what is left by 32.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

// The last index i with at(i) <= value, 0 if there is none; count > 0. All lanes ask for the same.
template <class At>
FOURGE_INLINE int64 warp_last_not_above(int64 count, int64 value, const At& at) {
  const int64 lane = threadIdx.x & 31u;
  int64 low = 0;
#pragma unroll 1
  while (count > 1) {
    const int64 step = (count + 31) / 32;
    const int64 index = lane * step;
    const bool not_above = index < count && at(low + index) <= value;
    const uint32 lanes = __ballot_sync(0xFFFFFFFFu, not_above) | 1u;
    const int64 passed = (31 - __clz(static_cast<int>(lanes))) * step;
    low += passed;
    count = count - passed < step ? count - passed : step;
  }
  return low;
}

}  // namespace fourge_device

// Exchange among eight neighbouring lanes, an aligned octet; all of them call.
#pragma once

#include "device/lanes.cuh"

namespace fourge_device {

FOURGE_INLINE uint32 octet_mask() { return 0xFFu << (threadIdx.x & 24u); }

// Every lane gets the maximum.
FOURGE_INLINE uint32 octet_max(uint32 value) { return lanes_max<8>(value, octet_mask()); }

// The same in a warp whose lanes all call, which spares the look for those that do.
FOURGE_INLINE uint32 octet_max_of_warp(uint32 value) { return lanes_max<8>(value, 0xFFFFFFFFu); }

// Every lane gets what one of them has.
FOURGE_INLINE float octet_broadcast(float value, int lane) {
  return __shfl_sync(octet_mask(), value, lane, 8);
}

}  // namespace fourge_device

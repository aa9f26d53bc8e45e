// Exchange among eight neighbouring lanes, an aligned octet. All lanes of the warp call but those that have exited: with a
// mask of the octet alone, which is not the same in all lanes, the compiler looks for lanes with equal masks (MATCH, REDUX), or
// the hardware takes the groups one after another (WARPSYNC): 0.17 us of a small call of mxfp8_quantize.
#pragma once

#include "device/lanes.cuh"

namespace fourge_device {

// Every lane gets the maximum.
FOURGE_INLINE uint32 octet_max(uint32 value) { return lanes_max<8>(value); }

// Every lane gets what one of them has.
FOURGE_INLINE float octet_broadcast(float value, int lane) {
  return __shfl_sync(0xFFFFFFFFu, value, lane, 8);
}

}  // namespace fourge_device

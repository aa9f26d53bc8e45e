// Exchange among four neighbouring lanes. All lanes of the warp call but those that have exited (octet.cuh says why).
#pragma once

#include "device/bits.cuh"
#include "device/lanes.cuh"

namespace fourge_device {

// Lane q of a quad holds column q of a 4x4 matrix of bytes and gets its row q; lane is the thread's index in
// its warp. Two steps: halves across lanes 1 apart, then 2.
FOURGE_INLINE uint32 transpose_quad(uint32 column, uint32 lane) {
  uint32 other = __shfl_xor_sync(0xFFFFFFFFu, column, 1);
  // Even lanes keep bytes 0 and 2 of both columns, odd lanes bytes 1 and 3.
  uint32 value = byte_permute(column, other, (lane & 1u) == 0 ? 0x6240u : 0x3715u);
  other = __shfl_xor_sync(0xFFFFFFFFu, value, 2);
  return byte_permute(value, other, (lane & 2u) == 0 ? 0x5410u : 0x3276u);
}

// Every lane gets the maximum of its quad.
FOURGE_INLINE uint32 quad_max_of_warp(uint32 value) { return lanes_max<4>(value); }

// What one of the lanes of its quad has.
FOURGE_INLINE uint32 quad_broadcast_in_warp(uint32 value, uint32 lane) {
  return __shfl_sync(0xFFFFFFFFu, value, static_cast<int>(lane), 4);
}

}  // namespace fourge_device

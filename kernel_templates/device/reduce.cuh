// Maxima over a warp and over a CTA. Magnitudes of floats order as their bits, so maxima of
// non-negative values (and of 16-bit floats' magnitudes) are taken on integers.
#pragma once

#include "device/shared_array.cuh"

namespace fourge_device {

// Over all 32 lanes, which all call; every lane gets the result.
FOURGE_INLINE uint32 warp_max(uint32 value) {
#if defined(FOURGE_HOST_EXECUTION)
  for (int distance = 16; distance > 0; distance /= 2) {
    const uint32 other = __shfl_xor_sync(0xFFFFFFFFu, value, distance);
    value = value > other ? value : other;
  }
  return value;
#else
  uint32 r;
  asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(r) : "r"(value));
  return r;
#endif
}

// Over all threads of a CTA of whole warps (at most 32), which all call; every thread gets the
// result. Has two barriers, so that a second call may follow at once with the same scratch.
FOURGE_INLINE uint32 cta_max(uint32 value, SharedArray<uint32, 32>& scratch) {
  const int warps = static_cast<int>(blockDim.x >> 5);
  const int warp = static_cast<int>(threadIdx.x >> 5);
  const uint32 own = warp_max(value);
  if (warps == 1) {
    return own;
  }
  if ((threadIdx.x & 31u) == 0) {
    scratch.set(warp, own);
  }
  __syncthreads();
  uint32 result = 0;
  for (int i = 0; i < warps; ++i) {
    const uint32 other = scratch.get(i);
    result = result > other ? result : other;
  }
  __syncthreads();
  return result;
}

// The same with one barrier: successive calls take slots 0 and 1 in turn. A warp alone needs none, so
// that several rows of threads (threadIdx.y) may then call on their own.
FOURGE_INLINE uint32 cta_max_alternating(uint32 value, SharedArray<uint32, 64>& scratch, int slot) {
  const int warps = static_cast<int>(blockDim.x >> 5);
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const uint32 own = warp_max(value);
  if (warps == 1) {
    return own;
  }
  if (lane == 0) {
    scratch.set(32 * slot + static_cast<int>(threadIdx.x >> 5), own);
  }
  __syncthreads();
  return warp_max(lane < warps ? scratch.get(32 * slot + lane) : 0u);
}

}  // namespace fourge_device

// Sums over the threads of a row, in an order that their number alone fixes.
#pragma once

#include "device/float_math.cuh"
#include "device/reduce.cuh"

namespace fourge_device {

// Lane i adds what lane i ^ 16 has, then i ^ 8, ..., i ^ 1: every lane gets the same bits.
FOURGE_INLINE float warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = add_rn(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
  }
  return value;
}

// The sums of the warps (at most 8), zeros after them, are added like lanes: the steps that would add
// nothing but zeros are left out. Barriers and slots as in cta_max_alternating(), with which it may take
// turns.
FOURGE_INLINE float cta_sum_alternating(float value, SharedArray<uint32, 64>& scratch, int slot) {
  const int warps = static_cast<int>(blockDim.x >> 5);
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const float own = warp_sum(value);
  if (warps == 1) {
    return own;
  }
  if (lane == 0) {
    scratch.set(32 * slot + static_cast<int>(threadIdx.x >> 5), float_bits(own));
  }
  __syncthreads();
  const int other = lane & 7;
  float sum = other < warps ? float_from_bits(scratch.get(32 * slot + other)) : 0.0f;
#pragma unroll
  for (int distance = 4; distance > 0; distance /= 2) {
    sum = add_rn(sum, __shfl_xor_sync(0xFFFFFFFFu, sum, distance));
  }
  return sum;
}

// RN(sqrt(a)).
FOURGE_INLINE float sqrt_rn(float a) {
#if defined(FOURGE_HOST_EXECUTION)
  return fourge_host::sqrt_rn(a);
#else
  return __fsqrt_rn(a);
#endif
}

}  // namespace fourge_device

// Sums over the threads of a row, in an order that their number alone fixes.
#pragma once

#include "device/float_math.cuh"
#include "device/global_memory.cuh"
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

// A row's lanes: lane i has the blocks of 16 elements i, i + lanes, ... Threads take lanes in turn, so that
// their number does not matter to the sum.
enum : int { kMostLanes = 512 };

FOURGE_INLINE int row_lanes(int blocks) {
  const int whole = (blocks + 31) & ~31;
  return whole < kMostLanes ? whole : kMostLanes;
}

// Where the sums of a row's lanes go. On the device an address in a register: the compiler would rather ask for the
// window of the CTA at each access.
struct LaneSums {
#if defined(FOURGE_HOST_EXECUTION)
  SharedArray<float, kMostLanes>& sums;
  int first;

  FOURGE_INLINE LaneSums(SharedArray<float, kMostLanes>& all, int begin)
      : sums(all), first(begin) {}
  FOURGE_INLINE void set(int lane, float sum) const { sums.set(first + lane, sum); }
#else
  uint32 address;

  FOURGE_INLINE LaneSums(SharedArray<float, kMostLanes>& all, int begin)
      : address(kept(static_cast<uint32>(__cvta_generic_to_shared(all.items + begin)))) {}
  FOURGE_INLINE void set(int lane, float sum) const {
    asm volatile("st.shared.f32 [%0], %1;" : : "r"(address + 4 * lane), "f"(sum) : "memory");
  }
#endif
};

// Of the threads of a row: of a CTA, or of a warp that has a row of its own.
FOURGE_INLINE void row_barrier() {
  if (blockDim.x == 32) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

// The sum of all lanes, which are in sums after a row_barrier(): i, i + 32, ... in turn, and these 32 as a warp's.
FOURGE_INLINE float sum_of_lanes(const SharedArray<float, kMostLanes>& sums, int first, int lanes) {
  const int own = first + static_cast<int>(threadIdx.x & 31u);
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < kMostLanes / 32; ++k) {
    if (32 * k < lanes) {
      sum = add_rn(sum, sums.get(own + 32 * k));
    }
  }
  return warp_sum(sum);
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

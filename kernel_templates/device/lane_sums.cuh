// The sums of a row's lanes in shared memory, four beside each other.
#pragma once

#include "device/row_sum.cuh"
#include "device/shared_copy.cuh"

namespace fourge_device {

// The sums of a row's lanes, as sum_of_lanes() adds them up, but those of lanes i, i + 32, ... beside each other, so that
// four are read at a time. What no lane has is zero, which changes no sum.
struct FourLaneSums {
  // Of 32 lanes each, in words: five times four, so that eight of them meet eight banks.
  enum : int { kStride = 20 };
  using Storage = SharedArray<float, 32 * kStride>;

  SharedAddress of_lane;

  FOURGE_INLINE explicit FourLaneSums(Storage& storage)
      : of_lane(shared_address(&storage, (threadIdx.x & 31u) * (4 * kStride))) {}

  // All of them, by the threads of the CTA.
  static FOURGE_INLINE void clear(Storage& storage) {
    const SharedAddress all = shared_address(&storage, 0);
    for (uint32 i = threadIdx.x; i < 8 * kStride; i += blockDim.x) {
      put_shared_words(all + 16 * i, {});
    }
  }

  // Of a block, the lane's own but for a multiple of 32.
  FOURGE_INLINE SharedAddress place(uint32 block) const {
    return of_lane + (block / 32 % (kMostLanes / 32)) * 4;
  }
  // After a barrier; all lanes of a warp call.
  FOURGE_INLINE float total(uint32 blocks) const {
    float sum = 0.0f;
#pragma unroll
    for (uint32 k = 0; k < kMostLanes / 32; k += 4) {
      if (32 * k < blocks) {
        const Words4 four = shared_words(of_lane + 4 * k);
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          sum = add_rn(sum, float_from_bits(four.w[n]));
        }
      }
    }
    return warp_sum(sum);
  }
};

}  // namespace fourge_device

// Where the sums of an all-reduce in two steps arrive, for both ways of it (two_shot.cuh, two_shot_sentinels.cuh): what
// follows from them is most of the kernel, and is there once.
#pragma once

#include "device/peer_slots.cuh"
#include "device/row_share.cuh"

namespace fourge_device {

// Stands for a sum of two -0.0, which is the sentinel, on the way: no sum is a NaN of these bits.
enum : uint32 { kSentinelSum = 0xFFFFFFFFu };

FOURGE_INLINE PeerVector replaced(const PeerVector& sum, uint32 from, uint32 to) {
  PeerVector v;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v.w[i] = sum.w[i] == from ? to : sum.w[i];
  }
  return v;
}
FOURGE_INLINE PeerVector without_sentinel(const PeerVector& sum) {
  return replaced(sum, kSentinel, kSentinelSum);
}
FOURGE_INLINE PeerVector with_sentinel(const PeerVector& sum) {
  return replaced(sum, kSentinelSum, kSentinel);
}

template <class Config>
struct TwoShotSums {
  enum : int { kBatch = 4 };  // vectors that a thread has on their way

  const PeerSlots<Config>& slots;
  // They come to this rank's own slot, where data says that it is there; else all are in the result area.
  bool by_sentinels;
  int vectors;  // of a row
  int64 result_offset;

  // Hands a row's sums to put(vector's number, sum).
  template <class Put>
  FOURGE_INLINE void get_row(int64 row, const Put& put) const {
    if (by_sentinels) {
      get_row_from<true>(kept(static_cast<const char*>(slots.own(slots.group.rank))), row, put);
    } else {
      get_row_from<false>(slots.group.own() + result_offset, row, put);
    }
  }

 private:
  template <bool kWaits, class Put>
  FOURGE_INLINE void get_row_from(const char* area, int64 row, const Put& put) const {
    const int step = static_cast<int>(blockDim.x);
    const char* const from = area + row * vectors * 16;
#pragma unroll 1
    for (int first = static_cast<int>(threadIdx.x); first < vectors; first += step * kBatch) {
      PeerVector v[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (first + b * step < vectors) {
          v[b] = load_peer(from + (first + b * step) * 16);
        }
      }
      if constexpr (kWaits) {
        wait_for(v, from, first);
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (first + b * step < vectors) {
          put(first + b * step, v[b]);
        }
      }
    }
  }

  // Looks again at what is not there yet.
  FOURGE_INLINE void wait_for(PeerVector (&v)[kBatch], const char* from, int first) const {
    const int step = static_cast<int>(blockDim.x);
    PeerWait<Config> wait{slots.group, WaitKind::result_barrier, 0, 0};
    int late = 0;
    do {
      late = -1;
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (first + b * step < vectors && has_sentinel(v[b])) {
          late = first + b * step;
          v[b] = load_peer(from + late * 16);
        }
      }
    } while (late >= 0 &&
             !wait.is_over(owner_of<Config::kRanks()>(late, part_of<Config::kRanks()>(vectors))));
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      v[b] = with_sentinel(v[b]);
    }
  }
};

}  // namespace fourge_device

// The slots that ranks send their data into, cleared to the sentinel so that the data itself says that it is
// there. There are three generations. A call uses one and puts the sentinel back into that of the call before:
// nobody writes there, as every rank that has begun this call has finished that one, and nobody will before
// this call is over, as the next call's generation is the third.
#pragma once

#include "device/peer_group.cuh"
#include "device/peer_sum.cuh"

namespace fourge_device {

template <class Config>
struct PeerSlots {
  enum : int { kRanks = Config::kRanks() };

  const PeerGroup<Config>& group;
  const ControlState& state;
  int64 slot_bytes;

  // Of slot r of this call's generation, in any workspace.
  FOURGE_INLINE int64 place(int r) const { return place_of(state.generation, r); }
  FOURGE_INLINE char* own(int r) const { return group.own() + place(r); }

  // The generation of the call before, in this rank's own workspace, by all CTAs.
  FOURGE_INLINE void clear() const {
    const uint32 generation = (state.generation + kGenerations - 1) % kGenerations;
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      const uint64 bytes = group.is_remote(r) ? state.used_bytes : state.result_bytes;
      if (bytes != 0) {
        clear_slot(group.own() + place_of(generation, r), static_cast<int64>(bytes / 16));
      }
    }
  }

 private:
  FOURGE_INLINE int64 place_of(uint32 generation, int r) const {
    return kOneShotOffset + (static_cast<int64>(generation) * kRanks + r) * slot_bytes;
  }
  FOURGE_INLINE void clear_slot(char* to, int64 count) const {
    const int64 step = static_cast<int64>(gridDim.x) * blockDim.x;
    const PeerVector sentinel = {{kSentinel, kSentinel, kSentinel, kSentinel}};
#pragma unroll 1
    for (int64 i = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += step) {
      store_peer(to + i * 16, sentinel);
    }
  }
};

}  // namespace fourge_device

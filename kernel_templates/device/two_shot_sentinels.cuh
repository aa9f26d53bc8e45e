// All-reduce in two steps without barriers, for few rows: as in two_shot.cuh each rank adds up a part of a row's
// vectors and sends the sums to all, but what it adds up and the sums go into slots (peer_slots.cuh), where data
// says that it is there. The slots of other ranks take what they send to be added, this rank's own the sums.
//
// The CTAs that share a row divide what is to be sent and to be added; the last warps add up, so that
// the others can go on. A thread of one warp may wait for what another warp of its CTA does.
#pragma once

#include "device/peer_slots.cuh"
#include "device/row_share.cuh"
#include "device/two_shot_sums.cuh"

namespace fourge_device {

// comm::kMostSentinelBytes.
enum : int64 { kMostSentinelBytes = 8 << 20 };

template <class Config>
FOURGE_INLINE bool adds_by_sentinels(int64 bytes, int64 slot_bytes) {
  return Config::kRanks() > 1 && bytes <= slot_bytes && bytes <= kMostSentinelBytes;
}

template <class Config>
struct TwoShotSentinels {
  enum : int { kRanks = Config::kRanks() };
  enum : int { kCount = 2 };  // vectors of a thread on their way out

  const PeerSlots<Config>& slots;
  const RowShare& share;
  const char* x;
  int64 rows;
  int vectors;  // of a row

  FOURGE_INLINE int part() const { return part_of<kRanks>(vectors); }
  FOURGE_INLINE int begin() const { return rank() * part(); }
  FOURGE_INLINE int mine() const { return vectors - begin() < part() ? vectors - begin() : part(); }

  // The first vectors that this thread sends.
  struct Inputs {
    PeerVector v[kCount];
  };
  FOURGE_INLINE Inputs first_inputs() const {
    Inputs inputs;
    if (share.first < rows) {
      read(inputs, share.first, share.thread());
    }
    return inputs;
  }

  FOURGE_INLINE void send_inputs(Inputs& inputs) const {
    const int count = vectors - mine();
    int64 row = share.first;
    int i = share.thread();
#pragma unroll 1
    while (row < rows) {
      send(inputs, row, i);
      i += kCount * share.threads();
      if (i >= count) {
        i = share.thread();
        row += share.step;
      }
      if (row < rows) {
        read(inputs, row, i);
      }
    }
  }

  FOURGE_INLINE void send_sums() const {
    const int first = share.thread_from_end();
#pragma unroll 1
    for (int64 row = share.first; row < rows; row += share.step) {
#pragma unroll 1
      for (int i = first; i < mine(); i += share.threads()) {
        send_sum(row, i);
      }
    }
  }

 private:
  FOURGE_INLINE const PeerGroup<Config>& group() const { return slots.group; }
  FOURGE_INLINE int rank() const { return group().rank; }
  // The i-th vector that this rank sends: it begins with the part of the next rank, and ends before its own.
  FOURGE_INLINE int vector_of(int i) const {
    const int vector = begin() + mine() + i;
    return vector < vectors ? vector : vector - vectors;
  }

  FOURGE_INLINE void read(Inputs& inputs, int64 row, int i) const {
#pragma unroll
    for (int b = 0; b < kCount; ++b) {
      const int at = i + b * share.threads();
      if (at < vectors - mine()) {
        inputs.v[b] = load_words4(x + (row * vectors + vector_of(at)) * 16);
      }
    }
  }
  FOURGE_INLINE void send(const Inputs& inputs, int64 row, int i) const {
#pragma unroll
    for (int b = 0; b < kCount; ++b) {
      const int at = i + b * share.threads();
      if (at < vectors - mine()) {
        const int vector = vector_of(at);
        const int owner = owner_of<kRanks>(vector, part());
        store_peer(
            group().at(owner) + slots.place(rank()) + (row * part() + vector - owner * part()) * 16,
            as_input<Config::kInput()>(inputs.v[b]));
      }
    }
  }

  FOURGE_INLINE void send_sum(int64 row, int i) const {
    const int64 in_part = (row * part() + i) * 16;
    const int64 at = (row * vectors + begin() + i) * 16;
    const PeerVector own = load_words4(x + at);
    const char* const from = slots.own(0);
    PeerVector v[kRanks];
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      if (group().is_remote(r)) {
        v[r] = load_peer(from + r * slots.slot_bytes + in_part);
      }
    }
    PeerWait<Config> wait{group(), WaitKind::input_barrier, 0, 0};
    int absent = 0;
    do {
      absent = -1;
#pragma unroll
      for (int r = 0; r < kRanks; ++r) {
        if (group().is_remote(r) && has_sentinel(v[r])) {
          v[r] = load_peer(from + r * slots.slot_bytes + in_part);
          absent = r;
        }
      }
    } while (absent >= 0 && !wait.is_over(absent));
    if (absent >= 0) {
      return;  // nobody is to take what is not the sum for it
    }
    const PeerVector mine = as_input<Config::kInput()>(own);
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      v[r] = chosen(group().is_remote(r), v[r], mine);
    }
    const PeerVector sum = without_sentinel(add_up<Config>(v));
#pragma unroll
    for (int r = 0; r < kRanks; ++r) {
      store_peer(group().peers[r] + slots.place(r) + at, sum);
    }
  }
};

}  // namespace fourge_device

// All-reduce in one step: every rank sends its rows into a slot of every other's workspace, and looks
// into its own until no word there is the sentinel (peer_slots.cuh).
#pragma once

#include "device/peer_slots.cuh"
#include "device/row_share.cuh"

namespace fourge_device {

// Vectors of a rank's own rows, so many at a time, in the order in which threads send them: those of all the
// CTAs that share a row.
template <class Config>
struct RowCursor {
  enum : int { kCount = 4 };

  const char* x;
  int64 rows;
  int vectors;  // of a row
  RowShare share;
  int64 row;
  int first;
  PeerVector v[kCount];  // as they were read

  FOURGE_INLINE bool is_inside() const { return row < rows; }
  FOURGE_INLINE int step() const { return share.threads(); }
  FOURGE_INLINE bool has(int b) const { return first + b * step() < vectors; }
  FOURGE_INLINE int64 place(int b) const { return (row * vectors + first + b * step()) * 16; }
  FOURGE_INLINE void start() {
    row = share.first;
    rewind();
    read();
  }
  FOURGE_INLINE void next() {
    first += kCount * step();
    if (first >= vectors) {
      rewind();
      row += share.step;
    }
    read();
  }

 private:
  FOURGE_INLINE void rewind() {
    first = share.part * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
  }
  FOURGE_INLINE void read() {
    if (is_inside()) {
#pragma unroll
      for (int b = 0; b < kCount; ++b) {
        if (has(b)) {
          v[b] = load_words4(x + place(b));
        }
      }
    }
  }
};

template <class Config>
struct OneShot {
  enum : int { kRanks = Config::kRanks() };
  // Vectors of a row that a thread waits for at once.
  enum : int { kBatch = kRanks <= 2 ? 4 : kRanks <= 4 ? 2 : 1 };

  const PeerSlots<Config>& slots;
  const PeerGroup<Config>& group;
  const char* x;
  int64 rows;
  int vectors;  // of a row

  // Sends this CTA's rows. The first vectors were read before the control was.
  FOURGE_INLINE void send_rows(RowCursor<Config>& cursor) const {
    const int64 to = slots.place(group.rank);
#pragma unroll 1
    while (cursor.is_inside()) {
#pragma unroll
      for (int b = 0; b < cursor.kCount; ++b) {
        cursor.v[b] = as_input<Config::kInput()>(cursor.v[b]);
      }
#pragma unroll
      for (int r = 0; r < kRanks; ++r) {
        if (group.is_remote(r)) {
#pragma unroll
          for (int b = 0; b < cursor.kCount; ++b) {
            if (cursor.has(b)) {
              store_peer(group.peers[r] + to + cursor.place(b), cursor.v[b]);
            }
          }
        }
      }
      cursor.next();
    }
  }

  // This rank's slots of the present generation. Found anew for each row: the addresses would take registers
  // that the norm needs.
  FOURGE_INLINE const char* own_slots() const {
    return kept(static_cast<const char*>(slots.own(0)));
  }
  FOURGE_INLINE PeerVector look(const char* from, int r, int64 at) const {
    return load_peer(from + r * slots.slot_bytes + at);
  }

  // Waits for a row and hands its sums to put(vector's number, sum).
  template <class Put>
  FOURGE_INLINE void get_row(int64 row, const Put& put) const {
    const int step = static_cast<int>(blockDim.x);
    const char* const from = own_slots();
#pragma unroll 1
    for (int first = static_cast<int>(threadIdx.x); first < vectors; first += step * kBatch) {
      PeerVector mine[kBatch];
      PeerVector v[kBatch][kRanks];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (first + b * step < vectors) {
          const int64 at = (row * vectors + first + b * step) * 16;
          if constexpr (!PeerGroup<Config>::kAlone) {
            mine[b] = load_words4(x + at);
          }
#pragma unroll
          for (int r = 0; r < kRanks; ++r) {
            if (group.is_remote(r)) {
              v[b][r] = look(from, r, at);
            }
          }
        }
      }
      wait_for(v, from, row, first);
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        const PeerVector own = as_input<Config::kInput()>(mine[b]);
#pragma unroll
        for (int r = 0; r < kRanks; ++r) {
          v[b][r] = chosen(group.is_remote(r), v[b][r], own);
        }
        if (first + b * step < vectors) {
          put(first + b * step, add_up<Config>(v[b]));
        }
      }
    }
  }

 private:
  // Looks again at what is not there yet.
  FOURGE_INLINE void wait_for(PeerVector (&v)[kBatch][kRanks], const char* from, int64 row,
                              int first) const {
    const int step = static_cast<int>(blockDim.x);
    PeerWait<Config> wait{group, WaitKind::one_shot_data, 0, 0};
    int missing = 0;
    do {
      missing = -1;
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (first + b * step < vectors) {
#pragma unroll
          for (int r = 0; r < kRanks; ++r) {
            if (group.is_remote(r) && has_sentinel(v[b][r])) {
              v[b][r] = look(from, r, (row * vectors + first + b * step) * 16);
              missing = r;
            }
          }
        }
      }
    } while (missing >= 0 && !wait.is_over(missing));
  }
};

}  // namespace fourge_device

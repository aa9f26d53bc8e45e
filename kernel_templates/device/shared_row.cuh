// A row of sums in the CTA's shared memory: written by all threads, eight elements each, read by those
// that norm it, 32 each (norm_row.cuh).
#pragma once

#include "device/norm_row.cuh"
#include "device/peer_memory.cuh"

namespace fourge_device {

FOURGE_INLINE PeerVector* shared_row() {
#if defined(FOURGE_HOST_EXECUTION)
  return static_cast<PeerVector*>(fourge_host::dynamic_shared());
#else
  extern __shared__ PeerVector fourge_shared_row[];
  return fourge_shared_row;
#endif
}

// Where a row's i-th vector lies, so that neither way of access meets one bank several times.
FOURGE_INLINE int shared_place(int i) { return i ^ ((i >> 3) & 3); }

FOURGE_INLINE void put_shared(int i, const PeerVector& v) {
  PeerVector* const to = shared_row() + shared_place(i);
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_shared(to, sizeof(v), 1);
#endif
  *to = v;
}
FOURGE_INLINE PeerVector get_shared(int i) {
  const PeerVector* const from = shared_row() + shared_place(i);
#if defined(FOURGE_HOST_EXECUTION)
  fourge_host::check_shared(from, sizeof(*from), 0);
#endif
  return *from;
}

template <class Config>
struct SharedRow {
  static constexpr bool kMayLackSum = true;

  static FOURGE_INLINE int lanes(int cols) {
    const int whole = (cols + 1023) / 1024 * 32;
    return whole < 256 ? whole : 256;
  }
  static FOURGE_INLINE bool working(int cols) {
    return static_cast<int>(threadIdx.x) < lanes(cols);
  }
  static FOURGE_INLINE int column_of(int round, int cols) {
    const int unit = round * lanes(cols) + static_cast<int>(threadIdx.x);
    return working(cols) ? unit * 32 : 1 << 30;
  }
  static FOURGE_INLINE UnitWords load(const void*, int64, int column, int cols) {
    UnitWords unit = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + 8 * i < cols) {
        const PeerVector v = get_shared(column / 8 + i);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          unit.half[i / 2].w[4 * (i % 2) + j] = v.w[j];
        }
      }
    }
    return unit;
  }
};

}  // namespace fourge_device

// How the CTAs of a launch, and the ranks of a group, divide rows that ranks exchange.
#pragma once

#include "device/convert16.cuh"

namespace fourge_device {

// With few rows several CTAs share each: all of them get its sum, and each stores a part of what follows from
// it. A row's norm needs the whole row, and this is sooner than to tell each other.
struct RowShare {
  int64 first;  // row
  int64 step;
  int part;
  int parts;  // 1, 2, 4 or 8

  FOURGE_INLINE RowShare(int64 rows, int most_bits) {
    int bits = most_bits;
    while (bits > 0 && (rows << bits) > static_cast<int64>(gridDim.x)) {
      --bits;
    }
    parts = 1 << bits;
    part = static_cast<int>(blockIdx.x) & (parts - 1);
    first = static_cast<int>(blockIdx.x >> bits);
    step = static_cast<int>(gridDim.x >> bits);
  }

  // Threads of all the CTAs that share a row, and this one's number: warps of the CTAs in turn, so that each CTA
  // has its part of a few vectors.
  FOURGE_INLINE int threads() const { return static_cast<int>(blockDim.x) * parts; }
  FOURGE_INLINE int thread() const { return number_of(static_cast<int>(threadIdx.x)); }
  // The last warps first.
  FOURGE_INLINE int thread_from_end() const {
    return number_of(static_cast<int>(blockDim.x) - 32 - warp_begin() + lane());
  }

 private:
  static FOURGE_INLINE int lane() { return static_cast<int>(threadIdx.x & 31u); }
  static FOURGE_INLINE int warp_begin() { return static_cast<int>(threadIdx.x) - lane(); }
  FOURGE_INLINE int number_of(int t) const { return (t - lane()) * parts + part * 32 + lane(); }
};

// Vectors of a row that each rank adds up; the last has what is left.
template <int kRanks>
FOURGE_INLINE int part_of(int vectors) {
  return (vectors + kRanks - 1) / kRanks;
}
template <int kRanks>
FOURGE_INLINE int owner_of(int vector, int part) {
  int owner = 0;
#pragma unroll
  for (int r = 1; r < kRanks; ++r) {
    owner += vector >= r * part ? 1 : 0;
  }
  return owner;
}

}  // namespace fourge_device

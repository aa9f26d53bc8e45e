// Zero scales in the rows behind each expert's, where every expert has tiles of its own: those of expert e
// start at row (starts[e] + (tile - 1) * e) rounded up to whole tiles.
#pragma once

#include "device/scale_layout.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

template <ScaleLayout kLayout>
constexpr int64 kTileRows = kLayout == ScaleLayout::tiled_128x4 ? 128
                            : kLayout == ScaleLayout::tiled_8x4 ? 8
                                                                : 1;

template <ScaleLayout kLayout>
FOURGE_INLINE int64 expert_region(int64 expert, int64 start) {
  return padded_rows<kLayout>(start + (kTileRows<kLayout> - 1) * expert);
}

// From `first` to `end`, which is a whole number of tiles; columns: with padding. A thread takes every
// `threads`-th 16 bytes, which are one word in each of four rows, so that a warp stores what lies together.
template <ScaleLayout kLayout>
FOURGE_INLINE void store_zero_scale_rows(uint8* scales, int64 first, int64 end, int64 columns,
                                         int64 thread, int64 threads) {
  constexpr int64 kRows = kTileRows<kLayout>;
  constexpr int64 kChunks = kRows / 4;  // of a tile
  constexpr uint32 kZero[4] = {0, 0, 0, 0};
  const int64 row_chunks = columns / 4 * kChunks;
#pragma unroll 1
  for (int64 tile = first / kRows; tile * kRows < end; ++tile) {
    const int64 used = first - tile * kRows;
#pragma unroll 1
    for (int64 i = thread; i < row_chunks; i += threads) {
      uint8* const to = scales + (tile * row_chunks + i) * 16;
      const int64 row = kLayout == ScaleLayout::tiled_128x4 ? i % 32 : i % 2 * 4;
      if (row >= used) {
        store_words(to, kZero);
        continue;
      }
#pragma unroll
      for (int64 k = 0; k < 4; ++k) {
        if (row + k * kRowDistance<kLayout> >= used) {
          store(reinterpret_cast<uint32*>(to) + k, 0u);
        }
      }
    }
  }
}

// A share of that of all experts: the group-th of `groups`, whose threads are `threads`.
template <ScaleLayout kLayout>
FOURGE_INLINE void store_expert_padding(uint8* scales, const int64* starts, int64 experts,
                                        int64 columns, int64 group, int64 groups, int64 thread,
                                        int64 threads) {
  constexpr int64 kShares = kLayout == ScaleLayout::tiled_128x4 ? 4 : 1;
#pragma unroll 1
  for (int64 i = group; i < experts * kShares; i += groups) {
    const int64 e = i / kShares;
    const int64 start = load(starts + e);
    const int64 next = load(starts + e + 1);
    store_zero_scale_rows<kLayout>(scales, expert_region<kLayout>(e, start) + next - start,
                                   expert_region<kLayout>(e + 1, next), columns,
                                   i % kShares * threads + thread, kShares * threads);
  }
}

}  // namespace fourge_device

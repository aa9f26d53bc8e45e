// Which blocks of a group of rows each thread of a CTA takes, and how their scales are stored: along the rows, or by
// tiles of block scales.
#pragma once

#include "device/scale_layout.cuh"

namespace fourge_device {

// A thread takes a block column of kCount rows, kDistance apart; a CTA's kThreads lie along a row.
template <ScaleLayout kLayout, int kCount, uint32 kThreads>
struct RowThreads {
  enum : uint32 { kColumns = kThreads };
  enum : uint32 { kGroupRows = kCount };
  enum : int { kDistance = static_cast<int>(kRowDistance<kLayout>) };
  using Place = ScalePlace<kLayout, kCount>;

  static FOURGE_INLINE int64 first_row(uint32 group) {
    return first_row_of_group<kLayout, kCount>(group);
  }
  static FOURGE_INLINE uint32 column() { return threadIdx.x; }
};

// A thread takes one block, a warp four columns of eight rows whose scales are 32 neighbouring bytes: what its
// lanes store at once is one whole sector of memory, as with linear scales, and of each row they read 128
// bytes. For calls that fill the device a few times at most; larger ones read whole rows faster.
template <ScaleLayout kLayout, uint32 kThreads>
struct TileThreads {
  static_assert(kLayout != ScaleLayout::linear);
  enum : bool { k128 = kLayout == ScaleLayout::tiled_128x4 };
  enum : uint32 { kColumns = kThreads / 8 };
  enum : uint32 { kGroupRows = 8 };
  enum : int { kDistance = 1 };
  using Place = ScalePlace<kLayout, 1>;

  // Of a 128x4 tile, which has 16 groups, the eight are two and two, 32 apart.
  static FOURGE_INLINE int64 first_row(uint32 group) {
    const uint32 place = threadIdx.x / 4 % 8;
    return k128 ? static_cast<int64>(group / 16) * 128 +
                      (group % 16 * 2 + place % 4 * 32 + place / 4)
                : static_cast<int64>(group) * 8 + place;
  }
  static FOURGE_INLINE uint32 column() { return threadIdx.x / 32 * 4 + threadIdx.x % 4; }
};

}  // namespace fourge_device

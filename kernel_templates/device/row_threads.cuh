// Which blocks of a group of rows each thread of a CTA takes, and how their scales are stored.
#pragma once

#include "device/scale_layout.cuh"

namespace fourge_device {

// A thread takes a block column of kCount rows, kDistance apart. With linear scales the CTA's threads lie along a row.
// With tiled ones a warp takes four columns of eight rows whose scales are 32 neighbouring bytes, kCount
// times: what its lanes store at once is one whole sector of memory, as with linear scales, and of each row
// they read 128 bytes.
template <ScaleLayout kLayout, int kCount, uint32 kThreads>
struct RowThreads {
  static constexpr bool kTiled = kLayout != ScaleLayout::linear;
  static constexpr bool k128 = kLayout == ScaleLayout::tiled_128x4;
  static constexpr uint32 kColumns = kTiled ? kThreads / 8 : kThreads;
  static constexpr uint32 kGroupRows = kTiled ? 8 * kCount : kCount;
  // The eight rows are two and two, 32 apart, in a 128x4 tile, and all of an 8x4 tile.
  static constexpr int kDistance = k128 ? 2 : kTiled ? 8 : 1;

  // The thread's first row in a group. Whole tiles of 128 rows have 16 / kCount groups each.
  static FOURGE_INLINE int64 first_row(uint32 group) {
    const uint32 place = threadIdx.x / 4 % 8;
    if constexpr (k128) {
      constexpr uint32 kGroups = 16 / kCount;
      return static_cast<int64>(group / kGroups) * 128 +
             (group % kGroups * (2 * kCount) + place % 4 * 32 + place / 4);
    } else {
      return static_cast<int64>(group) * kGroupRows + (kTiled ? place : 0);
    }
  }
  // Among the CTA's.
  static FOURGE_INLINE uint32 column() {
    return kTiled ? threadIdx.x / 32 * 4 + threadIdx.x % 4 : threadIdx.x;
  }
  // Byte i of `bytes` is the scale of the i-th row, the first one's goes to address. The rows of scales end
  // after rows_left, `columns` each, both with padding.
  static FOURGE_INLINE void store_scales(uint8* address, uint32 bytes, int64 rows_left,
                                         int64 columns) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (k128 || i * kDistance < rows_left) {
        store(address + i * (k128 ? 32 : kDistance * columns),
              static_cast<uint8>(bytes >> (8 * i)));
      }
    }
  }
};

}  // namespace fourge_device

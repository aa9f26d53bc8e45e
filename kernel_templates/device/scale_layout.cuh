// Where the block scale of (row, column) lies. 128x4 and 8x4 tiles are padded to whole tiles;
// linear has no padding.
#pragma once

#include "device/types.cuh"

namespace fourge_device {

template <ScaleLayout kLayout>
FOURGE_INLINE int64 padded_rows(int64 rows) {
  if constexpr (kLayout == ScaleLayout::tiled_128x4) {
    return (rows + 127) / 128 * 128;
  } else if constexpr (kLayout == ScaleLayout::tiled_8x4) {
    return (rows + 7) / 8 * 8;
  } else {
    return rows;
  }
}

template <ScaleLayout kLayout>
FOURGE_INLINE int64 padded_columns(int64 columns) {
  if constexpr (kLayout == ScaleLayout::linear) {
    return columns;
  } else {
    return (columns + 3) / 4 * 4;
  }
}

// columns is the padded count.
template <ScaleLayout kLayout>
FOURGE_INLINE int64 scale_offset(int64 row, int64 column, int64 columns) {
  if constexpr (kLayout == ScaleLayout::tiled_128x4) {
    return (row >> 7) * (columns >> 2) * 512 + (column >> 2) * 512 + (row & 31) * 16 +
           ((row >> 5) & 3) * 4 + (column & 3);
  } else if constexpr (kLayout == ScaleLayout::tiled_8x4) {
    return (row >> 3) * (columns >> 2) * 32 + (column >> 2) * 32 + (row & 7) * 4 + (column & 3);
  } else {
    return row * columns + column;
  }
}

}  // namespace fourge_device

// Where the block scale of (row, column) lies. 128x4 and 8x4 tiles are padded to whole tiles;
// linear has no padding.
#pragma once

#include "device/global_memory.cuh"
#include "device/quad.cuh"

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

// Bytes from a block's scale to that of one so many columns on, a multiple of four, for each of them.
template <ScaleLayout kLayout>
constexpr uint32 kScaleStep = kLayout == ScaleLayout::tiled_128x4 ? 128
                              : kLayout == ScaleLayout::tiled_8x4 ? 8
                                                                  : 1;

// A whole row of zero scales, by the blockDim.x threads of a row; columns is the padded count. Tiled layouts only.
template <class Config>
FOURGE_INLINE void store_zero_scales(uint8* scales, int64 row, int64 columns) {
  for (int64 column = threadIdx.x * 4; column < columns; column += blockDim.x * 4) {
    store(reinterpret_cast<uint32*>(scales + scale_offset<Config::kLayout()>(row, column, columns)),
          0u);
  }
}

// Rows that are handled together are this far apart: in a 128x4 tile the scales of four rows 32
// apart and four columns are 16 neighbouring bytes, in an 8x4 tile those of four neighbouring rows.
template <ScaleLayout kLayout>
constexpr int64 kRowDistance = kLayout == ScaleLayout::tiled_128x4 ? 32 : 1;

// First row of the group-th group of kRows rows.
template <ScaleLayout kLayout, int kRows>
FOURGE_INLINE int64 first_row_of_group(int64 group) {
  if constexpr (kLayout == ScaleLayout::tiled_128x4) {
    return (group >> 5) * (32 * kRows) + (group & 31);
  } else {
    return group * kRows;
  }
}

// Where the scales of one column and a group of rows (first + i * kRowDistance) go. In the tiled layouts
// the four lanes of a quad hold four neighbouring columns, all of them call, and each of the first kRows
// lanes stores four columns of one row at once. Only the address stays alive while the blocks are
// quantized.
template <ScaleLayout kLayout, int kRows>
struct ScalePlace {
  enum : bool { kQuad = kLayout != ScaleLayout::linear && kRows > 1 };
  uint8* address;
  int64 columns;

  FOURGE_INLINE ScalePlace(uint8* scales, int64 first, int64 column, int64 columns_given)
      : columns(columns_given) {
    const int64 lane = kQuad ? threadIdx.x & 3u : 0u;
    const int64 row = first + (lane < kRows ? lane : 0) * kRowDistance<kLayout>;
    address = scales + scale_offset<kLayout>(row, column - lane, columns);
  }

  // Byte i of `bytes` is the scale of row i; only linear scales end with rows_left.
  FOURGE_INLINE void store_bytes(uint32 bytes, int64 rows_left) const {
    if constexpr (kQuad) {
      const uint32 lane = threadIdx.x & 31u;
      const uint32 word = transpose_quad(bytes, lane);
      if ((lane & 3u) < kRows) {
        store(reinterpret_cast<uint32*>(address), word);
      }
    } else if constexpr (kRows == 1 && kLayout != ScaleLayout::linear) {
      store(address, static_cast<uint8>(bytes));
    } else {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        if (i < rows_left) {
          store(address + i * columns, static_cast<uint8>(bytes >> (8 * i)));
        }
      }
    }
  }
};

template <ScaleLayout kLayout, int kRows>
FOURGE_INLINE void store_scales(uint8* scales, uint32 bytes, int64 first, int64 rows, int64 column,
                                int64 columns) {
  ScalePlace<kLayout, kRows>(scales, first, column, columns).store_bytes(bytes, rows - first);
}

}  // namespace fourge_device

// Conversion between linear and tiled block scales, 16 bytes of a tile at a time.
//
// A thread takes four rows, kRowDistance apart, and four columns: 16 neighbouring bytes of a tile and
// four bytes in each of four linear rows. Two neighbouring lanes take neighbouring groups of rows, so
// that together they fill a sector of a tile; both layouts have an even number of groups. Grid x runs
// over the columns, y strides over pairs of groups, z over the batches.
#pragma once

#include "device/scale_layout.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

// Four bytes of a linear row from `column` on; 0 where the row has ended.
FOURGE_INLINE uint32 load_scale_word(const uint8* row, int64 column, int64 columns) {
  if (columns % 4 == 0) {
    return load(reinterpret_cast<const uint32*>(row + column));
  }
  uint32 word = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (column + i < columns) {
      word |= static_cast<uint32>(load(row + column + i)) << (8 * i);
    }
  }
  return word;
}

FOURGE_INLINE void store_scale_word(uint8* row, int64 column, int64 columns, uint32 word) {
  if (columns % 4 == 0) {
    store(reinterpret_cast<uint32*>(row + column), word);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (column + i < columns) {
      store(row + column + i, static_cast<uint8>(word >> (8 * i)));
    }
  }
}

// Calls convert(batch, first row, column) for each unit that is this thread's.
template <class Config, class Convert>
FOURGE_INLINE void for_each_scale_unit(int64 rows, int64 columns, int64 batches,
                                       const Convert& convert) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  const int64 threads = blockDim.x / 2;
  const int64 column = 4 * (static_cast<int64>(blockIdx.x) * threads + threadIdx.x / 2);
  if (column >= columns) {
    return;
  }
  wait_for_predecessor<Config>();
  const int64 groups = padded_rows<kLayout>(rows) / 4;
  for (int64 batch = blockIdx.z; batch < batches; batch += gridDim.z) {
    for (int64 pair = blockIdx.y; 2 * pair < groups; pair += gridDim.y) {
      convert(batch, first_row_of_group<kLayout, 4>(2 * pair + (threadIdx.x & 1u)), column);
    }
  }
}

}  // namespace fourge_device

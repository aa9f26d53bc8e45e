// scale_interleave: see fourge/scale_interleave.hpp for the contract.
#pragma once

#include "device/scale_tiles.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void scale_interleave_kernel(const uint8* linear, uint8* tiled, int64 rows,
                                           int64 columns, int64 batches) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  const int64 all_columns = padded_columns<kLayout>(columns);
  const int64 tiled_bytes = padded_rows<kLayout>(rows) * all_columns;
  const auto convert = [=](int64 batch, int64 first, int64 column) {
    uint32 words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64 row = first + i * kRowDistance<kLayout>;
      words[i] = 0;
      if (row < rows) {
        words[i] = load_scale_word(linear + (batch * rows + row) * columns, column, columns);
      }
    }
    store_words(tiled + batch * tiled_bytes + scale_offset<kLayout>(first, column, all_columns),
                words);
  };
  for_each_scale_unit<Config>(rows, columns, batches, convert);
}

}  // namespace fourge_device

// Rows of blocks of 32, for any element format.
//
// A CTA takes a group of kTokensPerCta rows at a time; a thread takes the same block column of each, or half
// a block: with half the registers, all of a call of a thousand rows is on its way at once.
// Grid x runs over the columns, y strides over the groups. Tiled layouts have a multiple of
// kTokensPerCta rows, so no group reaches past them.
#pragma once

#include "device/block32.cuh"
#include "device/scale_layout.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

// Format::kLanes: threads that share a block; Format::kWords: 32-bit words that a thread's part of a
// quantized one has; Format::quantize(block, words) fills them and returns the scale byte. A block of zeros
// gives zeros only, so columns from cols to padded_cols need no case of their own.
template <class Config, class Format>
FOURGE_INLINE void quantize_mx_rows(const void* x, uint8* output, uint8* scales, int64 rows,
                                    int64 cols, int64 padded_cols) {
  constexpr int kRows = Config::kTokensPerCta;
  constexpr ScaleLayout kLayout = Config::kLayout;
  constexpr int64 kDistance = kRowDistance<kLayout>;
  constexpr int kLanes = Format::kLanes;
  constexpr int kWords = Format::kWords;
  const int64 parts = cols / 32 * kLanes;
  const int64 output_parts = padded_cols / 32 * kLanes;
  const int64 all_columns = padded_columns<kLayout>(padded_cols / 32);
  const int64 part = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 column = part / kLanes;
  if (column >= all_columns) {
    return;  // all lanes of a block
  }

  wait_for_predecessor<Config>();
  const int64 groups = (padded_rows<kLayout>(rows) + kRows - 1) / kRows;
  for (int64 group = blockIdx.y; group < groups; group += gridDim.y) {
    const int64 first = first_row_of_group<kLayout, kRows>(group);
    Block32<kLanes> block[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64 row = first + i * kDistance;
      block[i] = Block32<kLanes>{};
      if (part < parts && row < rows) {
        block[i] = load_block32<Config, kLanes>(static_cast<const char*>(x) +
                                                (row * parts + part) * (64 / kLanes));
      }
    }
    uint32 scale_bytes = 0;
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64 row = first + i * kDistance;
      if (part < output_parts && row < rows) {
        uint32 words[kWords];
        scale_bytes |= Format::quantize(block[i], words) << (8 * i);
        store_words(output + (row * output_parts + part) * (4 * kWords), words);
      }
    }
    if (part % kLanes == 0) {
      store_scales<kLayout, kRows>(scales, scale_bytes, first, rows, column, all_columns);
    }
  }
}

}  // namespace fourge_device

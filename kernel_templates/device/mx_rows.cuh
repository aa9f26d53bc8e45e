// Rows of blocks of 32, for any element format.
//
// One row at a time: a thread takes one part, a block or half a block: with half the registers, all of a call of a
// thousand rows is on its way at once. Where rows do not matter (linear scales, no padding columns) the parts are one
// flat range, so that a thread's addresses take few instructions: row by row 1024x7168 took up to a tenth longer.
// Otherwise grid x runs over the columns, y over the rows, z where these are too many for y. With tiled scales a warp
// may take blocks by tiles (Format::kByTiles, row_threads.cuh); then y runs over groups of eight rows.
//
// Several rows at a time: a CTA takes a group of kTokensPerCta rows at a time; a thread takes the same block column of each.
// Grid x runs over the columns, y strides over the groups. Tiled layouts have a multiple of
// kTokensPerCta rows, so no group reaches past them.
#pragma once

#include "device/block32.cuh"
#include "device/row_threads.cuh"
#include "device/scale_layout.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

// What a thread takes of a matrix, one row at a time.
struct MxPart {
  int64 from;  // the part's number in x
  int64 to;    // in the output
  uint8* scale;
  bool reads;   // otherwise zeros
  bool writes;  // otherwise its scale at most
};

enum : int { kPartThreads = 128 };  // the launch rule has the same

// Format::kLanes: threads that share a block; Format::kWords: 32-bit words that a thread's part of a
// quantized one has; Format::quantize(block, words) fills them and returns the scale byte. A block of zeros
// gives zeros only, so columns from cols to padded_cols need no case of their own.
template <class Config, class Format>
FOURGE_INLINE void quantize_mx_parts(const void* x, uint8* output, uint8* scales, int64 rows,
                                     int64 cols, int64 padded_cols) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr int kLanes = Format::kLanes;
  constexpr int kWords = Format::kWords;
  const int64 parts = static_cast<int64>(static_cast<uint64>(cols) / 32) * kLanes;
  MxPart part;
  if (kLayout == ScaleLayout::linear && cols == padded_cols) {
    const uint64 cta = static_cast<uint64>(blockIdx.y) * gridDim.x + blockIdx.x;
    const int64 index = static_cast<int64>(cta * kPartThreads) + threadIdx.x;
    if (index >= rows * parts) {
      return;  // all lanes of a block
    }
    part = {index, index, scales + static_cast<uint64>(index) / kLanes, true, true};
  } else {
    const uint32 own_parts = static_cast<uint32>(parts);
    const uint32 output_parts = static_cast<uint32>(static_cast<uint64>(padded_cols) / 32) * kLanes;
    const uint32 all_columns =
        static_cast<uint32>(padded_columns<kLayout>(static_cast<int64>(output_parts / kLanes)));
    uint32 index = blockIdx.x * blockDim.x + threadIdx.x;
    uint32 group = blockIdx.y;
    bool beyond = false;
    if_seldom(gridDim.z > 1, [&] {
      constexpr int kGroupRows = Format::kByTiles ? 8 : 1;
      group += blockIdx.z * gridDim.y;
      beyond = static_cast<int64>(group) * kGroupRows >= padded_rows<kLayout>(rows);
    });
    int64 row = group;
    if constexpr (Format::kByTiles) {
      using Threads = TileThreads<kLayout, kPartThreads>;
      index = blockIdx.x * Threads::kColumns + Threads::column();
      row = Threads::first_row(group);
    }
    const uint32 column = index / kLanes;
    if (column >= all_columns || beyond) {
      return;
    }
    part = {row * own_parts + index, row * output_parts + index,
            scales + scale_offset<kLayout>(row, column, all_columns),
            index < own_parts && row < rows, index < output_parts && row < rows};
  }
  wait_for_predecessor<Config>();
  Block32<kLanes> block{};
  if (part.reads) {
    block = load_block32<Config, kLanes>(static_cast<const char*>(x) + part.from * (64 / kLanes));
  }
  uint32 words[kWords];
  const uint32 scale = Format::quantize(block, words);
  if (part.writes) {
    store_words(output + part.to * (4 * kWords), words);
  }
  if (threadIdx.x % kLanes == 0) {
    store(part.scale, static_cast<uint8>(part.writes ? scale : 0u));
  }
}

template <class Config, class Format>
FOURGE_INLINE void quantize_mx_groups(const void* x, uint8* output, uint8* scales, int64 rows,
                                      int64 cols, int64 padded_cols) {
  constexpr int kRows = Config::kTokensPerCta();
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr int64 kDistance = kRowDistance<kLayout>;
  static_assert(Format::kLanes == 1);
  constexpr int kWords = Format::kWords;
  const int64 parts = cols / 32;
  const int64 output_parts = padded_cols / 32;
  const int64 all_columns = padded_columns<kLayout>(padded_cols / 32);
  const int64 part = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (part >= all_columns) {
    return;
  }

  wait_for_predecessor<Config>();
  const int64 groups = (padded_rows<kLayout>(rows) + kRows - 1) / kRows;
  for (int64 group = blockIdx.y; group < groups; group += gridDim.y) {
    const int64 first = first_row_of_group<kLayout, kRows>(group);
    Block32<1> block[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int64 row = first + i * kDistance;
      block[i] = Block32<1>{};
      if (part < parts && row < rows) {
        block[i] = load_block32<Config, 1>(static_cast<const char*>(x) + (row * parts + part) * 64);
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
    store_scales<kLayout, kRows>(scales, scale_bytes, first, rows, part, all_columns);
  }
}

template <class Config, class Format>
FOURGE_INLINE void quantize_mx_rows(const void* x, uint8* output, uint8* scales, int64 rows,
                                    int64 cols, int64 padded_cols) {
  if constexpr (Config::kTokensPerCta() == 1) {
    quantize_mx_parts<Config, Format>(x, output, scales, rows, cols, padded_cols);
  } else {
    quantize_mx_groups<Config, Format>(x, output, scales, rows, cols, padded_cols);
  }
}

}  // namespace fourge_device

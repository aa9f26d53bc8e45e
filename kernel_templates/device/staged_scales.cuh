// Block scales from a workspace, where they lie by tokens, to the tiles of the rows that tokens go to.
//
// A thread takes four rows, kRowDistance apart, and 16 columns: 16 bytes of each of four tokens become the
// 16 bytes that these rows have in each of four tiles. So four neighbouring lanes read 64 bytes of a token,
// and a warp, which takes 32 rows, stores 128 neighbouring bytes of a 128x4 tile or whole 8x4 tiles.
#pragma once

#include "device/expert_padding.cuh"
#include "device/moe_rows.cuh"
#include "device/store_words.cuh"
#include "device/warp_search.cuh"
#include "device/work_order.cuh"

namespace fourge_device {

// What a warp takes at a time.
enum : uint32 { kStagedRows = 32 };
enum : uint32 { kStagedColumns = 64 };
// Bytes before the scales of token 0, those of a token being a multiple of kStagedPitch.
enum : int64 { kStagedHeader = kWorkOrderBytes };
enum : int64 { kStagedPitch = 32 };

FOURGE_INLINE int64 staged_pitch(int64 columns) {
  return (columns + kStagedPitch - 1) / kStagedPitch * kStagedPitch;
}

template <class Config>
struct StagedScales {
  __device__ static constexpr ScaleLayout kLayout() { return Config::kLayout(); }
  enum : int64 { kTile = kTileRows<kLayout()> };
  enum : bool { kRegions = Config::kIndex() == MoeIndex::compact };
  // In place of a token.
  enum : int { kZeros = -1 };
  enum : int { kUntouched = -2 };

  const uint8* staged;
  uint8* scales;
  const int* row_entries;
  const int64* expert_rows;
  int64 tokens;
  int64 top_k;
  int64 capacity;
  int64 experts;
  uint32 columns;  // with padding

  FOURGE_INLINE uint32 scale_rows() const {
    return static_cast<uint32>(
        padded_rows<kLayout()>(capacity + (kRegions ? (kTile - 1) * experts : 0)));
  }
  // Items of these columns. A CTA takes a unit a warp.
  FOURGE_INLINE uint32 items(uint32 first_column, uint32 end_column) const {
    const uint32 warps = blockDim.x / 32;
    const uint64 units = uint64{(scale_rows() + kStagedRows - 1) / kStagedRows} *
                         column_parts(first_column, end_column);
    return static_cast<uint32>((units + warps - 1) / warps);
  }
  static FOURGE_INLINE uint32 column_parts(uint32 first_column, uint32 end_column) {
    return (end_column - first_column + kStagedColumns - 1) / kStagedColumns;
  }

  // The row whose scales are in this row of the matrix of scales; kZeros, kUntouched. The warp asks for rows
  // from warp_row on.
  FOURGE_INLINE int64 row_of(int64 scale_row, int64 warp_row) const {
    if constexpr (!kRegions) {
      return scale_row;
    }
    const auto begin_of = [&](int64 expert) {
      return expert_region<kLayout()>(expert, load(expert_rows + expert));
    };
    // Of the experts and of what ends the last one's region, the last that begins here or before.
    int64 expert = warp_last_not_above(experts + 1, warp_row, begin_of);
    while (expert < experts && begin_of(expert + 1) <= scale_row) {
      ++expert;
    }
    const int64 start = load(expert_rows + expert);
    const int64 place = scale_row - expert_region<kLayout()>(expert, start);
    if (place < 0 || expert == experts) {
      return kUntouched;
    }
    return place < load(expert_rows + expert + 1) - start ? start + place : kZeros;
  }
  FOURGE_INLINE int token_of(int64 scale_row, int64 warp_row) const {
    const int64 row = row_of(scale_row, warp_row);
    if (scale_row >= scale_rows() || row < 0 || row >= capacity) {
      return scale_row < scale_rows() && row == kZeros ? kZeros : kUntouched;
    }
    const int entry = load(row_entries + row);
    if (entry < 0 || entry >= tokens * top_k) {
      return kZeros;
    }
    // Entries have 31 bits: a larger divisor would do the same.
    constexpr int64 kMost = int64{1} << 31;
    const int64 wide = Config::kIndex() == MoeIndex::padded ? top_k : tokens;
    const uint32 divisor = static_cast<uint32>(wide < kMost ? wide : kMost);
    const uint32 number = static_cast<uint32>(entry);
    return static_cast<int>(Config::kIndex() == MoeIndex::padded ? number / divisor
                                                                 : number % divisor);
  }

  // A lane's share of an item: the first of its four rows, its first column, and the token of that one of
  // the rows that it looks up for its neighbours.
  struct Part {
    uint32 row;
    uint32 column;
    int token;
  };
  FOURGE_INLINE Part part_of(uint32 item, uint32 first_column, uint32 end_column) const {
    const uint32 lane = threadIdx.x & 31u;
    const uint32 parts = column_parts(first_column, end_column);
    const uint64 unit = uint64{item} * (blockDim.x / 32) + threadIdx.x / 32;
    const uint32 rows = static_cast<uint32>(unit / parts);
    const uint32 part = static_cast<uint32>(unit) - rows * parts;
    const auto row_of_lane = [&](uint32 i) {
      return static_cast<uint32>(
          first_row_of_group<kLayout(), 4>(int64{rows} * (kStagedRows / 4) + i));
    };
    const uint32 row = row_of_lane(lane / 4);
    return {row, first_column + part * kStagedColumns + lane % 4 * 16,
            token_of(int64{row} + lane % 4 * kRowDistance<kLayout()>, row_of_lane(0))};
  }

  FOURGE_INLINE void copy(const Part& part, uint32 end_column) const {
    constexpr int64 kTileBytes = 4 * kTile;
    uint32 words[4][4];
    uint32 touched = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int from =
          __shfl_sync(0xFFFFFFFFu, part.token, static_cast<int>((threadIdx.x & 28u) + j));
      touched |= from != kUntouched ? 1u << j : 0u;
      Words4 given = {};
      if (from >= 0 && part.column < end_column) {
        given = load_coherent_words4(staged + from * staged_pitch(columns) + part.column);
      }
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        words[k][j] = given.w[k];
      }
    }
    uint8* const to = scales + scale_offset<kLayout()>(part.row, part.column, columns);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (part.column + 4 * k >= end_column) {
        continue;
      }
      if (touched == 15) {
        store_words(to + k * kTileBytes, words[k]);
        continue;
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if ((touched >> j & 1u) != 0) {
          store(reinterpret_cast<uint32*>(to + k * kTileBytes) + j, words[k][j]);
        }
      }
    }
  }
};

}  // namespace fourge_device

// Where the rows of moe_expand_quantize lie, which tokens a CTA has, and the scales of padding rows.
#pragma once

#include "device/expand_block.cuh"
#include "device/expert_padding.cuh"
#include "device/moe_rows.cuh"

namespace fourge_device {

enum class ExpandStaging { off, on };

// What one of a token's experts needs: its row, -1 for none, where that row's scales are (in tiled layouts
// the row of tiles, and the first column's place in a tile), and its factor.
struct ExpandPlace {
  int row;
  uint32 tiles;
  uint32 inner;
  float scale;
};

// Where rows lie, and their scales.
template <class Config>
struct ExpandRows {
  __device__ static constexpr ScaleLayout kLayout() { return Config::kLayout(); }
  enum : int64 { kTile = kTileRows<kLayout()> };
  enum : bool { kPerExpert = Config::kScale() == ExpandScale::expert };
  // Then it matters for codes only where a row is.
  enum : bool { kStaged = Config::kStaging() == ExpandStaging::on };
  // With rows that are not padded, the tiles of each expert's scales are.
  enum : bool { kRegions = Config::kIndex() == MoeIndex::compact && kTile > 1 && !kStaged };
  enum : bool { kNeedsExpert = kPerExpert || kRegions };

  const int* rows;
  const int* expert_ids;
  const int64* expert_rows;
  const float* scales;  // of experts
  int64 tokens;
  int64 top_k;
  int64 capacity;
  int64 experts;
  int64 first_expert;

  // Of the j-th expert of a token; j may be beyond the last.
  FOURGE_INLINE ExpandPlace place(int64 token, int64 j) const {
    ExpandPlace place{-1, 0, 0, 1.0f};
    if (j >= top_k) {
      return place;
    }
    const int row = load(rows + entry_of_token<Config::kIndex()>(token, j, tokens, top_k));
    int64 expert = 0;
    if constexpr (kNeedsExpert) {
      expert = load(expert_ids + token * top_k + j) - first_expert;
    }
    if (row < 0 || row >= capacity || expert < 0 || (kNeedsExpert && expert >= experts)) {
      return place;
    }
    int64 scale_row = row;
    if constexpr (kPerExpert) {
      place.scale = load(scales + expert);
    }
    if constexpr (kRegions) {
      const int64 first = load(expert_rows + expert);
      scale_row = expert_region<kLayout()>(expert, first) + row - first;
    }
    place.row = row;
    place.tiles = static_cast<uint32>(scale_row / kTile);
    place.inner = static_cast<uint32>(scale_offset<kLayout()>(scale_row % kTile, 0, 4));
    return place;
  }
};

// Which tokens and columns are this CTA's. x is the dimension that the hardware runs through first.
template <class Config>
struct LaunchGrid {
  using Token = int64;
  enum : bool { kOneColumn = false };
  enum : bool {
    kTokensFirst =
        Config::kLayout() != ScaleLayout::linear && Config::kScale() != ExpandScale::token
  };
  static FOURGE_INLINE int64 first_token() { return kTokensFirst ? blockIdx.x : blockIdx.y; }
  static FOURGE_INLINE int64 token_step() { return kTokensFirst ? gridDim.x : gridDim.y; }
  static FOURGE_INLINE int64 end_token(int64 tokens) { return tokens; }
  static FOURGE_INLINE int64 column_cta() { return kTokensFirst ? blockIdx.y : blockIdx.x; }
  static FOURGE_INLINE int64 column_ctas() { return kTokensFirst ? gridDim.y : gridDim.x; }
};

// The same of an item of staging=on: the next one's tokens are the following ones.
template <class Config>
struct ItemGrid {
  using Token = uint32;
  // Whether a thread has 16 columns of a token, not more.
  enum : bool { kOneColumn = Config::kScale() != ExpandScale::token };

  uint32 first;
  uint32 each;
  uint32 column;
  uint32 columns;

  // each: tokens of an item, of which there are `groups` side by side over the columns.
  FOURGE_INLINE ItemGrid(uint32 item, uint32 groups, uint32 tokens_each, uint32 column_parts)
      : each(tokens_each), column(item / groups), columns(column_parts) {
    first = (item - column * groups) * each;
  }
  FOURGE_INLINE uint32 first_token() const { return first; }
  static FOURGE_INLINE uint32 token_step() { return 1; }
  FOURGE_INLINE uint32 end_token(int64 tokens) const {
    return first + each < tokens ? first + each : static_cast<uint32>(tokens);
  }
  FOURGE_INLINE int64 column_cta() const { return column; }
  FOURGE_INLINE int64 column_ctas() const { return columns; }
};

// Zero scales in the rows that hold no token; columns: with padding.
template <class Config>
FOURGE_INLINE void store_padding_scales(const ExpandRows<Config>& places, const int* row_entries,
                                        uint8* scales, int64 columns) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  using Grid = LaunchGrid<Config>;
  const int64 thread = Grid::column_cta() * blockDim.x + threadIdx.x;
  const int64 threads = Grid::column_ctas() * blockDim.x;
  if constexpr (ExpandRows<Config>::kRegions) {
    store_expert_padding<kLayout>(scales, places.expert_rows, places.experts, columns,
                                  Grid::first_token(), Grid::token_step(), thread, threads);
  } else if (row_entries != nullptr) {
    // A lane looks at a row, then the warp stores what is to be.
    constexpr int64 kBytes = kLayout == ScaleLayout::linear ? 1 : 4;
    const int64 lane = threadIdx.x & 31u;
#pragma unroll 1
    for (int64 first = Grid::first_token() * 32; first < places.capacity;
         first += Grid::token_step() * 32) {
      const int64 own = first + lane;
      const bool empty = own < places.capacity && load(row_entries + own) < 0;
      uint32 rest = __ballot_sync(0xFFFFFFFFu, empty);
#pragma unroll 1
      for (; rest != 0; rest &= rest - 1) {
        const int64 row = first + __ffs(static_cast<int>(rest)) - 1;
#pragma unroll 1
        for (int64 column = thread * kBytes; column < columns; column += threads * kBytes) {
          uint8* const to = scales + scale_offset<kLayout>(row, column, columns);
          if constexpr (kBytes == 1) {
            store(to, static_cast<uint8>(0));
          } else {
            store(reinterpret_cast<uint32*>(to), 0u);
          }
        }
      }
    }
  }
}

}  // namespace fourge_device

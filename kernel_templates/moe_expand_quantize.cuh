// moe_expand_quantize: see fourge/moe_expand_quantize.hpp for the contract.
//
// A lane takes 16 columns of a token, and quantizes them once unless experts have scales of their own that
// differ; then it writes them to the row of each of the token's experts. Where these rows are, a lane looks
// up for each, and the warp hands around. With a scale for each token a CTA takes the whole of a token,
// first for its maximum; otherwise the grid's other dimension runs over the columns. After the tokens, the
// CTAs share out the rows whose scales are padding.
//
// Four neighbouring columns' scales are one word in tiled layouts: the lanes that have them store it for a
// row each. A sector of tiled scales holds 8 rows, which tokens far apart fill. So all tokens pass before
// the next columns come: what is written meanwhile stays in L2 until the sector is whole. With staging=on a
// token's scales go to the workspace instead, and from there to the rows (staged_scales.cuh).
#pragma once

#include "device/expand_rows.cuh"
#include "device/reduce.cuh"
#include "device/staged_scales.cuh"

namespace fourge_device {

// What a lane has of a token goes to the rows of up to 32 of its experts, of which it knows one. block: its
// 16 columns; without an expert's own scale they are quantized, and `byte` is their scale.
template <class Config>
struct ExpandTarget {
  using Block = ExpandBlock<Config>;
  __device__ static constexpr ScaleLayout kLayout() { return Config::kLayout(); }
  enum : bool { kPerExpert = Config::kScale() == ExpandScale::expert };
  enum : bool { kTiled = kLayout() != ScaleLayout::linear };
  enum : bool { kStaged = ExpandRows<Config>::kStaged };
  // The lanes whose scales are one word of a tiled layout.
  enum : uint32 { kGroup = 4 * Block::kLanes };

  int64 columns;        // of codes, 16 each
  int64 scale_columns;  // with padding
  int64 column;
  uint8* codes;   // of row 0 in this column
  uint8* scales;  // the same; with tiles those of the word that the column is in

  FOURGE_INLINE void move_to(int64 to, uint8* all_codes, uint8* all_scales) {
    column = to;
    codes = all_codes + to * Block::kCodeBytes;
    const int64 scale_column = to / Block::kLanes;
    scales =
        all_scales + (kTiled ? scale_offset<kLayout()>(0, scale_column / 4 * 4, 4) : scale_column);
  }
  FOURGE_INLINE bool real() const { return column < columns; }
  FOURGE_INLINE bool has_scale() const { return column / Block::kLanes < scale_columns; }

  FOURGE_INLINE uint8* codes_of(int row) const {
    return codes + static_cast<uint64>(row) * static_cast<uint64>(columns * Block::kCodeBytes);
  }
  FOURGE_INLINE uint8* scales_of(int row, uint32 tiles, uint32 inner) const {
    const uint64 pitch = static_cast<uint64>(scale_columns * ExpandRows<Config>::kTile);
    return kTiled ? scales + tiles * pitch + inner : scales + static_cast<uint64>(row) * pitch;
  }

  FOURGE_INLINE void write(Block& block, uint32 byte, const ExpandPlace& place,
                           int64 top_k_left) const {
    uint32 given = 0xFFFFFFFFu;  // what the block is quantized by, as bits: not yet an encode scale
#pragma unroll 1
    for (uint32 rest = __ballot_sync(0xFFFFFFFFu, place.row >= 0); rest != 0; rest &= rest - 1) {
      const int j = __ffs(static_cast<int>(rest)) - 1;
      const int row = __shfl_sync(0xFFFFFFFFu, place.row, j);
      if constexpr (kPerExpert) {
        const float scale = __shfl_sync(0xFFFFFFFFu, place.scale, j);
        if (float_bits(scale) != given) {
          given = float_bits(scale);
          byte = block.quantize(Block::of_tensor(scale));
          byte = real() ? byte : 0;
        }
      }
      if (real()) {
        block.write(codes_of(row));
      }
      if constexpr (Block::kBlockScales && (!kTiled || kPerExpert)) {
        const uint32 tiles = kTiled ? __shfl_sync(0xFFFFFFFFu, place.tiles, j) : 0;
        const uint32 inner = kTiled ? __shfl_sync(0xFFFFFFFFu, place.inner, j) : 0;
        if (has_scale() && column % Block::kLanes == 0) {
          uint8* const to = scales_of(row, tiles, inner);
          store(kTiled ? to + column % 4 : to, static_cast<uint8>(byte));
        }
      }
    }
    if constexpr (Block::kBlockScales && kTiled && !kPerExpert && !kStaged) {
      write_words(byte, place, top_k_left);
    }
  }

  // The i-th lane of a group stores the group's word for the i-th row of each kGroup.
  FOURGE_INLINE void write_words(uint32 byte, const ExpandPlace& place, int64 top_k_left) const {
    const uint32 lane = threadIdx.x % kGroup;
    uint32 word = byte << (8 * (lane / Block::kLanes));
#pragma unroll
    for (uint32 distance = Block::kLanes; distance < kGroup; distance *= 2) {
      word |= __shfl_xor_sync(0xFFFFFFFFu, word, static_cast<int>(distance));
    }
    const int64 most = top_k_left < 32 ? top_k_left : 32;
#pragma unroll 1
    for (uint32 j = 0; j < most; j += kGroup) {
      const int source = static_cast<int>(j + lane);
      const int row = __shfl_sync(0xFFFFFFFFu, place.row, source);
      const uint32 tiles = __shfl_sync(0xFFFFFFFFu, place.tiles, source);
      const uint32 inner = __shfl_sync(0xFFFFFFFFu, place.inner, source);
      if (row >= 0 && has_scale()) {
        store(reinterpret_cast<uint32*>(scales_of(row, tiles, inner)), word);
      }
    }
  }
};

// Memory of a call, as the tokens' CTAs use it.
struct ExpandBuffers {
  const void* x;
  uint8* out;
  uint8* scales;
  float* token_scales;
  const float* global_scale;
  uint8* staged;  // scales by tokens, rows of staged_pitch()
};

template <class Config, class Grid>
FOURGE_INLINE void expand_tokens(const Grid& grid, const ExpandRows<Config>& places,
                                 const ExpandBuffers& at, int64 cols, int64 scale_columns) {
  using Block = ExpandBlock<Config>;
  using Factors = typename Block::Factors;
  constexpr bool kPerToken = Config::kScale() == ExpandScale::token;
  constexpr bool kPerExpert = Config::kScale() == ExpandScale::expert;
  __shared__ SharedArray<uint32, 32> scratch;
  const int64 columns = cols / 16;
  const int64 lane = threadIdx.x & 31u;
  ExpandTarget<Config> target{columns, scale_columns, 0, nullptr, nullptr};
#pragma unroll 1
  for (typename Grid::Token token = grid.first_token(); token < grid.end_token(places.tokens);
       token += grid.token_step()) {
    const char* const from = static_cast<const char*>(at.x) + static_cast<int64>(token) * cols * 2;
    float decode = 0.0f;
    Factors factors = [&] {
      if constexpr (kPerToken) {
        const uint32 own = largest_magnitude<Config>(from, threadIdx.x, blockDim.x, columns);
        return Block::of_token(value_of_bits<Config::kInput()>(cta_max(own, scratch)), decode);
      } else {
        return Block::of_tensor(Config::kScale() == ExpandScale::tensor ? load(at.global_scale)
                                                                        : 1.0f);
      }
    }();
    if (kPerToken && threadIdx.x < 32) {
      for (int64 j = lane; j < places.top_k; j += 32) {
        const int row = places.place(token, j).row;
        if (row >= 0) {
          store(at.token_scales + row, decode);
        }
      }
    }
    // All lanes of a warp stay together.
#pragma unroll 1
    for (int64 first = grid.column_cta() * blockDim.x; first < scale_columns * Block::kLanes;
         first += grid.column_ctas() * blockDim.x) {
      target.move_to(first + threadIdx.x, at.out, at.scales);
      Block block = {};
      if (target.real()) {
        block.read(from + target.column * 32);
      }
      ExpandPlace place = places.place(token, lane);
      uint32 byte = 0;
      if constexpr (!kPerExpert) {
        byte = block.quantize(factors);
        byte = target.real() ? byte : 0;
      }
      if constexpr (ExpandRows<Config>::kStaged) {
        if (target.has_scale() && target.column % Block::kLanes == 0) {
          store(at.staged + static_cast<int64>(token) * staged_pitch(scale_columns) +
                    target.column / Block::kLanes,
                static_cast<uint8>(byte));
        }
      }
#pragma unroll 1
      for (int64 left = places.top_k; left > 0; left -= 32) {
        if (left != places.top_k) {
          place = places.place(token, places.top_k - left + lane);
        }
        target.write(block, byte, place, left);
      }
      if constexpr (Grid::kOneColumn) {
        break;
      }
    }
  }
}

// The tokens of staging=on as items: of each some tokens and a part of the columns. Parts are taken in two
// stages, so that the scales of the first need not wait for the last tokens.
template <class Config>
struct ExpandItems {
  enum : int { kLanes = ExpandBlock<Config>::kLanes };
  // So many items a CTA has at least before an item has several tokens, of which fewer are to be drawn.
  enum : int64 { kItemsOfCta = 4 };
  enum : int64 { kMostTokens = 2 };
  enum : int64 { kMostItems = int64{1} << 30 };

  uint32 parts;
  uint32 each;    // tokens of an item
  uint32 groups;  // of tokens

  FOURGE_INLINE ExpandItems(int64 tokens, uint32 scale_columns) {
    parts = Config::kScale() == ExpandScale::token
                ? 1
                : (scale_columns * kLanes + blockDim.x - 1) / blockDim.x;
    const int64 wanted = tokens * parts / (kItemsOfCta * gridDim.x);
    const int64 least = tokens * parts / kMostItems + 1;
    const int64 most = wanted < kMostTokens ? wanted : kMostTokens;
    each = static_cast<uint32>(most < least ? least : most);
    groups = static_cast<uint32>((tokens + each - 1) / each);
  }
  FOURGE_INLINE uint32 of_stage(int stage) const {
    return groups * (stage == 0 ? parts / 2 : parts - parts / 2);
  }
  // Columns of scales in the first stage.
  FOURGE_INLINE uint32 middle_column() const { return parts / 2 * blockDim.x / kLanes; }
};

// CTAs draw items of work: tokens, then rows of scales.
template <class Config>
FOURGE_INLINE void expand_staged(const ExpandRows<Config>& places, ExpandBuffers at,
                                 const int* row_entries, int64 cols, int64 scale_columns,
                                 uint8* workspace) {
  __shared__ SharedArray<uint32, 2> drawn;
  at.staged = workspace + kStagedHeader;
  const uint32 columns = static_cast<uint32>(scale_columns);
  const ExpandItems<Config> items(places.tokens, columns);
  WorkOrder order(workspace, drawn);
  uint32 item = order.next();
  uint32 end = 0;
#pragma unroll 1
  for (int stage = 0; stage < kWorkStages; ++stage) {
    end += items.of_stage(stage);
    uint32 count = 0;
#pragma unroll 1
    for (; item < end; item = order.next(), ++count) {
      order.ask();
      expand_tokens(ItemGrid<Config>(item, items.groups, items.each, items.parts), places, at, cols,
                    scale_columns);
    }
    order.report(stage, count);
  }
  const StagedScales<Config> copies{at.staged,          at.scales,      row_entries,
                                    places.expert_rows, places.tokens,  places.top_k,
                                    places.capacity,    places.experts, columns};
#pragma unroll 1
  for (int stage = 0; stage < kWorkStages; ++stage) {
    const uint32 first_column = stage == 0 ? 0 : items.middle_column();
    const uint32 end_column = stage == 0 ? items.middle_column() : columns;
    const uint32 begin = end;
    end += copies.items(first_column, end_column);
    bool waited = false;
#pragma unroll 1
    for (; item < end; item = order.next()) {
      // What does not depend on the tokens comes before the wait.
      const auto part = copies.part_of(item - begin, first_column, end_column);
      if (!waited) {
        order.wait(stage, items.of_stage(stage));
        waited = true;
      }
      order.ask();
      copies.copy(part, end_column);
    }
  }
  order.leave();
}

template <class Config>
FOURGE_INLINE void moe_expand_quantize_kernel(const void* x, uint8* out, uint8* scales,
                                              float* token_scales, const float* global_scale,
                                              const int* rows, const int* expert_ids,
                                              const int64* expert_rows, const int* row_entries,
                                              int64 tokens, int64 top_k, int64 cols, int64 capacity,
                                              int64 experts, int64 first_expert, uint8* workspace) {
  using Block = ExpandBlock<Config>;
  const ExpandRows<Config> places{rows,  expert_ids, expert_rows, global_scale, tokens,
                                  top_k, capacity,   experts,     first_expert};
  const ExpandBuffers at{x, out, scales, token_scales, global_scale, nullptr};
  const int64 scale_columns = padded_columns<Config::kLayout()>(cols / 16 / Block::kLanes);

  wait_for_predecessor<Config>();
  if constexpr (ExpandRows<Config>::kStaged) {
    expand_staged(places, at, row_entries, cols, scale_columns, workspace);
  } else {
    expand_tokens(LaunchGrid<Config>(), places, at, cols, scale_columns);
    if constexpr (Block::kBlockScales) {
      store_padding_scales(places, row_entries, scales, scale_columns);
    }
  }
}

}  // namespace fourge_device

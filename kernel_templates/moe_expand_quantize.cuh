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
// the next columns come: what is written meanwhile stays in L2 until the sector is whole.
#pragma once

#include "device/e4m3_words.cuh"
#include "device/expert_padding.cuh"
#include "device/magnitude.cuh"
#include "device/moe_rows.cuh"
#include "device/nvfp4_block.cuh"
#include "device/reduce.cuh"
#include "device/store_words.cuh"
#include "device/token_scale.cuh"
#include "device/ue8m0.cuh"

namespace fourge_device {

enum class ExpandFormat { nvfp4, mxfp8, fp8 };
enum class ExpandScale { tensor, expert, token, none };

template <class Config>
struct ExpandConfig : Config {
  static constexpr MathMode kMath = MathMode::exact;
};

// A format: what a lane does with its 16 columns. kLanes neighbours share a block scale; all lanes of a warp
// quantize together.
template <class Config, ExpandFormat kFormat = Config::kFormat>
struct ExpandBlock;

template <class Config>
struct ExpandBlock<Config, ExpandFormat::nvfp4> {
  using Factors = Nvfp4Factors<ExpandConfig<Config>, Config::kScale == ExpandScale::token>;
  static constexpr bool kBlockScales = true;
  static constexpr int kLanes = 1;
  static constexpr int kCodeBytes = 8;
  static constexpr float kInverse =
      uses_256(Config::kFourOverSix) ? 6.5104168606922030e-04f : 3.7202381645329297e-04f;

  Words8 x;
  Nvfp4Block result;

  static FOURGE_INLINE Factors of_tensor(float scale) { return Factors(scale); }
  static FOURGE_INLINE Factors of_token(float maximum, float& decode) {
    const TokenScale scale = token_scale<ExpandConfig<Config>>(maximum, kInverse);
    decode = scale.decode;
    return Factors(scale.encode, maximum);
  }
  FOURGE_INLINE void read(const void* p) { x = load_words8<Config::kLoad256>(p); }
  FOURGE_INLINE uint32 quantize(const Factors& factors) {
    result = quantize_nvfp4_block<ExpandConfig<Config>>(x, factors);
    return result.scale;
  }
  FOURGE_INLINE void write(uint8* to) const {
    store(reinterpret_cast<uint64*>(to),
          result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
  }
};

struct NoFactors {};

template <class Config>
struct ExpandBlock<Config, ExpandFormat::mxfp8> {
  using Factors = NoFactors;
  static constexpr bool kBlockScales = true;
  static constexpr int kLanes = 2;
  static constexpr int kCodeBytes = 16;

  Words8 x[1];
  uint32 result[4];

  static FOURGE_INLINE Factors of_tensor(float) { return {}; }
  FOURGE_INLINE void read(const void* p) { x[0] = load_words8<Config::kLoad256>(p); }
  // Two neighbouring lanes share a scale.
  FOURGE_INLINE uint32 quantize(const Factors&) {
    const uint32 own = maximum_of<Config::kInput>(x).bits;
    const uint32 bits = max_u32(own, __shfl_xor_sync(0xFFFFFFFFu, own, 1));
    const float amax = value_of_bits<Config::kInput>(bits);
    const uint32 byte = encode_ue8m0_up<Config>(mul_rn(amax, 0.0022321429569274187f));  // RN(1/448)
    encode_e4m3x16<Config, E4m3Nan::largest>(x[0], byte == 0 ? 0.0f : ue8m0_reciprocal(byte),
                                             result);
    return byte;
  }
  FOURGE_INLINE void write(uint8* to) const { store_words(to, result); }
};

template <class Config>
struct ExpandBlock<Config, ExpandFormat::fp8> {
  using Factors = float;  // the encode scale
  static constexpr bool kBlockScales = false;
  static constexpr int kLanes = 1;
  static constexpr int kCodeBytes = 16;

  Words8 x;
  uint32 result[4];

  static FOURGE_INLINE Factors of_tensor(float scale) { return scale; }
  static FOURGE_INLINE Factors of_token(float maximum, float& decode) {
    float encode = min_num(div_rn(448.0f, maximum), kFloatMax);
    encode = is_zero(maximum) || is_zero(encode) ? 1.0f : encode;
    decode = rcp_rn(encode);
    return encode;
  }
  FOURGE_INLINE void read(const void* p) { x = load_words8<Config::kLoad256>(p); }
  FOURGE_INLINE uint32 quantize(const Factors& encode) {
    encode_e4m3x16<Config, E4m3Nan::nan>(x, encode, result);
    return 0;
  }
  FOURGE_INLINE void write(uint8* to) const { store_words(to, result); }
};

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
  static constexpr ScaleLayout kLayout = Config::kLayout;
  static constexpr int64 kTile = kTileRows<kLayout>;
  static constexpr bool kPerExpert = Config::kScale == ExpandScale::expert;
  // With rows that are not padded, the tiles of each expert's scales are.
  static constexpr bool kRegions = Config::kIndex == MoeIndex::compact && kTile > 1;
  static constexpr bool kNeedsExpert = kPerExpert || kRegions;

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
    const int row = load(rows + entry_of_token<Config::kIndex>(token, j, tokens, top_k));
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
      scale_row = expert_region<kLayout>(expert, first) + row - first;
    }
    place.row = row;
    place.tiles = static_cast<uint32>(scale_row / kTile);
    place.inner = static_cast<uint32>(scale_offset<kLayout>(scale_row % kTile, 0, 4));
    return place;
  }
};

// Which tokens and columns are this CTA's. x is the dimension that the hardware runs through first.
template <class Config>
struct ExpandGrid {
  static constexpr bool kTokensFirst =
      Config::kLayout != ScaleLayout::linear && Config::kScale != ExpandScale::token;
  static FOURGE_INLINE int64 first_token() { return kTokensFirst ? blockIdx.x : blockIdx.y; }
  static FOURGE_INLINE int64 token_step() { return kTokensFirst ? gridDim.x : gridDim.y; }
  static FOURGE_INLINE int64 column_cta() { return kTokensFirst ? blockIdx.y : blockIdx.x; }
  static FOURGE_INLINE int64 column_ctas() { return kTokensFirst ? gridDim.y : gridDim.x; }
};

// Zero scales in the rows that hold no token; columns: with padding.
template <class Config>
FOURGE_INLINE void store_padding_scales(const ExpandRows<Config>& places, const int* row_entries,
                                        uint8* scales, int64 columns) {
  constexpr ScaleLayout kLayout = Config::kLayout;
  using Grid = ExpandGrid<Config>;
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

// What a lane has of a token goes to the rows of up to 32 of its experts, of which it knows one. block: its
// 16 columns; without an expert's own scale they are quantized, and `byte` is their scale.
template <class Config>
struct ExpandTarget {
  using Block = ExpandBlock<Config>;
  static constexpr ScaleLayout kLayout = Config::kLayout;
  static constexpr bool kPerExpert = Config::kScale == ExpandScale::expert;
  static constexpr bool kTiled = kLayout != ScaleLayout::linear;
  // The lanes whose scales are one word of a tiled layout.
  static constexpr uint32 kGroup = 4 * Block::kLanes;

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
        all_scales + (kTiled ? scale_offset<kLayout>(0, scale_column / 4 * 4, 4) : scale_column);
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
    if constexpr (Block::kBlockScales && kTiled && !kPerExpert) {
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

template <class Config>
FOURGE_INLINE void moe_expand_quantize_kernel(const void* x, uint8* out, uint8* scales,
                                              float* token_scales, const float* global_scale,
                                              const int* rows, const int* expert_ids,
                                              const int64* expert_rows, const int* row_entries,
                                              int64 tokens, int64 top_k, int64 cols, int64 capacity,
                                              int64 experts, int64 first_expert) {
  using Block = ExpandBlock<Config>;
  using Factors = typename Block::Factors;
  using Grid = ExpandGrid<Config>;
  constexpr bool kPerToken = Config::kScale == ExpandScale::token;
  constexpr bool kPerExpert = Config::kScale == ExpandScale::expert;
  __shared__ SharedArray<uint32, 32> scratch;
  const ExpandRows<Config> places{rows,  expert_ids, expert_rows, global_scale, tokens,
                                  top_k, capacity,   experts,     first_expert};
  const int64 columns = cols / 16;
  const int64 scale_columns = padded_columns<Config::kLayout>(columns / Block::kLanes);
  const int64 lane = threadIdx.x & 31u;
  ExpandTarget<Config> target{columns, scale_columns, 0, nullptr, nullptr};

  wait_for_predecessor<Config>();
#pragma unroll 1
  for (int64 token = Grid::first_token(); token < tokens; token += Grid::token_step()) {
    const char* const from = static_cast<const char*>(x) + token * cols * 2;
    float decode = 0.0f;
    Factors factors = [&] {
      if constexpr (kPerToken) {
        const uint32 own = largest_magnitude<Config>(from, threadIdx.x, blockDim.x, columns);
        return Block::of_token(value_of_bits<Config::kInput>(cta_max(own, scratch)), decode);
      } else {
        return Block::of_tensor(Config::kScale == ExpandScale::tensor ? load(global_scale) : 1.0f);
      }
    }();
    if (kPerToken && threadIdx.x < 32) {
      for (int64 j = lane; j < top_k; j += 32) {
        const int row = places.place(token, j).row;
        if (row >= 0) {
          store(token_scales + row, decode);
        }
      }
    }
    // All lanes of a warp stay together.
#pragma unroll 1
    for (int64 first = Grid::column_cta() * blockDim.x; first < scale_columns * Block::kLanes;
         first += Grid::column_ctas() * blockDim.x) {
      target.move_to(first + threadIdx.x, out, scales);
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
#pragma unroll 1
      for (int64 left = top_k; left > 0; left -= 32) {
        if (left != top_k) {
          place = places.place(token, top_k - left + lane);
        }
        target.write(block, byte, place, left);
      }
    }
  }
  if constexpr (Block::kBlockScales) {
    store_padding_scales(places, row_entries, scales, scale_columns);
  }
}

}  // namespace fourge_device

// moe_expand_quantize: see fourge/moe_expand_quantize.hpp for the contract.
//
// A token's block is read once, and quantized once unless each expert has its own scale; then it is
// written to the row of each of the token's experts. With a scale for each token a CTA takes the whole of a
// token, first for its maximum; otherwise the grid's other dimension runs over the columns. After the tokens,
// the CTAs share out the rows whose scales are padding.
//
// A sector of tiled scales holds 8 rows, which tokens far apart fill. So all tokens pass before the next
// columns come: what is written meanwhile should stay in L2 until the sector is whole (an estimate from
// its size; not measured yet).
#pragma once

#include "device/block32.cuh"
#include "device/e4m3_words.cuh"
#include "device/magnitude.cuh"
#include "device/moe_rows.cuh"
#include "device/mxfp8_format.cuh"
#include "device/nvfp4_block.cuh"
#include "device/reduce.cuh"
#include "device/scale_layout.cuh"
#include "device/store_words.cuh"
#include "device/token_scale.cuh"

namespace fourge_device {

enum class ExpandFormat { nvfp4, mxfp8, fp8 };
enum class ExpandScale { tensor, expert, token, none };

template <class Config>
struct ExpandConfig : Config {
  static constexpr MathMode kMath = MathMode::exact;
};

// A format: kColumns elements a block, and what a thread does with it.
template <class Config, ExpandFormat kFormat = Config::kFormat>
struct ExpandBlock;

template <class Config>
struct ExpandBlock<Config, ExpandFormat::nvfp4> {
  using Factors = Nvfp4Factors<ExpandConfig<Config>, Config::kScale == ExpandScale::token>;
  static constexpr int kColumns = 16;
  static constexpr bool kBlockScales = true;
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
  FOURGE_INLINE void write(uint8* out, int64 block) const {
    store(reinterpret_cast<uint64*>(out) + block,
          result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
  }
};

struct NoFactors {};

template <class Config>
struct ExpandBlock<Config, ExpandFormat::mxfp8> {
  using Factors = NoFactors;
  static constexpr int kColumns = 32;
  static constexpr bool kBlockScales = true;

  Block32 x;
  uint32 result[8];

  static FOURGE_INLINE Factors of_tensor(float) { return {}; }
  FOURGE_INLINE void read(const void* p) { x = load_block32<Config>(p); }
  FOURGE_INLINE uint32 quantize(const Factors&) { return Mxfp8Format<Config>::quantize(x, result); }
  FOURGE_INLINE void write(uint8* out, int64 block) const { store_words(out + block * 32, result); }
};

template <class Config>
struct ExpandBlock<Config, ExpandFormat::fp8> {
  using Factors = float;  // the encode scale
  static constexpr int kColumns = 16;
  static constexpr bool kBlockScales = false;

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
  FOURGE_INLINE void write(uint8* out, int64 block) const { store_words(out + block * 16, result); }
};

// Where rows lie, and their scales.
template <class Config>
struct ExpandRows {
  static constexpr ScaleLayout kLayout = Config::kLayout;
  static constexpr int64 kTile = kLayout == ScaleLayout::tiled_128x4 ? 128
                                 : kLayout == ScaleLayout::tiled_8x4 ? 8
                                                                     : 1;
  // With rows that are not padded, the tiles of each expert's scales are.
  static constexpr bool kRegions = Config::kIndex == MoeIndex::compact && kTile > 1;

  const int* rows;
  const int* expert_ids;
  const int64* expert_rows;
  int64 tokens;
  int64 top_k;
  int64 capacity;
  int64 experts;
  int64 first_expert;

  // -1 if the j-th expert of the token has no row here.
  FOURGE_INLINE int64 row(int64 token, int64 j) const {
    const int64 given = load(rows + entry_of_token<Config::kIndex>(token, j, tokens, top_k));
    return given < capacity ? given : -1;
  }
  // Among the local ones; -1 for another.
  FOURGE_INLINE int64 expert(int64 token, int64 j) const {
    const int64 local = load(expert_ids + token * top_k + j) - first_expert;
    return local < experts ? local : -1;
  }
  FOURGE_INLINE static int64 region(int64 expert, int64 first_row) {
    return (first_row + (kTile - 1) * (expert + 1)) / kTile * kTile;
  }
  FOURGE_INLINE int64 scale_row(int64 row, int64 expert) const {
    if constexpr (kRegions) {
      const int64 first = load(expert_rows + expert);
      return region(expert, first) + row - first;
    } else {
      return row;
    }
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

// Zero scales in column `column` of the rows that hold no token.
template <class Config>
FOURGE_INLINE void store_padding_scales(const ExpandRows<Config>& places, const int* row_entries,
                                        uint8* scales, int64 column, int64 columns) {
  constexpr ScaleLayout kLayout = Config::kLayout;
  using Grid = ExpandGrid<Config>;
  if constexpr (ExpandRows<Config>::kRegions) {
    // Four columns are one word; an expert's up to 127 rows are shared out, too.
    constexpr int64 kShares = ExpandRows<Config>::kTile / 8;
    if (column % 4 != 0) {
      return;
    }
    for (int64 i = Grid::first_token(); i < places.experts * kShares; i += Grid::token_step()) {
      const int64 e = i / kShares;
      const int64 first = load(places.expert_rows + e);
      const int64 end = load(places.expert_rows + e + 1);
      const int64 next = ExpandRows<Config>::region(e + 1, end);
      for (int64 row = ExpandRows<Config>::region(e, first) + end - first + i % kShares; row < next;
           row += kShares) {
        store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout>(row, column, columns)), 0u);
      }
    }
  } else {
    if (row_entries == nullptr) {
      return;
    }
    for (int64 row = Grid::first_token(); row < places.capacity; row += Grid::token_step()) {
      if (load(row_entries + row) < 0) {
        store(scales + scale_offset<kLayout>(row, column, columns), static_cast<uint8>(0));
      }
    }
  }
}

template <class Config>
FOURGE_INLINE void moe_expand_quantize_kernel(const void* x, uint8* out, uint8* scales,
                                              float* token_scales, const float* global_scale,
                                              const int* rows, const int* expert_ids,
                                              const int64* expert_rows, const int* row_entries,
                                              int64 tokens, int64 top_k, int64 cols, int64 capacity,
                                              int64 experts, int64 first_expert) {
  using Block = ExpandBlock<Config>;
  using Factors = typename Block::Factors;
  constexpr ScaleLayout kLayout = Config::kLayout;
  constexpr bool kPerToken = Config::kScale == ExpandScale::token;
  constexpr bool kPerExpert = Config::kScale == ExpandScale::expert;
  constexpr bool kNeedsExpert = kPerExpert || (Block::kBlockScales && ExpandRows<Config>::kRegions);
  constexpr int64 kBytes = Block::kColumns * 2;
  __shared__ SharedArray<uint32, 32> scratch;
  const ExpandRows<Config> places{rows,  expert_ids, expert_rows, tokens,
                                  top_k, capacity,   experts,     first_expert};
  const int64 columns = cols / Block::kColumns;
  const int64 all_columns = padded_columns<kLayout>(columns);
  using Grid = ExpandGrid<Config>;
  const int64 first_column = Grid::column_cta() * blockDim.x + threadIdx.x;
  const int64 column_step = Grid::column_ctas() * blockDim.x;

  wait_for_predecessor<Config>();
  for (int64 token = Grid::first_token(); token < tokens; token += Grid::token_step()) {
    const char* const from = static_cast<const char*>(x) + token * cols * 2;
    float decode = 0.0f;
    Factors factors = [&] {
      if constexpr (kPerToken) {
        const uint32 own = largest_magnitude<Config>(from, threadIdx.x, blockDim.x, cols / 16);
        return Block::of_token(value_of_bits<Config::kInput>(cta_max(own, scratch)), decode);
      } else {
        return Block::of_tensor(Config::kScale == ExpandScale::tensor ? load(global_scale) : 1.0f);
      }
    }();
    if (kPerToken && threadIdx.x == 0) {
      for (int64 j = 0; j < top_k; ++j) {
        const int64 row = places.row(token, j);
        if (row >= 0) {
          store(token_scales + row, decode);
        }
      }
    }
    for (int64 column = first_column; column < all_columns; column += column_step) {
      const bool real = column < columns;
      Block block = {};
      uint32 scale = 0;
      if (real) {
        block.read(from + column * kBytes);
        if constexpr (!kPerExpert) {
          scale = block.quantize(factors);
        }
      }
#pragma unroll 1
      for (int64 j = 0; j < top_k; ++j) {
        const int64 row = places.row(token, j);
        const int64 expert = kNeedsExpert && row >= 0 ? places.expert(token, j) : 0;
        if (row < 0 || expert < 0) {
          continue;
        }
        if (real) {
          if constexpr (kPerExpert) {
            scale = block.quantize(Block::of_tensor(load(global_scale + expert)));
          }
          block.write(out, row * columns + column);
        }
        if constexpr (Block::kBlockScales) {
          store(scales + scale_offset<kLayout>(places.scale_row(row, expert), column, all_columns),
                static_cast<uint8>(scale));
        }
      }
    }
  }
  if constexpr (Block::kBlockScales) {
    for (int64 column = first_column; column < all_columns; column += column_step) {
      store_padding_scales(places, row_entries, scales, column, all_columns);
    }
  }
}

}  // namespace fourge_device

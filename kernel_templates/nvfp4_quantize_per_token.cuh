// nvfp4_quantize_per_token: see fourge/nvfp4_quantize_per_token.hpp for the contract.
//
// blockDim.x threads share a row; with 32 of them, a CTA takes blockDim.y rows, which then need no
// barrier. A thread takes every blockDim.x-th block, kBlocksPerThread at a time: a chunk. A row of one
// chunk stays in registers. A looped row is read twice: in chunks for its maximum, and from its end,
// where the caches still have it, block by block.
#pragma once

#include "device/nvfp4_block.cuh"
#include "device/reduce.cuh"
#include "device/scale_layout.cuh"
#include "device/token_scale.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

enum class RowHolding { registers, registers1, looped };

template <class Config>
constexpr int kBlocksPerThread = Config::kRow == RowHolding::registers1 ? 1 : 4;

// One row of the matrix, as its threads see it. Columns are blocks of 16 elements.
template <class Config>
struct TokenRow {
  static constexpr ScaleLayout kLayout = Config::kLayout;
  static constexpr int kBlocks = kBlocksPerThread<Config>;
  using Factors = Nvfp4Factors<Config, true>;

  int64 row;
  int64 columns;
  int64 all_columns;  // with the layout's padding

  FOURGE_INLINE Words8 load_block(const void* x, int64 column) const {
    return load_words8<Config::kLoad256>(static_cast<const char*>(x) +
                                         (row * columns + column) * 32);
  }

  // From column `first` on, blockDim.x apart; zeros beyond the row.
  FOURGE_INLINE void load_chunk(const void* x, int64 first, Words8 (&blocks)[kBlocks]) const {
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const int64 column = first + i * static_cast<int64>(blockDim.x);
      blocks[i] = {};
      if (column < columns) {
        blocks[i] = load_block(x, column);
      }
    }
  }

  // Byte i of `bytes` is the scale of the thread's i-th column, zero in padding. All threads call.
  FOURGE_INLINE void store_scales(uint8* scales, int64 first, uint32 bytes) const {
    // Four lanes exchange their bytes, so that each stores four neighbouring columns.
    if (kBlocks == 4 && (kLayout != ScaleLayout::linear || (columns & 3) == 0)) {
      const uint32 lane = threadIdx.x & 31u;
      const uint32 quad_lane = lane & 3u;
      const uint32 word = transpose_quad(bytes, lane);
      const int64 column = first - quad_lane + quad_lane * static_cast<int64>(blockDim.x);
      if (column < all_columns) {
        store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout>(row, column, all_columns)),
              word);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        const int64 column = first + i * static_cast<int64>(blockDim.x);
        if (column < all_columns) {
          store(scales + scale_offset<kLayout>(row, column, all_columns),
                static_cast<uint8>(bytes >> (8 * i)));
        }
      }
    }
  }

  FOURGE_INLINE void store_codes(uint8* codes, int64 column, const Nvfp4Block& block) const {
    store(reinterpret_cast<uint64*>(codes) + row * columns + column,
          block.codes[0] | (static_cast<uint64>(block.codes[1]) << 32));
  }

  FOURGE_INLINE uint32 quantize_chunk(Words8 (&blocks)[kBlocks], int64 first,
                                      const Factors& factors, uint8* codes) const {
    return quantize_nvfp4_blocks<Config>(
        blocks, [&](int) { return factors; },
        [&](int i, const Nvfp4Block& result) {
          const int64 column = first + i * static_cast<int64>(blockDim.x);
          if (column >= columns) {
            return 0u;
          }
          store_codes(codes, column, result);
          return result.scale;
        });
  }

  // With 4over6 there is much code for a block, so one copy of it: the blocks move up to the first.
  FOURGE_INLINE uint32 quantize_rolled(Words8 (&blocks)[kBlocks], int64 first,
                                       const Factors& factors, uint8* codes) const {
    uint32 bytes = 0;
#pragma unroll 1
    for (int i = 0; i < kBlocks; ++i) {
      const int64 column = first + i * static_cast<int64>(blockDim.x);
      if (column < columns) {
        const Nvfp4Block result = quantize_nvfp4_block<Config>(blocks[0], factors);
        store_codes(codes, column, result);
        bytes |= result.scale << (8 * i);
      }
#pragma unroll
      for (int k = 0; k + 1 < kBlocks; ++k) {
        blocks[k] = blocks[k + 1];
      }
    }
    return bytes;
  }

  // The whole row, read once more.
  FOURGE_INLINE void quantize_again(const void* x, const Factors& factors, uint8* codes,
                                    uint8* scales) const {
    const int64 threads = blockDim.x;
    const int64 chunks = (all_columns + threads * kBlocks - 1) / (threads * kBlocks);
    int64 column = (chunks * kBlocks - 1) * threads + threadIdx.x;
    int left_in_chunk = kBlocks;
    uint32 bytes = 0;
    Words8 next = {};
    if (column < columns) {
      next = load_block(x, column);
    }
#pragma unroll 1
    while (column >= 0) {
      const Words8 block = next;
      const int64 before = column - threads;
      if (before >= 0 && before < columns) {
        next = load_block(x, before);
      }
      bytes <<= 8;
      if (column < columns) {
        const Nvfp4Block result = quantize_nvfp4_block<Config>(block, factors);
        store_codes(codes, column, result);
        bytes |= result.scale;
      }
      if (--left_in_chunk == 0) {
        store_scales(scales, column, bytes);
        bytes = 0;
        left_in_chunk = kBlocks;
      }
      column = before;
    }
  }

  // A row of padding: zero in every column. All of the row's threads call.
  FOURGE_INLINE void store_padding(uint8* scales) const {
#pragma unroll 1
    for (int64 column = threadIdx.x * 4; column < all_columns; column += blockDim.x * 4) {
      store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout>(row, column, all_columns)),
            0u);
    }
  }
};

// maximum_of() with a NaN skipped in a loop: it is rare, and the code would be long.
template <class Config>
FOURGE_INLINE WordsMaximum row_chunk_maximum(const Words8 (&blocks)[kBlocksPerThread<Config>]) {
  constexpr int kBlocks = kBlocksPerThread<Config>;
  constexpr uint32 kInfinity = Packed16<Config::kInput>::kInfinity;
  uint32 bits = 0;
#pragma unroll
  for (int i = 0; i < kBlocks; ++i) {
    bits = max_u32(bits, block_max_bits<Config::kInput>(blocks[i].w));
  }
  const bool unusual = bits >= kInfinity;
  if (bits > kInfinity) {
    bits = 0;
    Words8 rest[kBlocks];
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      rest[i] = blocks[i];
    }
#pragma unroll 1
    for (int i = 0; i < kBlocks; ++i) {
      bits = max_u32(bits, block_max_bits_skip_nan<Config::kInput>(rest[0].w));
#pragma unroll
      for (int k = 0; k + 1 < kBlocks; ++k) {
        rest[k] = rest[k + 1];
      }
    }
  }
  return {bits, unusual};
}

template <class Config>
FOURGE_INLINE void nvfp4_quantize_per_token_kernel(const void* x, uint8* codes, uint8* scales,
                                                   float* token_scales, const int* row_map,
                                                   float global_scale_inverse, int64 rows,
                                                   int64 cols, int64 mapped_rows) {
  constexpr int kBlocks = kBlocksPerThread<Config>;
  constexpr ScaleLayout kLayout = Config::kLayout;
  __shared__ SharedArray<uint32, 64> scratch;

  wait_for_predecessor<Config>();
  const int64 columns = cols / 16;
  const int64 count = row_map != nullptr ? mapped_rows : padded_rows<kLayout>(rows);
  const int64 step = static_cast<int64>(gridDim.x) * blockDim.y;
  int slot = 0;
#pragma unroll 1
  for (int64 i = static_cast<int64>(blockIdx.x) * blockDim.y + threadIdx.y; i < count; i += step) {
    TokenRow<Config> row{i, columns, padded_columns<kLayout>(columns)};
    if (row_map != nullptr) {
      row.row = load(row_map + i);
      if (row.row < 0 || row.row >= rows) {
        continue;
      }
    }
    if constexpr (kLayout != ScaleLayout::linear) {
      if (row.row >= rows) {
        row.store_padding(scales);
        continue;
      }
    }

    Words8 blocks[kBlocks];
    WordsMaximum maximum = {0, false};
    const int64 chunk = kBlocks * static_cast<int64>(blockDim.x);
    int64 first = threadIdx.x;
#pragma unroll 1
    do {
      row.load_chunk(x, first, blocks);
      const WordsMaximum more = row_chunk_maximum<Config>(blocks);
      maximum = {max_u32(maximum.bits, more.bits), more.unusual};
      first += chunk;
    } while (Config::kRow == RowHolding::looped && first < columns);
    const uint32 largest = cta_max_alternating(maximum.bits, scratch, slot);
    slot ^= 1;

    const float row_maximum = value_of_bits<Config::kInput>(largest);
    const TokenScale scale = token_scale<Config>(row_maximum, global_scale_inverse);
    const Nvfp4Factors<Config, true> factors(scale.encode, row_maximum);
    if (threadIdx.x == 0) {
      store(token_scales + row.row, scale.decode);
    }
    if constexpr (Config::kRow == RowHolding::looped) {
      row.quantize_again(x, factors, codes, scales);
    } else if constexpr (Config::kFourOverSix != FourOverSix::off) {
      row.store_scales(scales, threadIdx.x,
                       row.quantize_rolled(blocks, threadIdx.x, factors, codes));
    } else {
      row.store_scales(scales, threadIdx.x,
                       row.quantize_chunk(blocks, threadIdx.x, factors, codes));
    }
  }
}

}  // namespace fourge_device

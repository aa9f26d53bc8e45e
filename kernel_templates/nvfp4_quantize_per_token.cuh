// nvfp4_quantize_per_token: see fourge/nvfp4_quantize_per_token.hpp for the contract.
//
// blockDim.x threads share a row; with 32 of them, a CTA takes blockDim.y rows, which then need no
// barrier. A thread takes kBlocksPerThread blocks, blockDim.x apart, at a time: a chunk. A row of one
// chunk stays in registers; a longer one is read twice, the second time from its end, so that what was
// read last is still in registers and what was read shortly before is in a cache.
#pragma once

#include "device/nvfp4_block.cuh"
#include "device/reduce.cuh"
#include "device/scale_layout.cuh"
#include "device/token_scale.cuh"
#include "device/words_max.cuh"

namespace fourge_device {

// The blocks of a row that a thread has at a time, and whether a row has more of them.
enum class RowHolding { registers, registers1, looped };

template <class Config>
constexpr int kBlocksPerThread = Config::kRow == RowHolding::registers1 ? 1 : 4;

// One row of the matrix, as its threads see it. Columns are blocks of 16 elements.
template <class Config>
struct TokenRow {
  static constexpr ScaleLayout kLayout = Config::kLayout;
  static constexpr int kBlocks = kBlocksPerThread<Config>;

  int64 row;
  int64 columns;
  int64 all_columns;  // with the layout's padding

  // A thread's first column in a chunk; its others are blockDim.x apart.
  FOURGE_INLINE int64 first_column(int64 chunk) const {
    return chunk * kBlocks * blockDim.x + threadIdx.x;
  }

  FOURGE_INLINE void load_chunk(const void* x, int64 first, Words8 (&blocks)[kBlocks]) const {
    const char* const source = static_cast<const char*>(x) + row * columns * 32;
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const int64 column = first + i * static_cast<int64>(blockDim.x);
      blocks[i] = {};
      if (column < columns) {
        blocks[i] = load_words8<Config::kLoad256>(source + column * 32);
      }
    }
  }

  // Byte i of `bytes` is the scale of the thread's i-th column, zero in padding. All threads call.
  FOURGE_INLINE void store_scales(uint8* scales, int64 first, uint32 bytes) const {
    if constexpr (kBlocks == 4) {
      // Four lanes exchange their bytes, so that each stores four neighbouring columns.
      if (kLayout != ScaleLayout::linear || (columns & 3) == 0) {
        const uint32 lane = threadIdx.x & 31u;
        const uint32 quad_lane = lane & 3u;
        const uint32 word = transpose_quad(bytes, lane);
        const int64 column = first - quad_lane + quad_lane * static_cast<int64>(blockDim.x);
        if (column < all_columns) {
          store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout>(row, column, all_columns)),
                word);
        }
        return;
      }
    }
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const int64 column = first + i * static_cast<int64>(blockDim.x);
      if (column < all_columns) {
        store(scales + scale_offset<kLayout>(row, column, all_columns),
              static_cast<uint8>(bytes >> (8 * i)));
      }
    }
  }

  FOURGE_INLINE void quantize_chunk(Words8 (&blocks)[kBlocks], int64 first,
                                    const Nvfp4Factors<Config, true>& factors, uint8* codes,
                                    uint8* scales) const {
    uint64* const target = reinterpret_cast<uint64*>(codes) + row * columns;
    uint32 bytes = 0;
    if constexpr (Config::kFourOverSix == FourOverSix::off) {
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        const int64 column = first + i * static_cast<int64>(blockDim.x);
        if (column < columns) {
          const Nvfp4Block result = quantize_nvfp4_block<Config>(blocks[i], factors);
          store(target + column, result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
          bytes |= result.scale << (8 * i);
        }
      }
    } else {
      // Much code for a block: one copy of it, and the blocks move up to the first.
#pragma unroll 1
      for (int i = 0; i < kBlocks; ++i) {
        const int64 column = first + i * static_cast<int64>(blockDim.x);
        if (column < columns) {
          const Nvfp4Block result = quantize_nvfp4_block<Config>(blocks[0], factors);
          store(target + column, result.codes[0] | (static_cast<uint64>(result.codes[1]) << 32));
          bytes |= result.scale << (8 * i);
        }
#pragma unroll
        for (int k = 0; k + 1 < kBlocks; ++k) {
          blocks[k] = blocks[k + 1];
        }
      }
    }
    store_scales(scales, first, bytes);
  }

  // A row of padding: zero in every column. All of the row's threads call.
  FOURGE_INLINE void store_padding(uint8* scales) const {
    for (int64 column = threadIdx.x * 4; column < all_columns; column += blockDim.x * 4) {
      store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout>(row, column, all_columns)),
            0u);
    }
  }
};

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
    int64 first = row.first_column(0);
    row.load_chunk(x, first, blocks);
    uint32 largest = maximum_of<Config::kInput>(blocks).bits;
    int64 chunk = 0;
    if constexpr (Config::kRow == RowHolding::looped) {
      const int64 chunks = (row.all_columns + kBlocks * blockDim.x - 1) / (kBlocks * blockDim.x);
#pragma unroll 1
      while (chunk + 1 < chunks) {
        ++chunk;
        row.load_chunk(x, row.first_column(chunk), blocks);
        largest = max_u32(largest, maximum_of<Config::kInput>(blocks).bits);
      }
      first = row.first_column(chunk);
    }
    largest = cta_max_alternating(largest, scratch, slot);
    slot ^= 1;

    const float row_maximum = value_of_bits<Config::kInput>(largest);
    const TokenScale scale = token_scale<Config>(row_maximum, global_scale_inverse);
    const Nvfp4Factors<Config, true> factors(scale.encode, row_maximum);
    if (threadIdx.x == 0) {
      store(token_scales + row.row, scale.decode);
    }
    row.quantize_chunk(blocks, first, factors, codes, scales);
    if constexpr (Config::kRow == RowHolding::looped) {
#pragma unroll 1
      while (chunk > 0) {
        --chunk;
        first = row.first_column(chunk);
        row.load_chunk(x, first, blocks);
        row.quantize_chunk(blocks, first, factors, codes, scales);
      }
    }
  }
}

}  // namespace fourge_device

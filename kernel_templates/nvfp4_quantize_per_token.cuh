// nvfp4_quantize_per_token: see fourge/nvfp4_quantize_per_token.hpp for the contract.
//
// blockDim.x threads share a row; with 32 of them, a CTA takes blockDim.y rows, which then need no
// barrier. A thread takes every blockDim.x-th block, kBlocksPerThread at a time: a chunk. A row of one
// chunk stays in registers, as packed words. A looped row is read twice: in chunks for its maximum, and
// from its end, where the caches still have it, block by block. A row of a cluster is cut into a chunk for
// each of its CTAs, which exchange their maxima. A copied row lies in shared memory: device/token_copied.cuh.
#pragma once

#include "device/cluster.cuh"
#include "device/nvfp4_block.cuh"
#include "device/packed16.cuh"
#include "device/reduce.cuh"
#include "device/scale_layout.cuh"
#include "device/token_copied.cuh"
#include "device/token_scale.cuh"

namespace fourge_device {

enum class RowHolding { registers, registers2, registers1, cluster, looped, copied };

template <class Config>
constexpr bool kIsCluster = Config::kRow() == RowHolding::cluster;
template <class Config>
constexpr int kBlocksPerThread = Config::kRow() == RowHolding::registers1 ? 1
                                 : Config::kRow() == RowHolding::registers2 ||
                                         (kIsCluster<Config> &&
                                          Config::kFourOverSix() != FourOverSix::off)
                                     ? 2
                                     : 4;

// One row of the matrix, as its threads see it. Columns are blocks of 16 elements, at most 2^30.
template <class Config>
struct TokenRow {
  __device__ static constexpr ScaleLayout kLayout() { return Config::kLayout(); }
  enum : int { kBlocks = kBlocksPerThread<Config> };
  using Factors = Nvfp4Factors<Config, true>;

  int64 row;
  int columns;
  int all_columns;  // with the layout's padding

  FOURGE_INLINE Words8 load_block(const void* x, int column) const {
    return load_words8<Config::kLoad256()>(static_cast<const char*>(x) +
                                           (row * columns + column) * 32);
  }

  static FOURGE_INLINE int thread() { return static_cast<int>(threadIdx.x); }
  static FOURGE_INLINE int threads() { return static_cast<int>(blockDim.x); }

  // From column `first` on, blockDim.x apart; zeros beyond the row.
  FOURGE_INLINE void load_chunk(const void* x, int first, Words8 (&blocks)[kBlocks]) const {
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const int column = first + i * threads();
      blocks[i] = {};
      if (column < columns) {
        blocks[i] = load_block(x, column);
      }
    }
  }

  // Byte i of `bytes` is the scale of the thread's i-th column, zero in padding. All threads call.
  FOURGE_INLINE void store_scales(uint8* scales, int first, uint32 bytes) const {
    // Four lanes exchange their bytes, so that each stores four neighbouring columns. Of tiled scales that is as many
    // sectors as single bytes are, and only pays for rows that are read twice or shared.
    constexpr bool kByWords = kBlocks == 4 && (kLayout() == ScaleLayout::linear ||
                                               Config::kRow() != RowHolding::registers);
    if (kByWords && (kLayout() != ScaleLayout::linear || (columns & 3) == 0)) {
      const uint32 lane = threadIdx.x & 31u;
      const int quad_lane = static_cast<int>(lane & 3u);
      const uint32 word = transpose_quad(bytes, lane);
      const int column = first - quad_lane + quad_lane * threads();
      if (column < all_columns) {
        store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout()>(row, column, all_columns)),
              word);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) {
        const int column = first + i * threads();
        if (column < all_columns) {
          store(scales + scale_offset<kLayout()>(row, column, all_columns),
                static_cast<uint8>(bytes >> (8 * i)));
        }
      }
    }
  }

  FOURGE_INLINE void store_codes(uint8* codes, int column, const Nvfp4Block& block) const {
    store(reinterpret_cast<uint64*>(codes) + row * columns + column,
          block.codes[0] | (static_cast<uint64>(block.codes[1]) << 32));
  }

  // One block after another where there are many: one copy of the code, and few registers.
  FOURGE_INLINE uint32 quantize_chunk(Words8 (&blocks)[kBlocks], int first, const Factors& factors,
                                      uint8* codes) const {
    constexpr int kStep = kBlocks == 2 ? 2 : 1;
    uint32 bytes = 0;
#pragma unroll 1
    for (int done = 0; done < kBlocks; done += kStep) {
      Words8 step[kStep];
#pragma unroll
      for (int i = 0; i < kStep; ++i) {
        step[i] = blocks[i];
      }
      bytes |= quantize_nvfp4_blocks<Config>(
                   step, [&](int) { return factors; },
                   [&](int i, const Nvfp4Block& result) {
                     const int column = first + (done + i) * threads();
                     if (column >= columns) {
                       return 0u;
                     }
                     store_codes(codes, column, result);
                     return result.scale;
                   })
               << (8 * done);
#pragma unroll
      for (int i = 0; i + kStep < kBlocks; ++i) {
        blocks[i] = blocks[i + kStep];
      }
    }
    return bytes;
  }

  // With 4over6 there is much code for a block, so one copy of it: the blocks move up to the first.
  FOURGE_INLINE uint32 quantize_rolled(Words8 (&blocks)[kBlocks], int first, const Factors& factors,
                                       uint8* codes) const {
    uint32 bytes = 0;
#pragma unroll 1
    for (int i = 0; i < kBlocks; ++i) {
      const int column = first + i * threads();
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
    const int chunk = threads() * kBlocks;
    int column = (all_columns + chunk - 1) / chunk * chunk - threads() + thread();
    int left_in_chunk = kBlocks;
    uint32 bytes = 0;
    Words8 next = {};
    if (column < columns) {
      next = load_block(x, column);
    }
#pragma unroll 1
    while (column >= 0) {
      const Words8 block = next;
      const int before = column - threads();
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
    for (int column = thread() * 4; column < all_columns; column += threads() * 4) {
      store(reinterpret_cast<uint32*>(scales + scale_offset<kLayout()>(row, column, all_columns)),
            0u);
    }
  }
};

// The largest magnitude's bits, NaN skipped. A NaN is rare: its loop turns the blocks once around.
template <class Config>
FOURGE_INLINE uint32 row_chunk_maximum(Words8 (&blocks)[kBlocksPerThread<Config>]) {
  constexpr int kBlocks = kBlocksPerThread<Config>;
  uint32 packed = 0;
#pragma unroll
  for (int i = 0; i < kBlocks; ++i) {
    packed = max_packed<Config::kInput()>(packed, block_max_packed<Config::kInput()>(blocks[i].w));
  }
  uint32 bits = bits_of_packed(packed);
  if (unlikely(bits > Packed16<Config::kInput()>::kInfinity)) {
    bits = 0;
#pragma unroll 1
    for (int i = 0; i < kBlocks; ++i) {
      const Words8 block = blocks[0];
      bits = max_u32(bits, block_max_bits_skip_nan<Config::kInput()>(block.w));
#pragma unroll
      for (int k = 0; k + 1 < kBlocks; ++k) {
        blocks[k] = blocks[k + 1];
      }
      blocks[kBlocks - 1] = block;
    }
  }
  return bits;
}

// The i-th row, or of the map. All threads of the row call; of its columns this CTA takes those from chunk on.
template <class Config>
FOURGE_INLINE void quantize_token_row(const void* x, uint8* codes, uint8* scales,
                                      float* token_scales, const int* row_map,
                                      float global_scale_inverse, int64 rows, int64 cols, int64 i,
                                      int chunk, SharedArray<uint32, 64>& scratch) {
  constexpr int kBlocks = kBlocksPerThread<Config>;
  constexpr ScaleLayout kLayout = Config::kLayout();
  const int columns = static_cast<int>(cols / 16);
  TokenRow<Config> row{i, columns, static_cast<int>(padded_columns<kLayout>(columns))};
  if (row_map != nullptr) {
    row.row = load(row_map + i);
    if (row.row < 0 || row.row >= rows) {
      return;
    }
  }
  if constexpr (kLayout != ScaleLayout::linear) {
    if (row.row >= rows) {
      row.store_padding(scales);
      return;
    }
  }

  Words8 blocks[kBlocks];
  uint32 maximum = 0;
  int first = chunk + row.thread();
#pragma unroll 1
  do {
    row.load_chunk(x, first, blocks);
    maximum = max_u32(maximum, row_chunk_maximum<Config>(blocks));
    first += kBlocks * row.threads();
  } while (Config::kRow() == RowHolding::looped && first < columns);
  uint32 largest = cta_max_alternating(maximum, scratch, 0);
  if constexpr (kIsCluster<Config>) {
    largest = cluster_max(largest);
    cluster_arrive_relaxed();  // no inbox is filled again
  }

  const float row_maximum = value_of_bits<Config::kInput()>(largest);
  const TokenScale scale = token_scale<Config>(row_maximum, global_scale_inverse);
  const Nvfp4Factors<Config, true> factors(scale.encode, row_maximum);
  if (chunk + threadIdx.x == 0) {
    store(token_scales + row.row, scale.decode);
  }
  if constexpr (Config::kRow() == RowHolding::looped) {
    row.quantize_again(x, factors, codes, scales);
  } else if constexpr (Config::kFourOverSix() != FourOverSix::off) {
    row.store_scales(scales, chunk + row.thread(),
                     row.quantize_rolled(blocks, chunk + row.thread(), factors, codes));
  } else {
    row.store_scales(scales, chunk + row.thread(),
                     row.quantize_chunk(blocks, chunk + row.thread(), factors, codes));
  }
}

// A CTA's rows or row, or its part of one.
template <class Config>
FOURGE_INLINE void quantize_held_token_rows(const void* x, uint8* codes, uint8* scales,
                                            float* token_scales, const int* row_map,
                                            float global_scale_inverse, int64 rows, int64 cols,
                                            int64 mapped_rows) {
  __shared__ SharedArray<uint32, 64> scratch;
  // Grid y goes on where grid x ends.
  int64 i = (static_cast<int64>(blockIdx.y) * gridDim.x + blockIdx.x) * blockDim.y + threadIdx.y;
  int chunk = 0;
  if constexpr (kIsCluster<Config>) {
    const uint32 size = cluster_size();
    i = static_cast<int64>(blockIdx.y) * (gridDim.x / size) + blockIdx.x / size;
    chunk = static_cast<int>(cluster_rank() * blockDim.x) * kBlocksPerThread<Config>;
    cluster_arrive_relaxed();
  }
  if (i < (row_map != nullptr ? mapped_rows : padded_rows<Config::kLayout()>(rows))) {
    quantize_token_row<Config>(x, codes, scales, token_scales, row_map, global_scale_inverse, rows,
                               cols, i, chunk, scratch);
  }
  if constexpr (kIsCluster<Config>) {
    cluster_wait();
  }
}

template <class Config>
FOURGE_INLINE void nvfp4_quantize_per_token_kernel(const void* x, uint8* codes, uint8* scales,
                                                   float* token_scales, const int* row_map,
                                                   float global_scale_inverse, int64 rows,
                                                   int64 cols, int64 mapped_rows) {
  wait_for_predecessor<Config>();
  if constexpr (Config::kRow() == RowHolding::copied) {
    quantize_copied_token_row<Config>(x, codes, scales, token_scales, row_map, global_scale_inverse,
                                      rows, cols, mapped_rows);
  } else {
    quantize_held_token_rows<Config>(x, codes, scales, token_scales, row_map, global_scale_inverse,
                                     rows, cols, mapped_rows);
  }
}

}  // namespace fourge_device

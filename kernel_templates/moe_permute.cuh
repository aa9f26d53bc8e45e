// moe_permute: see fourge/moe_permute.hpp for the contract.
//
// A thread takes 16 bytes of kTokensPerCta neighbouring rows of the output; blockDim.x of them take a slab
// of columns, blockDim.y such groups make a CTA's rows. A token's row is read once for each of its experts,
// at times that lie far apart. So all rows of a slab come before the next slab (grid x runs over the rows,
// y over the slabs), and the launch rule takes slabs so narrow that those of all tokens fit in L2.
//
// Scales of neighbouring rows are neighbours: the CTA's threads share them out in that order.
//
// by=token: see device/permute_tokens.cuh.
#pragma once

#include "device/global_memory.cuh"
#include "device/moe_rows.cuh"
#include "device/permute_tokens.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

enum class PermuteBy { row, token };

// Scales of the blocks of 128 columns that begin in a slab, for the CTA's rows.
template <class Config>
FOURGE_INLINE void permute_scales(const float* x_scales, float* y_scales,
                                  const PermuteRows<Config>& rows, int64 first_row,
                                  uint32 row_count, int64 first_block, int64 blocks, int64 tokens) {
  const uint32 count = blockDim.x / (Config::kBytes() * 8) * row_count;
  for (uint32 i = threadIdx.y * blockDim.x + threadIdx.x; i < count; i += blockDim.x * blockDim.y) {
    const int64 row = first_row + i % row_count;
    const int64 block = first_block + i / row_count;
    if (row < rows.used && block < blocks) {
      const int64 token = rows.token(row);
      store(y_scales + block * rows.used + row,
            token >= 0 ? load(x_scales + block * tokens + token) : 0.0f);
    }
  }
}

template <class Config>
FOURGE_INLINE void permute_by_row(const void* x, const float* x_scales, void* y, float* y_scales,
                                  const int* row_entries, const int* padded_rows, int64 tokens,
                                  int64 top_k, int64 cols, int64 capacity) {
  constexpr int kRows = Config::kTokensPerCta();
  constexpr int64 kUnitsOfBlock = Config::kBytes() * 8;
  const int64 units = cols * Config::kBytes() / 16;
  const uint32 cta_rows = blockDim.y * kRows;
  constexpr int kSteps = 32 / kRows;
  const int lane = static_cast<int>(threadIdx.x & 31u);
  const int64 stride = static_cast<int64>(gridDim.x) * cta_rows;

  wait_for_predecessor<Config>();
  const PermuteRows<Config> rows(row_entries, rows_in_use(padded_rows, capacity), tokens, top_k);
#pragma unroll 1
  for (int64 slab = static_cast<int64>(blockIdx.y) * blockDim.x; slab < units;
       slab += static_cast<int64>(gridDim.y) * blockDim.x) {
    const int64 unit = slab + threadIdx.x;
    const bool inside = unit < units;
#pragma unroll 1
    for (int64 begin = static_cast<int64>(blockIdx.x) * cta_rows; begin < rows.used;
         begin += kSteps * stride) {
      // A lane looks up one row of one step for its warp.
      const int own = static_cast<int>(
          rows.token(begin + lane / kRows * stride + threadIdx.y * kRows + lane % kRows));
#pragma unroll 1
      for (int step = 0; step < kSteps && begin + step * stride < rows.used; ++step) {
        const int64 cta_first = begin + step * stride;
        const int64 first = cta_first + threadIdx.y * kRows;
        int token[kRows];
        Words4 words[kRows];
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          token[i] = __shfl_sync(0xFFFFFFFFu, own, step * kRows + i);
          words[i] = {};
          if (token[i] >= 0 && inside) {
            words[i] = load_words4(static_cast<const char*>(x) + (token[i] * units + unit) * 16);
          }
        }
        if constexpr (Config::kScales() == RowScales::block128) {
          permute_scales<Config>(x_scales, y_scales, rows, cta_first, cta_rows,
                                 slab / kUnitsOfBlock, units / kUnitsOfBlock, tokens);
        }
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
          if (token[i] >= 0 && inside) {
            store_words_once(static_cast<char*>(y) + ((first + i) * units + unit) * 16, words[i].w);
          }
        }
      }
    }
  }
}

template <class Config>
FOURGE_INLINE void moe_permute_kernel(const void* x, const float* x_scales, void* y,
                                      float* y_scales, const int* row_entries,
                                      const int* padded_rows, int64 tokens, int64 top_k, int64 cols,
                                      int64 capacity, const int* rows) {
  if constexpr (Config::kBy() == PermuteBy::token) {
    permute_by_token<Config>(x, x_scales, y, y_scales, row_entries, padded_rows, tokens, top_k,
                             cols, capacity, rows);
  } else {
    permute_by_row<Config>(x, x_scales, y, y_scales, row_entries, padded_rows, tokens, top_k, cols,
                           capacity);
  }
}

}  // namespace fourge_device

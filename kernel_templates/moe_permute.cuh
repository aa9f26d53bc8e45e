// moe_permute: see fourge/moe_permute.hpp for the contract.
//
// A thread takes 16 bytes of kTokensPerCta neighbouring rows of the output. Of the threads that share a
// block of 128 columns, the i-th takes the scale of the i-th row, so that they are stored together.
// Grid x runs over the columns, y strides over the groups of rows.
#pragma once

#include "device/global_memory.cuh"
#include "device/moe_rows.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

enum class RowScales { none, block128 };

template <class Config>
FOURGE_INLINE void moe_permute_kernel(const void* x, const float* x_scales, void* y,
                                      float* y_scales, const int* row_entries,
                                      const int* padded_rows, int64 tokens, int64 top_k, int64 cols,
                                      int64 capacity) {
  constexpr int kRows = Config::kTokensPerCta;
  constexpr int64 kUnitsOfBlock = Config::kBytes * 8;
  const int64 units = cols * Config::kBytes / 16;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (unit >= units) {
    return;
  }

  wait_for_predecessor<Config>();
  const int64 given = load(padded_rows);
  const int64 used = given <= capacity ? given : 0;
  const int64 entries = tokens * top_k;
  const int64 block = unit / kUnitsOfBlock;
  const int64 place = unit % kUnitsOfBlock;
  for (int64 first = static_cast<int64>(blockIdx.y) * kRows; first < used;
       first += static_cast<int64>(gridDim.y) * kRows) {
    int64 token[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      token[i] = -1;
      if (first + i < used) {
        const int64 entry = load(row_entries + first + i);
        if (entry >= 0 && entry < entries) {
          token[i] = token_of_entry<Config::kIndex>(entry, tokens, top_k);
        }
      }
    }
    Words4 words[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      words[i] = {};
      if (token[i] >= 0) {
        words[i] = load_words4(static_cast<const char*>(x) + (token[i] * units + unit) * 16);
      }
    }
    if constexpr (Config::kScales == RowScales::block128) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        if (place == i && first + i < used) {
          const float scale = token[i] >= 0 ? load(x_scales + block * tokens + token[i]) : 0.0f;
          store(y_scales + block * used + first + i, scale);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (token[i] >= 0) {
        store_words(static_cast<char*>(y) + ((first + i) * units + unit) * 16, words[i].w);
      }
    }
  }
}

}  // namespace fourge_device

// moe_finalize: see fourge/moe_finalize.hpp for the contract.
//
// A thread takes eight columns of a token; four of its rows are on their way at once. Grid x runs over
// the columns, y strides over the tokens.
#pragma once

#include "device/convert16.cuh"
#include "device/global_memory.cuh"
#include "device/moe_rows.cuh"
#include "device/packed16.cuh"
#include "device/store_words.cuh"

namespace fourge_device {

enum class RouteWeights { f32, bf16, none };

template <RouteWeights kWeights>
FOURGE_INLINE float load_weight(const void* weights, int64 index) {
  if constexpr (kWeights == RouteWeights::f32) {
    return load(static_cast<const float*>(weights) + index);
  } else if constexpr (kWeights == RouteWeights::bf16) {
    return Packed16<ElementType::bf16>::low(load(static_cast<const uint16*>(weights) + index));
  } else {
    return 1.0f;
  }
}

template <class Config>
FOURGE_INLINE void add_words(const Words4& words, float (&sum)[8]) {
  using P = Packed16<Config::kInput()>;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum[2 * i] = add_rn(sum[2 * i], P::low(words.w[i]));
    sum[2 * i + 1] = add_rn(sum[2 * i + 1], P::high(words.w[i]));
  }
}

template <class Config>
FOURGE_INLINE void add_weighted(const Words4& words, const Words4& bias, bool biased, float weight,
                                float (&sum)[8]) {
  using P = Packed16<Config::kInput()>;
  float v[8];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = P::low(words.w[i]);
    v[2 * i + 1] = P::high(words.w[i]);
  }
  if (biased) {
    add_words<Config>(bias, v);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    sum[i] = add_rn(sum[i], Config::kWeights() == RouteWeights::none ? v[i] : mul_rn(weight, v[i]));
  }
}

template <class Config>
FOURGE_INLINE void moe_finalize_kernel(const void* x, void* out, const int* rows,
                                       const void* weights, const void* bias, const int* expert_ids,
                                       const void* shared, int64 tokens, int64 top_k, int64 cols,
                                       int64 x_cols, int64 capacity, int64 experts) {
  constexpr int kAtOnce = 4;
  const int64 unit = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 units = cols / 8;
  if (unit >= units) {
    return;
  }
  wait_for_predecessor<Config>();
  const auto read = [unit](const void* matrix, int64 row, int64 row_units) {
    return load_words4(static_cast<const char*>(matrix) + (row * row_units + unit) * 16);
  };

  for (int64 token = blockIdx.y; token < tokens; token += gridDim.y) {
    float sum[8] = {};
#pragma unroll 1
    for (int64 first = 0; first < top_k; first += kAtOnce) {
      int64 row[kAtOnce];
      float weight[kAtOnce];
      int64 expert[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int64 j = first + i;
        row[i] = -1;
        weight[i] = 0.0f;
        expert[i] = -1;
        if (j < top_k) {
          row[i] = load(rows + entry_of_token<Config::kIndex()>(token, j, tokens, top_k));
          weight[i] = load_weight<Config::kWeights()>(weights, token * top_k + j);
          if constexpr (Config::kBias()) {
            expert[i] = load(expert_ids + token * top_k + j);
          }
        }
      }
      Words4 words[kAtOnce];
      Words4 biases[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        words[i] = {};
        biases[i] = {};
        if (row[i] >= 0 && row[i] < capacity) {
          words[i] = read(x, row[i], x_cols / 8);
          if (Config::kBias() && expert[i] >= 0 && expert[i] < experts) {
            biases[i] = read(bias, expert[i], units);
          }
        }
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        if (row[i] >= 0 && row[i] < capacity) {
          const bool biased = Config::kBias() && expert[i] >= 0 && expert[i] < experts;
          add_weighted<Config>(words[i], biases[i], biased, weight[i], sum);
        }
      }
    }
    if constexpr (Config::kShared()) {
      add_words<Config>(read(shared, token, units), sum);
    }
    uint32 packed[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      packed[i] = pack_pair<Config::kInput()>(sum[2 * i], sum[2 * i + 1]);
    }
    store_words(static_cast<char*>(out) + (token * units + unit) * 16, packed);
  }
}

}  // namespace fourge_device

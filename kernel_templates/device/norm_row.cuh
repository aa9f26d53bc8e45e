// RMSNorm of one row, on the threads of one row: blockDim.x of them, each with every blockDim.x-th unit
// of 32 elements. A thread holds one unit; a row of more is read again, from its other end.
#pragma once

#include "device/global_memory.cuh"
#include "device/row_sum.cuh"
#include "device/unit_quantize.cuh"

namespace fourge_device {

enum class Residual { none, add };
enum class NormWeight { plain, plus_one };

struct NormOperands {
  const void* x;
  const void* residual;
  const void* weight;
  void* residual_out;
  void* norm_out;
  float eps;
  int64 cols;
};

// Use: gather(), then finish() units in any order; normalise() is called once for each, with the unit
// in v.
template <class Config>
struct NormRow {
  const NormOperands& operands;
  int64 row;  // its first element
  float inverse;
  float v[32];

  FOURGE_INLINE int64 column_of(int64 round) const {
    return (round * blockDim.x + threadIdx.x) * 32;
  }

  // h = x + residual.
  FOURGE_INLINE void load(int64 round) {
    const int64 column = column_of(round);
    load_unit<Config>(operands.x, row, column, operands.cols, v);
    if constexpr (Config::kResidual == Residual::add) {
      float r[32];
      load_unit<Config>(operands.residual, row, column, operands.cols, r);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        v[i] = add_rn(v[i], r[i]);
      }
      if constexpr (Config::kRounding == Rounding::rounded) {
        round_unit<Config::kInput>(v);
      }
    }
  }

  // Leaves the last round's unit in v.
  FOURGE_INLINE void gather(int64 rounds, SharedArray<uint32, 64>& scratch, int& slot) {
    float sum = 0.0f;
#pragma unroll 1
    for (int64 round = 0; round < rounds; ++round) {
      load(round);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        sum = fma_rn(v[i], v[i], sum);
      }
    }
    sum = cta_sum_alternating(sum, scratch, slot);
    slot ^= 1;
    const float mean = mul_rn(sum, rcp_rn_normal(static_cast<float>(operands.cols)));
    inverse = rcp_rn(sqrt_rn(add_rn(mean, operands.eps)));
  }

  // From h in v to the norm's output in v. Stores h and the output, where asked for, if kStore.
  template <bool kStore>
  FOURGE_INLINE void normalise(int64 round) {
    const int64 column = column_of(round);
    if constexpr (kStore && Config::kResidual == Residual::add) {
      store_unit<Config::kInput>(operands.residual_out, row, column, operands.cols, v);
    }
    float w[32];
    load_unit<Config>(operands.weight, 0, column, operands.cols, w);
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      if constexpr (Config::kWeight == NormWeight::plus_one) {
        w[i] = add_rn(w[i], 1.0f);
      }
      v[i] = mul_rn(mul_rn(v[i], inverse), w[i]);
    }
    if constexpr (Config::kRounding == Rounding::rounded) {
      round_unit<Config::kInput>(v);
    }
    if (kStore && operands.norm_out != nullptr) {
      store_unit<Config::kInput>(operands.norm_out, row, column, operands.cols, v);
    }
  }

  FOURGE_INLINE void quantize(int64 round, const UnitFactors<Config>& factors, uint8* q,
                              uint8* scales, int64 row_index, int64 scale_columns) const {
    const int64 column = column_of(round);
    QuantizedUnit unit = {};
    if (column < operands.cols) {
      unit = quantize_unit<Config>(v, factors);
      store_unit_codes<Config>(q, row, column, operands.cols, unit);
      // Half a unit: the other half's scale is padding.
      unit.scales &= column + 16 < operands.cols ? 0xFFFFu : 0xFFu;
    }
    store_unit_scales<Config>(scales, row_index, column / 32, scale_columns, unit.scales);
  }
};

}  // namespace fourge_device

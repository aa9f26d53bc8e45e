// moe_activation_quantize: see fourge/moe_activation_quantize.hpp for the contract.
//
// blockDim.x threads take a row, each every blockDim.x-th unit of 32 columns; a CTA has blockDim.y
// rows. A row of more units with a scale of its own is computed twice, from its end the second time.
#pragma once

#include "device/gated_activation.cuh"
#include "device/reduce.cuh"
#include "device/unit_quantize.cuh"

namespace fourge_device {

enum class GateOrder { linear_first, gate_first };

// Where the experts' rows and their scales lie; one matrix without expert_rows.
template <class Config>
struct ExpertRows {
  static constexpr ScaleLayout kLayout = Config::kLayout;
  const int64* starts;
  int64 experts;
  int64 rows;  // in use

  FOURGE_INLINE int64 region(int64 expert) const {
    return padded_rows<kLayout>(load(starts + expert) + (padded_rows<kLayout>(1) - 1) * expert);
  }
  FOURGE_INLINE int64 scale_rows() const {
    return starts != nullptr && kLayout != ScaleLayout::linear && rows > 0
               ? region(experts)
               : padded_rows<kLayout>(rows);
  }
  // The last expert that starts at or before a row of scales; experts without rows are passed over.
  FOURGE_INLINE int64 expert_of(int64 scale_row) const {
    int64 low = 0;
    int64 high = experts;
    while (high - low > 1) {
      const int64 middle = (low + high) / 2;
      const int64 start = kLayout == ScaleLayout::linear ? load(starts + middle) : region(middle);
      low = start <= scale_row ? middle : low;
      high = start <= scale_row ? high : middle;
    }
    return low;
  }
};

template <class Config>
struct ActivationRow {
  static constexpr bool kGated = kIsGated<Config::kActivation>;
  const void* x;
  const void* bias;
  ActivationFactors factors;
  int64 cols;
  int64 row;     // of x
  int64 expert;  // of bias
  float v[32];

  FOURGE_INLINE void compute(int64 column) {
    constexpr int64 kHalves = kGated ? 2 : 1;
    constexpr bool kGateFirst = Config::kOrder == GateOrder::gate_first;
    const int64 width = kHalves * cols;
    const int64 gate = kGated && !kGateFirst ? cols : 0;
    const int64 linear = kGated && kGateFirst ? cols : 0;
    float l[32] = {};
    load_unit<Config>(x, row * width + gate, column, cols, v);
    if constexpr (kGated) {
      load_unit<Config>(x, row * width + linear, column, cols, l);
    }
    if (bias != nullptr) {
      float b[32];
      load_unit<Config>(bias, expert * width + gate, column, cols, b);
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        v[i] = add_rn(v[i], b[i]);
      }
      if constexpr (kGated) {
        load_unit<Config>(bias, expert * width + linear, column, cols, b);
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          l[i] = add_rn(l[i], b[i]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      v[i] = activate<Config::kActivation>(v[i], l[i], factors);
    }
    if constexpr (Config::kRounding == Rounding::rounded) {
      round_unit<Config::kInput>(v);
    }
    // Of half a unit the rest must not count for the row's maximum: it is what bias 0 gives, 0.
  }
};

template <class Config>
FOURGE_INLINE void moe_activation_quantize_kernel(const void* x, const void* bias, uint8* q,
                                                  uint8* scales, float* token_scales,
                                                  const float* scale, const int64* expert_rows,
                                                  float scale_value, float limit, float alpha,
                                                  float beta, int64 rows, int64 cols,
                                                  int64 experts) {
  constexpr bool kToken = Config::kScaling == Scaling::token;
  constexpr bool kExpert = Config::kScaling == Scaling::expert;
  constexpr bool kStoreOnly = Config::kFormat == QuantizedFormat::none;
  __shared__ SharedArray<uint32, 64> scratch;

  wait_for_predecessor<Config>();
  ExpertRows<Config> place{expert_rows, experts, rows};
  if (expert_rows != nullptr) {
    const int64 end = load(expert_rows + experts);
    place.rows = end >= 0 && end <= rows ? end : 0;
  }
  const int64 scale_columns = padded_columns<Config::kLayout>(unit_scale_columns<Config>(cols));
  const int64 step = blockDim.x * 32;
  const int64 rounds = (cols + step - 1) / step;
  ActivationRow<Config> row{x, bias, {limit, alpha, beta}, cols, 0, 0, {}};
  const float given = !kToken && !kExpert && scale != nullptr ? load(scale) : scale_value;
  UnitFactors<Config> factors = given_factors<Config>(kToken || kExpert ? 1.0f : given);
  const int64 count = place.scale_rows();
  int slot = 0;
#pragma unroll 1
  for (int64 i = static_cast<int64>(blockIdx.x) * blockDim.y + threadIdx.y; i < count;
       i += static_cast<int64>(gridDim.x) * blockDim.y) {
    row.row = i;
    bool padding = i >= place.rows;
    if (expert_rows != nullptr) {
      row.expert = place.expert_of(i);
      if constexpr (Config::kLayout != ScaleLayout::linear) {
        row.row = load(expert_rows + row.expert) + i - place.region(row.expert);
        padding = row.row >= load(expert_rows + row.expert + 1);
      }
    }
    if (padding) {  // tiled layouts only
      store_zero_scales<Config>(scales, i, scale_columns);
      continue;
    }
    if constexpr (kExpert) {
      factors = given_factors<Config>(load(scale + row.expert));
    }
    if constexpr (kToken) {
      uint32 largest = 0;
#pragma unroll 1
      for (int64 round = 0; round < rounds; ++round) {
        row.compute(round * step + threadIdx.x * 32);
        largest = max_u32(largest, unit_magnitude(row.v));
      }
      const float maximum = float_from_bits(cta_max_alternating(largest, scratch, slot));
      slot ^= 1;
      float decode = 0.0f;
      factors = token_factors<Config>(maximum, scale_value, decode);
      if (threadIdx.x == 0) {
        store(token_scales + row.row, decode);
      }
    }
#pragma unroll 1
    for (int64 round = rounds - 1; round >= 0; --round) {
      const int64 column = round * step + threadIdx.x * 32;
      if (!kToken || round != rounds - 1) {
        row.compute(column);
      }
      if constexpr (kStoreOnly) {
        store_unit<Config::kInput>(q, row.row * cols, column, cols, row.v);
      } else {
        QuantizedUnit unit = {};
        if (column < cols) {
          unit = quantize_unit<Config>(row.v, factors);
          store_unit_codes<Config>(q, row.row * cols, column, cols, unit);
          unit.scales &= column + 16 < cols ? 0xFFFFu : 0xFFu;
        }
        store_unit_scales<Config>(scales, i, column / 32, scale_columns, unit.scales);
      }
    }
  }
}

}  // namespace fourge_device

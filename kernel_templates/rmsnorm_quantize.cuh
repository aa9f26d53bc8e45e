// rmsnorm_quantize: see fourge/rmsnorm_quantize.hpp for the contract.
// blockDim.x threads take a row; with 32 of them a CTA takes blockDim.y rows, which need no barrier.
#pragma once

#include "device/norm_row.cuh"

namespace fourge_device {

template <class Config>
struct NormQuantizer {
  uint8* q;
  uint8* scales;
  int64 scale_columns;

  // A normalised unit.
  FOURGE_INLINE void operator()(const NormRow<Config>& row, int64 index, int round,
                                const UnitFactors<Config>& factors) const {
    const int column = row.column_of(round);
    const int cols = row.operands.cols;
    uint32 bytes = 0;
    if (column < cols) {
      if constexpr (Config::kFormat == QuantizedFormat::nvfp4 && NormRow<Config>::kRounds) {
        bytes = quantize_unit_words<Config>(row.h, q, row.row, column, cols, factors.nvfp4);
      } else {
        float v[32];
        row.values(round, v);
        const QuantizedUnit unit = quantize_unit<Config>(v, factors);
        store_unit_codes<Config>(q, row.row, column, cols, unit);
        bytes = unit.scales;
      }
      // Half a unit: the other half's scale is padding.
      bytes &= column + 16 < cols ? 0xFFFFu : 0xFFu;
    }
    store_unit_scales<Config>(scales, index, column / 32, scale_columns, bytes);
  }
};

template <class Config>
FOURGE_INLINE void rmsnorm_quantize_kernel(const void* x, const void* residual, const void* weight,
                                           uint8* q, uint8* scales, float* token_scales,
                                           void* residual_out, void* norm_out, const float* scale,
                                           float scale_value, float eps, int64 rows, int64 cols) {
  constexpr ScaleLayout kLayout = Config::kLayout;
  constexpr bool kToken = Config::kScaling == Scaling::token;
  __shared__ SharedArray<uint32, 64> scratch;

  const int64 index =
      (static_cast<int64>(blockIdx.y) * gridDim.x + blockIdx.x) * blockDim.y + threadIdx.y;
  if (index >= padded_rows<kLayout>(rows)) {
    return;  // all threads of a row; a row of several warps is alone in its CTA
  }
  wait_for_predecessor<Config>();
  const int64 scale_columns = padded_columns<kLayout>(unit_scale_columns<Config>(cols));
  if (kLayout != ScaleLayout::linear && index >= rows) {
    store_zero_scales<Config>(scales, index, scale_columns);
    return;
  }
  const NormOperands operands{
      x, residual, weight, residual_out, norm_out, eps, static_cast<int>(cols)};
  const int rounds = (operands.cols + 8191) >> 13;  // less than 256 lanes make one round
  const float given = !kToken && scale != nullptr ? load(scale) : scale_value;
  const NormQuantizer<Config> quantize{q, scales, scale_columns};
  NormRow<Config> row{operands, index * cols, 0.0f, {}, {}};
  row.gather(rounds, scratch);
  if constexpr (kToken) {
    uint32 largest = 0;
#pragma unroll 1
    for (int round = rounds - 1; round >= 0; --round) {
      if (round != rounds - 1) {
        row.load(round);
      }
      row.template normalise<true>(round);
      largest = max_u32(largest, row.magnitude(round));
    }
    const float maximum = float_from_bits(cta_max_alternating(largest, scratch, 1));
    float decode = 0.0f;
    const UnitFactors<Config> factors = token_factors<Config>(maximum, given, decode);
    if (threadIdx.x == 0) {
      store(token_scales + index, decode);
    }
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
      if (round != 0) {
        row.load(round);
        row.template normalise<false>(round);
      }
      quantize(row, index, round, factors);
    }
  } else {
    const UnitFactors<Config> factors = given_factors<Config>(given);
#pragma unroll 1
    for (int round = rounds - 1; round >= 0; --round) {
      if (round != rounds - 1) {
        row.load(round);
      }
      row.template normalise<true>(round);
      quantize(row, index, round, factors);
    }
  }
}

}  // namespace fourge_device

// rmsnorm_quantize: see fourge/rmsnorm_quantize.hpp for the contract.
// blockDim.x threads take a row; with 32 of them a CTA takes blockDim.y rows, which need no barrier.
#pragma once

#include "device/norm_row.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void rmsnorm_quantize_kernel(const void* x, const void* residual, const void* weight,
                                           uint8* q, uint8* scales, float* token_scales,
                                           void* residual_out, void* norm_out, const float* scale,
                                           float scale_value, float eps, int64 rows, int64 cols) {
  constexpr ScaleLayout kLayout = Config::kLayout;
  constexpr bool kToken = Config::kScaling == Scaling::token;
  __shared__ SharedArray<uint32, 64> scratch;

  wait_for_predecessor<Config>();
  const NormOperands operands{x, residual, weight, residual_out, norm_out, eps, cols};
  const int64 scale_columns = padded_columns<kLayout>(unit_scale_columns<Config>(cols));
  const int64 rounds = ((cols + 31) / 32 + blockDim.x - 1) / blockDim.x;
  const float given = !kToken && scale != nullptr ? load(scale) : scale_value;
  UnitFactors<Config> factors = given_factors<Config>(kToken ? 1.0f : given);
  int slot = 0;
#pragma unroll 1
  for (int64 i = static_cast<int64>(blockIdx.x) * blockDim.y + threadIdx.y;
       i < padded_rows<kLayout>(rows); i += static_cast<int64>(gridDim.x) * blockDim.y) {
    if (kLayout != ScaleLayout::linear && i >= rows) {
      store_zero_scales<Config>(scales, i, scale_columns);
      continue;
    }
    NormRow<Config> row{operands, i * cols, 0.0f, {}};
    row.gather(rounds, scratch, slot);
    if constexpr (kToken) {
      uint32 largest = 0;
#pragma unroll 1
      for (int64 round = rounds - 1; round >= 0; --round) {
        if (round != rounds - 1) {
          row.load(round);
        }
        row.template normalise<true>(round);
        largest = max_u32(largest, unit_magnitude(row.v));
      }
      const float maximum = float_from_bits(cta_max_alternating(largest, scratch, slot));
      slot ^= 1;
      float decode = 0.0f;
      factors = token_factors<Config>(maximum, scale_value, decode);
      if (threadIdx.x == 0) {
        store(token_scales + i, decode);
      }
#pragma unroll 1
      for (int64 round = 0; round < rounds; ++round) {
        if (round != 0) {
          row.load(round);
          row.template normalise<false>(round);
        }
        row.quantize(round, factors, q, scales, i, scale_columns);
      }
    } else {
#pragma unroll 1
      for (int64 round = rounds - 1; round >= 0; --round) {
        if (round != rounds - 1) {
          row.load(round);
        }
        row.template normalise<true>(round);
        row.quantize(round, factors, q, scales, i, scale_columns);
      }
    }
  }
}

}  // namespace fourge_device

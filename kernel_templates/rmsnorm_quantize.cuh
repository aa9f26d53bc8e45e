// rmsnorm_quantize: see fourge/rmsnorm_quantize.hpp for the contract.
// blockDim.x threads take a row; with 32 of them a CTA takes blockDim.y rows, which need no barrier. Where rows are
// copied, any number of CTAs takes all of them.
#pragma once

#include "device/norm_alone.cuh"
#include "device/norm_copied.cuh"
#include "device/norm_one_block.cuh"

namespace fourge_device {

template <class Config>
FOURGE_INLINE void norm_and_quantize_rows(const NormOperands& operands, uint8* q, uint8* scales,
                                          float* token_scales, const float* scale,
                                          float scale_value, int64 rows, int64 cols) {
  constexpr ScaleLayout kLayout = Config::kLayout();
  constexpr bool kToken = Config::kScaling() == Scaling::token;
  __shared__ SharedArray<uint32, 64> scratch;
  __shared__ SharedArray<float, kMostLanes> sums;

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
  const float given = !kToken && scale != nullptr ? load(scale) : scale_value;
  const NormQuantizer<Config> quantize{q, scales, scale_columns};
  if constexpr (Config::kRow().blocks == 0) {
    NormRow<Config> row(operands, index * cols);
    row.start();
    row.gather(sums);
    quantize_gathered_row(row, index, given, quantize, token_scales, scratch);
  } else {
    RegisterRow<Config> row(operands, index);
    row.start();
    const float factor = row.gather(sums);
    row.quantize(factor, given_factors<Config>(given).nvfp4, q, scales);
  }
}

template <class Config>
FOURGE_INLINE void rmsnorm_quantize_kernel(const void* x, const void* residual, const void* weight,
                                           uint8* q, uint8* scales, float* token_scales,
                                           void* residual_out, void* norm_out, const float* scale,
                                           float scale_value, float eps, int64 rows, int64 cols) {
  const NormOperands operands{
      x, residual, weight, residual_out, norm_out, eps, static_cast<int>(cols)};
  if constexpr (Config::kRow().threads == 0 && Config::kRow().blocks == 1) {
    quantize_row_of_blocks<Config>(operands, q, scales, token_scales, scale, scale_value, rows);
  } else if constexpr (Config::kRow().copied && Config::kRow().blocks == 0) {
    quantize_lone_row<Config>(operands, q, scales, token_scales, scale, scale_value, rows);
  } else if constexpr (Config::kRow().copied) {
    quantize_copied_rows<Config>(operands, scale, scale_value, q, scales, rows);
  } else {
    norm_and_quantize_rows<Config>(operands, q, scales, token_scales, scale, scale_value, rows,
                                   cols);
  }
}

}  // namespace fourge_device

// Quantization of a row that is normed (norm_row.cuh), by the threads of the row.
#pragma once

#include "device/norm_row.cuh"

namespace fourge_device {

template <class Config>
struct NormQuantizer {
  uint8* q;
  uint8* scales;
  int64 scale_columns;

  // A normalised unit.
  template <class Row>
  FOURGE_INLINE void operator()(const Row& row, int64 index, int round,
                                const UnitFactors<Config>& factors) const {
    const int column = row.column_of(round);
    const int cols = row.operands.cols;
    uint32 bytes = 0;
    if (column < cols) {
      if constexpr (Config::kFormat == QuantizedFormat::nvfp4 && Row::kRounds) {
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

// Normalises and quantizes a row that was gathered. given: the scale that the spec has, see
// given_factors() and token_factors().
template <class Config, class Source>
FOURGE_INLINE void quantize_gathered_row(NormRow<Config, Source>& row, int64 index, int rounds,
                                         float given, const NormQuantizer<Config>& quantize,
                                         float* token_scales, SharedArray<uint32, 64>& scratch) {
  const int last = Source::working(row.operands.cols) ? rounds - 1 : -1;
  if constexpr (Config::kScaling == Scaling::token) {
    uint32 largest = 0;
#pragma unroll 1
    for (int round = last; round >= 0; --round) {
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
    for (int round = 0; round <= last; ++round) {
      if (round != 0) {
        row.load(round);
        row.template normalise<false>(round);
      }
      quantize(row, index, round, factors);
    }
  } else {
    const UnitFactors<Config> factors = given_factors<Config>(given);
#pragma unroll 1
    for (int round = last; round >= 0; --round) {
      if (round != rounds - 1) {
        row.load(round);
      }
      row.template normalise<true>(round);
      quantize(row, index, round, factors);
    }
  }
}

}  // namespace fourge_device

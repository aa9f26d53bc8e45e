// Quantization of a row that is normed (norm_row.cuh), by the threads of the row.
#pragma once

#include "device/norm_row.cuh"

namespace fourge_device {

template <class Config>
struct NormQuantizer {
  uint8* q;
  uint8* scales;
  int64 scale_columns;

  template <class Row>
  FOURGE_INLINE BlockPlaces<Config> places(const Row& row, int64 index) const {
    return BlockPlaces<Config>(q, row.row, scales, index, scale_columns, row.first_of_part() & 31);
  }
};

// A block of y, rounded. MXFP8: all lanes of the warp call.
template <class Config>
FOURGE_INLINE QuantizedBlock quantize_rounded(const Words8& y, const UnitFactors<Config>& factors) {
  if constexpr (Config::kFormat() == QuantizedFormat::nvfp4) {
    const Nvfp4Block one = quantize_nvfp4_block<Config>(y, factors.nvfp4);
    return {{one.codes[0], one.codes[1], 0, 0}, one.scale};
  } else {
    float v[16];
    unpack_block<Config::kInput()>(y, v);
    return quantize_values<Config>(v, factors);
  }
}

// Of a normalised block.
template <class Config, class Row>
FOURGE_INLINE void quantize_normalised(const Row& row, const UnitFactors<Config>& factors,
                                       const BlockPlaces<Config>& places) {
  QuantizedBlock block = {};
  if constexpr (Row::kRounds) {
    block = quantize_rounded<Config>(row.h, factors);
  } else {
    float v[16];
    row.values(v);
    block = quantize_values<Config>(v, factors);
  }
  const bool inside = row.is_inside();
  if (inside) {
    places.store_codes(row.block, block);
  }
  places.store_scale(row.block, inside, block.scale);
}

// Normalises and quantizes a row that was gathered. given: the scale that the spec has, see
// given_factors() and token_factors().
template <class Config, RowSource kSource>
FOURGE_INLINE void quantize_gathered_row(NormRow<Config, kSource>& row, int64 index, float given,
                                         const NormQuantizer<Config>& quantize, float* token_scales,
                                         SharedArray<uint32, 64>& scratch) {
  if constexpr (Config::kScaling() == Scaling::token) {
    uint32 largest = 0;
    row.for_blocks([&] {
      row.load(true);
      row.template normalise<true>();
      largest = max_u32(largest, row.is_inside() ? row.magnitude() : 0u);
      if constexpr (NormRow<Config, kSource>::kRounds) {
        row.keep_output();
      }
    });
    const float maximum = float_from_bits(cta_max_alternating(largest, scratch, 1));
    float decode = 0.0f;
    const UnitFactors<Config> factors = token_factors<Config>(maximum, given, decode);
    if (threadIdx.x == 0) {
      store(token_scales + index, decode);
    }
    const BlockPlaces<Config> places = quantize.places(row, index);
    row.for_blocks([&] {
      row.load_output();
      quantize_normalised(row, factors, places);
    });
  } else {
    const UnitFactors<Config> factors = given_factors<Config>(given);
    const BlockPlaces<Config> places = quantize.places(row, index);
    row.for_blocks([&] {
      row.load(true);
      row.template normalise<true>();
      quantize_normalised(row, factors, places);
    });
  }
}

}  // namespace fourge_device

// moe_activation_quantize: see fourge/moe_activation_quantize.hpp for the contract.
//
// blockDim.x threads take a row, each every blockDim.x-th unit of 32 columns; a CTA has blockDim.y
// rows. A row of more units with a scale of its own is computed twice, from its end the second time.
// First of all the CTAs share out the scales that are padding, while no registers are taken.
#pragma once

#include "device/gated_activation.cuh"
#include "device/reduce.cuh"
#include "device/unit_quantize.cuh"
#include "device/warp_search.cuh"

namespace fourge_device {

enum class GateOrder { linear_first, gate_first };

// Where the experts' rows and their scales lie; one matrix without expert_rows.
template <class Config>
struct ExpertRows {
  static constexpr ScaleLayout kLayout = Config::kLayout;
  static constexpr bool kTiled = kLayout != ScaleLayout::linear;
  const int64* starts;
  int64 experts;
  int64 rows;  // in use

  FOURGE_INLINE int64 region(int64 expert) const {
    return padded_rows<kLayout>(load(starts + expert) + (padded_rows<kLayout>(1) - 1) * expert);
  }
  // The expert of a row; experts without rows are passed over.
  FOURGE_INLINE int64 expert_of(int64 row) const {
    return warp_last_not_above(experts, row, [&](int64 i) { return load(starts + i); });
  }
  FOURGE_INLINE int64 scale_row(int64 row, int64 expert) const {
    return kTiled && starts != nullptr ? region(expert) + row - load(starts + expert) : row;
  }
  // Zero scales in the rows behind each expert's, which the CTAs share out.
  FOURGE_INLINE void store_padding(uint8* scales, int64 columns) const {
    constexpr int64 kShares = kLayout == ScaleLayout::tiled_128x4 ? 4 : 1;
    const int64 parts = starts == nullptr ? 1 : experts;
    if (rows == 0) {
      return;
    }
    for (int64 i = blockIdx.x; i < parts * kShares; i += gridDim.x) {
      const int64 e = i / kShares;
      const int64 first =
          starts == nullptr ? rows : region(e) + load(starts + e + 1) - load(starts + e);
      const int64 end = starts == nullptr ? padded_rows<kLayout>(rows) : region(e + 1);
      for (int64 row = first + i % kShares * blockDim.y + threadIdx.y; row < end;
           row += kShares * blockDim.y) {
        store_zero_scales<Config>(scales, row, columns);
      }
    }
  }
};

// A unit of results: packed if they are rounded to the 16-bit type, else as floats.
template <class Config, Rounding kRounding = Config::kRounding>
struct ActivatedUnit;

template <class Config>
struct ActivatedUnit<Config, Rounding::rounded> {
  static constexpr ElementType kType = Config::kInput;
  UnitWords words;

  // The last half becomes the first.
  FOURGE_INLINE void push(const float (&v)[16]) {
    words.half[0] = words.half[1];
    words.half[1] = pack_words<kType>(v);
  }
  FOURGE_INLINE void get(float (&v)[32]) const {
    unpack_words<kType>(words.half[0], v);
    unpack_words<kType>(words.half[1], v + 16);
  }
};

template <class Config>
struct ActivatedUnit<Config, Rounding::unrounded> {
  float values[32];

  FOURGE_INLINE void push(const float (&v)[16]) {
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      values[i] = values[i + 16];
      values[i + 16] = v[i];
    }
  }
  FOURGE_INLINE void get(float (&v)[32]) const {
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      v[i] = values[i];
    }
  }
};

template <class Config>
struct ActivationRow {
  static constexpr bool kGated = kIsGated<Config::kActivation>;
  static constexpr ElementType kType = Config::kInput;
  const void* x;
  const void* bias;
  ActivationFactors factors;
  int64 cols;
  int64 row;     // of x
  int64 expert;  // of bias
  ActivatedUnit<Config> unit;

  // Adds the bias of 16 columns, which are all in the row or all beyond it.
  FOURGE_INLINE void add_bias(int64 first, int64 column, float (&v)[16]) const {
    if (bias == nullptr || column >= cols) {
      return;
    }
    float b[16];
    unpack_words<kType>(
        load_words8<Config::kLoad256>(static_cast<const char*>(bias) + (first + column) * 2), b);
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      v[i] = add_rn(v[i], b[i]);
    }
  }

  // Half a unit at a time: all 32 at once need more registers than there are, and twice the code. Of half a
  // unit the rest must not count for the row's maximum: it is what bias 0 gives, 0.
  FOURGE_INLINE void compute(int64 column) {
    constexpr int64 kHalves = kGated ? 2 : 1;
    constexpr bool kGateFirst = Config::kOrder == GateOrder::gate_first;
    const int64 width = kHalves * cols;
    const int64 gate = kGated && !kGateFirst ? cols : 0;
    const int64 linear = kGated && kGateFirst ? cols : 0;
    UnitWords g = load_unit_words<Config>(x, row * width + gate, column, cols);
    UnitWords l = {};
    if constexpr (kGated) {
      l = load_unit_words<Config>(x, row * width + linear, column, cols);
    }
#pragma unroll 1
    for (int half = 0; half < 2; ++half) {
      float v[16];
      float other[16] = {};
      unpack_words<kType>(g.half[0], v);
      add_bias(expert * width + gate, column + 16 * half, v);
      if constexpr (kGated) {
        unpack_words<kType>(l.half[0], other);
        add_bias(expert * width + linear, column + 16 * half, other);
      }
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        v[i] = activate<Config::kActivation>(v[i], other[i], factors);
      }
      unit.push(v);
      g.half[0] = g.half[1];
      l.half[0] = l.half[1];
    }
  }

  FOURGE_INLINE uint32 magnitude() const {
    float v[32];
    unit.get(v);
    return unit_magnitude(v);
  }

  // Stores the codes; returns the block scales.
  FOURGE_INLINE uint32 quantize(uint8* q, int64 column, const UnitFactors<Config>& f) const {
    if constexpr (Config::kFormat == QuantizedFormat::nvfp4 &&
                  Config::kRounding == Rounding::rounded) {
      return quantize_unit_words<Config>(unit.words, q, row * cols, column, cols, f.nvfp4);
    } else {
      float v[32];
      unit.get(v);
      const QuantizedUnit quantized = quantize_unit<Config>(v, f);
      store_unit_codes<Config>(q, row * cols, column, cols, quantized);
      return quantized.scales;
    }
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
  if constexpr (ExpertRows<Config>::kTiled) {
    place.store_padding(scales, scale_columns);
  }
  const int64 step = blockDim.x * 32;
  const int64 rounds = (cols + step - 1) / step;
  ActivationRow<Config> row{x, bias, {limit, alpha, beta}, cols, 0, 0, {}};
  const float given = !kToken && !kExpert && scale != nullptr ? load(scale) : scale_value;
  UnitFactors<Config> factors = given_factors<Config>(kToken || kExpert ? 1.0f : given);
  int slot = 0;
#pragma unroll 1
  for (int64 i = static_cast<int64>(blockIdx.x) * blockDim.y + threadIdx.y; i < place.rows;
       i += static_cast<int64>(gridDim.x) * blockDim.y) {
    row.row = i;
    if (expert_rows != nullptr && (place.kTiled || kExpert || bias != nullptr)) {
      row.expert = place.expert_of(i);
    }
    const int64 scale_row = place.scale_row(i, row.expert);
    if constexpr (kExpert) {
      factors = given_factors<Config>(load(scale + row.expert));
    }
    // With a scale of its own the row's units are computed for its maximum first, and again from the last,
    // which is still held. One loop, since what computes a unit is long.
    uint32 largest = 0;
    const auto row_factors = [&](uint32 own) {
      float decode = 0.0f;
      const float maximum = float_from_bits(cta_max_alternating(own, scratch, slot));
      const UnitFactors<Config> result = token_factors<Config>(maximum, scale_value, decode);
      if (threadIdx.x == 0) {
        store(token_scales + row.row, decode);
      }
      return result;
    };
#pragma unroll 1
    for (int64 done = kToken ? 0 : rounds; done < 2 * rounds; ++done) {
      const int64 round = done < rounds ? done : 2 * rounds - 1 - done;
      const int64 column = round * step + threadIdx.x * 32;
      if (!kToken || done != rounds) {
        row.compute(column);
      }
      if (kToken && done < rounds) {
        largest = max_u32(largest, row.magnitude());
        if (done == rounds - 1) {
          factors = row_factors(largest);
          slot ^= 1;
        }
        continue;
      }
      if constexpr (kStoreOnly) {
        store_unit_words(q, row.row * cols, column, cols, row.unit.words);
      } else {
        uint32 bytes = 0;
        if (column < cols) {
          bytes = row.quantize(q, column, factors) & (column + 16 < cols ? 0xFFFFu : 0xFFu);
        }
        store_unit_scales<Config>(scales, scale_row, column / 32, scale_columns, bytes);
      }
    }
  }
}

}  // namespace fourge_device
